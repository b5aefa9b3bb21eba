"""A generation, and what Inspect leaves to its callers when a server fails.

Inspect's providers try a call again that was refused for the moment, reset, or not answered in time. They do not where
an answer cannot be read, and what they raise when they give up names no server. So one more thing is asked here: before
the first call a server must answer something, and after each that was given up one short call. Hundreds of calls need
not wait for one that is gone. Decision 15 has what Inspect does with each fault.
"""

import json
import time
from collections.abc import Sequence
from importlib.util import find_spec
from weakref import WeakKeyDictionary

import anyio
import httpx2
from inspect_ai.model import ChatMessage, ChatMessageUser, GenerateConfig, Model, ModelAPI, ModelOutput
from inspect_ai.tool import Tool
from openai import APIError, APIStatusError, NotFoundError
from pydantic import ValidationError
from tenacity import RetryError

from trace2skill.errors import ServerError
from trace2skill.standstill import ADVICE

ATTEMPTS = 5
"""Calls in a row whose answers may be broken."""

LIFE_SECONDS = 60.0
"""Time for the first sign of life, and how long it holds that a server gave none. After a call that was given up, a
short one has as long as one attempt."""

SHOWN = 400
"""Characters of what a server says that a message quotes."""

_BLAMED = "The server "
_REFUSED = (400, 413, 422)
_UNREADABLE = (ValueError, TypeError, AttributeError, KeyError, ValidationError)
"""What Inspect raises where an answer is not of the API's form."""


class _Server:
    """What is known of a provider's server."""

    def __init__(self) -> None:
        self.asking = anyio.Lock()
        self.alive = False
        self.given_up = False
        self.dead: tuple[float, str] | None = None
        """Since when it gives no sign of life, and how that showed."""


_servers: WeakKeyDictionary[ModelAPI, _Server] = WeakKeyDictionary()


class RefusedError(ServerError):
    """The server refuses what it was asked, and would refuse it again."""

    def __init__(self, message: str, said: str) -> None:
        super().__init__(message)
        self.said = said
        """The server's own words."""


async def generate(
    model: Model, messages: Sequence[ChatMessage], config: GenerateConfig, tools: Sequence[Tool] = ()
) -> ModelOutput:
    """One generation, with at least one choice.

    Raises:
        RefusedError: The server refuses the call: what is asked is too long, or is not served.
        ServerError: The server does not answer, or not with anything of use.
    """
    server = _servers.setdefault(model.api, _Server())
    await _sign_of_life(model, server, config)
    problem = ""
    for _ in range(ATTEMPTS):
        try:
            output = await model.generate(list(messages), tools=list(tools), config=config)
        except json.JSONDecodeError as error:
            problem = f"it sent JSON that breaks off: {error}"
        except _UNREADABLE as error:
            problem = f"it sent an answer that cannot be read: {type(error).__name__}: {error}"
        except (APIError, RetryError, RuntimeError) as error:
            _raise(model, server, error)
        else:
            if output.choices:
                return output
            problem = "it sent an answer without choices"
    raise ServerError(f"{_server(model)} failed {ATTEMPTS} times in a row: {problem.rstrip('.')}. Its log may say why.")


def _raise(model: Model, server: _Server, error: Exception) -> None:
    """Raise what a failed call shows of its server; what is no fault of a server goes on as it is."""
    cause = cause_of(error)
    if not isinstance(cause, APIError) and not isinstance(error, RetryError):
        raise error
    if isinstance(cause, APIStatusError) and cause.status_code in _REFUSED:
        said = _words(cause)
        advice = f" {ADVICE[0].upper()}{ADVICE[1:]} That takes another --output." if "tool-call-parser" in said else ""
        raise RefusedError(f"{_server(model)} refused a call: {said.rstrip('.')}.{advice}", said) from error
    server.alive, server.given_up = False, True
    raise ServerError(f"{_server(model)} failed: {_told(cause)}") from error


