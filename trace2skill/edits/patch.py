"""Edits and patches, and what an edit comes to on a frozen skill: a span of lines, or a reason why not."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Annotated, Literal, NamedTuple

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

from trace2skill.edits.guardrails import check_deletable, check_new_file, check_path, content_lines
from trace2skill.edits.placement import Placement, add_section, append, delete_section, insert, replace_text
from trace2skill.edits.said import Known, pieces_of, statements, without
from trace2skill.edits.splice import Line, Splice, splice
from trace2skill.errors import PatchError
from trace2skill.skill.folder import Skill, mentioned
from trace2skill.skill.sections import (
    Document,
    Section,
    bare_key,
    find_sections,
    parse_blocks,
    parse_document,
    split_frontmatter,
)

Operation = Literal[
    "insert_after",
    "insert_before",
    "append_to_section",
    "replace_in_section",
    "add_section",
    "delete_section",
    "create",
    "delete_file",
]
"""What an edit does (the operations of the reference implementation)."""


def _encodable(text: str) -> str:
    """Refuse half a character, as a wrong JSON escape makes one: no file could hold it."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"not encodable as UTF-8: {error.reason}") from error
    return text


Text = Annotated[str, AfterValidator(_encodable)]


class Edit(BaseModel):
    """One change to one file of a skill."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    id: Text = Field(min_length=1)
    """`<trajectory>.<n>` as proposed, `<merge>.<n>` as merged."""
    file: Text
    """Path inside the skill folder."""
    op: Operation | Literal["unknown"]
    """What the edit does. `unknown` is an imported edit that could not be read; it is kept and always rejected."""
    target: Text = ""
    """insert_*: the lines to insert at. *_section: a section's heading. add_section: the heading of the section that it
    follows, empty for the end of the file."""
    section: Text = ""
    """insert_*: heading of the section in which `target` is looked for, empty for the whole file."""
    old: Text = ""
    """replace_in_section: the text to be replaced."""
    content: Text = ""
    """The new text. For add_section it begins with its heading line."""
    rationale: Text = ""
    """Why the edit helps."""
    support: tuple[Text, ...] = ()
    """Ids of the trajectories that support the edit, sorted."""
    requires: tuple[Text, ...] = ()
    """Ids of the edits without which this one makes no sense, sorted. They are applied together or not at all,
    whichever of them names the other."""

    @field_validator("support", "requires")
    @classmethod
    def _sorted(cls, ids: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(sorted(set(ids)))


class Patch(BaseModel):
    """The edits that one trajectory led to."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    schema_version: Literal[1] = 1
    """Version of this form."""
    trajectory: Text
    """Id of the trajectory."""
    edits: tuple[Edit, ...]
    """The edits, all against the same frozen skill."""
    reasoning: Text = ""
    """How the edits follow from the trajectory."""
    changelog: tuple[Text, ...] = ()
    """One line per change, for people."""


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """An edit that fits the skill, and where."""

    edit: Edit
    """The edit, without the lines of its content that its file has already."""
    kind: Literal["insert", "replace", "delete", "create", "delete_file"]
    place: Placement
    """Lines of the frozen file and the text that takes their place; for whole files the span is empty."""

    @property
    def file(self) -> str:
        """The edit's file."""
        return self.edit.file


class Rejection(NamedTuple):
    """An edit that is not applied."""

    edit: Edit
    reason: str
    conflicts_with: Edit | None = None
    """The edit that was preferred to it, if that is the reason."""


# Merging and the size limits ask again and again for the same edits on the same skill.
@lru_cache(maxsize=8192)
def resolve(edit: Edit, skill: Skill) -> Resolved | Rejection:
    """Find the place of an edit in the frozen skill, or the reason why it cannot be applied."""
    try:
        return _resolve(edit, skill)
    except PatchError as error:
        # The one place where an edit's failure becomes data: everything below raises, everything above keeps it.
        return Rejection(edit, str(error))


def check_edit(edit: Edit, skill: Skill) -> str | None:
    """Why an edit cannot be applied to the frozen skill; None if it can."""
    outcome = resolve(edit, skill)
    return outcome.reason if isinstance(outcome, Rejection) else None


def rank(edit: Edit) -> tuple[int, str]:
    """Sort key by which edits take precedence: more supporting trajectories first, then by id."""
    return -len(edit.support), edit.id


def pair_links(edits: Iterable[Edit]) -> tuple[Edit, ...]:
    """Tie each new file to the edits that point to it, so that they are applied together or not at all.

    Where several edits create one file, the links are tied to the first by rank. The order of the edits is kept.
    """
    edits = tuple(edits)
    created = {edit.file: edit.id for edit in sorted(edits, key=rank, reverse=True) if edit.op == "create"}
    paired = []
    for edit in edits:
        links = {created[path] for path in mentioned(edit.content) & created.keys()} - {edit.id}
        paired.append(edit.model_copy(update={"requires": tuple(sorted(links.union(edit.requires)))}))
    return tuple(paired)


