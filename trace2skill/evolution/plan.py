"""What a run will take: model calls and tokens, estimated from the logs before anything is asked of a model."""

from collections.abc import Sequence
from pathlib import Path

import anyio
from pydantic import BaseModel, ConfigDict
from rich.table import Table

from trace2skill.analysis.lessons import outline
from trace2skill.consolidation.tree import level_sizes, numbered_files
from trace2skill.errors import LogError
from trace2skill.evolution.configuration import EvolveConfig
from trace2skill.evolution.inputs import read_inputs
from trace2skill.logs.task import recreate_task
from trace2skill.logs.trajectory import Trajectories, Trajectory, read_sample
from trace2skill.logs.transcript import CHARACTERS_PER_TOKEN, render_transcript
from trace2skill.prompts import Prompts, Role
from trace2skill.skill.folder import Skill

TOOL_TURNS = 8
"""Turns that an error analyst is taken to need: look, write a fix, check it, mend it, submit."""

TURN_TOKENS = 600
"""Tokens that a turn is taken to add: what the model writes and what its tool returns."""

EDITS_PER_PATCH = 1.5
EDIT_TOKENS = 120
"""An edit as a merger reads it; about what the recorded patches of the paper's model come to."""


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


def plan(
    logs: Sequence[str | Path], skill: str | Path, config: EvolveConfig, patches: Sequence[str | Path] = ()
) -> tuple[PlannedStage, ...]:
    """Estimate what an evolution run will take. Every trajectory is read; no model is asked.

    Tokens are characters / 4. What analysts will do is not known beforehand: see the constants of this module for what
    is assumed. Consolidation is planned as if every analysis led to a patch, so it is rather too high.

    Args:
        logs: Log files or folders, of one task.
        skill: The skill to start from.
        config: The run's settings.
        patches: Patch files to consolidate as well.

    Raises:
        Trace2SkillError: As `evolve` does.
    """
    inputs = read_inputs(logs, skill, config, patches)
    loaded, prompts, imported = inputs.skill, inputs.prompts, len(inputs.patches)
    stages: list[PlannedStage] = []
    analysed = 0
    if read := inputs.trajectories:
        stages = _analyses(read, loaded, prompts, config)
        analysed = sum(stage.samples for stage in stages)
        if config.replays:
            stages.append(_replays(read, config))
    if config.merger == "model" and analysed + imported:
        stages.append(_merges(analysed + imported, loaded, prompts, config))
    return tuple(stages)


def plan_table(stages: Sequence[PlannedStage], seeds: int = 1) -> Table:
    """A plan for the terminal; with several seeds, its last row is for all of them."""
    table = Table(title="Plan (estimates; nothing was run)", title_justify="left")
    for name in ("stage", "samples", "calls about", "at most", "tokens in about", "out about"):
        table.add_column(name, justify="left" if name == "stage" else "right")
    label = "total" if seeds == 1 else f"total of {seeds} seeds"
    total = [label, *(str(seeds * sum(getattr(stage, name) for stage in stages)) for name in _FIGURES)]
    for row in [*([stage.stage, *(str(getattr(stage, name)) for name in _FIGURES)] for stage in stages), total]:
        table.add_row(row[0], *(f"{int(figure):,}" for figure in row[1:]))
    return table


_FIGURES = ("samples", "calls", "most_calls", "input_tokens", "output_tokens")


def _analyses(read: Trajectories, skill: Skill, prompts: Prompts, config: EvolveConfig) -> list[PlannedStage]:
    stages: list[PlannedStage] = []
    single = config.analysts == "error-llm"
    if config.analysts in ("error", "combined") and read.failures:
        single = not _can_be_created(read, config)
        if not single:
            stages.append(_analysis("error_analysis", "error_analyst", read.failures, skill, prompts, config))
    if single and read.failures:
        stages.append(_analysis("error_llm_analysis", "error_llm", read.failures, skill, prompts, config))
    if config.analysts in ("success", "combined") and read.successes:
        stages.append(_analysis("success_analysis", "success_analyst", read.successes, skill, prompts, config))
    return stages


def _can_be_created(read: Trajectories, config: EvolveConfig) -> bool:
    """Whether the logged task can be created; if not, its failures are analysed in a single call."""
    try:
        recreate_task(read.headers[0], config.allowed)
    except LogError:
        return False
    return True


def _analysis(
    stage: str, role: Role, rows: Sequence[Trajectory], skill: Skill, prompts: Prompts, config: EvolveConfig
) -> PlannedStage:
    """One kind of analysis: its turns, and one more for the edits, each reading all that came before."""
    agentic = role == "error_analyst"
    turns = min(TOOL_TURNS, config.max_turns) if agentic else 1
    fixed = _tokens(prompts.source(role)) + _tokens(skill.skill_md)
    patch_turn = _tokens(prompts.source("patch")) + _tokens(outline(skill))
    read = 0
    for row in rows:
        opening = fixed + anyio.run(_shown_tokens, row, config.transcript_tokens)
        read += sum(opening + turn * TURN_TOKENS for turn in range(turns + 1)) + patch_turn
    return PlannedStage(
        stage=stage,
        samples=len(rows),
        calls=(turns + 1) * len(rows),
        most_calls=((config.max_turns if agentic else 1) + 1) * len(rows),
        input_tokens=read,
        output_tokens=(turns + 1) * len(rows) * TURN_TOKENS // 2,
    )


async def _shown_tokens(row: Trajectory, budget: int) -> int:
    sample = await read_sample(row)
    task = sample.input if isinstance(sample.input, str) else render_transcript(sample.input)
    return _tokens(task) + _tokens(render_transcript(sample.messages, budget))


def _replays(read: Trajectories, config: EvolveConfig) -> PlannedStage:
    """As many calls and tokens as the failed runs took, once for each lesson and replay."""
    runs = round(len(read.failures) * EDITS_PER_PATCH) * config.replays
    ran = max(len(read.all) + len(read.excluded), 1)
    return PlannedStage(
        stage="replay",
        samples=runs,
        calls=runs * min(TOOL_TURNS, config.max_turns),
        most_calls=runs * config.max_turns,
        input_tokens=sum(header.input_tokens for header in read.headers) * runs // ran,
        output_tokens=sum(header.output_tokens for header in read.headers) * runs // ran,
    )


def _merges(patches: int, skill: Skill, prompts: Prompts, config: EvolveConfig) -> PlannedStage:
    levels = level_sizes(patches, config.merge_batch)
    calls = sum(levels) + 1
    fixed = _tokens(prompts.source("merger")) + sum(_tokens(file["numbered"]) for file in numbered_files(skill, ()))
    # Merging makes each level's input about half of what came in below.
    edits = sum(patches * EDITS_PER_PATCH / 2**level for level in range(len(levels)))
    return PlannedStage(
        stage="consolidation",
        samples=calls,
        calls=calls,
        most_calls=calls,
        input_tokens=calls * fixed + round(edits * EDIT_TOKENS),
        output_tokens=round(edits * EDIT_TOKENS),
    )


def _tokens(text: str) -> int:
    return len(text) // CHARACTERS_PER_TOKEN
