"""An OpenAI-compatible endpoint: what it serves, what it counts, and one bounded call of its model."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import anyio
import httpx2
from inspect_ai.model import ChatMessage, GenerateConfig, Model, ModelOutput, get_model
from inspect_ai.tool import Tool, ToolDef, ToolInfo
from openai import APIError, APITimeoutError

from trace2skill.serving.finding import ProbeError
from trace2skill.text import printable

KEY_VARIABLE = "VLLM_API_KEY"
"""Environment variable with the endpoint's key, the one that Inspect's provider reads."""

_SHOWN = 300
_LISTING_SECONDS = 15
# What takes no model at all answers within this time, or something is wrong.
_COUNTER = re.compile(r"^vllm:prefix_cache_(hits|queries)(?:_total)?(?:\{[^}]*\})? ([0-9.eE+]+)$", re.M)


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """A model at an OpenAI-compatible address."""

    url: str
    """Its address, with the `/v1` that most have."""
    model: str
    """The model's name there."""
    key: str | None = None
    """Its key, if it wants one."""
    seconds: float = 60
    """Time limit of a call."""
    context: int | None = None
    """Tokens that the server says it takes."""

    async def generate(
        self,
        messages: Sequence[ChatMessage],
        config: GenerateConfig,
        tools: Sequence[Tool | ToolDef | ToolInfo] = (),
    ) -> ModelOutput:
        """One call, without retries.

        Raises:
            ProbeError: There was no answer in time, or it was an error.
        """
        bounded = GenerateConfig(max_retries=0, timeout=int(self.seconds), max_connections=64).merge(config)
        try:
            with anyio.fail_after(self.seconds):
                output = await self._opened.generate(list(messages), tools=list(tools), config=bounded)
        except TimeoutError as error:
            raise self._silent(self.seconds) from error
        except Exception as error:  # whatever client and server say: it is shown, and the next probe runs
            cause = _cause(error)
            if isinstance(cause, APITimeoutError):
                raise self._silent(self.seconds) from error
            said = cause.message if isinstance(cause, APIError) else str(cause)
            raise ProbeError(f"the server answered with an error: {shown(said)}") from error
        if output.error or output.stop_reason == "model_length" or not output.choices:
            raise ProbeError(f"the server answered: {shown(output.error or output.completion or 'nothing')}")
        return output

    @cached_property
    def _opened(self) -> Model:
        # Not the provider `vllm`: it takes the second address of a model's name for the first one.
        name = f"openai-api/endpoint/{self.model}"
        return get_model(name, base_url=self.url, api_key=self.key or "none", memoize=False)

    async def models(self) -> list[dict[str, Any]]:
        """What is served here.

        Raises:
            ProbeError: Nothing answers, it refuses the key, or it is no such endpoint.
        """
        response = await self._get(f"{self.url}/models")
        if response.status_code in (401, 403):
            said = "the server wants a key" if self.key is None else "the server refuses the key"
            raise ProbeError(f"{said} ({response.status_code})", f"export {KEY_VARIABLE}=... and try again")
        if response.status_code != 200:
            raise ProbeError(
                f"{self.url}/models answers with {response.status_code}",
                "name the address as Inspect takes it, for instance http://127.0.0.1:8000/v1",
            )
        try:
            listed = response.json()["data"]
            return [entry for entry in listed if isinstance(entry["id"], str)]
        except (ValueError, KeyError, TypeError) as error:
            raise ProbeError(
                f"{self.url}/models does not list models", "is this an OpenAI-compatible endpoint?"
            ) from error

    async def cache_counters(self) -> tuple[float, float] | None:
        """Tokens that the prefix cache had and was asked for, by the server's own metrics; None if it has none."""
        try:
            response = await self._get(f"{self.url.removesuffix('/v1')}/metrics")
        except ProbeError:
            return None
        sums = {"hits": 0.0, "queries": 0.0}
        found = _COUNTER.findall(response.text) if response.status_code == 200 else []
        for name, value in found:
            sums[name] += float(value)
        return (sums["hits"], sums["queries"]) if found else None

    async def _get(self, url: str) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        seconds = min(self.seconds, _LISTING_SECONDS)
        try:
            with anyio.fail_after(seconds):
                async with httpx2.AsyncClient(timeout=seconds, headers=headers) as client:
                    return await client.get(url)
        except (TimeoutError, httpx2.TimeoutException) as error:
            raise self._silent(seconds) from error
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
            raise ProbeError(
                f"nothing answers at {self.url}: {shown(str(error) or type(error).__name__)}",
                "start a server (`trace2skill serve PROFILE`), or name another address",
            ) from error

    def _silent(self, seconds: float) -> ProbeError:
        return ProbeError(
            f"{self.url} took the request and did not answer within {seconds:g} s",
            "look at the server's log; if it is only slow, give it more time (--timeout of `doctor`, "
            "--call-timeout of `serve`)",
        )


def _cause(error: BaseException) -> BaseException:
    """What the client met, beneath what Inspect and its retries make of it."""
    seen: BaseException | None = error
    while seen is not None and not isinstance(seen, APIError):
        attempt = getattr(seen, "last_attempt", None)  # of an error of the library that retries
        seen = attempt.exception() if attempt else seen.__cause__ or seen.__context__
    return seen or error


def shown(text: str) -> str:
    """A server's text, fit for one line."""
    line = printable(" ".join(text.split()))
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}..."
