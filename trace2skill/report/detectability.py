"""What the published numbers could tell from noise: detectability, from rates and sample sizes alone.

**Pairing.** Both conditions ran on the same tasks, but which tasks changed is not published. With rates p1 and p2 the
share of discordant tasks lies between |p1 - p2| (no task got worse) and min(p1 + p2, 2 - p1 - p2); on the way lies
p1(1 - p2) + p2(1 - p1), where outcomes have nothing to do with each other. The McNemar test (mid-p, as in
`trace2skill compare`) at both ends bounds its p-value. At the upper end the bound also holds for scores between 0 and 1
that are no verdicts: no such score has more spread than a verdict of the same mean.

**Seeds.** Each number is a mean over three seeds on the same tasks. If seeds agree on every task they tell no more than
one does: that is the worst case. If every gain falls on another task, each of them counts: that is the best case.
"""

import math
from collections.abc import Iterator
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict
from scipy import stats

from trace2skill.comparison.mcnemar import mcnemar
from trace2skill.comparison.statistics import holm
from trace2skill.report.published import SAMPLES, SEEDS, Published, absolute, baseline, published

ALPHA, POWER = 0.05, 0.8
_REACH = float(stats.norm.isf(ALPHA / 2) + stats.norm.ppf(POWER))

_STEPS = {"accuracy": SEEDS, "hard": SEEDS, "soft": 3 * SEEDS, "avg@8": 8 * SEEDS}
"""Verdicts behind the score of one task, over the seeds. ANLS has none: it moves in steps as small as you like."""

_AGAINST = {"parallel": ("sequential-1", "sequential-4"), "combined": ("reasoning-bank",), "error": ("error-llm",)}
"""Tables 4, 5 and 6 print scores; these are the differences that they are about."""

Told = Literal["at any pairing", "depends on the pairing", "at no pairing"]


class Audit(BaseModel):
    """What could be told from one published difference."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    table: str
    """Number of the paper's table."""
    author: str
    """Scale of the model that made the skill."""
    mode: str
    """Where the evolution started."""
    condition: str
    """The condition."""
    against: str
    """The condition that it is compared with."""
    user: str
    """Scale of the evaluated model."""
    benchmark: str
    """Benchmark."""
    metric: str
    """Metric."""
    n: int
    """Tasks."""
    rate_against: float
    """Score of the condition compared with, 0 to 1."""
    rate: float
    """Score of the condition."""
    delta: float
    """Difference."""
    discordance_low: float
    """Least share of tasks that changed."""
    discordance_high: float
    """Largest share of tasks that changed."""
    p_best: float
    """McNemar test (mid-p) of one run, no task having got worse."""
    p_best_seeds: float
    """Sign test (mid-p) where no task got worse and every gain of every seed fell on another task, as far as there are
    so many: no pairing of the seeds' runs has a smaller p-value."""
    p_independent: float
    """McNemar test (mid-p) of one run, outcomes having nothing to do with each other."""
    p_worst: float
    """McNemar test (mid-p) of one run, as many tasks having changed as can."""
    p_worst_holm: float
    """The same, corrected for all differences of this table."""
    mde_best: float
    """Smallest difference found with 80% power at the 5% level, no task getting worse."""
    mde_independent: float
    """Likewise, with the discordance of unrelated outcomes at these rates."""
    mde_worst: float
    """Likewise, with the largest discordance at these rates."""
    n_needed_worst: int | None
    """Tasks that this difference needs at the largest discordance; none where it is zero."""
    told: Told
    """Whether this difference, at these sample sizes, could be told from noise."""


def audit() -> tuple[Audit, ...]:
    """Every published difference with what could be told from it, in the order of the paper.

    Averages over benchmarks are left out: they have no sample of their own.
    """
    rows = [_audited(cell, against) for cell, against in _differences()]
    corrected = holm([row.p_worst for row in rows]).tolist()
    return tuple(row.model_copy(update={"p_worst_holm": _short(p)}) for row, p in zip(rows, corrected, strict=True))


def discordance(p1: float, p2: float) -> tuple[float, float, float]:
    """Least, unrelated and largest share of discordant pairs that two rates allow."""
    return abs(p1 - p2), p1 * (1 - p2) + p2 * (1 - p1), min(p1 + p2, 2 - p1 - p2)


def _differences() -> Iterator[tuple[Published, Published]]:
    cells = published()
    for key, cell in cells.items():
        if cell.benchmark not in SAMPLES:
            continue
        if cell.kind == "delta":
            yield cell, baseline(cell)
        elif cell.table in ("4", "5", "6"):
            for other in _AGAINST.get(cell.condition, ()):
                yield cell, cells[key._replace(condition=other)]


def _audited(cell: Published, against: Published) -> Audit:
    n, p1, p2 = SAMPLES[cell.benchmark], against.share, min(absolute(cell), 1.0)
    delta = p2 - p1
    low, unrelated, high = discordance(p1, p2)
    needed = None if round(delta, 9) == 0 else math.ceil(_REACH**2 * (high - delta**2) / delta**2)
    seeds = min(n, round(_STEPS.get(cell.metric, n) * n * abs(delta)))
    worst, best_seeds = _p(n, delta, high), float(mcnemar(seeds, 0))
    return Audit(
        table=cell.table,
        author=cell.skill_author,
        mode=cell.mode,
        condition=cell.condition,
        against=against.condition,
        user=cell.skill_user,
        benchmark=cell.benchmark,
        metric=cell.metric,
        n=n,
        rate_against=round(p1, 4),
        rate=round(p2, 4),
        delta=round(delta, 4),
        discordance_low=round(low, 4),
        discordance_high=round(high, 4),
        p_best=_short(_p(n, delta, low)),
        p_best_seeds=_short(best_seeds),
        p_independent=_short(_p(n, delta, unrelated)),
        p_worst=_short(worst),
        p_worst_holm=math.nan,
        mde_best=round(_REACH**2 / (n + _REACH**2), 4),
        mde_independent=round(_mde(n, delta, unrelated), 4),
        mde_worst=round(_mde(n, delta, high), 4),
        n_needed_worst=needed,
        told=_told(best_seeds, worst),
    )


def _told(best: float, worst: float) -> Told:
    if worst < ALPHA:
        return "at any pairing"
    return "depends on the pairing" if best < ALPHA else "at no pairing"


def _p(n: int, delta: float, share: float) -> float:
    """P-value of one run with this difference and this share of discordant tasks, in whole tasks."""
    difference, discordant = round(n * abs(delta)), round(n * share)
    losses = max(discordant - difference, 0) // 2
    return float(mcnemar(losses + difference, losses))


def _mde(n: int, delta: float, share: float) -> float:
    return _REACH * float(np.sqrt(max(share - delta**2, 0.0) / n))


def _short(p: float) -> float:
    """A p-value in two digits: more would differ between machines, and none below 1e-9 matters."""
    return 0.0 if p < 1e-9 else float(f"{p:.2g}")
