"""Which role the stand-in model plays: told from the tools, schema and prompt that it is given, and nothing else."""

import json
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from inspect_ai.model import ChatMessage, ChatMessageAssistant, GenerateConfig
from inspect_ai.tool import ToolInfo

from trace2skill.simulation import replies
from trace2skill.simulation.agent import act
from trace2skill.simulation.analyst import (
    SINGLE_CALL_ANALYST,
    SUCCESS_ANALYST,
    analyse_failure,
    report_failure,
    report_success,
)
from trace2skill.simulation.answers.agent import answer
from trace2skill.simulation.answers.asked import read_asked
from trace2skill.simulation.chance import Dice
from trace2skill.simulation.drafting import draft
from trace2skill.simulation.editing import EDITOR, propose_edits
from trace2skill.simulation.evidence import case_key
from trace2skill.simulation.memory import JUDGE, KEEPER, judge, remember_failure, remember_success
from trace2skill.simulation.merger import merge, resolve
from trace2skill.simulation.revising import REVISER, consolidate, edit_skill, lessons_key
from trace2skill.simulation.scales import Scale

FIRST_QUESTION = re.compile(r"<(?:transcript|lessons)>\n")
"""Tells a question that is put for the first time from a request to repair the answer."""


async def reply(
    messages: Sequence[ChatMessage],
    tools: Sequence[ToolInfo],
    config: GenerateConfig,
    scale: Scale,
    seed: str,
    folders: tuple[Path, ...],
) -> ChatMessageAssistant:
    """The next message of the role that the input calls for."""
    if config.response_schema and (written := _written(config.response_schema.name, messages, scale, seed)):
        return written
    if any(tool.name in ("check_fix", "check_answer") for tool in tools):
        return analyse_failure(messages, tools, scale, seed)
    if asked := read_asked(replies.first_user_text(messages)):
        return await answer(asked, messages, tools, scale, seed, folders)
    return await act(messages, tools, scale, seed, folders)


def _written(schema: str, messages: Sequence[ChatMessage], scale: Scale, seed: str) -> ChatMessageAssistant | None:
    """The answer under a schema; None where the schema is no role's."""
    broken = partial(_sometimes_broken, messages=messages, scale=scale, seed=seed)
    if schema in _READERS:
        reads, role = _READERS[schema]
        return broken(reads(messages, scale, seed), role)
    match schema:
        case "skill_draft":
            return draft(messages)
        case "skill_edits":
            return broken(edit_skill(messages, scale, seed), REVISER, case=lessons_key(replies.given_text(messages)))
        case "final_edits":
            return consolidate(messages, scale, seed)
        case "merge_result" if "<conflicting>" in replies.given_text(messages):
            return resolve(messages, scale, seed)
        case "merge_result":
            return merge(messages, scale, seed)
    return None


_READERS = {
    "success_report": (report_success, SUCCESS_ANALYST),
    "error_report": (report_failure, SINGLE_CALL_ANALYST),
    "patch": (propose_edits, EDITOR),
    "memory_success": (remember_success, KEEPER),
    "memory_workflow": (remember_success, KEEPER),
    "memory_failure": (remember_failure, KEEPER),
    "memory_judge": (judge, JUDGE),
}
"""The roles that read a run and now and then break off their JSON."""


def _sometimes_broken(
    message: ChatMessageAssistant,
    role: str,
    *,
    messages: Sequence[ChatMessage],
    scale: Scale,
    seed: str,
    case: str = "",
) -> ChatMessageAssistant:
    """The reply, or by chance one whose JSON breaks off; when told so, the model repeats it in full."""
    dice = Dice(seed=seed, scale=scale.name, role=role, case=case or case_key(replies.given_text(messages)))
    first = FIRST_QUESTION.search(replies.last_user_text(messages))
    if not first or not dice.happens(scale.malforms, "breaks off"):
        return message
    text = json.dumps(json.loads(message.text))
    return ChatMessageAssistant(content=text[: len(text) * 2 // 3])
