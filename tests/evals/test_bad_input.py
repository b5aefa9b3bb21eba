"""What is broken or absurd in data and answers, end to end: an error of its sample or a wrong answer, said clearly.

Downloads and archives are in tests/trace2skill/test_fetch.py, missing images in test_visionqa.py, and broken tables in
test_wikitq.py.
"""

import io
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from inspect_ai import Task, eval
from inspect_ai.log import EvalLog, EvalSample
from inspect_ai.model import ModelOutput
from inspect_ai.scorer import Score
from inspect_ai.solver import Generate, Solver, TaskState, solver
from inspect_ai.util import sandbox
from openpyxl import load_workbook

from evals import math_reasoning, spreadsheet, wikitq
from trace2skill.data.places import bundled

pytestmark = pytest.mark.slow

HUGE = 10_000_000
MARK = "filled in below"


def run(task: Task, agent: Solver, log_dir: Path, status: str = "success") -> tuple[EvalLog, dict[str, EvalSample]]:
    [log] = eval(task, solver=agent, model="mockllm/model", log_dir=str(log_dir), display="none", continue_on_fail=True)
    assert log.status == status
    return log, {str(sample.id): sample for sample in log.samples or []}


def score(sample: EvalSample) -> Score:
    [only] = (sample.scores or {}).values()
    return only


def enlarged(workbook: bytes) -> bytes:
    """The workbook with ten million characters in the marked cell, which openpyxl would not write."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(workbook)) as old, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name).replace(MARK.encode(), b"y" * HUGE))
    return buffer.getvalue()


@solver
def fills(cell: tuple[str, str], value: str | None, change: Callable[[bytes], bytes] = bytes) -> Solver:
    """Writes one value into one cell of the input, as (sheet, cell), and saves that as the output."""

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        output = state.metadata["output"]
        name = state.metadata.get("input", output.replace("_output", "_input"))
        book = load_workbook(io.BytesIO(await sandbox().read_file(name, text=False)))
        book[cell[0]][cell[1]].value = value
        buffer = io.BytesIO()
        book.save(buffer)
        await sandbox().write_file(output, change(buffer.getvalue()))
        return state

    return solve


def spreadsheet_task() -> tuple[Task, tuple[str, str]]:
    task = spreadsheet.spreadsheet(dataset="sample", split="evolve", sandbox="local")
    task.dataset = task.dataset.filter(lambda sample: sample.id == "9011")
    return task, ("Orders", "D2")


def table_task() -> tuple[Task, tuple[str, str]]:
    task = wikitq.wikitq(dataset="sample", split="evolve", sandbox="local")
    task.dataset = task.dataset.filter(lambda sample: sample.id == "ts-3")
    return task, ("Answer", "A2")


@pytest.mark.parametrize(
    ("make", "value", "said"),
    [
        (spreadsheet_task, None, "Orders!D2: expected 95.2, got None"),
        (spreadsheet_task, "=1+1", "Orders!D2: expected 95.2, got None"),
        (spreadsheet_task, MARK, "Orders!D2: expected 95.2, got 'yyyy"),
        (table_task, None, "Expected 1 item: '3', got no items."),
        (table_task, "=1+1", "Formulas without a saved value read as empty: A2."),
        (table_task, MARK, f"holds a value of {HUGE} characters"),
    ],
)
def test_an_answer_cell_that_is_empty_a_formula_or_huge_is_wrong_and_explained(
    make: Callable[[], tuple[Task, tuple[str, str]]], value: str | None, said: str, tmp_path: Path
) -> None:
    task, cell = make()
    log, samples = run(task, fills(cell, value, enlarged if value == MARK else bytes), tmp_path)

    [judged] = map(score, samples.values())
    assert judged.value == "I"
    assert said in str(judged.explanation)
    assert len(str(judged.explanation)) < 3_000
    assert Path(log.location.removeprefix("file://")).stat().st_size < 100_000


def test_a_damaged_reference_workbook_is_an_error_of_its_sample(tmp_path: Path) -> None:
    folder = tmp_path / "sample"
    shutil.copytree(bundled("tasks/sample/spreadsheet"), folder)
    task = spreadsheet.spreadsheet(dataset=str(folder), split="evolve", sandbox="local")
    task.dataset = task.dataset.filter(lambda sample: sample.id in ("9011", "9012"))
    (folder / "spreadsheet/9011/1_9011_golden.xlsx").write_bytes(b"half a download")
    _, samples = run(task, spreadsheet.unchanged(), tmp_path, status="error")

    assert samples["9011"].error
    assert "1_9011_golden.xlsx: not readable" in samples["9011"].error.message
    assert not samples["9011"].scores
    assert score(samples["9012"]).value == "I"


def test_a_damaged_input_workbook_is_an_error_of_its_sample(tmp_path: Path) -> None:
    folder = tmp_path / "sample"
    shutil.copytree(bundled("tasks/sample/spreadsheet"), folder)
    (folder / "spreadsheet/9011/1_9011_init.xlsx").write_bytes(b"half a download")
    task = spreadsheet.spreadsheet(dataset=str(folder), split="evolve", sandbox="local")
    task.dataset = task.dataset.filter(lambda sample: sample.id in ("9011", "9012"))
    _, samples = run(task, spreadsheet.unchanged(), tmp_path, status="error")

    assert samples["9011"].error
    assert "1_9011_init.xlsx" in samples["9011"].error.message
    assert not samples["9011"].scores
    assert score(samples["9012"]).value == "I"


@solver
def says(text: str) -> Solver:
    async def solve(state: TaskState, generate: Generate) -> TaskState:
        state.output = ModelOutput.from_content(str(state.model), text)
        return state

    return solve


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (r"\boxed{six}", "A number was expected, but the answer is 'six'."),
        ("I leave it to you.", "No final answer in the message of 18 characters"),
        (rf"\boxed{{{'x' * 15_000}}}", "A number was expected, but the answer is 'xxx"),
        ("x" * HUGE, "No final answer in the message of 10,000,000 characters"),
    ],
)
def test_an_answer_that_is_no_number_is_wrong_and_explained(message: str, said: str, tmp_path: Path) -> None:
    task = math_reasoning.math_reasoning(dataset="sample", split="evolve")
    task.dataset = task.dataset.filter(lambda sample: sample.id == task.dataset[0].id)
    _, samples = run(task, says(message), tmp_path)

    [judged] = map(score, samples.values())
    assert judged.value == "I"
    assert said in str(judged.explanation)


def test_a_reference_without_a_value_is_an_error_of_its_sample(tmp_path: Path) -> None:
    answers = {"words": "five apples", "none": None, "empty": "", "number": 5, "fraction": r"\frac{10}{2}"}
    lines = [json.dumps({"id": name, "problem": "How many?", "answer": answer}) for name, answer in answers.items()]
    (tmp_path / "problems.jsonl").write_text("\n".join(lines), encoding="utf-8")
    task = math_reasoning.math_reasoning(dataset=str(tmp_path), split="all")
    log, samples = run(task, says(r"\boxed{5}"), tmp_path / "logs", status="error")

    errors = {name: sample.error.message for name, sample in samples.items() if sample.error}
    assert set(errors) == {"words", "none", "empty"}
    assert "Problem words: its reference answer is 'five apples', where a number was expected" in errors["words"]
    assert [score(samples[name]).value for name in ("number", "fraction")] == ["C", "C"]
    assert log.results
    assert log.results.scores[0].metrics["accuracy"].value == 1
