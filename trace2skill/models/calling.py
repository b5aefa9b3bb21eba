"""One call of a model, and what can be told from how it ended.

A server says in a call's stop reason that an answer was cut off, and in an error that a prompt was too long. Where
Inspect knows the error's words, it hands them over as if they were the answer. Neither is an answer of the model.
"""

import re
from collections.abc import Callable, Sequence

from inspect_ai.agent import Agent, AgentState, agent
from inspect_ai.model import ChatMessage, GenerateConfig, Model, ModelOutput
from inspect_ai.tool import Tool, ToolCall

from trace2skill.errors import ContextOverflowError
from trace2skill.models.servers import RefusedError, generate

LEAST_ROOM = 256
"""Tokens that an answer needs; where less is left beside the prompt, the prompt is too long."""

SHORTENED = 2
"""Times that the limit of tokens of one call gives way."""

# What vLLM 0.6 to 0.32, and servers like it, say of a prompt or a limit that is too long.
_TOO_LONG = re.compile(
    r"context[ _](?:length|size|window)|maximum model length|max_model_len|max_total_tokens|max_tokens must be|"
    r"(?:prompt|input)\b.*\btoo long",
    re.IGNORECASE,
)
_CONTEXT = re.compile(
    r"(?:(?:maximum|model's) context length|maximum model length|context length|max_model_len|max_total_tokens|limit)"
    r"\b(?: is| of|=|:)? ?\(?(\d+)"
)
_PROMPT = re.compile(r"(\d+) (?:in the (?:messages|prompt)|input tokens|prompt tokens|tokens from the input)")
_ASKED = re.compile(
    r"requested (\d+) output tokens|(\d+) in the completion|(\d+) tokens for the completion|too large: (\d+)"
)
_LIMIT_ALONE = re.compile(r"max_tokens=(\d+) cannot be greater than")


async def call(
    model: Model, messages: Sequence[ChatMessage], config: GenerateConfig, tools: Sequence[Tool] = ()
) -> ModelOutput:
    """One generation. Where prompt and token limit together are too long for the server, the limit gives way.

    Servers differ in that: vLLM 0.32 shortens the limit itself where it is within the context, earlier ones refuse the
    call.

    Raises:
        ContextOverflowError: The prompt itself is too long; the same call would fail again.
        ServerError: The server does not answer, or not with anything of use.
    """
    output = await _answer(model, messages, config, tools)
    if was_refused(output):
        raise ContextOverflowError(f"The prompt is too long for {model}: {output.completion.strip()[:300]}")
    return output


async def _answer(
    model: Model, messages: Sequence[ChatMessage], config: GenerateConfig, tools: Sequence[Tool]
) -> ModelOutput:
    for _ in range(SHORTENED):
        output = await _generated(model, messages, config, tools)
        room = _room(output.completion) if was_refused(output) else None
        if room is None:
            return output
        config = config.merge(GenerateConfig(max_tokens=room))
    return await _generated(model, messages, config, tools)


async def _generated(
    model: Model, messages: Sequence[ChatMessage], config: GenerateConfig, tools: Sequence[Tool]
) -> ModelOutput:
    """A generation; what a server refuses as too long in words that Inspect does not know, as where it knows them."""
    try:
        return await generate(model, messages, config, tools)
    except RefusedError as error:
        if not _TOO_LONG.search(error.said):
            raise
        return ModelOutput.from_content(str(model), error.said, stop_reason="model_length")


def turns_of(model: Model, config: GenerateConfig, readable: Callable[[ToolCall], ToolCall] | None = None) -> Agent:
    """The model as `react` takes it, with settings of its own; `react` ends when a conversation is too long.

    Args:
        model: The model.
        config: Its settings.
        readable: What a tool call is taken for; Inspect refuses one for every row of a list that does not fit.
    """

    @agent(name="turn", description="One turn of a model.")
    def turn() -> Agent:
        async def execute(state: AgentState, tools: list[Tool]) -> AgentState:
            state.output = await _answer(model, state.messages, config, tools)
            message = state.output.message
            if readable and message.tool_calls:
                message = message.model_copy(update={"tool_calls": [readable(each) for each in message.tool_calls]})
            state.messages.append(message)
            return state

        return execute

    return turn()


def was_cut_off(output: ModelOutput) -> bool:
    """Whether an answer ended at a limit of tokens: its own, or the end of the model's context."""
    return output.stop_reason in ("max_tokens", "model_length")


def was_refused(output: ModelOutput) -> bool:
    """Whether an answer is a server's refusal; a context that fills up while it is written ends in the same reason."""
    unpaid = output.usage is None
    return output.stop_reason == "model_length" and (unpaid or bool(_TOO_LONG.search(output.completion)))


def _room(message: str) -> int | None:
    """Tokens that are left for an answer, where the message tells and they are enough for one."""
    context, prompt = _CONTEXT.search(message), _PROMPT.search(message)
    if context and _LIMIT_ALONE.search(message):
        # vLLM 0.32: within the context it shortens the limit itself.
        return int(context.group(1))
    if not (context and prompt and _ASKED.search(message)):
        return None
    room = int(context.group(1)) - int(prompt.group(1))
    return room if room >= LEAST_ROOM else None
