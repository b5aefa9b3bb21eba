"""Where in a document an operation puts its text: pure functions from Markdown and the edit's texts to line spans.

Each raises `PatchError` with the reason when the operation does not fit the document.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from trace2skill.edits.guardrails import content_lines
from trace2skill.edits.locate import Match, TextMatch, find_section, find_text
from trace2skill.edits.splice import list_kind
from trace2skill.errors import PatchError
from trace2skill.skill.sections import Document, Section, bare_key, parse_lines


class NewSection(NamedTuple):
    """What makes two added sections one: where they hang, and what they are called."""

    parent: int
    """Heading line of the enclosing section, -1 for none."""
    level: int
    key: str
    """Heading up to case, markup and numbering."""


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Lines of a document and the text that takes their place; an empty span is an insertion before its line."""

    start: int
    end: int
    text: tuple[str, ...]
    match: Match = "exact"
    """How well the document has what the edit names."""
    anchor: tuple[int, int] = (0, 0)
    """Lines that must stay for an insertion to make sense."""
    gap: bool = True
    """Whether blank lines may be put around the text."""
    section: NewSection | None = None
    """For a section that is new to the document."""


def insert(document: Document, anchor: str, content: str, *, within: str, after: bool) -> Placement:
    """Insert text after or before the lines that `anchor` quotes, looked for in the section `within` if given.

    The text goes beside the whole paragraph, and for a list item beside the whole item: never into the middle of one.
    """
    text = _required(content)
    start, end = document.front, len(document.lines)
    if within:
        section, _ = find_section(document, within)
        start, end = section.start, section.end
    found = _find_in_body(document, anchor, start, end)
    line, position = (found.end - 1, found.end) if after else (found.start, found.start)
    row = all(part.lstrip().startswith("|") for part in (document.lines[line], text[0]))
    gap = not row and not document.in_fence(position)
    if gap:
        position, text = _beside_block(document, line, position, text, after=after)
    return Placement(
        start=position, end=position, text=text, match=found.match, anchor=(found.start, found.end), gap=gap
    )


def append(document: Document, heading: str, content: str) -> Placement:
    """Add text at the end of a section's own text; text with headings of its own goes behind its subsections."""
    section, match = find_section(document, heading)
    text = _required(content)
    known = {(one.level, bare_key(one.title)) for one in document.sections} - {(section.level, bare_key(section.title))}
    for head in parse_lines(text).sections:
        if head.level <= section.level and (head.level, bare_key(head.title)) in known:
            raise PatchError(f"the section {head.title!r} is not part of {section.title!r}: append to it instead")
    text = nested(text, section.level, section.title)
    if not text:
        raise PatchError(f"the content only repeats the heading {heading!r}")
    return _append_to(document, section, text, match)


def replace_text(document: Document, heading: str, old: str, content: str) -> Placement:
    """Replace the lines that hold `old` in a section, or in the whole file if no heading is given."""
    start, end = document.front, len(document.lines)
    match: Match = "exact"
    if heading.strip():
        section, match = find_section(document, heading)
        start, end = section.start, section.end
    found = _find_in_body(document, old, start, end)
    lines = list(content_lines(content)) or [""]
    if not found.before.strip() and not lines[0][:1].isspace():
        lines = [found.before + line if line.strip() else line for line in lines]
    else:
        lines[0] = found.before + lines[0]
    lines[-1] += found.after
    text = tuple(lines) if any(line.strip() for line in lines) else ()
    weakest: Match = max((match, found.match), key=("exact", "loose", "near").index)
    return Placement(start=found.start, end=found.end, text=text, match=weakest, gap=False)


