"""Two arms on the same samples: what is tested, under both readings of what is missing."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from trace2skill.comparison.arms import ABSENT, SampleRuns
from trace2skill.comparison.levels import TwoLevel, two_level
from trace2skill.comparison.means import agreeing
from trace2skill.comparison.statistics import PairedResult, paired_test

Runs = Mapping[str, SampleRuns]

_TIPPING_DRAWS = 2_000
_TIPPING_STEPS = 12


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """Runs of two arms on the same samples, each sample with a score in both."""

    control: Runs
    treatment: Runs
    samples: tuple[str, ...]
    """The samples that are compared, in order."""
    clusters: Mapping[str, str] | None
    seed: int

    @property
    def scores(self) -> tuple[list[float], list[float]]:
        """Mean score of each sample in both arms."""
        return [self.control[s].score for s in self.samples], [self.treatment[s].score for s in self.samples]

    @property
    def labels(self) -> list[str] | None:
        """The cluster of each sample; None if they are independent."""
        return [self.clusters[s] for s in self.samples] if self.clusters else None

    @property
    def levels(self) -> TwoLevel | None:
        """The difference with its error over tasks and skills; None where neither arm has several of them."""
        arms = [_by_skill(runs, self.samples) for runs in (self.control, self.treatment)]
        return two_level(*arms, clusters=self.labels) if max(arm.shape[1] for arm in arms) > 1 else None

    def test(self, confidence: float = 0.95, resamples: int = 10_000) -> PairedResult:
        """The test of the difference: over tasks, and over skills where an arm has several."""
        a, b = self.scores
        result = paired_test(
            a,
            b,
            clusters=self.labels,
            confidence=confidence,
            run_variance=self._run_variance(),
            resamples=resamples,
            seed=self.seed,
        )
        return _over_skills(result, self.levels, all(0 <= score <= 1 for score in (*a, *b)))

    def _run_variance(self) -> NDArray[np.float64] | None:
        """Variance of each difference if both arms were alike; None where each sample has as many runs in both."""
        both = [(self.control[s].scores, self.treatment[s].scores) for s in self.samples]
        if all(len(one) == len(other) for one, other in both):
            return None
        return np.array(
            [
                np.var([*one, *other], ddof=1) * (1 / len(one) + 1 / len(other)) if one or other else 0.0
                for one, other in both
            ]
        )


def contrast(control: Runs, treatment: Runs, clusters: Mapping[str, str] | None, seed: int) -> Contrast:
    """The samples that have a score in both arms: what is missing is left out."""
    samples = tuple(s for s in control if control[s].scores and treatment[s].scores)
    return Contrast(control=control, treatment=treatment, samples=samples, clusters=clusters, seed=seed)


def as_failures(found: Contrast, *, treatment: float = 0.0, control: float = 0.0) -> Contrast | None:
    """The same with a score in place of every missing run that the logs of both arms call for.

    Args:
        found: The comparison with what is missing left out.
        treatment: The score of a missing run of the treatment.
        control: That of the control.

    Returns:
        The contrast itself where nothing is missing; None where scores lie outside 0..1, so that 0 is no failure.
    """
    planned = tuple(s for s in found.control if found.control[s].planned and found.treatment[s].planned)
    if not any(arm[s].missing for s in planned for arm in (found.control, found.treatment)):
        return found
    everything = [score for arm in (found.control, found.treatment) for runs in arm.values() for score in runs.scores]
    if not all(0 <= score <= 1 for score in everything):
        return None
    return replace(
        found,
        control={s: _filled(found.control[s], control) for s in planned},
        treatment={s: _filled(found.treatment[s], treatment) for s in planned},
        samples=planned,
    )


def reached(found: Contrast) -> Contrast:
    """The same of samples that both arms have come to: runs that never happened are not waited for."""

    def come_to(arm: Runs) -> Runs:
        return {
            s: replace(runs, missing={why: n for why, n in runs.missing.items() if why != ABSENT}, missing_skills=())
            for s, runs in arm.items()
        }

    control, treatment = come_to(found.control), come_to(found.treatment)
    there = [s for s in control if all(arm[s].scores or arm[s].missing for arm in (control, treatment))]
    return replace(found, control={s: control[s] for s in there}, treatment={s: treatment[s] for s in there})


def in_order(found: Contrast) -> Contrast:
    """The same with samples in the order in which they were complete in both arms: what comes later comes behind."""
    arms = (found.control, found.treatment)
    return replace(
        found, samples=tuple(sorted(found.samples, key=lambda s: (max(arm[s].completed for arm in arms), s)))
    )


def tipping_point(found: Contrast) -> float:
    """The score of the treatment's missing runs, one minus it for the control's, from which it is better at 5%.

    Returns:
        0 if it is better even at the worst; NaN if not even at the best, if nothing is missing, or outside 0..1.
    """
    if as_failures(found) in (found, None):
        return math.nan

    def better(score: float) -> bool:
        filled = as_failures(found, treatment=score, control=1 - score)
        result = filled.test(resamples=_TIPPING_DRAWS) if filled else None
        return bool(result and result.p_value <= 0.05 and result.difference > 0)

    if not better(1.0):
        return math.nan
    low, high = 0.0, 1.0
    if better(low):
        return low
    for _ in range(_TIPPING_STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if better(middle) else (middle, high)
    return round(high, 3)


def bounds(control: Runs, treatment: Runs) -> tuple[float, float]:
    """The difference over all samples if every missing run spoke against the treatment, and for it."""
    every = [*control.values(), *treatment.values()]
    if any(sample.missing for sample in every) and not all(0 <= x <= 1 for s in every for x in s.scores):
        return math.nan, math.nan
    low, high = (
        np.mean([treatment[s].score_if_missing_were(x) - control[s].score_if_missing_were(1 - x) for s in control])
        for x in (0.0, 1.0)
    )
    return float(low), float(high)


def regressions(found: Contrast) -> tuple[str, ...]:
    """Samples that the treatment scored lower, the largest loss first."""
    losses = {s: found.control[s].score - found.treatment[s].score for s in found.samples}
    return tuple(s for s in sorted(losses, key=lambda s: (-losses[s], s)) if losses[s] > 1e-12)


def lost(found: Contrast) -> tuple[str, ...]:
    """Samples that the control has points for, and of which all runs of the treatment are missing that were planned."""
    planned = (s for s in sorted(found.control) if found.treatment[s].planned)
    gone = (s for s in planned if found.treatment[s].missing and not found.treatment[s].scores)
    return tuple(s for s in gone if found.control[s].scores and found.control[s].score > 0)


def _filled(runs: SampleRuns, score: float) -> SampleRuns:
    count = sum(runs.missing.values())
    return replace(
        runs, scores=(*runs.scores, *[score] * count), skills=(*runs.skills, *runs.missing_skills), missing={}
    )


def _by_skill(runs: Runs, samples: Sequence[str]) -> NDArray[np.float64]:
    """Mean score of each sample with each skill, shape (samples, skills); NaN where it has none."""
    names = sorted({skill for s in samples for skill in runs[s].skills}) or [""]
    table = np.full((len(samples), len(names)), np.nan)
    for row, sample in enumerate(samples):
        scored = runs[sample]
        for column, name in enumerate(names):
            found = [score for score, skill in zip(scored.scores, scored.skills, strict=True) if skill == name]
            if found:
                table[row, column] = math.fsum(found) / len(found)
    return table


def _over_skills(result: PairedResult, levels: TwoLevel | None, bounded: bool) -> PairedResult:
    """A result whose error is that over tasks and skills, and that claims no more than tasks alone would allow.

    Few tasks, or tasks of little spread, say too little about their own part of the error; the test over tasks knows
    what to make of them.
    """
    if levels is None or math.isnan(levels.error):
        return result
    p_value = max(levels.p_value(), result.p_value)
    alpha = round(1 - result.confidence, 12)
    low, high = levels.interval(alpha)
    low, high = min(low, result.low), max(high, result.high)
    if bounded:
        low, high = max(low, -1.0), min(high, 1.0)
    low, high = agreeing(low, high, p_value <= alpha, levels.difference)
    effect = max(levels.detectable(), result.mde) if not math.isnan(result.mde) else math.nan
    return replace(
        result,
        difference=levels.difference,
        low=low,
        high=high,
        p_value=p_value,
        mde=math.nan if bounded and effect > 1 else effect,
        n_needed=max(levels.samples_needed(result.n), result.n_needed),
        test=f"two-level t (tasks and {levels.skills} skills)",
        interval="two-level t",
    )
