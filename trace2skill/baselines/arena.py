"""One ledger for all arms of a comparison: what each may see, who made it, and what making it took.

Read from what the methods themselves wrote: the manifest of a run folder, the record of a control. Figures are of
making the skill or memory; trajectories are counted, and not what playing them took, which all methods share but those
that learn while they play.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from trace2skill.baselines.controls import CONTROL, Control
from trace2skill.comparison.results import Arm, ComparisonTable, Making
from trace2skill.data.places import resolve_path
from trace2skill.errors import Trace2SkillError
from trace2skill.evolution.candidates import SELECTION, Selection
from trace2skill.evolution.configuration import SUCCESSES_ONLY, EvolveConfig
from trace2skill.evolution.folder import MANIFEST, Manifest
from trace2skill.evolution.stages import StageUsage, broken_note
from trace2skill.files import Stored, file_digest, read_model
from trace2skill.memory.bank import CARD, Card
from trace2skill.skill.folder import load_skill

_POOLS = {"error": ("failures",), "error-llm": ("failures",), "success": ("successes",)}
_BOTH = ("successes", "failures")

_CONTROLS = {
    "generic-checklist": "nothing of the benchmark",
    "length-matched": "a skill for something else",
    "sections-shuffled": "the evolved skill",
    "lexical": "the run's analyses",
}


def with_methods(table: ComparisonTable) -> ComparisonTable:
    """A comparison with a row for each arm on how it was made."""
    arms = [table.comparisons[0].control, *(comparison.treatment for comparison in table.comparisons)]
    rows = [making(arm) for arm in arms]
    return table.model_copy(update={"methods": tuple(rows), "unequal": tuple(_unequal(rows))})


def making(arm: Arm) -> Making:
    """What an arm is and what making it took.

    Args:
        arm: The arm, whose logs name its skill, memory and budget.
    """
    parts = [_of_artefact(arm.name, path, "skill by hand") for path in arm.skills]
    parts += [_of_artefact(arm.name, path, "memory bank") for path in arm.memories]
    if arm.match_tokens:
        parts.append(_equal_tokens(arm))
    if not parts:
        return Making(arm=arm.name, method="no-skill", sees="the task")
    return parts[0] if len(parts) == 1 else _together(arm.name, parts)


def _equal_tokens(arm: Arm) -> Making:
    allowed = " and ".join(
        f"{int(each):,} tokens on each sample" if each.isdecimal() else f"what the runs in {each} took on that sample"
        for each in arm.match_tokens
    )
    return Making(
        arm=arm.name,
        method="equal tokens",
        sees="the task, its own work",
        notes=(f"its agent might check its work until it had spent {allowed}{_spent(arm)}",),
    )


def _spent(arm: Arm) -> str:
    """What an arm spent of what it might, as far as its logs tell."""
    if not arm.tokens_allowed or arm.tokens_per_run is None:
        return ""
    share = arm.tokens_per_run / arm.tokens_allowed
    return f"; it spent {share:.0%} of that ({arm.tokens_per_run:,.0f} of {arm.tokens_allowed:,.0f} tokens per run)"


def _of_artefact(arm: str, path: str, otherwise: str) -> Making:
    """The row of an arm that was given a skill or a memory; `otherwise` names what no run and no control made."""
    folder = resolve_path(path)
    if not folder.exists():
        return Making(arm=arm, method="unknown", sees="unknown", artefact=f"{path} (not found)")
    try:
        made = _of_folder(arm, folder, folder) or _of_folder(arm, folder.parent, folder) or _of_card(arm, folder)
    except (OSError, ValueError) as error:
        made = Making(arm=arm, method="unknown", sees="unknown", notes=(str(error),))
    return (made or Making(arm=arm, method=otherwise, sees="unknown")).model_copy(update={"artefact": path})


def _of_folder(arm: str, place: Path, folder: Path) -> Making | None:
    """The row of an arm that was given a folder, by the records in a place; None if they are not of that folder."""
    control, run = _read(place / CONTROL, Control), _read(place / MANIFEST, Manifest)
    if run and _is_its(place, run, folder):
        return _unless_edited(_of_runs(arm, [run], control), place / (run.bank or run.skill), {run.digest})
    if control and _same(place / control.skill, folder):
        return _unless_edited(_of_control(arm, control), place / control.skill, {control.digest})
    selection = _read(place / SELECTION, Selection)
    runs = [_read(place / row.name / MANIFEST, Manifest) for row in (selection.candidates if selection else ())]
    chosen = [each for each in runs if each and (_same(place, folder) or _same(place / each.skill, folder))]
    if not selection or not chosen:
        return None
    digests = {each.digest for each in chosen}
    return _unless_edited(_of_runs(arm, chosen, None), place / chosen[0].skill, digests)


def _unless_edited(made: Making, artefact: Path, digests: set[str]) -> Making:
    """A row that says so where its artefact is not any more what its record says."""
    try:
        card = artefact / CARD
        digest = file_digest(card) if card.is_file() else load_skill(artefact).digest
    except Trace2SkillError:
        digest = ""
    note = () if digest in digests else ("it was edited since it was made: its digest is not that of its record",)
    return made.model_copy(update={"notes": (*made.notes, *note)})


def _of_card(arm: str, folder: Path) -> Making | None:
    """The row of a bank without the manifest of its run: what its card says of it. None if it is no bank."""
    card = _read(folder / CARD, Card)
    if card is None:
        return None
    return Making(
        arm=arm,
        method=f"{card.method} (online)" if card.stream else card.method,
        sees="successes" if card.method in SUCCESSES_ONLY else "unknown",
        author=tuple(sorted(set(card.authors.values()))),
        agents=card.agents,
        sources=tuple(sorted(digest for _, digest in card.logs)),
        notes=(f"its run's manifest is not there: its card says that it holds {card.records:,} past tasks",),
    )


def _read(file: Path, model: type[Stored]) -> Stored | None:
    return read_model(file, model) if file.is_file() else None


def _same(place: Path, folder: Path) -> bool:
    return place.exists() and place.samefile(folder)


def _is_its(place: Path, run: Manifest, folder: Path) -> bool:
    """Whether a folder is a run's, or what the run made."""
    made = run.bank or run.skill
    return _same(place, folder) or _same(place / made, folder)


