"""Conversations as text for a model to read, within a budget."""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from inspect_ai.log import EvalSample
from inspect_ai.model import (
    ChatMessage,
    ChatMessageAssistant,
    ChatMessageSystem,
    ChatMessageTool,
    Content,
    ContentReasoning,
    ContentText,
)

CHARACTERS_PER_TOKEN = 4
"""Rough rule for token budgets where no tokenizer is at hand."""

MAX_WINDOWS = 8
"""Errors whose surroundings are shown: with more of them, the first and the last ones."""

_TROUBLE = re.compile(
    r"Traceback \(most recent call last\)|\b\w*(?:Error|Exception): |\[tool error: |: command not found"
    r"|No such file or directory|\[exit code: [1-9]"
)


class Span(NamedTuple):
    """Characters of a text, from `start` up to `end`."""

    start: int
    end: int


def how_it_ended(attempt: EvalSample) -> str:
    """A sentence on what ended a run from outside; empty if the agent ended it itself."""
    if attempt.limit:
        return f"The run was ended by its {attempt.limit.type} limit."
    match attempt.output.stop_reason if attempt.output.choices else "stop":
        case "max_tokens":
            return "The run's last answer was cut off at the limit of tokens for one answer."
        case "model_length":
            return "The run filled the model's context; its last answer was cut off there."
    return ""


def render_transcript(messages: Sequence[ChatMessage], tokens: int | None = None) -> str:
    """A conversation as text for a model to read; system messages are left out.

    Args:
        messages: The conversation.
        tokens: Budget. Of a longer text the head, the tail and what surrounds errors in tool results is shown, with a
            note of how much was left out in between. None for the whole text.
    """
    parts: list[str] = []
    troubles: list[int] = []
    length = 0
    shown = [message for message in messages if not isinstance(message, ChatMessageSystem)]
    for number, message in enumerate(shown, start=1):
        part = _render_message(number, message)
        if isinstance(message, ChatMessageTool):
            troubles += [length + found.start() for found in _TROUBLE.finditer(part)]
        parts.append(part)
        length += len(part) + len("\n\n")
    text = "\n\n".join(parts)
    budget = len(text) if tokens is None else tokens * CHARACTERS_PER_TOKEN
    return text if len(text) <= budget else _excerpt(text, budget, troubles)


def _excerpt(text: str, budget: int, troubles: Sequence[int]) -> str:
    pieces: list[str] = []
    end = 0
    for span in _joined(_spans(len(text), budget, troubles)):
        if span.start > end:
            pieces.append(f"[... {span.start - end} characters left out here ...]")
        pieces.append(text[span.start : span.end])
        end = span.end
    return "\n\n".join(pieces)


def _spans(length: int, budget: int, troubles: Sequence[int]) -> Iterator[Span]:
    """Head, tail and the windows around errors; together at most `budget` long."""
    ends = budget // 4 if troubles else budget // 2
    yield Span(0, ends)
    yield Span(length - ends, length)
    half = MAX_WINDOWS // 2
    chosen = troubles if len(troubles) <= MAX_WINDOWS else [*troubles[:half], *troubles[-half:]]
    for position in chosen:
        window = budget // 2 // len(chosen)
        # What led to an error tells more than what followed it, but its last lines name it.
        yield Span(max(position - window // 2, 0), min(position + window - window // 2, length))


def _joined(spans: Iterator[Span]) -> list[Span]:
    joined: list[Span] = []
    for span in sorted(spans):
        if joined and span.start <= joined[-1].end:
            joined[-1] = Span(joined[-1].start, max(joined[-1].end, span.end))
        else:
            joined.append(span)
    return joined


def _render_message(number: int, message: ChatMessage) -> str:
    content = [ContentText(text=message.content)] if isinstance(message.content, str) else message.content
    parts = [_render_content(item) for item in content]
    if isinstance(message, ChatMessageAssistant):
        for call in message.tool_calls or []:
            arguments = "\n".join(f"{key}: {value}" for key, value in call.arguments.items())
            parts.append(f"[calls {call.function}]\n{arguments}")
    if isinstance(message, ChatMessageTool) and message.error:
        parts.append(f"[tool error: {message.error.message}]")
    body = "\n".join(part for part in parts if part)
    return f"--- {number}. {message.role} ---\n{body}"


def _render_content(content: Content) -> str:
    if isinstance(content, ContentText):
        return content.text
    if isinstance(content, ContentReasoning):
        # A provider may give a summary alone and keep the reasoning itself encrypted.
        thought = content.summary if content.redacted else content.reasoning or content.summary
        return f"[thinks]\n{thought}" if thought else ""
    return f"[{content.type}]"
