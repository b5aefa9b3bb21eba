"""The stand-in where it keeps a memory, and where it is given one."""

import json

import pytest
from inspect_ai.model import ChatMessage, ChatMessageSystem, ChatMessageUser, GenerateConfig, ResponseSchema
from inspect_ai.util import JSONSchema

from trace2skill.memory import Item, PastTask, Recalled, recall_text
from trace2skill.prompts import Prompts, Role
from trace2skill.simulation.agent import teaching_of
from trace2skill.simulation.habits import MATH, habits
from trace2skill.simulation.roles import reply
from trace2skill.simulation.scales import get_scale

TASK = "### problem\nHow many posts?\n\n### answer_format\nThe answer is a whole number."
BOXLESS = "--- 1. assistant ---\nThe answer is 7."


async def answered(role: Role, seed: int = 1) -> dict[str, object]:
    values = {"max_items": 3, "verdict": "x"} if role in ("memory_success", "memory_failure") else {"max_items": 3}
    values = {} if role == "memory_judge" else values
    prompt = Prompts().render(role, task=TASK, transcript=BOXLESS, **values)
    schema = ResponseSchema(name=role, json_schema=JSONSchema())
    asked = [ChatMessageUser(content=prompt), ChatMessageUser(content="again")]
    message = await reply(asked, [], GenerateConfig(response_schema=schema), get_scale("large"), str(seed), ())
    found: dict[str, object] = json.loads(message.text)
    return found


@pytest.mark.parametrize("role", ["memory_success", "memory_failure", "memory_workflow"])
async def test_it_keeps_items_in_the_form_that_is_asked_for(role: Role) -> None:
    kept = (await answered(role))["items"]

    assert isinstance(kept, list)
    assert all(item.keys() == {"title", "description", "content"} for item in kept)


async def test_it_misjudges_now_and_then() -> None:
    verdicts = [(await answered("memory_judge", seed))["verdict"] for seed in range(60)]

    assert set(verdicts) == {"success", "failure"}


def system(*items: str, skill: str = "") -> list[ChatMessage]:
    past = PastTask(
        id="a", sample="a", task="a", query="q", status="success",
        items=tuple(Item(title="T", description="D", content=item) for item in items),
    )  # fmt: skip
    taught = f'<skill name="s">\n{skill}\n</skill>\n\n' if skill else ""
    return [ChatMessageSystem(content=taught + recall_text([Recalled(past=past, score=1.0)]))]


@pytest.mark.parametrize("slug", sorted(habits(MATH)))
def test_an_item_teaches_what_the_same_words_in_a_skill_teach(slug: str) -> None:
    content = habits(MATH)[slug].content[0]

    assert slug in teaching_of(system(content), MATH).taught
    assert slug in teaching_of(system(skill=f"- {content}"), MATH).taught


def test_skill_and_memory_teach_together_and_both_fill_the_prompt() -> None:
    one, other = sorted(habits(MATH))[:2]
    both = teaching_of(system(habits(MATH)[one].content[0], skill=f"- {habits(MATH)[other].content[0]}"), MATH)
    alone = teaching_of(system(skill=f"- {habits(MATH)[other].content[0]}"), MATH)

    assert {one, other} <= both.taught
    assert both.lines > alone.lines
