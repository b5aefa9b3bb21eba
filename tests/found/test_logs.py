"""What public bug reports and newcomers found in the reading of logs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from inspect_ai import Task, eval
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.log import EvalError, EvalLog, read_eval_log, write_eval_log
from inspect_ai.model import ChatMessageAssistant, ContentReasoning, ModelOutput
from inspect_ai.scorer import includes
from inspect_ai.solver import Generate, Solver, TaskState, solver

from trace2skill.comparison import compare
from trace2skill.errors import LogError
from trace2skill.logs import read_trajectories, render_transcript
from trace2skill.logs.files import find_logs


@solver
def right_up_to(number: int) -> Solver:
    async def solve(state: TaskState, generate: Generate) -> TaskState:
        state.output = ModelOutput.from_content(
            "mockllm/model", "yes" if int(str(state.sample_id)[1:]) < number else "no"
        )
        return state

    return solve


def toy(folder: Path, right: int) -> Path:
    samples = [Sample(id=f"s{number:02}", input=f"question {number}", target="yes") for number in range(10)]
    played = Task(name="toy", dataset=MemoryDataset(samples, name="toy"), solver=right_up_to(right), scorer=includes())
    eval(played, model="mockllm/model", log_dir=str(folder), display="none")
    (log,) = find_logs([folder])
    return log


def retried(log: Path, change: Callable[[EvalLog], None]) -> None:
    """A newer attempt at the same evaluation beside it."""
    later = read_eval_log(log)
    later.eval.created = "2030-01-01T00:00:00+00:00"
    later.eval.run_id, later.eval.eval_id = "r2", "e2"
    change(later)
    write_eval_log(later, log.with_name("2030-01-01T00-00-00-00-00_toy_retry.eval"))


def three_of_ten(log: EvalLog) -> None:
    log.samples = (log.samples or [])[7:]
    log.status = "error"


def nothing_yet(log: EvalLog) -> None:
    log.samples, log.results, log.status = [], None, "started"


def all_failed(log: EvalLog) -> None:
    for sample in log.samples or []:
        sample.error, sample.scores = EvalError(message="no server", traceback="", traceback_ansi=""), None
    log.status = "error"


@pytest.mark.parametrize("change", [three_of_ten, nothing_yet, all_failed])
def test_an_attempt_that_stopped_early_hides_nothing(tmp_path: Path, change: Callable[[EvalLog], None]) -> None:
    toy(tmp_path / "control", 5)
    retried(toy(tmp_path / "treatment", 8), change)

    found = compare(tmp_path / "control", tmp_path / "treatment")
    assert (found.treatment.scored, found.treatment.runs, found.treatment.missing) == (10, 10, ())
    assert found.treatment.mean == pytest.approx(0.8)
    assert found.result.difference == pytest.approx(0.3)
    assert read_trajectories([tmp_path / "treatment"]).counts() == {"successes": 8, "failures": 2}


def as_json(log: Path, arrange: Callable[[dict[str, Any]], dict[str, Any]]) -> Path:
    file = log.parent / "log.json"
    write_eval_log(read_eval_log(log), file)
    file.write_text(json.dumps(arrange(json.loads(file.read_text()))))
    return file


@pytest.mark.parametrize(
    "arrange",
    [
        lambda log: dict(sorted(log.items())),
        lambda log: {"samples": log.pop("samples"), **log},
        lambda log: {name: value for name, value in log.items() if name != "plan"},
        lambda log: {name: value for name, value in log.items() if name != "stats"},
        lambda log: {name: value for name, value in log.items() if name != "version"},
    ],
    ids=["sorted", "samples first", "no plan", "no stats", "no version"],
)
def test_order_and_optional_fields_of_a_json_log_do_not_matter(
    tmp_path: Path, arrange: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    file = as_json(toy(tmp_path, 8), arrange)

    assert read_trajectories([file]).counts() == {"successes": 8, "failures": 2}


def test_a_log_of_a_failed_evaluation_says_so(tmp_path: Path) -> None:
    log = toy(tmp_path, 8)

    def fail(found: EvalLog) -> None:
        found.status, found.samples, found.results = "error", [], None
        found.error = EvalError(message="CUDA out of memory", traceback="", traceback_ansi="")

    failed = read_eval_log(log)
    fail(failed)
    write_eval_log(failed, tmp_path / "failed" / "log.eval")

    with pytest.raises(LogError, match="the evaluation failed with: CUDA out of memory"):
        read_trajectories([tmp_path / "failed"])


@pytest.mark.parametrize("redacted", [True, False])
def test_a_summary_of_reasoning_is_shown(redacted: bool) -> None:
    thought = ContentReasoning(reasoning="", summary="I thought", redacted=redacted)

    assert "I thought" in render_transcript([ChatMessageAssistant(content=[thought])])
