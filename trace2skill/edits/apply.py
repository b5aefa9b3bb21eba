"""Apply edits to a frozen skill by program: which of them stay, what the skill becomes, and whose each line is.

Nothing here depends on the order of the input: edits rank by their number of supporting trajectories, then by id.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from trace2skill.edits.guardrails import content_lines
from trace2skill.edits.patch import Edit, Rejection, Resolved, check_headings, document_of, rank, resolve
from trace2skill.edits.splice import Splice, encode, list_kind, splice
from trace2skill.errors import PatchError
from trace2skill.skill.folder import SKILL_MD, Skill, mentioned
from trace2skill.skill.sections import parse_lines

Provenance = tuple[str | None, ...]
"""For each line of a file the id of the edit that brought it; None for a line of the initial skill."""


class Conflict(NamedTuple):
    """An edit that gives way."""

    edit: Resolved
    kept: Resolved
    """The edit that it, or one that it requires, is in conflict with."""


class Selection(NamedTuple):
    """Result of `select`."""

    kept: tuple[Resolved, ...]
    conflicted: tuple[Conflict, ...]


@dataclass(frozen=True, kw_only=True)
class Applied:
    """Result of `apply_edits`. Every edit is in `applied` or in `rejected`."""

    skill: Skill
    lines: Mapping[str, Provenance]
    """Origin of every line of every text file of `skill`, by path."""
    applied: tuple[Resolved, ...]
    """The edits that were applied, by id. Of identical ones the first by rank owns the lines."""
    rejected: tuple[Rejection, ...]
    """The edits that were not, by id."""


def apply_edits(skill: Skill, edits: Iterable[Edit], origins: Mapping[str, Provenance] | None = None) -> Applied:
    """Apply edits to a frozen skill.

    Every edit is resolved against `skill` as it is; none sees another's result. Edits that conflict with a better
    supported one are left out, with all that they require. A new file stays only if SKILL.md points to it, an edit that
    points to a file in `references/` only if that file is there.

    Args:
        skill: The frozen skill.
        edits: Edits with unique ids, in any order.
        origins: Origin of the frozen skill's own lines, where earlier edits have brought some.

    Raises:
        PatchError: Two edits have the same id.
    """
    ordered = sorted(edits, key=lambda edit: edit.id)
    if twice := [one.id for one, other in pairwise(ordered) if one.id == other.id]:
        raise PatchError(f"Edit ids must be unique; {twice[0]!r} is there more than once.")
    groups, known = _groups(ordered), {edit.id for edit in ordered}
    rejected: dict[str, Rejection] = {}
    resolved = []
    for edit in ordered:
        outcome = _required(edit, known) or resolve(edit, skill)
        if isinstance(outcome, Rejection):
            rejected[edit.id] = outcome
        else:
            resolved.append(outcome)
    while True:
        _reject_groups(groups, rejected)
        selection = select([one for one in resolved if one.edit.id not in rejected])
        changed, lines = _write(skill, selection.kept, origins or {})
        broken = _broken_links(skill, changed, selection.kept) or _swallowing(skill, selection.kept)
        if not broken:
            break
        rejected |= {rejection.edit.id: rejection for rejection in broken}
    rejected |= {one.edit.edit.id: _give_way(one) for one in selection.conflicted}
    return Applied(
        skill=changed,
        lines=lines,
        applied=tuple(sorted(selection.kept, key=lambda one: one.edit.id)),
        rejected=tuple(rejected[name] for name in sorted(rejected)),
    )


def select(resolved: Iterable[Resolved]) -> Selection:
    """Keep what fits together: by rank, each edit with all that it requires, unless a kept one is in conflict."""
    by_id = {one.edit.id: one for one in resolved}
    groups = _groups([one.edit for one in by_id.values()])
    kept: list[Resolved] = []
    conflicted: list[Conflict] = []
    for group in sorted(groups, key=lambda group: min(map(rank, group))):
        members = [by_id[edit.id] for edit in group]
        against = {}
        for number, member in enumerate(members):
            rivals = (rival for rival in [*kept, *members[:number]] if conflicts(member, rival))
            if rival := next(rivals, None):
                against[member.edit.id] = rival
        if against:
            first = next(iter(against.values()))
            conflicted += [Conflict(member, against.get(member.edit.id, first)) for member in members]
        else:
            kept += members
    return Selection(tuple(kept), tuple(conflicted))


def conflicts(one: Resolved, other: Resolved) -> bool:
    """Whether two edits cannot both be applied.

    Insertions at the same point can, and so can edits that do exactly the same.
    """
    if one.file != other.file or _same(one, other):
        return False
    kinds = {one.kind, other.kind}
    if "delete_file" in kinds:
        return kinds != {"delete_file"}
    if kinds == {"create"}:
        return one.place.text != other.place.text
    if kinds == {"insert"}:
        return False
    if "insert" not in kinds:
        return one.place.start < other.place.end and other.place.start < one.place.end
    inserted, changed = (one, other) if one.kind == "insert" else (other, one)
    start, end = changed.place.start, changed.place.end
    anchor = inserted.place.anchor
    stranded = changed.kind == "delete" and anchor[0] < end and start < anchor[1]
    return start < inserted.place.start < end or stranded


def _same(one: Resolved, other: Resolved) -> bool:
    return (one.kind, one.place.start, one.place.end, one.place.text) == (
        other.kind,
        other.place.start,
        other.place.end,
        other.place.text,
    )


def _groups(edits: Sequence[Edit]) -> list[list[Edit]]:
    """Edits that stand or fall together, by rank: connected by `requires`, in whichever direction."""
    known = {edit.id for edit in edits}
    home = {edit.id: edit.id for edit in edits}

    def find(name: str) -> str:
        while home[name] != name:
            name = home[name]
        return name

    for edit in edits:
        for name in known.intersection(edit.requires):
            home[find(name)] = find(edit.id)
    groups: defaultdict[str, list[Edit]] = defaultdict(list)
    for edit in sorted(edits, key=rank):
        groups[find(edit.id)].append(edit)
    return list(groups.values())


def _required(edit: Edit, known: Collection[str]) -> Rejection | None:
    missing = [name for name in edit.requires if name not in known]
    return Rejection(edit, f"requires {missing[0]}, which is not among the edits") if missing else None


def _reject_groups(groups: Sequence[Sequence[Edit]], rejected: dict[str, Rejection]) -> None:
    """Reject what stands and falls with a rejected edit."""
    for group in groups:
        cause = next((rejected[edit.id] for edit in group if edit.id in rejected), None)
        if cause:
            for edit in group:
                reason = f"stands or falls with {cause.edit.id}, which was rejected: {cause.reason}"
                rejected.setdefault(edit.id, Rejection(edit, reason, cause.conflicts_with))


def _give_way(conflict: Conflict) -> Rejection:
    edit, kept = conflict.edit.edit, conflict.kept.edit
    what = "conflicts" if conflicts(conflict.edit, conflict.kept) else "requires an edit that conflicts"
    reason = f"{what} with {kept.id} (support {len(kept.support)}, here {len(edit.support)})"
    return Rejection(edit, reason, kept)


def _broken_links(before: Skill, after: Skill, kept: Sequence[Resolved]) -> list[Rejection]:
    """Edits that leave a new file without a link, or a link without its file."""
    main = after.skill_md
    known = mentioned("\n".join(before.text(path) for path in before.files if before.is_text(path)))
    broken = []
    for one in kept:
        links = mentioned("\n".join(one.place.text)) - after.files.keys() - known
        if one.kind == "create" and one.file not in main:
            broken.append(Rejection(one.edit, f"nothing in {SKILL_MD} points to {one.file}"))
        elif one.kind == "delete_file" and one.file in main:
            broken.append(Rejection(one.edit, f"{SKILL_MD} still points to {one.file}"))
        elif links:
            broken.append(Rejection(one.edit, f"points to {min(links)}, which does not exist in the skill"))
    return broken


def _swallowing(skill: Skill, kept: Sequence[Resolved]) -> list[Rejection]:
    """Edits that take a heading away together with those of higher rank, though none does so alone: one for a file."""
    found = []
    for file, edits in _by_file(kept).items():
        if file not in skill.files or any(one.kind == "delete_file" for one in edits):
            continue
        if not _lost_heading(skill, file, edits):
            continue
        for count, one in enumerate(edits, 1):
            if lost := _lost_heading(skill, file, edits[:count]):
                found.append(Rejection(one.edit, f"with the edits before it, {lost}"))
                break
    return found


def _lost_heading(skill: Skill, file: str, edits: Sequence[Resolved]) -> str:
    """What is wrong with a file's headings after these edits; empty if nothing is."""
    document = document_of(skill, file)
    try:
        check_headings(document, splice(document, _splices(edits)), [(one.place.start, one.place.end) for one in edits])
    except PatchError as error:
        return str(error)
    return ""


