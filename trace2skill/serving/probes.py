"""What is asked of a live endpoint before a run depends on it."""

import io
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from uuid import uuid4

import anyio
from inspect_ai.model import (
    ChatMessageUser,
    ContentImage,
    ContentReasoning,
    ContentText,
    GenerateConfig,
    ModelOutput,
    ResponseSchema,
)
from inspect_ai.tool import ToolInfo, ToolParams
from inspect_ai.util import JSONSchema
from PIL import Image, ImageDraw, ImageFont

from trace2skill.models.serving import Abilities
from trace2skill.serving.endpoint import Endpoint, shown
from trace2skill.serving.finding import Finding, ProbeError

_COLOURS = ["red", "blue"]
_SEATS = [2, 4]
_NUMBER = "7294"
_SCHEMA = ResponseSchema(
    name="city",
    json_schema=JSONSchema(
        type="object",
        properties={"city": JSONSchema(type="string"), "country": JSONSchema(type="string", enum=["France", "Italy"])},
        required=["city", "country"],
        additionalProperties=False,
    ),
    strict=True,
)
_SPARE = 64
# Tokens of the longest prompt that stay free for its answer, and for the error of counting in words.
_PREFIX = 3000
# Words of the common prefix: several blocks, also where one block has a thousand tokens.

_DRIFT = 40
# Characters that two draws share by obeying their seed, and not by chance.

