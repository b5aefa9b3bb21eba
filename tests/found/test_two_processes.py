"""Two processes on one output: the second says who is there, and nothing is paid twice."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from tests.trace2skill.toy import scripted, write_skill
from trace2skill.errors import Trace2SkillError
from trace2skill.evolution import evolve
from trace2skill.files import HeldError, held

HOLD = """
import sys, time
from pathlib import Path
from trace2skill.files import held
with held(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_second_run_is_told_who_is_there(adding_logs: Path, tmp_path: Path) -> None:
    skill, run = write_skill(tmp_path), tmp_path / "run"
    with held(run / ".run.json.lock"), pytest.raises(Trace2SkillError) as caught:
        evolve([adding_logs], skill, run, model=scripted(), display="none")

    assert f"Another run is at work in {run} (process {os.getpid()} on {platform.node()}, since " in str(caught.value)
    assert [path.name for path in run.iterdir()] == []
    assert evolve([adding_logs], skill, run, model=scripted(), display="none").edits["applied"] == 4
    assert not list(run.glob(".*"))


def test_a_lock_goes_with_its_process(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with subprocess.Popen([sys.executable, "-c", HOLD, str(lock)], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(HeldError, match=f"process {other.pid} on "), held(lock):
            raise AssertionError("held twice")
        other.kill()
        other.wait()
    with held(lock):
        assert lock.read_text().startswith(f"process {os.getpid()} ")
    assert not lock.exists()


def test_an_output_that_cannot_be_written_is_named(adding_logs: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Trace2SkillError, match="Choose another --output"):
        evolve([adding_logs], write_skill(tmp_path), tmp_path / "file" / "run", model=scripted(), display="none")
