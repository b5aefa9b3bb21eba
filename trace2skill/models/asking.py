"""What analysts and mergers of a run are given: the frozen skill, the prompts, and how they are sampled."""

from dataclasses import dataclass, field
from hashlib import sha256

from inspect_ai.model import GenerateConfig

from trace2skill.prompts import Prompts
from trace2skill.skill.folder import Skill

TRANSCRIPT_TOKENS = 16_000
"""Default budget of a transcript in a prompt."""


@dataclass(frozen=True, kw_only=True)
class Asking:
    """What all parts of a run share: the skill, and how its models are asked."""

    skill: Skill
    """The frozen skill."""
    prompts: Prompts = field(default_factory=Prompts)
    thinking: GenerateConfig = field(default_factory=GenerateConfig)
    """How single calls are sampled."""
    transcript_tokens: int = TRANSCRIPT_TOKENS
    """Budget of a transcript in a prompt."""

    @property
    def digest(self) -> str:
        """Identifies these settings in a solver's arguments."""
        parts = [self.skill.digest, *self.prompts.digests().values(), self.thinking.model_dump_json()]
        return sha256("\n".join([*parts, str(self.transcript_tokens)]).encode()).hexdigest()