_FIT = "serve it with the tool parser that fits the model: `trace2skill serve PROFILE --print` shows it"
_STRUCTURED = "use a server that decodes under a JSON schema (vLLM does by default)"
_CACHING = (
    "serve it with --enable-prefix-caching, a hybrid model such as Qwen3.5 also with --mamba-cache-mode align "
    "--prefix-match-unit 16; without it runs take longer, and nothing else"
)
_PLUGIN = (
    "--tool-parser-plugin .../qwen2_5_coder_tool_parser.py --tool-call-parser qwen2_5_coder, as "
    "`trace2skill serve qwen2.5-coder-0.5b-cpu --print` shows"
)
_PARSERS = (
    # What a call looks like as text, and the tool parser that reads it.
    ("<function=", "--tool-call-parser qwen3_coder"),
    ("<|tool_call>", "--tool-call-parser gemma4"),
    ("<tool_call>", "--tool-call-parser hermes"),
    ("[TOOL_CALLS]", "--tool-call-parser mistral"),
    ("<|python_tag|>", "--tool-call-parser llama3_json"),
    ("```", _PLUGIN),
    ('"name"', _PLUGIN),
)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is asked of an endpoint."""

    endpoint: Endpoint
    """The endpoint."""
    abilities: Abilities = field(default_factory=Abilities)
    """What its model can do."""
    known: bool = False
    """Whether a profile says so, or it is a guess."""
    context: int | None = None
    """Tokens that must fit, prompt and answer together."""
    contexts: Mapping[str, int] = field(default_factory=dict)
    """The same for models of these names."""


Probe = Callable[[Asked], Awaitable[str]]


async def probe(asked: Asked) -> AsyncIterator[Finding]:
    """Asks everything, one finding after the other; nothing is asked of an endpoint that does not answer."""
    try:
        endpoint = await _endpoint(asked.endpoint)
    except ProbeError as error:
        yield Finding(name="endpoint", state="failed", said=error.said, fix=error.fix)
        yield Finding(name="the other probes", state="skipped", said="the endpoint failed")
        return
    has, wanted = endpoint.context, asked.contexts.get(endpoint.model, asked.context)
    tokens = f", {has:,} tokens" if has else ""
    yield Finding(name="endpoint", state="ok", said=f"{endpoint.url} has {endpoint.model}{tokens}")
    if has and wanted and has < wanted:
        yield Finding(
            name="context",
            state="failed",
            said=f"it takes {has:,} tokens, the profile needs {wanted:,}",
            fix=f"serve it with --max-model-len {wanted}",
        )
    asked = replace(asked, endpoint=endpoint, context=min(filter(None, (has, wanted)), default=None))
    try:
        await asked.endpoint.generate(_ask("Say yes."), _config(1))
    except ProbeError as error:
        yield Finding(name="an answer", state="failed", said=error.said, fix=error.fix)
        yield Finding(name="the other probes", state="skipped", said="the model does not answer")
        return
    for name, check, needed, reason in _probes(asked):
        if reason:
            yield Finding(name=name, state="skipped", said=reason)
            continue
        try:
            yield Finding(name=name, state="ok", said=await check(asked))
        except ProbeError as error:
            fatal = needed and not error.survivable
            yield Finding(name=name, state="failed", said=error.said, fix=error.fix, needed=fatal)


def _probes(asked: Asked) -> list[tuple[str, Probe, bool, str]]:
    """Name, probe, whether it is needed, and why it is skipped."""
    can = asked.abilities
    tools = "" if can.tools else "the profile says that this model calls no tools by itself"
    images = "" if can.images else ("served without images" if asked.known else "say --images if it should read them")
    thinks = "" if can.thinking or not asked.known else "the profile says that this model has no thinking mode"
    context = "" if asked.context else "neither a profile nor the server says how long it may be"
    return [
        ("tool call", _tool_call, True, tools),
        ("strict arguments", _strict, False, tools),
        ("JSON schema, thinking off", _schema_off, True, ""),
        ("JSON schema, thinking on", _schema_on, True, thinks),
        ("seed repeats, alone", _seed_alone, True, ""),
        ("seed repeats, among 8 others", _seed_among, False, ""),
        ("image", _image, True, images),
        ("prefix cache", _prefix, False, ""),
        ("longest prompt", _longest, True, context),
    ]


async def _endpoint(endpoint: Endpoint) -> Endpoint:
    """The endpoint with the model that is asked there, and what that takes."""
    served = {str(entry["id"]): entry.get("max_model_len") for entry in await endpoint.models()}
    listed = ", ".join(map(shown, served))
    if not served:
        raise ProbeError("it lists no model", "wait until it has loaded one")
    if not endpoint.model and len(served) > 1:
        raise ProbeError(f"it has the models {listed}", "name one of them with --model")
    name = endpoint.model or next(iter(served))
    if name not in served:
        raise ProbeError(f"it has no model {name}; it has {listed}", "name one of them with --model")
    return replace(endpoint, model=name, context=served[name] if isinstance(served[name], int) else None)


def _ask(text: str) -> list[ChatMessageUser]:
    return [ChatMessageUser(content=text)]


def _config(tokens: int, *, thinking: bool = False, temperature: float = 0.0) -> GenerateConfig:
    switch = {"chat_template_kwargs": {"enable_thinking": thinking}}
    return GenerateConfig(max_tokens=tokens, temperature=temperature, seed=1, extra_body=switch)


def _room(asked: Asked, tokens: int) -> int:
    """Tokens for an answer, at most half of the context."""
    return min(tokens, asked.context // 2) if asked.context else tokens


_BOOK = ToolInfo(
    name="book",
    description="Book a room.",
    parameters=ToolParams(
        properties={
            "room": JSONSchema(type="string", description="The room.", enum=_COLOURS),
            "seats": JSONSchema(type="integer", description="How many seats.", enum=_SEATS),
        },
        required=["room", "seats"],
    ),
)


async def _book(asked: Asked, wish: str) -> dict[str, object]:
    output = await asked.endpoint.generate(_ask(wish), _config(_room(asked, 400)), [_BOOK])
    calls = output.message.tool_calls or []
    if calls and calls[0].function == "book" and not calls[0].parse_error:
        return calls[0].arguments
    if calls:
        raise ProbeError(f"the call is damaged: {shown(calls[0].parse_error or calls[0].function)}", _FIT)
    text = output.completion
    parser = next((parser for mark, parser in _PARSERS if mark in text), "")
    if "book" in text and parser:
        raise ProbeError(
            f"the call came back as text: {shown(text)}", f"serve it with --enable-auto-tool-choice {parser}"
        )
    raise ProbeError(
        f"no call came back, but {shown(text) or 'nothing'}",
        "the model does not call tools, or its chat template does not show them to it",
    )


async def _tool_call(asked: Asked) -> str:
    arguments = await _book(asked, "Call the tool `book` for the red room with 4 seats.")
    return f"book({json.dumps(arguments)})"


async def _strict(asked: Asked) -> str:
    arguments = await _book(asked, "Call the tool `book` for the green room with 17 seats.")
    if set(arguments) != {"room", "seats"} or arguments["room"] not in _COLOURS or arguments["seats"] not in _SEATS:
        raise ProbeError(
            f"asked for what the tool's schema forbids, it wrote {shown(json.dumps(arguments))}",
            "arguments are not decoded under the schema; with vLLM that takes a tool parser with structural tags. "
            "Runs go on: Inspect returns such a call to the model as an error",
        )
    return f"asked for what the schema forbids, it wrote {json.dumps(arguments)}"


async def _schema_off(asked: Asked) -> str:
    return await _schema(asked, thinking=False)


async def _schema_on(asked: Asked) -> str:
    return await _schema(asked, thinking=True)


async def _schema(asked: Asked, *, thinking: bool) -> str:
    config = _config(_room(asked, 4096 if thinking else 200), thinking=thinking)
    output = await asked.endpoint.generate(
        _ask("Of which country is Rome the capital? Write a poem about it."),
        config.merge(GenerateConfig(response_schema=_SCHEMA)),
    )
    if output.stop_reason == "max_tokens":
        raise ProbeError(f"it was cut off after {config.max_tokens} tokens: {shown(output.completion)}")
    try:
        value = json.loads(output.completion)
    except ValueError as error:
        raise ProbeError(f"no JSON came back, but {shown(output.completion) or 'nothing'}", _STRUCTURED) from error
    if not isinstance(value, dict) or set(value) != {"city", "country"} or value["country"] not in ("France", "Italy"):
        raise ProbeError(f"the JSON does not follow the schema: {shown(json.dumps(value))}", _STRUCTURED)
    thought = _thought(output)
    if thinking and asked.abilities.thinking and not thought:
        raise ProbeError(
            "the JSON came without a thought: a schema without a reasoning parser switches thinking off",
            "serve it with --reasoning-parser, as `trace2skill serve PROFILE --print` shows",
        )
    told = ", after thinking" if thought else "; no thought was seen" if thinking else ""
    return f"{json.dumps(value)}{told}"


def _thought(output: ModelOutput) -> bool:
    content = output.message.content
    return not isinstance(content, str) and any(isinstance(part, ContentReasoning) for part in content)


async def _drawn(asked: Asked, seed: int = 1) -> str:
    """What a model writes under a seed, its thoughts included: of some servers they are all that there is."""
    config = _config(40, temperature=1.0).merge(GenerateConfig(seed=seed))
    message = (await asked.endpoint.generate(_ask("Make up a word, and say what it means."), config)).message
    parts = [] if isinstance(message.content, str) else message.content
    thoughts = [part.reasoning or part.summary or "" for part in parts if isinstance(part, ContentReasoning)]
    drawn = "".join([*thoughts, message.text])
    if not drawn.strip():
        raise ProbeError(
            f"it cannot be told: of {config.max_tokens} tokens under seed {seed} nothing came back",
            "look at the chat template and at the reasoning parser: something takes the answer away",
        )
    return drawn


async def _seed_alone(asked: Asked) -> str:
    first, second, other = await _drawn(asked), await _drawn(asked), await _drawn(asked, seed=2)
    shared = _shared(first, second)
    if first != second and shared >= _DRIFT and shared > _shared(first, other):
        raise ProbeError(
            f"one seed, two answers that part after {shared} characters: ...{shown(first[shared - 20 :])} / "
            f"...{shown(second[shared - 20 :])}",
            "the server obeys `seed`, but its arithmetic differs from call to call, as is usual on a GPU; with vLLM, "
            "VLLM_BATCH_INVARIANT=1 is slower and repeats",
            survivable=True,
        )
    if first != second:
        raise ProbeError(f"one seed, two answers: {shown(first)} / {shown(second)}", "the server ignores `seed`")
    return "twice the same answer" if other == first else "twice the same answer, another one for another seed"


def _shared(one: str, other: str) -> int:
    """Length of the common beginning."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (left, right) in pairs if left != right), min(len(one), len(other)))


