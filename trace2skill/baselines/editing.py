"""The calls of sequential editing: a chain of samples in which each edits the skill that the one before it has left."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

from inspect_ai import SampleSource, Task
from inspect_ai.dataset import Sample
from inspect_ai.log import EvalSample
from inspect_ai.model import ChatMessageUser, GenerateConfig, get_model
from inspect_ai.solver import Generate, Solver, TaskState, solver
from inspect_ai.util import store
from pydantic import BaseModel, ConfigDict, Field

from trace2skill.analysis.leaks import Guarded
from trace2skill.analysis.lessons import leaking_edits
from trace2skill.analysis.reports import Analysis
from trace2skill.consolidation.assembly import stamped
from trace2skill.consolidation.ledger import Fate
from trace2skill.edits.apply import Provenance, apply_edits
from trace2skill.edits.guardrails import hazard_reason
from trace2skill.edits.patch import Edit, check_edit, pair_links
from trace2skill.edits.proposed import ProposedEdit, unread
from trace2skill.errors import ModelOutputError
from trace2skill.models.asking import Asking
from trace2skill.models.cast import MERGER
from trace2skill.models.structured import Output, Rows, Texts, generate_structured
from trace2skill.skill.folder import MAX_SKILL_LINES, SKILL_MD, Skill, check_skill
from trace2skill.skill.hazards import HazardKind

TEMPERATURE = 0.3
"""Of every edit call in the paper's code."""

MAX_REFERENCES = 5
"""Files in `references/` that the paper's code tells its editor to keep to. Nothing holds the editor to it."""

STEP = "edits"
"""Store key of a finished call."""

CONSOLIDATION = "consolidation"
"""Sample id of the last call."""


class SkillEdit(ProposedEdit):
    """One edit of the current skill, with the ids of what it comes from."""

    ids: Texts = Field(default_factory=list, description="Ids of all lessons or changes that this edit expresses.")


class SkillEdits(Output):
    """What an edit call returns."""

    reasoning: str = Field(default="", description="What changes, and what is left as it is.")
    edits: Rows[SkillEdit] = Field(description="A few small edits; empty if the skill already says it all.")


class Step(BaseModel):
    """The outcome of one call."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    node: str
    """`batch-<number>`, or that of the last call."""
    edits: tuple[Edit, ...] = ()
    """What the model wrote, supported by the trajectories whose lessons it names."""
    leaks: dict[str, str] = {}
    """Edits that the leak guard stops, by id, with the reason."""
    dropped: str = ""
    """Why there is no usable answer; empty if there is one."""


class Ended(NamedTuple):
    """The fate of an edit."""

    edit: Edit
    fate: Fate
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Current:
    """The skill of one moment, and what has led to it."""

    skill: Skill
    lines: Mapping[str, Provenance]
    """Origin of its lines, where edits have brought some."""
    changes: tuple[tuple[str, Edit], ...] = ()
    """The applied edits, each after the call that it comes from."""
    stamp: str
    """The warning that a stand-in model takes part, or nothing; SKILL.md will end with it."""
    allow: tuple[HazardKind, ...]

    def after(self, step: Step) -> tuple["Current", list[Ended]]:
        """The skill after a call, and the fate of its edits: a pure function of both."""
        ended: list[Ended] = []
        usable: list[Edit] = []
        for edit in pair_links(step.edits):
            unfit = step.leaks.get(edit.id) or check_edit(edit, self.skill)
            if not (unfit or edit.support):
                unfit = "names nothing that it comes from"
            hazard = "" if unfit else hazard_reason(edit.content, self.skill, self.allow)
            if unfit or hazard:
                ended.append(Ended(edit, "rejected" if unfit else "withheld", unfit or hazard))
            else:
                usable.append(edit)
        applied = apply_edits(self.skill, usable, self.lines)
        if findings := check_skill(stamped(applied, self.stamp).skill):
            reason = f"rolled back: the skill would fail its check: {findings[0]}"
            return self, [*ended, *(Ended(edit, "rejected", reason) for edit in usable)]
        ended += [Ended(row.edit, "rejected", f"rolled back: {row.reason}") for row in applied.rejected]
        used = [row.edit for row in applied.applied]
        changes = (*self.changes, *((step.node, edit) for edit in used))
        following = replace(self, skill=applied.skill, lines=applied.lines, changes=changes)
        return following, [*ended, *(Ended(edit, "applied") for edit in used)]


class Round(NamedTuple):
    """One call of the chain: a batch, or the last look at all changes."""

    node: str
    number: int
    of: int
    """Number of batches."""
    analyses: tuple[Analysis, ...]
    """Those of the batch; for the last call all."""


class Chain(SampleSource):
    """Produces the calls one after another, each when the skill that it edits is there."""

    def __init__(self, start: Current, rounds: Sequence[Round]) -> None:
        self.current = start
        self._rounds = tuple(rounds)
        self._done = 0

    @property
    def due(self) -> Round | None:
        """The next call; none after the last one, which needs changes to look at."""
        following = self._rounds[self._done] if self._done < len(self._rounds) else None
        return None if following and following.node == CONSOLIDATION and not self.current.changes else following

    def waits_for(self) -> dict[str, list[str]]:
        """For each call the one before it."""
        return {later.node: [earlier.node] for earlier, later in pairwise(self._rounds)}

    def initial_samples(self) -> list[Sample]:
        """The first call."""
        return [Sample(id=self.due.node, input=self.due.node)] if self.due else []

    async def sample_complete(self, sample: EvalSample) -> list[Sample] | None:
        """Take up a call's edits; return the next call."""
        step = step_of(sample)
        if step is None or self.due is None or step.node != self.due.node:
            return None
        self.current, _ = self.current.after(step)
        self._done += 1
        return self.initial_samples() or None


