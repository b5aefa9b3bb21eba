"""Keep to the size limits of a skill by moving text instead of losing it: over-long sections go out into `references/`.

Only text under headings that evolution has written or enlarged is moved, the longest first. The heading stays, with one
line that links the new files. Moved lines keep their origin and their wording; paths in them stay relative to the
skill's root, as the Agent Skills format wants them. Everything depends on the applied edits alone.
"""

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count

from markdown_it import MarkdownIt

from trace2skill.edits.apply import Applied
from trace2skill.edits.guardrails import is_licence
from trace2skill.edits.provenance import MOVED
from trace2skill.edits.splice import Line, encode
from trace2skill.skill.folder import MAX_REFERENCE_LINES, SKILL_MD, Skill, line_limit
from trace2skill.skill.sections import Document, Section, parse_document

SUBSTANTIAL = 20
"""Lines by edits that make a section worth a file of its own; where none has as many, its parent goes as a whole."""

_HEAD = 2  # A new file's heading and the blank line below it.
_ROOM = MAX_REFERENCE_LINES - 1 - _HEAD
_MAX_SLUG = 40
_MARKDOWN = MarkdownIt("commonmark").disable("inline")


@dataclass(frozen=True, kw_only=True)
class _Unit:
    """Text under one heading that may be moved."""

    section: Section
    start: int
    end: int
    """Lines of the text, half-open, without blank lines around it."""
    size: int
    """Lines of it that edits wrote."""
    whole: bool
    """Whether the subsections go too."""


def move_out(applied: Applied, reserve: int = 0) -> Applied:
    """Move text out of files that are too long, until they are not or nothing more can be moved.

    Args:
        applied: A skill with edits.
        reserve: Lines that SKILL.md will still get.

    Returns:
        The same edits with the text of the skill in other places. New files are within their limit.
    """
    if "references" in applied.skill.files:
        return applied
    removed = {one.edit.id: one.place.end - one.place.start for one in applied.applied}
    for path in applied.lines:
        limit = line_limit(path) - (reserve if path == SKILL_MD else 0)
        while line_limit(path) and (excess := len(applied.lines[path]) - limit + 1) > 0:
            moved = _move_one(applied, path, excess, removed)
            if moved is None:
                break
            applied = moved
    return applied


def text_owners(applied: Applied, path: str) -> frozenset[str]:
    """Ids of the edits that own text in a Markdown file, headings and blank lines not counted."""
    document = parse_document(applied.skill.files[path])
    heads = {line for section in document.sections for line in range(section.start, section.body)}
    return frozenset(
        owner
        for number, owner in enumerate(applied.lines[path])
        if owner and number not in heads and document.lines[number].strip()
    )


def _move_one(applied: Applied, path: str, excess: int, removed: Mapping[str, int]) -> Applied | None:
    """Move the text under one heading; None if no heading is left whose text may go and makes the file shorter."""
    page = _Page(path, applied, removed)
    for unit in sorted(page.units(), key=_preference):
        # A reference is read as a whole: its beginning stays.
        start = page.cut(unit, excess) if path != SKILL_MD else unit.start
        parts = page.parts(start, unit.end)
        if parts and page.gain(start, unit.end) > 0:
            return page.without(start, unit, parts)
    return None


def _preference(unit: _Unit) -> tuple[int, int, int, int, int]:
    substantial = unit.size >= SUBSTANTIAL
    tier = 2 if not substantial else 1 if unit.whole else 0
    level = -unit.section.level
    return tier, level if unit.whole else 0, -unit.size, level, unit.start


