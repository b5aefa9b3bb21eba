"""The folder of an evolution run: what it records, when it can be resumed, and how it is written.

<run>/
  run.json          resolved settings and digests of the inputs; written first, a resumed run must match it
  logs/             one log folder per stage
  <skill>/          the evolved skill, clean, ready to be copied into any agent; of a method that makes a memory
                    bank, bank/ instead, and no provenance.json, changes.diff and CHANGELOG.md; where it was made
                    online, stream.jsonl with how each task was played
  ledger.jsonl      the fate of every edit
  provenance.json   the edit and the trajectories behind every line
  changes.diff      initial skill -> evolved skill
  CHANGELOG.md      the applied edits, best supported first
  seen.json         the samples that it was made from
  manifest.json     written last: the run is finished
"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, create_model

from trace2skill.consolidation.assembly import Assembled
from trace2skill.consolidation.ledger import LedgerRow, write_ledger
from trace2skill.edits.provenance import Provenance
from trace2skill.errors import Trace2SkillError
from trace2skill.evolution.configuration import EvolveConfig
from trace2skill.evolution.stages import StageUsage
from trace2skill.files import HeldError, Stored, held, read_model, write_atomic
from trace2skill.models.sampling import Profile
from trace2skill.models.simulated import NOTICE, is_simulated
from trace2skill.skill.diff import diff_skills
from trace2skill.skill.folder import save_skill
from trace2skill.skill.hazards import hazards_of

_SHOWN_VALUES = 60
_CALLED = {
    "config.model_args": "-M",
    "config.model_roles": "--model-role",
    "config.replays": "--verify",
    "config.task_args": "-T",
    "initial_digest": "content of the skill",
    "initial_skill": "skill",
    "inputs": "logs or patches",
}
"""What a user calls the settings that have no option of their name, and the inputs."""

RUN, MANIFEST, LEDGER = "run.json", "manifest.json", "ledger.jsonl"


class Reused(BaseModel):
    """The run whose analyses are used again."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seal: str
    """Digest of its record."""
    models: dict[str, str]
    """Its models."""


class Record(BaseModel):
    """What determines a run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = 1
    """Version of this record's form."""
    config: EvolveConfig
    """The resolved settings."""
    models: dict[str, str]
    """The run's model under `model`, and those of single roles; empty if none is needed."""
    agent_models: tuple[str, ...]
    """The models that produced the logs."""
    initial_skill: str
    """Name of the skill at the start."""
    initial_digest: str
    """Its digest."""
    inputs: tuple[tuple[str, str], ...]
    """Name and SHA-256 of each log and patch file, sorted."""
    prompts: dict[str, str]
    """SHA-256 of each prompt template."""
    profile: Profile | None = None
    """The resolved sampling profile, if there is one."""
    versions: dict[str, str]
    """Versions of this package and of Inspect."""
    reused: Reused | None = None
    """The run whose analyses are used again, if there is one."""


class Manifest(BaseModel):
    """The summary of a finished run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = 1
    """Version of this manifest's form."""
    skill: str
    """Folder of the evolved skill, relative to the run folder; empty if the run made a bank."""
    bank: str = ""
    """Folder of the memory bank, likewise; empty if the run evolved a skill."""
    digest: str
    """Digest of the evolved skill, or of the bank's card."""
    simulated: str
    """The warning that a stand-in model took part; empty otherwise."""
    record: Record
    """What determined the run."""
    trajectories: dict[str, int]
    """Numbers of successes, failures and excluded runs (by reason)."""
    edits: dict[str, int]
    """Fates of the proposed edits, merged ones counted as what they were merged into, or of the items of a bank; they
    sum up to `proposed`."""
    changes: int = 0
    """What the applied ones were merged into: the entries of CHANGELOG.md. Of a bank, its past tasks."""
    unmerged: int = 0
    """Merges whose answers could not be used, so that their inputs went on as they were."""
    analyses: dict[str, int]
    """Number of analyses without an edit, by reason."""
    notes: tuple[str, ...] = ()
    """What a reader of the results should know, such as a fallback to the single call."""
    stages: tuple[StageUsage, ...]
    """Cost of each stage."""

    @property
    def unchanged(self) -> str:
        """Why the skill is as it was, or the bank empty; else empty."""
        what = "item" if self.bank else "edit"
        if applied := self.edits.get("applied"):
            same = self.skill and self.digest == self.record.initial_digest
            return f"with the {applied} applied edits it says what it said" if same else ""
        if not self.edits.get("proposed"):
            common = max(self.analyses, key=lambda reason: self.analyses[reason], default="")
            why = f"; most often ({self.analyses[common]} times): {common[:300].rstrip('. ')}" if common else ""
            return f"none of {sum(self.trajectories.values())} trajectories led to an {what}{why}"
        fates = ", ".join(f"{count} {fate}" for fate, count in self.edits.items() if count and fate != "proposed")
        fate = "kept" if self.bank else "applied"
        return f"no proposed {what} was {fate} ({fates}); the ledger has the reasons"


