"""The eleven logs of other people's projects, from reading to an evolved skill, with the stand-in as analyst.

`docs/foreign-logs.md` has the table of what each gave.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from trace2skill.consolidation.ledger import read_ledger
from trace2skill.data.places import bundled
from trace2skill.errors import LogError
from trace2skill.evolution.configuration import Analysts, EvolveConfig
from trace2skill.evolution.evolve import evolve
from trace2skill.evolution.folder import Manifest
from trace2skill.logs.trajectory import Trajectories, read_trajectories
from trace2skill.skill.folder import check_skill, load_skill

LOGS = Path(__file__).parents[3] / "../shared/data/inspect-logs"

pytestmark = [
    pytest.mark.shared_data,
    pytest.mark.skipif(not LOGS.is_dir(), reason=f"no foreign logs in {LOGS}"),
]


@dataclass(frozen=True, kw_only=True)
class Foreign:
    """A usable log: what is in it, and what has to be said to use it."""

    file: str
    task: str
    model: str
    successes: int
    failures: int
    settings: Mapping[str, Any] = field(default_factory=dict)
    combined: bool = True
    """Whether the test runs both pools at once as well; the largest log spares itself that."""

    @property
    def path(self) -> Path:
        return LOGS / self.file


USABLE = {
    "epochs": Foreign(
        file="METR+inspect-action/small.eval",
        task="oxdna_simple",
        model="anthropic/claude-opus-4-1-20250805",
        successes=6,
        failures=0,
    ),
    "message limits": Foreign(
        file="TransluceAI+docent/log.eval",
        task="inspect_evals/luce_intercode_ctf",
        model="openai/gpt-4o",
        successes=9,
        failures=6,
    ),
    "mock model": Foreign(
        file="UKGovernmentBEIS+hibayes/minimal_test.eval",
        task="minimal_task",
        model="mockllm/model",
        successes=0,
        failures=2,
    ),
    "four scorers": Foreign(
        file="UKGovernmentBEIS+inspect-evals-log-viewer/bash_1.eval",
        task="bash_task",
        model="anthropic/claude-3-5-sonnet-latest",
        successes=1,
        failures=2,
        settings={"scorer": "main_task_correctness"},
    ),
    "unresolved image": Foreign(
        file="UKGovernmentBEIS+inspect_ai/log_images.json",
        task="images",
        model="openai/gpt-4o",
        successes=0,
        failures=1,
    ),
    "deduplicated messages": Foreign(
        file="UKGovernmentBEIS+inspect_ai/log_message_deduplication.eval",
        task="inspect_test_utils/guess_number",
        model="hardcoded/hardcoded",
        successes=0,
        failures=1,
    ),
    "reasoning": Foreign(
        file=(
            "carlosrymer+inspect-ai-owasp-agentic-top10/"
            "2026-08-01T15-18-34-00-00_support-desk-naive_7UyEcsb23evHpAfY9e2k5X.eval"
        ),
        task="support_desk",
        model="openai-api/moonshot/kimi-k3",
        successes=22,
        failures=10,
        settings={"success": "task_utility == 1 and attack_success == 0"},
    ),
    "hundred samples": Foreign(
        file=("meridianlabs-ai+inspect_scout/2025-09-23T08-09-58-04-00_theory-of-mind_bbB4eRCx2rFJLyPH42Cj9r.eval"),
        task="theory_of_mind",
        model="openai/gpt-4o-mini",
        successes=83,
        failures=17,
        combined=False,
    ),
    "written from R": Foreign(
        file="tidyverse+vitals/2025-04-07T11-00-30-05-00_arithmetic-with-tool_gKECTBvzvzgtPqQCd3cirF.json",
        task="arithmetic_with_tool",
        model="anthropic/claude-3-5-sonnet-latest",
        successes=2,
        failures=0,
    ),
}

REFUSED = {
    "UKGovernmentBEIS+inspect-evals-log-viewer/Testing.eval": "no samples. Was the evaluation cancelled? Run it again.",
    "UKGovernmentBEIS+inspect_ai/log_tool_call_error.json": (
        "no sample has a score, so success cannot be told from failure. Score the log with `inspect score` first."
    ),
}

AMBIGUOUS = {
    "four scorers": (
        "several scorers; choose one with --scorer: full_traj_monitor, main_task_correctness, max_sus_scorer, "
        "side_task_correctness. Or say with --success what success is, for instance --success 'full_traj_monitor == 1'."
    ),
    "reasoning": (
        "several scorers; choose one with --scorer: attack_success, task_utility. Or say with --success what "
        "success is, for instance --success 'attack_success == 1'."
    ),
}


def run(foreign: Foreign, analysts: Analysts, folder: Path) -> Manifest:
    config = EvolveConfig(analysts=analysts, model="sim/small", min_support=1, **foreign.settings)
    return evolve([foreign.path], bundled("skills/xlsx-basic"), folder, config, display="none")


def read(foreign: Foreign) -> Trajectories:
    return read_trajectories([foreign.path], **foreign.settings)


def check(foreign: Foreign, folder: Path, manifest: Manifest, stages: Mapping[str, int], pool: set[str]) -> None:
    """Every trajectory of the pool was analysed and is accounted for, every edit has one fate, and the skill is sound.

    Args:
        foreign: The log.
        folder: Run folder.
        manifest: What the run came to.
        stages: Samples that each analysis must have.
        pool: Ids of the trajectories.
    """
    assert manifest.trajectories == {"successes": foreign.successes, "failures": foreign.failures}
    analyses = {stage.stage: stage.samples for stage in manifest.stages if stage.stage != "consolidation"}
    assert analyses == {stage: count for stage, count in stages.items() if count}
    rows = [row for row in read_ledger(folder / "ledger.jsonl") if row.proposed]
    assert {name for row in rows for name in row.support} == pool
    fates = {fate: count for fate, count in manifest.edits.items() if fate != "proposed"}
    assert sum(fates.values()) == manifest.edits["proposed"] == sum(row.kind == "edit" for row in rows)
    assert sum(manifest.analyses.values()) == sum(row.kind == "analysis" for row in rows)
    assert manifest.record.agent_models == (foreign.model,)
    assert manifest.simulated
    assert not check_skill(load_skill(folder / manifest.skill))


def test_every_log_is_accounted_for() -> None:
    found = {str(path.relative_to(LOGS)) for path in LOGS.glob("*/*") if path.suffix in (".eval", ".json")}

    assert found == {*(foreign.file for foreign in USABLE.values()), *REFUSED}
    assert len(found) == 11


@pytest.mark.parametrize("name", USABLE)
def test_successes_are_analysed(name: str, tmp_path: Path) -> None:
    foreign = USABLE[name]
    if not foreign.successes:
        with pytest.raises(LogError, match="hold no trajectory for --analysts success: all of them have the other"):
            run(foreign, "success", tmp_path / "run")
        return

    manifest = run(foreign, "success", tmp_path / "run")

    pool = {row.id for row in read(foreign).successes}
    check(foreign, tmp_path / "run", manifest, {"success_analysis": foreign.successes}, pool)
    assert manifest.notes == ()


@pytest.mark.parametrize("name", USABLE)
def test_failures_are_analysed_in_a_single_call(name: str, tmp_path: Path) -> None:
    foreign = USABLE[name]
    if not foreign.failures:
        with pytest.raises(LogError, match="hold no trajectory for --analysts error-llm: all of them have the other"):
            run(foreign, "error-llm", tmp_path / "run")
        return

    manifest = run(foreign, "error-llm", tmp_path / "run")

    pool = {row.id for row in read(foreign).failures}
    check(foreign, tmp_path / "run", manifest, {"error_llm_analysis": foreign.failures}, pool)
    assert manifest.notes == ()


@pytest.mark.parametrize("name", [name for name, foreign in USABLE.items() if foreign.combined])
def test_what_cannot_be_tried_again_falls_back_to_the_single_call(name: str, tmp_path: Path) -> None:
    foreign = USABLE[name]

    manifest = run(foreign, "combined", tmp_path / "run")

    stages = {"error_llm_analysis": foreign.failures, "success_analysis": foreign.successes}
    check(foreign, tmp_path / "run", manifest, stages, {row.id for row in read(foreign).all})
    gone = f"in a single call, without a proven fix: The logged task '{foreign.task}' is not installed here, and its"
    assert [gone in note for note in manifest.notes] == [True] * bool(foreign.failures)


@pytest.mark.parametrize("file", REFUSED)
@pytest.mark.parametrize("analysts", ["success", "error-llm", "combined"])
def test_what_cannot_be_used_is_refused_with_advice(file: str, analysts: Analysts, tmp_path: Path) -> None:
    with pytest.raises(LogError) as refusal:
        evolve([LOGS / file], bundled("skills/xlsx-basic"), tmp_path / "run", EvolveConfig(analysts=analysts))

    assert str(refusal.value) == f"{LOGS / file}: {REFUSED[file]}"
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_several_scorers_need_a_choice(name: str) -> None:
    path = USABLE[name].path
    with pytest.raises(LogError) as refusal:
        read_trajectories([path])

    assert str(refusal.value) == f"{path}: {AMBIGUOUS[name]}"


@pytest.mark.parametrize(
    ("name", "settings", "successes"),
    [
        ("four scorers", {"scorer": "side_task_correctness"}, 0),
        ("four scorers", {"scorer": "full_traj_monitor", "threshold": 10}, 3),
        ("four scorers", {"scorer": "max_sus_scorer", "threshold": -1}, 3),
        ("four scorers", {"success": "main_task_correctness == 1 and full_traj_monitor < 10"}, 0),
        ("reasoning", {"scorer": "task_utility"}, 22),
        ("reasoning", {"success": "attack_success == 0"}, 30),
        ("deduplicated messages", {"threshold": 0}, 1),
        ("message limits", {"success": "not includes"}, 6),
    ],
)
def test_the_user_says_what_success_is(name: str, settings: dict[str, Any], successes: int) -> None:
    found = read_trajectories([USABLE[name].path], **settings)

    assert (len(found.successes), len(found.excluded)) == (successes, 0)


def test_epochs_are_trajectories_of_their_own() -> None:
    assert [row.id for row in read(USABLE["epochs"]).all] == [f"default#{number}" for number in range(1, 7)]


def test_who_uses_up_its_messages_has_failed() -> None:
    assert {"56", "78", "86"} <= {row.id for row in read(USABLE["message limits"]).failures}
