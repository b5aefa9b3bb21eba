"""The simulated analyst's last turn: lessons become edits of the skill that its prompt shows."""

import json
import re
from collections.abc import Sequence
from typing import Any

from inspect_ai.model import ChatMessage, ChatMessageAssistant

from trace2skill.simulation import replies
from trace2skill.simulation.answers.asked import read_asked
from trace2skill.simulation.chance import Dice
from trace2skill.simulation.evidence import case_key
from trace2skill.simulation.habits import SPREADSHEET, Habit, habits, read_teaching
from trace2skill.simulation.lessons import main_habit
from trace2skill.simulation.scales import Scale

EDITOR = "editor"
SKILL_MD = "SKILL.md"
INSERTS = 0.12
"""Share of edits that stand right after an existing line instead of at a section's end."""
OWN_FILE = 0.5
"""Share of one-off lessons that get a reference file of their own."""

_LESSONS = re.compile(r"<lessons>\n(.*?)\n</lessons>", re.DOTALL)
_OUTLINE = re.compile(r"<outline>\n(.*?)\n</outline>", re.DOTALL)
_SKILL = re.compile(r'<skill name="[^"]+">\n(.*?)\n</skill>', re.DOTALL)
_GENERAL = re.compile(r"pitfall|tip|guideline|note|practice|rule|workflow|writing|general", re.IGNORECASE)


def propose_edits(messages: Sequence[ChatMessage], scale: Scale, seed: str) -> ChatMessageAssistant:
    """The patch that expresses the lessons in the last question."""
    question = next(m.text for m in reversed(messages) if m.role == "user" and "<lessons>" in m.text)
    given = replies.given_text(messages)
    skill = "\n".join(_SKILL.findall(given))
    sections = skill_sections(_found(_OUTLINE, question))
    dice = Dice(seed=seed, scale=scale.name, role=EDITOR, case=case_key(given))
    asked = read_asked(given)
    domain = asked.domain if asked else SPREADSHEET
    known = read_teaching(skill, domain=domain).taught
    edits: list[dict[str, str]] = []
    for line in _found(_LESSONS, question).splitlines():
        lesson = json.loads(line)
        slug = main_habit(lesson["content"], domain)
        if slug is None:
            edits += one_off(lesson, sections, dice)
        elif slug not in known:
            edits.append(edit_on(lesson, habits(domain)[slug], sections, skill, scale, dice))
    patch: dict[str, Any] = {
        "reasoning": f"{len(edits)} edits; what the skill already says is left out.",
        "edits": edits,
        "changelog": [f"{replies.STAMP} {edit['rationale']}" for edit in edits],
    }
    return replies.structured(patch)


def skill_sections(outline: str) -> list[str]:
    """Headings of the sections of SKILL.md below its title, from an outline of files and headings."""
    sections, inside = [], False
    for line in outline.splitlines():
        if not line.startswith(" "):
            inside = line.strip() == SKILL_MD
        elif inside and line.strip().startswith("##"):
            sections.append(line.strip())
    return sections


def fitting_section(habit: Habit | None, sections: Sequence[str]) -> str | None:
    """The section in which a reader would look for a habit; None if none fits."""
    if habit is not None:
        topic = next((section for section in sections if habit.topics.search(section)), None)
        if topic:
            return topic
    return next((section for section in sections if _GENERAL.search(section)), None)


def edit_on(
    lesson: dict[str, str], habit: Habit, sections: list[str], skill: str, scale: Scale, dice: Dice
) -> dict[str, str]:
    """The edit that brings a lesson on a habit into a skill."""
    section = fitting_section(habit, sections)
    bullet = f"- {lesson['content']}"
    rationale = lesson["description"]
    if dice.happens(scale.misplaces, "misplaces", habit.slug):
        return _written("append_to_section", "## General advice", bullet, rationale)
    anchors = _anchors(skill)
    if anchors and dice.happens(INSERTS, "inserts", habit.slug):
        return _written("insert_after", dice.pick(anchors, "anchor", habit.slug), bullet, rationale)
    if section is None:
        return _written("add_section", "", f"## {habit.section}\n\n{bullet}", rationale)
    return _written("append_to_section", section, bullet, rationale)


def one_off(lesson: dict[str, str], sections: list[str], dice: Dice) -> list[dict[str, str]]:
    """The edits that bring in a lesson on one task: a line, or a file of its own with its link."""
    section = fitting_section(None, sections) or (sections[-1] if sections else None)
    if section is None:
        return []
    if not dice.happens(OWN_FILE, "own file", lesson["title"]):
        return [_written("append_to_section", section, f"- {lesson['content']}", lesson["description"])]
    file = f"references/{'-'.join(re.findall(r'[a-z]+', lesson['title'].lower()))}.md"
    text = f"# {lesson['title']}\n\n{lesson['description']}\n\n- {lesson['content']}\n"
    link = f"- {lesson['title']}: see [{file}]({file})."
    return [
        {"op": "create", "file": file, "target": "", "old": "", "content": text, "rationale": lesson["description"]},
        _written("append_to_section", section, link, f"Links {file}."),
    ]


def _anchors(skill: str) -> list[str]:
    """Bullets of one line that stand only once in the skill."""
    lines = skill.splitlines()
    return [
        line
        for line, following in zip(lines, [*lines[1:], ""], strict=True)
        if line.startswith("- ") and not following.startswith(" ") and lines.count(line) == 1
    ]


def _written(op: str, target: str, content: str, rationale: str) -> dict[str, str]:
    return {"op": op, "file": SKILL_MD, "target": target, "old": "", "content": content, "rationale": rationale}


def _found(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    return found.group(1) if found else ""
