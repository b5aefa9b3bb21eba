"""Scores of tasks with several test cases: as the benchmark's own metrics have them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from inspect_ai.log import EvalConfig, EvalDataset, EvalLog, EvalSample, EvalSpec, ProvenanceData, write_eval_log
from inspect_ai.scorer import SampleScore, Score

from evals.spreadsheet import over_tasks as official
from tests.trace2skill.report.study import _error
from trace2skill.comparison import compare, verdict
from trace2skill.comparison.results import Seen
from trace2skill.errors import LogError
from trace2skill.report.by_task import METRICS, over_tasks

CONTROL = {"t1": "CCI", "t2": "III", "t3": "C", "t4": "CC"}
TREATMENT = {"t1": "CCC", "t2": "CII", "t3": "C", "t4": "IC"}


def log(
    folder: Path,
    tasks: Mapping[str, Sequence[str]],
    cluster: str | None = "task",
    *,
    epochs: int = 1,
    void: Sequence[str] = (),
) -> Path:
    """A log in which `x` stands for a case whose run failed, and `-` for one that never ran.

    Args:
        folder: Where it is written; it names the evaluation.
        tasks: Outcomes of the cases of each task.
        cluster: What the task declares.
        epochs: How often each case ran, with the same outcome.
        void: Cases that a person has declared void.
    """
    planned = [f"{task}_{number}" for task, cases in tasks.items() for number, _ in enumerate(cases, 1)]
    samples = [
        EvalSample(
            id=f"{task}_{number}",
            epoch=epoch,
            input=f"{task} {number}",
            target="42",
            metadata={"task": task, "cases": len(cases)},
            scores={} if case == "x" else {"cell_comparison": Score(value=case)},
            error=_error() if case == "x" else None,
            invalidation=ProvenanceData(author="reviewer", reason="wrong file") if f"{task}_{number}" in void else None,
        )
        for task, cases in tasks.items()
        for number, case in enumerate(cases, 1)
        for epoch in range(1, epochs + 1)
        if case != "-"
    ]
    spec = EvalSpec(
        eval_id=folder.name,
        run_id="run",
        created="2026-11-20T10:00:00+00:00",
        task="full",
        task_id=folder.name,
        dataset=EvalDataset(name="full", samples=len(planned), sample_ids=planned),
        model="mockllm/model",
        config=EvalConfig(epochs=epochs),
        metadata={"cluster": cluster} if cluster else None,
    )
    folder.mkdir(parents=True)
    file = folder / "full.eval"
    whole = EvalLog(eval=spec, status="success", samples=samples, invalidated=bool(void))
    write_eval_log(whole, str(file))
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


def test_a_task_of_which_a_case_was_seen_is_left_out(tmp_path: Path) -> None:
    a, b = log(tmp_path / "a", CONTROL), log(tmp_path / "b", TREATMENT)
    seen = Seen(artefact="skill", samples=("t1_1",), related=("t1_2", "t1_3"))
    cases = compare(a, b).model_copy(update={"seen": (seen,)})

    found = over_tasks(cases, "soft", [a], [b])
    assert [pair.id for pair in found.pairs] == ["t2", "t3", "t4"]
    assert [(row.samples, row.related) for row in found.seen] == [(("t1",), ())]
    stamped = cases.model_copy(update={"in_sample": True})
    assert over_tasks(stamped, "soft", [a], [b]).result.n == 4


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


def test_tasks_that_were_not_reached_are_missing_and_count_as_failures(tmp_path: Path) -> None:
    # The treatment solves the 7 tasks that the control does not, and was cancelled before 7 that the control does.
    names = [f"t{number:02}" for number in range(20)]
    a = log(tmp_path / "a", {name: "II" if name < "t07" else "CC" for name in names})
    b = log(tmp_path / "b", {name: "CC" if name < "t13" else "--" for name in names})
    cases = compare(a, b)
    found = over_tasks(cases, "hard", [a], [b])

    assert cases.as_failures is not None
    assert found.as_failures is not None
    assert (found.result.n, found.treatment.samples, found.treatment.scored) == (13, 20, 13)
    assert (found.as_failures.n, found.as_failures.difference) == (20, cases.as_failures.difference) == (20, 0.0)
    assert found.lost == tuple(names[13:])
    assert verdict(found).startswith("No difference")


def test_a_case_that_ran_in_no_log_is_a_task_of_its_own(tmp_path: Path) -> None:
    a, b = log(tmp_path / "a", {"t1": "CC", "t2": "--"}), log(tmp_path / "b", {"t1": "II", "t2": "--"})
    found = over_tasks(compare(a, b), "hard", [a], [b])

    assert [sample.id for sample in found.control.missing] == ["t2_1", "t2_2"]


def test_an_epoch_that_did_not_run_is_missing(tmp_path: Path) -> None:
    a, b = log(tmp_path / "a", CONTROL, epochs=2), log(tmp_path / "b", CONTROL | {"t1": "---"}, epochs=2)
    found = over_tasks(compare(a, b), "hard", [a], [b])

    assert [(sample.id, sample.missing) for sample in found.treatment.missing] == [("t1", {"a case is missing": 2})]


def test_a_void_case_is_missing(tmp_path: Path) -> None:
    a, b = log(tmp_path / "a", CONTROL, void=["t3_1"]), log(tmp_path / "b", TREATMENT)
    cases = compare(a, b)
    found = over_tasks(cases, "hard", [a], [b])

    assert (cases.control.samples - cases.control.scored, found.control.samples - found.control.scored) == (1, 1)
    assert [sample.id for sample in found.control.missing] == ["t3"]


def test_what_was_asked_of_cases_is_answered_for_tasks(tmp_path: Path) -> None:
    a, b = log(tmp_path / "a", CONTROL, epochs=2), log(tmp_path / "b", TREATMENT, epochs=2)
    cases = compare(a, b, margin=0.9, anytime=True)
    found = over_tasks(cases, "hard", [a], [b])

    assert cases.margins is not None
    assert found.margins is not None
    assert (found.margins.margin, found.margins.low) == (0.9, pytest.approx(-0.5321, abs=1e-3))
    assert found.margins.p_noninferior != cases.margins.p_noninferior
    assert found.anytime is not None
    assert found.anytime.n == 4
    assert found.noise is not None
    assert (found.noise.samples, found.noise.flipped) == (4, 0.0)
    assert found.control.repeats is not None
    assert (found.control.repeats.samples, found.control.repeats.average) == (4, 0.5)
    assert over_tasks(compare(a, b), "hard", [a], [b]).margins is None


def test_crashes_of_the_control_make_no_tasks_non_inferior(tmp_path: Path) -> None:
    tasks = [f"t{n:02}" for n in range(33)]
    lost, won = tasks[:5], tasks[5:9]
    a = {task: "I" if task in won else "C" for task in tasks}
    b = {task: "I" if task in lost else "C" for task in tasks}
    crashed = [f"x{n}" for n in range(6)]

    def noninferior(name: str, control: dict[str, str], treatment: dict[str, str]) -> bool:
        logs = log(tmp_path / f"{name}-a", control), log(tmp_path / f"{name}-b", treatment)
        found = over_tasks(compare(*logs, margin=0.15), "hard", [logs[0]], [logs[1]])
        assert found.margins is not None
        return found.margins.noninferior

    assert not noninferior("whole", a, b)
    assert not noninferior("crashed", a | dict.fromkeys(crashed, "x"), b | dict.fromkeys(crashed, "C"))
