"""Blame: every line of an evolved skill with its edit and its trajectories."""

import json
from itertools import pairwise
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trace2skill.evolution.test_folder import write
from trace2skill.edits.provenance import FILE, best_supported, blame, line_ranges, schema
from trace2skill.errors import SkillError
from trace2skill.skill.folder import load_skill

SCHEMA = Path(__file__).parents[3] / "docs" / "provenance.schema.json"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    write(tmp_path / "run")
    return tmp_path / "run"


@given(st.lists(st.sampled_from([None, "a.1", "b.1"])))
def test_ranges_cover_every_line_once_and_are_as_long_as_they_can_be(origins: list[str | None]) -> None:
    ranges = line_ranges(origins)

    assert [row.edit for row in ranges for _ in range(row.start, row.end + 1)] == [origin or "" for origin in origins]
    assert all(one.end + 1 == other.start and one.edit != other.edit for one, other in pairwise(ranges))


def test_every_line_of_every_file_has_an_origin(run: Path) -> None:
    provenance, lines = blame(run)
    skill = load_skill(run)

    for file in skill.files:
        assert tuple(line.text for line in lines if line.file == file) == skill.lines(file)
    assert [line.number for line in lines] == list(range(1, len(lines) + 1))
    assert [(line.text, line.edit, line.support) for line in lines if line.edit] == [
        ("- Habit", "bcd.1", ("b", "c", "d")),
        ("  bcd.1.", "bcd.1", ("b", "c", "d")),
        ("- Habit", "a.1", ("a",)),
        ("  a.1.", "a.1", ("a",)),
        ("- Habit", "e.1", ("e",)),
        ("  e.1.", "e.1", ("e",)),
    ]
    assert provenance.digest == skill.digest


@pytest.mark.parametrize("inside", ["", "adding", "adding/SKILL.md"])
def test_the_run_the_skill_and_its_main_file_all_name_it(run: Path, inside: str) -> None:
    assert blame(run / inside) == blame(run)


def test_the_working_folder_will_do(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = blame(run)
    monkeypatch.chdir(run / "adding")

    assert blame(Path()) == expected


def test_a_changed_skill_is_refused(run: Path) -> None:
    main = run / "adding" / "SKILL.md"
    main.write_text(main.read_text() + "\n- Added by hand.\n")

    with pytest.raises(SkillError, match="was changed after it was evolved"):
        blame(run)


def test_a_skill_without_provenance_is_refused_with_advice(run: Path) -> None:
    with pytest.raises(SkillError, match=r"no provenance\.json here or above.*trace2skill evolve"):
        blame(run.parent / "initial" / "adding")


@pytest.mark.parametrize("torn", ["", '{"schema_version": 1, "sk', "[]", "\udcff"])
def test_a_torn_provenance_is_refused(run: Path, torn: str) -> None:
    (run / FILE).write_bytes(torn.encode(errors="surrogateescape"))

    with pytest.raises(SkillError, match=r"provenance\.json cannot be read"):
        blame(run)


def test_the_best_supported_come_first_with_all_their_lines(run: Path) -> None:
    _, lines = blame(run)
    top = best_supported(lines, 2)

    assert [(edit.edit, edit.support_count, edit.support) for edit in top] == [
        ("bcd.1", 3, ("b", "c", "d")),
        ("a.1", 1, ("a",)),
    ]
    assert [line.text for line in top[0].lines] == ["- Habit", "  bcd.1."]
    assert best_supported(lines, 1) == top[:1]
    assert len(best_supported(lines, 99)) == 3


def test_the_documented_schema_is_that_of_the_model() -> None:
    assert SCHEMA.read_text(encoding="utf-8") == schema()


def test_what_a_run_writes_fits_the_schema_and_nothing_else_does(run: Path) -> None:
    validator = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))
    written = json.loads((run / FILE).read_text())

    validator.validate(written)
    assert not validator.is_valid({**written, "more": 1})
    assert not validator.is_valid({key: value for key, value in written.items() if key != "files"})


def test_everything_in_the_schema_is_explained() -> None:
    found = json.loads(schema())
    models = [found, *found["$defs"].values()]

    assert [
        field["title"] for model in models for field in model["properties"].values() if "description" not in field
    ] == []
