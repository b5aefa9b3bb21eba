"""The skill-using agent that all benchmarks share: with tools in a sandbox, or answering in one message."""

import base64
import re
from collections.abc import Sequence
from typing import Literal, get_args

from inspect_ai.agent import Agent, AgentPrompt, AgentState, react, run
from inspect_ai.model import ChatMessage, ChatMessageSystem, ChatMessageUser, GenerateConfig, ModelOutput
from inspect_ai.solver import Generate, Solver, TaskState, solver
from inspect_ai.tool import Tool, ToolDef, bash
from inspect_ai.tool import skill as skill_tool
from inspect_ai.util import OutputLimitExceededError, sandbox, span, store

from evals.budget import ANSWER_AGAIN, CHECK, SUBMIT_AGAIN, Budget, settled
from evals.data import check_choice
from evals.memory import recall
from evals.produced import is_agents_doing
from evals.tools import forgiving
from trace2skill.data import resolve_path
from trace2skill.errors import DataError, SkillError
from trace2skill.memory import Memory
from trace2skill.skill import Skill, find_skill_folder, load_skill
from trace2skill.standstill import generated, persevere, standstill

SkillMode = Literal["preload", "tool"]
"""How the agent meets a skill: SKILL.md in the system prompt, or through Inspect's `skill()` tool."""

BOUNDS = GenerateConfig(max_tokens=8_192, attempt_timeout=600, timeout=1_800)
"""What one generation of an agent may take (tokens, seconds), unless `inspect eval` says otherwise (`--max-tokens`,
`--attempt-timeout`, `--timeout`): by default nothing would end a call of a server that accepts and never answers."""

PRODUCED_FILES = "produced_files"
"""Store key under which the files that the agent produced are kept: path -> base64 content."""

CUT_SHORT = "cut_short"
"""Key of the sample's metadata under which it is said why an agent was ended."""

MAX_FILE_BYTES = 2 * 1024**2
"""A larger file is not kept; its size is noted instead."""

MAX_TOTAL_BYTES = 8 * 1024**2
"""All files of one sample together."""

MAX_FILES = 50
"""Files of one sample; beyond it they are noted, and beyond twice as many not even that."""

LISTING_SECONDS = 60
"""Time for listing the files of one sample."""

FILE_ROW = re.compile(r"(?P<stamp>[0-9]+\t[0-9.-]+)\t(?P<path>.+)", re.DOTALL)

SKILL_PROMPT = """\
You have a skill for this kind of task. Follow it where it applies; the task's own instructions come first.
The skill's folder is at skills/{name}/ below the working directory: read its references and run its scripts from there
when the text below points to them.

<skill name="{name}">
{text}
</skill>"""


@solver
def skill_agent(
    prompt: str,
    skill: str | None = None,
    skill_mode: SkillMode = "preload",
    max_turns: int = 100,
    tool_timeout: int = 180,
    tools: Sequence[Tool] = (),
    budget: Budget | None = None,
    memory: Memory | None = None,
) -> Solver:
    """ReAct agent with bash in the sandbox and, if given, one skill and a memory.

    Running out of turns ends the agent, not the sample, as does a standstill: what it left behind is scored.

    Args:
        prompt: System prompt of the benchmark.
        skill: Skill folder or evolution run folder; nothing for the no-skill condition.
        skill_mode: `preload` puts SKILL.md into the system prompt and the folder into the sandbox, as in the paper;
        `tool`
            offers the skill through Inspect's `skill()` tool.
        max_turns: Model generations allowed (the paper: 100).
        tool_timeout: Seconds one command may take.
        tools: Tools beside bash.
        budget: Tokens that it may spend on checking its work once it has submitted.
        memory: Past tasks, of which the nearest stand at the end of the system prompt.

    Raises:
        SkillError: The skill cannot be loaded; raised when the task is created.
        DataError: An argument is out of range.
    """
    check_choice("skill_mode", skill_mode, get_args(SkillMode))
    if max_turns < 1:
        raise DataError(f"max_turns must be at least 1, not {max_turns}.")
    folder = find_skill_folder(resolve_path(skill)) if skill else None
    loaded = load_skill(folder) if folder else None
    preloaded = loaded if skill_mode == "preload" else None

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        if preloaded:
            await install_skill(preloaded)
        offered = [forgiving(each) for each in (bash(timeout=tool_timeout), *tools)]
        if folder and not preloaded:
            offered.append(skill_tool([folder]))
        recalled = await recall(memory, state)
        agent = react(
            prompt=AgentPrompt(system_prompt(prompt, preloaded, recalled), assistant_prompt=None),
            tools=offered,
            on_continue=persevere([ToolDef(each).name for each in offered] + ["submit"], max_turns),
        )
        before = await list_files()
        if budget:
            budget.open(state)
        try:
            ended = await run(agent, without_system(state.messages))
            state.messages, state.output = ended.messages, ended.output
            while budget and budget.allows(state, _at_end(state, max_turns)):
                await _check(agent, state)
        except UnicodeEncodeError:  # half a character in a call: no log could hold the turn that would tell the model
            state.metadata[CUT_SHORT] = "A tool call held text that is not Unicode, which ended the agent."
        finally:
            if budget:
                budget.note(state)
        await keep_produced_files(before)
        return state

    return solve


