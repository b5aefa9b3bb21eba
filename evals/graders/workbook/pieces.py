"""A workbook's XML as pieces of text that are shown to openpyxl's own classes, each distinct one once.

openpyxl judges nearly every element by itself: a font, a named style, a sheet view. So an element that was accepted in
a document of its own need only be looked up when it comes again, in the same workbook or in a later one. Values that do
not matter to openpyxl, such as the number of a font, are levelled before, so that more elements are alike.
"""

import re
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache, wraps
from typing import Any, NamedTuple, ParamSpec, TypeVar
from xml.parsers import expat

from openpyxl.xml.functions import fromstring

__all__ = [
    "Document",
    "Unusual",
    "check_numbers",
    "children",
    "levelled",
    "once",
    "read_as",
    "read_document",
    "silenced",
]

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

_REMEMBERED = 2048
"""Number of results that each function remembers."""

_SHORT = 1 << 15
"""Bytes of XML up to which its result is remembered."""

_NESTED = 100
"""Elements of one name that may lie in each other."""

_MAIN = b"http://schemas.openxmlformats.org/spreadsheetml/2006/main"

_ROOT = re.compile(
    rb"(?:<\?xml version=[\"']1\.0[\"'](?: encoding=[\"'](?i:utf-8)[\"'])?"
    rb"(?: standalone=[\"'](?:yes|no)[\"'])?\s*\?>\s*)?"
    rb'<([A-Za-z]+)((?:\s+[\w:.-]+="[^"<>&]*")*)\s*>'
)
_DECLARATION = re.compile(rb'\sxmlns(?::([\w.-]+))?="[^"]*"')
_PLAIN_ATTRIBUTE = re.compile(rb'\s(?!xmlns=)([\w.-]+)="')
_OTHER_DECLARATION = re.compile(rb"\sxmlns\s*=|\sxmlns:[\w.-]+\s*=\s*(?:\"[^\"<]*&|'[^'<]*&)")
_TAG = re.compile(rb"\s*<([A-Za-z][\w:.-]*)(?:\s[^<>]*)?/?>")

_FORMAT_NUMBERS = [(re.compile(rb'Id="\d{1,8}"'), b'Id="0"')]
_LEVELLED = {
    b"dimension": [(re.compile(rb' ref="[^"<>]*"'), b' ref="A1"')],
    b"sheetViews": [
        (re.compile(rb' activeCell="[^"<>]*"'), b' activeCell="A1"'),
        (re.compile(rb' sqref="[^"<>]*"'), b' sqref="A1"'),
        (re.compile(rb' topLeftCell="[^"<>]*"'), b' topLeftCell="A1"'),
        (re.compile(rb' zoomScale="\d{1,8}"'), b' zoomScale="100"'),
        (re.compile(rb' zoomScaleNormal="\d{1,8}"'), b' zoomScaleNormal="100"'),
        (re.compile(rb'Split="\d{1,8}"'), b'Split="1"'),
    ],
    b"sheetFormatPr": [
        (re.compile(rb' defaultColWidth="\d{1,8}(?:\.\d{1,20})?"'), b' defaultColWidth="9"'),
        (re.compile(rb' defaultRowHeight="\d{1,8}(?:\.\d{1,20})?"'), b' defaultRowHeight="9"'),
    ],
    b"cols": [
        (re.compile(rb' min="[1-9]\d{0,3}"'), b' min="1"'),
        (re.compile(rb' max="\d{1,8}"'), b' max="1"'),
        (re.compile(rb' width="\d{1,8}(?:\.\d{1,20})?"'), b' width="9"'),
    ],
    b"bookViews": [
        (re.compile(rb'Window="-?\d{1,8}"'), b'Window="0"'),
        (re.compile(rb' windowWidth="\d{1,8}"'), b' windowWidth="0"'),
        (re.compile(rb' windowHeight="\d{1,8}"'), b' windowHeight="0"'),
        (re.compile(rb' activeTab="\d{1,8}"'), b' activeTab="0"'),
    ],
    b"cellStyleXfs": _FORMAT_NUMBERS,
    b"cellXfs": _FORMAT_NUMBERS,
    b"cellStyles": [*_FORMAT_NUMBERS, (re.compile(rb' name="[^"<>]*"'), b' name="x"')],
}
"""By element, attributes in it whose value is to openpyxl as good as any other that the pattern allows."""

# `warnings.catch_warnings` changes state of the whole process, so threads must take turns.
_opening = threading.Lock()


class Unusual(Exception):
    """The workbook has something that only openpyxl itself can judge."""


