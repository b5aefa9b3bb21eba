"""A method that makes skills, judged by several of them: two levels, tasks and evolution seeds.

An evolved skill is one draw of the method that made it. Averaging the scores of several and testing over tasks alone
calls the luck of these skills an effect of the method; so both are taken as drawn. With d[i, s] the difference at task
i with skill s, the variance of the mean is that over tasks plus that over skills, less that of their interaction,
which both contain (Cameron, Gelbach and Miller 2011, J Bus Econ Stat 29:238; Owen 2007, Ann Appl Stat 1:386). Each
part has its own t quantile, that of few skills being large (Banerjee 1960, Sankhya 22:319): the level is kept whatever
their shares are, where Satterthwaite's degrees of freedom reject up to 8 of 100 true nulls.
"""

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from scipy import optimize, stats

from trace2skill.comparison.mcnemar import ALPHA, POWER
from trace2skill.comparison.units import ROUNDING, Array, Clusters, standard_error


@dataclass(frozen=True, kw_only=True)
class TwoLevel:
    """The mean difference with its error over tasks and skills."""

    difference: float
    skills: int
    """Skills in the arm that has the most."""

    parts: tuple[tuple[float, float], ...]
    """Squared error and degrees of freedom of each level: tasks first, if they have spread, then skills of each arm."""

    over_skills: float
    """The part of the squared error that more tasks would not lessen."""

    @property
    def error(self) -> float:
        """Standard error; NaN without spread."""
        variance = sum(part for part, _ in self.parts)
        return math.sqrt(variance) if variance > ROUNDING**2 else math.nan

    def reach(self, alpha: float) -> float:
        """How far the limits of the interval of a level lie from the difference."""
        return math.sqrt(sum(part * _quantile(alpha, free) ** 2 for part, free in self.parts))

    def p_value(self, mean: float = 0.0) -> float:
        """Two-sided p-value of the mean difference being `mean`: the level at which the interval ends there."""
        away = abs(self.difference - mean)
        least, most = 1e-15, 1 - 1e-12
        if away <= self.reach(most):
            return 1.0
        if away >= self.reach(least):
            return least
        return float(optimize.brentq(lambda alpha: self.reach(alpha) - away, least, most, xtol=1e-15))

    def interval(self, alpha: float) -> tuple[float, float]:
        """The interval of the mean difference."""
        return self.difference - self.reach(alpha), self.difference + self.reach(alpha)

    def detectable(self) -> float:
        """The difference that is found with about 80% power at this error."""
        return self.reach(ALPHA) + float(stats.norm.ppf(POWER)) * self.error

    def samples_needed(self, n: int) -> float:
        """Samples that would find this difference with 80% power and as many skills; infinite if no number would.

        Args:
            n: Samples of the comparison at hand.
        """
        wanted, tasks = abs(self.difference), self.error**2 - self.over_skills

        def lacking(samples: float) -> float:
            rest = self.parts[1:] if tasks > 0 else self.parts
            parts = ((tasks * n / samples, max(samples - 1, 1.0)), *rest)
            return replace(self, parts=parts).detectable() - wanted

        if tasks <= 0 or lacking(1e9) > 0:
            return math.inf
        return float(np.ceil(optimize.brentq(lacking, 1.0, 1e9, xtol=0.01))) if lacking(1.0) > 0 else 1.0


@lru_cache(maxsize=4096)
def _quantile(alpha: float, freedom: float) -> float:
    """Two-sided quantile of the t distribution."""
    return float(stats.t.isf(alpha / 2, freedom))


def two_level(control: Array, treatment: Array, *, clusters: Clusters = None) -> TwoLevel:
    """The mean difference of two arms of which one or both were run with several skills.

    Args:
        control: Scores by sample and skill, shape (n, skills); NaN where a run is missing, but none in a whole row.
        treatment: Likewise, with skills of its own.
        clusters: Label of each sample's cluster, shape (n,); None if samples are independent.
    """
    rows = np.nanmean(treatment, axis=1) - np.nanmean(control, axis=1)
    units = len(rows) if clusters is None else len({str(label) for label in clusters})
    over_tasks = standard_error(rows, clusters) ** 2
    parts = [(over_tasks, max(units - 1.0, 1.0))] if np.isfinite(over_tasks) else []
    between = 0.0
    for arm in (control, treatment):
        skills = arm.shape[1]
        if skills < 2:
            continue
        columns = _column_effects(arm)
        # What the spread of few skills falls short of their interaction with tasks is chance, not less variance.
        own = max(float(columns.var(ddof=1)) / skills - _interaction(arm, columns, clusters), 0.0)
        between += own
        parts.append((own, skills - 1.0))
    return TwoLevel(
        difference=float(rows.mean()),
        skills=max(control.shape[1], treatment.shape[1]),
        parts=tuple(parts),
        over_skills=between,
    )


def _column_effects(arm: Array) -> Array:
    """How far each skill's mean lies from that of all, over the tasks that have it."""
    return np.asarray(np.nanmean(arm - np.nanmean(arm, axis=1, keepdims=True), axis=0), dtype=np.float64)


def _interaction(arm: Array, columns: Array, clusters: Clusters) -> float:
    """Variance that the mean over tasks and skills owes to what is neither task nor skill alone."""
    n, skills = arm.shape
    residual = arm - np.nanmean(arm, axis=1, keepdims=True) - columns
    if n < 2:
        return 0.0
    each = [standard_error(np.nan_to_num(residual[:, skill]), clusters) ** 2 for skill in range(skills)]
    # A residual around the row's mean has (skills - 1) / skills of the variance.
    return float(np.nansum(each) / (skills * (skills - 1)))
