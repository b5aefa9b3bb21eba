"""What analysts and mergers of a run are given: the frozen skill, the prompts, and how they are sampled."""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TypeVar

from trace2skill.errors import ContextOverflowError
from trace2skill.models.sampling import Settings
from trace2skill.prompts import Prompts
from trace2skill.skill.folder import Skill

TRANSCRIPT_TOKENS = 16_000
"""Default budget of a transcript in a prompt."""

LEAST_TRANSCRIPT = 500
"""Tokens below which a transcript is not shortened further."""

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Asking:
    """What all parts of a run share: the skill, and how its models are asked."""

    skill: Skill
    """The frozen skill."""
    prompts: Prompts = field(default_factory=Prompts)
    settings: Settings = field(default_factory=Settings)
    """How each part is sampled and bounded."""
    transcript_tokens: int = TRANSCRIPT_TOKENS
    """Budget of a transcript in a prompt."""

    @property
    def digest(self) -> str:
        """Identifies these settings in a solver's arguments; how long an answer is waited for makes no other one."""
        times = {part: {"timeout", "attempt_timeout"} for part in Settings.model_fields}
        parts = [self.skill.digest, *self.prompts.digests().values(), self.settings.model_dump_json(exclude=times)]
        return sha256("\n".join([*parts, str(self.transcript_tokens)]).encode()).hexdigest()

    def budgets(self) -> Iterator[int]:
        """Budgets of a transcript to try, each half of the one before, until the prompt fits in the model's context."""
        budget = self.transcript_tokens
        yield budget
        while budget // 2 >= LEAST_TRANSCRIPT:
            budget //= 2
            yield budget

    async def fitted(self, ask: Callable[[int], Awaitable[T]]) -> T:
        """Ask with less and less of the transcript until the prompt fits in the model's context.

        Args:
            ask: Puts the question with a transcript of so many tokens.

        Raises:
            ContextOverflowError: Even the shortest is too long.
        """
        refused: ContextOverflowError | None = None
        for budget in self.budgets():
            try:
                return await ask(budget)
            except ContextOverflowError as error:
                refused = error
        assert refused is not None, "there is always a first budget"
        raise refused
