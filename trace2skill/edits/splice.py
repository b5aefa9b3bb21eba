"""Put lines into a document so that it stays sane Markdown, and remember where every line comes from."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from trace2skill.skill.sections import BOM, Document

_BULLET = re.compile(r"^\s*[-*+](?:\s|$)")
_ORDERED = re.compile(r"^\s*\d{1,9}[.)](?:\s|$)")
_RULE = re.compile(r"^ {0,3}([-*_])[ \t]*(?:\1[ \t]*){2,}$")


@dataclass(frozen=True, kw_only=True)
class Splice:
    """Lines that take the place of a span of a document; an empty span makes it an insertion."""

    start: int
    end: int
    text: tuple[str, ...]
    owner: str
    """Id of the edit."""
    gap: bool = True
    """Whether blank lines may be put around the text where Markdown wants them."""


class Line(NamedTuple):
    """One line of the result."""

    text: str
    owner: str | None
    """Id of the edit that brought the line; None for a line of the original."""
    origin: int | None
    """Number of the line in the original; None for a new one."""


def splice(document: Document, splices: Sequence[Splice]) -> list[Line]:
    """Apply splices whose spans do not overlap.

    Insertions at one point keep their given order and precede what replaces the lines after the point. A blank line
    separates an inserted block from its neighbours, except within a list, table or quotation that it continues. Where
    the end of the document goes, the blank lines before it go too.
    """
    writer = _Writer(document)
    position = 0
    for one in sorted(splices, key=lambda one: (one.start, one.end > one.start)):
        writer.keep(position, one.start)
        writer.insert(one)
        position = one.end
    writer.keep(position, len(document.lines))
    ends_in_text = bool(document.lines) and bool(document.lines[-1].strip())
    while ends_in_text and writer.lines and not writer.lines[-1].text.strip():
        writer.lines.pop()
    return writer.lines


def encode(document: Document, lines: Sequence[Line]) -> bytes:
    """The bytes of a changed document: its own line endings and its own habit of ending the last line or not."""
    ended = not document.lines or document.endings[-1] != ""
    parts = [BOM] if document.bom else []
    for number, line in enumerate(lines, start=1):
        ending = document.endings[line.origin] if line.origin is not None else document.newline
        parts += [line.text, ending or document.newline]
        if number == len(lines) and not ended:
            parts.pop()
    return "".join(parts).encode()


def list_kind(line: str) -> str:
    """`bullet` or `ordered` for a line that starts a list item, else empty."""
    if _RULE.match(line):
        return ""
    return "bullet" if _BULLET.match(line) else "ordered" if _ORDERED.match(line) else ""


class _Writer:
    def __init__(self, document: Document) -> None:
        self.lines: list[Line] = []
        self._document = document
        self._last: Splice | None = None

    def keep(self, start: int, end: int) -> None:
        """Copy lines of the original."""
        if start >= end:
            return
        if self._last and self._last.gap:
            self._separate(self._document.lines[start], self._last.owner)
        self._last = None
        self.lines += [Line(self._document.lines[number], None, number) for number in range(start, end)]

    def insert(self, one: Splice) -> None:
        """Write new lines."""
        if one.text:
            if one.gap or (self._last and self._last.gap):
                self._separate(one.text[0], one.owner)
            self.lines += [Line(text, one.owner, None) for text in one.text]
        self._last = one

    def _separate(self, following: str, owner: str) -> None:
        if not self.lines or not following.strip() or not self.lines[-1].text.strip():
            return
        last = self.lines[-1].text
        if any(last.lstrip().startswith(mark) and following.lstrip().startswith(mark) for mark in "|>"):
            return
        kind = self._open_list()
        if kind and (list_kind(following) == kind or following.startswith("  ")):
            return
        self.lines.append(Line("", owner, None))

    def _open_list(self) -> str:
        """Kind of the list whose item the last line belongs to."""
        for line in reversed(self.lines):
            if kind := list_kind(line.text):
                return kind
            if not line.text[:1].isspace():
                return ""
        return ""
