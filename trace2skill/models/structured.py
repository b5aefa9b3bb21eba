"""Structured output: decode under a schema, validate, and let the model repair what is wrong."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Annotated, Any, TypeVar

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
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

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


@dataclass
class Reading:
    """What validation passes over in an output. As its context, it is filled."""

    left_out: list[str] = field(default_factory=list)
    """For each row of `Rows` that cannot be used, why."""
    ignored: list[str] = field(default_factory=list)
    """Keys that nobody asked for."""
    raw: bool = False
    """Whether strings stay as they came, to be `restored` later."""


class Output(BaseModel):
    """Base of all structured outputs, those that come as arguments of tool calls among them.

    The schema allows no further keys and no null; where an output has them, it is read as if they were not there.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    _left_out: tuple[str, ...] = PrivateAttr(default=())

    @property
    def left_out(self) -> tuple[str, ...]:
        """For each row that could not be used, why."""
        return self._left_out

    @model_validator(mode="before")
    @classmethod
    def _as_meant(cls, value: Any, info: ValidationInfo) -> Any:
        if not isinstance(value, dict):
            return value
        reading = info.context if isinstance(info.context, Reading) else Reading()
        unknown = sorted(str(key) for key in value if key not in cls.model_fields)
        reading.ignored += [f"There is no key {key!r}: it is ignored." for key in unknown]
        read = value if reading.raw else restored(value)
        return {key: each for key, each in read.items() if key in cls.model_fields and each is not None}


def _usable(rows: Any, validate: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
    if not isinstance(rows, list):
        return validate(rows)
    usable: list[Any] = []
    for number, row in enumerate(rows):
        try:
            usable += validate([row])
        except ValidationError as error:
            if isinstance(info.context, Reading):
                info.context.left_out.append("; ".join(_problems(error, info.field_name, number)))
    return usable


def _texts(rows: Any) -> Any:
    if not isinstance(rows, list):
        return rows
    return list(dict.fromkeys(row.strip() for row in rows if isinstance(row, str) and row.strip()))


Row = TypeVar("Row")
Rows = Annotated[list[Row], WrapValidator(_usable)]
"""A list in which a row that cannot be used is no reason to lose the others.

Inspect does not send lengths of lists and strings to all servers, so weak models leave them empty.
"""
Texts = Annotated[list[str], BeforeValidator(_texts)]
"""A list of strings, each once: without padding, blanks, and what is no string."""


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
    whose correction no longer fits in the context. Of rows that cannot be used, the model is told once, and the others
    are used in any case; a correction that has fewer than these is none.

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
    right = 0
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
            if usable is not None:
                return parsed if _count(parsed) >= right else usable
            advice = advise(parsed) if advise else []
            problems += advice
            if not problems:
                return parsed
            usable, right = parsed, _count(parsed) - len(advice)
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
    """Validate a model's text.

    Args:
        text: The text.
        output: What it must be.
        check: What it must satisfy besides.

    Returns:
        The parsed object, or nothing where it is of no use; and what is wrong with it.
    """
    reading = Reading()
    try:
        parsed = output.model_validate(decode(text), context=reading)
    except ValidationError as error:
        return None, _problems(error)[:10]
    except ValueError as error:
        return None, [f"It is no JSON: {error}."]
    if isinstance(parsed, Output):
        parsed._left_out = tuple(reading.left_out)
    passed_over = [*reading.left_out, *reading.ignored][:10]
    problems = check(parsed) if check else []
    unusable = problems or (reading.left_out and not _count(parsed))
    return None if unusable else parsed, [*problems, *passed_over]


def _problems(error: ValidationError, *place: str | int | None) -> list[str]:
    """What is wrong, each with its place; that of a row begins with `place` instead of its place in a list of one."""
    found = [([*place, *each["loc"][1:]] if place else each["loc"], each["msg"]) for each in error.errors()]
    return [f"{'.'.join(map(str, loc)) or 'the output'}: {message}" for loc, message in found]


def _count(output: BaseModel) -> int:
    """The rows of an output that are objects."""
    return sum(isinstance(row, Output) for _, rows in output if isinstance(rows, list) for row in rows)
