"""What `study check` finds before anything is run."""

from pathlib import Path
from typing import Any

import pytest

from tests.trace2skill.study.tiny import CONTENT, load
from trace2skill.study.checking import Check, checks

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
