"""`trace2skill compare`: arms in, a table out."""

from collections.abc import Sequence
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
@click.argument("control", help="Logs to compare with: a file or folder, or NAME=PATH.")
@click.option(
    "--vs",
    "treatments",
    multiple=True,
    required=True,
    help="Logs to compare, each sample with the control's; likewise.",
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
    help="Logs of further runs of the control: the noise between its runs is shown beside each difference.",
)
@click.option("--anytime", is_flag=True, help="Also test for one who looks at the comparison several times.")
@click.option("--allow-in-sample", is_flag=True, help="Compare, with a stamp, on samples that a skill has seen.")
@click.option(
    "--unseen-only", is_flag=True, help="Leave out samples that a skill has seen, or whose page or table it has."
)
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
    control: str,
    treatments: tuple[str, ...],
    json_file: Path | None,
    methods: bool,
    aa: tuple[Path, ...],
    **options: Any,
) -> None:
    """Compare the logs of two or more conditions, sample by sample."""
    arms = _named([control, *treatments])
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


def _named(given: Sequence[str]) -> dict[str, Logs]:
    """The arms by name: the one given with `=`, else that of the path, or all of it where names would be equal."""
    named = [_name_and_path(each) for each in given]
    if len({name for name, _ in named}) < len(named):
        named = [
            (given if path == Path(given) else name, path) for given, (name, path) in zip(given, named, strict=True)
        ]
    arms: dict[str, Logs] = {}
    for name, path in named:
        if name in arms and arms[name] == path:
            raise click.UsageError(f"{path} is given twice: an arm does not differ from itself. Name other logs.")
        if name in arms:
            raise click.UsageError(f"Two arms are called '{name}'. Give one another name: NAME=PATH.")
        arms[name] = path
    return arms


def _name_and_path(given: str) -> tuple[str, Path]:
    name, sign, path = given.partition("=")
    if sign and name and path and not Path(given).exists():
        return name, Path(path)
    return Path(given).name, Path(given)


COMMAND = compare_command
