"""The samples of a bank that is made online: a chain of plays and looks at them, and the bank that each play sees."""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import numpy as np
from anyio import to_thread
from inspect_ai import SampleSource, Task, task_with
from inspect_ai.dataset import Sample
from inspect_ai.log import EvalSample, resolve_sample_attachments
from inspect_ai.model import GenerateConfig
from inspect_ai.scorer import Score, Scorer, Target
from inspect_ai.solver import Generate, Solver, TaskState, solver
from inspect_ai.util import store

from trace2skill.baselines.induction import KEPT, Keeping, Kept, remember
from trace2skill.errors import LogError
from trace2skill.evolution.run import Run
from trace2skill.logs.header import Header
from trace2skill.logs.outcome import SuccessRule
from trace2skill.logs.task import recreate_task, sample_of, solver_of
from trace2skill.logs.trajectory import Trajectories, Trajectory, score_or_exclusion, target_beginning
from trace2skill.logs.trust import Allowed
from trace2skill.memory import PastTask, embedder_at, save_bank
from trace2skill.memory.embedding import Embedder
from trace2skill.models.sampling import TIMES
from trace2skill.models.servers import blames_server

PAST = "stream"
"""Store key of how many past tasks the bank held when a play began."""

LOOK = "/memory"
"""Suffix of the sample in which a play is judged and looked at."""


@dataclass(frozen=True, kw_only=True)
class Playable:
    """A task of the stream."""

    header: Header
    """The log that it is from."""
    sample: Sample


def tasks_of(read: Trajectories, allowed: Allowed) -> dict[str, Playable]:
    """The logged samples by id, in the order of the task's dataset; each once, however often it was run.

    Raises:
        LogError: The task cannot be created, or has not the logged samples any more.
    """
    found: dict[str, Playable] = {}
    for header in read.headers:
        task = recreate_task(header, allowed, memory=None)
        rows = [row for row in read.all if row.log == header.file]
        for row in rows:
            sample_of(task, row)
        wanted = {*header.sample_ids, *(str(row.sample_id) for row in rows)}
        there = {str(sample.id): sample for sample in task.dataset}
        if missing := sorted(wanted - there.keys()):
            raise LogError(f"Sample {missing[0]} of {header.file} is not in the logged task's dataset any more.")
        for name, sample in there.items():
            if name in wanted:
                found.setdefault(name, Playable(header=header, sample=sample))
    return found


class Stream(SampleSource):
    """Produces the samples one after another: the play of a task, the look at it, the play of the next one."""

    def __init__(
        self,
        tasks: Mapping[str, Playable],
        rule: SuccessRule,
        past: Callable[[Kept], PastTask | None],
        tolerate: int = 0,
    ) -> None:
        self.tasks = tasks
        self.records: list[PastTask] = []
        self.attempt: tuple[Trajectory, EvalSample] | None = None
        self._rule = rule
        self._past = past
        self._spare = tolerate
        self._due = list(tasks)

    def names(self) -> list[str]:
        """Ids of all samples that there may be, in their order."""
        return [name for task in self.tasks for name in (task, f"{task}{LOOK}")]

    def initial_samples(self) -> list[Sample]:
        """The play that is due."""
        return [deepcopy(self.tasks[self._due[0]].sample)] if self._due else []

    async def sample_complete(self, sample: EvalSample) -> list[Sample] | None:
        """Take up a play, or what is kept of it; return what follows."""
        if sample.error:
            self._spare -= 1
            if self._spare < 0 or blames_server(sample.error.message):
                return None  # the run stops here, and this sample is tried again before any other is
        name = self._due[0]
        if str(sample.id) == name and (trajectory := self._trajectory(sample)):
            self.attempt = trajectory, resolve_sample_attachments(sample, "core")
            task = self.tasks[name].sample
            return [Sample(id=f"{name}{LOOK}", input=f"Remember what is worth it of {name}.", metadata=task.metadata)]
        if (kept := kept_of(sample)) and (past := self._past(kept)):
            self.records.append(past)
        self._due.pop(0)
        return self.initial_samples() or None

    def _trajectory(self, play: EvalSample) -> Trajectory | None:
        task, score = self.tasks[str(play.id)], score_of(play, self._rule)
        if isinstance(score, str):
            return None
        return Trajectory(
            id=str(play.id),
            log=task.header.file,
            sample_id=play.id,
            epoch=1,
            target=target_beginning(task.sample.target),
            score=score,
            success=self._rule.holds(score),
        )


