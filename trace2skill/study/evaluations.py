"""What a study has to show: one evaluation per benchmark, model and skill, and where its logs lie."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Mode = Literal["deepening", "creation"]
"""Where the evolution starts: from a human-written skill, or from one that the author drafts from what it knows."""

SplitName = Literal["evolve", "test"]

OfSeen = Literal["refuse", "leave-out", "keep"]
"""What a report does about tested samples that a skill has seen, or whose page or table it has seen: refuse to compare,
leave them out, or keep them with a stamp."""

Status = Literal["finished", "failed", "blocked", "not evaluated"]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """Where a published metric stands in the logs."""

    scorer: str
    """Name of the scorer."""
    key: str | None
    """Key of its value, where it is a mapping; none where the value is a number or a letter."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """A benchmark as one model does it under one condition."""

    key: str
    """Stable name of this row, such as `wikitq/122B/creation/error/35B/41`."""
    domain: str
    """Domain, such as spreadsheet."""
    benchmark: str
    """Name of the benchmark, which is the published one where there is one."""
    metrics: Mapping[str, Metric]
    """Published metric name -> where it stands in the logs."""
    split: SplitName
    """Split that is evaluated."""
    seen: OfSeen = "refuse"
    """What is done about samples that a skill has seen."""
    in_distribution: bool
    """Whether the skill was made from tasks of the same benchmark."""
    user: str
    """Scale label of the model that is evaluated."""
    author: str | None
    """Scale label of the model that made the skill."""
    mode: Mode | None
    """Where the evolution started."""
    condition: str
    """What the agent was given, such as no-skill, combined or reasoning-bank."""
    seed: int | None
    """Seed of the evolution."""
    status: Status
    """Whether there is a result."""
    why: str
    """Reason where it failed or is blocked; empty otherwise."""
    logs: tuple[Path, ...]
    """Finished log files."""
    artefact: Path | None
    """Folder of the run that made the skill or bank."""
