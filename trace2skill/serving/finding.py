"""What a check found."""

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "failed", "skipped"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What a check found."""

    name: str
    """What was checked."""
    state: State
    """How it came out."""
    said: str
    """What was seen."""
    fix: str = ""
    """What to do about it."""
    needed: bool = True
    """Whether a run goes wrong without it."""

    @property
    def fatal(self) -> bool:
        """Whether something needed failed."""
        return self.state == "failed" and self.needed


class ProbeError(Exception):
    """A check cannot be passed: what was seen, what to do about it, and whether a run survives it all the same."""

    def __init__(self, said: str, fix: str = "", *, survivable: bool = False) -> None:
        super().__init__(said, fix)
        self.said, self.fix, self.survivable = said, fix, survivable
