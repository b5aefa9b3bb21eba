"""Independent units: samples, or clusters of samples that share a source, and the error of a mean over them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Clusters = Sequence[Any] | NDArray[Any] | None

ROUNDING = 1e-12
"""Differences of averaged runs that are smaller than this are rounding errors."""


def finite(values: ArrayLike) -> Array:
    """Scores as an array of shape (n,).

    Raises:
        ValueError: They are none, or hold NaN or infinite values.
    """
    x = np.array(values, dtype=np.float64)
    if x.ndim != 1 or len(x) == 0 or not np.isfinite(x).all():
        raise ValueError(f"a non-empty list of finite numbers is required, got an array of shape {x.shape}")
    return x


def is_binary(x: Array) -> bool:
    """Whether all scores are 0 or 1."""
    return bool(np.isin(x, (0.0, 1.0)).all())


def is_bounded(x: Array) -> bool:
    """Whether all scores lie within 0..1."""
    return bool((x >= 0).all() and (x <= 1).all())


def unit_sums(x: Array, clusters: Clusters) -> tuple[Array, Array]:
    """Sum and size of each independent unit, both of shape (units,).

    Raises:
        ValueError: There is not one label for each value.
    """
    if clusters is None:
        return x, np.ones_like(x)
    labels = [str(label) for label in clusters]
    if len(labels) != len(x):
        raise ValueError(f"one cluster label per sample is required, got {len(labels)} for {len(x)} samples")
    _, index = np.unique(labels, return_inverse=True)
    return np.bincount(index, weights=x).astype(np.float64), np.bincount(index).astype(np.float64)


def standard_error(x: Array, clusters: Clusters) -> float:
    """Standard error of the mean, robust to clusters; NaN without spread or with a single unit."""
    residuals, _ = unit_sums(x - x.mean(), clusters)
    units = len(residuals)
    variance = units / (units - 1) * (residuals**2).sum() if units > 1 else 0.0
    return float(np.sqrt(variance) / len(x)) if variance > ROUNDING**2 else float("nan")
