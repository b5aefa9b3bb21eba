"""Where a card says that data comes from: an address, a file of the hub, or the rows of a data set on the hub."""

from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag

SHA256 = r"^[0-9a-f]{64}$"


def check_encrypted(address: str) -> str:
    """Refuse an address that anybody on the way could change what it gives; this machine itself is no such way.

    Raises:
        ValueError: It is neither https nor on this machine.
    """
    parts = urlsplit(address)
    if parts.scheme != "https" and parts.hostname not in ("127.0.0.1", "localhost"):
        raise ValueError(f"a source is fetched over https, not from {address}")
    return address


def _below(place: str) -> str:
    if PurePosixPath(place).is_absolute() or ".." in PurePosixPath(place).parts:
        raise ValueError(f"'{place}' must be a relative path without '..'")
    return place


Relative = Annotated[str, AfterValidator(_below)]
# YAML reads a commit of digits only as a number.
Revision = Annotated[str, BeforeValidator(str)]


class _Source(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Download(_Source):
    path: Relative | None = None
    """For a single file: its place in the benchmark's folder. Without it the source is an archive."""

    only: tuple[str, ...] = ("*",)
    """For an archive: patterns of the wanted files, relative to the benchmark's folder; `*` matches slashes too."""

    sha256: str | None = Field(default=None, pattern=SHA256)
    """Checksum of what is downloaded, where it is known and stays the same."""

    def wants(self, path: str) -> bool:
        """Whether a file, relative to the benchmark's folder, belongs to the benchmark."""
        return path == self.path if self.path else any(fnmatchcase(path, pattern) for pattern in self.only)


class UrlSource(_Download):
    """An archive or file at an address."""

    url: Annotated[str, AfterValidator(check_encrypted)]
    """Address; `{revision}` stands for the revision."""

    revision: Revision = ""
    """Commit or other fixed version that the address names, so that what it gives never changes."""

    @property
    def address(self) -> str:
        """The address with the revision filled in."""
        return self.url.replace("{revision}", self.revision)


class HubFile(_Download):
    """An archive or file in a data set's repository on the Hugging Face hub."""

    repo: str
    """Owner and name of the repository."""

    revision: Revision
    """Commit of it."""

    file: Relative
    """Path of the file in it."""

    @property
    def address(self) -> str:
        """What it is called in messages."""
        return f"hf://datasets/{self.repo}@{self.revision}/{self.file}"


class HubRows(_Source):
    """Rows of a data set on the Hugging Face hub, to be written in the form that the benchmark reads."""

    repo: str
    """Owner and name of the repository."""

    config: str | None = None
    """Which configuration, where there are several."""

    split: str
    """Which split."""

    revision: Revision = "main"
    """Commit of it. A branch may move; what is made of the rows is then held to the card's checksums only."""

    path: Relative
    """The file to write, in the benchmark's folder."""

    form: Literal["aime", "docvqa"]
    """How the rows are written; see `trace2skill.data.forms`."""

    @property
    def address(self) -> str:
        """What it is called in messages."""
        return f"hf://datasets/{self.repo}@{self.revision} ({', '.join(filter(None, (self.config, self.split)))})"

    def wants(self, path: str) -> bool:
        """Whether a file of a local copy belongs to the benchmark: a split may be written as any number of files."""
        return True


def _kind(source: Any) -> str:
    if not isinstance(source, dict):
        return type(source).__name__
    return "UrlSource" if "url" in source else "HubRows" if "split" in source else "HubFile"


Source = Annotated[
    Annotated[UrlSource, Tag("UrlSource")] | Annotated[HubFile, Tag("HubFile")] | Annotated[HubRows, Tag("HubRows")],
    Discriminator(_kind),
]
"""One thing to fetch."""
