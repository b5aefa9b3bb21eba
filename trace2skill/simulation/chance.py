"""Random decisions of the stand-in model: uniform numbers hashed from seed, scale, role, case and what is decided.

There is no generator with a state, so a decision depends neither on the order nor on the time of the calls: a resumed
run repeats it, and two conditions that compare the same number with different probabilities share their luck (common
random numbers). Nor does it depend on any text that happens to stand in a prompt: another machine repeats it as well.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Dice:
    """Source of the decisions of one actor about one case.

    Attributes:
        seed: Seed of the model, and that of the call.
        scale: Name of the model's scale.
        role: What the actor is.
        case: Key of what it works on: a task, or the ids of the edits of a merge.
    """

    seed: str
    scale: str
    role: str
    case: str

    def uniform(self, *what: object) -> float:
        """The number in [0, 1) that belongs to one decision."""
        text = "\x1f".join([self.seed, self.scale, self.role, self.case, *map(str, what)])
        return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) / 2**64

    def happens(self, probability: float, *what: object) -> bool:
        """Whether an event of this probability happens."""
        return self.uniform(*what) < probability

    def pick(self, options: Sequence[T], *what: object) -> T:
        """One of the options, each as likely as the others."""
        return options[int(self.uniform(*what) * len(options))]

    def order(self, options: Sequence[T], *what: object) -> list[T]:
        """The options in random order."""
        return sorted(options, key=lambda option: self.uniform(*what, option))


def digest(text: str) -> str:
    """A short key that stands for a text."""
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
