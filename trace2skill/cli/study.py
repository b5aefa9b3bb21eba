"""`trace2skill study`: a declared study, planned, run, looked at and checked."""

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import click

from trace2skill.cli.printing import command, say, say_aside, show, show_line
from trace2skill.cli.study_progress import progress
from trace2skill.models.simulated import NOTICE
from trace2skill.study.checking import checks
from trace2skill.study.executors import ExecutorName, open_executor
from trace2skill.study.planning import ASSUMPTIONS, plan_study, plan_table
from trace2skill.study.running import State
from trace2skill.study.study import Study
from trace2skill.tables import Table

CELLS_FAILED = 4
"""Exit code of a run in which cells failed or were blocked; the others are finished."""

_SHOWN = 20


def _study(run: Callable[..., None]) -> Callable[..., None]:
    """The arguments that all commands share."""
    path = click.argument("path", type=click.Path(path_type=Path), help="study.yaml, or its folder.")
    scale = click.option("--scale", metavar="NAME", help="One of the declaration's scales, laid over it.")
    runs = click.option(
        "--runs", type=click.Path(path_type=Path), help="Runs folder.  [default: runs/<name>, or runs/<name>-<scale>]"
    )
    store = click.option(
        "--store",
        metavar="ADDRESS",
        help="An fsspec address, such as s3://bucket/study, at which finished cells are kept besides.",
    )
    return path(scale(runs(store(run))))


def _load(path: Path, scale: str | None, runs: Path | None, store: str | None) -> Study:
    """The study, with what its store has and its runs folder lacks."""
    study = Study.load(path, scale, runs, store)
    study.fetch()
    return study


@click.group("study")
def study_group() -> None:
    """Plan, run and check a study: models, skills, conditions and benchmarks, declared in one file."""


@study_group.command("plan")
@_study
def plan_command(path: Path, scale: str | None, runs: Path | None, store: str | None) -> None:
    """Say which cells a study has, how they depend on each other, and about what they take. Nothing is run."""
    study = _load(path, scale, runs, store)
    _head(study)
    rows, notes = plan_study(study)
    show(plan_table(rows))
    click.echo()
    for line in (*notes, *ASSUMPTIONS):
        say(line)


@study_group.command("run")
@_study
@click.option("--at-once", type=click.IntRange(1), metavar="N", help="Cells at once.  [default: processors]")
@click.option(
    "--executor",
    type=click.Choice(get_args(ExecutorName)),
    default="local",
    show_default=True,
    help="local: processes here. ray: a Ray cluster, whose nodes share the runs folder.",
)
@click.option("--address", help="ray: address of the cluster.  [default: RAY_ADDRESS, else one on this machine]")
@click.option("--refreeze", metavar="REASON", help="Why the primary comparisons changed after a test split was opened.")
def run_command(
    path: Path,
    scale: str | None,
    runs: Path | None,
    store: str | None,
    at_once: int | None,
    executor: ExecutorName,
    address: str | None,
    refreeze: str | None,
) -> None:
    """Run what is not finished. A cell that fails stops no other; running again goes on, and tries it again.

    Exit code 4: cells failed or could not begin; the others are finished.
    """
    study = _load(path, scale, runs, store)
    _head(study)
    study.check_frozen(refreeze)
    with progress(study) as watch:
        standing = study.run(open_executor(executor, at_once, address), watch)
    _summary(study, standing)
    if any(state.state != "finished" for state in standing.values()):
        sys.exit(CELLS_FAILED)


@study_group.command("status")
@_study
def status_command(path: Path, scale: str | None, runs: Path | None, store: str | None) -> None:
    """Say how far a study is, what failed and why, and how often its test splits were looked at."""
    study = _load(path, scale, runs, store)
    _head(study)
    _summary(study, study.states())


