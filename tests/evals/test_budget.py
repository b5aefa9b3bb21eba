"""An agent that may spend on checking its work what another arm spent."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from inspect_ai import Task, eval
from inspect_ai.dataset import Sample
from inspect_ai.log import EvalLog, EvalSample, read_eval_log, write_eval_log
from inspect_ai.model import ChatMessage, GenerateConfig, Model, ModelOutput, ModelUsage, get_model
from inspect_ai.tool import ToolInfo

from evals.agent import skill_agent, skill_answer
from evals.budget import BUDGET, CHECKS, ENDED, SPENT, Budget, open_budget
from evals.math_reasoning import math_reasoning
from evals.spreadsheet import spreadsheet
from evals.visionqa import visionqa
from evals.wikitq import wikitq
from trace2skill.comparison.pairing import compare_table
from trace2skill.errors import DataError, LogError

pytestmark = pytest.mark.slow

TASKS: dict[str, tuple[Callable[..., Task], dict[str, str], str]] = {
    "spreadsheet": (spreadsheet, {"sandbox": "local"}, "xlsx"),
    "wikitq": (wikitq, {"sandbox": "local"}, "xlsx"),
    "wikitq-text": (wikitq, {"format": "text"}, "xlsx-basic"),
    "visionqa": (visionqa, {}, "docvqa-basic"),
    "math": (math_reasoning, {}, "math-basic"),
    "math-python": (math_reasoning, {"tools": "python", "sandbox": "local"}, "math-basic"),
}
CALL = 100
"""Tokens of every call of the scripted model."""


def play(task: Task, folder: Path, **settings: Any) -> EvalLog:
    [log] = eval(task, log_dir=str(folder), display="none", **{"model": "sim/small", **settings})
    return log


def samples(log: EvalLog) -> list[EvalSample]:
    assert log.status == "success", log.error
    return log.samples or []


def spent(sample: EvalSample) -> int:
    return sum(usage.total_tokens for usage in sample.model_usage.values())


@pytest.fixture(scope="module")
def skill_arm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("skill")
    play(math_reasoning(dataset="sample", split="all", skill="skills/math-basic"), folder, limit=2, epochs=2)
    return folder


@pytest.mark.parametrize("name", TASKS)
def test_every_task_may_spend_what_the_skill_arm_spent(name: str, tmp_path: Path) -> None:
    task, arguments, skill = TASKS[name]
    common = {"dataset": "sample", "split": "all", **arguments}
    taught = samples(play(task(**common, skill=f"skills/{skill}"), tmp_path / "skill", limit=2))
    matched = samples(play(task(**common, match_tokens=str(tmp_path / "skill")), tmp_path / "equal", limit=2))

    assert {row.id: row.metadata[BUDGET] for row in matched} == {row.id: spent(row) for row in taught}
    assert all(row.metadata[SPENT] == spent(row) for row in matched)
    assert all(row.metadata[CHECKS] >= 1 for row in matched)
    assert all(row.metadata[ENDED] for row in matched)
    asked = [message.text for row in matched for message in row.messages if message.text.startswith("Check your work")]
    assert len(asked) == sum(row.metadata[CHECKS] for row in matched)


def test_epochs_are_averaged(skill_arm: Path) -> None:
    [file] = skill_arm.glob("*.eval")
    runs = read_eval_log(file).samples or []
    name = str(runs[0].id)
    mean = sum(spent(row) for row in runs if row.id == name) / 2

    budget = open_budget(str(skill_arm), task="math_reasoning", samples=[Sample(id=name, input="x")], form={})
    assert budget
    assert isinstance(budget.by_sample, dict)
    assert 0 <= budget.by_sample[name] - mean < 1


def test_a_comparison_tells_what_it_might_spend_and_what_it_spent(skill_arm: Path, tmp_path: Path) -> None:
    task = math_reasoning(dataset="sample", split="all", match_tokens=str(skill_arm))
    matched = samples(play(task, tmp_path / "equal", limit=2))
    arm = compare_table({"skill": [skill_arm], "equal": [tmp_path / "equal"]}, "skill").comparisons[0]

    assert arm.control.tokens_allowed is None
    assert arm.treatment.tokens_allowed == sum(row.metadata[BUDGET] for row in matched) / 2
    assert arm.treatment.tokens_per_run == sum(row.metadata[SPENT] for row in matched) / 2


def test_a_sample_that_the_other_arm_did_not_play_is_an_error_of_that_sample(skill_arm: Path, tmp_path: Path) -> None:
    task = math_reasoning(dataset="sample", split="all", match_tokens=str(skill_arm))
    log = play(task, tmp_path, limit=3, fail_on_error=False)
    errors = [row.error.message if row.error else "" for row in log.samples or []]

    assert [bool(error) for error in errors] == [False, False, True]
    assert "does not say what sample power-remainder-3 took" in errors[2]


@pytest.mark.parametrize(
    ("task", "form", "message"),
    [
        ("wikitq", {}, "a log of the task math_reasoning, not of wikitq"),
        ("math_reasoning", {"tools": "python"}, "was made with tools=none, and this task has tools=python"),
    ],
)
def test_logs_of_another_task_are_refused(skill_arm: Path, task: str, form: dict[str, object], message: str) -> None:
    with pytest.raises(LogError, match=message):
        open_budget(str(skill_arm), task=task, samples=[], form=form)


def test_logs_of_other_samples_of_two_arms_or_without_tokens_are_refused(skill_arm: Path, tmp_path: Path) -> None:
    def opened(folder: Path, name: str = "power-remainder-1") -> Budget | None:
        return open_budget(str(folder), task="math_reasoning", samples=[Sample(id=name, input="x")], form={})

    with pytest.raises(LogError, match="are of other samples, such as power-remainder-1"):
        opened(skill_arm, "another")

    [file] = skill_arm.glob("*.eval")
    log = read_eval_log(file)
    for row in log.samples or []:
        row.model_usage = {}
    write_eval_log(log, tmp_path / "none" / file.name)
    with pytest.raises(LogError, match="says what tokens it took"):
        opened(tmp_path / "none")

    both = tmp_path / "both"
    write_eval_log(read_eval_log(file), both / file.name)
    play(math_reasoning(dataset="sample", split="all"), both, limit=1)
    with pytest.raises(LogError, match="are of 2 arms"):
        opened(both)

    with pytest.raises(LogError, match="no such log"):
        opened(tmp_path / "nowhere")


@pytest.mark.parametrize("value", [0, -5, True, "", 2.5])
def test_what_is_no_budget_is_refused(value: Any) -> None:
    with pytest.raises(DataError, match="a log, a folder of logs or a number of tokens"):
        math_reasoning(dataset="sample", match_tokens=value)


def scripted(replies: Sequence[ModelOutput]) -> Model:
    """A model that gives these replies in turn, and whose calls take the same tokens each."""
    left = iter(replies)

    def respond(input: list[ChatMessage], tools: list[ToolInfo], choice: Any, config: GenerateConfig) -> ModelOutput:
        output = next(left)
        output.usage = ModelUsage(input_tokens=CALL - 10, output_tokens=10, total_tokens=CALL)
        return output

    return get_model("mockllm/model", custom_outputs=respond, memoize=False)


def say(text: str, stop_reason: Any = "stop") -> ModelOutput:
    return ModelOutput.from_content("mockllm", text, stop_reason=stop_reason)


def call(name: str, **arguments: Any) -> ModelOutput:
    return ModelOutput.for_tool_call("mockllm", name, arguments)


@pytest.mark.parametrize(
    ("tokens", "replies", "ended", "checks", "answer"),
    [
        (250, [say("\\boxed{5}"), say("\\boxed{6}"), say("\\boxed{4}")], "the budget is used", 2, "\\boxed{4}"),
        (CALL, [say("\\boxed{5}")], "the budget is used", 0, "\\boxed{5}"),
        (900, [say("\\boxed{5}"), say("\\boxed{5}")], "the same message twice", 1, "\\boxed{5}"),
        (
            900,
            [say("a\n\\boxed{5}"), say("b\n\\boxed{5}"), say("c\n\\boxed{5}")],
            "the same answer 3 times in a row",
            2,
            "c\n\\boxed{5}",
        ),
        (200, [say("\\boxed{4}"), say("Let me", "max_tokens")], "the budget is used", 1, "\\boxed{4}"),
        (200, [say("\\boxed{4}"), say("")], "the budget is used", 1, "\\boxed{4}"),
    ],
)
def test_one_message_is_checked_until_it_is_settled_or_the_budget_is_used(
    tmp_path: Path, tokens: int, replies: list[ModelOutput], ended: str, checks: int, answer: str
) -> None:
    solver = skill_answer("Add.", budget=Budget(by_sample=tokens, said=str(tokens)))
    task = Task(dataset=[Sample(id="a", input="2 + 2?", target="4")], solver=solver)
    [row] = samples(play(task, tmp_path, model=scripted([each.model_copy(deep=True) for each in replies])))

    assert row.output.completion == answer
    assert (row.metadata[ENDED], row.metadata[CHECKS]) == (ended, checks)
    assert row.metadata[SPENT] == CALL * len(replies)


SUBMITS = [call("submit", answer="\\boxed{5}"), call("bash", command="echo 4"), call("submit", answer="\\boxed{4}")]


@pytest.mark.parametrize(
    ("tokens", "turns", "replies", "ended", "checks", "answer"),
    [
        (250, 100, SUBMITS, "the budget is used", 1, "\\boxed{4}"),
        (CALL, 100, SUBMITS[:1], "the budget is used", 0, "\\boxed{5}"),
        (900, 1, SUBMITS[:1], "the turns are used", 0, "\\boxed{5}"),
        (900, 2, SUBMITS[:2], "the turns are used", 1, "\\boxed{5}"),  # what it has submitted stays
        (
            900,
            100,
            [call("submit", answer=text) for text in ("a \\boxed{5}", "b \\boxed{5}", "c \\boxed{5}")],
            "3 turns in a row without a tool call",
            2,
            "c \\boxed{5}",
        ),
    ],
)
def test_an_agent_with_tools_goes_on_from_its_own_work(
    tmp_path: Path, tokens: int, turns: int, replies: list[ModelOutput], ended: str, checks: int, answer: str
) -> None:
    solver = skill_agent("Add.", max_turns=turns, budget=Budget(by_sample=tokens, said=str(tokens)))
    task = Task(dataset=[Sample(id="a", input="2 + 2?", target="4")], solver=solver, sandbox="local")
    [row] = samples(play(task, tmp_path, model=scripted([each.model_copy(deep=True) for each in replies])))

    assert row.output.completion.endswith(answer)
    assert (row.metadata[ENDED], row.metadata[CHECKS]) == (ended, checks)
    assert row.metadata[SPENT] == CALL * len(replies)
    assert sum(message.role == "system" for message in row.messages) == 1
