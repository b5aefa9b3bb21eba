"""What may be asked of a comparison."""

from dataclasses import dataclass
from typing import TypedDict

from trace2skill.comparison.arms import Logs
from trace2skill.errors import LogError

NO_CLUSTERS = "none"
"""Asks for samples that count as independent, whatever the task declares."""


class Asked(TypedDict, total=False):
    """The options as keywords; `Options` explains them."""

    scorer: str | None
    key: str | None
    cluster: str | None
    allow_different_tasks: bool
    allow_in_sample: bool
    unseen_only: bool
    allow_same_logs: bool
    several_models: bool
    several_skills: bool
    margin: float | None
    aa: Logs | None
    anytime: bool
    family: int
    seed: int


@dataclass(frozen=True, kw_only=True)
class Options:
    """What may be asked of a comparison."""

    scorer: str | None = None
    """The scorer to compare by; needed if the logs have several."""
    key: str | None = None
    """Which of the scorer's values to compare; needed if it gives a dictionary."""
    cluster: str | None = None
    """Sample metadata field that groups dependent samples, such as questions on one table; by default the one that the
    task declares. `none` for samples that count as independent."""
    allow_different_tasks: bool = False
    """Compare although task, version or dataset names differ."""
    allow_in_sample: bool = False
    """Compare, with a stamp, although a skill or memory has seen the samples."""
    unseen_only: bool = False
    """Leave out samples that a skill or memory of either arm has seen, and others on a page or table that it has."""
    allow_same_logs: bool = False
    """Compare although arms share runs, or a log is there twice."""
    several_models: bool = False
    """Take the logs of several models as one arm."""
    several_skills: bool = False
    """Take the logs of several skills as one arm: skills that one method made, of which each is one draw."""
    margin: float | None = None
    """What counts as a relevant difference; then non-inferiority and equivalence are tested as well."""
    aa: Logs | None = None
    """Logs of further runs of the baseline. The noise between its runs, its own epochs and seeds among them, is shown
    beside each difference."""
    anytime: bool = False
    """Also test for one who looks several times."""
    family: int = 1
    """Comparisons, these among them, for which the intervals hold together; by default those of this call."""
    seed: int = 0
    """Seed of the statistics."""

    def check(self) -> None:
        """Refuse what cannot be meant.

        Raises:
            LogError: The margin is no positive number, the seed a negative one, or what was seen is to be kept and left
                out.
        """
        if self.allow_in_sample and self.unseen_only:
            raise LogError("--allow-in-sample keeps the samples that a skill has seen, --unseen-only leaves them out.")
        if self.seed < 0:
            raise LogError(f"--seed is a number from 0; got {self.seed}.")
        if self.margin is not None and not 0 < self.margin < float("inf"):
            raise LogError(f"--margin is the smallest difference that matters, such as 0.05; got {self.margin}.")
