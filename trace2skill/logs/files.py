"""Logs on disk: find them, read headers and sample summaries, and count each run once over several attempts."""

import math
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from inspect_ai.log import (
    EvalLog,
    EvalSampleSummary,
    list_eval_logs,
    read_eval_log,
    read_eval_log_sample,
    read_eval_log_sample_summaries,
)
from inspect_ai.scorer import Score, Value, value_to_float
from pydantic import ValidationError

from trace2skill.errors import LogError
from trace2skill.foreign import MAX_ENTRIES, Cap, ForeignError, check_json, check_zip, walk
from trace2skill.logs.header import Header, header_of
from trace2skill.text import printable

HEADER = Cap(bytes=32 << 20, values=500_000)
"""A log's header may hold this: it names every sample, and 100,000 names take 2 MB."""

SUMMARIES = Cap(bytes=128 << 20, values=5_000_000)
"""The summaries of a log's samples, together: they take about 2 kB each."""

SAMPLE = Cap(bytes=256 << 20, values=10_000_000)
"""One sample, or a whole log in JSON: a run of some hundred turns with images takes 50 MB."""

MAX_LOG_FOLDERS = 100_000
"""A folder of logs may hold so many files and folders, nested no deeper than `MAX_LOG_DEPTH`."""
MAX_LOG_DEPTH = 32

_NUMBERED = re.compile(r"_journal/summaries/(\d+)\.json")
_LARGE_FIELDS = frozenset({"messages", "events", "events_data", "store", "attachments", "output", "metadata"})


class Run(NamedTuple):
    """One run of a sample, by its summary; the whole sample stays on disk."""

    header: Header
    """Header of the log that has it."""
    summary: EvalSampleSummary


@dataclass(frozen=True, kw_only=True)
class LoadedLog:
    """One evaluation: a log, or several attempts at it of which each run counts once."""

    header: Header
    """Header of the newest attempt that has a run."""
    runs: tuple[Run, ...]

    @property
    def file(self) -> Path:
        """Where the log lies."""
        return self.header.file

    @property
    def headers(self) -> tuple[Header, ...]:
        """Headers of the attempts that runs are taken from, newest first; at least one."""
        taken = {run.header.file: run.header for run in self.runs}
        return tuple(taken.values()) or (self.header,)

    @property
    def summaries(self) -> list[EvalSampleSummary]:
        """Summaries of the runs."""
        return [run.summary for run in self.runs]


class LoadedLogs(NamedTuple):
    """The evaluations, and what is left out."""

    evaluations: tuple[LoadedLog, ...]
    superseded: tuple[Path, ...]
    """Attempts that have no run which a newer one does not have."""
    copies: tuple[tuple[Path, ...], ...] = ()
    """Files that hold one and the same evaluation, together."""


def load_logs(logs: Sequence[str | Path]) -> LoadedLogs:
    """Read headers and sample summaries of logs; of several attempts at one evaluation each run counts once.

    A retry keeps the task id and takes the finished samples over into its own log. Each run counts from the newest
    attempt that has scored it, else from the newest that has finished it, else from the newest in which it failed: an
    attempt that stopped early hides nothing.

    Raises:
        LogError: A path is missing, a folder holds no logs, or a log cannot be read.
    """
    attempts: dict[tuple[str, str], list[LoadedLog]] = defaultdict(list)
    for path in find_logs(logs):
        log = _load_log(path)
        attempts[log.header.task_id or str(log.file), log.header.model.model].append(log)
    merged = [_merge(sorted(group, key=_age, reverse=True)) for group in attempts.values()]
    taken = {header.file for log in merged for header in log.headers}
    every = sorted((log for group in attempts.values() for log in group), key=lambda log: log.file)
    same: dict[str, list[Path]] = defaultdict(list)
    for log in every:
        same[log.header.eval_id].append(log.file)
    return LoadedLogs(
        tuple(sorted(merged, key=lambda log: log.file)),
        tuple(log.file for log in every if log.file not in taken),
        tuple(tuple(files) for files in same.values() if len(files) > 1),
    )


def _merge(attempts: Sequence[LoadedLog]) -> LoadedLog:
    """Attempts at one evaluation, newest first, as one."""
    runs: dict[tuple[str, int], Run] = {}
    for run in (run for attempt in attempts for run in attempt.runs):
        key = (str(run.summary.id), run.summary.epoch)
        if key not in runs or _progress(run) > _progress(runs[key]):
            runs[key] = run
    newest = next((attempt for attempt in attempts if attempt.runs), attempts[0])
    return LoadedLog(header=newest.header, runs=tuple(runs.values()))


def _progress(run: Run) -> int:
    """How far a run came: it failed, was finished, or was scored."""
    return 0 if run.summary.error else 2 if run.summary.scores else 1


def find_logs(logs: Sequence[str | Path]) -> list[Path]:
    """The log files that the given files and folders name, each once, sorted.

    Raises:
        LogError: A path does not exist, or a folder holds no log.
    """
    found: set[Path] = set()
    for given in map(Path, logs):
        if given.is_dir():
            _check_folder(given)
            listed = [Path(info.name.removeprefix("file://")) for info in list_eval_logs(str(given))]
            if not listed:
                raise LogError(
                    f"{given}: no Inspect logs in this folder. Run `inspect eval ... --log-dir {given}` first."
                )
            found.update(listed)
        elif given.exists():
            found.add(given)
        else:
            quotes = " A path with blanks needs quotes." if len(logs) > 1 else ""
            raise LogError(f"{given}: no such log. Name an .eval file or a folder of them.{quotes}")
    if not found:
        raise LogError("No log was given. Name one or more .eval files or folders of them.")
    return sorted(found)


