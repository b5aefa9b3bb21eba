"""What analysts return: the schemas their output is decoded under and validated against."""

from typing import Annotated

from pydantic import Field

from trace2skill.edits.proposed import ProposedEdit
from trace2skill.models.structured import Output

MAX_LESSONS = 3
"""Lessons per trajectory (paper, section 3.2)."""


class Lesson(Output):
    """One generalisable lesson drawn from a trajectory."""

    title: str = Field(min_length=1, description="A few words that name the lesson.")
    description: str = Field(min_length=1, description="One sentence: when the lesson applies.")
    content: str = Field(min_length=1, description="One to three sentences: what to do, and why.")


Lessons = Annotated[list[Lesson], Field(max_length=MAX_LESSONS)]


class SuccessReport(Output):
    """What the success analyst returns."""

    solution_path: str = Field(description="The steps that led to success, without detours.")
    lessons: Lessons = Field(description="Habits that made the difference and carry over to other tasks; may be empty.")


class ErrorReport(Output):
    """What the error analysis in a single call returns."""

    causes: list[str] = Field(description="What made the run fail, most important first.")
    lessons: Lessons = Field(description="Habits that would have prevented the failure; may be empty.")


class ProposedPatch(Output):
    """What an analyst returns in its last turn: its lessons as edits of the frozen skill."""

    reasoning: str = Field(default="", description="How the lessons map to the edits.")
    edits: list[ProposedEdit] = Field(description="A few small edits; empty if the skill already says it all.")
    changelog: list[str] = Field(default_factory=list, description="One line per change.")
