"""Analysts: one per trajectory, all on the same frozen skill, none seeing another's work.

All of them are Inspect tasks. The agentic error analyst works inside the logged task itself, created anew: same sample,
fresh sandbox, the task's own scorers. A fix that it submits is run again as a sample of its own, `<id>/clean-run`, in a
sandbox that no analyst has touched; the scores of that sample are the gate. The others read the transcript in one call.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass

from inspect_ai import SampleSource, Task, task_with
from inspect_ai.dataset import Sample
from inspect_ai.log import EvalSample
from inspect_ai.model import GenerateConfig

from trace2skill.analysis.analysts import ANALYSIS, WORK, Limits, error_analyst, single_call_analyst
from trace2skill.analysis.gate import CLEAN_RUN
from trace2skill.analysis.judging import Judging
from trace2skill.analysis.reports import Analysis, Analyst
from trace2skill.errors import LogError
from trace2skill.logs.header import Header
from trace2skill.logs.outcome import SuccessRule
from trace2skill.logs.task import NOTHING, recreate_for_analysis, sample_of
from trace2skill.logs.trajectory import Trajectories, Trajectory
from trace2skill.logs.trust import Allowed
from trace2skill.models.asking import Asking


@dataclass(frozen=True, kw_only=True)
class _Failure:
    """A failure with the sample that it is a run of."""

    trajectory: Trajectory
    sample: Sample
    sandboxed: bool


def error_analysis(trajectories: Trajectories, asking: Asking, limits: Limits, allowed: Allowed = NOTHING) -> Task:
    """The task in which an error analyst studies each failure.

    Raises:
        LogError: The logged task cannot be created or lacks a logged sample, or its scorers cannot judge a fix.
    """
    tasks = {header.file: recreate_for_analysis(header, allowed) for header in trajectories.headers}
    failures = [_failure(trajectory, tasks[trajectory.log]) for trajectory in trajectories.failures]
    if len({failure.sandboxed for failure in failures}) > 1:
        raise LogError("Some samples of the logged task have a sandbox and some have none.")
    analyst = error_analyst(
        {failure.trajectory.id: failure.trajectory for failure in failures},
        asking,
        Judging(rule=trajectories.rule, scorers=_judges(trajectories.headers[0], trajectories.rule)),
        limits,
        sandboxed=failures[0].sandboxed,
    )
    return task_with(
        tasks[trajectories.headers[0].file],
        name="error_analysis",
        dataset=_ErrorAnalysisSource([failure.sample for failure in failures]),
        solver=analyst,
        config=GenerateConfig(),
        epochs=1,
        message_limit=None,
        token_limit=None,
        turn_limit=None,
        time_limit=None,
        working_limit=None,
        cost_limit=None,
    )


def single_call_analysis(
    analyst: Analyst, trajectories: Sequence[Trajectory], asking: Asking, rule: SuccessRule
) -> Task:
    """The task in which an analyst studies each trajectory in one call, and one more for the edits.

    Args:
        analyst: `success`, or `error-llm` for failures without tools and gate.
        trajectories: The trajectories.
        asking: The skill, and how the analyst is asked.
        rule: What success is.
    """
    by_id = {trajectory.id: trajectory for trajectory in trajectories}
    name = f"{analyst.replace('-', '_')}_analysis"
    samples = [Sample(id=trajectory, input=f"Study the run of {trajectory}.") for trajectory in by_id]
    return Task(name=name, dataset=samples, solver=single_call_analyst(analyst, by_id, asking, rule))


def _failure(trajectory: Trajectory, task: Task) -> _Failure:
    logged = sample_of(task, trajectory)
    sample = deepcopy(logged)
    sample.id = trajectory.id
    sample.metadata = {**(sample.metadata or {}), WORK: {"log": trajectory.log.name, "epoch": trajectory.epoch}}
    return _Failure(trajectory=trajectory, sample=sample, sandboxed=(logged.sandbox or task.sandbox) is not None)


def _judges(header: Header, rule: SuccessRule) -> tuple[str, ...]:
    """The names of the logged task's scorers.

    Raises:
        LogError: The scorer that says what success is was added to the log later, so the task cannot judge by it.
    """
    names = header.scorers or ((rule.scorer,) if rule.scorer else ())
    if not names:
        raise LogError("The log does not say which scorers the task has, so --success cannot judge a fix.")
    if rule.scorer and rule.scorer not in names:
        raise LogError(
            f"Scorer '{rule.scorer}' is not one of the logged task's own ({', '.join(names)}) and cannot judge a fix."
        )
    return names


class _ErrorAnalysisSource(SampleSource):
    """One sample per failure; each submitted fix adds the sample of its clean run."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        self._samples = {str(sample.id): sample for sample in samples}

    def initial_samples(self) -> list[Sample]:
        return list(self._samples.values())

    async def sample_complete(self, sample: EvalSample) -> list[Sample] | None:
        analysis = analysis_of(sample)
        if analysis is None or not analysis.fix_source or analysis.rejected:
            return None
        again = deepcopy(self._samples[str(sample.id)])
        again.id = f"{sample.id}{CLEAN_RUN}"
        again.metadata = {
            **(again.metadata or {}),
            WORK: {"fix": analysis.fix, "source": analysis.fix_source},
        }
        return [again]


def analysis_of(sample: EvalSample) -> Analysis | None:
    """The analysis in a finished sample; none in clean runs and in samples that did not finish."""
    found = sample.store.get(ANALYSIS)
    return Analysis.model_validate(found) if found is not None and sample.error is None else None
