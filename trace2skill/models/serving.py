"""How a model is served: which weights fit on which GPUs, with which arguments, and why."""

import shlex
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


def _shell(text: str) -> str:
    try:
        shlex.split(_text(text))
    except ValueError as error:
        raise ValueError(f"no shell reads {text!r}: {error}") from error
    return text


def _word(text: str) -> str:
    if _text(text).split() != [text] or text.startswith("-"):
        raise ValueError(f"{text!r} is no name: a name has no spaces, begins with no dash, and is not empty")
    return text


def _variable(text: str) -> str:
    if not (text.isascii() and text.isidentifier()):
        raise ValueError(f"{text!r} is no name of an environment variable: letters, digits and _")
    return text


def _text(text: str) -> str:
    if "\0" in text:
        raise ValueError(f"{text!r} holds a null character")
    return text


Shell = Annotated[str, AfterValidator(_shell)]
"""Words as in a shell."""
Word = Annotated[str, AfterValidator(_word)]
"""One argument of a command, and no option."""


class Reasoned(BaseModel):
    """Base of whatever a profile says about serving: nothing is said without its reason."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    why: str
    """The reason."""
    source: str
    """Where it comes from; `chosen` and `computed` values say that they were."""


class Argument(Reasoned):
    """Arguments of `vllm serve` that belong together."""

    flags: Shell
    """As in a shell. `{profiles}` is the folder of the bundled profiles."""
    file: str | None = None
    """A file that they name, which must lie in the working folder; `source` says where it is had."""

    def split(self) -> list[str]:
        """The single words."""
        return shlex.split(self.flags)


class Layout(Reasoned):
    """One way to spread weights over GPUs."""

    gpus: int = Field(ge=0)
    """How many are used; 0 is the CPU."""
    memory: float = Field(ge=0)
    """Gigabytes that each of them has at least, as on its data sheet."""
    context: int | None = Field(default=None, gt=0)
    """Tokens of prompt and answer together, where they are fewer than the profile's."""
    flags: Shell = ""
    """Arguments of `vllm serve`, as in a shell."""

    def __str__(self) -> str:
        return f"{self.gpus} x {self.memory:g} GB" if self.gpus else "the CPU"


class Weights(Reasoned):
    """One form in which a model's weights are published."""

    name: Literal["bf16", "fp8", "int4"]
    """Its precision."""
    hub: Word
    """Repository on the Hugging Face hub."""
    revision: Word = "main"
    """Branch, tag or commit. `main` is not pinned: no hub was reachable when the profiles were written."""
    disk: float = Field(ge=0)
    """Gigabytes of the weights on disk."""
    layouts: tuple[Layout, ...] = Field(min_length=1)
    """Where they fit."""


class Abilities(BaseModel):
    """What a model can do, and so what is probed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tools: bool = True
    """It calls tools when it is free to."""
    images: bool = False
    """It reads images."""
    thinking: bool = False
    """It has a thinking mode, which the chat template's `enable_thinking` switches."""


class Limit(Reasoned):
    """A limit in tokens."""

    tokens: int = Field(gt=0)
    """The limit."""


class Limits(BaseModel):
    """Limits of a model's parts, in tokens. Their timeouts are those of the sampling modes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    context: Limit
    """Prompt and answer together: `--max-model-len`."""
    agent: Limit
    """One turn of an agent."""
    analyst: Limit
    """One turn of an analyst."""
    merger: Limit
    """One merge."""


class Serving(BaseModel):
    """How a model is served."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    abilities: Abilities = Abilities()
    """What it can do."""
    limits: Limits
    """Limits of its parts."""
    arguments: tuple[Argument, ...]
    """Arguments of `vllm serve` wherever it runs."""
    text_only: Argument | None = None
    """Arguments that leave out what reads images."""
    environment: dict[Annotated[str, AfterValidator(_variable)], Annotated[str, AfterValidator(_text)]] = Field(
        default_factory=dict
    )
    """Environment variables of the server."""
    weights: tuple[Weights, ...] = ()
    """Published forms of the weights, the preferred first; none in a profile of a whole family."""

    @property
    def contexts(self) -> Mapping[str, int]:
        """Tokens that a server takes at least, by the name of the weights that it serves."""
        whole = self.limits.context.tokens
        return {form.hub: min(layout.context or whole for layout in form.layouts) for form in self.weights}
