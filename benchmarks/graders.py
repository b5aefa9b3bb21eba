"""Compares the graders' speed with straightforward baselines, side by side in one run.

    python benchmarks/graders.py PATH/spreadsheetbench-verified-400 --tasks 40

PATH holds `dataset.json` and `spreadsheet/ID/` with the workbooks; `--tasks 0` takes all tasks. Each reference is
compared with itself and with the initial workbook. What is printed are ratios: a machine's load moves both sides
alike, as they take turns. A ratio above 1 says that the grader is faster than the baseline.

The last section says for how long the event loop did not get a turn while graders worked as scorers have them work,
in processes of their own; the same loop with idle threads stands beside it.
"""

import argparse
import gc
import json
import random
import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import anyio
import anyio.to_thread
from openpyxl import load_workbook

from evals.graders.anls import anls
from evals.graders.answer_position import cells_in_range, parse_answer_position
from evals.graders.spreadsheetbench import compare_workbooks, normalise
from evals.graders.wikitq import check_denotation
from evals.graders.worker import COMPARISONS
from trace2skill.errors import DataError

SEED = 0
ITEMS = 2_000
WORKERS = 2
TICK = 0.001

WORDS = ("Zürich", '"New York" (city)', "12.50", "1990-3-14", "1,024", "Gold[1]", "u.s.a.", "third place", "n/a")


class Pair(NamedTuple):
    """A reference, a candidate and the cells that count."""

    reference: Path
    candidate: Path
    answer_position: str


def main() -> None:
    """Prints one line for each comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verified", type=Path, help="folder of the verified set")
    parser.add_argument("--tasks", type=int, default=40, help="tasks drawn at random; 0 for all")
    options = parser.parse_args()
    pairs = read_pairs(options.verified, options.tasks)
    grade_pairs(pairs)
    grade_denotations()
    grade_answers()
    anyio.run(watch_event_loop, pairs)


def read_pairs(folder: Path, count: int) -> list[Pair]:
    """Each task's reference with itself and with the initial workbook."""
    tasks = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    if count:
        tasks = random.Random(SEED).sample(tasks, min(count, len(tasks)))
    pairs = []
    for task in tasks:
        (reference,) = (folder / "spreadsheet" / str(task["id"])).glob("*golden.xlsx")
        (initial,) = reference.parent.glob("*init*.xlsx")
        pairs += [Pair(reference, candidate, task["answer_position"]) for candidate in (reference, initial)]
    return pairs


def plain_comparison(pair: Pair) -> bool:
    """Loads both files with openpyxl and compares cell by cell."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reference, candidate = (load_workbook(path, data_only=True) for path in (pair.reference, pair.candidate))
    try:
        for sheet, cells in parse_answer_position(pair.answer_position):
            name = sheet or reference.sheetnames[0]
            for cell in cells_in_range(cells):
                expected, got = (normalise(book[name][cell].value) for book in (reference, candidate))
                if type(expected) is not type(got) or expected != got:
                    return False
    except (DataError, KeyError):  # a position or sheet that the official comparison fails on too
        return False
    return True


def grade(pair: Pair) -> bool:
    """This project's verdict."""
    return compare_workbooks(pair.reference, pair.candidate, pair.answer_position).passed


def grade_pairs(pairs: Sequence[Pair]) -> None:
    """The spreadsheet grader against openpyxl."""
    ours: list[float] = []
    plain: list[float] = []
    agree = 0
    for number, pair in enumerate(pairs):
        sides: list[tuple[list[float], Callable[[Pair], bool]]] = [(ours, grade), (plain, plain_comparison)]
        verdicts = set()
        for times, side in sides if number % 2 else reversed(sides):
            # The garbage of one side is not to be collected on the other's time.
            gc.collect()
            start = time.perf_counter()
            verdicts.add(side(pair))
            times.append(time.perf_counter() - start)
        agree += len(verdicts) == 1
    each = statistics.median(slow / fast for slow, fast in zip(plain, ours, strict=True))
    print(
        f"spreadsheetbench / openpyxl: {sum(plain) / sum(ours):.2f} in total, {each:.2f} for the median pair; "
        f"{agree} of {len(pairs)} verdicts agree"
    )


