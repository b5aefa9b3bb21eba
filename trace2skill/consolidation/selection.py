"""Which merged edits make it into the skill: fit, prevalence, conflicts. Pure."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from trace2skill.edits.apply import select
from trace2skill.edits.guardrails import hazard_reason
from trace2skill.edits.patch import Edit, Rejection, Resolved, pair_links, rank, resolve
from trace2skill.skill.folder import Skill, mentioned
from trace2skill.skill.hazards import HazardKind

Reasoned = tuple[Edit, str]
"""An edit that is left out, and why."""


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The fate of each edit before it is applied. Every input edit stands in exactly one field."""

    kept: tuple[Edit, ...]
    """To be applied; no two conflict."""
    conflicting: tuple[Reasoned, ...]
    """Better supported edits change the same lines."""
    withheld: tuple[Reasoned, ...]
    """Too little support, or a hazard that needs the operator's word."""
    rejected: tuple[Reasoned, ...]
    """They do not fit the skill."""


def select_edits(
    edits: Sequence[Edit], skill: Skill, min_support: int, allow: Collection[HazardKind] = ()
) -> Selection:
    """Select the edits to apply.

    Args:
        edits: Edits with support and unique ids.
        skill: The frozen skill.
        min_support: Trajectories that must support an edit of SKILL.md, and one that only takes text away, wherever.
            What is added or corrected in `references/` may rest on one, and so may the one line that links a new file.
        allow: Kinds of hazards that the operator allows; an edit with another one is withheld.
    """
    single, second = _one_creation_each(edits)
    outcomes = [resolve(edit, skill) for edit in pair_links(single)]
    rejected = tuple((row.edit, row.reason) for row in outcomes if isinstance(row, Rejection))
    resolved = [row for row in outcomes if isinstance(row, Resolved)]
    hazardous = tuple((row.edit, why) for row in resolved if (why := hazard_reason(row.edit.content, skill, allow)))
    safe = [row for row in resolved if not any(edit is row.edit for edit, _ in hazardous)]
    prevalent, withheld = _split_by_prevalence(safe, min_support)
    selection = select(prevalent)
    conflicting = tuple(
        (row.edit.edit, f"conflicts with {row.kept.edit.id}, which {len(row.kept.edit.support)} trajectories support")
        for row in selection.conflicted
    )
    kept = tuple(row.edit for row in selection.kept)
    return Selection(
        kept=kept, conflicting=(*second, *conflicting), withheld=(*hazardous, *withheld), rejected=rejected
    )


def _one_creation_each(edits: Sequence[Edit]) -> tuple[list[Edit], tuple[Reasoned, ...]]:
    """The edits with one creation for each path, the best supported, and with their ties to other edits undone.

    Merging changes which edits there are, so what stands or falls together is found anew from the texts.
    """
    best: dict[str, Edit] = {}
    for edit in sorted(edits, key=rank):
        if edit.op == "create":
            best.setdefault(edit.file, edit)
    single: list[Edit] = []
    second: list[Reasoned] = []
    for edit in sorted(edits, key=lambda edit: edit.id):
        free = edit.model_copy(update={"requires": ()})
        if edit.op == "create" and best[edit.file].id != edit.id:
            second.append((free, f"conflicts with {best[edit.file].id}, which creates the same file"))
        else:
            single.append(free)
    return single, tuple(second)


def _split_by_prevalence(resolved: Sequence[Resolved], min_support: int) -> tuple[list[Resolved], tuple[Reasoned, ...]]:
    created = frozenset(row.file for row in resolved if row.kind == "create")
    prevalent: list[Resolved] = []
    withheld: list[Reasoned] = []
    for row in resolved:
        count = len(row.edit.support)
        what = _needs_support(row, created)
        if what and count < min_support:
            withheld.append((row.edit, f"support {count} is below {min_support}, the least for {what}"))
        else:
            prevalent.append(row)
    return prevalent, tuple(withheld)


def _needs_support(row: Resolved, created: frozenset[str]) -> str:
    """What about an edit one trajectory is too little for; empty if nothing."""
    if not row.file.startswith("references/"):
        return "" if _is_link(row, created) else row.file
    takes_away = row.kind in ("delete", "delete_file") or (row.kind == "replace" and not row.place.text)
    return f"deleting from {row.file}" if takes_away else ""


def _is_link(row: Resolved, created: frozenset[str]) -> bool:
    """Whether an edit adds one line that points to a new reference file."""
    lines = [line for line in row.edit.content.splitlines() if line.strip()]
    return row.kind == "insert" and len(lines) == 1 and not created.isdisjoint(mentioned(lines[0]))
