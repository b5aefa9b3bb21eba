"""Sampling profiles: how a model wants to be sampled, as an agent and for single calls."""

from importlib.resources import files
from pathlib import Path

import yaml
from inspect_ai.model import GenerateConfig
from pydantic import BaseModel, ConfigDict

from trace2skill.errors import Trace2SkillError
from trace2skill.foreign import MAX_YAML_BYTES, read, yaml_value

_BUNDLED = files("trace2skill.models").joinpath("profiles")


class Profile(BaseModel):
    """How a model wants to be sampled."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str
    """Where the values come from."""
    instruct: GenerateConfig
    """For agents: many short turns."""
    thinking: GenerateConfig
    """For single calls: success analysis, merging."""


def bundled_profiles() -> list[str]:
    """Names of the profiles that come with this package."""
    return sorted(path.name.removesuffix(".yaml") for path in _BUNDLED.iterdir())


def load_profile(name: str) -> Profile:
    """A bundled profile by name, or one of the user's own by path.

    Raises:
        Trace2SkillError: There is none, or it cannot be read.
    """
    path = Path(name)
    own = path.suffix in (".yaml", ".yml")
    if not (path.exists() if own else name in bundled_profiles()):
        raise Trace2SkillError(
            f"--profile {name}: no such profile. Name one of {', '.join(bundled_profiles())}, or a YAML file with "
            "`source`, `instruct` and `thinking`."
        )
    try:
        data = read(path, MAX_YAML_BYTES) if own else _BUNDLED.joinpath(f"{name}.yaml").read_bytes()
        return Profile.model_validate(yaml_value(data.decode("utf-8"), name))
    except (ValueError, yaml.YAMLError) as error:
        raise Trace2SkillError(f"--profile {name} cannot be read: {error}") from error
