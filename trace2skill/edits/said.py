"""What a Markdown text says, piece by piece, so that a statement is known again however it is written.

Words count up to case, quotation marks, the punctuation at their ends, markup, list markers and the wrapping of lines;
code counts to the letter.
"""

import re
import textwrap
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from markdown_it import MarkdownIt
from markdown_it.token import Token

from trace2skill.skill.sections import find_sections, parse_blocks
from trace2skill.text import PLAIN

_MARKDOWN = MarkdownIt("commonmark").enable("strikethrough")
_QUOTES, _OPENING, _CLOSING = "\"'", "([\"'", ".,;:!?)]\"'\u2026"
_MARKER = re.compile(
    r"\s*(?:(?:\[[ xX]\]|[\u2022\u2023\u25e6\u25aa\u25cf\u25cb\u00b7\u2013\u2014]"
    r"|\(?(?:\d{1,3}|[A-Za-z]|[ivx]{2,5})[.)])\s+)+"
)
_TAG = re.compile(r"</?(?:p|li|ul|ol|br|b|i|u|strong|em|span|div|h[1-6])\s*/?>", re.IGNORECASE)
_SENTENCE_END = re.compile(r"(?<=[^\s\"'][.!?;])[\"')\]]*\s+")
_NAME = re.compile(r"[a-z]\w*")
_CODE = re.compile("\0(\\d+)\0")


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Lines that can stand alone: some sentences of a paragraph, a heading, a code block, a table."""

    start: int
    end: int
    says: tuple[str, ...]
    """Its statements in a form in which equal ones are equal; code begins with a line feed."""
    marks: tuple[str, ...] = ()
    """What the statements do not show: the targets of links, and that something is struck out."""
    carries: int = 0
    """End of the lines that make no sense without it: a section, what a colon announces, the rest of a list item."""
    leads: bool = False
    """Whether it only leads to what it carries: a heading, a line with a colon at its end."""


class Known:
    """The statements of some pieces."""

    def __init__(self, pieces: Iterable[Piece]) -> None:
        pieces = tuple(pieces)
        self._statements = {statement for piece in pieces for statement in (*piece.says, *piece.marks)}
        self._code = [statement for statement in self._statements if statement.startswith("\n")]

    def has(self, statement: str) -> bool:
        """Whether a statement is among them; of code, whether its lines stand together in one block."""
        return statement in self._statements or (
            statement.startswith("\n") and any(statement in code for code in self._code)
        )

    def covers(self, piece: Piece) -> bool:
        """Whether they say all that a piece says. A link into the skill is news where its text is none."""
        links = [mark for mark in piece.marks if "references/" in mark]
        return bool(piece.says) and all(map(self.has, (*piece.says, *links)))


def statements(pieces: Iterable[Piece]) -> list[str]:
    """All that some pieces say and show, in their order."""
    return [statement for piece in pieces for statement in (*piece.says, *piece.marks)]


def without(text: Sequence[str], known: Callable[[Piece], bool]) -> tuple[str, ...]:
    """A text without its known pieces, as far as what stays makes sense without them; empty if nothing stays."""
    pieces = pieces_of(tuple(textwrap.dedent("\n".join(text)).split("\n")))
    starts = [piece.start for piece in pieces]
    gone: set[int] = set()
    for number, piece in reversed(list(enumerate(pieces))):
        carried = range(number + 1, bisect_left(starts, piece.carries, number + 1))
        if gone.issuperset(carried) and (bool(carried) if piece.leads else known(piece)):
            gone.add(number)
    if len(gone) == len(pieces):
        return () if pieces else tuple(text)
    dropped = {line for number in gone for line in range(pieces[number].start, pieces[number].end)}
    kept: list[str] = []
    for number, line in enumerate(text):
        joint = not line.strip() and number - 1 in dropped
        if joint:
            dropped.add(number)  # of the blank lines around what was dropped, one is left
        if number not in dropped or (joint and kept and kept[-1].strip()):
            kept.append(line)
    while kept and not kept[-1].strip():
        kept.pop()
    return tuple(kept)


@lru_cache(maxsize=1024)
def pieces_of(lines: tuple[str, ...], front: int = 0) -> tuple[Piece, ...]:
    """The pieces of a text, in their order.

    Args:
        lines: Its lines, without their endings.
        front: Number of lines that the frontmatter takes.
    """
    tokens = parse_blocks(lines, front)
    ends = {section.start: section.end for section in find_sections(tokens, len(lines))}
    for token in reversed(tokens):  # of items that begin on one line, the outermost counts
        if token.type == "list_item_open" and token.map:
            ends[token.map[0]] = token.map[1]
    found = [piece for number, token in enumerate(tokens) for piece in _pieces(tokens, number, token, ends)]
    covered = {line for piece in found for line in range(piece.start, piece.end)}
    covered |= {line for token in tokens if token.type == "hr" and token.map for line in range(*token.map)}
    # What is left are definitions such as `[label]: target`.
    found += [
        Piece(start=number, end=number + 1, says=(lines[number].strip(),))
        for number in range(front, len(lines))
        if lines[number].strip() and number not in covered
    ]
    return tuple(sorted(found, key=lambda piece: piece.start))


def _pieces(tokens: Sequence[Token], number: int, token: Token, ends: dict[int, int]) -> Iterator[Piece]:
    if not token.map:
        return
    start, end = token.map
    if token.type in ("fence", "code_block"):
        code = (f"\n{token.content.rstrip()}\n",) if token.content.strip() else ()
        yield Piece(start=start, end=end, says=code, carries=ends.get(start, 0))
    elif token.type == "heading_open":
        says, marks = _said(tokens[number + 1].content)
        yield Piece(start=start, end=end, says=says, marks=marks, carries=ends.get(start, 0), leads=True)
    elif token.type == "paragraph_open":
        following = tokens[number + 3] if number + 3 < len(tokens) else None
        announced = following.map if following and following.type not in ("heading_open", "hr") else None
        yield from _parts(tokens[number + 1].content, start, end, ends, announced[1] if announced else 0)
    elif token.type == "html_block":
        yield from _parts(_TAG.sub(" ", token.content.removesuffix("\n")), start, end, ends, 0)


def _parts(content: str, start: int, end: int, ends: dict[int, int], announced: int) -> Iterator[Piece]:
    """A paragraph, parted where a line ends a sentence or begins with a list marker that Markdown does not know."""
    lines = content.split("\n")
    if lines[0].lstrip().startswith("|"):
        rows = [_said(line) for line in lines]
        says, marks = (tuple(text for row in rows for text in row[part]) for part in (0, 1))
        yield Piece(start=start, end=end, says=says, marks=marks, carries=ends.get(start, 0))
        return
    cuts = [
        number
        for number in range(1, len(lines))
        if lines[number - 1].rstrip().endswith((".", "!", "?")) or _MARKER.match(lines[number])
    ]
    for first, last in zip([0, *cuts], [*cuts, len(lines)], strict=True):
        text = "\n".join(lines[first:last])
        is_last = last == len(lines)
        leads = bool(is_last and announced and text.rstrip("*_ ").endswith(":"))
        says, marks = _said(text)
        yield Piece(
            start=start + first,
            end=end if is_last else start + last,
            says=says,
            marks=marks,
            carries=max(announced if leads else 0, ends.get(start, 0) if not first else 0),
            leads=leads,
        )


def _said(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The sentences of a text, and what they do not show."""
    shown, code, marks = _shown(_MARKER.sub("", text, count=1) if _MARKER.match(text) else text)
    folded = [_folded(sentence) for sentence in _SENTENCE_END.split(shown.translate(PLAIN))]
    said = [_CODE.sub(lambda hole: code[int(hole.group(1))], one) for one in folded if any(map(str.isalnum, one))]
    return tuple(said), tuple(marks)


