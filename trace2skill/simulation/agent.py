"""The simulated agent: it knows how a task is solved and acts through real code, but omits habits by chance.

It keeps no state. Each turn it works out from the conversation alone what it does next: load the skill,
look at the workbook, read references, write and run `solve.py`, perhaps read the result back and mend it,
submit.
"""

import functools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import anyio.to_thread
from inspect_ai.model import ChatMessage, ChatMessageAssistant
from inspect_ai.tool import ToolCall, ToolInfo

from trace2skill.simulation import replies
from trace2skill.simulation.chance import Dice
from trace2skill.simulation.defects import repair_command, signs_of_defects
from trace2skill.simulation.habits import SPREADSHEET, VERIFY, Teaching, habits, read_teaching
from trace2skill.simulation.scales import Scale
from trace2skill.simulation.scripts import LOOK, check_command, render, solve_command
from trace2skill.simulation.world import Knowledge, Prompt, knowledge, read_prompt

AGENT = "agent"
"""The role, in every decision of the agent's."""

MAX_COMMAND = 90_000
"""Longer commands do not fit into one argument of a process; such a task is beyond the agent."""

SECOND_HABIT = 0.5
"""Share of tasks that hinge on two habits instead of one."""

_SKILL = re.compile(r'<skill name="([^"]+)">\n(.*?)\n</skill>', re.DOTALL)
_BASE_PATH = re.compile(r"^Base Path: (\S+)$", re.MULTILINE)
_MEMORY = re.compile(r"<memory>\n(.*?)\n</memory>", re.DOTALL)
_LINK = re.compile(r"\breferences/[\w.-]+\.md\b")
_AVAILABLE = re.compile(r"<name>([^<]+)</name>")


@dataclass(frozen=True, kw_only=True)
class GivenSkill:
    """The skill as the conversation shows it.

    Attributes:
        folder: Where it lies in the sandbox.
        text: SKILL.md, or what the `skill` tool returned.
        references: Texts of the references that the agent has read.
    """

    folder: str
    text: str
    references: tuple[str, ...] = ()

    def links(self) -> list[str]:
        """Paths of the references that SKILL.md names."""
        return [f"{self.folder}/{link}" for link in dict.fromkeys(_LINK.findall(self.text))]


async def act(
    messages: Sequence[ChatMessage], tools: Sequence[ToolInfo], scale: Scale, seed: str, folders: tuple[Path, ...]
) -> ChatMessageAssistant:
    """The agent's next turn."""
    offered = {tool.name: tool for tool in tools}
    prompt = read_prompt(replies.first_user_text(messages))
    if prompt is None or "bash" not in offered:
        return finish(offered, "This is no task that the stand-in model knows how to work on.")
    known = await anyio.to_thread.run_sync(functools.partial(knowledge, prompt, folders))
    dice = Dice(seed=seed, scale=scale.name, role=AGENT, case=prompt.case_key)
    return next_turn(messages, offered, Actor(prompt=prompt, known=known, dice=dice, scale=scale))


@dataclass(frozen=True, kw_only=True)
class Actor:
    """One agent at one task."""

    prompt: Prompt
    known: Knowledge | None
    dice: Dice
    scale: Scale

    def needed(self) -> list[str]:
        """The one or two habits on which this task is made to hinge, the same for all conditions."""
        if self.known is None:
            return []
        found = sorted(
            (slug for slug in self.known.habits),
            key=lambda slug: self.dice.uniform("hinges", slug) ** (1 / habits()[slug].weight),
            reverse=True,
        )
        if {"preserve", "output_path"} <= set(found[:2]):  # both concern the one line that saves
            del found[1]
        return found[: 2 if self.dice.happens(SECOND_HABIT, "second habit") else 1]

    def omitted(self, teaching: Teaching) -> list[str]:
        """The needed habits that it omits after what it was taught."""
        return [
            slug
            for slug in self.needed()
            if self.dice.happens(self.scale.omits * teaching.factor(slug, self.scale.taught), "omits", slug)
        ]

    def reads(self, link: str) -> bool:
        """Whether it opens a reference, wherever the skill's folder lies."""
        return self.dice.happens(self.scale.reads_reference, "reads", PurePosixPath(link).name)

    def verifies(self, teaching: Teaching) -> bool:
        """Whether it reads its result back."""
        gain = (self.scale.verifies_taught - self.scale.verifies) * teaching.attention()
        taught = self.scale.verifies + (gain if VERIFY in teaching.taught else 0)
        return self.dice.happens(0 if VERIFY in teaching.denied else taught, "verifies")

    def solve(self, teaching: Teaching) -> str | None:
        """The command that solves the task; None where it cannot."""
        if self.known is None:
            return None
        wrong = self.dice.happens(self.scale.misreads, "misreads")
        command = solve_command(self.prompt, self.known, self.needed(), self.omitted(teaching), wrong=wrong)
        return command if len(command.encode()) <= MAX_COMMAND else None


