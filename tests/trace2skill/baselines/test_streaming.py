"""Memory banks made online: what each play recalls, what is kept of it, and where a killed run goes on."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from inspect_ai.log import list_eval_logs, read_eval_log
from inspect_ai.model import Model, ModelOutput
from pydantic import ValidationError

from tests.trace2skill.baselines.test_arena import arm
from tests.trace2skill.baselines.test_memories import bank_of, judged, keeper
from tests.trace2skill.memory.banks import embedding_server
from tests.trace2skill.toy import LESSON, NUMBERS, PLAYED, run_asking, run_asking_with_memory
from trace2skill.baselines import evolve
from trace2skill.baselines.arena import making
from trace2skill.cli.main import main
from trace2skill.consolidation.ledger import read_ledger
from trace2skill.errors import LogError, ServerError
from trace2skill.evolution import EvolveConfig, plan
from trace2skill.evolution.folder import Manifest

pytestmark = pytest.mark.slow

ORDER = ["one", "two", "three", "four"]
"""That of the dataset; that of the ids is another one."""


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_asking_with_memory(tmp_path_factory.mktemp("asked"))


@pytest.fixture(autouse=True)
def played() -> list[str]:
    PLAYED.clear()
    return PLAYED


def make(logs: Path, output: Path, model: Model | None = None, **settings: Any) -> Manifest:
    config = EvolveConfig(**{"method": "reasoning-bank", "stream": True, **settings})
    return evolve([logs], None, output, config, model=model or keeper(), display="none")


def named(content: str) -> dict[str, Any]:
    """An item that tells from which run it is."""
    number = next(number for number in ("1234", "2345", "3456", "4567") if number in content)
    return {"items": [{**LESSON, "content": f"Item of {number}."}]}


def telling(asked: list[tuple[str, str, float | None]] | None = None, **replies: Any) -> Model:
    return keeper(asked, **{"memory_success": named, "memory_failure": named, **replies})


def shown(output: Path) -> dict[str, str]:
    """The system message of each play."""
    [info] = list_eval_logs(str(output / "logs" / "stream"))
    samples = {str(sample.id): sample for sample in read_eval_log(info).samples or []}
    return {name: samples[name].messages[0].text for name in ORDER if name in samples}


def rows(output: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (output / "stream.jsonl").read_text().splitlines()]


def results(output: Path) -> dict[str, bytes]:
    files = (output / "ledger.jsonl", output / "stream.jsonl", *(output / "bank").iterdir())
    return {path.name: path.read_bytes() for path in files}


def reasons(output: Path) -> dict[str, str]:
    return {row.id: row.reason for row in read_ledger(output / "ledger.jsonl") if row.kind == "analysis"}


def test_tasks_are_played_in_order_each_with_what_was_learned_before(
    logs: Path, tmp_path: Path, played: list[str]
) -> None:
    manifest = make(logs, tmp_path / "run", telling())
    system = shown(tmp_path / "run")

    assert played == ORDER
    assert "Item of" not in system["one"]
    assert "Item of 1234." in system["two"]
    assert not any(f"Item of {NUMBERS[name]}." in text for name, text in system.items())
    assert [row.id for row in bank_of(tmp_path / "run").records] == ORDER
    assert [row.status for row in bank_of(tmp_path / "run").records] == ["failure", "success", "success", "success"]
    assert [(row["past"], row["passed"]) for row in rows(tmp_path / "run")] == [
        (0, False), (1, True), (2, True), (3, True)
    ]  # fmt: skip
    assert manifest.notes == ("played 4 tasks online: 3 passed",)
    assert manifest.trajectories == {"successes": 3, "failures": 1}
    assert not (tmp_path / "run" / "moment").exists()


def test_the_bank_is_of_the_form_of_one_made_from_logs(logs: Path, tmp_path: Path) -> None:
    online = make(logs, tmp_path / "online")
    offline = make(logs, tmp_path / "offline", stream=False)
    cards = [bank_of(tmp_path / name).card for name in ("online", "offline")]

    assert [card.stream for card in cards] == [True, False]
    changed = {"stream", "records_digest"}
    assert cards[0].model_dump(exclude=changed) == cards[1].model_dump(exclude=changed)
    assert (online.bank, online.edits) == (offline.bank, offline.edits)


def test_prompts_are_those_of_success_and_failure_and_hold_no_recalled_item(logs: Path, tmp_path: Path) -> None:
    asked: list[tuple[str, str, float | None]] = []
    make(logs, tmp_path / "run", telling(asked))

    assert [role for role, _, _ in asked] == ["memory_failure", *["memory_success"] * 3]
    assert {temperature for _, _, temperature in asked} == {1.0}
    assert not any("Item of" in text for _, text, _ in asked)
    assert "<verdict>\nFAILED\n</verdict>" in asked[0][1]


def test_a_model_may_judge_the_plays(logs: Path, tmp_path: Path) -> None:
    manifest = make(logs, tmp_path / "run", telling(memory_judge=judged("1234")), judge="model")

    assert [row["judged"] for row in rows(tmp_path / "run")] == ["success", "failure", "failure", "failure"]
    assert [row["passed"] for row in rows(tmp_path / "run")] == [False, True, True, True]
    assert manifest.notes == ("played 4 tasks online: 3 passed",)
    assert bank_of(tmp_path / "run").card.judge == "model"


def test_workflows_come_from_plays_that_passed(logs: Path, tmp_path: Path) -> None:
    make(logs, tmp_path / "run", keeper(), method="awm")

    assert [row.id for row in bank_of(tmp_path / "run").records] == ["three", "four"]
    assert reasons(tmp_path / "run") == {
        name: "judged a failure, of which awm keeps nothing" for name in ("one", "two")
    }


def test_a_run_that_breaks_goes_on_with_the_sample_that_is_due(logs: Path, tmp_path: Path, played: list[str]) -> None:
    make(logs, tmp_path / "whole", telling())
    played.clear()

    def breaks(text: str) -> dict[str, Any]:
        if "3456" in text:
            raise RuntimeError("out of memory")
        return named(text)

    with pytest.raises(LogError, match="out of memory"):
        make(logs, tmp_path / "run", telling(memory_success=breaks), max_quarantined=0)
    assert played == ["one", "two", "three"]
    asked: list[tuple[str, str, float | None]] = []
    make(logs, tmp_path / "run", telling(asked), max_quarantined=0)

    assert played == ORDER
    assert ["3456" in asked[0][1], "4567" in asked[1][1], len(asked)] == [True, True, 2]
    assert results(tmp_path / "run")["records.jsonl"] == results(tmp_path / "whole")["records.jsonl"]
    assert results(tmp_path / "run")["stream.jsonl"] == results(tmp_path / "whole")["stream.jsonl"]


def test_a_finished_run_asks_nobody_again(logs: Path, tmp_path: Path, played: list[str]) -> None:
    def fail(_: str) -> ModelOutput:
        raise AssertionError("no model call is due")

    first = make(logs, tmp_path / "run", telling())
    before = results(tmp_path / "run")
    never = keeper(memory_success=fail, memory_failure=fail)
    assert make(logs, tmp_path / "run", never) == first
    (tmp_path / "run" / "manifest.json").unlink()

    assert make(logs, tmp_path / "run", never).digest == first.digest
    assert results(tmp_path / "run") == before
    assert played == ORDER


def test_an_unusable_answer_loses_its_task_alone(logs: Path, tmp_path: Path) -> None:
    def told(text: str) -> ModelOutput | dict[str, Any]:
        return ModelOutput.from_content("mockllm", "no JSON") if "1234" in text else named(text)

    make(logs, tmp_path / "run", telling(memory_failure=told))

    assert [row.id for row in bank_of(tmp_path / "run").records] == ["two", "three", "four"]
    assert reasons(tmp_path / "run")["one"].startswith("unusable output: ")
    assert [row["past"] for row in rows(tmp_path / "run")] == [0, 0, 1, 2]


def test_a_play_that_breaks_loses_its_task_alone(logs: Path, tmp_path: Path, played: list[str]) -> None:
    manifest = make(logs, tmp_path / "run", telling(), task_args={"breaking": "two"})

    assert played == ["one", "two", "two", "three", "four"]
    assert [row.id for row in bank_of(tmp_path / "run").records] == ["one", "three", "four"]
    assert "in its play: " in reasons(tmp_path / "run")["two"]
    assert manifest.trajectories == {"successes": 2, "failures": 1, "excluded: error": 1}
    assert "played 4 tasks online: 2 passed" in manifest.notes
    assert rows(tmp_path / "run")[1] == {"sample": "two", "past": 1, "score": None, "passed": None, "judged": None}


def test_a_server_that_fails_stops_the_stream_where_it_is(logs: Path, tmp_path: Path, played: list[str]) -> None:
    down = [True]

    def fails(text: str) -> dict[str, Any]:
        if "2345" in text and down:
            raise ServerError("The server at http://localhost:1 failed: connection refused.")
        return named(text)

    with pytest.raises(ServerError, match="The server at"):
        make(logs, tmp_path / "run", telling(memory_success=fails))
    assert played == ["one", "two"]
    down.clear()
    make(logs, tmp_path / "run", telling(memory_success=fails))

    assert played == ORDER
    assert [row["past"] for row in rows(tmp_path / "run")] == [0, 1, 2, 3]


def test_it_is_said_where_a_play_came_before_one_that_was_tried_again(
    logs: Path, tmp_path: Path, played: list[str]
) -> None:
    def fails(text: str) -> dict[str, Any]:
        if "2345" in text or "4567" in text:
            raise RuntimeError("out of memory")
        return named(text)

    with pytest.raises(LogError, match="out of memory"):
        make(logs, tmp_path / "run", telling(memory_success=fails))
    manifest = make(logs, tmp_path / "run", telling())

    assert played == ORDER
    assert [row.id for row in bank_of(tmp_path / "run").records] == ORDER
    assert [row["past"] for row in rows(tmp_path / "run")] == [0, 1, 1, 2]
    assert manifest.notes[-1] == (
        "2 tasks, three first, were played before an earlier one that had broken was tried again"
    )


def test_the_runs_embedder_is_that_of_the_plays(logs: Path, tmp_path: Path) -> None:
    with embedding_server() as (url, _):
        make(logs, tmp_path / "run", telling(), embedder=f"openai:toy@{url}")
    bank = bank_of(tmp_path / "run")

    assert "Item of" in shown(tmp_path / "run")["two"]
    assert bank.vectors is not None
    assert (bank.card.embedder, len(bank.vectors)) == ("openai:toy", 4)


def test_what_the_logged_agent_had_stays_out(tmp_path: Path, logs: Path) -> None:
    make(logs, tmp_path / "first", telling())
    again = run_asking_with_memory(tmp_path / "logs", memory=str(tmp_path / "first"))
    make(again, tmp_path / "run", telling())

    assert "Item of" not in shown(tmp_path / "run")["one"]


def test_a_task_without_the_argument_memory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="--stream needs a logged task with the argument `memory`"):
        make(run_asking(tmp_path / "logs"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_another_split_than_evolve_is_refused(logs: Path, tmp_path: Path) -> None:
    with pytest.raises(LogError, match=r"is of split=test: the bank would have seen what a test is for"):
        make(logs, tmp_path / "run", task_args={"split": "test"})


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"method": "synapse", "stream": True}, "--stream belongs to --method reasoning-bank or awm; --method synapse"),
        ({"method": "parallel", "stream": True}, "--method parallel has no use for it"),
        ({"method": "reasoning-bank", "stream": True, "analysts": "error"}, "with --stream nobody knows before"),
    ],
)
def test_settings_that_would_be_passed_over_are_refused(settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        EvolveConfig(**settings)


def test_the_command_says_how_the_agent_did(logs: Path, tmp_path: Path) -> None:
    def run(*arguments: str) -> Any:
        return CliRunner().invoke(main, ["evolve", str(logs), "--display", "none", *arguments])

    assert run("--method", "synapse", "--stream", "--output", str(tmp_path / "x")).exit_code == 2
    planned = run("--method", "reasoning-bank", "--stream", "--plan")
    assert (planned.exit_code, "reasoning_bank_stream" in planned.output) == (0, True)


def test_a_plan_counts_plays_and_calls(logs: Path) -> None:
    def planned(**settings: Any) -> tuple[int, int, int]:
        [stage] = plan([logs], None, EvolveConfig(**{"method": "reasoning-bank", "stream": True, **settings}))
        return stage.samples, stage.calls, stage.rounds

    assert planned() == (8, 4 * 8 + 4, 8)
    assert planned(judge="model") == (8, 4 * 8 + 8, 8)


def test_the_arena_says_that_it_was_online(logs: Path, tmp_path: Path) -> None:
    make(logs, tmp_path / "run", telling())
    row = making(arm(memories=(str(tmp_path / "run"),)))

    assert row.method == "reasoning-bank (online)"
    assert (row.trajectories, row.sees) == (4, "successes and failures")
    assert any("playing its tasks is among its calls" in note for note in row.notes)
