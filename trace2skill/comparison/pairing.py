"""Do two conditions differ? A paired test on the logs of evaluations of the same samples.

Scores are paired by sample id; epochs and several logs of an arm are averaged per sample. What is missing is told under
both readings: left out, so that the test uses the samples that have a score in both arms, and counted as failures.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Literal, Unpack

from trace2skill.comparison.arms import (
    LoadedArm,
    Logs,
    Measure,
    choose_scorer,
    declared_cluster,
    given_in,
    load_arm,
    read_clusters,
    read_runs,
)
from trace2skill.comparison.contrast import (
    Contrast,
    Runs,
    as_failures,
    bounds,
    contrast,
    lost,
    regressions,
    tipping_point,
)
from trace2skill.comparison.exposure import left_out, refuse_in_sample, seen_by, unrecorded_in
from trace2skill.comparison.hygiene import check_arms, check_same_samples, further_runs
from trace2skill.comparison.margin import Margins
from trace2skill.comparison.means import TINY
from trace2skill.comparison.options import NO_CLUSTERS, Asked, Options
from trace2skill.comparison.readings import looked_at, noise_of, tested_margin
from trace2skill.comparison.repeats import Noise
from trace2skill.comparison.results import Comparison, ComparisonTable, Pair, Seen
from trace2skill.comparison.sequential import Anytime
from trace2skill.comparison.statistics import PairedResult, holm
from trace2skill.comparison.summary import arguments, complete, differing_settings, summarise
from trace2skill.errors import LogError
from trace2skill.models.simulated import is_simulated

LEVEL = 0.05
"""Two-sided level of all tests, over all comparisons of a table together."""


def compare(
    control: Logs,
    treatment: Logs,
    *,
    names: tuple[str, str] = ("control", "treatment"),
    **asked: Unpack[Asked],
) -> Comparison:
    """Compare the scores of two conditions on the same samples.

    Args:
        control: The logs of the condition compared against: an .eval file, a folder, or several.
        treatment: The logs of the condition whose effect is asked for.
        names: Names of the two arms in tables.
        **asked: See `Options`: scorer, key, cluster, allow_different_tasks, allow_in_sample, unseen_only,
            allow_same_logs, several_models, several_skills, margin, aa, anytime, seed.

    Returns:
        The comparison; treatment minus control.

    Raises:
        LogError: Logs are missing, unreadable, without scores, not about the same samples, or no test of the skill.
    """
    arms = {names[0]: control, names[1]: treatment}
    if len(arms) < 2:
        raise LogError(f"Two arms need two names, but both are '{names[0]}'.")
    return compare_table(arms, names[0], **asked).comparisons[0]


def compare_table(arms: Mapping[str, Logs], baseline: str, **asked: Unpack[Asked]) -> ComparisonTable:
    """Compare several conditions with one baseline, with p-values and intervals corrected for their number.

    Args:
        arms: The logs of each condition by its name.
        baseline: Name of the condition that the others are compared with.
        **asked: As for `compare`.

    Returns:
        One comparison for each arm other than the baseline.

    Raises:
        LogError: As for `compare`.
    """
    if baseline not in arms or len(arms) < 2:
        raise LogError(f"A baseline and another arm are required; got '{baseline}' and {', '.join(arms)}.")
    options = Options(**asked)
    options.check()
    loaded = {name: load_arm(name, logs) for name, logs in arms.items()}
    check_arms(list(loaded.values()), options)
    check_same_samples(loaded.values(), options.allow_different_tasks)
    table = _Table(loaded, baseline, options)
    comparisons = _corrected([table.comparison(name) for name in arms if name != baseline], table)
    return ComparisonTable(
        simulated=any(comparison.simulated for comparison in comparisons),
        baseline=baseline,
        comparisons=comparisons,
        adjusted=tuple(comparison.p_adjusted for comparison in comparisons),
    )


class _Table:
    """The arms of a table, with their runs and clusters."""

    def __init__(self, arms: Mapping[str, LoadedArm], baseline: str, options: Options) -> None:
        self.arms, self.baseline, self.options = arms, baseline, options
        self.measure = Measure(scorer=choose_scorer(arms.values(), options.scorer), key=options.key)
        runs = {name: read_runs(arm, self.measure) for name, arm in arms.items()}
        expected = sorted(set().union(*runs.values()))
        self.runs: dict[str, Runs] = {name: complete(found, expected) for name, found in runs.items()}
        self.cluster, self.cluster_source = _cluster(arms.values(), options)
        self.clusters = read_clusters(arms.values(), self.cluster) if self.cluster else None
        if self.clusters:
            # A sample that no run has reached yet is in no log, and on its own.
            self.clusters = {sample: self.clusters.get(sample, f"sample {sample}") for sample in expected}
        self.repeated = self._repeated()
        self.seen = {name: self._seen(arm) for name, arm in arms.items() if name != baseline}

    def contrast(self, name: str) -> Contrast:
        """The runs of the baseline and of another arm, on the samples that are tested."""
        gone = left_out(self.seen[name]) if self.options.unseen_only else set()
        control, treatment = (
            {sample: found for sample, found in self.runs[arm].items() if sample not in gone}
            for arm in (self.baseline, name)
        )
        return contrast(control, treatment, self.clusters, self.options.seed)

    def comparison(self, name: str) -> Comparison:
        """An arm compared with the baseline, on its own."""
        control, treatment = self.arms[self.baseline], self.arms[name]
        found, seen = self.contrast(name), self.seen[name]
        if not found.samples and seen and self.options.unseen_only:
            raise LogError(f"{seen[0].artefact} has seen every sample that both arms have. Run them on other samples.")
        if not found.samples:
            raise LogError(
                f"No sample has a score in both arms: '{control.name}' has {_scored(found.control)} scored samples, "
                f"'{treatment.name}' has {_scored(found.treatment)}. Evaluate both on the same split."
            )
        if not self.options.allow_in_sample and not self.options.unseen_only:
            refuse_in_sample(seen, len(found.control))
        logs = [log for arm in (control, treatment) for log in arm.logs]
        headers = [header for log in logs for header in log.headers]
        result, worst_case = found.test(), as_failures(found)
        worst, best = bounds(found.control, found.treatment)
        given, before = (
            {given_in(header) for log in arm.logs for header in log.headers} - {""} for arm in (treatment, control)
        )
        new = given - before
        a, b = found.scores
        return Comparison(
            simulated=is_simulated(model for header in headers for model in header.models),
            tasks=tuple(sorted({header.title for header in headers})),
            scorer=self.measure.scorer,
            key=self.measure.key,
            cluster=self.cluster,
            cluster_source=self.cluster_source,
            split=" and ".join(arguments(headers, "split")),
            in_sample=bool(seen) and not self.options.unseen_only,
            seen=seen,
            unrecorded=unrecorded_in((control, treatment)),
            seed=self.options.seed,
            control=summarise(control, found.control, found.samples, self.clusters),
            treatment=summarise(treatment, found.treatment, found.samples, self.clusters),
            settings=differing_settings(control.logs, treatment.logs),
            result=result,
            as_failures=result if worst_case is found else worst_case.test() if worst_case else None,
            tipping_point=tipping_point(found),
            n_needed=result.n_needed,
            regressions=regressions(found),
            lost=lost(found),
            skills=len(given),
            about="method" if found.levels and len(given) > 1 else "skill" if new else "condition",
            margins=self._margins(found),
            noise=self._noise(found),
            anytime=self._anytime(found),
            worst=worst,
            best=best,
            pairs=tuple(
                Pair(id=sample, control=x, treatment=y, cluster=self.clusters[sample] if self.clusters else None)
                for sample, x, y in zip(found.samples, a, b, strict=True)
            ),
        )

    def _seen(self, arm: LoadedArm) -> tuple[Seen, ...]:
        """What the skills and memories of an arm and of the baseline have seen of the samples."""
        return seen_by(
            (self.arms[self.baseline], arm),
            tuple(self.runs[self.baseline]),
            cluster=self.cluster,
            lenient=self.options.allow_in_sample,
        )

    def _margins(self, found: Contrast) -> Margins | None:
        if self.options.margin is None:
            return None
        if self.options.margin >= 1 and all(0 <= score <= 1 for arm in found.scores for score in arm):
            raise LogError(
                f"--margin {self.options.margin:g} is no less than the whole range of these scores, 0 to 1. Give it in "
                "their unit: 0.05 for five points of percent."
            )
        return tested_margin(found, self.options.margin)

    def _anytime(self, found: Contrast) -> Anytime | None:
        if not self.options.anytime:
            return None
        if found.levels or not all(0 <= score <= 1 for arm in found.scores for score in arm):
            raise LogError("--anytime is for scores within 0 to 1, and for arms of one skill. Leave it out.")
        return looked_at(found)

    def _repeated(self) -> Runs:
        """All runs of the baseline, those that were repeated for their noise included."""
        if self.options.aa is None:
            return self.runs[self.baseline]
        control = self.arms[self.baseline]
        again = further_runs(control, load_arm("A/A", self.options.aa), self.arms.values(), self.options)
        both = LoadedArm(name="A/A", logs=(*control.logs, *again.logs), superseded=())
        return read_runs(both, self.measure)

    def _noise(self, found: Contrast) -> Noise | None:
        measured = noise_of(self.repeated, found)
        if measured is None and self.options.aa is not None:
            raise LogError("--aa: no sample was run twice. Run the baseline again, at the study's concurrency.")
        return measured


def _corrected(comparisons: Sequence[Comparison], table: _Table) -> tuple[Comparison, ...]:
    """Comparisons with the p-values of Holm's correction, and intervals that hold together.

    Intervals are Bonferroni's; one whose difference Holm's rule takes for shown ends at zero where it would reach over
    it (Strassburger and Bretz 2008, Stat Med 27:4914).
    """
    count = max(len(comparisons), table.options.family)
    # Whoever asks for more than these comparisons corrects the p-values, too, and cuts the intervals then.
    more = count > len(comparisons)
    plain = holm([comparison.result.p_value for comparison in comparisons])
    failed = holm([(comparison.as_failures or comparison.result).p_value for comparison in comparisons])
    corrected = []
    for comparison, p, p_failed in zip(comparisons, plain.tolist(), failed.tolist(), strict=True):
        result, failures = comparison.result, comparison.as_failures
        wide = result
        if count > 1:
            found = table.contrast(comparison.treatment.name)
            worst_case = as_failures(found)
            wide = found.test(confidence=1 - LEVEL / count)
            failures = (
                wide if worst_case is found else worst_case.test(confidence=1 - LEVEL / count) if worst_case else None
            )
        corrected.append(
            comparison.model_copy(
                update={
                    "p_adjusted": p,
                    "p_adjusted_as_failures": p_failed,
                    "as_failures": failures if more or failures is None else cut(failures, p_failed),
                    "simultaneous": _ends(wide if more else cut(wide, p)),
                }
            )
        )
    return tuple(corrected)


def cut(result: PairedResult, p_adjusted: float) -> PairedResult:
    """A result with a Bonferroni interval, cut off at zero where Holm's rule takes the difference for shown."""
    if math.isnan(result.low) or not p_adjusted <= LEVEL:
        return result
    if result.difference > 0:
        return replace(result, low=max(result.low, TINY))
    return replace(result, high=min(result.high, -TINY))


def _ends(result: PairedResult) -> tuple[float, float]:
    return result.low, result.high


def _cluster(arms: Iterable[LoadedArm], options: Options) -> tuple[str | None, Literal["asked", "task", "none"]]:
    """The metadata field that groups dependent samples, and who says so."""
    if options.cluster == NO_CLUSTERS:
        return None, "none"
    if options.cluster:
        return options.cluster, "asked"
    declared = declared_cluster(arms)
    return (declared, "task") if declared else (None, "none")


def _scored(runs: Runs) -> int:
    return sum(bool(sample.scores) for sample in runs.values())
