import json
import zipfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
from inspect_ai.log import read_eval_log, write_eval_log
from inspect_ai.model import ChatMessage, Model, ModelOutput

from tests.trace2skill.toy import (
    LESSON,
    analyst,
    call,
    edit,
    run_adding,
    run_asking,
    scripted,
    structured,
    write_skill,
)
from trace2skill.analysis.lessons import outline
from trace2skill.consolidation.ledger import LedgerRow, read_ledger
from trace2skill.edits.provenance import blame
from trace2skill.errors import LogError, PatchError, Trace2SkillError
from trace2skill.evolution.configuration import EvolveConfig
from trace2skill.evolution.evolve import evolve
from trace2skill.evolution.folder import Manifest
from trace2skill.skill.folder import Skill, load_skill


@pytest.fixture(scope="session")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_adding(tmp_path_factory.mktemp("logs"))


@pytest.fixture
def run(logs: Path, tmp_path: Path) -> Callable[..., Manifest]:
    skill = write_skill(tmp_path)

    def start(model: Model, **settings: object) -> Manifest:
        return evolve([logs], skill, tmp_path / "run", EvolveConfig(**settings), model=model, display="none")

    return start


def rows(tmp_path: Path) -> dict[str, LedgerRow]:
    return {row.id: row for row in read_ledger(tmp_path / "run" / "ledger.jsonl")}


def test_lessons_of_failures_and_successes_become_one_supported_line(
    run: Callable[..., Manifest], tmp_path: Path
) -> None:
    manifest = run(scripted())

    assert manifest.trajectories == {"successes": 2, "failures": 2}
    assert manifest.edits == {"proposed": 4, "applied": 4}
    evolved = load_skill(tmp_path / "run")
    assert evolved.skill_md.count("- Read to the last line.") == 1
    _, lines = blame(tmp_path / "run")
    [line] = [line for line in lines if line.edit]
    assert line.text == "- Read to the last line."
    assert line.support == ("four", "one", "three", "two")


def test_the_initial_skill_stays_as_it_is(run: Callable[..., Manifest], tmp_path: Path) -> None:
    before = load_skill(tmp_path / "adding").digest
    run(scripted())

    assert load_skill(tmp_path / "adding").digest == before


def test_a_finished_run_is_returned_at_once(run: Callable[..., Manifest]) -> None:
    first = run(scripted())

    def fail(_: list[ChatMessage]) -> ModelOutput:
        raise AssertionError("no model call is due")

    assert run(scripted(error=fail, success_report=fail, patch=fail, merge_result=fail)) == first


def test_other_settings_need_another_folder(run: Callable[..., Manifest]) -> None:
    run(scripted())

    with pytest.raises(Trace2SkillError, match=r"a run with other --min-support \(\d there, 3 now\)"):
        run(scripted(), min_support=3)


def test_a_fix_that_works_only_in_the_analysts_sandbox_does_not_pass(
    run: Callable[..., Manifest], tmp_path: Path
) -> None:
    manifest = run(
        scripted(error=lambda messages: analyst(messages, fix="import os\nos.rename('kept.txt', 'total.txt')\n"))
    )

    assert manifest.edits == {"proposed": 4, "rejected": 2, "applied": 2}
    assert "clean run" in rows(tmp_path)["one.1"].reason
    assert rows(tmp_path)["three.1"].fate in ("applied", "merged")


def test_the_expected_value_is_not_shown_so_it_cannot_be_written_into_a_fix(
    run: Callable[..., Manifest], tmp_path: Path
) -> None:
    shown: set[str] = set()

    def cheat(messages: list[ChatMessage]) -> ModelOutput:
        expected = messages[0].text.split("expected ")[1].split(",")[0]
        shown.add(expected)
        return analyst(messages, fix=f"open('total.txt', 'w').write('{expected}')\n")

    manifest = run(scripted(error=cheat), analysts="error")

    assert shown == {"<integer>"}
    assert manifest.edits == {"proposed": 2, "rejected": 2}