def _of_control(arm: str, control: Control) -> Making:
    seed = "" if control.seed is None else f" (seed {control.seed})"
    return Making(
        arm=arm,
        method=f"control: {control.kind}{seed}",
        sees=_CONTROLS[control.kind],
        calls=0,
        input_tokens=0,
        output_tokens=0,
        rounds=0,
        notes=(
            f"control of {control.source}: {control.characters} characters for {control.source_characters}"
            + (f", text of {control.donor}" if control.donor else ""),
        ),
    )


def _of_runs(arm: str, runs: Sequence[Manifest], control: Control | None) -> Making:
    """The row of an artefact that a run made, or the best of several that were all paid for."""
    record = runs[0].record
    stages = [stage for run in runs for stage in run.stages]
    pool = ("successes",) if record.config.method in SUCCESSES_ONLY else _POOLS.get(record.config.analysts, _BOTH)
    authors = {name for run in runs for name in _authors(run)}
    reused = sum(stage.calls for stage in stages if stage.reused)
    notes = [f"{reused:,} of its calls are another run's analyses, used again"] if reused else []
    if broken := broken_note(stages):
        notes.append(broken)
    if len(runs) > 1:
        notes.append(f"the best of {len(runs)} seeds: all of them are counted, not the plays that chose it")
    if record.config.stream:
        notes.append("playing its tasks is among its calls, tokens and time: it learned while it played")
    if control:
        notes.append(f"control of {control.source}")
    return Making(
        arm=arm,
        method=f"control: {control.kind}" if control else _method(record.config),
        sees=_CONTROLS[control.kind] if control else " and ".join(pool),
        author=tuple(sorted(authors)),
        trajectories=sum(runs[0].trajectories.get(name, 0) for name in pool),
        calls=sum(stage.calls for stage in stages),
        input_tokens=sum(stage.input_tokens for stage in stages),
        output_tokens=sum(stage.output_tokens for stage in stages),
        rounds=_none_if_unknown([_rounds(run.stages) for run in runs]),
        agents=record.agent_models,
        sources=tuple(sorted(digest for _, digest in record.inputs)),
        wall_seconds=sum(_wall(run.stages) for run in runs),
        notes=tuple(notes),
    )


