"""Questions on document pages, as the agent knows them, by the question and the page's name.

Files of questions have DocVQA's form or are lists of pages, each with its questions. A file that the published names
do not tell is given as model argument `data`.
"""

import functools
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

from rapidfuzz.distance import Levenshtein

from trace2skill.data.places import bundled, data_dir
from trace2skill.errors import DataError
from trace2skill.simulation.answers.asked import Asked
from trace2skill.simulation.answers.slips import Case, FormSlip, ValueSlip
from trace2skill.simulation.habits import VISIONQA

SAMPLE = "tasks/sample/visionqa"
PUBLISHED = "docvqa"
QUESTION_FILES = ("questions.json", "val_v1.0_withQT.json")
FACTS = "facts.json"
UNRELATED = 0.5
"""Edit distance, divided by the longer length, from which two answers have nothing to do with each other."""

_UNIT = re.compile(r"\bhow (much|long|many|far|old|tall|heavy)\b", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Record:
    """A known question.

    Attributes:
        answers: Right answers.
        elsewhere: Another value on the same page; empty where none is known.
        with_unit: The answer with a unit that is not printed with it; empty where none is known.
    """

    answers: tuple[str, ...]
    elsewhere: str = ""
    with_unit: str = ""


def study_page(asked: Asked, folders: Sequence[Path]) -> Case | None:
    """How a question is answered, and what can go wrong; None if it is unknown."""
    record = index((*_sample(), data_dir() / PUBLISHED, *folders)).get((asked.about, asked.question))
    return None if record is None else make_case(asked.question, record)


def _sample() -> tuple[Path, ...]:
    try:
        return (bundled(SAMPLE),)
    except DataError:  # it has page images, which only a checkout has
        return ()


@functools.lru_cache(maxsize=8)
def index(folders: tuple[Path, ...]) -> dict[tuple[str, str], Record]:
    """Every known question by the name of its page and its text."""
    found: dict[tuple[str, str], Record] = {}
    for folder in folders:
        named = [folder] if folder.suffix == ".json" else [folder / name for name in QUESTION_FILES]
        for file in filter(Path.is_file, named):
            for key, record in _records(file):
                found.setdefault(key, record)
    return found


def _records(file: Path) -> Iterator[tuple[tuple[str, str], Record]]:
    facts = file.with_name(FACTS)
    slips = json.loads(facts.read_text(encoding="utf-8"))["slips"] if facts.is_file() else {}
    rows = _read_rows(file)
    on_page: dict[str, list[str]] = {}
    for row in rows:
        on_page.setdefault(row["image"], []).append(row["answers"][0])
    for row in rows:
        known = slips.get(str(row.get("questionId")), {})
        answers = tuple(row["answers"])
        others = [text for text in on_page[row["image"]] if unlike(text, answers)]
        yield (
            (PurePosixPath(row["image"]).name, row["question"].strip()),
            Record(
                answers=answers,
                elsewhere=known.get("place") or next(iter(others), ""),
                with_unit=known.get("unit", ""),
            ),
        )


def _read_rows(file: Path) -> list[dict[str, Any]]:
    """The questions of a file in DocVQA's form.

    Raises:
        DataError: The file has none of the two forms.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if isinstance(content, dict):
            return [{**row, "answers": list(map(str, row["answers"]))} for row in content["data"] if row["answers"]]
        return [
            {"image": page["image_path"], "question": each["question"], "answers": [str(each["answer"])]}
            for page in content
            for each in page["questions"]
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{file} is neither in DocVQA's form nor a list of pages with questions: {error!r}.") from error


def unlike(text: str, answers: Sequence[str]) -> bool:
    """Whether a text is so far from all answers that none of them is recognised in it."""
    given = text.strip().lower()
    return all(Levenshtein.normalized_distance(given, answer.strip().lower()) > UNRELATED for answer in answers)


def make_case(question: str, record: Record) -> Case:
    """What can go wrong on one question."""
    right = record.answers[0]
    values = [ValueSlip(slug="right_place", kind="beside", start=right, by=record.elsewhere)]
    forms = [
        FormSlip(slug="as_printed", kind="rewrite", text=_iso_date(right)),
        FormSlip(slug="whole_value", kind="rewrite", text=right.split()[0] if len(right.split()) > 1 else ""),
        FormSlip(slug="no_unit", kind="template", text=_unit(question, right, record)),
        FormSlip(slug="no_sentence", kind="template", text=f"On this page I read that it is {{}} ({question.lower()})"),
    ]
    return Case(
        domain=VISIONQA,
        items=(right,),
        values=tuple(slip for slip in values if slip.by and unlike(slip.by, record.answers)),
        forms=tuple(slip for slip in forms if slip.text and unlike(slip.wrong((right,))[0], record.answers)),
    )


def _iso_date(text: str) -> str:
    for form in ("%d %B %Y", "%B %d, %Y"):
        try:
            return datetime.strptime(text, form).date().isoformat()  # noqa: DTZ007 - a date without a time
        except ValueError:
            continue
    return ""


def _unit(question: str, right: str, record: Record) -> str:
    if record.with_unit.startswith(right):
        return "{}" + record.with_unit.removeprefix(right)
    return "{} in all, as counted" if _UNIT.search(question) and right.isdigit() else ""
