"""The first rows of a workbook's sheets as text, by two readers; for a process that may end.

It imports little: a process that ended is replaced, and has this to import anew.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, time
from itertools import dropwhile, islice
from pathlib import Path
from typing import Any

from python_calamine import CalamineWorkbook


def dense_preview(workbook: Path, count: int) -> str:
    """The preview by calamine, which reads sheets as full tables."""
    book = CalamineWorkbook.from_path(workbook)
    return _shown((name, book.get_sheet_by_name(name).to_python(nrows=count)) for name in book.sheet_names)


def sparse_preview(workbook: Path, count: int) -> str:
    """The preview by openpyxl, row by row, of the same form but for empty columns at the end, which are left out."""
    from openpyxl import load_workbook  # takes a second, which the other reader does without

    try:
        book = load_workbook(workbook, read_only=True, data_only=True)
    except Exception:  # a chart sheet, for one, which only the full reader opens
        book = load_workbook(workbook, data_only=True)
    try:
        sheets = {sheet.title: sheet for sheet in book.worksheets}
        return _shown((name, _first_rows(sheets[name], count) if name in sheets else []) for name in book.sheetnames)
    finally:
        book.close()


def _shown(sheets: Iterable[tuple[str, Iterable[Iterable[object]]]]) -> str:
    return "\n".join(
        f"Sheet Name: {name}\n" + "\n".join("\t".join(map(str, row)) for row in rows) for name, rows in sheets
    )


def _first_rows(sheet: Any, count: int) -> list[list[object]]:
    """Rows from the first that holds a value, without the empty columns on both sides."""
    rows = islice(dropwhile(lambda row: not any(value is not None for value in row), _rows(sheet, count)), count)
    values = [[_value(value) for value in row] for row in rows]
    filled = [place for row in values for place, value in enumerate(row) if value != ""]
    if not filled:
        return []
    first, last = min(filled), max(filled)
    padded = [[*row[first : last + 1], *[""] * (last + 1 - max(first, len(row)))] for row in values]
    while not any(value != "" for value in padded[-1]):
        padded.pop()
    return padded


def _rows(sheet: Any, count: int) -> Iterator[tuple[object, ...]]:
    if hasattr(sheet, "reset_dimensions"):
        sheet.reset_dimensions()  # what a file says of its size need not be true
        yield from sheet.iter_rows(values_only=True)
    else:  # read in full, where looking at a cell makes it
        first = sheet.min_row
        yield from sheet.iter_rows(min_row=first, max_row=first + count - 1, values_only=True)


def _value(value: object) -> object:
    """A value in calamine's form: every number is a float, a date has no time, and an empty cell is empty text."""
    match value:
        case None:
            return ""
        case bool():
            return value
        case int():
            return float(value)
        case datetime() if value.time() == time.min:
            return value.date()
    return value
