"""From a study to its numbers: every difference with its test, every arm with its score, beside what was published."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from trace2skill.comparison import Comparison, compare, holm
from trace2skill.comparison import results as compared
from trace2skill.comparison.exposure import left_out
from trace2skill.comparison.options import Asked
from trace2skill.comparison.pairing import cut
from trace2skill.comparison.statistics import PairedResult
from trace2skill.errors import LogError
from trace2skill.report.by_task import METRICS, over_tasks
from trace2skill.report.published import BASELINES, Key, Published, absolute, baseline, published
from trace2skill.report.source import Arm, ArmKey, Primary, Source, State, arms_of

NO_SKILL = "no-skill"

_TABLE = {"dapo-math-test-100": "2", "aime-2026": "2", "docvqa": "3"}
"""Tables whose deltas are from no-skill. All other benchmarks are like Table 1."""

_DIRECT = (
    ("4", ("error",), ("sequential-1", "sequential-4")),
    ("5", ("combined",), ("reasoning-bank", "awm", "synapse")),
    ("6", ("error",), ("error-llm",)),
)
"""Conditions that Tables 4, 5 and 6 hold against each other: same author, mode and user."""

Family = Literal["primary", "secondary"]


@dataclass(frozen=True, kw_only=True)
class Delta:
    """A difference between two arms in one metric."""

    id: str
    """Anchor in the report."""
    treatment: ArmKey
    """The arm whose effect is asked for."""
    control: ArmKey
    """The arm that it is compared with."""
    metric: str
    """Published name of the metric."""
    state: State
    """Whether it is measured."""
    why: str = ""
    """What stands in the way, or what is incomplete."""
    comparison: Comparison | None = None
    """The test; none where it is not measured."""
    made: int = 0
    """Runs that made skills or banks of the treatment, one for each seed."""
    unchanged: int = 0
    """Those of them that left the skill as it was, or the bank empty."""
    adjusted: float = math.nan
    """P-value after Holm's correction within its family, with missing runs left out."""
    primary: Primary | None = None
    """The declaration, if it is a primary one."""
    published: float | None = None
    """The published difference as a share, if there is one."""

    @property
    def family(self) -> Family:
        """The comparisons that its p-value is corrected for."""
        return "primary" if self.primary else "secondary"

    @property
    def interval(self) -> tuple[float, float]:
        """95% interval, which holds together with those of the others of its family."""
        return self.comparison.simultaneous if self.comparison else (math.nan, math.nan)

    @property
    def seen(self) -> int:
        """Samples that a skill has seen, or others on their page or table: they are left out, or it is in-sample."""
        return len(left_out(self.comparison.seen)) if self.comparison else 0

    @property
    def title(self) -> str:
        """Its name."""
        if self.primary:
            return self.primary.name
        return f"{self.treatment.label} against {self.control.label}"


@dataclass(frozen=True, kw_only=True)
class Results:
    """All numbers of a study."""

    arms: Mapping[ArmKey, Arm]
    """The arms on the test split."""
    deltas: tuple[Delta, ...]
    """Primary differences first."""
    scores: Mapping[tuple[ArmKey, str], compared.Arm]
    """Score of each measured arm by metric."""
    simulated: bool
    """Whether a stand-in model took part."""

    @property
    def primary(self) -> tuple[Delta, ...]:
        """The primary differences, in the order declared."""
        return tuple(delta for delta in self.deltas if delta.primary)

    def anchor(self, arm: ArmKey) -> str:
        """Anchor of an arm in the report."""
        return f"a{list(self.arms).index(arm) + 1}"

    def of(self, treatment: ArmKey, metric: str, control: ArmKey | None = None) -> Delta | None:
        """The difference of an arm from its baseline, or from the arm that is named."""
        against = control or baseline_of(treatment, self.arms)
        wanted = (treatment, against, metric)
        return next((d for d in self.deltas if (d.treatment, d.control, d.metric) == wanted), None)


@dataclass(frozen=True, kw_only=True)
class _Wanted:
    treatment: ArmKey
    control: ArmKey
    metric: str
    primary: Primary | None = None

    @property
    def margin(self) -> float | None:
        """The declared margin."""
        return self.primary.margin if self.primary else None


def results(study: Source) -> Results:
    """Every comparison of a study, tested.

    Args:
        study: The study, finished or not.

    Returns:
        Its numbers. What was not evaluated or failed is there without a number.
    """
    arms = arms_of(study.evaluations())
    wanted = list(_unique([*_primary(study, arms), *_from_baselines(arms), *_direct(arms)]))
    deltas, scores = _compare(wanted, arms)
    scores |= _alone(arms, scores)
    return Results(
        arms=arms,
        deltas=tuple(_corrected(deltas)),
        scores=scores,
        simulated=study.simulated or any(delta.comparison and delta.comparison.simulated for delta in deltas),
    )


