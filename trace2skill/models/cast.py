"""Who plays which part: the models of a run, and how each is asked."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from inspect_ai.model import GenerateConfig, Model, ModelConfig, get_model

from trace2skill.errors import PrerequisiteError, Trace2SkillError
from trace2skill.text import unmarked

ANALYST, MERGER = "analyst", "merger"
"""Inspect model roles of the engine's parts; without them the run's model plays both."""


SAMPLING = frozenset(
    {
        "best_of",
        "effort",
        "frequency_penalty",
        "logit_bias",
        "max_tokens",
        "parallel_tool_calls",
        "presence_penalty",
        "reasoning_effort",
        "reasoning_tokens",
        "seed",
        "stop_seqs",
        "temperature",
        "top_k",
        "top_p",
        "verbosity",
    }
)
"""Settings of generation that are taken from a log where its agent plays again, in replays and in a selection: those
that say how text is drawn, and nothing else. Analysts and mergers take none."""


@dataclass(frozen=True, kw_only=True)
class Provider:
    """What the user has said of a model's provider."""

    base_url: str | None = None
    """Address; by default the provider's own, or that of its environment variable."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of the provider."""


DEFAULTS = Provider()


@dataclass(frozen=True, kw_only=True)
class Cast:
    """The models of a run."""

    main: Model
    """Plays every part that has no model of its own."""
    roles: Mapping[str, Model] = field(default_factory=dict)
    """Models of single parts, those of the logged task's own roles among them."""

    def names(self) -> dict[str, str]:
        """Name of each part's model; the run's model stands under `model`."""
        return {"model": str(self.main), **{role: str(model) for role, model in sorted(self.roles.items())}}


def open_model(name: str, config: GenerateConfig, option: str, provider: Provider = DEFAULTS) -> Model:
    """A model by name, as the user gave it to an option.

    Raises:
        Trace2SkillError: There is no such model, or its provider cannot start.
    """
    try:
        return get_model(name, config=config, base_url=provider.base_url, **provider.arguments)
    except (ValueError, PrerequisiteError) as error:
        raise Trace2SkillError(f"{option} {name}: {_said(error)}") from error


def logged_model(logged: ModelConfig, config: GenerateConfig, provider: Provider = DEFAULTS) -> Model:
    """The model that a log evaluated: by its name, on the user's own endpoint, sampled as it was.

    Address, arguments of the provider, headers and the like never come from a log.

    Args:
        logged: The model as the log's header has it.
        config: Settings that differ, such as the seed.
        provider: What the user has said of the model's provider.

    Raises:
        Trace2SkillError: The name is a path, or the model cannot be used here.
    """
    _, _, name = logged.model.partition("/")
    if name.startswith(("/", ".", "~")) or (Path(name) / "config.json").exists():
        raise Trace2SkillError(
            f"The logs name the model {logged.model}, which is a path on this machine. If you trust what lies there, "
            f"say so with --model {logged.model}."
        )
    sampling = GenerateConfig(**logged.config.model_dump(include=set(SAMPLING), exclude_none=True))
    try:
        return get_model(logged.model, config=sampling.merge(config), base_url=provider.base_url, **provider.arguments)
    except (ValueError, PrerequisiteError) as error:
        raise Trace2SkillError(
            f"The logs name {logged.model}, which cannot be used here: {_said(error)} Choose another with --model."
        ) from error


def _said(error: Exception) -> str:
    return unmarked(error.message) if isinstance(error, PrerequisiteError) else str(error)
