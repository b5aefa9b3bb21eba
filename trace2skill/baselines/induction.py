"""What a memory method draws from one trajectory: the judgement, the question to a model, what is kept of its answer.

One sample of an Inspect task per trajectory, so that a bank is resumed and paid for like everything else.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from inspect_ai import Task
from inspect_ai.dataset import Sample
from inspect_ai.log import EvalSample
from inspect_ai.model import ChatMessageAssistant, ChatMessageUser, GenerateConfig, get_model
from inspect_ai.solver import Generate, Solver, TaskState, solver
from inspect_ai.util import store
from pydantic import BaseModel, ConfigDict, Field

from trace2skill.analysis.analysts import targets_of
from trace2skill.analysis.leaks import Guarded, answers
from trace2skill.analysis.lessons import UNUSABLE
from trace2skill.analysis.reports import MAX_LESSONS, Lesson
from trace2skill.analysis.submission import sift
from trace2skill.errors import ModelOutputError
from trace2skill.evolution.configuration import Judge
from trace2skill.logs.trajectory import Trajectory, read_sample
from trace2skill.logs.transcript import how_it_ended, render_transcript
from trace2skill.memory import document_of, query_of
from trace2skill.models.asking import Asking
from trace2skill.models.cast import ANALYST
from trace2skill.models.structured import Output, Rows, generate_structured
from trace2skill.prompts import Role

KEPT = "memory"
"""Store key of what was kept of a trajectory."""

Status = Literal["success", "failure"]
T = TypeVar("T", bound=Output)


class Induced(Output):
    """What a model draws from one trajectory."""

    reasoning: str = Field(default="", description="Why the run went as it did.")
    items: Rows[Lesson] = Field(description="What to remember; may be empty.")


class Judgement(Output):
    """What a model says of a run that it judges. The verdict is one of two words, and nothing else passes."""

    thoughts: str = Field(description="The reasons, in a few sentences.")
    verdict: Status = Field(description="Whether the run did all that its task asked for.")


class Kept(BaseModel):
    """What is kept of one trajectory."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    trajectory: str
    """Its id."""
    sample: str
    """Id of its sample."""
    task: str
    """What the test cases of one task have in common; else the sample's id."""
    query: str
    """What the agent was asked."""
    document: str = ""
    """Name of the page that it was asked about, where there is one."""
    status: Status
    """How it ended, as the judge saw it."""
    thoughts: str = ""
    """What a model that judged it thought."""
    items: tuple[Lesson, ...] = ()
    """What may be remembered of it."""
    stopped: tuple[str, ...] = ()
    """For each item that the leak guard stopped, that is one too many or that is incomplete: which one, and why."""
    raw: str = ""
    """The run itself, where it is kept raw."""
    rejected: str = ""
    """Why nothing of it is kept; empty if something is, or might have been."""


@dataclass(frozen=True, kw_only=True)
class Keeping:
    """What a method keeps of a trajectory."""

    method: str
    success: Role | None
    """Prompt for successes; None where they are kept raw."""
    failure: Role | None
    """Prompt for failures; None where they are left out."""
    temperature: float = 1.0
    """Of the induction, unless profile or user say otherwise."""


def induction(keeping: Keeping, pool: Sequence[Trajectory], asking: Asking, judge: Judge) -> Task:
    """The task in which a model looks at each trajectory.

    Args:
        keeping: What the method keeps.
        pool: The trajectories.
        asking: How the model is asked.
        judge: Who tells successes from failures.
    """
    by_id = {row.id: row for row in pool}
    return Task(
        name=f"{keeping.method.replace('-', '_')}_induction",
        dataset=[Sample(id=name, input=f"Remember what is worth it of the run of {name}.") for name in by_id],
        solver=_keeper(keeping, by_id, asking, judge),
    )


def _keeper(keeping: Keeping, by_id: Mapping[str, Trajectory], asking: Asking, judge: Judge) -> Solver:
    @solver(name="memory_keeper")
    def build(asking_digest: str, method: str, judge: Judge) -> Solver:
        async def solve(state: TaskState, generate: Generate) -> TaskState:
            trajectory = by_id[str(state.sample_id)]
            attempt = await read_sample(trajectory)
            kept = await remember(state, keeping, trajectory, attempt, asking, judge)
            store().set(KEPT, kept.model_dump(mode="json"))
            return state

        return solve

    return build(asking.digest, keeping.method, judge)


async def remember(
    state: TaskState, keeping: Keeping, trajectory: Trajectory, attempt: EvalSample, asking: Asking, judge: Judge
) -> Kept:
    """Judge a trajectory, where a model is to do so, and draw from it what is kept. A useless answer loses it alone."""
    kept = of_run(trajectory, attempt)
    verdict = "PASSED" if trajectory.success else "FAILED"
    try:
        if judge == "model":
            judged = await _asked(state, "memory_judge", Judgement, attempt, asking)
            kept = kept.model_copy(update={"status": judged.verdict, "thoughts": judged.thoughts})
            verdict = f"{judged.verdict}\n{judged.thoughts}"
        role = keeping.success if kept.status == "success" else keeping.failure
        if role is None and kept.status == "failure":
            return kept.model_copy(update={"rejected": f"judged a failure, of which {keeping.method} keeps nothing"})
        if role is None:
            return kept.model_copy(update={"raw": raw_of(attempt, asking)})
        values: dict[str, object] = {"max_items": MAX_LESSONS}
        if role != "memory_workflow":
            values["verdict"] = f"{verdict}\n{how_it_ended(attempt)}".strip()
        told = await _asked(state, role, Induced, attempt, asking, keeping.temperature, **values)
    except ModelOutputError as error:
        return kept.model_copy(update={"rejected": f"{UNUSABLE}{error}"})
    items, stopped = sift(told.items, Guarded(answers=answers(targets_of(attempt))), told.left_out)
    return kept.model_copy(update={"items": tuple(items), "stopped": stopped})


async def _asked(
    state: TaskState,
    role: Role,
    output: type[T],
    attempt: EvalSample,
    asking: Asking,
    temperature: float | None = None,
    **values: object,
) -> T:
    """A role's answer on a trajectory."""
    single = asking.settings.single
    if single.temperature is None:
        single = single.merge(GenerateConfig(temperature=temperature))
    task = attempt.input if isinstance(attempt.input, str) else render_transcript(attempt.input)

    async def ask(budget: int) -> T:
        shown = render_transcript(attempt.messages, budget)
        prompt = asking.prompts.render(role, task=task, transcript=shown, **values)
        state.messages = [ChatMessageUser(content=prompt)]
        return await generate_structured(get_model(role=ANALYST), state.messages, output, role, config=single)

    return await asking.fitted(ask)


def of_run(trajectory: Trajectory, attempt: EvalSample) -> Kept:
    """What is kept of every run: which it was, what was asked, and how the logs' scorer saw its end."""
    return Kept(
        trajectory=trajectory.id,
        sample=str(attempt.id),
        task=str(attempt.metadata.get("task", attempt.id)),
        query=query_of(attempt.input),
        document=document_of(attempt.metadata),
        status="success" if trajectory.success else "failure",
    )


def raw_of(attempt: EvalSample, asking: Asking) -> str:
    """A run as it was, from the agent's first turn on, within the budget of a transcript."""
    first = next((n for n, row in enumerate(attempt.messages) if isinstance(row, ChatMessageAssistant)), 0)
    shown = render_transcript(attempt.messages[first:], asking.transcript_tokens)
    return shown.replace("\r\n", "\n").replace("\r", "\n")
