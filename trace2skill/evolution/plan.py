"""What a run will take: model calls and tokens, estimated from the logs before anything is asked of a model."""

import math
from collections.abc import Sequence
from pathlib import Path

import anyio
from inspect_ai.model import GenerateConfig
from pydantic import BaseModel, ConfigDict

from trace2skill.analysis.lessons import outline
from trace2skill.consolidation.tree import level_sizes, numbered_files
from trace2skill.errors import LogError
from trace2skill.evolution.configuration import EvolveConfig
from trace2skill.evolution.inputs import Inputs, read_inputs
from trace2skill.logs.task import recreate_for_analysis
from trace2skill.logs.trajectory import Trajectories, Trajectory, read_sample
from trace2skill.logs.transcript import CHARACTERS_PER_TOKEN, render_transcript
from trace2skill.prompts import Role
from trace2skill.tables import Table

TOOL_TURNS = 8
"""Turns that an error analyst is taken to need: look, write a fix, check it, mend it, submit."""

TURN_TOKENS = 600
"""Tokens that a turn is taken to add: what the model writes and what its tool returns."""

TOOL_RESULT_TOKENS = 16 * 1024 // CHARACTERS_PER_TOKEN
"""A tool result at most: Inspect cuts longer ones."""

REPLY_TOKENS = 32_768
"""A reply of a replayed agent at most, where its log does not limit it."""

EDITS_PER_PATCH = 1.5
EDIT_TOKENS = 120
"""An edit as a merger reads it; about what the recorded patches of the paper's model come to."""

ASSUMPTIONS = (
    f"Tokens are characters / {CHARACTERS_PER_TOKEN}, counted in the prompts, the skill and the transcripts.",
    f"'About': an error analysis takes {TOOL_TURNS} turns of {TURN_TOKENS} tokens, and a patch has {EDITS_PER_PATCH} "
    f"edits of {EDIT_TOKENS}.",
    "'At most': every error analysis takes --max-turns or --analyst-tokens, every call reads all that came before it, "
    "every reply is as long as --analyst-max-tokens and --merger-max-tokens allow (where the agent plays "
    f"again: the log's max_tokens, {REPLY_TOKENS:,} where it names none), and every tool result 16 KiB. "
    "Repair rounds come on top.",
)
"""What the figures of a plan are computed from, for people to read beside it."""


class PlannedStage(BaseModel):
    """What a stage will take."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    stage: str
    """Name of the stage."""
    samples: int
    """Trajectories, lessons or merges."""
    calls: int
    """Model calls, about."""
    most_calls: int
    """Model calls at most, repair rounds aside."""
    input_tokens: int
    """Tokens read, about; in conversations with tools most of them from the server's prefix cache."""
    output_tokens: int
    """Tokens generated, about."""
    rounds: int
    """Samples that have to wait for each other at most; a clean run needs no model and is not counted."""
    most_tokens: int
    """Tokens read and generated at most, repair rounds aside."""


def plan(
    logs: Sequence[str | Path], skill: str | Path | None, config: EvolveConfig, patches: Sequence[str | Path] = ()
) -> tuple[PlannedStage, ...]:
    """Estimate what an evolution run will take. Every trajectory is read; no model is asked.

    Tokens are characters / 4. What analysts will do is not known beforehand: see the constants of this module for what
    is assumed. Consolidation is planned as if every analysis led to a patch, so it is rather too high.

    Args:
        logs: Log files or folders, of one task.
        skill: The skill to start from; none where the method makes a bank.
        config: The run's settings.
        patches: Patch files to consolidate as well.

    Raises:
        Trace2SkillError: As `evolve` does.
    """
    inputs = read_inputs(logs, skill, config, patches)
    if config.makes_bank:
        return _inductions(inputs, config)
    imported = len(inputs.patches)
    stages: list[PlannedStage] = []
    analysed = 0
    if read := inputs.trajectories:
        stages = _analyses(read, inputs, config)
        analysed = sum(stage.samples for stage in stages)
        if config.reuse_analyses:
            stages = []
        if config.analyse_with == "current":
            stages = [stage.model_copy(update={"rounds": math.ceil(analysed / config.batch)}) for stage in stages]
        if config.replays:
            stages.append(_replays(read, inputs, config))
    if config.method == "sequential" and analysed:
        stages.append(_edits(analysed, inputs, config))
    elif config.method == "parallel" and config.merger == "model" and analysed + imported:
        stages.append(_merges(analysed + imported, inputs, config))
    return tuple(stages)


def plan_table(stages: Sequence[PlannedStage], seeds: int = 1) -> Table:
    """A plan as a table; with several seeds, its last row is for all of them."""
    totals = {name: seeds * sum(getattr(stage, name) for stage in stages) for name in _FIGURES}
    rows = [(stage.stage, *(f"{getattr(stage, name):,}" for name in _FIGURES)) for stage in stages]
    label = "total" if seeds == 1 else f"total of {seeds} seeds"
    rows.append((label, *(f"{figure:,}" for figure in totals.values())))
    return Table(columns=("stage", *_FIGURES.values()), rows=rows, right=tuple(_FIGURES.values()))


