"""Logs as trajectories: small logs that Inspect itself writes, and logs of other people's projects."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from inspect_ai import Task, eval, eval_retry, task
from inspect_ai.dataset import Sample
from inspect_ai.log import EvalError, read_eval_log, write_eval_log
from inspect_ai.model import (
    ChatMessage,
    ChatMessageAssistant,
    ChatMessageSystem,
    ChatMessageTool,
    ChatMessageUser,
    ContentImage,
    ContentReasoning,
    ContentText,
)
from inspect_ai.scorer import Score, Scorer, Target, accuracy, scorer
from inspect_ai.solver import Generate, Solver, TaskState, solver
from inspect_ai.tool import ToolCall, ToolCallError
from inspect_ai.util import LimitExceededError

from tests.trace2skill.toy import run_adding
from trace2skill.errors import LogError
from trace2skill.logs.files import find_logs
from trace2skill.logs.outcome import SuccessRule
from trace2skill.logs.trajectory import read_sample, read_trajectories
from trace2skill.logs.transcript import render_transcript

FOREIGN = Path(__file__).parents[3] / "../shared/data/inspect-logs"

OUTCOMES = {
    "right": 1,
    "half": 0.5,
    "wrong": 0,
    "crashed": "error",
    "slow": "time",
    "stopped": "operator",
    "talkative": "message",
    "unscored": None,
    "many": {"a": 1, "b": 0},
}
"""Sample id -> score; or the limit, or the error, that it ends with."""


@solver
def play() -> Solver:
    async def solve(state: TaskState, generate: Generate) -> TaskState:
        outcome = state.metadata["outcome"]
        if outcome == "error":
            raise RuntimeError("the server went away")
        if outcome in ("time", "operator", "message"):
            raise LimitExceededError(outcome, value=2, limit=1)
        return state

    return solve


@scorer(metrics=[accuracy()])
def graded() -> Scorer:
    async def score(state: TaskState, target: Target) -> Score:
        outcome = state.metadata["outcome"]
        if outcome is None:
            return Score.unscored()
        return Score(value=outcome if not isinstance(outcome, str) else 0)

    return score


@scorer(metrics=[accuracy()])
def generous() -> Scorer:
    async def score(state: TaskState, target: Target) -> Score:
        return Score(value=1)

    return score


@task
def played(outcomes: dict[str, Any], scorers: int = 1) -> Task:
    samples = [Sample(id=name, input="?", metadata={"outcome": outcome}) for name, outcome in outcomes.items()]
    return Task(dataset=samples, solver=play(), scorer=[graded(), generous()][:scorers])


def run(folder: Path, outcomes: dict[str, Any], scorers: int = 1, **options: Any) -> Path:
    options = {"fail_on_error": False, "display": "none", **options}
    eval(played(outcomes=outcomes, scorers=scorers), model="mockllm/model", log_dir=str(folder), **options)
    return folder


@pytest.fixture(scope="session")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tmp_path_factory.mktemp("outcomes"), OUTCOMES)


@pytest.fixture(scope="session")
def two_scorers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tmp_path_factory.mktemp("two-scorers"), {"a": 0, "b": 1}, scorers=2, epochs=2)


def test_successes_and_failures_are_told_apart_and_ordered_by_id(adding_logs: Path) -> None:
    found = read_trajectories([adding_logs])

    assert [(row.id, row.success, row.score) for row in found.all] == [
        ("four", True, 1.0),
        ("one", False, 0.0),
        ("three", True, 1.0),
        ("two", False, 0.0),
    ]
    assert found.rule == SuccessRule(scorer="total_is_right")
    assert found.counts() == {"successes": 2, "failures": 2}


def test_only_what_the_agent_is_to_blame_for_counts(outcomes: Path) -> None:
    found = read_trajectories([outcomes])

    assert {row.id: row.success for row in found.all} == {
        "right": True,
        "half": False,
        "wrong": False,
        "talkative": False,
    }
    assert {row.id: row.reason for row in found.excluded} == {
        "crashed": "error",
        "slow": "time limit",
        "stopped": "operator limit",
        "unscored": "no score",
        "many": "score is not a single value: say with --success which of its values counts",
    }
    assert found.counts() == {
        "successes": 1,
        "failures": 3,
        **{f"excluded: {row.reason}": 1 for row in found.excluded},
    }


def test_the_threshold_says_what_success_is(outcomes: Path) -> None:
    found = read_trajectories([outcomes], threshold=0.5)

    assert [row.id for row in found.successes] == ["half", "right"]


def test_runs_of_one_sample_are_numbered(two_scorers: Path) -> None:
    found = read_trajectories([two_scorers], scorer="graded")

    assert [(row.id, row.sample_id, row.epoch) for row in found.all] == [
        ("a#1", "a", 1),
        ("a#2", "a", 2),
        ("b#1", "b", 1),
        ("b#2", "b", 2),
    ]


def test_numbers_run_on_over_several_logs_whatever_their_order(adding_logs: Path, tmp_path: Path) -> None:
    other = run_adding(tmp_path, failing="four")

    found = read_trajectories([adding_logs, other])

    assert [row.id for row in found.all] == [f"{name}#{n}" for name in ("four", "one", "three", "two") for n in (1, 2)]
    assert sorted(row.success for row in found.all if row.sample_id == "four") == [False, True]
    assert read_trajectories([other, adding_logs, adding_logs]) == found


def test_a_sample_that_a_retry_took_over_is_one_trajectory(tmp_path: Path) -> None:
    run(tmp_path, {"crashed": "error", "right": 1}, fail_on_error=True, continue_on_fail=True)
    [log] = find_logs([tmp_path])
    assert read_eval_log(log, header_only=True).status == "error"
    eval_retry(str(log), log_dir=str(tmp_path), display="none", fail_on_error=False)

    found = read_trajectories([tmp_path])

    assert len(find_logs([tmp_path])) == 2
    assert [row.id for row in found.all] == ["right"]
    assert [row.id for row in found.excluded] == ["crashed"]
    assert [header.file for header in found.headers] != [log]


def test_several_scorers_need_a_choice(two_scorers: Path) -> None:
    with pytest.raises(LogError, match="several scorers; choose one with --scorer: generous, graded"):
        read_trajectories([two_scorers])
    with pytest.raises(LogError, match="no scorer 'strict'; choose one with --scorer: generous, graded"):
        read_trajectories([two_scorers], scorer="strict")

    assert len(read_trajectories([two_scorers], scorer="generous").successes) == 4
    assert len(read_trajectories([two_scorers], scorer="graded").successes) == 2


def test_missing_and_empty_places_are_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    with pytest.raises(LogError, match="gone: no such log"):
        read_trajectories([tmp_path / "gone"])
    with pytest.raises(LogError, match="empty: no Inspect logs in this folder"):
        read_trajectories([tmp_path / "empty"])
    with pytest.raises(LogError, match="No log was given"):
        read_trajectories([])


@pytest.mark.parametrize("name", ["notes.eval", "notes.json", "notes.txt"])
def test_what_is_no_log_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text('{"no": "log"}')

    with pytest.raises(LogError, match="cannot be read as an Inspect log"):
        read_trajectories([tmp_path / name])


@pytest.mark.parametrize("kept", [0.5, 0.9, 0.99])
@pytest.mark.parametrize("suffix", [".eval", ".json"])
def test_a_torn_log_is_refused(adding_logs: Path, tmp_path: Path, suffix: str, kept: float) -> None:
    [log] = find_logs([adding_logs])
    whole = tmp_path / f"whole{suffix}"
    write_eval_log(read_eval_log(log), whole)
    torn = tmp_path / f"torn{suffix}"
    torn.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * kept)])

    assert len(read_trajectories([whole]).all) == 4
    with pytest.raises(LogError, match="cannot be read as an Inspect log"):
        read_trajectories([torn])


def edited(source: Path, target: Path, change: Callable[[Any], None]) -> Path:
    log = read_eval_log(find_logs([source])[0])
    change(log)
    write_eval_log(log, target)
    return target


def test_a_cancelled_log_gives_what_it_has(adding_logs: Path, tmp_path: Path) -> None:
    def cancel(log: Any) -> None:
        log.status = "cancelled"
        log.results = None
        log.samples = log.samples[:1]

    found = read_trajectories([edited(adding_logs, tmp_path / "cancelled.eval", cancel)])

    assert len(found.all) == 1


def test_a_log_without_samples_is_refused(adding_logs: Path, tmp_path: Path) -> None:
    def clear(log: Any) -> None:
        log.status = "cancelled"
        log.samples = []

    with pytest.raises(LogError, match=r"no samples\. Was the evaluation cancelled"):
        read_trajectories([edited(adding_logs, tmp_path / "none.eval", clear)])


def test_a_log_without_scores_is_refused(adding_logs: Path, tmp_path: Path) -> None:
    def unscore(log: Any) -> None:
        for sample in log.samples:
            sample.scores = None

    with pytest.raises(LogError, match="Score the log with `inspect score` first"):
        read_trajectories([edited(adding_logs, tmp_path / "unscored.eval", unscore)])


def test_a_log_of_errors_alone_is_refused_with_the_reasons(adding_logs: Path, tmp_path: Path) -> None:
    def fail(log: Any) -> None:
        for sample in log.samples:
            sample.error = EvalError(message="x", traceback="x", traceback_ansi="x")

    with pytest.raises(LogError, match="none of the 4 samples can be used: 4 x error"):
        read_trajectories([edited(adding_logs, tmp_path / "errors.eval", fail)])


def test_logs_of_two_tasks_are_refused(adding_logs: Path, outcomes: Path) -> None:
    with pytest.raises(LogError, match="of one task, but are of adding, played"):
        read_trajectories([adding_logs, outcomes])


async def test_a_sample_comes_with_its_conversation_and_verdict(adding_logs: Path) -> None:
    [first, _] = read_trajectories([adding_logs]).failures
    sample = await read_sample(first)

    assert sample.id == "one"
    assert sample.events == []
    assert "I added 1 numbers." in render_transcript(sample.messages)
    assert SuccessRule(scorer="total_is_right").explanation(sample.scores or {}) == "expected 1241, got 1234"


CONVERSATION: list[ChatMessage] = [
    ChatMessageSystem(content="Secret instructions."),
    ChatMessageUser(content="Add the numbers."),
    ChatMessageAssistant(
        content="I look first.",
        tool_calls=[ToolCall(id="1", function="bash", arguments={"command": "cat numbers.txt", "timeout": 5})],
    ),
    ChatMessageTool(content="1234\n7", tool_call_id="1", function="bash"),
    ChatMessageTool(
        content="", tool_call_id="2", function="bash", error=ToolCallError(type="timeout", message="too slow")
    ),
    ChatMessageAssistant(content="1241"),
]


def test_a_transcript_shows_calls_results_and_errors_but_no_system_message() -> None:
    assert render_transcript(CONVERSATION).split("\n\n") == [
        "--- 1. user ---\nAdd the numbers.",
        "--- 2. assistant ---\nI look first.\n[calls bash]\ncommand: cat numbers.txt\ntimeout: 5",
        "--- 3. tool ---\n1234\n7",
        "--- 4. tool ---\n[tool error: too slow]",
        "--- 5. assistant ---\n1241",
    ]


def test_a_transcript_that_fits_its_budget_is_whole() -> None:
    whole = render_transcript(CONVERSATION)

    assert render_transcript(CONVERSATION, tokens=len(whole) // 4 + 1) == whole


@pytest.mark.parametrize("tokens", [100, 101, 1_000])
def test_a_long_transcript_loses_its_middle_and_says_how_much(tokens: int) -> None:
    messages: list[ChatMessage] = [ChatMessageUser(content="".join(f"{n:06d}" for n in range(5_000)))]
    whole = render_transcript(messages)
    short = render_transcript(messages, tokens=tokens)

    head, rest = short.split("\n\n[... ")
    count, tail = rest.split(" characters left out here ...]\n\n")
    assert whole.startswith(head)
    assert whole.endswith(tail)
    assert len(head) + len(tail) == tokens * 4
    assert int(count) == len(whole) - tokens * 4


def foreign_logs() -> list[Path]:
    return sorted(path for path in FOREIGN.glob("*/*") if path.suffix in (".eval", ".json"))


READABLE = {
    "small.eval": {"successes": 6, "failures": 0},
    "log.eval": {"successes": 9, "failures": 6},
    "minimal_test.eval": {"successes": 0, "failures": 2},
    "log_images.json": {"successes": 0, "failures": 1},
    "log_message_deduplication.eval": {"successes": 0, "failures": 1},
    "2025-09-23T08-09-58-04-00_theory-of-mind_bbB4eRCx2rFJLyPH42Cj9r.eval": {"successes": 83, "failures": 17},
    "2025-04-07T11-00-30-05-00_arithmetic-with-tool_gKECTBvzvzgtPqQCd3cirF.json": {"successes": 2, "failures": 0},
}
REFUSED = {
    "Testing.eval": "Was the evaluation cancelled",
    "bash_1.eval": "choose one with --scorer: full_traj_monitor, main_task_correctness, ",
    "log_tool_call_error.json": "Score the log with `inspect score` first",
    "2026-08-01T15-18-34-00-00_support-desk-naive_7UyEcsb23evHpAfY9e2k5X.eval": "choose one with --scorer: attack_su",
}


@pytest.mark.shared_data
def test_logs_of_other_projects_are_read_or_refused_with_advice() -> None:
    if not FOREIGN.is_dir():
        pytest.skip(f"no foreign logs in {FOREIGN}")
    counts, refused = {}, {}
    for path in foreign_logs():
        try:
            counts[path.name] = read_trajectories([path]).counts()
        except LogError as error:
            refused[path.name] = str(error)

    assert counts == READABLE
    assert refused.keys() == REFUSED.keys()
    assert [name for name, advice in REFUSED.items() if advice not in refused[name]] == []


@pytest.mark.shared_data
@pytest.mark.parametrize("name", sorted(READABLE))
async def test_conversations_of_other_projects_are_whole(name: str) -> None:
    if not FOREIGN.is_dir():
        pytest.skip(f"no foreign logs in {FOREIGN}")
    [path] = FOREIGN.glob(f"*/{name}")
    first = read_trajectories([path]).all[0]
    sample = await read_sample(first)
    text = render_transcript(sample.messages)

    assert "--- 1. " in text
    assert "attachment://" not in text
    assert first.sample_id == sample.id


@pytest.mark.shared_data
def test_a_folder_of_other_projects_logs_ignores_what_is_no_log(tmp_path: Path) -> None:
    if not FOREIGN.is_dir():
        pytest.skip(f"no foreign logs in {FOREIGN}")
    shutil.copy(FOREIGN / "INDEX.json", tmp_path)
    shutil.copy(FOREIGN / "tidyverse+vitals" / next(n for n in READABLE if "arithmetic" in n), tmp_path)

    assert [path.name for path in find_logs([tmp_path])] == [next(n for n in READABLE if "arithmetic" in n)]


ERROR = "Traceback (most recent call last):\n  File 'x.py', line 3\nValueError: no such row"


def long_conversation(*errors: int, length: int = 40) -> list[ChatMessage]:
    """Calls and results of a thousand characters each; the results named in `errors` end in one."""
    results = [
        ChatMessageTool(content=f"result {n} " + "." * 1_000 + (ERROR if n in errors else ""), function="bash")
        for n in range(length)
    ]
    return [message for n in range(length) for message in (ChatMessageAssistant(content=f"step {n}"), results[n])]


def test_a_long_transcript_shows_what_surrounds_errors() -> None:
    short = render_transcript(long_conversation(17), tokens=1_000)

    assert short.count("characters left out here") == 2
    assert "step 0" in short
    assert "step 39" not in short
    assert short.endswith("....")
    assert "ValueError: no such row" in short
    assert "step 25" not in short
    assert len(short) < 4_200


def test_of_many_errors_the_first_and_last_are_shown() -> None:
    short = render_transcript(long_conversation(*range(2, 38), length=40), tokens=2_000)

    assert {n for n in range(40) if f"result {n} " in short or f"step {n}\n" in short} >= {0, 3, 4, 37}
    assert "step 20" not in short


def test_thoughts_and_images_stand_in_a_transcript() -> None:
    content = [ContentReasoning(reasoning="first the dates"), ContentText(text="Done."), ContentImage(image="data:,")]

    assert render_transcript([ChatMessageAssistant(content=content)]) == (
        "--- 1. assistant ---\n[thinks]\nfirst the dates\nDone.\n[image]"
    )


def test_success_is_what_an_expression_over_all_scores_says(two_scorers: Path) -> None:
    expression = "generous == 1 and scores['graded'] < 0.5"
    found = read_trajectories([two_scorers], success=expression)

    assert found.rule == SuccessRule(expression=expression)
    assert {row.sample_id for row in found.successes} == {"a"}


def test_one_of_several_values_can_decide(outcomes: Path) -> None:
    found = read_trajectories([outcomes], success="graded.a == 1 if graded is mapping else graded >= 0.5")

    assert {row.sample_id for row in found.successes} == {"right", "half", "many"}


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("graded ==", "is no expression"),
        ("grade == 1", "'grade' is no scorer here; there are generous, graded"),
        ("graded >= 0 or grade", "'grade' is no scorer here"),
        ("graded", "gives .*, not true or false"),
        ("graded.a >= 1", "has no attribute 'a'"),
    ],
)
def test_an_expression_that_does_not_fit_is_named(two_scorers: Path, expression: str, problem: str) -> None:
    with pytest.raises(LogError, match=problem):
        read_trajectories([two_scorers], success=expression)


def test_an_expression_reaches_nothing_but_scores(two_scorers: Path) -> None:
    with pytest.raises(LogError, match="--success"):
        read_trajectories([two_scorers], success="scores.__class__.__mro__ == 1")
