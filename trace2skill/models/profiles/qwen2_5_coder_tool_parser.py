"""A tool-call parser of vLLM for Qwen2.5-Coder, which writes its calls as JSON in code fences.

    vllm serve ... --enable-auto-tool-choice --tool-parser-plugin THIS_FILE --tool-call-parser qwen2_5_coder

One file that needs nothing of trace2skill, since the server may run in an environment without it. What is read as a
call: a JSON object with the name of one of the request's tools under `name` and an object (or one written as a
string) under `arguments` or `parameters`; null, an empty string and a name alone mean `{}`. It may stand in a code
fence without a language or for JSON, in `<tool_call>` or `<tools>` tags, in both, or in lines of its own; several may
follow each other, in one block or with prose between them. A backslash that begins no escape of JSON means itself,
since models write shell commands and regular expressions so.

Everything else stays text: code fences of other languages, other names, a tool's declaration, broken JSON, and what
JSON or UTF-8 cannot pass on. A fence may open within a line; one that is never closed is no fence.
"""

import importlib.util
import json
import re
from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

__all__ = ["Call", "Stream", "read_calls"]

# Where a block may begin, and the beginning of that at the end of a text that is still being written. Patterns here
# are bounded or need no second look at a character: a reply is read in time that grows with its length, not faster.
_OPENING = re.compile(r"<(?:tool_call|tools)>|`{3,}|~{3,}|^[ \t]*[\[{]", re.M)
_PARTIAL = re.compile(r"(?:<\w{0,9}|`{1,2}|~{1,2})\Z")
_WRAPPER = re.compile(
    r"\s*(?:<(?:tool_call|tools)>|(?P<fence>`{3,}|~{3,})[ \t]{0,9}"
    r"(?:(?i:json[c5]?|tool(?:_call|_code)?)(?![\w+-])|(?![ \t\w+-]))(?:[ \t]*(?=[\[{])|[^`\n]{0,99}\n))"
)
_LAST = r"(?:\s*</(?:tool_call|tools)>|[ \t\r]*(?:\n|\Z))"
_FOLLOWING = re.compile(r"\s*(?:,\s*)?(?=[\[{])")
_ESCAPE = re.compile(r"""(\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))|\\('?)""")
_BROKEN = 100
"""So many values that are no JSON are looked at; what follows the last of them stays text."""
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
    calls, rest = _read(text, tools, 0)
    return calls, rest.strip() if calls else rest


class Stream:
    """The same for a text that is still being written: what may not belong to a call is passed on at once."""

    def __init__(self) -> None:
        # What was not passed on, in pieces, after the last character that was.
        self._held = ["\n"]
        self._opened = False

    def feed(self, delta: str) -> str:
        """What can be passed on, now that this was written: all before the first thing that may be a call."""
        self._held.append(delta)
        if self._opened or not delta.strip():
            return ""
        text = "".join(self._held)
        opening = _OPENING.search(text, 1)
        start = opening or _PARTIAL.search(text, 1)
        safe = max(1, len((text[: start.start()] if start else text).rstrip()))
        self._held, self._opened = [text[safe - 1 :]], opening is not None
        return text[1:safe]

    def finish(self, tools: Collection[str]) -> tuple[list[Call], str]:
        """The text has ended: the calls in it, and what remains of what was not passed on."""
        text = "".join(self._held)
        self._held, self._opened = ["\n"], False
        return _read(text, tools, 1)


def _read(text: str, tools: Collection[str], place: int) -> tuple[list[Call], str]:
    blocks = list(_blocks(text, tools, place))
    if not blocks:
        return [], text[place:]
    places = [place, *(place for block in blocks for place in (block.start, block.end)), len(text)]
    first, *others = (text[start:end] for start, end in zip(places[::2], places[1::2], strict=True))
    rest = first.rstrip() + "".join(f"\n\n{part.strip()}" for part in others if part.strip())
    return [call for block in blocks for call in block.calls], rest


def _blocks(text: str, tools: Collection[str], place: int) -> Iterator[_Block]:
    # As long as the text, and with the same JSON values: each escape that JSON lacks is replaced.
    masked = _ESCAPE.sub(lambda escape: escape[1] or f"?{escape[2]}", text)
    broken = 0
    unclosed: set[str] = set()
    while broken < _BROKEN and (opening := _OPENING.search(text, place)):
        first, closing = _wrapped(text, opening.start())
        values, end, whole = _values(text, masked, first)
        broken += not whole
        calls = [call for value in values if (call := _call(value, tools))]
        closed = closing.match(text, end)
        if closed and calls and len(calls) == len(values):
            place = closed.end()
            yield _Block(opening.start(), place, calls)
            continue
        place = end if end > first else opening.end()
        if opening[0][0] in "`~":
            place = _past(text, place, opening[0], unclosed) or opening.end()


