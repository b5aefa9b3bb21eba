"""Workbooks for the tests of the reader: with many features, edited by hand, and mutated at random."""

import random
import re
import warnings
import zipfile
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from io import BytesIO

import xlsxwriter
from openpyxl import Workbook, load_workbook

from evals.graders.answer_position import Block
from evals.graders.workbook import read_sheets

EVERYTHING = Block(1, 1, 18_278, 10_000_000)

SHEET, STYLES, BOOK = "xl/worksheets/sheet1.xml", "xl/styles.xml", "xl/workbook.xml"
TEXTS, CORE, TYPES = "xl/sharedStrings.xml", "docProps/core.xml", "[Content_Types].xml"
LINKS, SHEET_LINKS = "xl/_rels/workbook.xml.rels", "xl/worksheets/_rels/sheet1.xml.rels"


def rich_workbook(epoch_1904: bool = False) -> bytes:
    """A workbook with most of what spreadsheet programs write."""
    content = BytesIO()
    with xlsxwriter.Workbook(content, {"date_1904": epoch_1904, "default_date_format": "yyyy-mm-dd"}) as book:
        fill_data_sheet(book, book.add_worksheet("Data"))
        fill_decorated_sheet(book, book.add_worksheet("Décor & co"))
        book.add_worksheet("Empty")
    return content.getvalue()


def fill_data_sheet(book: xlsxwriter.Workbook, sheet: xlsxwriter.worksheet.Worksheet) -> None:
    """Cells of every type."""
    bold = book.add_format({"bold": True, "border": 1, "bg_color": "#FFCC00", "align": "center"})
    sheet.write_row("A1", ["Item", "Größe", "<&> \"quoted\" 'text'", "line\nbreak", "  blanks  ", "_x000D_", ""], bold)
    sheet.write_row("A2", [1, -2.5, 1e300, 1e-7, 12345678901234567, 0.1 + 0.2])
    sheet.write_row("A3", [True, False, "nan", "=not a formula", "#N/A", "1_000"])
    sheet.write("A4", datetime(2024, 3, 1, 18, 30))  # noqa: DTZ001 (Excel's dates have no time zone)
    sheet.write("B4", date(1900, 3, 1) if not book.date_1904 else date(1904, 1, 2))
    sheet.write("C4", time(10, 30, 15), book.add_format({"num_format": "hh:mm:ss"}))
    sheet.write("D4", timedelta(hours=30), book.add_format({"num_format": "[h]:mm"}))
    sheet.write("E4", 1e10, book.add_format({"num_format": "dd.mm.yyyy"}))
    sheet.write("F4", 61, book.add_format({"num_format": '"day" 0'}))
    sheet.write_formula("A5", "=1+1", None, 2)
    sheet.write_formula("B5", '="a"&"b"', None, "ab")
    sheet.write_formula("C5", "=1/0", None, "#DIV/0!")
    sheet.write_formula("D5", "=1=1", None, True)
    sheet.write_formula("E5", "=TODAY()", book.add_format({"num_format": "yyyy-mm-dd"}), 45352.5)
    sheet.write_array_formula("F5:G5", "{=A2:B2}", None, 1)
    sheet.write_rich_string("A6", "plain ", bold, "bold", " end")
    sheet.write_blank("B6", None, bold)
    sheet.write("XFD1048576", "last")


def fill_decorated_sheet(book: xlsxwriter.Workbook, sheet: xlsxwriter.worksheet.Worksheet) -> None:
    """Merged cells, links, comments, a table, a chart and what else there is beside cells."""
    edge = book.add_format({"border": 2, "bg_color": "#EEEEEE"})
    sheet.merge_range("A1:C2", "merged", edge)
    sheet.write("B2", "hidden")
    sheet.merge_range("A3:A4", 7)
    sheet.write_url("A6", "https://example.org/a?b=1&c=2", string="link")
    sheet.write_url("A7", "internal:Data!A1")
    sheet.write_comment("H30", "a comment on a cell that is not there")
    sheet.write_comment("A1", "another")
    sheet.add_table("E1:F4", {"data": [[1, "x"], [2, "y"], [3, "z"]], "name": "Numbers"})
    sheet.conditional_format("E1:E4", {"type": "cell", "criteria": ">", "value": 1, "format": edge})
    sheet.conditional_format("F1:F4", {"type": "3_color_scale"})
    sheet.data_validation("G1:G5", {"validate": "list", "source": ["a", "b"]})
    sheet.autofilter("A10:C12")
    sheet.freeze_panes(1, 2)
    sheet.set_column("A:B", 17.5, edge)
    sheet.set_column("D:D", None, None, {"hidden": True, "level": 1})
    sheet.set_row(20, 33.75, edge)
    sheet.set_row(21, None, None, {"hidden": True})
    sheet.repeat_rows(0, 1)
    sheet.print_area("A1:H20")
    sheet.set_landscape()
    sheet.set_header("&CTitle")
    sheet.protect("secret")
    chart = book.add_chart({"type": "column"})
    chart.add_series({"values": "='Décor & co'!$E$2:$E$4"})
    sheet.insert_chart("J1", chart)
    book.define_name("Total", "=Data!$A$2")


