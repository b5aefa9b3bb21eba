"""Arguments and datasets that do not fit are refused in words; what one task lacks is an error of that task."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from inspect_ai import Task, eval
from inspect_ai.util import registry_create

from evals.data import dataset_folder
from evals.math_reasoning import math_reasoning
from evals.spreadsheet import spreadsheet, unchanged
from evals.visionqa import visionqa
from evals.wikitq import question_folder, wikitq
from trace2skill.data.places import bundled
from trace2skill.errors import DataError

SAMPLE = {"dataset": "sample", "split": "test"}
TASKS = [spreadsheet, visionqa, wikitq, math_reasoning]


@pytest.mark.parametrize("task", TASKS)
def test_an_unknown_argument_is_refused(task: Callable[..., Task]) -> None:
    with pytest.raises(DataError, match=r"no argument skil; its arguments are dataset, .*Did you mean skill instead"):
        task(**SAMPLE, skil="skills/xlsx")


def test_inspect_hands_unknown_arguments_over(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no argument skil"):
        eval("evals/spreadsheet.py", task_args={**SAMPLE, "skil": "x"}, model="mockllm/model", log_dir=str(tmp_path))


def test_a_log_has_only_the_arguments_that_were_given(tmp_path: Path) -> None:
    task = spreadsheet(dataset="sample", split="test", sandbox="local")
    [log] = eval(task, solver=unchanged(), model="mockllm/model", limit=1, log_dir=str(tmp_path), display="none")

    assert log.eval.task_args_passed == {"dataset": "sample", "split": "test", "sandbox": "local"}
    assert set(log.eval.task_args) == {
        *(
            "dataset",
            "split",
            "skill",
            "skill_mode",
            "memory",
            "memory_k",
            "match_tokens",
            "sandbox",
            "max_turns",
            "rules",
        ),
    }
    again = registry_create("task", log.eval.task_registry_name or "", **log.eval.task_args)
    assert len(again.dataset) == len(task.dataset)


@pytest.mark.parametrize(
    ("task", "arguments", "message"),
    [
        (wikitq, {"format": "txt"}, "format must be one of workbook, text"),
        (visionqa, {"image": "mesage"}, "image must be one of message, sandbox"),
        (visionqa, {"rules": "rcc"}, "rules must be one of paper, rrc"),
        (visionqa, {"skill_mode": "tol"}, "skill_mode must be one of preload, tool"),
    ],
)
def test_a_mistyped_choice_is_refused(task: Callable[..., Task], arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        task(**SAMPLE, **arguments)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(bundled("tasks/sample/spreadsheet"), tmp_path / "set")
    return tmp_path / "set"


def test_a_dataset_may_be_named_by_its_file(folder: Path) -> None:
    by_file = spreadsheet(dataset=str(folder / "dataset.json"), split="test", sandbox="local")

    assert [sample.id for sample in by_file.dataset] == [
        sample.id for sample in spreadsheet(dataset=str(folder), split="test", sandbox="local").dataset
    ]


def test_a_dataset_that_is_not_there_is_not_looked_for_inside_itself(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        spreadsheet(dataset=str(tmp_path / "set/dataset.json"), sandbox="local")

    assert f"looked for in {tmp_path / 'set'}, which has no dataset.json" in str(caught.value)


def test_a_marker_in_a_folder_names_the_folder_above(tmp_path: Path) -> None:
    marker = "data/pristine-unseen-tables.tsv"
    (tmp_path / "data").mkdir()
    (tmp_path / marker).touch()
    (tmp_path / "own").mkdir()
    (tmp_path / "own/splits.json").touch()

    assert dataset_folder("wikitq", str(tmp_path / marker), {}, marker) == tmp_path
    assert question_folder(str(tmp_path / "own/splits.json")) == tmp_path / "own"


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("dataset.json", "[", "is not JSON"),
        ("dataset.json", "{}", "should be a JSON list"),
        ("dataset.json", "[1]", "should be a JSON list"),
        ("dataset.json", '[{"id": 1}]', "task 1 has no instruction, no spreadsheet_path"),
        ("splits.json", "{", "splits.json cannot be read: it is not JSON"),
        ("splits.json", "[]", "should be a JSON object"),
        ("splits.json", '{"test": 5}', "test should be a list of ids"),
    ],
)
def test_a_damaged_dataset_is_named(folder: Path, file: str, content: str, message: str) -> None:
    (folder / file).write_text(content)

    with pytest.raises(DataError, match=message):
        spreadsheet(dataset=str(folder), split="test", sandbox="local")


@pytest.mark.parametrize("kind", ["golden", "init"])
def test_a_missing_workbook_is_an_error_of_its_sample(kind: str, folder: Path, tmp_path: Path) -> None:
    records = json.loads((folder / "dataset.json").read_text())
    first, second = [record for record in records if str(record["id"]) in ("9011", "9012")]
    next((folder / first["spreadsheet_path"]).glob(f"*{kind}*")).unlink()
    task = spreadsheet(dataset=str(folder), split="all", sandbox="local")
    ids = [str(first["id"]), str(second["id"])]
    [log] = eval(
        *([task], "mockllm/model"),
        solver=unchanged(),
        sample_id=ids,
        log_dir=str(tmp_path / "logs"),
        display="none",
        continue_on_fail=True,
    )

    samples = {str(sample.id): sample for sample in log.samples or []}
    assert samples[ids[0]].error
    assert f"should hold one *{kind}*.xlsx, but has 0" in str(samples[ids[0]].error)
    assert samples[ids[1]].scores


def test_a_dataset_without_any_workbook_stops_at_once(folder: Path) -> None:
    shutil.rmtree(folder / "spreadsheet")

    with pytest.raises(DataError, match=r"No task has its workbooks\. .*should hold one"):
        spreadsheet(dataset=str(folder), split="all", sandbox="local")
