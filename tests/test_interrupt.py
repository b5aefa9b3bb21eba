"""Ctrl-C: the run says so, saves no skill, and goes on when it is started again."""

import signal
import subprocess
import time
from functools import partial
from pathlib import Path

import pytest
from inspect_ai import eval

from evals.math_reasoning import math_reasoning
from trace2skill.evolution.folder import MANIFEST, Manifest
from trace2skill.files import read_model

SKILL = "skills/math-basic"


def start(logs: Path, output: Path, ctrl_c: signal.Handlers = signal.SIG_DFL) -> subprocess.Popen[str]:
    command = ["trace2skill", "evolve", str(logs), "--skill", SKILL, "--output", str(output), "--display", "plain"]
    # A shell that runs the tests in its background has them, and so their children, ignore Ctrl-C.
    heard = partial(signal.signal, signal.SIGINT, ctrl_c)
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, preexec_fn=heard)


@pytest.mark.slow
def test_an_interrupted_run_is_not_finished_and_goes_on_when_run_again(tmp_path: Path) -> None:
    task = math_reasoning(dataset="sample", split="all", skill=SKILL)
    eval(task, model="sim/small", log_dir=str(tmp_path / "logs"), display="none")
    run = tmp_path / "run"

    first = start(tmp_path / "logs", run)
    while first.poll() is None and not list((run / "logs").glob("*/*.eval")):
        time.sleep(0.01)
    first.send_signal(signal.SIGINT)
    said, _ = first.communicate()

    assert first.returncode == 130, said
    assert "Completed all tasks" not in said
    assert "run the same command again to go on" in " ".join(said.split())
    assert not (run / MANIFEST).exists()
    again = start(tmp_path / "logs", run)
    said, _ = again.communicate()
    assert again.returncode == 0, said
    assert "Steps:" not in said, "Inspect's count of steps leaves out the clean runs: 192%"
    assert read_model(run / MANIFEST, Manifest).edits["applied"] > 0


@pytest.mark.slow
def test_a_request_to_end_reaches_a_run_in_the_background(tmp_path: Path) -> None:
    task = math_reasoning(dataset="sample", split="all", skill=SKILL)
    eval(task, model="sim/small", log_dir=str(tmp_path / "logs"), display="none")
    run = tmp_path / "run"

    background = start(tmp_path / "logs", run, signal.SIG_IGN)
    while background.poll() is None and not list((run / "logs").glob("*/*.eval")):
        time.sleep(0.01)
    background.send_signal(signal.SIGTERM)
    said, _ = background.communicate()

    assert background.returncode == 143, said
    assert "Traceback" not in said
    assert not (run / MANIFEST).exists()
