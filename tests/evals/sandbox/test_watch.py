"""The watch itself: processes that come and go do not end it, and what ends it ends the command."""

import subprocess
import sys
import time

import pytest

from evals.sandbox import watch
from evals.sandbox.limits import BubblewrapLimits
from evals.sandbox.probe import find_bwrap
from tests.evals.sandbox.test_bwrap import start, stop

needs_bwrap = pytest.mark.skipif(find_bwrap().path is None, reason=f"unusable here: {find_bwrap().problem}")

STORM = """
import os, time
end = time.monotonic() + 3
while time.monotonic() < end:
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)
"""


def test_processes_that_end_while_they_are_counted_hide_nothing() -> None:
    with subprocess.Popen([sys.executable, "-c", STORM]) as storm:
        while storm.poll() is None:
            watch.memory_in_use(storm.pid)
            watch.deleted_but_open(storm.pid)
    assert watch.memory_in_use(storm.pid) == 0


def test_a_process_that_ended_counts_nothing() -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()

    assert watch.memory_in_use(gone.pid) == 0
    assert watch.deleted_but_open(gone.pid) == 0


@needs_bwrap
async def test_a_command_that_cannot_be_watched_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(first: int, enough: int = 0) -> int:
        raise RuntimeError("the machine is odd")

    box = await start(BubblewrapLimits())
    monkeypatch.setattr(watch, "memory_in_use", fail)
    began = time.monotonic()
    result = await box.exec(["sleep", "30"], timeout=60)
    assert time.monotonic() - began < 20
    assert not result.success
    assert "it could not be watched: RuntimeError('the machine is odd')" in result.stderr
    await stop(box)
