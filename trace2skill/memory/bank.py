"""The folder of a memory bank: read within limits, checked, written whole.

<bank>/
  card.json       what it was made from, by whom, and how its queries are embedded
  records.jsonl   one past task in each line, with its items
  vectors.f32     the embedded queries: rows of little-endian 32-bit floats; none where the embedder has no vectors

There is no time in it: the same inputs give the same bytes.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from trace2skill.errors import BankError
from trace2skill.files import STORED, write_folder
from trace2skill.foreign import Cap, ForeignError, beyond, json_value, read

CARD, RECORDS, VECTORS = "card.json", "records.jsonl", "vectors.f32"
BANK = "bank"
"""Name of the bank's folder in a run folder."""

MAX_RECORDS_BYTES = 256 << 20
"""The records may take this: four thousand raw trajectories of 16,000 tokens."""
MAX_RECORDS = 100_000
"""A bank may hold so many past tasks."""
MAX_DIMENSION = 65_536
"""Numbers that a vector may have."""
MAX_VECTORS_BYTES = 1 << 30
"""The vectors may take this: 65,000 of 4,096 numbers."""

_RECORD = Cap(bytes=32 << 20, values=100_000)

Vectors = NDArray[np.float32]
"""Embedded queries, one in each row."""
Stored = TypeVar("Stored", bound=BaseModel)


class Item(BaseModel):
    """One thing to remember of a past task."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str
    """A few words that name it."""
    description: str
    """When it applies."""
    content: str
    """What to do."""


class PastTask(BaseModel):
    """A past run of a task, and what is kept of it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    """Id of the trajectory."""
    sample: str
    """Id of the sample that it is a run of."""
    task: str
    """What the test cases of one task have in common; else the sample's id."""
    query: str
    """What the agent was asked: this is embedded."""
    document: str = ""
    """Name of the page that it was asked about, where there is one: equal questions about two pages are two tasks."""
    status: Literal["success", "failure"]
    """How it ended, as the bank's judge saw it."""
    items: tuple[Item, ...] = ()
    """What was induced from it."""
    trajectory: str = ""
    """The run itself, where it is kept raw."""


class Card(BaseModel):
    """What a bank was made from, and how."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = 1
    """Version of this card's form."""
    method: str
    """The method that made it."""
    embedder: str
    """What its queries are embedded with: `bm25`, `openai:MODEL` or `st:NAME`. Never where that is found."""
    dimension: int = Field(ge=0, le=MAX_DIMENSION)
    """Numbers in a vector; 0 where the embedder has none."""
    records: int = Field(ge=0)
    """Number of past tasks."""
    records_digest: str
    """SHA-256 of the records."""
    vectors_digest: str
    """SHA-256 of the vectors; empty where there are none."""
    authors: dict[str, str]
    """The models that wrote the items, by part; empty where none did."""
    agents: tuple[str, ...]
    """The models whose runs these are."""
    judge: str
    """Who told successes from failures: `scorer`, or `model`."""
    stream: bool = False
    """Whether it was made online: the tasks were played one after another, each with what was kept of those before it.
    False in cards of before it was said."""
    logs: tuple[tuple[str, str], ...]
    """Name and SHA-256 of each log."""
    task: str
    """The logged task, without the package that registered it."""
    dataset: str
    """Name of its dataset."""
    split: str
    """The split that was run; empty where the logs do not say."""
    simulated: str
    """The warning that a stand-in model took part; empty otherwise."""


@dataclass(frozen=True, kw_only=True)
class Bank:
    """A bank as it was at one moment."""

    folder: Path
    """Where it lies."""
    card: Card
    records: tuple[PastTask, ...]
    vectors: Vectors | None
    """The embedded queries, one row for each record; None where the embedder has no vectors."""


def save_bank(
    folder: Path, records: Sequence[PastTask], vectors: Vectors | None, *, overwrite: bool = False, **card: Any
) -> Card:
    """Write a bank.

    Args:
        folder: Where to.
        records: The past tasks, in the order in which they are to stand.
        vectors: Their embedded queries, or None.
        overwrite: Whether a bank there may be replaced.
        **card: The fields of the card that do not follow from these.

    Returns:
        Its card.
    """
    lines = "".join(f"{_line(row)}\n" for row in records).encode()
    numbers = b"" if vectors is None else vectors.astype("<f4").tobytes()
    made = Card(
        records=len(records),
        records_digest=sha256(lines).hexdigest(),
        vectors_digest="" if vectors is None else sha256(numbers).hexdigest(),
        dimension=0 if vectors is None else vectors.shape[1],
        **card,
    )
    files = {CARD: f"{made.model_dump_json(indent=2)}\n".encode(), RECORDS: lines}
    write_folder(folder, files if vectors is None else {**files, VECTORS: numbers}, overwrite=overwrite)
    return made


