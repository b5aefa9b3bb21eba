"""Archives and folders that others made, taken in with no file outside the folder they belong in."""

import gzip
import lzma
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from trace2skill.errors import DataError

MAX_UNPACKED = 64 * 1024**3
"""Bytes that an archive may unpack to; DocVQA's images, the largest here, take some 10 GB."""

_DAMAGE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    gzip.BadGzipFile,
    lzma.LZMAError,
    zlib.error,
    EOFError,
    NotImplementedError,  # zipfile: a compression that it does not know
)


class _Member(NamedTuple):
    path: PurePosixPath
    regular: bool
    size: int
    open: Callable[[], IO[bytes] | None]


def is_archive(path: Path) -> bool:
    """Whether a file is a tar (plain, gzip, bzip2, xz) or zip archive, judged by its content."""
    try:
        return tarfile.is_tarfile(path) or zipfile.is_zipfile(path)
    except _DAMAGE:
        return False


def unpack(archive: Path, target: Path, wants: Callable[[PurePosixPath], PurePosixPath | None]) -> int:
    """Unpack the wanted files of an archive.

    Args:
        archive: A tar (plain, gzip, bzip2, xz) or zip file.
        target: An existing folder.
        wants: Gives the place of a member below the target, or None if it is not wanted.

    Returns:
        How many files were unpacked.

    Raises:
        DataError: The archive is damaged or of another kind, a member would leave the folder, is there twice or is
            no ordinary file, or it is far larger than any benchmark.
    """
    count = size = 0
    try:
        for member in _members(archive):
            _refuse_escape(archive, member.path)
            if (place := wants(member.path)) is None:
                continue
            if not member.regular:
                raise DataError(f"{archive}: '{member.path}' is a link or device; only files and folders are taken.")
            size += member.size
            if size > MAX_UNPACKED:
                raise DataError(f"{archive} unpacks to more than {MAX_UNPACKED:,} bytes; it was not unpacked.")
            _write(archive, member, target / place)
            count += 1
    except _DAMAGE as error:
        raise DataError(f"{archive} is damaged or no archive: {error or type(error).__name__}.") from error
    return count


def _members(archive: Path) -> Iterator[_Member]:
    """Everything in an archive but its folders."""
    # A plain tar whose last file is a zip passes for a zip itself, so tar is tried first.
    if not tarfile.is_tarfile(archive) and zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as zipped:
            for info in zipped.infolist():
                if info.flag_bits & 0x1:
                    raise DataError(f"{archive} is encrypted; give an archive without a password.")
                if not info.is_dir():
                    # The upper half holds the Unix mode where there is one; 0xA is a symbolic link.
                    regular = info.external_attr >> 28 != 0xA
                    yield _Member(PurePosixPath(info.filename), regular, info.file_size, partial(zipped.open, info))
        return
    with tarfile.open(archive) as tar:
        for entry in tar:
            if not entry.isdir():
                yield _Member(PurePosixPath(entry.name), entry.isreg(), entry.size, partial(tar.extractfile, entry))


def _refuse_escape(archive: Path, path: PurePosixPath) -> None:
    if path.is_absolute() or ".." in path.parts or "\\" in str(path) or "\0" in str(path):
        raise DataError(f"{archive}: '{path}' would be written outside its folder. The archive was not unpacked.")


def _write(archive: Path, member: _Member, place: Path) -> None:
    content = member.open()
    if content is None:
        raise DataError(f"{archive}: '{member.path}' has no content.")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with content, place.open("xb") as file:
            shutil.copyfileobj(content, file, 1 << 20)
    except (FileExistsError, NotADirectoryError) as error:
        raise DataError(f"{archive} holds '{member.path}' more than once.") from error
    if place.stat().st_size != member.size:
        raise DataError(f"{archive} is damaged: '{member.path}' ends early.")


def copy_files(folder: Path, target: Path, wants: Callable[[PurePosixPath], PurePosixPath | None]) -> int:
    """Copy the wanted files of a folder; the same as `unpack`, for a folder that is unpacked already."""
    count = 0
    for path in sorted(folder.rglob("*")):
        place = wants(PurePosixPath(path.relative_to(folder).as_posix()))
        if place is not None and path.is_file():
            (target / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target / place)
            count += 1
    return count
