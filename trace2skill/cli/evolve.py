"""`trace2skill evolve`: options, and what a run came to in the terminal."""

import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import click
from click.core import ParameterSource
from pydantic import ValidationError

from trace2skill.baselines import work_of
from trace2skill.cli.options import names, pairs, replays, seeds
from trace2skill.cli.printing import command, say, show, show_line
from trace2skill.consolidation.ledger import LedgerRow, read_ledger
from trace2skill.errors import PatchError
from trace2skill.evolution.candidates import Selection, check_selectable, evolve_seeds, select_candidate
from trace2skill.evolution.configuration import (
    OPTIONS,
    AnalyseWith,
    Analysts,
    EvolveConfig,
    Merger,
    Method,
    foreign_option,
)
from trace2skill.evolution.evolve import evolve
from trace2skill.evolution.folder import LEDGER, MANIFEST, Manifest
from trace2skill.evolution.plan import ASSUMPTIONS, PlannedStage, plan, plan_table
from trace2skill.files import read_model
from trace2skill.models.sampling import bundled_profiles
from trace2skill.skill.hazards import HAZARD_KINDS
from trace2skill.tables import Table

DEFAULTS = EvolveConfig()

UNCHANGED = 3
"""Exit code of a run that is finished and left the skill as it was."""


def _show_withheld(context: click.Context, parameter: click.Parameter, value: Path | None) -> None:
    if value is not None and not context.resilient_parsing:
        print_withheld(value)
        context.exit()


