"""What an analyst is shown and what it submits, kept on the host.

Every verdict passes `Submission.show`, which keeps its words and takes the values out of what the analyst reads.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from inspect_ai.tool import ToolCall
from pydantic import ValidationError

from trace2skill.analysis.judging import Verdict
from trace2skill.analysis.leaks import Guarded, leaked, reference_values
from trace2skill.analysis.redaction import redact, without_kinds
from trace2skill.analysis.reports import MAX_LESSONS, ErrorReport, Lesson
from trace2skill.models.backslashes import restore
from trace2skill.models.structured import Reading

SHOWN_CHARACTERS = 1_500
"""Cap of a verdict, or of a script's output, as shown to an analyst."""

READ_CHARACTERS = 20 * SHOWN_CHARACTERS
"""Cap of a verdict before its values are taken out."""


@dataclass(kw_only=True)
class Submission:
    """One analyst's checks and what it submitted; its tools fill it in."""

    targets: tuple[str, ...] = ()
    """The sample's targets."""
    known: tuple[str, ...] = ()
    """Texts that the agent could read or wrote itself: the task, its inputs, the attempt."""
    names: frozenset[str] = frozenset()
    """Paths of everything that lay in the working directory at the start."""
    verdicts: list[tuple[str, str]] = field(default_factory=list)
    """What the scorer said in each verdict that was shown, before redaction, and the text that it said it of: what an
    analyst wrote itself it did not learn from the verdict."""
    checks: int = 0
    """Checks so far."""
    answers: int = 0
    """How many of them were of an answer, given or printed."""
    failures: Counter[str] = field(default_factory=Counter)
    """How often fixes failed with a verdict, whatever the kinds of its values."""
    submitted: bool = False
    """Whether the analyst has ended its analysis itself."""
    script: str = ""
    """Path of the fix."""
    source: str = ""
    """Text of the fix, or the whole final message where a fix is an answer."""
    causes: list[str] = field(default_factory=list)
    lessons: list[Lesson] = field(default_factory=list)
    left_out: tuple[str, ...] = ()
    """For each row of `lessons` that was none, why."""

    def readable(self, call: ToolCall) -> ToolCall:
        """A call that ends the analysis, without lessons that are none: for one of them Inspect would refuse it."""
        reading = Reading(raw=True)
        try:
            told = ErrorReport.model_validate(call.arguments, context=reading)
        except ValidationError:
            return call
        if reading.left_out and not told.lessons:
            return call
        self.left_out = tuple(reading.left_out)
        return replace(call, arguments={**call.arguments, **told.model_dump()})

    def close(self, causes: Sequence[str], lessons: Sequence[Lesson]) -> None:
        """Take what ends the analysis."""
        self.submitted = True
        self.causes = [restore(cause) for cause in causes]
        self.lessons = list(lessons)

    def show(self, verdict: Verdict, *, bare: bool = False, own: str = "") -> str:
        """A verdict as the analyst sees it: capped and without values, or nothing but PASSED or FAILED.

        Args:
            verdict: The verdict.
            bare: Whether to leave out what the scorer said.
            own: The fix or answer that was judged.
        """
        self.verdicts.append((verdict.explanation, own))
        outcome = "PASSED" if verdict.passed else "FAILED"
        if bare:
            return outcome
        read = verdict.explanation[:READ_CHARACTERS]
        return f"{outcome}\n{redact(read, self.targets, self.known)[:SHOWN_CHARACTERS]}".strip()

    def show_check(self, verdict: Verdict, *, own: str, is_answer: bool) -> str:
        """The verdict of a check, counted; of an answer it is bare."""
        self.checks += 1
        self.answers += is_answer
        shown = self.show(verdict, bare=is_answer, own=own)
        if not verdict.passed and not is_answer:
            self.failures[without_kinds(shown)] += 1
        return shown

    @property
    def same_failures(self) -> int:
        """How often fixes failed with the same verdict, for the most frequent one."""
        return max(self.failures.values(), default=0)

    def reference_values(self) -> frozenset[str]:
        """Values that the verdicts and targets hold and nothing that the agent could read."""
        told = [("\n".join(f"'{target}' {target}" for target in self.targets), ""), *self.verdicts]
        return frozenset().union(*(reference_values(text, [*self.known, own]) for text, own in told))


def sift(
    lessons: Sequence[Lesson], guarded: Guarded, left_out: Sequence[str] = ()
) -> tuple[list[Lesson], tuple[str, ...]]:
    """The lessons that may be used, and for each of the others which it is and why.

    Args:
        lessons: The lessons of an analysis.
        guarded: What the leak guard looks for.
        left_out: Why further rows are no lessons.
    """
    usable: list[Lesson] = []
    stopped: list[str] = []
    for lesson in lessons:
        reason = leaked(f"{lesson.title}\n\n{lesson.description}\n\n{lesson.content}", guarded)
        if reason:
            stopped.append(f"'{lesson.title}' {reason}")
        elif len(usable) == MAX_LESSONS:
            stopped.append(f"'{lesson.title}' is one too many: there may be {MAX_LESSONS}")
        else:
            usable.append(lesson)
    return usable, (*stopped, *left_out)