def step_of(sample: EvalSample) -> Step | None:
    """The outcome of a finished call; none if it did not finish."""
    found = sample.store.get(STEP)
    return Step.model_validate(found) if found is not None and sample.error is None else None


def editing(chain: Chain, asking: Asking) -> Task:
    """The task that plays a chain.

    Args:
        chain: The calls.
        asking: The prompts, and how the editor is asked.
    """
    return Task(name="sequential_editing", dataset=chain, solver=_editor(chain, asking))


def _editor(chain: Chain, asking: Asking) -> Solver:
    usual = GenerateConfig(temperature=TEMPERATURE)

    @solver(name="sequential_editor")
    def build(asking_digest: str) -> Solver:
        async def solve(state: TaskState, generate: Generate) -> TaskState:
            due, current = chain.due, chain.current
            assert due is not None, "a call is a sample of its chain"
            sources = _sources(due, current)
            state.messages = [ChatMessageUser(content=_prompt(due, current, asking))]
            try:
                answer = await generate_structured(
                    get_model(role=MERGER),
                    state.messages,
                    SkillEdits,
                    "final_edits" if due.node == CONSOLIDATION else "skill_edits",
                    lambda answer: _unknown(answer, sources),
                    advise=lambda answer: _misfits(current, _edits(due, answer, sources)),
                    config=usual.merge(asking.settings.merger),
                )
            except ModelOutputError as error:
                step = Step(node=due.node, dropped=str(error))
            else:
                edits = _edits(due, answer, sources)
                edits += unread(due.node, answer.left_out, len(edits) + 1)
                # Nothing that the editor reads holds an answer: lessons and causes have passed the guard.
                step = Step(node=due.node, edits=edits, leaks=leaking_edits(edits, Guarded()))
            store().set(STEP, step.model_dump(mode="json"))
            return state

        return solve

    return build(asking.digest)


def _prompt(due: Round, current: Current, asking: Asking) -> str:
    skill = current.skill
    references = sum(path.startswith("references/") for path in skill.files)
    files = [{"path": path, "text": skill.text(path)} for path in skill.files if skill.is_text(path)]
    size = (
        f"SKILL.md has {len(skill.lines(SKILL_MD))} lines and must stay under {MAX_SKILL_LINES}. "
        f"There are {references} files in `references/`; there should be no more than {MAX_REFERENCES}."
    )
    if due.node == CONSOLIDATION:
        changes = [
            {"batch": node, **edit.model_dump(exclude={"requires"}), "support": len(edit.support)}
            for node, edit in current.changes
        ]
        return asking.prompts.render("consolidator", files=files, size=size, changelog=_lines(changes))
    learned = [
        {
            "run": row.trajectory,
            "causes": row.causes,
            "lessons": [
                {"id": f"{row.trajectory}/lesson-{number}", **lesson.model_dump()}
                for number, lesson in enumerate(row.lessons, start=1)
            ],
        }
        for row in due.analyses
    ]
    return asking.prompts.render(
        "editor", files=files, size=size, number=due.number, batches=due.of, lessons=_lines(learned)
    )


def _lines(rows: Iterable[object]) -> str:
    return "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)


def _sources(due: Round, current: Current) -> dict[str, tuple[str, ...]]:
    """What a call's edits may name, each with its trajectories."""
    if due.node == CONSOLIDATION:
        return {edit.id: edit.support for _, edit in current.changes}
    return {
        f"{row.trajectory}/lesson-{number}": (row.trajectory,)
        for row in due.analyses
        for number in range(1, len(row.lessons) + 1)
    }


def _unknown(answer: SkillEdits, sources: Mapping[str, tuple[str, ...]]) -> list[str]:
    named = sorted({name for edit in answer.edits for name in edit.ids} - sources.keys())
    return [f"id {name!r} is not among those given" for name in named]


def _edits(due: Round, answer: SkillEdits, sources: Mapping[str, tuple[str, ...]]) -> tuple[Edit, ...]:
    return tuple(
        Edit(
            id=f"{due.node}.{number}",
            support=tuple(trajectory for name in edit.ids for trajectory in sources[name]),
            **edit.model_dump(exclude={"ids"}),
        )
        for number, edit in enumerate(answer.edits, start=1)
    )


def _misfits(current: Current, edits: tuple[Edit, ...]) -> list[str]:
    """The edits that would not be applied, each with the reason; of leaks the model is told nothing."""
    _, ended = current.after(Step(node="", edits=edits))
    return [f"the edit of {row.edit.file} at {row.edit.target!r}: {row.reason}" for row in ended if row.reason]
