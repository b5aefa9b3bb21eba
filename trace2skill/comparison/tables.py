"""Comparisons as tables. No difference is shown without interval, p-value and detectable effect."""

from collections.abc import Iterator, Sequence

from trace2skill.comparison.formats import count, number, p, some, span
from trace2skill.comparison.notes import notes
from trace2skill.comparison.results import Arm, Comparison, ComparisonTable
from trace2skill.tables import Table, paragraph

SIMULATED = "SIMULATED: a stand-in model took part. Evidence about the harness, never about a method."
"""Stamp on every table that holds a number of the stand-in model."""

IN_SAMPLE = "IN-SAMPLE: a skill or memory has seen these samples. The difference is no test of it."
"""Stamp on every table with a row whose samples an arm has seen."""


def render(result: Comparison | ComparisonTable, width: int | None = None) -> str:
    """A comparison, or several with one baseline, as a table with its notes.

    Args:
        result: What was compared.
        width: Columns of the terminal; none for text without a limit, such as a file.
    """
    comparisons = result.comparisons if isinstance(result, ComparisonTable) else (result,)
    adjusted = result.adjusted if isinstance(result, ComparisonTable) else None
    stamps = [SIMULATED] if _is_simulated(comparisons) else []
    stamps += [IN_SAMPLE] if any(comparison.in_sample for comparison in comparisons) else []
    head = "\n".join(paragraph(line, width) for line in [*stamps, _title(comparisons), _regressions(comparisons)])
    below = "\n".join(paragraph(note, width) for note in notes(comparisons))
    parts = [head, _table(comparisons, adjusted is not None).text(width), below]
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
    splits = dict.fromkeys(row.split for row in comparisons if row.split)
    split = f"split {' and '.join(splits)}" if splits else "split not told"
    return f"{', '.join(first.tasks)}: {scorer}, {split}{' (SIMULATED)' if _is_simulated(comparisons) else ''}"


def _regressions(comparisons: Sequence[Comparison]) -> str:
    """What got worse comes first: a mean that rises may hide it."""
    found = [f"{row.treatment.name} {_regressed(row)}" for row in comparisons]
    return f"Regressions: {'; '.join(found)}."


def _regressed(row: Comparison) -> str:
    lower = f"{len(row.regressions)} of {row.result.n} ({some(row.regressions)})" if row.regressions else "none"
    lost = (
        f", and {len(row.lost)} without a score that {row.control.name} solved ({some(row.lost)})" if row.lost else ""
    )
    return lower + lost


def _table(comparisons: Sequence[Comparison], corrected: bool) -> Table:
    missing = any(row.control.missing or row.treatment.missing for row in comparisons)
    noisy = any(row.noise for row in comparisons)
    numbers: tuple[str, ...] = ("scored", "mean\n[95%]", "difference\n[95%]")
    numbers += ("missing = 0\n[95%]",) if missing else ()
    numbers += ("A/A",) if noisy else ()
    numbers += ("p\n(Holm)" if corrected else "p", "won/\nlost/\ntied", "MDE", "needed")
    rows = [_arm_cells(comparisons[0].control)]
    for row in comparisons:
        result = row.result
        low, high = row.simultaneous
        cells = _arm_cells(row.treatment, "\nIN-SAMPLE" if row.in_sample else "")
        if row.result.control_mean != comparisons[0].result.control_mean:
            cells[-1] += f"\n({row.control.name}: {number(row.result.control_mean)})"
        cells.append(f"{number(result.difference, '+')}\n{span(low, high, '+')}")
        if missing:
            cells.append(_as_failures(row))
        if noisy:
            cells.append(f"±{number(row.noise.reach)}" if row.noise else "n/a")
        cells += [
            p(result.p_value) + (f"\n({p(row.p_adjusted)})" if corrected else ""),
            f"{result.wins}/{result.losses}/{result.ties}",
            number(result.mde),
            f"{result.n}/{count(row.n_needed)}",
        ]
        rows.append(cells)
    return Table(columns=("arm", *numbers), rows=rows, right=numbers)


def _as_failures(row: Comparison) -> str:
    failed = row.as_failures
    if failed is None:
        return "n/a"
    return f"{number(failed.difference, '+')}\n{span(failed.low, failed.high, '+')}\np {p(row.p_adjusted_as_failures)}"


def _arm_cells(arm: Arm, stamp: str = "") -> list[str]:
    missing = f"{arm.samples - arm.scored} missing"
    if arm.runs > arm.samples:
        missing += f",\n{arm.runs_scored}/{arm.runs} runs"
    return [
        f"{arm.name}{stamp}",
        f"{arm.scored}/{arm.samples},\n{missing}",
        f"{number(arm.mean)}\n{span(arm.low, arm.high)}",
    ]


def _is_simulated(comparisons: Sequence[Comparison]) -> bool:
    return any(comparison.simulated for comparison in comparisons)
