"""Control skills: valid, of the evolved skill's name, and each without what it is a control for."""

from pathlib import Path

import pytest

from tests.trace2skill.toy import scripted, write_skill
from trace2skill.baselines.controls import CONTROL, TOLERANCE, Control, lexical_control, make_control
from trace2skill.errors import SkillError
from trace2skill.evolution import EvolveConfig, evolve
from trace2skill.models.simulated import NOTICE
from trace2skill.skill import check_skill, load_skill, parse_document

KINDS = ("generic-checklist", "length-matched", "sections-shuffled")
XLSX = Path(__file__).parents[3] / "skills" / "xlsx"


@pytest.fixture
def stamped(tmp_path: Path) -> Path:
    folder = write_skill(tmp_path / "evolved")
    file = folder / "SKILL.md"
    file.write_text(f"{file.read_text()}\n<!-- {NOTICE} -->\n")
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_a_control_is_valid_and_recorded(tmp_path: Path, kind: str) -> None:
    record = make_control(kind, XLSX, tmp_path / "out")  # type: ignore[arg-type]
    evolved, control = load_skill(XLSX), load_skill(tmp_path / "out" / "xlsx")

    assert check_skill(control) == []
    assert (control.name, control.description) == (evolved.name, evolved.description)
    assert control.digest == record.digest != evolved.digest == record.source_digest
    assert Control.model_validate_json((tmp_path / "out" / CONTROL).read_text()) == record
    assert (record.characters, record.source_characters) == (len(control.skill_md), len(evolved.skill_md))


@pytest.mark.parametrize("kind", KINDS)
def test_the_stamp_of_the_stand_in_stays_at_the_end(tmp_path: Path, stamped: Path, kind: str) -> None:
    record = make_control(kind, stamped, tmp_path / "out")  # type: ignore[arg-type]
    text = load_skill(tmp_path / "out" / "adding").skill_md

    assert record.simulated == NOTICE
    assert text.count(NOTICE) == 1
    assert text.endswith(f"\n\n<!-- {NOTICE} -->\n")


@pytest.mark.parametrize("size", [400, 3_000, 30_000])
def test_a_matched_length_is_within_the_tolerance_and_about_something_else(tmp_path: Path, size: int) -> None:
    folder = write_skill(tmp_path)
    (folder / "SKILL.md").write_text((folder / "SKILL.md").read_text() + f"- {'Read it. ' * 40}\n" * (size // 363))
    record = make_control("length-matched", folder, tmp_path / "out")
    control = load_skill(tmp_path / "out" / "adding")

    assert abs(record.characters - record.source_characters) <= TOLERANCE * record.source_characters
    assert record.donor
    assert "sum as an integer" not in control.skill_md


def test_the_text_comes_from_another_domain_or_from_the_skill_that_is_named(tmp_path: Path) -> None:
    assert make_control("length-matched", XLSX, tmp_path / "one").donor != "xlsx"
    assert make_control("length-matched", XLSX.parent / "math-basic", tmp_path / "two").donor != "math-basic"

    donor = XLSX.parent / "docvqa-basic"
    named = make_control("length-matched", XLSX, tmp_path / "three", donor=donor)
    assert (named.donor, named.donor_digest) == (str(donor), load_skill(donor).digest)


def test_shuffled_sections_are_the_same_ones_in_another_order_that_the_seed_decides(tmp_path: Path) -> None:
    def titles(folder: Path) -> list[str]:
        return [section.title for section in parse_document((folder / "xlsx" / "SKILL.md").read_bytes()).sections]

    for number, seed in enumerate((1, 1, 2)):
        make_control("sections-shuffled", XLSX, tmp_path / str(number), seed=seed)
    first, again, other = (titles(tmp_path / str(number)) for number in range(3))
    before = titles(XLSX.parent)

    assert first == again
    assert len({tuple(first), tuple(other), tuple(before)}) == 3
    assert first[0] == before[0]
    assert sorted(first) == sorted(before)
    evolved, control = load_skill(XLSX), load_skill(tmp_path / "0" / "xlsx")
    assert sorted(filter(None, control.lines("SKILL.md"))) == sorted(filter(None, evolved.lines("SKILL.md")))
    assert control.files.keys() == evolved.files.keys()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("# One\n\nText.\n", "two of one level"),
        ("# All\n\n## One\n\nText.\n\n## Two\n\n```\nnever closed\n", "never closed"),
    ],
)
def test_what_cannot_be_shuffled_is_refused(tmp_path: Path, body: str, message: str) -> None:
    folder = tmp_path / "adding"
    folder.mkdir()
    (folder / "SKILL.md").write_text(f"---\nname: adding\ndescription: Adds.\n---\n\n{body}")

    with pytest.raises(SkillError, match=message):
        make_control("sections-shuffled", folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_lexical_control_asks_no_model(adding_logs: Path, tmp_path: Path) -> None:
    initial = write_skill(tmp_path)
    evolve([adding_logs], initial, tmp_path / "run", EvolveConfig(model="mockllm/model"), model=scripted())
    record, manifest = lexical_control(tmp_path / "run", tmp_path / "out", [adding_logs], initial)

    assert (record.kind, record.digest) == ("lexical", manifest.digest)
    assert manifest.record.config.merger == "lexical"
    assert all(stage.reused for stage in manifest.stages)
    assert check_skill(load_skill(tmp_path / "out")) == []
    assert (tmp_path / "out" / CONTROL).is_file()


def test_a_negative_seed_is_refused_since_its_order_is_that_of_the_positive_one(tmp_path: Path) -> None:
    with pytest.raises(SkillError, match="must be at least 0, not -7: the order would be that of 7"):
        make_control("sections-shuffled", XLSX, tmp_path / "out", seed=-7)
