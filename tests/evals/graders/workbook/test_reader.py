import random
from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import Workbook

from evals.graders.answer_position import Block
from evals.graders.spreadsheetbench import compare_workbooks, open_values
from evals.graders.workbook import read_sheets, reader
from evals.graders.workbook.pieces import Unusual, once
from tests.evals.graders.workbook.files import (
    BOOK,
    CORE,
    LINKS,
    SHEET,
    SHEET_LINKS,
    STYLES,
    TEXTS,
    TYPES,
    edited,
    is_fast,
    mutated,
    opened_in_full,
    packed,
    parts_of,
    rich_workbook,
)
from trace2skill.data.places import bundled
from trace2skill.errors import DataError

RICH = rich_workbook()
SECOND = "xl/worksheets/sheet2.xml"
SECOND_LINKS = "xl/worksheets/_rels/sheet2.xml.rels"
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"

REFUSED = {
    "dollar in a place": (SHEET, '<c r="B2">', '<c r="$B$2">'),
    "formats twice": (STYLES, "</cellXfs>", '</cellXfs><cellXfs><xf numFmtId="14"/></cellXfs>'),
    "formats with a prefix": (STYLES, "</cellXfs>", '</cellXfs><x:cellXfs xmlns:x="y"><xf numFmtId="14"/></x:cellXfs>'),
    "sheet of another type": (LINKS, "/worksheet", "/chartsheet"),
    "no such text": (SHEET, '<c r="A1" s="1" t="s"><v>0</v>', '<c r="A1" s="1" t="s"><v>99</v>'),
    "text number is a word": (SHEET, '<c r="A1" s="1" t="s"><v>0</v>', '<c r="A1" s="1" t="s"><v>zero</v>'),
    "number is a word": (SHEET, "<v>-2.5</v>", "<v>many</v>"),
    "number without an exponent": (SHEET, "<v>-2.5</v>", "<v>1.e</v>"),
    "hexadecimal number": (SHEET, "<v>-2.5</v>", "<v>0x10</v>"),
    "truth is a word": (SHEET, '<c r="A3" t="b"><v>1</v>', '<c r="A3" t="b"><v>true</v>'),
    "date in no known form": (SHEET, '<c r="A3" t="b"><v>1</v>', '<c r="A3" t="d"><v>soon</v>'),
    "no such style": (SHEET, '<c r="G1" s="1"/>', '<c r="G1" s="999"/>'),
    "row of no such style": (SECOND, '<row r="21" spans="8:8" s="7"', '<row r="21" spans="8:8" s="999"'),
    "column of no such style": (SECOND, 'style="7" customWidth', 'style="999" customWidth'),
    "column without a number": (SECOND, '<col min="1" max="2"', '<col max="2"'),
    "hidden column of no such style": (SECOND, '<cols><col min="1"', '<cols><col min="1" style="999"/><col min="2"'),
    "place without a row": (SHEET, '<c r="G1" s="1"/>', '<c r="G" s="1"/>'),
    "row is a word": (SHEET, '<row r="2"', '<row r="two"'),
    "height is a word": (SECOND, 'ht="33.75"', 'ht="high"'),
    "not well-formed": (SHEET, "</row>", "</rows>"),
    "attribute twice": (SHEET, '<row r="2"', '<row r="2" r="2"'),
    "undeclared prefix": (SHEET, '<row r="2"', '<row r="2" y:z="2"'),
    "undefined entity": (SHEET, "<v>ab</v>", "<v>&nbsp;</v>"),
    "range upside down": (SECOND, '<mergeCell ref="A3:A4"/>', '<mergeCell ref="A4:A3"/>'),
    "range is a word": (SECOND, '<mergeCell ref="A3:A4"/>', '<mergeCell ref="here"/>'),
    "range beyond the last row": (SECOND, '<mergeCell ref="A3:A4"/>', '<mergeCell ref="A1048577:A1048578"/>'),
    "rule without such a format": (SECOND, 'dxfId="0"', 'dxfId="7"'),
    "rule of no known type": (SECOND, 'type="cellIs"', 'type="feeling"'),
    "validation of no known type": (SECOND, 'type="list"', 'type="wish"'),
    "pane in no known state": (SECOND, 'state="frozen"', 'state="cold"'),
    "margin is a word": (SHEET, 'left="0.7"', 'left="wide"'),
    "unknown attribute of a view": (SHEET, '<sheetView tabSelected="1"', '<sheetView sqref="A1" tabSelected="1"'),
    "unknown default": (SHEET, '<sheetFormatPr defaultRowHeight="15"', '<sheetFormatPr defaultMood="15"'),
    "link without such a target": (SECOND, 'r:id="rId1"', 'r:id="rId99"'),
    "table without such a part": (SECOND, "<tablePart r:id=", '<tablePart r:id="rId99"/><tablePart r:id='),
    "comment nowhere": ("xl/comments1.xml", 'ref="H30"', 'ref="there"'),
    "comment of nobody": ("xl/comments1.xml", 'authorId="0"', 'authorId="5"'),
    "table without a name": ("xl/tables/table1.xml", 'displayName="Numbers"', ""),
    "table in no known form": ("xl/tables/table1.xml", 'ref="E1:F4"', 'ref="everywhere"'),
    "drawing without its parts": ("xl/drawings/_rels/drawing1.xml.rels", "chart1.xml", "chart9.xml"),
    "colour is a word": (STYLES, 'rgb="FFFFCC00"', 'rgb="yellow"'),
    "font size is a word": (STYLES, '<sz val="11"/>', '<sz val="large"/>'),
    "pattern of no known type": (STYLES, 'patternType="gray125"', 'patternType="plaid"'),
    "border of no known style": (STYLES, '<left style="thin">', '<left style="thinnish">'),
    "alignment of no known kind": (STYLES, '<alignment horizontal="center"/>', '<alignment horizontal="up"/>'),
    "number of a font in an alignment": (STYLES, '<alignment horizontal="center"/>', '<alignment fontId="0"/>'),
    "unknown attribute of a format": (STYLES, '<xf numFmtId="164"', '<xf mood="1" numFmtId="164"'),
    "format number is a word": (STYLES, '<xf numFmtId="164"', '<xf numFmtId="some"'),
    "format number is too large": (STYLES, '<xf numFmtId="164"', '<xf numFmtId="4294967296"'),
    "number format without a code": (STYLES, 'numFmtId="168" formatCode="&quot;day&quot; 0"', 'numFmtId="168"'),
    "named style without a format": (STYLES, '<cellStyle name="Normal" xfId="0"', '<cellStyle name="Normal" xfId="9"'),
    "named style without such a font": (STYLES, '<xf numFmtId="0" fontId="2"', '<xf numFmtId="0" fontId="77"'),
    "the same in single quotes": (STYLES, '<xf numFmtId="0" fontId="2"', "<xf numFmtId=\"0\" fontId='77'"),
    "named style without a name": (STYLES, '<cellStyle name="Normal" xfId="0"', '<cellStyle xfId="0"'),
    "title with a slash": (BOOK, 'name="Empty"', 'name="Emp/ty"'),
    "sheet in no known state": (BOOK, 'name="Empty"', 'name="Empty" state="lost"'),
    "sheet without such a part": (BOOK, 'r:id="rId3"', 'r:id="rId99"'),
    "active sheet is a word": (BOOK, 'xWindow="240"', 'activeTab="first" xWindow="240"'),
    "titles to print in no known form": (BOOK, "'Décor &amp; co'!$1:$2", "nothing"),
    "name of no sheet": (BOOK, 'localSheetId="1" hidden', 'localSheetId="some" hidden'),
    "time in no known form": (CORE, '<dcterms:created xsi:type="dcterms:W3CDTF">2', "<dcterms:created>soon 2"),
    "rich text of no known font": (TEXTS, "<b/><sz", '<b/><u val="wavy"/><sz'),
    "two numbers for phonetic text": (TEXTS, "<si><t>Item</t>", '<si><t>Item</t><phoneticPr fontId="x"/>'),
    "no workbook among the parts": (TYPES, "sheet.main+xml", "nothing+xml"),
    "texts without a part": (TYPES, "/xl/sharedStrings.xml", "/xl/missing.xml"),
}