def blames_server(message: str) -> bool:
    """Whether an error's message is that of a `ServerError`: no fault of what was asked."""
    return message.startswith(_BLAMED)


async def _sign_of_life(model: Model, server: _Server, config: GenerateConfig) -> None:
    """Any answer at all to the question for its models; after a call that was given up, one to a short call.

    One asks, the others wait for what it finds.
    """
    url = _address(model)
    if url is None and str(model).startswith("vllm/") and find_spec("vllm") is None:
        raise ServerError(
            f"{_server(model)} is not named: export VLLM_BASE_URL=http://127.0.0.1:8000/v1, or where it is."
        )
    if url is None or server.alive:
        return
    async with server.asking:
        if server.dead and time.monotonic() - server.dead[0] < LIFE_SECONDS:
            raise ServerError(server.dead[1])
        if not server.alive:
            problem = await (_short_call(model, config) if server.given_up else _greeting(url))
            server.alive = not problem
            server.dead = (time.monotonic(), f"{_server(model)} {problem}") if problem else None
            if server.dead:
                raise ServerError(server.dead[1])


async def _greeting(url: str) -> str:
    """What is wrong with a server that was asked for its models; empty if it answered anything."""
    try:
        async with httpx2.AsyncClient(timeout=LIFE_SECONDS) as client:
            await client.get(f"{url.rstrip('/')}/models")
    except httpx2.TimeoutException:
        return "accepts connections and does not answer."
    except httpx2.TransportError as error:
        return f"cannot be reached: {error}."
    return ""


async def _short_call(model: Model, config: GenerateConfig) -> str:
    """What is wrong with a server that was asked for one token, in the time of one attempt; empty if it answered."""
    seconds = config.attempt_timeout or int(LIFE_SECONDS)
    brief = GenerateConfig(max_tokens=1, max_retries=0, attempt_timeout=seconds, timeout=seconds)
    try:
        await model.generate([ChatMessageUser(content="Hello.")], config=brief)
    except (APIError, RetryError, RuntimeError, *_UNREADABLE) as error:
        cause = cause_of(error)
        if isinstance(cause, APIStatusError) and cause.status_code in _REFUSED:
            return ""
        return f"failed again, at a call for one token: {_told(cause)}"
    return ""


def _address(model: Model) -> str | None:
    """Where the server of a model is; the `vllm/` provider, before its first call, says so in its connections' key."""
    known = (model.api.base_url, model.api.connection_key())
    return next((address for address in known if address and address.startswith(("http://", "https://"))), None)


def _server(model: Model) -> str:
    return f"{_BLAMED}{_address(model) or 'of ' + str(model)}"


def cause_of(error: BaseException) -> BaseException:
    """What the client met, beneath what Inspect and its retries make of it."""
    seen = error
    below: BaseException | None = error
    while below is not None and not isinstance(seen, APIError):
        seen = below
        attempt = getattr(seen, "last_attempt", None)  # of an error of the library that retries
        below = attempt.exception() if attempt else seen.__cause__ or seen.__context__
    return seen


def _told(cause: BaseException) -> str:
    if isinstance(cause, APIError):
        said = _words(cause) if isinstance(cause, APIStatusError) else str(cause)
        under = f" ({cause.__cause__})" if cause.__cause__ else ""
        advice = " `trace2skill doctor URL` lists what is served." if isinstance(cause, NotFoundError) else ""
        return f"{said.rstrip('.')}{under}.{advice}"
    if "timeout" in type(cause).__name__.lower():
        return f"no answer in time ({cause}). --timeout says how long that is."
    return f"{_shortened(str(cause)).rstrip('.')}."


def _words(error: APIStatusError) -> str:
    """What the server says; the page of a proxy in its place is shortened."""
    body = error.body
    said = body.get("message") if isinstance(body, dict) else None
    return _shortened(f"Error code: {error.status_code} - {said}" if said else str(error))


def _shortened(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= SHOWN else f"{text[:SHOWN]} ..."
