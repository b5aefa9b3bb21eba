"""The OpenAI-compatible API of vLLM, as the stand-in reads and writes it: requests, completions, errors.

The texts of errors are those of vLLM 0.32.0.
"""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from inspect_ai.model import (
    ChatMessage,
    ChatMessageAssistant,
    GenerateConfig,
    ModelUsage,
    ResponseSchema,
    messages_from_openai,
)
from inspect_ai.tool import ToolCall, ToolInfo, ToolParams
from inspect_ai.util import JSONSchema

from trace2skill.simulation.chance import digest
from trace2skill.simulation.tokens import CHARACTERS_PER_TOKEN

Body = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a chat completion was asked of."""

    model: str
    messages: tuple[ChatMessage, ...]
    tools: tuple[ToolInfo, ...]
    choice: str
    """Name of the function that must be called, `required`, `auto` or `none`."""
    config: GenerateConfig
    stream: bool


async def read_request(body: Mapping[str, Any]) -> Request:
    """A request from its body.

    Raises:
        ValueError, KeyError: It has none of the forms that the API knows.
    """
    choice = body.get("tool_choice") or "auto"
    schema = (body.get("response_format") or {}).get("json_schema")
    return Request(
        model=body["model"],
        messages=tuple(await messages_from_openai(body["messages"])),
        tools=() if choice == "none" else tuple(map(_tool, body.get("tools") or ())),
        choice=choice if isinstance(choice, str) else choice["function"]["name"],
        config=GenerateConfig(
            seed=body.get("seed"),
            max_tokens=body.get("max_tokens") or body.get("max_completion_tokens"),
            response_schema=_schema(schema) if schema else None,
        ),
        stream=bool(body.get("stream")),
    )


def _tool(offered: Mapping[str, Any]) -> ToolInfo:
    function = offered["function"]
    parameters = ToolParams.model_validate(function.get("parameters") or {})
    return ToolInfo(name=function["name"], description=function.get("description") or "", parameters=parameters)


def _schema(schema: Mapping[str, Any]) -> ResponseSchema:
    return ResponseSchema(name=schema["name"], json_schema=JSONSchema.model_validate(schema["schema"]))


def completion(model: str, message: ChatMessageAssistant, usage: ModelUsage, cached: int | None = None) -> Body:
    """The answer to a request.

    Args:
        model: Name of the model, as it stands in logs.
        message: What it says.
        usage: What that cost.
        cached: Tokens from the prefix cache; None where the server does not tell.
    """
    calls = [_call(call) for call in message.tool_calls or []]
    counts: Body = {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": None if cached is None else {"cached_tokens": cached},
    }
    spoken: Body = {"role": "assistant", "content": message.text or None, "refusal": None, "tool_calls": calls}
    reason = "tool_calls" if calls else "stop"
    return {
        "id": f"chatcmpl-{digest(json.dumps([spoken, counts]))}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "choices": [
            {"index": 0, "message": spoken, "logprobs": None, "finish_reason": reason, "stop_reason": None}
        ],
        "usage": counts,
    }  # fmt: skip


def _call(call: ToolCall) -> Body:
    function = {"name": call.function, "arguments": json.dumps(call.arguments)}
    return {"id": call.id, "type": "function", "function": function}


def as_chunks(answer: Body) -> Iterator[Body]:
    """The same answer as the pieces of a stream."""
    choice = answer["choices"][0]
    head = {**answer, "object": "chat.completion.chunk", "usage": None}
    message = {key: value for key, value in choice["message"].items() if value and key != "refusal"}
    if calls := message.pop("tool_calls", None):
        message["tool_calls"] = [{"index": number, **call} for number, call in enumerate(calls)]
    for delta, reason in ((message, None), ({}, choice["finish_reason"])):
        yield {**head, "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}]}
    yield {**head, "choices": [], "usage": answer["usage"]}


def cut_off(answer: Body, tokens: int) -> Body:
    """An answer that ended at its limit. Of a call that is not whole no parser makes a call."""
    [choice] = answer["choices"]
    text = choice["message"]["content"] or ""
    text += "".join(call_as_text(call) for call in choice["message"]["tool_calls"])
    message = {**choice["message"], "content": text[: tokens * CHARACTERS_PER_TOKEN], "tool_calls": []}
    counts = {**answer["usage"], "completion_tokens": tokens}
    counts["total_tokens"] = counts["prompt_tokens"] + tokens
    return {**answer, "choices": [{**choice, "message": message, "finish_reason": "length"}], "usage": counts}


def calls_as_text(answer: Body) -> Body:
    """An answer whose calls stay text."""
    [choice] = answer["choices"]
    said = [choice["message"]["content"] or "", *map(call_as_text, choice["message"]["tool_calls"])]
    message = {**choice["message"], "content": "\n".join(said), "tool_calls": []}
    return {**answer, "choices": [{**choice, "message": message, "finish_reason": "stop"}]}


def call_as_text(call: Body) -> str:
    """A call as models write it for which the server has no parser."""
    function = call["function"]
    written = json.dumps({"name": function["name"], "arguments": json.loads(function["arguments"])})
    return f"```json\n{written}\n```"


def error(status: int, kind: str, message: str, param: str | None = None) -> Body:
    """The body of an error."""
    return {"error": {"message": message, "type": kind, "param": param, "code": status}}


def unknown_model(model: str) -> Body:
    """404: this server does not serve the model."""
    return error(404, "NotFoundError", f"The model `{model}` does not exist.", "model")


def overflow(tokens: int, limit: int) -> Body:
    """400: the prompt is longer than the context."""
    message = (
        f"This model's maximum context length is {limit} tokens. However, your prompt contains {tokens} input tokens, "
        "which exceeds this limit even without any output tokens. Please reduce the length of the input prompt. "
        f"(parameter=input_tokens, value={tokens})"
    )
    return error(400, "BadRequestError", message, "input_tokens")


NO_TOOL_PARSER = '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'


def engine_overflow(tokens: int, limit: int) -> Body:
    """400: the prompt is longer than the context, as the engine finds after images have become tokens."""
    message = (
        f"The decoder prompt (length {tokens}) is longer than the maximum model length of {limit}. Make sure that "
        "`max_model_len` is no smaller than the number of text tokens."
    )
    return error(400, "BadRequestError", message)


def limit_too_large(tokens: int, limit: int) -> Body:
    """400: the limit of an answer alone is longer than the context; a smaller one is shortened to what is left."""
    message = f"max_tokens={tokens} cannot be greater than max_model_len={limit}. Please request fewer output tokens."
    return error(400, "BadRequestError", message, "max_tokens")


def smallest(schema: Mapping[str, Any]) -> Any:
    """The smallest value under a schema: what a model must write that has nothing to say."""
    if "enum" in schema:
        return schema["enum"][0]
    if options := schema.get("anyOf"):
        return smallest(options[0])
    kind = schema.get("type")
    match kind[0] if isinstance(kind, Sequence) and not isinstance(kind, str) else kind:
        case "object":
            properties = schema.get("properties") or {}
            return {name: smallest(properties[name]) for name in schema.get("required") or () if name in properties}
        case "array":
            return []
        case "integer" | "number":
            return 0
        case "boolean":
            return False
        case "null":
            return None
    return ""