def _shown(text: str) -> tuple[str, list[str], list[str]]:
    """A text without markup, with a numbered hole for each piece of code; the code; and the marks."""
    shown: list[str] = []
    code: list[str] = []
    marks: list[str] = []
    tokens = _MARKDOWN.parseInline(text)[0].children or []
    for number, token in enumerate(tokens):
        if token.type == "code_inline":
            shown.append(f"\0{len(code)}\0")
            code.append(token.content)
        elif token.type in ("softbreak", "hardbreak"):
            shown.append(" ")
        elif token.type in ("strong_open", "strong_close"):
            # `__init__` is a name, and no bold word.
            name = tokens[number + 1 if token.nesting > 0 else number - 1].content
            shown.append(token.markup if token.markup == "__" and _NAME.fullmatch(name) else "")
        elif token.type in ("link_open", "image"):
            shown.append(token.content)
            marks.append(f"]({token.attrGet('href') or token.attrGet('src')})")
        elif token.type == "s_open":
            marks.append("~~")
        else:
            shown.append(_TAG.sub(" ", token.content))
    return "".join(shown), code, marks


def _folded(sentence: str) -> str:
    words = sentence.casefold().split()
    return " ".join(filter(None, map(_folded_word, words)))


def _folded_word(word: str) -> str:
    """A word without quotation marks and the punctuation at its ends, unless that is all there is."""
    inner = word.strip(_QUOTES)
    return inner.lstrip(_OPENING).rstrip(_CLOSING) or inner or word