def _wrapped(text: str, place: int) -> tuple[int, re.Pattern[str]]:
    """Where the values of a block begin, in a tag or a fence or both, and what must follow the last of them.

    A model may forget to close what it wrote at the end of its text.
    """
    closings: dict[bool, str] = {}
    while (wrapper := _WRAPPER.match(text, place)) and bool(wrapper["fence"]) not in closings:
        place = wrapper.end()
        closings[bool(wrapper["fence"])] = rf"\s*(?:{_mark(wrapper['fence'])}|\Z)" if wrapper["fence"] else _LAST
    return place, re.compile("".join(reversed(closings.values())) or _LAST)


def _past(text: str, place: int, fence: str, unclosed: set[str]) -> int | None:
    """Where what this fence encloses is over: in the line of `place`, or in the next that begins with a fence.

    A fence with a language opens another block even if the one before was not closed.
    """
    mark = _mark(fence)
    if inline := re.compile(rf"[^\n]{{0,200}}?{mark}").match(text, place):
        return inline.end()
    if fence in unclosed:
        return None
    line = re.compile(rf"^[ \t]*{mark}(?P<bare>[ \t\r]*$)?", re.M).search(text, place)
    if not line:
        unclosed.add(fence)
        return None
    return line.start() if line["bare"] is None else line.end()


def _mark(fence: str) -> str:
    return f"{fence[0]}{{{len(fence)},}}"


def _values(text: str, masked: str, end: int) -> tuple[list[Any], int, bool]:
    """The JSON values that follow each other from here on, their end, and whether no broken one follows.

    Lists count as what is in them.
    """
    values: list[Any] = []
    while following := _FOLLOWING.match(text, end):
        try:
            stop = _DECODER.raw_decode(masked, following.end())[1]
            value = _decoded(text[following.end() : stop])
        except (ValueError, RecursionError):
            return values, end, False
        values.extend(value if isinstance(value, list) else [value])
        end = stop
    return values, end, True


def _decoded(text: str) -> Any:
    """A JSON value; a backslash that begins no escape of JSON means itself, but nothing before an apostrophe."""
    return _DECODER.decode(_ESCAPE.sub(lambda escape: escape[1] or escape[2] or r"\\", text))


def _call(value: Any, tools: Collection[str]) -> Call | None:
    name = value.get("name") if isinstance(value, dict) else None
    if not isinstance(name, str) or name not in tools or _is_declaration(value):
        return None
    try:
        arguments = _arguments(value)
        if not isinstance(arguments, dict):
            return None
        written = json.dumps(arguments, ensure_ascii=False, allow_nan=False)
        written.encode()
    except (ValueError, RecursionError):
        return None
    return Call(name, written)


def _arguments(value: dict[str, Any]) -> Any:
    for key in ("arguments", "parameters"):
        given = value.get(key)
        if isinstance(given, str):
            given = _decoded(given) if given.strip() else None
        if given is not None:
            return given
    return {}


def _is_declaration(value: dict[str, Any]) -> bool:
    """Whether this calls nothing: it says what a tool is, as the prompt does, or is of something else with its name."""
    if value.keys().isdisjoint({"arguments", "parameters"}):
        return not value.keys() <= {"name", "type", "id"}
    schema = value.get("parameters")
    if "description" not in value or value.get("arguments") or not isinstance(schema, dict):
        return False
    return not schema or schema.get("type") == "object" or isinstance(schema.get("properties"), dict)


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
            self._stream = Stream()
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
            self._names = _names(request)
            content = self._stream.feed(delta_text)
            return DeltaMessage(content=content) if content else None

        def finish_streaming(self) -> DeltaMessage | None:
            """What was held back: the calls, and the text around them."""
            calls, rest = self._stream.finish(self._names)
            if not calls and not rest:
                return None
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
            return DeltaMessage(content=rest or None, tool_calls=deltas)

    def _names(request: Any) -> set[str]:
        if request.tool_choice == "none":
            return set()
        return {tool.function.name if hasattr(tool, "function") else tool.name for tool in request.tools or ()}

    ToolParserManager.register_module("qwen2_5_coder", module=Qwen25CoderToolParser)