def test_without_a_fix_nothing_is_learned(run: Callable[..., Manifest]) -> None:
    manifest = run(scripted(error=lambda _: call("submit", fix="", causes=[], lessons=[])), analysts="error")

    assert manifest.analyses == {"no fix was submitted": 2}


def test_a_lesson_that_mentions_the_reference_is_not_used(run: Callable[..., Manifest]) -> None:
    spoiled = {**LESSON, "content": "Compare the sum with the expected answer."}
    manifest = run(scripted(error=lambda messages: analyst(messages, lessons=[spoiled])), analysts="error")

    assert sum(manifest.analyses.values()) == 2
    assert "mentions what the agent never sees" in next(iter(manifest.analyses))


def test_one_trajectory_alone_does_not_change_the_main_file(run: Callable[..., Manifest], tmp_path: Path) -> None:
    def patch(messages: list[ChatMessage]) -> ModelOutput:
        own = "- Mind negative numbers." if "id of this run: one" in messages[0].text else "- Read to the last line."
        return structured({"edits": [edit(own)]})

    manifest = run(scripted(patch=patch), analysts="error", min_support=3)

    assert manifest.edits == {"proposed": 2, "withheld": 2}
    assert "below 3" in rows(tmp_path)["two.1"].reason or rows(tmp_path)["two.1"].fate == "merged"


def test_unsafe_edits_are_rejected_and_written_down(run: Callable[..., Manifest], tmp_path: Path) -> None:
    hostile = [
        edit("x", op="create", file="../escape.md", target=""),
        edit("x", op="create", file="scripts/run.md", target=""),
        edit("- x", target="## No such section"),
        edit("- Read to the last line."),
    ]
    manifest = run(scripted(patch=lambda _: structured({"edits": hostile})))

    assert manifest.edits == {"proposed": 16, "applied": 4, "rejected": 12}
    assert not (tmp_path / "escape.md").exists()
    assert set(load_skill(tmp_path / "run").files) == {"SKILL.md"}


def test_broken_output_loses_one_analysis_and_not_the_run(run: Callable[..., Manifest]) -> None:
    manifest = run(scripted(success_report=lambda _: ModelOutput.from_content("mockllm", "{broken")))

    assert manifest.edits["applied"] == 2
    [reason] = manifest.analyses
    assert "no usable success_report in 2 attempts" in reason


def test_a_model_that_never_returns_usable_output_leaves_the_skill_and_says_so(
    run: Callable[..., Manifest], tmp_path: Path
) -> None:
    def broken(_: list[ChatMessage]) -> ModelOutput:
        return ModelOutput.from_content("mockllm", "{broken")

    manifest = run(scripted(success_report=broken, patch=broken))

    assert manifest.digest == manifest.record.initial_digest
    assert manifest.unchanged.startswith("none of 4 trajectories led to an edit; most often (")
    assert "unusable output: mockllm/model returned no usable" in manifest.unchanged
    assert sum(stage.calls for stage in manifest.stages) >= 8
    with zipfile.ZipFile(next((tmp_path / "run" / "logs" / "analysis").glob("*success-analysis*.eval"))) as log:
        [sample] = [json.loads(log.read(name)) for name in log.namelist() if name.startswith("samples/three")]
    assert [message["role"] for message in sample["messages"]] == ["user", "assistant", "user", "assistant", "user"][:4]


def test_a_run_in_which_every_edit_is_rejected_says_so(run: Callable[..., Manifest]) -> None:
    nowhere = edit("- x", target="## No such section")
    manifest = run(scripted(patch=lambda _: structured({"edits": [nowhere]})))

    assert manifest.unchanged == "no proposed edit was applied (4 rejected); the ledger has the reasons"


def test_what_the_skill_says_lends_no_support_to_what_is_new(run: Callable[..., Manifest], tmp_path: Path) -> None:
    """Four trajectories repeat a line of the skill, one of them with something new: that has the support of one."""
    known = "1) **Read** the file as text"
    shown: list[str] = []

    def propose(messages: list[ChatMessage]) -> ModelOutput:
        new = "one" in messages[0].text and not shown
        shown.extend(["new"] * new)
        return structured({"edits": [edit(f"{known}\n2) Skip the header." if new else known)]})

    manifest = run(scripted(patch=propose), min_support=2)

    assert shown == ["new"]
    assert manifest.edits == {"proposed": 4, "rejected": 3, "withheld": 1}
    [withheld] = [row for row in rows(tmp_path).values() if row.fate == "withheld"]
    assert (withheld.content, len(withheld.support)) == ("2) Skip the header.", 1)


