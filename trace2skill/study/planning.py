"""About what a study takes: from what finished cells took, else from the assumptions that are named beside it."""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from trace2skill.consolidation.tree import level_sizes
from trace2skill.errors import Trace2SkillError
from trace2skill.evolution.configuration import EvolveConfig
from trace2skill.evolution.plan import EDIT_TOKENS, EDITS_PER_PATCH, TOOL_TURNS, TURN_TOKENS, plan
from trace2skill.logs.task import create_task
from trace2skill.study.cells import Cell, Result
from trace2skill.study.running import State
from trace2skill.study.study import Study
from trace2skill.study.working import initial_of, logs_of
from trace2skill.tables import Table

OPENING_TOKENS = 2_000
"""System prompt, skill and task are taken to have, where nothing was played yet."""

SAMPLES = 200
"""Samples of a split whose data is not there."""

FAILURES = 0.5
"""Share of trajectories that are taken to be failures, where nothing was played yet."""

ASSUMPTIONS = (
    "Where a cell of the same task and model is finished, a run of a sample takes what it took there. Else, assumed: "
    f"{TOOL_TURNS} turns of {TURN_TOKENS} tokens after an opening of {OPENING_TOKENS:,}, each reading all that came "
    "before it; a task that is answered in one message takes less.",
    "An evolution is planned from its rollout's logs, as `evolve --plan` does. Before there are any, assumed: "
    f"{FAILURES:.0%} of the trajectories are failures, an error analysis takes {TOOL_TURNS} turns, and every analysis "
    f"leads to a patch of {EDITS_PER_PATCH} edits of {EDIT_TOKENS} tokens.",
    "GPU hours are the GPUs of a model's endpoint (`gpus`), for as long as its output tokens take: at the rate of the "
    "finished cells, else at `tokens_per_second`; without either none are told. Finished cells that ran side by side "
    "shared the endpoint, so hours by their rate are rather too high.",
)
"""What the figures of a plan are computed from, for people to read beside it."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What a cell takes, about."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True, kw_only=True)
class PlanRow:
    """Cells of a kind and a model."""

    kind: str
    model: str
    cells: int
    finished: int
    waits_for: str
    """Kinds of cells that they depend on."""
    left: Estimate
    """What those that are not finished take."""
    gpu_hours: float
    """NaN where nothing says how fast the endpoint is."""


class Planner:
    """Estimates cells."""

    def __init__(self, study: Study) -> None:
        self.study = study
        self.states: Mapping[str, State] = study.states()
        self.notes: list[str] = []
        self._measured = _measured(self.states)
        self._samples_of = cache(self._count)
        self._sizes = {
            (row.task, row.args.get("dataset"), split): size
            for row in study.declaration.benchmarks.values()
            for split, size in row.sizes.items()
        }

    def estimate(self, cell: Cell) -> Estimate:
        """What a cell takes."""
        if cell.kind in ("rollout", "evaluate"):
            return self._played(cell)
        if cell.kind == "evolve":
            return self._evolved(cell)
        if cell.kind == "draft":
            return Estimate(calls=1, input_tokens=TURN_TOKENS, output_tokens=OPENING_TOKENS)
        return Estimate()

    def _samples(self, cell: Cell) -> int:
        said = cell.definition
        declared = said["samples"]
        arguments = tuple(sorted((name, str(value)) for name, value in said["args"].items()))
        found = SAMPLES if cell.places["file"] else self._samples_of(said["task"], arguments)
        return int(min(declared or found, found) * (said["epochs"] or 1))

    def _count(self, task: str, arguments: tuple[tuple[str, str], ...]) -> int:
        try:
            created = create_task(task, dict(arguments))
        except Trace2SkillError:
            given = dict(arguments)
            size = self._sizes.get((task, given.get("dataset"), given["split"]))
            how = f"{size} samples are declared" if size else f"{SAMPLES} samples are assumed"
            told = " ".join(f"{name}={value}" for name, value in arguments)
            self.notes.append(f"The data of {task} {told} is not there: {how}.")
            return size or SAMPLES
        return len(created.dataset) * (created.epochs or 1)

    def _played(self, cell: Cell) -> Estimate:
        runs = self._samples(cell)
        if known := self._measured.get((cell.definition["task"], cell.definition["model"])):
            samples = sum(result.samples for result in known)
            return Estimate(
                calls=round(sum(result.calls for result in known) / samples * runs),
                input_tokens=round(sum(result.input_tokens for result in known) / samples * runs),
                output_tokens=round(sum(result.output_tokens for result in known) / samples * runs),
            )
        read = sum(OPENING_TOKENS + turn * TURN_TOKENS for turn in range(TOOL_TURNS))
        return Estimate(
            calls=runs * TOOL_TURNS, input_tokens=runs * read, output_tokens=runs * TOOL_TURNS * TURN_TOKENS // 2
        )

    def _evolved(self, cell: Cell) -> Estimate:
        config = EvolveConfig.model_validate(cell.definition["config"])
        if "reuse" in cell.needs:
            config = config.model_copy(update={"reuse_analyses": "planned"})
        rollout = self.states[cell.needs["rollout"].digest]
        job = cell.job(self.study.runs)
        try:
            if rollout.state == "finished":
                initial = None if config.makes_bank else initial_of(job)
                stages = plan(logs_of(Path(job.needs["rollout"])), initial, config)
                return Estimate(
                    calls=sum(stage.calls for stage in stages),
                    input_tokens=sum(stage.input_tokens for stage in stages),
                    output_tokens=sum(stage.output_tokens for stage in stages),
                )
        except Trace2SkillError as error:
            self.notes.append(f"{cell.name}: {error}")
            return Estimate()
        return _assumed(config, self._samples(cell.needs["rollout"]))

    def gpu_hours(self, model: str, left: Estimate) -> float:
        """GPU hours of a model's endpoint."""
        declared = self.study.declaration.models[model]
        if not declared.gpus:
            return 0.0
        done = [
            state.result
            for digest, state in self.states.items()
            if state.result and self.study.cells[digest].model == model and state.result.output_tokens
        ]
        rate = declared.tokens_per_second
        if done:
            rate = sum(result.output_tokens for result in done) / sum(result.seconds for result in done)
        return left.output_tokens / rate * declared.gpus / 3600 if rate else math.nan


