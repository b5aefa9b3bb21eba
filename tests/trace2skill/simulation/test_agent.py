"""The simulated agent's decisions: reproducible, moved by what its prompt teaches and by nothing else."""

import itertools

import pytest
from inspect_ai.model import ChatMessage, ChatMessageSystem, ChatMessageTool, ChatMessageUser, GenerateConfig
from inspect_ai.tool import ToolInfo, ToolParams

from tests.trace2skill.simulation.sample import FOLDER, RECORDS, dice, task, task_text
from trace2skill.errors import DataError, Trace2SkillError
from trace2skill.simulation.agent import Actor
from trace2skill.simulation.habits import Teaching, habits, read_teaching
from trace2skill.simulation.provider import SimulatedModel
from trace2skill.simulation.scales import SCALES

TOOLS = [ToolInfo(name=name, description="", parameters=ToolParams()) for name in ("bash", "submit")]
SKILL_TOOL = ToolInfo(name="skill", description="<skill>\n<name>cells</name>\n</skill>", parameters=ToolParams())
NOTHING = read_teaching("")
EVERYTHING = read_teaching("\n".join(f"- {habit.content[0]}" for habit in habits().values()))


def omissions(scale: str, teaching: Teaching, seeds: int = 3) -> int:
    total = 0
    for task_id, seed in itertools.product(RECORDS, range(seeds)):
        prompt, known = task(task_id)
        actor = Actor(prompt=prompt, known=known, dice=dice(seed, scale, prompt.key), scale=SCALES[scale])
        total += len(actor.omitted(teaching))
    return total


def test_teaching_and_scale_lower_omissions() -> None:
    small, large = omissions("small", NOTHING), omissions("large", NOTHING)
    assert large < 0.7 * small
    assert omissions("small", EVERYTHING) < 0.4 * small
    assert omissions("large", EVERYTHING) < 0.3 * large


def test_what_is_taught_is_never_omitted_more() -> None:
    prompt, known = task("9041")
    for seed in range(50):
        actor = Actor(prompt=prompt, known=known, dice=dice(seed), scale=SCALES["small"])
        assert set(actor.omitted(EVERYTHING)) <= set(actor.omitted(NOTHING)) <= set(actor.needed())
        assert set(actor.needed()) <= set(known.habits)


async def conversation(
    model: SimulatedModel, text: str, system: str = "", tools: list[ToolInfo] = TOOLS, result: str = "ok"
) -> list[ChatMessage]:
    messages: list[ChatMessage] = [ChatMessageSystem(content=system), ChatMessageUser(content=text)]
    for _ in range(12):
        output = await model.generate(messages, tools, "auto", GenerateConfig())
        messages.append(output.message)
        (call,) = output.message.tool_calls or []
        assert output.message.text.startswith("[SIMULATED]")
        if call.function == "submit":
            return messages
        messages.append(ChatMessageTool(content=result, tool_call_id=call.id, function=call.function))
    raise AssertionError("the agent does not come to an end")


def commands(messages: list[ChatMessage]) -> list[str]:
    calls = [call for m in messages if m.role == "assistant" for call in m.tool_calls or []]
    return [str(call.arguments.get("command", "")) for call in calls]


async def test_the_same_input_gives_the_same_conversation() -> None:
    one, other = SimulatedModel("small"), SimulatedModel("small")
    for task_id in ("9011", "905-2", "9064"):
        first, second = [await conversation(model, task_text(task_id)) for model in (one, other)]
        assert [(m.text, commands([m])) for m in first] == [(m.text, commands([m])) for m in second]
    output = await one.generate([ChatMessageUser(content=task_text("9011"))], TOOLS, "auto", GenerateConfig())
    assert output.model == "sim/small (SIMULATED)"
    assert output.usage is not None
    assert output.usage.total_tokens > 100


async def test_a_reference_counts_only_if_it_was_read() -> None:
    system = '<skill name="cells">\n# Cells\n\nSee references/rows.md.\n</skill>'
    readers = 0
    for seed in range(30):
        model = SimulatedModel("small", seed=seed)
        said = commands(await conversation(model, task_text("905-2"), system, result="- Delete rows bottom-up."))
        readers += "cat skills/cells/references/rows.md" in said
    assert 3 <= readers <= 20


async def test_the_skill_tool_is_called_first() -> None:
    said = await conversation(
        SimulatedModel("small"),
        task_text("9011"),
        tools=[*TOOLS, SKILL_TOOL],
        result="Base Path: skills/cells/SKILL.md",
    )
    assert commands(said)[0] == "cells"


async def test_an_unknown_task_is_left_alone() -> None:
    text = task_text("9011").replace("unit price", "unknown thing")
    said = await conversation(SimulatedModel("large"), text)
    assert not any("solve.py" in command for command in commands(said))
    assert "do not know" in said[-1].text


def test_unknown_scale_and_folder_are_refused() -> None:
    with pytest.raises(Trace2SkillError, match=r"sim/small and sim/large; there is no sim/huge"):
        SimulatedModel("huge")
    with pytest.raises(DataError, match=r"has no dataset\.json"):
        SimulatedModel("small", data=str(FOLDER / "spreadsheet"))
