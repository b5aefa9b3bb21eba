"""Rows of a data set on the hub, written in the form in which the benchmark's own publication comes."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from trace2skill.errors import DataError

Row = Mapping[str, Any]

AIME_PROBLEMS = 15
"""Problems of each of the two papers of a year."""

AIME_ADDRESS = re.compile(r"AIME_(I{1,2})_Problems/Problem_(\d+)")
"""Where the Art of Problem Solving keeps a problem: the only place at which the hub's 2024 set names it."""

DOCVQA_HEAD = {"dataset_name": "SP-DocVQA", "dataset_version": "1.0", "dataset_split": "val"}
PAGE_NAME = re.compile(r"\w+")


def write_aime(rows: Iterable[Row], file: Path, origin: str) -> None:
    """A year of AIME as JSON lines {id, problem, answer}, in the order of the papers.

    Args:
        rows: The problems. A row names itself by `url` or by `problem_idx` (1 to 30), else by its place among the rows;
            that it is the right one is for the card's digest of ids and answers to say.
        file: The file to write; its name ends with the year.
        origin: Where the rows come from, for messages.

    Raises:
        DataError: A field is missing, an answer is no whole number, or the rows are not the 30 problems of a year.
    """
    year = file.stem[-4:]
    found: dict[tuple[int, int], dict[str, Any]] = {}
    for number, row in enumerate(rows, start=1):
        where = f"{origin}, row {number}"
        paper, problem = _place(row, number, where)
        if (paper, problem) in found:
            raise DataError(f"{where} is problem {problem} of paper {paper} again. Check the card's source.")
        name = f"{year}-{'I' * paper}-{problem}"
        answer = str(_field(row, "answer", where)).strip()
        if not re.fullmatch(r"\d{1,3}", answer):
            raise DataError(f"{where}: an answer of AIME is a whole number from 0 to 999, not {answer!r}.")
        found[paper, problem] = {"id": name, "problem": str(_field(row, "problem", where)), "answer": int(answer)}
    if sorted(found) != [(paper, problem) for paper in (1, 2) for problem in range(1, AIME_PROBLEMS + 1)]:
        raise DataError(f"{origin} has {len(found)} problems, not 15 of each paper. Check the card's source.")
    file.write_text("".join(f"{json.dumps(found[key], ensure_ascii=False)}\n" for key in sorted(found)), "utf-8")


def _place(row: Row, number: int, where: str) -> tuple[int, int]:
    """Which paper (1 or 2) and problem a row of AIME is."""
    if named := AIME_ADDRESS.search(str(row.get("url") or "")):
        return len(named[1]), int(named[2])
    index = str(row.get("problem_idx") or number)
    if not index.isdecimal() or not 1 <= int(index) <= 2 * AIME_PROBLEMS:
        raise DataError(f"{where}: problem_idx (or else the row) must be 1 to {2 * AIME_PROBLEMS}, not {index!r}.")
    paper, problem = divmod(int(index) - 1, AIME_PROBLEMS)
    return paper + 1, problem + 1


def write_docvqa(rows: Iterable[Row], file: Path, origin: str, order: Sequence[str]) -> None:
    """DocVQA's questions as its annotations have them, byte for byte, with each page once in `documents/` beside it.

    Args:
        rows: The questions with their pages, in any order.
        file: The file to write.
        origin: Where the rows come from, for messages.
        order: Ids of the questions in the official order.

    Raises:
        DataError: A field or page is missing, one page comes in two versions, or the questions are not those of the
            official order.
    """
    found: dict[str, dict[str, Any]] = {}
    pages: dict[str, str] = {}
    for number, row in enumerate(rows, start=1):
        where = f"{origin}, row {number}"
        question = _question(row, where)
        if found.setdefault(str(question["questionId"]), question) is not question:
            raise DataError(f"{where} has question {question['questionId']} again. Check the card's source.")
        page = (_field(row, "image", where) or {}).get("bytes")
        if not page:
            raise DataError(f"{where} has no page image: {question['image']} is needed.")
        digest = sha256(page).hexdigest()
        if pages.setdefault(question["image"], digest) != digest:
            raise DataError(f"{where} has another image of page {question['image']} than an earlier row.")
        if not (place := file.parent / question["image"]).exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(page)
    if wrong := sorted(set(order) ^ set(found)):
        raise DataError(
            f"{origin} has {len(found):,} questions where the official order has {len(order):,}; {len(wrong):,} are "
            f"only in one of them, such as question {wrong[0]}. Nothing was kept; check the card's source."
        )
    file.write_text(json.dumps(DOCVQA_HEAD | {"data": [found[name] for name in order]}), "utf-8")


def _question(row: Row, where: str) -> dict[str, Any]:
    """A question with the fields and types of the annotations, in their order."""
    document, page = (str(_field(row, name, where)) for name in ("ucsf_document_id", "ucsf_document_page_no"))
    if not PAGE_NAME.fullmatch(document) or not PAGE_NAME.fullmatch(page):
        raise DataError(f"{where}: '{document}' and '{page}' are no name of a document and page.")
    return {
        "questionId": _number(row, "questionId", where),
        "question": str(_field(row, "question", where)),
        "question_types": list(_field(row, "question_types", where)),
        "image": f"documents/{document}_{page}.png",
        "docId": _number(row, "docId", where),
        "ucsf_document_id": document,
        "ucsf_document_page_no": page,
        "answers": list(_field(row, "answers", where)),
        "data_split": str(_field(row, "data_split", where)),
    }


def _field(row: Row, name: str, where: str) -> Any:
    if row.get(name) is None:
        raise DataError(f"{where} has no {name}; it has {', '.join(row) or 'nothing'}. Check the card's source.")
    return row[name]


def _number(row: Row, name: str, where: str) -> int:
    text = str(_field(row, name, where))
    if not text.isdecimal():
        raise DataError(f"{where}: {name} must be a whole number, not {text!r}.")
    return int(text)


def records_digest(file: Path, fields: Sequence[str]) -> str:
    """SHA-256 of some fields of all JSON lines of a file; of a file that holds something else, that of nothing."""
    try:
        return sha256("\n".join(_lists(file, fields)).encode()).hexdigest()
    except (ValueError, KeyError, TypeError):
        return sha256().hexdigest()


def _lists(file: Path, fields: Sequence[str]) -> Iterator[str]:
    for line in file.read_text(encoding="utf-8").split("\n"):  # not at the other line ends of Unicode
        if line.strip():
            record = json.loads(line)
            yield json.dumps([record[field] for field in fields])
