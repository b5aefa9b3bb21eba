"""Whether openpyxl opens the parts of a workbook other than its rows.

Every function mirrors a step of `openpyxl.reader.excel.ExcelReader.read`; where that gives elements to a class, so
does the function, but each distinct element once. Where elements refer to each other by number, the numbers are checked
here.

Nothing here decides that a workbook cannot be opened. Whatever is unusual, or refused by openpyxl's classes, raises
some exception; then the whole workbook is to be opened with openpyxl, which decides.
"""

import re
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from io import BytesIO
from types import SimpleNamespace
from typing import Any
from xml.parsers import expat
from zipfile import ZipFile

from openpyxl import Workbook
from openpyxl.packaging.core import DocumentProperties
from openpyxl.packaging.custom import CustomPropertyList
from openpyxl.packaging.manifest import Manifest
from openpyxl.packaging.relationship import RelationshipList, get_dependents
from openpyxl.packaging.workbook import WorkbookPackage
from openpyxl.styles.borders import Border
from openpyxl.styles.cell_style import CellStyle
from openpyxl.styles.differential import DifferentialStyle
from openpyxl.styles.fills import Fill
from openpyxl.styles.fonts import Font
from openpyxl.styles.named_styles import _NamedCellStyle
from openpyxl.styles.numbers import builtin_format_code, is_date_format, is_timedelta_format
from openpyxl.styles.stylesheet import Stylesheet
from openpyxl.workbook.external_link.external import read_external_link
from openpyxl.worksheet._reader import WorksheetReader
from openpyxl.worksheet.print_settings import PrintArea, PrintTitles
from openpyxl.worksheet.worksheet import Worksheet
from openpyxl.xml.constants import SHARED_STRINGS, XLSM, XLSX, XLTM, XLTX

from evals.graders.workbook.pieces import (
    Document,
    Unusual,
    check_numbers,
    children,
    levelled,
    once,
    read_as,
    read_document,
)

__all__ = [
    "Styles",
    "check_external_link",
    "check_properties",
    "check_sheet",
    "read_manifest",
    "read_package",
    "read_relations",
    "read_styles",
]

# --- the package and the workbook ------------------------------------------------------------------------------------


@once
def read_manifest(xml: bytes) -> tuple[str, str | None]:
    """Paths of the workbook's part and of the table of texts, if there is one."""
    manifest = read_as(Manifest, xml)
    texts = manifest.find(SHARED_STRINGS)
    book = next(filter(None, map(manifest.find, (XLTM, XLTX, XLSM, XLSX))))
    return book.PartName[1:], texts.PartName[1:] if texts is not None else None


@once
def read_relations(path: str, xml: bytes) -> RelationshipList:
    """What a part refers to, as the file at the path says."""
    return get_dependents(_archive_with(xml), path)


def _archive_with(xml: bytes) -> Any:
    return SimpleNamespace(read=lambda path: xml)


_TEXT_PROPERTY = re.compile(rb"<((?:dc:creator|cp:lastModifiedBy|vt:lpwstr)>)[^<>&]*</")
_TIME_PROPERTY = re.compile(
    rb">20\d\d-(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30))"
    rb"T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\dZ<"
)


def check_properties(xml: bytes, custom: bool) -> None:
    """Reads `docProps/core.xml` or `docProps/custom.xml`, where a text or valid time is as good as any other."""
    expat.ParserCreate(namespace_separator=" ").Parse(xml, True)
    alike = _TIME_PROPERTY.sub(b">2000-01-01T00:00:00Z<", _TEXT_PROPERTY.sub(rb"<\1x</", xml))
    (_custom_properties if custom else _core_properties)(alike)


@once
def _core_properties(xml: bytes) -> None:
    read_as(DocumentProperties, xml)


@once
def _custom_properties(xml: bytes) -> None:
    read_as(CustomPropertyList, xml)


def read_package(xml: bytes) -> dict[bytes, Any]:
    """The elements of `xl/workbook.xml` by name, each in a package of its own."""
    document = read_document(xml, b"workbook")
    return {
        name: _package(document.holding(b"workbook", levelled(name, piece)))
        for name, piece in children(document.body, unique=True)
        if _is_known(name, WorkbookPackage)
    }


def _is_known(name: bytes, kind: type) -> bool:
    """Whether `Serialisable.from_tree` looks into an element, which it does whatever the namespace is."""
    prefix, _, local = name.rpartition(b":")
    known = hasattr(kind, local.decode())
    if known and prefix:
        raise Unusual("known element with a prefix")
    return known


