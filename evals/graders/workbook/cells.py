"""The cells of a worksheet: those asked for get their values, of the others only the form is checked."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache, cached_property
from io import BytesIO
from itertools import pairwise, product
from typing import NamedTuple

from openpyxl.cell.text import Text
from openpyxl.utils import column_index_from_string
from openpyxl.utils.datetime import from_excel
from openpyxl.worksheet._reader import WorkSheetParser

from evals.graders.answer_position import Block
from evals.graders.workbook.parts import Styles
from evals.graders.workbook.pieces import Document, Unusual, children, once, read_as, read_document, silenced

__all__ = ["Place", "Shared", "Sheet", "Texts", "check_rows", "covers", "merged_ranges", "place", "split_rows"]

Place = tuple[int, int]
"""Column and row of a cell."""

_LAST_ROW = 1_048_576

_NUMBER = rb"-?\d{1,300}(?:\.\d{0,300})?(?:[eE][-+]?\d{1,3})?"
_FORMULA = rb"(?:<f(?: [^<>]*)?(?:/>|>[^<]*</f>))?"
_PLAIN_TEXT = rb'<t(?: xml:space="preserve")?(?:/>|>[^<]*</t>)'
_IGNORED = rb'(?: (?:cm|vm|ph)="\d{1,7}")*+'
_EMPTY = rb'<v(?: xml:space="preserve")?(?:\s*/>|></v>)'


def _cell(kind: bytes, value: bytes) -> bytes:
    """The rest of a cell of one type, empty or with a value as `WorkSheetParser.parse_cell` takes it."""
    return kind + _IGNORED + rb"(?:\s*/>|>" + _FORMULA + rb"(?:" + value + rb"|" + _EMPTY + rb")?</c>)"


_AFTER_PLACE = (
    rb'"(?: s="(?P<style>\d{1,7})")?'
    + _IGNORED
    + rb"(?:%s)"
    % rb"|".join(
        [
            _cell(rb' t="s"', rb"<v>(?P<shared>\d{1,9})</v>"),
            _cell(rb'(?: t="n")?', rb"<v>(?P<number>" + _NUMBER + rb")</v>"),
            _cell(rb' t="(?:str|e)"', rb'<v(?: xml:space="preserve")?>(?P<text>[^<]*)</v>'),
            _cell(rb' t="b"', rb"<v>(?P<truth>[01])</v>"),
            _cell(rb' t="inlineStr"', rb"<is>(?P<inline>" + _PLAIN_TEXT + rb")</is>"),
        ]
    )
)
_ROW_HEAD = (
    rb'<row r="([1-9]\d{0,6})"(?: spans="[^"<>]*"| s="\d{1,7}"| ht="' + _NUMBER + rb'"| outlineLevel="\d"'
    rb'|(?: customFormat| customHeight| hidden| collapsed| thickTop| thickBot)="(?:[01]|true|false)"'
    rb'| \w+:\w+="[^"<>]*")*+\s*'
)
_ROWS = re.compile(
    rb"\s*(?:%s(?:/>|>(?:<c r=\"[A-Z]{1,3}\1%s)*+</row>)\s*)*+"
    % (_ROW_HEAD, re.sub(rb"\(\?P<\w+>", rb"(?:", _AFTER_PLACE))
)
_ROW = re.compile(rb'<row r="(\d+)"')
_CELL = re.compile(rb'<c r="(?P<column>[A-Z]{1,3})\d+' + _AFTER_PLACE)
_ESCAPED = re.compile(rb"[&\r]")
_INLINE = re.compile(rb'<t(?: xml:space="preserve")?>([^<]*)</t>')
_PLACE = re.compile(rb'<c r="([A-Z]+)(\d+)"')
_STYLE = re.compile(rb' s="(\d+)"')
_TEXT_NUMBER = re.compile(rb' t="s"[^<]*(?:<f[^<]*(?:</f>)?)?<v>(\d+)</v>')
_SHEET_DATA = re.compile(rb"<sheetData\s*/?>")
_ROW_ANYWHERE = re.compile(rb"<row[\s/>]")
_MERGED_HEAD = re.compile(rb'<mergeCells(?: count="\d{1,9}")?>')
_MERGED = re.compile(rb'<mergeCell ref="([A-Z]{1,3})([1-9]\d{0,6}):([A-Z]{1,3})([1-9]\d{0,6})"\s*/>')
_TEXT = re.compile(rb"<si>(?:" + _PLAIN_TEXT + rb"</si>|.*?</si>)|<si/>", re.DOTALL)
_PLAIN_ITEM = re.compile(rb"<si>" + _PLAIN_TEXT + rb"</si>|<si/>")
_SIMPLE_ITEM = re.compile(rb'<si><t(?: xml:space="preserve")?>([^<&\r]*)</t></si>')

_NOT_SIMPLE = object()


class Texts:
    """The table of texts, each brought to plain text when it is asked for, as `read_string_table` does."""

    def __init__(self, xml: bytes) -> None:
        self._document = read_document(xml, b"sst", frozenset({b"count", b"uniqueCount"}))
        self._items: list[bytes] = _TEXT.findall(self._document.body)
        if sum(map(len, self._items)) != len(self._document.body):
            raise Unusual("table of texts")
        for item in set(self._items):
            if not _PLAIN_ITEM.fullmatch(item):
                self._read(item)

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, number: int) -> str:
        simple = _SIMPLE_ITEM.fullmatch(self._items[number])
        text = simple[1].decode() if simple else self._read(self._items[number])
        return text.replace("x005F_", "")

    def _read(self, item: bytes) -> str:
        return _content(self._document.holding(b"sst", item))


@once
def _content(xml: bytes) -> str:
    text: str = read_as(Text, xml, inside=True).content
    return text


class Shared(NamedTuple):
    """What the cells of all sheets of a workbook refer to."""

    texts: Texts | tuple[()]
    styles: Styles
    epoch: datetime


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """A worksheet whose cells are read when they are asked for.

    Attributes:
        title: Its name.
        document: Its part.
        rows: XML of its rows.
        merged: Its merged ranges.
        added: Cells that openpyxl makes for comments and hyperlinks, with the text that stands there if nothing else.
        shared: What its cells refer to.
    """

    title: str
    document: Document
    rows: bytes
    merged: list[Block]
    added: Mapping[Place, str | None]
    shared: Shared

    @cached_property
    def _ends(self) -> Place:
        """Last column and row in use; empty cells count, and those that openpyxl makes."""
        ends = ((block.last_column, block.last_row) for block in self.merged)
        places = [(1, 1), *(place(*found) for found in _PLACE.findall(self.rows)), *self.added, *ends]
        return max(column for column, _ in places), max(row for _, row in places)

    @property
    def max_column(self) -> int:
        """Last column in use."""
        return self._ends[0]

    @property
    def max_row(self) -> int:
        """Last row in use."""
        return self._ends[1]

    def values(self, block: Block) -> dict[Place, object]:
        """The values in a block that are not empty, by column and row."""
        found: dict[Place, object] = {}
        left, count = [], 0
        for cell_place, cell in self._cells(block):
            count += 1
            found[cell_place] = value = self._simple_value(cell)
            if value is _NOT_SIMPLE:
                left.append(cell[0])
        if len(found) < count:  # a cell comes twice, and the last one counts
            left = [cell[0] for _, cell in self._cells(block)]
        if left:
            found |= self._parsed(b"".join(left))
        for merged in self.merged:
            found.update([(hidden, None) for hidden in _cells_in(merged, found) if covers(merged, hidden)])
        for added, text in self.added.items():
            if text is not None and found.get(added) is None and _contains(block, added):
                found[added] = text
        return {each: value for each, value in found.items() if value is not None}

    def _cells(self, block: Block) -> Iterator[tuple[Place, re.Match[bytes]]]:
        rows = [(int(row[1]), row.start()) for row in _ROW.finditer(self.rows)]
        for (number, start), (_, end) in pairwise([*rows, (0, len(self.rows))]):
            if block.first_row <= number <= block.last_row:
                for cell in _CELL.finditer(self.rows, start, end):
                    column = _column(cell[1])
                    if block.first_column <= column <= block.last_column:
                        yield (column, number), cell

    def _simple_value(self, cell: re.Match[bytes]) -> object:
        """The value of a cell as `WorkSheetParser.parse_cell` gives it, to which escapes are left."""
        match cell.lastgroup:
            case "shared":
                return self.shared.texts[int(cell["shared"])]
            case "number":
                return self._number(cell["number"], int(cell["style"] or 0))
            case "truth":
                return bool(int(cell["truth"]))
            case "text" if not _ESCAPED.search(cell["text"]):
                return cell["text"].decode() or None
            case "inline" if (text := _INLINE.fullmatch(cell["inline"])) and not _ESCAPED.search(text[1]):
                return text[1].decode()
            case "style" | "column":
                return None
        return _NOT_SIMPLE

    def _number(self, text: bytes, style: int) -> object:
        number = float(text) if b"." in text or b"e" in text or b"E" in text else int(text)
        if not self.shared.styles.is_date(style):
            return number
        try:
            return from_excel(number, self.shared.epoch, timedelta=self.shared.styles.is_duration(style))
        except (OverflowError, ValueError):
            return "#VALUE!"

    def _parsed(self, cells: bytes) -> dict[Place, object]:
        """The values that openpyxl's parser finds in the XML of cells."""
        styles = {0, *map(int, _STYLE.findall(cells))}
        parser = WorkSheetParser(
            BytesIO(self.document.holding(b"worksheet", b"<row>%s</row>" % cells)),
            self.shared.texts,
            data_only=True,
            epoch=self.shared.epoch,
            date_formats=set(filter(self.shared.styles.is_date, styles)),
            timedelta_formats=set(filter(self.shared.styles.is_duration, styles)),
        )
        with silenced():
            return {(cell["column"], cell["row"]): cell["value"] for _, row in parser.parse() for cell in row}


