"""Fixes that analysts write: run them, let the task's own scorer judge them, take the submission, look for cheating.

Decision record 8 says what cannot be cheated here, and why.
"""

from copy import copy
from pathlib import PurePosixPath

import anyio.to_thread
from inspect_ai.model import ModelOutput
from inspect_ai.solver import TaskState
from inspect_ai.tool import Tool, ToolError, tool
from inspect_ai.util import ExecResult, OutputLimitExceededError, sandbox

from trace2skill.analysis.judging import Judging, Verdict
from trace2skill.analysis.leaks import hard_coded, readable
from trace2skill.analysis.reports import Lesson
from trace2skill.analysis.submission import SHOWN_CHARACTERS, Submission
from trace2skill.models.backslashes import restore

FIX_TIMEOUT = 180
"""Seconds that a fix may run."""

MAX_CHECKS = 3
"""Times that an answer, given or printed, may be checked, or fixes fail in the same way: more would be guessing."""

MAX_FIX_CHECKS = 10
"""Times that a script may be checked."""

MAX_FIX_CHARACTERS = 100_000
"""A longer fix carries its result instead of computing it."""

MAX_INPUT_KIB = 8192
"""Larger input files are not read."""

_PRINTED = (
    "What the script printed was judged as an answer: the verdict is all there is to see, and answers are checked "
    f"{MAX_CHECKS} times only."
)


async def take_inputs(submission: Submission) -> None:
    """Note the sample's original input files, before the analyst can change them."""
    submission.names = frozenset(await _list_files())
    for path in await _list_files("-size", f"-{MAX_INPUT_KIB}k"):
        content = await sandbox().read_file(path, text=False)
        submission.known += (await anyio.to_thread.run_sync(readable, content),)


async def _list_files(*conditions: str) -> list[str]:
    listed = await sandbox().exec(["find", ".", "-type", "f", *conditions, "-print0"])
    return [path for path in listed.stdout.split("\0") if path]


async def run_fix(script: str) -> ExecResult[str]:
    """Run a fix in the sandbox's working directory: Python for `.py`, else bash.

    Raises:
        TimeoutError: It ran longer than `FIX_TIMEOUT`.
    """
    interpreter = "python3" if script.endswith(".py") else "bash"
    return await sandbox().exec([interpreter, script], timeout=FIX_TIMEOUT, timeout_retry=False)


@tool
def check_fix(state: TaskState, judging: Judging, submission: Submission) -> Tool:
    """Tool with which an analyst tries a fix against the task's own scorer."""

    async def execute(script: str) -> str:
        """Run a script in the working directory, then judge what it produced exactly as the failed run was judged.

        Args:
            script: Path of the script, `fix.py` or `fix.sh`.
        """
        _check_name(script, submission)
        if submission.checks >= MAX_FIX_CHECKS:
            raise ToolError(f"Fixes were checked {MAX_FIX_CHECKS} times, which is all. Submit what you have.")
        if submission.same_failures >= MAX_CHECKS:
            raise ToolError(f"{MAX_CHECKS} fixes failed in the same way: more would be guessing. Submit what you have.")
        try:
            ran = await run_fix(script)
        except TimeoutError as error:
            raise ToolError(f"{script} ran longer than {FIX_TIMEOUT} seconds.") from error
        if not ran.success:
            raise ToolError(f"{script} failed:\n{(ran.stderr or ran.stdout)[-SHOWN_CHARACTERS:]}")
        if ran.stdout.strip() and submission.answers >= MAX_CHECKS:
            raise ToolError(
                f"{script} printed an answer, and answers were checked {MAX_CHECKS} times, which is all. Let a script "
                "that writes files print nothing, or submit what you have."
            )
        verdict, is_answer = await _judge_printed(state, judging, ran.stdout)
        own = await sandbox().read_file(script)
        shown = submission.show_check(verdict, own=own, is_answer=is_answer)
        return f"{shown}\n{_PRINTED}" if is_answer and not verdict.passed else shown

    return execute


async def _judge_printed(state: TaskState, judging: Judging, printed: str) -> tuple[Verdict, bool]:
    """The verdict on what a fix wrote and printed, and whether what it printed makes a difference to it."""
    silent = await judging.judge(state)
    if not printed.strip():
        return silent, False
    verdict = await judging.judge(_with_answer(state, printed))
    return verdict, verdict != silent


