"""Plays a benchmark's split as an Inspect eval set: its resuming, its retries, its limits."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inspect_ai import Task, eval_set
from inspect_ai.log import EvalLog, EvalSampleSummary, read_eval_log_sample_summaries

from trace2skill.comparison.arms import Measure, load_arm, read_runs
from trace2skill.errors import InterruptedRunError, LogError, StudyError
from trace2skill.evolution.stages import file_of
from trace2skill.files import read_model
from trace2skill.logs.task import create_task
from trace2skill.study.cells import LOGS, RESULT, Job, Result

RETRY_SECONDS = 5.0
"""Time before an evaluation with failed samples is tried again."""


@dataclass(frozen=True, kw_only=True)
class Played:
    """What was played."""

    logs: tuple[Path, ...]
    samples: int
    """Runs of samples with a score."""
    missing: int
    """Runs of samples without one."""
    calls: int
    input_tokens: int
    output_tokens: int


def play(job: Job) -> Played:
    """Play the split that a cell is about, or what is missing of it.

    Raises:
        LogError: Samples failed, more than are tolerated; finished ones are kept.
        InterruptedRunError: It was stopped; likewise.
    """
    said, limits = job.definition, dict(job.definition["limits"])
    tolerated = limits.pop("tolerate", 0.0)
    success, logs = eval_set(
        _task(job),
        task_args=_arguments(job) if job.places["file"] else {},
        log_dir=str(Path(job.folder) / LOGS),
        model=said["model"],
        model_base_url=job.places["base_url"],
        model_args=said["model_args"],
        epochs=said["epochs"],
        limit=said["samples"],
        retry_attempts=job.places["retries"],
        retry_wait=RETRY_SECONDS,
        retry_immediate=False,
        fail_on_error=tolerated or True,
        continue_on_fail=True,
        # After a crash only what stands in the log is taken over, so it is written at once.
        log_buffer=1,
        log_realtime=False,
        # A study that was moved goes on beside the logs that name its old place.
        log_dir_allow_dirty=True,
        ctl_server=False,
        tags=list(job.tags),
        metadata={"cell": job.digest},
        max_connections=job.places["max_connections"],
        display="plain",
        **limits,
        **said["generation"],
    )
    if not success or not logs or any(log.status != "success" for log in logs):
        raise _unfinished(logs, job)
    return _played(logs)


def _task(job: Job) -> Task | str:
    if job.places["file"]:
        return f"{job.places['file']}@{job.definition['task']}"
    return create_task(job.definition["task"], _arguments(job))


def _arguments(job: Job) -> dict[str, Any]:
    arguments = dict(job.definition["args"])
    if argument := job.definition["argument"]:
        arguments[argument] = str(_given(job))
    return arguments


def _given(job: Job) -> Path:
    """The skill, bank or logs that the agent's task is given."""
    if "source" not in job.needs:
        return Path(job.places["skill"])
    source = Path(job.needs["source"])
    if job.definition["argument"] == "match_tokens":
        return source / LOGS
    try:
        return source / read_model(source / RESULT, Result).artefact
    except ValueError as error:
        raise StudyError(f"{error} Run the study again.") from error


def _played(logs: Sequence[EvalLog]) -> Played:
    rows = summaries_of(logs)
    return Played(
        logs=tuple(file_of(log) for log in logs),
        samples=sum(bool(row.scores) for row in rows),
        missing=sum(not row.scores for row in rows),
        **costs(logs, rows),
    )


def summaries_of(logs: Sequence[EvalLog]) -> list[EvalSampleSummary]:
    """The summaries of all samples of logs."""
    return [row for log in logs for row in read_eval_log_sample_summaries(log.location)]


def costs(logs: Sequence[EvalLog], rows: Sequence[EvalSampleSummary]) -> dict[str, int]:
    """What logs took: `calls`, and tokens, read from a cache or not, as `input_tokens` and `output_tokens`.

    Args:
        logs: The logs, of which headers are enough.
        rows: The summaries of their samples.
    """
    used = [usage for log in logs for usage in log.stats.model_usage.values()]
    cached = sum((usage.input_tokens_cache_read or 0) + (usage.input_tokens_cache_write or 0) for usage in used)
    return {
        "calls": sum(row.turn_count or 0 for row in rows),
        "input_tokens": cached + sum(usage.input_tokens for usage in used),
        "output_tokens": sum(usage.output_tokens for usage in used),
    }


def _unfinished(logs: Sequence[EvalLog], job: Job) -> LogError | InterruptedRunError:
    place = Path(job.folder) / LOGS
    if all(log.status in ("success", "cancelled") for log in logs):
        return InterruptedRunError(f"Interrupted; finished samples are kept in {place}.")
    for log in (log for log in logs if log.status == "error"):
        errors = [row for row in read_eval_log_sample_summaries(log.location) if row.error]
        if errors:
            return LogError(
                f"{len(errors)} samples failed, {errors[0].id} with: {errors[0].error}. Finished samples are kept in "
                f"{place}: mend the cause and run the study again."
            )
        if log.error:
            return LogError(f"{log.error.message}. Mend the cause and run the study again; the log is in {place}.")
    return LogError(f"The evaluation did not finish; its log is in {place}. Run the study again.")


def means(logs: Sequence[str | Path], scorer: str, key: str | None) -> float:
    """Mean score over samples of the logs of one arm; those without a score are left out."""
    runs = read_runs(load_arm("candidate", logs), Measure(scorer=scorer, key=key))
    scores = [run.score for run in runs.values() if not math.isnan(run.score)]
    return math.fsum(scores) / len(scores) if scores else math.nan
