"""Does it hurt, and is it as good? Non-inferiority and equivalence, by a margin that was declared beforehand.

Non-inferior: the difference is above minus the margin, by a one-sided test at 5%, which is the lower limit of the 90%
interval. Equivalent: also below the margin (two one-sided tests, Schuirmann 1987, J Pharmacokinet Biopharm 15:657).
Binary pairs are tested by Tango's score statistic at the margin, other scores by the sign-flip test there.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from trace2skill.comparison.levels import TwoLevel
from trace2skill.comparison.mcnemar import tango_interval, tango_statistic
from trace2skill.comparison.means import is_sparse, unit_tango
from trace2skill.comparison.sign_flip import SignFlip
from trace2skill.comparison.units import Array, Clusters, finite, is_binary, is_bounded, unit_sums

_LEVEL = 0.05


@dataclass(frozen=True, kw_only=True)
class Margins:
    """Whether a treatment is no worse than its control, and whether both are as good, by a margin."""

    margin: float
    """The margin, positive, in the scores' unit."""

    p_noninferior: float
    """One-sided p-value of the treatment being worse by the margin or more."""

    p_equivalent: float
    """The larger p-value of it being worse, or better, by the margin or more."""

    low: float
    """Lower limit of the 90% interval of the difference."""

    high: float
    """Upper limit of the 90% interval of the difference."""

    noninferior: bool
    """Whether the treatment is shown, at 5%, to be no worse by the margin."""

    equivalent: bool
    """Whether it is shown to be neither worse nor better by the margin."""


def margins(
    control: ArrayLike,
    treatment: ArrayLike,
    margin: float,
    *,
    clusters: Clusters = None,
    levels: TwoLevel | None = None,
    resamples: int = 10_000,
    seed: int = 0,
) -> Margins:
    """Test non-inferiority and equivalence of two arms that were scored on the same samples.

    Args:
        control: Scores of the control, shape (n,), without NaN.
        treatment: Scores of the treatment on the same samples, shape (n,).
        margin: What counts as a relevant difference; positive.
        clusters: Label of each sample's cluster, shape (n,); None if samples are independent.
        levels: The difference with its error over tasks and skills, where several skills were tried.
        resamples: Sign vectors that are drawn.
        seed: Seed of the draws.

    Raises:
        ValueError: The margin is not a positive number, or the scores cannot be used.
    """
    if not 0 < margin < float("inf"):
        raise ValueError(f"a margin is a positive number, not {margin}")
    a, b = finite(control), finite(treatment)
    sums, sizes = unit_sums(b - a, clusters)
    binary = is_binary(a) and is_binary(b) and len(sums) == len(a)
    bounded = is_bounded(a) and is_bounded(b)
    if binary:
        wins, losses, n = float((b > a).sum()), float((b < a).sum()), float(len(a))
        low, high = tango_interval(wins, losses, n, 1 - 2 * _LEVEL)
        p = _tango_p(wins, losses, n, margin)
    else:
        flip = SignFlip(sums, sizes, resamples=resamples, seed=seed)
        low, high = flip.interval(2 * _LEVEL)
        p = flip.p_value(-margin, "greater"), flip.p_value(margin, "less")
        if bounded and is_sparse(sums, sizes):
            wide, p = unit_tango(sums, sizes, 2 * _LEVEL), _wider(p, sums, sizes, margin)
            low, high = min(low, wide[0]), max(high, wide[1])
    if levels is not None and np.isfinite(levels.error):
        # Few tasks say too little about their own part of the error: no more is claimed than over tasks alone.
        ends, both = levels.interval(2 * _LEVEL), _levels_p(levels, margin)
        low, high = min(low, ends[0]), max(high, ends[1])
        p = max(p[0], both[0]), max(p[1], both[1])
    if bounded:
        low, high = max(low, -1.0), min(high, 1.0)
    elif np.isinf(low) and np.isinf(high):
        low, high = np.nan, np.nan
    return Margins(
        margin=margin,
        p_noninferior=p[0],
        p_equivalent=max(p),
        low=low,
        high=high,
        noninferior=p[0] <= _LEVEL,
        equivalent=max(p) <= _LEVEL,
    )


def _levels_p(levels: TwoLevel, margin: float) -> tuple[float, float]:
    above, below = levels.p_value(-margin) / 2, levels.p_value(margin) / 2
    return above if levels.difference > -margin else 1 - above, below if levels.difference < margin else 1 - below


def less_favourable(one: Margins, other: Margins) -> Margins:
    """What holds under both of two readings of the same comparison: the larger p-values, the wider reach."""
    worse = max(one, other, key=lambda found: found.p_noninferior)
    return replace(
        worse,
        p_equivalent=max(one.p_equivalent, other.p_equivalent),
        low=min(one.low, other.low),
        high=max(one.high, other.high),
        equivalent=one.equivalent and other.equivalent,
    )


def _tango_p(wins: float, losses: float, n: float, margin: float) -> tuple[float, float]:
    """One-sided p-values of a difference of minus the margin or less, and of the margin or more."""
    if margin >= 1:
        return 0.0, 0.0
    above, below = tango_statistic(wins, losses, n, -margin), -tango_statistic(wins, losses, n, margin)
    return float(stats.norm.sf(above)), float(stats.norm.sf(below))


def _wider(p: tuple[float, float], sums: Array, sizes: Array, margin: float) -> tuple[float, float]:
    per_unit = len(sums) / sizes.sum()
    gain, loss = float(sums.clip(min=0).sum() * per_unit), float(-sums.clip(max=0).sum() * per_unit)
    other = _tango_p(gain, loss, len(sums), margin)
    return max(p[0], other[0]), max(p[1], other[1])
