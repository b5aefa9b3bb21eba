"""A memory in all four tasks: what the agent is shown, what the log keeps, and which banks are refused."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from inspect_ai import Task, eval
from inspect_ai.log import EvalSample
from inspect_ai.model import ChatMessage, Model, ModelOutput, ModelUsage, get_model
from inspect_ai.util import registry_create

from evals.math_reasoning import load_dataset as problems
from evals.math_reasoning import math_reasoning
from evals.spreadsheet import spreadsheet
from evals.visionqa import visionqa
from evals.wikitq import wikitq
from tests.trace2skill.memory.banks import counted, make_bank, past
from trace2skill.errors import BankError, DataError, Trace2SkillError
from trace2skill.logs import load_logs
from trace2skill.logs.task import recreate_for_analysis, recreate_task
from trace2skill.memory import EMBEDDER_VARIABLE
from trace2skill.memory.bank import PastTask

pytestmark = pytest.mark.slow

SAMPLE = {"dataset": "sample", "split": "test"}
SANDBOX = {"sandbox": "local"}
ONE_OF_EACH: list[tuple[Callable[..., Task], dict[str, Any]]] = [
    (spreadsheet, SANDBOX),
    (wikitq, SANDBOX),
    (wikitq, {"format": "text"}),
    (visionqa, {}),
    (visionqa, {"image": "sandbox", **SANDBOX}),
    (math_reasoning, {}),
    (math_reasoning, {"tools": "python", **SANDBOX}),
]


def everything(name: str = "any") -> PastTask:
    """A past task that shares words with every query."""
    return past(name, "question problem instruction document table spreadsheet answer")


@pytest.fixture
def bank(tmp_path: Path) -> Path:
    return make_bank(tmp_path / "bank", [everything()]).folder


def giving_up(shown: list[list[ChatMessage]]) -> Model:
    """A model that gives up at once, and notes what it is shown."""

    def respond(input: list[ChatMessage], tools: Any, choice: Any, config: Any) -> ModelOutput:
        shown.append(list(input))
        output = ModelOutput.from_content("mockllm", "I give up.")
        if any(tool.name == "submit" for tool in tools):
            output = ModelOutput.for_tool_call("mockllm", "submit", {"answer": "I give up."})
        output.usage = ModelUsage(input_tokens=1, output_tokens=1, total_tokens=2)
        return output

    return get_model("mockllm/model", custom_outputs=respond, memoize=False)


def play(task: Task, folder: Path, **options: Any) -> tuple[EvalSample, list[ChatMessage]]:
    """One sample, and what its agent was shown first."""
    shown: list[list[ChatMessage]] = []
    [log] = eval(task, model=giving_up(shown), log_dir=str(folder), display="none", **{"limit": 1, **options})
    assert log.status == "success", log.error
    [sample] = log.samples or []
    assert sample.error is None, sample.error
    return sample, shown[0]


@pytest.mark.parametrize(("task", "arguments"), ONE_OF_EACH)
def test_what_is_recalled_ends_the_system_prompt_and_stands_in_the_log(
    bank: Path, tmp_path: Path, task: Callable[..., Task], arguments: dict[str, Any]
) -> None:
    sample, shown = play(task(**SAMPLE, **arguments, memory=str(bank)), tmp_path / "logs")
    systems = [message.text for message in shown if message.role == "system"]
    kept = sample.store["memory"]

    assert len(systems) == 1
    assert "# On any\nFor any.\nDo it as any." in kept["text"]
    assert systems[0].count(kept["text"]) == 1
    assert kept["bank"] == str(bank)
    [row] = kept["retrieved"]
    assert (row["id"], row["status"]) == ("any", "success")
    assert row["score"] > 0


@pytest.mark.parametrize(("task", "arguments"), ONE_OF_EACH)
def test_without_a_memory_nothing_is_said_of_one(
    tmp_path: Path, task: Callable[..., Task], arguments: dict[str, Any]
) -> None:
    sample, shown = play(task(**SAMPLE, **arguments), tmp_path / "logs")

    assert "memory" not in sample.store
    assert "<memory>" not in "".join(message.text for message in shown)


@pytest.mark.parametrize("arguments", [{}, {"tools": "python", **SANDBOX}])
def test_a_memory_may_stand_beside_a_skill_and_comes_last(
    bank: Path, tmp_path: Path, arguments: dict[str, str]
) -> None:
    task = math_reasoning(**SAMPLE, **arguments, skill="skills/math-basic", memory=str(bank))
    _, shown = play(task, tmp_path / "logs")
    system = shown[0].text

    assert system.index("</skill>") < system.index("<memory>")
    if not arguments:
        assert system.endswith("</memory>")


def test_a_run_folder_and_several_past_tasks(tmp_path: Path) -> None:
    make_bank(tmp_path / "run" / "bank", [everything("one"), past("two", "a problem"), past("three", "answer this")])
    sample, _ = play(math_reasoning(**SAMPLE, memory=str(tmp_path / "run"), memory_k=2), tmp_path / "logs")

    assert len(sample.store["memory"]["retrieved"]) == 2


def test_a_sample_does_not_recall_its_own_run(tmp_path: Path) -> None:
    own = problems("sample", "evolve")[0]
    records = [past(str(own.id), str(own.input)), past("other", "a problem")]
    make_bank(tmp_path / "bank", records, task="math_reasoning", dataset="math")
    task = math_reasoning(dataset="sample", split="evolve", memory=str(tmp_path / "bank"), memory_k=5)
    sample, _ = play(task, tmp_path / "logs", sample_id=str(own.id), limit=None)

    assert [row["id"] for row in sample.store["memory"]["retrieved"]] == ["other"]


@pytest.mark.parametrize("task", [spreadsheet, wikitq, visionqa, math_reasoning])
def test_a_bank_of_the_test_split_is_refused(tmp_path: Path, task: Callable[..., Task]) -> None:
    make_bank(tmp_path / "bank", [everything()], task=task.__name__, split="test")

    with pytest.raises(BankError, match=rf"made from runs of split=test of {task.__name__}.*Make one from the evolve"):
        task(**SAMPLE, memory=str(tmp_path / "bank"))


def test_a_bank_that_hides_its_split_is_refused_by_its_samples(tmp_path: Path) -> None:
    tested = problems("sample", "test")[3]
    make_bank(tmp_path / "bank", [everything(), past("renamed", f"{tested.input} ")], split="evolve")

    with pytest.raises(BankError, match=rf"holds runs of 1 of the samples to be evaluated.*{tested.id} among them"):
        math_reasoning(**SAMPLE, memory=str(tmp_path / "bank"))


@pytest.mark.parametrize(
    ("arguments", "error", "problem"),
    [
        ({"memory": "nowhere"}, BankError, "it does not exist"),
        ({"memory": "skills/math-basic"}, BankError, "It is a skill: give it as -T skill="),
        ({"memory": 5}, DataError, "memory must be a name or a path, not 5"),
        ({"memory_k": 0}, DataError, "memory_k must be a whole number of at least 1, not 0"),
        ({"memory_k": True}, DataError, "memory_k must be"),
        ({"memory_k": 1.5}, DataError, "memory_k must be"),
    ],
)
@pytest.mark.parametrize("task", [spreadsheet, wikitq, visionqa, math_reasoning])
def test_arguments_that_cannot_be_meant_are_refused(
    task: Callable[..., Task], arguments: dict[str, Any], error: type[Trace2SkillError], problem: str
) -> None:
    with pytest.raises(error, match=problem):
        task(**SAMPLE, **arguments)


def test_no_task_starts_while_the_embedder_cannot_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(EMBEDDER_VARIABLE, raising=False)
    folder = make_bank(tmp_path / "bank", [everything()], counted(["x"]), embedder="openai:toy").folder

    with pytest.raises(BankError, match="Set TRACE2SKILL_EMBEDDER=openai:toy@URL"):
        math_reasoning(**SAMPLE, memory=str(folder))


def test_the_log_names_the_bank_and_the_task_is_created_again(bank: Path, tmp_path: Path) -> None:
    task = math_reasoning(**SAMPLE, memory=str(bank))
    [log] = eval(task, model=giving_up([]), log_dir=str(tmp_path), display="none", limit=1)

    assert log.eval.task_args["memory"] == str(bank)
    assert isinstance(registry_create("task", "math_reasoning", **log.eval.task_args), Task)


@pytest.mark.parametrize("given", ["memory", "match_tokens"])
def test_failures_are_analysed_without_what_their_agent_had(bank: Path, tmp_path: Path, given: str) -> None:
    """Its bank, or the logs of its budget, may be gone; an analyst in its place has none of them."""
    before, logged = tmp_path / "before", tmp_path / "logged"
    play(math_reasoning(**{**SAMPLE, "split": "evolve"}), before)
    had = bank if given == "memory" else before
    play(math_reasoning(**{**SAMPLE, "split": "evolve"}, **{given: str(had)}), logged)
    shutil.rmtree(had)
    [log] = load_logs([logged]).evaluations

    with pytest.raises(Trace2SkillError, match=given):
        recreate_task(log.header)
    assert len(recreate_for_analysis(log.header).dataset) == 20