def answer_with(state: TaskState, answer: str) -> None:
    """Make a text the agent's final message, as the task's scorer reads it."""
    state.output = ModelOutput.from_content(str(state.model), answer)
    state.output.message.source = None  # no model generated it, so it does not count as a call
    state.messages.append(state.output.message)


def _with_answer(state: TaskState, answer: str) -> TaskState:
    """The state as if the agent's final message had been this text."""
    trial = copy(state)
    trial.messages = list(state.messages)
    answer_with(trial, answer)
    return trial


@tool
def check_answer(state: TaskState, judging: Judging, submission: Submission) -> Tool:
    """Tool with which an analyst tries an answer against the task's own scorer, a few times."""

    async def execute(answer: str) -> str:
        """Judge an answer exactly as the failed run was judged. It can be used a few times only.

        Args:
            answer: The whole final message, in the form that the task asks for.
        """
        if submission.answers >= MAX_CHECKS:
            raise ToolError(f"The answer was checked {MAX_CHECKS} times, which is all. Submit what you have.")
        answer = restore(answer)
        verdict = await judging.judge(_with_answer(state, answer))
        return submission.show_check(verdict, own=answer, is_answer=True)

    return execute


@tool(name="submit")
def submit_answer(submission: Submission) -> Tool:
    """Tool with which an analyst of a task without a sandbox ends its analysis."""

    async def execute(answer: str, causes: list[str], lessons: list[Lesson]) -> str:
        """Submit the analysis. If the answer does not pass when it is judged once more, the lessons are not used.

        Args:
            answer: The whole right final message, with its derivation; empty if none was found.
            causes: What made the run fail, most important first.
            lessons: At most three lessons; empty if no right answer was found.
        """
        submission.source = restore(answer)
        submission.close(causes, lessons)
        return "submitted"

    return execute


@tool
def submit(submission: Submission) -> Tool:
    """Tool with which an analyst ends its analysis."""

    async def execute(fix: str, causes: list[str], lessons: list[Lesson]) -> str:
        """Submit the analysis. If the fix fails when run again from the original inputs, the lessons are not used.

        Args:
            fix: Path of the script that repairs the run, or an empty string if none was found.
            causes: What made the run fail, most important first.
            lessons: At most three lessons; empty if no fix was found.
        """
        source = await _read_fix(fix, submission) if fix else ""
        submission.script, submission.source = fix, source
        submission.close(causes, lessons)
        return "submitted"

    return execute


def _check_name(script: str, submission: Submission) -> None:
    """Check that a path can be that of a fix.

    The clean run writes a fix to the same path, so one named like an input would replace it, and one named like a
    result would be taken for it.
    """
    path = PurePosixPath(script)
    outside = path.is_absolute() or ".." in path.parts or not script.isprintable()
    if outside or path.suffix not in (".py", ".sh") or f"./{path}" in submission.names:
        raise ToolError(f"{script} cannot be a fix: name a new script in the working directory, fix.py or fix.sh.")


async def _read_fix(fix: str, submission: Submission) -> str:
    """The text of a fix that may be submitted."""
    _check_name(fix, submission)
    try:
        source = await sandbox().read_file(fix)
    except FileNotFoundError as error:
        raise ToolError(f"There is no file {fix}. Write the script first, or submit an empty fix.") from error
    except (OSError, ValueError, OutputLimitExceededError) as error:
        raise ToolError(f"{fix} cannot be read as a script: {error!r}") from error
    if len(source) > MAX_FIX_CHARACTERS:
        raise ToolError(f"{fix} has {len(source):,} characters; a fix may have {MAX_FIX_CHARACTERS:,}.")
    return source


def refuse(submission: Submission, values: frozenset[str]) -> str:
    """Why a submitted fix is not even tried in a clean run; empty if it is.

    An answer holds the target, so it is not searched for `values`.
    """
    if not submission.source:
        return "no fix was submitted"
    reason = hard_coded(submission.source, values) if submission.script else None
    return f"the fix {reason}" if reason else ""