def _by_file(kept: Iterable[Resolved]) -> dict[str, list[Resolved]]:
    """The edits of each file by rank."""
    by_file: defaultdict[str, list[Resolved]] = defaultdict(list)
    for one in sorted(kept, key=lambda one: rank(one.edit)):
        by_file[one.file].append(one)
    return dict(by_file)


def _write(
    skill: Skill, kept: Sequence[Resolved], origins: Mapping[str, Provenance]
) -> tuple[Skill, dict[str, Provenance]]:
    """The skill with these edits, none of which conflicts with another, and the origin of its lines."""
    before = {path: (None,) * len(skill.lines(path)) for path in skill.files if skill.is_text(path)} | dict(origins)
    changes: dict[str, bytes | None] = {}
    lines: dict[str, Provenance] = {}
    for file, edits in _by_file(kept).items():
        first = edits[0]
        if first.kind == "delete_file":
            changes[file] = None
        elif file not in skill.files:
            changes[file] = ("\n".join(first.place.text) + "\n").encode()
            lines[file] = (first.edit.id,) * len(first.place.text)
        else:
            document = document_of(skill, file)
            result = splice(document, _splices(edits))
            changes[file] = encode(document, result)
            lines[file] = tuple(line.owner if line.origin is None else before[file][line.origin] for line in result)
    changed = skill.with_files(changes) if changes else skill
    lines = {path: owners for path, owners in before.items() if path in changed.files} | lines
    return changed, dict(sorted(lines.items()))


