"""How the stand-in model's replies are built: stamped text, tool calls with reproducible ids, and JSON."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from inspect_ai.model import ChatMessage, ChatMessageAssistant, ChatMessageTool, ChatMessageUser
from inspect_ai.tool import ToolCall

from trace2skill.simulation.chance import digest

STAMP = "[SIMULATED]"
"""Begins every text of the stand-in model that people read."""


def call(text: str, function: str, arguments: Mapping[str, Any]) -> ChatMessageAssistant:
    """A reply that says something and calls one tool."""
    named = json.dumps([text, function, arguments], sort_keys=True)
    tool_call = ToolCall(id=f"sim-{digest(named)}", function=function, arguments=dict(arguments))
    return ChatMessageAssistant(content=f"{STAMP} {text}", tool_calls=[tool_call])


def bash(text: str, command: str) -> ChatMessageAssistant:
    """A reply that runs a command in the sandbox."""
    return call(text, "bash", {"command": command})


def structured(value: Mapping[str, Any]) -> ChatMessageAssistant:
    """A reply that is one JSON object. Where it has a `reasoning`, this is stamped."""
    stamped = dict(value)
    for field in ("reasoning", "solution_path"):
        if field in stamped:
            stamped[field] = f"{STAMP} {stamped[field]}"
    return ChatMessageAssistant(content=json.dumps(stamped, ensure_ascii=False, indent=1))


def turns(messages: Sequence[ChatMessage]) -> list[ChatMessageAssistant]:
    """The model's own replies so far."""
    return [message for message in messages if isinstance(message, ChatMessageAssistant)]


def commands_with_results(messages: Sequence[ChatMessage]) -> list[tuple[ToolCall, str]]:
    """Every tool call so far with the text it returned; calls without a result are left out."""
    results = {m.tool_call_id: m.text for m in messages if isinstance(m, ChatMessageTool)}
    calls = [tool_call for turn in turns(messages) for tool_call in turn.tool_calls or []]
    return [(tool_call, results[tool_call.id]) for tool_call in calls if tool_call.id in results]


def last_user_text(messages: Sequence[ChatMessage]) -> str:
    """The text of the last user message."""
    return next((m.text for m in reversed(messages) if isinstance(m, ChatMessageUser)), "")


def first_user_text(messages: Sequence[ChatMessage]) -> str:
    """The text of the first user message: the task."""
    return next((m.text for m in messages if m.role == "user"), "")


def given_text(messages: Sequence[ChatMessage]) -> str:
    """Everything that system and user messages say."""
    return "\n".join(m.text for m in messages if m.role in ("system", "user"))