def _resolve(edit: Edit, skill: Skill) -> Resolved:
    if edit.op == "unknown":
        raise PatchError(f"not one of the eight operations: {edit.rationale or 'the edit could not be read'}")
    check_path(edit.file)
    if edit.op == "create":
        return Resolved(edit=edit, kind="create", place=_create(edit, skill))
    if edit.op == "delete_file":
        check_deletable(edit.file, skill)
        return Resolved(edit=edit, kind="delete_file", place=Placement(start=0, end=0, text=()))
    document = document_of(skill, edit.file)
    place = _PLACES[edit.op](document, edit)
    if edit.op == "replace_in_section":
        place = _replacing_by_news(document, place, edit.file)
    elif edit.op != "delete_section" and (news := _news(document, place, edit)) != edit:
        edit, place = news, _PLACES[edit.op](document, news)
    _check_outline(document, place, deletes=edit.op == "delete_section")
    kind: Literal["insert", "replace", "delete"] = "insert" if place.start == place.end else "replace"
    return Resolved(edit=edit, kind="delete" if edit.op == "delete_section" else kind, place=place)


_PLACES: dict[str, Callable[[Document, Edit], Placement]] = {
    "insert_after": lambda document, edit: insert(document, edit.target, edit.content, within=edit.section, after=True),
    "insert_before": lambda document, edit: insert(
        document, edit.target, edit.content, within=edit.section, after=False
    ),
    "append_to_section": lambda document, edit: append(document, edit.target, edit.content),
    "replace_in_section": lambda document, edit: replace_text(document, edit.target, edit.old, edit.content),
    "add_section": lambda document, edit: add_section(document, edit.target, edit.content),
    "delete_section": lambda document, edit: delete_section(document, edit.target),
}


def document_of(skill: Skill, file: str) -> Document:
    """A Markdown file of a skill.

    Raises:
        PatchError: There is no such file, or it is not UTF-8.
    """
    if file not in skill.files:
        raise PatchError(f"file not found: {file!r} does not exist in the skill")
    try:
        return parse_document(skill.files[file])
    except UnicodeDecodeError:
        raise PatchError(f"file {file!r} is not UTF-8 text") from None


def _news(document: Document, place: Placement, edit: Edit) -> Edit:
    """An edit that adds text, without what its file says already.

    Raises:
        PatchError: Nothing is left.
    """
    text = content_lines(edit.content)
    pieces = pieces_of(document.lines, document.front)
    if document.in_fence(place.start):
        # Among code a single line means nothing: what stands in another block is not said here.
        known = Known(piece for piece in pieces if piece.start < place.start < piece.end)
        kept = () if known.has("\n".join(["", *text, ""])) else text
    else:
        kept = without(text, Known(pieces).covers)
    if not kept:
        raise PatchError(f"already there: all that the edit says stands in {edit.file}")
    return edit if kept == text else edit.model_copy(update={"content": "\n".join(kept)})


def _replacing_by_news(document: Document, place: Placement, file: str) -> Placement:
    """A replacement without what stands elsewhere in the file; the same statements in another order are a change.

    Raises:
        PatchError: Nothing of it is left, or the file would say the same.
    """
    pieces = pieces_of(document.lines, document.front)
    touched = [piece for piece in pieces if piece.start < place.end and place.start < piece.end]
    if place.text and not document.in_fence(place.start):
        elsewhere, here = Known(piece for piece in pieces if piece not in touched), Known(touched)
        kept = without(place.text, lambda piece: elsewhere.covers(piece) and not any(map(here.has, piece.says)))
        if not kept:
            raise PatchError(f"already there: all that the edit says stands elsewhere in {file}")
        place = replace(place, text=kept)
    after = tuple(line.text for line in _spliced(document, place))
    if place.text and statements(pieces) == statements(pieces_of(after, document.front)):
        raise PatchError(f"already there: with the edit, {file} would say what it says")
    return place


def _create(edit: Edit, skill: Skill) -> Placement:
    lines = content_lines(edit.content)
    if edit.file in skill.files:
        if content_lines("\n".join(document_of(skill, edit.file).lines)) == lines:
            raise PatchError(f"already there: {edit.file} has this content")
        raise PatchError(f"file {edit.file!r} exists already, with other content")
    check_new_file(edit.file, skill)
    if not lines:
        raise PatchError("the content is empty")
    if lines[0].startswith("---"):
        raise PatchError("the content must not begin with frontmatter (a line of '---')")
    return Placement(start=0, end=0, text=lines)


