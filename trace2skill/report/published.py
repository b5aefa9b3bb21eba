"""The numbers that the paper reports (arXiv 2603.25158, version 3, Tables 1 to 6), as data.

`results/published/README.md` says where they come from and how they are checked.
"""

import csv
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

from trace2skill.data.places import bundled

SOURCE = "arXiv 2603.25158 v3"
PLACE = "results/published/trace2skill_v3.csv"

BASELINES = MappingProxyType({"deepening": "human-written", "creation": "parametric"})
"""What a delta of Table 1 is a difference from. Those of Tables 2 and 3 are from no-skill."""

SAMPLES = MappingProxyType(
    {
        "spreadsheetbench-verified": 200,
        "spreadsheetbench-full": 912,
        "wikitq": 4344,
        "dapo-math-test-100": 100,
        "aime-2026": 30,
        "docvqa": 2649,
    }
)
"""Tasks that each published number is a mean over."""

SEEDS = 3
"""Seeds that each published number is a mean over: 41, 42 and 43."""

IN_DISTRIBUTION = (
    ("spreadsheetbench-verified", "accuracy"),
    ("spreadsheetbench-full", "soft"),
    ("spreadsheetbench-full", "hard"),
)
"""What of Table 1 is in distribution; WikiTableQuestions is not."""


class Key(NamedTuple):
    """What a number is of; empty where that does not apply."""

    table: str
    author: str
    mode: str
    condition: str
    user: str
    benchmark: str
    metric: str


class Published(BaseModel):
    """One published number."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    table: str
    """Number of the paper's table."""
    skill_author: str
    """Scale of the model that made the skill; empty where none did, or the paper does not say."""
    mode: Literal["", "deepening", "creation"]
    """Where the evolution started."""
    condition: str
    """What the agent was given."""
    skill_user: str
    """Scale of the evaluated model; empty for an average over both."""
    benchmark: str
    """Benchmark; `all` for an average, `evolution` for the time that making the skill took."""
    metric: str
    """Metric."""
    kind: Literal["absolute", "delta"]
    """Whether it is a score, or a difference from the baseline of its table."""
    value: float
    """The number as it is printed."""
    unit: Literal["percent", "score", "minutes"]
    """Percent (or points of percent), a score between 0 and 1, or minutes."""

    @property
    def key(self) -> Key:
        """What it is of."""
        return Key(
            self.table, self.skill_author, self.mode, self.condition, self.skill_user, self.benchmark, self.metric
        )

    @property
    def share(self) -> float:
        """The number between 0 and 1, or -1 and 1; minutes as they are."""
        return self.value / 100 if self.unit == "percent" else self.value


@cache
def published() -> Mapping[Key, Published]:
    """Every published number by what it is of, in the order of the paper.

    Raises:
        DataError: This installation lacks the file.
    """
    with bundled(PLACE).open(encoding="utf-8", newline="") as file:
        rows = [Published.model_validate(row) for row in csv.DictReader(file)]
    return MappingProxyType({row.key: row for row in rows})


def baseline(cell: Published) -> Published:
    """The number that a published delta is a difference from."""
    condition = BASELINES[cell.mode] if cell.table == "1" else "no-skill"
    return published()[Key(cell.table, "", "", condition, cell.skill_user, cell.benchmark, cell.metric)]


def absolute(cell: Published) -> float:
    """The score behind a number, as a share: of a delta, the baseline and the delta together."""
    return cell.share if cell.kind == "absolute" else baseline(cell).share + cell.share
