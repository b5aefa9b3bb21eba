"""The sizes of the shipped studies are those that docs/study.md tells."""

import re
from pathlib import Path

import pytest

from trace2skill.study import Study

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("study", "scale", "said"),
    [
        ("quickstart", None, r"the quickstart: (\d+) cells"),
        ("paper", None, r"Tables 1 to 6 of Trace2Skill: (\d+) cells"),
        ("paper", "smoke", r"with one seed: (\d+) cells"),
        ("cpu", None, r"CPU servers: (\d+) cells"),
        ("baselines", None, r"on SpreadsheetBench-Verified: (\d+) cells"),
        ("baselines", "stand-in", r"40 tasks and one seed: (\d+) cells"),
    ],
)
def test_a_study_has_as_many_cells_as_the_docs_say(study: str, scale: str | None, said: str, tmp_path: Path) -> None:
    loaded = Study.load(ROOT / "results" / study, scale=scale, runs=tmp_path)
    told = re.search(said, (ROOT / "docs" / "study.md").read_text(encoding="utf-8"))

    assert told is not None
    assert len(loaded.cells) == int(told[1])
