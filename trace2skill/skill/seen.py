"""What a skill has seen: the samples that it was made from, and their pages or tables.

`seen.json` lies beside what a run made. A comparison on samples that a skill has seen is no test of it.
"""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from trace2skill.errors import SkillError
from trace2skill.files import STORED, read_model
from trace2skill.foreign import ForeignError, json_value, read

SEEN, LEDGER, CONTROL = "seen.json", "ledger.jsonl", "control.json"

_RUN = re.compile(r"#\d+$")
_HOPS = 8  # a control of a control, a skill evolved from an evolved one


class Exposure(BaseModel):
    """Samples of one task that a skill was made from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: str
    """Name of the task, without the package that registered it; empty where nobody knows."""
    dataset: str
    """Name of its dataset; likewise."""
    split: str
    """The split that was run; empty where the logs do not say."""
    samples: tuple[str, ...]
    """Sample ids, sorted."""
    groups: dict[str, tuple[str, ...]]
    """For the metadata field by which the task groups its samples, such as page or table: the values seen, sorted."""


class Seen(BaseModel):
    """Everything that a skill was made from, the skill that it began with included."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = 1
    """Version of this file's form."""
    exposures: tuple[Exposure, ...]
    """One for each task and dataset."""


def find_seen(path: Path) -> Seen | None:
    """What the skill or bank at a path has seen, by the records beside it.

    Args:
        path: A run folder, or the skill's or bank's folder in one, or that of a control.

    Returns:
        None where no record says; an older run's ledger tells the ids alone.

    Raises:
        SkillError: A record is there and cannot be read.
    """
    return _find(path, _HOPS)


def join_exposures(exposures: Iterable[Exposure]) -> Seen:
    """Exposures as one record, those of one task and dataset together."""
    found: dict[tuple[str, str], list[Exposure]] = {}
    for exposure in exposures:
        found.setdefault((exposure.task, exposure.dataset), []).append(exposure)
    return Seen(
        exposures=tuple(
            Exposure(
                task=task,
                dataset=dataset,
                split=", ".join(sorted({row.split for row in rows} - {""})),
                samples=tuple(sorted({name for row in rows for name in row.samples})),
                groups={
                    field: tuple(sorted({value for row in rows for value in row.groups.get(field, ())}))
                    for field in sorted({field for row in rows for field in row.groups})
                },
            )
            for (task, dataset), rows in sorted(found.items())
        )
    )


def _find(path: Path, hops: int) -> Seen | None:
    folder = path.parent if path.is_file() else path
    for place in (folder, folder.parent):
        try:
            if (file := place / SEEN).is_file():
                return read_model(file, Seen)
            if hops and (file := place / CONTROL).is_file() and (source := _source(file, folder)):
                return _find(source, hops - 1)
            if (file := place / LEDGER).is_file():
                return _of_ledger(file)
        except (ForeignError, ValidationError, ValueError, OSError) as error:
            raise SkillError(
                f"{path}: what it has seen cannot be told ({str(error)[:300]}). Make it again, or compare with "
                "--allow-in-sample."
            ) from error
    return None


def _source(control: Path, folder: Path) -> Path | None:
    """The skill that a control was made from, if the folder is that control's."""
    record = json_value(read(control, STORED.bytes), control, STORED)
    if not isinstance(record, dict) or not isinstance(record.get("source"), str):
        raise ValueError(f"{control} names no source")
    own = folder in (control.parent, control.parent / str(record.get("skill", "")))
    source = Path(record["source"])
    found = next((at for at in (source, control.parent / source) if at.exists()), None)
    return found if own else None


def _of_ledger(file: Path) -> Seen:
    """The trajectories that an older run's ledger names, as samples of a task that it does not name."""
    samples: set[str] = set()
    for line in read(file, STORED.bytes).splitlines():
        row = json.loads(line) if line else {}
        named = [*row.get("support", ()), *([row["id"]] if row.get("kind") == "analysis" else [])]
        samples.update(_RUN.sub("", str(name)) for name in named)
    return join_exposures([Exposure(task="", dataset="", split="", samples=tuple(samples), groups={})])
