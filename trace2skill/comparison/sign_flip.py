"""Sign-flip test of a mean difference, and the interval of shifts that it does not reject.

Under the null hypothesis the two arms of a pair are exchangeable: each difference keeps its size and has a
random sign (Fisher). Applied to differences shifted by delta, the same test gives a confidence interval.
The shifts at which one sign vector is as extreme as the data lie between the means of the units that it
flips and of those that it keeps, so the limits are order statistics of means over random halves of the
sample (Hartigan 1969, JASA 64:1303).

The test is computed exactly where the differences are multiples of a common fraction (one or several binary
runs per sample: a convolution) or the units are few (all sign vectors). Otherwise signs are drawn, and the
observed vector counts as one of the draws, so that p is never 0 (Phipson and Smyth 2010, Stat Appl Genet
Mol Biol 9:39).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

ROUNDING = 1e-12
"""Differences of averaged runs that are smaller than this are rounding errors."""

_MAX_DENOMINATOR = 1_000  # largest common fraction looked for
_MAX_EXACT_WORK = 10**8  # additions spent on a convolution
_BLOCK = 4_000_000  # signs held in memory at once


@dataclass(frozen=True, kw_only=True)
class SignFlip:
    """Result of a sign-flip test on independent units."""

    p_value: float
    """Two-sided p-value of a mean of zero."""

    exact: bool
    """Whether the p-value is exact rather than estimated from random signs."""

    low: float
    """Smallest mean that the test does not reject; minus infinity where it cannot reject."""

    high: float
    """Largest mean that the test does not reject; infinity where it cannot reject."""


def sign_flip(sums: Array, sizes: Array, *, alpha: float, resamples: int, seed: int) -> SignFlip:
    """Test whether units have mean zero, and find the means that the test accepts.

    Args:
        sums: Sum of the differences in each independent unit (a pair, or a cluster of pairs), shape (units,).
        sizes: Number of pairs in each unit, shape (units,).
        alpha: Level of the test for the interval; a mean is rejected if its p-value is at most alpha.
        resamples: Sign vectors drawn where not all of them are used.
        seed: Seed of the draws.

    Returns:
        P-value and limits of the mean per pair. Zero lies in the interval if and only if p exceeds alpha.
    """
    signed_sums, signed_sizes = _signed(sums, sizes, resamples, np.random.default_rng(seed))
    whole = _as_integers(sums[sums != 0])
    if whole is not None:
        p_value = _convolved_p_value(whole)
    else:
        # Sums of floats in another order differ in the last digits; equal ones must count as ties.
        bound = abs(sums.sum()) - 1e-9 * np.abs(sums).sum()
        p_value = float((np.abs(signed_sums) >= bound).mean())
    low, high = _limits((sums.sum(), sizes.sum()), signed_sums, signed_sizes, alpha, p_value)
    exact = whole is not None or len(signed_sums) == 2 ** len(sums)
    return SignFlip(p_value=p_value, exact=exact, low=low, high=high)


def _signed(sums: Array, sizes: Array, resamples: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Signed totals of sums and sizes: all sign vectors if they are few, else the observed one and draws."""
    units = len(sums)
    both = np.column_stack([sums, sizes])
    if 2**units <= resamples:
        bits = np.arange(2**units)[:, None] >> np.arange(units) & 1
        signed = (1.0 - 2.0 * bits) @ both
        return signed[:, 0], signed[:, 1]
    rows = max(1, _BLOCK // units)
    blocks = [both.sum(axis=0, keepdims=True)]
    for start in range(0, resamples, rows):
        shape = (min(rows, resamples - start), units)
        blocks.append((2.0 * rng.integers(0, 2, shape, dtype=np.int8) - 1.0) @ both)
    signed = np.concatenate(blocks)
    return signed[:, 0], signed[:, 1]


def _limits(
    observed: tuple[float, float], signed_sums: Array, signed_sizes: Array, alpha: float, p_value: float
) -> tuple[float, float]:
    total, size = observed
    with np.errstate(divide="ignore", invalid="ignore"):
        flipped = (total - signed_sums) / (size - signed_sizes)
        kept = (total + signed_sums) / (size + signed_sizes)
    # A vector that flips all units or none is as extreme as the data at every shift.
    uniform = np.abs(signed_sizes) > size - 0.5
    lower = np.sort(np.where(uniform, -np.inf, np.minimum(flipped, kept)))
    upper = -np.sort(-np.where(uniform, np.inf, np.maximum(flipped, kept)))
    # A shift is accepted once more than alpha of the vectors are as extreme as the data are there.
    index = int(alpha * len(lower))
    if p_value > alpha:
        return min(float(lower[index]), 0.0), max(float(upper[index]), 0.0)
    # With an exact p and random vectors, the draws may just miss the decision at zero: p has the last word.
    past_low = int(np.searchsorted(lower, ROUNDING, side="right")) if total > 0 else 0
    past_high = int(np.searchsorted(-upper, ROUNDING, side="right")) if total < 0 else 0
    last = len(lower) - 1
    return float(lower[min(max(index, past_low), last)]), float(upper[min(max(index, past_high), last)])


def _as_integers(x: Array) -> NDArray[np.int64] | None:
    """The values in units of their common fraction, or None if there is none that is cheap to work with."""
    for denominator in range(1, _MAX_DENOMINATOR + 1):
        whole = np.rint(x * denominator)
        if np.abs(x - whole / denominator).max(initial=0.0) < ROUNDING:
            cheap = len(x) * np.abs(whole).sum() <= _MAX_EXACT_WORK
            return whole.astype(np.int64) if cheap else None
    return None


def _convolved_p_value(x: NDArray[np.int64]) -> float:
    """P(|sum of randomly signed x| >= |sum of x|), by convolution over the sum of the positive ones."""
    total = int(np.abs(x).sum())
    mass = np.zeros(total + 1)
    mass[0], reached = 1.0, 0
    for size in np.abs(x).tolist():
        moved = mass[: reached + 1] / 2
        mass[: reached + 1] = moved
        mass[size : size + reached + 1] += moved
        reached += size
    sums = 2 * np.arange(total + 1) - total
    return float(min(mass[np.abs(sums) >= abs(int(x.sum()))].sum(), 1.0))
