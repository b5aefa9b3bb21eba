"""What holds for any skill and any edits."""

import random
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings

from tests.trace2skill.strategies import cases
from trace2skill.edits.apply import Applied, apply_edits
from trace2skill.edits.patch import Edit, document_of
from trace2skill.errors import PatchError, SkillError
from trace2skill.skill.diff import diff_skills
from trace2skill.skill.folder import Skill, check_skill, load_skill, save_skill
from trace2skill.skill.sections import Document

QUICK = settings(
    max_examples=200,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
FULL = settings(QUICK, max_examples=10_000)


def check(skill: Skill, edits: Sequence[Edit]) -> None:
    result = apply_edits(skill, edits)
    _every_edit_has_one_fate(result, edits)
    _order_does_not_matter(skill, edits, result)
    _only_editable_files_change(skill, result)
    _every_line_has_its_origin(skill, result)
    _untouched_headings_stay(skill, result)
    assert all(isinstance(finding, str) for finding in check_skill(result.skill))
    assert bool(diff_skills(skill, result.skill).text) == (skill.files != result.skill.files)


def _every_edit_has_one_fate(result: Applied, edits: Sequence[Edit]) -> None:
    fates = [one.edit.id for one in result.applied] + [one.edit.id for one in result.rejected]
    assert sorted(fates) == sorted(edit.id for edit in edits)
    assert all(one.reason for one in result.rejected)
    applied = {one.edit.id for one in result.applied}
    for edit in edits:
        assert edit.id not in applied or set(edit.requires) <= applied


def _order_does_not_matter(skill: Skill, edits: Sequence[Edit], result: Applied) -> None:
    shuffled = list(edits)
    random.Random(0).shuffle(shuffled)
    again = apply_edits(skill, shuffled)
    assert again.skill.digest == result.skill.digest
    assert again.lines == result.lines
    assert again.rejected == result.rejected


def _only_editable_files_change(skill: Skill, result: Applied) -> None:
    for path in {*skill.files, *result.skill.files}:
        if skill.files.get(path) == result.skill.files.get(path):
            continue
        assert path.endswith(".md")
        assert path.startswith("references/") or path in ("SKILL.md", "notes.md")
        assert path in skill.files or path == "references/new.md" or path in ("references/a.md", "references/b.md")
    assert (result.skill.name, result.skill.description) == (skill.name, skill.description)
    assert result.skill.executable == skill.executable
    front = document_of(skill, "SKILL.md").front
    assert result.skill.lines("SKILL.md")[:front] == skill.lines("SKILL.md")[:front]
    assert result.skill.files["SKILL.md"][:3] == skill.files["SKILL.md"][:3]


def _every_line_has_its_origin(skill: Skill, result: Applied) -> None:
    applied = {one.edit.id: one for one in result.applied}
    assert set(result.lines) == {path for path in result.skill.files if result.skill.is_text(path)}
    for path, owners in result.lines.items():
        lines = result.skill.lines(path)
        assert len(owners) == len(lines)
        assert all(owner is None or applied[owner].file == path for owner in owners)
        kept = tuple(line for line, owner in zip(lines, owners, strict=True) if owner is None)
        if path not in skill.files:
            assert not kept
            continue
        gone = {
            number for one in result.applied if one.file == path for number in range(one.place.start, one.place.end)
        }
        expected = tuple(line for number, line in enumerate(skill.lines(path)) if number not in gone)
        trimmed = expected[len(kept) :]
        assert kept == expected[: len(kept)]
        assert not any(line.strip() for line in trimmed)
        assert not trimmed or len(skill.lines(path)) - 1 in gone


def _untouched_headings_stay(skill: Skill, result: Applied) -> None:
    for path in result.lines.keys() & skill.files.keys():
        if not path.endswith(".md"):
            continue
        spans = [(one.place.start, one.place.end) for one in result.applied if one.file == path]
        before, after = document_of(skill, path), document_of(result.skill, path)
        untouched = [
            section
            for section in before.sections
            if not any(start < section.body and section.start < end for start, end in spans)
        ]
        numbers = _origins(before, result.lines[path], spans)
        starts = {section.start for section in untouched}
        found = [(section.level, section.title) for section in after.sections if numbers[section.start] in starts]
        assert found == [(section.level, section.title) for section in untouched]


def _origins(before: Document, owners: Sequence[str | None], spans: Sequence[tuple[int, int]]) -> list[int | None]:
    """Number in the original of each line of the result; None for a new line."""
    gone = {number for start, end in spans for number in range(start, end)}
    kept = iter(number for number in range(len(before.lines)) if number not in gone)
    return [None if owner else next(kept) for owner in owners]


@given(cases())
@QUICK
def test_apply(case: tuple[Skill, list[Edit]]) -> None:
    check(*case)


@pytest.mark.slow
@given(cases())
@FULL
def test_apply_to_many(case: tuple[Skill, list[Edit]]) -> None:
    check(*case)


@given(cases())
@settings(QUICK, max_examples=30)
def test_saving_stays_in_the_folder(case: tuple[Skill, list[Edit]]) -> None:
    skill, edits = case
    with TemporaryDirectory() as name:
        parent = Path(name) / "in"
        folder = save_skill(skill, parent)
        result = apply_edits(load_skill(folder), edits).skill
        save_skill(result, parent, overwrite=True)
        assert load_skill(folder) == result
        assert [path.name for path in Path(name).iterdir()] == ["in"]
        assert [path.name for path in parent.iterdir()] == ["demo"]


@given(cases())
@settings(QUICK, max_examples=50)
def test_damaged_skills_raise_our_own_errors(case: tuple[Skill, list[Edit]]) -> None:
    skill, edits = case
    broken = {path: data[: len(data) // 2] + data[len(data) // 3 :] for path, data in skill.files.items()}
    with suppress(PatchError, SkillError):
        apply_edits(Skill.from_files(broken), edits)
