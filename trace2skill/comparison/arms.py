"""One arm of a comparison: the logs of one condition, read by their summaries, as scores per sample.

A run is one attempt at one sample: an epoch of a log. Runs that errored, were invalidated, were never scored
or never happened are missing: they are kept with the reason, and never become a zero. A run that hit a limit
and was scored is a scored run.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from inspect_ai.log import EvalSampleSummary

from trace2skill.errors import LogError
from trace2skill.logs.files import LoadedLog, Run, failure_of, is_invalidated, load_logs, number_of
from trace2skill.logs.header import Header

ABSENT = "absent"
"""Why a run is missing that never happened."""

Logs = str | Path | Sequence[str | Path]
"""An .eval file, a folder of them, or several of either."""


@dataclass(frozen=True, kw_only=True)
class LoadedArm:
    """The logs of one arm; of several attempts at one evaluation each run counts once."""

    name: str
    logs: tuple[LoadedLog, ...]
    superseded: tuple[Path, ...]
    copies: tuple[tuple[Path, ...], ...] = ()
    """Files that hold one and the same evaluation, together."""


@dataclass(frozen=True, kw_only=True)
class Measure:
    """What is compared."""

    scorer: str
    """Name of the scorer."""
    key: str | None = None
    """Which value, if the scorer gives several."""


@dataclass(frozen=True, kw_only=True)
class SampleRuns:
    """All runs of one sample in one arm."""

    scores: tuple[float, ...]
    missing: Mapping[str, int]
    """Number of missing runs for each reason."""
    skills: tuple[str, ...] = ()
    """The skill or memory of each scored run, in the same order; empty for neither."""
    missing_skills: tuple[str, ...] = ()
    """The skill or memory of each missing run."""
    planned: bool = True
    """Whether the arm's logs call for runs of it."""
    completed: str = ""
    """When the last of them ended, as an ISO time in UTC; empty where no log says so."""

    @property
    def score(self) -> float:
        """Mean of the scored runs; NaN if there is none."""
        return math.fsum(self.scores) / len(self.scores) if self.scores else math.nan

    def score_if_missing_were(self, value: float) -> float:
        """Mean over all runs, with a value put in place of each missing one."""
        missing = sum(self.missing.values())
        return (math.fsum(self.scores) + value * missing) / (len(self.scores) + missing)


def load_arm(name: str, logs: Logs) -> LoadedArm:
    """Read headers and sample summaries of an arm's logs.

    Raises:
        LogError: A path is missing, a folder holds no logs, a log cannot be read, or none has a score.
    """
    given = [logs] if isinstance(logs, str | Path) else list(logs)
    kept, superseded, copies = load_logs(given)
    if not any(summary.scores for log in kept for summary in log.summaries):
        why = failure_of(log.header for log in kept)
        raise LogError(
            f"Arm '{name}': no sample has a score in {', '.join(str(log.file) for log in kept)} "
            f"({sum(len(log.summaries) for log in kept)} samples; status "
            f"{', '.join(sorted({log.header.status for log in kept}))}).{why} Finish the evaluation with "
            "`inspect eval-retry`, or score it with `inspect score`."
        )
    return LoadedArm(name=name, logs=kept, superseded=superseded, copies=copies)


def choose_scorer(arms: Iterable[LoadedArm], scorer: str | None) -> str:
    """The scorer to compare by: the given one, or the only one.

    Raises:
        LogError: The logs have several scorers and none is given, or a log with scores lacks it.
    """
    logs = [log for arm in arms for log in arm.logs]
    names = {log.file: _scorers(log) for log in logs}
    everything = sorted(set().union(*names.values()))
    if scorer is None:
        if len(everything) > 1:
            raise LogError(f"The logs have several scorers; name one with --scorer: {', '.join(everything)}.")
        return everything[0]
    for file, found in names.items():
        if found and scorer not in found:
            raise LogError(f"{file}: no scorer '{scorer}'. Its scorers are: {', '.join(sorted(found))}.")
    if scorer not in everything:
        raise LogError(f"No log has a scorer '{scorer}'. The scorers are: {', '.join(everything)}.")
    return scorer


def read_runs(arm: LoadedArm, measure: Measure) -> dict[str, SampleRuns]:
    """Every expected run of an arm by sample id, whether scored or missing.

    Raises:
        LogError: A score is not a number and cannot be read as one.
    """
    scores: dict[str, list[tuple[float, str]]] = defaultdict(list)
    missing: dict[str, list[tuple[str, str]]] = defaultdict(list)
    completed = completions(arm)
    for log in arm.logs:
        skill = given_in(log.header)
        for sample_id, outcome in _outcomes(log, measure):
            if isinstance(outcome, str):
                missing[sample_id].append((outcome, skill))
            else:
                scores[sample_id].append((outcome, skill))
    return {
        sample_id: SampleRuns(
            scores=tuple(score for score, _ in scores[sample_id]),
            skills=tuple(skill for _, skill in scores[sample_id]),
            missing=dict(Counter(reason for reason, _ in missing[sample_id])),
            missing_skills=tuple(skill for _, skill in missing[sample_id]),
            completed=completed.get(sample_id, ""),
        )
        for sample_id in sorted(scores.keys() | missing.keys())
    }


