"""A process for each cell. It ends with whoever started it, prints into its cell's folder, and leaves a reason behind.

Processes come from a fork server that has imported all that cells need: one starts in milliseconds instead of seconds.
"""

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.metadata import entry_points
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import ModuleType

from trace2skill.errors import InterruptedRunError, PrerequisiteError, StudyError
from trace2skill.files import HeldError, held
from trace2skill.study.cells import FAILURE, OUTPUT, Job
from trace2skill.study.store import Store
from trace2skill.text import unmarked

INTERRUPTED = "interrupted"
"""Why a cell is not finished that was stopped from outside."""

LOCK = ".cell.lock"
"""Held by the process of a cell."""

PATIENCE = 30.0
"""Seconds that a stopped cell has to clear away what it is at."""

_LATE = ("acp", "IPython", "anyio._backends._asyncio", "openai.lib.streaming.chat")
"""What Inspect imports only when an evaluation begins: half of the time of a small cell."""

_CODE = 128 + signal.SIGINT
_PR_SET_PDEATHSIG = 1
_TRIES = 20
_FAREWELL = 10.0
_CONTEXT = multiprocessing.get_context("forkserver")


class CellProcess:
    """Starts processes of cells and waits for them, from any thread."""

    def __init__(self) -> None:
        extensions = [extension.module for extension in entry_points(group="inspect_ai")]
        _CONTEXT.set_forkserver_preload(["trace2skill.study.working", *_LATE, *extensions])
        _begin_fork_server()
        # Processes may be started and waited for in several threads, but one at a time.
        self._lock = threading.Lock()
        self._running: set[BaseProcess] = set()
        self._stopping = False

    def run(self, job: Job) -> str:
        """Run a cell to its end.

        Returns:
            Why it is not finished; empty if it is.
        """
        folder = Path(job.folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / FAILURE).unlink(missing_ok=True)
        process = _CONTEXT.Process(target=main, args=(job.model_dump_json(), str(Path.cwd())), name=job.slug)
        with self._lock:
            if self._stopping:
                return INTERRUPTED
            with _without_main():
                process.start()
            self._running.add(process)
        wait([process.sentinel])
        with self._lock:
            process.join()
            self._running.discard(process)
        return _reason(job, process.exitcode or 0)

    def stop(self) -> None:
        """Interrupt what is running, and end what does not heed it."""
        with self._lock:
            self._stopping = True
            running = [process for process in self._running if process.pid]
        for process in running:
            _signal(process, signal.SIGINT)
        until = time.monotonic() + PATIENCE
        while any(process in self._running for process in running) and time.monotonic() < until:
            time.sleep(0.1)
        for process in running:
            if process in self._running:
                _signal(process, signal.SIGKILL)


def _begin_fork_server() -> None:
    """Begin it deaf to Ctrl-C, which reaches every process of a terminal: its parent ends it."""
    # It would unblock the signal again.
    resource_tracker.ensure_running()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


@contextmanager
def _without_main() -> Iterator[None]:
    """Hide the program that runs here from what is started: each process would import it again, Ray's for seconds."""
    program = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = program


def _signal(process: BaseProcess, number: int) -> None:
    """To a process and to what it has started: it leads a group of its own."""
    try:
        os.killpg(process.pid or 0, number)
    except (ProcessLookupError, PermissionError):
        return


def _reason(job: Job, code: int) -> str:
    from trace2skill.study.working import note_failure, read_failure, read_result

    folder = Path(job.folder)
    try:
        if read_result(folder, job.digest) is not None:
            return ""
    except StudyError as error:
        return str(error)
    if code == _CODE:
        return INTERRUPTED
    if (failure := read_failure(folder, job.digest)) is not None:
        return failure.why
    ended = f"by signal {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
    why = f"Its process was ended {ended}. What it printed is in {folder / OUTPUT}; run the study again to go on."
    note_failure(job, why)
    return why


def main(text: str, place: str) -> None:
    """What the process of a cell does."""
    os.setpgid(0, 0)
    _end_with_parent()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    job = Job.model_validate_json(text)
    os.chdir(place)
    os.environ["PWD"] = place
    _print_into(Path(job.folder) / OUTPUT)
    from trace2skill.study.working import note_failure, work

    code = 1
    try:
        # The fork server has it blocked: one that came until now ends the cell here, without a traceback.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        with _alone(job), _stored(job):
            work(job)
        code = 0
    except (KeyboardInterrupt, InterruptedRunError):
        code = _CODE
    except PrerequisiteError as error:
        message = str(error) if error.args else unmarked(error.message)
        print(message, flush=True)
        note_failure(job, message)
    except BaseException as error:
        traceback.print_exc()
        note_failure(job, f"{type(error).__name__}: {error}. The traceback is in {Path(job.folder) / OUTPUT}.")
    sys.stdout.flush()
    sys.stderr.flush()
    # Libraries may clear away what they hold, but their threads must not keep a cell that is done.
    watchdog = threading.Timer(_FAREWELL, os._exit, (code,))
    watchdog.daemon = True
    watchdog.start()
    sys.exit(code)


def _end_with_parent() -> None:
    """Have the kernel end this process when the one that started it is gone, however that ended (on Linux)."""
    try:
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    except (AttributeError, OSError):
        return
    if os.getppid() == 1:
        os._exit(1)


def _print_into(file: Path) -> None:
    with file.open("ab") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    with Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    sys.stdout = open(1, "w", encoding="utf-8", buffering=1, closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", buffering=1, closefd=False)  # noqa: SIM115


@contextmanager
def _alone(job: Job) -> Iterator[None]:
    """Keep a second process away from the cell; one may be just ending there, or looking whether it runs."""
    with ExitStack() as stack:
        for last in (*[False] * _TRIES, True):
            try:
                stack.enter_context(held(Path(job.folder) / LOCK))
                break
            except HeldError as error:
                if last:
                    raise StudyError(
                        f"Another process is at work in {job.folder} ({error}). Wait for it, or end it."
                    ) from error
                time.sleep(0.5)
        yield


@contextmanager
def _stored(job: Job) -> Iterator[None]:
    """Bring what a cell needs from the study's store, if it has one, and what it has come to there, however it ends."""
    if not job.store:
        yield
        return
    store = Store(job.store)
    for folder in (job.folder, *job.needs.values()):
        store.fetch(Path(folder))
    try:
        yield
    finally:
        store.keep(Path(job.folder))