def parts_of(content: bytes) -> dict[str, bytes]:
    """The parts of a workbook by path."""
    with zipfile.ZipFile(BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(parts: dict[str, bytes]) -> bytes:
    """A workbook of these parts."""
    content = BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, xml in parts.items():
            archive.writestr(name, xml)
    return content.getvalue()


def edited(content: bytes, part: str, old: str, new: str) -> bytes:
    """The workbook with the first occurrence of a text in one part replaced, which must be there."""
    parts = parts_of(content)
    xml = parts[part].decode()
    assert old in xml, (part, xml[:3000])
    return packed(parts | {part: xml.replace(old, new, 1).encode()})


def opened_in_full(content: bytes) -> Workbook | None:
    """The workbook as openpyxl opens it; None if that fails."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return load_workbook(BytesIO(content), data_only=True)
        except Exception:  # a damaged file shows in openpyxl as almost any exception
            return None


def is_fast(content: bytes) -> bool:
    """Whether the workbook is read without openpyxl; if so, everything in it must be what openpyxl says."""
    try:
        sheets = read_sheets(content)
    except Exception:  # any exception means that openpyxl has to say
        return False
    book = opened_in_full(content)
    assert book is not None, "read, but openpyxl refuses it"
    assert list(sheets) == book.sheetnames
    for sheet in book.worksheets:
        cells = {(column, row): cell.value for (row, column), cell in sheet._cells.items()}
        expected = {place: (type(value), repr(value)) for place, value in cells.items() if value is not None}
        got = {place: (type(value), repr(value)) for place, value in sheets[sheet.title].values(EVERYTHING).items()}
        assert got == expected
        assert (sheets[sheet.title].max_row, sheets[sheet.title].max_column) == (sheet.max_row, sheet.max_column)
    return True


# --- mutations --------------------------------------------------------------------------------------------------------

_ATTRIBUTE = re.compile(r'([\w:.-]+)="([^"]*)"')
_START = re.compile(r"<([\w:]+)(?:\s[^<>]*)?/?>")
_VALUES = (
    *("", "0", "1", "-1", "2", "99999", "1.5", "true", "abc", "A1", "A1:B2", "B2:A1", "rId1", "rId99", "1e999"),
    *("  7 ", "00FF0000", "x&amp;y", "&#65;", "4294967296", "NaN", "General", "str", "inlineStr", "s", "e", "d", "b"),
)
_TEXTS = ("", "-5", "1E5", "0x10", "1_000", "2024-01-01", "  ", "a\r\nb", "x005F_y", "&lt;b&gt;", "inf", "1.", "\u0663")
_NAMES = ("foo", "x:foo", "style", "count", "r", "s", "t", "dxfId", "xfId", "fontId", "ref", "name", "id", "hidden")
_TAGS = ("foo", "row", "c", "v", "col", "extLst", "hyperlinks", "mergeCell", "font", "fonts", "xf", "sheet")
_INSERTED = (
    *("text", "<foo/>", "<!-- c -->", "\n", "<v>1</v>", "<extLst/>", "<row/>", '<c r="A1"><v>5</v></c>'),
    *('<row r="1"><c r="B1"><v>5</v></c></row>', "<![CDATA[x]]>", '<hyperlinks><hyperlink ref="A1"/></hyperlinks>'),
)
_MAIN = 'xmlns:x="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'


def mutated(content: bytes, draw: random.Random) -> bytes:
    """The workbook with one to three random changes in the XML of its parts."""
    parts = parts_of(content)
    names = sorted(name for name in parts if name.endswith((".xml", ".rels")) and "theme" not in name)
    weights = [5 if name in (SHEET, STYLES, BOOK, TEXTS) else 1 for name in names]
    for _ in range(draw.choice((1, 1, 2, 3))):
        [name] = draw.choices(names, weights)
        [mutation] = draw.choices((_change_attribute, _change_element, _change_text), (5, 4, 2))
        parts[name] = mutation(parts[name].decode(), draw).encode()
    return packed(parts)


def _change_attribute(xml: str, draw: random.Random) -> str:
    found = draw.choice(list(_ATTRIBUTE.finditer(xml)) or [None])
    if found is None:
        return xml
    before, after = xml[: found.start()], xml[found.end() :]
    name, value = found.groups()
    changes: list[Callable[[], str]] = [
        *[lambda: f'{name}="{draw.choice(_VALUES)}"'] * 5,
        lambda: "",
        lambda: f'{draw.choice(_NAMES)}="{value}"',
        lambda: f'{found[0]} {draw.choice(_NAMES)}="{draw.choice(_VALUES)}"',
        lambda: f"{name}='{value}'",
        lambda: f'{name} = "{value}"',
    ]
    return f"{before}{draw.choice(changes)()}{after}"


def _change_element(xml: str, draw: random.Random) -> str:
    starts = list(_START.finditer(xml))
    start = draw.choice(starts or [None])
    if start is None:
        return xml
    close = f"</{start[1]}>"
    end = start.end() if start[0].endswith("/>") else xml.index(close, start.end()) + len(close)
    before, piece, after = xml[: start.start()], xml[start.start() : end], xml[end:]
    place = draw.choice(starts).start()
    changes: list[Callable[[], str]] = [
        lambda: before + after,
        lambda: before + piece + piece + after,
        lambda: xml[:place] + piece + xml[place:],
        lambda: before + piece.replace(start[1], draw.choice((*_TAGS, f"x:{start[1]}"))) + after,
        lambda: xml[: start.end()] + draw.choice(_INSERTED) + xml[start.end() :],
        lambda: before + piece.replace(">", draw.choice((" >", "\n>", "/>", ' xmlns="foo">', f" {_MAIN}>")), 1) + after,
    ]
    return draw.choice(changes)()


def _change_text(xml: str, draw: random.Random) -> str:
    found = draw.choice(list(re.finditer(r">([^<>]+)<", xml)) or [None])
    return xml if found is None else xml[: found.start(1)] + draw.choice(_TEXTS + _VALUES) + xml[found.end(1) :]
