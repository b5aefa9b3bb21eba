"""A comparison in one sentence, which claims no more than the less favourable reading of what is missing allows."""

from typing import Literal, NamedTuple

from trace2skill.comparison.formats import count, number, p, span
from trace2skill.comparison.results import Comparison
from trace2skill.comparison.statistics import PairedResult

LEVEL = 0.05

Decision = Literal["better", "worse", "nothing"]


class _Reading(NamedTuple):
    """A difference with what is missing read in one way."""

    result: PairedResult
    p_value: float
    low: float
    high: float
    filled: bool
    """Whether missing runs count as failures."""

    @property
    def decision(self) -> Decision:
        return decision(self.p_value, self.result.difference)


def verdict(comparison: Comparison) -> str:
    """What a comparison shows, in one sentence.

    Better is what is better, after Holm's correction, both with missing runs left out and with them counted as
    failures; worse is what is worse in either. The numbers are those of the reading that decides; of two that say the
    same, those of the less favourable one.
    """
    control, treatment = comparison.control.name, comparison.treatment.name
    readings = _readings(comparison)
    shown = outcome(comparison)
    reading = min(
        (one for one in readings if one.decision == shown), key=lambda one: (one.result.difference, -one.p_value)
    )
    result = reading.result
    figures = f"{number(result.difference, '+')} {span(reading.low, reading.high, '+')}, p {p(reading.p_value)}"
    figures += _about_missing(comparison, filled=reading.filled)
    if shown == "nothing":
        enough = f"; it would take {count(result.n_needed)} samples, not {result.n}" if _too_few(result) else ""
        said = f"No difference between {treatment} and {control} is shown: {figures}{enough}"
    else:
        said = f"{treatment} is {shown} than {control}: {figures}"
    return f"{'IN-SAMPLE, no test: ' if comparison.in_sample else ''}{said}{_margin(comparison)}{_about(comparison)}."


def outcome(comparison: Comparison) -> Decision:
    """What a comparison shows at 5%, corrected, under both readings of what is missing."""
    found = {reading.decision for reading in _readings(comparison)}
    return "worse" if "worse" in found else "better" if found == {"better"} else "nothing"


def _readings(comparison: Comparison) -> tuple[_Reading, ...]:
    plain = _Reading(comparison.result, comparison.p_adjusted, *comparison.simultaneous, filled=False)
    failed = comparison.as_failures
    if failed is None:
        return (plain,)
    return plain, _Reading(failed, comparison.p_adjusted_as_failures, failed.low, failed.high, filled=True)


def _about_missing(comparison: Comparison, *, filled: bool) -> str:
    if not comparison.control.missing and not comparison.treatment.missing:
        return ""
    if comparison.as_failures is None:
        return ", missing runs left out, as no score here is a failure"
    return ", missing runs counted as failures" if filled else ""


def decision(p_value: float, difference: float) -> Decision:
    """What a test at 5% says: better, worse or nothing."""
    if not p_value <= LEVEL:
        return "nothing"
    return "better" if difference > 0 else "worse"


def _too_few(result: PairedResult) -> bool:
    return result.n < result.n_needed < float("inf")


def _margin(comparison: Comparison) -> str:
    found = comparison.margins
    if found is None:
        return ""
    what = "equivalent" if found.equivalent else "non-inferior"
    shown = "" if found.noninferior else "not shown to be "
    p_value = found.p_equivalent if found.equivalent else found.p_noninferior
    return f"; {shown}{what} by {number(found.margin)} (p {p(p_value)})"


def _about(comparison: Comparison) -> str:
    if comparison.about == "method":
        return f"; about the method, by {comparison.skills} skills that it made"
    return "; about this one skill, not about how it was made" if comparison.about == "skill" else ""
