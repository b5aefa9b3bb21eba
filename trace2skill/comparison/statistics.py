"""Paired tests on per-sample scores: difference, interval, p-value, and what the sample could have detected.

Pure functions of arrays and a seed. A quantity that the data do not define is NaN, never 0.

**Binary pairs** (`mcnemar.py`). The mid-p McNemar test; Tango's score interval, which keeps its coverage at small n and
with few or no discordant pairs, where bootstrap and Wald intervals collapse (Fagerland, Lydersen and Laake 2014, Stat
Med 33:2850).

**Other scores, and clusters** (`means.py`, `sign_flip.py`). A sign-flip test that keeps its level for skewed
differences; the means that it does not reject. Samples that share a source (questions on one table) are not
independent; they are flipped together, and standard errors are cluster-robust.

At zero every interval decides as the test does, so that no table shows a p-value that contradicts its interval. What
could have been detected is told by the exact power of the test that was used.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from trace2skill.comparison.mcnemar import check_confidence, mcnemar, mcnemar_effect, mcnemar_pairs, tango_interval
from trace2skill.comparison.means import Inference, agreeing, mean_inference
from trace2skill.comparison.units import (
    ROUNDING,
    Array,
    Clusters,
    finite,
    is_binary,
    is_bounded,
    standard_error,
    unit_sums,
)


class Interval(NamedTuple):
    """A mean with its confidence interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class PairedResult:
    """Outcome of a paired comparison. Differences are treatment minus control, in the scores' own unit."""

    n: int
    """Number of pairs."""

    units: int
    """Number of independent units: clusters if they were given, else pairs."""

    control_mean: float
    """Mean score of the control over the pairs."""

    treatment_mean: float
    """Mean score of the treatment over the pairs."""

    difference: float
    """Mean of treatment minus control."""

    low: float
    """Lower limit of the interval of the difference."""

    high: float
    """Upper limit of the interval of the difference."""

    confidence: float
    """Confidence level of the interval."""

    p_value: float
    """Two-sided p-value of no difference."""

    wins: int
    """Pairs in which the treatment scored higher."""

    losses: int
    """Pairs in which the treatment scored lower."""

    ties: int
    """Pairs with equal scores."""

    mde: float
    """Minimum detectable effect (two-sided 5% level, 80% power) of this test at this n; NaN if there is none."""

    n_needed: float
    """Samples at which this test finds the observed difference with 80% power; infinite for no difference."""

    test: str
    """How the p-value was computed."""

    interval: str
    """How the interval was computed."""


def paired_test(
    control: ArrayLike,
    treatment: ArrayLike,
    *,
    clusters: Clusters = None,
    confidence: float = 0.95,
    run_variance: ArrayLike | None = None,
    resamples: int = 10_000,
    seed: int = 0,
) -> PairedResult:
    """Compare two arms that were scored on the same samples.

    Args:
        control: Scores of the control, shape (n,), without NaN.
        treatment: Scores of the treatment on the same samples in the same order, shape (n,).
        clusters: Label of each sample's cluster, shape (n,); None if samples are independent.
        confidence: Level of the interval, between 0 and 1.
        run_variance: Variance of each difference if both arms were alike, from the spread of repeated runs, shape
            (n,); needed where the arms have unequal numbers of runs, None where they have equal ones.
        resamples: Random sign vectors used where the test is not exact, and for the interval.
        seed: Seed of those vectors.

    Returns:
        The comparison; the module's text names the methods.

    Raises:
        ValueError: The arrays are empty, differ in length, or hold NaN or infinite values; or the confidence is none.
    """
    check_confidence(confidence)
    a, b = finite(control), finite(treatment)
    if len(a) != len(b):
        raise ValueError(f"paired scores must have equal length, got {len(a)} and {len(b)}")
    difference = b - a
    difference[np.abs(difference) < ROUNDING] = 0.0
    sums, sizes = unit_sums(difference, clusters)
    alpha = round(1 - confidence, 12)
    wins, losses = int((difference > 0).sum()), int((difference < 0).sum())
    if is_binary(a) and is_binary(b) and len(sums) == len(a) and run_variance is None:
        found = _binary_inference(wins, losses, len(a), alpha)
    else:
        bounded, floor = is_bounded(a) and is_bounded(b), 0.0
        if run_variance is not None:
            floor = float(np.sqrt(finite(run_variance).sum()) / len(a))
        found = mean_inference(sums, sizes, bounded=bounded, alpha=alpha, resamples=resamples, seed=seed, floor=floor)
    return PairedResult(
        n=len(a),
        units=len(sums),
        control_mean=float(a.mean()),
        treatment_mean=float(b.mean()),
        difference=float(difference.mean()),
        low=found.low,
        high=found.high,
        confidence=confidence,
        p_value=found.p_value,
        wins=wins,
        losses=losses,
        ties=len(a) - wins - losses,
        mde=found.mde,
        n_needed=found.n_needed,
        test=found.test,
        interval=found.interval,
    )


