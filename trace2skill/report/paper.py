"""The paper's Tables 1 to 6 in its layout, with what a study measured in each cell."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import NamedTuple

from trace2skill.comparison import results as compared
from trace2skill.report.published import BASELINES, IN_DISTRIBUTION, Key, absolute, published
from trace2skill.report.results import NO_SKILL, Delta, Results
from trace2skill.report.source import ArmKey, State

SCALES = ("122B", "35B")
_SPREADSHEETS = (*IN_DISTRIBUTION, ("wikitq", "accuracy"))
_SHORT = {
    ("spreadsheetbench-verified", "accuracy"): "Vrf",
    ("spreadsheetbench-full", "soft"): "Soft",
    ("spreadsheetbench-full", "hard"): "Hard",
    ("wikitq", "accuracy"): "WikiTQ",
    ("dapo-math-test-100", "accuracy"): "DAPO",
    ("aime-2026", "avg@8"): "AIME",
    ("docvqa", "anls"): "ANLS",
    ("docvqa", "accuracy"): "Acc",
}


class Row(NamedTuple):
    """A condition."""

    author: str
    mode: str
    condition: str

    @property
    def group(self) -> str:
        """Rows of one heading."""
        return " skill, by ".join(filter(None, (self.mode, self.author))) or "References"


class Column(NamedTuple):
    """A metric of a benchmark for a model; the model is empty where each author uses its own skill."""

    user: str
    benchmark: str
    metric: str

    @property
    def short(self) -> str:
        """The paper's name of it."""
        return _SHORT.get((self.benchmark, self.metric), f"{self.benchmark} {self.metric}")


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What is known of a condition in one column."""

    state: State | None = None
    """Whether it is measured; none if the study does not call for it."""
    why: str = ""
    """What stands in the way."""
    score: compared.Arm | None = None
    """The score."""
    delta: Delta | None = None
    """The difference from its baseline."""
    published: float | None = None
    """The published score, or difference where the paper prints differences."""
    anchor: str = ""
    """Anchor of the arm in the report."""
    is_difference: bool = False
    """Whether this is a place where the paper prints differences."""

    @property
    def number(self) -> float:
        """What the paper prints in this place, as measured: a difference if there is one, else the score."""
        if self.delta:
            return self.delta.comparison.result.difference if self.delta.comparison else math.nan
        return self.score.mean if self.score else math.nan


@dataclass(frozen=True, kw_only=True)
class PaperTable:
    """One table of the paper."""

    number: str
    title: str
    note: str
    rows: tuple[Row, ...]
    columns: tuple[Column, ...]
    cells: dict[tuple[Row, Column], Cell]
    averages: dict[Row, tuple[float, float | None]]
    """Measured and published average of Tables 1 and 6, as shares; NaN where a part is missing."""


class _Form(NamedTuple):
    title: str
    metrics: Sequence[tuple[str, str]]
    references: Sequence[str]
    modes: Sequence[str]
    conditions: Sequence[str]
    own: bool = False
    averaged: bool = False
    scores: bool = False
    """Whether the paper prints scores, and no differences, in rows of evolved skills."""
    against: str = ""


_HEAD = (NO_SKILL, *BASELINES.values())
_FORMS = {
    "1": _Form("Skills for spreadsheets, in and out of distribution", _SPREADSHEETS, _HEAD, tuple(BASELINES),
               ("error", "success", "combined"), averaged=True),
    "2": _Form("Mathematics", (("dapo-math-test-100", "accuracy"), ("aime-2026", "avg@8")), (NO_SKILL,),
               ("creation",), ("error",)),
    "3": _Form("Questions on document images", (("docvqa", "anls"), ("docvqa", "accuracy")), (NO_SKILL,),
               ("creation",), ("error",)),
    "4": _Form("Parallel against sequential editing", IN_DISTRIBUTION, (), ("deepening",),
               ("sequential-4", "sequential-1", "error"), own=True, scores=True),
    "5": _Form("Evolved skill against retrieval", IN_DISTRIBUTION, (), ("deepening",),
               ("reasoning-bank", "combined"), own=True, scores=True),
    "6": _Form("Agentic error analysis against a single call", _SPREADSHEETS, (), tuple(BASELINES),
               ("error-llm", "error"), averaged=True, scores=True),
}  # fmt: skip
_PRINTED = {("4", "error"): "parallel"}
"""What the paper calls a condition in one of its tables."""

_TOGETHER = "Their intervals and p-values are corrected for all differences that were not declared."
_NOTES = {
    "1": f"Rows of evolved skills are differences from human-written (deepening) or parametric (creation). {_TOGETHER}",
    "2": f"Rows of evolved skills are differences from no-skill. {_TOGETHER}",
    "3": f"Rows of evolved skills are differences from no-skill; ANLS times 100. {_TOGETHER}",
    "4": "Scores; each author uses its own skill. What the paper calls parallel is its condition error.",
    "5": "Scores; each author uses its own skill.",
    "6": "Scores, of agentic analysis (error) and of the single call (error-llm).",
}


def paper_tables(found: Results) -> tuple[PaperTable, ...]:
    """Those of the six tables of which a study calls for something, each with measured and published numbers."""
    users = _scales(key.user for key in found.arms)
    authors = _scales(key.author for key in found.arms if key.author)
    tables = (_table(number, form, found, authors, users) for number, form in _FORMS.items())
    return tuple(table for table in tables if any(cell.state for cell in table.cells.values()))


def _scales(labels: Iterable[str]) -> tuple[str, ...]:
    """The study's models, those of the paper first; of a study without any, the paper's."""
    own = dict.fromkeys(labels)
    return (*(scale for scale in SCALES if scale in own), *(scale for scale in own if scale not in SCALES)) or SCALES


def _table(number: str, form: _Form, found: Results, authors: Sequence[str], users: Sequence[str]) -> PaperTable:
    rows = [Row("", "", condition) for condition in form.references]
    rows += [Row(author, mode, each) for author in authors for mode in form.modes for each in form.conditions]
    columns = [Column(user, *of) for user in (("",) if form.own else users) for of in form.metrics]
    cells = {(row, column): _cell(number, form, found, row, column) for row in rows for column in columns}
    averages = dict(_averages(number, rows, columns, found)) if form.averaged else {}
    return PaperTable(
        number=number,
        title=form.title,
        note=_NOTES[number],
        rows=tuple(rows),
        columns=tuple(columns),
        cells=cells,
        averages=averages,
    )


def _cell(number: str, form: _Form, found: Results, row: Row, column: Column) -> Cell:
    user = column.user or row.author
    key = _arm(found, ArmKey(column.benchmark, user, row.author, row.mode, row.condition))
    arm = found.arms.get(key)
    printed = published_in(number, row, column._replace(user=user))
    is_difference = not form.scores and row.condition not in _HEAD
    if arm is None or column.metric not in arm.metrics:
        return Cell(published=printed, is_difference=is_difference)
    delta = found.of(key, column.metric) if is_difference else None
    state: State = delta.state if delta else arm.state
    why = delta.why if delta else arm.why or arm.incomplete
    return Cell(
        state=state,
        why=why,
        score=found.scores.get((key, column.metric)),
        delta=delta,
        published=printed,
        anchor=found.anchor(key),
        is_difference=is_difference,
    )


def _arm(found: Results, key: ArmKey) -> ArmKey:
    """The arm of a reference: a parametric skill has an author, of which the paper's layout does not speak."""
    if key in found.arms or key.condition not in _HEAD:
        return key
    same = [k for k in found.arms if (k.benchmark, k.user, k.condition) == (key.benchmark, key.user, key.condition)]
    return next((each for each in same if each.author == key.user), same[0] if same else key)


