import json
from pathlib import Path
from typing import Any

import pytest

from trace2skill.data.forms import write_aime, write_docvqa
from trace2skill.errors import DataError

Row = dict[str, Any]


def problems(**changes: Any) -> list[Row]:
    return [{"problem_idx": n, "problem": f"Find {n} - 0.", "answer": n} | changes for n in range(1, 31)]


def questions(count: int = 3) -> list[Row]:
    return [
        {
            "questionId": str(number),
            "question": "Whose \u2018name\u2019?",
            "question_types": ["form"],
            "image": {"bytes": b"page 1", "path": None},
            "docId": "7",
            "ucsf_document_id": "abcd0123",
            "ucsf_document_page_no": "1",
            "answers": ["A", "B"],
            "data_split": "val",
        }
        for number in range(1, count + 1)
    ]


# AIME


def test_a_year_is_written_in_the_order_of_the_papers(tmp_path: Path) -> None:
    file = tmp_path / "aime_2026.jsonl"
    write_aime(reversed(problems()), file, "hub")
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["answer"] for line in lines] == list(range(1, 31))
    assert lines[0] == {"id": "2026-I-1", "problem": "Find 1 - 0.", "answer": 1}
    assert [lines[14]["id"], lines[15]["id"], lines[29]["id"]] == ["2026-I-15", "2026-II-1", "2026-II-15"]


def test_a_problem_is_named_by_its_address_or_else_by_its_row(tmp_path: Path) -> None:
    addressed = [
        {
            "id": 60,
            "url": f"https://example.org/2024_AIME_{paper}_Problems/Problem_{n}",
            "problem": "?",
            "answer": f"{n:03}",
        }
        for paper in ("II", "I")
        for n in range(1, 16)
    ]
    file = tmp_path / "aime_2024.jsonl"
    write_aime(addressed, file, "hub")
    by_address = file.read_text()
    assert '{"id": "2024-II-7", "problem": "?", "answer": 7}' in by_address

    write_aime([{"problem": "?", "answer": (n - 1) % 15 + 1} for n in range(1, 31)], file, "hub")
    assert file.read_text() == by_address


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (problems(answer="5.5"), r"hub, row 1: an answer of AIME is a whole number from 0 to 999, not '5\.5'"),
        (problems(problem_idx=31), r"row 1: problem_idx .* must be 1 to 30, not '31'"),
        (problems(problem_idx=3), "row 2 is problem 3 of paper 1 again"),
        (problems()[:29], "has 29 problems, not 15 of each paper"),
        ([{"problem_idx": 1, "answer": 1}], "row 1 has no problem; it has problem_idx, answer"),
    ],
)
def test_rows_that_are_no_year_of_aime(tmp_path: Path, rows: list[Row], message: str) -> None:
    with pytest.raises(DataError, match=message):
        write_aime(rows, tmp_path / "aime_2026.jsonl", "hub")
    assert list(tmp_path.iterdir()) == []


# DocVQA


def test_questions_come_out_in_the_official_order_with_each_page_once(tmp_path: Path) -> None:
    rows = questions()
    rows[2] |= {"ucsf_document_page_no": 12, "image": {"bytes": b"page 12", "path": "x.png"}}

    write_docvqa(rows, tmp_path / "val.json", "hub", ("2", "3", "1"))

    written = (tmp_path / "val.json").read_text()
    assert written.startswith(
        '{"dataset_name": "SP-DocVQA", "dataset_version": "1.0", "dataset_split": "val", "data": [{'
    )
    assert '"question": "Whose \\u2018name\\u2019?"' in written
    data = json.loads(written)["data"]
    assert [row["questionId"] for row in data] == [2, 3, 1]
    assert [row["image"] for row in data] == [f"documents/abcd0123_{page}.png" for page in (1, 12, 1)]
    assert (data[1]["docId"], data[1]["ucsf_document_page_no"]) == (7, "12")
    pages = {path.name: path.read_bytes() for path in (tmp_path / "documents").iterdir()}
    assert pages == {"abcd0123_1.png": b"page 1", "abcd0123_12.png": b"page 12"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": None}, "row 3 has no image; it has"),
        ({"image": {"bytes": None, "path": "a.png"}}, r"row 3 has no page image: documents/abcd0123_1\.png is needed"),
        ({"image": {"bytes": b"other"}}, r"row 3 has another image of page documents/abcd0123_1\.png"),
        ({"questionId": "1"}, "row 3 has question 1 again"),
        ({"questionId": "x"}, "row 3: questionId must be a whole number, not 'x'"),
        (
            {"questionId": "4"},
            "has 3 questions where the official order has 3; 2 are only in one of them, such as question 3",
        ),
        ({"ucsf_document_id": "../up"}, "row 3: '../up' and '1' are no name"),
    ],
)
def test_rows_that_are_not_docvqa(tmp_path: Path, change: Row, message: str) -> None:
    rows = questions()
    rows[2] |= change
    with pytest.raises(DataError, match=message):
        write_docvqa(rows, tmp_path / "val.json", "hub", ("1", "2", "3"))
    assert not (tmp_path / "val.json").exists()
