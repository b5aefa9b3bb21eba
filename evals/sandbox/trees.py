"""Folders that model-written code filled: measured and removed whatever shape they have.

Such a folder may be nested deeper than a path can be long, closed to its owner, or full of links. Folders are
opened one below the other and never through a link, and those that are closed are opened to their owner.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

__all__ = ["MAX_DEPTH", "Usage", "measure", "remove_tree"]

MAX_DEPTH = 64
"""Nested folders that `measure` enters; each takes an open file."""

_FOLDER = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass
class Usage:
    """What files take.

    Attributes:
        size: Bytes on the disk.
        files: Files, folders and links.
        too_deep: Whether there are folders that were not entered, because of `MAX_DEPTH`.
    """

    size: int = 0
    files: int = 0
    too_deep: bool = False


def remove_tree(path: Path) -> None:
    """Removes a folder with all that is in it, also what model-written code took its own permissions from.

    Folders are moved to the top before they are emptied, so that neither depth nor length of names matters.

    Raises:
        OSError: Something belongs to somebody else, or the disk fails.
    """
    with _opened(str(path)) as top:
        waiting = list(_entries(top))
        while waiting:
            name, is_folder = waiting.pop()
            if not is_folder:
                os.unlink(name, dir_fd=top)
                continue
            with _opened(name, top) as folder:
                for inner, inner_is_folder in _entries(folder):
                    if inner_is_folder:
                        with _opened(inner, folder):  # to move a folder, one must be allowed to write in it
                            moved = uuid4().hex
                            os.rename(inner, moved, src_dir_fd=folder, dst_dir_fd=top)
                        waiting.append((moved, True))
                    else:
                        os.unlink(inner, dir_fd=folder)
            os.rmdir(name, dir_fd=top)
    path.rmdir()


def measure(paths: list[Path], most_files: int) -> Usage:
    """What folders take on the disk; stops counting above `most_files`.

    Code may be changing them meanwhile: what vanishes is not counted.
    """
    usage = Usage()
    seen: set[tuple[int, int]] = set()
    for path in paths:
        _measure(str(path), None, MAX_DEPTH, most_files, usage, seen)
    return usage


def _measure(
    name: str, parent: int | None, depth: int, most_files: int, usage: Usage, seen: set[tuple[int, int]]
) -> None:
    """Adds a folder to what was measured, a file with several names once."""
    try:
        with _opened(name, parent) as folder:
            for inner, is_folder in _entries(folder):
                usage.files += 1
                if usage.files > most_files:
                    return
                try:
                    status = os.stat(inner, dir_fd=folder, follow_symlinks=False)
                except FileNotFoundError:  # it vanished; what stands beside it counts all the same
                    continue
                if status.st_nlink == 1 or is_folder or (status.st_dev, status.st_ino) not in seen:
                    usage.size += status.st_blocks * 512
                seen.update([(status.st_dev, status.st_ino)] if status.st_nlink > 1 and not is_folder else [])
                if is_folder and depth == 0:
                    usage.too_deep = True
                elif is_folder:
                    _measure(inner, folder, depth - 1, most_files, usage, seen)
    except (FileNotFoundError, NotADirectoryError):  # it vanished, or was replaced
        return


@contextmanager
def _opened(name: str, parent: int | None = None) -> Iterator[int]:
    """A folder, opened without following a link, after its owner was allowed to read and change it."""
    place = os.open(name, _FOLDER | os.O_PATH, dir_fd=parent)
    try:
        if stat.S_IMODE(os.fstat(place).st_mode) & 0o700 != 0o700:
            # There is no chmod for a descriptor of this kind, but its name in /proc is no link to follow.
            os.chmod(f"/proc/self/fd/{place}", 0o700)  # noqa: PTH101
        folder = os.open(".", _FOLDER | os.O_RDONLY, dir_fd=place)
    finally:
        os.close(place)
    try:
        yield folder
    finally:
        os.close(folder)


def _entries(folder: int) -> Iterator[tuple[str, bool]]:
    """Names in a folder, each with whether it is a folder itself."""
    with os.scandir(folder) as entries:
        found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    yield from found
