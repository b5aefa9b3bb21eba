"""What analysts return: the schemas their output is decoded under, and the record of an analysis."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from trace2skill.edits.patch import Patch
from trace2skill.edits.proposed import ProposedEdit
from trace2skill.models.structured import Output, Rows, Texts

Analyst = Literal["error", "success", "error-llm"]

MAX_LESSONS = 3
"""Lessons per trajectory (paper, section 3.2)."""


class Lesson(Output):
    """One generalisable lesson drawn from a trajectory."""

    model_config = ConfigDict(str_strip_whitespace=True)

    title: str = Field(min_length=1, description="A few words that name the lesson.")
    description: str = Field(min_length=1, description="One sentence: when the lesson applies.")
    content: str = Field(min_length=1, description="One to three sentences: what to do, and why.")


class SuccessReport(Output):
    """What the success analyst returns."""

    solution_path: str = Field(description="The steps that led to success, without detours.")
    lessons: Rows[Lesson] = Field(
        description="Habits that made the difference and carry over to other tasks; may be empty."
    )


class ErrorReport(Output):
    """What the error analysis in a single call returns."""

    causes: Texts = Field(description="What made the run fail, most important first.")
    lessons: Rows[Lesson] = Field(description="Habits that would have prevented the failure; may be empty.")


class ProposedPatch(Output):
    """What an analyst returns in its last turn: its lessons as edits of the frozen skill."""

    reasoning: str = Field(default="", description="How the lessons map to the edits.")
    edits: Rows[ProposedEdit] = Field(description="A few small edits; empty if the skill already says it all.")
    changelog: Texts = Field(default_factory=list, description="One line per change.")


class Analysis(BaseModel):
    """What one analyst made of one trajectory."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    trajectory: str
    """Id of the trajectory."""
    analyst: Analyst
    """Which analyst wrote it."""
    causes: tuple[str, ...] = ()
    """Causes of the failure, or the solution path of a success."""
    lessons: tuple[Lesson, ...] = ()
    """The lessons that the patch expresses."""
    lessons_stopped: tuple[str, ...] = ()
    """For each lesson that the leak guard stopped, that is one too many or that is incomplete: which one, and why."""
    patch: Patch | None = None
    """The lessons as edits; none where there was nothing to propose."""
    fix: str = ""
    """Name of the submitted script; empty where the fix is an answer, and where there is none."""
    fix_source: str = ""
    """Text of the submitted script, or the submitted answer."""
    leaks: dict[str, str] = {}
    """Edits that may not be used, by id, with the reason."""
    rejected: str = ""
    """Why nothing of this analysis may be used; empty if it may."""
