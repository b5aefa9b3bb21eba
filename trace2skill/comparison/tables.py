"""Comparisons as tables. No difference is shown without interval, p-value and detectable effect."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence

from trace2skill.comparison.results import Arm, Comparison, ComparisonTable
from trace2skill.tables import Table, paragraph

SIMULATED = "SIMULATED: a stand-in model took part. Evidence about the harness, never about a method."
"""Stamp on every table that holds a number of the stand-in model."""

_LONGEST_VALUE = 60
_SHOWN = 5  # missing samples and settings listed by name before the rest is only counted


def render(result: Comparison | ComparisonTable, width: int | None = None) -> str:
    """A comparison, or several with one baseline, as a table with its notes.

    Args:
        result: What was compared.
        width: Columns of the terminal; none for text without a limit, such as a file.
    """
    comparisons = result.comparisons if isinstance(result, ComparisonTable) else (result,)
    adjusted = result.adjusted if isinstance(result, ComparisonTable) else None
    stamp = [SIMULATED] if _is_simulated(comparisons) else []
    head = "\n".join(paragraph(line, width) for line in [*stamp, _title(comparisons)])
    notes = "\n".join(paragraph(note, width) for note in _notes(comparisons))
    parts = [head, _table(comparisons, adjusted).text(width), notes]
    if isinstance(result, ComparisonTable) and result.methods:
        parts += _methods(result, width)
    return "\n\n".join(parts)


def _methods(result: ComparisonTable, width: int | None) -> Iterator[str]:
    """What each arm is and what making it took: a table, then what is not equal, then where the artefacts lie."""
    arms = {arm.name: arm for row in result.comparisons for arm in (row.control, row.treatment)}
    rows = [
        [
            row.arm,
            row.method,
            row.sees,
            ",\n".join(row.author) or "-",
            *map(_count, (row.trajectories, row.calls, row.input_tokens, row.output_tokens, row.rounds)),
            "-" if row.wall_seconds is None else f"{row.wall_seconds:.0f} s",
            _per_run(arms[row.arm]),
        ]
        for row in result.methods
    ]
    numbers = ("trajectories", "calls", "tokens\nin", "tokens\nout", "rounds", "time", "tokens\nper run")
    yield Table(columns=("arm", "method", "may see", "author", *numbers), rows=rows, right=numbers).text(width)
    said = [*result.unequal, *(f"{row.arm}: {note}" for row in result.methods for note in row.notes)]
    said += [f"{row.arm}: {row.artefact}" for row in result.methods if row.artefact]
    said.append("Calls, tokens, rounds and time are those of making the arm; tokens per run are those of using it.")
    yield "\n".join(paragraph(line, width) for line in said)


def _count(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _per_run(arm: Arm) -> str:
    return "not told" if arm.tokens_per_run is None else f"{arm.tokens_per_run:,.0f}"


def _title(comparisons: Sequence[Comparison]) -> str:
    first = comparisons[0]
    scorer = first.scorer if first.key is None else f"{first.scorer}/{first.key}"
    return f"{', '.join(first.tasks)}: {scorer}{' (SIMULATED)' if _is_simulated(comparisons) else ''}"


def _table(comparisons: Sequence[Comparison], adjusted: Sequence[float] | None) -> Table:
    p = "p" if adjusted is None else "p\n(Holm)"
    numbers = ("scored", "mean\n[95%]", "difference\n[95%]", p, "won/\nlost/\ntied", "MDE")
    rows = [_arm_cells(comparisons[0].control)]
    for number, comparison in enumerate(comparisons):
        result = comparison.result
        holm = "" if adjusted is None else f"\n({_p(adjusted[number])})"
        rows.append(
            [
                *_arm_cells(comparison.treatment),
                f"{_number(result.difference, '+')}\n{_range(result.low, result.high, '+')}",
                f"{_p(result.p_value)}{holm}",
                f"{result.wins}/{result.losses}/{result.ties}",
                _number(result.mde),
            ]
        )
    return Table(columns=("arm", *numbers), rows=rows, right=numbers)


def _arm_cells(arm: Arm) -> list[str]:
    missing = f"{arm.samples - arm.scored} missing"
    if arm.runs > arm.samples:
        missing += f",\n{arm.runs_scored}/{arm.runs} runs"
    return [
        arm.name,
        f"{arm.scored}/{arm.samples},\n{missing}",
        f"{_number(arm.mean)}\n{_range(arm.low, arm.high)}",
    ]


def _is_simulated(comparisons: Sequence[Comparison]) -> bool:
    return any(comparison.simulated for comparison in comparisons)


def _notes(comparisons: Sequence[Comparison]) -> Iterator[str]:
    for comparison in comparisons:
        yield from _comparison_notes(comparison)
    control = comparisons[0].control
    for arm in (control, *(comparison.treatment for comparison in comparisons)):
        yield from _arm_notes(arm)
    yield f"Differences are from {control.name}. MDE: minimum detectable effect (5% level, 80% power)."


def _comparison_notes(comparison: Comparison) -> Iterator[str]:
    result, name = comparison.result, comparison.treatment.name
    units = f" in {result.units} clusters by {comparison.cluster}" if comparison.cluster else ""
    yield (
        f"{name}: tested on {result.n} sample{'s' * (result.n > 1)} scored in both arms{units}; "
        f"{result.test} test, {result.interval} interval."
    )
    if comparison.control.missing or comparison.treatment.missing:
        yield (
            f"{name}: with every missing run counted against or for it, the difference over all "
            f"{comparison.treatment.samples} samples would lie between {_number(comparison.worst, '+')} and "
            f"{_number(comparison.best, '+')}."
        )
    differing = [
        f"{setting.name} ({_values(setting.control)} -> {_values(setting.treatment)})"
        for setting in comparison.settings
    ]
    if differing:
        yield f"{name}: differs from {comparison.control.name} in {_some(differing)}."


def _arm_notes(arm: Arm) -> Iterator[str]:
    skills = f", skill {', '.join(arm.skills)}" if arm.skills else ""
    logs = f"{len(arm.logs)} log{'s' if len(arm.logs) > 1 else ''}"
    yield f"{arm.name}: {', '.join(arm.models)}{skills}; {logs}."
    if arm.superseded:
        yield f"{arm.name}: left out as older attempts at the same evaluation: {_some(list(arm.superseded))}."
    if arm.missing:
        reasons: Counter[str] = Counter()
        for sample in arm.missing:
            reasons.update(sample.missing)
        counted = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
        yield f"{arm.name}: missing runs: {counted}; samples {_some([sample.id for sample in arm.missing])}."


def _values(values: Sequence[str]) -> str:
    text = ", ".join(values) or "unset"
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}..."


def _some(items: Sequence[str]) -> str:
    rest = len(items) - _SHOWN
    return ", ".join(items[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")


def _number(value: float, sign: str = "") -> str:
    return "n/a" if math.isnan(value) else f"{value:{sign}.3f}"


def _range(low: float, high: float, sign: str = "") -> str:
    return "[n/a]" if math.isnan(low) else f"[{low:{sign}.3f}, {high:{sign}.3f}]"


def _p(value: float) -> str:
    return "<0.001" if value < 0.001 else _number(value)