def next_turn(messages: Sequence[ChatMessage], offered: dict[str, ToolInfo], actor: Actor) -> ChatMessageAssistant:
    """What the agent does next, told from what it has done: the first thing that is still to be done."""
    done = replies.commands_with_results(messages)
    commands = [str(call.arguments.get("command", "")) for call, _ in done if call.function == "bash"]
    if loads := load_skill(offered, done):
        return loads
    if not commands:
        return replies.bash("First I look at the workbook.", render(LOOK, input=repr(actor.prompt.input)))
    skill = given_skill(messages)
    if unread := unread_references(skill, commands, actor.reads):
        return unread
    return _work(commands, offered, actor, teaching_of(messages))


def _work(commands: list[str], offered: dict[str, ToolInfo], actor: Actor, teaching: Teaching) -> ChatMessageAssistant:
    solve = actor.solve(teaching)
    if solve is None or actor.known is None:
        return finish(offered, "I do not know how to solve this task, so I leave it.")
    if solve not in commands:
        return replies.bash("Now I write the script that solves the task, and run it.", solve)
    check = check_command(actor.prompt, actor.known.plan)
    if actor.verifies(teaching):
        if check not in commands:
            return replies.bash("I read the saved cells back.", check)
        seen = [
            repair
            for slug, repair in signs_of_defects(solve).items()
            if actor.dice.happens(actor.scale.notices, "notices", slug)
        ]
        repair = f"{repair_command('solve.py', 'solve.py', seen)}\npython3 solve.py"
        if seen and repair not in commands:
            return replies.bash("That is not what I meant to save; I mend the script and run it again.", repair)
    return finish(offered, f"The result is in {actor.prompt.output}.")


def load_skill(offered: dict[str, ToolInfo], done: Sequence[tuple[ToolCall, str]]) -> ChatMessageAssistant | None:
    """The call of the `skill` tool, if there is one that has not been called."""
    if "skill" not in offered or any(call.function == "skill" for call, _ in done):
        return None
    available = _AVAILABLE.findall(offered["skill"].description)
    return replies.call(
        "There is a skill for this; I load it first.", "skill", {"command": available[0] if available else ""}
    )


def unread_references(
    skill: GivenSkill | None, commands: Sequence[str], reads: Callable[[str], bool]
) -> ChatMessageAssistant | None:
    """The command that reads the next reference, if there is one left that the agent opens."""
    for command in (f"cat {link}" for link in (skill.links() if skill else []) if reads(link)):
        if command not in commands:
            return replies.bash("The skill points to a reference that may matter here.", command)
    return None


def given_skill(messages: Sequence[ChatMessage]) -> GivenSkill | None:
    """The skill that the system prompt or the `skill` tool showed, with the references read so far."""
    done = replies.commands_with_results(messages)
    system = "\n".join(message.text for message in messages if message.role == "system")
    if found := _SKILL.search(system):
        folder, text = f"skills/{found.group(1)}", found.group(2)
    else:
        text = next((result for call, result in done if call.function == "skill"), "")
        base = _BASE_PATH.search(text)
        if base is None:
            return None
        folder = str(PurePosixPath(base.group(1)).parent)
    read = [result for call, result in done if str(call.arguments.get("command", "")).startswith(f"cat {folder}/")]
    return GivenSkill(folder=folder, text=text, references=tuple(read))


def teaching_of(messages: Sequence[ChatMessage], domain: str = SPREADSHEET) -> Teaching:
    """What the agent has learnt from its skill and from what it recalls of past tasks: both stand in its prompt."""
    skill = given_skill(messages)
    recalled = _MEMORY.search("\n".join(message.text for message in messages if message.role == "system"))
    texts = [*([skill.text] if skill else []), *([recalled.group(1)] if recalled else [])]
    return read_teaching("\n\n".join(texts), skill.references if skill else (), domain)


def finish(offered: dict[str, ToolInfo], text: str) -> ChatMessageAssistant:
    """The last turn: a submission where there is such a tool, else a message."""
    if "submit" not in offered:
        return ChatMessageAssistant(content=f"{replies.STAMP} {text}")
    return replies.call(text, "submit", {"answer": f"{replies.STAMP} {text}"})
