"""The skills of a study line by line, what became of every edit, and what they were made with."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from trace2skill.edits.provenance import BlameLine, blame
from trace2skill.errors import Trace2SkillError
from trace2skill.evolution.folder import MANIFEST, Manifest
from trace2skill.files import read_model

LINES = 600
"""Lines of one skill in the page."""


class Block(NamedTuple):
    """Consecutive lines with one origin."""

    edit: str
    """The edit; empty for the initial skill."""
    support_count: int
    support: tuple[str, ...]
    lines: tuple[BlameLine, ...]


@dataclass(frozen=True, kw_only=True)
class SkillView:
    """What a run made."""

    anchor: str
    folder: Path
    used: tuple[str, ...]
    """Conditions that it was given to."""
    manifest: Manifest | None
    problem: str
    """Why there is no manifest or no blame; empty otherwise."""
    files: tuple[tuple[str, tuple[Block, ...]], ...]
    """Blocks of each text file."""
    left: int
    """Lines that are not shown."""

    @property
    def evolved(self) -> int:
        """Lines that an edit wrote."""
        return sum(len(block.lines) for _, blocks in self.files for block in blocks if block.support)


def skill_views(artefacts: Iterable[tuple[Path, tuple[str, ...]]]) -> tuple[SkillView, ...]:
    """Every run folder with its skill's lines and their support.

    Args:
        artefacts: Run folders, each with the conditions that its skill was given to.
    """
    return tuple(_view(f"s{number}", folder, used) for number, (folder, used) in enumerate(artefacts, 1))


def _view(anchor: str, folder: Path, used: tuple[str, ...]) -> SkillView:
    manifest, problem, lines = None, "", tuple[BlameLine, ...]()
    try:
        manifest = read_model(folder / MANIFEST, Manifest)
        if not manifest.bank:
            lines = blame(folder)[1]
    except (Trace2SkillError, OSError, ValueError) as error:
        problem = str(error)
    return SkillView(
        anchor=anchor,
        folder=folder,
        used=used,
        manifest=manifest,
        problem=problem,
        files=tuple((file, tuple(_blocks(of))) for file, of in groupby(lines[:LINES], key=lambda line: line.file)),
        left=max(len(lines) - LINES, 0),
    )


def _blocks(lines: Iterable[BlameLine]) -> Iterator[Block]:
    for (edit, count, support), group in groupby(lines, key=lambda line: (line.edit, line.support_count, line.support)):
        yield Block(edit, count, support, tuple(group))