OPENED = {
    "place in row 0": (SHEET, '<c r="G1" s="1"/>', '<c r="G0" s="1"/>'),
    "row of an unknown attribute": (SHEET, '<row r="2"', '<row r="2" tall="1"'),
    "area to print in no known form": (BOOK, "'Décor &amp; co'!$A$1:$H$20", "'Décor &amp; co'!$A$20:$A$1"),
    "number with blanks": (SHEET, "<v>-2.5</v>", "<v> -2.5 </v>"),
    "number with an underscore": (SHEET, "<v>61</v>", "<v>1_000</v>"),
    "infinite number": (SHEET, "<v>-2.5</v>", "<v>1e999</v>"),
    "Arabic digits": (SHEET, "<v>61</v>", "<v>\u0661</v>"),
    "negative text number": (SHEET, '<c r="A1" s="1" t="s"><v>0</v>', '<c r="A1" s="1" t="s"><v>-1</v>'),
    "date in ISO form": (SHEET, '<c r="A3" t="b"><v>1</v>', '<c r="A3" t="d"><v>2024-03-01T10:00:00</v>'),
    "date out of range": (SHEET, "<v>45352.5</v>", "<v>-1E9</v>"),
    "date of infinite size": (SHEET, "<v>45352.5</v>", "<v>1E999</v>"),
    "cell without a place": (SHEET, '<c r="B2">', "<c>"),
    "row without a number": (SHEET, '<row r="2" spans="1:7">', "<row>"),
    "cell in another row": (SHEET, '<c r="B2">', '<c r="B9">'),
    "cell twice": (SHEET, '<c r="B2"><v>-2.5</v></c>', '<c r="A2"><v>-2.5</v></c>'),
    "date twice": (SHEET, '<c r="B4" s="2"><v>61</v></c>', '<c r="A4"><v>1</v></c>'),
    "lower case place": (SHEET, '<c r="B2">', '<c r="b2">'),
    "cell of no known type": (SHEET, '<c r="B2"><v>-2.5', '<c r="B2" t="mood"><v>-2.5'),
    "value before the formula": (SHEET, "<f>1+1</f><v>2</v>", "<v>2</v><f>1+1</f>"),
    "two values": (SHEET, "<v>-2.5</v>", "<v>1</v><v>-2.5</v>"),
    "text in a cell": (SHEET, "<v>-2.5</v>", "4<v>-2.5</v>"),
    "inline text": (SHEET, '<c r="B2"><v>-2.5</v>', '<c r="B2" t="inlineStr"><is><t>a&amp;b</t></is>'),
    "inline blanks": (SHEET, '<c r="B2"><v>-2.5</v>', '<c r="B2" t="inlineStr"><is><t>  </t></is>'),
    "empty inline text": (SHEET, '<c r="B2"><v>-2.5</v>', '<c r="B2" t="inlineStr"><is><t/></is>'),
    "rich inline text": (SHEET, '<c r="B2"><v>-2.5</v>', '<c r="B2" t="inlineStr"><is><r><t>a</t></r></is>'),
    "carriage returns": (SHEET, "<v>ab</v>", "<v>a\r\nb&#13;</v>"),
    "character by number": (SHEET, "<v>ab</v>", "<v>&#97;&#x62;</v>"),
    "attributes that say nothing": (SHEET, '<c r="B2">', '<c r="B2" cm="1" vm="2" ph="1">'),
    "comment of XML": (SHEET, "<v>-2.5</v>", "<!-- --><v>-2.5</v>"),
    "CDATA": (SHEET, "<v>ab</v>", "<v><![CDATA[<&>]]></v>"),
    "processing instruction": (SHEET, "<sheetData>", "<?x y?><sheetData>"),
    "another prefix": (SHEET, "<v>-2.5</v>", f'<x:v xmlns:x="{MAIN}">-2.5</x:v>'),
    "row outside of the rows": (SHEET, "<pageMargins", '<row r="90"><c r="A90"><v>1</v></c></row><pageMargins'),
    "row outside of no rows": (
        "xl/worksheets/sheet3.xml",
        "<sheetData/>",
        '<sheetData/><row r="90"><c r="A90"><v>1</v></c></row>',
    ),
    "row in an extension": (
        SHEET,
        "<pageMargins",
        f'<extLst><ext uri="u" xmlns:x="{MAIN[:-1]}&#110;"><x:row r="90"><x:c r="A90"><x:v>1</x:v></x:c></x:row></ext>'
        "</extLst><pageMargins",
    ),
    "rows twice": (SHEET, "</sheetData>", '</sheetData><sheetData><row r="9"><c r="A9"><v>1</v></c></row></sheetData>'),
    "ranges that overlap": (SECOND, '<mergeCell ref="A3:A4"/>', '<mergeCell ref="B2:E4"/>'),
    "ranges twice": (SECOND, "</mergeCells>", '</mergeCells><mergeCells><mergeCell ref="E1:E3"/></mergeCells>'),
    "ranges of another kind": (SECOND, '<mergeCells count="2">', '<mergeCells count="2" xmlns="other">'),
    "range beyond the cells": (SECOND, '<mergeCell ref="A3:A4"/>', '<mergeCell ref="J50:K51"/>'),
    "range of one cell": (SECOND, '<mergeCell ref="A3:A4"/>', '<mergeCell ref="A3"/>'),
    "hyperlink on an empty cell": (SECOND, 'ref="A6" r:id', 'ref="Z40" r:id'),
    "hyperlink on a hidden cell": (SECOND, 'ref="A6" r:id', 'ref="B2" r:id'),
    "hyperlink on a range": (SECOND, 'ref="A6" r:id', 'ref="A6:B9" r:id'),
    "two hyperlinks on an empty cell": (
        SECOND,
        'ref="A6" r:id="rId1"/>',
        'ref="K9" location=""/><hyperlink ref="K9"/>',
    ),
    "comment in the last row": ("xl/comments1.xml", 'ref="H30"', 'ref="H1048576"'),
    "format in a format": (STYLES, '<alignment horizontal="center"/>', '<xf numFmtId="14"/>'),
    "number in another attribute": (
        STYLES,
        '<xf numFmtId="164"',
        '<xf xmlns:y="z" y:a=\' numFmtId="0"\' y:b=">" numFmtId="164"',
    ),
    "format of another number": (STYLES, '<xf numFmtId="164"', '<xf numFmtId=" 14 "'),
    "format that is built in": (STYLES, '<xf numFmtId="164"', '<xf numFmtId="14"'),
    "format that is not there": (STYLES, '<xf numFmtId="164"', '<xf numFmtId="999"'),
    "format code that is built in": (STYLES, 'formatCode="yyyy-mm-dd"', 'formatCode="General"'),
    "number format twice": (STYLES, 'numFmtId="165"', 'numFmtId="164"'),
    "fonts that are not there": (STYLES, '<xf numFmtId="164" fontId="0"', '<xf numFmtId="164" fontId="77"'),
    "sheet twice": (BOOK, 'name="Empty" sheetId="3" r:id="rId3"', 'name="Again" sheetId="3" r:id="rId1"'),
    "titles that differ in case": (BOOK, 'name="Empty"', 'name="DATA"'),
    "sheets with a prefix": (
        BOOK,
        "</sheets>",
        '</sheets><x:sheets xmlns:x="y"><sheet name="Other" sheetId="1" r:id="rId1"/></x:sheets>',
    ),
    "hidden sheet": (BOOK, 'name="Empty"', 'name="Empty" state="veryHidden"'),
    "part that is not there": (LINKS, "sheet3.xml", "sheet9.xml"),
    "empty text": (TEXTS, "<t>Item</t>", "<t/>"),
    "no text": (TEXTS, "<t>Item</t>", ""),
    "phonetic text": (TEXTS, "<t>Item</t>", '<t>Item</t><rPh sb="0" eb="1"><t>i</t></rPh><phoneticPr fontId="1"/>'),
    "blanks between the texts": (TEXTS, "<si>", "\n<si>"),
    "white space around the rows": (SHEET, '<row r="2"', '\n  <row r="2"'),
    "another encoding": (SHEET, 'encoding="UTF-8"', 'encoding="iso-8859-1"'),
}


