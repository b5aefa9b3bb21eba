"""`trace2skill serve`: a profile's command shown, or run and certified."""

import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies

import click

from trace2skill.cli.doctor import SECONDS, certify
from trace2skill.errors import Trace2SkillError
from trace2skill.serving.command import HOST, PORT, Launch, plan_launch
from trace2skill.serving.endpoint import Endpoint, find_key
from trace2skill.serving.gpus import Gpus, find_gpus
from trace2skill.serving.probes import Asked
from trace2skill.serving.server import check_port, find_vllm, running


@click.command("serve")
@click.argument("profile", help="Name of a profile, or a YAML file.")
@click.argument("vllm_arguments", nargs=-1, type=click.UNPROCESSED, help="Further arguments of vLLM, after --.")
@click.option("--print", "only_print", is_flag=True, help="Only print the command.")
@click.option("--check-only", is_flag=True, help="Stop the server as soon as it is certified.")
@click.option("--gpus", type=click.IntRange(0), help="How many GPUs.  [default: those found]")
@click.option("--gpu-memory", type=click.FloatRange(min=1), help="Gigabytes of each.  [default: as found, else 80]")
@click.option("--weights", help="Precision: bf16, fp8 or int4.  [default: the first of the profile that fits]")
@click.option(
    "--model", "folder", type=click.Path(path_type=Path), help="Folder with the weights.  [default: the hub's]"
)
@click.option("--images", is_flag=True, help="Also read images, for visionqa.  [default: text only]")
@click.option("--host", default=HOST, show_default=True, help="Address to listen at.")
@click.option("--port", type=click.IntRange(1, 65535), default=PORT, show_default=True, help="Port to listen at.")
@click.option("--vllm", help="Path of vLLM's program, where it is not on PATH.")
@click.option("--log", type=click.Path(path_type=Path), help="What the server writes.  [default: runs/serve/PORT.log]")
@click.option(
    "--timeout",
    type=click.FloatRange(min=1),
    default=1800,
    show_default=True,
    help="Seconds until its first answer; downloads count.",
)
@click.option(
    "--call-timeout",
    type=click.FloatRange(min=1),
    default=SECONDS,
    show_default=True,
    help="Seconds of a probe's call.",
)
def serve_command(
    profile: str,
    vllm_arguments: tuple[str, ...],
    only_print: bool,
    check_only: bool,
    gpus: int | None,
    gpu_memory: float | None,
    weights: str | None,
    folder: Path | None,
    images: bool,
    host: str,
    port: int,
    vllm: str | None,
    log: Path | None,
    timeout: float,
    call_timeout: float,
) -> None:
    """Serve a model by its PROFILE with vLLM, and certify the endpoint; Ctrl-C stops it.

    Further arguments of vLLM come last, after --. Exits with 1 if the server does not start, or a probe that is
    needed fails.
    """
    launch = plan_launch(
        profile,
        _gpus(gpus, gpu_memory),
        weights=weights,
        folder=folder,
        images=images,
        host=host,
        port=port,
        extra=vllm_arguments,
    )
    _explain(launch)
    if only_print:
        click.echo(launch.shell(vllm or "vllm"))
        return
    for argument in launch.missing:
        raise Trace2SkillError(f"{argument.file} is not in this folder. {argument.source}.")
    program = find_vllm(vllm)
    asked = _asked(launch, call_timeout)
    check_port(launch)
    click.echo(launch.shell(program))
    file = log or Path("runs/serve") / f"{port}.log"
    click.echo(f"Waiting for its first answer; it writes to {file}.", err=True)
    try:
        with running(launch, program, file, timeout) as process:
            failed = certify(asked)
            if not check_only:
                _hold(launch, process.wait)
    except KeyboardInterrupt as interrupted:
        if not interrupted.args:  # it came when the server was gone already
            raise
        click.echo("Interrupted before it was certified; the server was stopped.", err=True)
        sys.exit(128 + interrupted.args[0])
    if failed:
        click.echo(f"{failed} needed {'probe' if failed == 1 else 'probes'} failed.", err=True)
        sys.exit(1)


def _gpus(count: int | None, memory: float | None) -> Gpus:
    found = find_gpus()
    if found.beside or found.problem:
        click.echo(f"# found: {found}", err=True)
    if memory is None and (count is None or count <= found.number):
        return found if count is None else found._replace(number=count)
    return Gpus(found.number if count is None else count, memory or found.memory or 80)


def _explain(launch: Launch) -> None:
    """Say on standard error what was chosen and why; standard output holds the command alone."""
    what = f"the weights in {launch.folder}" if launch.folder else f"{launch.weights.name} weights"
    lines = [f"{what} on {launch.layout}: {launch.layout.why} ({launch.layout.source})"]
    if launch.serving.text_only:
        lines.append("images are read" if launch.images else "text only; --images also reads images")
    lines += [f"needs {argument.file} in this folder: {argument.source}" for argument in launch.missing]
    for line in lines:
        click.echo(f"# {line}", err=True)


def _asked(launch: Launch, seconds: float) -> Asked:
    return Asked(
        endpoint=Endpoint(url=launch.url, model=launch.model, key=find_key(), seconds=seconds, direct=True),
        abilities=launch.serving.abilities.model_copy(update={"images": launch.images}),
        known=True,
    )


def _hold(launch: Launch, wait: Callable[[], int]) -> None:
    """Wait until the server ends or the user ends it."""
    host = urlsplit(launch.url).hostname
    past = f"  export NO_PROXY={host},$NO_PROXY\n" if getproxies() else ""
    try:
        click.echo(
            f"\nServing at {launch.url}. In another terminal:\n{past}"
            f"  export VLLM_BASE_URL={launch.url}\n"
            f"  inspect eval evals/spreadsheet.py --model vllm/{launch.model} -T dataset=sample\n"
            "Ctrl-C stops the server."
        )
        code = wait()
    except KeyboardInterrupt:
        click.echo("Stopping the server; once more kills it.", err=True)
    else:
        raise Trace2SkillError(f"The server ended by itself, with exit code {code}; its log says why.")


COMMAND = serve_command
