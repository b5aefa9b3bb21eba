"""What stands below a table: the verdicts, how each difference was tested, and what each arm is."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence

from trace2skill.comparison.formats import number, p, some, span
from trace2skill.comparison.repeats import Repeats
from trace2skill.comparison.results import Arm, Comparison
from trace2skill.comparison.verdict import verdict

_LONGEST_VALUE = 60


def notes(comparisons: Sequence[Comparison]) -> Iterator[str]:
    """The notes of a table, one line each, the verdicts first."""
    for comparison in comparisons:
        yield verdict(comparison)
    for comparison in comparisons:
        yield from _comparison_notes(comparison, several=len(comparisons) > 1)
    control = comparisons[0].control
    for arm in (control, *(comparison.treatment for comparison in comparisons)):
        yield from _arm_notes(arm)
    yield from _legend(comparisons)


def _comparison_notes(comparison: Comparison, *, several: bool) -> Iterator[str]:
    result, name, samples = comparison.result, comparison.treatment.name, comparison.treatment.samples
    yield (
        f"{name}: tested on {result.n} sample{'s' * (result.n > 1)} scored in both arms{_units(comparison)}; "
        f"{result.test} test, {result.interval} interval."
    )
    yield from _missing(comparison, several=several)
    for seen in comparison.seen:
        related = f", and {len(seen.related)} more by {seen.group}" if seen.related else ""
        said, of = ("IN-SAMPLE", f" of the {samples} samples") if comparison.in_sample else ("left out", " samples")
        yield f"{name}: {said}: {seen.artefact} has seen {len(seen.samples)}{of}{related}."
    if comparison.unrecorded:
        yield (
            f"{name}: skills are made from split {comparison.split}, and no record says what "
            f"{some(comparison.unrecorded)} has seen. If it was made from these samples, this is no test of it."
        )
    if found := comparison.margins:
        yield (
            f"{name}: {'' if found.noninferior else 'not '}non-inferior by {number(found.margin)} "
            f"(p {p(found.p_noninferior)}), {'' if found.equivalent else 'not '}equivalent "
            f"(p {p(found.p_equivalent)}); 90% interval {span(found.low, found.high, '+')}."
        )
    if noise := comparison.noise:
        yield (
            f"{name}: two runs of the baseline score a sample differently in {noise.flipped:.1%} of cases "
            f"({noise.samples} samples, {noise.runs} runs each); two such arms differ by no more than "
            f"{number(noise.reach)} in 95 of 100 cases."
        )
    if look := comparison.anytime:
        yield (
            f"{name}: looked at any number of times, p {p(look.p_value)} (e-value {look.e_value:.3g}), "
            f"95% {span(look.low, look.high, '+')}."
        )
    first = comparison.control
    differing = [
        f"{setting.name} ({_values(setting.control)} -> {_values(setting.treatment)})"
        for setting in comparison.settings
    ]
    if differing:
        yield f"{name}: differs from {first.name} in {some(differing)}."


def _units(comparison: Comparison) -> str:
    if comparison.cluster is None:
        return ""
    said = ", as the task declares" if comparison.cluster_source == "task" else ""
    return f" in {comparison.result.units} clusters by {comparison.cluster}{said}"


def _missing(comparison: Comparison, *, several: bool) -> Iterator[str]:
    if not comparison.control.missing and not comparison.treatment.missing:
        return
    name, tipping = comparison.treatment.name, comparison.tipping_point
    yield (
        f"{name}: with every missing run counted against or for it, the difference over all "
        f"{comparison.treatment.samples} samples would lie between {number(comparison.worst, '+')} and "
        f"{number(comparison.best, '+')}."
    )
    failed, plain = comparison.as_failures, comparison.result
    if failed is None or (failed.n, failed.difference, failed.wins) == (plain.n, plain.difference, plain.wins):
        return
    alone = ", by its own p-value," if several else ""
    if math.isnan(tipping):
        yield f"{name}: not shown to be better{alone} whatever the missing runs would have scored."
    elif tipping == 0:
        yield f"{name}: better at the 5% level{alone} even if every missing run spoke against it."
    else:
        yield f"{name}: better at the 5% level{alone} if {_tipping(comparison)}."


def _tipping(comparison: Comparison) -> str:
    """What missing runs would have to score."""
    least, most = number(comparison.tipping_point), number(1 - comparison.tipping_point)
    of_control = f"those of {comparison.control.name} {most} or less"
    if not comparison.treatment.missing:
        return f"the missing runs would have scored: {of_control}"
    own = f"its missing runs would have scored {least} or more"
    return f"{own}, and {of_control}" if comparison.control.missing else own


def _arm_notes(arm: Arm) -> Iterator[str]:
    skills = f", skill {', '.join(arm.skills)}" if arm.skills else ""
    logs = f"{len(arm.logs)} log{'s' if len(arm.logs) > 1 else ''}"
    yield f"{arm.name}: {', '.join(arm.models)}{skills}; {logs}."
    if arm.repeats:
        yield _repeats(arm.name, arm.repeats)
    if arm.superseded:
        yield f"{arm.name}: left out as older attempts at the same evaluation: {some(list(arm.superseded))}."
    if arm.missing:
        reasons: Counter[str] = Counter()
        for sample in arm.missing:
            reasons.update(sample.missing)
        counted = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
        yield f"{arm.name}: missing runs: {counted}; samples {some([sample.id for sample in arm.missing])}."


def _repeats(name: str, found: Repeats) -> str:
    rows = (
        (f"avg@{found.k}", found.average, found.average_error),
        (f"pass@{found.k}", found.any_of_k, found.any_error),
        (f"pass^{found.k}", found.all_of_k, found.all_error),
    )
    over = f", over {found.samples} of {found.of} samples" if found.samples < found.of else ""
    return f"{name}: {', '.join(f'{what} {number(value)} (± {number(error)})' for what, value, error in rows)}{over}."


def _legend(comparisons: Sequence[Comparison]) -> Iterator[str]:
    together = " Intervals of differences hold together." if len(comparisons) > 1 else ""
    yield (
        f"Differences are from {comparisons[0].control.name}.{together} MDE: minimum detectable effect (5% level, 80% "
        "power). Needed: samples here, and those that would find this difference as often."
    )
    if any(row.control.repeats or row.treatment.repeats for row in comparisons):
        yield "avg@k: mean of k runs; pass@k: at least one of them right; pass^k: all of them; ± one standard error."


def _values(values: Sequence[str]) -> str:
    text = ", ".join(values) or "unset"
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}..."