def grade_denotations() -> None:
    """WikiTQ's comparison against sets of lower-case texts, which know neither numbers nor dates."""
    draw = random.Random(SEED)
    answers = [[draw.choice(WORDS) for _ in range(draw.randint(1, 5))] for _ in range(ITEMS)]
    slow = timed(lambda: [check_denotation(items, items, items[::-1]) for items in answers])
    fast = timed(
        lambda: [{text.strip().lower() for text in items} == {text.strip().lower() for text in items[::-1]}
                 for items in answers]
    )  # fmt: skip
    print(f"check_denotation / set of texts: {fast / slow:.4f}; {slow / ITEMS * 1e6:.0f} microseconds an answer here")


def grade_answers() -> None:
    """ANLS against the textbook's edit distance."""
    draw = random.Random(SEED)
    texts = ["".join(draw.choices("abcdefgh ", k=draw.randint(3, 60))).strip() or "a" for _ in range(ITEMS)]
    pairs = [(text, "".join(draw.choice("x" + char * 5) for char in text)) for text in texts]
    ours: list[float] = []
    plain: list[float] = []
    fast = timed(lambda: ours.extend(anls(text, [other]) for text, other in pairs))
    slow = timed(lambda: plain.extend(plain_anls(text, other) for text, other in pairs))
    agree = sum(abs(one - other) < 1e-12 for one, other in zip(ours, plain, strict=True))
    print(f"anls / edit distance in Python: {slow / fast:.1f}; {agree} of {len(ours)} scores agree")


def plain_anls(prediction: str, answer: str) -> float:
    """The paper's formula, the distance row by row."""
    left, right = prediction.lower().strip(), answer.lower().strip()
    row = list(range(len(right) + 1))
    for number, char in enumerate(left, start=1):
        above, row = row, [number]
        for column, other in enumerate(right, start=1):
            row.append(min(above[column] + 1, row[-1] + 1, above[column - 1] + (char != other)))
    distance = row[-1] / max(len(left), len(right), 1)
    return 1 - distance if distance < 0.5 else 0.0


def timed(work: Callable[[], object]) -> float:
    """Seconds that the work takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def grade_aside(pair: Pair) -> None:
    """A verdict as the scorer asks for it."""
    COMPARISONS.call(compare_workbooks, pair.reference, pair.candidate.read_bytes(), pair.answer_position)


async def watch_event_loop(pairs: Sequence[Pair]) -> None:
    """The longest time between two turns of the event loop while graders work."""
    long_text = " ".join(WORDS) * 500
    works: dict[str, Callable[[], object]] = {
        "idle threads": lambda: time.sleep(2),
        "spreadsheetbench": lambda: [grade_aside(pair) for pair in pairs],
        "check_denotation": lambda: [COMPARISONS.call(check_denotation, *[[long_text]] * 3) for _ in range(20)],
        "anls": lambda: [COMPARISONS.call(anls, long_text, [long_text[::-1]]) for _ in range(20)],
    }
    for name, work in works.items():
        gaps = await turns_beside(work)
        over = sum(gap > 0.05 for gap in gaps)
        print(f"event loop beside {name}: longest delay {max(gaps) * 1e3:.0f} ms, {over} of {len(gaps)} above 50 ms")


async def turns_beside(work: Callable[[], object]) -> list[float]:
    """Delays of the event loop's turns while threads do the work, each all of it."""
    delays: list[float] = []
    finished = 0

    async def run() -> None:
        nonlocal finished
        await anyio.to_thread.run_sync(work)
        finished += 1

    async with anyio.create_task_group() as group:
        for _ in range(WORKERS):
            group.start_soon(run)
        while finished < WORKERS:
            start = time.perf_counter()
            await anyio.sleep(TICK)
            delays.append(time.perf_counter() - start - TICK)
    return delays


if __name__ == "__main__":
    main()
