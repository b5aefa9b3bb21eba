"""Numbers and states in words. What was not evaluated, what failed and what is zero never look the same."""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

from trace2skill.comparison.formats import p
from trace2skill.comparison.verdict import Decision, outcome
from trace2skill.report.results import Delta
from trace2skill.report.source import State

_NOTHING = 1e-9
"""A limit so near to zero says only on which side of it the interval ends."""

_NAMED = 3
"""Comparisons that the headline names before the rest is only counted."""

Tone = Literal["helped", "harmed", "undecided", "missing"]

_TONES: dict[Decision, Tone] = {"better": "helped", "worse": "harmed", "nothing": "undecided"}

MARKS = {"helped": "▲", "harmed": "▼", "undecided": "≈"}
"""Shapes that stand beside the words, so that nothing hangs on colour."""

STATES: dict[State, str] = {
    "measured": "measured",
    "failed": "✕ failed",
    "blocked": "‖ blocked",
    "not evaluated": "○ not evaluated",
}


class Headline(NamedTuple):
    """The answer of the first screen."""

    tone: Tone
    text: str
    more: str


def points(share: float, *, digits: int = 1) -> str:
    """A difference in points with its sign: a zero has none, and nothing but zero reads as zero."""
    value = round(100 * share, digits)
    if value:
        return f"{value:+.{digits}f}"
    if abs(share) < _NOTHING:
        return f"{0:.{digits}f}" if share == 0 else ">0" if share > 0 else "<0"
    return f"{100 * share:+.1g}"


def percent(share: float) -> str:
    """A score in percent."""
    return "n/a" if math.isnan(share) else f"{100 * share:.1f}"


def interval(low: float, high: float, *, signed: bool = True) -> str:
    """An interval in points or percent."""
    if math.isnan(low) or math.isnan(high):
        return "[n/a]"
    form = points if signed else percent
    return f"[{form(low)}, {form(high)}]"


def p_value(value: float) -> str:
    """A p-value."""
    return p(value)


def tone_of(delta: Delta) -> Tone:
    """What a difference says at the 5% level, corrected for the others of its family.

    As in its verdict: it helped if it did both with missing runs left out and with them counted as failures; it harmed
    if it did in either. A comparison on samples that a skill has seen decides nothing.
    """
    found = delta.comparison
    if found is None:
        return "missing"
    if found.in_sample:
        return "undecided"
    return _TONES[outcome(found)]


def mark_of(delta: Delta) -> str:
    """The shape that stands for a difference."""
    return STATES[delta.state][0] if delta.comparison is None else MARKS[tone_of(delta)]


def said(delta: Delta) -> str:
    """A difference in numbers: never without its interval, its p-value and its sample."""
    if delta.comparison is None:
        return f"{STATES[delta.state]}{f': {delta.why}' if delta.why else ''}"
    result = delta.comparison.result
    numbers = f"{points(result.difference)} {interval(*delta.interval)} points, p {p_value(delta.adjusted)}"
    return f"{numbers}, n {result.n}{beside_n(delta)}"


def beside_n(delta: Delta) -> str:
    """What stands after the number of samples: what of them was seen, and whether there was anything new to test."""
    return of_seen(delta) + of_unchanged(delta)


def of_unchanged(delta: Delta) -> str:
    """What to say where evolving left the skill as it was, or the bank empty."""
    if not delta.unchanged:
        return ""
    return f", nothing was learned{'' if delta.made == 1 else f' in {delta.unchanged} of {delta.made}'}"


def of_seen(delta: Delta) -> str:
    """What to say where a skill has seen some of the samples."""
    if delta.comparison is None or not delta.seen:
        return ""
    return f", IN-SAMPLE: {delta.seen} seen" if delta.comparison.in_sample else f" without {delta.seen} seen"


def headline(primary: Sequence[Delta]) -> Headline:
    """Did it help? In one sentence, and what speaks against it in another."""
    named: dict[Tone, list[str]] = {"helped": [], "harmed": [], "undecided": [], "missing": []}
    for delta in primary:
        named[tone_of(delta)].append(delta.title)
    helped, harmed, missing = (len(named[tone]) for tone in ("helped", "harmed", "missing"))
    of = f"{len(primary)} declared comparison{'s' * (len(primary) != 1)}"
    if not primary:
        return Headline("missing", "No comparison was declared.", "All differences below are exploratory.")
    one = len(primary) == 1
    if missing == len(primary):
        more = "The one declared comparison has no result." if one else f"The {of} have no result."
        failed = [f"{delta.title}: {delta.why or STATES[delta.state]}" for delta in primary if delta.state == "failed"]
        text = "What was declared failed." if failed else "Nothing is measured yet."
        return Headline("missing", text, " ".join([more, *(f"{each}." for each in failed[:_NAMED])]))
    in_sample = [delta.title for delta in primary if delta.comparison and delta.comparison.in_sample]
    rest = [
        _some(named["harmed"], "It harmed in"),
        _some(named["undecided"], "The data do not decide in"),
        _some(in_sample, "Skills have seen the samples (IN-SAMPLE) in"),
        _some(named["missing"], "There is no result in"),
        _some(
            [delta.title for delta in primary if delta.comparison and delta.why],
            "Some seeds of an arm have no result in",
        ),
    ]
    more = " ".join(filter(None, rest))
    if helped:
        scope = f"all {of}" if helped == len(primary) else f"{helped} of {of}"
        scope = "the one declared comparison" if len(primary) == 1 else scope
        return Headline("harmed" if harmed else "helped", f"It helped in {scope}.", more)
    if harmed:
        return Headline("harmed", "It harmed." if one else f"It helped in none of the {of}.", more)
    scope = "the one declared comparison" if one else f"any of the {of}"
    return Headline("undecided", f"No difference is shown in {scope}.", more)


def _some(names: Sequence[str], what: str) -> str:
    if not names:
        return ""
    called = f": {', '.join(names)}" if len(names) <= _NAMED else ""
    return f"{what} {len(names)}{called}."
