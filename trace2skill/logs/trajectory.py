"""Any Inspect log as trajectories: read summaries first, whole samples one at a time."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from anyio import to_thread
from inspect_ai.log import (
    EvalSample,
    EvalSampleSummary,
    read_eval_log_sample_async,
)

from trace2skill.errors import LogError
from trace2skill.logs.files import Run, check_log, failure_of, is_invalidated, load_logs, unreadable
from trace2skill.logs.header import Header
from trace2skill.logs.outcome import Scores, SuccessRule
from trace2skill.skill.seen import Exposure, join_exposures

TARGET_CHARACTERS = 200

RESOURCE_LIMITS = frozenset({"time", "working", "cost", "operator"})
"""Limits that say something about the machine or its operator, not about the agent: such runs are excluded."""


@dataclass(frozen=True, kw_only=True)
class Trajectory:
    """One scored run of an agent, by reference; `read_sample` loads it."""

    id: str
    """Sample id; where a sample was run more than once, followed by `#` and the number of the run."""
    log: Path
    sample_id: int | str
    epoch: int
    target: str
    """Beginning of the sample's target, by which its task is known again."""
    score: float
    """Value of the chosen scorer as a number."""
    success: bool


@dataclass(frozen=True, kw_only=True)
class Excluded:
    """A run that is neither a success nor a failure of the agent."""

    id: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Trajectories:
    """The trajectories of one or more logs of one task, in the order of their ids."""

    all: tuple[Trajectory, ...]
    excluded: tuple[Excluded, ...]
    headers: tuple[Header, ...]
    """Headers of the logs."""
    rule: SuccessRule
    """What success is."""
    exposures: tuple[Exposure, ...] = ()
    """What whoever looks at them has seen."""

    @property
    def successes(self) -> tuple[Trajectory, ...]:
        """T+."""
        return tuple(trajectory for trajectory in self.all if trajectory.success)

    @property
    def failures(self) -> tuple[Trajectory, ...]:
        """T-."""
        return tuple(trajectory for trajectory in self.all if not trajectory.success)

    def counts(self) -> dict[str, int]:
        """Numbers of successes, failures, and excluded runs by reason."""
        excluded = Counter(f"excluded: {row.reason}" for row in self.excluded)
        return {"successes": len(self.successes), "failures": len(self.failures), **excluded}


def read_trajectories(
    logs: Sequence[str | Path], *, scorer: str | None = None, threshold: float = 1.0, success: str = ""
) -> Trajectories:
    """List the trajectories of logs without loading them.

    Args:
        logs: Log files, or folders of them; all of the same task. Of several attempts at one evaluation each run
            counts once, from the newest that has it.
        scorer: Name of the scorer that says what success is; needed where the logs have several.
        threshold: Smallest score that counts as success.
        success: Expression over all scores that says what success is, instead of scorer and threshold.

    Returns:
        Scored runs, and the runs that are left out with the reason: errors, resource limits, no score.

    Raises:
        LogError: A log is missing, empty, unreadable, of another task, or has no scores, or not those that were named.
    """
    loaded = load_logs(logs).evaluations
    headers = [header for log in loaded for header in log.headers]
    paths = [header.file for header in headers]
    if len(tasks := sorted({header.task for header in headers})) > 1:
        raise LogError(f"The logs must be of one task, but are of {', '.join(tasks)}. Evolve on each alone.")
    rows = [run for log in loaded for run in log.runs]
    if not rows:
        why = failure_of(headers) or " Was the evaluation cancelled?"
        raise LogError(f"{_names(paths)}: no samples.{why} Run it again.")
    if (why := failure_of(headers)) and not any(run.summary.scores for run in rows):
        raise LogError(f"{_names(paths)}: no sample has a score.{why} Mend that, then finish it: `inspect eval-retry`.")
    rule = _choose_rule([run.summary for run in rows], scorer, threshold, success, paths)
    runs: Counter[str] = Counter(str(run.summary.id) for run in rows)
    seen: Counter[str] = Counter()
    kept: list[Trajectory] = []
    excluded: list[Excluded] = []
    for run in sorted(rows, key=lambda row: (str(row.summary.id), row.summary.epoch, row.summary.uuid or "")):
        summary = run.summary
        key = str(summary.id)
        seen[key] += 1
        name = key if runs[key] == 1 else f"{key}#{seen[key]}"
        outcome = _score_or_exclusion(run, rule)
        if isinstance(outcome, str):
            excluded.append(Excluded(id=name, reason=outcome))
            continue
        kept.append(
            Trajectory(
                id=name,
                log=run.header.file,
                sample_id=summary.id,
                epoch=summary.epoch,
                target=target_beginning(summary.target),
                score=outcome,
                success=rule.holds(outcome),
            )
        )
    if not kept:
        reasons = Counter(row.reason for row in excluded)
        raise LogError(
            f"{_names(paths)}: none of the {len(rows)} samples can be used: "
            + "; ".join(f"{count} x {reason}" for reason, count in reasons.most_common())
        )
    return Trajectories(
        all=tuple(kept),
        excluded=tuple(excluded),
        headers=tuple(headers),
        rule=rule,
        exposures=join_exposures(map(_exposure, rows)).exposures,
    )