def _binary_inference(wins: int, losses: int, n: int, alpha: float) -> Inference:
    p_value = float(mcnemar(wins, losses))
    low, high = agreeing(*tango_interval(wins, losses, n, 1 - alpha), p_value <= alpha, wins - losses)
    return Inference(
        p_value=p_value,
        low=low,
        high=high,
        mde=mcnemar_effect(n, min(wins, losses) / n),
        n_needed=mcnemar_pairs(wins / n, losses / n),
        test="mid-p McNemar",
        interval="Tango score",
    )


def mean_interval(scores: ArrayLike, *, clusters: Clusters = None, confidence: float = 0.95) -> Interval:
    """Mean of one arm with its confidence interval.

    Independent binary scores get Wilson's score interval (Brown, Cai and DasGupta 2001, Statist Sci
    16:101). Others get the t interval on the (cluster-robust) standard error, cut to 0..1 where all scores
    lie there. Without spread to estimate it from, scores within 0..1 get Wilson's interval too, since no
    such score has more variance than a binary one of the same mean; others have NaN limits.

    Args:
        scores: Scores per sample, shape (n,), without NaN.
        clusters: Label of each sample's cluster, shape (n,); None if samples are independent.
        confidence: Level of the interval.

    Returns:
        Mean, lower and upper limit.

    Raises:
        ValueError: The scores are empty or hold NaN or infinite values; or the confidence is none.
    """
    check_confidence(confidence)
    x = finite(scores)
    units = len(unit_sums(x, clusters)[0])
    mean, bounded = float(x.mean()), is_bounded(x)
    error = standard_error(x, clusters)
    if bounded and ((is_binary(x) and units == len(x)) or np.isnan(error)):
        return Interval(mean, *_wilson(mean, units, confidence))
    reach = float(stats.t.isf((1 - confidence) / 2, max(units - 1, 1)) * error)
    low, high = mean - reach, mean + reach
    return Interval(mean, max(low, 0.0), min(high, 1.0)) if bounded else Interval(mean, low, high)


def holm(p_values: ArrayLike) -> Array:
    """P-values adjusted for several comparisons by Holm's step-down rule (Holm 1979, Scand J Stat 6:65).

    Args:
        p_values: Shape (m,). NaN stays NaN and does not count as a comparison.

    Returns:
        Adjusted p-values in the same order, each at least the raw one and at most 1.
    """
    return _adjusted(p_values, lambda p: np.maximum.accumulate(p * np.arange(len(p), 0, -1)))


def benjamini_hochberg(p_values: ArrayLike) -> Array:
    """P-values adjusted so that the share of false discoveries is controlled.

    Benjamini and Hochberg 1995, J R Stat Soc B 57:289.

    Args:
        p_values: Shape (m,). NaN stays NaN and does not count as a comparison.

    Returns:
        Adjusted p-values in the same order, each at least the raw one and at most 1.
    """
    return _adjusted(p_values, lambda p: np.minimum.accumulate((p * len(p) / np.arange(1, len(p) + 1))[::-1])[::-1])


def _adjusted(p_values: ArrayLike, rule: Callable[[Array], Array]) -> Array:
    """P-values after a rule for ascending ones, each in its place; at most 1, and NaN where it was."""
    p = np.asarray(p_values, dtype=np.float64)
    adjusted = np.full(p.shape, np.nan)
    defined = np.flatnonzero(~np.isnan(p))
    order = defined[np.argsort(p[defined], kind="stable")]
    adjusted[order] = np.minimum(rule(p[order]), 1.0)
    return adjusted


def _wilson(mean: float, n: int, confidence: float) -> tuple[float, float]:
    z2 = float(stats.norm.isf((1 - confidence) / 2)) ** 2
    center = (mean + z2 / (2 * n)) / (1 + z2 / n)
    reach = float(np.sqrt(z2 * (mean * (1 - mean) / n + z2 / (4 * n**2)))) / (1 + z2 / n)
    return max(center - reach, 0.0), min(center + reach, 1.0)