def _measured(standing: Mapping[str, State]) -> dict[tuple[str, str], list[Result]]:
    """Finished cells that played a split, by task and model."""
    found: dict[tuple[str, str], list[Result]] = defaultdict(list)
    for state in standing.values():
        if state.result and state.result.kind in ("rollout", "evaluate") and state.result.samples:
            said = state.result.definition
            found[said["task"], said["model"]].append(state.result)
    return found


def _assumed(config: EvolveConfig, trajectories: int) -> Estimate:
    """An evolution of which no trajectory is there yet."""
    failures = round(trajectories * FAILURES)
    if config.makes_bank:
        analysed, turns = (trajectories if config.method == "reasoning-bank" else trajectories - failures), 0
    else:
        pools = {"error": failures, "error-llm": failures, "success": trajectories - failures}
        analysed, turns = pools.get(config.analysts, trajectories), TOOL_TURNS
    agentic = failures if config.analysts in ("error", "combined") and not config.makes_bank else 0
    calls = 0 if config.method == "synapse" else agentic * (turns + 1) + (analysed - agentic) * (2 if turns else 1)
    if config.reuse_analyses:
        calls = 0
    read, written = calls * (OPENING_TOKENS + turns * TURN_TOKENS // 2), calls * TURN_TOKENS // 2
    if config.method == "parallel":
        merges = sum(level_sizes(analysed, config.merge_batch)) + 1 if analysed else 0
    else:
        merges = math.ceil(analysed / config.batch) + 1 if config.method == "sequential" else 0
    edits = round(analysed * EDITS_PER_PATCH) * EDIT_TOKENS if merges else 0
    return Estimate(
        calls=calls + merges, input_tokens=read + merges * OPENING_TOKENS + edits, output_tokens=written + edits
    )


def plan_study(study: Study) -> tuple[list[PlanRow], list[str]]:
    """What a study takes, and what should be known of the figures. Logs are read; no model is asked.

    Args:
        study: The study.
    """
    planner = Planner(study)
    groups: dict[tuple[str, str], list[Cell]] = defaultdict(list)
    for cell in study.cells.values():
        groups[cell.kind, cell.model].append(cell)
    return list(_rows(planner, groups)), planner.notes


def _rows(planner: Planner, groups: Mapping[tuple[str, str], list[Cell]]) -> Iterator[PlanRow]:
    for (kind, model), cells in groups.items():
        open_cells = [cell for cell in cells if planner.states[cell.digest].state != "finished"]
        estimates = [planner.estimate(cell) for cell in open_cells]
        left = Estimate(
            calls=sum(each.calls for each in estimates),
            input_tokens=sum(each.input_tokens for each in estimates),
            output_tokens=sum(each.output_tokens for each in estimates),
        )
        yield PlanRow(
            kind=kind,
            model=model,
            cells=len(cells),
            finished=len(cells) - len(open_cells),
            waits_for=", ".join(sorted({needed.kind for cell in cells for needed in cell.needs.values()})),
            left=left,
            gpu_hours=planner.gpu_hours(model, left) if model else 0.0,
        )


def plan_table(rows: list[PlanRow]) -> Table:
    """A plan as a table; its last row is the sum."""
    lines = [_line(row.kind, row.model, row) for row in rows]
    total = PlanRow(
        kind="total",
        model="",
        cells=sum(row.cells for row in rows),
        finished=sum(row.finished for row in rows),
        waits_for="",
        left=Estimate(
            calls=sum(row.left.calls for row in rows),
            input_tokens=sum(row.left.input_tokens for row in rows),
            output_tokens=sum(row.left.output_tokens for row in rows),
        ),
        gpu_hours=sum(row.gpu_hours for row in rows),
    )
    numbers = ("cells", "finished", "calls\nleft", "tokens in\nleft", "tokens out\nleft", "GPU hours\nleft")
    return Table(
        columns=("cells of", "model", "wait for", *numbers),
        rows=[*lines, _line("total", "", total)],
        right=numbers,
    )


def _line(kind: str, model: str, row: PlanRow) -> tuple[str, ...]:
    left = row.left
    hours = "not told" if math.isnan(row.gpu_hours) else f"{row.gpu_hours:.1f}"
    figures = map("{:,}".format, (row.cells, row.finished, left.calls, left.input_tokens, left.output_tokens))
    return (kind, model, row.waits_for, *figures, hours)
