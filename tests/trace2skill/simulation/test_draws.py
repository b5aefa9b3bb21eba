"""What the stand-in decides hangs on seed, role, task and decision: not on what else happens to stand in its prompt."""

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inspect_ai.model import (
    ChatMessage,
    ChatMessageAssistant,
    ChatMessageSystem,
    ChatMessageTool,
    ChatMessageUser,
    GenerateConfig,
    ResponseSchema,
)
from inspect_ai.tool import ToolInfo, ToolParams
from inspect_ai.util import JSONSchema

from tests.trace2skill.simulation.answers.sample import SAMPLES, known, prompt
from tests.trace2skill.simulation.sample import RECORDS, script, task, task_text
from trace2skill.logs.transcript import render_transcript
from trace2skill.prompts import Prompts, Role
from trace2skill.simulation.answers.working import write
from trace2skill.simulation.habits import MATH, WIKITQ, habits
from trace2skill.simulation.provider import SimulatedModel
from trace2skill.simulation.scripts import LOOK
from trace2skill.simulation.world import read_prompt

SKILL = "# Cells\n\n## Formulas\n\n- Delete rows bottom-up.\n- Say what was done.\n\n## Tips\n"
LESSONS = [
    {"title": habit.title[0], "description": habit.description[0], "content": habit.content[0]}
    for slug, habit in habits().items()
    if slug in ("recalculate", "numbers", "output_path")
]
ASKED: dict[Role, str] = {"success_analyst": "success_report", "error_llm": "error_report"}
CHECKS = [ToolInfo(name=name, description="", parameters=ToolParams()) for name in ("bash", "check_fix", "submit")]
SEEDS = range(12)

PLACES = ("/home/me/trace2skill", "/srv/a folder with blanks/and a rather long name/than which few are longer")
TRACEBACK = """\
Traceback (most recent call last):
  File "{place}/.venv/lib/python3.11/site-packages/openpyxl/reader/excel.py", line 344, in load_workbook
    wb = openpyxl.load_workbook(path, data_only=True)
  File "{place}/solve.py", line 12, in <module>
    for row in sorted(rows): wb.save(INPUT)
KeyError: 'Sheet {place}'"""
PRINTED = [
    "",
    "3 rows written",
    *(TRACEBACK.format(place=place) for place in PLACES),
    "LibreOffice is not installed (no soffice or libreoffice is on PATH): nothing was recalculated",
    "convert /tmp/tmp1234/out.xlsx using filter : Calc MS Excel 2007 XML\nuid=65534(nobody), took 1.52 s",
]


def schema(name: str) -> GenerateConfig:
    return GenerateConfig(response_schema=ResponseSchema(name=name, json_schema=JSONSchema(type="object")))


async def said(messages: Sequence[ChatMessage], config: GenerateConfig, seed: int, *tools: ToolInfo) -> str:
    """What the model says: text and calls."""
    output = await SimulatedModel("small", seed=seed).generate(list(messages), list(tools), "auto", config)
    calls = [(call.function, call.arguments) for call in output.message.tool_calls or []]
    return json.dumps([output.message.text, calls])


def run_of(task_id: str, omitted: Sequence[str], printed: str) -> list[ChatMessage]:
    """An agent's run, in which the tools printed something."""
    code = f"cat > solve.py <<'PYTHON'\n{script(task_id, omitted, omitted)}\nPYTHON\npython3 solve.py"
    messages: list[ChatMessage] = [ChatMessageUser(content=task_text(task_id))]
    for command in (LOOK, code):
        call = {"id": "c", "function": "bash", "arguments": {"command": command}}
        messages += [
            ChatMessageAssistant.model_validate({"role": "assistant", "content": "Now.", "tool_calls": [call]}),
            ChatMessageTool(content=printed, tool_call_id="c", function="bash"),
        ]
    return messages


def reworded(template: str) -> str:
    """A template in other words: its placeholders and what stands around them stay."""
    lines = [line for line in template.splitlines() if line.startswith(("<", "{{")) or not line]
    return "\n".join(["Please be so kind.", *lines, "", "Thank you for a JSON object."])


