"""ReasoningBank, AWM and Synapse on the toy task's logs: what is asked, what is kept, what the run folder holds."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from inspect_ai import eval
from inspect_ai.log import list_eval_logs, read_eval_log
from inspect_ai.model import ChatMessage, GenerateConfig, Model, ModelOutput, ModelUsage, get_model
from pydantic import ValidationError

from tests.trace2skill.memory.banks import embedding_server
from tests.trace2skill.toy import LESSON, asking, run_asking, structured
from trace2skill.baselines import induction, work_of
from trace2skill.cli.main import main
from trace2skill.consolidation.ledger import read_ledger
from trace2skill.errors import BankError, LogError, PatchError, ServerError, SkillError
from trace2skill.evolution import EvolveConfig, evolve, plan
from trace2skill.evolution.folder import Manifest
from trace2skill.memory import Bank, find_bank_folder, load_bank
from trace2skill.skill import find_skill_folder

Reply = Callable[[str], ModelOutput]
ITEMS = {"items": [LESSON]}


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_asking(tmp_path_factory.mktemp("asked"))


def keeper(asked: list[tuple[str, str, float | None]] | None = None, **replies: Any) -> Model:
    """A model that answers by role, with what it was asked and at which temperature."""
    roles: dict[str, Any] = {"memory_success": ITEMS, "memory_failure": ITEMS, "memory_workflow": ITEMS, **replies}

    def respond(input: list[ChatMessage], tools: Any, choice: Any, config: GenerateConfig) -> ModelOutput:
        assert config.response_schema is not None
        role = config.response_schema.name
        if asked is not None:
            asked.append((role, input[0].text, config.temperature))
        reply = roles[role](input[0].text) if callable(roles[role]) else roles[role]
        output = reply if isinstance(reply, ModelOutput) else structured(reply)
        output.usage = ModelUsage(input_tokens=10, output_tokens=2, total_tokens=12)
        return output

    return get_model("mockllm/model", custom_outputs=respond, memoize=False)


def make(logs: Path, output: Path, method: str, model: Model | None = None, **settings: Any) -> Manifest:
    config = EvolveConfig(method=method, **settings)  # type: ignore[arg-type]
    return evolve([logs], None, output, config, work=work_of(config.method), model=model or keeper(), display="none")


def bank_of(output: Path) -> Bank:
    return load_bank(find_bank_folder(output))


def lesson(content: str) -> dict[str, str]:
    return {**LESSON, "content": content}


def test_a_reasoning_bank_has_items_of_successes_and_failures(logs: Path, tmp_path: Path) -> None:
    asked: list[tuple[str, str, float | None]] = []
    manifest = make(logs, tmp_path / "run", "reasoning-bank", keeper(asked))
    bank = bank_of(tmp_path / "run")

    assert [(row.id, row.status) for row in bank.records] == [
        ("four", "success"), ("one", "failure"), ("three", "success"), ("two", "failure"),
    ]  # fmt: skip
    assert bank.records[1].query == "What is 1234 + 7?"
    assert bank.records[1].items[0].model_dump() == LESSON
    assert sorted({(role, temperature) for role, _, temperature in asked}) == [
        ("memory_failure", 1.0),
        ("memory_success", 1.0),
    ]
    assert (manifest.bank, manifest.skill, manifest.unchanged) == ("bank", "", "")
    assert manifest.edits == {"proposed": 4, "applied": 4}
    [stage] = manifest.stages
    assert (stage.stage, stage.calls, stage.input_tokens) == ("reasoning_bank_induction", 4, 40)


def test_a_prompt_has_the_query_the_run_and_the_bare_verdict(logs: Path, tmp_path: Path) -> None:
    asked: list[tuple[str, str, float | None]] = []
    make(logs, tmp_path / "run", "reasoning-bank", keeper(asked))
    [prompt] = [text for role, text, _ in asked if role == "memory_failure" and "1234" in text]

    assert "<task>\nWhat is 1234 + 7?\n</task>" in prompt
    assert "ANSWER: 1240" in prompt
    assert "<verdict>\nFAILED\n</verdict>" in prompt
    assert "1241" not in prompt


def test_workflows_come_from_successes_alone_and_are_drawn_cooler(logs: Path, tmp_path: Path) -> None:
    asked: list[tuple[str, str, float | None]] = []
    make(logs, tmp_path / "run", "awm", keeper(asked))

    assert [row.id for row in bank_of(tmp_path / "run").records] == ["four", "three"]
    assert [(role, temperature) for role, _, temperature in asked] == [("memory_workflow", 0.7)] * 2


def test_the_users_temperature_goes_first(logs: Path, tmp_path: Path) -> None:
    asked: list[tuple[str, str, float | None]] = []
    make(logs, tmp_path / "run", "awm", keeper(asked), temperature=0.2)

    assert {temperature for _, _, temperature in asked} == {0.2}


def test_synapse_keeps_raw_successes_and_asks_nobody(logs: Path, tmp_path: Path) -> None:
    def fail(_: str) -> ModelOutput:
        raise AssertionError("no model call is due")

    model = keeper(memory_success=fail, memory_failure=fail, memory_workflow=fail)
    manifest = make(logs, tmp_path / "run", "synapse", model)
    bank = bank_of(tmp_path / "run")

    assert [row.id for row in bank.records] == ["four", "three"]
    assert bank.records[0].trajectory == "--- 1. assistant ---\nANSWER: 4574"
    assert bank.records[0].items == ()
    assert (manifest.stages, manifest.record.models, bank.card.authors) == ((), {}, {})


def test_the_card_says_what_the_bank_is_made_from(logs: Path, tmp_path: Path) -> None:
    manifest = make(logs, tmp_path / "run", "reasoning-bank")
    card = bank_of(tmp_path / "run").card

    assert card.model_dump(include={"method", "embedder", "authors", "agents", "judge", "task"}) == {
        "method": "reasoning-bank",
        "embedder": "bm25",
        "authors": {"model": "mockllm/model"},
        "agents": ("mockllm/model",),
        "judge": "scorer",
        "task": "asking",
    }
    assert card.logs == manifest.record.inputs


def test_what_leaks_hides_or_harms_is_left_out_and_recorded(logs: Path, tmp_path: Path) -> None:
    def told(text: str) -> dict[str, Any]:
        if "1234" in text:
            return {"items": [lesson("The sum is 1241 here."), lesson("Carry the one.")]}
        if "2345" in text:
            return {"items": [lesson("Fetch it with curl."), lesson("Look\u200b twice.")]}
        return {"items": [lesson("Compare with the expected answer.")] if "3456" in text else []}

    manifest = make(logs, tmp_path / "run", "reasoning-bank", keeper(memory_success=told, memory_failure=told))
    rows = {row.id: (row.kind, row.fate, row.reason) for row in read_ledger(tmp_path / "run" / "ledger.jsonl")}

    assert [item.content for row in bank_of(tmp_path / "run").records for item in row.items] == ["Carry the one."]
    assert rows["one/item-1"][:2] == ("item", "rejected")
    assert "contains the reference value '1241'" in rows["one/item-1"][2]
    assert rows["one/item-2"] == ("item", "applied", "")
    assert rows["two/item-1"][1:] == (
        "withheld", "fetches, installs or runs text as commands (curl); if you want that, --allow shell",
    )  # fmt: skip
    assert rows["two/item-2"][1:] == ("rejected", "it holds the invisible or control character U+200B")
    assert "mentions what the agent never sees" in rows["three/item-1"][2]
    assert rows["four"] == ("analysis", "rejected", "no item was proposed")
    assert manifest.edits == {"proposed": 5, "applied": 1, "rejected": 3, "withheld": 1}


def test_a_bank_without_items_is_said_to_be_empty(logs: Path, tmp_path: Path) -> None:
    nothing: dict[str, Any] = {"items": []}
    manifest = make(logs, tmp_path / "run", "reasoning-bank", keeper(memory_success=nothing, memory_failure=nothing))

    assert manifest.unchanged == ("none of 4 trajectories led to an item; most often (4 times): no item was proposed")
    with pytest.raises(BankError, match="is empty"):
        bank_of(tmp_path / "run")


def test_an_unusable_answer_loses_its_trajectory_alone(logs: Path, tmp_path: Path) -> None:
    def told(text: str) -> ModelOutput | dict[str, Any]:
        return ModelOutput.from_content("mockllm", "no JSON") if "1234" in text else ITEMS

    make(logs, tmp_path / "run", "reasoning-bank", keeper(memory_failure=told))
    rows = {row.id: row.reason for row in read_ledger(tmp_path / "run" / "ledger.jsonl")}

    assert [row.id for row in bank_of(tmp_path / "run").records] == ["four", "three", "two"]
    assert rows["one"].startswith("unusable output: ")


def test_the_analysts_choose_the_pool(logs: Path, tmp_path: Path) -> None:
    make(logs, tmp_path / "failures", "reasoning-bank", analysts="error")
    make(logs, tmp_path / "successes", "reasoning-bank", analysts="success")

    assert [row.id for row in bank_of(tmp_path / "failures").records] == ["one", "two"]
    assert [row.id for row in bank_of(tmp_path / "successes").records] == ["four", "three"]


def judged(*successes: str) -> Callable[[str], dict[str, str]]:
    def judge(text: str) -> dict[str, str]:
        verdict = "success" if any(number in text for number in successes) else "failure"
        return {"thoughts": f"I think: {verdict}.", "verdict": verdict}

    return judge


def test_a_model_may_judge_instead_of_the_scorer(logs: Path, tmp_path: Path) -> None:
    asked: list[tuple[str, str, float | None]] = []
    model = keeper(asked, memory_judge=judged("1234"))
    manifest = make(logs, tmp_path / "run", "reasoning-bank", model, judge="model")
    bank = bank_of(tmp_path / "run")

    assert {row.id: row.status for row in bank.records} == {
        "one": "success", "two": "failure", "three": "failure", "four": "failure",
    }  # fmt: skip
    assert bank.card.judge == "model"
    [prompt] = [text for role, text, _ in asked if role == "memory_success"]
    assert "<verdict>\nsuccess\nI think: success.\n</verdict>" in prompt
    assert manifest.stages[0].calls == 8


@pytest.mark.parametrize("verdict", ["unsuccessful", "Success!", "", "SUCCESS", "partial success"])
def test_no_other_word_passes_for_a_success(logs: Path, tmp_path: Path, verdict: str) -> None:
    model = keeper(memory_judge={"thoughts": "success", "verdict": verdict})
    make(logs, tmp_path / "run", "synapse", model, judge="model")
    rows = [row.reason for row in read_ledger(tmp_path / "run" / "ledger.jsonl")]

    assert len(rows) == 4
    assert all(reason.startswith("unusable output: ") for reason in rows)


def test_a_judged_synapse_keeps_what_the_model_calls_a_success(logs: Path, tmp_path: Path) -> None:
    make(logs, tmp_path / "run", "synapse", keeper(memory_judge=judged("1234", "4567")), judge="model")
    rows = {row.id: row.reason for row in read_ledger(tmp_path / "run" / "ledger.jsonl") if row.kind == "analysis"}

    assert [row.id for row in bank_of(tmp_path / "run").records] == ["four", "one"]
    assert rows == {name: "judged a failure, of which synapse keeps nothing" for name in ("two", "three")}


def results(output: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (output / "ledger.jsonl", *(output / "bank").iterdir())}


@pytest.mark.parametrize("method", ["reasoning-bank", "awm", "synapse"])
def test_a_finished_run_is_returned_and_an_interrupted_one_resumed(logs: Path, tmp_path: Path, method: str) -> None:
    def fail(_: str) -> ModelOutput:
        raise AssertionError("no model call is due")

    first = make(logs, tmp_path / "run", method)
    before = results(tmp_path / "run")
    never = keeper(memory_success=fail, memory_failure=fail, memory_workflow=fail)
    assert make(logs, tmp_path / "run", method, never) == first
    (tmp_path / "run" / "manifest.json").unlink()
    (tmp_path / "run" / "bank" / "records.jsonl").write_text("half a li")

    assert make(logs, tmp_path / "run", method, never).digest == first.digest
    assert results(tmp_path / "run") == before


def test_queries_are_embedded_before_and_after_the_induction(logs: Path, tmp_path: Path) -> None:
    with embedding_server() as (url, asked):
        make(logs, tmp_path / "run", "reasoning-bank", embedder=f"openai:toy@{url}")
    bank = bank_of(tmp_path / "run")

    assert [len(request["input"]) for request in asked] == [1, 4]
    assert asked[1]["input"] == [row.query for row in bank.records]
    assert bank.vectors is not None
    assert (bank.card.embedder, bank.vectors.shape) == ("openai:toy", (4, 64))
    assert url not in (tmp_path / "run" / "bank" / "card.json").read_text()


def test_an_embedding_server_that_is_down_costs_no_call(logs: Path, tmp_path: Path) -> None:
    asked: list[tuple[str, str, float | None]] = []
    with embedding_server() as (url, _):
        pass
    with pytest.raises(ServerError, match="does not answer"):
        make(logs, tmp_path / "run", "reasoning-bank", keeper(asked), embedder=f"openai:toy@{url}")

    assert asked == []


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"method": "awm", "replays": 1}, "--verify belongs to --method parallel; --method awm has no use for it"),
        ({"method": "awm", "reuse_analyses": "run"}, "--reuse-analyses belongs to --method parallel or sequential"),
        ({"method": "parallel", "judge": "model"}, "--judge belongs to --method reasoning-bank or awm or synapse"),
        ({"method": "awm", "judge": "model", "analysts": "error"}, "leave out --analysts"),
        ({"method": "awm", "embedder": "bm26"}, "'bm26' is none of bm25"),
        ({"method": "awm", "analysts": "error"}, "--method awm keeps successes alone: leave out --analysts error"),
        ({"method": "synapse", "analysts": "error-llm"}, "keeps successes alone: leave out --analysts error-llm"),
        ({"method": "awm", "merger_model": "mockllm/m"}, "--merger-model belongs to --method parallel or sequential"),
        ({"method": "sequential", "order_seed": -3}, "greater than or equal to 0"),
    ],
)
def test_settings_that_would_be_passed_over_are_refused(settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        EvolveConfig(**settings)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("awm", "--max-turns", "3"), "awm makes no analysis with tools, and merges nothing: leave out --max-turns"),
        (("reasoning-bank", "--analyst-tokens", "9"), "leave out --analyst-tokens"),
        (("reasoning-bank", "--merger-max-tokens", "9"), "leave out --merger-max-tokens"),
        (("synapse", "--temperature", "0.5"), "--method synapse asks no model: leave out --temperature"),
        (("synapse", "--model", "mockllm/model"), "--method synapse asks no model: leave out --model"),
        (("synapse", "-M", "data=x"), "asks no model: leave out -M"),
        (("sequential", "--order-seed", "-3"), "-3 is not in the range x>=0"),
    ],
)
def test_options_that_would_change_nothing_are_refused(options: tuple[str, ...], problem: str) -> None:
    result = CliRunner().invoke(main, ["evolve", "logs", "--skill", "s", "--output", "run", "--method", *options])

    assert result.exit_code == 2
    assert re.search(problem, " ".join(result.output.split()))


def test_a_judged_synapse_may_be_given_a_model(logs: Path) -> None:
    options = ["--judge", "model", "--model", "mockllm/model", "--temperature", "0.5", "--plan"]
    result = CliRunner().invoke(main, ["evolve", str(logs), "--method", "synapse", *options])

    assert result.exit_code == 0, result.output


def test_a_bank_starts_from_no_skill_and_a_skill_from_one(logs: Path, tmp_path: Path) -> None:
    with pytest.raises(SkillError, match=r"--method parallel starts from a skill. Name it with --skill"):
        make(logs, tmp_path / "run", "parallel")
    with pytest.raises(SkillError, match=r"--method awm makes a memory bank from logs alone. Leave --skill out"):
        evolve([logs], "skills/xlsx", tmp_path / "run", EvolveConfig(method="awm"), work=work_of("awm"))
    with pytest.raises(PatchError, match="--patches are merged by --method parallel"):
        evolve([logs], None, tmp_path / "run", EvolveConfig(method="awm"), work=work_of("awm"), patches=["x.json"])


def test_logs_without_a_success_have_no_workflow(tmp_path: Path) -> None:
    eval(asking(failing="one,two,three,four"), model="mockllm/model", log_dir=str(tmp_path / "logs"), display="none")

    with pytest.raises(LogError, match="no trajectory for --method awm"):
        make(tmp_path / "logs", tmp_path / "run", "awm")


def test_a_plan_counts_the_calls(logs: Path) -> None:
    def calls(**settings: Any) -> list[int]:
        return [stage.calls for stage in plan([logs], None, EvolveConfig(**settings))]

    assert calls(method="reasoning-bank") == [4]
    assert calls(method="reasoning-bank", analysts="error") == [2]
    assert calls(method="reasoning-bank", judge="model") == [8]
    assert calls(method="awm") == [2]
    assert calls(method="synapse") == []
    assert calls(method="synapse", judge="model") == [4]


def test_the_calls_of_an_attempt_that_broke_are_counted_as_far_as_they_are_kept(
    logs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    after = [True]

    def sift(*given: Any) -> Any:
        if after:
            after.pop()
            raise RuntimeError("broke after its answer")
        return real(*given)

    real = induction.sift
    monkeypatch.setattr(induction, "sift", sift)
    manifest = make(logs, tmp_path / "run", "reasoning-bank")

    [stage] = manifest.stages
    assert (stage.samples, stage.calls, stage.input_tokens, stage.broken_attempts) == (4, 5, 50, 1)


def test_the_samples_of_the_stage_hold_what_was_kept(logs: Path, tmp_path: Path) -> None:
    make(logs, tmp_path / "run", "reasoning-bank")
    [info] = list_eval_logs(str(tmp_path / "run" / "logs" / "memory"))
    kept = {str(row.id): row.store["memory"]["status"] for row in read_eval_log(info).samples or []}

    assert kept == {"one": "failure", "two": "failure", "three": "success", "four": "success"}


def test_a_run_that_made_a_bank_is_no_skill(logs: Path, tmp_path: Path) -> None:
    make(logs, tmp_path / "run", "synapse")

    with pytest.raises(SkillError, match=r"made a memory bank, not a skill. Give it as -T memory="):
        find_skill_folder(tmp_path / "run")


def test_the_command_prints_the_bank_and_its_exit_codes(logs: Path, tmp_path: Path) -> None:
    def run(*arguments: str) -> Any:
        return CliRunner().invoke(main, ["evolve", str(logs), "--display", "none", *arguments])

    made = run("--method", "synapse", "--output", str(tmp_path / "run"))
    assert (made.exit_code, "Memory bank 'bank'" in made.output) == (0, True)
    assert "2 proposed: 2 kept of 2 past tasks" in made.output
    assert str(tmp_path / "run" / "bank") in made.output.replace("\n", "")
    assert run("--output", str(tmp_path / "x")).exit_code == 2
    assert run("--method", "synapse", "--select", "--output", str(tmp_path / "x")).exit_code == 2
    assert run("--method", "synapse", "--embedder", "bm26", "--output", str(tmp_path / "x")).exit_code == 2
    seeds = run("--method", "synapse", "--seeds", "1,2", "--output", str(tmp_path / "seeds"))
    assert seeds.exit_code == 0
    cards = [json.loads((tmp_path / "seeds" / f"seed-{n}" / "bank" / "card.json").read_text()) for n in (1, 2)]
    assert cards[0] == cards[1]
