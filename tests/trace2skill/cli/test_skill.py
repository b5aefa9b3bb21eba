"""`trace2skill skill`: check, diff and blame, for people and as JSON."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.trace2skill.evolution.test_folder import RECORD, write
from tests.trace2skill.toy import write_skill
from trace2skill.cli.skill import skill_group
from trace2skill.errors import SkillError
from trace2skill.models.simulated import NOTICE
from trace2skill.skill.diff import diff_skills
from trace2skill.skill.folder import load_skill

Cli = Callable[..., Result]


@pytest.fixture
def cli() -> Cli:
    def call(*arguments: object) -> Result:
        result = CliRunner().invoke(skill_group, [str(argument) for argument in arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return call


@pytest.fixture
def run(tmp_path: Path) -> Path:
    write(tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def before(run: Path) -> Path:
    return run.parent / "initial" / "adding"


def test_check_says_valid_or_what_is_wrong(cli: Cli, tmp_path: Path) -> None:
    skill = write_skill(tmp_path)
    assert cli("check", skill).output == f"{skill}: skill 'adding' is valid (1 files, 14 lines in SKILL.md).\n"

    main_file = skill / "SKILL.md"
    main_file.write_text(main_file.read_text() + "- See references/gone.md\n" + "x\n" * 500)
    result = cli("check", skill)

    assert result.exit_code == 1
    assert len(result.output.splitlines()) == 2
    assert "515 lines, must stay under 500" in result.output
    assert "links to references/gone.md" in result.output


def test_check_as_json_has_the_findings_and_the_exit_code(cli: Cli, tmp_path: Path) -> None:
    folder = write_skill(tmp_path)
    skill = load_skill(folder)
    result = cli("check", folder, "--json")

    assert result.exit_code == 0
    assert json.loads(result.output) == {
        "name": "adding",
        "description": "How to add the numbers of a file.",
        "digest": skill.digest,
        "files": ["SKILL.md"],
        "findings": [],
        "flags": [],
    }
    (folder / "SKILL.md").write_text(skill.skill_md + "- See references/gone.md\n")
    result = cli("check", folder, "--json")
    assert result.exit_code == 1
    assert json.loads(result.output)["findings"] == [
        "SKILL.md: links to references/gone.md, which does not exist in the skill"
    ]


def test_diff_shows_sections_then_lines(cli: Cli, before: Path, run: Path) -> None:
    result = cli("diff", before, run)

    assert result.exit_code == 0
    assert result.output.splitlines()[0] == "changed  SKILL.md: Adding > Reading (+6 -0)"
    assert "\n+- Habit\n+  bcd.1.\n" in result.output
    assert cli("diff", before, before).output == "The skills are the same.\n"


def test_diff_as_json(cli: Cli, before: Path, run: Path) -> None:
    found = json.loads(cli("diff", before, run, "--json").output)

    assert found == {
        "text": diff_skills(load_skill(before), load_skill(run)).text,
        "sections": [
            {"file": "SKILL.md", "section": "Adding > Reading", "change": "changed", "added": 6, "removed": 0}
        ],
    }
    assert json.loads(cli("diff", before, before, "--json").output) == {"text": "", "sections": []}


def test_blame_shows_every_line_with_its_trajectories(cli: Cli, run: Path) -> None:
    lines = cli("blame", run, "--all").stdout.splitlines()
    rows = [json.loads(line) for line in cli("blame", run, "--all", "--json").output.splitlines()]

    evolved = load_skill(run).lines("SKILL.md")
    assert len(lines) == len(rows) == len(evolved)
    [line] = [line for line in lines if "bcd.1." in line]
    assert line.split()[:3] == ["3", "bcd.1", "b,c,d"]
    assert tuple(row["text"] for row in rows) == evolved
    assert next(row for row in rows if row["edit"]) == {
        "file": "SKILL.md",
        "number": evolved.index("- Habit") + 1,
        "text": "- Habit",
        "edit": "bcd.1",
        "support_count": 3,
        "support": ["b", "c", "d"],
    }


def test_blame_shows_what_changed_unless_asked_for_all(cli: Cli, run: Path) -> None:
    result = cli("blame", run)
    every = cli("blame", run, "--all").stdout.splitlines()

    assert result.stdout.splitlines() == [line for line in every if " initial " not in line]
    assert 0 < len(result.stdout.splitlines()) < len(every)
    assert result.stderr == f"6 of {len(every)} lines come from the evolution; --all shows the rest.\n"
    assert all(json.loads(line)["edit"] for line in cli("blame", run, "--json").output.splitlines())


def test_blame_of_the_best_supported(cli: Cli, run: Path) -> None:
    first = load_skill(run).lines("SKILL.md").index("- Habit") + 1
    assert cli("blame", run, "--top", 2).output.splitlines() == [
        "   3  bcd.1          b,c,d",
        f"      SKILL.md:{first:<4} - Habit",
        f"      SKILL.md:{first + 1:<4}   bcd.1.",
        "   1  a.1            a",
        f"      SKILL.md:{first + 2:<4} - Habit",
        f"      SKILL.md:{first + 3:<4}   a.1.",
    ]
    rows = [json.loads(line) for line in cli("blame", run, "--top", 2, "--json").output.splitlines()]
    assert rows[0] == {
        "edit": "bcd.1",
        "support_count": 3,
        "support": ["b", "c", "d"],
        "lines": [
            {"file": "SKILL.md", "number": first, "text": "- Habit"},
            {"file": "SKILL.md", "number": first + 1, "text": "  bcd.1."},
        ],
    }
    assert [row["edit"] for row in rows] == ["bcd.1", "a.1"]
    assert cli("blame", run, "--top", 0).exit_code == 2


def test_what_is_simulated_says_so_to_people(cli: Cli, tmp_path: Path) -> None:
    write(tmp_path / "run", RECORD.model_copy(update={"models": {"model": "sim/large"}}))

    for options in ((), ("--top", 1)):
        assert cli("blame", tmp_path / "run", *options).output.splitlines()[0] == NOTICE
    assert [json.loads(line)["edit"] for line in cli("blame", tmp_path / "run", "--json").output.splitlines()][-1] == (
        "simulated"
    )


def test_more_than_four_trajectories_are_counted_not_named(cli: Cli, run: Path) -> None:
    provenance = run / "provenance.json"
    content = json.loads(provenance.read_text())
    content["edits"]["bcd.1"]["support"] = list("abcdef")
    provenance.write_text(json.dumps(content))

    assert "   6  bcd.1          a,b,c,d... " in cli("blame", run).output


def test_blame_of_a_plain_skill_is_refused(before: Path) -> None:
    with pytest.raises(SkillError, match=r"no provenance\.json.*trace2skill evolve"):
        CliRunner().invoke(skill_group, ["blame", str(before)], catch_exceptions=False)


def test_control_says_where_it_is_and_that_lexical_needs_logs(cli: Cli, tmp_path: Path) -> None:
    evolved = write_skill(tmp_path)
    output = tmp_path / "out"
    result = cli("control", "generic-checklist", evolved, "--output", output)
    length = len(load_skill(output / "adding").skill_md)

    assert f"generic-checklist: {length} characters in SKILL.md, {len(load_skill(evolved).skill_md)}" in result.output
    assert f"skill    {output / 'adding'}\nrecord   {output / 'control.json'}\n" in result.output

    result = cli("control", "lexical", tmp_path, "--output", tmp_path / "other")
    assert result.exit_code == 2
    assert "name its --logs" in result.output