@pytest.mark.parametrize("epoch_1904", [False, True])
def test_what_programs_write_is_read_fast(epoch_1904: bool) -> None:
    assert is_fast(rich_workbook(epoch_1904))


def test_what_openpyxl_writes_is_read_fast() -> None:
    book = opened_in_full(RICH)
    assert book is not None
    content = BytesIO()
    book.save(content)

    assert is_fast(content.getvalue())


def test_the_sample_is_read_fast() -> None:
    workbooks = sorted(bundled("tasks/sample/spreadsheet").rglob("*.xlsx"))

    assert workbooks
    assert [workbook for workbook in workbooks if not is_fast(workbook.read_bytes())] == []


@pytest.mark.parametrize(("part", "old", "new"), REFUSED.values(), ids=REFUSED)
def test_what_openpyxl_refuses_is_left_to_it(part: str, old: str, new: str) -> None:
    damaged = edited(RICH, part, old, new)

    assert opened_in_full(damaged) is None
    assert not is_fast(damaged)
    with pytest.raises(DataError, match="not readable"):
        open_values(damaged)


@pytest.mark.parametrize(("part", "old", "new"), OPENED.values(), ids=OPENED)
def test_what_openpyxl_opens_has_its_values(part: str, old: str, new: str) -> None:
    odd = edited(RICH, part, old, new)

    assert opened_in_full(odd) is not None
    is_fast(odd)


