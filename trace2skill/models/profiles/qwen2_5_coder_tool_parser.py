"""A tool-call parser of vLLM for Qwen2.5-Coder, which writes its calls as JSON in code fences.

    vllm serve ... --enable-auto-tool-choice --tool-parser-plugin THIS_FILE --tool-call-parser qwen2_5_coder

One file that needs nothing of trace2skill, since the server may run in an environment without it. What is read as a
call: a JSON object with the name of one of the request's tools under `name` and an object (or one written as a
string) under `arguments` or `parameters`. It may stand in a code fence without a language or for JSON, in
`<tool_call>` tags, or in lines of its own; several may follow each other, in one block or with prose between them.
Everything else stays text: code fences of other languages, other names, broken JSON.
"""

import importlib.util
import json
import re
from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

__all__ = ["Call", "read_calls"]

_OPENING = re.compile(
    r"(?P<tag><tool_call>)\s*|^[ \t]*(?P<fence>`{3,})[ \t]*(?P<language>[\w+-]*)[^\n]*\n\s*|^[ \t]*(?=[\[{])", re.M
)
# Where a call may begin, what is still being written at the end of the text among it.
_START = re.compile(r"<tool_call>|`{3}|^[ \t]*[\[{]|(?:<\w*|[`\s]+)\Z", re.M)
_JSON_FENCES = frozenset({"", "json", "jsonc", "json5", "tool", "tool_call", "tool_code"})
_DECODER = json.JSONDecoder(strict=False)


class Call(NamedTuple):
    """One call of a tool."""

    name: str
    """The tool."""
    arguments: str
    """Its arguments, a JSON object."""


class _Block(NamedTuple):
    start: int
    end: int
    calls: list[Call]


def read_calls(text: str, tools: Collection[str]) -> tuple[list[Call], str]:
    """The calls in a model's text, in its order, and the text without them.

    Args:
        text: What the model wrote.
        tools: Names of the tools that it was given.

    Returns:
        The calls, and what remains; the text itself, unchanged, where there is no call.
    """
    blocks = list(_blocks(text, tools))
    if not blocks:
        return [], text
    places = [0, *(place for block in blocks for place in (block.start, block.end)), len(text)]
    prose = [text[start:end].strip() for start, end in zip(places[::2], places[1::2], strict=True)]
    return [call for block in blocks for call in block.calls], "\n\n".join(part for part in prose if part)


def _blocks(text: str, tools: Collection[str]) -> Iterator[_Block]:
    place = 0
    while opening := _OPENING.search(text, place):
        place = opening.end()
        if opening["fence"] and opening["language"].lower() not in _JSON_FENCES:
            place = _closed(text, place, opening["fence"])
            continue
        values, end = _values(text, opening.end())
        closing = _closing(opening)
        closed = closing.match(text, end)
        calls = [_call(value, tools) for value in values]
        read = [call for call in calls if call is not None]
        if closed and calls and len(read) == len(calls):
            place = closed.end()
            yield _Block(opening.start(), place, read)
        elif opening["fence"]:
            place = _closed(text, place, opening["fence"])
        else:
            place = max(place + 1, end)


def _closing(opening: re.Match[str]) -> re.Pattern[str]:
    """What must follow the last value: the block's end, which a model may forget at the end of its text."""
    if opening["tag"]:
        return re.compile(r"\s*(?:</tool_call>|\Z)")
    if opening["fence"]:
        return re.compile(rf"\s*(?:{opening['fence']}|\Z)")
    return re.compile(r"[ \t]*(?:\n|\Z)")


def _closed(text: str, place: int, fence: str) -> int:
    end = re.compile(rf"^[ \t]*{fence}[ \t]*$", re.M).search(text, place)
    return end.end() if end else len(text)


def _values(text: str, place: int) -> tuple[list[Any], int]:
    """The JSON values that follow each other from here on; lists count as what is in them."""
    values: list[Any] = []
    while text[place : place + 1] in ("{", "["):
        try:
            value, place = _DECODER.raw_decode(text, place)
        except (ValueError, RecursionError):
            return [], place
        values.extend(value if isinstance(value, list) else [value])
        following = re.compile(r"\s*,?\s*(?=[\[{])").match(text, place)
        place = following.end() if following else place
    return values, place


