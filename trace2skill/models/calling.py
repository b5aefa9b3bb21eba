"""One call of a model, and what can be told from how it ended.

A server says in a call's stop reason that an answer was cut off, and in an error that a prompt was too long; Inspect
hands the second over as an answer whose text is the server's message. Neither is an answer of the model.
"""

import re
from collections.abc import Sequence

from inspect_ai.agent import Agent, AgentState, agent
from inspect_ai.model import ChatMessage, GenerateConfig, Model, ModelOutput
from inspect_ai.tool import Tool

from trace2skill.errors import ContextOverflowError
from trace2skill.models.servers import generate

LEAST_ROOM = 256
"""Tokens that an answer needs; where less is left beside the prompt, the prompt is too long."""

_CONTEXT = re.compile(r"maximum context length (?:is|of) (\d+)")
_PROMPT = re.compile(r"(\d+) (?:in the (?:messages|prompt)|input tokens|prompt tokens)")
_ASKED = re.compile(r"requested (\d+) output tokens|(\d+) in the completion")


async def call(
    model: Model, messages: Sequence[ChatMessage], config: GenerateConfig, tools: Sequence[Tool] = ()
) -> ModelOutput:
    """One generation. Where prompt and token limit together are too long for the server, the limit gives way.

    Servers differ in that: vLLM 0.32 shortens the limit itself, earlier ones refuse the call.

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
    output = await generate(model, messages, config, tools)
    if was_refused(output) and (room := _room(output.completion)):
        shorter = config.merge(GenerateConfig(max_tokens=room))
        output = await generate(model, messages, shorter, tools)
    return output


def turns_of(model: Model, config: GenerateConfig) -> Agent:
    """The model as `react` takes it, with settings of its own; `react` ends when a conversation is too long.

    Args:
        model: The model.
        config: Its settings.
    """

    @agent(name="turn", description="One turn of a model.")
    def turn() -> Agent:
        async def execute(state: AgentState, tools: list[Tool]) -> AgentState:
            state.output = await _answer(model, state.messages, config, tools)
            state.messages.append(state.output.message)
            return state

        return execute

    return turn()


def was_cut_off(output: ModelOutput) -> bool:
    """Whether an answer ended at a limit of tokens: its own, or the end of the model's context."""
    return output.stop_reason in ("max_tokens", "model_length")


def was_refused(output: ModelOutput) -> bool:
    """Whether an answer is a server's refusal; a context that fills up while it is written ends in the same reason."""
    said = output.completion
    return output.stop_reason == "model_length" and bool(_CONTEXT.search(said) or "max_tokens must be" in said)


def _room(message: str) -> int | None:
    """Tokens that are left for an answer, where the message tells and they are enough for one."""
    context, prompt, asked = _CONTEXT.search(message), _PROMPT.search(message), _ASKED.search(message)
    if not (context and prompt and asked):
        return None
    room = int(context.group(1)) - int(prompt.group(1))
    return room if room >= LEAST_ROOM else None
