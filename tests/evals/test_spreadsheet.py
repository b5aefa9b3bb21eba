import csv
import json
import math
import shutil
import tarfile
from pathlib import Path

import pytest
from inspect_ai import eval
from inspect_ai.log import EvalLog
from inspect_ai.scorer import SampleScore, Score
from inspect_ai.solver import Generate, Solver, TaskState, solver

from evals.graders.spreadsheetbench import Rules
from evals.preview import preview
from evals.spreadsheet import find_workbook, hard, load_dataset, oracle, soft, spreadsheet, unchanged
from trace2skill.data.places import bundled
from trace2skill.errors import DataError

SHARED = Path(__file__).parents[2] / "../shared/data/spreadsheetbench"


def run(dataset: str, solver: Solver, log_dir: Path) -> dict[str, str]:
    task = spreadsheet(dataset=dataset, split="all", sandbox="local")
    [log] = eval(task, solver=solver, model="mockllm/model", log_dir=str(log_dir), display="none", log_samples=True)
    return verdicts(log)


def verdicts(log: EvalLog) -> dict[str, str]:
    assert log.status == "success", log.error
    return {str(sample.id): str((sample.scores or {})["cell_comparison"].value) for sample in log.samples or []}


def test_the_oracle_passes_every_sample_task(tmp_path: Path) -> None:
    found = run("sample", oracle("sample"), tmp_path)

    assert set(found.values()) == {"C"}
    assert len(found) == 40


def test_the_unchanged_input_passes_no_sample_task(tmp_path: Path) -> None:
    assert set(run("sample", unchanged(), tmp_path).values()) == {"I"}


