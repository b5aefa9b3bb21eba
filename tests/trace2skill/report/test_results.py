import csv
import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from tests.trace2skill.report.study import FakeStudy, Primary, evolution_run
from trace2skill.comparison import compare, holm
from trace2skill.report.every_eval_ever import Document
from trace2skill.report.paper import Column, Row, paper_tables
from trace2skill.report.results import Results, baseline_of, results
from trace2skill.report.source import ArmKey
from trace2skill.report.wording import headline, p_value, points, said, tone_of
from trace2skill.report.writing import write_report
from trace2skill.skill.seen import Exposure, Seen

VERIFIED = "spreadsheetbench-verified"


def test_seeds_of_an_arm_are_tested_together(found: Results) -> None:
    [delta] = [each for each in found.primary if each.title == "deepening helps"]
    arm, control = found.arms[delta.treatment], found.arms[delta.control]
    alone = compare(control.logs, arm.logs, several_skills=True)

    assert len(arm.logs) == 2
    assert delta.comparison.result.difference == alone.result.difference
    assert delta.comparison.pairs == alone.pairs


def test_p_values_are_corrected_within_their_family(found: Results) -> None:
    for family in ("primary", "secondary"):
        deltas = [each for each in found.deltas if each.family == family]
        raw = [each.comparison.result.p_value if each.comparison else math.nan for each in deltas]

        assert [each.adjusted for each in deltas] == pytest.approx(holm(raw).tolist(), nan_ok=True)


def test_a_difference_is_from_the_baseline_of_the_paper(found: Results) -> None:
    def of(benchmark: str, mode: str, condition: str, author: str = "35B") -> str:
        return baseline_of(ArmKey(benchmark, "122B", author, mode, condition), found.arms).condition

    assert of(VERIFIED, "deepening", "combined") == "human-written"
    assert of(VERIFIED, "creation", "combined") == "parametric"
    assert of("docvqa", "creation", "error") == "no-skill"
    assert of("docvqa", "", "human-written", "") == "no-skill"
    assert baseline_of(ArmKey(VERIFIED, "122B", "", "", "no-skill"), found.arms) is None


def test_published_differences_stand_beside(found: Results) -> None:
    published = {delta.title: delta.published for delta in found.primary}

    assert published["deepening helps"] == pytest.approx(0.215)
    assert published["from scratch"] == pytest.approx(0.5765)
    [direct] = [each for each in found.deltas if each.control.condition == "reasoning-bank"]
    assert direct.published == pytest.approx(0.6983 - 0.56, abs=0.1)


def test_what_has_no_result_says_why(found: Results) -> None:
    [failed] = [each for each in found.primary if each.title == "from scratch"]

    assert (failed.state, failed.comparison, tone_of(failed)) == ("failed", None, "missing")
    assert "OOM" in failed.why
    states = {each.state for each in found.deltas}
    assert states == {"measured", "failed", "blocked", "not evaluated"}


def test_broken_logs_of_an_arm_hide_no_other(study: FakeStudy, tmp_path: Path) -> None:
    rows = [row for row in study.rows if row.benchmark == "wikitq" and row.user == "122B"][:3]
    torn = tmp_path / "torn.eval"
    torn.write_bytes(b"PK\x03\x04 torn")
    broken = FakeStudy(folder=tmp_path, runs=tmp_path, rows=rows)
    broken.rows[1] = type(rows[1])(**{**vars(rows[1]), "logs": (torn,)})
    found = results(broken)

    assert {each.state for each in found.deltas} == {"failed", "measured"}


def test_missing_runs_are_told_under_both_readings(found: Results) -> None:
    [delta] = [each for each in found.primary if each.title == "deepening helps"]

    assert delta.comparison.treatment.runs_scored == delta.comparison.treatment.runs - 1
    assert delta.comparison.as_failures != delta.comparison.result


def test_intervals_agree_with_the_corrected_p_values(found: Results) -> None:
    measured = [delta for delta in found.deltas if delta.comparison]

    assert {delta.family for delta in measured} == {"primary", "secondary"}
    for delta in measured:
        assert (delta.interval[0] <= 0 <= delta.interval[1]) == (delta.adjusted > 0.05), delta.title
        if delta.adjusted > 0.05:
            low, high = delta.interval
            assert high - low > delta.comparison.result.high - delta.comparison.result.low


def test_tables_of_the_paper_have_its_cells(found: Results) -> None:
    tables = {table.number: table for table in paper_tables(found)}
    first = tables["1"]

    # The study has no mathematics.
    assert list(tables) == list("13456")
    assert (len(first.rows), len(first.columns)) == (3 + 2 * 2 * 3, 8)
    assert sum(cell.published is not None for cell in first.cells.values()) == 15 * 8
    assert first.averages[Row("122B", "deepening", "combined")][1] == pytest.approx(0.3157 + 0.0919)
    parallel = tables["4"].cells[Row("122B", "deepening", "error"), Column("", VERIFIED, "accuracy")]
    assert parallel.published == pytest.approx(0.6583)
    assert parallel.score.mean > 0


def test_other_scales_than_the_papers_get_their_own_rows(empty: FakeStudy) -> None:
    empty.add("wikitq", "no-skill", "35B")
    empty.rows = [type(row)(**{**vars(row), "user": "9B"}) for row in empty.rows]
    table, *others = paper_tables(results(empty))

    assert [other.number for other in others] == []
    assert {column.user for column in table.columns} == {"9B"}
    assert [cell.state for cell in table.cells.values() if cell.state] == ["measured"]


