"""Sign-flip test of a mean difference that keeps its level for skewed scores, and the means that it does not reject.

Under the null hypothesis the two arms of a pair are exchangeable: each difference keeps its size and has a random sign
(Fisher), so any statistic has a known distribution. The statistic here is Hall's: the t statistic with a cubic term
that undoes the skewness of the differences (Hall 1992, J R Stat Soc B 54:221). Where differences are symmetric the
test is therefore exact, and where their mean is zero but they are skewed (eight runs against one, a few large gains
against many small losses) it is right to the second order, where the plain sign-flip test rejects a true null up to
three times too often. Applied to differences from which delta is subtracted, it gives a confidence interval.

All sign vectors are used where they are few. Otherwise they are drawn, and the observed vector counts as one of the
draws, so that p is never 0 (Phipson and Smyth 2010, Stat Appl Genet Mol Biol 9:39).
"""

from typing import Literal

import numpy as np

from trace2skill.comparison.units import Array

Side = Literal["two", "greater", "less"]
"""Which alternatives a p-value is about: any mean, larger ones, smaller ones."""

_BLOCK = 4_000_000  # signs held in memory at once
_STEPS = 60  # widenings of the bracket of a limit
_HALVINGS = 26  # of that bracket: to 1e-7 of a standard error


class SignFlip:
    """Independent units with their random signs, to be tested at any mean."""

    def __init__(self, sums: Array, sizes: Array, *, resamples: int, seed: int) -> None:
        """Draws the signs.

        Args:
            sums: Sum of the differences in each independent unit (a pair, or a cluster of pairs), shape (units,).
            sizes: Number of pairs in each unit, shape (units,).
            resamples: Sign vectors drawn where not all of them are used.
            seed: Seed of the draws.
        """
        self._sums, self._sizes = sums, sizes
        self.exact = 2 ** min(len(sums), 60) <= resamples
        """Whether all sign vectors are used."""
        self._flipped = _products(_terms(sums, sizes), resamples, seed, self.exact)
        moving = sums != 0
        # Units without a difference have no sign to flip at a mean of zero.
        self._at_zero: Array | None = None
        self.exact_at_zero = self.exact or 2 ** min(int(moving.sum()), 60) <= resamples
        """Whether the p-value of no difference is exact."""
        if self.exact_at_zero and not self.exact:
            terms = _terms(sums[moving], sizes[moving])
            self._at_zero = _products(terms, resamples, seed, True)

    @property
    def mean(self) -> float:
        """The mean difference per pair."""
        return float(self._sums.sum() / self._sizes.sum())

    def p_value(self, mean: float = 0.0, side: Side = "two") -> float:
        """P-value of the mean per pair being `mean`."""
        flipped = self._at_zero if mean == 0 and self._at_zero is not None else self._flipped
        units = self._sums - mean * self._sizes
        squares, observed = np.square(units).sum(), units.sum()
        statistic = hall(observed, squares, (units**3).sum(), len(units))
        first, cubes = _at(flipped, mean)
        drawn = hall(first, squares, cubes, len(units))
        # The observed signs are among the vectors, and among all of them their opposites, whatever rounding says.
        everything = self.exact or flipped is self._at_zero
        least = 1 / len(first)
        # Sums of floats in another order differ in the last digits; equal ones must count as ties.
        slack = 1e-7 * (1 + abs(statistic))
        if side == "two":
            fewest = min(2 * least, 1.0) if everything else least
            return max(float((np.abs(drawn) >= abs(statistic) - slack).mean()), fewest)
        found = (drawn >= statistic - slack) if side == "greater" else (drawn <= statistic + slack)
        return max(float(found.mean()), least)

    def interval(self, alpha: float) -> tuple[float, float]:
        """The means per pair whose two-sided p-value exceeds alpha; infinite limits where none is rejected."""
        spread = float(np.std(self._sums - self.mean * self._sizes)) * np.sqrt(len(self._sums)) / self._sizes.sum()
        step = max(float(spread), 1e-9 * (1 + abs(self.mean)))
        return self._limit(-step, alpha), self._limit(step, alpha)

    def _limit(self, step: float, alpha: float) -> float:
        inside, outside = self.mean, self.mean + step
        for _ in range(_STEPS):
            if self.p_value(outside) <= alpha:
                break
            inside, outside = outside, self.mean + (outside - self.mean) * 1.5
        else:
            return float(np.copysign(np.inf, step))
        for _ in range(_HALVINGS):
            middle = (inside + outside) / 2
            inside, outside = (inside, middle) if self.p_value(middle) <= alpha else (middle, outside)
        return inside


