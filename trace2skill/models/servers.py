"""A generation, and what Inspect leaves to its callers when a server fails.

Inspect's providers try a call again that was refused for the moment, reset, or not answered in time. They do not where
the JSON of an answer breaks off or an answer has no choices, and what they raise when they give up names no server. So
one more thing is asked here: before the first call, and after each that was given up, a server must give a sign of
life. Hundreds of calls need not wait for one that is gone. Decision 15 has what Inspect does with each fault.
"""

import json
from collections.abc import Sequence
from weakref import WeakSet

import httpx2
from inspect_ai.model import ChatMessage, GenerateConfig, Model, ModelAPI, ModelOutput
from inspect_ai.tool import Tool
from openai import APIError
from tenacity import RetryError

from trace2skill.errors import ServerError

ATTEMPTS = 5
"""Calls in a row whose answers may be broken."""

LIFE_SECONDS = 60.0
"""Time for a sign of life."""

_BLAMED = "The server "

_alive: WeakSet[ModelAPI] = WeakSet()
"""Providers whose servers have given a sign of life, and no call has been given up since."""


async def generate(
    model: Model, messages: Sequence[ChatMessage], config: GenerateConfig, tools: Sequence[Tool] = ()
) -> ModelOutput:
    """One generation, with at least one choice.

    Raises:
        ServerError: The server does not answer, or not with anything of use.
    """
    await _sign_of_life(model)
    problem = ""
    for _ in range(ATTEMPTS):
        try:
            output = await model.generate(list(messages), tools=list(tools), config=config)
        except json.JSONDecodeError as error:
            problem = f"it sent JSON that breaks off: {error}"
        except (APIError, RetryError) as error:
            _alive.discard(model.api)
            raise ServerError(f"{_server(model)} failed: {_cause(error)}") from error
        else:
            if output.choices:
                return output
            problem = "it sent an answer without choices"
    raise ServerError(f"{_server(model)} failed {ATTEMPTS} times in a row: {problem}.")


def blames_server(message: str) -> bool:
    """Whether an error's message is that of a `ServerError`: no fault of what was asked."""
    return message.startswith(_BLAMED)


async def _sign_of_life(model: Model) -> None:
    """Any answer at all to the question for its models."""
    url = _address(model)
    if url is None or model.api in _alive:
        return
    try:
        async with httpx2.AsyncClient(timeout=LIFE_SECONDS) as client:
            await client.get(f"{url.rstrip('/')}/models")
    except httpx2.TimeoutException as error:
        raise ServerError(f"{_server(model)} accepts connections and does not answer.") from error
    except httpx2.TransportError as error:
        raise ServerError(f"{_server(model)} cannot be reached: {error}.") from error
    _alive.add(model.api)


def _address(model: Model) -> str | None:
    """Where the server of a model is; the `vllm/` provider, before its first call, says so in its connections' key."""
    known = (model.api.base_url, model.api.connection_key())
    return next((address for address in known if address and address.startswith(("http://", "https://"))), None)


def _server(model: Model) -> str:
    return f"{_BLAMED}{_address(model) or 'of ' + str(model)}"


def _cause(error: APIError | RetryError) -> str:
    cause = error.last_attempt.exception() if isinstance(error, RetryError) else error
    if not isinstance(cause, APIError):
        return f"no answer in time ({cause})"
    return f"{str(cause).rstrip('.')}{f' ({cause.__cause__})' if cause.__cause__ else ''}."
