"""A program in a terminal of a given width, as a person would run it."""

import os
import pty
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from functools import partial


def in_terminal(
    command: Sequence[str],
    columns: int,
    meanwhile: Callable[["subprocess.Popen[bytes]"], None] = lambda _: None,
    environment: Mapping[str, str] | None = None,
) -> tuple[int, str]:
    """Run a program in a terminal.

    Args:
        command: The program.
        columns: Width of the terminal.
        meanwhile: What is done while it runs.
        environment: Variables beside those of the tests.

    Returns:
        Its exit status and what the terminal was shown.
    """
    ours, its = pty.openpty()
    variables = {**os.environ, **(environment or {}), "COLUMNS": str(columns), "TERM": "xterm"}
    # What it prints is small enough for the terminal's own buffer only while somebody reads.
    shown = bytearray()
    # A shell that runs the tests in its background has them, and so their children, ignore Ctrl-C.
    heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(command, stdin=its, stdout=its, stderr=its, env=variables, preexec_fn=heard) as program:
        os.close(its)
        meanwhile(program)
        while chunk := _read(ours):
            shown += chunk
    os.close(ours)
    return program.returncode, shown.decode().replace("\r\n", "\n")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1 << 16)
    except OSError:  # Linux answers so when the program has closed its side
        return b""
