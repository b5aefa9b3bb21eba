"""Stages of a run: each an Inspect eval set in a log folder of its own, resumed by running it again."""

import re
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from datetime import datetime
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any, TextIO

from inspect_ai import Task, eval_set
from inspect_ai.event import Event, ModelEvent
from inspect_ai.log import (
    EvalLog,
    EvalSample,
    read_eval_log,
    read_eval_log_sample,
    read_eval_log_sample_summaries,
    write_eval_log,
)
from inspect_ai.model import Model, ModelUsage
from inspect_ai.util import DisplayType
from pydantic import BaseModel, ConfigDict

from trace2skill.errors import DiskFullError, InterruptedRunError, LogError, ServerError
from trace2skill.files import is_full
from trace2skill.models.servers import blames_server

ERROR_SHOWN = 600
"""Characters of a sample's error that a message quotes."""

_ROOM = 1 << 20
"""Bytes that the next sample of a log may need."""


class StageUsage(BaseModel):
    """What a stage cost."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    stage: str
    """Name of the task."""
    log: str
    """Log file, relative to the run folder."""
    reused: bool = False
    """Whether another run made and paid for it."""
    samples: int
    """Finished samples."""
    calls: int
    """Model calls that were answered, those whose answers could not be used among them."""
    input_tokens: int
    """Tokens read, cached ones included. Calls under way when a run was killed are in no figure."""
    cached_tokens: int | None
    """Tokens read from the server's prefix cache; None where it does not tell (vLLM does with
    `--enable-prompt-tokens-details`)."""
    output_tokens: int
    """Tokens generated."""
    started: str
    """ISO time of the start of the last attempt."""
    completed: str
    """ISO time of its end."""
    wall_seconds: float
    """From its start to its end."""
    critical_path_seconds: float
    """The longest chain of samples that had to wait for each other, without waiting for connections: the least wall
    time that more parallel calls could reach."""
    rounds: int | None = None
    """Samples in the longest chain of those that asked a model and had to wait for each other; None in manifests of
    before it was counted."""
    models: tuple[str, ...] | None = None
    """The models that it asked; likewise."""
    broken_attempts: int | None = None
    """Attempts at samples that broke and were tried again; likewise. Their tokens are counted; of the calls of each,
    Inspect keeps the last alone, which is counted if it was answered."""


@dataclass(kw_only=True)
class Tally:
    """What the samples of a stage say of its cost, noted as they are read."""

    calls: int = 0
    broken_attempts: int = 0
    usage: dict[str, ModelUsage] = field(default_factory=dict)
    """Tokens by model. The log's own figures are those of the last attempt, these also of the samples that it took over
    from earlier ones."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Working time of each sample."""
    rounds: dict[str, float] = field(default_factory=dict)
    """1 for each sample that asked a model, 0 for the others."""

    def add(self, sample: EvalSample) -> None:
        """Note a sample."""
        broken = sample.error_retries or []
        self.broken_attempts += len(broken)
        self.calls += (sample.turn_count or 0) + sum(_answered(attempt.events or []) for attempt in broken)
        for model, used in sample.model_usage.items():
            self.usage[model] = self.usage.get(model, ModelUsage()) + used
        self.seconds[str(sample.id)] = sample.working_time or 0.0
        self.rounds[str(sample.id)] = float(bool(sample.turn_count))


def broken_note(stages: Iterable[StageUsage]) -> str:
    """What the calls of some stages do not count; empty if they count all."""
    broken = sum(stage.broken_attempts or 0 for stage in stages)
    return (
        f"{broken:,} attempts broke and were tried again: their tokens are counted, of their calls the last at most"
        if broken
        else ""
    )


def _answered(events: Sequence[Event]) -> int:
    """Number of model calls that were answered."""
    return sum(isinstance(event, ModelEvent) and not event.error and bool(event.output.choices) for event in events)


def file_of(log: EvalLog) -> Path:
    """The file of a log; Inspect gives some as addresses."""
    return Path(log.location.removeprefix("file://").removeprefix("file:"))