def is_invalidated(run: Run) -> bool:
    """Whether a person has declared a run's result void."""
    if not run.header.invalidated:
        return False
    # Summaries do not carry it, so the samples of such a log are opened, without their bulk.
    file, summary = run.header.file, run.summary
    check_log(file, sample=(summary.id, summary.epoch))
    sample = read_eval_log_sample(file, summary.id, summary.epoch, exclude_fields=set(_LARGE_FIELDS))
    return sample.invalidation is not None


def number_of(score: Score, where: str, scorer: str, key: str | None = None) -> float | None:
    """A score as a number: its value, or under a key one of its values or, where it has but one, of its metadata.

    Args:
        score: The score.
        where: Names the sample in messages.
        scorer: Name of the scorer.
        key: Which number.

    Raises:
        LogError: There is no such number.
    """
    if key is not None and not isinstance(score.value, Mapping) and key in (score.metadata or {}):
        return score_number((score.metadata or {})[key], where, scorer)
    return score_number(score.value, where, scorer, key)


def score_number(value: Value | None, where: str, scorer: str, key: str | None = None) -> float | None:
    """A score as a number; None for the NaN that marks an unscored sample.

    Args:
        value: The score's value.
        where: Names the sample in messages.
        scorer: Name of the scorer.
        key: Which of several values.

    Raises:
        LogError: The value is a list, several values without a key, or a text without numeric value, of which Inspect
            would make a zero, or a number that no score can be.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
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
    if not isinstance(value, str) and not abs(value) <= sys.float_info.max:
        raise LogError(
            f"{where}: scorer '{scorer}' gave a number beyond {sys.float_info.max:.2g}; no score is so large."
        )
    return value_to_float()(value)


def _is_convertible(text: str) -> bool:
    """Whether Inspect turns the text into a number; it makes every other text a zero."""
    if text in ("C", "I", "P", "N") or text.lower() in ("yes", "no", "true", "false"):
        return True
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _check_folder(folder: Path) -> None:
    try:
        for _ in walk(folder, entries=MAX_LOG_FOLDERS, depth=MAX_LOG_DEPTH):
            pass
    except (ForeignError, OSError) as error:
        raise LogError(f"{error}") from error


def check_log(file: Path, sample: tuple[int | str, int] | None = None) -> None:
    """Look over what Inspect is going to read of a log.

    Args:
        file: The log.
        sample: Id and epoch of the sample that is read; without it the header and the summaries are.

    Raises:
        LogError: It is no regular file, or more is in it than any evaluation writes.
    """
    try:
        if file.suffix == ".json":
            check_json(file, SAMPLE)
        elif sample is not None:
            name = "samples/{}_epoch_{}.json".format(*sample)
            check_zip(file, lambda entry: SAMPLE if entry == name else None)
        else:
            check_zip(file, _cap_of)
    except ForeignError as error:
        raise LogError(f"{file}: cannot be read as an Inspect log ({error})") from error


def _cap_of(entry: str) -> Cap | None:
    """How much of an entry Inspect reads along with the header and the summaries."""
    # Of a run that has not ended Inspect asks for every summary up to the highest number there is.
    if (numbered := _NUMBERED.fullmatch(entry)) and (len(numbered[1]) > 9 or int(numbered[1]) > MAX_ENTRIES):
        raise ForeignError(f"its entry '{entry[:80]}' has a number above {MAX_ENTRIES:,}.")
    if entry == "summaries.json" or numbered:
        return SUMMARIES
    return HEADER if entry == "header.json" or entry.startswith("_journal/") else None


def _load_log(file: Path) -> LoadedLog:
    check_log(file)
    try:
        header = header_of(_read_header(file), file)
        return LoadedLog(header=header, runs=tuple(Run(header, row) for row in read_eval_log_sample_summaries(file)))
    except Exception as error:  # zip, JSON and schema errors alike mean one thing to the user
        raise unreadable(file, error) from error


def unreadable(file: Path, error: Exception) -> LogError:
    """What the user is told when Inspect's reader stumbles over a log."""
    # The text of a schema error can be longer than the log.
    few = not isinstance(error, ValidationError) or error.error_count() < 100
    problem = str(error)[:500] if few else "it has another schema"
    return LogError(f"{file}: cannot be read as an Inspect log ({problem or type(error).__name__}).")


def _read_header(file: Path) -> EvalLog:
    try:
        return read_eval_log(file, header_only=True)
    except Exception:
        # Inspect's reader of headers wants the fields of a JSON log in its own order; that of whole logs does not care.
        if file.suffix != ".json":
            raise
        return read_eval_log(file)


def failure_of(headers: Iterable[Header]) -> str:
    """What evaluations that failed said, as a sentence for a message; empty if none failed."""
    failed = [header for header in headers if header.error]
    return f" {failed[0].file}: the evaluation failed with: {printable(failed[0].error)}." if failed else ""


def _age(log: LoadedLog) -> tuple[str, float, str]:
    return log.header.created, log.file.stat().st_mtime, str(log.file)
