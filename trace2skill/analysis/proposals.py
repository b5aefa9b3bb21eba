"""From analyses to the edits that may be merged: gate, leak guard, guardrails. Every edit is accounted for."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from trace2skill.analysis.gate import Verdicts, gate
from trace2skill.analysis.reports import Analysis
from trace2skill.consolidation.ledger import Ledger
from trace2skill.consolidation.lexical import split_items
from trace2skill.edits.guardrails import hazard_reason
from trace2skill.edits.patch import Edit, Patch, Rejection, check_edit, resolve
from trace2skill.skill.folder import Skill
from trace2skill.skill.hazards import HazardKind


@dataclass(frozen=True, kw_only=True)
class Proposals:
    """Every proposed edit, and the patches of those that may be merged."""

    edits: tuple[Edit, ...]
    patches: tuple[Patch, ...]


def collect(
    analyses: Sequence[Analysis],
    verdicts: Verdicts,
    imported: Sequence[Patch],
    skill: Skill,
    ledger: Ledger,
    *,
    split: bool,
    allow: Collection[HazardKind] = (),
) -> Proposals:
    """Sort proposed edits into those that go on and those that end here, each of these with its reason in the ledger.

    Args:
        analyses: The analyses of trajectories.
        verdicts: What the gates say.
        imported: Patches from elsewhere.
        skill: The frozen skill.
        ledger: Receives the edits that end here, and the analyses that propose none.
        split: Whether to count each list item and paragraph as an edit of its own, as the lexical merger needs.
        allow: Kinds of hazards that the operator allows; others are withheld before a merger sees them.
    """
    proposed: list[Edit] = []
    patches: list[Patch] = []

    def take(patch: Patch, reason: str = "", reasons: Mapping[str, str] | None = None) -> None:
        usable: list[Edit] = []
        for whole in patch.edits:
            for edit, misfit in _fitted(whole, skill, split=split):
                proposed.append(edit)
                unfit = reason or (reasons or {}).get(whole.id) or misfit
                if why := unfit or hazard_reason(edit.content, skill, allow):
                    ledger.edit(edit, "rejected" if unfit else "withheld", proposed=True, reason=why)
                else:
                    usable.append(edit)
        if usable:
            patches.append(patch.model_copy(update={"edits": tuple(usable)}))

    for analysis in analyses:
        reason = gate(analysis, verdicts)
        for lesson in analysis.lessons_stopped:
            ledger.lesson(analysis.trajectory, lesson)
        if analysis.patch is None or not analysis.patch.edits:
            ledger.analysis(analysis.trajectory, reason or "no edit was proposed")
        else:
            take(analysis.patch, reason, {**verdicts.unhelpful, **analysis.leaks})
    for patch in imported:
        take(patch)
    return Proposals(edits=tuple(proposed), patches=tuple(patches))


def _fitted(whole: Edit, skill: Skill, *, split: bool) -> Iterator[tuple[Edit, str | None]]:
    """What a merger may see of an edit, or the edit and why it does not fit the skill.

    What the skill says already is left out: edits that only repeat it must lend no support to what is new.
    """
    found = resolve(whole, skill)
    for edit in split_items(found.edit) if split else (found.edit,):
        yield edit, found.reason if isinstance(found, Rejection) else check_edit(edit, skill)
