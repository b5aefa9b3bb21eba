"""A killed evolution, run again, ends with the same bytes and repeats no finished sample."""

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from inspect_ai.log import list_eval_logs, read_eval_log_sample_summaries

ROOT = Path(__file__).parents[1]
RECORDS = ("ledger.jsonl", "provenance.json", "changes.diff", "CHANGELOG.md")
STAGES = ("error-analysis", "success-analysis", "replay", "consolidation")
KILLS = 20

pytestmark = pytest.mark.slow


def command(name: str, *arguments: str) -> list[str]:
    return [str(Path(sys.executable).parent / name), *arguments]


def roll_out(task: str, skill: str, folder: Path, *options: str) -> Path:
    arguments = ["-T", "dataset=sample", "-T", "split=evolve", "-T", f"skill=skills/{skill}", *options]
    subprocess.run(
        command(
            "inspect", "eval", f"evals/{task}.py", "--model", "sim/small", *arguments,
            "--log-dir", str(folder), "--display", "none",
        ),
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return roll_out("spreadsheet", "xlsx-basic", tmp_path_factory.mktemp("rollouts"), "--limit", "12")


@pytest.fixture(scope="module")
def problems(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return roll_out("math_reasoning", "math-basic", tmp_path_factory.mktemp("problems"))


def evolution(logs: Path, skill: str, output: Path, *options: str) -> list[str]:
    return command(
        "trace2skill", "evolve", str(logs), "--skill", str(ROOT / "skills" / skill),
        "--merge-batch", "2", "--output", str(output), "--display", "none", *options,
    )  # fmt: skip


def results(output: Path, skill: str) -> dict[str, bytes]:
    """Contents of the skill's files and of the records, by path."""
    files = [*(output / name for name in RECORDS), *(output / skill).rglob("*")]
    return {str(path.relative_to(output)): path.read_bytes() for path in files if path.is_file()}


def finished(output: Path, stage: str) -> dict[str, str]:
    """Ids and unique run ids of the samples that the newest log of a stage holds."""
    found: dict[str, str] = {}
    for info in list_eval_logs(str(output / "logs")):
        if stage not in info.name:
            continue
        try:
            summaries = read_eval_log_sample_summaries(info)
        except Exception:
            continue  # a log that has just been created, or is being written
        found.update({str(row.id): str(row.uuid) for row in summaries if row.completed and not row.error})
    return found


def all_finished(output: Path) -> dict[tuple[str, str], str]:
    """Unique run ids of all finished samples, by stage and id."""
    return {(stage, name): uuid for stage in STAGES for name, uuid in finished(output, stage).items()}


def kill_when(arguments: list[str], due: Callable[[], bool]) -> bool:
    """Start a command and kill it as soon as `due`; whether it was still running then. It may not fail."""
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(arguments, cwd=ROOT, stdout=said, stderr=said, start_new_session=True)
        while process.poll() is None and not due():
            time.sleep(0.1)
        running = process.poll() is None
        if running:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        said.seek(0)
        assert process.returncode in (0, -signal.SIGKILL), said.read().decode()
    return running


def test_three_kills_change_nothing(logs: Path, tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    subprocess.run(evolution(logs, "xlsx-basic", whole), cwd=ROOT, check=True, capture_output=True)
    again = evolution(logs, "xlsx-basic", cut)

    assert kill_when(again, lambda: len(finished(cut, "error-analysis")) >= 1)
    first = finished(cut, "error-analysis")
    assert kill_when(again, lambda: any(name.endswith("/clean-run") for name in finished(cut, "error-analysis")))
    second = finished(cut, "error-analysis")
    assert kill_when(again, lambda: bool(list(cut.glob("logs/consolidation/*.eval"))))
    third = finished(cut, "error-analysis")
    subprocess.run(again, cwd=ROOT, check=True, capture_output=True)

    assert results(cut, "xlsx-basic") == results(whole, "xlsx-basic")
    assert first.items() <= second.items() <= third.items()
    assert third == finished(cut, "error-analysis")
    assert set(third) == set(finished(whole, "error-analysis"))


def begun(output: Path, start: float) -> bool:
    """Whether a run has written into its folder since `start`. Before that it has nothing to lose."""
    marks = (output / "run.json", *output.glob("logs/*/eval-set.json"))
    return any(mark.stat().st_mtime >= start for mark in marks if mark.exists())


def after(seconds: float, output: Path) -> Callable[[], bool]:
    """Due so many seconds after a run that starts now has begun."""
    start = time.time()
    moments: list[float] = []

    def due() -> bool:
        if not moments and begun(output, start):
            moments.append(time.time() + seconds)
        return bool(moments) and time.time() >= moments[0]

    return due


def run_with_kills(arguments: list[str], output: Path, chance: random.Random, work: float, most: int) -> int:
    """Start a run again and again, each time with a kill at a random moment, until it is done.

    Args:
        arguments: The command.
        output: Its run folder.
        chance: Says when.
        work: Seconds that the run takes from its beginning when it is left alone.
        most: Number of kills after which it is left alone.

    Returns:
        The number of kills that came before its end.
    """
    kept: dict[tuple[str, str], str] = {}
    kills = 0
    while kills < most:
        moment = chance.uniform(0, work)
        if not kill_when(arguments, after(moment, output)):
            break
        kills += 1
        now = all_finished(output)
        print(f"{output.name}: kill {kills} after {moment:.1f} of {work:.1f} s, {len(now)} samples finished")
        assert kept.items() <= now.items()
        kept = now
    else:
        subprocess.run(arguments, cwd=ROOT, check=True, capture_output=True)
    assert kept.items() <= all_finished(output).items()
    return kills


def test_twenty_kills_at_random_moments_change_nothing(problems: Path, tmp_path: Path) -> None:
    def run(output: Path) -> list[str]:
        return evolution(problems, "math-basic", output, "--verify", "replay:1")

    whole = tmp_path / "whole"
    subprocess.run(run(whole), cwd=ROOT, check=True, capture_output=True)
    work = time.time() - (whole / "run.json").stat().st_mtime
    chance = random.Random(KILLS)
    left, number = KILLS, 0
    while left:
        cut = tmp_path / f"cut-{number}"
        kills = run_with_kills(run(cut), cut, chance, work, left)
        assert results(cut, "math-basic") == results(whole, "math-basic")
        assert set(all_finished(cut)) == set(all_finished(whole))
        left, number = left - kills, number + 1
        if not kills:
            work /= 2  # the machine has become faster than it was at first