def _splices(edits: Sequence[Resolved]) -> list[Splice]:
    """The splices of one file's edits, insertions at one point in the order in which they read well.

    List items come first, for they may continue a list; then other text without headings; then text with headings,
    the deepest first, so that none ends up in a section that another one brings. Otherwise the edits' rank decides.
    """
    groups: defaultdict[object, list[Resolved]] = defaultdict(list)
    for one in edits:
        groups[one.place.section or (one.place.start, one.place.end, one.place.text)].append(one)
    blocks = [
        _joined(group) if group[0].place.section and group[1:] else [_splice(group[0], group[0].place.text)]
        for group in sorted(groups.values(), key=lambda group: _reading_order(group[0].place.text))
    ]
    return [one for block in blocks for one in block]


def _joined(edits: Sequence[Resolved]) -> list[Splice]:
    """One new section out of all edits that add it: the first one's heading and place, everybody's text."""
    first = edits[0]
    parts = []
    for one in edits:
        body = parse_lines(one.place.text).sections[0].body
        parts.append((one, one.place.text[:body], content_lines("\n".join(one.place.text[body:]))))
    splices = [_splice(first, parts[0][1], first)]
    done: set[tuple[str, ...]] = {()}
    for one, _, text in sorted(parts, key=lambda part: _reading_order(part[2])):
        if text not in done:
            done.add(text)
            splices.append(_splice(one, text, first))
    return splices


def _splice(one: Resolved, text: tuple[str, ...], place: Resolved | None = None) -> Splice:
    at = (place or one).place
    return Splice(start=at.start, end=at.end, text=text, owner=one.edit.id, gap=at.gap)


def _reading_order(text: Sequence[str]) -> tuple[int, bool]:
    """Sort key of texts at one point: the level of the highest heading, deepest first and 7 for none; lists first."""
    level = min((section.level for section in parse_lines(text).sections), default=7)
    return -level, not (text and list_kind(text[0]))