@once
def _package(xml: bytes) -> Any:
    """Reads an element of the workbook, and the names that it defines as `WorkbookParser.assign_names` does."""
    package = read_as(WorkbookPackage, xml)
    scopes = package.definedNames.by_sheet() if package.definedNames else {}
    for name in [name for scope, names in scopes.items() if scope != "global" for name in names.values()]:
        if name.is_reserved == "Print_Titles":
            PrintTitles.from_string(name.value)
        elif name.is_reserved == "Print_Area":
            PrintArea.from_string(name.value)
    if not isinstance(package.active, int):
        raise Unusual("no number of an active sheet")
    return package


_EXTERNAL_CELL = (
    rb'<cell r="[A-Z]{1,3}\d{1,7}"(?: t="(?:str|e|b|n)")?(?: vm="\d{1,8}")?(?:/>|>(?:<v>[^<]*</v>)?</cell>)'
)
_EXTERNAL_ROW = re.compile(rb'<row r="\d{1,7}">(?:' + _EXTERNAL_CELL + rb")++</row>")


def check_external_link(archive: ZipFile, path: str) -> None:
    """Reads a link to another workbook without the usual ones among the rows that were saved with it."""
    xml = archive.read(path)
    expat.ParserCreate(namespace_separator=" ").Parse(xml, True)
    parts = {path: _EXTERNAL_ROW.sub(b"", xml)} if b"<!" not in xml else {}
    shortened: Any = SimpleNamespace(read=lambda name: parts.get(name) or archive.read(name))
    read_external_link(shortened, path)


# --- styles -----------------------------------------------------------------------------------------------------------

_LISTS: dict[bytes, tuple[bytes, Any]] = {
    b"fonts": (b"font", Font),
    b"fills": (b"fill", Fill),
    b"borders": (b"border", Border),
    b"cellStyleXfs": (b"xf", CellStyle),
    b"cellXfs": (b"xf", CellStyle),
    b"cellStyles": (b"cellStyle", _NamedCellStyle),
    b"dxfs": (b"dxf", DifferentialStyle),
}
"""The long lists of a style sheet, with the name and the class of their elements."""

_LIST_HEAD = re.compile(rb'<\w+(?: count="\d{1,9}"| \w+:\w+="[^"<>]*")*\s*/?>')
_FORMAT = re.compile(rb"<xf(?=[\s/>])[^<>]*>")
_NUMBER_FORMAT = re.compile(rb' numFmtId="(\d{1,8})"')


@dataclass(frozen=True, kw_only=True)
class Styles:
    """What cells may refer to.

    Attributes:
        count: Number of the cell formats.
        formats: XML of their list.
        codes: Codes of the number formats that are not built in.
        differential: Number of the formats for conditional formatting.
    """

    count: int
    formats: bytes
    codes: dict[int, str]
    differential: int

    @cached_property
    def _numbers(self) -> list[int]:
        found = (_NUMBER_FORMAT.search(xf) for xf in _FORMAT.findall(self.formats))
        return [int(number[1]) if number else 0 for number in found]

    def number_format(self, style: int) -> str | None:
        """Code of a cell format's number format, as `Stylesheet._normalise_numbers` finds it."""
        number = self._numbers[style]
        code: str | None = self.codes.get(number, builtin_format_code(number))
        return code

    def is_date(self, style: int) -> bool:
        """Whether openpyxl reads numbers in this format as dates, times or durations."""
        return _is_date_format(self.number_format(style))

    def is_duration(self, style: int) -> bool:
        """Whether openpyxl reads numbers in this format as durations."""
        return _is_timedelta_format(self.number_format(style))


_is_date_format = lru_cache(maxsize=1024)(is_date_format)
_is_timedelta_format = lru_cache(maxsize=1024)(is_timedelta_format)


@once
def read_styles(xml: bytes) -> Styles:
    """Reads `xl/styles.xml` as `apply_stylesheet` does; each of its lists has an element at the least."""
    document = read_document(xml, b"styleSheet")
    found = {name: piece for name, piece in children(document.body, unique=True) if _is_known(name, Stylesheet)}
    counts = dict.fromkeys(_LISTS, 0)
    codes: dict[int, str] = {}
    for name, piece in found.items():
        alike = levelled(name, piece)
        if name in _LISTS:
            counts[name] = _style_list(name, document.declared(alike), alike)
        else:
            codes |= _stylesheet(document.holding(b"styleSheet", alike))
    _check_references(found, counts)
    return Styles(count=counts[b"cellXfs"], formats=found[b"cellXfs"], codes=codes, differential=counts[b"dxfs"])