async def _check(agent: Agent, state: TaskState) -> None:
    """Let an agent check its work; an answer that it has submitted stays until it submits another."""
    asked = ChatMessageUser(content=CHECK.format(answer=SUBMIT_AGAIN))
    # Not by `run`, which would mark as input what the model has written, and it would no longer count as its turns.
    async with span("check"):
        ended = await agent(AgentState(messages=[*without_system(state.messages), asked]))
    state.messages = ended.messages
    if _submits(ended.output) or not _submits(state.output):
        state.output = ended.output


def _submits(output: ModelOutput) -> bool:
    return bool(output.choices) and any(call.function == "submit" for call in output.message.tool_calls or [])


def _at_end(state: TaskState, max_turns: int) -> str:
    """Why an agent need not be asked to go on; empty if it may be."""
    turns = generated(state.messages)
    return "the turns are used" if len(turns) >= max_turns else standstill(turns)


@solver
def skill_answer(
    prompt: str,
    skill: str | None = None,
    skill_mode: SkillMode = "preload",
    budget: Budget | None = None,
    memory: Memory | None = None,
) -> Solver:
    """One message from the model, with one skill and a memory in its system prompt; for tasks that need no tools.

    Args:
        prompt: System prompt of the benchmark.
        skill: Skill folder or evolution run folder; nothing for the no-skill condition.
        skill_mode: Only `preload`: the `skill()` tool and a skill's references need a sandbox.
        budget: Tokens that it may spend on checking its answer and giving it again.
        memory: Past tasks, of which the nearest stand at the end of the system prompt.

    Raises:
        SkillError: The skill cannot be loaded, or its mode needs a sandbox.
        DataError: There is no such mode.
    """
    check_choice("skill_mode", skill_mode, get_args(SkillMode))
    if skill and skill_mode != "preload":
        raise SkillError("skill_mode=tool needs a sandbox, which this task does not have. Use skill_mode=preload.")
    loaded = load_skill(resolve_path(skill)) if skill else None

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        system = system_prompt(prompt, loaded, await recall(memory, state))
        state.messages = [ChatMessageSystem(content=system), *without_system(state.messages)]
        if not budget:
            return await generate(state)
        budget.open(state)
        try:
            state = await generate(state)
            while budget.allows(state, settled(generated(state.messages))):
                answered = state.output
                state.messages.append(ChatMessageUser(content=CHECK.format(answer=ANSWER_AGAIN)))
                state = await generate(state)
                # What breaks off is no answer to take the place of the one before.
                if state.output.stop_reason != "stop" or not state.output.completion.strip():
                    state.output = answered
        finally:
            budget.note(state)
        return state

    return solve


def system_prompt(prompt: str, skill: Skill | None, recalled: str = "") -> str:
    """The benchmark's prompt, followed by the preloaded skill and by what was recalled, where there is any."""
    taught = SKILL_PROMPT.format(name=skill.name, text=skill.skill_md.strip()) if skill else ""
    return "\n\n".join(part for part in (prompt, taught, recalled) if part)


def without_system(messages: Sequence[ChatMessage]) -> list[ChatMessage]:
    """The messages without a system message that a sample brings along: the agent's own takes its place.

    A sample with images brings one, so that its other messages keep their places: Inspect logs a change of the
    conversation place by place, and would log the images once more, uncompressed, if they moved.
    """
    return [message for message in messages if not isinstance(message, ChatMessageSystem)]


async def install_skill(skill: Skill) -> None:
    """Copy a skill's folder into the sandbox, to `skills/<name>/`."""
    for path, content in skill.files.items():
        await sandbox().write_file(f"skills/{skill.name}/{path}", content)


async def list_files() -> dict[str, str]:
    """Files below the sandbox's working directory, without the skill's: path -> size and time of change."""
    listed = await sandbox().exec(
        ["find", ".", "-path", "./skills", "-prune", "-o", "-type", "f", "-printf", r"%s\t%T@\t%P\0"],
        timeout=LISTING_SECONDS,
    )
    # Of a very long list the sandbox keeps the end, which may begin within a row; a name may hold anything else.
    rows = (FILE_ROW.fullmatch(row) for row in listed.stdout.split("\0"))
    return {row["path"]: row["stamp"] for row in rows if row}


async def keep_produced_files(before: dict[str, str]) -> None:
    """Keep each new or changed file in the sample's store, so that the log alone is enough to study it.

    What cannot be kept is noted with the reason: an odd file that an agent leaves behind is no reason to fail.
    """
    kept: dict[str, str] = {}
    room = MAX_TOTAL_BYTES
    for path, stamp in sorted((await _files_left()).items()):
        if before.get(path) == stamp:
            continue
        size = int(stamp.split("\t")[0])
        if size > min(MAX_FILE_BYTES, room) or len(kept) >= MAX_FILES:
            kept[path] = f"not kept: {size} bytes"
            continue
        try:
            kept[path] = base64.b64encode(await sandbox().read_file(path, text=False)).decode()
            room -= size
        except (OSError, UnicodeError, OutputLimitExceededError) as error:
            kept[path] = f"not kept: {type(error).__name__}"
        if len(kept) > 2 * MAX_FILES:
            break
    store().set(PRODUCED_FILES, kept)


async def _files_left() -> dict[str, str]:
    """`list_files`; none if the agent left the working directory in a state in which they cannot be listed."""
    try:
        return await list_files()
    except (OSError, UnicodeError, OutputLimitExceededError) as error:
        if await is_agents_doing(error):
            return {}
        raise