@study_group.command("check")
@_study
@click.option("--online", is_flag=True, help="Also ask the models' endpoints.")
def check_command(path: Path, scale: str | None, runs: Path | None, store: str | None, online: bool) -> None:
    """Check what a study needs before it is run: declaration, skills, data, models. No model is asked for an answer."""
    study = _load(path, scale, runs, store)
    _head(study)
    found = checks(study, online=online)
    for check in found:
        show_line(f"{'ok    ' if check.passed else 'FAILED'}  {check.what}: {check.said}")
    standing = Counter(state.state for state in study.states().values())
    left = len(study.cells) - standing["finished"]
    say(f"{len(study.cells)} cells: {_counted(standing)}. `study run` would run {left}.")
    if not all(check.passed for check in found):
        sys.exit(1)


@study_group.command("report")
@_study
@click.option(
    "--output", type=click.Path(path_type=Path), help="Folder for tables and page.  [default: that of study.yaml]"
)
@click.option("--html", type=click.Path(path_type=Path), help="File for the page.  [default: report.html there]")
@click.option("--bundle", is_flag=True, help="Also put Inspect's viewer, with the logs, beside the page. It is large.")
@click.option("--every-eval-ever", is_flag=True, help="Also export the scores in the form of Every Eval Ever.")
def report_command(path: Path, scale: str | None, runs: Path | None, store: str | None, **options: Any) -> None:
    """Write what a study says, finished or not: a page, and its tables as CSV, Markdown and LaTeX.

    It counts as a look at the test splits.
    """
    from trace2skill.report import write_report

    study = _load(path, scale, runs, store)
    _head(study)
    written = write_report(study, **options)
    say(" ".join(filter(None, (written.headline.text, written.headline.more))))
    for file in written.files:
        show_line(f"written  {file}")


def _head(study: Study) -> None:
    if study.simulated:
        say(NOTICE)
    scale = f", scale {study.scale}" if study.scale else ""
    say(f"Study {study.declaration.name}{scale}: {len(study.cells)} cells for {len(study.expansion.rows)} evaluations.")


def _counted(standing: "Counter[Any]") -> str:
    order = ("finished", "running", "failed", "blocked", "not run")
    return ", ".join(f"{standing[name]} {name}" for name in order)


def _summary(study: Study, standing: dict[str, State]) -> None:
    """How a study stands."""
    say(f"Cells: {_counted(Counter(state.state for state in standing.values()))}.")
    failed = [(study.cells[name], state) for name, state in standing.items() if state.state == "failed"]
    for cell, state in failed[:_SHOWN]:
        show_line(f"failed   {cell.name}: {state.why}")
    if len(failed) > _SHOWN:
        say(f"And {len(failed) - _SHOWN} more.")
    roots = Counter(state.why for state in standing.values() if state.state == "blocked")
    for why, count in roots.most_common(_SHOWN):
        show_line(f"blocked  {count} cells: {why}")
    _notes(study, standing)
    _looks(study)
    show_line(f"runs     {study.runs}")
    show_line(f"logs     {command('inspect', 'view', '--log-dir', study.runs)}")


def _notes(study: Study, standing: dict[str, State]) -> None:
    rows = [(study.cells[name].name, state.result.note) for name, state in standing.items() if state.result]
    for name, note in [(name, note) for name, note in rows if note][:_SHOWN]:
        show_line(f"note     {name}: {note}")


def _looks(study: Study) -> None:
    """What was frozen, and how often test splits were looked at."""
    frozen = study.frozen()
    if frozen is None:
        say("No test split was opened yet; the primary comparisons are not frozen.")
        return
    first = "first frozen" if frozen.refrozen else "frozen"
    say(f"Primary comparisons: {len(frozen.primary)}, {first} on {frozen.at}, before a test split was opened.")
    for change in frozen.refrozen:
        say_aside(f"Changed on {change.at}, after a test split was opened: {change.reason}")
    looks = study.looks()
    later = [look for look in looks if look.again]
    say(f"Test splits: opened on {looks[0].at if looks else frozen.at}, looked at {len(later)} times since.")
    if later:
        show(Table(columns=("look", "what"), rows=[(look.at, look.what) for look in later]))


COMMAND = study_group