def given_in(header: Header) -> str:
    """What was given to the agent of an evaluation: its skill, its memory, or both; empty for neither."""
    return " and ".join(str(value) for name in ("skill", "memory") if (value := header.arguments.get(name)))


def completions(arm: LoadedArm) -> dict[str, str]:
    """When the last run of each sample ended, as an ISO time in UTC, where a log says so."""
    found: dict[str, str] = {}
    for summary in (run.summary for log in arm.logs for run in log.runs):
        if summary.completed_at:
            time = datetime.fromisoformat(summary.completed_at).astimezone(UTC).isoformat()
            found[str(summary.id)] = max(time, found.get(str(summary.id), ""))
    return found


def outcome_of(run: Run, measure: Measure) -> float | str:
    """The score of a run, or the reason why it has none.

    Raises:
        LogError: The score is not a number and cannot be read as one.
    """
    summary = run.summary
    if summary.error is not None:
        return "error"
    score = (summary.scores or {}).get(measure.scorer)
    where = f"{run.header.file}: sample {summary.id}"
    value = number_of(score, where, measure.scorer, measure.key) if score is not None else None
    if value is None:
        return f"unscored after {summary.limit} limit" if summary.limit else "unscored"
    if is_invalidated(run):
        return "invalidated"
    return value


def declared_cluster(arms: Iterable[LoadedArm]) -> str | None:
    """The metadata field by which a task groups its samples, if any of the logs declares one that samples have.

    An older log may lack the declaration; its samples depend on each other all the same. A field that no sample has is
    no declaration of this kind: who wrote the log used the word for something else.

    Raises:
        LogError: Logs declare different fields.
    """
    logs = [log for arm in arms for log in arm.logs]
    had = {field for log in logs for summary in log.summaries for field in summary.metadata}
    found = sorted({log.header.cluster for log in logs} & had)
    if len(found) > 1:
        raise LogError(
            f"The logs declare different fields that group dependent samples: {', '.join(found)}. Name one with "
            "--cluster, or pass --cluster none to count samples as independent."
        )
    return found[0] if found else None


def read_clusters(arms: Iterable[LoadedArm], cluster: str) -> dict[str, str]:
    """The cluster of each sample, from its metadata in any log.

    Raises:
        LogError: A sample has no such metadata field, or two logs disagree about it.
    """
    clusters: dict[str, str] = {}
    ran: dict[str, EvalSampleSummary] = {}
    for summary in (summary for arm in arms for log in arm.logs for summary in log.summaries):
        name = str(summary.id)
        ran[name] = summary
        if (value := cluster_of(summary, cluster)) is None:
            continue
        if clusters.setdefault(name, value) != value:
            raise LogError(
                f"Sample {name} is of {cluster} {clusters[name]} in one log and of {value} in another. Pick logs "
                "of one state of the dataset, or pass --cluster none to count samples as independent."
            )
    # Nobody knows what the others depend on: as clusters of their own they would count as independent, unasked.
    if lacking := [name for name in ran if name not in clusters]:
        fields = ", ".join(sorted(ran[lacking[0]].metadata)) or "none"
        raise LogError(
            f"{len(lacking)} of {len(ran)} samples, such as {lacking[0]}, have no metadata field '{cluster}' to "
            f"cluster by, or nothing in it. Its fields: {fields}. Name another with --cluster, or pass --cluster none "
            "to count samples as independent."
        )
    return clusters


def cluster_of(summary: EvalSampleSummary, field: str) -> str | None:
    """What a sample has in a metadata field that groups samples; None if it has nothing there."""
    value = summary.metadata.get(field)
    return None if value is None or value == "" else str(value)


def _scorers(log: LoadedLog) -> set[str]:
    return {name for summary in log.summaries for name in (summary.scores or {})}


def _outcomes(log: LoadedLog, measure: Measure) -> Iterator[tuple[str, float | str]]:
    """Score or reason for its absence, for each run that the log's dataset and epochs call for."""
    seen: Counter[str] = Counter()
    for run in log.runs:
        seen[str(run.summary.id)] += 1
        yield str(run.summary.id), outcome_of(run, measure)
    epochs = max([log.header.epochs, *seen.values()])
    expected = {*log.header.sample_ids, *seen}
    for sample_id in sorted(expected):
        for _ in range(epochs - seen[sample_id]):
            yield sample_id, ABSENT
