"""The simulated editor, merger and resolver: edits that fit, an account of every id, repairs when told."""

import json
from typing import Any

from inspect_ai.model import ChatMessage, ChatMessageUser

from trace2skill.analysis.reports import ProposedPatch
from trace2skill.consolidation.merging import MergeResult, account
from trace2skill.edits.patch import Edit
from trace2skill.simulation.editing import propose_edits
from trace2skill.simulation.habits import habits
from trace2skill.simulation.lessons import quirks
from trace2skill.simulation.merger import merge, resolve
from trace2skill.simulation.scales import SCALES

SKILL = '<skill name="cells">\n# Cells\n\n## Formulas\n\n- Delete rows bottom-up.\n\n## Tips\n</skill>'
OUTLINE = "SKILL.md\n  # Cells\n  ## Formulas\n  ## Tips\nreferences/old.md\n  ## Dates"
NUMBERED = '<file path="SKILL.md">\n   1 # Cells\n   3 ## Formulas\n   7 ## Tips\n</file>'


def row(name: str, content: str, **changes: Any) -> dict[str, Any]:
    blank = {"op": "append_to_section", "file": "SKILL.md", "target": "## Tips", "old": "", "rationale": ""}
    return {"id": name, **blank, "content": content, "support": 1, **changes}


def edits() -> list[dict[str, Any]]:
    rows = [row(f"{s}.{n}", f"- {text}") for s, h in habits().items() for n, text in enumerate(h.content)]
    rows += [row(f"q.{n}", f"- {quirk['content']}") for n, quirk in enumerate(quirks())]
    pair = "references/rare.md"
    rows.append(row("f.1", "# Rare\n\n- Text.", op="create", file=pair, target=""))
    rows.append(row("f.2", f"- Rare: see [{pair}]({pair})."))
    rows.append(row("d.1", "", op="delete_section"))
    return rows


def lines(rows: list[dict[str, Any]]) -> str:
    return "\n".join(json.dumps(r) for r in rows)


def as_edits(rows: list[dict[str, Any]]) -> list[Edit]:
    return [Edit(**{key: value for key, value in r.items() if key != "support"}) for r in rows]


def test_the_merger_accounts_for_every_id_at_last() -> None:
    rows = edits()
    forgot = 0
    for seed in range(40):
        messages: list[ChatMessage] = [ChatMessageUser(content=f"{NUMBERED}\n<edits>\n{lines(rows)}\n</edits>")]
        answer = merge(messages, SCALES["small"], str(seed))
        first = MergeResult.model_validate_json(answer.text)
        if account(as_edits(rows), first):
            forgot += 1
            messages += [answer, ChatMessageUser(content="That output cannot be used:\n- an id is missing")]
            repaired = MergeResult.model_validate_json(merge(messages, SCALES["small"], str(seed)).text)
            assert account(as_edits(rows), repaired) == []
    assert 0 < forgot < 15


def test_edits_on_one_habit_become_one_and_contradictions_go() -> None:
    rows = edits()
    question: list[ChatMessage] = [ChatMessageUser(content=f"<edits>\n{lines(rows)}\n</edits>")]
    result = MergeResult.model_validate_json(merge(question, SCALES["large"], "2").text)
    by_ids = {tuple(sorted(edit.ids)) for edit in result.edits}
    for slug, habit in habits().items():
        assert tuple(f"{slug}.{n}" for n in range(len(habit.content))) in by_ids
    wrong = {f"q.{n}" for n, quirk in enumerate(quirks()) if quirk["title"] in ("Dates for exchange", "Quick saving")}
    assert wrong <= {drop.id for drop in result.dropped}


def test_the_resolver_moves_additions_and_drops_the_rest() -> None:
    kept = [row("k.1", f"- {habits()['dates'].content[0]}")]
    conflicting = [
        row("c.1", f"- {habits()['dates'].content[1]}", op="insert_after", target="- Delete rows bottom-up."),
        row("c.2", f"- {habits()['sheet'].content[0]}", op="insert_after", target="- Delete rows bottom-up."),
        row("c.3", "", op="delete_section"),
    ]
    text = f"{NUMBERED}\n<kept>\n{lines(kept)}\n</kept>\n<conflicting>\n{lines(conflicting)}\n</conflicting>"
    result = MergeResult.model_validate_json(resolve([ChatMessageUser(content=text)], SCALES["large"], "1").text)
    assert account(as_edits(conflicting), result) == []
    assert [(edit.ids, edit.op, edit.target) for edit in result.edits] == [(["c.2"], "append_to_section", "## Tips")]


def test_lessons_become_edits_unless_the_skill_says_them() -> None:
    lessons = [
        {"title": "t", "description": "d", "content": habits()[slug].content[0]}
        for slug in ("recalculate", "bottom_up")
    ]
    question = f"{SKILL}\n<lessons>\n{lines(lessons)}\n</lessons>\n<outline>\n{OUTLINE}\n</outline>"
    targets = set()
    for seed in range(30):
        answer = propose_edits([ChatMessageUser(content=question)], SCALES["small"], str(seed))
        (edit,) = ProposedPatch.model_validate_json(answer.text).edits
        assert "cached value" in edit.content
        targets.add((edit.op, edit.target))
    assert ("append_to_section", "## Formulas") in targets
    assert ("append_to_section", "## Dates") not in targets