def ask(role: Role, task_text: str, transcript: str, reword: Callable[[str], str] = lambda text: text) -> str:
    """A single-call analyst's prompt."""
    values = {"max_lessons": 3, "task": task_text, "transcript": transcript, "skill_name": "cells", "skill": SKILL}
    text = reword(Prompts().source(role)).replace("{{ verdict }}", "Failed.")
    return re.sub(r"\{\{ (\w+) \}\}", lambda match: str(values[match[1]]), text)


@pytest.mark.parametrize("role", ASKED)
async def test_what_tools_printed_moves_no_report(role: Role) -> None:
    reports = set()
    for seed in SEEDS:
        replies = {
            await said([ChatMessageUser(content=ask(role, task_text("9061"), transcript))], schema(ASKED[role]), seed)
            for printed in PRINTED
            for transcript in [render_transcript(run_of("9061", ("clean_text", "recalculate"), printed))]
        }
        assert len(replies) == 1
        reports |= replies
    assert len(reports) >= 3


@pytest.mark.parametrize("role", ASKED)
async def test_another_wording_of_the_prompts_moves_no_report(role: Role) -> None:
    transcript = render_transcript(run_of("908-2", ("dates", "sheet"), "done"))
    for seed in SEEDS:
        usual, other = (ask(role, task_text("908-2"), transcript, reword) for reword in (str, reworded))
        assert usual != other
        config = schema(ASKED[role])
        assert await said([ChatMessageUser(content=usual)], config, seed) == await said(
            [ChatMessageSystem(content="You are careful."), ChatMessageUser(content=other)], config, seed
        )


async def test_tasks_and_seeds_draw_differently() -> None:
    shown = render_transcript(run_of("905-2", ("bottom_up",), ""))
    for tasks, seeds in ((list(RECORDS)[:10], [1]), (["905-2"], range(10))):
        replies = {
            await said(
                [ChatMessageUser(content=ask("error_llm", task_text(name), shown))], schema("error_report"), seed
            )
            for name in tasks
            for seed in seeds
        }
        assert len(replies) >= 5


@settings(max_examples=30, deadline=None)
@given(place=st.text(st.characters(codec="utf-8", exclude_characters="<>\0"), max_size=60), seed=st.integers(0, 99))
async def test_an_error_analyst_takes_the_same_steps_wherever_it_works(place: str, seed: int) -> None:
    shown = script("908-2", ("dates", "sheet"), ("dates", "sheet"))
    steps = []
    for printed, seen, verdict in ((PRINTED[0], shown, "FAILED"), (place, f"{shown}\n{place}", f"FAILED\n{place}")):
        transcript = render_transcript(run_of("908-2", ("dates", "sheet"), printed))
        prompt = f"<task>\n{task_text('908-2')}\n</task>\n<transcript>\n{transcript}\n</transcript>"
        messages: list[ChatMessage] = [ChatMessageUser(content=prompt)]
        taken = []
        for _ in range(12):
            reply = (
                await SimulatedModel("small", seed=seed).generate(messages, CHECKS, "auto", GenerateConfig())
            ).message
            (call,) = reply.tool_calls or []
            taken.append((call.function, call.arguments))
            if call.function == "submit":
                break
            result = verdict if call.function == "check_fix" else seen
            messages += [reply, ChatMessageTool(content=result, tool_call_id=call.id, function=call.function)]
        steps.append(taken)
    assert steps[0] == steps[1]


async def test_edits_are_drawn_by_the_task_alone() -> None:
    lines = "\n".join(map(json.dumps, LESSONS))
    outline = "SKILL.md\n  ## Formulas\n  ## Tips"
    places = set()
    for seed in SEEDS:
        replies = set()
        for printed, reword in ((PRINTED[0], str), (PRINTED[3], reworded)):
            first = ask("success_analyst", task_text("9061"), render_transcript(run_of("9061", (), printed)), reword)
            source = reword(Prompts().source("patch"))
            last = source.replace("{{ lessons }}", lines).replace("{{ outline }}", outline)
            messages = [
                ChatMessageUser(content=first),
                ChatMessageAssistant(content=printed),
                ChatMessageUser(content=last),
            ]
            replies.add(await said(messages, schema("patch"), seed))
        assert len(replies) == 1
        places |= replies
    assert len(places) > 1