def sign_flip_p_values(units: Array, *, resamples: int, seed: int) -> Array:
    """Two-sided p-values of a mean of zero for many studies at once, all with the same random signs.

    Args:
        units: Differences of the independent units of each study, shape (studies, units).
        resamples: Sign vectors, the observed one included.
        seed: Seed of the draws.

    Returns:
        Shape (studies,).
    """
    signs = 2.0 * np.random.default_rng(seed).integers(0, 2, (units.shape[1], resamples), dtype=np.int8) - 1.0
    signs[:, 0] = 1.0
    squares = np.square(units).sum(axis=1, keepdims=True)
    drawn = np.abs(hall(units @ signs, squares, units**3 @ signs, units.shape[1]))
    return np.asarray((drawn >= drawn[:, :1] - 1e-7 * (1 + drawn[:, :1])).mean(axis=1), dtype=np.float64)


def hall(sums: Array | float, squares: Array | float, cubes: Array | float, units: int) -> Array:
    """Hall's t statistic of a mean of zero, from the sums of units, of their squares and of their cubes.

    It is sqrt(n) (u + g u^2 / 3 + g^2 u^3 / 27 + g / (6 n)) with u the mean in standard deviations and g the skewness.

    Args:
        sums: Sum of the units; any shape, which all three share.
        squares: Sum of their squares.
        cubes: Sum of their cubes.
        units: Number of units.

    Returns:
        The statistic in that shape; 0 where all units are 0.
    """
    mean, square = np.asarray(sums) / units, np.asarray(squares) / units
    variance = np.maximum(square - mean**2, 1e-12 * square)
    deviation = np.sqrt(np.where(variance > 0, variance, 1.0))
    skewness = (np.asarray(cubes) / units - 3 * mean * square + 2 * mean**3) / deviation**3
    # Beyond this no sample can be skewed: what is there is rounding.
    most = max(units - 2, 0) / np.sqrt(max(units - 1, 1))
    skewness = np.clip(np.where(variance > 1e-9 * square, skewness, 0.0), -most, most)
    u = mean / deviation
    return np.asarray(
        np.sqrt(units) * (u + skewness * u**2 / 3 + skewness**2 * u**3 / 27 + skewness / (6 * units)), dtype=np.float64
    )


def _terms(sums: Array, sizes: Array) -> Array:
    """What the first and the third moment at any mean consist of, shape (units, 6)."""
    return np.column_stack([sums, sizes, sums**3, sums**2 * sizes, sums * sizes**2, sizes**3])


def _at(flipped: Array, mean: float) -> tuple[Array, Array]:
    """Signed sums of units from which a mean was subtracted, and of their cubes."""
    first = flipped[:, 0] - mean * flipped[:, 1]
    cubes = flipped[:, 2] - 3 * mean * flipped[:, 3] + 3 * mean**2 * flipped[:, 4] - mean**3 * flipped[:, 5]
    return first, cubes


def _products(terms: Array, resamples: int, seed: int, everything: bool) -> Array:
    """The terms summed with signs: all sign vectors, or the observed one and draws."""
    units = len(terms)
    if everything:
        bits = np.arange(2**units)[:, None] >> np.arange(units) & 1
        return np.asarray((1.0 - 2.0 * bits) @ terms, dtype=np.float64)
    rng, rows = np.random.default_rng(seed), max(1, _BLOCK // units)
    blocks = [terms.sum(axis=0, keepdims=True)]
    for start in range(0, resamples, rows):
        shape = (min(rows, resamples - start), units)
        blocks.append((2.0 * rng.integers(0, 2, shape, dtype=np.int8) - 1.0) @ terms)
    return np.concatenate(blocks)
