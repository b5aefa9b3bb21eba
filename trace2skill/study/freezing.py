"""What keeps a test split a test: comparisons that are frozen before it is opened, and every look at it counted."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from trace2skill.errors import StudyError
from trace2skill.files import read_model, write_atomic
from trace2skill.foreign import ForeignError, read
from trace2skill.study.declaration import Declaration, Primary
from trace2skill.study.store import Store

FROZEN, LOOKS = "frozen.json", "looks.jsonl"

_MAX_BYTES = 16 << 20


class Refrozen(BaseModel):
    """A change of the primary comparisons after a test split was opened."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    at: str
    """ISO time."""
    reason: str
    """Reason, as it was given."""
    before: tuple[Primary, ...]
    """The comparisons before."""


class Frozen(BaseModel):
    """The primary comparisons as they were when the first test split was opened."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = 1
    """Version of this form."""
    at: str
    """ISO time at which comparisons were frozen first, before a test split was opened."""
    digest: str
    """SHA-256 of the comparisons and of what they rest on."""
    primary: tuple[Primary, ...]
    """The comparisons."""
    meaning: dict[str, str]
    """What they rest on, such as models, benchmarks, seeds and settings: the digest of each, by what it is called."""
    refrozen: tuple[Refrozen, ...] = ()
    """Changes since, oldest first."""


class Look(BaseModel):
    """A look at test splits."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = 1
    """Version of this form."""
    at: str
    """ISO time."""
    what: str
    """What was looked at, and by what."""
    again: bool
    """Whether it came after the first one."""
    evaluations: dict[str, str] = {}
    """Digests of the cells that were evaluated, by the key of their row."""


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _sha256(value: object) -> str:
    return sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _digest(primary: Sequence[Primary], meaning: Mapping[str, str]) -> str:
    return _sha256([[row.model_dump(mode="json") for row in primary], dict(meaning)])


def read_frozen(runs: Path) -> Frozen | None:
    """What was frozen; none before a test split was opened.

    Raises:
        StudyError: The file was changed, is gone though a test split was opened, or cannot be read.
    """
    if not (runs / FROZEN).exists():
        if any(look.evaluations for look in read_looks(runs)):
            raise StudyError(
                f"{runs / FROZEN} is gone, though {LOOKS} says that a test split was opened. Restore it: it says what "
                "was declared beforehand."
            )
        return None
    try:
        frozen = read_model(runs / FROZEN, Frozen)
    except ValueError as error:
        raise StudyError(f"{error} Restore it: it says what was declared before the test split was opened.") from error
    if frozen.digest != _digest(frozen.primary, frozen.meaning):
        raise StudyError(f"{runs / FROZEN} was changed by hand. Restore it: it says what was declared beforehand.")
    return frozen


def check_frozen(runs: Path, declared: Declaration, refreeze: str | None = None) -> None:
    """Check that the primary comparisons are those that were frozen, or freeze others, with the reason.

    Raises:
        StudyError: They are others and no reason is given, or a reason is given and nothing is to be frozen anew.
    """
    frozen = read_frozen(runs)
    if frozen is None or not (changed := _changed(frozen, declared)):
        if refreeze:
            why = "nothing is frozen yet" if frozen is None else "the primary comparisons are those that were frozen"
            raise StudyError(f"--refreeze: {why}. Leave it out.")
        return
    if refreeze is None:
        raise StudyError(
            f"The primary comparisons are not those that were frozen on {frozen.at}, before a test split was opened "
            f"({changed}). Restore them in study.yaml, or say why they have to change: `study run` with "
            '--refreeze "REASON", which is kept and shown with every result.'
        )
    if not refreeze.strip():
        raise StudyError("--refreeze is empty. Say why the primary comparisons have to change.")
    change = Refrozen(at=_now(), reason=refreeze.strip(), before=frozen.primary)
    _write(runs, declared, (*frozen.refrozen, change), frozen.at)


def freeze(runs: Path, declared: Declaration) -> None:
    """Freeze the primary comparisons, unless they are."""
    if not (runs / FROZEN).exists():
        _write(runs, declared, (), _now())


def _write(runs: Path, declared: Declaration, changes: tuple[Refrozen, ...], at: str) -> None:
    meaning = _meaning(declared)
    frozen = Frozen(
        at=at,
        digest=_digest(declared.primary, meaning),
        primary=declared.primary,
        meaning=meaning,
        refrozen=changes,
    )
    write_atomic(runs / FROZEN, frozen.model_dump_json(indent=2) + "\n")


