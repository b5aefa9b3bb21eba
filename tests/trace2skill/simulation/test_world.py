"""The tasks that the stand-in knows: found by text and input workbook, each test case by its own answer."""

import json
import shutil
import tarfile
from pathlib import Path

import pytest
from inspect_ai.dataset import Sample
from openpyxl import load_workbook

from evals.graders.spreadsheetbench import compare_workbooks
from evals.spreadsheet import load_dataset
from tests.trace2skill.simulation.sample import FOLDER, RECORDS, code_of, run_code, workbook
from trace2skill.simulation.scripts import solve_command
from trace2skill.simulation.world import Knowledge, Prompt, knowledge, known_folders, read_prompt

TASK = "9012"
SHARED = Path(__file__).parents[3] / "../shared/data/spreadsheetbench/spreadsheetbench-full-sample.tar.xz"


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    """A sample task as the full set has it: two test cases, the second with a blank in its name and another answer."""
    place = tmp_path / "cases/spreadsheet" / TASK
    place.mkdir(parents=True)
    shutil.copy(workbook(TASK, "init"), place / f"1_{TASK}_input.xlsx")
    shutil.copy(workbook(TASK, "golden"), place / f"1_{TASK}_answer.xlsx")
    shutil.copy(workbook(TASK, "init"), place / f"2_{TASK}_input .xlsx")
    book = load_workbook(workbook(TASK, "golden"))
    book["Staff"]["D2"] = "Harbour"
    book.save(place / f"2_{TASK}_answer.xlsx")
    record = {**RECORDS[TASK], "spreadsheet_path": f"spreadsheet/{TASK}"}
    (tmp_path / "cases/dataset.json").write_text(json.dumps([record]))
    return tmp_path / "cases"


def known(sample: Sample, folders: tuple[Path, ...]) -> tuple[Prompt, Knowledge]:
    prompt = read_prompt(str(sample.input))
    assert prompt is not None
    found = knowledge(prompt, folders)
    assert found is not None, f"{sample.id} is unknown"
    return prompt, found


def solves(folder: Path, sample: Sample, folders: tuple[Path, ...], place: Path) -> bool:
    """Whether the script with all habits passes, run in `place`, which must be the working directory."""
    prompt, found = known(sample, folders)
    for name, source in (sample.files or {}).items():
        shutil.copy(source, place / name)
    run_code(code_of(solve_command(prompt, found, found.habits, (), wrong=False)), place)
    return compare_workbooks(folder / str(sample.target), place / prompt.output, prompt.answer_position).passed


def test_each_test_case_is_solved_by_its_own_answer(
    cases: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first, second = load_dataset(cases, "test")
    folders = known_folders([str(cases)])

    assert [solves(cases, sample, folders, tmp_path) for sample in (first, second)] == [True, True]
    assert "Harbour" in known(second, folders)[1].plan.cells.values()
    assert "Harbour" not in known(first, folders)[1].plan.cells.values()


def test_the_first_case_shares_the_draws_of_its_task_and_others_have_their_own(cases: Path) -> None:
    task = read_prompt(str(next(iter(load_dataset(FOLDER, "all").filter(lambda s: s.id == TASK))).input))
    first, second = (read_prompt(str(sample.input)) for sample in load_dataset(cases, "test"))
    assert task is not None
    assert first is not None
    assert second is not None

    assert task.key == first.key == second.key
    assert task.case_key == first.case_key == task.key
    assert second.case_key == f"{task.key}/2"


def test_a_text_in_two_datasets_is_told_by_its_workbook(cases: Path) -> None:
    [sample] = load_dataset(FOLDER, "all").filter(lambda sample: sample.id == TASK)

    for folders in ((FOLDER, cases), (cases, FOLDER)):
        prompt, found = known(sample, folders)
        assert prompt.input == f"1_{TASK}_init.xlsx"
        assert found.plan == known(sample, (FOLDER,))[1].plan
        assert all(known(case, folders) for case in load_dataset(cases, "test"))


def test_an_input_without_its_answer_is_unknown(cases: Path) -> None:
    first, second = load_dataset(cases, "test")
    (cases / f"spreadsheet/{TASK}/1_{TASK}_answer.xlsx").unlink()
    prompts = [read_prompt(str(sample.input)) for sample in (first, second)]

    assert [knowledge(prompt, (cases,)) is None for prompt in prompts if prompt] == [True, False]


def test_a_published_full_set_is_known_without_being_named(
    cases: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACE2SKILL_DATA", str(tmp_path))
    assert not any(known_folders([])[1:])
    cases.rename(tmp_path / "spreadsheetbench-full-912")

    assert known_folders([])[1:] == (tmp_path / "spreadsheetbench-full-912",)


@pytest.mark.slow
@pytest.mark.shared_data
@pytest.mark.filterwarnings("ignore::UserWarning")  # openpyxl's, in the agent's script
def test_every_case_of_the_full_sample_is_known_and_solved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not SHARED.is_file():
        pytest.skip(f"{SHARED} is not there")
    with tarfile.open(SHARED) as archive:
        archive.extractall(tmp_path, filter="data")
    full = tmp_path / "spreadsheetbench-full-sample"
    monkeypatch.chdir(tmp_path)
    samples = list(load_dataset(full, "test"))

    assert len(samples) == 60
    assert all(known(sample, (full,)) for sample in samples)
    assert all(solves(full, sample, (full,), tmp_path) for sample in samples[::4])
