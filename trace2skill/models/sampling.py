"""Profiles: how a model wants to be sampled, as an agent and for single calls, and how it is served."""

from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from inspect_ai.model import GenerateConfig
from pydantic import BaseModel, ConfigDict, ValidationError

from trace2skill.errors import Trace2SkillError
from trace2skill.models.serving import Serving

_BUNDLED = files("trace2skill.models").joinpath("profiles")
_EXTENDS = "extends"


class Profile(BaseModel):
    """How a model wants to be sampled."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str
    """Where the values come from."""
    instruct: GenerateConfig
    """For agents: many short turns."""
    thinking: GenerateConfig
    """For single calls: success analysis, merging."""


class ModelProfile(Profile):
    """How a model wants to be sampled and, where its profile says so, served."""

    serving: Serving | None = None
    """How it is served."""


def profiles_folder() -> Path:
    """Folder of the bundled profiles and of what they name."""
    return Path(str(_BUNDLED))


def bundled_profiles() -> list[str]:
    """Names of the profiles that come with this package."""
    return sorted(path.name.removesuffix(".yaml") for path in _BUNDLED.iterdir() if path.name.endswith(".yaml"))


def load_profile(name: str, option: str = "--profile ") -> Profile:
    """How a model is sampled, by a bundled profile's name or by the path of the user's own.

    Args:
        name: Name, or path of a YAML file.
        option: What the user gave it to, for messages.

    Raises:
        Trace2SkillError: There is none, or it cannot be read.
    """
    profile = load_model_profile(name, option)
    return Profile(source=profile.source, instruct=profile.instruct, thinking=profile.thinking)


def load_model_profile(name: str, option: str = "--profile ") -> ModelProfile:
    """How a model is sampled and served: as `load_profile`.

    Raises:
        Trace2SkillError: There is none, or it cannot be read.
    """
    try:
        return ModelProfile.model_validate(_read(name))
    except FileNotFoundError as error:
        raise Trace2SkillError(
            f"{option}{name}: no such profile. Name one of {', '.join(bundled_profiles())}, or a YAML file with "
            "`source`, `instruct` and `thinking`."
        ) from error
    except (OSError, UnicodeDecodeError, RecursionError, yaml.YAMLError, TypeError, ValidationError) as error:
        raise Trace2SkillError(f"{option}{name} cannot be read: {error}") from error


def _read(name: str) -> Any:
    """A profile's content, laid over the one that it extends."""
    path = Path(name)
    source = path if path.suffix in (".yaml", ".yml") else _BUNDLED.joinpath(f"{name}.yaml")
    content = yaml.safe_load(source.read_text(encoding="utf-8"))
    if isinstance(content, dict) and _EXTENDS in content:
        return _merged(_read(str(content.pop(_EXTENDS))), content)
    return content


def _merged(below: Any, above: Any) -> Any:
    if not (isinstance(below, dict) and isinstance(above, dict)):
        return above
    return below | {key: _merged(below.get(key), value) for key, value in above.items()}
