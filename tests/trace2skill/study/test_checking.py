"""What `study check` finds before anything is run."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from inspect_ai import Task
from inspect_ai.dataset import MemoryDataset, Sample

from tests.trace2skill.study.tiny import CONTENT, load
from trace2skill.study.checking import Check, checks, seen_of_test

BENCHMARK: dict[str, Any] = CONTENT["benchmarks"]["problems"]


def of_the_benchmark(folder: Path, **changes: Any) -> Check:
    found = checks(load(folder, benchmarks={"problems": {**BENCHMARK, **changes}}))
    return next(check for check in found if check.what == "benchmark problems")


def test_a_study_that_can_be_run(tmp_path: Path) -> None:
    assert all(check.passed for check in checks(load(tmp_path)))
    assert of_the_benchmark(tmp_path).said == "20 samples in evolve, 20 samples in test"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"metrics": {"accuracy": {"scorer": "cell_comparison"}}},
            "metric 'accuracy' is of scorer 'cell_comparison', but evals/math_reasoning has answer_value",
        ),
        ({"args": {"dataset": "nowhere"}}, "nowhere"),
        ({"task": "evals/maths"}, "No task 'evals/maths' is installed here"),
    ],
)
def test_a_benchmark_that_cannot_be_played_is_found_before_it_is_paid_for(
    changes: dict[str, Any], said: str, tmp_path: Path
) -> None:
    found = of_the_benchmark(tmp_path, **changes)

    assert not found.passed
    assert said in found.said


def test_a_test_on_what_skills_are_made_from_is_found_before_it_is_paid_for(tmp_path: Path) -> None:
    def said(folder: Path, **changes: Any) -> list[tuple[bool, str]]:
        benchmarks = {"problems": BENCHMARK, "others": deepcopy({**BENCHMARK, **changes})}
        math = {**CONTENT["domains"]["math"], "test_on": ["problems", "others"]}
        found = checks(load(folder, benchmarks=benchmarks, domains={"math": math}))
        return [(check.passed, check.said) for check in found if check.what.startswith("split ")]

    [(passed, why)] = said(tmp_path / "a", evolve=None, test="evolve")
    assert not passed
    assert "2 tested samples are seen by skills made from problems (2 by id" in why
    assert "`seen: leave-out`" in why
    [(passed, why)] = said(tmp_path / "b", evolve=None, test="evolve", seen="leave-out")
    assert passed
    assert "reports leave them out" in why
    assert not said(tmp_path / "c")


def test_a_page_that_skills_are_made_from_is_found_too(tmp_path: Path) -> None:
    samples = [Sample(id=f"{page}{number}", input="", metadata={"page": page}) for page in "abc" for number in (1, 2)]
    of_pages = {"cluster": "page"}
    evolve = Task(dataset=MemoryDataset(samples[:3]), metadata=of_pages)
    test = Task(dataset=MemoryDataset(samples[3:]), metadata=of_pages)

    assert seen_of_test(evolve, None, test, None).related == ("b2",)
    assert seen_of_test(evolve, 2, test, None).related == ()