def test_applied_edits_that_leave_the_skill_as_it_was_are_no_change(run: Callable[..., Manifest]) -> None:
    manifest = run(scripted())
    same = manifest.model_copy(update={"digest": manifest.record.initial_digest})

    assert not manifest.unchanged
    assert same.unchanged == "with the 4 applied edits it says what it said"


def test_the_outline_shows_headings_and_no_comments() -> None:
    body = "# A\n\n```py\n# no heading\n```\n\n  ## B ##\n\nText.\n\nC\n-\n\n> ## quoted\n"
    skill = Skill.from_files(
        {"SKILL.md": f"---\nname: d\ndescription: d\n---\n{body}".encode(), "scripts/x.py": b"# x"}
    )

    assert outline(skill) == "SKILL.md\n  # A\n  ## B\n  ## C\nscripts/x.py"


def test_a_patch_file_that_reaches_outside_the_folder_is_refused_whole(tmp_path: Path) -> None:
    patch = {"trajectory": "t1", "edits": [{**edit("x", op="create", file="../x.md", target=""), "id": "t1.1"}]}
    (tmp_path / "patches.jsonl").write_text(json.dumps(patch))

    with pytest.raises(PatchError, match=r"edit t1\.1: unsafe path '\.\./x\.md'"):
        evolve(
            [],
            write_skill(tmp_path),
            tmp_path / "run",
            EvolveConfig(merger="lexical"),
            patches=[tmp_path / "patches.jsonl"],
        )

    assert not (tmp_path / "run").exists()


def test_a_merger_that_loses_edits_is_told_and_then_overruled(run: Callable[..., Manifest], tmp_path: Path) -> None:
    manifest = run(
        scripted(
            patch=lambda messages: structured(
                {"edits": [edit("- Read to the last line."), edit("- Check the sum twice.")]}
            ),
            merge_result=lambda _: structured({"edits": []}),
        )
    )

    assert manifest.edits == {"proposed": 8, "applied": 8}


def test_logs_without_the_asked_outcome_are_refused(tmp_path: Path) -> None:
    logs = run_adding(tmp_path / "all-pass", failing="nobody")

    with pytest.raises(LogError, match="no trajectory for --analysts error"):
        evolve([logs], write_skill(tmp_path), tmp_path / "run", EvolveConfig(analysts="error"), model=scripted())


def test_a_resumed_run_gives_the_same_bytes_and_repeats_nothing(logs: Path, tmp_path: Path) -> None:
    skill = write_skill(tmp_path)
    calls: list[str] = []

    def interrupted(messages: list[ChatMessage]) -> ModelOutput:
        raise RuntimeError("the server went away")

    def counted(messages: list[ChatMessage]) -> ModelOutput:
        calls.append("analyst")
        return analyst(messages)

    whole = evolve([logs], skill, tmp_path / "whole", model=scripted(), display="none")
    with pytest.raises(LogError, match="run the same command again"):
        evolve(
            [logs], skill, tmp_path / "cut", model=scripted(error=counted, success_report=interrupted), display="none"
        )
    before = len(calls)
    resumed = evolve([logs], skill, tmp_path / "cut", model=scripted(error=counted), display="none")

    assert len(calls) == before == 6
    assert resumed.digest == whole.digest
    assert json.loads((tmp_path / "cut" / "provenance.json").read_text()) == json.loads(
        (tmp_path / "whole" / "provenance.json").read_text()
    )


def answering(*guesses: str) -> Callable[[list[ChatMessage]], ModelOutput]:
    """An analyst of a task without a sandbox: checks each guess, then submits the last."""

    def reply(messages: list[ChatMessage]) -> ModelOutput:
        turn = sum(message.role == "assistant" for message in messages)
        if turn < len(guesses):
            return call("check_answer", answer=guesses[turn])
        return call("submit", answer=guesses[-1], causes=["off by one"], lessons=[LESSON])

    return reply


