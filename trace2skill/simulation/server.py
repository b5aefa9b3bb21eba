"""The stand-in behind vLLM's OpenAI-compatible API, for Inspect's own `vllm/` provider, and told to fail if wanted.

    python -m trace2skill.simulation.server --port 8100 --fault 429=0.1 --fault hang@200
    VLLM_BASE_URL=http://127.0.0.1:8100/v1 inspect eval evals/spreadsheet.py --model vllm/sim-small -T dataset=sample

It serves `sim-small` and `sim-large` under no other names, and answers as "sim-small (SIMULATED)", so whatever comes of
it is stamped as what the in-process stand-in says is. It prints its address when it is ready.
"""

import argparse
import asyncio
import contextlib
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from aiohttp import web
from aiohttp.typedefs import Handler
from inspect_ai.model import ChatMessageAssistant
from inspect_ai.tool import ToolCall

from trace2skill.simulation import wire
from trace2skill.simulation.faults import FAULTS, Faults, read_faults
from trace2skill.simulation.prefixes import PrefixCache
from trace2skill.simulation.provider import DEFAULT_SEED, SIMULATED, next_message
from trace2skill.simulation.scales import SCALES, get_scale
from trace2skill.simulation.tokens import CHARACTERS_PER_TOKEN, prompt_text, usage
from trace2skill.simulation.world import known_folders

SERVED = {f"sim-{name}": name for name in SCALES}
"""Names of the served models, and their scales."""

BLOCK_TOKENS = 16
"""vLLM's own block size."""

LARGEST_BODY = 256 * 1024**2

DOWN = ("hang", "gone", "500")
"""Faults of the whole server: once they last, nothing else is answered either."""

ANSWERABLE = ("", "slow", "text-call", "length", "reset", "truncated")
"""Faults that come with an answer, or with a part of one."""


