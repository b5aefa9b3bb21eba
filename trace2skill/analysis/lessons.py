"""The last turn of every analyst: its lessons as edits of the frozen skill, in the same conversation."""

from collections.abc import Iterable, Sequence

from inspect_ai.model import ChatMessage, ChatMessageUser, GenerateConfig, get_model

from trace2skill.analysis.leaks import Guarded, leaked
from trace2skill.analysis.reports import Lesson, ProposedPatch
from trace2skill.edits.patch import Edit, Patch, Rejection, document_of, pair_links, resolve
from trace2skill.edits.proposed import unread
from trace2skill.errors import ContextOverflowError, ModelOutputError
from trace2skill.models.asking import Asking
from trace2skill.models.cast import ANALYST
from trace2skill.models.structured import generate_structured
from trace2skill.skill.folder import Skill

UNUSABLE = "unusable output: "
"""Begins the reason of an analysis whose structured output stayed invalid."""


async def propose_patch(
    conversation: list[ChatMessage],
    trajectory: str,
    lessons: Sequence[Lesson],
    asking: Asking,
    config: GenerateConfig,
) -> tuple[Patch | None, str]:
    """The last turn: lessons as edits, in the same conversation. A model that fails at it loses only its lessons.

    Edits that cannot be read or do not fit the skill are shown to the model once; those that still are so end in the
    ledger. Where the conversation has become too long for the model, the skill takes its place.

    Args:
        conversation: The analyst's conversation; it grows.
        trajectory: Id of the trajectory.
        lessons: The lessons that may be used.
        asking: The skill, and how the model is asked.
        config: How to sample.

    Returns:
        The patch, or none and the reason.
    """
    listed = "\n".join(lesson.model_dump_json() for lesson in lessons)
    prompt = asking.prompts.render("patch", lessons=listed, outline=outline(asking.skill))
    try:
        try:
            conversation.append(ChatMessageUser(content=prompt))
            proposed = await _propose(conversation, trajectory, asking, config)
        except ContextOverflowError:
            conversation[:] = [ChatMessageUser(content=f"<skill>\n{asking.skill.skill_md}\n</skill>\n\n{prompt}")]
            proposed = await _propose(conversation, trajectory, asking, config)
    except ModelOutputError as error:
        return None, f"{UNUSABLE}{error}"
    edits = _edits(proposed, trajectory)
    patch = Patch(
        trajectory=trajectory,
        edits=(*edits, *unread(trajectory, proposed.left_out, len(edits) + 1, (trajectory,))),
        reasoning=proposed.reasoning,
        changelog=tuple(proposed.changelog),
    )
    return patch, ""


async def _propose(
    conversation: list[ChatMessage], trajectory: str, asking: Asking, config: GenerateConfig
) -> ProposedPatch:
    return await generate_structured(
        get_model(role=ANALYST),
        conversation,
        ProposedPatch,
        "patch",
        advise=lambda patch: misfits(patch, trajectory, asking.skill),
        config=config,
    )


def misfits(proposed: ProposedPatch, trajectory: str, skill: Skill) -> list[str]:
    """The edits that do not fit the skill, each with the reason."""
    outcomes = [resolve(edit, skill) for edit in pair_links(_edits(proposed, trajectory))]
    return [
        f"edits[{number}] does not fit the skill: {outcome.reason}"
        for number, outcome in enumerate(outcomes)
        if isinstance(outcome, Rejection)
    ]


def _edits(proposed: ProposedPatch, trajectory: str) -> tuple[Edit, ...]:
    return tuple(
        Edit(id=f"{trajectory}.{number}", support=(trajectory,), **edit.model_dump())
        for number, edit in enumerate(proposed.edits, start=1)
    )


def leaking_edits(edits: Iterable[Edit], guarded: Guarded) -> dict[str, str]:
    """The edits that the leak guard stops, by id, with the reason."""
    texts = {edit.id: "\n\n".join((edit.file, edit.target, edit.content, edit.rationale)) for edit in edits}
    reasons = {name: leaked(text, guarded) for name, text in texts.items()}
    return {name: reason for name, reason in reasons.items() if reason}


def outline(skill: Skill) -> str:
    """The skill's text files with their headings."""
    lines = []
    for path in skill.files:
        lines.append(path)
        if path.endswith(".md") and skill.is_text(path):
            sections = document_of(skill, path).sections
            lines += [f"  {'#' * section.level} {section.title}" for section in sections]
    return "\n".join(lines)