def simulated(record: Record) -> str:
    """The warning that belongs on whatever comes out of this run; empty if no stand-in model took part."""
    reused = record.reused.models.values() if record.reused else ()
    return NOTICE if is_simulated((*record.models.values(), *record.agent_models, *reused)) else ""


def seal_of(record: BaseModel) -> str:
    """SHA-256 of a record, in hexadecimal. It is kept with it, so that a record that was changed by hand is noticed."""
    return sha256(json.dumps(record.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()


def read_record(folder: Path) -> Record:
    """The record of a run.

    Raises:
        Trace2SkillError: It cannot be read, or was changed after it was written.
    """
    return _read_sealed(folder / RUN, Record)


def begin(folder: Path, record: BaseModel, name: str = RUN) -> None:
    """Claim a folder for a run, or check that an interrupted run there is the same one.

    Args:
        folder: The folder.
        record: What determines the run.
        name: File that the record is kept in.

    Raises:
        Trace2SkillError: The folder holds another run, or something else, or cannot be made.
    """
    marker = folder / name
    if folder.exists() and not folder.is_dir():
        raise Trace2SkillError(f"{folder} is a file. A run needs a folder: choose another --output.")
    if not marker.exists():
        if folder.exists() and any(not path.name.startswith(f".{name}.") for path in folder.iterdir()):
            raise Trace2SkillError(f"{folder} is not empty and holds no evolution run. Choose another --output.")
        try:
            sealed = {**record.model_dump(mode="json"), "seal": seal_of(record)}
            write_atomic(marker, json.dumps(sealed, indent=2, ensure_ascii=False) + "\n")
        except OSError as error:
            raise Trace2SkillError(f"{folder} cannot be a run folder: {error}. Choose another --output.") from error
        return
    _same_run(_read_sealed(marker, type(record)), record, folder)


@contextmanager
def alone(folder: Path, name: str = RUN) -> Iterator[None]:
    """Keep a second process out of a run folder: it would pay for everything again.

    Raises:
        Trace2SkillError: Another process is at work there, or the folder cannot be written.
    """
    if folder.exists() and not folder.is_dir():
        raise Trace2SkillError(f"{folder} is a file. A run needs a folder: choose another --output.")
    with ExitStack() as stack:
        try:
            stack.enter_context(held(folder / f".{name}.lock"))
        except HeldError as error:
            raise Trace2SkillError(
                f"Another run is at work in {folder} ({error}). Wait for it, or choose another --output."
            ) from error
        except OSError as error:
            raise Trace2SkillError(f"{folder} cannot be a run folder: {error}. Choose another --output.") from error
        yield


def finished(folder: Path, record: Record) -> Manifest | None:
    """The manifest of a finished run of the same record, if the folder holds one.

    Raises:
        Trace2SkillError: The folder holds a finished run with other settings or inputs.
    """
    if not (folder / MANIFEST).exists():
        return None
    manifest = _read(folder / MANIFEST, Manifest)
    _same_run(manifest.record, record, folder)
    return manifest


def write_run(
    folder: Path,
    record: Record,
    assembled: Assembled,
    ledger: Sequence[LedgerRow],
    stages: Sequence[StageUsage],
    trajectories: dict[str, int],
    unmerged: int = 0,
    notes: Sequence[str] = (),
) -> Manifest:
    """Write the results of a run; the manifest comes last.

    Args:
        folder: Run folder.
        record: What determined the run.
        assembled: The evolved skill.
        ledger: The fate of every edit.
        stages: Cost of each stage.
        trajectories: Numbers of successes, failures and excluded runs.
        unmerged: Merges whose answers could not be used.
        notes: What a reader of the results should know.
    """
    stamp = simulated(record)
    save_skill(assembled.evolved, folder, overwrite=True)
    write_ledger(ledger, folder / LEDGER)
    write_atomic(folder / "provenance.json", assembled.provenance.model_dump_json(indent=1) + "\n")
    diff = diff_skills(assembled.initial, assembled.evolved).text
    flagged = sorted(set(hazards_of(assembled.evolved)) - set(hazards_of(assembled.initial)))
    head = [*([stamp] if stamp else []), *(f"flagged: {path} {hazard}" for path, hazard in flagged)]
    write_atomic(folder / "changes.diff", "".join(f"# {line}\n" for line in head) + diff)
    write_atomic(folder / "CHANGELOG.md", changelog(ledger, assembled.provenance, stamp))
    manifest = Manifest(
        skill=assembled.evolved.name,
        digest=assembled.evolved.digest,
        simulated=stamp,
        record=record,
        trajectories=trajectories,
        edits=assembled.totals,
        changes=len(applied_edits(ledger)),
        unmerged=unmerged,
        analyses=dict(Counter(row.reason for row in ledger if row.kind == "analysis")),
        notes=tuple(notes),
        stages=tuple(stages),
    )
    write_atomic(folder / MANIFEST, manifest.model_dump_json(indent=2) + "\n")
    return manifest


def applied_edits(ledger: Sequence[LedgerRow]) -> list[LedgerRow]:
    """The edits that were applied, best supported first."""
    applied = [row for row in ledger if row.fate == "applied" and row.kind == "edit"]
    return sorted(applied, key=lambda row: (-len(row.support), row.id))


def changelog(ledger: Sequence[LedgerRow], provenance: Provenance, stamp: str) -> str:
    """The applied edits as Markdown, best supported first."""
    applied = applied_edits(ledger)
    lines = ["# Changes", "", *([f"> {stamp}", ""] if stamp else [])]
    for row in applied:
        edit = provenance.edits[row.id]
        summary = " ".join(edit.content.split()) or edit.op
        lines.append(f"- **{len(row.support)} trajectories**, {row.file} ({row.id}): {summary}")
    return "\n".join([*lines, *([] if applied else ["No edit was applied."])]) + "\n"


def _same_run(found: BaseModel, wanted: BaseModel, folder: Path) -> None:
    before, now = found.model_dump(), wanted.model_dump()
    if "config" in before and "config" in now:
        settings = {f"config.{key}": value for key, value in now.pop("config").items()}
        before, now = {**{f"config.{k}": v for k, v in before.pop("config").items()}, **before}, {**settings, **now}
    # Whoever goes on after a server was too slow may wait longer.
    compared = [key for key in now if key != "config.timeout"]
    differing = [_difference(key, before.get(key), now[key]) for key in compared if before.get(key) != now[key]]
    if differing:
        raise Trace2SkillError(
            f"{folder} holds a run with other {', '.join(differing)}. To go on with it, give what it was started with; "
            "or choose another --output, or delete that folder."
        )


def _read_sealed(path: Path, model: type[Stored]) -> Stored:
    kind = create_model("Sealed", __base__=model, seal=(str, ...))
    sealed = _read(path, kind)
    record = model.model_validate(sealed.model_dump(exclude={"seal"}))
    if sealed.model_dump()["seal"] != seal_of(record):
        raise Trace2SkillError(
            f"{path} was changed after the run had begun: it no longer says how what lies beside it was made. Restore "
            "it, or choose another --output."
        )
    return record


def _difference(key: str, before: object, now: object) -> str:
    """What differs, by the option that says it, with both values where they are short."""
    name = _CALLED.get(key, f"--{key.removeprefix('config.').replace('_', '-')}" if "." in key else key)
    values = f"{before} there, {now} now"
    return f"{name} ({values})" if len(values) < _SHOWN_VALUES else name


def _read(path: Path, model: type[Stored]) -> Stored:
    try:
        return read_model(path, model)
    except ValueError as error:
        raise Trace2SkillError(f"{error} Choose another --output, or delete that folder.") from error
