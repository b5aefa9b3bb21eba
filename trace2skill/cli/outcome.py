"""What an evolution run came to, in the terminal."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import click

from trace2skill.baselines.streaming import PLAYED
from trace2skill.cli.printing import command, say, show, show_line
from trace2skill.consolidation.ledger import LedgerRow, read_ledger
from trace2skill.errors import PatchError
from trace2skill.evolution.candidates import Selection
from trace2skill.evolution.folder import LEDGER, MANIFEST, Manifest
from trace2skill.evolution.plan import ASSUMPTIONS, PlannedStage, plan_table
from trace2skill.evolution.stages import broken_note
from trace2skill.files import read_model
from trace2skill.tables import Table


def print_manifest(manifest: Manifest, folder: Path) -> None:
    """Print what a run came to and where its records lie."""
    if manifest.simulated:
        say(manifest.simulated)
    say(_came_to(manifest))
    what = "item" if manifest.bank else "edit"
    trajectories = ", ".join(f"{count} {name}" for name, count in manifest.trajectories.items())
    broken = broken_note(manifest.stages)
    show(
        [
            *([("trajectories", trajectories)] if trajectories else []),
            (f"{what}s", items(manifest) if manifest.bank else edits(manifest)),
            *([("merges", _unmerged(manifest.unmerged))] if manifest.unmerged else []),
            *((f"analyses without {what}", f"{count} x {reason}") for reason, count in manifest.analyses.items()),
            *(("note", note) for note in (*manifest.notes, *([broken] if broken else []))),
        ]
    )
    if manifest.stages:
        click.echo()
        show(_stages(manifest))
    click.echo()
    if manifest.bank:
        show_line(f"memory   {folder / manifest.bank}")
        if manifest.record.config.stream:
            show_line(f"plays    {folder / PLAYED}")
        show_line(f"ledger   {folder / LEDGER}")
    else:
        _show_places(folder, manifest.skill)
        show_line(f"ledger   {folder / LEDGER}")
        show_line(f"changes  {folder / 'changes.diff'}")
    if manifest.stages:
        show_line(f"logs     {command('inspect', 'view', '--log-dir', folder / 'logs')}")


def _came_to(manifest: Manifest) -> str:
    unchanged = manifest.unchanged
    if manifest.bank:
        return f"The memory bank is empty: {unchanged}." if unchanged else f"Memory bank '{manifest.bank}'"
    return (
        f"The skill '{manifest.skill}' is unchanged: {unchanged}." if unchanged else f"Evolved skill '{manifest.skill}'"
    )


def items(manifest: Manifest) -> str:
    """What became of the items that were proposed for a bank, as a phrase."""
    counts = dict(manifest.edits)
    proposed, kept = counts.pop("proposed", 0), counts.pop("applied", 0)
    fates = [f"{kept} kept of {_count(manifest.changes, 'past task')}", *(f"{n} {fate}" for fate, n in counts.items())]
    return f"{proposed} proposed: {', '.join(fates)}"


def edits(manifest: Manifest) -> str:
    """What became of the proposed edits, as a phrase."""
    counts = dict(manifest.edits)
    proposed, applied = counts.pop("proposed", 0), counts.pop("applied", 0)
    into = f" (merged into {_count(manifest.changes, 'change')})" if 0 < manifest.changes < applied else ""
    fates = [f"{applied} applied{into}", *(f"{count} {fate}" for fate, count in counts.items())]
    return f"{proposed} proposed: {', '.join(fates)}"


def _unmerged(count: int) -> str:
    return f"{count} gave no usable answer; their edits went on unmerged"


def _stages(manifest: Manifest) -> Table:
    rows = [
        (
            f"{stage.stage} (reused)" if stage.reused else stage.stage,
            *map("{:,}".format, (stage.samples, stage.calls, stage.input_tokens)),
            "not told" if stage.cached_tokens is None else f"{stage.cached_tokens:,}",
            f"{stage.output_tokens:,}",
            f"{stage.wall_seconds:.0f} s",
            f"{stage.critical_path_seconds:.0f} s",
        )
        for stage in manifest.stages
    ]
    numbers = ("samples", "calls", "tokens\nin", "of them\ncached", "tokens\nout", "time", "critical\npath")
    return Table(columns=("stage", *numbers), rows=rows, right=numbers)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _show_places(folder: Path, skill: str) -> None:
    show_line(f"skill    {folder / skill}")
    show_line(f"blame    {command('trace2skill', 'skill', 'blame', folder)}")


def print_selection(selection: Selection, folder: Path) -> None:
    """Print how the candidates did on the evolve split, and which one was kept."""
    if selection.simulated:
        say(selection.simulated)
    say("Selection on the evolve split (no test: the skills were made from it)")
    rows = [
        (
            f"{row.name}{' (chosen)' if row.name == selection.chosen else ''}",
            str(row.successes),
            str(row.runs),
            f"{row.accuracy:.3f}",
        )
        for row in (selection.initial, *selection.candidates)
    ]
    numbers = ("successes", "runs", "accuracy")
    show(Table(columns=("skill", *numbers), rows=rows, right=numbers))
    chosen = next(row for row in selection.candidates if row.name == selection.chosen)
    name = Path(chosen.skill).name
    show_line(f"skill    {folder / name}")
    show_line(f"blame    {command('trace2skill', 'skill', 'blame', folder / name)}")


def print_plan(stages: Sequence[PlannedStage], seeds: int = 1) -> None:
    """Print what a run will take; with several seeds, the last row is for all of them."""
    say("Plan (nothing was run)")
    show(plan_table(stages, seeds))
    click.echo()
    for line in ASSUMPTIONS:
        say(line)


def print_withheld(folder: Path) -> None:
    """Print the edits that a run withheld, by reason, best supported first.

    Raises:
        PatchError: The folder holds no finished run.
    """
    if not (folder / LEDGER).is_file():
        raise PatchError(f"{folder}: no {LEDGER} here. Name the run folder that `trace2skill evolve` wrote.")
    try:
        stamp = read_model(folder / MANIFEST, Manifest).simulated if (folder / MANIFEST).exists() else ""
    except ValueError as error:
        raise PatchError(f"{error} Evolve the skill again.") from error
    if stamp:
        say(stamp)
    by_reason: dict[str, list[LedgerRow]] = defaultdict(list)
    for row in read_ledger(folder / LEDGER):
        if row.fate == "withheld":
            by_reason[row.reason].append(row)
    if not by_reason:
        say("Nothing was withheld.")
    for reason, rows in sorted(by_reason.items(), key=lambda item: (-len(item[1]), item[0])):
        show_line(f"{len(rows)} x {reason}")
        for row in sorted(rows, key=lambda row: (-len(row.support), row.id)):
            text = " ".join(row.content.split()) or row.target
            show_line(f"  {len(row.support):>4}  {row.id:<14} {row.op} {row.file}: {text}")
