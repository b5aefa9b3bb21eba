"""Structured output: decode under a schema, validate, and let the model repair what is wrong."""

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TypeVar

from inspect_ai.model import ChatMessage, ChatMessageUser, GenerateConfig, Model, ResponseSchema
from inspect_ai.util import json_schema
from pydantic import BaseModel, ConfigDict, ValidationError

from trace2skill.errors import ModelOutputError

MAX_REPAIRS = 3
"""Rounds in which the model sees what was wrong with its output and may correct it."""

T = TypeVar("T", bound=BaseModel)

REPAIR = """\
That output cannot be used:
{problems}

Return the whole corrected JSON object, nothing else."""

_FENCED = re.compile(r"^\s*```(?:json)?\s*\n(.*)\n\s*```\s*$", re.DOTALL)


class Output(BaseModel):
    """Base of all structured outputs."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Check = Callable[[T], list[str]]
"""Further requirements on an output: one sentence per problem."""


async def generate_structured(
    model: Model,
    messages: Sequence[ChatMessage],
    output: type[T],
    name: str,
    check: Check[T] | None = None,
    *,
    advise: Check[T] | None = None,
    config: GenerateConfig | None = None,
) -> tuple[T, list[ChatMessage]]:
    """One structured generation with at most `MAX_REPAIRS` repair rounds.

    Servers that support it (vLLM among them) decode under the schema; the result is validated in any case.

    Args:
        model: The model to ask.
        messages: The conversation so far; it is not changed.
        output: The pydantic model that the output must satisfy.
        name: Name of the schema, as the server and the log show it.
        check: What the output must satisfy besides.
        advise: What it had better satisfy: the model is told once, and its output is used in any case.
        config: How to sample.

    Returns:
        The validated output, and the conversation including it.

    Raises:
        ModelOutputError: The output was still unusable after the last repair round.
    """
    conversation = list(messages)
    asked = (config or GenerateConfig()).merge(GenerateConfig(response_schema=_schema(output, name)))
    usable: tuple[T, list[ChatMessage]] | None = None
    problems: list[str] = []
    for _ in range(1 + MAX_REPAIRS):
        reply = await model.generate(conversation, config=asked)
        conversation.append(reply.message)
        parsed, problems = parse(reply.completion, output, check)
        if parsed is not None:
            advice = advise(parsed) if advise and usable is None else []
            if not advice:
                return parsed, conversation
            usable, problems = (parsed, list(conversation)), advice
        listed = "\n".join(f"- {problem}" for problem in problems)
        conversation.append(ChatMessageUser(content=REPAIR.format(problems=listed)))
    if usable:
        return usable
    raise ModelOutputError(
        f"{model} returned no usable {name} in {1 + MAX_REPAIRS} attempts; the last problem: {problems[0]} "
        "Check that the server supports structured output, or use another model."
    )


@lru_cache(maxsize=32)
def _schema(output: type[BaseModel], name: str) -> ResponseSchema:
    return ResponseSchema(name=name, json_schema=json_schema(output))


def parse(text: str, output: type[T], check: Check[T] | None = None) -> tuple[T | None, list[str]]:
    """Validate a model's text: the parsed object and no problems, or nothing and what is wrong with it."""
    fenced = _FENCED.match(text)
    try:
        parsed = output.model_validate_json(fenced.group(1) if fenced else text)
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, e['loc'])) or 'the output'}: {e['msg']}" for e in error.errors()[:10]]
        return None, problems
    problems = check(parsed) if check else []
    return (None, problems) if problems else (parsed, [])
