"""Scores of tasks with several test cases, each case a sample of its own: `soft` and `hard` of the paper.

Soft is the share of a task's cases that passed, hard is 1 if all of them did. A task of which a case has no score has
none itself, in that run; counted as a failure it is 0. So is a task that a log calls for and that never ran. Where
samples name no task, each is the one case of its own; so is one that ran in no log, of which nobody knows the task.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from trace2skill.comparison import Comparison
from trace2skill.comparison import results as compared
from trace2skill.comparison.arms import (
    LoadedArm,
    Measure,
    SampleRuns,
    completions,
    given_in,
    load_arm,
    outcome_of,
    read_clusters,
)
from trace2skill.comparison.contrast import (
    Runs,
    as_failures,
    bounds,
    contrast,
    lost,
    regressions,
    tipping_point,
)
from trace2skill.comparison.exposure import left_out
from trace2skill.comparison.readings import looked_at, noise_of, tested_margin
from trace2skill.comparison.repeats import repeats
from trace2skill.comparison.results import Pair, Seen
from trace2skill.comparison.statistics import mean_interval
from trace2skill.comparison.summary import complete
from trace2skill.comparison.verdict import LEVEL
from trace2skill.errors import LogError
from trace2skill.logs.files import LoadedLog, Run

METRICS = {"soft": fmean, "hard": lambda cases: float(min(cases) == 1.0)}
"""How the cases of a task are summarised."""


@dataclass(frozen=True, kw_only=True)
class _Cases:
    """Which task each case belongs to, and how many cases a task has, by all logs of both arms."""

    tasks: Mapping[str, str]
    counts: Mapping[str, int]

    def task(self, case: str) -> str:
        """The task of a case; its own where no log names one."""
        return self.tasks.get(case, case)


def over_tasks(
    comparison: Comparison, metric: str, control: Sequence[Path], treatment: Sequence[Path], family: int = 1
) -> Comparison:
    """A comparison of test cases as one of the tasks that they belong to.

    A margin that was asked for, and the test for several looks, are those of tasks as well. So is the noise: of the
    control's own repetitions, since runs that were repeated for it alone are not among these logs.

    Args:
        comparison: The comparison of the cases, clustered by the field that names their task.
        metric: `soft` or `hard`.
        control: Logs of the control.
        treatment: Logs of the treatment.
        family: Comparisons for which the interval holds together.

    Raises:
        LogError: Cases do not say which task they belong to, or no task has a score in both arms.
    """
    arms = load_arm("control", list(control)), load_arm("treatment", list(treatment))
    cases = _cases_of(arms, comparison)
    a, b = (_tasks(arm, metric, comparison, cases) for arm in arms)
    seen = tuple(_of_tasks(row, cases) for row in comparison.seen)
    gone = set() if comparison.in_sample else left_out(seen)
    names = sorted((a.keys() | b.keys()) - gone)
    found = contrast(complete(a, names), complete(b, names), None, comparison.seed)
    if not found.samples:
        raise LogError(f"No task has a score in '{metric}' in both arms: cases are missing in each.")
    result, worst_case = found.test(), as_failures(found)
    together = found.test(confidence=1 - LEVEL / family)
    failed = (
        together if worst_case is found else worst_case.test(confidence=together.confidence) if worst_case else None
    )
    worst, best = bounds(found.control, found.treatment)
    return comparison.model_copy(
        update={
            "cluster": None,
            "cluster_source": "none",
            "seen": seen,
            "control": _summary(comparison.control, found.control, found.samples),
            "treatment": _summary(comparison.treatment, found.treatment, found.samples),
            "result": result,
            "as_failures": failed,
            "tipping_point": tipping_point(found),
            "n_needed": result.n_needed,
            "regressions": regressions(found),
            "lost": lost(found),
            "margins": tested_margin(found, comparison.margins.margin) if comparison.margins else None,
            "noise": noise_of(found.control, found),
            "anytime": looked_at(found) if comparison.anytime and not found.levels else None,
            "worst": worst,
            "best": best,
            "p_adjusted": result.p_value,
            "p_adjusted_as_failures": (failed or result).p_value,
            "simultaneous": (together.low, together.high),
            "pairs": tuple(
                Pair(id=name, control=x, treatment=y, cluster=None)
                for name, x, y in zip(found.samples, *found.scores, strict=True)
            ),
        }
    )


def _of_tasks(seen: Seen, cases: _Cases) -> Seen:
    """What was seen, by task: one of which a case was seen is seen itself."""
    own = dict.fromkeys(map(cases.task, seen.samples))
    others = dict.fromkeys(task for task in map(cases.task, seen.related) if task not in own)
    return seen.model_copy(update={"samples": tuple(own), "related": tuple(others)})


def _cases_of(arms: Sequence[LoadedArm], comparison: Comparison) -> _Cases:
    counts: dict[str, int] = defaultdict(int)
    tasks = read_clusters(arms, comparison.cluster) if comparison.cluster else {}
    for log in (log for arm in arms for log in arm.logs):
        for run in log.runs:
            name = str(run.summary.id)
            if comparison.cluster is None and _count(run) > 1:
                raise LogError(f"{log.file}: sample {name} is a case of several, and names no task to score.")
            counts[tasks.get(name, name)] = max(counts[tasks.get(name, name)], _count(run))
    return _Cases(tasks=tasks, counts=counts)


def _count(run: Run) -> int:
    """How many cases the task of a case has, where it says so."""
    count = run.summary.metadata.get("cases")
    return count if isinstance(count, int) else 0


def _tasks(arm: LoadedArm, metric: str, comparison: Comparison, cases: _Cases) -> dict[str, SampleRuns]:
    """The runs of each task: one for each log and epoch."""
    scores: dict[str, list[tuple[float | None, str]]] = defaultdict(list)
    completed: defaultdict[str, str] = defaultdict(str)
    for case, time in completions(arm).items():
        completed[cases.task(case)] = max(completed[cases.task(case)], time)
    for log in arm.logs:
        skill = given_in(log.header)
        for task, outcomes in _outcomes(log, comparison, cases):
            known = [score for score in outcomes if score is not None]
            scores[task].append((METRICS[metric](known) if len(known) == len(outcomes) else None, skill))
    return {
        task: SampleRuns(
            scores=tuple(score for score, _ in runs if score is not None),
            skills=tuple(skill for score, skill in runs if score is not None),
            missing={"a case is missing": gone} if (gone := sum(score is None for score, _ in runs)) else {},
            missing_skills=tuple(skill for score, skill in runs if score is None),
            completed=completed[task],
        )
        for task, runs in scores.items()
    }


def _outcomes(log: LoadedLog, comparison: Comparison, cases: _Cases) -> Iterator[tuple[str, list[float | None]]]:
    """Each task that a log calls for, in each epoch, with the scores of its cases, None where one is missing."""
    measure = Measure(scorer=comparison.scorer, key=comparison.key)
    runs = {(str(run.summary.id), run.summary.epoch): outcome_of(run, measure) for run in log.runs}
    epochs = max([log.header.epochs, *(epoch for _, epoch in runs)])
    tasks: dict[str, list[str]] = defaultdict(list)
    for name in sorted({*log.header.sample_ids, *(name for name, _ in runs)}):
        tasks[cases.task(name)].append(name)
    for task, names in tasks.items():
        absent = [None] * (cases.counts.get(task, 0) - len(names))
        for epoch in range(1, epochs + 1):
            found = [runs.get((name, epoch)) for name in names]
            yield task, [*(None if isinstance(score, str) else score for score in found), *absent]


def _summary(arm: compared.Arm, runs: Runs, samples: Sequence[str]) -> compared.Arm:
    mean = mean_interval([runs[name].score for name in samples])
    missing: Mapping[str, SampleRuns] = {name: each for name, each in runs.items() if each.missing}
    return arm.model_copy(
        update={
            "samples": len(runs),
            "scored": sum(bool(each.scores) for each in runs.values()),
            "runs": sum(len(each.scores) + sum(each.missing.values()) for each in runs.values()),
            "runs_scored": sum(len(each.scores) for each in runs.values()),
            "repeats": repeats([runs[name].scores for name in samples]),
            "mean": mean.mean,
            "low": mean.low,
            "high": mean.high,
            "missing": tuple(
                compared.MissingSample(id=name, scored=len(each.scores), missing=dict(each.missing))
                for name, each in missing.items()
            ),
        }
    )
