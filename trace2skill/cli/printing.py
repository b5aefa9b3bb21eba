"""What the commands print: it fits a terminal, is whole in a pipe, and what others wrote cannot steer the terminal."""

import json
import shlex
import shutil
import sys
from pathlib import Path

import click

from trace2skill.tables import Table, facts, paragraph
from trace2skill.text import printable


def terminal_width() -> int | None:
    """Columns of the terminal; none where standard output is something else."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def say(text: str) -> None:
    """Print a sentence."""
    click.echo(paragraph(text, terminal_width()))


def say_aside(text: str) -> None:
    """Print a message to standard error, where it is in nobody's way."""
    width = shutil.get_terminal_size().columns if sys.stderr.isatty() else None
    click.echo("\n".join(paragraph(line, width) for line in text.split("\n")), err=True)


def show(what: Table | list[tuple[str, str]]) -> None:
    """Print a table, or labels with their values."""
    width = terminal_width()
    click.echo(what.text(width) if isinstance(what, Table) else facts(what, width))


def show_line(text: str) -> None:
    """Print a line that stays one: a path or a command to copy, a line of a file with its tabs."""
    click.echo("\t".join(map(printable, text.split("\t"))))


def show_json(value: object) -> None:
    """Print a value as one line of JSON."""
    click.echo(json.dumps(value, ensure_ascii=False))


def command(*words: str | Path) -> str:
    """A command as a shell takes it."""
    return shlex.join(map(str, words))
