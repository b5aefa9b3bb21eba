"""Which role the stand-in model plays: told from the tools, schema and prompt that it is given, and nothing else."""

import json
from collections.abc import Sequence
from pathlib import Path

from inspect_ai.model import ChatMessage, ChatMessageAssistant, GenerateConfig
from inspect_ai.tool import ToolInfo

from trace2skill.simulation import replies
from trace2skill.simulation.agent import act
from trace2skill.simulation.analyst import analyse_failure, report_failure, report_success
from trace2skill.simulation.answers.agent import answer
from trace2skill.simulation.answers.asked import read_asked
from trace2skill.simulation.chance import Dice, digest
from trace2skill.simulation.drafting import draft
from trace2skill.simulation.editing import propose_edits
from trace2skill.simulation.merger import merge, resolve
from trace2skill.simulation.scales import Scale

REPAIR_REQUEST = "That output cannot be used"


async def reply(
    messages: Sequence[ChatMessage],
    tools: Sequence[ToolInfo],
    config: GenerateConfig,
    scale: Scale,
    seed: str,
    folders: tuple[Path, ...],
) -> ChatMessageAssistant:
    """The next message of the role that the input calls for."""
    schema = config.response_schema.name if config.response_schema else ""
    question = replies.last_user_text(messages)
    match schema:
        case "success_report":
            return _sometimes_broken(report_success(messages, scale, seed), question, scale, seed)
        case "error_report":
            return _sometimes_broken(report_failure(messages, scale, seed), question, scale, seed)
        case "skill_draft":
            return draft(messages)
        case "patch":
            return _sometimes_broken(propose_edits(messages, scale, seed), question, scale, seed)
        case "merge_result" if "<conflicting>" in replies.given_text(messages):
            return resolve(messages, scale, seed)
        case "merge_result":
            return merge(messages, scale, seed)
    if any(tool.name in ("check_fix", "check_answer") for tool in tools):
        return analyse_failure(messages, tools, scale, seed)
    if asked := read_asked(question_text(messages)):
        return await answer(asked, messages, tools, scale, seed, folders)
    return await act(messages, tools, scale, seed, folders)


def question_text(messages: Sequence[ChatMessage]) -> str:
    """The first user message: the task."""
    return next((message.text for message in messages if message.role == "user"), "")


def _sometimes_broken(message: ChatMessageAssistant, question: str, scale: Scale, seed: str) -> ChatMessageAssistant:
    """The reply, or by chance one whose JSON breaks off; when told so, the model repeats it in full."""
    dice = Dice((seed, scale.name, "output", digest(question)))
    if question.startswith(REPAIR_REQUEST) or not dice.happens(scale.malforms, "breaks off"):
        return message
    text = json.dumps(json.loads(message.text))
    return ChatMessageAssistant(content=text[: len(text) * 2 // 3])
