"""From the selected edits to the evolved skill: apply, hold the size limits, check the format, close the ledger."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from trace2skill.consolidation.ledger import Fate, Ledger
from trace2skill.consolidation.selection import Selection
from trace2skill.edits.apply import Applied, apply_edits
from trace2skill.edits.overflow import move_out, text_owners
from trace2skill.edits.patch import Edit, rank
from trace2skill.edits.provenance import STAMP, Provenance, provenance_of
from trace2skill.errors import SkillError
from trace2skill.skill.folder import SKILL_MD, Skill, check_skill, size_findings
from trace2skill.skill.sections import parse_document


@dataclass(frozen=True, kw_only=True)
class Assembled:
    """An evolved skill with the origin of its lines and the balance of its ledger."""

    initial: Skill
    evolved: Skill
    provenance: Provenance
    totals: dict[str, int]
    """Final fates of the proposed edits; with `proposed`, their sum."""


def assemble(
    selection: Selection, initial: Skill, ledger: Ledger, proposed: Sequence[Edit], simulated: str
) -> Assembled:
    """Build the evolved skill and enter the last fates.

    Where the skill gets too long, text that evolution brought moves out into `references/`. Edits that would still
    make a file too long, or fail the format check, are withheld, the least supported first.

    Args:
        selection: The edits to apply, and those left out.
        initial: The frozen skill; it passes the format check.
        ledger: The ledger so far.
        proposed: Every edit that analysts proposed.
        simulated: The warning that a stand-in model took part, or nothing; it is written into SKILL.md.

    Raises:
        SkillError: The result fails the Agent Skills format check; nothing has been saved.
        PatchError: The ledger does not balance.
    """
    names = {edit.id for edit in proposed}

    def enter(edit: Edit, fate: Fate, reason: str = "") -> None:
        ledger.edit(edit, fate, proposed=edit.id in names, reason=reason)

    for edit, reason in (*selection.conflicting, *selection.withheld):
        enter(edit, "withheld", reason)
    for edit, reason in selection.rejected:
        enter(edit, "rejected", reason)
    kept = list(selection.kept)
    applied, findings = _build(initial, kept, simulated)
    while kept and findings:
        dropped = max(_at_fault(initial, kept, applied, findings[0]), key=rank)
        kept.remove(dropped)
        enter(dropped, "withheld", f"the skill would fail its check: {findings[0]}")
        applied, findings = _build(initial, kept, simulated)
    if findings:
        raise SkillError(f"The evolved skill fails the format check and was not saved: {'; '.join(findings)}")
    for rejection in applied.rejected:
        enter(rejection.edit, "withheld", rejection.reason)
    used = [row.edit for row in applied.applied]
    for edit in used:
        enter(edit, "applied")
    totals = {"proposed": len(proposed), **dict(sorted(ledger.balance(proposed).items()))}
    evolved = applied.skill
    provenance = provenance_of(evolved.name, evolved.digest, applied.lines, used, simulated)
    return Assembled(initial=initial, evolved=evolved, provenance=provenance, totals=totals)


def _build(initial: Skill, edits: Sequence[Edit], simulated: str) -> tuple[Applied, list[str]]:
    """The skill with these edits, within the size limits if moving text can do it, and what its check finds."""
    plain = apply_edits(initial, edits)
    marked = stamped(plain, simulated)
    too_long = size_findings(marked.skill)
    # Other findings come first: a link that leads nowhere must not hide in a reference.
    others = [finding for finding in check_skill(marked.skill) if finding not in too_long]
    if others or not too_long:
        return marked, others
    reserve = len(marked.lines[SKILL_MD]) - len(plain.lines[SKILL_MD])
    shorter = stamped(move_out(plain, reserve), simulated)
    return shorter, check_skill(shorter.skill)


def _at_fault(initial: Skill, edits: Sequence[Edit], applied: Applied, finding: str) -> Sequence[Edit]:
    """The edits behind a finding: of size, those with text left in the long file; else those that alone lead to it."""
    if finding in size_findings(applied.skill):
        long = next(path for path in applied.lines if finding.startswith(f"{path}: "))
        left = text_owners(applied, long)
        found = [edit for edit in edits if edit.id in left]
    else:
        found = [edit for edit in edits if finding in check_skill(apply_edits(initial, [edit]).skill)]
    return found or [edit for edit in edits if edit.file in finding] or edits


def stamped(applied: Applied, simulated: str) -> Applied:
    """The same with the warning as the last line of SKILL.md, where a person who copies the skill finds it."""
    if not simulated or simulated in applied.skill.skill_md:
        return applied
    body = applied.skill.files[SKILL_MD]
    newline = parse_document(body).newline
    text = body.rstrip(b"\r\n") + f"{newline * 2}<!-- {simulated} -->{newline}".encode()
    skill = applied.skill.with_files({SKILL_MD: text})
    origins = applied.lines[SKILL_MD][: len(skill.lines(SKILL_MD)) - 2]
    padding = (None,) * (len(skill.lines(SKILL_MD)) - 1 - len(origins))
    return replace(applied, skill=skill, lines={**applied.lines, SKILL_MD: (*origins, *padding, STAMP)})