def right_answer(messages: list[ChatMessage]) -> str:
    number = messages[0].text.split("What is ")[1].split(" + 7")[0]
    return f"{number} + 7, so ANSWER: {int(number) + 7}"


@pytest.fixture(scope="session")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_asking(tmp_path_factory.mktemp("asked"))


def test_a_task_without_a_sandbox_is_analysed_by_its_answers(asked: Path, tmp_path: Path) -> None:
    def right(messages: list[ChatMessage]) -> ModelOutput:
        return answering(right_answer(messages))(messages)

    manifest = evolve([asked], write_skill(tmp_path), tmp_path / "run", model=scripted(error=right), display="none")

    assert manifest.trajectories == {"successes": 2, "failures": 2}
    assert manifest.edits == {"proposed": 4, "applied": 4}


def test_a_wrong_answer_does_not_pass_the_gate(asked: Path, tmp_path: Path) -> None:
    config = EvolveConfig(analysts="error")
    model = scripted(error=answering("ANSWER: 1", "ANSWER: 2"))
    manifest = evolve([asked], write_skill(tmp_path), tmp_path / "run", config, model=model, display="none")

    assert manifest.edits == {"proposed": 2, "rejected": 2}


def test_an_answer_cannot_be_found_by_guessing(asked: Path, tmp_path: Path) -> None:
    told: list[str] = []

    def guess(messages: list[ChatMessage]) -> ModelOutput:
        told.extend(message.text for message in messages[-1:] if message.role == "tool")
        return answering(*(f"ANSWER: {number}" for number in range(6)))(messages)

    config = EvolveConfig(analysts="error")
    evolve([asked], write_skill(tmp_path), tmp_path / "run", config, model=scripted(error=guess), display="none")

    assert "1241" not in " ".join(told)
    assert sum(text == "FAILED" for text in told) == 2 * 3


def test_a_trajectory_may_not_speak_twice(logs: Path, tmp_path: Path) -> None:
    patch = {"trajectory": "one", "edits": [{**edit("- x"), "id": "one.1"}]}
    (tmp_path / "patches.jsonl").write_text(json.dumps(patch))

    with pytest.raises(PatchError, match="Trajectory one is there more than once"):
        evolve([logs], write_skill(tmp_path), tmp_path / "run", patches=[tmp_path / "patches.jsonl"], model=scripted())

    assert not (tmp_path / "run").exists()


def test_a_script_called_answer_is_judged_as_a_script(run: Callable[..., Manifest]) -> None:
    def cheat(messages: list[ChatMessage]) -> ModelOutput:
        expected = messages[0].text.split("expected ")[1].split(",")[0]
        turn = sum(message.role == "assistant" for message in messages)
        if turn == 0:
            return call("bash", command=f"echo {expected} > answer")
        return call("submit", fix="answer", causes=[], lessons=[LESSON])

    manifest = run(scripted(error=cheat), analysts="error")

    assert manifest.edits == {"proposed": 0}


def test_error_llm_learns_from_failures_in_one_call_without_a_gate(
    run: Callable[..., Manifest], tmp_path: Path
) -> None:
    def no_tools(_: list[ChatMessage]) -> ModelOutput:
        raise AssertionError("no analyst with tools is due")

    manifest = run(scripted(error=no_tools, success_report=no_tools), analysts="error-llm")

    assert manifest.edits == {"proposed": 2, "applied": 2}
    assert {stage.stage: (stage.samples, stage.calls) for stage in manifest.stages} == {
        "error_llm_analysis": (2, 4),
        "consolidation": (1, 0),
    }
    assert manifest.notes == ()


def test_the_single_call_sees_no_value_of_the_verdict(run: Callable[..., Manifest], tmp_path: Path) -> None:
    asked: list[str] = []

    def report(messages: list[ChatMessage]) -> ModelOutput:
        asked.append(messages[0].text)
        return structured({"causes": [], "lessons": []})

    run(scripted(error_report=report), analysts="error-llm")

    assert len(asked) == 2
    assert all("expected <integer>, got <integer>" in text and "2352" not in text for text in asked)


