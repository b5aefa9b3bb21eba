import pytest
from inspect_ai.model import ChatMessageUser, GenerateConfig, ModelOutput, ModelUsage, get_model
from pydantic import BaseModel

from trace2skill.errors import ModelOutputError
from trace2skill.models.structured import generate_structured, parse


class Answer(BaseModel):
    value: int


def scripted(*texts: str):
    outputs = [ModelOutput.from_content("mockllm", text) for text in texts]
    for output in outputs:
        output.usage = ModelUsage(input_tokens=1, output_tokens=1, total_tokens=2)
    return get_model("mockllm/model", custom_outputs=outputs, config=GenerateConfig(), memoize=False)


async def test_broken_output_is_repaired_with_the_problem_told() -> None:
    model = scripted('{"value": "x"}', "not json", '{"value": 3}')

    answer, conversation = await generate_structured(model, [ChatMessageUser(content="?")], Answer, "answer")

    assert answer.value == 3
    assert [message.role for message in conversation] == ["user", "assistant", "user", "assistant", "user", "assistant"]
    assert "value" in conversation[2].text


async def test_a_failed_check_is_told_too() -> None:
    model = scripted('{"value": 1}', '{"value": 2}')

    answer, conversation = await generate_structured(
        model,
        [ChatMessageUser(content="?")],
        Answer,
        "answer",
        lambda found: [] if found.value > 1 else ["value is too small"],
    )

    assert answer.value == 2
    assert "value is too small" in conversation[2].text


async def test_after_the_last_repair_it_gives_up() -> None:
    with pytest.raises(ModelOutputError, match="no usable answer in 4 attempts"):
        await generate_structured(scripted(*["{}"] * 4), [ChatMessageUser(content="?")], Answer, "answer")


def test_a_fenced_object_is_read() -> None:
    parsed, problems = parse('```json\n{"value": 7}\n```', Answer)

    assert (parsed, problems) == (Answer(value=7), [])