def _check_references(found: dict[bytes, bytes], counts: dict[bytes, int]) -> None:
    """Fonts and so on must exist: openpyxl looks for those of named styles and of merged cells."""
    if not all(count for name, count in counts.items() if name != b"dxfs"):
        raise Unusual("no styles")
    if len(_FORMAT.findall(found[b"cellXfs"])) != counts[b"cellXfs"]:
        raise Unusual("format inside of another")
    formats = found[b"cellStyleXfs"] + found[b"cellXfs"]
    if b"'" in formats or formats.count(b"<") != formats.count(b">"):
        raise Unusual("attribute that hides others")
    for xml, attribute, count in (
        (formats, b"fontId", counts[b"fonts"]),
        (formats, b"fillId", counts[b"fills"]),
        (formats, b"borderId", counts[b"borders"]),
        (formats, b"numFmtId", 10**8),
        (found[b"cellStyles"], b"xfId", counts[b"cellStyleXfs"]),
    ):
        if xml.count(attribute) != xml.count(b' %s="' % attribute):
            raise Unusual("attribute in an unusual notation")
        check_numbers(xml, attribute, count)


@once
def _style_list(name: bytes, declarations: bytes, piece: bytes) -> int:
    """Reads one of the long lists; gives the number of its elements."""
    head = _LIST_HEAD.match(piece)
    if head is None:
        raise Unusual("attributes of a list")
    items = [] if head[0].endswith(b"/>") else list(children(piece[head.end() : piece.rindex(b"</")]))
    tag, _ = _LISTS[name]
    if any(item != tag for item, _ in items):
        raise Unusual("other element in a list")
    for xml in {xml for _, xml in items}:
        _style_item(name, b"<list%s>%s</list>" % (declarations, xml))
    return len(items)


@once
def _style_item(name: bytes, xml: bytes) -> None:
    """Reads an element of a list, and hashes it where `IndexedList` does."""
    _, kind = _LISTS[name]
    item: Any = read_as(kind, xml, inside=True)
    if not isinstance(item, kind):
        raise Unusual("element of the style sheet")
    if isinstance(item, CellStyle):
        item.to_array()  # type: ignore[no-untyped-call]
        hash((item.alignment, item.protection))
    elif isinstance(item, Font | Fill | Border):
        hash(item)


@once
def _stylesheet(xml: bytes) -> dict[int, str]:
    """Reads an element that is none of the long lists; gives the codes of the number formats in it."""
    stylesheet = read_as(Stylesheet, xml)
    if stylesheet.colors is not None and not isinstance(stylesheet.colors.index, list):
        raise Unusual("colours")
    codes: dict[int, str] = stylesheet.custom_formats
    return codes


# --- worksheets -------------------------------------------------------------------------------------------------------

_DECORATION = re.compile(rb' \w+:(?:uid|dyDescent)="[^"<>]*"')
_STYLE = re.compile(rb' style="\d+"')
_DIFFERENTIAL = re.compile(rb' dxfId="\d+"')


def check_sheet(document: Document, rest: bytes, styles: Styles, special: frozenset[bytes]) -> dict[bytes, bytes]:
    """Reads the elements of a worksheet beside its rows as `WorksheetReader.bind_all` does.

    Args:
        document: The worksheet.
        rest: What is in it beside the rows.
        styles: What it may refer to.
        special: Names of elements that are left to the caller.

    Returns:
        The special ones by name.
    """
    check_numbers(rest, b"style", styles.count)
    check_numbers(rest, b"dxfId", styles.differential)
    rest = _DIFFERENTIAL.sub(b' dxfId="0"', _STYLE.sub(b' style="0"', _DECORATION.sub(b"", rest)))
    found: dict[bytes, bytes] = {}
    for name, piece in children(rest):
        if name in special:
            found[name] = piece
        elif name == b"cols" and piece.startswith(b"<cols>"):
            # openpyxl keeps columns by their number, so that one may hide another: each by itself.
            for _, column in children(levelled(name, piece)[len(b"<cols>") : -len(b"</cols>")]):
                _worksheet(document.holding(b"worksheet", b"<cols>%s</cols>" % column))
        else:
            _worksheet(document.holding(b"worksheet", levelled(name, piece)))
    # A second one, or one inside of another element, would be read as well.
    if any(rest.count(b"<%s" % name) != (name in found) for name in special):
        raise Unusual("special element comes twice")
    return found


@once
def _worksheet(xml: bytes) -> None:
    sheet = Worksheet(_blank_workbook(), "Sheet")
    WorksheetReader(sheet, BytesIO(xml), [], data_only=True, rich_text=False).bind_all()


@cache
def _blank_workbook() -> Any:
    """A workbook with one cell format and one differential format."""
    book: Any = Workbook()
    book._differential_styles.styles = [DifferentialStyle()]
    return book