async def _seed_among(asked: Asked) -> str:
    alone = await _drawn(asked)
    answers: dict[int, str] = {}

    async def draw(number: int) -> None:
        answers[number] = await _drawn(asked, seed=1 if number == 4 else 100 + number)

    try:
        async with anyio.create_task_group() as group:
            for number in range(9):
                group.start_soon(draw, number)
    except* ProbeError as errors:
        raise errors.exceptions[0] from None
    if answers[4] != alone:
        raise ProbeError(
            f"another answer than alone: {shown(alone)} / {shown(answers[4])}",
            "a server's arithmetic depends on its batch; with vLLM, VLLM_BATCH_INVARIANT=1 is slower and repeats",
        )
    return "the same answer as alone"


async def _image(asked: Asked) -> str:
    picture = Image.new("RGB", (480, 160), "white")
    ImageDraw.Draw(picture).text((60, 20), _NUMBER, fill="black", font=ImageFont.load_default(size=120))
    file = io.BytesIO()
    picture.save(file, "PNG")
    image = ContentImage(image=f"data:image/png;base64,{b64encode(file.getvalue()).decode()}")
    question = ContentText(text="Which number does the picture show? Answer with its digits alone.")
    output = await asked.endpoint.generate([ChatMessageUser(content=[image, question])], _config(_room(asked, 200)))
    if _NUMBER not in output.completion.replace(" ", ""):
        raise ProbeError(
            f"it read {shown(output.completion) or 'nothing'} where {_NUMBER} is written", "serve it with images"
        )
    return f"it read {_NUMBER}"


