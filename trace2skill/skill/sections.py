"""Markdown text as numbered lines, and the sections that its headings open.

A CommonMark parser finds the headings, so that a `# comment` in a code fence, a heading quoted in a list or an HTML
block never ends a section. Every line keeps its own ending: a file that is written back unchanged is the same bytes.
Line numbers are 0-based and spans half-open throughout.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import yaml
from markdown_it import MarkdownIt
from markdown_it.token import Token

from trace2skill.foreign import ForeignError, yaml_value

BOM = "\ufeff"
_MARKDOWN = MarkdownIt("commonmark").disable("inline")
_LEAVES = ("paragraph_open", "heading_open", "html_block")
_NUMBERING = re.compile(r"^\(?(?:\d+(?:\.\d+)+[.):]?|\d+[.):]|[a-z][.)])\s+")
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")


@dataclass(frozen=True, kw_only=True)
class Section:
    """A heading and what stands under it, down to the next heading of the same or a higher level."""

    title: str
    level: int
    start: int
    """First line of the heading."""
    body: int
    """First line after the heading."""
    own_end: int
    """End of the section's own text: the next heading of any level."""
    end: int
    """End of the section with its subsections."""
    parent: int
    """Heading line of the enclosing section, -1 for none."""


@dataclass(frozen=True, kw_only=True)
class ListItem:
    """A list item: its lines without trailing blank ones, and how far its marker is indented."""

    start: int
    end: int
    indent: str


@dataclass(frozen=True, kw_only=True)
class Document:
    """One Markdown file, split at line feeds, with the blocks that edits must respect."""

    lines: tuple[str, ...]
    """Text of each line, without its ending."""
    endings: tuple[str, ...]
    """Ending of each line: LF, CRLF, or nothing after the last."""
    bom: bool
    """Whether the file starts with a byte-order mark."""
    front: int
    """Number of lines that the frontmatter takes."""
    sections: tuple[Section, ...]
    """Sections in the order of their headings."""
    fences: tuple[tuple[int, int], ...]
    """Spans of the fenced code blocks, fences included."""
    leaves: tuple[tuple[int, int], ...]
    """Spans that no insertion may split: paragraphs, headings, HTML blocks."""
    items: tuple[ListItem, ...]
    """List items in the order of their first lines."""
    rules: frozenset[int]
    """Lines that are thematic breaks."""

    @property
    def newline(self) -> str:
        """The file's dominant line ending."""
        crlf = self.endings.count("\r\n")
        return "\r\n" if crlf > self.endings.count("\n") else "\n"

    def in_fence(self, position: int) -> bool:
        """Whether text inserted before line `position` would land in a fenced code block."""
        return any(start < position < end for start, end in self.fences)

    def trim(self, start: int, end: int) -> int:
        """The smallest end of the span that leaves out only blank lines and closing thematic breaks."""
        while end > start and (not self.lines[end - 1].strip() or end - 1 in self.rules):
            end -= 1
        return end