def add_section(document: Document, after: str, content: str) -> Placement:
    """Add a section behind another one, or at the end of the file.

    A section that stands there already under the same parent takes the text up instead. A section cannot follow a
    subsection of lower rank in the middle of its parent: it goes behind the parent.
    """
    text = _required(content)
    heads = parse_lines(text).sections
    if not heads or heads[0].start > 0:
        raise PatchError("the content of add_section must start with its heading line, such as '## Title'")
    level, title = heads[0].level, heads[0].title
    position, anchor = document.trim(document.front, len(document.lines)), (0, 0)
    match: Match = "exact"
    if after.strip():
        section, match = find_section(document, after)
        rank = min(level, section.level)
        following = (s.start for s in document.sections if s.start > section.start and s.level <= rank)
        end = next(following, len(document.lines))
        position = end if end < len(document.lines) else document.trim(section.body, end)
        anchor = (section.start, section.body) if section.level < level else anchor
    around = [s for s in document.sections if s.start < position <= s.end and s.level < level]
    new = NewSection(parent=around[-1].start if around else -1, level=level, key=bare_key(title))
    for known in document.sections:
        if (known.parent, known.level, bare_key(known.title)) == new:
            if others := [head.title for head in heads[1:] if head.level <= level]:
                raise PatchError(f"{title!r} exists already and {others[0]!r} is no part of it: two edits are needed")
            body = nested(text, known.level, known.title)
            if not body:
                raise PatchError(f"the section {title!r} exists already")
            return _append_to(document, known, body, match)
    return Placement(start=position, end=position, text=text, match=match, anchor=anchor, section=new)


def delete_section(document: Document, heading: str) -> Placement:
    """Delete a section with its subsections."""
    section, match = find_section(document, heading)
    start, end = section.start, section.end
    rest = [*document.lines[document.front : start], *document.lines[end:]]
    if not any(line.strip() for line in rest):
        raise PatchError(f"deleting the section {heading!r} would leave the file empty")
    return Placement(start=start, end=end, text=(), match=match)


def nested(text: Sequence[str], level: int, title: str) -> tuple[str, ...]:
    """Text as part of a section: without a repetition of its heading, and with all headings below the section's."""
    document = parse_lines(text)
    if document.sections and not document.sections[0].start:
        first = document.sections[0]
        if bare_key(first.title) == bare_key(title):
            text = content_lines("\n".join(text[first.body :]))
            document = parse_lines(text)
    top = min((section.level for section in document.sections), default=level + 1)
    lines = list(text)
    for section in reversed(document.sections if top <= level else ()):
        marks = "#" * min(6, section.level + level + 1 - top)
        lines[section.start : section.body] = [f"{marks} {section.title}".rstrip()]
    return tuple(lines)


def _append_to(document: Document, section: Section, text: tuple[str, ...], match: Match) -> Placement:
    has_headings = bool(parse_lines(text).sections)
    position = document.trim(section.body, section.end if has_headings else section.own_end)
    return Placement(start=position, end=position, text=text, match=match, anchor=(section.start, section.body))


def _required(content: str) -> tuple[str, ...]:
    text = content_lines(content)
    if not text:
        raise PatchError("the content is empty")
    return text


def _find_in_body(document: Document, text: str, start: int, end: int) -> TextMatch:
    try:
        return find_text(document, text, start, end)
    except PatchError:
        wanted = {line.strip() for line in text.strip().split("\n")}
        if wanted <= {line.strip() for line in document.lines[: document.front]}:
            raise PatchError("protected: the frontmatter is not edited") from None
        raise


def _beside_block(
    document: Document, line: int, position: int, text: tuple[str, ...], *, after: bool
) -> tuple[int, tuple[str, ...]]:
    """Move an insertion out of the paragraph or list item that it would split."""
    leaf = next((span for span in document.leaves if span[0] < position < span[1]), None)
    if leaf:
        position = leaf[1] if after else leaf[0]
    items = [item for item in document.items if item.start <= line < item.end]
    if not items or not list_kind(text[0]) or text[0][:1].isspace():
        return position, text
    item = items[-1]
    # A model quotes a nested item with or without its indentation: the new one is its sibling.
    return (item.end if after else item.start), tuple(item.indent + part if part.strip() else part for part in text)
