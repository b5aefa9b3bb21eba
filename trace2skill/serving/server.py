"""vLLM's server as a child of this process: started, waited for, and stopped with all of its own children."""

import ctypes
import errno
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from types import FrameType

import httpx2

from trace2skill.errors import Trace2SkillError
from trace2skill.serving.command import Launch
from trace2skill.text import printable

_TAIL = 20
_POLL_SECONDS = 1
_STOP_SECONDS = 30
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PR_SET_PDEATHSIG = 1


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
        except (OSError, UnicodeError) as error:
            said = getattr(error, "strerror", None) or error
            if isinstance(error, UnicodeError | socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
                raise Trace2SkillError(
                    f"--host {launch.host} is no address of this machine: {said}. 127.0.0.1 serves this machine "
                    "alone, 0.0.0.0 listens at all of its addresses."
                ) from error
            raise Trace2SkillError(
                f"Port {launch.port} of {launch.host} cannot be used: {said}. Choose another "
                f"--port; if a server runs there already, `trace2skill doctor {launch.url}` asks it the same questions."
            ) from error


class _Signals:
    """What Ctrl-C, a request to end and a closed terminal do to a server.

    The first interrupts what is under way, which stops the server; any that comes while it stops kills it. They are
    heard in a shell's background too, where Ctrl-C is ignored; only `nohup` keeps its word.
    """

    def __init__(self) -> None:
        self.interrupts = False
        """Whether the next one raises KeyboardInterrupt."""
        self.process: subprocess.Popen[bytes] | None = None
        """The server, as soon as there is one."""
        self._first = 0
        heard = [number for number in _SIGNALS if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN]
        self._before = {number: signal.signal(number, self._heard) for number in heard}

    def allow(self) -> None:
        """From now on the first one interrupts, also if it has come already."""
        self.interrupts = True
        if self._first:
            self._interrupt()

    def restore(self) -> None:
        """They do again what they did before."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _heard(self, number: int, frame: FrameType | None) -> None:
        self._first = self._first or number
        if self.interrupts:
            self._interrupt()
        elif self.process:
            _signal(self.process, signal.SIGKILL)

    def _interrupt(self) -> None:
        self.interrupts = False
        raise KeyboardInterrupt(self._first)


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
        KeyboardInterrupt: A signal asked for an end; its argument is the signal's number.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        signals = _Signals()
        try:
            try:
                process = signals.process = subprocess.Popen(
                    [vllm, *launch.arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=os.environ | dict(launch.environment),
                    start_new_session=True,  # a group of its own, so that its children can be stopped with it
                    preexec_fn=_ends_with_parent(),
                )
                signals.allow()
                _wait(process, launch, log, seconds)
                yield process
            finally:
                signals.interrupts = False
        finally:  # not the same one: a signal can still interrupt the first word of that
            if signals.process:
                stop(signals.process)
            signals.restore()


def _ends_with_parent() -> Callable[[], object] | None:
    """What a child does at its start to be asked to end when this process is killed."""
    if sys.platform != "linux":
        return None
    return partial(ctypes.CDLL(None).prctl, _PR_SET_PDEATHSIG, int(signal.SIGTERM))


def _wait(process: subprocess.Popen[bytes], launch: Launch, log: Path, seconds: float) -> None:
    health = f"{launch.url.removesuffix('/v1')}/health"
    end = time.monotonic() + seconds
    while process.poll() is None:
        with suppress(httpx2.HTTPError):
            # Past any proxy: it is a server of this machine.
            if httpx2.get(health, timeout=5, trust_env=False).status_code == 200:
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
        _signal(process, number)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            process.poll()
            if not _alive(process.pid):
                return
            time.sleep(0.1)


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
