"""Rounds and wall time of sequential editing and of the parallel method, as ratios beside the published times.

    python benchmarks/rounds.py | tee benchmarks/rounds.txt
    python benchmarks/rounds.py --lessons 70 --latency 1 --spread 1

The stand-in answers behind vLLM's API in a process of its own; an answer takes log-normal time, with a heavy tail. Each
method gets as many analyses of failures, with one lesson each; the lessons are worded as the stand-in's analysts word
them. Timed are the edit calls or merges alone, as `trace2skill evolve` runs them, with Inspect's start and end; that is
after the analyses, which are the same for all. Rounds are the calls of the longest chain. An answer takes the same time
however long it is, so a merge of 32 patches is as fast as an edit from one lesson: on a real server it is not.

Published (arXiv 2603.25158): 60 minutes for B=1, 15 for B=4 and 3 for the parallel method, with about 70 lessons on one
node of 8 GPUs.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path

from inspect_ai import Task
from inspect_ai.model import Model, get_model

from trace2skill.analysis.reports import Analysis, Lesson
from trace2skill.baselines.editing import CONSOLIDATION, Chain, Current, Round, editing
from trace2skill.consolidation.tree import MERGE_BATCH, MergeTree, consolidation, level_sizes
from trace2skill.edits.patch import Edit, Patch
from trace2skill.evolution.stages import file_of, finished_samples, run_stage
from trace2skill.models.asking import Asking
from trace2skill.simulation.habits import habits
from trace2skill.skill.folder import load_skill

SKILL = load_skill(Path(__file__).parents[1] / "skills" / "xlsx-basic")
ASKING = Asking(skill=SKILL)
PUBLISHED = {"sequential, B=1": 60, "sequential, B=4": 15, "parallel": 3}


def main() -> None:
    """Prints one line for each method."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lessons", type=int, default=70)
    parser.add_argument("--latency", type=float, default=1.0, help="median seconds of an answer")
    parser.add_argument("--spread", type=float, default=1.0, help="standard deviation of their logarithm")
    options = parser.parse_args()
    found = analyses(options.lessons)
    works: dict[str, Callable[[], Task]] = {
        "sequential, B=1": lambda: sequential(found, 1),
        "sequential, B=4": lambda: sequential(found, 4),
        "parallel": lambda: consolidation(MergeTree([patch(row) for row in found], SKILL, MERGE_BATCH, 2), ASKING),
    }
    with serving(options.latency, options.spread) as address, tempfile.TemporaryDirectory() as folder:
        model = get_model("vllm/sim-small", base_url=address, api_key="none", memoize=False)
        played(works["parallel"](), Path(folder) / "warm", model)
        figures = {name: played(work(), Path(folder) / name, model) for name, work in works.items()}
    print(f"SIMULATED: {options.lessons} lessons, answers of median {options.latency} s, spread {options.spread}")
    print(f"{'':<16} {'rounds':>6} {'calls':>6} {'seconds':>8}   to the parallel method: rounds, time, published time")
    calls, seconds = figures["parallel"]
    levels = len(level_sizes(len(found), MERGE_BATCH)) + (calls > sum(level_sizes(len(found), MERGE_BATCH)))
    for name, (samples, took) in figures.items():
        rounds = levels if name == "parallel" else samples
        ratios = (rounds / levels, took / seconds, PUBLISHED[name] / PUBLISHED["parallel"])
        print(f"{name:<16} {rounds:>6} {samples:>6} {took:>8.1f}   {' '.join(f'{ratio:>8.1f}' for ratio in ratios)}")


def analyses(number: int) -> list[Analysis]:
    """Failures with one lesson each, every habit in all of its wordings in turn."""
    wordings = [
        Lesson(title=habit.title[0], description=habit.description[0], content=content)
        for place in range(min(len(habit.content) for habit in habits().values()))
        for habit in habits().values()
        for content in habit.content[place : place + 1]
    ]
    return [
        Analysis(trajectory=f"{place:03}", analyst="error", causes=(lesson.title,), lessons=(lesson,))
        for place, lesson in enumerate(islice(cycle(wordings), number))
    ]


def patch(analysis: Analysis) -> Patch:
    """The lesson as an edit of the frozen skill."""
    [lesson] = analysis.lessons
    edit = Edit(
        id=f"{analysis.trajectory}.1",
        file="SKILL.md",
        op="append_to_section",
        target="## Writing",
        content=f"- {lesson.content}",
        support=(analysis.trajectory,),
    )
    return Patch(trajectory=analysis.trajectory, edits=(edit,))


def sequential(found: list[Analysis], batch: int) -> Task:
    """The chain of edit calls, the last look included."""
    batches = [tuple(found[start : start + batch]) for start in range(0, len(found), batch)]
    rounds = [Round(f"batch-{number:04}", number, len(batches), rows) for number, rows in enumerate(batches, start=1)]
    rounds.append(Round(CONSOLIDATION, len(batches), len(batches), tuple(found)))
    return editing(Chain(Current(skill=SKILL, lines={}, stamp="", allow=()), rounds), ASKING)


def played(task: Task, folder: Path, model: Model) -> tuple[int, float]:
    """Number of samples and seconds of a stage."""
    start = time.perf_counter()
    [log] = run_stage([task], folder, model, display="none", max_connections=128)
    took = time.perf_counter() - start
    assert file_of(log).exists()
    return len(list(finished_samples(log))), took


@contextmanager
def serving(latency: float, spread: float) -> Iterator[str]:
    """The stand-in's server; its address."""
    command = [sys.executable, "-m", "trace2skill.simulation.server", "--port", "0"]
    process = subprocess.Popen(
        [*command, "--latency", str(latency), "--spread", str(spread)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    main()
