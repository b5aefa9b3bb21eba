"""Logs on disk: find them, read headers and sample summaries, and of several attempts keep the newest."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from inspect_ai.log import (
    EvalSampleSummary,
    list_eval_logs,
    read_eval_log,
    read_eval_log_sample,
    read_eval_log_sample_summaries,
)
from inspect_ai.scorer import Value, value_to_float

from trace2skill.errors import LogError
from trace2skill.logs.header import Header, header_of

_LARGE_FIELDS = frozenset({"messages", "events", "events_data", "store", "attachments", "output", "metadata"})


@dataclass(frozen=True, kw_only=True)
class LoadedLog:
    """A log's header and sample summaries; whole samples stay on disk."""

    header: Header
    summaries: tuple[EvalSampleSummary, ...]

    @property
    def file(self) -> Path:
        """Where the log lies."""
        return self.header.file


class LoadedLogs(NamedTuple):
    """Logs of which each evaluation has one."""

    newest: tuple[LoadedLog, ...]
    superseded: tuple[Path, ...]
    """Earlier attempts at the same evaluations."""


def load_logs(logs: Sequence[str | Path]) -> LoadedLogs:
    """Read headers and sample summaries of logs; of several attempts at one evaluation keep the newest.

    A retry keeps the task id and takes the finished samples over into its own log.

    Raises:
        LogError: A path is missing, a folder holds no logs, or a log cannot be read.
    """
    loaded = [_load_log(path) for path in find_logs(logs)]
    attempts: dict[tuple[str, str], list[LoadedLog]] = defaultdict(list)
    for log in loaded:
        attempts[log.header.task_id or str(log.file), log.header.model.model].append(log)
    newest = {max(group, key=_age).file for group in attempts.values()}
    return LoadedLogs(
        tuple(log for log in loaded if log.file in newest),
        tuple(log.file for log in loaded if log.file not in newest),
    )


def find_logs(logs: Sequence[str | Path]) -> list[Path]:
    """The log files that the given files and folders name, each once, sorted.

    Raises:
        LogError: A path does not exist, or a folder holds no log.
    """
    found: set[Path] = set()
    for given in map(Path, logs):
        if given.is_dir():
            listed = [Path(info.name.removeprefix("file://")) for info in list_eval_logs(str(given))]
            if not listed:
                raise LogError(
                    f"{given}: no Inspect logs in this folder. Run `inspect eval ... --log-dir {given}` first."
                )
            found.update(listed)
        elif given.is_file():
            found.add(given)
        else:
            raise LogError(f"{given}: no such log. Name an .eval file or a folder of them.")
    if not found:
        raise LogError("No log was given. Name one or more .eval files or folders of them.")
    return sorted(found)


def is_invalidated(log: LoadedLog, summary: EvalSampleSummary) -> bool:
    """Whether a person has declared a sample's result void."""
    if not log.header.invalidated:
        return False
    # Summaries do not carry it, so the samples of such a log are opened, without their bulk.
    sample = read_eval_log_sample(log.file, summary.id, summary.epoch, exclude_fields=set(_LARGE_FIELDS))
    return sample.invalidation is not None


def score_number(value: Value | None, where: str, scorer: str, key: str | None = None) -> float | None:
    """A score as a number; None for the NaN that marks an unscored sample.

    Args:
        value: The score's value.
        where: Names the sample in messages.
        scorer: Name of the scorer.
        key: Which of several values.

    Raises:
        LogError: The value is a list, several values without a key, or a text without numeric value, of which Inspect
            would make a zero.
    """
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    if isinstance(value, Mapping):
        if key is None or key not in value:
            wanted = "several values; choose one with --key" if key is None else f"no '{key}'"
            raise LogError(f"{where}: scorer '{scorer}' gives {wanted}: {', '.join(value)}.")
        return score_number(value[key], where, scorer)
    if key is not None:
        raise LogError(f"{where}: scorer '{scorer}' gives a single value; leave out '{key}'.")
    if isinstance(value, str) and not _is_convertible(value):
        raise LogError(
            f"{where}: scorer '{scorer}' gave '{value}', which has no numeric value. A number, C, I, P, "
            "N, yes, no, true or false was required."
        )
    if not isinstance(value, str | int | float):
        raise LogError(f"{where}: scorer '{scorer}' gave a list; a single value was required.")
    return value_to_float()(value)


def _is_convertible(text: str) -> bool:
    """Whether Inspect turns the text into a number; it makes every other text a zero."""
    if text in ("C", "I", "P", "N") or text.lower() in ("yes", "no", "true", "false"):
        return True
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _load_log(file: Path) -> LoadedLog:
    try:
        header = header_of(read_eval_log(file, header_only=True), file)
        return LoadedLog(header=header, summaries=tuple(read_eval_log_sample_summaries(file)))
    except Exception as error:  # zip, JSON and schema errors alike mean one thing to the user
        raise LogError(f"{file}: cannot be read as an Inspect log ({error}).") from error


def _age(log: LoadedLog) -> tuple[str, float, str]:
    return log.header.created, log.file.stat().st_mtime, str(log.file)
