"""An edit as a model writes it: the schema that it is decoded under."""

from collections.abc import Iterable

from pydantic import Field, field_validator

from trace2skill.edits.patch import Edit, Operation
from trace2skill.models.structured import Output
from trace2skill.skill.folder import SKILL_MD


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

    @field_validator("file")
    @classmethod
    def _as_it_is_called(cls, file: str) -> str:
        """A path from the folder on; weak models write `skill.md`."""
        path = file.strip().removeprefix("./")
        return SKILL_MD if path.lower() == SKILL_MD.lower() else path


def unread(source: str, reasons: Iterable[str], first: int, support: tuple[str, ...] = ()) -> tuple[Edit, ...]:
    """The rows of an answer that cannot be read as edits, as edits that are always rejected.

    Args:
        source: What their ids begin with.
        reasons: Why each cannot be read.
        first: Number of the first.
        support: Trajectories that support them.
    """
    return tuple(
        Edit(id=f"{source}.{number}", file="", op="unknown", rationale=reason, support=support)
        for number, reason in enumerate(reasons, start=first)
    )
