"""A table as a workbook with an empty answer column, and the answer items read back from it."""

import csv
import io
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from functools import lru_cache
from pathlib import Path

from openpyxl import Workbook, load_workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Alignment
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.worksheet import Worksheet

from evals.data import fetched_again
from evals.graders.spreadsheetbench import open_workbook
from evals.graders.workbook import silenced
from trace2skill.errors import DataError
from trace2skill.foreign import Cap, separated

TABLE_SHEET = "Table"
ANSWER_SHEET = "Answer"
HEADING = "Answer"
"""What stands in A1 of the answer sheet; the items follow below."""

TABLE = Cap(bytes=16 << 20, values=1_000_000)
"""What a table may hold; the largest of WikiTableQuestions takes 42 kB."""

MAX_CELL = 32_767
"""Characters that a cell may hold, by the file format."""

MAX_ITEMS = 1_000
"""Rows of the answer column that are read; the longest known reference has 27 items."""

MAX_UNPACKED = 50 * 1024**2
"""Bytes that a workbook may unpack to."""

_MAX_WIDTH = 40
_LINE_HEIGHT = 15

Table = tuple[tuple[str, ...], ...]
"""Rows of text, the header first."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What an answer column, or a message, holds.

    Attributes:
        items: The text of its filled cells, from top to bottom.
        literal: Of a message, the items with the decoration that may or may not be part of them.
        problem: Why it cannot be judged, in words for the agent's log; empty if it can.
    """

    items: tuple[str, ...] = ()
    literal: tuple[str, ...] = ()
    problem: str = ""


@lru_cache(maxsize=512)
def read_table(path: Path) -> Table:
    """Reads a table in WikiTableQuestions' csv: every cell quoted, quotes and backslashes escaped by a backslash.

    Raises:
        DataError: The file is missing, damaged or empty.
    """
    if not path.exists():
        raise DataError(f"The table {path} is not there. Fetch the dataset again.")
    with fetched_again():
        file = io.StringIO(separated(path, TABLE, b",\n"), newline="")
    try:
        rows = tuple(map(tuple, csv.reader(file, escapechar="\\", doublequote=False, strict=True)))
    except csv.Error as error:
        raise DataError(f"The table {path} cannot be read: {error}. Fetch the dataset again.") from error
    if not any(rows):
        raise DataError(f"The table {path} is empty: expected a header row. Fetch the dataset again.")
    if any(len(cell) > MAX_CELL for row in rows for cell in row):
        raise DataError(f"The table {path} has a cell of more than {MAX_CELL} characters, which no workbook can hold.")
    return rows


@lru_cache(maxsize=512)
def table_workbook(table: Table) -> bytes:
    """The workbook of a table: every filled cell is text, as in the source; the answer sheet has its heading only."""
    book = Workbook(write_only=True)
    sheet = book.create_sheet(TABLE_SHEET)
    for number, column in enumerate(zip(*table, strict=False), start=1):
        width = max(len(line) for cell in column for line in cell.split("\n")) + 2
        sheet.column_dimensions[get_column_letter(number)].width = min(max(width, 8), _MAX_WIDTH)
    for number, row in enumerate(table, start=1):
        cells = []
        for text in row:
            cell = WriteOnlyCell(sheet, value=text or None)
            if text:
                cell.data_type = "s"  # text such as "=" or "#N/A" would become a formula or an error
            if "\n" in text:
                cell.alignment = Alignment(wrap_text=True, vertical="top")
            cells.append(cell)
        if lines := max((text.count("\n") for text in row), default=0):
            sheet.row_dimensions[number].height = _LINE_HEIGHT * (lines + 1)
        sheet.append(cells)
    book.create_sheet(ANSWER_SHEET).append([HEADING])
    return _saved(book)


def fill_answers(workbook: bytes, items: Sequence[str]) -> bytes:
    """The same workbook with the items, as text, in its answer column."""
    book = load_workbook(io.BytesIO(workbook))
    for row, item in enumerate(items, start=2):
        cell = book[ANSWER_SHEET].cell(row=row, column=1, value=item)
        cell.data_type = "s"
    return _saved(book)


def read_answers(workbook: bytes) -> Answer:
    """Reads the answer column of a workbook that an agent wrote.

    Numbers and dates read as the text that the comparison understands: `1234`, `0.5`, `2011-03-14`. Of a formula the
    value saved beside it counts. Empty cells are passed over.
    """
    if problem := _too_large(workbook):
        return Answer(problem=problem)
    try:
        book = open_workbook(workbook)
    except DataError as error:
        return Answer(problem=f"The output is no readable workbook: {error}")
    sheet = book[ANSWER_SHEET] if ANSWER_SHEET in book.sheetnames else None
    if not isinstance(sheet, Worksheet):
        return Answer(problem=f"The output has no worksheet '{ANSWER_SHEET}', only {', '.join(book.sheetnames)}.")
    items = tuple(filter(None, map(cell_text, _answer_column(sheet))))
    longest = max(map(len, items), default=0)
    if longest > MAX_CELL:
        return Answer(problem=f"The answer column holds a value of {longest} characters; a cell holds {MAX_CELL}.")
    return Answer(items=items)


def uncalculated_formulas(workbook: bytes) -> list[str]:
    """Cells of the answer column with a formula beside which no value was saved, such as `A2`."""
    values = open_workbook(workbook)[ANSWER_SHEET]
    try:
        with silenced():
            formulas = load_workbook(io.BytesIO(workbook))[ANSWER_SHEET]
    except MemoryError:
        raise
    except Exception:  # openpyxl reads more of a file for formulas than for values; where it fails, none are named
        return []
    return [
        f"A{row}"
        for row, (formula, value) in enumerate(
            zip(_answer_column(formulas), _answer_column(values), strict=False), start=2
        )
        if formula is not None and value is None
    ]


def cell_text(value: object) -> str:
    """The text of a cell's value, without white space around it; empty for an empty cell."""
    match value:
        case None:
            return ""
        case bool():
            return str(value).upper()
        case float() if value.is_integer():
            return str(int(value))
        case datetime() if value.time() == time.min:
            return value.date().isoformat()
    return str(value).strip()


def _answer_column(sheet: Worksheet) -> Iterator[object]:
    last = min(sheet.max_row, MAX_ITEMS + 1)
    return (row[0] for row in sheet.iter_rows(min_row=2, max_row=last, max_col=1, values_only=True) if row)


def _too_large(workbook: bytes) -> str:
    """Why a workbook is not opened; empty if it is small enough, or no zip archive at all."""
    try:
        with zipfile.ZipFile(io.BytesIO(workbook)) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
    except zipfile.BadZipFile:
        return ""
    return (
        f"The output unpacks to {unpacked} bytes; at most {MAX_UNPACKED} are read." if unpacked > MAX_UNPACKED else ""
    )


def _saved(book: Workbook) -> bytes:
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()
