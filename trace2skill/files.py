"""Files and folders written whole or not at all, and read back with a word on what is wrong with them."""

import ctypes
import errno
import fcntl
import os
import platform
import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import TextIO, TypeVar

from pydantic import BaseModel, ValidationError

from trace2skill.errors import DiskFullError
from trace2skill.foreign import Cap, json_value, read

Stored = TypeVar("Stored", bound=BaseModel)

STORED = Cap(bytes=64 << 20, values=2_000_000)
"""A JSON file of a run folder may hold this; the provenance of a thousand edits takes 2 MB."""

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
# What renameat2 answers where the kernel or the file system lacks the exchange.
_NO_EXCHANGE = frozenset({errno.ENOSYS, errno.EINVAL, errno.ENOTSUP})
# What flock answers on network drives without locks.
_NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS})


def is_full(error: BaseException) -> bool:
    """Whether something failed because a disk, or a user's share of it, is full."""
    causes = (error, error.__cause__)
    return any(isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT) for cause in causes)


@contextmanager
def naming_full_disk(folder: Path) -> Iterator[None]:
    """Say of whatever fails because a disk is full which folder it is about, and that what is finished is kept there.

    Raises:
        DiskFullError: There is no space left.
    """
    try:
        yield
    except Exception as error:
        if is_full(error):
            raise DiskFullError(folder) from error
        raise


def write_atomic(path: Path, text: str) -> None:
    """Write a text file so that a crash leaves the old content or the new, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", newline="", dir=path.parent, prefix=f".{path.name}.", delete=False
    ) as file:
        try:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        except BaseException:
            Path(file.name).unlink()
            raise
    Path(file.name).chmod(0o644)
    Path(file.name).replace(path)


def read_model(path: Path, model: type[Stored]) -> Stored:
    """Read a JSON file that holds one pydantic model.

    Raises:
        ValueError: It cannot be read or holds something else; the message names the file and the first problem.
    """
    data = read(path, STORED.bytes)
    json_value(data, path, STORED)
    try:
        return model.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ValueError(f"{path} cannot be read: {f'{where}: ' if where else ''}{first['msg']}.") from error


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    digest = sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


class HeldError(Exception):
    """Another process holds a lock; the text says which."""


@contextmanager
def held(lock: Path) -> Iterator[None]:
    """Hold a lock file, in which other processes read who does. It goes with the process, however that ends.

    Raises:
        HeldError: Another process holds it.
        OSError: It cannot be written.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    with _lock(lock) as file:
        file.truncate(0)
        file.write(f"process {os.getpid()} on {platform.node()}, since {datetime.now(UTC):%Y-%m-%d %H:%M} UTC")
        file.flush()
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)


def is_held(lock: Path) -> bool:
    """Whether a process holds a lock that `held` gives."""
    try:
        with lock.open(encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _lock(lock: Path) -> TextIO:
    while True:
        file = lock.open("a+", encoding="utf-8")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            holder = file.read() or "another process"
            file.close()
            raise HeldError(holder) from error
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                file.close()
                raise
        # Whoever held it before has removed it: what is locked then is a file without a name.
        if lock.exists() and lock.stat().st_ino == os.fstat(file.fileno()).st_ino:
            return file
        file.close()


def write_folder(
    target: Path, files: Mapping[str, bytes], executable: Collection[str] = (), *, overwrite: bool = False
) -> None:
    """Write a folder with these files and no others.

    Everything is written and flushed to disk in a hidden folder beside the target, which then takes the target's
    place by a rename. A folder that is overwritten is exchanged in one step where the system can do so.

    Args:
        target: The folder to write; its parent is created.
        files: Contents by relative POSIX path. The caller has checked that the paths stay inside.
        executable: The paths that get the executable bit.
        overwrite: Whether an existing folder may be replaced.

    Raises:
        FileExistsError: The target exists and may not be replaced, or is not a folder.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    if os.path.lexists(target) and (not overwrite or target.is_symlink() or not target.is_dir()):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    # One fixed name, so that what a killed run left behind is cleared by the next one.
    staging = target.with_name(f".{target.name}.saving")
    _remove(staging)
    staging.mkdir()
    try:
        for path, data in files.items():
            _write_file(staging / path, data, executable=path in executable)
    except BaseException:
        _remove(staging)
        raise
    for folder in sorted((p for p in staging.rglob("*") if p.is_dir()), reverse=True):
        _sync(folder)
    _sync(staging)
    if target.exists():
        _replace(staging, target)
    else:
        staging.rename(target)
    _sync(target.parent)


def _write_file(path: Path, data: bytes, *, executable: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    if executable:
        # Whoever may read a script may run it: the umask has already decided who may read.
        mode = path.stat().st_mode
        path.chmod(mode | (mode & 0o444) >> 2)


def _replace(staging: Path, target: Path) -> None:
    """Put the staged folder in the target's place and remove what stood there."""
    if not _exchange(staging, target):
        replaced = target.with_name(f".{target.name}.replaced")
        _remove(replaced)
        target.rename(replaced)
        try:
            staging.rename(target)
        except OSError:
            replaced.rename(target)
            raise
        _remove(replaced)
    _remove(staging)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two folders in one step; False where the system cannot (anything but Linux, some network drives)."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):
        return False
    if rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in _NO_EXCHANGE:
        return False
    raise OSError(code, os.strerror(code), str(other))


def _remove(folder: Path) -> None:
    if os.path.lexists(folder):
        shutil.rmtree(folder)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
