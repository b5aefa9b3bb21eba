import json

import pytest
from inspect_ai.model import ChatMessage, ChatMessageUser, GenerateConfig, Model, ModelOutput, ModelUsage, get_model
from pydantic import BaseModel, Field

from trace2skill.errors import ContextOverflowError, ModelOutputError
from trace2skill.models.structured import Output, Rows, Texts, generate_structured, parse


class Answer(BaseModel):
    value: int


def outputs(*texts: str) -> list[ModelOutput]:
    found = [ModelOutput.from_content("mockllm", text) for text in texts]
    for output in found:
        output.usage = ModelUsage(input_tokens=1, output_tokens=1, total_tokens=2)
    return found


def scripted(*texts: str) -> Model:
    return get_model("mockllm/model", custom_outputs=outputs(*texts), config=GenerateConfig(), memoize=False)


async def test_broken_output_is_repaired_with_the_problem_told() -> None:
    model = scripted('{"value": "x"}', "not json", '{"value": 3}')

    conversation: list[ChatMessage] = [ChatMessageUser(content="?")]
    answer = await generate_structured(model, conversation, Answer, "answer")

    assert answer.value == 3
    assert [message.role for message in conversation] == ["user", "assistant", "user", "assistant", "user", "assistant"]
    assert "value" in conversation[2].text


async def test_a_failed_check_is_told_too() -> None:
    model = scripted('{"value": 1}', '{"value": 2}')

    conversation: list[ChatMessage] = [ChatMessageUser(content="?")]
    answer = await generate_structured(
        model,
        conversation,
        Answer,
        "answer",
        lambda found: [] if found.value > 1 else ["value is too small"],
    )

    assert answer.value == 2
    assert "value is too small" in conversation[2].text


async def test_after_the_last_repair_it_gives_up() -> None:
    with pytest.raises(ModelOutputError, match="no usable answer in 4 attempts"):
        await generate_structured(
            scripted("{}", "[]", "1", "no"),
            [ChatMessageUser(content="?")],
            Answer,
            "answer",
        )


def test_a_fenced_object_is_read() -> None:
    parsed, problems = parse('```json\n{"value": 7}\n```', Answer)

    assert (parsed, problems) == (Answer(value=7), [])


def cut(text: str) -> ModelOutput:
    output = ModelOutput.from_content("mockllm", text, stop_reason="max_tokens")
    output.usage = ModelUsage(input_tokens=1, output_tokens=99, total_tokens=100)
    return output


async def test_an_answer_that_was_cut_off_is_not_kept_and_asked_for_once_more() -> None:
    long = '{"value": 1' + "0" * 5000
    model = get_model("mockllm/model", custom_outputs=[cut(long), *outputs('{"value": 3}')], memoize=False)
    conversation: list[ChatMessage] = [ChatMessageUser(content="?")]

    assert (await generate_structured(model, conversation, Answer, "answer")).value == 3
    assert "cut off after 99 tokens" in conversation[2].text
    assert all(len(message.text) < 500 for message in conversation)


async def test_an_answer_that_is_whole_is_kept_although_its_limit_was_reached() -> None:
    model = get_model("mockllm/model", custom_outputs=[cut('{"value": 3}')], memoize=False)
    conversation: list[ChatMessage] = [ChatMessageUser(content="?")]

    assert (await generate_structured(model, conversation, Answer, "answer")).value == 3
    assert conversation[-1].text == '{"value": 3}'


async def test_after_two_cut_offs_no_further_call_is_made() -> None:
    model = get_model("mockllm/model", custom_outputs=[cut('{"value": 1'), cut('{"value": 2')], memoize=False)

    with pytest.raises(ModelOutputError, match=r"in 2 attempts.* cut off after 99 tokens.*--analyst-max-tokens"):
        await generate_structured(model, [ChatMessageUser(content="?")], Answer, "answer")


async def test_an_answer_that_comes_again_word_for_word_ends_the_rounds() -> None:
    with pytest.raises(ModelOutputError, match="in 2 attempts"):
        await generate_structured(scripted("{}", "{}"), [ChatMessageUser(content="?")], Answer, "answer")


