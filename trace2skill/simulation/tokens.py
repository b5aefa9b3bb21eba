"""What the stand-in counts as tokens: characters, divided. A conversation counts the same however it arrived."""

import json
from collections.abc import Sequence

from inspect_ai.model import ChatMessage, ChatMessageAssistant, ModelUsage
from inspect_ai.tool import ToolInfo

CHARACTERS_PER_TOKEN = 4


def usage(messages: Sequence[ChatMessage], tools: Sequence[ToolInfo], reply: ChatMessageAssistant) -> ModelUsage:
    """What a call cost."""
    read = len(prompt_text(messages, tools)) // CHARACTERS_PER_TOKEN
    written = max(len(_said(reply)) // CHARACTERS_PER_TOKEN, 1)
    return ModelUsage(input_tokens=read, output_tokens=written, total_tokens=read + written)


def prompt_text(messages: Sequence[ChatMessage], tools: Sequence[ToolInfo]) -> str:
    """A prompt as one text, in the order in which chat templates write it: tools, then messages."""
    offered = [tool.model_dump_json(include={"name", "description", "parameters"}) for tool in tools]
    return "".join([*offered, *map(_said, messages)])


def _said(message: ChatMessage) -> str:
    if message.role == "tool" and message.error:
        return f"Error: {message.error.message}"
    calls = message.tool_calls or [] if isinstance(message, ChatMessageAssistant) else []
    return message.text + "".join(json.dumps(call.arguments) for call in calls)
