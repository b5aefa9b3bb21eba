"""Sampling profiles: how a model wants to be sampled, as an agent and for single calls."""

from importlib.resources import files
from pathlib import Path

import yaml
from inspect_ai.model import GenerateConfig
from pydantic import BaseModel, ConfigDict

from trace2skill.errors import Trace2SkillError
from trace2skill.foreign import MAX_YAML_BYTES, read, yaml_value

SECONDS = 600
"""Seconds that one attempt of a call may take, by default."""

ATTEMPTS = 3
"""A call may take so many times the time of one attempt, waiting between attempts included."""

TIMES = GenerateConfig(attempt_timeout=SECONDS, timeout=ATTEMPTS * SECONDS)
"""Bounds of a call in time alone, for agents that play again as they were logged."""

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


class Settings(BaseModel):
    """How each of the engine's parts is sampled and bounded. Nothing of it comes from the logged agent."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    analyst: GenerateConfig = GenerateConfig(max_tokens=8_192)
    """The error analyst's turns with tools."""
    single: GenerateConfig = GenerateConfig(max_tokens=16_384)
    """Analyses in one call, and the edits after them."""
    merger: GenerateConfig = GenerateConfig(max_tokens=32_768)
    """Merges, whose answers hold the edits of a whole batch."""

    @classmethod
    def of(
        cls,
        profile: Profile | None = None,
        *,
        analyst_max_tokens: int | None = None,
        merger_max_tokens: int | None = None,
        temperature: float | None = None,
        timeout: int | None = None,
    ) -> "Settings":
        """The defaults, on top of them a profile, and on top of that what the user said.

        Args:
            profile: How the model wants to be sampled.
            analyst_max_tokens: Tokens of one generation of an analyst, with tools or without.
            merger_max_tokens: Tokens of one merge.
            temperature: Of all parts.
            timeout: Seconds after which a call that has not ended is given up and tried again; in all it may take
                `ATTEMPTS` times as long.
        """
        bounds = GenerateConfig(attempt_timeout=timeout or SECONDS, timeout=ATTEMPTS * (timeout or SECONDS))
        said = GenerateConfig(temperature=temperature)
        profile = profile or Profile(source="", instruct=GenerateConfig(), thinking=GenerateConfig())
        parts = {
            "analyst": (profile.instruct, analyst_max_tokens),
            "single": (profile.thinking, analyst_max_tokens),
            "merger": (profile.thinking, merger_max_tokens),
        }
        default = cls()
        return cls(
            **{
                part: getattr(default, part)
                .merge(bounds)
                .merge(sampled)
                .merge(said)
                .merge(GenerateConfig(max_tokens=tokens))
                for part, (sampled, tokens) in parts.items()
            }
        )


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
