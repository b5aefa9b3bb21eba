"""What an arm of a comparison is: its logs, its scores over the compared samples, and what differs between arms."""

import math
from collections.abc import Iterable, Mapping, Sequence

from trace2skill.comparison.arms import LoadedArm, SampleRuns
from trace2skill.comparison.repeats import repeats
from trace2skill.comparison.results import Arm, LogFile, MissingSample, Setting
from trace2skill.comparison.statistics import mean_interval
from trace2skill.logs.files import LoadedLog
from trace2skill.logs.header import Header

BUDGET = "tokens_budget"
"""Metadata of a sample under which a task keeps what its agent might spend on it."""

NOT_PLANNED = "not in its logs"
"""Why a run is missing that an arm's logs never called for."""


def complete(runs: Mapping[str, SampleRuns], expected: Sequence[str]) -> dict[str, SampleRuns]:
    """The runs of every expected sample, in that order; an arm that never had a sample misses it."""
    usual = max(len(sample.scores) + sum(sample.missing.values()) for sample in runs.values())
    absent = SampleRuns(scores=(), missing={NOT_PLANNED: usual}, missing_skills=("",) * usual, planned=False)
    return {sample: runs.get(sample, absent) for sample in expected}


def summarise(
    arm: LoadedArm, runs: Mapping[str, SampleRuns], compared: Sequence[str], clusters: Mapping[str, str] | None
) -> Arm:
    """An arm as it is saved and shown, its mean being that over the compared samples."""
    scored = [sample for sample in runs if runs[sample].scores]
    labels = [clusters[sample] for sample in compared] if clusters else None
    mean = mean_interval([runs[sample].score for sample in compared], clusters=labels)
    missing = sum(count for sample in runs.values() for count in sample.missing.values())
    runs_scored = sum(len(sample.scores) for sample in runs.values())
    headers = [header for log in arm.logs for header in log.headers]
    return Arm(
        name=arm.name,
        logs=tuple(
            LogFile(
                file=str(header.file),
                eval_id=header.eval_id,
                task=header.title,
                model=header.model.model,
                status=header.status,
                created=header.created,
            )
            for header in headers
        ),
        superseded=tuple(map(str, arm.superseded)),
        models=tuple(sorted({header.model.model for header in headers})),
        skills=arguments(headers, "skill"),
        memories=arguments(headers, "memory"),
        match_tokens=arguments(headers, "match_tokens"),
        tokens_per_run=_tokens_per_run(arm),
        tokens_allowed=_tokens_allowed(arm),
        samples=len(runs),
        scored=len(scored),
        runs=runs_scored + missing,
        runs_scored=runs_scored,
        repeats=repeats([runs[sample].scores for sample in compared], clusters=labels),
        mean=mean.mean,
        low=mean.low,
        high=mean.high,
        missing=tuple(
            MissingSample(id=name, scored=len(sample.scores), missing=dict(sample.missing))
            for name, sample in runs.items()
            if sample.missing
        ),
    )


def arguments(headers: Iterable[Header], name: str) -> tuple[str, ...]:
    """The values of a task argument, where it was given."""
    return tuple(sorted({str(value) for header in headers if (value := header.arguments.get(name))}))


def _tokens_per_run(arm: LoadedArm) -> float | None:
    runs = [summary for log in arm.logs for summary in log.summaries if not summary.error]
    used = [sum(model.total_tokens for model in run.model_usage.values()) for run in runs]
    return math.fsum(used) / len(used) if any(used) else None


def _tokens_allowed(arm: LoadedArm) -> float | None:
    runs = [summary for log in arm.logs for summary in log.summaries if not summary.error]
    budgets = [run.metadata.get(BUDGET) for run in runs]
    known = [budget for budget in budgets if isinstance(budget, int) and not isinstance(budget, bool)]
    return math.fsum(known) / len(known) if known else None


def differing_settings(control: Sequence[LoadedLog], treatment: Sequence[LoadedLog]) -> tuple[Setting, ...]:
    """Everything in which the logs of two arms were not made alike."""
    a, b = _settings(control), _settings(treatment)
    return tuple(
        Setting(name=name, control=tuple(sorted(a.get(name, ()))), treatment=tuple(sorted(b.get(name, ()))))
        for name in sorted(a.keys() | b.keys())
        if a.get(name) != b.get(name)
    )


def _settings(logs: Sequence[LoadedLog]) -> dict[str, set[str]]:
    """Values of everything that a log says about how it was made, over the logs."""
    values: dict[str, set[str]] = {}
    for said in (header for log in logs for header in log.headers):
        found: dict[str, object] = {"model": said.model.model, "task": said.title, "dataset": said.dataset}
        found |= {"solver": said.solver, "limit.epochs": said.epochs}
        found |= {f"task.{name}": value for name, value in said.arguments.items()}
        found |= {f"generation.{name}": value for name, value in said.generation.items()}
        found |= {f"limit.{name}": value for name, value in said.limits.items()}
        for name, value in found.items():
            values.setdefault(name, set()).add(str(value))
    return values
