"""Profiles: how a model wants to be sampled, as an agent and for single calls, and how it is served."""

from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from inspect_ai.model import GenerateConfig
from pydantic import BaseModel, ConfigDict

from trace2skill.errors import Trace2SkillError
from trace2skill.foreign import MAX_YAML_BYTES, read, yaml_value
from trace2skill.models.serving import Serving

SECONDS = 600
"""Seconds that one attempt of a call may take, by default."""

ATTEMPTS = 3
"""A call may take so many times the time of one attempt, waiting between attempts included."""

TIMES = GenerateConfig(attempt_timeout=SECONDS, timeout=ATTEMPTS * SECONDS)
"""Bounds of a call in time alone, for agents that play again as they were logged."""

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
    analyst_tokens: int | None = None
    """Tokens of one answer of an analyst."""
    merger_tokens: int | None = None
    """Tokens of one answer of the merger."""


class ModelProfile(Profile):
    """How a model wants to be sampled and, where its profile says so, served."""

    serving: Serving | None = None
    """How it is served."""


def profiles_folder() -> Path:
    """Folder of the bundled profiles and of what they name."""
    return Path(str(_BUNDLED))


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
            timeout: Seconds after which a call that has not ended is given up and tried again, instead of the profile's
                `timeout`; in all it may take `ATTEMPTS` times as long.
        """
        profile = profile or Profile(source="", instruct=GenerateConfig(), thinking=GenerateConfig())
        default = cls()

        def part(base: GenerateConfig, sampled: GenerateConfig, *tokens: int | None) -> GenerateConfig:
            seconds = timeout or sampled.timeout or SECONDS
            said = GenerateConfig(
                temperature=temperature,
                max_tokens=next((limit for limit in tokens if limit), None),
                attempt_timeout=seconds,
                timeout=ATTEMPTS * seconds,
            )
            return base.merge(sampled).merge(said)

        analyst_tokens, merger_tokens = profile.analyst_tokens, profile.merger_tokens
        return cls(
            analyst=part(default.analyst, profile.instruct, analyst_max_tokens, analyst_tokens),
            single=part(default.single, profile.thinking, analyst_max_tokens, analyst_tokens),
            merger=part(default.merger, profile.thinking, merger_max_tokens, merger_tokens),
        )


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
    limits = profile.serving.limits if profile.serving else None
    return Profile(
        source=profile.source,
        instruct=profile.instruct,
        thinking=profile.thinking,
        analyst_tokens=profile.analyst_tokens or (limits.analyst.tokens if limits else None),
        merger_tokens=profile.merger_tokens or (limits.merger.tokens if limits else None),
    )


def load_model_profile(name: str, option: str = "--profile ") -> ModelProfile:
    """How a model is sampled and served: as `load_profile`.

    Raises:
        Trace2SkillError: There is none, or it cannot be read.
    """
    path = Path(name)
    if not (path.exists() if _is_own(path) else name in bundled_profiles()):
        raise Trace2SkillError(
            f"{option}{name}: no such profile. Name one of {', '.join(bundled_profiles())}, or a YAML file with "
            "`source`, `instruct` and `thinking`."
        )
    try:
        return ModelProfile.model_validate(_read(name))
    except (ValueError, TypeError, yaml.YAMLError) as error:
        raise Trace2SkillError(f"{option}{name} cannot be read: {error}") from error


def _is_own(path: Path) -> bool:
    """Whether a name is that of a user's file."""
    return path.suffix in (".yaml", ".yml")


def _read(name: str) -> Any:
    """A profile's content, laid over the bundled one that it extends."""
    path = Path(name)
    data = read(path, MAX_YAML_BYTES) if _is_own(path) else _BUNDLED.joinpath(f"{name}.yaml").read_bytes()
    content = yaml_value(data.decode("utf-8"), name)
    if isinstance(content, dict) and (below := content.pop(_EXTENDS, None)) is not None:
        if below not in bundled_profiles():
            raise ValueError(f"it extends '{below}', which is none of {', '.join(bundled_profiles())}")
        return _merged(_read(below), content)
    return content


def _merged(below: Any, above: Any) -> Any:
    if not (isinstance(below, dict) and isinstance(above, dict)):
        return above
    return below | {key: _merged(below.get(key), value) for key, value in above.items()}
