"""Logs that several test files read; Inspect writes each once a session."""

import os
import sys
from pathlib import Path

import pytest

from tests.trace2skill.toy import run_adding, write_skill
from trace2skill.skill.folder import Skill, load_skill

# `python3` in the local sandbox, and in scripts that tests run, is to be the one that runs the tests.
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


@pytest.fixture(scope="session")
def adding_logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy task, run without a model: `one` and `two` fail, `three` and `four` succeed."""
    return run_adding(tmp_path_factory.mktemp("adding"))


@pytest.fixture
def skill(tmp_path: Path) -> Skill:
    return load_skill(write_skill(tmp_path))
