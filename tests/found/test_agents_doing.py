"""What an agent makes of its folder, files and tool calls is a wrong answer, never a missing run."""

import base64
import io
import shutil
import signal
import zipfile
from functools import partial
from pathlib import Path

import pytest
from inspect_ai import Task, eval
from inspect_ai.dataset import Sample
from inspect_ai.log import EvalLog, EvalSample
from inspect_ai.model import ChatMessageTool, Model, ModelOutput, ModelUsage, get_model
from inspect_ai.scorer import Score
from inspect_ai.solver import Generate, Solver, TaskState, solver
from inspect_ai.util import SandboxUnavailableError, sandbox

from evals import spreadsheet as spreadsheet_module
from evals.agent import CUT_SHORT, PRODUCED_FILES, skill_agent
from evals.graders.worker import WorkerEndedError, Workers
from evals.math_reasoning import math_reasoning, zero
from evals.produced import UnusableError, is_agents_doing, judge_produced
from evals.sandbox.probe import find_bwrap
from evals.spreadsheet import spreadsheet, unchanged
from evals.tools import view_image
from evals.visionqa import visionqa
from evals.wikitq import wikitq
from trace2skill.data.places import bundled
from trace2skill.errors import DataError

pytestmark = pytest.mark.slow

TASKS = {
    "spreadsheet": partial(spreadsheet, dataset="sample", split="test"),
    "visionqa": partial(visionqa, dataset="sample", split="test", image="sandbox"),
    "wikitq": partial(wikitq, dataset="sample", split="test"),
}
ODD = {
    "missing": "true",
    "folder": "mkdir OUT",
    "unreadable": "echo x > OUT; chmod 000 OUT",
    "dangling link": "ln -s /nowhere OUT",
    "link to itself": "ln -s OUT OUT",
    "pipe": "mkfifo OUT",
    "link to a host file": "ln -s /etc/shadow OUT",
    "not text": r"printf '\xff\xfe' > OUT",
    "huge": "truncate -s 300M OUT",
    "device": "ln -s /dev/zero OUT",
    "closed folder": "chmod 000 .",
}

needs_bwrap = pytest.mark.skipif(find_bwrap().path is None, reason="bubblewrap cannot start here")


@solver
def leaves(command: str) -> Solver:
    async def solve(state: TaskState, generate: Generate) -> TaskState:
        await sandbox().exec(["sh", "-c", command.replace("OUT", f"'{state.metadata['output']}'")])
        state.output = ModelOutput.from_content(str(state.model), "done")
        return state

    return solve


def run(task: Task, agent: Solver | None, folder: Path, model: str | Model = "mockllm/model") -> EvalLog:
    [log] = eval(task, solver=agent, model=model, limit=1, log_dir=str(folder), display="none")
    return log


def only(log: EvalLog) -> EvalSample:
    [sample] = log.samples or []
    return sample


def score(log: EvalLog) -> Score:
    assert log.status == "success", log.error
    [given] = (only(log).scores or {}).values()
    return given


@needs_bwrap
@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("odd", ODD)
def test_an_odd_output_is_wrong(name: str, odd: str, tmp_path: Path) -> None:
    log = run(TASKS[name](sandbox="bwrap"), leaves(ODD[odd]), tmp_path)

    assert score(log).value == "I"
    assert score(log).explanation


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("odd", ["folder", "pipe", "device", "link to itself"])
def test_an_odd_output_is_not_opened_without_isolation_either(name: str, odd: str, tmp_path: Path) -> None:
    assert score(run(TASKS[name](sandbox="local"), leaves(ODD[odd]), tmp_path)).value == "I"


@pytest.mark.parametrize("name", TASKS)
def test_a_working_folder_that_is_gone_is_wrong(name: str, tmp_path: Path) -> None:
    assert score(run(TASKS[name](sandbox="local"), leaves('rm -rf "$PWD"'), tmp_path)).value == "I"


def calling(*calls: tuple[str, str, str]) -> Model:
    """A model that calls these tools, each with one argument, and then submits."""
    outputs = [ModelOutput.for_tool_call("mockllm/model", tool, {name: value}) for tool, name, value in calls]
    left = iter([*outputs, ModelOutput.for_tool_call("mockllm/model", "submit", {"answer": "done"})])

    def respond(*_: object) -> ModelOutput:
        output = next(left)
        output.usage = ModelUsage(input_tokens=1, output_tokens=1, total_tokens=2)  # else it fetches a tokenizer
        return output

    return get_model("mockllm/model", custom_outputs=respond, memoize=False)


def agent_log(folder: Path, place: str, *calls: tuple[str, str, str]) -> EvalLog:
    agent = skill_agent("Do it.", max_turns=5, tools=[view_image()])
    return run(Task(dataset=[Sample(input="x")], solver=agent, sandbox=place), None, folder, calling(*calls))


