"""Parametric skills: drafted by a model, checked like any other."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from inspect_ai.model import ChatMessage, GenerateConfig, ModelAPI, ModelOutput, modelapi
from inspect_ai.tool import ToolChoice, ToolInfo

from tests.trace2skill.toy import structured
from trace2skill.cli.main import main
from trace2skill.errors import ModelOutputError, SkillError, Trace2SkillError
from trace2skill.evolution.draft import MAX_LINES, draft_skill
from trace2skill.skill.folder import check_skill, load_skill

GOOD = {"description": "Adds numbers. Use it for sums.", "title": "Adding", "body": "## Reading\n\n- Read to the end."}
ANSWERS: list[dict[str, str]] = []
ASKED: list[list[ChatMessage]] = []


@modelapi(name="drafts")
class Drafts(ModelAPI):
    """Gives the listed answers, the last one again and again."""

    async def generate(
        self, input: list[ChatMessage], tools: list[ToolInfo], tool_choice: ToolChoice, config: GenerateConfig
    ) -> ModelOutput:
        ASKED.append(input)
        return structured(dict(ANSWERS[min(len(ASKED), len(ANSWERS)) - 1]))


def draft(tmp_path: Path, *answers: dict[str, str], name: str = "adding", **options: Any) -> Path:
    ANSWERS[:], ASKED[:] = answers, []
    return draft_skill("Adding numbers.", tmp_path / name, "drafts/one", display="none", **options)


def test_a_draft_is_a_valid_skill(tmp_path: Path) -> None:
    skill = load_skill(draft(tmp_path, GOOD))

    assert (skill.name, skill.description) == ("adding", "Adds numbers. Use it for sums.")
    assert skill.skill_md.endswith("\n# Adding\n\n## Reading\n\n- Read to the end.\n")
    assert check_skill(skill) == []
    assert "<domain>\nAdding numbers.\n</domain>" in ASKED[0][0].text
    assert list((tmp_path / "adding.logs").glob("*/*.eval"))


def test_an_invalid_draft_goes_back_to_the_model(tmp_path: Path) -> None:
    too_long = {**GOOD, "body": "## Reading\n" + "- Read on.\n" * MAX_LINES}

    draft(tmp_path, too_long, GOOD)

    assert f"it has {MAX_LINES + 1} lines, and {MAX_LINES} are allowed" in ASKED[1][-1].text


def test_a_draft_that_stays_invalid_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(ModelOutputError, match=r"no usable skill_draft in 2 attempts.*The transcript is in"):
        draft(tmp_path, {"description": "x"})
    assert not (tmp_path / "adding").exists()


@pytest.mark.parametrize("name", ["Adding", "adding--numbers", "a_b"])
def test_a_folder_that_cannot_name_a_skill_is_refused_before_a_model_is_asked(tmp_path: Path, name: str) -> None:
    with pytest.raises(SkillError, match="its last part names the skill"):
        draft(tmp_path, GOOD, name=name)
    assert ASKED == []


def test_an_existing_folder_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "adding").mkdir()

    with pytest.raises(Trace2SkillError, match="exists already"):
        draft(tmp_path, GOOD)


def test_the_stand_in_drafts_on_the_command_line(tmp_path: Path) -> None:
    arguments = ["skill", "draft", "--domain", "Sums in tables.", "--model", "sim/small"]

    result = CliRunner().invoke(main, [*arguments, "--output", str(tmp_path / "sums")])

    assert result.exit_code == 0, result.output
    skill = load_skill(tmp_path / "sums")
    assert "SIMULATED" in skill.skill_md
    assert check_skill(skill) == []


def test_another_domain_is_asked_anew(tmp_path: Path) -> None:
    shutil.rmtree(draft(tmp_path, GOOD))
    ANSWERS[:], ASKED[:] = [{**GOOD, "title": "Dividing"}], []

    folder = draft_skill("Dividing numbers.", tmp_path / "adding", "drafts/one", display="none")

    assert "# Dividing" in load_skill(folder).skill_md
