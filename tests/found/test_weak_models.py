"""Rows that weak models leave empty or incomplete: each loses itself, and neither its neighbours nor its analysis."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from inspect_ai.model import ChatMessage, Model, ModelOutput
from inspect_ai.tool import ToolCall

from tests.trace2skill.toy import LESSON, analyst, edit, merge_all, scripted, structured, write_skill
from trace2skill.analysis.leaks import Guarded
from trace2skill.analysis.reports import Lesson
from trace2skill.analysis.submission import Submission, sift
from trace2skill.baselines.editing import SkillEdit, SkillEdits
from trace2skill.baselines.induction import Induced
from trace2skill.consolidation.ledger import LedgerRow, read_ledger
from trace2skill.consolidation.merging import DroppedEdit, MergedEdit, MergeResult, account, settle
from trace2skill.edits.patch import Edit
from trace2skill.edits.proposed import ProposedEdit
from trace2skill.evolution import EvolveConfig, evolve
from trace2skill.evolution.folder import Manifest

BAD_LESSONS: list[Any] = [
    {},
    None,
    "",
    "Read on.",
    {"title": "", "description": " ", "content": ""},
    {**LESSON, "title": None},
    {**LESSON, "content": "\n"},
    {"title": "Half"},
    [LESSON],
]
KNOWN = Edit(id="t0.1", file="SKILL.md", op="append_to_section", target="## A", content="- x", support=("t0",))
OTHER = KNOWN.model_copy(update={"id": "t1.1", "support": ("t1",)})
MERGED = {"op": "append_to_section", "file": "SKILL.md", "target": "## A", "content": "- both"}


@pytest.fixture
def run(adding_logs: Path, tmp_path: Path) -> Callable[..., tuple[Manifest, tuple[LedgerRow, ...]]]:
    def start(model: Model, **settings: object) -> tuple[Manifest, tuple[LedgerRow, ...]]:
        config = EvolveConfig.model_validate(settings)
        manifest = evolve([adding_logs], write_skill(tmp_path), tmp_path / "run", config, model=model, display="none")
        return manifest, read_ledger(tmp_path / "run" / "ledger.jsonl")

    return start


@pytest.mark.parametrize("analysts", ["error", "success", "error-llm"])
def test_a_lesson_that_is_none_is_left_out_and_said_so(
    run: Callable[..., tuple[Manifest, tuple[LedgerRow, ...]]], analysts: str
) -> None:
    rows = [*BAD_LESSONS, LESSON]
    model = scripted(
        error=lambda messages: analyst(messages, lessons=rows),
        success_report=lambda _: structured({"solution_path": "read", "lessons": rows}),
        error_report=lambda _: structured({"causes": ["c", None, ""], "lessons": rows}),
    )
    manifest, ledger = run(model, analysts=analysts)

    assert manifest.edits == {"proposed": 2, "applied": 2}
    said = [row.reason for row in ledger if row.kind == "lesson"]
    assert len(said) == 2 * len(BAD_LESSONS)
    assert "lessons.5.title: Field required" in said


@pytest.mark.parametrize("analysts", ["error", "success", "error-llm"])
def test_lessons_beyond_the_third_are_left_out_and_said_so(
    run: Callable[..., tuple[Manifest, tuple[LedgerRow, ...]]], analysts: str
) -> None:
    rows = [{}, *({**LESSON, "title": f"Lesson {number}"} for number in range(4))]
    model = scripted(
        error=lambda messages: analyst(messages, lessons=rows),
        success_report=lambda _: structured({"solution_path": "read", "lessons": rows}),
        error_report=lambda _: structured({"causes": ["c"], "lessons": rows}),
    )
    manifest, ledger = run(model, analysts=analysts)

    assert manifest.edits == {"proposed": 2, "applied": 2}
    assert "'Lesson 3' is one too many: there may be 3" in [row.reason for row in ledger]


def test_a_submission_of_bad_lessons_alone_goes_back_to_the_model() -> None:
    call = ToolCall(id="1", function="submit", arguments={"fix": "fix.py", "causes": ["c"], "lessons": BAD_LESSONS})

    assert Submission().readable(call) is call


def test_a_submission_is_cleared_of_what_inspect_would_refuse_and_of_nothing_else() -> None:
    submission = Submission()
    lesson = {**LESSON, "content": "Use a \times b\nnot c.", "note": "x"}
    arguments = {"answer": "a\tb", "causes": ["c"], "lessons": [lesson, {}]}
    read = submission.readable(ToolCall(id="1", function="submit", arguments=arguments)).arguments

    assert read == {**arguments, "lessons": [{**LESSON, "content": "Use a \times b\nnot c."}]}
    assert len(submission.left_out) == 1


def test_other_calls_stay_as_they_are() -> None:
    call = ToolCall(id="1", function="bash", arguments={"command": "ls"})

    assert Submission().readable(call) is call


def test_the_leak_guard_does_not_count_lessons_that_it_stops() -> None:
    lessons = [Lesson(**{**LESSON, "content": f"The answer is {number}."}) for number in range(2)]
    good = [Lesson(**{**LESSON, "title": str(number)}) for number in range(4)]

    usable, stopped = sift([*lessons, *good], Guarded(), ["lessons.9: none"])

    assert usable == good[:3]
    assert len(stopped) == 4
    assert stopped[-1] == "lessons.9: none"


@pytest.mark.parametrize("file", ["skill.md", "Skill.md", "./SKILL.md", " SKILL.MD "])
def test_the_skills_own_file_is_known_in_any_case(
    file: str,
) -> None:
    assert ProposedEdit.model_validate({"op": "append_to_section", "file": file}).file == "SKILL.md"
    assert ProposedEdit.model_validate({"op": "create", "file": "references/A.md"}).file == "references/A.md"


@pytest.mark.parametrize(
    "bad", [{}, None, "append", edit("- x", op=""), edit("- x", op="append"), {"op": "create", "content": "# X"}]
)
def test_an_edit_that_cannot_be_read_is_rejected_alone(
    run: Callable[..., tuple[Manifest, tuple[LedgerRow, ...]]], bad: object
) -> None:
    model = scripted(
        patch=lambda _: structured({"edits": [bad, edit("- Read to the last line.")], "changelog": [None]})
    )
    manifest, ledger = run(model, analysts="success")

    assert manifest.edits == {"proposed": 4, "applied": 2, "rejected": 2}
    assert all("edits.0" in row.reason for row in ledger if row.fate == "rejected")


def test_a_patch_of_bad_edits_alone_is_no_patch(run: Callable[..., tuple[Manifest, tuple[LedgerRow, ...]]]) -> None:
    manifest, _ = run(scripted(patch=lambda _: structured({"edits": [{}, edit("- x", op="")]})), analysts="success")

    assert manifest.edits == {"proposed": 0}
    assert "edits.1.op" in next(iter(manifest.analyses))


def test_null_and_further_keys_lose_no_edit(run: Callable[..., tuple[Manifest, tuple[LedgerRow, ...]]]) -> None:
    odd = {**edit("- Look at each sheet."), "old": None, "rationale": None, "support": 3}
    asked: list[str] = []

    def patch(messages: list[ChatMessage]) -> ModelOutput:
        asked.append(messages[-1].text)
        return structured({"edits": [odd], "changelog": None})

    manifest, _ = run(scripted(patch=patch), analysts="success")

    assert manifest.edits == {"proposed": 2, "applied": 2}
    told = "There is no key 'support': it is ignored."
    assert sum(told in text for text in asked) == 2, "it may have been meant as another"


ACCOUNTS: dict[str, dict[str, Any]] = {
    "blank id": {"edits": [{**MERGED, "ids": [""]}]},
    "no ids": {"edits": [MERGED]},
    "null ids": {"edits": [{**MERGED, "ids": None}]},
    "ids that are null": {"edits": [{**MERGED, "ids": [None]}]},
    "empty edit": {"edits": [{}]},
    "null edit": {"edits": [None]},
    "blank drop": {"dropped": [{"id": " ", "reason": ""}]},
    "empty drop": {"dropped": [{}]},
    "no drop": {"dropped": ["none"]},
    "null": {"dropped": None, "reasoning": None},
}


@pytest.mark.parametrize("odd", ACCOUNTS.values(), ids=list(ACCOUNTS))
@pytest.mark.parametrize("ids", [["t0.1", "t1.1"], ["t0.1 ", "\tt1.1", "", None], ["t1.1", "t0.1", "t1.1", " t0.1"]])
def test_a_complete_account_is_one_whatever_else_the_answer_holds(odd: dict[str, Any], ids: list[Any]) -> None:
    answer = {"edits": [{**MERGED, "ids": ids}, *odd.get("edits", [])], **{k: odd[k] for k in odd if k != "edits"}}
    result = MergeResult.model_validate(answer)

    assert account([KNOWN, OTHER], result) == []
    assert [edit.support for edit in settle("1/1", [KNOWN, OTHER], result).edits] == [("t0", "t1")]


def test_an_input_that_is_dropped_twice_is_dropped() -> None:
    twice = [DroppedEdit(id="t1.1 ", reason=" known "), DroppedEdit(id="t1.1")]
    result = MergeResult(edits=[MergedEdit.model_validate({**MERGED, "ids": ["t0.1"]})], dropped=twice)

    assert account([KNOWN, OTHER], result) == []
    assert [row.edit.id for row in settle("1/1", [KNOWN, OTHER], result).dropped] == ["t1.1"]


def test_a_row_that_holds_the_only_mention_of_an_input_is_missed() -> None:
    answer = {"edits": [{**MERGED, "ids": ["t0.1"]}, {**MERGED, "op": "append", "ids": ["t1.1"]}]}

    [problem] = account([KNOWN, OTHER], MergeResult.model_validate(answer))
    assert "'t1.1' is missing" in problem


def test_a_merger_with_an_empty_row_is_used(run: Callable[..., tuple[Manifest, tuple[LedgerRow, ...]]]) -> None:
    words = iter(("dates", "blanks"))

    def merge(messages: list[ChatMessage]) -> ModelOutput:
        return structured({**json.loads(merge_all(messages).completion), "dropped": [{}], "done": True})

    model = scripted(patch=lambda _: structured({"edits": [edit(f"- Mind the {next(words)}.")]}), merge_result=merge)
    manifest, _ = run(model, analysts="success")

    assert manifest.unmerged == 0
    assert manifest.edits == {"proposed": 2, "applied": 2}


def test_baselines_read_rows_alike() -> None:
    kept = Induced.model_validate({"items": [*BAD_LESSONS, LESSON]}).items
    edits = SkillEdits.model_validate({"edits": [{}, {**MERGED, "ids": ["a ", "", "a"]}, None]}).edits

    assert kept == [Lesson(**LESSON)]
    assert edits == [SkillEdit.model_validate({**MERGED, "ids": ["a"]})]