def baseline_of(arm: ArmKey, arms: Mapping[ArmKey, Arm]) -> ArmKey | None:
    """The arm that an arm is a difference from: human-written or parametric by its mode, else no-skill.

    A parametric skill of the same author comes before that of another.
    """
    if arm.condition == NO_SKILL:
        return None
    wanted = BASELINES.get(arm.mode, NO_SKILL)
    if arm.condition in (*BASELINES.values(), NO_SKILL) or arm.benchmark in _TABLE:
        wanted = NO_SKILL
    for condition in dict.fromkeys((wanted, NO_SKILL)):
        same = [k for k in arms if (k.benchmark, k.user, k.condition) == (arm.benchmark, arm.user, condition)]
        if same:
            return next((key for key in same if key.author == arm.author), same[0])
    return None


def _primary(study: Source, arms: Mapping[ArmKey, Arm]) -> Iterator[_Wanted]:
    for each in study.declaration.primary:
        treatment = ArmKey(each.benchmark, each.user, each.author or "", each.mode or "", each.condition)
        yield _Wanted(
            treatment=treatment, control=_control(treatment, each.against, arms), metric=each.metric, primary=each
        )


def _control(treatment: ArmKey, condition: str, arms: Mapping[ArmKey, Arm]) -> ArmKey:
    """The arm of a condition that is nearest to a treatment: of its author and mode, of its author, or of none."""
    for author, mode in ((treatment.author, treatment.mode), (treatment.author, ""), ("", treatment.mode), ("", "")):
        key = treatment._replace(author=author, mode=mode, condition=condition)
        if key in arms:
            return key
    same = [k for k in arms if (k.benchmark, k.user, k.condition) == (treatment.benchmark, treatment.user, condition)]
    return same[0] if same else treatment._replace(author="", mode="", condition=condition)


def _from_baselines(arms: Mapping[ArmKey, Arm]) -> Iterator[_Wanted]:
    for key, arm in arms.items():
        control = baseline_of(key, arms)
        if control:
            yield from (_Wanted(treatment=key, control=control, metric=metric) for metric in arm.metrics)


def _direct(arms: Mapping[ArmKey, Arm]) -> Iterator[_Wanted]:
    for key, arm in arms.items():
        for _, conditions, others in _DIRECT:
            for other in others if key.condition in conditions else ():
                control = key._replace(condition=other)
                if control in arms:
                    yield from (_Wanted(treatment=key, control=control, metric=metric) for metric in arm.metrics)


def _unique(wanted: Iterable[_Wanted]) -> Iterator[_Wanted]:
    seen: set[tuple[ArmKey, ArmKey, str]] = set()
    for each in wanted:
        key = (each.treatment, each.control, each.metric)
        if key not in seen or each.primary:
            seen.add(key)
            yield each


def _compare(
    wanted: Sequence[_Wanted], arms: Mapping[ArmKey, Arm]
) -> tuple[list[Delta], dict[tuple[ArmKey, str], compared.Arm]]:
    """Every difference, and the scores of the arms in them."""
    found: dict[_Wanted, Comparison | str] = {}
    measured = {key: arm for key, arm in arms.items() if arm.state == "measured"}
    declared = sum(each.primary is not None for each in wanted)
    others = sum(each.primary is None and {each.control, each.treatment} <= measured.keys() for each in wanted)
    for each in wanted:
        control, treatment = measured.get(each.control), measured.get(each.treatment)
        if control and treatment:
            family = declared if each.primary else others
            found[each] = _tested(control, treatment, each.metric, each.margin, family)
    deltas = [_delta(f"d{number}", each, arms, found) for number, each in enumerate(wanted, 1)]
    scores: dict[tuple[ArmKey, str], compared.Arm] = {}
    for each, outcome in found.items():
        if isinstance(outcome, Comparison):
            scores[each.treatment, each.metric] = outcome.treatment
            scores[each.control, each.metric] = outcome.control
    return deltas, scores


def _tested(control: Arm, treatment: Arm, metric: str, margin: float | None, family: int) -> Comparison | str:
    """The comparison of two arms, or what is wrong with their logs."""
    where, name = control.metrics.get(metric), treatment.key.label
    if where is None:
        return f"{control.key.label} has no metric '{metric}'"
    if name == control.key.label:
        name = f"{name}, {treatment.key.user}"
    # The skills of an arm's seeds are one method's, and count as draws of it.
    asked = Asked(scorer=where.scorer, key=where.key, margin=margin, several_skills=True, family=family)
    asked.update(control.of_seen)
    try:
        found = compare(control.logs, treatment.logs, names=(control.key.label, name), **asked)
        return over_tasks(found, metric, control.logs, treatment.logs, family) if metric in METRICS else found
    except LogError as error:
        return str(error)


