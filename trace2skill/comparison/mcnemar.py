"""Paired binary outcomes: the mid-p McNemar test, its exact power, and Tango's interval.

The test looks at the discordant pairs alone: without an effect each is a win or a loss by the toss of a coin. The
exact test counts the observed split wholly among those at least as extreme; mid-p counts half of it, which brings the
size near its level where the exact test stays far below (Fagerland, Lydersen and Laake 2013, BMC Med Res Methodol
13:91, who recommend it). `docs/decisions/0018-tests-that-keep-their-level.md` has the figures.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special, stats

Array = NDArray[np.float64]

ALPHA, POWER = 0.05, 0.8
"""Two-sided level and power that a detectable effect is told for."""

MOST_PAIRS = 20_000
"""Above this many pairs the power is that of the normal approximation."""


def mcnemar(wins: ArrayLike, losses: ArrayLike, *, mid_p: bool = True) -> Array:
    """Two-sided p-values of the McNemar test, conditional on the discordant pairs.

    Args:
        wins: Pairs that only the treatment solved; any shape.
        losses: Pairs that only the control solved, likewise.
        mid_p: Whether the observed split counts half; else the exact test.

    Returns:
        P-values in the shape of the input; 1 without discordant pairs.
    """
    least, pairs = np.minimum(wins, losses), np.add(wins, losses)
    tail = special.bdtr(least, pairs, 0.5)
    if mid_p:
        tail = (tail + np.where(least > 0, special.bdtr(np.maximum(least - 1, 0), pairs, 0.5), 0.0)) / 2
    return np.asarray(np.minimum(2 * tail, 1.0), dtype=np.float64)


def mcnemar_power(n: int, winning: float, losing: float, *, alpha: float = ALPHA, mid_p: bool = True) -> float:
    """Chance that the test rejects in the direction of the effect, over the discordant pairs that may turn up.

    Args:
        n: Pairs.
        winning: Chance that a pair is won.
        losing: Chance that it is lost.
        alpha: Two-sided level.
        mid_p: As in `mcnemar`.

    Returns:
        The exact power; that of the normal approximation (Connor 1987, Biometrics 43:207) above `MOST_PAIRS` pairs.
    """
    discordant, effect = winning + losing, abs(winning - losing)
    if n < 1 or not 0 < discordant <= 1 + 1e-12:
        return 0.0
    discordant = min(discordant, 1.0)
    if n > MOST_PAIRS:
        spread = max(discordant - effect**2, 1e-300)
        reach = stats.norm.isf(alpha / 2) * np.sqrt(discordant)
        return float(stats.norm.sf((reach - effect * np.sqrt(n)) / np.sqrt(spread)))
    reach = 7 * np.sqrt(n * discordant * (1 - discordant)) + 10
    pairs = np.arange(max(int(n * discordant - reach), 0), min(int(n * discordant + reach), n) + 1)
    fewest = _critical(alpha, mid_p, _most(n))[pairs]
    rare = min(winning, losing) / discordant
    rejected = np.where(fewest >= 0, special.bdtr(np.maximum(fewest, 0), pairs, rare), 0.0)
    likely = special.gammaln(n + 1) - special.gammaln(pairs + 1) - special.gammaln(n - pairs + 1)
    likely += special.xlogy(pairs, discordant) + special.xlogy(n - pairs, 1 - discordant)
    return float((np.exp(likely) * rejected).sum())


def mcnemar_effect(n: int, losing: float, *, alpha: float = ALPHA, power: float = POWER, mid_p: bool = True) -> float:
    """Smallest difference of two paired proportions that the test finds with a given power.

    Args:
        n: Pairs.
        losing: Chance that a pair goes against the effect; 0 asks for the least that can be found at all.
        alpha: Two-sided level.
        power: Chance of a rejection.
        mid_p: As in `mcnemar`.

    Returns:
        The difference, or NaN where none is found so often. Where winning and losing would come to more than all pairs,
        fewer are lost.
    """

    def lacking(effect: float) -> float:
        against = min(losing, (1 - effect) / 2)
        return mcnemar_power(n, against + effect, against, alpha=alpha, mid_p=mid_p) - power

    if lacking(1.0) < 0:
        return float("nan")
    return float(optimize.brentq(lacking, 1e-9, 1.0, xtol=1e-5))


def mcnemar_pairs(winning: float, losing: float, *, alpha: float = ALPHA, power: float = POWER) -> float:
    """Pairs that the mid-p test needs to find a difference with a given power.

    Args:
        winning: Chance that a pair is won.
        losing: Chance that it is lost.
        alpha: Two-sided level.
        power: Chance of a rejection.

    Returns:
        The number of pairs; infinite where there is no difference. The power goes up and down a little from one number
        to the next: it may be reached with somewhat fewer pairs as well.
    """
    discordant, effect = winning + losing, abs(winning - losing)
    if effect < 1e-12:
        return float("inf")
    z, y = stats.norm.isf(alpha / 2), stats.norm.ppf(power)
    rough = float(((z * np.sqrt(discordant) + y * np.sqrt(max(discordant - effect**2, 0.0))) / effect) ** 2)
    if rough > MOST_PAIRS / 2:
        return float(np.ceil(rough))
    low, high = 1, max(int(2 * rough) + 8, 16)
    while high - low > 1:
        middle = (low + high) // 2
        found = mcnemar_power(middle, winning, losing, alpha=alpha) >= power
        low, high = (low, middle) if found else (middle, high)
    return float(high)


def check_confidence(confidence: float) -> None:
    """Check that a level is one.

    Raises:
        ValueError: It does not lie between 0 and 1.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"a confidence level lies between 0 and 1, such as 0.95; got {confidence}")


