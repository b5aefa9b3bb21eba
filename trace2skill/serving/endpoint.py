"""An OpenAI-compatible endpoint: what it serves, what it counts, and one bounded call of its model."""

import ipaddress
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import anyio
import httpx2
from inspect_ai.model import ChatMessage, GenerateConfig, Model, ModelOutput, get_model
from inspect_ai.tool import Tool, ToolDef, ToolInfo
from openai import APIError, APITimeoutError, DefaultAsyncHttpxClient

from trace2skill.errors import Trace2SkillError
from trace2skill.models.servers import cause_of
from trace2skill.serving.finding import ProbeError
from trace2skill.text import printable

KEY_VARIABLE = "VLLM_API_KEY"
"""Environment variable with the endpoint's key, the one that Inspect's provider reads."""

_SHOWN = 300
_LISTING_SECONDS = 15
# What takes no model at all answers within this time, or something is wrong.
_COUNTER = re.compile(r"^vllm:prefix_cache_(hits|queries)(?:_total)?(?:\{[^}]*\})? ([0-9.eE+]+)$", re.M)


def find_key() -> str | None:
    """The endpoint's key, if the environment has one.

    Raises:
        Trace2SkillError: No header of HTTP can carry it.
    """
    key = os.environ.get(KEY_VARIABLE) or None
    if key and not (key.isascii() and key.isprintable()):
        raise Trace2SkillError(
            f"{KEY_VARIABLE} holds a line break or a letter outside ASCII, which no request can carry. Export it anew."
        )
    return key


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
    direct: bool = False
    """Whether it is of this machine, and so asked past any proxy; an address of the loopback always is."""

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
            cause = cause_of(error)
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
        past: dict[str, Any] = {} if self._proxied else {"http_client": DefaultAsyncHttpxClient(trust_env=False)}
        return get_model(name, base_url=self.url, api_key=self.key or "none", memoize=False, **past)

    @property
    def _proxied(self) -> bool:
        return not (self.direct or _is_loopback(urlsplit(self.url).hostname or ""))

    @property
    def _way(self) -> str:
        """The proxy that stands between, as a message goes on."""
        parts = urlsplit(self.url)
        proxy = getproxies().get(parts.scheme) or getproxies().get("all")
        if not self._proxied or not proxy or proxy_bypass(parts.netloc.rpartition("@")[2]):
            return ""
        return f" through the proxy {proxy.rpartition('@')[2]} (NO_PROXY={parts.hostname} goes past it)"

    async def models(self) -> list[dict[str, Any]]:
        """What is served here.

        Raises:
            ProbeError: Nothing answers, it refuses the key, or it is no such endpoint.
        """
        response = await self._get(f"{self.url}/models")
        if response.status_code in (401, 403):
            said = "the server wants a key" if self.key is None else "the server refuses the key"
            raise ProbeError(f"{said} ({response.status_code}{self._way})", f"export {KEY_VARIABLE}=... and try again")
        if response.status_code != 200:
            busy = response.status_code == 429 or response.status_code >= 500
            raise ProbeError(
                f"{self.url}/models answers with {response.status_code}{self._way}",
                "the server is busy, not ready or broken: try again, and look at its log"
                if busy
                else "name the address as Inspect takes it, for instance http://127.0.0.1:8000/v1",
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
                async with httpx2.AsyncClient(timeout=seconds, headers=headers, trust_env=self._proxied) as client:
                    return await client.get(url)
        except (TimeoutError, httpx2.TimeoutException) as error:
            raise self._silent(seconds) from error
        except (httpx2.HTTPError, httpx2.InvalidURL, ImportError, OSError, ValueError) as error:
            plain = url.startswith("https:") and "SSL" in str(error) and "CERTIFICATE" not in str(error)
            raise ProbeError(
                f"nothing answers at {self.url}{self._way}: {shown(str(error) or type(error).__name__)}",
                "if the server speaks plain HTTP, use http://"
                if plain
                else "start a server (`trace2skill serve PROFILE`), or name another address",
            ) from error

    def _silent(self, seconds: float) -> ProbeError:
        return ProbeError(
            f"{self.url} took the request{self._way} and did not answer within {seconds:g} s",
            "look at the server's log; if it is only slow, give it more time (--timeout of `doctor`, "
            "--call-timeout of `serve`)",
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def shown(text: str) -> str:
    """A server's text, fit for one line."""
    line = printable(" ".join(text.split()))
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}..."
