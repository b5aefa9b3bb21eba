"""The simulated merger and resolver: they read the edits in their prompt and account for every id."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from inspect_ai.model import ChatMessage, ChatMessageAssistant
from rapidfuzz import fuzz

from trace2skill.simulation import replies
from trace2skill.simulation.chance import Dice, digest
from trace2skill.simulation.editing import SKILL_MD, fitting_section
from trace2skill.simulation.habits import habits
from trace2skill.simulation.lessons import contradicts, domain_of, main_habit
from trace2skill.simulation.scales import Scale

Row = dict[str, Any]

SIMILAR = 80.0
"""Similarity (rapidfuzz token_set_ratio) from which two unrecognised edits are taken to say the same."""

WRITTEN = ("op", "file", "target", "old", "content", "rationale")
ADDITIONS = ("append_to_section", "insert_after", "insert_before", "add_section")

_BLOCK = r"<{0}>\n(.*?)\n?</{0}>"
_LINK = re.compile(r"\breferences/[\w.-]+\.md\b")
_HEADING = re.compile(r"^\s*\d+ (##+ .*)$", re.MULTILINE)


def merge(messages: Sequence[ChatMessage], scale: Scale, seed: str) -> ChatMessageAssistant:
    """The merger's answer: edits on the same habit become one, contradictions and some one-offs are dropped."""
    question = _question(messages, "<edits>")
    rows = _rows(question, "edits")
    dice = _dice("merger", rows, scale, seed)
    groups = group_edits(rows)
    taught = {name: _support(members) for (kind, name), members in groups.items() if kind == "habit"}
    denied = {name: _support(members) for (kind, name), members in groups.items() if kind == "against"}
    edits, dropped = [], []
    for (kind, name), members in groups.items():
        against = taught.get(name, 0) if kind == "against" else denied.get(name, 0) if kind == "habit" else 0
        # Of two sides with equal support the habit stays.
        if against > _support(members) or (against == _support(members) and kind == "against"):
            dropped += [_drop(row, "It contradicts a better supported edit.") for row in members]
        elif (
            kind in ("other", "pair", "against")
            and _support(members) < 2
            and dice.happens(scale.prunes, "prunes", name)
        ):
            dropped += [_drop(row, "It rests on a single run and is specific to it.") for row in members]
        elif kind == "pair":
            edits += _merge_pair(members)
        else:
            edits.append(_merged(members))
    answer = {
        "reasoning": f"{len(rows)} edits express {len(edits)} distinct points; {len(dropped)} were left out.",
        "edits": edits,
        "dropped": dropped,
    }
    return _answer(answer, messages, scale, dice)


def resolve(messages: Sequence[ChatMessage], scale: Scale, seed: str) -> ChatMessageAssistant:
    """The resolver's answer: additions move to the end of a section, what cannot move is dropped."""
    question = _question(messages, "<conflicting>")
    domain = domain_of(row["content"] for block in ("kept", "conflicting") for row in _rows(question, block))
    conflicting = _rows(question, "conflicting")
    kept = {main_habit(row["content"], domain) for row in _rows(question, "kept")} - {None}
    sections = _HEADING.findall(question)
    edits, dropped = [], []
    for row in conflicting:
        slug = main_habit(row["content"], domain)
        section = fitting_section(habits(domain).get(slug or ""), sections) or (sections[-1] if sections else None)
        if slug in kept:
            dropped.append(_drop(row, "A kept edit says the same."))
        elif row["op"] not in ADDITIONS or section is None or row["file"] != SKILL_MD:
            dropped.append(_drop(row, "It cannot stand beside the kept edits."))
        else:
            body = re.sub(r"\A#+ .*\n+", "", row["content"])
            moved = {**row, "op": "append_to_section", "target": section, "old": "", "content": body}
            edits.append({"ids": [row["id"]], **_text(moved)})
    answer = {"reasoning": "Moved what could be moved.", "edits": edits, "dropped": dropped}
    return _answer(answer, messages, scale, _dice("resolver", conflicting, scale, seed))


