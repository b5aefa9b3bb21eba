"""A bank that grows while its tasks are played, one after another, as in ReasoningBank's own code.

For each task: the agent of the logs plays it anew, with what the bank of that moment recalls; the play is judged; what
is kept of it is in the bank before the next task begins. Tasks are those of the logs, in the order of their dataset.

A task has two samples in one chain, its play under the task's own id and the look at it beside it; each starts when the
one before it has ended (`playing.py`). The bank after a sample is a pure function of the answers so far, so a second
run after a crash finds the same bank and goes on with the sample that is due. The agent is given its memory as anybody
would give it: the logged task is created with `memory=`, since where a memory stands in a prompt is the task's affair.
"""

import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import pairwise

from inspect_ai.log import EvalSample
from inspect_ai.model import GenerateConfig
from pydantic import BaseModel, ConfigDict

from trace2skill.baselines.banks import said_of, sorted_out, tried_embedder, write
from trace2skill.baselines.induction import Keeping, Kept, Status
from trace2skill.baselines.playing import LOOK, PAST, Moment, Stream, kept_of, online, score_of, tasks_of
from trace2skill.consolidation.ledger import Ledger
from trace2skill.errors import LogError
from trace2skill.evolution.analyses import quarantine, tolerated
from trace2skill.evolution.folder import Manifest, Record
from trace2skill.evolution.inputs import Inputs
from trace2skill.evolution.run import Run
from trace2skill.files import write_atomic
from trace2skill.logs.outcome import SuccessRule
from trace2skill.memory import PastTask
from trace2skill.models.cast import ANALYST, Cast, logged_model

STAGE = "stream"
"""Log folder of the stage."""

MOMENT = "moment"
"""Folder of the bank of the moment, in the run folder while the run goes on."""

PLAYED = "stream.jsonl"
"""File with the plays, in their order: how the agent did while it learned."""


class Played(BaseModel):
    """How a task of the stream was played."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sample: str
    """Id of its sample."""
    past: int
    """Past tasks that the bank held when it began."""
    score: float | None = None
    """What the task's scorer says; None if it says nothing, or the play broke."""
    passed: bool | None = None
    """Whether that is a success; likewise."""
    judged: Status | None = None
    """How the bank's judge saw it; None if it did not."""


def streamed(run: Run, inputs: Inputs, record: Record, keeping: Keeping) -> Manifest:
    """Make a bank online.

    Args:
        run: The run.
        inputs: What names the tasks and the agent.
        record: What determines it.
        keeping: What the method keeps.
    """
    read, cast = inputs.trajectories, run.cast
    assert read is not None, "tasks are named by logs"
    assert cast is not None, "whoever learns from plays asks a model"
    embedder = tried_embedder(run.config)
    allowed = run.config.allowed.without_the_agents()
    tasks = tasks_of(read, allowed)
    aside = replace(run, ledger=Ledger())
    tolerate = tolerated(run, len(tasks))
    stream = Stream(tasks, read.rule, lambda kept: sorted_out(aside, kept), tolerate)
    moment = Moment(run.folder / MOMENT, embedder, said_of(run.config, inputs, record), run.config.embedder)
    patience = run.asking.settings.analyst
    bounds = GenerateConfig(attempt_timeout=patience.attempt_timeout, timeout=patience.timeout)
    agent = logged_model(read.headers[0].model, bounds, run.config.provider)
    playing = replace(run, cast=Cast(main=agent, roles={ANALYST: cast.main, **cast.roles}))
    results = _Results(rule=read.rule)
    before = {later: [earlier] for earlier, later in pairwise(stream.names())}
    chain = online(run, keeping, stream, moment, allowed)
    for _, sample in playing.stage(STAGE, [chain], lambda name: before.get(name, ()), tolerate=tolerate):
        results.add(sample)
    shutil.rmtree(run.folder / MOMENT, ignore_errors=True)
    if lost := [name for name in tasks if name not in results.plays]:
        raise LogError(
            f"{len(lost)} plays are missing in {run.folder / 'logs' / STAGE}, that of {lost[0]} among them. Delete "
            "that folder and run the same command again."
        )
    quarantine(run, results.broken, STAGE, tolerate)
    records = results.settle(run, tasks)
    write_atomic(run.folder / PLAYED, "".join(f"{row.model_dump_json()}\n" for row in results.rows))
    return write(run, inputs, record, records, embedder, results.counts())


@dataclass(kw_only=True)
class _Results:
    """What the samples of the stage came to."""

    rule: SuccessRule
    plays: dict[str, Played] = field(default_factory=dict)
    excluded: dict[str, str] = field(default_factory=dict)
    kept: dict[str, Kept] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    rows: list[Played] = field(default_factory=list)
    """The plays, in their order."""

    def add(self, sample: EvalSample) -> None:
        """Note a sample."""
        name = str(sample.id).removesuffix(LOOK)
        look = name != str(sample.id)
        if sample.error:
            self.broken[name] = f"{'after' if look else 'in'} its play: {sample.error.message}"
        if look:
            self.kept.update({name: kept} if (kept := kept_of(sample)) else {})
            return
        score, past = score_of(sample, self.rule), int(sample.store.get(PAST, 0))
        if isinstance(score, str):
            self.excluded[name] = score
            self.plays[name] = Played(sample=name, past=past)
        else:
            self.plays[name] = Played(sample=name, past=past, score=score, passed=self.rule.holds(score))

    def settle(self, run: Run, names: Iterable[str]) -> list[PastTask]:
        """What the bank holds in the end, in the order of the tasks; ledger and notes have the rest."""
        records: list[PastTask] = []
        late: list[str] = []
        for name in names:
            played, kept = self.plays[name], self.kept.get(name)
            late += [name] if played.past != len(records) and name not in self.broken else []
            if kept and (past := sorted_out(run, kept)):
                records.append(past)
            elif name not in self.broken and not kept:
                run.ledger.analysis(name, f"nothing was drawn from its play: {self.excluded.get(name, 'no answer')}")
            self.rows.append(played.model_copy(update={"judged": kept.status if kept else None}))
        counts = self.counts()
        run.notes.append(f"played {len(self.rows)} tasks online: {counts['successes']} passed")
        if late:
            run.notes.append(
                f"{len(late)} tasks, {late[0]} first, were played before an earlier one that had broken was tried again"
            )
        return records

    def counts(self) -> dict[str, int]:
        """Numbers of plays that passed, failed, and were not judged, by reason."""
        passed = [row.passed for row in self.plays.values()]
        excluded = [f"excluded: {reason}" for reason in self.excluded.values()]
        return {
            "successes": passed.count(True),
            "failures": passed.count(False),
            **{reason: excluded.count(reason) for reason in sorted(set(excluded))},
        }
