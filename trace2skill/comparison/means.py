"""A mean difference of scores that are not 0 and 1, or of clusters: test, interval, power.

Few differences say too little about their own spread. For scores within 0..1 the interval is then widened to Tango's
at the same total gain and loss, which supposes the largest variance that such scores can have.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import optimize, stats

from trace2skill.comparison.mcnemar import ALPHA, POWER, mcnemar_effect, mcnemar_pairs, tango_interval
from trace2skill.comparison.sign_flip import SignFlip
from trace2skill.comparison.units import ROUNDING, Array

SPARSE = 10
"""Below this many units that differ from the most common value, their own spread is not trusted."""

TINY = float(np.finfo(float).tiny)
"""A limit next to zero, of an interval that leaves zero out and says no more."""


@dataclass(frozen=True, kw_only=True)
class Inference:
    """What a test says of a difference."""

    p_value: float
    low: float
    high: float
    mde: float
    n_needed: float
    test: str
    interval: str


def mean_inference(
    sums: Array, sizes: Array, *, bounded: bool, alpha: float, resamples: int, seed: int, floor: float = 0.0
) -> Inference:
    """Test whether units have mean zero.

    Args:
        sums: Sum of the differences in each unit, shape (units,).
        sizes: Pairs in each unit, shape (units,).
        bounded: Whether the scores lie within 0..1.
        alpha: Two-sided level.
        resamples: Sign vectors that are drawn.
        seed: Seed of the draws.
        floor: Standard error of the mean difference that is known otherwise, from the spread of repeated runs; the
            larger of the two counts.
    """
    flip = SignFlip(sums, sizes, resamples=resamples, seed=seed)
    p_value, (low, high) = flip.p_value(), flip.interval(alpha)
    test = "exact sign-flip" if flip.exact_at_zero else f"sign-flip, {resamples} draws"
    interval = "inverted sign-flip"
    if floor > 0:
        reach = float(stats.t.isf(alpha / 2, max(len(sums) - 1, 1))) * floor
        p_value = max(p_value, float(2 * stats.t.sf(abs(flip.mean) / floor, max(len(sums) - 1, 1))))
        low, high = min(low, flip.mean - reach), max(high, flip.mean + reach)
        test, interval = f"{test}, at least the spread of runs", f"{interval}, at least the spread of runs"
    sparse = is_sparse(sums, sizes)
    if sparse and not bounded and np.ptp(sums / sizes) < ROUNDING:
        low, high, interval = np.nan, np.nan, "undefined: no spread, unbounded scores"
    elif sparse and bounded:
        wide = unit_tango(sums, sizes, alpha)
        low, high, interval = min(low, wide[0]), max(high, wide[1]), f"{interval}, widened to Tango score"
    if bounded:
        low, high = max(low, -1.0), min(high, 1.0)
    elif np.isinf(low) and np.isinf(high):
        low, high, interval = np.nan, np.nan, "undefined: too few units for this level"
    low, high = agreeing(low, high, p_value <= alpha, flip.mean)
    mde, needed = mean_power(sums, sizes, bounded, sparse, alpha=ALPHA, floor=floor)
    return Inference(p_value=p_value, low=low, high=high, mde=mde, n_needed=needed, test=test, interval=interval)


def is_sparse(sums: Array, sizes: Array) -> bool:
    """Whether too few units differ from the most common value to trust their spread."""
    _, counts = np.unique(np.round(sums / sizes, 9), return_counts=True)
    return bool(len(sums) - counts.max() < SPARSE)


def agreeing(low: float, high: float, rejected: bool, difference: float) -> tuple[float, float]:
    """An interval that holds zero if and only if the test does not reject it.

    Fay and Lumbard 2021 (Stat Med 40:1147) say why it should.
    """
    if np.isnan(low):
        return low, high
    if not rejected:
        return min(low, 0.0), max(high, 0.0)
    return (max(low, TINY), high) if difference > 0 else (low, min(high, -TINY))


def unit_tango(sums: Array, sizes: Array, alpha: float) -> tuple[float, float]:
    """Tango's interval at the total gain and loss, each independent unit counting as one pair."""
    gain, loss = _gain_and_loss(sums, sizes)
    return tango_interval(gain, loss, len(sums), 1 - alpha)


def mean_power(
    sums: Array, sizes: Array, bounded: bool, sparse: bool, *, alpha: float = ALPHA, floor: float = 0.0
) -> tuple[float, float]:
    """Detectable effect, and pairs that the observed difference needs, of a test of a mean.

    By the non-central t distribution at the observed spread; where that is not trusted, scores within 0..1 count as
    binary ones of the same gains and losses, which have the largest spread. No number of signs below six gives a
    p-value of 5%.

    Args:
        sums: Sum of the differences in each unit, shape (units,).
        sizes: Pairs in each unit, shape (units,).
        bounded: Whether the scores lie within 0..1.
        sparse: Whether too few units differ.
        alpha: Two-sided level.
        floor: Least standard error, as in `mean_inference`.

    Returns:
        The effect, NaN if no difference is found so often; and the number of pairs, infinite for no difference.
    """
    units, mean = len(sums), sums.sum() / sizes.sum()
    per_unit = float(sizes.sum()) / units
    residuals = sums - mean * sizes
    variance = float((residuals**2).sum()) * units / max(units - 1, 1)
    error = max(float(np.sqrt(variance) / sizes.sum()), floor)
    if sparse and bounded:
        gain, loss = (total / units for total in _gain_and_loss(sums, sizes))
        effect, needed = mcnemar_effect(units, min(gain, loss)), mcnemar_pairs(gain, loss)
        if floor > 0 and units > 1:
            effect = max(effect, noncentrality(units - 1) * floor)
            needed = max(needed, _units_needed(abs(float(mean)) / (floor * np.sqrt(units))))
    elif units < 2 or error < ROUNDING:
        return np.nan, np.nan
    else:
        effect = noncentrality(units - 1) * error
        needed = _units_needed(abs(float(mean)) / (error * np.sqrt(units)))
    least = int(np.ceil(1 - np.log2(alpha)))
    if units < least or (bounded and effect > 1):
        effect = np.nan
    return effect, float(np.ceil(max(needed, least) * per_unit - 1e-6)) if np.isfinite(needed) else needed


@lru_cache(maxsize=4096)
def noncentrality(freedom: float, alpha: float = ALPHA, power: float = POWER) -> float:
    """How many standard errors an effect must be away from zero for a t test to find it with a given power.

    By the non-central t distribution, in the direction of the effect; 2.8 with many degrees of freedom.
    """
    critical = float(stats.t.isf(alpha / 2, freedom))
    if freedom > 5_000:
        return float(stats.norm.isf(alpha / 2) + stats.norm.ppf(power))
    found = optimize.brentq(lambda shift: float(stats.nct.sf(critical, freedom, shift)) - power, 0.0, critical + 20.0)
    return float(found)


def _units_needed(size: float) -> float:
    """Units that a t test needs for a mean of `size` standard deviations."""
    if size < 1e-9:
        return float("inf")
    units = (noncentrality(10_000) / size) ** 2
    for _ in range(30):  # a small number of units lowers the degrees of freedom: settle both
        settled = max(noncentrality(max(units - 1, 1.0)) / size, np.sqrt(2.0)) ** 2
        if abs(settled - units) < 0.01:
            break
        units = settled
    return float(np.ceil(units - 1e-6))


def _gain_and_loss(sums: Array, sizes: Array) -> tuple[float, float]:
    per_unit = len(sums) / sizes.sum()
    return float(sums.clip(min=0).sum() * per_unit), float(-sums.clip(max=0).sum() * per_unit)