def critical_path(seconds: Mapping[str, float], waits_for: Mapping[str, Sequence[str]]) -> float:
    """Length of the longest chain.

    Args:
        seconds: Time of each sample, or whatever else is added up along it.
        waits_for: The samples that a sample waits for, without cycles; those that are not listed wait for none.
    """
    # In an order in which nothing stands before what it waits for: a chain may be longer than Python can recurse.
    ends: dict[str, float] = {}
    for name in TopologicalSorter({**dict.fromkeys(seconds, ()), **waits_for}).static_order():
        ends[name] = seconds.get(name, 0.0) + max((ends[other] for other in waits_for.get(name, ())), default=0.0)
    return max(ends.values(), default=0.0)


def run_stage(
    tasks: Sequence[Task],
    folder: Path,
    model: Model,
    *,
    display: DisplayType | None = None,
    tags: Sequence[str] = (),
    max_connections: int | None = None,
    roles: Mapping[str, Model] | None = None,
    tolerate: int = 0,
) -> list[EvalLog]:
    """Run tasks to their end, or finish those that an earlier run left unfinished.

    Every finished sample is written at once, so an interrupted stage loses only what was under way.

    Args:
        tasks: The tasks of the stage; they run side by side.
        folder: Log folder of the stage.
        model: Model that plays every part.
        display: Inspect's progress display.
        tags: Tags that the log viewer shows.
        max_connections: Model calls under way at once.
        roles: Models of single parts.
        tolerate: Samples of a task that may break; each is tried twice.

    Returns:
        The logs' headers, in the order of the tasks' names.

    Raises:
        LogError: Samples failed; finished ones are kept.
        ServerError: A server failed them; likewise.
        InterruptedRunError: The stage was stopped; finished samples are kept.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with redirect_stdout(_Corrected(sys.stdout)):
        success, logs = eval_set(
            list(tasks),
            log_dir=str(folder),
            model=model,
            model_roles=dict(roles) if roles else None,
            retry_attempts=0,
            retry_immediate=False,
            max_tasks=len(tasks),
            continue_on_fail=True,
            # Inspect fails from this count on, and with True from the first error.
            fail_on_error=tolerate + 1 if tolerate else True,
            retry_on_error=1 if tolerate else None,
            log_buffer=1,
            # Samples that Inspect restores from its realtime buffer after a crash have lost their store: their results.
            log_realtime=False,
            tags=list(tags),
            max_connections=max_connections,
            display=display,
        )
    if lost := _lost_to_server(logs, folder):
        raise ServerError(lost)
    # After an interrupt Inspect returns no logs, and calls that a success.
    if not success or len(logs) < len(tasks) or any(log.status != "success" for log in logs):
        if all(log.status in ("success", "cancelled") for log in logs):
            raise InterruptedRunError(
                f"Interrupted. Finished samples are kept in {folder}: run the same command again to go on."
            )
        if _is_full_at(folder):
            raise DiskFullError(folder)
        raise LogError(_failure(logs, folder))
    return sorted(logs, key=lambda log: log.eval.task)


def finished_samples(log: EvalLog) -> Iterator[EvalSample]:
    """The samples of a log, one at a time, by id, without their events."""
    for summary in sorted(read_eval_log_sample_summaries(log.location), key=lambda row: str(row.id)):
        yield read_eval_log_sample(log.location, summary.id, summary.epoch, exclude_fields={"events", "attachments"})


def usage(log: EvalLog, tally: Tally, waits_for: Mapping[str, Sequence[str]]) -> StageUsage:
    """What a stage cost.

    Args:
        log: Header of its log.
        tally: Its samples.
        waits_for: The samples that a sample had to wait for.
    """
    # The larger of the two: attempts of a sample that broke and was tried again are in the log's figures alone.
    stats = log.stats.model_usage
    asked = tuple(sorted(tally.usage.keys() | stats.keys()))
    models = [
        max(tally.usage.get(name, ModelUsage()), stats.get(name, ModelUsage()), key=lambda used: used.total_tokens)
        for name in asked
    ]
    told = [model.input_tokens_cache_read for model in models if model.input_tokens_cache_read is not None]
    cached = sum(told)
    log_path = file_of(log)
    started, completed = log.stats.started_at, log.stats.completed_at
    return StageUsage(
        stage=log.eval.task,
        log=str(Path("logs") / log_path.parent.name / log_path.name),
        samples=log.results.completed_samples if log.results else 0,
        calls=tally.calls,
        input_tokens=cached + sum(model.input_tokens + (model.input_tokens_cache_write or 0) for model in models),
        cached_tokens=cached if told else None,
        output_tokens=sum(model.output_tokens for model in models),
        started=started,
        completed=completed,
        wall_seconds=(datetime.fromisoformat(completed) - datetime.fromisoformat(started)).total_seconds(),
        critical_path_seconds=round(critical_path(tally.seconds, waits_for), 3),
        rounds=int(critical_path(tally.rounds, waits_for)),
        models=asked,
        broken_attempts=tally.broken_attempts,
    )


_STEPS = re.compile(r"Steps: *\d+/\d+ +\d+% *\| *")


class _Corrected:
    """Standard output without two things that Inspect says and that are not so.

    Its last line says after an interrupt, too, that all tasks succeeded. Its plain progress counts the steps of clean
    runs, but not their number: "Steps: 43/22 195%". The number of samples beside it is right.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        said = "" if "Completed all tasks in" in text else _STEPS.sub("", text)
        self._stream.write(said)
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _is_full_at(folder: Path) -> bool:
    """Whether nothing more can be written there: Inspect keeps the system's answer to itself."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(_ROOM))
            file.flush()
    except OSError as error:
        return is_full(error)
    return False


def _lost_to_server(logs: Sequence[EvalLog], folder: Path) -> str:
    """What there is to say where a server failed samples; empty where none did.

    Where they are few enough to be tolerated, the stage counts as finished; but it is no fault of theirs, and a run
    that goes on has to try them again.
    """
    lost: list[str] = []
    others: list[str] = []
    for log in (log for log in logs if log.status in ("success", "error")):
        errors = [row.error for row in read_eval_log_sample_summaries(log.location) if row.error]
        blamed = list(filter(blames_server, errors))
        if blamed and log.status == "success":
            whole = read_eval_log(log.location)
            write_eval_log(whole.model_copy(update={"invalidated": True}), whole.location)
        lost += blamed
        others += [error for error in errors if not blames_server(error)]
    if not lost:
        return ""
    besides = (
        f" Besides, {len(others)} failed for another reason, the first with: {_brief(others[0])}." if others else ""
    )
    return (
        f"{lost[0]} So {len(lost)} samples are not finished; the others are kept in {folder}: run the same command "
        f"again when that is mended.{besides}"
    )


def _brief(error: str) -> str:
    """A sample's error without the request that Inspect quotes before it, and not longer than a message can be."""
    text = error.strip().rpartition("\n\n")[2] if "\nRequest:\n" in error.replace("\\n", "\n") else error.strip()
    text = " ".join(text.split())
    return (text if len(text) <= ERROR_SHOWN else f"{text[:ERROR_SHOWN]} ...").rstrip(".")


def _failure(logs: Sequence[EvalLog], folder: Path) -> str:
    problems = []
    for log in logs:
        if log.status == "success":
            continue
        header = read_eval_log(log.location, header_only=True)
        errors = [row for row in read_eval_log_sample_summaries(log.location) if row.error]
        if errors:
            first = f"{errors[0].id} with: {_brief(errors[0].error or '')}"
            problems.append(f"{header.eval.task}: {len(errors)} samples failed, {first}")
        else:
            problems.append(f"{header.eval.task}: {header.error.message if header.error else header.status}")
    return (
        "; ".join(problems)
        + f". Finished samples are kept in {folder}: mend the cause and run the same command again to finish the rest."
    )
