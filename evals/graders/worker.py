"""Heavy comparisons in processes of their own, so that neither the event loop nor other threads wait for them.

A process is kept for the next call, because importing openpyxl or sympy takes its time. It imports what it is asked to
call and nothing else: unlike `multiprocessing`, it does not run the caller's main module again, which in a user's
script may start an evaluation. Run as a script, this module is that process.

A process opens files that agents made, and one of them may take it over. So its answers are read as values and errors:
pickles from which nothing can be called.
"""

import atexit
import contextlib
import importlib
import io
import os
import pickle
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import is_dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, Concatenate, ParamSpec, TypeVar

import anyio.to_thread

P = ParamSpec("P")
S = TypeVar("S", str, bytes, str | bytes)
T = TypeVar("T")

PROCESSES = max(1, min(4, (os.cpu_count() or 1) // 2))
"""Processes of one pool: few, since a comparison takes milliseconds and a process seconds to start."""


SECONDS = 600
"""Processor time for one call, after which the kernel ends the process: a busy machine does not change verdicts."""

PATIENCE = 3
"""The kernel also ends a process that has not finished after so many times its processor time."""

MEMORY_BYTES = 8 * 1024**3
"""Address space of a process: a file that unpacks to more must not take the machine with it."""


LONG = 20_000
"""Characters of a text from which on judging it may take its time."""


MAX_ANSWER = 64 * 1024**2
"""Bytes of an answer."""

_VALUES = frozenset(
    {("decimal", "Decimal"), *(("datetime", name) for name in ("date", "datetime", "time", "timedelta", "timezone"))}
)
_ERRORS = ("evals.", "trace2skill.errors")
_VERDICTS = ("evals.graders.", "evals.answer_items")
_GRACE = 10
"""Seconds in which a process has to end that has been given nothing more to do."""


class WorkerEndedError(RuntimeError):
    """A process ended in the middle of a call."""

    def __init__(self, what: str, status: int, seconds: int = SECONDS) -> None:
        reasons = {
            -signal.SIGPROF: f"It took more than {seconds} s of processor time.",
            -signal.SIGALRM: f"It took more than {PATIENCE * seconds} s.",
            -signal.SIGKILL: "Is the machine out of memory?",
        }
        super().__init__(f"The process that ran {what} ended with status {status}. {reasons.get(status, '')}".rstrip())
        self.status = status
        """Exit status; of a signal, its negative number."""


class Workers:
    """Processes that call functions of importable modules, at most `PROCESSES` at once.

    Args:
        seconds: Processor time for one call.
        memory: Address space of a process, in bytes.
    """

    def __init__(self, seconds: int = SECONDS, memory: int = MEMORY_BYTES) -> None:
        self._seconds, self._memory = seconds, memory
        self.idle: list[subprocess.Popen[bytes]] = []
        self._slots = threading.BoundedSemaphore(PROCESSES)

    def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function in a process. It blocks, but leaves the interpreter to others.

        Args:
            function: A function at the top level of a module.
            args: Its arguments, which must be picklable.
            kwargs: Likewise.

        Returns:
            What the function returned: a plain value, a date, a `Decimal`, or a verdict of the graders.

        Raises:
            WorkerEndedError: The process ended before it answered.
            RuntimeError: It answered with something else.
            Exception: Whatever the function raised; what is neither built in nor ours is told in words.
        """
        question = pickle.dumps((function.__module__, function.__qualname__, args, kwargs))
        with self._slots:
            worker = self._take()
            answer = _ask(worker, question)
            if not answer:
                raise WorkerEndedError(function.__qualname__, _reap(worker), self._seconds)
            try:
                returned, value = _read_answer(answer)
            except Exception as error:
                worker.kill()
                _reap(worker)
                raise RuntimeError(f"The process that ran {function.__qualname__} gave no usable answer.") from error
            self.idle.append(worker)
        if not returned:
            raise value
        return value  # type: ignore[no-any-return]  # what the function returned

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """`call`, for the event loop."""
        return await anyio.to_thread.run_sync(partial(self.call, function, *args, **kwargs))

    async def judge(
        self, function: Callable[Concatenate[S, P], T], produced: S, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """`run` on what an agent produced, if that is a file or a long text; a short text is judged at once."""
        if isinstance(produced, bytes) or len(produced) > LONG:
            return await self.run(function, produced, *args, **kwargs)
        return function(produced, *args, **kwargs)

    def stop(self) -> None:
        """End the idle processes."""
        while self.idle:
            _reap(self.idle.pop())

    def _take(self) -> subprocess.Popen[bytes]:
        with contextlib.suppress(IndexError):
            while True:
                worker = self.idle.pop()
                if worker.poll() is None:
                    return worker
                _reap(worker)
        # -P: this file's folder must not come before the standard library.
        command = [sys.executable, "-P", __file__, str(self._seconds), str(self._memory)]
        paths = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": paths},
        )


def _ask(worker: subprocess.Popen[bytes], question: bytes) -> bytes:
    """The process's answer, or nothing if it has ended."""
    reading, writing = _pipes(worker)
    try:
        _write(writing, question)
        return _read(reading, MAX_ANSWER)
    except BrokenPipeError:
        return b""
    except BaseException:  # an interrupt: the process would answer the wrong question next
        worker.kill()
        _reap(worker)
        raise


def _reap(worker: subprocess.Popen[bytes]) -> int:
    """Close the pipes, which ends a waiting process, and take its exit status."""
    reading, writing = _pipes(worker)
    with contextlib.suppress(BrokenPipeError):
        writing.close()
    reading.close()
    try:
        return worker.wait(_GRACE)
    except subprocess.TimeoutExpired:
        worker.kill()
        return worker.wait()


def _pipes(worker: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes]]:
    if worker.stdout is None or worker.stdin is None:
        raise RuntimeError("The process has no pipes.")
    return worker.stdout, worker.stdin


def _write(stream: IO[bytes], message: bytes) -> None:
    stream.write(len(message).to_bytes(8, "big"))
    stream.write(message)
    stream.flush()


def _read(stream: IO[bytes], limit: int | None = None) -> bytes:
    """A message; nothing if the other side has ended, or says more than it may."""
    size = int.from_bytes(stream.read(8), "big")
    if limit is not None and size > limit:
        return b""
    message = stream.read(size)
    return message if len(message) == size else b""


class _Answer(pickle.Unpickler):
    """Knows plain values, those of `_VALUES`, our data classes and named tuples, and errors; no function."""

    def find_class(self, module: str, name: str) -> Any:
        if not (module == "builtins" or module.startswith(_ERRORS) or (module, name) in _VALUES):
            raise pickle.UnpicklingError(f"{module}.{name} is no value")
        found = super().find_class(module, name)
        # Asked what it is and where it is from: a name with dots leads on, from any module to any other.
        known = isinstance(found, type) and (found.__module__, found.__qualname__) == (module, name)
        error = known and issubclass(found, Exception)
        verdict = known and module.startswith(_VERDICTS) and (issubclass(found, tuple) or is_dataclass(found))
        if not (error or verdict or (module, name) in _VALUES):
            raise pickle.UnpicklingError(f"{module}.{name} is no value")
        return found


def _read_answer(answer: bytes) -> tuple[bool, Any]:
    """Whether a call returned, and what it returned or raised."""
    returned, value = _Answer(io.BytesIO(answer)).load()
    if returned is not True and not isinstance(value, Exception):
        raise pickle.UnpicklingError("it raised what is no exception")
    return returned is True, value


def _serve(seconds: int, memory: int) -> None:
    """Answer calls until the input ends."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    # What a function prints must not come between the answers.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    while question := _read(sys.stdin.buffer):
        module, name, args, kwargs = pickle.loads(question)
        signal.setitimer(signal.ITIMER_PROF, seconds)
        signal.alarm(PATIENCE * seconds)
        try:
            answer = pickle.dumps((True, getattr(importlib.import_module(module), name)(*args, **kwargs)))
        except MemoryError:
            answer = _raised(RuntimeError(f"{name} needs more than {memory / 1024**3:g} GiB of memory."))
        except Exception as error:
            answer = _raised(error)
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.alarm(0)
        _write(answers, answer)


def _raised(error: Exception) -> bytes:
    """An exception for the caller; one that cannot travel is told in words."""
    try:
        answer = pickle.dumps((False, error))
        _read_answer(answer)
    except Exception:
        return pickle.dumps((False, RuntimeError(f"{type(error).__name__}: {error}")))
    return answer


COMPARISONS = Workers()
"""The pool of the graders that have no limits of their own."""

atexit.register(COMPARISONS.stop)

if __name__ == "__main__":
    _serve(*map(int, sys.argv[1:]))
