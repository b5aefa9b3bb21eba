"""A study's runs folder in an object store: where nodes share no folder, or where what is finished is to be kept.

A cell's folder is copied when it ends, and fetched where it is missing. Any address that fsspec knows will do, such as
`s3://bucket/study`; keys and endpoints are the affair of the environment variables and files of its file system.
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from glob import escape
from pathlib import Path, PurePosixPath
from typing import Any

from trace2skill.errors import StudyError
from trace2skill.study.cells import RESULT

_PASSING = (".lock",)
"""Endings of files that mean something while they are held only."""


class Store:
    """A folder of cells at an fsspec address.

    Attributes:
        address: The address.
    """

    def __init__(self, address: str) -> None:
        self.address = address.rstrip("/")

    @cached_property
    def _place(self) -> tuple[Any, str]:
        from fsspec.core import url_to_fs

        try:
            system, path = url_to_fs(self.address)
        except Exception as error:
            said = str(error) or type(error).__name__
            raise StudyError(f"--store {self.address}: {said}. Name an address that fsspec knows.") from error
        return system, str(path)

    def fetch(self, folder: Path) -> None:
        """Bring a cell's folder here, unless it is finished here.

        A cell that is finished nowhere goes on with what lies here, if anything does.

        Raises:
            StudyError: The store cannot be read, or holds a name that leads out of the folder.
        """
        if (folder / RESULT).is_file():
            return
        files = self._files(folder.name)
        if not files or (RESULT not in files and folder.exists()):
            return
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as name:
            part = Path(name) / folder.name
            for file in files:
                self._get(f"{folder.name}/{file}", part / file)
            shutil.rmtree(folder, ignore_errors=True)
            part.replace(folder)

    def finished(self) -> set[str]:
        """Names of the folders of finished cells.

        Raises:
            StudyError: The store cannot be read.
        """
        system, path = self._place
        with _named(self.address):
            system.invalidate_cache()
            return {PurePosixPath(file).parent.name for file in system.glob(f"{escape(path)}/*/{RESULT}")}

    def keep(self, folder: Path) -> None:
        """Copy a cell's folder there, its result last: with that it is finished.

        Raises:
            StudyError: The store cannot be written.
        """
        files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix not in _PASSING]
        for path in sorted(files, key=lambda path: path == folder / RESULT):
            self._put(path, f"{folder.name}/{path.relative_to(folder).as_posix()}")

    def read(self, name: str) -> str | None:
        """A file of the runs folder as it is there; none where it is not.

        Raises:
            StudyError: The store cannot be read.
        """
        system, path = self._place
        with _named(self.address):
            system.invalidate_cache()
            return str(system.cat_file(f"{path}/{name}").decode("utf-8")) if system.isfile(f"{path}/{name}") else None

    def write(self, name: str, text: str) -> None:
        """Write a file of the runs folder there.

        Raises:
            StudyError: The store cannot be written.
        """
        system, path = self._place
        with _named(self.address):
            system.makedirs(path, exist_ok=True)
            system.pipe_file(f"{path}/{name}", text.encode())

    def _files(self, name: str) -> list[str]:
        """Files under a name, relative to it, the result last."""
        system, path = self._place
        with _named(self.address):
            system.invalidate_cache()
            found = [file.removeprefix(f"{path}/{name}/") for file in system.find(f"{path}/{name}")]
        if wrong := next((file for file in found if not _stays_inside(file)), None):
            raise StudyError(f"{self.address}/{name} holds the name '{wrong}', which leads out of it. Remove it.")
        return sorted(found, key=lambda file: (file == RESULT, file))

    def _get(self, name: str, target: Path) -> None:
        system, path = self._place
        target.parent.mkdir(parents=True, exist_ok=True)
        with _named(self.address):
            system.get_file(f"{path}/{name}", str(target))

    def _put(self, source: Path, name: str) -> None:
        system, path = self._place
        with _named(self.address):
            system.makedirs(str(PurePosixPath(path, name).parent), exist_ok=True)
            system.put_file(str(source), f"{path}/{name}")


@contextmanager
def _named(address: str) -> Iterator[None]:
    """Each file system has errors of its own; what they have in common is the address."""
    try:
        yield
    except Exception as error:
        raise StudyError(
            f"The store {address} cannot be used: {error or type(error).__name__}. See that it is there and may be "
            "read and written, and run the study again."
        ) from error


def _stays_inside(name: str) -> bool:
    return not PurePosixPath(name).is_absolute() and not {"..", ""} & set(name.split("/"))
