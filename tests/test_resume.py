"""A killed evolution, run again, ends with the same bytes and repeats no finished sample."""

import os
import random
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.resumed import (
    ROOT,
    all_finished,
    bank_results,
    banking,
    evolution,
    finished,
    kill_when,
    results,
    roll_out,
    sequential_evolution,
)

KILLS = int(os.environ.get("KILLS", "20"))
"""Kills of a whole evolution; sequential editing gets a quarter of them."""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return roll_out("spreadsheet", "xlsx-basic", tmp_path_factory.mktemp("rollouts"), "--limit", "12")


@pytest.fixture(scope="module")
def problems(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return roll_out("math_reasoning", "math-basic", tmp_path_factory.mktemp("problems"))


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


@pytest.mark.parametrize(
    ("method", "stage", "options"),
    [("reasoning-bank", "induction", ()), ("awm", "induction", ()), ("reasoning-bank", "stream", ("--stream",))],
)
def test_kills_in_the_middle_of_building_a_bank_change_nothing(
    problems: Path, tmp_path: Path, method: str, stage: str, options: tuple[str, ...]
) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    subprocess.run(banking(problems, method, whole, *options), cwd=ROOT, check=True, capture_output=True)
    # One call at a time, so that there is a middle.
    again = banking(problems, method, cut, "--max-connections", "1", *options)

    assert kill_when(again, lambda: len(finished(cut, stage)) >= 1)
    first = finished(cut, stage)
    assert kill_when(again, lambda: len(finished(cut, stage)) > len(first))
    second = finished(cut, stage)
    assert not (cut / "manifest.json").exists()
    subprocess.run(again, cwd=ROOT, check=True, capture_output=True)

    assert bank_results(cut) == bank_results(whole)
    assert first.items() <= second.items() <= finished(cut, stage).items()
    assert finished(cut, stage).keys() == finished(whole, stage).keys()


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


def test_kills_at_random_moments_change_nothing(problems: Path, tmp_path: Path) -> None:
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


def test_kills_at_random_batches_of_sequential_editing_change_nothing(problems: Path, tmp_path: Path) -> None:
    first, whole = tmp_path / "first", tmp_path / "whole"
    subprocess.run(evolution(problems, "math-basic", first), cwd=ROOT, check=True, capture_output=True)

    def run(output: Path) -> list[str]:
        return sequential_evolution(problems, "math-basic", output, "--reuse-analyses", str(first))

    subprocess.run(run(whole), cwd=ROOT, check=True, capture_output=True)
    batches = len(finished(whole, "sequential-editing"))
    chance = random.Random(batches)
    kills = 0
    for number in range(max(KILLS // 4, 1)):
        cut = tmp_path / f"cut-{number}"
        due = chance.randint(1, batches - 1)
        while kill_when(run(cut), lambda cut=cut, due=due: len(finished(cut, "sequential-editing")) >= due):
            kills += 1
            due += chance.randint(1, batches)
        assert results(cut, "math-basic") == results(whole, "math-basic")
        assert set(finished(cut, "sequential-editing")) == set(finished(whole, "sequential-editing"))
    assert kills >= max(KILLS // 4, 1)
