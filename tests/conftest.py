"""Logs that several test files read; Inspect writes each once a session."""

import os
import sys
from collections.abc import Generator
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


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What a test has printed can be sent from process to process: half a character in it cannot."""
    report = yield
    report.sections = [(name, text.encode(errors="backslashreplace").decode()) for name, text in report.sections]
    return report