@dataclass(kw_only=True)
class StandIn:
    """A server.

    Attributes:
        seed: Seed of the stand-in.
        data: Data that it knows, as in the model argument of the same name.
        faults: What goes wrong.
        latency: Seconds that an answer takes.
        spread: Standard deviation of the logarithm of these seconds, which are log-normal with median `latency`; for
            the same request always the same. At 1, one answer in twenty takes more than five times the median.
        late: Seconds that the first byte of a slow answer takes.
        max_model_len: Length of the context in tokens.
        tell_cached: Say in each answer how many tokens came from the prefix cache, as vLLM does with
            `--enable-prompt-tokens-details`.
    """

    seed: int = DEFAULT_SEED
    data: Sequence[str] = ()
    faults: Faults = field(default_factory=Faults)
    latency: float = 0.0
    spread: float = 0.0
    late: float = 5.0
    max_model_len: int = 131_072
    tell_cached: bool = False
    counts: Counter[str] = field(default_factory=Counter)
    """Tokens that were asked for in the prefix cache and found there, and requests that were answered."""
    over: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the server is gone for good."""

    def __post_init__(self) -> None:
        self.folders = known_folders(self.data)
        self._cache = PrefixCache(BLOCK_TOKENS * CHARACTERS_PER_TOKEN)

    def app(self) -> web.Application:
        """The server's routes."""
        app = web.Application(client_max_size=LARGEST_BODY, middlewares=[self._lasting_faults])
        app.router.add_get("/health", self._health)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/tokenize", self._tokenize)
        app.router.add_post("/v1/chat/completions", self._chat)
        return app

    @web.middleware
    async def _lasting_faults(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """A server that has failed for good fails whatever it is asked, but for its own counts."""
        if request.path == "/v1/chat/completions":
            fault = self.faults.meet(await request.read())
        else:
            fault = self.faults.lasting if self.faults.lasting in DOWN and request.path != "/metrics" else ""
        if fault not in ANSWERABLE:
            return await self._fail(request, fault)
        request["fault"] = fault
        return await handler(request)

    async def _fail(self, request: web.Request, fault: str) -> web.StreamResponse:
        match fault:
            case "hang":
                await asyncio.Event().wait()
            case "gone":
                self.over.set()
                await _abort(request)
            case "500":
                return _json(wire.error(500, "InternalServerError", "Internal server error"))
            case "429" | "429-retry-after":
                headers = {"Retry-After": "1"} if fault.endswith("after") else {}
                return _json(wire.error(429, "TooManyRequestsError", "Too many requests"), headers)
            case "unknown-model":
                return _json(wire.unknown_model((await request.json()).get("model", "")))
            case "overflow":
                return _json(wire.overflow(self.max_model_len + 1, self.max_model_len))
            case "overflow-engine":
                return _json(wire.engine_overflow(self.max_model_len + 1, self.max_model_len))
            case "refused":
                return _json(wire.error(400, "BadRequestError", wire.NO_TOOL_PARSER))
            case "error-body":
                return web.json_response({"error": {"message": "CUDA out of memory", "code": 500}})
        empty = wire.completion("", NOTHING, usage((), (), NOTHING))
        choices = [{**empty["choices"][0], "message": None}] if fault == "no-message" else []
        return _json({**empty, "choices": choices})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        fault = request["fault"]
        try:
            asked = await wire.read_request(await request.json())
        except (ValueError, KeyError, TypeError) as problem:
            return _json(wire.error(400, "BadRequestError", f"{type(problem).__name__}: {problem}"))
        if asked.model not in SERVED:
            return _json(wire.unknown_model(asked.model))
        prompt = prompt_text(asked.messages, asked.tools)
        if (tokens := len(prompt) // CHARACTERS_PER_TOKEN) > self.max_model_len:
            return _json(wire.overflow(tokens, self.max_model_len))
        if (asked.config.max_tokens or 0) > self.max_model_len:
            return _json(wire.limit_too_large(asked.config.max_tokens or 0, self.max_model_len))
        cached = self._cache.read(prompt) // CHARACTERS_PER_TOKEN
        self.counts.update(queries=tokens, hits=cached, answered=1)
        answer = await self._answer(asked, cached)
        written = answer["usage"]["completion_tokens"]
        limit = written // 2 if fault == "length" else asked.config.max_tokens
        if limit is not None and limit < written:
            answer = wire.cut_off(answer, limit)
        if fault == "text-call":
            answer = wire.calls_as_text(answer)
        factor = random.Random(prompt).lognormvariate(0, self.spread) if self.spread else 1
        await asyncio.sleep(self.latency * factor + (self.late if fault == "slow" else 0))
        if fault in ("reset", "truncated"):
            return await _broken(request, json.dumps(answer).encode(), reset=fault == "reset")
        return await _streamed(request, answer) if asked.stream else _json(answer)

    async def _answer(self, asked: wire.Request, cached: int) -> wire.Body:
        scale = get_scale(SERVED[asked.model])
        message = await next_message(asked.messages, asked.tools, asked.config, scale, self.seed, self.folders)
        message = _obey(message, asked)
        cost = usage(asked.messages, asked.tools, message)
        return wire.completion(
            f"{asked.model} ({SIMULATED})", message, cost, cached if self.tell_cached else None
        )  # fmt: skip

    async def _health(self, request: web.Request) -> web.StreamResponse:
        return web.Response()

    async def _models(self, request: web.Request) -> web.StreamResponse:
        card = {"object": "model", "created": 0, "owned_by": "vllm", "parent": None}
        served = [{**card, "id": name, "root": name, "max_model_len": self.max_model_len} for name in SERVED]
        return _json({"object": "list", "data": served})

    async def _tokenize(self, request: web.Request) -> web.StreamResponse:
        text = (await request.json()).get("prompt", "")
        tokens = list(range(len(text) // CHARACTERS_PER_TOKEN))
        return _json({"count": len(tokens), "max_model_len": self.max_model_len, "tokens": tokens})

    async def _metrics(self, request: web.Request) -> web.StreamResponse:
        label = f'{{engine="0",model_name="{next(iter(SERVED))}"}}'
        rows = {
            f"vllm:prefix_cache_queries_total{label}": self.counts["queries"],
            f"vllm:prefix_cache_hits_total{label}": self.counts["hits"],
            f"vllm:request_success_total{label}": self.counts["answered"],
            "sim:requests_total": self.faults.requests,
            **{f'sim:faults_total{{kind="{kind}"}}': count for kind, count in sorted(self.faults.met.items())},
        }
        return web.Response(text="".join(f"{name} {float(value)}\n" for name, value in rows.items()))


NOTHING = ChatMessageAssistant(content="")


def _obey(message: ChatMessageAssistant, asked: wire.Request) -> ChatMessageAssistant:
    """What a server's decoding enforces whoever speaks: a schema, and a call that must be made."""
    if asked.config.response_schema and not message.text.lstrip().startswith("{"):
        least = wire.smallest(asked.config.response_schema.json_schema.model_dump(exclude_none=True))
        return message.model_copy(update={"content": json.dumps(least), "tool_calls": None})
    made = {call.function for call in message.tool_calls or []}
    if asked.choice in ("auto", "none") or asked.choice in made or (made and asked.choice == "required"):
        return message
    for tool in asked.tools:
        if asked.choice in ("required", tool.name):
            arguments = wire.smallest(tool.parameters.model_dump(exclude_none=True))
            call = ToolCall(id=f"sim-{tool.name}", function=tool.name, arguments=arguments)
            return message.model_copy(update={"tool_calls": [call]})
    return message


def _json(body: wire.Body, headers: dict[str, str] | None = None) -> web.Response:
    status = body["error"]["code"] if "error" in body else 200
    return web.json_response(body, status=status, headers=headers)


async def _broken(request: web.Request, body: bytes, *, reset: bool) -> web.StreamResponse:
    """Half a body: as a whole answer of half the length, or with the connection reset in its middle."""
    half = body[: len(body) // 2]
    if not reset:
        return web.Response(body=half, content_type="application/json")
    response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": str(len(body))})
    await response.prepare(request)
    await response.write(half)
    await _abort(request)
    return response


async def _abort(request: web.Request) -> None:
    """Reset the connection; what handled it has nothing more to do."""
    if request.transport is not None:
        request.transport.abort()
    await asyncio.Event().wait()


async def _streamed(request: web.Request, answer: wire.Body) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    for chunk in wire.as_chunks(answer):
        await response.write(f"data: {json.dumps(chunk)}\n\n".encode())
    await response.write(b"data: [DONE]\n\n")
    return response


@contextlib.asynccontextmanager
async def serving(server: StandIn, port: int = 0) -> AsyncIterator[str]:
    """Serve on 127.0.0.1 for as long as the context lasts, or until the server is gone for good.

    Args:
        server: The server.
        port: Its port; 0 takes any that is free.

    Yields:
        The address of its API, as `VLLM_BASE_URL` takes it.
    """
    runner = web.AppRunner(server.app(), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    watch = asyncio.create_task(_stop(server, site))
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    finally:
        watch.cancel()
        await runner.cleanup()


async def _stop(server: StandIn, site: web.TCPSite) -> None:
    await server.over.wait()
    await site.stop()


async def _run(server: StandIn, port: int) -> None:
    async with serving(server, port) as address:
        print(address, flush=True)
        await server.over.wait()


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until the process is ended."""
    kinds = "\n".join(f"  {kind:16} {what}" for kind, what in FAULTS.items())
    parser = argparse.ArgumentParser(
        prog="python -m trace2skill.simulation.server",
        description=__doc__,
        epilog=f"faults:\n{kinds}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--port", type=int, default=8000, help="0 takes any that is free")
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED, help="seed of the stand-in")
    parser.add_argument("--data", action="append", default=[], help="data that the stand-in knows beside the samples")
    parser.add_argument(
        "--fault", action="append", default=[], metavar="KIND=RATE|KIND@N", help="a rate, or from request N on"
    )
    parser.add_argument("--fault-seed", type=int, default=0)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds that an answer takes")
    parser.add_argument("--spread", type=float, default=0.0, help="how far they vary: 1 gives a heavy tail, 0 none")
    parser.add_argument("--late", type=float, default=5.0, help="seconds before the first byte of a slow answer")
    parser.add_argument("--max-model-len", type=int, default=131_072)
    parser.add_argument("--enable-prompt-tokens-details", action="store_true")
    given = parser.parse_args(arguments)
    server = StandIn(
        seed=given.seed,
        data=given.data,
        faults=read_faults(given.fault, given.fault_seed),
        latency=given.latency,
        spread=given.spread,
        late=given.late,
        max_model_len=given.max_model_len,
        tell_cached=given.enable_prompt_tokens_details,
    )
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_run(server, given.port))


if __name__ == "__main__":
    main()
