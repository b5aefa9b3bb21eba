"""What a run will take, before it is run."""

from pathlib import Path
from typing import Any

from tests.trace2skill.toy import run_adding, run_adding_with_skill, write_skill
from trace2skill.evolution.configuration import EvolveConfig
from trace2skill.evolution.plan import ASSUMPTIONS, plan, plan_table
from trace2skill.models.sampling import Settings


def test_a_plan_counts_calls_and_asks_no_model(tmp_path: Path) -> None:
    skill = write_skill(tmp_path)
    logs = run_adding_with_skill(tmp_path / "logs", skill)

    stages = {stage.stage: stage for stage in plan([logs], skill, EvolveConfig(max_turns=5, replays=2))}

    assert [(stage.samples, stage.calls, stage.most_calls) for stage in stages.values()] == [
        (2, 12, 12),
        (2, 4, 4),
        (6, 30, 30),
        (2, 2, 2),
    ]
    assert list(stages) == ["error_analysis", "success_analysis", "replay", "consolidation"]
    assert all(stage.input_tokens > 0 for name, stage in stages.items() if name != "replay")
    assert len(plan_table(tuple(stages.values())).rows) == 5


def test_a_plan_has_an_upper_bound_of_tokens_and_says_what_it_comes_from(tmp_path: Path) -> None:
    skill = write_skill(tmp_path)
    logs = run_adding_with_skill(tmp_path / "logs", skill)
    short = tmp_path / "short.yaml"
    short.write_text("source: here\ninstruct: {max_tokens: 100}\nthinking: {max_tokens: 1000}\n")

    def most(**settings: Any) -> dict[str, int]:
        stages = plan([logs], skill, EvolveConfig(replays=1, max_turns=5, **settings))
        assert all(stage.most_tokens >= stage.input_tokens + stage.output_tokens for stage in stages)
        return {stage.stage: stage.most_tokens for stage in stages}

    free, bounded = most(), most(profile=str(short), analyst_tokens=90_000)
    # A replay is played as the log says.
    assert {stage for stage in free if bounded[stage] < free[stage]} == free.keys() - {"replay"}
    assert bounded["error_analysis"] <= 2 * 90_000
    # Two calls for each of two successes, which write as much as they may; the second reads the first reply.
    limit = Settings.of().single.max_tokens or 0
    assert 2 * 3 * limit < free["success_analysis"] < 2 * 3 * limit + 20_000
    assert most(analyst_max_tokens=1_000)["success_analysis"] < most(analyst_max_tokens=2_000)["success_analysis"]
    assert all(word in " ".join(ASSUMPTIONS) for word in ("max_tokens", "--analyst-tokens", "32,768", "16 KiB"))


def test_analyses_that_are_used_again_are_not_planned(adding_logs: Path, tmp_path: Path) -> None:
    config = EvolveConfig(reuse_analyses="run")

    assert [row.stage for row in plan([adding_logs], write_skill(tmp_path), config)] == ["consolidation"]


def test_each_condition_has_its_own_stages(adding_logs: Path, tmp_path: Path) -> None:
    skill = write_skill(tmp_path)
    stages = {
        condition: [row.stage for row in plan([adding_logs], skill, EvolveConfig(analysts=condition, merger="lexical"))]
        for condition in ("error", "success", "error-llm")
    }

    assert stages == {
        "error": ["error_analysis"],
        "success": ["success_analysis"],
        "error-llm": ["error_llm_analysis"],
    }


def test_longer_transcripts_take_more_tokens(tmp_path: Path) -> None:
    logs, skill = run_adding(tmp_path / "logs"), write_skill(tmp_path)
    short, whole = (
        plan([logs], skill, EvolveConfig(analysts="success", merger="lexical", transcript_tokens=tokens))
        for tokens in (100, 16_000)
    )

    assert short[0].input_tokens <= whole[0].input_tokens
