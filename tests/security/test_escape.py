"""The escape suite: what hostile code tries in the sandbox, as root and as a user who is not.

Each probe comes with a control, the same code outside, which shows that the probe could have worked.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from evals.sandbox.limits import is_root
from evals.sandbox.probe import find_bwrap
from tests.security.probes import PROBES, Probe

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_bwrap().path is None, reason=f"bubblewrap is unusable here: {find_bwrap().problem}"),
]

REPOSITORY = Path(__file__).parents[2]
NOBODY = 65534
USERS = ["root", "nobody"] if is_root() else ["this user"]


def run(python: str, user: str, folder: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Runs Python as a user, with the libraries of the tests."""
    become = []
    if user == "nobody":
        # Through env, because setpriv still looks its own command up with root's capabilities.
        become = [str(shutil.which("setpriv")), f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        become.append("/usr/bin/env")
    packages = [path for path in sys.path if path.endswith("site-packages")]
    return subprocess.run(
        [*become, python, *arguments],
        env={
            "PYTHONPATH": os.pathsep.join([str(REPOSITORY), *packages]),
            "TMPDIR": folder,
            "HOME": folder if user == "nobody" else str(Path.home()),
            "PATH": "/usr/bin:/bin",
        },
        cwd="/",
        capture_output=True,
        text=True,
        timeout=550,
        check=False,
    )


@cache
def report(user: str) -> dict[str, dict[str, Any]]:
    """What every probe did for a user."""
    with tempfile.TemporaryDirectory() as folder:  # not below tmp_path, which only its user can enter
        if user == "nobody":
            os.chown(folder, NOBODY, NOBODY)
        # The environment of the tests may lie where only root can read; the system's Python serves as well.
        pythons = [sys.executable, "/usr/bin/python3"]
        tries = [run(python, user, folder, "-c", "import pydantic_core, evals") for python in pythons]
        usable = [python for python, result in zip(pythons, tries, strict=True) if result.returncode == 0]
        if not usable:
            pytest.skip(f"no Python here that {user} can run: {[each.stderr[-200:] for each in tries]}")
        result = run(usable[0], user, folder, "-m", "tests.security.attack")
    assert result.returncode == 0, result.stderr
    found: dict[str, dict[str, Any]] = json.loads(result.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.name)
def test_nothing_gets_out(probe: Probe, user: str) -> None:
    found = report(user)[probe.name]
    assert found["tried"], found
    assert not found["escaped"], found
    if probe.control == "all" or (probe.control == "root" and user == "root"):
        assert found["control"], found


def test_there_are_many_probes() -> None:
    assert len({probe.name for probe in PROBES}) == len(PROBES) >= 60
