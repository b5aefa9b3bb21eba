"""Analyses of a finished run, used again with another merger."""

import json
from pathlib import Path

import pytest

from tests.trace2skill.toy import scripted, write_skill
from trace2skill.errors import Trace2SkillError
from trace2skill.evolution import EvolveConfig, evolve
from trace2skill.evolution.configuration import Analysts

pytestmark = pytest.mark.slow


@pytest.fixture
def first(adding_logs: Path, tmp_path: Path) -> Path:
    evolve([adding_logs], write_skill(tmp_path), tmp_path / "first", model=scripted(), display="none")
    return tmp_path / "first"


def test_only_merges_are_paid_again(first: Path, adding_logs: Path, tmp_path: Path) -> None:
    config = EvolveConfig(reuse_analyses=str(first), merge_batch=2, min_support=1)
    again = evolve([adding_logs], tmp_path / "adding", tmp_path / "again", config, model=scripted(), display="none")
    usual = EvolveConfig(merge_batch=2, min_support=1)
    anew = evolve([adding_logs], tmp_path / "adding", tmp_path / "anew", usual, model=scripted(), display="none")

    assert again.digest == anew.digest
    assert again.edits == anew.edits
    assert [stage.reused for stage in again.stages] == [True, True, False]
    assert sorted(path.name for path in (tmp_path / "again" / "logs").iterdir()) == ["consolidation"]


def test_the_lexical_merger_needs_no_call_at_all(first: Path, adding_logs: Path, tmp_path: Path) -> None:
    config = EvolveConfig(reuse_analyses=str(first), merger="lexical")
    found = evolve([adding_logs], tmp_path / "adding", tmp_path / "again", config, model=scripted(), display="none")

    assert all(stage.reused for stage in found.stages)
    assert not (tmp_path / "again" / "logs").exists()


@pytest.mark.parametrize(
    ("settings", "named"), [({"max_turns": 3}, "config.max_turns"), ({"analysts": "error-llm"}, "config.analysts")]
)
def test_analyses_that_this_run_would_not_make_are_refused(
    first: Path, adding_logs: Path, tmp_path: Path, settings: dict[str, object], named: str
) -> None:
    config = EvolveConfig(reuse_analyses=str(first), **settings)  # type: ignore[arg-type]
    with pytest.raises(Trace2SkillError, match=f"that run has other {named}"):
        evolve([adding_logs], tmp_path / "adding", tmp_path / "again", config, model=scripted(), display="none")


@pytest.mark.parametrize(("analysts", "stage"), [("error", "error_analysis"), ("success", "success_analysis")])
def test_of_all_analyses_those_of_one_pool_can_be_used_again(
    first: Path, adding_logs: Path, tmp_path: Path, analysts: Analysts, stage: str
) -> None:
    config = EvolveConfig(reuse_analyses=str(first), analysts=analysts)
    found = evolve([adding_logs], tmp_path / "adding", tmp_path / "again", config, model=scripted(), display="none")

    assert found.edits == {"proposed": 2, "applied": 2}
    assert [row.stage for row in found.stages if row.reused] == [stage]


def test_a_folder_without_a_run_is_refused(adding_logs: Path, tmp_path: Path) -> None:
    config = EvolveConfig(reuse_analyses=str(tmp_path))
    with pytest.raises(Trace2SkillError, match=r"no run\.json there"):
        evolve([adding_logs], write_skill(tmp_path), tmp_path / "again", config, model=scripted(), display="none")


def test_settings_that_were_changed_by_hand_are_noticed(first: Path, adding_logs: Path, tmp_path: Path) -> None:
    record = json.loads((first / "run.json").read_text())
    record["config"]["max_turns"] = 7
    (first / "run.json").write_text(json.dumps(record))
    config = EvolveConfig(reuse_analyses=str(first), max_turns=7)

    with pytest.raises(Trace2SkillError, match="was changed after the run had begun"):
        evolve([adding_logs], tmp_path / "adding", tmp_path / "again", config, model=scripted(), display="none")