def _call(value: Any, tools: Collection[str]) -> Call | None:
    name = value.get("name") if isinstance(value, dict) else None
    if not isinstance(name, str) or name not in tools:
        return None
    arguments = value.get("arguments", value.get("parameters"))
    if isinstance(arguments, str):
        try:
            arguments = _DECODER.decode(arguments)
        except (ValueError, RecursionError):
            return None
    if not isinstance(arguments, dict):
        return None
    return Call(name, json.dumps(arguments, ensure_ascii=False))


if importlib.util.find_spec("vllm"):  # without vLLM there is nobody to register with; reading text works all the same
    try:
        from vllm.entrypoints.generate.base.protocol import (
            DeltaFunctionCall,
            DeltaMessage,
            DeltaToolCall,
            ExtractedToolCallInformation,
            FunctionCall,
            ToolCall,
        )
        from vllm.renderers.chat_utils import make_tool_call_id
    except ImportError:  # where vLLM 0.26 has them
        from vllm.entrypoints.chat_utils import make_tool_call_id
        from vllm.entrypoints.openai.engine.protocol import (
            DeltaFunctionCall,
            DeltaMessage,
            DeltaToolCall,
            ExtractedToolCallInformation,
            FunctionCall,
            ToolCall,
        )
    from vllm.tool_parsers import ToolParser, ToolParserManager

    class Qwen25CoderToolParser(ToolParser):
        """What vLLM calls; written for the interface of vLLM 0.26 and 0.32."""

        engine_based_streaming = True
        """vLLM calls `finish_streaming` when the text has ended."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self._text = ""
            self._sent = 0
            self._names: set[str] = set()

        def adjust_request(self, request: Any) -> Any:
            """Keeps `<tool_call>` in the text where the tokenizer counts it as special."""
            request = super().adjust_request(request)
            if request.tools and request.tool_choice != "none":
                request.skip_special_tokens = False
            return request

        def extract_tool_calls(self, model_output: str, request: Any) -> ExtractedToolCallInformation:
            """The calls of a whole text."""
            calls, prose = read_calls(model_output, _names(request))
            return ExtractedToolCallInformation(
                tools_called=bool(calls),
                tool_calls=[
                    ToolCall(type="function", function=FunctionCall(name=call.name, arguments=call.arguments))
                    for call in calls
                ],
                content=prose or None,
            )

        def extract_tool_calls_streaming(
            self,
            previous_text: str,
            current_text: str,
            delta_text: str,
            previous_token_ids: Sequence[int],
            current_token_ids: Sequence[int],
            delta_token_ids: Sequence[int],
            request: Any,
        ) -> DeltaMessage | None:
            """Passes on the text before the first thing that may be a call; the rest comes when the text has ended."""
            self._text, self._names = self._text + delta_text, _names(request)
            start = _START.search(self._text)
            safe = start.start() if start else len(self._text)
            if safe <= self._sent:
                return None
            delta, self._sent = self._text[self._sent : safe], safe
            return DeltaMessage(content=delta)

        def finish_streaming(self) -> DeltaMessage | None:
            """What was held back: the calls, and the text around them."""
            rest, self._text = self._text[self._sent :], self._text[: self._sent]
            if not rest:
                return None
            calls, prose = read_calls(rest, self._names)
            deltas = [
                DeltaToolCall(
                    id=make_tool_call_id(),
                    type="function",
                    index=index,
                    function=DeltaFunctionCall(name=call.name, arguments=call.arguments),
                )
                for index, call in enumerate(calls)
            ]
            self.prev_tool_call_arr = [{"name": call.name, "arguments": call.arguments} for call in calls]
            self.streamed_args_for_tool = [call.arguments for call in calls]
            return DeltaMessage(content=prose or None, tool_calls=deltas)

    def _names(request: Any) -> set[str]:
        if request.tool_choice == "none":
            return set()
        return {tool.function.name if hasattr(tool, "function") else tool.name for tool in request.tools or ()}

    ToolParserManager.register_module("qwen2_5_coder", module=Qwen25CoderToolParser)
