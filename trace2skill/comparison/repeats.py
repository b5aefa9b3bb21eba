"""Runs repeated on the same samples: avg@k, pass@k and pass^k, and how much two arms differ that are the same."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special, stats

from trace2skill.comparison.units import Array, Clusters, is_binary, standard_error


@dataclass(frozen=True, kw_only=True)
class Repeats:
    """How an arm did over k runs of each sample; errors are standard errors over samples, or their clusters."""

    k: int
    """Runs that most samples have."""

    samples: int
    """Samples with at least k scored runs; others are left out."""

    of: int = 0
    """Samples that there are, those left out included; 0 in older records, which do not say."""

    average: float
    """avg@k: mean share of a sample's runs that are right."""

    average_error: float
    """Its standard error; NaN without spread."""

    any_of_k: float
    """pass@k: share of samples of which at least one of k runs is right."""

    any_error: float
    """Its standard error; NaN without spread."""

    all_of_k: float
    """pass^k: share of samples of which all k runs are right."""

    all_error: float
    """Its standard error; NaN without spread."""


@dataclass(frozen=True, kw_only=True)
class Noise:
    """What repeated runs of the control differ by among themselves: A/A."""

    runs: int
    """Runs of a sample, on average."""

    samples: int
    """Samples with at least two scored runs."""

    flipped: float
    """Chance that two runs of one sample do not score the same, averaged over the samples."""

    sd: float
    """Standard deviation of the difference of two arms that are both the control, each of one run per sample."""

    reach: float
    """Differences of the two arms at hand, with their numbers of runs, lie within plus and minus this in 95 of 100
    cases if both are the control."""


def pass_at(right: ArrayLike, runs: ArrayLike, k: int) -> Array:
    """Chance that at least one of k runs drawn from a sample's runs is right (Chen et al. 2021, arXiv 2107.03374).

    Args:
        right: Runs that are right, of each sample; shape (n,).
        runs: Runs of each sample, at least k; one number, or shape (n,).
        k: Runs that are drawn.

    Returns:
        Shape (n,): 1 - C(runs - right, k) / C(runs, k), unbiased for the chance with k fresh runs.
    """
    count = np.asarray(runs, dtype=np.float64)
    wrong = count - np.asarray(right, dtype=np.float64)
    return np.asarray(1 - special.binom(wrong, k) * (wrong >= k) / special.binom(count, k), dtype=np.float64)


def pass_all(right: ArrayLike, runs: ArrayLike, k: int) -> Array:
    """Chance that all of k runs drawn from a sample's runs are right (Yao et al. 2024, arXiv 2406.12045).

    Args:
        right: Runs that are right, of each sample; shape (n,).
        runs: Runs of each sample, at least k; one number, or shape (n,).
        k: Runs that are drawn.

    Returns:
        Shape (n,): C(right, k) / C(runs, k), unbiased for the chance with k fresh runs.
    """
    count, found = np.asarray(runs, dtype=np.float64), np.asarray(right, dtype=np.float64)
    return np.asarray(special.binom(found, k) * (found >= k) / special.binom(count, k), dtype=np.float64)


def repeats(runs: Sequence[Sequence[float]], *, clusters: Clusters = None) -> Repeats | None:
    """avg@k, pass@k and pass^k, k being the largest number of runs that more than half of the samples have.

    The largest number that any has would speak of the few samples whose runs all ended well; the smallest would give up
    the repetitions of all for one run that failed. Samples with more than k runs count with all of them.

    Args:
        runs: Scores of each sample's scored runs.
        clusters: Label of each sample's cluster; None if samples are independent.

    Returns:
        None if no more than half of the samples were run twice, or a score is neither 0 nor 1.
    """
    k = sorted(map(len, runs), reverse=True)[len(runs) // 2] if runs else 0
    whole = [number for number, scores in enumerate(runs) if len(scores) >= k]
    if k < 2 or not is_binary(np.array([score for scores in runs for score in scores])):
        return None
    right, count = (np.array([of(runs[number]) for number in whole], dtype=np.float64) for of in (sum, len))
    labels = None if clusters is None else [clusters[number] for number in whole]
    found = [right / count, pass_at(right, count, k), pass_all(right, count, k)]
    means, errors = [float(x.mean()) for x in found], [standard_error(x, labels) for x in found]
    return Repeats(
        k=k,
        samples=len(whole),
        of=len(runs),
        average=means[0],
        average_error=errors[0],
        any_of_k=means[1],
        any_error=errors[1],
        all_of_k=means[2],
        all_error=errors[2],
    )


def noise(runs: Sequence[Sequence[float]], *, samples: int, arms: tuple[float, float]) -> Noise | None:
    """What two arms would differ by if both were the control.

    Args:
        runs: Scores of the control's runs of each sample, all repetitions together.
        samples: Samples that the comparison at hand is about.
        arms: Runs per sample of its control and its treatment.

    Returns:
        None if no sample was run twice.
    """
    repeated = [np.array(scores) for scores in runs if len(scores) > 1]
    if not repeated:
        return None
    variance = float(np.mean([scores.var(ddof=1) for scores in repeated]))
    unequal = [float(np.mean(scores[:, None] != scores)) * len(scores) / (len(scores) - 1) for scores in repeated]
    return Noise(
        runs=round(float(np.mean([len(scores) for scores in repeated]))),
        samples=len(repeated),
        flipped=float(np.mean(unequal)),
        sd=float(np.sqrt(2 * variance / samples)),
        reach=float(stats.norm.isf(0.025) * np.sqrt(variance * (1 / arms[0] + 1 / arms[1]) / samples)),
    )