@pytest.mark.parametrize(
    ("tool", "name", "value"),
    [
        ("bash", "command", "echo " + "x" * 3_000_000),
        ("bash", "command", "echo a\0b"),
        ("view_image", "path", "a\0b"),
        ("view_image", "path", "a" * 5_000),
        ("view_image", "path", "."),
    ],
)
def test_a_call_that_cannot_be_carried_out_is_told_to_the_model(
    tool: str, name: str, value: str, tmp_path: Path
) -> None:
    log = agent_log(tmp_path, "local", (tool, name, value))

    assert log.status == "success", log.error
    [told, *_] = [message for message in only(log).messages if isinstance(message, ChatMessageTool)]
    assert told.error


def test_half_a_character_in_a_command_ends_the_agent_only(tmp_path: Path) -> None:
    log = agent_log(tmp_path, "local", ("bash", "command", "echo \ud83d"))

    assert log.status == "success", log.error
    assert "not Unicode" in only(log).metadata[CUT_SHORT]


@needs_bwrap
def test_an_agent_goes_on_after_it_has_closed_its_folder(tmp_path: Path) -> None:
    closing = ("bash", "command", "chmod 000 ."), ("bash", "command", "ls"), ("view_image", "path", "page.png")
    log = agent_log(tmp_path, "bwrap", *closing)

    assert log.status == "success", log.error
    assert len([message for message in only(log).messages if message.role == "tool"]) >= 3


def test_files_of_any_name_are_kept(tmp_path: Path) -> None:
    log = agent_log(tmp_path, "local", ("bash", "command", r"printf x > $'a\tb'; printf y > $'c\nd'"))

    assert log.status == "success", log.error
    kept = {path: base64.b64decode(content) for path, content in only(log).store[PRODUCED_FILES].items()}
    assert kept == {"a\tb": b"x", "c\nd": b"y"}


def unpacking_to(size: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", b" " * size)
    return buffer.getvalue()


@solver
def writes(content: bytes) -> Solver:
    async def solve(state: TaskState, generate: Generate) -> TaskState:
        await sandbox().write_file(state.metadata["output"], content)
        return state

    return solve


def test_an_output_that_takes_a_grader_to_its_limit_is_wrong(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    small = Workers(memory=900 * 1024**2)
    monkeypatch.setattr(spreadsheet_module, "COMPARISONS", small)
    task = spreadsheet(dataset="sample", split="test", sandbox="local")
    log = run(task, writes(unpacking_to(1024**3)), tmp_path)
    small.stop()

    assert score(log).value == "I"
    assert "memory" in str(score(log).explanation)


def test_a_broken_reference_stays_an_error(tmp_path: Path) -> None:
    folder = tmp_path / "sample"
    shutil.copytree(bundled("tasks/sample/spreadsheet"), folder)
    for golden in folder.rglob("*golden*"):
        golden.write_bytes(b"half a download")
    log = run(spreadsheet(dataset=str(folder), split="test", sandbox="local"), unchanged(), tmp_path / "logs")

    assert only(log).error
    assert not only(log).scores


async def test_only_what_fails_on_the_agents_answer_alone_is_its_doing() -> None:
    pool = Workers()
    fails, works = partial(pool.run, divmod, 1, 0), partial(pool.run, divmod, 1, 1)

    with pytest.raises(UnusableError, match="the reference can"):
        await judge_produced(fails, works)
    with pytest.raises(UnusableError, match="600 s of processor time"):
        await judge_produced(partial(pool.run, signal.raise_signal, signal.SIGPROF), works)
    with pytest.raises(UnusableError, match="ended with status -11"):
        await judge_produced(partial(pool.run, signal.raise_signal, signal.SIGSEGV), works)
    with pytest.raises(ZeroDivisionError):
        await judge_produced(fails, fails)
    with pytest.raises(WorkerEndedError, match="1800 s"):
        await judge_produced(partial(pool.run, signal.raise_signal, signal.SIGALRM), works)
    pool.stop()


async def test_a_comparison_that_was_killed_from_outside_is_repeated() -> None:
    pool, ends = Workers(), iter([signal.SIGKILL, 0])

    async def judge() -> object:
        return await pool.run(signal.raise_signal, end) if (end := next(ends)) else "right"

    assert await judge_produced(judge, judge) == "right"
    pool.stop()


async def test_what_the_machine_lacks_is_not_the_agents_doing() -> None:
    assert not await is_agents_doing(OSError(28, "No space left on device"))
    assert not await is_agents_doing(SandboxUnavailableError("it is gone"))
    assert await is_agents_doing(PermissionError(13, "Permission denied"))


def test_a_grader_that_dies_on_an_answer_alone_makes_it_wrong(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def dies(message: str, target: str) -> None:
        raise WorkerEndedError("limited_comparison", -signal.SIGBUS)

    monkeypatch.setattr("evals.math_reasoning.judge", dies)
    log = run(math_reasoning(dataset="sample", split="test"), zero(), tmp_path)

    assert score(log).value == "I"


def test_a_reference_that_cannot_be_judged_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def damaged(*_: object) -> None:
        raise DataError("the reference is damaged")

    monkeypatch.setattr("evals.math_reasoning.judge", damaged)
    monkeypatch.setattr("evals.math_reasoning.compare_expressions", damaged)
    log = run(math_reasoning(dataset="sample", split="test"), zero(), tmp_path)

    assert only(log).error
