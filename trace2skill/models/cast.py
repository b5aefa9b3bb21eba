"""Who plays which part: the models of a run, and how each is asked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from inspect_ai.model import GenerateConfig, Model, ModelConfig, get_model

from trace2skill.errors import PrerequisiteError, Trace2SkillError

ANALYST, MERGER = "analyst", "merger"
"""Inspect model roles of the engine's parts; without them the run's model plays both."""


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


def open_model(name: str, config: GenerateConfig, option: str) -> Model:
    """A model by name, as the user gave it to an option.

    Raises:
        Trace2SkillError: There is no such model, or its provider cannot start.
    """
    try:
        return get_model(name, config=config)
    except (ValueError, PrerequisiteError) as error:
        raise Trace2SkillError(f"{option} {name}: {_said(error)}") from error


def logged_model(logged: ModelConfig, config: GenerateConfig) -> Model:
    """The model that a log evaluated, with the settings that it was run with.

    Args:
        logged: The model as the log's header has it.
        config: Settings that differ, such as the seed.
    """
    try:
        return get_model(logged.model, config=logged.config.merge(config), base_url=logged.base_url, **logged.args)
    except (ValueError, PrerequisiteError) as error:
        raise Trace2SkillError(
            f"The logs name {logged.model}, which cannot be used here: {_said(error)} Choose another with --model."
        ) from error


def logged_roles(roles: Mapping[str, Sequence[ModelConfig]]) -> dict[str, Model]:
    """The models in the roles of a logged task, such as its grader, as the log's header has them."""
    # A role bound to several models is one that scorers read as a whole; the first stands for it.
    return {role: _role_model(configs[0]) for role, configs in roles.items()}


def _said(error: Exception) -> str:
    return str(error.message) if isinstance(error, PrerequisiteError) else str(error)


def _role_model(config: ModelConfig) -> Model:
    return get_model(config.model, config=config.config, base_url=config.base_url, **config.args)