def _delta(
    name: str,
    wanted: _Wanted,
    arms: Mapping[ArmKey, Arm],
    found: Mapping[_Wanted, Comparison | str],
) -> Delta:
    delta = Delta(
        id=name,
        treatment=wanted.treatment,
        control=wanted.control,
        metric=wanted.metric,
        state="not evaluated",
        primary=wanted.primary,
        published=published_delta(wanted.treatment, wanted.control, wanted.metric),
    )
    outcome = found.get(wanted)
    both = [arms.get(wanted.treatment), arms.get(wanted.control)]
    if isinstance(outcome, Comparison):
        incomplete = [f"{arm.key.condition}: {arm.incomplete}" for arm in both if arm and arm.incomplete]
        of = arms[wanted.treatment]
        return replace(
            delta,
            state="measured",
            why="; ".join(incomplete),
            comparison=outcome,
            made=len(of.artefacts),
            unchanged=len(of.unchanged),
        )
    if outcome is not None:
        return replace(delta, state="failed", why=outcome)
    lacking = [arm for arm in both if arm and arm.state != "measured"]
    absent = [key for key, arm in zip((wanted.treatment, wanted.control), both, strict=True) if arm is None]
    states: list[State] = [arm.state for arm in lacking]
    why = [f"{arm.key.label}: {arm.why or arm.state}" for arm in lacking]
    why += [f"{key.label}: not part of the study" for key in absent]
    worst: State = "failed" if "failed" in states else "blocked" if "blocked" in states else "not evaluated"
    return replace(delta, state=worst, why="; ".join(dict.fromkeys(why)))


def published_delta(treatment: ArmKey, control: ArmKey, metric: str) -> float | None:
    """The published difference between two conditions, if both are published."""
    one, other = published_score(treatment, metric), published_score(control, metric)
    for cell in _cells(treatment, metric):
        if cell.kind == "delta" and baseline(cell).condition == control.condition:
            return cell.share
    return None if one is None or other is None else one - other


def published_score(arm: ArmKey, metric: str) -> float | None:
    """The published score of an arm as a share, if there is one."""
    return next((absolute(cell) for cell in _cells(arm, metric)), None)


def _cells(arm: ArmKey, metric: str) -> Iterator[Published]:
    """What is published of an arm, over the tables."""
    made = (arm.author, arm.mode)
    if arm.condition in (*BASELINES.values(), NO_SKILL):
        made = ("", "")
    for table in "123456":
        cell = published().get(Key(table, *made, arm.condition, arm.user, arm.benchmark, metric))
        if cell:
            yield cell


def _corrected(deltas: Sequence[Delta]) -> Iterator[Delta]:
    """Differences with p-values corrected within their family, under both readings of what is missing."""
    for family in ("primary", "secondary"):
        members = [delta for delta in deltas if delta.family == family]
        left_out = holm([d.comparison.result.p_value if d.comparison else math.nan for d in members]).tolist()
        failed = holm([_as_failures(d.comparison).p_value if d.comparison else math.nan for d in members]).tolist()
        for delta, p_value, p_failed in zip(members, left_out, failed, strict=True):
            if delta.comparison is None:
                yield delta
                continue
            yield replace(delta, adjusted=p_value, comparison=_together(delta.comparison, p_value, p_failed))


def _together(comparison: Comparison, p_value: float, p_failed: float) -> Comparison:
    """A comparison with p-values corrected for the others of its family, and intervals that hold together."""
    failed = comparison.as_failures
    wide = replace(comparison.result, low=comparison.simultaneous[0], high=comparison.simultaneous[1])
    together = cut(wide, p_value)
    return comparison.model_copy(
        update={
            "p_adjusted": p_value,
            "p_adjusted_as_failures": p_failed,
            "as_failures": cut(failed, p_failed) if failed else None,
            "simultaneous": (together.low, together.high),
        }
    )


def _as_failures(comparison: Comparison) -> PairedResult:
    return comparison.as_failures or comparison.result


def _alone(
    arms: Mapping[ArmKey, Arm], scores: Mapping[tuple[ArmKey, str], compared.Arm]
) -> dict[tuple[ArmKey, str], compared.Arm]:
    """Scores of measured arms that are in no comparison."""
    found: dict[tuple[ArmKey, str], compared.Arm] = {}
    for key, arm in arms.items():
        for metric, where in arm.metrics.items() if arm.state == "measured" else ():
            if (key, metric) in scores:
                continue
            try:
                asked = Asked(scorer=where.scorer, key=where.key, several_skills=True, allow_same_logs=True)
                asked.update(arm.of_seen)
                comparison = compare(arm.logs, arm.logs, names=(key.label, "itself"), **asked)
                if metric in METRICS:
                    comparison = over_tasks(comparison, metric, arm.logs, arm.logs)
            except LogError:
                continue
            found[key, metric] = comparison.control
    return found
