"""The command line in processes with a limit on memory, forked from one that has imported everything."""

import importlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

MIB = 1 << 20


class Ended(NamedTuple):
    """How a command ended."""

    status: int
    """Exit status; of a signal, its negative number."""
    output: str
    """What it printed on both streams."""
    seconds: float
    peak: int
    """Memory in MiB that it took at most, beyond what importing the package takes."""


class Confined:
    """Runs commands one after the other."""

    def __init__(self, server: "subprocess.Popen[str]") -> None:
        self._server = server

    def __call__(self, *arguments: object, memory: int = 1024, seconds: int = 60) -> Ended:
        """Run a command with so many MiB of address space and so many seconds."""
        if self._server.stdin is None or self._server.stdout is None:
            raise RuntimeError("no pipes")
        print(json.dumps([list(map(str, arguments)), memory, seconds]), file=self._server.stdin, flush=True)
        return Ended(*json.loads(self._server.stdout.readline()))


@contextmanager
def confined(folder: Path) -> Iterator[Confined]:
    """A process that runs commands in a folder."""
    command = [sys.executable, "-m", "tests.security.confined"]
    paths = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": paths},
    ) as server:
        yield Confined(server)
        if server.stdin:
            server.stdin.close()


def _run(arguments: list[str], memory: int, seconds: int, before: int) -> Ended:
    with tempfile.TemporaryFile() as output:
        start = time.monotonic()
        child = os.fork()
        if not child:
            _command(arguments, memory, seconds, output.fileno())
        _, status, usage = os.wait4(child, 0)
        took = time.monotonic() - start
        output.seek(0)
        text = output.read(MIB).decode("utf-8", "replace")
    return Ended(os.waitstatus_to_exitcode(status), text, took, max(usage.ru_maxrss - before, 0) // 1024)


def _command(arguments: list[str], memory: int, seconds: int, output: int) -> None:
    from trace2skill.cli.main import main

    for stream in (1, 2):
        os.dup2(output, stream)
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + memory * MIB,) * 2)
    signal.alarm(seconds)
    status = 70
    try:
        main(arguments)
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _serve() -> None:
    from trace2skill.cli.main import COMMANDS

    for name in COMMANDS:  # once, for all that are run
        importlib.import_module(f"trace2skill.cli.{name}")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for line in sys.stdin:
        arguments, memory, seconds = json.loads(line)
        print(json.dumps(_run(arguments, memory, seconds, before)), flush=True)


if __name__ == "__main__":
    _serve()
