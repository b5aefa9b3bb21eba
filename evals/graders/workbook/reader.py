"""A workbook's worksheets, read in the order in which `openpyxl.reader.excel.ExcelReader.read` does."""

import re
import zipfile
from io import BytesIO
from typing import Any

from openpyxl.comments.comment_sheet import CommentSheet
from openpyxl.packaging.relationship import RelationshipList, get_rels_path
from openpyxl.pivot.table import TableDefinition
from openpyxl.reader.drawings import find_images
from openpyxl.utils import column_index_from_string
from openpyxl.utils.datetime import CALENDAR_MAC_1904, WINDOWS_EPOCH
from openpyxl.workbook.child import INVALID_TITLE_REGEX
from openpyxl.worksheet.hyperlink import HyperlinkList
from openpyxl.worksheet.table import Table, TablePartList
from openpyxl.xml.constants import ARC_CONTENT_TYPES, ARC_CORE, ARC_CUSTOM, ARC_STYLE, ARC_THEME, COMMENTS_NS, REL_NS

from evals.graders.answer_position import Block
from evals.graders.workbook.cells import Place, Shared, Sheet, Texts, check_rows, covers, merged_ranges, split_rows
from evals.graders.workbook.parts import (
    check_external_link,
    check_properties,
    check_sheet,
    read_manifest,
    read_package,
    read_relations,
    read_styles,
)
from evals.graders.workbook.pieces import Unusual, read_as, read_document, silenced

__all__ = ["read_sheets"]

MAX_UNPACKED = 1 << 28
"""Bytes: larger workbooks are left to openpyxl, which reads a sheet bit by bit."""

_DRAWING = f"{REL_NS}/drawing"
_MAX_TEXT = 32_767
_SPECIAL = frozenset({b"mergeCells", b"tableParts", b"hyperlinks"})
_CELL_NAME = re.compile(r"([A-Z]{1,3})([1-9]\d{0,5})")


def read_sheets(content: bytes) -> dict[str, Sheet]:
    """The worksheets of a workbook by name, in order.

    Args:
        content: The workbook.

    Raises:
        Exception: The workbook is unusual, or is none; which of the two, openpyxl has to say.
    """
    with silenced(), zipfile.ZipFile(BytesIO(content)) as archive:
        if sum(member.file_size for member in archive.infolist()) > MAX_UNPACKED:
            raise Unusual("size")
        return _Reader(archive).read()


class _Reader:
    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._names = frozenset(archive.namelist())
        self._tables: set[str] = set()

    def read(self) -> dict[str, Sheet]:
        path, texts_path = read_manifest(self._archive.read(ARC_CONTENT_TYPES))
        texts = Texts(self._archive.read(texts_path)) if texts_path else ()
        package = read_package(self._archive.read(path))
        links = self._relations(path).to_dict()
        if b"pivotCaches" in package:
            raise Unusual("pivot tables")
        if b"externalReferences" in package:
            for reference in package[b"externalReferences"].externalReferences:
                check_external_link(self._archive, links[reference.id].target)
        self._check_properties()
        old = b"workbookPr" in package and package[b"workbookPr"].properties.date1904
        epoch = CALENDAR_MAC_1904 if old else WINDOWS_EPOCH
        shared = Shared(texts, read_styles(self._archive.read(ARC_STYLE)), epoch)
        sheets = package[b"sheets"].sheets
        _check_titles([sheet.name for sheet in sheets])
        return {sheet.name: self._sheet(sheet.name, links[sheet.id], shared) for sheet in sheets}

    def _relations(self, path: str) -> RelationshipList:
        path = _relations_path(path)
        return read_relations(path, self._archive.read(path))

    def _check_properties(self) -> None:
        if ARC_CORE in self._names:
            check_properties(self._archive.read(ARC_CORE), custom=False)
        if ARC_CUSTOM in self._names:
            check_properties(self._archive.read(ARC_CUSTOM), custom=True)
        if ARC_THEME in self._names:
            self._archive.read(ARC_THEME)

    def _sheet(self, title: str, link: Any, shared: Shared) -> Sheet:
        path = link.target
        if "chartsheet" in link.Type or path not in self._names:
            raise Unusual("sheet without cells")
        document = read_document(self._archive.read(path), b"worksheet")
        rows, rest = split_rows(document.body)
        check_rows(rows, shared)
        special = {
            name: document.holding(b"worksheet", piece) if name != b"mergeCells" else piece
            for name, piece in check_sheet(document, rest, shared.styles, _SPECIAL).items()
        }
        merged = merged_ranges(special[b"mergeCells"]) if b"mergeCells" in special else []
        relations = self._relations(path) if _relations_path(path) in self._names else RelationshipList()
        added: dict[Place, str | None] = {}
        if b"hyperlinks" in special:
            added |= _linked(special[b"hyperlinks"], relations, merged)
        for place in self._commented(relations):
            added.setdefault(place, None)
        if b"tableParts" in special:
            self._check_tables(special[b"tableParts"], relations)
        self._check_drawings(relations)
        return Sheet(title=title, document=document, rows=rows, merged=merged, added=added, shared=shared)

    def _commented(self, relations: RelationshipList) -> list[Place]:
        """The cells with a comment, which openpyxl makes if they are not there."""
        parts = [self._archive.read(link.target) for link in relations.find(COMMENTS_NS)]
        return [_place(name) for part in parts for name, _ in read_as(CommentSheet, part).comments]

    def _check_tables(self, xml: bytes, relations: RelationshipList) -> None:
        """Reads tables, whose names must differ in more than case."""
        for part in read_as(TablePartList, xml, inside=True).tablePart:
            table = read_as(Table, self._archive.read(relations.get(part.id).target))
            if table.name.lower() in self._tables:
                raise Unusual("name of a table")
            self._tables.add(table.name.lower())

    def _check_drawings(self, relations: RelationshipList) -> None:
        for link in relations.find(_DRAWING):
            find_images(self._archive, link.target)
        if any(relations.find(TableDefinition.rel_type)):
            raise Unusual("pivot tables")


def _relations_path(path: str) -> str:
    return str(get_rels_path(path))  # type: ignore[no-untyped-call]


def _check_titles(titles: list[str]) -> None:
    """Some characters are refused, and sheets whose names differ in case only are renamed."""
    if not titles or len({title.lower() for title in titles}) != len(titles):
        raise Unusual("names of sheets")
    if not all(title and not INVALID_TITLE_REGEX.search(title) for title in titles):
        raise Unusual("name of a sheet")


def _linked(xml: bytes, relations: RelationshipList, merged: list[Block]) -> dict[Place, str | None]:
    """Cells with a hyperlink, and what `Cell.hyperlink` writes into the empty ones."""
    found: dict[Place, str | None] = {}
    for link in read_as(HyperlinkList, xml, inside=True).hyperlink:
        place = _place(link.ref)
        text = (relations.get(link.id).Target if link.id else link.target) or link.location
        if any(covers(block, place) for block in merged) or len(text or "") > _MAX_TEXT:
            raise Unusual("hyperlink")
        if found.get(place) is None:
            found[place] = text
    return found


def _place(name: str) -> Place:
    cell = _CELL_NAME.fullmatch(name)
    if cell is None:
        raise Unusual("name of a cell")
    return column_index_from_string(cell[1]), int(cell[2])