def _exposure(run: Run) -> Exposure:
    """What is seen by looking at one run."""
    header, group = run.header, run.summary.metadata.get(run.header.cluster)
    return Exposure(
        task=header.base_task,
        dataset=header.dataset or "",
        split=str(header.arguments.get("split") or ""),
        samples=(str(run.summary.id),),
        groups={} if group is None else {header.cluster: (str(group),)},
    )


def target_beginning(target: str | Sequence[str]) -> str:
    """As much of a target as summaries of samples hold."""
    return "\n".join([target] if isinstance(target, str) else target)[:TARGET_CHARACTERS]


async def read_sample(trajectory: Trajectory) -> EvalSample:
    """Load a trajectory's sample with its attachments, without its events.

    Raises:
        LogError: It cannot be read, or is larger than any sample.
    """
    await to_thread.run_sync(check_log, trajectory.log, (trajectory.sample_id, trajectory.epoch))
    try:
        return await read_eval_log_sample_async(
            trajectory.log,
            trajectory.sample_id,
            trajectory.epoch,
            resolve_attachments="core",
            exclude_fields={"events"},
        )
    except Exception as error:  # as where headers are read
        raise unreadable(trajectory.log, error) from error


def _choose_rule(
    summaries: Sequence[EvalSampleSummary],
    scorer: str | None,
    threshold: float,
    success: str,
    paths: Sequence[Path],
) -> SuccessRule:
    names = sorted({name for summary in summaries for name in (summary.scores or {})})
    if not names:
        raise LogError(
            f"{_names(paths)}: no sample has a score, so success cannot be told from failure. "
            "Score the log with `inspect score` first."
        )
    if success:
        if scorer is not None:
            raise LogError("--scorer and --success both say what success is. Leave one out.")
        rule = SuccessRule(expression=success)
        if unknown := sorted(rule.names() - {"scores", *names}):
            raise LogError(f"--success '{success}': '{unknown[0]}' is no scorer here; there are {', '.join(names)}.")
        return rule
    if scorer is None and len(names) == 1:
        return SuccessRule(scorer=names[0], threshold=threshold)
    if scorer not in names:
        wanted = "several scorers" if scorer is None else f"no scorer '{scorer}'"
        raise LogError(
            f"{_names(paths)}: {wanted}; choose one with --scorer: {', '.join(names)}. Or say with --success what "
            f"success is, for instance --success '{names[0]} == 1'."
        )
    return SuccessRule(scorer=scorer, threshold=threshold)


def _score_or_exclusion(run: Run, rule: SuccessRule) -> float | str:
    """The score, or the reason why the run is left out."""
    summary = run.summary
    where = f"{run.header.file}: sample {summary.id}"
    outcome = score_or_exclusion(bool(summary.error), summary.limit, summary.scores or {}, rule, where)
    return "invalidated" if not isinstance(outcome, str) and is_invalidated(run) else outcome


def score_or_exclusion(broke: bool, limit: str | None, scores: Scores, rule: SuccessRule, where: str) -> float | str:
    """The score of a run, or the reason why it is neither a success nor a failure of the agent.

    Args:
        broke: Whether it ended in an error.
        limit: Kind of the limit that ended it, if one did.
        scores: Its scores.
        rule: What success is.
        where: Names it in messages.

    Raises:
        LogError: A score has no number, or success cannot be told by the scores.
    """
    if broke:
        return "error"
    if limit in RESOURCE_LIMITS:
        return f"{limit} limit"
    if not rule.expression and rule.scorer in scores and isinstance(scores[rule.scorer].value, dict | list):
        return "score is not a single value: say with --success which of its values counts"
    value = rule.value(scores, where)
    return "no score" if value is None else value


def _names(paths: Sequence[Path]) -> str:
    return ", ".join(map(str, paths[:3])) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")
