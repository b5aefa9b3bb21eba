"""A benchmark's card: where its data comes from, under which licence, and what its files must contain.

A card is `tasks/<benchmark>/card.yaml`. Checksums of many files stand beside it in the format of `sha256sum`.
"""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any, Self

import httpx
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from trace2skill.data.places import bundled
from trace2skill.errors import DataError

SHA256 = r"^[0-9a-f]{64}$"


class _Stored(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Source(_Stored):
    """One thing to download: an archive to unpack, or a single file."""

    url: str
    """Address; `{revision}` stands for the revision."""

    revision: str = ""
    """Commit or other fixed version that the address names, so that what it gives never changes."""

    path: str | None = None
    """For a single file: its place in the benchmark's folder. Without it the source is an archive."""

    inside: str = ""
    """For an archive: the folder in it whose content is wanted; `{revision}` stands for the revision."""

    only: tuple[str, ...] = ("*",)
    """For an archive: patterns of the wanted files, relative to `inside`; `*` matches slashes too."""

    sha256: str | None = Field(default=None, pattern=SHA256)
    """Checksum of what is downloaded, where it is known and stays the same."""

    size: int | None = None
    """Its size in bytes, where it is known."""

    @field_validator("revision", mode="before")
    @classmethod
    def _text(cls, revision: object) -> str:
        return str(revision)  # YAML reads a commit of digits only as a number

    @model_validator(mode="after")
    def _complete(self) -> Self:
        address = httpx.URL(self.address)
        if address.scheme != "https" and address.host not in ("127.0.0.1", "localhost"):
            raise ValueError(f"a source is fetched over https, not from {self.address}")
        for place in (self.path or "", self.inside):
            if PurePosixPath(place).is_absolute() or ".." in PurePosixPath(place).parts:
                raise ValueError(f"'{place}' must be a relative path without '..'")
        return self

    @property
    def address(self) -> str:
        """The address with the revision filled in."""
        return self.url.replace("{revision}", self.revision)

    @property
    def root(self) -> str:
        """The wanted folder of the archive with the revision filled in."""
        return self.inside.replace("{revision}", self.revision).strip("/")

    def wants(self, path: str) -> bool:
        """Whether a file, relative to the wanted folder, belongs to the benchmark."""
        return any(fnmatchcase(path, pattern) for pattern in self.only)


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
        card = Card.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        first = error.errors()[0]
        raise DataError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}.") from error
    except (OSError, yaml.YAMLError) as error:
        raise DataError(f"{path} cannot be read as YAML: {error}") from error
    if card.checksums:
        card = card.model_copy(update={"files": {**card.files, **read_checksums(path.parent / card.checksums)}})
    return card


def read_checksums(path: Path) -> dict[str, str]:
    """SHA-256 by path from a file in the format of `sha256sum`.

    Raises:
        DataError: It cannot be read or a line is malformed.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise DataError(f"The checksums {path} cannot be read: {error}") from error
    pairs = [line.split("  ", 1) for line in lines if line]
    if wrong := next((pair for pair in pairs if len(pair) != 2 or len(pair[0]) != 64), None):
        raise DataError(f"{path}: expected lines of a SHA-256, two blanks and a path, found {'  '.join(wrong)!r}.")
    return {name: digest for digest, name in pairs}
