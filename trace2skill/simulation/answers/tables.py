"""Questions on tables, as the agent knows them: WikiTableQuestions, by the text of the question."""

import csv
import functools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from trace2skill.data.places import bundled, data_dir
from trace2skill.simulation.answers.asked import Asked
from trace2skill.simulation.answers.slips import Case, FormSlip, Items, ValueSlip, begins_with_number, extreme, number
from trace2skill.simulation.habits import WIKITQ

SAMPLE = "tasks/sample/wikitq"
PUBLISHED = "wikitablequestions"
QUESTION_FILES = ("questions", "pristine-unseen-tables", "pristine-seen-tables")

Rows = list[list[str]]

_COUNT = re.compile(r"\b(how many|number of|total number)\b", re.IGNORECASE)
_SUPERLATIVE = re.compile(r"\b(most|least|fewest|first|last|best|worst|\w{2,}est)\b", re.IGNORECASE)
_TOTAL = re.compile(r"\btotals?\b", re.IGNORECASE)
_DATE = re.compile(r"(\d{1,2}) ([A-Z][a-z]{2})[a-z]* (\d{4})")
_SHORT = 4
_SMALL = 100


@dataclass(frozen=True, kw_only=True)
class Record:
    """A known question: its table's file and its answer."""

    table: Path
    items: Items


def study_table(asked: Asked, folders: Sequence[Path]) -> Case | None:
    """How a question is answered, and what can go wrong; None if it is unknown."""
    for record in index((bundled(SAMPLE), data_dir() / PUBLISHED, *folders)).get(asked.question, []):
        rows = read_rows(record.table)
        if _shown(rows) == asked.about:
            return make_case(asked.question, record.items, rows)
    return None


@functools.lru_cache(maxsize=8)
def index(folders: tuple[Path, ...]) -> dict[str, list[Record]]:
    """Every known question with the tables on which it is asked."""
    found: dict[str, list[Record]] = {}
    for folder in folders:
        for name in QUESTION_FILES:
            for question, table, values in _questions(folder / "data" / f"{name}.tsv"):
                items = tuple(map(_unescape, values.split("|")))
                found.setdefault(_unescape(question).strip(), []).append(Record(table=folder / table, items=items))
    return found


def _questions(file: Path) -> Iterator[tuple[str, str, str]]:
    if not file.is_file():
        return
    header, *lines = file.read_bytes().decode("utf-8").rstrip("\n").split("\n")
    names = header.split("\t")
    for line in lines:
        row = dict(zip(names, line.split("\t"), strict=False))
        yield row["utterance"], row["context"], row["targetValue"]


def _unescape(text: str) -> str:
    return re.sub(r"\\([np\\])", lambda match: {"n": "\n", "p": "|", "\\": "\\"}[match[1]], text)


@functools.lru_cache(maxsize=512)
def read_rows(path: Path) -> Rows:
    """The table's rows, its header first; none where its file is missing."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file, escapechar="\\", doublequote=False))


def _shown(rows: Rows) -> str:
    """The first lines of the table as a prompt shows them."""
    lines = ["\t".join(cell.replace("\t", " ").replace("\n", "\\n") for cell in row) for row in rows[:2]]
    return "\n".join(line.strip() for line in lines)


def make_case(question: str, items: Items, rows: Rows) -> Case:
    """What can go wrong on one question."""
    return Case(
        domain=WIKITQ,
        items=items,
        values=tuple(_value_slips(question, items, rows)),
        forms=tuple(_form_slips(items, rows)),
    )


def _value_slips(question: str, items: Items, rows: Rows) -> Iterator[ValueSlip]:
    (first, *more) = items
    if _COUNT.search(question) and first.isdigit() and 0 < int(first) <= len(rows):
        count = int(first)
        yield ValueSlip(slug="count_rows", kind="-", start=str(count + 1), by="1")
        yield ValueSlip(slug="to_last_row", kind="+", start=str(count - 1), by="1")
    if more and len(set(items)) == len(items):
        yield ValueSlip(slug="to_last_row", kind="last", start=items[-1])
    if not more and _SUPERLATIVE.search(question):
        yield from _comparison(first, rows)


def _comparison(answer: str, rows: Rows) -> Iterator[ValueSlip]:
    """A column in which the answer's row is extreme as a number and another one is as text."""
    header, *body = rows or [[]]
    body = [row for row in body if not any(_TOTAL.search(cell) for cell in row) and len(row) == len(header)]
    labels = next((i for i in range(len(header)) if [row[i] for row in body].count(answer) == 1), None)
    if labels is None or len({row[labels] for row in body}) < len(body):
        return
    for column in range(len(header)):
        candidates = tuple((row[labels], row[column]) for row in body)
        if column == labels or not all(begins_with_number(text) for _, text in candidates):
            continue
        for kind in ("largest", "smallest"):
            ordered = sorted(number(text) for _, text in candidates)
            unique = len(ordered) > 1 and ordered[-1] > ordered[-2] and ordered[0] < ordered[1]
            right, wrong = (extreme(candidates, kind, as_text=as_text) for as_text in (False, True))
            if unique and right == answer != wrong:
                yield ValueSlip(slug="as_numbers", kind=kind, candidates=candidates)
                return


def _form_slips(items: Items, rows: Rows) -> Iterator[FormSlip]:
    cells = {cell for row in rows for cell in row}
    if len(items) == 1 and items[0] in cells and (other := in_other_words(items[0])):
        yield FormSlip(slug="verbatim_cell", kind="rewrite", text=other)
    if len(set(items)) > 1:
        yield FormSlip(slug="one_per_line", kind="join", text=", ")
    yield FormSlip(slug="value_only", kind="template", text="According to the table it is {}.")


def in_other_words(cell: str) -> str:
    """A careless way to write a cell, which no comparison accepts; empty where there is none."""
    if found := _DATE.fullmatch(cell):
        return f"{found[1]}/{found[2]}/{found[3][2:]}"
    if re.fullmatch(r"[\d,]+", cell):
        value = int(cell.replace(",", "") or 0)
        return f"about {round(value, -1):,}" if value >= _SMALL else ""
    words = cell.strip('"').split()
    if not words or not words[-1].isalpha() or len(words[-1]) <= _SHORT:
        return ""
    return " ".join([*words[:-1], words[-1][:_SHORT]]) + "-"
