"""Where cells run: in processes of this machine, or on a Ray cluster. Both give futures, and the same results."""

import os
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Literal, Protocol

from trace2skill.study.cells import Job
from trace2skill.study.process import CellProcess

ExecutorName = Literal["local", "ray"]


class Executor(Protocol):
    """Runs cells."""

    slots: int
    """Cells that may run at once."""

    def submit(self, job: Job) -> "Future[str]":
        """Run a cell; the future gives the reason why it is not finished, or an empty text."""
        ...

    def stop(self) -> None:
        """End what is running; what is finished is kept."""
        ...


class LocalExecutor:
    """A process for each cell, on this machine."""

    def __init__(self, at_once: int | None = None) -> None:
        self.slots = at_once or max(os.cpu_count() or 1, 1)
        self._cells = CellProcess()
        self._threads = ThreadPoolExecutor(self.slots, thread_name_prefix="cell")

    def submit(self, job: Job) -> "Future[str]":
        """Run a cell in a process of its own."""
        return self._threads.submit(self._cells.run, job)

    def stop(self) -> None:
        """Interrupt the cells' processes, and end those that do not heed it."""
        self._cells.stop()
        self._threads.shutdown(wait=True, cancel_futures=True)


def open_executor(name: ExecutorName, at_once: int | None = None, address: str | None = None) -> Executor:
    """An executor.

    Args:
        name: `local` or `ray`.
        at_once: Cells at once; by default as many as there are processors.
        address: Address of a Ray cluster; by default the one that `RAY_ADDRESS` names, else one on this machine.

    Raises:
        StudyError: Ray is not installed, or there is no cluster at the address.
    """
    if name == "local":
        return LocalExecutor(at_once)
    from trace2skill.study.ray_executor import RayExecutor

    return RayExecutor(at_once, address)
