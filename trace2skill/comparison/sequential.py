"""A test for one who looks several times: valid at every look, however the looks are chosen, and when stopping on it.

Wealth is bet, sample after sample, against the mean difference being m; if it is m, the wealth is a martingale, and the
chance that it ever grows twentyfold is at most 5% (Ville). The bets are the hedged capital of Waudby-Smith and Ramdas
2024 (J R Stat Soc B 86:1). Samples must come in an order that does not depend on their outcomes, and none may
come to stand before one that was looked at: `compare` takes them in the order in which they were complete.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from trace2skill.comparison.units import Array, Clusters, finite, unit_sums

_GRID = 2_001  # means that the confidence sequence is looked up at: steps of .001
_TRUNCATION = 0.5


@dataclass(frozen=True, kw_only=True)
class Anytime:
    """A comparison that may be looked at after every sample."""

    n: int
    """Independent units seen."""

    e_value: float
    """The wealth at its largest, from 1, if the mean difference is supposed to be zero."""

    p_value: float
    """Anytime-valid p-value of no difference: the inverse of the largest wealth."""

    low: float
    """Lower limit of the confidence sequence of the mean difference; NaN for clusters."""

    high: float
    """Upper limit, likewise."""


def anytime(differences: ArrayLike, *, clusters: Clusters = None, alpha: float = 0.05) -> Anytime:
    """Test whether bounded differences have mean zero, at the last of any number of looks.

    Args:
        differences: Treatment minus control, within -1 and 1, in the order in which samples came; shape (n,).
        clusters: Label of each sample's cluster; None if samples are independent.
        alpha: Level that the bets aim at; also that of the confidence sequence.

    Raises:
        ValueError: A difference lies outside -1..1, or there is none.
    """
    d = finite(differences)
    if np.abs(d).max() > 1 + 1e-9:
        raise ValueError("differences of scores within 0..1 are required")
    sums, sizes = unit_sums(d, clusters)
    units = np.clip(sums / sizes.max(), -1.0, 1.0)
    wealth = hedged_wealth(units, np.zeros(1), alpha)[:, 0]
    most = max(float(np.exp(np.maximum.accumulate(wealth)[-1])), 1.0)
    low, high = np.nan, np.nan
    if clusters is None or len(sums) == len(d):
        means = np.linspace(-1, 1, _GRID)
        kept = means[hedged_wealth(units, means, alpha).max(axis=0) < np.log(1 / alpha)]
        step = float(means[1] - means[0])
        low, high = (max(kept[0] - step, -1.0), min(kept[-1] + step, 1.0)) if len(kept) else (np.nan, np.nan)
        if most >= 1 / alpha:
            low, high = (max(low, step / 2), high) if d.mean() > 0 else (low, min(high, -step / 2))
        else:
            low, high = min(low, 0.0), max(high, 0.0)
    return Anytime(n=len(units), e_value=most, p_value=1 / most, low=float(low), high=float(high))


def worst_look(one: Anytime, other: Anytime) -> Anytime:
    """What holds under both of two readings of the same comparison."""
    worse = max(one, other, key=lambda found: found.p_value)
    return replace(worse, low=min(one.low, other.low), high=max(one.high, other.high))


def hedged_wealth(differences: Array, means: Array, alpha: float) -> Array:
    """Logarithm of the wealth after each difference, for each mean that is bet against.

    Args:
        differences: Within -1 and 1, in their order; shape (n,).
        means: Supposed means; shape (m,).
        alpha: Level that the bets aim at.

    Returns:
        Shape (n, m).
    """
    x, m = (differences + 1) / 2, (means + 1) / 2
    count = np.arange(1, len(x) + 1)
    running = (0.5 + np.cumsum(x)) / (count + 1)
    spread = (0.25 + np.cumsum((x - running) ** 2)) / (count + 1)
    before = np.concatenate([[0.25], spread[:-1]])  # a bet knows only what came before it
    bets = np.sqrt(2 * np.log(2 / alpha) / (before * count * np.log(count + 1)))[:, None]
    with np.errstate(divide="ignore"):
        up = np.minimum(bets, _TRUNCATION / m)
        down = np.minimum(bets, _TRUNCATION / (1 - m))
    gap = x[:, None] - m
    above, below = np.cumsum(np.log1p(up * gap), axis=0), np.cumsum(np.log1p(-down * gap), axis=0)
    return np.asarray(np.logaddexp(above, below) - np.log(2), dtype=np.float64)
