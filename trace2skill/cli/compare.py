"""`trace2skill compare`: arms in, a table out."""

from pathlib import Path
from typing import Any

import click

from trace2skill.baselines.arena import with_methods
from trace2skill.cli.printing import terminal_width
from trace2skill.comparison.arms import Logs
from trace2skill.comparison.pairing import compare_table
from trace2skill.comparison.tables import render
from trace2skill.files import write_atomic


@click.command("compare")
@click.argument("control", type=click.Path(path_type=Path), help="Logs to compare with: a file or folder.")
@click.option(
    "--vs",
    "treatments",
    multiple=True,
    required=True,
    type=click.Path(path_type=Path),
    help="Logs to compare, each sample with the control's.",
)
@click.option("--scorer", help="Scorer to compare by, where the logs have several.")
@click.option("--key", help="Which of the scorer's values to compare, where it gives several.")
@click.option(
    "--cluster",
    help="Sample metadata field that groups dependent samples; by default the task's own, none for no groups.",
)
@click.option("--margin", type=float, help="Smallest difference that matters: tests non-inferiority and equivalence.")
@click.option(
    "--aa",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Logs of repeated runs of the control, whose noise is shown beside each difference.",
)
@click.option("--anytime", is_flag=True, help="Also test for one who looks at the comparison several times.")
@click.option("--allow-in-sample", is_flag=True, help="Compare, with a stamp, on samples that a skill has seen.")
@click.option("--allow-same-logs", is_flag=True, help="Compare although arms share runs, or a log is there twice.")
@click.option("--several-models", is_flag=True, help="Take logs of several models as one arm.")
@click.option("--several-skills", is_flag=True, help="Take logs of several skills of one method as one arm.")
@click.option("--allow-different-tasks", is_flag=True, help="Compare although task, version or dataset differ.")
@click.option("--methods", is_flag=True, help="Also say what each arm may see, who made it, and what making it took.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of resampling.")
@click.option(
    "--json",
    "json_file",
    type=click.Path(path_type=Path, allow_dash=True),
    help="Also write the comparison as JSON; with '-' to standard output, in place of the table.",
)
def compare_command(
    control: Path,
    treatments: tuple[Path, ...],
    json_file: Path | None,
    methods: bool,
    aa: tuple[Path, ...],
    **options: Any,
) -> None:
    """Compare the logs of two or more conditions, sample by sample."""
    arms: dict[str, Logs] = {control.name: control, **{path.name: path for path in treatments}}
    if len(arms) <= len(treatments):
        arms = {str(control): control, **{str(path): path for path in treatments}}
    result = compare_table(arms, next(iter(arms)), aa=aa or None, **options)
    if methods:
        result = with_methods(result)
    json = result.model_dump_json(indent=2) + "\n"
    if str(json_file) == "-":
        click.echo(json, nl=False)
        return
    if json_file:
        write_atomic(json_file, json)
    click.echo(render(result, terminal_width()))


COMMAND = compare_command
