"""Find the section or the text that an edit names: exactly, else up to white space, else as one unique near match."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal, TypeVar

from rapidfuzz import fuzz

from trace2skill.errors import PatchError
from trace2skill.skill.sections import Document, Section, bare_key, heading_key

Match = Literal["exact", "loose", "near"]
"""How a place was found: `exact`; `loose` is up to white space (headings: also case, markup and numbering), or a part
of a line; `near` is one unique match of similarity 90 or more."""

NEAR = 90.0
"""Least similarity (0 to 100, rapidfuzz `ratio`) of a near match."""
# Longer texts must be quoted as whole lines: to look for a part of a line or a near match would take seconds.
_MAX_INEXACT = 10_000
# How many places are looked at, and shown, where one is needed.
_MAX_HITS = 10

_UNDERLINE = re.compile(r"\n *(?:=+|-+)$")

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class TextMatch:
    """The lines that hold a text."""

    start: int
    end: int
    match: Match
    before: str = ""
    """What stands before the text on its first line: a part of the line, or the indentation that the text lacks."""
    after: str = ""
    """What stands after the text on its last line."""


def find_section(document: Document, heading: str) -> tuple[Section, Match]:
    """Find the section that a heading opens, given with or without its hash marks.

    Raises:
        PatchError: No section has the heading, or several have it.
    """
    found, match = sections_named(document, heading)
    if not found:
        titles = ", ".join(repr(section.title) for section in document.sections[:20])
        raise PatchError(f"section not found: {heading!r}; the file has {titles or 'no sections'}")
    return _only(found, f"section {heading!r}", (section.start for section in found)), match


def sections_named(document: Document, heading: str) -> tuple[list[Section], Match]:
    """The sections that a heading may mean, under the strictest reading that fits any."""
    wanted = _UNDERLINE.sub("", heading.strip())
    level = len(wanted) - len(wanted.lstrip("#"))
    key = heading_key(wanted)
    if not key:
        return [], "exact"
    tests: tuple[tuple[Match, Callable[[Section], bool]], ...] = (
        ("exact", lambda section: document.lines[section.start].strip() == wanted),
        ("exact", lambda section: section.title == wanted),
        ("loose", lambda section: section.level == level and heading_key(section.title) == key),
        ("loose", lambda section: heading_key(section.title) == key),
        ("loose", lambda section: bare_key(section.title) == bare_key(wanted)),
        ("near", lambda section: _near(heading_key(section.title), key)),
    )
    for match, test in tests:
        if found := [section for section in document.sections if test(section)]:
            return found, match
    return [], "near"


def find_text(document: Document, text: str, start: int, end: int) -> TextMatch:
    """Find lines that hold a text, between two lines of a document.

    Args:
        document: Where to look.
        text: One or several consecutive lines, or a part of them; blank lines around it do not count.
        start: First line to look at.
        end: End of the lines to look at.

    Raises:
        PatchError: The text is empty, is not there, or is there several times.
    """
    wanted = text.replace("\r\n", "\n").strip("\n").split("\n")
    if not text.strip():
        raise PatchError("no text is named to look for")
    for search in (_whole_lines, _loose_lines, _fragment, _near_lines):
        found = search(document.lines, wanted, start, end)
        if found:
            return _only(found, f"text {_short(text)}", (match.start for match in found))
    raise PatchError(f"text not found: {_short(text)}")


def _whole_lines(lines: Sequence[str], wanted: list[str], start: int, end: int) -> list[TextMatch]:
    size = len(wanted)
    return [
        TextMatch(start=first, end=first + size, match="exact")
        for first in range(start, end - size + 1)
        if lines[first] == wanted[0] and list(lines[first : first + size]) == wanted
    ]


def _loose_lines(lines: Sequence[str], wanted: list[str], start: int, end: int) -> list[TextMatch]:
    texts = _normal(wanted)
    return [found for found, shown in _windows(lines, wanted, start, end) if shown == texts]


def _near_lines(lines: Sequence[str], wanted: list[str], start: int, end: int) -> list[TextMatch]:
    joined = "\n".join(_normal(wanted))
    return [
        TextMatch(start=found.start, end=found.end, match="near", before=found.before)
        for found, shown in _windows(lines, wanted, start, end)
        if _near("\n".join(shown), joined)
    ]


def _windows(lines: Sequence[str], wanted: list[str], start: int, end: int) -> Iterable[tuple[TextMatch, list[str]]]:
    """Every run of as many non-blank lines as are wanted, with the lines up to white space."""
    numbers = [number for number in range(start, end) if lines[number].strip()]
    shown = [" ".join(lines[number].split()) for number in numbers]
    size = len(_normal(wanted))
    bare = not wanted[0][:1].isspace()
    for first in range(len(numbers) - size + 1):
        line = lines[numbers[first]]
        indent = line[: len(line) - len(line.lstrip())] if bare else ""
        match = TextMatch(start=numbers[first], end=numbers[first + size - 1] + 1, match="loose", before=indent)
        yield match, shown[first : first + size]


def _fragment(lines: Sequence[str], wanted: list[str], start: int, end: int) -> list[TextMatch]:
    """Parts of lines that are the text up to white space."""
    words = " ".join(wanted).split()
    if sum(map(len, words)) > _MAX_INEXACT:
        return []
    joined = "\n".join(lines[start:end])
    found = []
    for hit in islice(re.finditer(r"\s+".join(map(re.escape, words)), joined), _MAX_HITS):
        first, last = joined.rfind("\n", 0, hit.start()) + 1, joined.find("\n", hit.end())
        last = len(joined) if last < 0 else last
        line = start + joined.count("\n", 0, first)
        found.append(
            TextMatch(
                start=line,
                end=line + joined.count("\n", first, last) + 1,
                match="loose",
                before=joined[first : hit.start()],
                after=joined[hit.end() : last],
            )
        )
    return found


def _near(one: str, other: str) -> bool:
    return len(other) <= _MAX_INEXACT and fuzz.ratio(one, other, score_cutoff=NEAR) > 0


def _normal(wanted: Sequence[str]) -> list[str]:
    return [" ".join(line.split()) for line in wanted if line.strip()]


def _only(found: Sequence[T], what: str, lines: Iterable[int]) -> T:
    if len(found) > 1:
        numbers = ", ".join(str(line + 1) for line in sorted({*islice(lines, _MAX_HITS)}))
        raise PatchError(f"ambiguous: {what} is there several times, on lines {numbers}")
    return found[0]


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:77] + "...")
