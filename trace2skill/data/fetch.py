"""Benchmark data: fetched from its public source or taken from a local copy, checked, and put in place whole.

What arrives goes into a hidden folder beside its destination. It takes the destination's place by a rename, and only
after every checksum on the card was found right: an interrupted or failed fetch leaves what was there before.

The downloading, resuming and checking were run against a local server that serves ranges, breaks off, and sends wrong
bytes. They were never run against the real sources on GitHub and Hugging Face.
"""

import fcntl
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Literal

from trace2skill.data.cards import Card, Source
from trace2skill.data.download import Progress, download
from trace2skill.data.places import data_dir
from trace2skill.data.unpack import copy_files, is_archive, unpack
from trace2skill.errors import DataError
from trace2skill.files import file_digest

State = Literal["missing", "there", "damaged"]

_LISTED = 5
_DOWNLOADS = ".downloads"


@dataclass(frozen=True, kw_only=True)
class Verification:
    """What is there of a benchmark, held against its card.

    Attributes:
        folder: Where it is or would be.
        state: `missing` without the folder, `damaged` if a file on record is absent or wrong, else `there`.
        absent: Files on record that are not there.
        wrong: Files whose content has another checksum than the one on record.
        checked: How many files were compared with a checksum.
        unchecked: How many files have no checksum on record, or were not read.
        size: Bytes of all files.
    """

    folder: Path
    state: State
    absent: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()
    checked: int = 0
    unchecked: int = 0
    size: int = 0

    def __str__(self) -> str:
        if self.state == "missing":
            return f"missing from {self.folder}"
        if self.state == "damaged":
            return f"damaged: {'; '.join([*_some('absent', self.absent), *_some('wrong content', self.wrong)])}"
        read = [f"checksum right: {self.checked:,} files"] if self.checked else []
        unread = [f"not checked, no checksum on record: {self.unchecked:,} files"] if self.unchecked else []
        return "; ".join([*read, *unread]) or "there"


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
    sizes = {path.relative_to(folder).as_posix(): path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    expected = [*card.files, *([card.witness] if card.witness and card.witness not in card.files else [])]
    absent = tuple(path for path in expected if path not in sizes)
    recorded = [path for path in card.files if path in sizes] if contents else []
    wrong = tuple(path for path in recorded if file_digest(folder / path) != card.files[path])
    return Verification(
        folder=folder,
        state="damaged" if absent or wrong else "there",
        absent=absent,
        wrong=wrong,
        checked=len(recorded),
        unchecked=len(sizes) - len(recorded),
        size=sum(sizes.values()),
    )


def fetch(
    card: Card,
    *,
    copy: Path | None = None,
    force: bool = False,
    progress: Callable[[Source], Progress] | None = None,
    pause: float = 1.0,
) -> Verification:
    """Get a benchmark's data, unless it is there and undamaged.

    Args:
        card: The benchmark's card.
        copy: A local folder or archive to take it from instead of the public source.
        force: Fetch it although it is there.
        progress: Gives each download something to tell its progress.
        pause: Seconds before a broken download is tried again; it doubles each time.

    Returns:
        What is there now.

    Raises:
        DataError: It cannot be had, or is not what the card says. What was there before is still there.
    """
    try:
        with _alone(card):
            found = verify(card)
            if found.state == "there" and not force:
                return found
            return _fetch(card, copy, progress, pause)
    except OSError as error:
        raise DataError(f"{card.name} could not be stored in {data_dir()}: {error}") from error


def _fetch(card: Card, copy: Path | None, progress: Callable[[Source], Progress] | None, pause: float) -> Verification:
    target = data_dir() / card.folder
    staging, unpacked = (target.with_name(f".{target.name}.{step}") for step in ("fetching", "unpacked"))
    downloads = [_download_place(source) for source in card.sources] if copy is None else []
    try:
        for folder in (staging, unpacked):
            _remove(folder)
            folder.mkdir()
        if copy is not None:
            _take_copy(card, copy, staging, unpacked)
        else:
            _take_sources(card, staging, progress, pause)
        found = verify(card, staging)
        if found.state != "there":
            origin = copy or ", ".join(source.address for source in card.sources)
            raise DataError(f"What came from {origin} is not {card.name} as its card describes it: {found}.")
        _put_in_place(staging, target)
    finally:
        for folder in (staging, unpacked):
            _remove(folder)
    for download_place in downloads:
        download_place.unlink(missing_ok=True)
    return verify(card)


def _take_sources(card: Card, staging: Path, progress: Callable[[Source], Progress] | None, pause: float) -> None:
    if not card.sources:
        how = card.obtain or card.source or "its card names no public source."
        raise DataError(f"{card.name} cannot be fetched by a program: {how} Give your copy with --from.")
    for source in card.sources:
        place = _download_place(source)
        if not place.exists():
            bar = progress(source) if progress else None
            download(source.address, place, sha256=source.sha256, progress=bar, pause=pause)
        if source.path:
            (staging / source.path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(place, staging / source.path)
            continue
        try:
            count = unpack(place, staging, partial(_below, source))
        except DataError as error:
            place.unlink()
            raise DataError(f"{error} It came from {source.address} and was thrown away; fetch it again.") from error
        if not count:
            place.unlink()
            raise DataError(f"{source.address} holds no files below '{source.root}'. Check the card of {card.name}.")


def _below(source: Source, path: PurePosixPath) -> PurePosixPath | None:
    """Place in the benchmark's folder of a member of the source's archive."""
    if not path.is_relative_to(source.root):
        return None
    inner = path.relative_to(source.root)
    return inner if source.wants(inner.as_posix()) else None


def _take_copy(card: Card, copy: Path, staging: Path, unpacked: Path) -> None:
    """Take the benchmark from a local folder, an archive of it, or its only file."""

    def wants(path: PurePosixPath) -> PurePosixPath | None:
        inner = path.as_posix()
        wanted = any(source.path == inner if source.path else source.wants(inner) for source in card.sources)
        return path if wanted or not card.sources or inner in card.files else None

    if copy.is_dir():
        copy_files(_find_root(card, copy, copy), staging, wants)
    elif not copy.exists():
        raise DataError(f"--from {copy}: there is no such file or folder.")
    elif single := next((source.path for source in card.sources if source.path and _named(source, copy)), None):
        (staging / single).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(copy, staging / single)
    elif is_archive(copy):
        unpack(copy, unpacked, lambda path: path)
        copy_files(_find_root(card, unpacked, copy), staging, wants)
    else:
        raise DataError(f"--from {copy}: neither a folder nor a tar or zip archive, or a damaged one.")


def _named(source: Source, copy: Path) -> bool:
    return copy.name in (PurePosixPath(source.path or "").name, PurePosixPath(source.address).name)


def _find_root(card: Card, top: Path, copy: Path) -> Path:
    """The benchmark's own folder in a local copy, which may lie a few levels deeper."""
    witness = card.witness
    if witness is None:
        inner = list(top.iterdir())
        return inner[0] if len(inner) == 1 and inner[0].is_dir() else top
    likely = [top, *(top / source.root for source in card.sources)]
    deeper = (folder for depth in ("*", "*/*", "*/*/*", "*/*/*/*") for folder in sorted(top.glob(depth)))
    found = next((folder for group in (likely, deeper) for folder in group if (folder / witness).is_file()), None)
    if found is None:
        raise DataError(f"--from {copy} holds no {witness}, so it is not {card.name} in its published layout.")
    return found


def _download_place(source: Source) -> Path:
    name = PurePosixPath(source.address).name
    return data_dir() / _DOWNLOADS / f"{sha256(source.address.encode()).hexdigest()[:12]}-{name}"


@contextmanager
def _alone(card: Card) -> Iterator[None]:
    """Keeps a second fetch of the same benchmark out, which would write into the same partial file."""
    lock = data_dir() / _DOWNLOADS / f"{card.folder}.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DataError(f"Another process is fetching {card.name} into {data_dir()}; wait for it.") from error
        yield


def _put_in_place(staging: Path, target: Path) -> None:
    replaced = target.with_name(f".{target.name}.replaced")
    _remove(replaced)
    if target.exists():
        target.rename(replaced)
    staging.rename(target)
    _remove(replaced)


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
