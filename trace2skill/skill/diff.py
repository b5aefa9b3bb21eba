"""What changed between two skills: as a unified diff, and section by section."""

import difflib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from trace2skill.skill.folder import Skill
from trace2skill.skill.sections import parse_document

Change = Literal["added", "removed", "changed"]


@dataclass(frozen=True, kw_only=True)
class SectionChange:
    """A section of a Markdown file, or a whole file of another kind, that differs between two skills."""

    file: str
    section: str
    """The headings down to the section, joined by ` > `; empty for a file without sections and for the lines before
    the first heading."""
    change: Change
    added: int
    """Lines that only the second skill has, subsections not counted."""
    removed: int
    """Lines that only the first skill has, subsections not counted."""


@dataclass(frozen=True, kw_only=True)
class SkillDiff:
    """Result of `diff_skills`."""

    text: str
    """Unified diff of all text files, one after the other; other files are only named. Empty for equal skills."""
    sections: tuple[SectionChange, ...]
    """What differs, by file; within a file in the order of the second skill, removed sections last."""


def diff_skills(before: Skill, after: Skill) -> SkillDiff:
    """Compare two skills.

    Args:
        before: The first skill.
        after: The second skill.
    """
    paths = [p for p in sorted({*before.files, *after.files}) if before.files.get(p) != after.files.get(p)]
    return SkillDiff(
        text="".join(_unified(path, before, after) for path in paths),
        sections=tuple(change for path in paths for change in _changes(path, before, after)),
    )


def _unified(path: str, before: Skill, after: Skill) -> str:
    names = [
        f"{side}/{path}" if path in skill.files else "/dev/null"
        for side, skill in zip("ab", (before, after), strict=True)
    ]
    if not all(skill.is_text(path) for skill in (before, after) if path in skill.files):
        return f"Binary files {names[0]} and {names[1]} differ\n"
    old, new = ([*_raw_lines(skill, path)] for skill in (before, after))
    # The generator says nothing of an empty file that comes or goes.
    lines = [*difflib.unified_diff(old, new, names[0], names[1])] or [f"--- {names[0]}\n", f"+++ {names[1]}\n"]
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def _raw_lines(skill: Skill, path: str) -> Iterator[str]:
    """Lines with their endings, split at line feeds only."""
    text = skill.files.get(path, b"").decode("utf-8")
    pieces = text.split("\n")
    yield from (f"{piece}\n" for piece in pieces[:-1])
    if pieces[-1]:
        yield pieces[-1]


def _changes(path: str, before: Skill, after: Skill) -> list[SectionChange]:
    old, new = _sections(before, path), _sections(after, path)
    if not old and not new:
        change: Change = "added" if path not in before.files else "removed" if path not in after.files else "changed"
        return [SectionChange(file=path, section="", change=change, added=0, removed=0)]
    changes = []
    for key in [*new, *(key for key in old if key not in new)]:
        one, other = old.get(key), new.get(key)
        if one == other:
            continue
        added, removed = _count(one or (), other or ())
        kind: Change = "added" if one is None else "removed" if other is None else "changed"
        changes.append(SectionChange(file=path, section=key[0], change=kind, added=added, removed=removed))
    return changes


def _sections(skill: Skill, path: str) -> dict[tuple[str, int], tuple[str, ...]]:
    """Own lines of each section by the headings down to it; a number tells apart those of the same headings."""
    if path not in skill.files or not skill.is_text(path):
        return {}
    if not path.endswith(".md"):
        return {("", 0): tuple(_raw_lines(skill, path))}
    document = parse_document(skill.files[path])
    first = document.sections[0].start if document.sections else len(document.lines)
    found = {("", 0): document.lines[:first]} if first else {}
    names: dict[int, str] = {}
    seen: Counter[str] = Counter()
    for section in document.sections:
        above = names.get(section.parent)
        names[section.start] = f"{above} > {section.title}" if above else section.title
        name = names[section.start]
        found[name, seen[name]] = document.lines[section.start : section.own_end]
        seen[name] += 1
    return found


def _count(old: tuple[str, ...], new: tuple[str, ...]) -> tuple[int, int]:
    """Lines added and removed."""
    added = removed = 0
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    for tag, a_start, a_end, b_start, b_end in matcher.get_opcodes():
        if tag != "equal":
            added, removed = added + b_end - b_start, removed + a_end - a_start
    return added, removed
