"""What is there of a benchmark, held against its card."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from trace2skill.data.cards import Card
from trace2skill.data.forms import records_digest
from trace2skill.data.places import data_dir
from trace2skill.data.unpack import files_below
from trace2skill.files import file_digest

State = Literal["missing", "there", "damaged"]

_LISTED = 5


@dataclass(frozen=True, kw_only=True)
class Verification:
    """What is there of a benchmark, held against its card.

    Attributes:
        folder: Where it is or would be.
        state: `missing` without the folder, `damaged` if a file on record is absent or wrong, else `there`.
        absent: Files on record that are not there.
        wrong: Files whose content has another checksum than the one on record.
        checked: How many files have the checksum on record.
        worded: How many have another one, but say what is on record: see `Card.records`.
        unchecked: How many files have no checksum on record, or were not read.
        size: Bytes of all files.
    """

    folder: Path
    state: State
    absent: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()
    checked: int = 0
    worded: int = 0
    unchecked: int = 0
    size: int = 0

    def __str__(self) -> str:
        if self.state == "missing":
            return f"missing from {self.folder}"
        if self.state == "damaged":
            return f"damaged ({'; '.join([*_some('absent', self.absent), *_some('wrong content', self.wrong)])})"
        read = [f"checksum right: {self.checked:,} files"] if self.checked else []
        if self.worded:
            read.append(f"ids and answers right, but worded otherwise than the copy on record: {self.worded:,} files")
        unread = [f"not checked, no checksum on record: {self.unchecked:,} files"] if self.unchecked else []
        return f"there ({'; '.join([*read, *unread])})" if read or unread else "there"


def _some(what: str, paths: tuple[str, ...]) -> list[str]:
    more = f" and {len(paths) - _LISTED:,} more" if len(paths) > _LISTED else ""
    return [f"{what}: {', '.join(paths[:_LISTED])}{more}"] if paths else []


def verify(card: Card, folder: Path | None = None, *, contents: bool = True) -> Verification:
    """Hold what is there against the card.

    Args:
        card: The benchmark's card.
        folder: The benchmark's folder; by default its place below `data_dir()`.
        contents: Whether to read the files; without it only their presence is looked at.
    """
    folder = folder or data_dir() / card.folder
    if not folder.is_dir():
        return Verification(folder=folder, state="missing")
    sizes = {path.relative_to(folder).as_posix(): path.stat().st_size for path in files_below(folder) if path.is_file()}
    known = {*card.files, *card.records}
    absent = sorted(path for path in {*known, *filter(None, [card.witness])} if path not in sizes)
    found = {path: _held(card, folder, path) for path in sorted(known) if path in sizes and contents}
    wrong = tuple(path for path, held in found.items() if held == "wrong")
    return Verification(
        folder=folder,
        state="damaged" if absent or wrong else "there",
        absent=tuple(absent),
        wrong=wrong,
        checked=sum(held == "right" for held in found.values()),
        worded=sum(held == "worded" for held in found.values()),
        unchecked=len(sizes) - len(found),
        size=sum(sizes.values()),
    )


def _held(card: Card, folder: Path, path: str) -> Literal["right", "worded", "wrong"]:
    """Whether a file has the checksum on record, or else says what is on record."""
    if path in card.files and file_digest(folder / path) == card.files[path]:
        return "right"
    records = card.records.get(path)
    return "worded" if records and records_digest(folder / path, records.fields) == records.sha256 else "wrong"
