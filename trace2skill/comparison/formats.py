"""Numbers as they are shown: no rounding moves a p-value over the 5% line, and nothing but zero reads as zero."""

import math
from collections.abc import Sequence

_SHOWN = 5  # names that are listed before the rest is only counted
_LINE = 0.05
_NOTHING = 1e-9  # a limit so near to zero says only on which side of it the interval ends


def number(value: float, sign: str = "") -> str:
    """A score or a difference with three decimals, more where they would read as zero; n/a where it is undefined."""
    if math.isnan(value):
        return "n/a"
    if value == 0:
        return f"{0.0:{sign}.3f}"
    if abs(value) < _NOTHING:
        return ">0" if value > 0 else "<0"
    return f"{value:{sign}.3f}" if abs(value) >= 0.0005 else f"{value:{sign}.1g}"


def span(low: float, high: float, sign: str = "") -> str:
    """An interval."""
    return "[n/a]" if math.isnan(low) else f"[{number(low, sign)}, {number(high, sign)}]"


def p(value: float) -> str:
    """A p-value with three decimals, and more where they would hide on which side of .05 it lies."""
    if math.isnan(value):
        return "n/a"
    if value < 0.001:
        return "<0.001"
    digits = 3
    while digits < 12 and value != _LINE and float(f"{value:.{digits}f}") == _LINE:
        digits += 1
    return f"{value:.{digits}f}"


def count(value: float) -> str:
    """A number of samples; a dash where no number would do."""
    if math.isnan(value):
        return "n/a"
    return "-" if math.isinf(value) else f"{value:,.0f}"


def some(items: Sequence[str]) -> str:
    """The first few of many names."""
    rest = len(items) - _SHOWN
    return ", ".join(items[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")
