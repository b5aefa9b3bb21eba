"""What is behind each number: the runs of every arm, the pairs of every difference, and where Inspect shows them."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from trace2skill.errors import LogError
from trace2skill.logs.files import Run, load_logs, number_of
from trace2skill.report.results import Delta, Results
from trace2skill.report.source import Arm
from trace2skill.study.evaluations import Metric

SHOWN = 200
"""Rows of one table in the page; those that changed come first, and `samples.csv` has all."""

COLUMNS = (
    "arm",
    "benchmark",
    "user",
    "condition",
    "evolution_seed",
    "sample",
    "epoch",
    "metric",
    "score",
    "missing",
    "log",
    "simulated",
)
"""Columns of `samples.csv`; the seed is that of the evolution whose skill was used."""

VIEW = "inspect-view"
"""Folder of the bundled viewer, beside the page."""


class RunRow(NamedTuple):
    """One run of one sample."""

    sample: str
    epoch: int
    log: int
    """Number of its log in the report."""
    scores: tuple[str, ...]
    """By metric; or why there is none."""
    missing: bool
    """Whether there is none."""
    href: str
    """Where the bundled viewer shows it; empty without one."""


class PairRow(NamedTuple):
    """A sample in both arms of a difference."""

    sample: str
    control: float
    treatment: float

    @property
    def outcome(self) -> str:
        """Which arm did better."""
        return "won" if self.treatment > self.control else "lost" if self.treatment < self.control else "tied"


@dataclass(frozen=True, kw_only=True)
class ArmRuns:
    """The runs of an arm."""

    anchor: str
    arm: Arm
    metrics: tuple[str, ...]
    logs: tuple[int, ...]
    """Numbers of its logs."""
    rows: tuple[RunRow, ...]
    """All of them."""

    @property
    def shown(self) -> tuple[RunRow, ...]:
        """Those in the page: what is missing first."""
        return tuple(sorted(self.rows, key=lambda row: not row.missing)[:SHOWN])


class LogBook:
    """The logs of a study, numbered in the order in which its arms name them."""

    def __init__(self, arms: Iterable[Arm], *, bundled: bool) -> None:
        files = dict.fromkeys(log for arm in arms for log in arm.logs)
        self._numbers = {file.resolve(): number for number, file in enumerate(files, 1)}
        self._bundled = bundled

    @property
    def names(self) -> Mapping[Path, str]:
        """Name of each log in the bundled viewer."""
        return {file: f"{number:03d}_{file.name}" for file, number in self._numbers.items()}

    @property
    def numbers(self) -> Mapping[Path, int]:
        """Number of each log."""
        return self._numbers

    def number(self, file: Path) -> int:
        """Number of a log; 0 for one that no arm names, such as an earlier attempt."""
        return self._numbers.get(file.resolve(), 0)

    def href(self, run: Run) -> str:
        """Where the bundled viewer shows a run; empty without one."""
        name = self.names.get(run.header.file.resolve())
        if not self._bundled or name is None:
            return ""
        sample = quote(str(run.summary.id), safe="")
        return f"{VIEW}/index.html#/logs/{quote(name, safe='')}/samples/sample/{sample}/{run.summary.epoch}/"


def arm_runs(found: Results, book: LogBook) -> tuple[ArmRuns, ...]:
    """The runs of every measured arm."""
    return tuple(
        ArmRuns(
            anchor=found.anchor(key),
            arm=arm,
            metrics=tuple(arm.metrics),
            logs=tuple(book.number(file) for file in arm.logs),
            rows=_rows(arm, book),
        )
        for key, arm in found.arms.items()
        if arm.state == "measured"
    )


def pair_rows(delta: Delta) -> list[PairRow]:
    """The pairs of a difference, those that changed most first."""
    pairs = delta.comparison.pairs if delta.comparison else ()
    rows = [PairRow(pair.id, pair.control, pair.treatment) for pair in pairs]
    return sorted(rows, key=lambda row: (-abs(row.treatment - row.control), row.treatment - row.control, row.sample))


def lost(delta: Delta) -> list[PairRow]:
    """The regressions of a difference by name, the largest first."""
    rows = {row.sample: row for row in pair_rows(delta)}
    return [rows[name] for name in (delta.comparison.regressions if delta.comparison else ()) if name in rows]


def shown_path(path: Path, root: Path) -> str:
    """A path as a report shows it: below a folder, where it lies there."""
    whole, above = path.resolve(), root.resolve()
    return str(whole.relative_to(above)) if whole.is_relative_to(above) else str(path)


def samples_csv(arms: Iterable[ArmRuns], book: LogBook, runs: Path, *, simulated: bool) -> str:
    """Every run of every arm, one a line; logs are named as they lie below the study's runs."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for each in arms:
        writer.writerows(_records(each, book, runs, simulated))
    return out.getvalue()


def _records(each: ArmRuns, book: LogBook, root: Path, simulated: bool) -> Iterator[dict[str, object]]:
    key = each.arm.key
    files = {number: shown_path(file, root) for file, number in book.numbers.items()}
    seeds = {book.number(log): evaluation.seed for evaluation in each.arm.evaluations for log in evaluation.logs}
    for row in each.rows:
        for metric, score in zip(each.metrics, row.scores, strict=True):
            yield {
                "arm": each.anchor,
                "benchmark": key.benchmark,
                "user": key.user,
                "condition": key.label,
                "evolution_seed": seeds.get(row.log),
                # A spreadsheet takes a cell that begins so for a formula.
                "sample": f"'{row.sample}" if row.sample[:1] in "=+-@" else row.sample,
                "epoch": row.epoch,
                "metric": metric,
                "score": "" if row.missing else score,
                "missing": score if row.missing else "",
                "log": files.get(row.log, ""),
                "simulated": simulated,
            }


def _rows(arm: Arm, book: LogBook) -> tuple[RunRow, ...]:
    """The runs of an arm; none where a log is gone or damaged, which its differences say."""
    try:
        return tuple(_runs(arm, book))
    except LogError:
        return ()


def _runs(arm: Arm, book: LogBook) -> Iterator[RunRow]:
    for log in load_logs(arm.logs).evaluations:
        for run in sorted(log.runs, key=lambda run: (str(run.summary.id), run.summary.epoch)):
            scores = tuple(_score(run, metric) for metric in arm.metrics.values())
            yield RunRow(
                sample=str(run.summary.id),
                epoch=run.summary.epoch,
                log=book.number(run.header.file),
                scores=scores,
                missing=run.summary.error is not None or "unscored" in scores,
                href=book.href(run),
            )


def _score(run: Run, metric: Metric) -> str:
    """A score, or why there is none."""
    if run.summary.error is not None:
        return f"error: {run.summary.error}"
    score = (run.summary.scores or {}).get(metric.scorer)
    try:
        value = number_of(score, "", metric.scorer, metric.key) if score else None
    except LogError as error:
        return str(error)
    return "unscored" if value is None else f"{value:g}"
