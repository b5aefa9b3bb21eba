"""The ledger: the fate of every proposed edit and every analysis, and the check that nothing is lost."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from trace2skill.edits.patch import Edit
from trace2skill.errors import PatchError
from trace2skill.files import STORED
from trace2skill.foreign import read
from trace2skill.skill.hazards import hazards_in

Fate = Literal["applied", "merged", "rejected", "withheld"]
"""`rejected`: it may not be used (unsafe, unproven, dropped by the merger). `withheld`: it could be used, but not here
(too little support, in conflict with a better supported edit, size limits)."""


class LedgerRow(BaseModel):
    """The fate of one edit, an analysis that led to none, a lesson that was stopped, or an item proposed for a bank."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = 1
    """Version of this row's form."""
    kind: Literal["edit", "analysis", "lesson", "item"]
    """Whether `id` names an edit, a trajectory whose analysis led to no edit, a lesson that became none, or an item
    that was proposed for a memory bank."""
    id: str
    """Edit id, `<trajectory>.<n>` as proposed or `<merge>.<n>` as merged; for an analysis the trajectory id; for a
    lesson `<trajectory>/lesson-<n>`, for an item `<trajectory>/item-<n>`."""
    proposed: bool
    """Whether an analyst proposed it; false for edits that a merge wrote."""
    fate: Fate
    """What became of it."""
    into: str = ""
    """Id of the edit that it was merged into."""
    reason: str = ""
    """Why it was rejected or withheld."""
    file: str = ""
    """File that the edit is about."""
    op: str = ""
    """Its operation."""
    target: str = ""
    """Where in the file it applies."""
    content: str = ""
    """Its text."""
    support: tuple[str, ...] = ()
    """Ids of the trajectories that support it."""
    flags: tuple[str, ...] = ()
    """What in its text could do harm."""


class Ledger:
    """Collects one row per edit and checks that they balance."""

    def __init__(self) -> None:
        self._rows: dict[str, LedgerRow] = {}

    def edit(self, edit: Edit, fate: Fate, *, proposed: bool, into: str = "", reason: str = "") -> None:
        """Record the fate of an edit.

        Raises:
            PatchError: The edit already has a fate.
        """
        self._add(
            LedgerRow(
                kind="edit",
                id=edit.id,
                proposed=proposed,
                fate=fate,
                into=into,
                reason=reason,
                file=edit.file,
                op=edit.op,
                target=edit.target,
                content=edit.content,
                support=edit.support,
                flags=tuple(map(str, hazards_in(edit.content))),
            )
        )

    def analysis(self, trajectory: str, reason: str) -> None:
        """Record that an analysis contributes nothing, and why."""
        self._add(
            LedgerRow(
                kind="analysis",
                id=trajectory,
                proposed=True,
                fate="rejected",
                reason=reason,
                support=(trajectory,),
            )
        )

    def lesson(self, trajectory: str, reason: str) -> None:
        """Record that a lesson was not used, and why."""
        self._add(
            LedgerRow(
                kind="lesson",
                id=self._next("lesson", trajectory),
                proposed=True,
                fate="rejected",
                reason=reason,
                support=(trajectory,),
            )
        )

    def item(self, trajectory: str, fate: Fate, content: str, reason: str = "") -> None:
        """Record the fate of what was proposed for a memory bank."""
        self._add(
            LedgerRow(
                kind="item",
                id=self._next("item", trajectory),
                proposed=True,
                fate=fate,
                reason=reason,
                content=content,
                support=(trajectory,),
                flags=tuple(map(str, hazards_in(content))),
            )
        )

    def _next(self, kind: Literal["lesson", "item"], trajectory: str) -> str:
        """Id of the next row of a kind that a trajectory has."""
        number = sum(row.kind == kind and row.support == (trajectory,) for row in self._rows.values()) + 1
        return f"{trajectory}/{kind}-{number}"

    def rows(self) -> tuple[LedgerRow, ...]:
        """All rows, by kind and id."""
        return tuple(sorted(self._rows.values(), key=lambda row: (row.kind, row.id)))

    def balance(self, proposed: Iterable[Edit]) -> Counter[str]:
        """Check that every proposed edit has one final fate and that no support was lost on the way.

        Args:
            proposed: Every edit that analysts proposed.

        Returns:
            How many proposed edits ended as applied, rejected or withheld; merged ones count as what they were
            merged into.

        Raises:
            PatchError: The ledger does not balance; the message names the first edit at fault.
        """
        totals: Counter[str] = Counter()
        for edit in proposed:
            final = self._final(edit)
            if not set(edit.support) <= set(final.support):
                raise PatchError(
                    f"Ledger: the support of {edit.id} was lost on the way to {final.id}. This is a bug: report it."
                )
            totals[final.fate] += 1
        return totals

    def _final(self, edit: Edit) -> LedgerRow:
        row = self._rows.get(f"edit {edit.id}")
        visited: set[str] = set()
        while row is not None and row.fate == "merged" and row.id not in visited:
            visited.add(row.id)
            row = self._rows.get(f"edit {row.into}")
        if row is None or row.fate == "merged":
            raise PatchError(f"Ledger: edit {edit.id} has no final fate. This is a bug: report it.")
        return row

    def _add(self, row: LedgerRow) -> None:
        key = f"{row.kind} {row.id}"
        if key in self._rows:
            raise PatchError(f"Ledger: {key} has two fates. This is a bug: report it.")
        self._rows[key] = row


def write_ledger(rows: Iterable[LedgerRow], path: Path) -> None:
    """Write rows as JSON lines."""
    path.write_text("".join(row.model_dump_json() + "\n" for row in rows), encoding="utf-8")


def read_ledger(path: Path) -> tuple[LedgerRow, ...]:
    """Read the rows that `write_ledger` wrote.

    Raises:
        PatchError: The file cannot be read, or holds something else.
    """
    try:
        lines = read(path, STORED.bytes).decode("utf-8").split("\n")
        return tuple(LedgerRow.model_validate_json(line) for line in lines if line)
    except ValueError as error:
        raise PatchError(f"{path} is no ledger: {str(error)[:500]} Evolve the skill again.") from error
