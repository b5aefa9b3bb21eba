"""Do two conditions differ? A paired test on the logs of evaluations of the same samples.

Scores are paired by sample id; epochs and several logs (seeds) of an arm are averaged per sample. The test uses the
samples that have a score in both arms. What is missing is listed for each arm, with the difference that would
result if every missing run spoke against the treatment, or for it.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

import numpy as np

from trace2skill.comparison.arms import (
    LoadedArm,
    Logs,
    Measure,
    SampleRuns,
    choose_scorer,
    load_arm,
    read_clusters,
    read_runs,
)
from trace2skill.comparison.results import Arm, Comparison, ComparisonTable, LogFile, MissingSample, Pair, Setting
from trace2skill.comparison.statistics import holm, mean_interval, paired_test
from trace2skill.errors import LogError
from trace2skill.logs.files import LoadedLog
from trace2skill.logs.header import Header
from trace2skill.models.simulated import is_simulated


def compare(
    control: Logs,
    treatment: Logs,
    *,
    scorer: str | None = None,
    key: str | None = None,
    cluster: str | None = None,
    allow_different_tasks: bool = False,
    names: tuple[str, str] = ("control", "treatment"),
    seed: int = 0,
) -> Comparison:
    """Compare the scores of two conditions on the same samples.

    Args:
        control: The logs of the condition compared against: an .eval file, a folder, or several.
        treatment: The logs of the condition whose effect is asked for.
        scorer: The scorer to compare by; needed if the logs have several.
        key: Which of the scorer's values to compare; needed if it gives a dictionary.
        cluster: Sample metadata field that groups dependent samples, such as questions on one table.
        allow_different_tasks: Compare although task, version or dataset names differ.
        names: Names of the two arms in tables.
        seed: Seed of the statistics.

    Returns:
        The comparison; treatment minus control.

    Raises:
        LogError: Logs are missing, unreadable, without scores, or not about the same samples.
    """
    arms = {names[0]: control, names[1]: treatment}
    if len(arms) < 2:
        raise LogError(f"Two arms need two names, but both are '{names[0]}'.")
    table = compare_table(
        arms,
        names[0],
        scorer=scorer,
        key=key,
        cluster=cluster,
        allow_different_tasks=allow_different_tasks,
        seed=seed,
    )
    return table.comparisons[0]


def compare_table(
    arms: Mapping[str, Logs],
    baseline: str,
    *,
    scorer: str | None = None,
    key: str | None = None,
    cluster: str | None = None,
    allow_different_tasks: bool = False,
    seed: int = 0,
) -> ComparisonTable:
    """Compare several conditions with one baseline, with p-values corrected for their number.

    Args:
        arms: The logs of each condition by its name.
        baseline: Name of the condition that the others are compared with.
        scorer: The scorer to compare by; needed if the logs have several.
        key: Which of the scorer's values to compare; needed if it gives a dictionary.
        cluster: Sample metadata field that groups dependent samples, such as questions on one table.
        allow_different_tasks: Compare although task, version or dataset names differ.
        seed: Seed of the statistics.

    Returns:
        One comparison for each arm other than the baseline.

    Raises:
        LogError: Logs are missing, unreadable, without scores, or not about the same samples.
    """
    if baseline not in arms or len(arms) < 2:
        raise LogError(f"A baseline and another arm are required; got '{baseline}' and {', '.join(arms)}.")
    loaded = {name: load_arm(name, logs) for name, logs in arms.items()}
    _check_same_samples(loaded.values(), allow_different_tasks)
    measure = Measure(scorer=choose_scorer(loaded.values(), scorer), key=key, cluster=cluster)
    runs = {name: read_runs(arm, measure) for name, arm in loaded.items()}
    expected = sorted(set().union(*runs.values()))
    for name in arms:
        runs[name] = _complete(runs[name], expected)
    clusters = read_clusters(loaded.values(), cluster) if cluster else None
    comparisons = tuple(
        _compare_arms((loaded[baseline], loaded[name]), (runs[baseline], runs[name]), measure, clusters, seed)
        for name in arms
        if name != baseline
    )
    return ComparisonTable(
        simulated=any(comparison.simulated for comparison in comparisons),
        baseline=baseline,
        comparisons=comparisons,
        adjusted=tuple(holm([comparison.result.p_value for comparison in comparisons]).tolist()),
    )


def _compare_arms(
    arms: tuple[LoadedArm, LoadedArm],
    runs: tuple[dict[str, SampleRuns], dict[str, SampleRuns]],
    measure: Measure,
    clusters: Mapping[str, str] | None,
    seed: int,
) -> Comparison:
    control, treatment = runs
    paired = [sample for sample in control if control[sample].scores and treatment[sample].scores]
    if not paired:
        raise LogError(
            f"No sample has a score in both arms: '{arms[0].name}' has {_scored(control)} scored samples, "
            f"'{arms[1].name}' has {_scored(treatment)}. Evaluate both on the same split."
        )
    labels = [clusters[sample] for sample in paired] if clusters else None
    a = [control[sample].score for sample in paired]
    b = [treatment[sample].score for sample in paired]
    worst, best = _bounds(control, treatment)
    logs = [log for arm in arms for log in arm.logs]
    return Comparison(
        simulated=is_simulated(model for log in logs for model in log.header.models),
        tasks=tuple(sorted({log.header.title for log in logs})),
        scorer=measure.scorer,
        key=measure.key,
        cluster=measure.cluster,
        seed=seed,
        control=_summarise(arms[0], control, clusters),
        treatment=_summarise(arms[1], treatment, clusters),
        settings=_differing_settings(arms[0].logs, arms[1].logs),
        result=paired_test(a, b, clusters=labels, seed=seed),
        worst=worst,
        best=best,
        pairs=tuple(
            Pair(id=sample, control=x, treatment=y, cluster=clusters[sample] if clusters else None)
            for sample, x, y in zip(paired, a, b, strict=True)
        ),
    )


def _check_same_samples(arms: Iterable[LoadedArm], allow_different_tasks: bool) -> None:
    logs = [log for arm in arms for log in arm.logs]
    datasets = {log.header.dataset for log in logs} - {None}
    for what, found in (("task", {log.header.title for log in logs}), ("dataset", datasets)):
        if len(found) > 1 and not allow_different_tasks:
            raise LogError(
                f"All logs must be of one {what}, but are of: {', '.join(sorted(map(str, found)))}. Pick the logs "
                "of one, or pass --allow-different-tasks if their sample ids mean the same samples."
            )
    contents: dict[str, tuple[str, str, LoadedLog]] = {}
    for log in logs:
        for summary in log.summaries:
            question = summary.input
            text = question if isinstance(question, str) else "\n".join(message.text for message in question)
            first_text, first_target, first = contents.setdefault(str(summary.id), (text, str(summary.target), log))
            # A prompt or the path of a reference file may differ between runs; both together mean another sample.
            if text != first_text and str(summary.target) != first_target:
                raise LogError(
                    f"Sample {summary.id} differs in input and target between {first.file} and {log.file}: the "
                    "logs are of different datasets that number their samples alike, and cannot be paired."
                )


def _complete(runs: Mapping[str, SampleRuns], expected: Sequence[str]) -> dict[str, SampleRuns]:
    """The runs of every expected sample, in that order; an arm that never had a sample misses it."""
    usual = max(len(sample.scores) + sum(sample.missing.values()) for sample in runs.values())
    absent = SampleRuns(scores=(), missing={"absent": usual})
    return {sample: runs.get(sample, absent) for sample in expected}


def _scored(runs: Mapping[str, SampleRuns]) -> int:
    return sum(bool(sample.scores) for sample in runs.values())


def _bounds(control: Mapping[str, SampleRuns], treatment: Mapping[str, SampleRuns]) -> tuple[float, float]:
    every = list(chain(control.values(), treatment.values()))
    if any(sample.missing for sample in every) and not all(0 <= x <= 1 for s in every for x in s.scores):
        return math.nan, math.nan
    low, high = (
        np.mean([treatment[s].score_if_missing_were(x) - control[s].score_if_missing_were(1 - x) for s in control])
        for x in (0.0, 1.0)
    )
    return float(low), float(high)


def _summarise(arm: LoadedArm, runs: Mapping[str, SampleRuns], clusters: Mapping[str, str] | None) -> Arm:
    scored = [sample for sample in runs if runs[sample].scores]
    labels = [clusters[sample] for sample in scored] if clusters else None
    mean = mean_interval([runs[sample].score for sample in scored], clusters=labels)
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
        skills=_arguments(headers, "skill"),
        memories=_arguments(headers, "memory"),
        match_tokens=_arguments(headers, "match_tokens"),
        tokens_per_run=_tokens_per_run(arm),
        samples=len(runs),
        scored=len(scored),
        runs=runs_scored + missing,
        runs_scored=runs_scored,
        mean=mean.mean,
        low=mean.low,
        high=mean.high,
        missing=tuple(
            MissingSample(id=name, scored=len(sample.scores), missing=dict(sample.missing))
            for name, sample in runs.items()
            if sample.missing
        ),
    )


def _arguments(headers: Iterable[Header], name: str) -> tuple[str, ...]:
    """The values of a task argument, where it was given."""
    return tuple(sorted({str(value) for header in headers if (value := header.arguments.get(name))}))


def _tokens_per_run(arm: LoadedArm) -> float | None:
    runs = [summary for log in arm.logs for summary in log.summaries if not summary.error]
    used = [sum(model.total_tokens for model in run.model_usage.values()) for run in runs]
    return math.fsum(used) / len(used) if any(used) else None


def _differing_settings(control: Sequence[LoadedLog], treatment: Sequence[LoadedLog]) -> tuple[Setting, ...]:
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