def split_lines(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Split text at line feeds only into lines and their endings."""
    if not text:
        return (), ()
    pieces = text.split("\n")
    last = pieces.pop()
    endings = ["\r\n" if piece.endswith("\r") else "\n" for piece in pieces]
    lines = [piece.removesuffix("\r") for piece in pieces]
    if last:
        lines.append(last)
        endings.append("")
    return tuple(lines), tuple(endings)


def split_frontmatter(lines: Sequence[str]) -> tuple[int, dict[str, Any]]:
    """Find the YAML frontmatter of a file.

    Returns:
        The number of lines it takes with both `---` lines, and its mapping with every scalar as a string; `(0, {})`
        when the file has none.
    """
    if not lines or lines[0].rstrip() != "---":
        return 0, {}
    closing = next((number for number, line in enumerate(lines) if number and line.rstrip() == "---"), 0)
    if not closing:
        return 0, {}
    try:
        # BaseLoader builds nothing but strings, lists and mappings, so that a date or number cannot fail to convert.
        mapping = yaml_value("\n".join(lines[1:closing]), "it", yaml.BaseLoader)
    except (yaml.YAMLError, ForeignError):
        return 0, {}
    return (closing + 1, mapping) if isinstance(mapping, dict) else (0, {})


def frontmatter_problem(lines: Sequence[str]) -> str:
    """Why a file has no frontmatter that can be read, as a sentence; empty if it has one."""
    if not lines or lines[0].rstrip() != "---":
        return f"it starts with {lines[0][:60] if lines else ''!r}."
    closing = next((number for number, line in enumerate(lines) if number and line.rstrip() == "---"), 0)
    if not closing:
        return "the `---` of line 1 is never closed by another one."
    try:
        mapping = yaml_value("\n".join(lines[1:closing]), "it", yaml.BaseLoader)
    except ForeignError as error:
        return str(error)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        # The frontmatter's first line is the file's second, and marks count from 0.
        where = f"line {min(mark.line, closing - 2) + 2}, column {mark.column + 1}: " if mark else ""
        return f"it is not valid YAML: {where}{error.problem}. Text with a colon or a tab belongs in quotes."
    except yaml.YAMLError as error:
        return f"it is not valid YAML: {error}."
    return "" if isinstance(mapping, dict) else f"it holds {type(mapping).__name__}, not `name:` and `description:`."


@lru_cache(maxsize=1024)
def parse_document(data: bytes) -> Document:
    """Parse one Markdown file.

    Raises:
        UnicodeDecodeError: The bytes are not UTF-8.
    """
    text = data.decode("utf-8")
    lines, endings = split_lines(text.removeprefix(BOM))
    front, _ = split_frontmatter(lines)
    tokens = parse_blocks(lines, front)
    return Document(
        lines=lines,
        endings=endings,
        bom=text.startswith(BOM),
        front=front,
        sections=find_sections(tokens, len(lines)),
        fences=_spans(tokens, ("fence",)),
        leaves=_spans(tokens, _LEAVES),
        items=_items(tokens, lines),
        rules=frozenset(start for start, _ in _spans(tokens, ("hr",))),
    )


def parse_lines(lines: Sequence[str]) -> Document:
    """Parse lines of text without endings, such as the content of an edit."""
    return parse_document("\n".join(lines).encode())


def parse_blocks(lines: Sequence[str], front: int = 0) -> list[Token]:
    """CommonMark block tokens of the lines after the frontmatter; their line numbers count from the file's start."""
    # The parser takes a lone carriage return as a line end; here only a line feed is one.
    body = [line.replace("\r", " ") for line in lines[front:]]
    return _MARKDOWN.parse("\n" * front + "\n".join(body))


def find_sections(tokens: Sequence[Token], total: int) -> tuple[Section, ...]:
    """The sections of a file of `total` lines, in the order of their headings."""
    heads = [
        (token.map[0], token.map[1], int(token.tag[1]), tokens[number + 1].content)
        for number, token in enumerate(tokens)
        if token.type == "heading_open" and token.level == 0 and token.map
    ]
    # From the last to the first: a section ends at the next heading that is not below it.
    ends = [total] * len(heads)
    following: list[int] = []
    for number in reversed(range(len(heads))):
        while following and heads[following[-1]][2] > heads[number][2]:
            following.pop()
        ends[number] = heads[following[-1]][0] if following else total
        following.append(number)
    sections: list[Section] = []
    above: list[Section] = []
    for number, (start, body, level, title) in enumerate(heads):
        while above and above[-1].level >= level:
            above.pop()
        section = Section(
            title=" ".join(title.split()),
            level=level,
            start=start,
            body=body,
            own_end=heads[number + 1][0] if number + 1 < len(heads) else total,
            end=ends[number],
            parent=above[-1].start if above else -1,
        )
        sections.append(section)
        above.append(section)
    return tuple(sections)


def heading_key(text: str) -> str:
    """A heading up to hash marks, markup, white space, case and a closing colon."""
    text = _LINK.sub(r"\1", text.strip().lstrip("#").rstrip("#"))
    return " ".join(re.sub(r"[*_`~]", "", text).split()).casefold().rstrip(" :")


def bare_key(text: str) -> str:
    """A heading's key without its numbering: `3. Editing` and `Editing` share it."""
    key = heading_key(text)
    return _NUMBERING.sub("", key) or key


def _spans(tokens: Sequence[Token], kinds: tuple[str, ...]) -> tuple[tuple[int, int], ...]:
    return tuple((token.map[0], token.map[1]) for token in tokens if token.type in kinds and token.map)


def _items(tokens: Sequence[Token], lines: Sequence[str]) -> tuple[ListItem, ...]:
    items = []
    for start, stop in _spans(tokens, ("list_item_open",)):
        end = stop
        while end > start + 1 and not lines[end - 1].strip():
            end -= 1
        line = lines[start]
        items.append(ListItem(start=start, end=end, indent=line[: len(line) - len(line.lstrip())]))
    return tuple(items)
