"""Mathematical problems, as the agent knows them: DAPO-Math and AIME, by the text of the problem."""

import functools
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from trace2skill.data.places import bundled, data_dir
from trace2skill.simulation.answers.asked import Asked
from trace2skill.simulation.answers.slips import Case, FormSlip, ValueSlip
from trace2skill.simulation.habits import MATH

SAMPLE = "tasks/sample/math"
DAPO = "dapo-math"
AIME = "aime"
LINES = ("problems.jsonl", "aime_*.jsonl")
TABLE = "dapo_math_*.parquet"

_MODULUS = re.compile(r"(?:remainder|divided by|modulo|\\pmod\{?)\D{0,60}?(\d+)", re.IGNORECASE)
_PARTS = re.compile(r"\b([a-z])\s*\+\s*([a-z])(?:\s*\+\s*([a-z]))?\b")
_LOWEST = re.compile(r"relatively prime|coprime|lowest terms|simplest form|\\gcd", re.IGNORECASE)
_COUNTS = re.compile(r"\bhow many\b|\bnumber of\b", re.IGNORECASE)

Numbers = Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Record:
    """A known problem: its answer and, where the data tell them, its kind and the numbers in it."""

    answer: str
    kind: str = ""
    numbers: Numbers = field(default_factory=dict)


def study_problem(asked: Asked, folders: Sequence[Path]) -> Case | None:
    """How a problem is solved, and what can go wrong; None if it is unknown."""
    record = index((bundled(SAMPLE), data_dir() / DAPO, data_dir() / AIME, *folders)).get(asked.question)
    return None if record is None else make_case(asked.question, record)


@functools.lru_cache(maxsize=8)
def index(folders: tuple[Path, ...]) -> dict[str, Record]:
    """Every known problem by its text."""
    found: dict[str, Record] = {}
    for folder in folders:
        for file in (path for pattern in LINES for path in sorted(folder.glob(pattern))):
            for line in filter(None, map(str.strip, file.read_text(encoding="utf-8").splitlines())):
                row = json.loads(line)
                record = Record(answer=str(row["answer"]), kind=row.get("kind", ""), numbers=row.get("numbers", {}))
                found.setdefault(str(row["problem"]).strip(), record)
        for file in sorted(folder.glob(TABLE)):
            frame = pd.read_parquet(file, columns=["prompt", "reward_model"])
            for prompt, judged in zip(frame["prompt"], frame["reward_model"], strict=True):
                found.setdefault(prompt[0]["content"].strip(), Record(answer=str(judged["ground_truth"])))
    return found


def make_case(problem: str, record: Record) -> Case:
    """What can go wrong on one problem."""
    whole = re.fullmatch(r"-?\d+", record.answer) is not None
    values: tuple[ValueSlip, ...] = ()
    if whole:
        values = tuple(_OF_KIND.get(record.kind, _general)(problem, int(record.answer), record.numbers))
    unboxed = FormSlip(slug="boxed", kind="template", text="So {} comes out in the end, as far as I can see.")
    return Case(domain=MATH, items=(record.answer,), values=values, forms=(unboxed,))


def _slip(slug: str, kind: str, start: int, by: int) -> Iterator[ValueSlip]:
    if by not in (0, 1) or (kind in "+-" and by):
        yield ValueSlip(slug=slug, kind=kind, start=str(start), by=str(by))


def _general(problem: str, answer: int, numbers: Numbers) -> Iterator[ValueSlip]:
    """What the text alone suggests, for problems of which nothing but the answer is known."""
    modulus = _MODULUS.search(problem)
    if modulus and 0 <= answer < int(modulus[1]):
        yield from _slip("reduce_modulo", "%", answer + 7 * int(modulus[1]), int(modulus[1]))
    elif _LOWEST.search(problem) and _PARTS.search(problem):
        yield from _slip("lowest_terms", "/", 2 * answer, 2)
    elif _COUNTS.search(problem) and answer > 1:
        yield from _slip("boundary", "+", answer - 1, 1)
        yield from _slip("double_count", "-", answer + 2, 2)


def _ends(added: Callable[[Numbers], int]) -> Callable[[str, int, Numbers], Iterator[ValueSlip]]:
    def slips(problem: str, answer: int, numbers: Numbers) -> Iterator[ValueSlip]:
        return _slip("boundary", "+", answer - added(numbers), added(numbers))

    return slips


def _power(problem: str, answer: int, numbers: Numbers) -> Iterator[ValueSlip]:
    divisor = numbers["divisor"]
    last = numbers["base"] * pow(numbers["base"], numbers["exponent"] - 1, divisor)
    start = last if last != answer else answer + divisor
    return _slip("reduce_modulo", "%", start, divisor)


def _either(problem: str, answer: int, numbers: Numbers) -> Iterator[ValueSlip]:
    both = numbers["top"] // math.lcm(numbers["a"], numbers["b"])
    return _slip("double_count", "-", answer + both, both)


def _arrangements(problem: str, answer: int, numbers: Numbers) -> Iterator[ValueSlip]:
    alike = math.prod(math.factorial(count) for count in numbers.values())
    return _slip("double_count", "/", answer * alike, alike)


def _border(problem: str, answer: int, numbers: Numbers) -> Iterator[ValueSlip]:
    inner = numbers["length"] * numbers["width"]
    return _slip("asked_quantity", "-", answer + inner, inner)


def _rates(problem: str, answer: int, numbers: Numbers) -> Iterator[ValueSlip]:
    return _slip("asked_quantity", "+", answer - numbers["alone"], numbers["alone"])


def _remainders(problem: str, answer: int, numbers: Numbers) -> Iterator[ValueSlip]:
    smallest = answer % math.lcm(numbers["a"], numbers["b"])
    return _slip("asked_quantity", "+", smallest, answer - smallest)


def _lowest(problem: str, answer: int, numbers: Numbers) -> Iterator[ValueSlip]:
    good, every = numbers["good"], numbers["good"] + numbers["other"]
    parts = good * (good - 1), every * (every - 1)
    return _slip("lowest_terms", "/", sum(parts), math.gcd(*parts))


_OF_KIND: dict[str, Callable[[str, int, Numbers], Iterator[ValueSlip]]] = {
    "power-remainder": _power,
    "inclusive-count": _ends(lambda n: 1),
    "row-of-posts": _ends(lambda n: 2),
    "progression-sum": _ends(lambda n: (n["first"] + n["last"]) // 2),
    "either-count": _either,
    "arrangements": _arrangements,
    "border-area": _border,
    "two-rates": _rates,
    "two-remainders": _remainders,
    "lowest-terms": _lowest,
}
