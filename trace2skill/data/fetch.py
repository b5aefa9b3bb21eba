"""Benchmark data: fetched from its public source or taken from a local copy, checked, and put in place whole.

What arrives goes into a hidden folder beside its destination. It takes the destination's place by a rename, and only
after every checksum on the card was found right: an interrupted or failed fetch leaves what was there before.

This was run against a local server that speaks as the hub does. It was never run against the real sources on GitHub
and Hugging Face.
"""

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from trace2skill.data.cards import Card
from trace2skill.data.download import DOWNLOADS, download, read_rows
from trace2skill.data.forms import Row, write_aime, write_docvqa
from trace2skill.data.places import data_dir
from trace2skill.data.sources import HubFile, HubRows, Source, UrlSource
from trace2skill.data.unpack import Member, files_below, members, write_members
from trace2skill.data.verify import Verification, verify
from trace2skill.errors import DataError
from trace2skill.files import HeldError, held

_SYSTEM_FILES = ("__MACOSX", ".DS_Store")


def fetch(card: Card, *, copy: Path | None = None, force: bool = False) -> Verification:
    """Get a benchmark's data, unless it is there and undamaged.

    Args:
        card: The benchmark's card.
        copy: A local folder or archive to take it from instead of the public source.
        force: Fetch it although it is there, and download anew what was downloaded earlier.

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
            return _fetch(card, copy, force)
    except OSError as error:
        raise DataError(f"{card.name} could not be stored in {data_dir()}: {error}") from error


def _fetch(card: Card, copy: Path | None, force: bool) -> Verification:
    target = data_dir() / card.folder
    staging = target.with_name(f".{target.name}.fetching")
    try:
        _remove(staging)
        staging.mkdir()
        downloads = _take_sources(card, staging, force) if copy is None else _take_copy(card, copy, staging)
        found = verify(card, staging)
        if found.state == "there":
            _put_in_place(staging, target)
    finally:
        _remove(staging)
    for place in downloads:
        place.unlink(missing_ok=True)
    if found.state != "there":
        origin = copy or ", ".join(source.address for source in card.sources)
        raise DataError(
            f"What came from {origin} is not {card.name} as its card describes it: {found}. Nothing was changed; "
            "--force downloads it again, --from takes a copy that you have."
        )
    return verify(card)


def _take_sources(card: Card, staging: Path, force: bool) -> list[Path]:
    """Take the benchmark from its sources; gives the downloads that are not needed any more."""
    if not card.sources:
        how = card.obtain or card.source or "its card names no public source."
        raise DataError(f"{card.name} cannot be fetched by a program: {how} Give your copy with --from.")
    places = []
    for source in card.sources:
        if isinstance(source, HubRows):
            _take_rows(card, source, read_rows(source, force=force), staging)
        else:
            place = download(source, force=force)
            places += [place] if isinstance(source, UrlSource) else []
            _take_download(card, source, place, staging)
    return places


def _take_rows(card: Card, source: HubRows, rows: Iterable[Row], staging: Path) -> None:
    file = staging / source.path
    file.parent.mkdir(parents=True, exist_ok=True)
    if source.form == "aime":
        write_aime(rows, file, source.address)
    else:
        write_docvqa(rows, file, source.address, card.order)


def _take_download(card: Card, source: UrlSource | HubFile, place: Path, staging: Path) -> None:
    if source.path:
        _copy_file(place, staging / source.path)
        return
    try:
        _take_members(card, place, staging, source.wants)
    except DataError as error:
        if isinstance(source, UrlSource):
            place.unlink()
        raise DataError(f"{error} It came from {source.address}; download it again with --force.") from error


def _take_copy(card: Card, copy: Path, staging: Path) -> list[Path]:
    """Take the benchmark from a local folder, an archive of it, its only file, or copies of the hub's repositories."""

    def wants(path: str) -> bool:
        return not card.sources or path in card.files or any(source.wants(path) for source in card.sources)

    single = next((source.path for source in card.sources if _is_named(source, copy)), None)
    if not copy.exists():
        raise DataError(f"--from {copy}: there is no such file or folder.")
    if single and copy.is_file():
        _copy_file(copy, staging / single)
    elif repos := _find_repos(card, copy):
        for source, folder in repos:
            _take_rows(card, source, read_rows(source, copy=folder), staging)
    else:
        _take_members(card, copy, staging, wants)
    return []


def _find_repos(card: Card, copy: Path) -> list[tuple[HubRows, Path]]:
    """Local copies of all repositories that the benchmark is made of, if the folder has them and not the benchmark."""
    sources = [source for source in card.sources if isinstance(source, HubRows)]
    if not copy.is_dir() or len(sources) < len(card.sources) or _has(copy, str(card.witness)):
        return []
    named = [(source, copy / PurePosixPath(source.repo).name) for source in sources]
    if all(folder.is_dir() for _, folder in named):
        return named
    return [(sources[0], copy)] if len(sources) == 1 and _has(copy, "*.parquet") else []


def _has(folder: Path, pattern: str) -> bool:
    return any(path.match(pattern) for path in files_below(folder))


def _is_named(source: Source, copy: Path) -> bool:
    if isinstance(source, HubRows) or not source.path:
        return False
    return copy.name in (PurePosixPath(source.path).name, PurePosixPath(source.address).name)


def _take_members(card: Card, origin: Path, staging: Path, wants: Callable[[str], bool]) -> None:
    """Take the wanted files of an archive or folder, wherever in it the benchmark lies."""
    with members(origin) as listed:
        root = _find_root(card, listed, origin)
        inner = [(member.path.relative_to(root), member) for member in listed if member.path.is_relative_to(root)]
        write_members(origin, [pair for pair in inner if wants(str(pair[0])) and not _of_system(pair[0])], staging)


def _of_system(path: PurePosixPath) -> bool:
    """Whether a file is what a Mac adds to an archive."""
    return any(part in _SYSTEM_FILES or part.startswith("._") for part in path.parts)


def _find_root(card: Card, listed: Sequence[Member], origin: Path) -> PurePosixPath:
    """The benchmark's own folder in an archive or folder, which may lie deeper."""
    if card.witness is None:
        tops = {member.path.parts[0] if len(member.path.parts) > 1 else "." for member in listed}
        return PurePosixPath(tops.pop() if len(tops) == 1 else ".")
    witness = PurePosixPath(card.witness)
    depth = len(witness.parts)
    found = [member.path for member in listed if member.path.parts[-depth:] == witness.parts]
    if not found:
        raise DataError(f"{origin} holds no {witness}, so it is not {card.name} in its published layout.")
    return min(found, key=lambda path: (len(path.parts), path)).parents[depth - 1]


def _copy_file(file: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, place)


@contextmanager
def _alone(card: Card) -> Iterator[None]:
    """Keeps a second fetch of the same benchmark out, which would write into the same partial file."""
    lock = data_dir() / DOWNLOADS / f"{card.folder}.lock"
    try:
        with held(lock):
            yield
    except HeldError as error:
        raise DataError(f"Another process is fetching {card.name} into {data_dir()} ({error}); wait for it.") from error


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
