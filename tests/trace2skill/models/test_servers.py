"""Each fault at the wire, through Inspect's own `vllm/` provider."""

import asyncio
import time

import pytest
from inspect_ai.model import ChatMessageUser, GenerateConfig, ModelOutput, get_model
from inspect_ai.tool import Tool, tool

from tests.wire import asked, counts, served
from trace2skill.errors import ServerError
from trace2skill.models import servers
from trace2skill.models.servers import RefusedError, blames_server, generate

BOUNDS = GenerateConfig(attempt_timeout=2, timeout=4)
SAID = "[SIMULATED] This is no task that the stand-in model knows how to work on."


@tool
def note() -> Tool:
    async def execute(text: str) -> str:
        """Note a text.

        Args:
            text: The text.
        """
        return text

    return execute


async def ask(address: str, text: str = "Hello.", bounds: GenerateConfig = BOUNDS) -> ModelOutput:
    async with asked(address) as model:
        return await generate(model, [ChatMessageUser(content=text)], bounds, [note()])


@pytest.mark.parametrize(
    "kind", ["429", "429-retry-after", "500", "reset", "hang", "truncated", "empty-choices", "error-body", "no-message"]
)
async def test_what_passes_is_tried_again(kind: str) -> None:
    # The first request, and with it perhaps those that the provider's client sends again by itself.
    with served(f"{kind}@1", "none@2") as address:
        assert (await ask(address)).completion == SAID
        counted = counts(address)
    assert counted[kind] == 1
    assert counted["sim:requests_total"] == 2


async def test_a_slow_answer_is_an_answer() -> None:
    with served("slow@1") as address:
        assert (await ask(address, bounds=GenerateConfig(attempt_timeout=60, timeout=90))).completion == SAID
        assert counts(address)["sim:requests_total"] == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("429", "Too many requests"),
        ("500", "Internal server error"),
        ("reset", "peer closed connection"),
        ("hang", "no answer in time (attempt_timeout '2' exceeded.)"),
        ("truncated", "5 times in a row: it sent JSON that breaks off"),
        ("empty-choices", "5 times in a row: it sent an answer without choices"),
        ("error-body", "5 times in a row: it sent an answer that cannot be read: TypeError"),
        ("no-message", "5 times in a row: it sent an answer that cannot be read"),
        ("unknown-model", "does not exist. `trace2skill doctor URL` lists what is served."),
        ("gone", "All connection attempts failed"),
    ],
)
async def test_what_lasts_ends_with_the_servers_address(kind: str, said: str) -> None:
    message = [ChatMessageUser(content="Hello.")]
    with served("none@1", f"{kind}@2") as address:
        async with asked(address) as model:
            await generate(model, message, BOUNDS)
            with pytest.raises(ServerError) as raised:
                await generate(model, message, BOUNDS)
    assert str(raised.value).startswith(f"The server {address} failed")
    assert said in str(raised.value)
    assert blames_server(str(raised.value))


async def test_after_a_call_that_was_given_up_others_do_not_wait_for_it() -> None:
    message = [ChatMessageUser(content="Hello.")]
    with served("none@1", "hang@2") as address:
        async with asked(address) as model:
            await generate(model, message, BOUNDS)
            with pytest.raises(ServerError, match="attempt_timeout"):
                await generate(model, message, BOUNDS)
            start = time.monotonic()
            for _ in range(5):
                with pytest.raises(ServerError, match=f"{address} failed again, at a call for one token: no answer"):
                    await generate(model, message, BOUNDS)
            assert time.monotonic() - start < 2 * BOUNDS.attempt_timeout


async def test_a_server_that_lists_its_models_and_answers_no_call_is_asked_once() -> None:
    # Each request meets the fault: the list of models does not.
    message = [ChatMessageUser(content="Hello.")]
    with served("500=1") as address:
        async with asked(address) as model:
            for _ in range(4):
                with pytest.raises(ServerError, match="Internal server error"):
                    await generate(model, message, BOUNDS)
            before = counts(address)["sim:requests_total"]
            with pytest.raises(ServerError, match="Internal server error"):
                await generate(model, message, BOUNDS)
            assert counts(address)["sim:requests_total"] == before


async def test_a_server_that_comes_back_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "LIFE_SECONDS", 0.5)
    message = [ChatMessageUser(content="Hello.")]
    with served("unknown-model@1", "none@3") as address:
        async with asked(address) as model:
            for _ in range(2):
                with pytest.raises(ServerError, match="does not exist"):
                    await generate(model, message, BOUNDS)
            await asyncio.sleep(0.6)
            assert (await generate(model, message, BOUNDS)).completion == SAID


async def test_a_server_that_nobody_named_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VLLM_BASE_URL", raising=False)
    monkeypatch.setattr(servers, "find_spec", lambda _: None)
    model = get_model("vllm/nobody", memoize=False)

    with pytest.raises(ServerError, match="The server of vllm/nobody is not named: export VLLM_BASE_URL="):
        await generate(model, [ChatMessageUser(content="Hello.")], BOUNDS)


async def test_what_is_refused_is_said_with_the_servers_words_and_no_request() -> None:
    with served("refused@1") as address, pytest.raises(RefusedError) as raised:
        await ask(address, "A long question.")
    assert str(raised.value).startswith(f'The server {address} refused a call: Error code: 400 - "auto" tool choice')
    assert "trace2skill serve PROFILE --print" in str(raised.value)
    assert "A long question" not in str(raised.value)
    assert blames_server(str(raised.value))


async def test_a_server_that_is_not_there_is_known_before_the_first_call() -> None:
    with pytest.raises(ServerError, match=r"The server http://127\.0\.0\.2:9/v1 cannot be reached"):
        await ask("http://127.0.0.2:9/v1")


async def test_a_context_that_is_too_short_and_an_answer_that_is_cut_off() -> None:
    with served(max_model_len=10) as address:
        refused = await ask(address, "A question of more than ten tokens of four characters each.")
    assert refused.stop_reason == "model_length"
    assert refused.completion.startswith("This model's maximum context length is 10 tokens.")
    with served("length@1") as address:
        assert (await ask(address)).stop_reason == "max_tokens"