def test_csv_has_every_difference_and_every_run(found: Results, study: FakeStudy) -> None:
    with (study.folder / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    with (study.folder / "samples.csv").open(newline="") as file:
        runs = list(csv.DictReader(file))

    assert len(rows) == len(found.deltas)
    for row in rows:
        assert (row["state"] == "measured") == bool(row["difference"] and row["low"] and row["p_corrected"])
    logs = sum(len(arm.logs) * len(arm.metrics) for arm in found.arms.values())
    assert len(runs) == 12 * logs
    assert {row["score"] for row in runs if row["missing"]} == {""}
    assert all((study.runs / row["log"]).is_file() and row["log"].startswith("evaluations/") for row in runs)
    assert {row["evolution_seed"] for row in runs if "deepening" in row["condition"]} == {"41", "42"}


def test_the_export_keeps_scores_and_stamp(study: FakeStudy, found: Results) -> None:
    files = sorted((study.folder / "every-eval-ever").rglob("*.json"))
    documents = [Document.model_validate(json.loads(file.read_text())) for file in files]

    assert len(files) == 5
    assert sum(len(document.evaluation_results) for document in documents) == len(found.scores)
    for document in documents:
        assert "SIMULATED" in document.source_metadata.additional_details["simulated"]


def test_the_export_fits_the_schema_of_the_package(study: FakeStudy, found: Results) -> None:
    package = pytest.importorskip("every_eval_ever", reason="its package needs Python 3.12")
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((Path(package.__file__).parent / "schemas" / "eval.schema.json").read_text())
    for file in (study.folder / "every-eval-ever").rglob("*.json"):
        jsonschema.validate(json.loads(file.read_text()), schema)


def test_headlines() -> None:
    assert headline([]).text == "No comparison was declared."
    assert points(0.0) == points(-0.0) == "0.0"
    assert points(0.125) == "+12.5"
    assert points(0.0004) == "+0.04"
    assert points(2e-308) == ">0"
    assert (p_value(0.0496), p_value(0.0504)) == ("0.0496", "0.0504")


def test_a_verdict_from_some_of_the_seeds_says_so(found: Results) -> None:
    whole = [delta for delta in found.primary if delta.comparison and not delta.why]
    part = replace(whole[0], why="combined: 2 of 3 seeds")

    assert "Some seeds" not in headline(whole).more
    assert f"Some seeds of an arm have no result in 1: {part.title}." in headline([part, *whole[1:]]).more


def test_the_viewer_is_bundled_where_links_lead(study: FakeStudy, tmp_path: Path) -> None:
    rows = [row for row in study.rows if row.benchmark == "wikitq"][:2]
    few = FakeStudy(folder=tmp_path, runs=study.runs, rows=rows)
    few.primary = [Primary(name="x", benchmark="wikitq", user="122B", condition="human-written", against="no-skill")]
    write_report(few, bundle=True)
    page = (tmp_path / "report.html").read_text()

    logs = {path.name for path in (tmp_path / "inspect-view" / "logs").glob("*.eval")}
    assert len(logs) == 2
    for name in logs:
        assert f"inspect-view/index.html#/logs/{name}/samples/sample/wik-1/1/" in page
    assert "sample/%3Cscript%3E" in page


def test_what_a_skill_has_seen_is_refused_or_left_out(tmp_path: Path) -> None:
    made = tmp_path / "evolution"
    made.mkdir()
    exposure = Exposure(task="docvqa", dataset="docvqa", split="evolve", samples=("doc-1", "doc-2"), groups={})
    (made / "seen.json").write_text(Seen(exposures=(exposure,)).model_dump_json())
    study = FakeStudy(folder=tmp_path, runs=tmp_path)
    study.add("docvqa", "no-skill", "122B")
    study.add("docvqa", "combined", "122B", author="122B", mode="creation", seed=41, artefact=made)

    assert {(delta.state, delta.seen) for delta in results(study).deltas} == {("failed", 0)}

    study.rows = [replace(row, seen="keep") for row in study.rows]
    deltas = results(study).deltas
    assert {(delta.seen, delta.comparison.result.n, tone_of(delta)) for delta in deltas} == {(2, 40, "undecided")}
    assert "n 40, IN-SAMPLE: 2 seen" in said(deltas[0])
    study.rows = [replace(row, seen="leave-out") for row in study.rows]
    deltas = results(study).deltas
    assert {(delta.state, delta.seen, delta.comparison.result.n) for delta in deltas} == {("measured", 2, 38)}
    assert "n 38 without 2 seen" in said(deltas[0])
    write_report(study, tmp_path / "out")
    table = (tmp_path / "out" / "results.csv").read_text().splitlines()
    assert {(row["seen"], row["in_sample"]) for row in csv.DictReader(table)} == {("2", "False")}


def test_it_is_said_beside_a_difference_that_nothing_was_learned(tmp_path: Path) -> None:
    study = FakeStudy(folder=tmp_path, runs=tmp_path)
    study.add("docvqa", "no-skill", "122B")
    for seed, names in ((41, ()), (42, ("a.1",))):
        made = evolution_run(tmp_path / str(seed) / "run", names)
        study.add("docvqa", "error", "122B", author="122B", mode="creation", seed=seed, artefact=made)

    write_report(study, tmp_path / "out")
    for delta in results(study).deltas:
        assert (delta.made, delta.unchanged) == (2, 1)
        assert "n 40, nothing was learned in 1 of 2" in said(delta)
    for file in ("report.html", "tables.md"):
        assert "nothing was learned in 1 of 2" in (tmp_path / "out" / file).read_text()
