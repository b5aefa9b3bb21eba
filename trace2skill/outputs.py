"""What the models of each role return: the schemas their output is decoded under and validated against."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from trace2skill.patch import Operation

MAX_LESSONS = 3
"""Lessons per trajectory (paper, section 3.2)."""


class Output(BaseModel):
    """Base of all structured outputs."""

    model_config = ConfigDict(extra="forbid", frozen=True)


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


class SkillDraft(Output):
    """A skill that a model writes from what it knows."""

    description: str = Field(min_length=1, max_length=1024, description="What the skill is for and when to use it.")
    title: str = Field(min_length=1, description="A few words.")
    body: str = Field(min_length=1, description="Markdown sections, without title and frontmatter.")


class ProposedEdit(Output):
    """One edit to the skill, as a model writes it."""

    op: Operation = Field(description="The edit operation.")
    file: str = Field(description="Path inside the skill folder: SKILL.md or references/<name>.md.")
    target: str = Field(
        default="",
        description=(
            "insert_after, insert_before: the line to insert at, copied exactly. append_to_section, "
            "replace_in_section, delete_section: the section's heading. add_section: the heading of the section "
            "to follow, or empty for the end."
        ),
    )
    old: str = Field(default="", description="replace_in_section only: the text to replace, copied exactly.")
    content: str = Field(default="", description="The new text. For add_section it begins with the heading line.")
    rationale: str = Field(default="", description="One sentence: why this helps.")


class ProposedPatch(Output):
    """What an analyst returns in its last turn: its lessons as edits of the frozen skill."""

    reasoning: str = Field(default="", description="How the lessons map to the edits.")
    edits: list[ProposedEdit] = Field(description="A few small edits; empty if the skill already says it all.")
    changelog: list[str] = Field(default_factory=list, description="One line per change.")


class MergedEdit(ProposedEdit):
    """One edit that a merger returns, with the ids of the edits it stands for."""

    ids: list[str] = Field(min_length=1, description="Ids of all input edits that this edit expresses.")


class DroppedEdit(Output):
    """An input edit that a merger leaves out."""

    id: str = Field(description="Id of the input edit.")
    reason: str = Field(min_length=1, description="Why it is left out.")


class MergeResult(Output):
    """What a merger returns: every input id stands in exactly one edit or is dropped."""

    reasoning: str = Field(default="", description="How duplicates and conflicts were settled.")
    edits: list[MergedEdit] = Field(description="The merged edits.")
    dropped: list[DroppedEdit] = Field(default_factory=list, description="Input edits left out, each with a reason.")
