"""SpreadsheetBench's official comparison of two workbooks.

A candidate passes if every cell that the answer position names equals the reference's cell. Only *values*
count, and of a formula only the value saved beside it: a formula that nothing has calculated reads as empty.
Before two values are compared they are brought to a common form:

- numbers, booleans and texts that read as a number: rounded to 2 decimals; the text `nan` equals nothing,
  not even itself;
- dates: their serial number rounded to whole days: a date equals the number of its day and loses its time;
- times of day: text without the seconds, `10:30`;
- empty text: an empty cell.

After that, values of different types differ, and so do 0 and an empty cell. Which cells are compared, and
what sets the paper's copy of the scorer apart, stands in `evals.graders.answer_position`. Where the official
scorer fails with an exception, which it counts as not passed, the result here is not passed and says why.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, time
from io import BytesIO
from itertools import islice
from pathlib import Path

from openpyxl import Workbook, load_workbook
from openpyxl.utils import get_column_letter
from openpyxl.utils.datetime import WINDOWS_EPOCH
from openpyxl.worksheet.worksheet import Worksheet

from evals.graders.answer_position import (
    AnswerRange,
    Block,
    Rules,
    cells_in_range,
    find_answer_sheet,
    parse_answer_position,
    read_range,
)
from evals.graders.workbook import Sheet, read_sheets, silenced
from trace2skill.errors import DataError

__all__ = [
    "MAX_LISTED",
    "CellMismatch",
    "Comparison",
    "Rules",
    "cells_in_range",
    "compare_open_workbooks",
    "compare_workbooks",
    "normalise",
    "open_values",
    "open_workbook",
    "parse_answer_position",
]

MAX_LISTED = 100
"""How many mismatches a comparison lists; all are counted."""

_MAX_TEXT = 200

Values = Workbook | Mapping[str, Sheet]
"""A workbook's sheets, opened in full with openpyxl or without what a comparison does not need."""


