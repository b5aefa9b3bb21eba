"""A method that makes skills, judged by several of them: two levels, tasks and evolution seeds.

An evolved skill is one draw of the method that made it. Averaging the scores of several and testing over tasks alone
calls the luck of these skills an effect of the method; so both are taken as drawn. With d[i, s] the difference at task
i with skill s, the variance of the mean is that over tasks plus that over skills, less that of their interaction,
which both contain (Cameron, Gelbach and Miller 2011, J Bus Econ Stat 29:238; Owen 2007, Ann Appl Stat 1:386). The
degrees of freedom are Satterthwaite's: three skills are few, and the test says so.
"""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from trace2skill.comparison.means import noncentrality
from trace2skill.comparison.units import ROUNDING, Array, Clusters, standard_error


@dataclass(frozen=True, kw_only=True)
class TwoLevel:
    """The mean difference with its error over tasks and skills."""

    difference: float
    error: float
    """Standard error; NaN without spread."""

    freedom: float
    """Degrees of freedom of its t distribution."""

    skills: int
    """Skills in the arm that has the most."""

    over_skills: float
    """The part of the squared error that more tasks would not lessen."""

    def p_value(self, mean: float = 0.0) -> float:
        """Two-sided p-value of the mean difference being `mean`."""
        return float(2 * stats.t.sf(abs(self.difference - mean) / self.error, self.freedom))

    def interval(self, alpha: float) -> tuple[float, float]:
        """The t interval of the mean difference."""
        reach = float(stats.t.isf(alpha / 2, self.freedom)) * self.error
        return self.difference - reach, self.difference + reach

    def detectable(self) -> float:
        """The difference that is found with 80% power at this error."""
        return noncentrality(self.freedom) * self.error

    def samples_needed(self, n: int) -> float:
        """Samples that would find this difference with 80% power and as many skills; infinite if no number would.

        Args:
            n: Samples of the comparison at hand.
        """
        allowed = (self.difference / noncentrality(self.freedom)) ** 2 - self.over_skills
        return float(np.ceil(n * (self.error**2 - self.over_skills) / allowed)) if allowed > 0 else float("inf")


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
    parts = [(over_tasks, units - 1.0)] if np.isfinite(over_tasks) else []
    variance = over_tasks if parts else 0.0
    between = 0.0
    for arm in (control, treatment):
        skills = arm.shape[1]
        if skills < 2:
            continue
        columns = _column_effects(arm)
        over_skills = float(columns.var(ddof=1)) / skills
        freedom = skills - 1.0
        shared = _interaction(arm, columns, clusters)
        # What the spread of few skills falls short of their interaction with tasks is chance, not less variance.
        between += max(over_skills - shared, 0.0)
        parts.append((over_skills, freedom))
    variance += between
    known = variance > ROUNDING**2
    freedom = variance**2 / sum(part**2 / free for part, free in parts) if known else np.nan
    return TwoLevel(
        difference=float(rows.mean()),
        error=float(np.sqrt(variance)) if known else float("nan"),
        freedom=float(np.maximum(freedom, 1.0)),
        skills=max(control.shape[1], treatment.shape[1]),
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
