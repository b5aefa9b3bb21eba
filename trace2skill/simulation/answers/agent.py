"""The simulated agent on questions: it knows the answer, shows how it gets there, and omits habits by chance.

Without tools it answers in one message. With a sandbox it looks, reads references, and writes and runs `solve.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import anyio.to_thread
from inspect_ai.model import ChatMessage, ChatMessageAssistant
from inspect_ai.tool import ToolInfo

from trace2skill.simulation import replies
from trace2skill.simulation.agent import AGENT, finish, given_skill, load_skill, teaching_of, unread_references
from trace2skill.simulation.answers import code
from trace2skill.simulation.answers.asked import Asked
from trace2skill.simulation.answers.pages import study_page
from trace2skill.simulation.answers.problems import study_problem
from trace2skill.simulation.answers.slips import Case
from trace2skill.simulation.answers.tables import study_table
from trace2skill.simulation.answers.working import write
from trace2skill.simulation.chance import Dice
from trace2skill.simulation.habits import MATH, VISIONQA, WIKITQ, Teaching, habits
from trace2skill.simulation.scales import Scale
from trace2skill.simulation.scripts import render

SECOND_HABIT = 0.3
"""Share of questions that hinge on two habits instead of one."""

UNKNOWN = "I do not know how to answer this, so I leave it."

_STUDY = {WIKITQ: study_table, VISIONQA: study_page, MATH: study_problem}


@dataclass(frozen=True, kw_only=True)
class Actor:
    """One agent at one question."""

    asked: Asked
    case: Case
    dice: Dice
    scale: Scale

    def needed(self) -> list[str]:
        """The one or two habits on which this question is made to hinge, the same for all conditions."""
        known = habits(self.case.domain)
        found = sorted(
            self.case.habits,
            key=lambda slug: self.dice.uniform("hinges", slug) ** (1 / known[slug].weight),
            reverse=True,
        )
        if len({slip.slug for slip in self.case.values} & set(found[:2])) > 1:  # only one of them decides the value
            del found[1]
        return found[: 2 if self.dice.happens(SECOND_HABIT, "second habit") else 1]

    def omitted(self, teaching: Teaching) -> list[str]:
        """The needed habits that it omits after what it was taught."""
        return [
            slug
            for slug in self.needed()
            if self.dice.happens(self.scale.omits * teaching.factor(slug, self.scale.taught), "omits", slug)
        ]

    def hinge(self) -> Case:
        """The question with the steps on which it hinges; misread by chance, in a way that no habit cures."""
        case = self.case.about(self.needed())
        return case.misread() if self.dice.happens(self.scale.misreads, "misreads") else case

    def reads(self, link: str) -> bool:
        """Whether it opens a reference, wherever the skill's folder lies."""
        return self.dice.happens(self.scale.reads_reference, "reads", PurePosixPath(link).name)


def study(asked: Asked, folders: Sequence[Path]) -> Case | None:
    """How a question is answered; None if it is unknown. Reads files: call it off the event loop."""
    return _STUDY[asked.domain](asked, folders)


async def answer(
    asked: Asked,
    messages: Sequence[ChatMessage],
    tools: Sequence[ToolInfo],
    scale: Scale,
    seed: str,
    folders: tuple[Path, ...],
) -> ChatMessageAssistant:
    """The agent's next turn at a question."""
    offered = {tool.name: tool for tool in tools}
    case = await anyio.to_thread.run_sync(study, asked, folders)
    if case is None:
        return finish(offered, UNKNOWN)
    dice = Dice(seed=seed, scale=scale.name, role=AGENT, case=asked.key)
    actor = Actor(asked=asked, case=case, dice=dice, scale=scale)
    if "bash" not in offered:
        omitted = actor.omitted(teaching_of(messages, asked.domain))
        return ChatMessageAssistant(content=write(actor.hinge(), omitted))
    return _next_turn(messages, offered, actor)


def _next_turn(messages: Sequence[ChatMessage], offered: dict[str, ToolInfo], actor: Actor) -> ChatMessageAssistant:
    done = replies.commands_with_results(messages)
    commands = [str(call.arguments.get("command", "")) for call, _ in done if call.function == "bash"]
    if loads := load_skill(offered, done):
        return loads
    domain = actor.asked.domain
    if not commands:
        return replies.bash("First I look at what is there.", render(code.LOOK[domain], input=repr(actor.asked.input)))
    skill = given_skill(messages)
    if unread := unread_references(skill, commands, actor.reads):
        return unread
    solve = code.solve_command(actor.asked, actor.hinge(), actor.omitted(teaching_of(messages, domain)))
    if solve not in commands:
        return replies.bash("Now I write down what I found, as a script, and run it.", solve)
    if domain != MATH:
        return finish(offered, f"The result is in {actor.asked.output}.")
    printed = next(result for call, result in done if call.arguments.get("command") == solve)
    return finish(offered, f"This is what comes out:\n{printed.strip()}")