async def test_a_broken_answer_is_repeated_in_full_however_that_is_asked() -> None:
    broken = 0
    for seed in range(60):
        asked: list[ChatMessage] = [ChatMessageUser(content=ask("success_analyst", task_text("9061"), "nothing"))]
        [text, _] = json.loads(await said(asked, schema("success_report"), seed))
        if text.endswith("}"):
            continue
        broken += 1
        asked += [ChatMessageAssistant(content=text), ChatMessageUser(content="Again, please.")]
        assert json.loads(json.loads(await said(asked, schema("success_report"), seed))[0])
    assert 0 < broken < 20


def edit(name: str, content: str) -> dict[str, Any]:
    blank = {"op": "append_to_section", "file": "SKILL.md", "target": "## Tips", "old": "", "rationale": ""}
    return {"id": name, **blank, "content": content, "support": 1}


@pytest.mark.parametrize("role", ["merger", "resolver"])
async def test_merges_are_drawn_by_the_ids_of_their_edits(role: Role) -> None:
    rows = [
        edit(f"{n}.1", f"- Count the {word} twice.") for n, word in enumerate(("apples", "pages of ink", "red doors"))
    ]
    answers = set()
    for seed in SEEDS:
        replies = set()
        for listed, reword in ((rows, str), (rows[::-1], reworded)):
            source = re.sub(r"\{% .*?%\}\n", "", reword(Prompts().source(role))).replace("{{ kept }}", "")
            text = source.replace("{{ edits }}", "\n".join(map(json.dumps, listed)))
            replies.add(await said([ChatMessageUser(content=text)], schema("merge_result"), seed))
        assert len(replies) == 1
        answers |= replies
    assert len(answers) > 1 or role == "resolver"


@pytest.mark.parametrize("domain", [WIKITQ, MATH])
async def test_questions_are_studied_by_their_text_alone(domain: str) -> None:
    sample = next(sample for sample in SAMPLES[domain] if known(sample)[1].habits)
    _, case = known(sample)
    message = write(case.about(case.habits), case.habits)
    for seed in SEEDS:
        replies = set()
        for printed, reword in ((PRINTED[0], str), (PRINTED[2], reworded)):
            messages = [
                ChatMessageUser(content=prompt(sample)),
                ChatMessageTool(content=printed, tool_call_id="c", function="bash"),
                ChatMessageAssistant(content=message),
            ]
            text = ask("error_llm", prompt(sample), render_transcript(messages), reword)
            replies.add(await said([ChatMessageUser(content=text)], schema("error_report"), seed))
        assert len(replies) == 1


async def test_an_agent_opens_references_wherever_its_skill_lies() -> None:
    tools = [
        ToolInfo(name="skill", description="<name>cells</name>", parameters=ToolParams()),
        ToolInfo(name="bash", description="", parameters=ToolParams()),
    ]
    found = set()
    for seed in SEEDS:
        opened = set()
        for place in PLACES:
            folder = f"{place.replace(' ', '-')}/skills/cells"
            shown = f"# Cells\n\nSee references/a.md and references/b.md.\n\nBase Path: {folder}/SKILL.md"
            loads = {"id": "1", "function": "skill", "arguments": {"command": "cells"}}
            looks = {"id": "2", "function": "bash", "arguments": {"command": "ls"}}
            messages = [
                ChatMessageUser(content=task_text("9061")),
                ChatMessageAssistant.model_validate({"role": "assistant", "content": "", "tool_calls": [loads]}),
                ChatMessageTool(content=shown, tool_call_id="1", function="skill"),
                ChatMessageAssistant.model_validate({"role": "assistant", "content": "", "tool_calls": [looks]}),
                ChatMessageTool(content=place, tool_call_id="2", function="bash"),
            ]
            opened.add((await said(messages, GenerateConfig(), seed, *tools)).replace(folder, ""))
        assert len(opened) == 1
        found |= opened
    assert len(found) > 1


def test_a_task_is_known_by_its_text_when_its_prompt_goes_on_in_other_words() -> None:
    text = task_text("9061")
    other = text.replace("Cell-level manipulation asks", "Mind that cell-level manipulation asks")
    assert other != text
    assert read_prompt(other) == task("9061")[0]