_FIGURES = {
    "samples": "samples",
    "calls": "calls\nabout",
    "most_calls": "calls\nat most",
    "rounds": "rounds",
    "input_tokens": "tokens in\nabout",
    "output_tokens": "tokens out\nabout",
    "most_tokens": "tokens\nat most",
}


def _analyses(read: Trajectories, inputs: Inputs, config: EvolveConfig) -> list[PlannedStage]:
    stages: list[PlannedStage] = []
    single = config.analysts == "error-llm"
    if config.analysts in ("error", "combined") and read.failures:
        single = not _can_be_created(read, config)
        if not single:
            stages.append(_analysis("error_analysis", "error_analyst", read.failures, inputs, config))
    if single and read.failures:
        stages.append(_analysis("error_llm_analysis", "error_llm", read.failures, inputs, config))
    if config.analysts in ("success", "combined") and read.successes:
        stages.append(_analysis("success_analysis", "success_analyst", read.successes, inputs, config))
    return stages


def _can_be_created(read: Trajectories, config: EvolveConfig) -> bool:
    """Whether the logged task can be created; if not, its failures are analysed in a single call."""
    try:
        recreate_for_analysis(read.headers[0], config.allowed)
    except LogError:
        return False
    return True


def _analysis(stage: str, role: Role, rows: Sequence[Trajectory], inputs: Inputs, config: EvolveConfig) -> PlannedStage:
    """One kind of analysis: its turns, and one more for the edits, each reading all that came before."""
    agentic = role == "error_analyst"
    skill, prompts = inputs.skill, inputs.prompts
    most_turns = config.max_turns if agentic else 1
    turns = min(TOOL_TURNS, most_turns)
    settings = config.settings(inputs.profile)
    reply = _most(settings.analyst if agentic else settings.single)
    fixed = _tokens(prompts.source(role)) + _tokens(skill.skill_md)
    patch_turn = _tokens(prompts.source("patch")) + _tokens(outline(skill))
    read = most = 0
    for row in rows:
        opening = fixed + anyio.run(_shown_tokens, row, config.transcript_tokens)
        read += sum(opening + turn * TURN_TOKENS for turn in range(turns + 1)) + patch_turn
        conversation = _conversation(opening, most_turns + 1, reply, tools=agentic) + patch_turn
        most += min(conversation, config.analyst_tokens or conversation) if agentic else conversation
    return PlannedStage(
        stage=stage,
        samples=len(rows),
        calls=(turns + 1) * len(rows),
        most_calls=(most_turns + 1) * len(rows),
        input_tokens=read,
        output_tokens=(turns + 1) * len(rows) * TURN_TOKENS // 2,
        rounds=1,
        most_tokens=most,
    )


def _inductions(inputs: Inputs, config: EvolveConfig) -> tuple[PlannedStage, ...]:
    """One call for each trajectory that a bank is made from, and one more where the model judges it."""
    if inputs.trajectories is None or not config.asks_model:
        return ()
    if config.stream:
        return (_stream(inputs.trajectories, inputs, config),)
    judged = config.judge == "model"
    rows = inputs.trajectories.all if judged or config.method == "reasoning-bank" else inputs.trajectories.successes
    if not judged and config.method == "reasoning-bank" and config.analysts != "combined":
        rows = tuple(row for row in rows if row.success is (config.analysts == "success"))
    calls = len(rows) * ((config.method != "synapse") + judged)
    role: Role = "memory_judge" if config.method == "synapse" else "memory_success"
    fixed = _tokens(inputs.prompts.source(role))
    read = sum(fixed + anyio.run(_shown_tokens, row, config.transcript_tokens) for row in rows)
    reply = _most(config.settings(inputs.profile).single)
    stage = PlannedStage(
        stage=f"{_named(config)}_induction",
        samples=len(rows),
        calls=calls,
        most_calls=calls,
        rounds=calls // max(len(rows), 1),
        input_tokens=read * calls // max(len(rows), 1),
        output_tokens=calls * TURN_TOKENS // 2,
        most_tokens=read * calls // max(len(rows), 1) + calls * reply,
    )
    return (stage,)


def _stream(read: Trajectories, inputs: Inputs, config: EvolveConfig) -> PlannedStage:
    """Each logged task is played once more, and looked at in one call, or two where the model judges it."""
    rows = tuple({str(row.sample_id): row for row in read.all}.values())
    plays = _plays(read, inputs, config, rows, len(rows))
    looks = len(rows) * (1 + (config.judge == "model"))
    fixed = _tokens(inputs.prompts.source("memory_success"))
    shown = sum(fixed + anyio.run(_shown_tokens, row, config.transcript_tokens) for row in rows)
    seen = shown * looks // len(rows)
    return PlannedStage(
        stage=f"{_named(config)}_stream",
        samples=2 * len(rows),
        calls=plays.calls + looks,
        most_calls=plays.most_calls + looks,
        rounds=2 * len(rows),
        input_tokens=plays.input_tokens + seen,
        output_tokens=plays.output_tokens + looks * TURN_TOKENS // 2,
        most_tokens=plays.most_tokens + seen + looks * _most(config.settings(inputs.profile).single),
    )