def _spliced(document: Document, place: Placement) -> list[Line]:
    whole = Splice(start=place.start, end=place.end, text=place.text, owner="-", gap=place.gap)
    return splice(document, [whole])


def _check_outline(document: Document, place: Placement, *, deletes: bool) -> None:
    """Check what an edit makes of the frontmatter and of the headings, its own and those of the lines around it.

    A line of `---` at the start of the file would turn text into frontmatter.

    Args:
        document: The file.
        place: What the edit writes, and where.
        deletes: Whether it is there to take a section away.

    Raises:
        PatchError: It does something to them that edits must not do.
    """
    lines = _spliced(document, place)
    texts = [line.text for line in lines]
    if split_frontmatter(texts)[0] != document.front:
        raise PatchError("protected: the edit would change the frontmatter, or begin the file with one")
    span = (place.start, place.end)
    check_headings(document, lines, [span])
    sections = find_sections(parse_blocks(texts, document.front), len(texts))
    old = {section.start for section in document.sections}
    new = [section for section in sections if lines[section.start].origin not in old]
    _check_says_something(lines, new)
    if place.start < place.end and not deletes:
        gone = [section for section in document.sections if _touches(section, span)]
        if [(one.level, one.title) for one in gone] != [(one.level, one.title) for one in new]:
            raise PatchError("headings change through add_section and delete_section only; quote the text below them")
    else:
        _check_captures(document, lines, sections)
    _check_new_headings(sections, lines)


def _check_says_something(lines: Sequence[Line], new: Sequence[Section]) -> None:
    """Check that new lines are more than headings.

    Raises:
        PatchError: They are not.
    """
    headings = {number for section in new for number in range(section.start, section.body)}
    said = [number for number, line in enumerate(lines) if line.origin is None and line.text.strip()]
    if said and headings.issuperset(said):
        raise PatchError("the content is a heading with nothing below it")


def _check_captures(document: Document, lines: Sequence[Line], sections: Sequence[Section]) -> None:
    """Check that every line of the file stays in its section, and every section below its parent.

    Raises:
        PatchError: A new heading would take one over.
    """
    before = _homes(document.sections, len(document.lines))
    after = _homes(sections, len(lines))
    for number, line in enumerate(lines):
        if line.origin is None or not line.text.strip() or line.origin in document.rules:
            continue
        home = after[number]
        if (lines[home].origin if home >= 0 else -1) != before[line.origin]:
            where = next(
                (f"below the new heading {one.title!r}" for one in sections if one.start == home), "in no section"
            )
            raise PatchError(
                f"the text that follows would come to stand {where}: headings are added through add_section, or where "
                "a section ends"
            )


def _homes(sections: Sequence[Section], total: int) -> list[int]:
    """For each line the first line of its section's heading, for a heading that of its parent; -1 for none."""
    homes = [-1] * total
    for section in sections:
        homes[section.start : section.own_end] = [section.start] * (section.own_end - section.start)
        homes[section.start] = section.parent
    return homes


def _touches(section: Section, span: tuple[int, int]) -> bool:
    return section.start < span[1] and span[0] < section.body


def check_headings(document: Document, lines: Sequence[Line], spans: Sequence[tuple[int, int]]) -> None:
    """Check that the headings of lines that no edit touches are headings still.

    An unclosed code fence or HTML block in new text would swallow what follows; so would a list item that comes to
    stand before an indented heading.

    Args:
        document: The file before.
        lines: Its lines with the edits.
        spans: Lines that the edits replace, as start and end.

    Raises:
        PatchError: One is not.
    """
    sections = find_sections(parse_blocks([line.text for line in lines], document.front), len(lines))
    after = {lines[section.start].origin: (section.level, section.title) for section in sections}
    for section in document.sections:
        touched = any(_touches(section, span) for span in spans)
        if not touched and after.get(section.start) != (section.level, section.title):
            raise PatchError(
                f"the edit would swallow or change the heading {section.title!r}: "
                "does it leave a code fence or an HTML block open?"
            )


def _check_new_headings(sections: Sequence[Section], lines: Sequence[Line]) -> None:
    """Check that no new heading has a namesake beside it: readers would not know which of the two counts.

    Raises:
        PatchError: One has.
    """
    named: dict[tuple[int, int, str], bool] = {}
    for section in sections:
        key = (section.parent, section.level, bare_key(section.title))
        new = lines[section.start].origin is None
        if key in named and (new or named[key]):
            raise PatchError(
                f"a section {section.title!r} stands there already: append to it instead of beginning it again"
            )
        named[key] = named.get(key, False) or new
