"""Paired tests on per-sample scores: difference, interval, p-value, and what the sample could have detected.

Pure functions of arrays and a seed. A quantity that the data do not define is NaN, never 0.

**Test.** The sign-flip test of the mean difference; with binary scores it is the exact McNemar test.

**Interval.** Binary pairs: Tango's score interval, which keeps its coverage at small n and with few or no
discordant pairs, where bootstrap and Wald intervals collapse (Fagerland, Lydersen and Laake 2014, Stat Med
33:2850). Other scores, and clusters: the means that the sign-flip test does not reject. Fewer than `SPARSE`
non-zero differences say too little about their own spread; for scores within 0..1 that interval is then
widened to Tango's at the same total gain and loss, which assumes the largest variance that such scores can
have.

At zero every interval decides as the test does, so that no table shows a p-value that contradicts its
interval (Fay and Lumbard 2021, Stat Med 40:1147, on why it should). Tango's interval is the more powerful
of the two methods: it is widened to reach zero where the exact test does not reject.

**Clusters.** Samples that share a source (questions on one table) are not independent; they are flipped
together, and standard errors are cluster-robust.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, stats

from trace2skill.comparison.sign_flip import ROUNDING, Array, SignFlip, sign_flip

Clusters = Sequence[Any] | NDArray[Any] | None

SPARSE = 10
"""Below this many non-zero differences (or cluster sums) their own spread is not trusted."""


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
    """Minimum detectable effect (two-sided 5% level, 80% power) at this n and spread; NaN without spread."""

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
    resamples: int = 10_000,
    seed: int = 0,
) -> PairedResult:
    """Compare two arms that were scored on the same samples.

    Args:
        control: Scores of the control, shape (n,), without NaN.
        treatment: Scores of the treatment on the same samples in the same order, shape (n,).
        clusters: Label of each sample's cluster, shape (n,); None if samples are independent.
        confidence: Level of the interval.
        resamples: Random sign vectors used where the test is not exact, and for the interval.
        seed: Seed of those vectors.

    Returns:
        The comparison; the module's text names the methods.

    Raises:
        ValueError: The arrays are empty, differ in length, or hold NaN or infinite values.
    """
    a, b = _finite(control), _finite(treatment)
    if len(a) != len(b):
        raise ValueError(f"paired scores must have equal length, got {len(a)} and {len(b)}")
    difference = b - a
    difference[np.abs(difference) < ROUNDING] = 0.0
    sums, sizes = _units(difference, clusters)
    alpha = round(1 - confidence, 12)
    binary = _is_binary(a) and _is_binary(b) and len(sums) == len(a)
    # Binary pairs need no random signs: their test is exact and their interval has a formula.
    flip = sign_flip(sums, sizes, alpha=alpha, resamples=0 if binary else resamples, seed=seed)
    if binary:
        test, interval = "exact McNemar", "Tango score"
        low, high = _unit_tango(sums, sizes, alpha)
        if flip.p_value > alpha:
            low, high = min(low, 0.0), max(high, 0.0)
    else:
        test = "exact sign-flip" if flip.exact else f"sign-flip, {resamples} draws"
        bounded = _is_bounded(a) and _is_bounded(b)
        low, high, interval = _sign_flip_interval(flip, sums, sizes, bounded, alpha)
    return PairedResult(
        n=len(a),
        units=len(sums),
        control_mean=float(a.mean()),
        treatment_mean=float(b.mean()),
        difference=float(difference.mean()),
        low=low,
        high=high,
        confidence=confidence,
        p_value=flip.p_value,
        wins=int((difference > 0).sum()),
        losses=int((difference < 0).sum()),
        ties=int((difference == 0).sum()),
        mde=minimum_detectable_effect(difference, clusters=clusters),
        test=test,
        interval=interval,
    )


def minimum_detectable_effect(
    differences: ArrayLike, *, clusters: Clusters = None, alpha: float = 0.05, power: float = 0.8
) -> float:
    """Smallest true mean difference that a two-sided test at `alpha` finds with probability `power`.

    It is (z[1 - alpha/2] + z[power]) standard errors of the mean difference, about 2.8 of them, by the normal
    approximation (Bloom 1995, Evaluation Review 19:547; Miller 2024, arXiv 2411.00640). The spread is the
    observed one: a guide to planning, not a second test.

    Args:
        differences: Treatment minus control per sample, shape (n,).
        clusters: Label of each sample's cluster, shape (n,); None if samples are independent.
        alpha: Two-sided level of the test.
        power: Probability of a significant result.

    Returns:
        The effect in the scores' unit, or NaN if there are fewer than two units or all differences are equal.
    """
    error = _standard_error(_finite(differences), clusters)
    return float((stats.norm.isf(alpha / 2) + stats.norm.ppf(power)) * error)


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
        ValueError: The scores are empty or hold NaN or infinite values.
    """
    x = _finite(scores)
    units = len(_units(x, clusters)[0])
    mean, bounded = float(x.mean()), _is_bounded(x)
    error = _standard_error(x, clusters)
    if bounded and ((_is_binary(x) and units == len(x)) or np.isnan(error)):
        return Interval(mean, *_wilson(mean, units, confidence))
    reach = float(stats.t.isf((1 - confidence) / 2, max(units - 1, 1)) * error)
    low, high = mean - reach, mean + reach
    return Interval(mean, max(low, 0.0), min(high, 1.0)) if bounded else Interval(mean, low, high)


