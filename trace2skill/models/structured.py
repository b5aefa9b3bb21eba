"""Structured output: decode under a schema, validate, and let the model repair what is wrong."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeVar

from inspect_ai.model import (
    ChatMessage,
    ChatMessageAssistant,
    ChatMessageUser,
    GenerateConfig,
    Model,
    ModelOutput,
    ResponseSchema,
)
from inspect_ai.util import json_schema
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from trace2skill.errors import ContextOverflowError, ModelOutputError
from trace2skill.models.calling import call, was_cut_off
from trace2skill.models.escapes import decode, restored

MAX_REPAIRS = 3
"""Rounds in which the model sees what was wrong with its output and may correct it."""

T = TypeVar("T", bound=BaseModel)

REPAIR = """\
That output cannot be used:
{problems}

Return the whole corrected JSON object, nothing else."""

CUT_OFF = "(This answer was cut off at its limit of tokens and is left out.)"


class Output(BaseModel):
    """Base of all structured outputs, those that come as arguments of tool calls among them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _restored(cls, value: Any) -> Any:
        return restored(value)


Check = Callable[[T], list[str]]
"""Further requirements on an output: one sentence per problem."""


async def generate_structured(
    model: Model,
    conversation: list[ChatMessage],
    output: type[T],
    name: str,
    check: Check[T] | None = None,
    *,
    advise: Check[T] | None = None,
    config: GenerateConfig | None = None,
) -> T:
    """One structured generation with at most `MAX_REPAIRS` repair rounds.

    Servers that support it (vLLM among them) decode under the schema; the result is validated in any case. No
    round is spent where it cannot help: after an answer that was cut off twice, that came again word for word, or
    whose correction no longer fits in the context.

    Args:
        model: The model to ask.
        conversation: The conversation so far; it grows by all rounds, also by those of an output that stays unusable.
        output: The pydantic model that the output must satisfy.
        name: Name of the schema, as the server and the log show it.
        check: What the output must satisfy besides.
        advise: What it had better satisfy: the model is told once, and its output is used in any case.
        config: How to sample.

    Returns:
        The validated output.

    Raises:
        ContextOverflowError: The prompt does not fit in the model's context.
        ModelOutputError: The output was still unusable after the last round.
    """
    asked = (config or GenerateConfig()).merge(GenerateConfig(response_schema=_schema(output, name)))
    usable: T | None = None
    problems: list[str] = []
    answers: list[str] = []
    for _ in range(1 + MAX_REPAIRS):
        try:
            reply = await call(model, conversation, asked)
        except ContextOverflowError:
            if not answers:
                raise
            problems.append("The correction does not fit in the model's context.")
            break
        parsed, problems = parse(reply.completion, output, check)
        cut_off = parsed is None and was_cut_off(reply)
        # Half an answer teaches nothing, and would fill the context.
        conversation.append(_in_place_of(reply.message, CUT_OFF) if cut_off else reply.message)
        if parsed is not None:
            advice = advise(parsed) if advise and usable is None else []
            if not advice:
                return parsed
            usable, problems = parsed, advice
        elif cut_off:
            problems = [f"It was cut off after {_length(reply)} tokens. Be brief: fewer and shorter entries."]
        same = bool(answers) and reply.completion == answers[-1]
        answers.append(reply.completion)
        if same or (cut_off and len(answers) > 1):
            break
        listed = "\n".join(f"- {problem}" for problem in problems)
        conversation.append(ChatMessageUser(content=REPAIR.format(problems=listed)))
    if usable is not None:
        return usable
    raise ModelOutputError(_unusable(model, name, len(answers), problems[-1], cut_off))


def _unusable(model: Model, name: str, attempts: int, problem: str, cut_off: bool) -> str:
    advice = (
        "Raise the limit of this part (--analyst-max-tokens, --merger-max-tokens) or the server's context."
        if cut_off
        else "Check that the server supports structured output, or use another model."
    )
    return f"{model} returned no usable {name} in {attempts} attempts; the last problem: {problem} {advice}"


def _in_place_of(message: ChatMessageAssistant, text: str) -> ChatMessageAssistant:
    return message.model_copy(update={"content": text, "tool_calls": None})


def _length(reply: ModelOutput) -> int:
    return reply.usage.output_tokens if reply.usage else len(reply.completion) // 4


@lru_cache(maxsize=32)
def _schema(output: type[BaseModel], name: str) -> ResponseSchema:
    return ResponseSchema(name=name, json_schema=json_schema(output))


def parse(text: str, output: type[T], check: Check[T] | None = None) -> tuple[T | None, list[str]]:
    """Validate a model's text: the parsed object and no problems, or nothing and what is wrong with it."""
    try:
        parsed = output.model_validate(decode(text))
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, e['loc'])) or 'the output'}: {e['msg']}" for e in error.errors()[:10]]
        return None, problems
    except ValueError as error:
        return None, [f"It is no JSON: {error}."]
    problems = check(parsed) if check else []
    return (None, problems) if problems else (parsed, [])
