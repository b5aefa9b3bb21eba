"""A comparison in one sentence, which claims no more than the less favourable reading of what is missing allows."""

from trace2skill.comparison.formats import count, number, p, span
from trace2skill.comparison.results import Comparison
from trace2skill.comparison.statistics import PairedResult

LEVEL = 0.05


def verdict(comparison: Comparison) -> str:
    """What a comparison shows, in one sentence.

    Better is what is better, after Holm's correction, both with missing runs left out and with them counted as
    failures; worse is what is worse in either. The sentence gives the numbers of the reading that decides.
    """
    control, treatment = comparison.control.name, comparison.treatment.name
    left_out, failed = comparison.result, comparison.as_failures or comparison.result
    outcome = {decision(comparison.p_adjusted, left_out.difference), _failed(comparison)}
    strict = failed.difference < left_out.difference or (
        failed.difference == left_out.difference and comparison.p_adjusted_as_failures > comparison.p_adjusted
    )
    result = failed if strict else left_out
    p_value = comparison.p_adjusted_as_failures if strict else comparison.p_adjusted
    low, high = (failed.low, failed.high) if strict else comparison.simultaneous
    figures = f"{number(result.difference, '+')} {span(low, high, '+')}, p {p(p_value)}"
    if strict and (comparison.control.missing or comparison.treatment.missing):
        figures += ", missing runs counted as failures"
    if "worse" in outcome:
        said = f"{treatment} is worse than {control}: {figures}"
    elif outcome == {"better"}:
        said = f"{treatment} is better than {control}: {figures}"
    else:
        enough = f"; it would take {count(result.n_needed)} samples, not {result.n}" if _too_few(result) else ""
        said = f"No difference between {treatment} and {control} is shown: {figures}{enough}"
    return f"{'IN-SAMPLE, no test: ' if comparison.in_sample else ''}{said}{_margin(comparison)}{_about(comparison)}."


def decision(p_value: float, difference: float) -> str:
    """What a test at 5% says: better, worse or nothing."""
    if not p_value <= LEVEL:
        return "nothing"
    return "better" if difference > 0 else "worse"


def _failed(comparison: Comparison) -> str:
    result = comparison.as_failures or comparison.result
    return decision(comparison.p_adjusted_as_failures, result.difference)


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