class _Page:
    """One over-long file."""

    def __init__(self, path: str, applied: Applied, removed: Mapping[str, int]) -> None:
        self._path, self._applied, self._removed = path, applied, removed
        self._document = parse_document(applied.skill.files[path])
        self._owners = applied.lines[path]
        self._blocks, self._definitions = _outline(self._document)

    def units(self) -> Iterator[_Unit]:
        """What may be moved: the own text of each section, and sections with their subsections."""
        for section in self._document.sections:
            if self._has_grown(section):
                yield from self._unit(section, section.own_end)
            # A section of the first level is the file.
            if section.level > 1 and section.own_end < section.end and self._all_grown(section):
                yield from self._unit(section, section.end)

    def cut(self, unit: _Unit, excess: int) -> int:
        """The last line from which the text can be moved so that the file becomes short enough."""
        starts = (block for block in self._blocks if unit.start < block < unit.end)
        return max((start for start in starts if self.gain(start, unit.end) >= excess), default=unit.start)

    def gain(self, start: int, end: int) -> int:
        """By how many lines the file becomes shorter."""
        return end - start - len(self._in_place_of(start, end, ""))

    def parts(self, start: int, end: int) -> list[tuple[int, int]]:
        """The text in as few spans as fit into new files, split between blocks; none if a block is too long."""
        cuts = [*(block for block in self._blocks if start < block < end), end]
        parts = []
        first = last = start
        for following in cuts:
            if self._filled(first, following) - first > _ROOM and last > first:
                parts.append((first, self._filled(first, last)))
                first = last
            last = following
        parts.append((first, self._filled(first, end)))
        return parts if all(stop - begin <= _ROOM for begin, stop in parts) else []

    def without(self, start: int, unit: _Unit, parts: Sequence[tuple[int, int]]) -> Applied:
        """The skill in which the text from `start` on stands in files of its own."""
        names = _free_paths(unit.section.title, self._applied.skill)
        paths = [next(names) for _ in parts]
        link = self._link(paths, start, unit)
        rows = [Line(self._document.lines[number], self._owners[number], number) for number in range(len(self._owners))]
        rows[start : unit.end] = [Line(text, MOVED, None) for text in self._in_place_of(start, unit.end, link)]
        changes: dict[str, bytes | None] = {self._path: encode(self._document, rows)}
        lines = {**self._applied.lines, self._path: tuple(row.owner for row in rows)}
        for number, (path, (first, last)) in enumerate(zip(paths, parts, strict=True), start=1):
            place = f" ({number} of {len(parts)})" if len(parts) > 1 else ""
            head = (f"# {unit.section.title or self._applied.skill.name}{place}", "")
            changes[path] = self._text(unit.section, head, first, last)
            lines[path] = (*[MOVED] * len(head), *self._owners[first:last])
        skill = self._applied.skill.with_files(changes)
        return replace(self._applied, skill=skill, lines=dict(sorted(lines.items())))

    def _unit(self, section: Section, end: int) -> Iterator[_Unit]:
        stop = self._document.trim(section.body, end)
        start = _first_text(self._document, section.body, stop)
        owners = self._owners[start:stop]
        size = sum(owner not in (None, MOVED) for owner in owners)
        if size and MOVED not in owners and not self._is_tied(start, stop):
            yield _Unit(section=section, start=start, end=stop, size=size, whole=end != section.own_end)

    def _has_grown(self, section: Section) -> bool:
        """Whether edits have written the section, or added more lines to its own text than they took away."""
        edits = [owner for owner in self._owners[section.start : section.own_end] if owner not in (None, MOVED)]
        return len(edits) > sum(self._removed.get(edit or "", 0) for edit in set(edits))

    def _all_grown(self, section: Section) -> bool:
        inside = [one for one in self._document.sections if section.start <= one.start < section.end]
        empty = not any(line.strip() for line in self._document.lines[section.body : section.own_end])
        return all(self._has_grown(one) or (empty and one is section) for one in inside)

    def _is_tied(self, start: int, end: int) -> bool:
        """Whether the text holds or uses definitions such as `[label]: target`, which would no longer meet."""
        text = " ".join(" ".join(self._document.lines[start:end]).split()).casefold()
        return any(start <= line < end or f"[{label.casefold()}]" in text for label, line in self._definitions)

    def _in_place_of(self, start: int, end: int, link: str) -> list[str]:
        lines = self._document.lines
        before = [""] * bool(start and lines[start - 1].strip())
        after = [""] * bool(end < len(lines) and lines[end].strip())
        return [*before, link, *after]

    def _link(self, paths: Sequence[str], start: int, unit: _Unit) -> str:
        """The line that stays. It also names references that only the moved text names, so that none gets lost."""
        lines = self._document.lines
        rest = "\n".join((*lines[:start], *lines[unit.end :]))
        gone = "\n".join(lines[start : unit.end])
        others = [
            path
            for path in self._applied.skill.files
            if path.startswith("references/") and path in gone and path not in rest
        ]
        links = " and ".join(f"[{path}]({path})" for path in paths)
        line = f"Read {links} before you work on this" if start == unit.start else f"This goes on in {links}"
        return f"{line}. See also {', '.join(others)}." if others else f"{line}."

    def _text(self, section: Section, head: Sequence[str], start: int, end: int) -> bytes:
        """Content of a new file, its headings below that of the file."""
        document = self._document
        rows = [*document.lines[start:end]]
        for inner in document.sections:
            if start <= inner.start < end:
                # Below the second level there are only headings with hash marks.
                rows[inner.start - start] = rows[inner.start - start].replace("#" * (section.level - 1), "", 1)
        endings = [ending or document.newline for ending in document.endings[start:end]]
        top = "".join(line + document.newline for line in head)
        return (top + "".join(map("".join, zip(rows, endings, strict=True)))).encode()

    def _filled(self, start: int, end: int) -> int:
        """The smallest end of the span that leaves out only blank lines."""
        while end > start and not self._document.lines[end - 1].strip():
            end -= 1
        return end


def _outline(document: Document) -> tuple[list[int], list[tuple[str, int]]]:
    """First lines of top-level blocks and list items, save those right below a heading; link definitions' lines."""
    # The parser takes a lone carriage return as a line end; here only a line feed is one.
    body = [line.replace("\r", " ") for line in document.lines[document.front :]]
    environment: dict[str, dict[str, dict[str, list[int]]]] = {}
    tokens = _MARKDOWN.parse("\n" * document.front + "\n".join(body), environment)
    starts = {
        token.map[0]
        for token in tokens
        if token.map and (token.level == 0 or (token.level == 1 and token.type == "list_item_open"))
    }
    for section in document.sections:
        starts.discard(_first_text(document, section.body, section.end))
    definitions = environment.get("references", {})
    return sorted(starts), [(label, definition["map"][0]) for label, definition in definitions.items()]


def _first_text(document: Document, start: int, end: int) -> int:
    """The first line of a span that is not blank; its end if all are."""
    return next((number for number in range(start, end) if document.lines[number].strip()), end)


def _free_paths(title: str, skill: Skill) -> Iterator[str]:
    """Names of new files in `references/` for a heading; none is that of a file in other case."""
    words = unicodedata.normalize("NFKC", title.casefold())
    slug = "-".join("".join(c if c.isalnum() else " " for c in words).split())[:_MAX_SLUG].strip("-") or "more"
    # A licence text is protected by its name: what is moved must stay open to later edits.
    slug = f"on-{slug}" if is_licence(slug) else slug
    taken = {path.casefold() for path in skill.files}
    for number in count(1):
        path = f"references/{slug}-{number}.md" if number > 1 else f"references/{slug}.md"
        if path.casefold() not in taken:
            yield path