OVERFLOW = "This model's maximum context length is 8192 tokens. However, your prompt contains 9000 input tokens"
RESERVED = "This model's maximum context length is 8192 tokens. However, you requested 4096 output tokens and your"


def refused(text: str) -> ModelOutput:
    output = ModelOutput.from_content("mockllm", text, stop_reason="model_length")
    output.usage = ModelUsage(input_tokens=0, output_tokens=0, total_tokens=0)
    return output


async def test_a_servers_refusal_is_no_answer_and_not_asked_again() -> None:
    model = get_model("mockllm/model", custom_outputs=[refused(OVERFLOW)], memoize=False)

    with pytest.raises(ContextOverflowError, match="too long for mockllm/model: This model's maximum context length"):
        await generate_structured(model, [ChatMessageUser(content="?")], Answer, "answer")


async def test_a_limit_that_does_not_fit_beside_the_prompt_gives_way() -> None:
    limits: list[int | None] = []

    def serve(messages: object, tools: object, choice: object, config: GenerateConfig) -> ModelOutput:
        limits.append(config.max_tokens)
        fits = config.max_tokens is not None and config.max_tokens <= 3192
        return outputs('{"value": 3}')[0] if fits else refused(f"{RESERVED} prompt contains at least 5000 input tokens")

    model = get_model("mockllm/model", custom_outputs=serve, memoize=False)
    config = GenerateConfig(max_tokens=4096)
    conversation: list[ChatMessage] = [ChatMessageUser(content="?")]

    assert (await generate_structured(model, conversation, Answer, "answer", config=config)).value == 3
    assert limits == [4096, 3192]


class Item(Output):
    name: str = Field(min_length=1)
    note: str = ""


class Listed(Output):
    items: Rows[Item]
    words: Texts = Field(default_factory=list)


GOOD_ITEM = {"name": "a"}


async def listed(*answers: object) -> tuple[Listed, list[ChatMessage]]:
    conversation: list[ChatMessage] = [ChatMessageUser(content="?")]
    model = scripted(*(json.dumps(answer) for answer in answers))
    return await generate_structured(model, conversation, Listed, "listed"), conversation


async def test_a_bad_row_is_told_once_and_may_be_corrected() -> None:
    both = {"items": [GOOD_ITEM, {"name": "b"}]}
    answer, conversation = await listed({"items": [GOOD_ITEM, {"name": ""}]}, both)

    assert [item.name for item in answer.items] == ["a", "b"]
    assert answer.left_out == ()
    assert "- items.1.name: String should have at least 1 character" in conversation[2].text


@pytest.mark.parametrize("correction", [{"items": []}, {"items": [{}]}, {"items": [{"name": ""}]}, {}, "x"])
async def test_a_correction_that_loses_good_rows_is_none(correction: object) -> None:
    answer, _ = await listed({"items": [{"name": ""}, GOOD_ITEM]}, correction, correction)

    assert [item.name for item in answer.items] == ["a"]
    assert len(answer.left_out) == 1


async def test_an_answer_without_a_usable_row_is_repaired() -> None:
    answer, conversation = await listed({"items": [{}, {"name": ""}]}, {"items": [GOOD_ITEM]})

    assert len(answer.items) == 1
    assert "items.0.name: Field required" in conversation[2].text
    with pytest.raises(ModelOutputError, match="no usable listed in 2 attempts"):
        await listed({"items": [{}]}, {"items": [{}]})


async def test_an_empty_list_is_an_answer() -> None:
    answer, conversation = await listed({"items": [], "words": None})

    assert (answer.items, len(conversation)) == ([], 2)


def test_texts_are_stripped_and_stand_once() -> None:
    parsed, problems = parse('{"items": [], "words": ["a ", "a", "", null, 3, {}, "b"]}', Listed)

    assert parsed is not None
    assert (parsed.words, problems) == (["a", "b"], [])


@pytest.mark.parametrize("items", ["null", "3", '{"name": "a"}'])
def test_what_is_no_list_is_no_list_of_rows(items: str) -> None:
    assert parse(f'{{"items": {items}}}', Listed)[0] is None