class Document(NamedTuple):
    """The XML of a part: the namespaces that its root declares, by prefix, and what is in the root."""

    declarations: list[tuple[bytes, bytes]]
    body: bytes

    def declared(self, xml: bytes) -> bytes:
        """Declarations of the namespaces that the XML may need."""
        return b"".join([text for prefix, text in self.declarations if not prefix or prefix + b":" in xml])

    def holding(self, root: bytes, xml: bytes) -> bytes:
        """A document with other content."""
        return b"<%s%s>%s</%s>" % (root, self.declared(xml), xml, root)


@contextmanager
def silenced() -> Iterator[None]:
    """No warnings from openpyxl, which has one for each feature that it would not keep on saving."""
    with _opening, warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="openpyxl")
        yield


def once(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Remembers a function's results for short XML; exceptions are not remembered.

    Its arguments are XML and names, all as bytes or text.
    """
    remembered = lru_cache(maxsize=_REMEMBERED)(function)

    @wraps(function)
    def call(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        # Text and bytes, all of them, have a length.
        short = sum(map(len, args)) <= _SHORT  # type: ignore[arg-type]
        return remembered(*args, **kwargs) if short else function(*args, **kwargs)  # type: ignore[arg-type]

    return call


def read_as(kind: Any, xml: bytes, inside: bool = False) -> Any:
    """What one of openpyxl's classes makes of XML, or of the first element inside of it.

    All is `Any` here, since the published types of `from_tree` are not those of the values that it takes and gives.
    """
    root = fromstring(xml)
    return kind.from_tree(root[0] if inside else root)


def read_document(xml: bytes, root: bytes, attributes: frozenset[bytes] = frozenset()) -> Document:
    """Takes a part apart after checking that it is well-formed and can be treated as text.

    Args:
        xml: The part.
        root: Name of its root.
        attributes: Those that the root may have beside namespaces and others with a prefix.

    Raises:
        Unusual: It holds a comment, CDATA or a document type, is not in UTF-8, or has the main namespace in any other
            way than as the default one declared at the root.
        ExpatError: It is not well-formed.
    """
    start = _ROOT.match(xml)
    if start is None or start[1] != root or b"<!" in xml or xml.find(b"<?", start.start(1)) >= 0:
        raise Unusual("document is not of the plain kind")
    if not attributes.issuperset(_PLAIN_ATTRIBUTE.findall(start[2])):
        raise Unusual("attributes of the root")
    default = b' xmlns="%s"' % _MAIN in start[2] and xml.count(_MAIN) == 1
    inside = xml.find(b"xmlns", start.end())
    if not default or (inside >= 0 and _OTHER_DECLARATION.search(xml, inside - 1)):
        raise Unusual("main namespace is not declared once, at the root")
    expat.ParserCreate(namespace_separator=" ").Parse(xml, True)
    declarations = sorted((found[1] or b"", found[0]) for found in _DECLARATION.finditer(start[2]))
    return Document(declarations, xml[start.end() : xml.rindex(b"</" + root)])


def children(body: bytes, unique: bool = False) -> Iterator[tuple[bytes, bytes]]:
    """Name and XML of each element in the content of another.

    Raises:
        Unusual: There is text between them, or, if they must be unique, a name comes twice.
    """
    at, end = 0, len(body.rstrip())
    names = set()
    while at < end:
        tag = _TAG.match(body, at)
        if tag is None or (unique and tag[1] in names):
            raise Unusual("text between elements, or an element that comes twice")
        names.add(tag[1])
        at, begin = tag.end(), tag.start(1) - 1
        if not body.startswith(b"/", at - 2):
            at = _end_of_element(body, begin, tag[1])
        yield tag[1], body[begin:at]


def _end_of_element(body: bytes, begin: int, name: bytes) -> int:
    close, opening, with_attributes = b"</%s>" % name, b"<%s>" % name, b"<%s " % name
    end = begin
    # An element may lie in another of its name, though hardly in many.
    for _ in range(_NESTED):
        end = body.index(close, end) + len(close)
        if body.count(opening, begin, end) + body.count(with_attributes, begin, end) <= body.count(close, begin, end):
            return end
    raise Unusual("elements nested too deep")


def levelled(name: bytes, piece: bytes) -> bytes:
    """An element of which all are alike that are alike to openpyxl."""
    for attributes, value in _LEVELLED.get(name, ()):
        piece = attributes.sub(value, piece)
    return piece


def check_numbers(xml: bytes, attribute: bytes, count: int) -> None:
    """Each value of the attribute must be the number, from 0, of one of `count` elements."""
    numbers = set(re.findall(rb' %s="([^"]*)"' % attribute, xml))
    if not all(number.isdigit() and int(number) < count for number in numbers):
        raise Unusual("number of an element that does not exist")
