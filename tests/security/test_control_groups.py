"""What the kernel does to a command that takes too much, where the harness can make control groups of version 2."""

import subprocess
import sys
import time

import pytest

from evals.sandbox import watch
from evals.sandbox.cgroups import ControlGroup, find_parent
from evals.sandbox.limits import BubblewrapLimits
from evals.sandbox.probe import find_bwrap
from tests.evals.sandbox.test_bwrap import start, stop

pytestmark = pytest.mark.skipif(
    find_parent().path is None, reason=f"no control groups for the harness here: {find_parent().problem}"
)
needs_bwrap = pytest.mark.skipif(find_bwrap().path is None, reason=f"unusable here: {find_bwrap().problem}")

MIB = 1 << 20
ENTER = 'echo 0 > "$1"; shift; exec "$@"'
MEMFD = "import os, sys\nfile = os.memfd_create('x')\nfor _ in range(int(sys.argv[1])): os.write(file, bytes(1 << 20))"
TOGETHER = """
import os, sys, time
children = []
for _ in range(6):
    child = os.fork()
    if not child:
        taken = bytearray(b'x') * (int(sys.argv[1]) << 20)
        time.sleep(1)
        os._exit(0)
    children.append(child)
for child in children:
    os.waitpid(child, 0)
print('held')
"""
FORKS = """
import os, time
count = 0
try:
    while count < 100:
        if not os.fork():
            time.sleep(1)
            os._exit(0)
        count += 1
except OSError:
    pass
print(count)
"""


def run(code: str, mib: int, memory: int, processes: int = 40) -> tuple["subprocess.CompletedProcess[str]", bool]:
    """Runs Python in a group; returns whether its limit on memory ended it."""
    parent = find_parent().path
    assert parent is not None
    group = ControlGroup.create(parent, memory=memory * MIB, processes=processes)
    try:
        result = subprocess.run(
            ["/bin/sh", "-c", ENTER, "sh", str(group.entrance), sys.executable, "-c", code, str(mib)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        overran = group.overran()
    finally:
        group.remove()
    assert not group.path.exists()
    return result, overran


@pytest.mark.parametrize(("code", "mib"), [(MEMFD, 300), (TOGETHER, 50)], ids=["memfd", "six processes"])
def test_more_than_the_limit_is_ended_and_less_is_not(code: str, mib: int) -> None:
    result, overran = run(code, mib, memory=128)
    assert overran
    assert result.returncode == -9
    assert result.stdout == ""

    result, overran = run(code, mib, memory=1024)
    assert not overran
    assert result.returncode == 0


def test_processes_are_counted() -> None:
    assert int(run(FORKS, 0, memory=1024, processes=20)[0].stdout) < 22
    assert int(run(FORKS, 0, memory=1024, processes=200)[0].stdout) == 100


def test_what_lingers_ends_with_the_group() -> None:
    parent = find_parent().path
    assert parent is not None
    group = ControlGroup.create(parent, memory=64 * MIB, processes=10)
    lingering = subprocess.Popen(["/bin/sh", "-c", 'echo 0 > "$1"; sleep 100; true', "sh", str(group.entrance)])
    while not group.entrance.read_text().split():
        time.sleep(0.01)

    group.remove()

    assert lingering.wait(10) == -9
    assert not group.path.exists()


@needs_bwrap
async def test_a_sandboxed_command_is_ended_without_the_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "memory_in_use", lambda first, enough=0: 0)
    box = await start(BubblewrapLimits(memory_mib=128))
    too_much = await box.exec(["python3", "-c", TOGETHER, "50"], timeout=60)
    enough = await box.exec(["python3", "-c", TOGETHER, "10"], timeout=60)
    await stop(box)

    assert not too_much.success
    assert "its processes together used more than 128 MiB of memory" in too_much.stderr
    assert enough.success
    assert enough.stdout == "held\n"
