"""The recorded runs of a real model as a log, and what the engine makes of such a log."""

import base64
import gzip
import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest
from inspect_ai.log import read_eval_log, write_eval_log
from inspect_ai.model import ChatMessageAssistant, ChatMessageTool

from evals.agent import PRODUCED_FILES
from evals.spreadsheet import find_workbook
from tests.real_trajectories import (
    MODEL,
    SCORER,
    agreement,
    convert,
    executed,
    local_script,
    read_records,
    recorded_skill,
)
from trace2skill.consolidation.ledger import read_ledger
from trace2skill.data.places import bundled
from trace2skill.edits.importing import read_patches
from trace2skill.edits.provenance import blame
from trace2skill.errors import DataError
from trace2skill.evolution.configuration import EvolveConfig
from trace2skill.evolution.evolve import evolve
from trace2skill.logs.trajectory import read_trajectories
from trace2skill.simulation.analyst import suspect_foreign
from trace2skill.simulation.habits import taught_by
from trace2skill.skill.folder import check_skill, save_skill

pytestmark = pytest.mark.slow

SHARED = Path(__file__).parents[3] / "../shared/data"
RECORDS = SHARED / "qwen3.5-122b-trajectories"

SLOW = "51090"
"""Grading its large workbook takes as long as grading all others; the graders' tests have it."""

UNCALCULATED = ("10747", "16511")
"""Runs that passed once their formulas were calculated."""

UNFIXED = ("12307", "47842")
UNRECORDED = "39903"
PASSED = ("15380", "17-35")

PROMPT = """\
You have a skill.

<SKILL.md>
# Spreadsheets

- Look first.
</SKILL.md>

You are a spreadsheet expert.
### instruction
Do it."""


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            "Now:\n\n```python\na = 1\n```\n\nThen:\n\n```python\nb\n```",
            ("a = 1\n", "Now:\n\nThen:\n\n```python\nb\n```"),
        ),
        ("```\ntext\n```\n```python\na = 1\n```", ("a = 1\n", "```\ntext\n```")),
        ("```python\na = 1\n</CODE>", ("a = 1\n</CODE>", "")),
        ("<code>a = 1</code>", ("<code>a = 1</code>", "")),
    ],
)
def test_the_first_python_block_is_what_ran(message: str, expected: tuple[str, str]) -> None:
    assert executed(message) == expected


def test_scripts_get_the_paths_of_the_sandbox() -> None:
    script = "load('/mnt/data/spreadsheet/1-2/1_1-2_init.xlsx')\nos.makedirs('/mnt/data/outputs/some_run')\n\n"
    assert local_script(script) == "load('./1_1-2_init.xlsx')\nos.makedirs('.')\n"


def test_only_formulas_are_suspected_in_foreign_scripts() -> None:
    assert not suspect_foreign('print("=== Rows ===", a == "x")\nws["A1"] = 3', "out.xlsx")
    [found] = suspect_foreign('ws["A1"] = f"=SUM(B1:B{last})"', "1_7'_output.xlsx")
    assert found.slugs == ("recalculate",)
    compile(found.added, "added", "exec")


def record(task: int | str, label: str, solution: str = "print(1)") -> dict[str, Any]:
    turns = [f"I look.\n\n```python\n{solution}\n```", "1", "<code>", "SyntaxError"]
    return {"id": task, "label": label, "trajectory": {"conversation": [PROMPT, *turns], "solution": solution}}


