"""The command line. Thin: it parses, calls the public functions, and prints."""

import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from trace2skill.cli.data import data
from trace2skill.cli.evolve import evolve_command
from trace2skill.cli.skill import skill_group
from trace2skill.comparison.arms import Logs
from trace2skill.comparison.pairing import compare_table
from trace2skill.comparison.tables import render
from trace2skill.errors import PrerequisiteError
from trace2skill.files import write_atomic


class _Group(click.Group):
    """Prints our own errors as one message and exits with 1; everything else is a bug and keeps its traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except PrerequisiteError as error:
            Console(stderr=True, highlight=False, soft_wrap=True, markup=False).print("trace2skill:", error.message)
            sys.exit(1)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="trace2skill")
def main() -> None:
    """Turn the logs of LLM agents into skills that transfer, and test whether they help."""


main.add_command(evolve_command)
main.add_command(skill_group)
main.add_command(data)


@main.command("compare")
@click.argument("control", type=click.Path(path_type=Path))
@click.option(
    "--vs",
    "treatments",
    multiple=True,
    required=True,
    type=click.Path(path_type=Path),
    help="Logs to compare.",
)
@click.option("--scorer", help="Scorer to compare by, where the logs have several.")
@click.option("--key", help="Which of the scorer's values to compare, where it gives several.")
@click.option("--cluster", help="Sample metadata field that groups dependent samples.")
@click.option("--allow-different-tasks", is_flag=True, help="Compare although task, version or dataset differ.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of resampling.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Also write the comparison as JSON.")
def compare_command(control: Path, treatments: tuple[Path, ...], json_file: Path | None, **options: Any) -> None:
    """Compare the CONTROL logs (a file or folder) with those of each --vs, sample by sample."""
    arms: dict[str, Logs] = {control.name: control, **{path.name: path for path in treatments}}
    if len(arms) <= len(treatments):
        arms = {str(control): control, **{str(path): path for path in treatments}}
    result = compare_table(arms, next(iter(arms)), **options)
    Console().print(render(result))
    if json_file:
        write_atomic(json_file, result.model_dump_json(indent=2) + "\n")
