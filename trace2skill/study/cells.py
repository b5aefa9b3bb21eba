"""A cell: one thing that a study runs, named by the digest of everything that defines it."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

Kind = Literal["draft", "rollout", "evolve", "select", "control", "evaluate"]
"""draft: a parametric skill. rollout: an author plays the evolve split. evolve: logs become a skill or a bank. select:
the best of several seeds. control: a control of an evolved skill. evaluate: a user plays a split."""

ORDER: tuple[Kind, ...] = ("draft", "rollout", "evolve", "select", "control", "evaluate")
"""What is begun first where several may begin: others wait for it."""

RESULT, FAILURE, OUTPUT = "cell.json", "failure.json", "output.txt"
"""Files of a cell's folder: it is finished; why it is not; what it printed."""

LOGS = "logs"
"""Log folder of a cell that plays a split."""

_DIGITS = 16
_LONGEST = 150


class Job(BaseModel):
    """All that a process needs to run a cell, wherever it is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Kind
    """What is to be done."""
    slug: str
    """Readable name."""
    digest: str
    """Digest of the cell."""
    folder: str
    """Its folder, absolute."""
    definition: dict[str, Any]
    """What defines it."""
    places: dict[str, Any]
    """Addresses and paths, which do not."""
    needs: dict[str, str]
    """Folders of the cells that it depends on, by the part that they play."""
    tags: tuple[str, ...] = ()
    """Tags of its logs."""
    store: str = ""
    """Address at which cells' folders are kept besides; empty where they are not."""


class Result(BaseModel):
    """A finished cell, as it is kept in its folder."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = 1
    """Version of this form."""
    kind: Kind
    """What was done."""
    slug: str
    """Readable name."""
    digest: str
    """Digest of the cell."""
    definition: dict[str, Any]
    """What defines it."""
    needs: dict[str, str]
    """Digests of the cells that it was made from."""
    logs: tuple[str, ...] = ()
    """Finished log files of a cell that plays a split, relative to its folder."""
    artefact: str = ""
    """The skill's or bank's folder, relative to the cell's; empty where it made none."""
    note: str = ""
    """What a reader should know."""
    samples: int = 0
    """Runs of samples, or trajectories."""
    calls: int = 0
    """Model calls that were answered, as far as they are known."""
    input_tokens: int = 0
    """Tokens read."""
    output_tokens: int = 0
    """Tokens generated."""
    seconds: float = 0.0
    """Wall time of the attempt that finished it."""
    started: str = ""
    """ISO time of its start."""
    versions: dict[str, str] = {}
    """Versions of this package and of Inspect."""


class Failure(BaseModel):
    """Why a cell is not finished."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = 1
    """Version of this form."""
    digest: str
    """Digest of the cell."""
    why: str
    """Reason."""
    at: str
    """ISO time."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Cell:
    """One thing to run."""

    kind: Kind
    slug: str
    """Readable name."""
    definition: Mapping[str, Any]
    """What defines it, as JSON values."""
    needs: Mapping[str, "Cell"] = field(default_factory=dict)
    """Cells that it depends on, by the part that they play."""
    places: Mapping[str, Any] = field(default_factory=dict)
    """Addresses and paths; where it runs defines nothing."""
    model: str = ""
    """Scale label of the model that it asks; empty where it asks none."""
    test: bool = False
    """Whether it opens a test split."""

    @cached_property
    def digest(self) -> str:
        """Digest of everything that defines it, in hexadecimal."""
        needs = {part: cell.digest for part, cell in self.needs.items()}
        said = json.dumps([self.kind, self.definition, needs], sort_keys=True)
        return sha256(said.encode()).hexdigest()[:_DIGITS]

    @property
    def name(self) -> str:
        """Name of its folder."""
        return f"{self.kind}-{self.slug}-{self.digest[:8]}"

    def job(self, runs: Path, tags: tuple[str, ...] = (), store: str = "") -> Job:
        """The cell for a process."""
        return Job(
            kind=self.kind,
            slug=self.slug,
            digest=self.digest,
            folder=str(runs / self.name),
            definition=dict(self.definition),
            places=dict(self.places),
            needs={part: str(runs / cell.name) for part, cell in self.needs.items()},
            tags=tags,
            store=store,
        )


def slug(*parts: object) -> str:
    """A readable name of parts, for a folder; of very long ones the beginning."""
    joined = "-".join(str(part) for part in parts if part not in (None, ""))
    return re.sub(r"[^A-Za-z0-9.]+", "-", joined).strip("-.")[:_LONGEST].rstrip("-.")
