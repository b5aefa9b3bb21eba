"""`trace2skill data`: fetch, check and list benchmark data."""

import sys
from collections.abc import Mapping
from pathlib import Path

import click
from rich.filesize import decimal

from trace2skill.cli.printing import command, say, say_aside, show
from trace2skill.data.cards import benchmarks, load_card
from trace2skill.data.fetch import fetch
from trace2skill.data.places import DATA_VARIABLE, data_dir
from trace2skill.data.verify import Verification, verify
from trace2skill.tables import Table


@click.group("data")
def data() -> None:
    """Fetch, check and list benchmark data."""


@data.command("fetch")
@click.argument("benchmark", help="Name of its card; `trace2skill data list` has them.")
@click.option(
    "--from",
    "copy",
    type=click.Path(path_type=Path),
    help="Take it from this folder or archive, or a copy of the hub's repository, not from the network.",
)
@click.option("--force", is_flag=True, help="Download it anew although it is there.")
def fetch_command(benchmark: str, copy: Path | None, force: bool) -> None:
    """Get a benchmark from its public source, or from a local copy; run again to resume.

    Files of the Hugging Face hub stay in its cache, HF_HOME. HF_ENDPOINT names a mirror of it.
    """
    card = load_card(benchmark)
    found = fetch(card, copy=copy, force=force)
    say(f"{card.name}: {found}. It is in {found.folder} ({decimal(found.size)}).")
    say(f"Licence: {card.licence}")


@data.command("verify")
@click.argument("benchmark", required=False, help="Name of its card.  [default: every benchmark]")
def verify_command(benchmark: str | None) -> None:
    """Check what is there against the checksums on the cards; exit code 1 if it is damaged, or missing where named."""
    found = {name: verify(load_card(name)) for name in ([benchmark] if benchmark else benchmarks())}
    for name, verification in found.items():
        say(f"{name}: {verification}.")
    _exit_if_unusable(found, named=benchmark is not None)


@data.command("list")
def list_command() -> None:
    """List the benchmarks: state, place, size, licence. The content of files is not read; `verify` does that."""
    cards = {name: load_card(name) for name in benchmarks()}
    found = {name: verify(card, contents=False) for name, card in cards.items()}
    say(f"Benchmark data in {data_dir()}")
    rows = [
        (name, row.state, decimal(row.size) if row.size else "-", cards[name].folder, cards[name].licence)
        for name, row in found.items()
    ]
    show(Table(columns=("benchmark", "state", "size", "place", "licence"), rows=rows, right=("size",)))
    click.echo()
    say(f"The place is {DATA_VARIABLE} or the platform's cache folder; `trace2skill data fetch BENCHMARK` fills it.")
    _exit_if_unusable(found, named=False)


def _exit_if_unusable(found: Mapping[str, Verification], named: bool) -> None:
    """Exit with 1 if data is damaged, or missing although the user asked for it by name."""
    unusable = [name for name, row in found.items() if row.state == "damaged" or (named and row.state == "missing")]
    for name in unusable:
        say_aside(f"Fetch it with `{command('trace2skill', 'data', 'fetch', name)}`.")
    if unusable:
        sys.exit(1)


COMMAND = data
