"""Scores of tasks with several test cases: as the benchmark's own metrics have them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from inspect_ai.log import EvalConfig, EvalDataset, EvalLog, EvalSample, EvalSpec, write_eval_log
from inspect_ai.scorer import SampleScore, Score

from evals.spreadsheet import over_tasks as official
from tests.trace2skill.report.study import _error
from trace2skill.comparison import compare
from trace2skill.errors import LogError
from trace2skill.report.by_task import METRICS, over_tasks

CONTROL = {"t1": "CCI", "t2": "III", "t3": "C", "t4": "CC"}
TREATMENT = {"t1": "CCC", "t2": "CII", "t3": "C", "t4": "IC"}


def log(folder: Path, tasks: Mapping[str, Sequence[str]], cluster: str | None = "task") -> Path:
    """A log in which `x` stands for a case whose run failed."""
    samples = [
        EvalSample(
            id=f"{task}_{number}",
            epoch=1,
            input=f"{task} {number}",
            target="42",
            metadata={"task": task, "cases": len(cases)},
            scores={} if case == "x" else {"cell_comparison": Score(value=case)},
            error=_error() if case == "x" else None,
        )
        for task, cases in tasks.items()
        for number, case in enumerate(cases, 1)
    ]
    spec = EvalSpec(
        eval_id=folder.name,
        run_id="run",
        created="2026-11-20T10:00:00+00:00",
        task="full",
        task_id=folder.name,
        dataset=EvalDataset(name="full", samples=len(samples), sample_ids=[sample.id for sample in samples]),
        model="mockllm/model",
        config=EvalConfig(epochs=1),
        metadata={"cluster": cluster} if cluster else None,
    )
    folder.mkdir(parents=True)
    file = folder / "full.eval"
    write_eval_log(EvalLog(eval=spec, status="success", samples=samples), str(file))
    return file


def mean(metric: str, tasks: Mapping[str, str]) -> float:
    """What the benchmark's own metric says."""
    scores = [
        SampleScore(score=Score(value=case), sample_metadata={"task": task, "cases": len(cases)})
        for task, cases in tasks.items()
        for case in cases
    ]
    return official(METRICS[metric], scores)


@pytest.mark.parametrize("metric", ["soft", "hard"])
def test_means_are_those_of_the_benchmark(metric: str, tmp_path: Path) -> None:
    a, b = log(tmp_path / "a", CONTROL), log(tmp_path / "b", TREATMENT)
    found = over_tasks(compare(a, b), metric, [a], [b])

    assert found.control.mean == pytest.approx(mean(metric, CONTROL))
    assert found.treatment.mean == pytest.approx(mean(metric, TREATMENT))
    assert found.result.difference == pytest.approx(mean(metric, TREATMENT) - mean(metric, CONTROL))
    assert (found.result.n, found.cluster) == (4, None)
    assert found.regressions == ("t4",)


def test_a_task_that_lacks_a_case_is_missing_and_never_zero(tmp_path: Path) -> None:
    a, b = log(tmp_path / "a", CONTROL), log(tmp_path / "b", {**TREATMENT, "t1": "CCx"})
    found = over_tasks(compare(a, b), "hard", [a], [b])

    assert [pair.id for pair in found.pairs] == ["t2", "t3", "t4"]
    assert (found.treatment.samples, found.treatment.scored) == (4, 3)
    assert [sample.id for sample in found.treatment.missing] == ["t1"]
    assert found.as_failures.n == 4


def test_seeds_are_averaged_by_task_and_not_by_case(tmp_path: Path) -> None:
    a = log(tmp_path / "a", {"t1": "II"})
    seeds = [log(tmp_path / "s1", {"t1": "CI"}), log(tmp_path / "s2", {"t1": "IC"})]
    found = over_tasks(compare(a, seeds), "hard", [a], seeds)

    assert found.treatment.mean == 0


def test_samples_that_name_no_task_are_tasks_of_one_case(tmp_path: Path) -> None:
    a, b = log(tmp_path / "a", {"t1": "C", "t2": "I"}, None), log(tmp_path / "b", {"t1": "C", "t2": "C"}, None)
    found = over_tasks(compare(a, b), "hard", [a], [b])

    assert (found.result.n, found.result.difference) == (2, 0.5)


def test_one_of_several_cases_must_name_its_task(tmp_path: Path) -> None:
    a, b = log(tmp_path / "a", CONTROL, None), log(tmp_path / "b", TREATMENT, None)

    with pytest.raises(LogError, match="names no task"):
        over_tasks(compare(a, b), "hard", [a], [b])
