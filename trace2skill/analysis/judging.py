"""The task's own scorers as judges of what an analyst tries."""

from dataclasses import dataclass
from typing import NamedTuple

from inspect_ai.scorer import score
from inspect_ai.solver import TaskState

from trace2skill.logs.outcome import Scores, SuccessRule


class Verdict(NamedTuple):
    """What the scorers make of a run."""

    passed: bool
    explanation: str


@dataclass(frozen=True, kw_only=True)
class Judging:
    """How a task decides what success is."""

    rule: SuccessRule
    scorers: tuple[str, ...]
    """Names of the task's scorers, in their order."""

    async def judge(self, state: TaskState) -> Verdict:
        """Let the task's scorers judge the sandbox and the final message as they are now."""
        return self.of(dict(zip(self.scorers, await score(state), strict=True)))

    def of(self, scores: Scores) -> Verdict:
        """The verdict in some scores."""
        return Verdict(self.rule.passed(scores), self.rule.explanation(scores))
