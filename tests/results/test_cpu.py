"""The committed report of the study with real models on a CPU says what docs/study.md says of it."""

import csv
from pathlib import Path

from trace2skill.study import Study

STUDY = Path(__file__).parents[2] / "results" / "cpu"


def test_no_arm_solved_a_problem() -> None:
    runs = list(csv.DictReader((STUDY / "samples.csv").read_text().splitlines()))
    arms = {row["arm"]: (row["user"], row["condition"]) for row in runs}

    assert len(runs) == 7 * 8
    assert sorted(user for user, _ in arms.values()) == ["0.5B"] * 3 + ["1.5B"] * 4
    assert {(row["score"], row["missing"], row["simulated"]) for row in runs} == {("0", "", "False")}


def test_the_report_is_of_the_declaration_beside_it(tmp_path: Path) -> None:
    study = Study.load(STUDY, runs=tmp_path)
    declared = {row.cell.name for row in study.expansion.rows.values() if row.split == "test"}
    logs = {row["log"].split("/")[0] for row in csv.DictReader((STUDY / "samples.csv").read_text().splitlines())}

    def without_digest(name: str) -> str:
        return name.rpartition("-")[0]

    assert set(map(without_digest, logs)) == set(map(without_digest, declared))
