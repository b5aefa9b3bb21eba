"""The errors a user can meet, and nothing else.

    Trace2SkillError
    ├── LogError             a log is missing, empty, unreadable or without scores
    ├── SkillError           a skill folder is missing, malformed, or fails the Agent Skills format check
    ├── PatchError           an edit or patch file is malformed, unsafe, or does not fit the skill
    ├── InterruptedRunError  a run was stopped from outside; what is finished is kept
    ├── DiskFullError        there is no space left; what is finished is kept
    ├── ModelOutputError     a model's structured output stayed invalid after every repair round, or was not whole
    │   └── ContextOverflowError   the prompt is longer than the model's context
    ├── ServerError          a model's server is gone, silent, or answers nothing of use
    ├── BankError            a memory bank is missing, malformed, of another embedder, or not for this use
    ├── StudyError           a study's declaration cannot be used, or asks for what its rules forbid
    └── DataError            benchmark data is missing, damaged, or not what was declared

Each message says what was required, what arrived, where, and what to do. Both command lines, `trace2skill` and
`inspect`, print it without a traceback. For the latter the base class must be Inspect's own `PrerequisiteError`,
which is not exported: this is the one private import of the project, and it is only a base class.
"""

from inspect_ai._util.error import PrerequisiteError

__all__ = [
    "BankError",
    "ContextOverflowError",
    "DataError",
    "DiskFullError",
    "InterruptedRunError",
    "LogError",
    "ModelOutputError",
    "PatchError",
    "PrerequisiteError",
    "ServerError",
    "SkillError",
    "StudyError",
    "Trace2SkillError",
]


class Trace2SkillError(PrerequisiteError):
    """Base of every error this package raises on purpose."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.args = (message,)


class LogError(Trace2SkillError):
    """A log is missing, empty, unreadable or without scores."""


class SkillError(Trace2SkillError):
    """A skill folder is missing, malformed, or fails the Agent Skills format check."""


class PatchError(Trace2SkillError):
    """An edit or patch file is malformed, unsafe, or does not fit the skill."""


class InterruptedRunError(Trace2SkillError):
    """A run was stopped from outside; what is finished is kept."""


class DiskFullError(Trace2SkillError):
    """There is no space left; what is finished is kept."""

    def __init__(self, folder: object) -> None:
        super().__init__(
            f"No space left on the disk of {folder}. What is finished is kept there: free some space and run the same "
            "command again to go on."
        )


class ModelOutputError(Trace2SkillError):
    """A model's structured output stayed invalid after every repair round, or could not be whole."""


class ContextOverflowError(ModelOutputError):
    """The prompt is longer than the model's context."""


class ServerError(Trace2SkillError):
    """A model's server is gone, silent, or answers nothing of use."""


class BankError(Trace2SkillError):
    """A memory bank is missing, malformed, of another embedder, or not for this use."""


class StudyError(Trace2SkillError):
    """A study's declaration cannot be used, or asks for what its rules forbid."""


class DataError(Trace2SkillError):
    """Benchmark data is missing, damaged, or not what was declared."""
