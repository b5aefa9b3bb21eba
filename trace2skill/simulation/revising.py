"""The simulated editor of a skill that keeps changing, and the one that looks over all changes in the end."""

import json
import re
from collections.abc import Sequence
from typing import Any

from inspect_ai.model import ChatMessage, ChatMessageAssistant

from trace2skill.simulation import replies
from trace2skill.simulation.chance import Dice, digest
from trace2skill.simulation.editing import SKILL_MD, edit_on, one_off, skill_sections
from trace2skill.simulation.habits import habits, read_teaching
from trace2skill.simulation.lessons import contradicts, domain_of, main_habit
from trace2skill.simulation.scales import Scale

REVISER = "reviser"

_FILE = re.compile(r'<file path="SKILL\.md">\n(.*?)\n</file>', re.DOTALL)
_BLOCK = r"<{0}>\n(.*?)\n?</{0}>"

Row = dict[str, Any]


def edit_skill(messages: Sequence[ChatMessage], scale: Scale, seed: str) -> ChatMessageAssistant:
    """Edits of the skill that the prompt shows: lessons on one habit become one, what the skill teaches is left out.

    A one-off is left out as often as the merger drops one, and always where it contradicts what the skill teaches.
    """
    given = replies.given_text(messages)
    skill = _skill(given)
    lessons = [lesson for row in _rows(given, "lessons") for lesson in row["lessons"]]
    dice = Dice(seed=seed, scale=scale.name, role=REVISER, case=lessons_key(given))
    domain = domain_of(lesson["content"] for lesson in lessons)
    teaching = read_teaching(skill, domain=domain)
    headings = [f"  {line}" for line in skill.splitlines() if line.startswith("#")]
    sections = skill_sections("\n".join([SKILL_MD, *headings]))
    edits: list[Row] = []
    done: dict[str, list[Row]] = {}
    for lesson in lessons:
        slug = main_habit(lesson["content"], domain)
        key = slug or lesson["content"]
        if key in done:
            for edit in done[key]:
                edit["ids"].append(lesson["id"])
            continue
        fitting: list[dict[str, str]] = []
        if slug and slug not in teaching.taught:
            fitting = [edit_on(lesson, habits(domain)[slug], sections, skill, scale, dice)]
        elif (
            not slug and lesson["content"] not in skill and not contradicts(lesson["content"], domain) & teaching.taught
        ):
            fitting = [] if dice.happens(scale.prunes, "prunes", lesson["title"]) else one_off(lesson, sections, dice)
        done[key] = [{"ids": [lesson["id"]], **edit} for edit in fitting]
        edits += done[key]
    reasoning = f"{len(lessons)} lessons lead to {len(edits)} edits; what the skill already says is left out."
    return replies.structured({"reasoning": reasoning, "edits": edits})


def consolidate(messages: Sequence[ChatMessage], scale: Scale, seed: str) -> ChatMessageAssistant:
    """The last look: of what was written against each other, lines that contradict a habit go, as with the merger."""
    given = replies.given_text(messages)
    skill = _skill(given)
    changes = _rows(given, "changelog")
    domain = domain_of(row["content"] for row in changes)
    taught: dict[str, int] = {}
    for row in changes:
        if slug := main_habit(row["content"], domain):
            taught[slug] = taught.get(slug, 0) + row["support"]
    edits = [
        {
            "ids": [row["id"]],
            "op": "replace_in_section",
            "file": SKILL_MD,
            "target": "",
            "old": row["content"],
            "content": "",
            "rationale": "It contradicts what more runs have shown.",
        }
        for row in changes
        if row["file"] == SKILL_MD and "\n" not in row["content"] and skill.count(row["content"]) == 1
        if any(taught.get(slug, 0) >= row["support"] for slug in contradicts(row["content"], domain))
    ]
    reasoning = f"Of {len(changes)} changes {len(edits)} contradict others."
    return replies.structured({"reasoning": reasoning, "edits": edits})


def lessons_key(given: str) -> str:
    """Identifies a batch, by the ids of its lessons."""
    ids = [lesson["id"] for row in _rows(given, "lessons") for lesson in row["lessons"]]
    return digest("\n".join(sorted(ids)))


def _skill(given: str) -> str:
    found = _FILE.search(given)
    return found.group(1) if found else ""


def _rows(given: str, block: str) -> list[Row]:
    found = re.findall(_BLOCK.format(block), given, re.DOTALL)
    return [json.loads(line) for line in (found[0] if found else "").splitlines() if line.strip()]
