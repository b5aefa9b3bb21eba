"""`trace2skill data`: fetch, check and list benchmark data."""

import sys
from pathlib import Path

import click
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from trace2skill.data.cards import benchmarks, load_card
from trace2skill.data.fetch import fetch
from trace2skill.data.places import DATA_VARIABLE, data_dir
from trace2skill.data.verify import Verification, verify


@click.group("data")
def data() -> None:
    """Fetch, check and list benchmark data."""


@data.command("fetch")
@click.argument("benchmark")
@click.option(
    "--from",
    "copy",
    type=click.Path(path_type=Path),
    help="Take it from this folder or archive, or a copy of the hub's repository, not from the network.",
)
@click.option("--force", is_flag=True, help="Download it anew although it is there.")
def fetch_command(benchmark: str, copy: Path | None, force: bool) -> None:
    """Get a BENCHMARK from its public source, or from a local copy; run again to resume.

    Files of the Hugging Face hub stay in its cache, HF_HOME. HF_ENDPOINT names a mirror of it.
    """
    card = load_card(benchmark)
    found = fetch(card, copy=copy, force=force)
    click.echo(f"{card.name} is in {found.folder} ({decimal(found.size)}): {found}.")
    click.echo(f"Licence: {card.licence}")


@data.command("verify")
@click.argument("benchmark", required=False)
def verify_command(benchmark: str | None) -> None:
    """Check what is there of a BENCHMARK (or of all that are there) against the checksums on its card."""
    failed = False
    for name in [benchmark] if benchmark else benchmarks():
        found = verify(load_card(name))
        click.echo(f"{name}: {found}.")
        failed = failed or found.state == "damaged" or (found.state == "missing" and benchmark is not None)
    if failed:
        click.echo("Run `trace2skill data fetch BENCHMARK` to fetch what is damaged or missing.", err=True)
        sys.exit(1)


@data.command("list")
def list_command() -> None:
    """List the benchmarks: state, place, size, licence. The content of files is not read; `verify` does that."""
    table = Table("benchmark", "state", "size", "place", "licence", title=f"Benchmark data in {data_dir()}")
    for name in benchmarks():
        card = load_card(name)
        found = verify(card, contents=False)
        table.add_row(name, _styled(found), decimal(found.size) if found.size else "-", card.folder, card.licence)
    Console().print(table)
    click.echo(
        f"The place is {DATA_VARIABLE} or the platform's cache folder; `trace2skill data fetch BENCHMARK` fills it."
    )


def _styled(found: Verification) -> str:
    colour = {"missing": "dim", "there": "green", "damaged": "red"}[found.state]
    return f"[{colour}]{found.state}[/]"