def test_where_the_task_is_gone_failures_are_analysed_in_a_single_call(
    logs: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    log = next(logs.glob("*.eval"))
    foreign = read_eval_log(log)
    foreign.eval.task = foreign.eval.task_registry_name = "elsewhere"
    foreign.eval.task_file = "gone.py"
    write_eval_log(foreign, tmp_path / "foreign.eval")

    manifest = evolve(
        [tmp_path / "foreign.eval"], write_skill(tmp_path), tmp_path / "run", model=scripted(), display="none"
    )

    assert [stage.stage for stage in manifest.stages] == ["error_llm_analysis", "success_analysis", "consolidation"]
    assert manifest.edits == {"proposed": 4, "applied": 4}
    [note] = manifest.notes
    assert "in a single call, without a proven fix: The logged task 'elsewhere' is not installed here" in note
    assert "elsewhere" in capfd.readouterr().err


def test_parts_can_have_models_of_their_own(run: Callable[..., Manifest], tmp_path: Path) -> None:
    manifest = run(scripted(), merger_model="sim/large")

    assert manifest.record.models == {"model": "mockllm/model", "merger": "sim/large"}
    assert manifest.simulated
    [log] = (tmp_path / "run" / "logs" / "consolidation").glob("*.eval")
    assert set(read_eval_log(log).eval.model_roles or {}) == {"merger"}


def test_an_analysis_has_limits_of_its_own(run: Callable[..., Manifest]) -> None:
    manifest = run(
        scripted(error=lambda _: call("bash", command="true")), analysts="error", max_turns=100, analyst_tokens=50
    )

    assert manifest.analyses == {"no fix within the token limit": 2}


def test_an_edit_that_does_not_fit_is_shown_to_its_analyst_once(run: Callable[..., Manifest]) -> None:
    told: list[str] = []

    def patch(messages: list[ChatMessage]) -> ModelOutput:
        if "cannot be used" not in messages[-1].text:
            return structured({"edits": [edit("- Read to the last line.", target="## Nowhere")]})
        told.append(messages[-1].text)
        return structured({"edits": [edit("- Read to the last line.")]})

    manifest = run(scripted(patch=patch))

    assert manifest.edits == {"proposed": 4, "applied": 4}
    assert len(told) == 4
    assert "edits[0] does not fit the skill: " in told[0]


def test_an_edit_that_never_fits_ends_in_the_ledger(run: Callable[..., Manifest], tmp_path: Path) -> None:
    stubborn = structured({"edits": [edit("- Read on.", target="## Nowhere"), edit("- Read to the last line.")]})

    manifest = run(scripted(patch=lambda _: stubborn))

    assert manifest.edits == {"proposed": 8, "applied": 4, "rejected": 4}
    assert all("Nowhere" in row.reason for row in rows(tmp_path).values() if row.fate == "rejected")


def test_success_is_what_the_expression_says(run: Callable[..., Manifest]) -> None:
    manifest = run(scripted(), success="total_is_right == 0", analysts="success")

    assert manifest.trajectories == {"successes": 2, "failures": 2}
    assert manifest.record.config.success == "total_is_right == 0"


def test_own_prompts_are_used_and_recorded(run: Callable[..., Manifest], tmp_path: Path) -> None:
    prompts = tmp_path / "prompts"
    prompts.mkdir()
    (prompts / "success_analyst.md").write_text("MY OWN WORDS {{ task }}")
    asked: list[str] = []

    def report(messages: list[ChatMessage]) -> ModelOutput:
        asked.append(messages[0].text)
        return structured({"solution_path": "", "lessons": [LESSON]})

    manifest = run(scripted(success_report=report), analysts="success", prompts=str(prompts))

    assert asked == ["MY OWN WORDS Write the sum of numbers.txt to total.txt."] * 2
    assert manifest.record.prompts["success_analyst"] == sha256(b"MY OWN WORDS {{ task }}").hexdigest()
