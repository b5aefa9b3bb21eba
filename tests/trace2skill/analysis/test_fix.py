"""The tools of an error analyst: what they answer, and how they refuse."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from inspect_ai import Task, eval
from inspect_ai.log import EvalSample
from inspect_ai.scorer import Score, Scorer, Target, accuracy, scorer
from inspect_ai.solver import Generate, Solver, TaskState, solver
from inspect_ai.tool import Tool, ToolError
from inspect_ai.util import (
    ExecResult,
    SandboxEnvironment,
    SandboxEnvironmentSpec,
    sandbox,
    sandboxenv,
    store,
)

from tests.trace2skill.toy import GOOD_FIX, LESSON, adding
from trace2skill.analysis.fix import (
    FIX_TIMEOUT,
    MAX_CHECKS,
    MAX_FIX_CHARACTERS,
    MAX_FIX_CHECKS,
    check_fix,
    submit,
    take_inputs,
)
from trace2skill.analysis.judging import Judging
from trace2skill.analysis.reports import MAX_LESSONS, Lesson
from trace2skill.analysis.submission import SHOWN_CHARACTERS, Submission
from trace2skill.logs.outcome import SuccessRule

LESSONS = [Lesson(**LESSON)]
NO_FIXES = (
    "/etc/passwd",
    "/tmp/fix.py",
    "../fix.py",
    "a/../../fix.py",
    "numbers.txt",
    "total.txt",
    "fix",
    ".",
    "a\0.py",
)
"""An input, a result, and what lies elsewhere."""


JUDGING = Judging(rule=SuccessRule(scorer="total_is_right"), scorers=("total_is_right",))


async def answer(tool: Tool, **arguments: Any) -> str:
    """What a tool says to the model."""
    try:
        return str(await tool(**arguments))
    except ToolError as error:
        return f"REFUSED {error}"


async def checks(state: TaskState, submission: Submission) -> dict[str, str]:
    check = check_fix(state, JUDGING, submission)
    scripts = {
        "right.py": GOOD_FIX,
        "right.sh": "echo $(($(head -1 numbers.txt) + 7)) > total.txt\n",
        "wrong.py": "open('total.txt', 'w').write('12.5')\n",
        "nothing.py": "import os\nos.remove('total.txt')\n",
        "crash.py": "raise ValueError('x' * 5000 + 'the last words')\n",
        "silent.sh": "echo 'only on stdout'; exit 3\n",
    }
    for name, source in scripts.items():
        await sandbox().write_file(name, source)
    return {name: await answer(check, script=name) for name in [*scripts, "missing.py", "missing.sh"]}


async def submissions(state: TaskState, submission: Submission) -> dict[str, str]:
    tool = submit(submission)
    await take_inputs(submission)
    before = replace(submission)
    files: dict[str, str | bytes] = {
        "fix.py": GOOD_FIX,
        "long.py": "#" * (MAX_FIX_CHARACTERS + 1),
        "image.py": b"\xff\xfe",
        "total.txt": "1241",
        "folder.py/x": "",
    }
    for name, content in files.items():
        await sandbox().write_file(name, content)
    said = {
        "missing": await answer(tool, fix="gone.py", causes=["c"], lessons=LESSONS),
    }
    for fix in [*NO_FIXES, "long.py", "image.py", "folder.py"]:
        said[fix] = await answer(tool, fix=fix, causes=["c"], lessons=LESSONS)
    said["untouched"] = str(submission == before)
    said["empty"] = await answer(tool, fix="", causes=[], lessons=[])
    said["good"] = await answer(tool, fix="fix.py", causes=["c"], lessons=LESSONS * MAX_LESSONS)
    said["source"] = submission.source
    said["kept"] = f"{submission.script} {submission.causes} {len(submission.lessons)}"
    return said


@solver
def using(tools: Callable[[TaskState, Submission], Awaitable[dict[str, str]]]) -> Solver:
    async def solve(state: TaskState, generate: Generate) -> TaskState:
        submission = Submission()
        store().set("said", await tools(state, submission))
        store().set("verdicts", [text for text, _ in submission.verdicts])
        return state

    return solve


def run(task: Task, folder: Path) -> EvalSample:
    [log] = eval(task, model="mockllm/model", log_dir=str(folder), limit=1, display="none")
    assert log.status == "success", log.error
    assert log.samples
    return log.samples[0]


def with_tools(tools: Callable[[TaskState, Submission], Awaitable[dict[str, str]]], **changes: Any) -> Task:
    task = adding()
    task.solver = using(tools)
    for name, value in changes.items():
        setattr(task, name, value)
    return task


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> EvalSample:
    return run(with_tools(checks), tmp_path_factory.mktemp("checks"))


@pytest.fixture(scope="module")
def submitted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    said: dict[str, str] = run(with_tools(submissions), tmp_path_factory.mktemp("submissions")).store["said"]
    return said


@pytest.mark.parametrize("script", ["right.py", "right.sh"])
def test_a_fix_is_judged_by_the_tasks_own_scorer(checked: EvalSample, script: str) -> None:
    assert checked.store["said"][script] == "PASSED\nexpected <integer>, got <integer>"


def test_a_wrong_fix_is_told_what_the_scorer_said(checked: EvalSample) -> None:
    assert checked.store["said"]["wrong.py"] == "FAILED\nexpected <integer>, got <number with 1 decimal>"
    assert checked.store["said"]["nothing.py"] == "FAILED\ntotal.txt is missing"


def test_a_script_that_crashes_shows_the_end_of_its_output(checked: EvalSample) -> None:
    said = checked.store["said"]["crash.py"]

    assert said.startswith("REFUSED crash.py failed:\n")
    assert said.endswith("the last words\n") or said.endswith("the last words")
    assert len(said) <= SHOWN_CHARACTERS + 40
    assert checked.store["said"]["silent.sh"] == "REFUSED silent.sh failed:\nonly on stdout\n"


@pytest.mark.parametrize("script", ["missing.py", "missing.sh"])
def test_a_missing_script_is_named(checked: EvalSample, script: str) -> None:
    assert checked.store["said"][script].startswith(f"REFUSED {script} failed:\n")
    assert "No such file" in checked.store["said"][script]


def test_every_verdict_that_was_shown_is_kept_whole_and_no_other(checked: EvalSample) -> None:
    assert checked.store["verdicts"] == [
        "expected 1241, got 1241",
        "expected 1241, got 1241",
        "expected 1241, got 12.5",
        "total.txt is missing",
    ]


def test_a_fix_that_does_not_exist_is_refused(submitted: dict[str, str]) -> None:
    assert submitted["missing"].startswith("REFUSED There is no file gone.py.")


@pytest.mark.parametrize("path", NO_FIXES)
def test_only_a_new_script_in_the_working_directory_is_a_fix(submitted: dict[str, str], path: str) -> None:
    assert submitted[path].startswith(f"REFUSED {path} cannot be a fix: name a new script")


def test_a_fix_that_is_no_text_or_too_long_is_refused(submitted: dict[str, str]) -> None:
    assert submitted["long.py"] == "REFUSED long.py has 100,001 characters; a fix may have 100,000."
    assert submitted["image.py"].startswith("REFUSED image.py cannot be read as a script: UnicodeDecodeError")
    assert submitted["folder.py"].startswith("REFUSED folder.py cannot be read as a script: IsADirectoryError")


def test_a_refused_submission_leaves_nothing_behind(submitted: dict[str, str]) -> None:
    assert submitted["untouched"] == "True"


def test_a_submission_keeps_the_text_of_the_fix(submitted: dict[str, str]) -> None:
    assert (submitted["good"], submitted["empty"]) == ("submitted", "submitted")
    assert submitted["source"] == GOOD_FIX
    assert submitted["kept"] == "fix.py ['c'] 3"


@sandboxenv(name="never_done")
class NeverDone(SandboxEnvironment):
    """A sandbox in which every command runs longer than it may."""

    @classmethod
    async def sample_init(cls, task_name: str, config: Any, metadata: dict[str, str]) -> dict[str, SandboxEnvironment]:
        return {"default": cls()}

    @classmethod
    async def sample_cleanup(
        cls, task_name: str, config: Any, environments: dict[str, SandboxEnvironment], interrupted: bool
    ) -> None:
        pass

    async def exec(self, cmd: list[str], *args: Any, timeout: int | None = None, **options: Any) -> ExecResult[str]:
        assert timeout == FIX_TIMEOUT
        assert options.get("timeout_retry") is False
        raise TimeoutError(f"{cmd} timed out")

    async def write_file(self, file: str, contents: str | bytes) -> None:
        pass

    async def read_file(self, file: str, text: bool = True) -> Any:
        raise FileNotFoundError(file)


async def too_slow(state: TaskState, submission: Submission) -> dict[str, str]:
    return {"slow.py": await answer(check_fix(state, JUDGING, submission), script="slow.py")}


def test_a_script_that_takes_too_long_is_told_so(tmp_path: Path) -> None:
    sample = run(with_tools(too_slow, sandbox=SandboxEnvironmentSpec("never_done")), tmp_path)

    assert sample.store["said"] == {"slow.py": f"REFUSED slow.py ran longer than {FIX_TIMEOUT} seconds."}
    assert sample.store["verdicts"] == []


@pytest.mark.parametrize(("threshold", "expected"), [(1.0, [1, 0, 0, 1, 0, 1, 0]), (0.5, [1, 0, 1, 1, 1, 1, 0])])
def test_the_threshold_says_what_passes(threshold: float, expected: list[int]) -> None:
    rule = SuccessRule(scorer="s", threshold=threshold)

    assert [rule.passed({"s": Score(value=value)}) for value in ("C", "I", "P", 1, 0.99, True, 0.49)] == expected


async def many_checks(state: TaskState, submission: Submission) -> dict[str, str]:
    check = check_fix(state, JUDGING, submission)
    said = {}
    for number in range(MAX_FIX_CHECKS + 1):
        # Each fails in another way: the engine sees progress.
        await sandbox().write_file("fix.sh", f"echo {number} of {number} cells > total.txt; echo done\n")
        said[str(number)] = await answer(check, script="fix.sh")
    return said


async def same_checks(state: TaskState, submission: Submission) -> dict[str, str]:
    check = check_fix(state, JUDGING, submission)
    said = {}
    for number in range(MAX_CHECKS + 1):
        await sandbox().write_file("fix.sh", f"echo {number}.{number}{'0' * number} > total.txt\n")
        said[str(number)] = await answer(check, script="fix.sh")
    return said


@scorer(metrics=[accuracy()])
def differing_cells() -> Scorer:
    """Tells how many cells differ, as total.txt has it."""

    async def score(state: TaskState, target: Target) -> Score:
        return Score(value="I", explanation=f"{(await sandbox().read_file('total.txt')).strip()} differ")

    return score


def test_scripts_are_checked_a_limited_number_of_times(tmp_path: Path) -> None:
    task = with_tools(many_checks)
    task.scorer = [differing_cells()]
    said = run(task, tmp_path).store["said"]

    assert said["9"] == "FAILED\n9 of 9 cells differ"
    assert said["10"] == "REFUSED Fixes were checked 10 times, which is all. Submit what you have."


def test_what_a_script_prints_is_no_answer_where_the_scorer_does_not_look_at_it(tmp_path: Path) -> None:
    task = with_tools(many_checks)
    task.scorer = [differing_cells()]

    assert "judged as an answer" not in str(run(task, tmp_path).store["said"])


def test_fixes_that_fail_in_the_same_way_are_guesses(tmp_path: Path) -> None:
    said = run(with_tools(same_checks), tmp_path).store["said"]

    assert said["2"] == "FAILED\nexpected <integer>, got <number with 3 decimals>"
    assert said["3"] == "REFUSED 3 fixes failed in the same way: more would be guessing. Submit what you have."
