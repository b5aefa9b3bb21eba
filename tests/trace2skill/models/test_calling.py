"""Prompts and limits that are too long, in the words of servers."""

import pytest
from inspect_ai.model import ChatMessageUser, GenerateConfig, ModelOutput

from tests.wire import asked, counts, served
from trace2skill.errors import ContextOverflowError
from trace2skill.models import calling
from trace2skill.models.calling import call

QUESTION = [ChatMessageUser(content="Hello.")]


@pytest.mark.parametrize(
    ("said", "room"),
    [
        ("max_tokens=32768 cannot be greater than max_model_len=16384. Please request fewer output tokens.", 16384),
        (
            "Validation error: max_tokens=8192 cannot be greater than max_model_len=max_total_tokens=4096. Please "
            "request fewer output tokens.",
            4096,
        ),
        (
            "This model's maximum context length is 4096 tokens. However, you requested 10287 tokens (2095 in the "
            "messages, 8192 in the completion). Please reduce the length of the messages or completion.",
            2001,
        ),
        (
            "'max_tokens' or 'max_completion_tokens' is too large: 8192. This model's maximum context length is 4096 "
            "tokens and your request has 2000 input tokens (8192 > 4096 - 2000).",
            2096,
        ),
        (
            "Requested token count exceeds the model's maximum context length of 4096 tokens. You requested a total of "
            "9000 tokens: 1000 tokens from the input messages and 8000 tokens for the completion.",
            3096,
        ),
        ("Input length (5000) exceeds model's maximum context length (4096).", None),
        ("The decoder prompt (length 5000) is longer than the maximum model length of 4096. Make sure that ...", None),
        (
            "The decoder prompt (length 4096) plus the number of requested output tokens (at least 1) is longer than "
            "the maximum model length of 4096.",
            None,
        ),
        ("The prompt (total length 5000) is too long to fit into the model (context length 4096).", None),
        ("Input prompt (5000 tokens) is too long and exceeds limit of 4096", None),
        ("max_tokens must be at least 1, got -904.", None),
        ("The input (5000 tokens) is longer than the model's context length (4096 tokens).", None),
        ("the request exceeds the available context size, try increasing it", None),
        (
            "This model's maximum context length is 4096 tokens. However, you requested 12287 tokens (4095 in the "
            "messages, 8192 in the completion).",
            None,
        ),
    ],
)
def test_what_is_too_long_is_known_by_its_words(said: str, room: int | None) -> None:
    assert calling._TOO_LONG.search(said)
    assert calling._room(said) == room


@pytest.mark.parametrize(
    "said",
    ['"auto" tool choice requires --tool-call-parser to be set', "unknown field `prompt`", "invalid JSON schema"],
)
def test_other_refusals_are_not_taken_for_it(said: str) -> None:
    assert not calling._TOO_LONG.search(said)


@pytest.mark.parametrize("kind", ["overflow", "overflow-engine"])
async def test_a_prompt_that_is_too_long_is_asked_once(kind: str) -> None:
    with served(f"{kind}@1") as address:
        async with asked(address) as model:
            with pytest.raises(ContextOverflowError, match="too long"):
                await call(model, QUESTION, GenerateConfig(max_tokens=100))
        assert counts(address)["sim:requests_total"] == 1


async def test_a_limit_beyond_the_context_gives_way() -> None:
    with served(max_model_len=2_000) as address:
        async with asked(address) as model:
            answer = await call(model, QUESTION, GenerateConfig(max_tokens=32_768))
        assert answer.stop_reason == "stop"
        assert counts(address)["sim:requests_total"] == 2


async def test_a_context_that_fills_up_while_an_answer_is_written_is_no_refusal() -> None:
    with served("length@1") as address:
        async with asked(address) as model:
            assert (await call(model, QUESTION, GenerateConfig())).stop_reason == "max_tokens"
    assert not calling.was_refused(ModelOutput.from_content("m", "half an answer", "max_tokens"))