def _authors(run: Manifest) -> Iterable[str]:
    """The models that a run asked, and those of the run whose analyses it used.

    A model that was named for a part which was never asked is none of them.
    """
    record = run.record
    own = [stage for stage in run.stages if not stage.reused]
    asked = {name for stage in own for name in (record.models.values() if stage.models is None else stage.models)}
    before = {name for stage in run.stages if stage.reused for name in stage.models or ()}
    reused = record.reused.models.values() if record.reused else ()
    return [name for name in record.models.values() if name in asked] + [
        name for name in reused if name in before or not before
    ]


def _method(config: EvolveConfig) -> str:
    if config.method == "parallel":
        return "parallel, lexical merger" if config.merger == "lexical" else "parallel"
    if config.stream:
        return f"{config.method} (online)"
    return f"sequential B={config.batch}" if config.method == "sequential" else str(config.method)


def _side_by_side(stages: Iterable[StageUsage]) -> Iterator[list[StageUsage]]:
    """The tasks of each stage, which run at the same time and share a log folder."""
    found: dict[Path, list[StageUsage]] = defaultdict(list)
    for stage in stages:
        found[Path(stage.log).parent].append(stage)
    yield from found.values()


def _rounds(stages: Iterable[StageUsage]) -> int | None:
    """Stages follow each other; in each of them the longest chain counts."""
    chains = [_none_if_unknown([stage.rounds for stage in group]) for group in _side_by_side(stages)]
    return None if None in chains else sum(chain for chain in chains if chain is not None)


def _none_if_unknown(rounds: Sequence[int | None]) -> int | None:
    known = [each for each in rounds if each is not None]
    return max(known, default=0) if len(known) == len(rounds) else None


def _wall(stages: Iterable[StageUsage]) -> float:
    return sum(max(stage.wall_seconds for stage in group) for group in _side_by_side(stages))


def _together(arm: str, parts: Sequence[Making]) -> Making:
    """One row for an arm that was given several things, such as a skill and a memory; or for logs with several."""

    def total(name: str) -> Any:
        known = [value for part in parts if (value := getattr(part, name)) is not None]
        return sum(known) if known else None

    return Making(
        arm=arm,
        method=" + ".join(dict.fromkeys(part.method for part in parts)),
        sees=", ".join(dict.fromkeys(part.sees for part in parts)),
        author=tuple(sorted({author for part in parts for author in part.author})),
        trajectories=max((part.trajectories for part in parts if part.trajectories is not None), default=None),
        calls=total("calls"),
        input_tokens=total("input_tokens"),
        output_tokens=total("output_tokens"),
        rounds=total("rounds"),
        wall_seconds=total("wall_seconds"),
        agents=tuple(sorted({agent for part in parts for agent in part.agents})),
        sources=tuple(sorted({source for part in parts for source in part.sources})),
        artefact=", ".join(part.artefact for part in parts if part.artefact),
        notes=tuple(note for part in parts for note in part.notes),
    )


def _unequal(rows: Sequence[Making]) -> Iterator[str]:
    """What is not the same for all arms that were made from trajectories."""
    made = [row for row in rows if row.trajectories is not None]
    asked = [row for row in made if row.author]
    if len({row.author for row in asked}) > 1:
        by = "; ".join(f"{row.arm} {', '.join(row.author)}" for row in asked)
        yield f"Author models are not equal: {by}."
    if len({row.trajectories for row in made}) > 1:
        yield f"Numbers of trajectories are not equal: {'; '.join(f'{row.arm} {row.trajectories}' for row in made)}."
    told = [row for row in rows if row.sources]
    if len({row.agents for row in told}) > 1:
        by = "; ".join(f"{row.arm} {', '.join(row.agents)}" for row in told)
        yield f"Models that played the trajectories are not equal: {by}."
    if len({row.sources for row in told}) > 1:
        by = "; ".join(f"{row.arm} {len(row.sources)} ({_short(row.sources)})" for row in told)
        yield f"The logs that they were made from are not the same: {by}."


def _short(digests: Sequence[str]) -> str:
    """The beginnings of digests, the first few of them."""
    return ", ".join(digest[:8] for digest in digests[:3]) + (", ..." if len(digests) > 3 else "")