def tango_statistic(wins: float, losses: float, n: float, delta: float) -> float:
    """Score statistic of the difference of two paired proportions being delta (Tango 1998, Stat Med 17:891).

    Args:
        wins: Pairs that only the treatment solved.
        losses: Pairs that only the control solved.
        n: All pairs.
        delta: The difference supposed, within -1 and 1.

    Returns:
        About standard normal if delta is right; positive if the data lie above it, NaN where nothing varies there.
    """
    linear = (2 * n - wins + losses) * delta - wins - losses
    root = np.sqrt(max(linear**2 + 8 * n * losses * delta * (1 - delta), 0.0))
    variance = n * (2 * (root - linear) / (4 * n) + delta * (1 - delta))
    return float((wins - losses - n * delta) / np.sqrt(variance)) if variance > 1e-12 else float("nan")


def tango_interval(wins: float, losses: float, n: float, confidence: float = 0.95) -> tuple[float, float]:
    """Score interval of the difference of two paired proportions (Tango 1998, Stat Med 17:891).

    Args:
        wins: Pairs that only the treatment solved; for scores between 0 and 1, the sum of all gains.
        losses: Pairs that only the control solved; likewise the sum of all losses.
        n: All pairs.
        confidence: Level of the interval.

    Returns:
        Lower and upper limit of (wins - losses) / n.

    Raises:
        ValueError: The confidence is none.
    """
    check_confidence(confidence)
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


@lru_cache(maxsize=16)
def _critical(alpha: float, mid_p: bool, most: int) -> NDArray[np.int64]:
    """For 0 to `most` discordant pairs, the largest number of the rarer kind at which the test rejects; -1 for none."""
    pairs = np.arange(most + 1)
    fewest = np.minimum(np.asarray(stats.binom.ppf(alpha / 2, pairs, 0.5), dtype=np.int64) + 1, pairs // 2)
    for _ in range(4):
        some = np.maximum(fewest, 0)
        kept = (fewest < 0) | (mcnemar(some, pairs - some, mid_p=mid_p) <= alpha)
        fewest = np.where(kept, fewest, fewest - 1)
    return np.maximum(fewest, -1)


def _most(n: int) -> int:
    """A round number of pairs, so that few tables of critical values are made."""
    return int(2 ** np.ceil(np.log2(max(n, 256))))
