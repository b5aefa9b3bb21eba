"""`trace2skill evolve`: its options, and what they do."""

import sys
from pathlib import Path
from typing import Any, get_args

import click
from click.core import ParameterSource
from pydantic import ValidationError

from trace2skill.baselines import work_of
from trace2skill.cli.options import names, pairs, replays, seeds
from trace2skill.cli.outcome import print_manifest, print_plan, print_selection, print_withheld
from trace2skill.evolution.candidates import check_selectable, evolve_seeds, select_candidate
from trace2skill.evolution.configuration import (
    OF_MODELS,
    OF_SKILLS,
    OPTIONS,
    AnalyseWith,
    Analysts,
    EvolveConfig,
    Judge,
    Merger,
    Method,
    foreign_option,
)
from trace2skill.evolution.evolve import evolve
from trace2skill.evolution.plan import plan
from trace2skill.models.sampling import bundled_profiles
from trace2skill.skill.hazards import HAZARD_KINDS

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
@click.option(
    "--skill",
    type=click.Path(path_type=Path),
    help="Skill to start from; it is not changed. Needed by the methods that evolve one.",
)
@click.option("--output", type=click.Path(path_type=Path), help="Run folder; run again to resume.")
@click.option(
    "--method",
    type=click.Choice(get_args(Method)),
    default=DEFAULTS.method,
    show_default=True,
    help="How trajectories become a skill: all at once, or a baseline; or a memory bank, which needs no --skill.",
)
@click.option(
    "--embedder",
    default=DEFAULTS.embedder,
    show_default=True,
    help="What tells near queries of a bank: bm25, openai:MODEL@URL, or st:FOLDER of a sentence-transformers model.",
)
@click.option(
    "--judge",
    type=click.Choice(get_args(Judge)),
    default=DEFAULTS.judge,
    show_default=True,
    help="Who tells successes from failures for a bank: the logs' scorer, or the model.",
)
@click.option(
    "--stream",
    is_flag=True,
    help="Make the bank online: the logged agent plays the logged tasks one after another, with what it has learned.",
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
@click.option(
    "--order-seed",
    type=click.IntRange(0),
    help="Shuffle the trajectories of the sequential method.  [default: log order]",
)
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
    skill: Path | None,
    output: Path | None,
    seeds: tuple[int, ...],
    select: bool,
    patches: tuple[Path, ...],
    dry_run: bool,
    **settings: Any,
) -> None:
    """Evolve a skill from the logs of an agent, or make a memory bank of them.

    Exit codes: 0 a skill was evolved or a bank made; 1 an error; 2 wrong usage; 3 the run is finished and left the
    skill unchanged or the bank empty, for the reason that it prints; 130, 143 interrupted.
    """
    running: dict[str, Any] = {name: settings.pop(name) for name in ("display", "max_connections")}
    _refuse_foreign(context, settings["method"])
    try:
        config = EvolveConfig(**settings)
    except ValidationError as error:
        raise click.UsageError(": ".join([*map(str, error.errors()[0]["loc"]), error.errors()[0]["msg"]])) from error
    _check_usage(config, skill, select)
    _refuse_idle(context, config)
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
    if select and skill:
        print_selection(select_candidate(logs, skill, output, manifests, config, **running), output)


def _refuse_foreign(context: click.Context, method: Method) -> None:
    """Refuse options that the method does not have, even where they say the default."""
    for name, methods in OPTIONS.items():
        if method not in methods and context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(foreign_option(name, method))


def _refuse_idle(context: click.Context, config: EvolveConfig) -> None:
    """Refuse options that were given and would change nothing."""
    idle = [*(OF_SKILLS if config.makes_bank else ()), *(() if config.asks_model else OF_MODELS)]
    why = "makes no analysis with tools, and merges nothing" if config.asks_model else "asks no model"
    for parameter in context.command.params:
        given = context.get_parameter_source(parameter.name or "") is ParameterSource.COMMANDLINE
        if given and parameter.name in idle:
            raise click.UsageError(f"--method {config.method} {why}: leave out {parameter.opts[0]}.")


def _check_usage(config: EvolveConfig, skill: Path | None, select: bool) -> None:
    """Whether the options fit what the method makes."""
    if skill is None and not config.makes_bank:
        raise click.UsageError("Missing option '--skill'.")
    if select and config.makes_bank:
        raise click.UsageError("--select plays evolved skills, and this method makes a memory bank.")


COMMAND = evolve_command
