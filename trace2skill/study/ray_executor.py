"""Cells on a Ray cluster. Its workers only watch: each cell runs in a process of its own there, as it does here.

A worker that dies takes its cell with it; Ray then runs the cell again elsewhere, where it goes on from its folder. So
the runs folder must be one that all nodes share, under the same path, and each node needs the same environment.
"""

import logging
import os
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from trace2skill.errors import StudyError
from trace2skill.study.cells import Job

RETRIES = 3
"""Times that Ray runs a cell again whose worker has died."""


class RayExecutor:
    """A Ray task for each cell."""

    def __init__(self, at_once: int | None = None, address: str | None = None) -> None:
        try:
            import ray
        except ImportError as error:
            raise StudyError(
                "--executor ray needs Ray: pip install 'trace2skill[ray]'. Or use --executor local."
            ) from error
        self._ray = ray
        self._began = not ray.is_initialized()
        named = address or os.environ.get("RAY_ADDRESS")
        options: dict[str, Any] = {"address": named} if named else {"num_cpus": at_once, "include_dashboard": False}
        if self._began:
            # A cluster on this machine: its workers need not stand behind everything else that runs here.
            os.environ.setdefault("RAY_worker_niceness", "0")
            try:
                ray.init(log_to_driver=False, logging_level=logging.ERROR, **options)
            except ConnectionError as error:
                raise StudyError(f"There is no Ray cluster at {named}: {error}. Start one with `ray start`.") from error
        self.slots = at_once or max(int(ray.cluster_resources().get("CPU", 1)), 1)
        self._watch = ray.remote(num_cpus=1, max_retries=RETRIES)(watch)
        self._references: list[Any] = []

    def submit(self, job: Job) -> "Future[str]":
        """Run a cell wherever there is room."""
        reference = self._watch.remote(job.model_dump_json(), str(Path.cwd()))
        self._references.append(reference)
        future: Future[str] = reference.future()
        return future

    def stop(self) -> None:
        """Cancel what is running; a cluster that was begun here is ended."""
        for reference in self._references:
            self._ray.cancel(reference, force=True)
        if self._began:
            self._ray.shutdown()


def watch(text: str, place: str) -> str:
    """What a worker does: run a cell in a process and wait for it."""
    from trace2skill.study.process import CellProcess

    os.chdir(place)
    return CellProcess().run(Job.model_validate_json(text))
