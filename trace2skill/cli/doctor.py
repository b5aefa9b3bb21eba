"""`trace2skill doctor`: the probes of an endpoint, and a look around this machine, as lines."""

import sys
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import click

from trace2skill.models.sampling import load_model_profile
from trace2skill.models.serving import Abilities
from trace2skill.serving.endpoint import Endpoint, find_key
from trace2skill.serving.finding import Finding
from trace2skill.serving.machine import look_around
from trace2skill.serving.probes import Asked, probe
from trace2skill.text import printable

SECONDS = 300
"""Default time limit of a call."""

_COLOURS = {"ok": "green", "failed": "red", "skipped": "bright_black"}


@click.command("doctor")
@click.argument("url", required=False, help="Address of an endpoint.  [default: the machine alone]")
@click.option("--model", default="", help="Model to ask there.  [default: the only one]")
@click.option("--profile", help="Profile of the model: what it can do, and how long a prompt must fit.")
@click.option("--images", is_flag=True, help="Images will be sent: see whether they are read.")
@click.option(
    "--timeout", type=click.FloatRange(min=1), default=SECONDS, show_default=True, help="Seconds that a call may take."
)
def doctor_command(url: str | None, model: str, profile: str | None, images: bool, timeout: float) -> None:
    """Look at this machine and, if a URL is given, ask the endpoint there what a run depends on.

    URL is an OpenAI-compatible address such as http://127.0.0.1:8000/v1. Its key is read from VLLM_API_KEY. Exits
    with 1 if something that is needed failed.
    """
    serving = load_model_profile(profile).serving if profile else None
    endpoint = Endpoint(url=address(url), model=model, key=find_key(), seconds=timeout) if url else None
    failed = report(look_around(Path.cwd()))
    if endpoint:
        asked = Asked(
            endpoint=endpoint,
            abilities=(serving.abilities if serving else Abilities()).model_copy(update={"images": images}),
            known=serving is not None,
            context=serving.limits.context.tokens if serving else None,
            contexts=serving.contexts if serving else {},
        )
        click.echo()
        failed += certify(asked)
    else:
        report([Finding(name="endpoint", state="skipped", said="no URL given", fix="trace2skill doctor URL asks one")])
    click.echo()
    if failed:
        click.echo(f"{failed} needed {'thing' if failed == 1 else 'things'} failed.")
        sys.exit(1)
    click.echo("Nothing needed failed.")


def address(url: str) -> str:
    """A URL as clients take it: with its scheme, and without a slash at its end.

    Raises:
        click.BadParameter: It is none.
    """
    whole = (url if "://" in url else f"http://{url}").rstrip("/")
    try:
        parts = urlsplit(whole)
        fits = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError as error:  # a port that is no port
        raise click.BadParameter(f"{printable(url)} is no address: {error}") from error
    if not fits or not whole.isprintable() or " " in whole:
        raise click.BadParameter(f"{printable(url)} is no address such as http://127.0.0.1:8000/v1")
    return whole


def certify(asked: Asked) -> int:
    """Ask an endpoint, print each answer as it comes, and count what needed failed."""

    async def ask() -> int:
        return sum([report([finding]) async for finding in probe(asked)])

    return anyio.run(ask)


def report(findings: Iterable[Finding]) -> int:
    """Print findings, and count those that are fatal."""
    fatal = 0
    for finding in findings:
        fatal += finding.fatal
        state = click.style(f"{finding.state:8}", fg=_COLOURS[finding.state])
        rider = " (a run goes on without it)" if finding.state == "failed" and not finding.needed else ""
        click.echo(f"{state}{finding.name}: {printable(finding.said)}{rider}")
        if finding.fix and finding.state != "ok":
            click.echo(f"        -> {printable(finding.fix)}")
    return fatal


COMMAND = doctor_command
