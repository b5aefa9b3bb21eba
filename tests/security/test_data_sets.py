"""Files of data sets that are no files, or far too large: refused with a message before they take memory or time."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evals import data, math_reasoning, table_workbook, visionqa, wikitq
from trace2skill.errors import DataError

Reader = Callable[[Path], Any]


def read_columns(path: Path) -> Any:
    return wikitq.read_tsv(path, ("id",))


READERS = [
    data.read_json,
    visionqa.read_questions,
    math_reasoning.read_lines,
    math_reasoning.read_dapo,
    read_columns,
    table_workbook.read_table,
]
JSON = READERS[:3]


def pipe(path: Path) -> None:
    os.mkfifo(path)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def sparse(path: Path) -> None:
    path.touch()
    os.truncate(path, 3 << 30)


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize(
    ("make", "said"),
    [
        (pipe, "is a pipe"),
        (device, "is a device"),
        (Path.mkdir, "is a folder"),
        (sparse, r"has more than \d+,.* bytes"),
    ],
)
def test_what_is_no_honest_file_is_never_read(
    tmp_path: Path, read: Reader, make: Callable[[Path], None], said: str
) -> None:
    make(tmp_path / "odd")

    with pytest.raises(DataError, match=f"odd {said}.*Fetch the dataset again"):
        read(tmp_path / "odd")


@pytest.mark.parametrize("read", JSON)
@pytest.mark.parametrize(
    ("content", "said"),
    [(b"[" * 100_000, "levels of nested lists"), (b"[" + b"0," * 5_000_001 + b"0]", "more than 5,000,000 values")],
    ids=["nested", "values"],
)
def test_json_that_swells(tmp_path: Path, read: Reader, content: bytes, said: str) -> None:
    (tmp_path / "odd").write_bytes(content)

    with pytest.raises(DataError, match=said):
        read(tmp_path / "odd")


def test_lines_are_counted_together(tmp_path: Path) -> None:
    line = b'{"id": 1, "problem": "x", "answer": [' + b"0," * 9_995 + b"0]}\n"
    (tmp_path / "odd").write_bytes(line * 501)

    with pytest.raises(DataError, match="more than 5,000,000 values"):
        math_reasoning.read_lines(tmp_path / "odd")


@pytest.mark.parametrize(
    ("read", "content"), [(read_columns, b"\t" * 5_000_001), (table_workbook.read_table, b'"",' * 1_000_001)]
)
def test_tables_of_very_many_cells(tmp_path: Path, read: Reader, content: bytes) -> None:
    (tmp_path / "odd").write_bytes(content)

    with pytest.raises(DataError, match=r"more than .*,000,000 values"):
        read(tmp_path / "odd")
