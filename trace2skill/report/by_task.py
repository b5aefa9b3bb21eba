"""Scores of tasks with several test cases, each case a sample of its own: `soft` and `hard` of the paper.

Soft is the share of a task's cases that passed, hard is 1 if all of them did. A task of which a case has no score has
none itself, in that run; counted as a failure it is 0. Where samples name no task, each is the one case of its own.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean

from trace2skill.comparison import Comparison
from trace2skill.comparison import results as compared
from trace2skill.comparison.arms import SampleRuns, load_arm
from trace2skill.comparison.contrast import Runs, as_failures, bounds, contrast, lost, regressions, tipping_point
from trace2skill.comparison.results import Pair
from trace2skill.comparison.statistics import mean_interval
from trace2skill.comparison.verdict import LEVEL
from trace2skill.errors import LogError
from trace2skill.logs.files import LoadedLog, Run, number_of

METRICS = {"soft": fmean, "hard": lambda cases: float(min(cases) == 1.0)}
"""How the cases of a task are summarised."""


def over_tasks(
    comparison: Comparison, metric: str, control: Sequence[Path], treatment: Sequence[Path], family: int = 1
) -> Comparison:
    """A comparison of test cases as one of the tasks that they belong to.

    Args:
        comparison: The comparison of the cases, clustered by the field that names their task.
        metric: `soft` or `hard`.
        control: Logs of the control.
        treatment: Logs of the treatment.
        family: Comparisons for which the interval holds together.

    Raises:
        LogError: Cases do not say which task they belong to, or no task has a score in both arms.
    """
    a, b = (_tasks(logs, metric, comparison) for logs in (control, treatment))
    names = sorted(a.keys() | b.keys())
    absent = SampleRuns(scores=(), missing={"absent": 1}, planned=False)
    found = contrast({n: a.get(n, absent) for n in names}, {n: b.get(n, absent) for n in names}, None, comparison.seed)
    if not found.samples:
        raise LogError(f"No task has a score in '{metric}' in both arms: cases are missing in each.")
    result, worst_case = found.test(), as_failures(found)
    failed = result if worst_case is found else worst_case.test() if worst_case else None
    together = found.test(confidence=1 - LEVEL / family)
    worst, best = bounds(found.control, found.treatment)
    return comparison.model_copy(
        update={
            "cluster": None,
            "cluster_source": "none",
            "control": _summary(comparison.control, found.control, found.samples),
            "treatment": _summary(comparison.treatment, found.treatment, found.samples),
            "result": result,
            "as_failures": failed,
            "tipping_point": tipping_point(found),
            "n_needed": result.n_needed,
            "regressions": regressions(found),
            "lost": lost(found),
            "margins": None,
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


def _tasks(logs: Sequence[Path], metric: str, comparison: Comparison) -> dict[str, SampleRuns]:
    """The runs of each task: one for each log and epoch."""
    arm = load_arm("arm", list(logs))
    scores: dict[str, list[tuple[float | None, str]]] = defaultdict(list)
    for log in arm.logs:
        skill = str(log.header.arguments.get("skill") or "")
        for task, cases in _cases(log, comparison):
            known = [case for case in cases if case is not None]
            scores[task].append((METRICS[metric](known) if len(known) == len(cases) else None, skill))
    return {
        task: SampleRuns(
            scores=tuple(score for score, _ in runs if score is not None),
            skills=tuple(skill for score, skill in runs if score is not None),
            missing={"a case is missing": gone} if (gone := sum(score is None for score, _ in runs)) else {},
            missing_skills=tuple(skill for score, skill in runs if score is None),
        )
        for task, runs in scores.items()
    }


def _cases(log: LoadedLog, comparison: Comparison) -> Iterator[tuple[str, list[float | None]]]:
    """Each task of a log with the scores of its cases, None where one is missing."""
    groups: dict[tuple[str, int], list[Run]] = defaultdict(list)
    for run in log.runs:
        if comparison.cluster is None and _count(run) > 1:
            raise LogError(f"{log.file}: sample {run.summary.id} is a case of several, and names no task to score.")
        task = run.summary.metadata[comparison.cluster] if comparison.cluster else run.summary.id
        groups[str(task), run.summary.epoch].append(run)
    for (task, _), runs in sorted(groups.items()):
        cases = [_score(run, comparison) for run in runs]
        expected = max((_count(run) for run in runs), default=0)
        yield task, [*cases, *[None] * (expected - len(cases))]


def _count(run: Run) -> int:
    """How many cases the task of a case has, where it says so."""
    count = run.summary.metadata.get("cases")
    return count if isinstance(count, int) else 0


def _score(run: Run, comparison: Comparison) -> float | None:
    score = (run.summary.scores or {}).get(comparison.scorer)
    if run.summary.error is not None or score is None:
        return None
    return number_of(score, f"sample {run.summary.id}", comparison.scorer, comparison.key)


def _summary(arm: compared.Arm, runs: Runs, samples: Sequence[str]) -> compared.Arm:
    mean = mean_interval([runs[name].score for name in samples])
    missing: Mapping[str, SampleRuns] = {name: each for name, each in runs.items() if each.missing}
    return arm.model_copy(
        update={
            "samples": len(runs),
            "scored": sum(bool(each.scores) for each in runs.values()),
            "runs": sum(len(each.scores) + sum(each.missing.values()) for each in runs.values()),
            "runs_scored": sum(len(each.scores) for each in runs.values()),
            "mean": mean.mean,
            "low": mean.low,
            "high": mean.high,
            "missing": tuple(
                compared.MissingSample(id=name, scored=len(each.scores), missing=dict(each.missing))
                for name, each in missing.items()
            ),
        }
    )
