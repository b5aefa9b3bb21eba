"""What results/qwen2.5-coder says is what its outcomes say, and its skills can be given to an agent."""

import runpy
from pathlib import Path

import pytest

from trace2skill.skill.folder import load_skill

FOLDER = Path(__file__).parents[2] / "results" / "qwen2.5-coder"


@pytest.mark.parametrize("outcomes", ["outcomes.csv", "outcomes-0.5b.csv"])
def test_the_readme_has_the_table_of_the_outcomes(outcomes: str) -> None:
    table = runpy.run_path(str(FOLDER / "table.py"))["table"](FOLDER / outcomes)
    assert table.rstrip() in (FOLDER / "README.md").read_text()


@pytest.mark.parametrize("folder", ["", "skills/success", "skills/error-llm"])
def test_its_skills_can_be_used(folder: str) -> None:
    assert load_skill(FOLDER / folder / "table-questions").name == "table-questions"
