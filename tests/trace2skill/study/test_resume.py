"""A study that is killed at any moment goes on, repeats nothing that was finished, and ends with the same results."""

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.resumed import ROOT, command
from tests.trace2skill.study.tiny import load, scores, write
from trace2skill.study import Study
from trace2skill.study.cells import RESULT

KILLS = int(os.environ.get("KILLS", "10"))


def study_run(file: Path, runs: Path, *options: str) -> list[str]:
    return command("trace2skill", "study", "run", str(file), "--runs", str(runs), "--at-once", "2", *options)


def finished(runs: Path) -> dict[str, bytes]:
    return {path.parent.name: path.read_bytes() for path in runs.glob(f"*/{RESULT}")}


def skills(study: Study) -> dict[str, bytes]:
    """Every evolved skill's files."""
    made = [row.artefact for row in study.evaluations() if row.artefact]
    return {str(path.relative_to(folder)): path.read_bytes() for folder in made for path in folder.glob("*/SKILL.md")}


def kill_after(arguments: list[str], seconds: float) -> bool:
    """Start a run and kill its process group, whether it was still running."""
    with Path(os.devnull).open("wb") as nothing:
        process = subprocess.Popen(arguments, cwd=ROOT, stdout=nothing, stderr=nothing, start_new_session=True)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return True
    assert process.returncode == 0
    return False


@pytest.mark.slow
def test_ten_kills(tmp_path: Path) -> None:
    whole = load(tmp_path / "whole")
    began = time.monotonic()
    subprocess.run(study_run(whole.file, whole.runs), cwd=ROOT, check=True, capture_output=True)
    lasted = time.monotonic() - began
    draw, kills, studies = random.Random(0), 0, 0

    while kills < KILLS:
        studies += 1
        kills += _killed_until_finished(tmp_path / f"killed-{studies}", draw, lasted, KILLS - kills, whole)


def _killed_until_finished(folder: Path, draw: random.Random, lasted: float, most: int, whole: Study) -> int:
    """Kill a study at random moments until it is finished all the same; the number of kills."""
    file, runs, kills = write(folder), folder / "runs", 0
    while kills < most:
        before = finished(runs)
        if not kill_after(study_run(file, runs), draw.uniform(1, lasted / 2)):
            break
        kills += 1
        after = finished(runs)
        assert {name: after[name] for name in before} == before
    before = finished(runs)
    done = subprocess.run(study_run(file, runs), cwd=ROOT, check=True, capture_output=True, text=True)

    killed = Study.load(file, runs=runs)
    assert {name: finished(runs)[name] for name in before} == before
    assert "Cells: 5 finished, 0 running, 0 failed" in done.stdout
    assert scores(killed) == scores(whole)
    assert skills(killed) == skills(whole)
    assert len(killed.looks()) == 1
    return kills


@pytest.mark.slow
def test_the_quickstart_as_a_study_gives_what_the_script_gives(tmp_path: Path) -> None:
    study = Study.load(ROOT / "results" / "quickstart", runs=tmp_path)
    subprocess.run(study_run(study.file, tmp_path), cwd=ROOT, check=True, capture_output=True)

    frame = study.results()
    right = frame[frame["score_cell_comparison"] == "C"].groupby("condition")["id"].count()

    tested = frame[frame["split"] == "test"]
    assert tested.groupby("condition")["id"].count().to_dict() == {"no-skill": 20, "human-written": 20, "combined": 20}
    assert right["no-skill"] == 7
    assert (tested[tested["condition"] == "human-written"]["score_cell_comparison"] == "C").sum() == 7
    assert right["combined"] == 13


def a_cell_runs(process: "subprocess.Popen[str]", runs: Path) -> bool:
    return bool(list(runs.glob("*/.cell.lock")))


def processes_begin(process: "subprocess.Popen[str]", runs: Path) -> bool:
    """Whether the server is there that cells' processes come from, and imports what they need."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return any("forkserver" in Path(f"/proc/{child}/cmdline").read_text() for child in children)


@pytest.mark.slow
@pytest.mark.parametrize("moment", [processes_begin, a_cell_runs])
def test_ctrl_c_stops_all_cells_and_says_how_to_go_on(
    moment: Callable[["subprocess.Popen[str]", Path], bool], tmp_path: Path
) -> None:
    file, runs = write(tmp_path), tmp_path / "runs"
    process = subprocess.Popen(
        study_run(file, runs),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    until = time.monotonic() + 60
    while not moment(process, runs) and time.monotonic() < until:
        time.sleep(0.05)
    # As a terminal does: to every process.
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=90)

    assert process.returncode == 130
    assert "run the same command again" in said.lower()
    assert "Traceback" not in said
    assert not any(state.state in ("running", "failed") for state in load(tmp_path).states().values())
