"""`trace2skill evolve`: options, and what a run came to in the terminal."""

from collections import defaultdict
from pathlib import Path
from typing import Any, get_args

import click
import yaml
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from trace2skill.consolidation.ledger import LedgerRow, read_ledger
from trace2skill.errors import PatchError
from trace2skill.evolution.candidates import Selection, check_selectable, evolve_seeds, select_candidate
from trace2skill.evolution.configuration import Analysts, EvolveConfig, Merger
from trace2skill.evolution.evolve import evolve
from trace2skill.evolution.folder import LEDGER, MANIFEST, Manifest
from trace2skill.evolution.plan import plan, plan_table
from trace2skill.files import read_model
from trace2skill.foreign import ForeignError, yaml_value
from trace2skill.models.sampling import bundled_profiles
from trace2skill.skill.hazards import HAZARD_KINDS

DEFAULTS = EvolveConfig()


def _seeds(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[int, ...]:
    try:
        seeds = tuple(int(part) for part in value.split(",")) if value else ()
    except ValueError as error:
        raise click.BadParameter(f"'{value}' is no list of numbers such as 41,42,43") from error
    if len(set(seeds)) < len(seeds):
        raise click.BadParameter(f"'{value}' names a seed twice")
    return seeds


def _replays(context: click.Context, parameter: click.Parameter, value: str | None) -> int:
    if value is None:
        return 0
    kind, _, count = value.partition(":")
    if kind != "replay" or not count.isdigit() or int(count) < 1:
        raise click.BadParameter(f"'{value}' is not replay:K with K of 1 or more, such as replay:3")
    return int(count)


def _pairs(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, Any]:
    """NAME=VALUE, with the value read as YAML, as Inspect does."""
    try:
        return {name: yaml_value(value, name) for name, value in _split(values).items()}
    except (ForeignError, yaml.YAMLError) as error:
        raise click.BadParameter(f"a value is not valid YAML: {error}") from error


def _names(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    return _split(values)


def _split(values: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in values:
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise click.BadParameter(f"'{text}' is not NAME=VALUE")
        found[name] = value
    return found


def _show_withheld(context: click.Context, parameter: click.Parameter, value: Path | None) -> None:
    if value is not None and not context.resilient_parsing:
        print_withheld(value)
        context.exit()


@click.command("evolve")
@click.argument("logs", nargs=-1, type=click.Path(path_type=Path))
@click.option("--skill", required=True, type=click.Path(path_type=Path), help="Skill to start from; it is not changed.")
@click.option("--output", type=click.Path(path_type=Path), help="Run folder; run again to resume.")
@click.option("--analysts", type=click.Choice(get_args(Analysts)), default=DEFAULTS.analysts, show_default=True)
@click.option("--model", help="Model for all parts.  [default: the one that produced the logs]")
@click.option("--model-base-url", help="Address of that model.  [default: the provider's]")
@click.option(
    "-M", "model_args", multiple=True, callback=_pairs, metavar="NAME=VALUE", help="Argument of its provider."
)
@click.option(
    "--model-role",
    "model_roles",
    multiple=True,
    callback=_names,
    metavar="ROLE=MODEL",
    help="Model in a role of the logged task, such as its grader; never taken from a log.",
)
@click.option("--task", type=str, metavar="FILE", help="Source file of the logged task, if you trust it.")
@click.option("-T", "task_args", multiple=True, callback=_pairs, metavar="NAME=VALUE", help="Task argument to change.")
@click.option("--sandbox", help="Where the task's code runs: bwrap, docker, local.  [default: the task's own choice]")
@click.option("--analyst-model", help="Model of the analysts, where it is another one.")
@click.option("--merger-model", help="Model that merges, where it is another one.")
@click.option("--profile", help=f"Sampling profile: {', '.join(bundled_profiles())}, or a YAML file.")
@click.option("--prompts", type=str, help="Folder with prompts of your own, named after the roles.")
@click.option("--merger", type=click.Choice(get_args(Merger)), default=DEFAULTS.merger, show_default=True)
@click.option("--merge-batch", type=click.IntRange(2), default=DEFAULTS.merge_batch, show_default=True)
@click.option("--min-support", type=click.IntRange(1), default=DEFAULTS.min_support, show_default=True)
@click.option("--scorer", help="Scorer that says what success is, where the logs have several.")
@click.option(
    "--threshold", type=float, default=DEFAULTS.threshold, show_default=True, help="Least score of a success."
)
@click.option("--success", default="", help="What success is, over all scores: 'match == 1 and rubric.style >= 0.5'.")
@click.option("--verify", "replays", callback=_replays, help="Stronger gate: replay:K.  [default: the clean run alone]")
@click.option("--max-turns", type=click.IntRange(1), default=DEFAULTS.max_turns, show_default=True)
@click.option("--analyst-tokens", type=click.IntRange(1), help="Tokens that one error analysis may take.")
@click.option("--analyst-seconds", type=click.IntRange(1), help="Seconds that one error analysis may take.")
@click.option("--transcript-tokens", type=click.IntRange(100), default=DEFAULTS.transcript_tokens, show_default=True)
@click.option(
    "--max-quarantined",
    type=click.FloatRange(0, 1),
    default=DEFAULTS.max_quarantined,
    show_default=True,
    help="Share of analyses that may break and be left out.",
)
@click.option(
    "--allow",
    multiple=True,
    type=click.Choice(HAZARD_KINDS),
    help="Hazards that evolved text may bring into the skill; by default they are withheld.",
)
@click.option("--seed", type=int, default=DEFAULTS.seed, show_default=True)
@click.option("--seeds", callback=_seeds, help="Evolve one skill per seed, such as 41,42,43.")
@click.option("--select", is_flag=True, help="Play each evolved skill on the logged tasks; keep the best if it helps.")
@click.option("--patches", multiple=True, type=click.Path(path_type=Path), help="Patch file to consolidate as well.")
@click.option("--max-connections", type=click.IntRange(1), help="Model calls under way at once.  [default: adaptive]")
@click.option("--plan", "dry_run", is_flag=True, help="Only say how many calls and tokens the run will take.")
@click.option(
    "--show-withheld",
    type=click.Path(path_type=Path, exists=True),
    is_eager=True,
    expose_value=False,
    callback=_show_withheld,
    metavar="RUN",
    help="Only list the edits that a finished run withheld, with their reasons.",
)
@click.option(
    "--display",
    type=click.Choice(["full", "rich", "plain", "log", "none"]),
    help="Progress display of Inspect.",
)
def evolve_command(
    logs: tuple[Path, ...],
    skill: Path,
    output: Path | None,
    seeds: tuple[int, ...],
    select: bool,
    patches: tuple[Path, ...],
    dry_run: bool,
    **settings: Any,
) -> None:
    """Evolve a skill from the LOGS (files or folders) of an agent."""
    running = {name: settings.pop(name) for name in ("display", "max_connections")}
    try:
        config = EvolveConfig(**settings)
    except ValidationError as error:
        raise click.UsageError(f"{error.errors()[0]['loc'][0]}: {error.errors()[0]['msg']}") from error
    if dry_run:
        stages = plan(logs, skill, config, patches)
        Console().print(plan_table(stages, seeds=max(len(seeds), 1)))
        return
    if output is None:
        raise click.UsageError("Missing option '--output'.")
    if not seeds and not select:
        print_manifest(evolve(logs, skill, output, config, patches=patches, **running), output)
        return
    if select:
        check_selectable(logs, config)
    manifests = evolve_seeds(logs, skill, output, config, seeds or (config.seed,), patches=patches, **running)
    for name, manifest in manifests.items():
        print_manifest(manifest, output / name)
    if select:
        print_selection(select_candidate(logs, skill, output, manifests, config, **running), output)


def print_manifest(manifest: Manifest, folder: Path) -> None:
    """Print what a run came to and where its records lie."""
    console = Console()
    if manifest.simulated:
        console.print(f"[bold yellow]{manifest.simulated}[/]", soft_wrap=True)
    table = Table(title=f"Evolved skill '{manifest.skill}'", show_header=False, title_justify="left")
    table.add_row("trajectories", ", ".join(f"{count} {name}" for name, count in manifest.trajectories.items()))
    table.add_row("edits", ", ".join(f"{count} {name}" for name, count in manifest.edits.items()))
    if manifest.unmerged:
        table.add_row("merges", f"{manifest.unmerged} gave no usable answer; their edits went on unmerged")
    for reason, count in manifest.analyses.items():
        table.add_row("analyses without edit", escape(f"{count} x {reason}"))
    for stage in manifest.stages:
        cached = f" ({stage.cached_tokens:,} cached)" if stage.cached_tokens else ""
        table.add_row(
            stage.stage,
            f"{stage.samples} samples, {stage.calls:,} calls, {stage.input_tokens:,} tokens in{cached}, "
            f"{stage.output_tokens:,} out; {stage.wall_seconds:.0f} s, critical path "
            f"{stage.critical_path_seconds:.0f} s",
        )
    for note in manifest.notes:
        table.add_row("note", escape(note))
    console.print(table)
    for line in (
        f"skill    {folder / manifest.skill}",
        f"ledger   {folder / 'ledger.jsonl'}   changes  {folder / 'changes.diff'}",
        f"blame    trace2skill skill blame {folder}",
        f"logs     inspect view --log-dir {folder / 'logs'}",
    ):
        console.print(line, soft_wrap=True, markup=False)


def print_selection(selection: Selection, folder: Path) -> None:
    """Print how the candidates did on the evolve split, and which one was kept."""
    console = Console()
    stamp = f"{selection.simulated}\n" if selection.simulated else ""
    table = Table(
        title=f"{stamp}Selection on the evolve split (no test: the skills were made from it)", title_justify="left"
    )
    for name in ("skill", "successes", "runs", "accuracy"):
        table.add_column(name, justify="left" if name == "skill" else "right")
    for row in (selection.initial, *selection.candidates):
        mark = " (chosen)" if row.name == selection.chosen else ""
        table.add_row(f"{row.name}{mark}", str(row.successes), str(row.runs), f"{row.accuracy:.3f}")
    console.print(table)
    chosen = next(row for row in selection.candidates if row.name == selection.chosen)
    for line in (
        f"skill    {folder / Path(chosen.skill).name}",
        f"blame    trace2skill skill blame {folder / Path(chosen.skill).name}",
    ):
        console.print(line, soft_wrap=True, markup=False)


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
        click.echo(stamp)
    by_reason: dict[str, list[LedgerRow]] = defaultdict(list)
    for row in read_ledger(folder / LEDGER):
        if row.fate == "withheld":
            by_reason[row.reason].append(row)
    if not by_reason:
        click.echo("Nothing was withheld.")
    for reason, rows in sorted(by_reason.items(), key=lambda item: (-len(item[1]), item[0])):
        click.echo(f"{len(rows)} x {reason}")
        for row in sorted(rows, key=lambda row: (-len(row.support), row.id)):
            text = " ".join(row.content.split()) or row.target
            click.echo(f"  {len(row.support):>4}  {row.id:<14} {row.op} {row.file}: {text}")
