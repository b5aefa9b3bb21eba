"""vLLM's server as a child of this process: started, waited for, and stopped with all of its own children."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx2

from trace2skill.errors import Trace2SkillError
from trace2skill.serving.command import Launch
from trace2skill.text import printable

_TAIL = 20
_POLL_SECONDS = 1
_STOP_SECONDS = 30


def find_vllm(named: str | None) -> str:
    """Path of vLLM's program: the one that was named, else that of PATH.

    Raises:
        Trace2SkillError: There is none.
    """
    found = shutil.which(named or "vllm")
    if found is None:
        what = f"--vllm {named} is no program" if named else "There is no program vllm on PATH"
        raise Trace2SkillError(
            f"{what}. Install it beside this package (pip install -e '.[serve]') or in an environment of its own, and "
            "name it with --vllm /path/to/bin/vllm. --print shows the command without it."
        )
    return found


def check_port(launch: Launch) -> None:
    """Sees to it that nobody listens where the server is to listen.

    Raises:
        Trace2SkillError: Somebody does, or the address is not one of this machine.
    """
    family = socket.AF_INET6 if ":" in launch.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((launch.host, launch.port))
        except OSError as error:
            raise Trace2SkillError(
                f"Port {launch.port} of {launch.host} cannot be used: {error.strerror or error}. Choose another "
                f"--port; if a server runs there already, `trace2skill doctor {launch.url}` asks it the same questions."
            ) from error


@contextmanager
def running(launch: Launch, vllm: str, log: Path, seconds: float) -> Iterator[subprocess.Popen[bytes]]:
    """The server, from its first answer until the context ends; then it and its children are gone.

    Args:
        launch: What to run.
        vllm: Path of vLLM's program.
        log: File for what it writes.
        seconds: Time limit for its first answer.

    Raises:
        Trace2SkillError: It died, or did not answer in time; the message ends with the tail of its log.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [vllm, *launch.arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | dict(launch.environment),
            start_new_session=True,  # a group of its own, so that its children can be stopped with it
        )
        try:
            _wait(process, launch, log, seconds)
            yield process
        finally:
            stop(process)


def _wait(process: subprocess.Popen[bytes], launch: Launch, log: Path, seconds: float) -> None:
    health = f"{launch.url.removesuffix('/v1')}/health"
    end = time.monotonic() + seconds
    while process.poll() is None:
        with suppress(httpx2.HTTPError):
            if httpx2.get(health, timeout=5).status_code == 200:
                return
        if time.monotonic() > end:
            raise Trace2SkillError(
                f"The server did not answer at {health} within {seconds:g} s; it was stopped. Give it more time with "
                f"--timeout. The end of {log}:\n{tail(log)}"
            )
        time.sleep(_POLL_SECONDS)
    raise Trace2SkillError(
        f"The server ended with exit code {process.returncode} before it answered. The end of {log}:\n{tail(log)}"
    )


def tail(log: Path) -> str:
    """The last lines of a log, made safe to show."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-_TAIL:]
    return "\n".join(f"  {printable(line)}" for line in lines)


def stop(process: subprocess.Popen[bytes]) -> None:
    """Stops a server and whatever it has started: politely at first, by force after half a minute."""
    for number, seconds in ((signal.SIGTERM, _STOP_SECONDS), (signal.SIGKILL, _STOP_SECONDS)):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            process.poll()
            if not _alive(process.pid):
                return
            time.sleep(0.1)


def _alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