def write_records(folder: Path, *records: dict[str, Any]) -> Path:
    with gzip.open(folder / "trajectories.jsonl.gz", "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in records)
    return folder


def test_a_record_becomes_a_sample_of_the_task(tmp_path: Path) -> None:
    sample = bundled("tasks/sample/spreadsheet")
    first, other = (row for row in json.loads((sample / "dataset.json").read_text())[:2])
    name = str(first["id"])
    write_records(tmp_path, record(first["id"], "T+"), record(first["id"], "T+"), record(other["id"], "T-"))
    (tmp_path / "outputs").mkdir()
    golden = find_workbook(sample / first["spreadsheet_path"], "golden")
    shutil.copy(golden, tmp_path / "outputs" / f"1_{name}_output.xlsx")

    log = convert(tmp_path, "sample")

    assert log.eval.config.epochs == 2
    assert agreement(log.samples or []) == {("T+", "C"): 2, ("T-", "-"): 1}
    again = log.samples[1] if log.samples else pytest.fail("no samples")
    assert (again.id, again.epoch) == (name, 2)
    assert [message.role for message in again.messages] == ["system", "user", *["assistant", "tool"] * 2]
    assert again.messages[0].text.endswith("</SKILL.md>\n\nYou are a spreadsheet expert.")
    assert again.input == again.messages[1].text == "### instruction\nDo it."
    turn = again.messages[2]
    assert isinstance(turn, ChatMessageAssistant)
    assert turn.tool_calls
    assert (turn.text, turn.tool_calls[0].function) == ("I look.", "bash")
    assert turn.tool_calls[0].arguments == {"command": "python3 - <<'PYTHON'\nprint(1)\nPYTHON"}
    assert [event.event for event in again.events] == [*["model", "tool"] * 2, "score"]
    kept = again.store[PRODUCED_FILES]
    assert list(kept) == [f"1_{name}_output.xlsx", "solve.py"]
    assert base64.b64decode(kept[f"1_{name}_output.xlsx"]) == golden.read_bytes()
    assert base64.b64decode(kept["solve.py"]) == b"print(1)\n"
    assert not check_skill(recorded_skill(tmp_path))


def test_unknown_tasks_and_missing_records_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no trajectories\.jsonl\.gz"):
        read_records(tmp_path)
    with pytest.raises(DataError, match="task nowhere is not in"):
        convert(write_records(tmp_path, record("nowhere", "T-")), "sample")


@pytest.fixture(scope="module")
def verified(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The benchmark's tasks."""
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED} is not there")
    folder = tmp_path_factory.mktemp("data")
    with tarfile.open(SHARED / "spreadsheetbench/spreadsheetbench-verified-400.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder / "spreadsheetbench-verified-400"


@pytest.mark.shared_data
def test_the_real_runs_read_back_with_files_and_scores(verified: Path, tmp_path: Path) -> None:
    records = [row for row in read_records(RECORDS) if str(row["id"]) != SLOW]
    write_eval_log(convert(RECORDS, str(verified), ids=[str(row["id"]) for row in records]), tmp_path / "real.eval")
    log = read_eval_log(tmp_path / "real.eval")
    samples = log.samples or []

    # The recorded grader saw calculated formulas; of those runs, 15 saved formulas that nobody had calculated.
    counts = {("T+", "C"): 49, ("T+", "I"): 15, ("T-", "I"): 69, ("T+", "-"): 4, ("T-", "-"): 2}
    assert agreement(samples) == counts
    assert (log.eval.model, log.eval.config.epochs, len(samples)) == (MODEL, 1, 139)
    assert read_trajectories([tmp_path / "real.eval"]).counts() == {
        "successes": 49,
        "failures": 84,
        "excluded: no score": 6,
    }
    recorded = {str(row["id"]): row["trajectory"]["conversation"] for row in records}
    for sample in samples:
        files = sample.store[PRODUCED_FILES]
        assert "/mnt/" not in base64.b64decode(files["solve.py"]).decode()
        assert (SCORER in (sample.scores or {})) == (len(files) == 2)
        answers = [m.text for m in sample.messages if isinstance(m, ChatMessageTool)]
        assert answers == recorded[str(sample.id)][2::2]


@pytest.mark.shared_data
def test_calculated_workbooks_pass_as_they_were_recorded_to(verified: Path) -> None:
    chosen = [*UNCALCULATED, *UNFIXED, *PASSED]
    before, after = (convert(RECORDS, str(verified), ids=chosen, recalculated=flag) for flag in (False, True))

    assert agreement(before.samples or []) == {("T+", "I"): 2, ("T-", "I"): 2, ("T+", "C"): 2}
    assert agreement(after.samples or []) == {("T+", "C"): 4, ("T-", "I"): 2}


@pytest.mark.shared_data
@pytest.mark.skipif(shutil.which("soffice") is None, reason="needs LibreOffice")
def test_real_runs_are_analysed_and_the_ledger_balances(verified: Path, tmp_path: Path) -> None:
    chosen = [*UNCALCULATED, *UNFIXED, *PASSED, UNRECORDED]
    log = convert(RECORDS, str(verified), ids=chosen)
    log.eval.task_args["sandbox"] = "local"
    write_eval_log(log, tmp_path / "real.eval")

    manifest = evolve(
        [tmp_path / "real.eval"],
        bundled("skills/xlsx-basic"),
        tmp_path / "run",
        EvolveConfig(model="sim/large", merger="lexical", min_support=1),
        display="none",
    )

    assert manifest.trajectories == {"successes": 2, "failures": 4, "excluded: no score": 1}
    assert manifest.record.agent_models == (MODEL,)
    rows = read_ledger(tmp_path / "run/ledger.jsonl")
    edits = [row for row in rows if row.kind == "edit" and row.proposed]
    assert manifest.edits["proposed"] == len(edits)
    assert sum(count for fate, count in manifest.edits.items() if fate != "proposed") == len(edits)
    # Every trajectory is accounted for: by an edit that it supports, or by the reason why there is none.
    assert {name for row in rows for name in row.support} == {*UNCALCULATED, *UNFIXED, *PASSED}
    # Either the analyst found no fix and said so, or it claimed one without a check and the clean run refuted it.
    unfixed = {row.reason for row in rows if set(row.support) & set(UNFIXED)}
    assert unfixed <= {"no fix was submitted", "the fix did not pass in a clean run from the original inputs"}
    taught = [line for line in blame(tmp_path / "run")[1] if line.edit and "recalculate" in taught_by(line.text)]
    supporters = {name for line in taught for name in line.support}
    assert supporters
    assert supporters <= set(UNCALCULATED)


@pytest.mark.shared_data
@pytest.mark.skipif(not RECORDS.is_dir(), reason=f"needs {RECORDS}")
def test_the_real_patches_are_consolidated_and_the_ledger_balances(tmp_path: Path) -> None:
    folder = save_skill(recorded_skill(RECORDS), tmp_path)
    patches = RECORDS / "patches.jsonl.gz"

    manifest = evolve([], folder, tmp_path / "run", EvolveConfig(merger="lexical"), patches=[patches], display="none")

    fates = {fate: count for fate, count in manifest.edits.items() if fate != "proposed"}
    assert sum(fates.values()) == manifest.edits["proposed"] >= 141
    rows = read_ledger(tmp_path / "run/ledger.jsonl")
    assert {name for row in rows for name in row.support} == {patch.trajectory for patch in read_patches(patches)}
    provenance, lines = blame(tmp_path / "run")
    best = sorted((line for line in lines if line.text.strip()), key=lambda line: -len(line.support))[:10]
    assert all(len(line.support) >= 5 for line in best)
    assert not provenance.simulated
