"""The same tiny study on Ray: two workers here, one of which is killed."""

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.trace2skill.study.test_cells import run
from tests.trace2skill.study.tiny import load, scores
from trace2skill.study import open_executor
from trace2skill.study.running import State

pytestmark = [
    pytest.mark.slow,
    # Ray leaves files and sockets to the garbage collector, and its processes fork.
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning", "ignore::FutureWarning"),
]


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_a_killed_worker_changes_no_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ray: Any = pytest.importorskip("ray")
    monkeypatch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    here, there = load(tmp_path / "here"), load(tmp_path / "there")
    run(here)
    killed: list[int] = []

    def kill_a_worker() -> None:
        """The Ray worker above the process of a cell: the fork server's parent."""
        until = time.monotonic() + 300
        while not killed and time.monotonic() < until:
            for lock in there.runs.glob("*/.cell.lock"):
                try:
                    words = lock.read_text().split()
                    worker = parent(parent(int(words[1])))
                except (OSError, ValueError, IndexError):
                    continue
                os.kill(worker, signal.SIGKILL)
                killed.append(worker)
                return
            time.sleep(0.02)

    killer = threading.Thread(target=kill_a_worker)
    killer.start()
    standing: dict[str, State] = there.run(open_executor("ray", at_once=2), lambda cell, state: None)
    killer.join()

    assert killed
    assert {state.state for state in standing.values()} == {"finished"}
    assert scores(there) == scores(here)
    assert not ray.is_initialized()