@pytest.mark.parametrize("part", sorted(parts_of(RICH)))
def test_a_missing_part(part: str) -> None:
    parts = parts_of(RICH)
    del parts[part]

    is_fast(packed(parts))


@pytest.mark.parametrize("part", [SHEET, STYLES, TEXTS, CORE, "xl/theme/theme1.xml"])
def test_a_part_with_a_wrong_checksum(part: str) -> None:
    content = packed(parts_of(RICH))
    start = content.index(parts_of(RICH)[part][-20:])
    damaged = content[:start] + b"?" + content[start + 1 :]

    assert opened_in_full(damaged) is None
    assert not is_fast(damaged)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32))
def test_a_mutated_workbook_is_read_as_openpyxl_reads_it(seed: int) -> None:
    is_fast(mutated(RICH, random.Random(seed)))


def test_a_comparison_of_a_file_that_only_openpyxl_reads() -> None:
    odd = edited(RICH, SHEET, "<v>-2.5</v>", "<!-- --><v>-2.5</v>")

    assert not is_fast(odd)
    assert compare_workbooks(RICH, odd, "A1:G2,D3:G6").passed
    assert compare_workbooks(odd, RICH, "'Data'!A4:G6,'Décor & co'!A:H", "trace2skill").passed
    assert not compare_workbooks(odd, RICH, "C3").passed, "nan equals nothing"