@pytest.fixture(scope="module")
def verified(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED} is not there")
    folder = tmp_path_factory.mktemp("data")
    with tarfile.open(SHARED / "spreadsheetbench-verified-400.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder / "spreadsheetbench-verified-400"


def recorded(candidate: str) -> set[str]:
    with (SHARED / "official_verdicts_verified_400.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["candidate"] == candidate]
    assert len(rows) == 400
    return {row["task_id"] for row in rows if row["spreadsheetbench"] == "1"}


@pytest.mark.slow
@pytest.mark.shared_data
def test_the_oracle_passes_exactly_the_tasks_whose_golden_file_passes(verified: Path, tmp_path: Path) -> None:
    found = run(str(verified), oracle(str(verified)), tmp_path)

    assert {name for name, verdict in found.items() if verdict == "C"} == recorded("golden")
    assert len(found) == 400


@pytest.mark.slow
@pytest.mark.shared_data
def test_the_unchanged_input_passes_exactly_the_recorded_tasks(verified: Path, tmp_path: Path) -> None:
    found = run(str(verified), unchanged(), tmp_path)

    assert {name for name, verdict in found.items() if verdict == "C"} == recorded("init")


@pytest.mark.shared_data
def test_the_verified_splits_are_the_papers(verified: Path) -> None:
    ids = [str(record["id"]) for record in json.loads((verified / "dataset.json").read_text())]

    assert [sample.id for sample in load_dataset(verified, "evolve")] == ids[:200]
    assert [sample.id for sample in load_dataset(verified, "test")] == ids[200:]


def test_missing_data_says_how_to_supply_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TRACE2SKILL_DATA", str(tmp_path))

    with pytest.raises(DataError, match=r"put the dataset's folder .*TRACE2SKILL_DATA.*dataset=FOLDER"):
        spreadsheet(dataset="verified", sandbox="local")


def test_a_folder_with_two_inputs_is_refused(tmp_path: Path) -> None:
    for name in ("1_a_init.xlsx", "initial.xlsx"):
        (tmp_path / name).touch()

    with pytest.raises(DataError, match="should hold one"):
        find_workbook(tmp_path, "init")


def test_an_unknown_split_is_refused() -> None:
    with pytest.raises(DataError, match="'dev' is not in"):
        spreadsheet(dataset="sample", split="dev", sandbox="local")  # type: ignore[arg-type]


def test_the_prompt_shows_every_sheet() -> None:
    sample = load_dataset(bundled("tasks/sample/spreadsheet"), "all")[0]
    workbook = Path(next(iter((sample.files or {}).values())))

    assert preview(workbook) in str(sample.input)
    assert str(sample.metadata["answer_position"] if sample.metadata else "") in str(sample.input)


# The full set


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED} is not there")
    folder = tmp_path_factory.mktemp("full")
    with tarfile.open(SHARED / "spreadsheetbench-full-sample.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder / "spreadsheetbench-full-sample"


def metrics_of(log: EvalLog) -> dict[str, float]:
    assert log.results
    return {name: float(metric.value) for name, metric in log.results.scores[0].metrics.items()}


def run_full(folder: Path, solver: Solver, log_dir: Path, rules: Rules = "spreadsheetbench") -> EvalLog:
    task = spreadsheet(dataset=str(folder), sandbox="local", rules=rules)
    [log] = eval(task, solver=solver, model="mockllm/model", log_dir=str(log_dir), display="none")
    return log


@pytest.mark.shared_data
@pytest.mark.parametrize("rules", ["spreadsheetbench", "sheet-aware"])
def test_the_oracle_passes_every_case_of_the_full_sample(full: Path, tmp_path: Path, rules: Rules) -> None:
    log = run_full(full, oracle(str(full)), tmp_path, rules)

    found = verdicts(log)
    assert set(found.values()) == {"C"}
    assert len(found) == 60
    assert metrics_of(log) == {"soft": 1.0, "hard": 1.0, "accuracy": 1.0, "stderr": 0.0}
    assert log.eval.task_args["rules"] == rules


@pytest.mark.shared_data
def test_the_unchanged_input_of_the_full_sample(full: Path, tmp_path: Path) -> None:
    official = run_full(full, unchanged(), tmp_path)
    aware = run_full(full, unchanged(), tmp_path, "sheet-aware")

    passed = {name for name, verdict in verdicts(official).items() if verdict == "C"}
    # The official scorer looks at the wrong sheet of 13-1, which nobody was asked to change.
    assert passed == {"13-1/1", "13-1/2", "13-1/3", "23-28/1", "53-12/2"}
    assert metrics_of(official)["soft"] == pytest.approx((1 + 1 / 3 + 1 / 3) / 21)
    assert metrics_of(official)["hard"] == pytest.approx(1 / 21)
    assert {name for name, verdict in verdicts(aware).items() if verdict == "C"} == {"23-28/1", "53-12/2"}
    assert metrics_of(aware)["hard"] == 0
    [explanation] = [(s.scores or {})["cell_comparison"].explanation for s in aware.samples or [] if s.id == "13-1/1"]
    assert "differ on 'LISTS'" in str(explanation)
    assert str(explanation).endswith("Rules: sheet-aware.")


@pytest.mark.shared_data
def test_every_case_of_the_full_set_is_a_sample(full: Path) -> None:
    samples = {str(sample.id): sample for sample in load_dataset(full, "test")}

    assert [name for name in samples if name.startswith(("36478/", "46444/", "52964/"))] == [
        *("46444/1", "36478/1", "36478/2", "36478/3", "52964/1", "52964/2"),
    ]
    blank = samples["36478/2"]
    assert list(blank.files or {}) == ["2_36478_input.xlsx"]
    assert str((blank.files or {})["2_36478_input.xlsx"]).endswith("2_36478_input .xlsx")
    assert "### output_path\n2_36478_output.xlsx\n" in str(blank.input)
    assert blank.target == "spreadsheet/36478/2_36478_answer.xlsx"
    assert {key: (blank.metadata or {})[key] for key in ("task", "case", "cases")} == {
        "task": "36478",
        "case": 2,
        "cases": 3,
    }
    with pytest.raises(DataError, match="evaluation only"):
        load_dataset(full, "evolve")


@pytest.mark.shared_data
def test_a_task_with_a_failed_case_is_left_out_of_both_metrics(full: Path, tmp_path: Path) -> None:
    @solver
    def stumble() -> Solver:
        answer = oracle(str(full))

        async def solve(state: TaskState, generate: Generate) -> TaskState:
            if state.sample_id == "13-1/2":
                raise RuntimeError("the machine went away")
            return state if state.sample_id == "37-23/1" else await answer(state, generate)

        return solve

    task = spreadsheet(dataset=str(full), sandbox="local")
    ids = [f"{name}/{case}" for name in ("13-1", "17-35", "37-23") for case in (1, 2, 3)]
    [log] = eval(
        task,
        solver=stumble(),
        model="mockllm/model",
        sample_id=ids,
        epochs=2,
        fail_on_error=False,
        log_dir=str(tmp_path),
        display="none",
    )

    assert log.status == "success"
    assert metrics_of(log)["soft"] == pytest.approx((1 + 2 / 3) / 2)
    assert metrics_of(log)["hard"] == pytest.approx(1 / 2)


def test_soft_and_hard_without_a_complete_task_are_undefined() -> None:
    score = SampleScore(score=Score(value="C"), sample_metadata={"task": "1", "cases": 3})

    assert math.isnan(float(str(soft()([score]))))  # type: ignore[list-item]
    assert math.isnan(float(str(hard()([]))))


@pytest.mark.shared_data
def test_a_case_without_an_answer_is_named(full: Path, tmp_path: Path) -> None:
    record = next(each for each in json.loads((full / "dataset.json").read_text()) if each["id"] == "13-1")
    shutil.copytree(full / "spreadsheet/13-1", tmp_path / "spreadsheet/13-1")
    (tmp_path / "dataset.json").write_text(json.dumps([record]))
    (tmp_path / "spreadsheet/13-1/2_13-1_answer.xlsx").unlink()

    samples = {str(sample.id): sample.metadata or {} for sample in load_dataset(tmp_path, "test")}
    assert set(samples) == {"13-1/1", "13-1/2", "13-1/3"}
    assert "test case 2, but no 2_13-1_answer.xlsx" in samples["13-1/2"]["damaged"]
    assert "damaged" not in samples["13-1/1"]


def test_the_usual_metrics_stay_with_the_other_sets(tmp_path: Path) -> None:
    task = spreadsheet(dataset="sample", sandbox="local")
    [log] = eval(task, solver=unchanged(), model="mockllm/model", limit=1, log_dir=str(tmp_path), display="none")

    assert set(metrics_of(log)) == {"accuracy", "stderr"}
