"""Which edit, and which trajectories, are behind every line of an evolved skill.

`docs/provenance.md` explains the file, `docs/provenance.schema.json` is its JSON schema.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

from trace2skill.edits.patch import Edit
from trace2skill.errors import SkillError
from trace2skill.files import read_model
from trace2skill.skill.folder import find_skill_folder, load_skill

FILE = "provenance.json"

STAMP = "simulated"
"""Stands for an edit id at the line that marks a skill as simulated."""

MOVED = "moved"
"""Stands for an edit id at the lines that the engine writes when it moves text out of an over-long file."""


class Lines(BaseModel):
    """Consecutive lines with one origin."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    start: int
    """First line, from 1."""
    end: int
    """Last line, included."""
    edit: str = ""
    """Id of the edit that wrote them, a key of `edits`. Empty for lines of the initial skill. `simulated` marks the
    warning that a stand-in model took part, `moved` the headings and links that the engine wrote when it moved text out
    of a file that was too long."""


class Provenance(BaseModel):
    """The origin of every line of a skill."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    schema_version: Literal[1] = 1
    """Version of this file's form."""
    skill: str
    """Name of the skill."""
    digest: str
    """Digest of the skill that the line numbers refer to."""
    simulated: str
    """The warning that a stand-in model took part; empty otherwise."""
    files: dict[str, tuple[Lines, ...]]
    """For each text file its lines, without gaps."""
    edits: dict[str, Edit]
    """The applied edits by id, each with the trajectories that support it."""


class BlameLine(NamedTuple):
    """One line of a skill with its origin."""

    file: str
    number: int
    """From 1."""
    text: str
    edit: str
    """As in `Lines`."""
    support_count: int
    """Number of trajectories that support the edit; 0 for a line that no edit wrote."""
    support: tuple[str, ...]
    """Their ids, sorted."""


@dataclass(frozen=True, kw_only=True)
class BlameEdit:
    """An edit with the lines that it brought."""

    edit: str
    """Its id."""
    support_count: int
    """Number of trajectories that support it."""
    support: tuple[str, ...]
    """Their ids, sorted."""
    lines: tuple[BlameLine, ...]
    """In the order of the files; at least one."""


def line_ranges(origins: Sequence[str | None]) -> tuple[Lines, ...]:
    """Runs of equal origin: the edit id, or None for the initial skill, of each line in turn."""
    ranges, number = [], 1
    for edit, run in groupby(origins, key=lambda origin: origin or ""):
        length = len(list(run))
        ranges.append(Lines(start=number, end=number + length - 1, edit=edit))
        number += length
    return tuple(ranges)


def provenance_of(
    skill: str,
    digest: str,
    origins: Mapping[str, Sequence[str | None]],
    edits: Sequence[Edit],
    simulated: str,
) -> Provenance:
    """Assemble the provenance of a skill.

    Args:
        skill: Its name.
        digest: Its digest.
        origins: For each text file the edit id, or None, of each line in turn.
        edits: The applied edits.
        simulated: The warning that a stand-in model took part, or nothing.
    """
    return Provenance(
        skill=skill,
        digest=digest,
        simulated=simulated,
        files={path: line_ranges(lines) for path, lines in sorted(origins.items())},
        edits={edit.id: edit for edit in sorted(edits, key=lambda edit: edit.id)},
    )


def blame(path: Path) -> tuple[Provenance, tuple[BlameLine, ...]]:
    """Every line of an evolved skill with its edit and the trajectories that support it.

    Args:
        path: A run folder, or the skill's folder inside one, or its SKILL.md.

    Raises:
        SkillError: There is no provenance, it cannot be read, or the skill was changed since.
    """
    skill = load_skill(path)
    folders = (path, find_skill_folder(path).resolve().parent)
    found = next((folder / FILE for folder in folders if (folder / FILE).is_file()), None)
    if found is None:
        raise SkillError(
            f"{path}: no {FILE} here or above. Blame needs the run folder that `trace2skill evolve` wrote."
        )
    try:
        provenance = read_model(found, Provenance)
    except ValueError as error:
        raise SkillError(f"{error} Evolve the skill again.") from error
    if provenance.digest != skill.digest:
        raise SkillError(
            f"{path}: the skill was changed after it was evolved, so {found} no longer describes its lines."
        )
    return provenance, tuple(
        line
        for file, ranges in provenance.files.items()
        for line in _lines(file, ranges, skill.lines(file), provenance)
    )


def best_supported(lines: Sequence[BlameLine], number: int) -> tuple[BlameEdit, ...]:
    """The edits with the most support, the best supported first, then by id.

    Args:
        lines: What `blame` found.
        number: How many edits at most. Edits that brought no line, because they only delete, are not among them.
    """
    groups: defaultdict[str, list[BlameLine]] = defaultdict(list)
    for line in lines:
        if line.support:
            groups[line.edit].append(line)
    ranked = sorted(groups.items(), key=lambda item: (-item[1][0].support_count, item[0]))
    return tuple(
        BlameEdit(edit=edit, support_count=found[0].support_count, support=found[0].support, lines=tuple(found))
        for edit, found in ranked[:number]
    )


def schema() -> str:
    """The JSON schema of `provenance.json`, as text."""
    return json.dumps(Provenance.model_json_schema(mode="serialization"), indent=2, ensure_ascii=False) + "\n"


def _lines(file: str, ranges: Sequence[Lines], text: Sequence[str], provenance: Provenance) -> Iterator[BlameLine]:
    for lines in ranges:
        support = provenance.edits[lines.edit].support if lines.edit in provenance.edits else ()
        for number in range(lines.start, lines.end + 1):
            yield BlameLine(file, number, text[number - 1], lines.edit, len(support), support)