def _named(config: EvolveConfig) -> str:
    return config.method.replace("-", "_")


async def _shown_tokens(row: Trajectory, budget: int) -> int:
    sample = await read_sample(row)
    task = sample.input if isinstance(sample.input, str) else render_transcript(sample.input)
    return _tokens(task) + _tokens(render_transcript(sample.messages, budget))


def _most(settings: GenerateConfig) -> int:
    """The most tokens that a reply may have."""
    return settings.max_tokens or REPLY_TOKENS


def _conversation(opening: int, calls: int, reply: int, *, tools: bool) -> int:
    """Tokens of a conversation in which every call reads the opening and all replies and tool results before it."""
    turn = reply + (TOOL_RESULT_TOKENS if tools else 0)
    return calls * (opening + reply) + turn * calls * (calls - 1) // 2


def _replays(read: Trajectories, inputs: Inputs, config: EvolveConfig) -> PlannedStage:
    """Each failed task is played once for each lesson and replay."""
    runs = round(len(read.failures) * EDITS_PER_PATCH) * config.replays
    return _plays(read, inputs, config, read.failures, runs)


def _plays(
    read: Trajectories, inputs: Inputs, config: EvolveConfig, rows: Sequence[Trajectory], runs: int
) -> PlannedStage:
    """The logged agent plays again: as many tokens as the logged runs took."""
    ran = max(len(read.all) + len(read.excluded), 1)
    # A play begins with the skill and the task, which is no longer than task and transcript together.
    shown = max((anyio.run(_shown_tokens, row, config.transcript_tokens) for row in rows), default=0)
    opening = (_tokens(inputs.skill.skill_md) if inputs.skill.files else 0) + shown
    reply = max((_most(header.model.config) for header in read.headers), default=REPLY_TOKENS)
    return PlannedStage(
        stage="replay",
        samples=runs,
        calls=runs * min(TOOL_TURNS, config.max_turns),
        most_calls=runs * config.max_turns,
        input_tokens=sum(header.input_tokens for header in read.headers) * runs // ran,
        output_tokens=sum(header.output_tokens for header in read.headers) * runs // ran,
        rounds=1,
        most_tokens=runs * _conversation(opening, config.max_turns, reply, tools=True),
    )


def _merges(patches: int, inputs: Inputs, config: EvolveConfig) -> PlannedStage:
    levels = level_sizes(patches, config.merge_batch)
    calls = sum(levels) + 1
    fixed = _tokens(inputs.prompts.source("merger")) + sum(
        _tokens(file["numbered"]) for file in numbered_files(inputs.skill, ())
    )
    reply = _most(config.settings(inputs.profile).merger)
    # Merging makes each level's input about half of what came in below.
    edits = sum(patches * EDITS_PER_PATCH / 2**level for level in range(len(levels)))
    return PlannedStage(
        stage="consolidation",
        samples=calls,
        calls=calls,
        most_calls=calls,
        input_tokens=calls * fixed + round(edits * EDIT_TOKENS),
        output_tokens=round(edits * EDIT_TOKENS),
        rounds=len(levels) + 1,
        # A merge reads at most a full batch of replies.
        most_tokens=calls * (fixed + (config.merge_batch + 1) * reply),
    )


def _edits(trajectories: int, inputs: Inputs, config: EvolveConfig) -> PlannedStage:
    """The calls of sequential editing, each of which reads the skill that the one before it has left."""
    batches = math.ceil(trajectories / config.batch)
    calls = batches + config.final_consolidation
    shown = sum(len(inputs.skill.text(path)) for path in inputs.skill.files if inputs.skill.is_text(path))
    fixed = _tokens(inputs.prompts.source("editor")) + shown // CHARACTERS_PER_TOKEN
    written = round(trajectories * EDITS_PER_PATCH * EDIT_TOKENS)
    reply = _most(config.settings(inputs.profile).merger)
    return PlannedStage(
        stage="sequential_editing",
        samples=calls,
        calls=calls,
        most_calls=calls,
        rounds=calls,
        # A lesson is as long as the edit that it becomes, and on average half of the edits stand in the skill already.
        input_tokens=calls * (fixed + written // 2) + written,
        output_tokens=written,
        # What a call reads of earlier ones is no longer than all of their replies, nor than a skill may be.
        most_tokens=calls * (fixed + reply) + reply * calls * (calls - 1) // 2 + trajectories * reply,
    )


def _tokens(text: str) -> int:
    return len(text) // CHARACTERS_PER_TOKEN