def find_bank_folder(path: Path) -> Path:
    """The folder of a bank, given it or the run folder that it was made in.

    Raises:
        BankError: There is no bank at the path.
    """
    if not path.is_dir():
        found = "it is a file" if path.exists() else "it does not exist"
        raise BankError(f"memory={path}: a memory bank, or the run folder of one, was expected; {found}.")
    for folder in (path, path / BANK):
        if (folder / CARD).is_file():
            return folder
    hint = " It is a skill: give it as -T skill=." if (path / "SKILL.md").is_file() else ""
    raise BankError(
        f"memory={path} is no memory bank: it has no {CARD}, nor a folder {BANK} with one.{hint} "
        "Make one with `trace2skill evolve LOGS --method reasoning-bank --output RUN`, and name RUN."
    )


def load_bank(folder: Path) -> Bank:
    """Read a bank. It may come from anybody: nothing in it is run, and it names no place that would be opened.

    Raises:
        BankError: It cannot be read, is empty, too large, or not as its card says.
    """
    try:
        card = _card(folder / CARD)
        data = read(folder / RECORDS, MAX_RECORDS_BYTES)
        if sha256(data).hexdigest() != card.records_digest:
            raise BankError(f"{folder / RECORDS} is not what the bank's card says: it was changed. {_ANEW}")
        records = _records(data, folder / RECORDS)
        vectors = _vectors(folder / VECTORS, card, len(records)) if card.dimension else None
    except ForeignError as error:
        raise BankError(f"{error} {_ANEW}") from error
    if card.records != len(records):
        raise BankError(f"{folder}: the card says {card.records} past tasks, and there are {len(records)}. {_ANEW}")
    if not records:
        raise BankError(
            f"{folder} is empty: nothing of any trajectory was kept, for the reasons in its run's ledger.jsonl. Make a "
            "bank of other logs, or leave memory out."
        )
    return Bank(folder=folder, card=card, records=records, vectors=vectors)


_ANEW = "Make the bank anew."


def _line(row: PastTask) -> str:
    """A record as it stands in the file; one without a page reads as before there were pages."""
    kept = row.model_dump(mode="json", exclude=None if row.document else {"document"})
    return json.dumps(kept, ensure_ascii=False)


def _card(path: Path) -> Card:
    data = read(path, STORED.bytes)
    json_value(data, path, STORED)
    return _valid(Card, data, path)


def _records(data: bytes, path: Path) -> tuple[PastTask, ...]:
    lines = data.split(b"\n", MAX_RECORDS + 1)
    if len(lines) > MAX_RECORDS + 1:
        raise beyond(path, "past tasks", MAX_RECORDS)
    records: list[PastTask] = []
    for number, line in enumerate(lines, start=1):
        if line:
            json_value(line, where := f"{path}, line {number}", _RECORD)
            records.append(_valid(PastTask, line, where))
    return tuple(records)


def _valid(model: type[Stored], data: bytes, where: Path | str) -> Stored:
    try:
        return model.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        raise BankError(f"{where} cannot be read: {f'{name}: ' if name else ''}{first['msg']}. {_ANEW}") from error


def _vectors(path: Path, card: Card, rows: int) -> Vectors:
    data = read(path, MAX_VECTORS_BYTES)
    expected = rows * card.dimension * 4
    if len(data) != expected:
        raise BankError(
            f"{path} holds {len(data):,} bytes; {rows} vectors of {card.dimension} numbers, as the bank's card has it, "
            f"take {expected:,}. {_ANEW}"
        )
    if sha256(data).hexdigest() != card.vectors_digest:
        raise BankError(f"{path} is not what the bank's card says: it was changed. {_ANEW}")
    vectors = np.frombuffer(data, dtype="<f4").reshape(rows, card.dimension).astype(np.float32)
    if not np.isfinite(vectors).all():
        raise BankError(f"{path} holds numbers that are none (NaN or infinite). {_ANEW}")
    return vectors
