"""The simulated editor of a skill that keeps changing: it reads no more than its prompt."""

import json
from typing import Any

from inspect_ai.model import ChatMessageUser

from trace2skill.baselines.editing import SkillEdits
from trace2skill.prompts import Prompts
from trace2skill.simulation.habits import habits
from trace2skill.simulation.lessons import contradicts, quirks
from trace2skill.simulation.revising import consolidate, edit_skill
from trace2skill.simulation.scales import SCALES

SKILL = "# Cells\n\n## Formulas\n\n- Mind the header.\n\n## Tips\n"
SMALL = SCALES["small"]


def ask_editor(contents: list[str], skill: str = SKILL, seed: str = "1/1") -> SkillEdits:
    rows = [
        {
            "run": f"t{n}",
            "causes": [],
            "lessons": [{"id": f"t{n}/lesson-1", "title": f"T{n}", "description": "d", "content": text}],
        }
        for n, text in enumerate(contents)
    ]
    prompt = Prompts().render(
        "editor", files=[{"path": "SKILL.md", "text": skill}], size="", number=1, batches=1,
        lessons="\n".join(map(json.dumps, rows)),
    )  # fmt: skip
    return SkillEdits.model_validate_json(edit_skill([ChatMessageUser(content=prompt)], SMALL, seed).text)


def ask_consolidator(changes: list[dict[str, Any]], skill: str) -> SkillEdits:
    prompt = Prompts().render(
        "consolidator", files=[{"path": "SKILL.md", "text": skill}], size="",
        changelog="\n".join(map(json.dumps, changes)),
    )  # fmt: skip
    return SkillEdits.model_validate_json(consolidate([ChatMessageUser(content=prompt)], SMALL, "1/1").text)


def test_lessons_on_one_habit_become_one_edit_that_names_them_all() -> None:
    habit = next(iter(habits().values()))
    [edit] = ask_editor([habit.content[0], habit.content[-1]]).edits

    assert edit.ids == ["t0/lesson-1", "t1/lesson-1"]
    assert habit.content[0] in edit.content


def test_what_the_skill_teaches_already_is_left_out() -> None:
    habit = next(iter(habits().values()))

    assert ask_editor([habit.content[-1]], f"{SKILL}\n- {habit.content[0]}\n").edits == []


def test_a_one_off_is_sometimes_left_out_and_always_where_it_contradicts_the_skill() -> None:
    wrong = next(row["content"] for row in quirks() if contradicts(row["content"]))
    denied = habits()[min(contradicts(wrong))].content[0]
    seeds = [f"1/{seed}" for seed in range(20)]

    assert {bool(ask_editor([wrong], seed=seed).edits) for seed in seeds} == {True, False}
    assert not any(ask_editor([wrong], f"{SKILL}\n- {denied}\n", seed).edits for seed in seeds)


def test_the_last_look_takes_out_what_as_many_runs_contradict() -> None:
    wrong = next(row["content"] for row in quirks() if contradicts(row["content"]))
    right = habits()[min(contradicts(wrong))].content[0]
    blank = {"file": "SKILL.md", "op": "append_to_section", "batch": "batch-0001", "support": 1}
    changes = [{**blank, "id": "a", "content": f"- {wrong}"}, {**blank, "id": "b", "content": f"- {right}"}]
    skill = f"{SKILL}\n- {wrong}\n- {right}\n"

    [edit] = ask_consolidator(changes, skill).edits
    assert (edit.ids, edit.old, edit.content) == (["a"], f"- {wrong}", "")
    assert ask_consolidator([{**changes[0], "support": 2}, changes[1]], skill).edits == []