def score_of(play: EvalSample, rule: SuccessRule) -> float | str:
    """The score of a play, or the reason why nothing is learned from it."""
    limit = play.limit.type if play.limit else None
    return score_or_exclusion(bool(play.error), limit, play.scores or {}, rule, f"stream: sample {play.id}")


def kept_of(sample: EvalSample) -> Kept | None:
    """What is kept of a play; none if the sample is no finished look at one."""
    found = sample.store.get(KEPT) if str(sample.id).endswith(LOOK) and not sample.error else None
    return Kept.model_validate(found) if found else None


class Moment:
    """The bank of the moment, on disk for the play that opens it."""

    def __init__(self, folder: Path, embedder: Embedder, card: Mapping[str, Any], found_at: str) -> None:
        self._folder = folder
        self._embedder = embedder
        self._card = card
        self._found_at = found_at
        self._vectors: list[Any] = []

    def task(self, header: Header, allowed: Allowed, records: Sequence[PastTask]) -> Task:
        """The logged task with what is in the bank; without a memory while there is nothing in it.

        Raises:
            Trace2SkillError: The task or its memory cannot be opened.
        """
        if not records:
            return recreate_task(header, allowed, memory=None)
        new = self._embedder.vectors([past.query for past in records[len(self._vectors) :]])
        if new is not None:
            self._vectors += list(new)
        vectors = np.stack(self._vectors) if self._vectors else None
        save_bank(self._folder, records, vectors, overwrite=True, **self._card)
        with embedder_at(self._found_at):
            return recreate_task(header, allowed, memory=str(self._folder.resolve()))


def online(run: Run, keeping: Keeping, stream: Stream, moment: Moment, allowed: Allowed) -> Task:
    """The task that plays a stream.

    Args:
        run: The run.
        keeping: What the method keeps of a play.
        stream: The chain of its samples.
        moment: Keeps the bank.
        allowed: What the operator allows the logs.
    """
    first = recreate_task(next(iter(stream.tasks.values())).header, allowed, memory=None)
    scorers = first.scorer or []
    return task_with(
        first,
        name=f"{keeping.method.replace('-', '_')}_stream",
        dataset=stream,
        setup=None,
        solver=_learner(run, keeping, stream, moment, allowed),
        scorer=[_of_plays(each) for each in (scorers if isinstance(scorers, Sequence) else [scorers])],
        epochs=1,
        config=TIMES.merge(GenerateConfig(seed=run.config.seed)),
    )


def _learner(run: Run, keeping: Keeping, stream: Stream, moment: Moment, allowed: Allowed) -> Solver:
    @solver(name="learner")
    def build(asking_digest: str, method: str, judge: str) -> Solver:
        async def solve(state: TaskState, generate: Generate) -> TaskState:
            name = str(state.sample_id)
            if name in stream.tasks:
                store().set(PAST, len(stream.records))
                header = stream.tasks[name].header
                task = await to_thread.run_sync(moment.task, header, allowed, tuple(stream.records))
                return await solver_of(task)(state, generate)
            assert stream.attempt is not None, "what is looked at has been played"
            # Limits of the task are its agent's.
            state.message_limit = state.token_limit = None
            kept = await remember(state, keeping, *stream.attempt, run.asking, run.config.judge)
            store().set(KEPT, kept.model_dump(mode="json"))
            return state

        return solve

    return build(run.asking.digest, keeping.method, run.config.judge)


def _of_plays(judge: Scorer) -> Scorer:
    """A scorer of the task, under its own name, that judges plays alone."""

    @wraps(judge)
    async def score(state: TaskState, target: Target) -> Score | None:
        return None if str(state.sample_id).endswith(LOOK) else await judge(state, target)

    return score