@cache
def _column(letters: bytes) -> int:
    return column_index_from_string(letters.decode())


def place(column: bytes, row: bytes) -> Place:
    """Column and row of a cell from its name's two parts."""
    return column_index_from_string(column.decode()), int(row)


def _contains(block: Block, cell: Place) -> bool:
    columns = block.first_column <= cell[0] <= block.last_column
    return columns and block.first_row <= cell[1] <= block.last_row


def _cells_in(merged: Block, found: Mapping[Place, object]) -> Iterable[Place]:
    """The cells that were found in a range, and perhaps others: whichever are fewer to look at."""
    if merged.size > len(found):
        return found
    columns, rows = range(merged[0], merged[2] + 1), range(merged[1], merged[3] + 1)
    return (cell for cell in product(columns, rows) if cell in found)


def covers(merged: Block, cell: Place) -> bool:
    """Whether a merged range hides a cell, as it does all but its first."""
    return _contains(merged, cell) and cell != merged[:2]


def split_rows(body: bytes) -> tuple[bytes, bytes]:
    """The rows of a worksheet, and everything else in it."""
    start, end = body.find(b"<sheetData"), body.rfind(b"</sheetData>")
    tag = _SHEET_DATA.match(body, start)
    if tag is None or body.count(b"<sheetData") != 1:
        raise Unusual("rows")
    rows = body[tag.end() : end] if end >= 0 else b""
    rest = body[:start] + body[end + len(b"</sheetData>") if end >= 0 else tag.end() :]
    if _ROW_ANYWHERE.search(rest):
        raise Unusual("row outside of the rows")
    return rows, rest


def check_rows(rows: bytes, shared: Shared) -> None:
    """Every row and cell must be as openpyxl takes it, every style and text that a cell refers to must exist."""
    if not _ROWS.fullmatch(rows):
        raise Unusual("rows")
    styles, texts = (max(map(int, set(found.findall(rows))), default=-1) for found in (_STYLE, _TEXT_NUMBER))
    if styles >= shared.styles.count or texts >= len(shared.texts):
        raise Unusual("style or text that does not exist")


def merged_ranges(piece: bytes) -> list[Block]:
    """The ranges of `mergeCells`, each of which is a range in `MergedCellRange` too."""
    head = _MERGED_HEAD.match(piece)
    ranges = [_MERGED.fullmatch(xml) for _, xml in children(piece[head.end() : -len(b"</mergeCells>")])] if head else []
    blocks = [Block(*place(found[1], found[2]), *place(found[3], found[4])) for found in ranges if found]
    sound = all(block.size and block.last_row <= _LAST_ROW for block in blocks)
    if not blocks or len(blocks) != len(ranges) or not sound:
        raise Unusual("merged cells")
    return blocks
