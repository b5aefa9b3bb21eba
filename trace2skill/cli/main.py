"""The command line. Thin: it parses, calls the public functions, and prints."""

import sys
from typing import Any

import click
from rich.console import Console

from trace2skill.cli.compare import compare_command
from trace2skill.cli.data import data
from trace2skill.cli.doctor import doctor_command
from trace2skill.cli.evolve import evolve_command
from trace2skill.cli.serve import serve_command
from trace2skill.cli.skill import skill_group
from trace2skill.errors import PrerequisiteError


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
main.add_command(compare_command)
main.add_command(serve_command)
main.add_command(doctor_command)