def published_in(number: str, row: Row, column: Column) -> float | None:
    """What a table of the paper prints in a place, as a share."""
    condition = _PRINTED.get((number, row.condition), row.condition)
    cell = published().get(Key(number, row.author, row.mode, condition, *column))
    return cell.share if cell else None


def _averages(
    number: str, rows: Sequence[Row], columns: Sequence[Column], found: Results
) -> Iterator[tuple[Row, tuple[float, float | None]]]:
    """Half the mean of what is in distribution, half the mean of what is not; of scores, not of differences."""
    for row in rows:
        cell = published().get(Key(number, row.author, row.mode, row.condition, "", "all", "avg"))
        inside: list[float] = []
        outside: list[float] = []
        for column in columns:
            key = _arm(found, ArmKey(column.benchmark, column.user, row.author, row.mode, row.condition))
            score = found.scores.get((key, column.metric))
            (outside if column.benchmark == "wikitq" else inside).append(score.mean if score else math.nan)
        yield row, ((fmean(inside) + fmean(outside)) / 2, _average(cell.key) if cell else None)


def _average(key: Key) -> float:
    cell = published()[key]
    if cell.kind == "absolute":
        return cell.share
    return absolute(cell)


def gap(cell: Cell) -> float:
    """Measured minus published; NaN without one of them."""
    return math.nan if cell.published is None else cell.number - cell.published