@click.command("evolve")
@click.argument(
    "logs", nargs=-1, type=click.Path(path_type=Path), help="Inspect logs of the agent, or folders of them."
)
@click.option("--skill", required=True, type=click.Path(path_type=Path), help="Skill to start from; it is not changed.")
@click.option("--output", type=click.Path(path_type=Path), help="Run folder; run again to resume.")
@click.option(
    "--method",
    type=click.Choice(get_args(Method)),
    default=DEFAULTS.method,
    show_default=True,
    help="How trajectories become a skill: all at once, or a baseline.",
)
@click.option(
    "--analysts",
    type=click.Choice(get_args(Analysts)),
    help="Which runs are studied: failures with a proven fix, successes, both, or failures in a single call.  "
    "[default: the method's own: combined; sequential: error]",
)
@click.option("--model", help="Model for all parts.  [default: the one that produced the logs]")
@click.option("--model-base-url", help="Address of that model.  [default: the provider's]")
@click.option("-M", "model_args", multiple=True, callback=pairs, metavar="NAME=VALUE", help="Argument of its provider.")
@click.option(
    "--model-role",
    "model_roles",
    multiple=True,
    callback=names,
    metavar="ROLE=MODEL",
    help="Model in a role of the logged task, such as its grader; never taken from a log.",
)
@click.option("--task", type=str, metavar="FILE", help="Source file of the logged task, if you trust it.")
@click.option("-T", "task_args", multiple=True, callback=pairs, metavar="NAME=VALUE", help="Task argument to change.")
@click.option("--sandbox", help="Where the task's code runs: bwrap, docker, local.  [default: the task's own choice]")
@click.option("--analyst-model", help="Model of the analysts, where it is another one.")
@click.option("--merger-model", help="Model that merges or edits, where it is another one.")
@click.option("--profile", help=f"Sampling profile: {', '.join(bundled_profiles())}, or a YAML file.")
@click.option("--prompts", type=str, help="Folder with prompts of your own, named after the roles.")
@click.option(
    "--merger",
    type=click.Choice(get_args(Merger)),
    default=DEFAULTS.merger,
    show_default=True,
    help="Who merges the patches: a model, or their wording alone.",
)
@click.option(
    "--merge-batch",
    type=click.IntRange(2),
    default=DEFAULTS.merge_batch,
    show_default=True,
    help="Patches that one merge takes.",
)
@click.option(
    "--min-support",
    type=click.IntRange(1),
    default=DEFAULTS.min_support,
    show_default=True,
    help="Trajectories that must support an edit of SKILL.md.",
)
@click.option(
    "--batch",
    type=click.IntRange(1),
    default=DEFAULTS.batch,
    show_default=True,
    help="Trajectories that one call of the sequential method edits from.",
)
@click.option("--order-seed", type=int, help="Shuffle the trajectories of the sequential method.  [default: log order]")
@click.option(
    "--analyse-with",
    type=click.Choice(get_args(AnalyseWith)),
    default=DEFAULTS.analyse_with,
    show_default=True,
    help="Skill that the analysts of the sequential method see: the initial one, or that of the moment.",
)
@click.option(
    "--final-consolidation/--no-final-consolidation",
    default=DEFAULTS.final_consolidation,
    show_default=True,
    help="Let the sequential method look over all its changes in a last call.",
)
@click.option("--scorer", help="Scorer that says what success is, where the logs have several.")
@click.option(
    "--threshold", type=float, default=DEFAULTS.threshold, show_default=True, help="Least score of a success."
)
@click.option("--success", default="", help="What success is, over all scores: 'match == 1 and rubric.style >= 0.5'.")
@click.option("--verify", "replays", callback=replays, help="Stronger gate: replay:K.  [default: the clean run alone]")
@click.option(
    "--max-turns",
    type=click.IntRange(1),
    default=DEFAULTS.max_turns,
    show_default=True,
    help="Turns that one error analysis may take.",
)
@click.option("--analyst-tokens", type=click.IntRange(1), help="Tokens that one error analysis may take.")
@click.option("--analyst-seconds", type=click.IntRange(1), help="Seconds that one error analysis may take.")
@click.option(
    "--reuse-analyses",
    type=str,
    metavar="RUN",
    help="Use the analyses of that run again: other mergers, batches and supports cost merges alone.",
)
@click.option("--analyst-max-tokens", type=click.IntRange(1), help="Tokens of one answer of an analyst.")
@click.option("--merger-max-tokens", type=click.IntRange(1), help="Tokens of one answer of the merger.")
@click.option("--temperature", type=click.FloatRange(0), help="Of analysts and merger, instead of the profile's.")
@click.option(
    "--timeout",
    type=click.IntRange(1),
    help="Seconds after which one call is tried again.  [default: the profile's, else 600]",
)
@click.option(
    "--transcript-tokens",
    type=click.IntRange(100),
    default=DEFAULTS.transcript_tokens,
    show_default=True,
    help="Tokens of a run's transcript that an analyst is shown at once.",
)
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
@click.option("--seed", type=int, default=DEFAULTS.seed, show_default=True, help="Seed of every model call.")
@click.option("--seeds", callback=seeds, help="Evolve one skill per seed, such as 41,42,43.")
@click.option("--select", is_flag=True, help="Play each evolved skill on the logged tasks; keep the best if it helps.")
@click.option("--patches", multiple=True, type=click.Path(path_type=Path), help="Patch file to consolidate as well.")
@click.option("--max-connections", type=click.IntRange(1), help="Model calls under way at once.  [default: adaptive]")
@click.option("--plan", "dry_run", is_flag=True, help="Only say how many calls and tokens it will take.")
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
@click.pass_context
def evolve_command(
    context: click.Context,
    /,
    logs: tuple[Path, ...],
    skill: Path,
    output: Path | None,
    seeds: tuple[int, ...],
    select: bool,
    patches: tuple[Path, ...],
    dry_run: bool,
    **settings: Any,
) -> None:
    """Evolve a skill from the logs of an agent.

    Exit codes: 0 a skill was evolved; 1 an error; 2 wrong usage; 3 the run is finished and left the skill unchanged,
    for the reason that it prints; 130, 143 interrupted.
    """
    running: dict[str, Any] = {name: settings.pop(name) for name in ("display", "max_connections")}
    _refuse_foreign(context, settings["method"])
    try:
        config = EvolveConfig(**settings)
    except ValidationError as error:
        raise click.UsageError(": ".join([*map(str, error.errors()[0]["loc"]), error.errors()[0]["msg"]])) from error
    if dry_run:
        print_plan(plan(logs, skill, config, patches), seeds=max(len(seeds), 1))
        return
    if output is None:
        raise click.UsageError("Missing option '--output'.")
    work = work_of(config.method)
    if not seeds and not select:
        manifest = evolve(logs, skill, output, config, work=work, patches=patches, **running)
        print_manifest(manifest, output)
        sys.exit(UNCHANGED if manifest.unchanged else 0)
    if select:
        check_selectable(logs, config)
    manifests = evolve_seeds(
        logs, skill, output, config, seeds or (config.seed,), work=work, patches=patches, **running
    )
    for name, manifest in manifests.items():
        print_manifest(manifest, output / name)
    if all(manifest.unchanged for manifest in manifests.values()):
        sys.exit(UNCHANGED)
    if select:
        print_selection(select_candidate(logs, skill, output, manifests, config, **running), output)


def _refuse_foreign(context: click.Context, method: Method) -> None:
    """Refuse options that the method does not have, even where they say the default."""
    for name, methods in OPTIONS.items():
        if method not in methods and context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(foreign_option(name, method))


def print_manifest(manifest: Manifest, folder: Path) -> None:
    """Print what a run came to and where its records lie."""
    if manifest.simulated:
        say(manifest.simulated)
    unchanged = manifest.unchanged
    say(
        f"The skill '{manifest.skill}' is unchanged: {unchanged}." if unchanged else f"Evolved skill '{manifest.skill}'"
    )
    show(
        [
            ("trajectories", ", ".join(f"{count} {name}" for name, count in manifest.trajectories.items())),
            ("edits", edits(manifest)),
            *([("merges", _unmerged(manifest.unmerged))] if manifest.unmerged else []),
            *(("analyses without edit", f"{count} x {reason}") for reason, count in manifest.analyses.items()),
            *(("note", note) for note in manifest.notes),
        ]
    )
    if manifest.stages:
        click.echo()
        show(_stages(manifest))
    click.echo()
    _show_places(folder, manifest.skill)
    show_line(f"ledger   {folder / LEDGER}")
    show_line(f"changes  {folder / 'changes.diff'}")
    show_line(f"logs     {command('inspect', 'view', '--log-dir', folder / 'logs')}")


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


COMMAND = evolve_command