def _meaning(declared: Declaration) -> dict[str, str]:
    """The digest of all that the primary comparisons rest on, by what it is called.

    Where a model is served, how much it is asked at once and how often a failure is tried again are no part of it.
    """
    if not declared.primary:
        return {}
    found: dict[str, object] = {
        "the choice of seeds": (declared.seeds, declared.seed_agents, declared.selection),
        "the sampling of agents": declared.generation.model_dump(mode="json", exclude={"max_connections"}),
        "the set of limits": declared.limits.model_dump(mode="json", exclude={"retries"}),
        "the making of skills": (declared.reuse_analyses, dict(declared.evolution)),
    }
    for row in declared.primary:
        found[f"benchmark '{row.benchmark}'"] = declared.benchmarks[row.benchmark].model_dump(
            mode="json", exclude={"evolve", "evolve_samples", "sizes"}
        )
        for name in filter(None, (row.user, row.author)):
            found[f"model '{name}'"] = declared.models[name].model_dump(
                mode="json", include={"model", "args", "profile"}
            )
        for arms in declared.arms:
            domain = declared.domains[arms.domain]
            if row.benchmark not in (arms.test_on or domain.test_on):
                continue
            on = declared.benchmarks[domain.evolve_on]
            found[f"domain '{arms.domain}'"] = (
                domain.model_dump(mode="json", exclude={"test_on"}),
                on.evolve,
                on.evolve_samples,
            )
            for name in {row.condition, row.against} & set(arms.conditions):
                if arms.of is not None:
                    found[f"condition '{name}'"] = arms.of
    return {name: _sha256(value) for name, value in found.items()}


def _changed(frozen: Frozen, declared: Declaration) -> str:
    """What is not as it was frozen; empty if all is."""
    old, new = {row.name: row for row in frozen.primary}, {row.name: row for row in declared.primary}
    said = [f"'{name}' is gone" for name in old if name not in new]
    said += [f"'{name}' is new" for name in new if name not in old]
    said += [f"'{name}' is another" for name in new if name in old and old[name] != new[name]]
    if not said and frozen.primary != declared.primary:
        said = ["their order is another"]
    now = _meaning(declared)
    said += [f"{name} is another" for name, digest in frozen.meaning.items() if now.get(name, digest) != digest]
    return ", ".join(said)


def read_looks(runs: Path) -> tuple[Look, ...]:
    """Every look at the test splits so far.

    Raises:
        StudyError: The file cannot be read.
    """
    path = runs / LOOKS
    if not path.exists():
        return ()
    try:
        return _looks(read(path, _MAX_BYTES).decode("utf-8"), path)
    except (ForeignError, UnicodeDecodeError) as error:
        raise StudyError(
            f"{path} cannot be read: {error}. Restore it: it counts the looks at the test split."
        ) from error


def _looks(text: str, place: object) -> tuple[Look, ...]:
    try:
        return tuple(Look.model_validate_json(line) for line in text.splitlines() if line.strip())
    except ValidationError as error:
        raise StudyError(
            f"The looks in {place} cannot be read: a line is none. Restore the file: it counts the looks at the test "
            "split."
        ) from error


def add_look(runs: Path, what: str, evaluations: Mapping[str, str] | None = None) -> Look:
    """Count a look at test splits.

    Args:
        runs: The runs folder.
        what: What was looked at, and by what.
        evaluations: Digests of evaluated cells by the key of their row.
    """
    before = read_looks(runs)
    look = Look(at=_now(), what=what, again=bool(before), evaluations=dict(evaluations or {}))
    rows = [*before, look]
    write_atomic(runs / LOOKS, "".join(row.model_dump_json() + "\n" for row in rows))
    return look


def share_record(runs: Path, store: Store, declared: Declaration) -> None:
    """Have a runs folder and its store tell the same: what was frozen, and every look.

    Raises:
        StudyError: They were frozen with different comparisons, or the store's are not those declared here.
    """
    here, there = (runs / FROZEN), store.read(FROZEN)
    if there is not None and not here.exists():
        _check_theirs(there, store, declared)
        write_atomic(here, there)
    elif there is not None and _parsed(there, store).digest != _parsed(here.read_text(), store).digest:
        raise StudyError(
            f"{here} and the store {store.address} were frozen with different comparisons. They are of two studies, or "
            "one was changed since: name the store of this one, or delete the one that does not count."
        )
    elif there is None and here.exists():
        store.write(FROZEN, here.read_text())
    looks = {row.model_dump_json(): row for row in [*_looks(store.read(LOOKS) or "", store.address), *read_looks(runs)]}
    rows = sorted(looks.values(), key=lambda row: row.at)
    text = "".join(f"{row.model_dump_json()}\n" for row in rows)
    if text:
        write_atomic(runs / LOOKS, text)
        store.write(LOOKS, text)


def _parsed(text: str, store: Store) -> Frozen:
    try:
        return Frozen.model_validate_json(text)
    except ValidationError as error:
        raise StudyError(f"{FROZEN} in {store.address}, or here, cannot be read. Restore it.") from error


def _check_theirs(text: str, store: Store, declared: Declaration) -> None:
    if changed := _changed(_parsed(text, store), declared):
        raise StudyError(
            f"The store {store.address} was frozen with other comparisons ({changed}): it is another study's, or this "
            "one was changed since. Name the store of this study, or restore the declaration."
        )


def note_evaluations(runs: Path, wanted: Mapping[str, str]) -> None:
    """Count what a run is about to evaluate on test splits, where that is new; resuming is no new look.

    Args:
        runs: The runs folder.
        wanted: Digests of the cells to be run, by the key of their row.
    """
    seen: dict[str, set[str]] = {}
    for look in read_looks(runs):
        for key, digest in look.evaluations.items():
            seen.setdefault(key, set()).add(digest)
    new = {key: digest for key, digest in wanted.items() if digest not in seen.get(key, set())}
    if not new:
        return
    other = sum(key in seen for key in new)
    what = f"run: {len(new)} evaluations" + (f", {other} of them again with other settings" if other else "")
    add_look(runs, what, new)