def test_only_a_block_is_read() -> None:
    sheet = read_sheets(RICH)["Data"]

    assert sheet.values(Block(1, 2, 2, 3)) == {(1, 2): 1, (2, 2): -2.5, (1, 3): True, (2, 3): False}
    assert sheet.values(Block(16_384, 1, 18_278, 2_000_000)) == {(16_384, 1_048_576): "last"}
    assert sheet.values(Block(3, 4, 2, 5)) == {}


def test_a_link_stands_in_for_an_empty_cell() -> None:
    odd = edited(RICH, SECOND, 'ref="A7" location', 'ref="C9" location')
    sheet = read_sheets(odd)["Décor & co"]

    assert sheet.values(Block(3, 9, 3, 9)) == {(3, 9): "Data!A1"}
    assert sheet.values(Block(3, 10, 3, 10)) == {}


def test_large_workbooks_are_left_to_openpyxl(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "MAX_UNPACKED", 1000)

    with pytest.raises(Unusual):
        read_sheets(RICH)


def test_results_are_remembered_and_exceptions_are_not() -> None:
    calls = []

    @once
    def parse(xml: bytes) -> int:
        calls.append(xml)
        return xml.index(b"1")

    assert [parse(b"1"), parse(b"1"), parse(b"01")] == [0, 0, 1]
    for _ in range(2):
        with pytest.raises(ValueError, match="not found"):
            parse(b"x")
    assert parse(b"0" * 40_000 + b"1") == parse(b"0" * 40_000 + b"1") == 40_000
    assert [len(call) for call in calls] == [1, 2, 1, 1, 40_001, 40_001]


def test_an_empty_workbook() -> None:
    content = BytesIO()
    Workbook().save(content)

    assert is_fast(content.getvalue())
    assert SHEET_LINKS not in parts_of(content.getvalue())
    assert SECOND_LINKS in parts_of(RICH)
