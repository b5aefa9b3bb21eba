"""Archives and folders that others made, taken in with no file outside the folder they belong in."""

import errno
import gzip
import io
import lzma
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple, Self

from trace2skill.errors import DataError
from trace2skill.foreign import ForeignError, opened, walk

MAX_BYTES = 64 * 1024**3
"""An archive may unpack to this; DocVQA's images, the largest here, take some 10 GB."""

MAX_MEMBERS = 1_000_000
"""So many files may be in an archive; the largest here has some 20,000."""

MAX_DEPTH = 32
"""So deep may the folders of a benchmark be nested."""

MAX_RATIO = 200
"""An archive may unpack to this many times its size (text in xz comes to 50, a bomb to 1,000 and more)."""

SMALL = 64 * 1024**2
"""An archive may unpack to this, however small it is."""

MAX_HEADER = 1 << 20
"""A member's name and attributes in a tar may take this; `tarfile` reads them into memory at once."""

_HEADERS = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)
_DAMAGE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    gzip.BadGzipFile,
    lzma.LZMAError,
    zlib.error,
    EOFError,
    NotImplementedError,  # zipfile: a compression that it does not know
    UnicodeError,
)


class Member(NamedTuple):
    """A file of an archive or folder: its path, whether it is an ordinary file, its size, and how to read it."""

    path: PurePosixPath
    regular: bool
    size: int
    open: Callable[[], IO[bytes] | io.RawIOBase | None]


class _TarInfo(tarfile.TarInfo):
    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        entry = super().frombuf(buf, encoding, errors)
        if entry.type in _HEADERS and entry.size > MAX_HEADER:
            raise tarfile.ReadError(f"a header of {entry.size:,} bytes")
        return entry


@contextmanager
def members(origin: Path) -> Iterator[list[Member]]:
    """Everything but the folders in an archive (tar, plain or packed by gzip, bzip2 or xz; zip) or folder.

    Raises:
        DataError: It is damaged or of another kind, far larger than any benchmark, or packed as no honest archive is.
            Damage that shows only when a member is read counts as well.
    """
    try:
        if origin.is_dir():
            yield _in_folder(origin)
        elif tar := _open_tar(_regular(origin)):
            with tar:
                yield _counted(origin, _in_tar(tar))
        elif zipfile.is_zipfile(origin):
            with zipfile.ZipFile(origin) as zipped:
                yield _counted(origin, _in_zip(origin, zipped))
        else:
            raise DataError(f"{origin} is damaged or no archive: a tar or zip file begins in another way.")
    except _DAMAGE as error:
        raise DataError(f"{origin} is damaged or no archive: {error or type(error).__name__}.") from error
    except OSError as error:
        # An offset before the file's beginning; whatever else the disk says is not the archive's fault.
        if error.errno != errno.EINVAL:
            raise
        raise DataError(f"{origin} is damaged: a file in it would begin before the archive does.") from error


def _regular(origin: Path) -> Path:
    try:
        with opened(origin):
            return origin
    except ForeignError as error:
        raise DataError(str(error)) from error


def _open_tar(origin: Path) -> tarfile.TarFile | None:
    # A plain tar whose last file is a zip passes for a zip itself, so tar is tried first.
    try:
        return tarfile.open(origin, tarinfo=_TarInfo)
    except tarfile.ReadError:
        return None


def files_below(folder: Path) -> Iterator[Path]:
    """Everything but the folders below a folder.

    Raises:
        DataError: There is more, or nested deeper, than any benchmark has; or a folder cannot be listed.
    """
    try:
        yield from walk(folder, entries=MAX_MEMBERS, depth=MAX_DEPTH)
    except (ForeignError, OSError) as error:
        raise DataError(str(error)) from error


def _in_folder(folder: Path) -> list[Member]:
    paths = sorted(path for path in files_below(folder) if not path.is_dir())
    return [
        Member(
            path=PurePosixPath(path.relative_to(folder).as_posix()),
            regular=path.is_file(),
            size=path.stat().st_size if path.is_file() else 0,
            open=partial(io.FileIO, path),
        )
        for path in paths
    ]


def _in_zip(origin: Path, zipped: zipfile.ZipFile) -> Iterator[Member]:
    for info in zipped.infolist():
        if info.flag_bits & 0x1:
            raise DataError(f"{origin} is encrypted; give an archive without a password.")
        if not info.filename.endswith("/"):  # `is_dir` takes it for granted that there is a name
            # The upper half holds the Unix mode where there is one; 0xA is a symbolic link.
            regular = info.external_attr >> 28 != 0xA
            yield Member(PurePosixPath(info.filename), regular, info.file_size, partial(zipped.open, info))


def _in_tar(tar: tarfile.TarFile) -> Iterator[Member]:
    for entry in tar:
        if not entry.isdir():
            # A sparse file claims a size that is not in the archive.
            regular = entry.isreg() and not entry.issparse()
            yield Member(PurePosixPath(entry.name), regular, entry.size, partial(tar.extractfile, entry))


def _counted(origin: Path, found: Iterator[Member]) -> list[Member]:
    """The members of an archive, unless there are far too many or they are far too large."""
    most = min(MAX_BYTES, max(SMALL, MAX_RATIO * origin.stat().st_size))
    listed: list[Member] = []
    size = 0
    for member in found:
        listed.append(member)
        size += member.size
        if len(listed) > MAX_MEMBERS or size > most:
            raise DataError(
                f"{origin} ({origin.stat().st_size:,} bytes) claims to hold more than {MAX_MEMBERS:,} files or "
                f"{most:,} bytes. No benchmark does; it was not unpacked. Get the archive anew."
            )
        if not member.path.parts:
            raise DataError(f"{origin} is damaged: a file in it has no name.")
        path = str(member.path)
        if member.path.is_absolute() or ".." in member.path.parts or "\\" in path or "\0" in path:
            raise DataError(f"{origin}: '{path}' would be written outside its folder. The archive was not unpacked.")
    return listed


def write_members(origin: Path, wanted: Iterable[tuple[PurePosixPath, Member]], target: Path) -> None:
    """Write members of an archive or folder below a folder, each at its path there.

    Raises:
        DataError: One is no ordinary file, stands in another one's way, or is not as long as the archive says.
    """
    for place, member in wanted:
        content = member.open() if member.regular else None
        if content is None:
            raise DataError(f"{origin}: '{member.path}' is a link or device; only files and folders are taken.")
        try:
            (target / place).parent.mkdir(parents=True, exist_ok=True)
            with content, (target / place).open("xb") as file:
                shutil.copyfileobj(content, file, 1 << 20)
        except (FileExistsError, NotADirectoryError) as error:
            raise DataError(f"{origin} holds '{member.path}' more than once.") from error
        if (target / place).stat().st_size != member.size:
            raise DataError(f"{origin} is damaged: '{member.path}' ends early.")
