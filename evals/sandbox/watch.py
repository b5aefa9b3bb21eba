"""Watches what all processes of a command use together, and ends the command when that is too much.

The kernel's limits (`limits`) hold for each process alone, and for a single file. A control group holds for the
memory of all, but few users may make one (`cgroups`). So a thread looks at the sandbox's processes and files while
the command runs: what it uses between two looks is not prevented, only ended.
"""

import json
import os
import signal
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from evals.sandbox.limits import BubblewrapLimits
from evals.sandbox.mounts import SampleFolder
from evals.sandbox.trees import MAX_DEPTH, measure

__all__ = ["Watch", "disk_problem", "memory_in_use", "too_much_memory"]

_MEMORY_SECONDS = 0.1
_DISK_SECONDS = 1.0
# A folder that takes long to measure is measured less often.
_DISK_SHARE = 5
_PAGE = os.sysconf("SC_PAGE_SIZE")
_MIB = 1024 * 1024


class Watch:
    """Watches one command; use it as a context manager around the command.

    Attributes:
        problem: Why the command was ended, or None.
    """

    def __init__(self, status: Path, folder: SampleFolder, limits: BubblewrapLimits, full: bool = False) -> None:
        """Prepares the watch.

        Args:
            status: Status file that bubblewrap writes for the command.
            folder: The sample's folders.
            limits: What the command may use.
            full: Whether the files already take too much. Then a command has time to delete, up to twice as much.
        """
        self.problem: str | None = None
        if full:
            limits = limits.model_copy(update={"disk_mib": 2 * limits.disk_mib, "files": 2 * limits.files})
        self._status = status
        self._folder = folder
        self._limits = limits
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sandbox-watch", daemon=True)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        first = self._first_process()
        if first is None:
            return
        try:
            handle = os.pidfd_open(first)  # a later process may get the same number
        except OSError:
            return  # it ended already
        try:
            self._look(first, handle)
        except Exception as error:  # whoever can break the watch must not go on unwatched
            self.problem = f"it could not be watched: {error!r}"
            self._end(handle)
        finally:
            os.close(handle)

    def _first_process(self) -> int | None:
        """Process id, on the host, of the sandbox's first process, once bubblewrap has written it down."""
        while not self._over.wait(_MEMORY_SECONDS / 4):
            try:
                line = self._status.read_text(encoding="utf-8").partition("\n")[0]
                return int(json.loads(line)["child-pid"])
            except (OSError, ValueError, KeyError):
                continue  # not there yet, or not whole
        return None

    def _look(self, first: int, handle: int) -> None:
        """Looks again and again, until the command is over or uses too much."""
        next_disk = time.monotonic() + _DISK_SECONDS
        while not self._over.wait(_MEMORY_SECONDS):
            self.problem = self._memory_problem(first)
            if self.problem is None and time.monotonic() >= next_disk:
                began = time.monotonic()
                self.problem = disk_problem(self._folder, self._limits, deleted_but_open(first))
                now = time.monotonic()
                next_disk = now + max(_DISK_SECONDS, _DISK_SHARE * (now - began))
            if self.problem is not None:
                self._end(handle)
                return

    def _end(self, handle: int) -> None:
        try:
            signal.pidfd_send_signal(handle, signal.SIGKILL)  # and with the first all others end
        except ProcessLookupError:
            self.problem = None

    def _memory_problem(self, first: int) -> str | None:
        if memory_in_use(first, self._limits.memory_mib * _MIB) <= self._limits.memory_mib * _MIB:
            return None
        return too_much_memory(self._limits)


def too_much_memory(limits: BubblewrapLimits) -> str:
    """Why a command was ended that used more memory than it may."""
    return f"its processes together used more than {limits.memory_mib} MiB of memory"


def memory_in_use(first: int, enough: int = 0) -> int:
    """Bytes of memory that a process and its descendants use together.

    Pages that several processes share count once; where the cheap upper bound, which counts them for each
    process, is not above `enough`, that is returned.
    """
    processes = list(_descendants(first))
    bound = sum(_resident(process) for process in processes)
    return bound if bound <= enough else sum(_proportional(process) for process in processes)


def disk_problem(folder: SampleFolder, limits: BubblewrapLimits, further: int = 0) -> str | None:
    """What a sample's files take too much of, or None.

    Args:
        folder: The sample's folders.
        limits: The limits.
        further: Bytes of files that are in no folder any more.
    """
    usage = measure(folder.writable, limits.files)
    if usage.files > limits.files:
        return f"there are more than {limits.files} files"
    if usage.size + further > limits.disk_mib * _MIB:
        return f"the files take more than {limits.disk_mib} MiB"
    return f"there are more than {MAX_DEPTH} nested folders" if usage.too_deep else None


def deleted_but_open(first: int) -> int:
    """Bytes of the files on a disk that processes of the sandbox hold open and have deleted."""
    found: dict[tuple[int, int], int] = {}
    for process in _descendants(first):
        try:
            names = os.listdir(f"/proc/{process}/fd")  # noqa: PTH208 - whole before the process ends
        except OSError:
            continue
        for name in names:
            try:
                status = Path(f"/proc/{process}/fd/{name}").stat()
            except OSError:
                continue  # the process closed the file
            if stat.S_ISREG(status.st_mode) and status.st_nlink == 0:
                found[status.st_dev, status.st_ino] = status.st_blocks * 512
    return sum(found.values())


def _descendants(first: int) -> Iterator[int]:
    """A process and all that descend from it; orphans in a sandbox become children of its first process."""
    waiting = [first]
    while waiting:
        process = waiting.pop()
        yield process
        tasks = Path(f"/proc/{process}/task")
        try:
            threads = os.listdir(tasks)  # noqa: PTH208 - whole before the process ends
        except OSError:
            continue  # it ended
        for thread in threads:
            try:
                waiting += map(int, (tasks / thread / "children").read_text(encoding="ascii").split())
            except OSError:
                continue


def _resident(process: int) -> int:
    """Bytes of a process that are in memory; 0 if it ended."""
    try:
        return int(Path(f"/proc/{process}/statm").read_text(encoding="ascii").split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0


def _proportional(process: int) -> int:
    """Bytes of a process in memory and swap, of shared pages its part; all of them where the kernel does not tell."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:
        return _resident(process)
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(("Pss:", "SwapPss:")))
