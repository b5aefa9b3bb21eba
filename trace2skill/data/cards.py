"""A benchmark's card: where its data comes from, under which licence, and what its files must contain.

A card is `tasks/<benchmark>/card.yaml`. Checksums of many files stand beside it in the format of `sha256sum`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from trace2skill.data.places import bundled
from trace2skill.data.sources import SHA256, Source
from trace2skill.errors import DataError
from trace2skill.foreign import MAX_YAML_BYTES, read, yaml_value

MAX_LIST_BYTES = 64 << 20
"""The checksums or the order beside a card may take this; those of a million files would."""


class _Stored(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Records(_Stored):
    """What the JSON lines of a file say, where their wording depends on the source."""

    fields: tuple[str, ...] = Field(min_length=1)
    """The fields that are the same in every source."""

    sha256: str = Field(pattern=SHA256)
    """SHA-256 of these fields of all lines in order: each line a JSON list, joined by line feeds."""


class Card(_Stored):
    """What is known of one benchmark's data."""

    name: str
    """Name of the benchmark."""

    description: str = ""
    """What it is, in a sentence or two."""

    paper: str | None = None
    """Address of the publication."""

    source: str = ""
    """Where the data comes from, in words."""

    licence: str
    """Licence or terms of the data."""

    folder: str
    """Its folder below the data folder."""

    sources: tuple[Source, ...] = ()
    """What to download, in order; none where the terms or a login keep a program from doing so."""

    obtain: str = ""
    """How a person gets the data, where no program can."""

    marker: str | None = None
    """A file that tells the benchmark's folder from the folders around it in a local copy."""

    files: Mapping[str, str] = {}
    """SHA-256 of files by their path in the folder."""

    records: Mapping[str, Records] = {}
    """For JSON lines whose wording depends on the source: what must be right where the SHA-256 is another."""

    order_file: str | None = None
    """File beside the card with the ids of all items in their official order, one a line."""

    order: tuple[str, ...] = ()
    """Those ids."""

    checksums: str | None = None
    """File beside the card with more checksums, in the format of `sha256sum`."""

    tasks: int | None = None
    """Number of items."""

    splits: Any = None
    """How the items are split, and by what rule."""

    defects: tuple[Any, ...] = ()
    """Known defects of the data."""

    unpassable: Any = None
    """Items that the official scorer does not pass even with the reference answer."""

    unchanged_passes: Any = None
    """Items that pass with an agent that does nothing."""

    never_fetched: str | None = None
    """What of the fetching has not been run against the real source."""

    @field_validator("folder")
    @classmethod
    def _one_folder(cls, folder: str) -> str:
        if folder in ("", ".", "..") or "/" in folder or folder.startswith("."):
            raise ValueError(f"'{folder}' must be the name of one visible folder")
        return folder

    @property
    def witness(self) -> str | None:
        """A file by which the benchmark's folder is known: the marker, else any file with a checksum."""
        paths = [source.path for source in self.sources if source.path]
        return self.marker or next(iter([*paths, *self.files]), None)


def benchmarks() -> list[str]:
    """Names of the benchmarks that have a card."""
    return sorted(card.parent.name for card in bundled("tasks").glob("*/card.yaml"))


def load_card(benchmark: str) -> Card:
    """Read the card of a benchmark, with the checksums beside it.

    Raises:
        DataError: There is no such benchmark, or its card is malformed.
    """
    if benchmark not in (known := benchmarks()):
        raise DataError(f"There is no benchmark '{benchmark}'. Those with a card are {', '.join(known) or 'none'}.")
    return read_card(bundled("tasks") / benchmark / "card.yaml")


def read_card(path: Path) -> Card:
    """Read a card file, with the checksums beside it.

    Raises:
        DataError: It is malformed; the message names the file and the first problem.
    """
    try:
        card = Card.model_validate(yaml_value(read(path, MAX_YAML_BYTES).decode("utf-8"), path))
    except ValidationError as error:
        first = error.errors()[0]
        raise DataError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}.") from error
    except (ValueError, yaml.YAMLError) as error:
        raise DataError(f"{path} cannot be read as YAML: {error}") from error
    if card.checksums:
        card = card.model_copy(update={"files": {**card.files, **read_checksums(path.parent / card.checksums)}})
    if card.order_file:
        card = card.model_copy(update={"order": tuple(_lines(path.parent / card.order_file))})
    return card


def read_checksums(path: Path) -> dict[str, str]:
    """SHA-256 by path from a file in the format of `sha256sum`.

    Raises:
        DataError: It cannot be read or a line is malformed.
    """
    pairs = [line.split("  ", 1) for line in _lines(path)]
    if wrong := next((pair for pair in pairs if len(pair) != 2 or len(pair[0]) != 64), None):
        raise DataError(f"{path}: expected lines of a SHA-256, two blanks and a path, found {'  '.join(wrong)!r}.")
    return {name: digest for digest, name in pairs}


def _lines(path: Path) -> list[str]:
    try:
        return [line for line in read(path, MAX_LIST_BYTES).decode("utf-8").splitlines() if line]
    except ValueError as error:
        raise DataError(f"{path}, which belongs to a card, cannot be read: {error}") from error