def _words(count: int) -> str:
    return "one two three four five six seven eight " * (count // 8)


async def _prompt(asked: Asked, text: str) -> tuple[int, int]:
    """Tokens of a prompt as the server counts them, and how many of them it says its cache had."""
    usage = (await asked.endpoint.generate(_ask(text), _config(1))).usage
    if usage is None or not usage.input_tokens:
        raise ProbeError("the server reports no usage", "use a server that does: costs of runs come from it")
    cached = usage.input_tokens_cache_read or 0
    return usage.input_tokens + cached, cached


async def _prefix(asked: Asked) -> str:
    words = _words(min(_PREFIX, (asked.context or _PREFIX) // 3))
    start = f"{uuid4()} {words}"
    total, _ = await _prompt(asked, f"{start} Say yes.")
    before = await asked.endpoint.cache_counters()
    _, cached = await _prompt(asked, f"{start} Say no.")
    after = await asked.endpoint.cache_counters()
    if cached:
        return f"{cached:,} of {total:,} prompt tokens, as the reply's usage.cached_tokens says"
    if before is None or after is None:
        raise ProbeError("the reply counts no cached tokens, and the server has no /metrics of vLLM", _CACHING)
    hits, queries = after[0] - before[0], after[1] - before[1]
    if not hits:
        raise ProbeError(f"0 of {queries:,.0f} prompt tokens, as vllm:prefix_cache_hits in /metrics says", _CACHING)
    return (
        f"{hits:,.0f} of {queries:,.0f} prompt tokens, as vllm:prefix_cache_hits in /metrics says; replies "
        "do not say it without --enable-prompt-tokens-details"
    )


async def _longest(asked: Asked) -> str:
    context = asked.context or 0
    (few, _), (more, _) = await _prompt(asked, _words(80)), await _prompt(asked, _words(480))
    wanted = context - _SPARE
    count = 80 + int((wanted - few) * 400 / max(more - few, 1))
    tokens, _ = await _prompt(asked, _words(count))
    if tokens < wanted - 2 * _SPARE:
        raise ProbeError(
            f"a prompt of about {wanted:,} tokens was cut to {tokens:,}", "the server cuts prompts in silence"
        )
    return f"{tokens:,} of {context:,} tokens"