def group_edits(rows: Sequence[Row]) -> dict[tuple[str, str], list[Row]]:
    """Edits by what they are about: a habit, against a habit, a reference file with its link, or something else."""
    groups: dict[tuple[str, str], list[Row]] = {}
    created = {row["file"] for row in rows if row["op"] == "create"}
    domain = domain_of(row["content"] for row in rows)
    for row in rows:
        groups.setdefault(_topic(row, created, groups, domain), []).append(row)
    return groups


def _topic(row: Row, created: set[str], groups: dict[tuple[str, str], list[Row]], domain: str) -> tuple[str, str]:
    link = _LINK.search(row["content"])
    if row["op"] == "create":
        return "pair", row["file"]
    if link and link.group() in created:
        return "pair", link.group()
    if row["op"] not in ADDITIONS:
        return "change", row["id"]
    if denied := contradicts(row["content"], domain):
        return "against", min(denied)
    slug = main_habit(row["content"], domain)
    if slug:
        return "habit", slug
    for key, members in groups.items():
        if key[0] == "other" and fuzz.token_set_ratio(members[0]["content"], row["content"]) >= SIMILAR:
            return key
    return "other", row["id"]


def _merged(members: list[Row]) -> Row:
    """One edit for all: the place that most agree on, the wording that most agree on, else the longest."""
    places: Counter[tuple[str, str, str]] = Counter()
    wordings: Counter[str] = Counter()
    for row in members:
        places[row["op"], row["file"], row["target"]] += row["support"]
        wordings[row["content"]] += row["support"]
    place = max(places, key=lambda p: (p[0] == "append_to_section", places[p], p))
    there = [row for row in members if (row["op"], row["file"], row["target"]) == place]
    content = max((row["content"] for row in there), key=lambda text: (wordings[text], len(text), text))
    chosen = next(row for row in there if row["content"] == content)
    return {"ids": [row["id"] for row in members], **_text(chosen)}


def _merge_pair(members: list[Row]) -> list[Row]:
    """A reference file and its link, one edit each, however many proposed them."""
    files = [row for row in members if row["op"] == "create"]
    links = [row for row in members if row["op"] != "create"]
    return [_merged(rows) for rows in (files, links) if rows]


def _support(members: list[Row]) -> int:
    return max(row["support"] for row in members) if _is_pair(members) else sum(row["support"] for row in members)


def _is_pair(members: list[Row]) -> bool:
    return any(row["op"] == "create" for row in members)


def _answer(answer: Row, messages: Sequence[ChatMessage], scale: Scale, dice: Dice) -> ChatMessageAssistant:
    """The answer; by chance it forgets an id the first time, until it is told."""
    first = not replies.turns(messages)
    if first and answer["edits"] and dice.happens(scale.malforms, "forgets"):
        head, *rest = answer["edits"]
        shorter = [{**head, "ids": head["ids"][1:]}] if len(head["ids"]) > 1 else []
        answer = {**answer, "edits": [*shorter, *rest]}
    return replies.structured(answer)


def _question(messages: Sequence[ChatMessage], block: str) -> str:
    return next(m.text for m in reversed(messages) if m.role == "user" and block in m.text)


def _rows(question: str, block: str) -> list[Row]:
    """The edits of a block, in the order of their ids."""
    found = re.findall(_BLOCK.format(block), question, re.DOTALL)
    rows: list[Row] = [json.loads(line) for line in (found[-1] if found else "").splitlines() if line.strip()]
    return sorted(rows, key=lambda row: str(row["id"]))


def _dice(role: str, rows: Sequence[Row], scale: Scale, seed: str) -> Dice:
    return Dice(seed=seed, scale=scale.name, role=role, case=digest("\n".join(sorted(row["id"] for row in rows))))


def _text(row: Row) -> Row:
    return {field: row.get(field, "") for field in WRITTEN}


def _drop(row: Row, reason: str) -> Row:
    return {"id": row["id"], "reason": f"{replies.STAMP} {reason}"}
