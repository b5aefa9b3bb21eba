"""What an agent produced, read and judged without trusting it.

An agent must not be able to turn its failure into a missing run: whatever it caused is a wrong answer, and only what
the machine or the dataset is to blame for is an error of the sample. So each fault is held against a control: does the
sandbox still work, does the grader judge the reference? If so, it was the agent's doing.
"""

import errno
import signal
from collections.abc import Awaitable, Callable
from typing import TypeVar

from inspect_ai.util import OutputLimitExceededError, SandboxUnavailableError, sandbox

from evals.graders.worker import WorkerEndedError

T = TypeVar("T")

SECONDS = 60
"""Time for a look at the sandbox."""

# A pipe or device must not be opened: with sandbox=local, reading one never ends.
_KIND = '[ -e "$1" ] || exit 66; [ ! -d "$1" ] || exit 67; [ -f "$1" ] && [ -r "$1" ] || exit 68'
_KINDS = {
    66: "was not written",
    67: "was not written as a file: it is a folder",
    68: "is not a file that can be read",
}

_OF_THE_MACHINE = frozenset(
    {errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.ESTALE}
)
_OF_THE_AGENT = (
    FileNotFoundError,
    NotADirectoryError,
    IsADirectoryError,
    PermissionError,
    OutputLimitExceededError,
    UnicodeError,
)
_KILLED = (-signal.SIGKILL, -signal.SIGTERM)


class UnusableError(Exception):
    """What the agent produced cannot be read or judged, by its own doing; the message explains the wrong answer."""


async def read_produced(path: str) -> bytes:
    """Reads a file that the agent was to write.

    Args:
        path: As the task names it, relative to the working folder.

    Raises:
        UnusableError: The agent did not write it, or made it, or the folder, unreadable.
        Exception: The sandbox does not work.
    """
    try:
        checked = await sandbox().exec(["sh", "-c", _KIND, "sh", path], timeout=SECONDS)
        if checked.returncode in _KINDS:
            raise UnusableError(f"The output {path} {_KINDS[checked.returncode]}.")
        return await sandbox().read_file(path, text=False)
    except OutputLimitExceededError as error:
        raise UnusableError(f"The output {path} is too large: {error}.") from error
    except (OSError, RuntimeError, ValueError) as error:
        if not await is_agents_doing(error):
            raise
        raise UnusableError(f"The output {path} cannot be read: {error!r}.") from error


async def is_agents_doing(error: Exception) -> bool:
    """Whether an error on the way to an agent's files is the agent's doing.

    Some errors say so by their kind. Of the others, the machine is to blame if it has run out of something, or if the
    sandbox can do nothing else either.
    """
    if isinstance(error, _OF_THE_AGENT):
        return True
    if isinstance(error, SandboxUnavailableError) or getattr(error, "errno", None) in _OF_THE_MACHINE:
        return False
    try:
        return (await sandbox().exec(["true"], cwd="/", timeout=SECONDS)).success
    except (OSError, RuntimeError):
        return False


async def judge_produced(judge: Callable[[], Awaitable[T]], control: Callable[[], Awaitable[object]]) -> T:
    """A grader's verdict on what an agent produced.

    Args:
        judge: Judges it.
        control: Judges the reference in its place. What fails as well, or only here, is no fault of the agent's.

    Raises:
        UnusableError: The grader fails, or reaches a limit, on what the agent produced and only on that.
        Exception: It fails on the reference, or the machine cannot run it.
    """
    try:
        try:
            return await judge()
        except WorkerEndedError as error:
            if error.status not in _KILLED:
                raise
            return await judge()  # killed from outside, perhaps for memory that others took
    except OSError:
        raise
    except Exception as error:
        if isinstance(error, WorkerEndedError) and error.status == -signal.SIGALRM:
            raise  # only a machine that stands still takes so much longer than its processor
        await control()
        raise UnusableError(f"What was produced cannot be judged, but the reference can: {error!r}.") from error