@dataclass(frozen=True, kw_only=True)
class CellMismatch:
    """A cell whose value is not the reference's.

    Attributes:
        sheet: Name of the worksheet.
        cell: Reference such as `B6`.
        expected: The reference's value as saved, None if empty; long text is cut short.
        got: The candidate's value, likewise.
    """

    sheet: str
    cell: str
    expected: object
    got: object

    def __str__(self) -> str:
        expected, got = ("empty" if value is None else repr(value) for value in (self.expected, self.got))
        return f"{self.sheet}!{self.cell}: expected {expected}, got {got}"


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The verdict on a candidate workbook.

    Attributes:
        passed: The official verdict.
        reason: Why it did not pass; empty if it did.
        checked: Number of cells compared, empty ones included.
        mismatched: Number of those that differ.
        mismatches: The first `MAX_LISTED` of them, range by range and column by column.
    """

    passed: bool
    reason: str = ""
    checked: int = 0
    mismatched: int = 0
    mismatches: tuple[CellMismatch, ...] = ()


def compare_workbooks(
    reference: Path | bytes,
    candidate: Path | bytes,
    answer_position: str,
    rules: Rules = "spreadsheetbench",
    answer_sheet: str | None = None,
) -> Comparison:
    """Compares a candidate workbook with the reference where the answer position points.

    Args:
        reference: The workbook with the right answer, as a file or its content.
        candidate: The workbook to judge.
        answer_position: The cells that count, as the data set has them.
        rules: The benchmark's scorer, the paper's copy of it, or the variant that looks at the named sheet.
        answer_sheet: The data set's name of the sheet, for the rules `sheet-aware`; the others do not look at it.

    Returns:
        The official verdict, with every reason for a failure. A candidate that is not there or cannot be
        opened has not passed.

    Raises:
        DataError: The reference cannot be read.
        OSError: The candidate is there but the disk does not give it, which says nothing about its content.
    """
    try:
        expected_book = open_values(reference)
    except OSError as error:
        raise DataError(f"reference workbook cannot be read: {error}") from error
    try:
        book = open_values(candidate)
    except DataError as error:
        return Comparison(passed=False, reason=f"candidate cannot be opened: {error}")
    return compare_open_workbooks(expected_book, book, answer_position, rules, answer_sheet)


def open_values(source: Path | bytes) -> Values:
    """Opens a workbook for comparisons: as `open_workbook` does and with the same values, but mostly much faster.

    Whether the official scorer can open a workbook is up to openpyxl. What only openpyxl itself can judge is therefore
    opened with it.

    Args:
        source: A file or its content.

    Raises:
        DataError: As for `open_workbook`.
        OSError: Likewise.
    """
    content = _read(source)
    try:
        return read_sheets(content)
    except MemoryError:
        raise
    except Exception:  # whatever it is, openpyxl says whether the workbook can be opened
        return _open(content, source)


def open_workbook(source: Path | bytes) -> Workbook:
    """Opens a workbook in full with the values saved beside its formulas, as the official scorer does.

    openpyxl's read-only mode would be faster but skips charts and links that may break that scorer, and shows values
    under merged cells that it does not see.

    Args:
        source: A file or its content.

    Raises:
        DataError: There is no such file, or it is no workbook; the message names it.
        OSError: The file is there but cannot be read from disk.
    """
    return _open(_read(source), source)


def _read(source: Path | bytes) -> bytes:
    try:
        return source if isinstance(source, bytes) else source.read_bytes()
    except (FileNotFoundError, IsADirectoryError) as error:
        raise DataError(f"{_name(source)}: there is no such file") from error


def _open(content: bytes, source: Path | bytes) -> Workbook:
    try:
        with silenced():
            book = load_workbook(BytesIO(content), data_only=True)
    except MemoryError:
        raise
    except Exception as error:  # a damaged file shows in openpyxl as almost any exception
        raise DataError(f"{_name(source)}: not readable as .xlsx: {error!r}") from error
    if not book.sheetnames:
        raise DataError(f"{_name(source)}: expected at least one sheet, found none")
    return book


def _name(source: Path | bytes) -> str:
    return f"workbook of {len(source)} bytes" if isinstance(source, bytes) else f"workbook {source}"


def compare_open_workbooks(
    reference: Values,
    candidate: Values,
    answer_position: str,
    rules: Rules = "spreadsheetbench",
    answer_sheet: str | None = None,
) -> Comparison:
    """Compares two opened workbooks; for more than one verdict on the same pair.

    Takes and returns otherwise what `compare_workbooks` does.
    """
    try:
        ranges = parse_answer_position(answer_position, rules)
    except DataError as error:
        return Comparison(passed=False, reason=str(error))
    if rules == "sheet-aware":
        named = find_answer_sheet(answer_sheet, _sheet_names(reference))
        ranges = [part if part.sheet is not None else part._replace(sheet=named) for part in ranges]
    parts = [_compare_range(reference, candidate, part, rules) for part in ranges]
    listed = (mismatch for part in parts for mismatch in part.mismatches)
    return Comparison(
        passed=all(part.passed for part in parts),
        reason="; ".join(part.reason for part in parts if part.reason),
        checked=sum(part.checked for part in parts),
        mismatched=sum(part.mismatched for part in parts),
        mismatches=tuple(islice(listed, MAX_LISTED)),
    )


def normalise(value: object) -> object:
    """Brings a cell's value to the form in which the official scorer compares it.

    Args:
        value: A value as openpyxl reads it.

    Returns:
        A float, a text, None for an empty cell, or the value itself where no rule applies (a duration).
    """
    match value:
        case int() | float():
            try:
                return round(float(value), 2)
            except OverflowError:  # more than 308 digits: the official scorer fails, so nothing may equal it
                return math.nan
        case time():
            return str(value)[:-3]
        case datetime():
            elapsed = value - WINDOWS_EPOCH
            return round(elapsed.days + elapsed.seconds / 86_400, 0)
        case "":
            return None
        case str():
            try:
                return round(float(value), 2)
            except ValueError:
                return value
    return value


def _compare_range(reference: Values, candidate: Values, part: AnswerRange, rules: Rules) -> Comparison:
    name = _sheet_names(reference)[0] if part.sheet is None else part.sheet
    expected_sheet, sheet = _worksheet(reference, name), _worksheet(candidate, name)
    if expected_sheet is None:
        return Comparison(passed=False, reason=f"the reference has no worksheet {name!r}")
    if sheet is None:
        return Comparison(passed=False, reason=f"the candidate has no worksheet {name!r}")
    # Only these rules look at the ends of a sheet, which take time to find.
    ends = (expected_sheet.max_row, expected_sheet.max_column) if rules == "trace2skill" else (1, 1)
    try:
        block = read_range(part.cells, rules, max_row=ends[0], max_column=ends[1])
    except DataError as error:
        return Comparison(passed=False, reason=str(error))
    expected_values, values = _filled_cells(expected_sheet, block), _filled_cells(sheet, block)
    differing = [place for place, value in expected_values.items() if not _equal(value, values.get(place))]
    differing += [place for place in values.keys() - expected_values.keys() if not _equal(None, values[place])]
    listed = [
        CellMismatch(
            sheet=sheet.title,
            cell=f"{get_column_letter(place[0])}{place[1]}",
            expected=_shorten(expected_values.get(place)),
            got=_shorten(values.get(place)),
        )
        for place in sorted(differing)[:MAX_LISTED]
    ]
    return Comparison(
        passed=not differing,
        reason=f"{len(differing)} of {block.size} cells differ on {name!r}" if differing else "",
        checked=block.size,
        mismatched=len(differing),
        mismatches=tuple(listed),
    )


def _sheet_names(book: Values) -> list[str]:
    return book.sheetnames if isinstance(book, Workbook) else list(book)


def _worksheet(book: Values, name: str) -> Worksheet | Sheet | None:
    if not isinstance(book, Workbook):
        return book.get(name)
    sheet = book[name] if name in book.sheetnames else None
    return sheet if isinstance(sheet, Worksheet) else None


def _filled_cells(sheet: Worksheet | Sheet, block: Block) -> dict[tuple[int, int], object]:
    """Values by column and row; a block that reaches beyond the sheet's last cell costs nothing."""
    if not block.size:
        return {}
    if isinstance(sheet, Sheet):
        return sheet.values(block)
    columns = sheet.iter_cols(
        min_col=block.first_column,
        max_col=min(block.last_column, sheet.max_column),
        min_row=block.first_row,
        max_row=min(block.last_row, sheet.max_row),
        values_only=True,
    )
    return {
        (column, row): value
        for column, values in enumerate(columns, start=block.first_column)
        for row, value in enumerate(values, start=block.first_row)
        if value is not None
    }


def _equal(expected: object, got: object) -> bool:
    if type(expected) is type(got) and expected == got:
        value = normalise(expected)
        return value == value  # not so if it is NaN
    expected, got = normalise(expected), normalise(got)
    return type(expected) is type(got) and expected == got


def _shorten(value: object) -> object:
    if isinstance(value, str) and len(value) > _MAX_TEXT:
        return value[: _MAX_TEXT - 1] + "…"
    return value