def tango_interval(wins: float, losses: float, n: float, confidence: float = 0.95) -> tuple[float, float]:
    """Score interval of the difference of two paired proportions (Tango 1998, Stat Med 17:891).

    Args:
        wins: Pairs that only the treatment solved; for scores between 0 and 1, the sum of all gains.
        losses: Pairs that only the control solved; likewise the sum of all losses.
        n: All pairs.
        confidence: Level of the interval.

    Returns:
        Lower and upper limit of (wins - losses) / n.
    """
    z2 = float(stats.norm.isf((1 - confidence) / 2)) ** 2
    estimate, step = (wins - losses) / n, 1e-9

    def excess(delta: float) -> float:
        # The score statistic squared minus its critical value, times the variance at delta, which may vanish.
        linear = (2 * n - wins + losses) * delta - wins - losses
        root = np.sqrt(max(linear**2 + 8 * n * losses * delta * (1 - delta), 0.0))
        losing = (root - linear) / (4 * n)
        return float((wins - losses - n * delta) ** 2 - z2 * n * (2 * losing + delta * (1 - delta)))

    # The brackets end next to the estimate, not on it: with no discordant pair the estimate is itself a root.
    low = -1.0 if estimate < 2 * step - 1 else float(optimize.brentq(excess, -1.0, estimate - step))
    high = 1.0 if estimate > 1 - 2 * step else float(optimize.brentq(excess, estimate + step, 1.0))
    return low, high


def holm(p_values: ArrayLike) -> Array:
    """P-values adjusted for several comparisons by Holm's step-down rule (Holm 1979, Scand J Stat 6:65).

    Args:
        p_values: Shape (m,). NaN stays NaN and does not count as a comparison.

    Returns:
        Adjusted p-values in the same order, each at least the raw one and at most 1.
    """
    p = np.asarray(p_values, dtype=np.float64)
    adjusted = np.full(p.shape, np.nan)
    defined = np.flatnonzero(~np.isnan(p))
    order = defined[np.argsort(p[defined], kind="stable")]
    steps = p[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


def _sign_flip_interval(
    flip: SignFlip, sums: Array, sizes: Array, bounded: bool, alpha: float
) -> tuple[float, float, str]:
    low, high, name = flip.low, flip.high, "inverted sign-flip"
    nonzero, total = np.count_nonzero(sums), sums.sum()
    if nonzero == 0 and not bounded:
        return np.nan, np.nan, "undefined: no difference, unbounded scores"
    if nonzero < SPARSE and bounded:
        wide_low, wide_high = _unit_tango(sums, sizes, alpha)
        rejected = flip.p_value <= alpha
        # The limit next to zero stays where the test put it, if the test rejects zero.
        low = low if rejected and total > 0 else min(low, wide_low)
        high = high if rejected and total < 0 else max(high, wide_high)
        name = "inverted sign-flip, widened to Tango score"
    return (max(low, -1.0), min(high, 1.0), name) if bounded else (low, high, name)


def _unit_tango(sums: Array, sizes: Array, alpha: float) -> tuple[float, float]:
    """Tango's interval at the total gain and loss, each independent unit counting as one pair."""
    per_unit = len(sums) / sizes.sum()
    gain, loss = sums.clip(min=0).sum() * per_unit, -sums.clip(max=0).sum() * per_unit
    return tango_interval(float(gain), float(loss), len(sums), 1 - alpha)


def _finite(values: ArrayLike) -> Array:
    x = np.array(values, dtype=np.float64)
    if x.ndim != 1 or len(x) == 0 or not np.isfinite(x).all():
        raise ValueError(f"a non-empty list of finite numbers is required, got an array of shape {x.shape}")
    return x


def _is_binary(x: Array) -> bool:
    return bool(np.isin(x, (0.0, 1.0)).all())


def _is_bounded(x: Array) -> bool:
    return bool((x >= 0).all() and (x <= 1).all())


def _units(x: Array, clusters: Clusters) -> tuple[Array, Array]:
    """Sum and size of each independent unit, both of shape (units,)."""
    if clusters is None:
        return x, np.ones_like(x)
    labels = [str(label) for label in clusters]
    if len(labels) != len(x):
        raise ValueError(f"one cluster label per sample is required, got {len(labels)} for {len(x)} samples")
    _, index = np.unique(labels, return_inverse=True)
    return np.bincount(index, weights=x).astype(np.float64), np.bincount(index).astype(np.float64)


def _standard_error(x: Array, clusters: Clusters) -> float:
    """Standard error of the mean, robust to clusters; NaN without spread or with a single unit."""
    residuals, _ = _units(x - x.mean(), clusters)
    units = len(residuals)
    variance = units / (units - 1) * (residuals**2).sum() if units > 1 else 0.0
    return float(np.sqrt(variance) / len(x)) if variance > ROUNDING**2 else float("nan")


def _wilson(mean: float, n: int, confidence: float) -> tuple[float, float]:
    z2 = float(stats.norm.isf((1 - confidence) / 2)) ** 2
    center = (mean + z2 / (2 * n)) / (1 + z2 / n)
    reach = float(np.sqrt(z2 * (mean * (1 - mean) / n + z2 / (4 * n**2)))) / (1 + z2 / n)
    return max(center - reach, 0.0), min(center + reach, 1.0)
