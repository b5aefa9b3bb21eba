import csv
import json
import math
import tarfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import datetime, time, timedelta
from io import BytesIO
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import pytest
import xlsxwriter  # type: ignore[import-untyped]
from openpyxl import Workbook
from openpyxl.chartsheet import Chartsheet

from evals.graders.answer_position import Block, read_range
from evals.graders.spreadsheetbench import (
    MAX_LISTED,
    CellMismatch,
    Rules,
    cells_in_range,
    compare_open_workbooks,
    compare_workbooks,
    normalise,
    open_values,
    open_workbook,
    parse_answer_position,
)
from tests.evals.graders.workbook.files import is_fast
from trace2skill.errors import DataError

SHARED_DATA = Path(__file__).parents[3] / "../shared/data"
BOTH: tuple[Rules, ...] = ("spreadsheetbench", "trace2skill")

Cells = dict[str, object]

FULL_WIDTH_COLON = "\uff1a"
MARCH_1ST_2024 = datetime(2024, 3, 1)  # noqa: DTZ001 (Excel's dates have no time zone)


def workbook(**sheets: Cells) -> bytes:
    """The content of an .xlsx file with these sheets, each a mapping from cell to value."""
    book = Workbook()
    del book["Sheet"]
    for title, cells in sheets.items():
        sheet = book.create_sheet(title)
        for cell, value in cells.items():
            sheet[cell] = value
    content = BytesIO()
    book.save(content)
    return content.getvalue()


def written_by_xlsxwriter(fill: Callable[[xlsxwriter.Workbook], None]) -> bytes:
    content = BytesIO()
    with xlsxwriter.Workbook(content) as book:
        fill(book)
    return content.getvalue()


# Positions


@pytest.mark.parametrize(
    ("position", "expected"),
    [
        ("A3:D32", [(None, "A3:D32")]),
        ("B6", [(None, "B6")]),
        ("D1,D5,D9", [(None, "D1"), (None, "D5"), (None, "D9")]),
        ("'Sheet1'!A1:A4", [("Sheet1", "A1:A4")]),
        ("Sheet1!B2:B6", [("Sheet1", "B2:B6")]),
        ("Sheet1'!A1:F14", [("Sheet1", "A1:F14")]),
        ("'Sheet1'!'A2:A85", [("Sheet1", "A2:A85")]),
        ("'Sheet1!'A1:A50,'Sheet2!'A1:E20", [("Sheet1", "A1:A50"), ("Sheet2", "A1:E20")]),
        ("'99250!A1:F9','99251!A1:F9'", [("99250", "A1:F9"), ("99251", "A1:F9")]),
        ("''Before''!C2,C3", [("Before", "C2"), (None, "C3")]),
        ("'ورقة1'!H2:L4", [("ورقة1", "H2:L4")]),
        ("'b2b, sez, de'!A5:V10", [(None, "b2b"), (None, " sez"), (" de", "A5:V10")]),
        ("\xa0'Sheet1'!C2:C3", [("\xa0'Sheet1", "C2:C3")]),
        ("G4:G6, G11:G13", [(None, "G4:G6"), (None, " G11:G13")]),
    ],
)
def test_parse_answer_position(position: str, expected: list[tuple[str | None, str]]) -> None:
    assert parse_answer_position(position) == expected


def test_the_papers_copy_drops_white_space_around_parts() -> None:
    assert parse_answer_position("\xa0'Sheet1'!C2:C3", "trace2skill") == [("Sheet1", "C2:C3")]
    assert parse_answer_position("G4:G6, G11:G13", "trace2skill") == [(None, "G4:G6"), (None, "G11:G13")]
    assert parse_answer_position("'A' !B2", "trace2skill") == [("A' ", "B2")]


def test_two_exclamation_marks_in_a_part_are_malformed() -> None:
    with pytest.raises(DataError, match="at most one '!'"):
        parse_answer_position("Wow!!A1")


@pytest.mark.parametrize("rules", BOTH)
@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ("B6", Block(2, 6, 2, 6)),
        ("b6", Block(2, 6, 2, 6)),
        ("$B$6", Block(2, 6, 2, 6)),
        ("A3:D32", Block(1, 3, 4, 32)),
        ("NS1:OQ196", Block(383, 1, 407, 196)),
        ("B2:b10", Block(2, 2, 34, 10)),
    ],
)
def test_read_range(cells: str, rules: Rules, expected: Block) -> None:
    assert read_range(cells, rules) == expected


@pytest.mark.parametrize("rules", BOTH)
@pytest.mark.parametrize(
    "cells",
    [
        *("", "b2b", " D5", "A", "7", "A0", "AAAA1", "A1048577", f"G12{FULL_WIDTH_COLON}J15"),
        *(" G11:G13", "$A$1:$B$2", "A0:B2", "A1:B²", "A1:B2:C3", "A1:zzz3", "A1:A1048577"),
    ],
)
def test_ranges_that_break_the_official_scorer(cells: str, rules: Rules) -> None:
    with pytest.raises(DataError, match="answer position"):
        read_range(cells, rules)


@pytest.mark.parametrize("cells", ["A:G", "A2:G", "A:G9", "1:x"])
def test_the_benchmark_wants_a_row_in_each_corner(cells: str) -> None:
    with pytest.raises(DataError, match="row at both ends"):
        read_range(cells)


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ("A:G", Block(1, 1, 7, 20)),
        ("B2:G", Block(2, 2, 7, 20)),
        ("B:G9", Block(2, 1, 7, 9)),
        ("B2:9", Block(2, 2, 5, 9)),
        ("2:C9", Block(1, 2, 3, 9)),
        ("2:9", Block(1, 2, 5, 9)),
    ],
)
def test_the_papers_copy_completes_open_ranges(cells: str, expected: Block) -> None:
    assert read_range(cells, "trace2skill", max_row=20, max_column=5) == expected


def test_cells_in_range_go_column_by_column() -> None:
    assert list(cells_in_range("Z1:AA2")) == ["Z1", "Z2", "AA1", "AA2"]
    assert list(cells_in_range("b6")) == ["B6"]


@pytest.mark.parametrize("cells", ["BD2:308", "C2:A9", "A9:C2"])
def test_a_range_can_name_no_cell(cells: str) -> None:
    assert list(cells_in_range(cells)) == []
    assert read_range(cells).size == 0


# Values


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (3, 3.0),
        (2.344, 2.34),
        (True, 1.0),
        ("2.344", 2.34),
        (" 1_000 ", 1000.0),
        ("text", "text"),
        ("", None),
        (None, None),
        (time(10, 30, 15), "10:30"),
        (MARCH_1ST_2024 + timedelta(hours=11), 45352.0),
        (MARCH_1ST_2024 + timedelta(hours=18), 45353.0),
        (timedelta(hours=30), timedelta(hours=30)),
    ],
)
def test_normalise(value: object, expected: object) -> None:
    assert normalise(value) == expected
    assert type(normalise(value)) is type(expected)


def test_a_number_too_large_for_a_float_equals_nothing() -> None:
    result = normalise(10**400)
    assert isinstance(result, float)
    assert math.isnan(result)


@pytest.mark.parametrize(
    ("expected", "got", "passed"),
    [
        (1.234, 1.231, True),
        (1.23, 1.24, False),
        (1, "1.0", True),
        (1, True, True),
        ("TRUE", True, False),
        ("total", "Total", False),
        ("total", "total ", False),
        (None, "", True),
        (None, 0, False),
        ("nan", "nan", False),
        ("inf", "Infinity", True),
        ("#N/A", "#N/A", True),
        (MARCH_1ST_2024, 45352, True),
        (MARCH_1ST_2024, "2024-03-01", False),
        (time(10, 30, 15), time(10, 30), True),
        (time(10, 30), "10:30", True),
        (timedelta(hours=30), timedelta(hours=30), True),
        (timedelta(hours=30), 1.25, False),
    ],
)
def test_value_rules_on_saved_cells(expected: object, got: object, passed: bool) -> None:
    result = compare_workbooks(workbook(S={"B2": expected}), workbook(S={"B2": got}), "B2")
    assert result.passed is passed
    assert result.checked == 1
    assert result.mismatched == (not passed)


def test_a_formula_counts_by_its_saved_value() -> None:
    reference = workbook(Sheet1={"A1": 5})

    def formula(book: xlsxwriter.Workbook) -> None:
        book.add_worksheet().write_formula("A1", "=2+3", value=5)

    assert compare_workbooks(reference, written_by_xlsxwriter(formula), "A1").passed
    result = compare_workbooks(reference, workbook(Sheet1={"A1": "=2+3"}), "A1")
    assert result.mismatches == (CellMismatch(sheet="Sheet1", cell="A1", expected=5, got=None),)
    assert str(result.mismatches[0]) == "Sheet1!A1: expected 5, got empty"


# Workbooks


def test_equal_where_it_counts() -> None:
    reference = workbook(First={"A1": 1, "B1": "x"}, Second={"C3": 2})
    candidate = workbook(Second={"C3": 2}, First={"A1": 1, "B1": "other"})
    result = compare_workbooks(reference, candidate, "A1,'Second'!C3:D4")
    assert (result.passed, result.reason, result.checked) == (True, "", 5)


def test_no_sheet_means_the_references_first_sheet() -> None:
    reference = workbook(First={"A1": 1}, Second={"A1": 2, "A2": 3})
    candidate = workbook(Second={"A1": 1, "A2": 3}, First={"A1": 1})
    assert compare_workbooks(reference, candidate, "A1").passed
    assert compare_workbooks(reference, candidate, "'Second'!A2,A1").passed


@pytest.mark.parametrize(
    ("answer_sheet", "compared"),
    [
        ("Second", "Second"),
        ("SECOND", "Second"),
        ("Absent, 'Second',First", "Second"),
        ("a, b", "a, b"),
        ("Absent", "First"),
        (None, "First"),
    ],
)
def test_sheet_aware_rules_look_at_the_named_sheet(answer_sheet: str | None, compared: str) -> None:
    names = ("First", "Second", "a, b")
    ones, twos = ({name: dict[str, object](A1=value) for name in names} for value in (1, 2))
    reference, candidate = workbook(**ones), workbook(**twos)

    result = compare_workbooks(reference, candidate, "A1", "sheet-aware", answer_sheet)
    assert [mismatch.sheet for mismatch in result.mismatches] == [compared]
    for rules in BOTH:
        result = compare_workbooks(reference, candidate, "A1", rules, answer_sheet)
        assert [mismatch.sheet for mismatch in result.mismatches] == ["First"]
    result = compare_workbooks(reference, candidate, "'First'!A1,A1", "sheet-aware", "Second")
    assert [mismatch.sheet for mismatch in result.mismatches] == ["First", "Second"]
    assert not compare_workbooks(reference, reference, "A:B", "sheet-aware").passed


def test_mismatches_of_all_ranges_are_reported() -> None:
    reference = workbook(S={"A1": 1, "A2": 2, "B1": 3}, T={"A1": "x" * 300})
    candidate = workbook(S={"A1": 9, "B1": 3, "B2": 4}, T={"A1": "y"})
    result = compare_workbooks(reference, candidate, "A1:B2,T!A1")
    assert not result.passed
    assert result.reason == "3 of 4 cells differ on 'S'; 1 of 1 cells differ on 'T'"
    assert (result.checked, result.mismatched) == (5, 4)
    assert [(each.cell, each.expected, each.got) for each in result.mismatches[:3]] == [
        ("A1", 1, 9),
        ("A2", 2, None),
        ("B2", None, 4),
    ]
    assert result.mismatches[3].expected == "x" * 199 + "…"


def test_the_list_of_mismatches_is_capped_but_not_their_count() -> None:
    reference = workbook(S={f"A{row}": row for row in range(1, 151)})
    result = compare_workbooks(reference, workbook(S={}), "A1:A150,A1:A150")
    assert result.mismatched == 300
    assert len(result.mismatches) == MAX_LISTED
    assert result.mismatches[-1].cell == "A100"


def test_an_empty_range_passes_under_the_benchmarks_rules_only() -> None:
    reference, candidate = workbook(S={"BE3": 1}), workbook(S={"BE3": 2})
    result = compare_workbooks(reference, candidate, "'S'!BD2:308")
    assert (result.passed, result.checked) == (True, 0)
    result = compare_workbooks(reference, candidate, "'S'!BD2:308", "trace2skill")
    assert (result.mismatched, result.checked) == (1, 2 * 307)


def test_open_ranges_end_where_the_reference_ends() -> None:
    reference = workbook(S={"A1": 1, "B3": 2})
    below = workbook(S={"A1": 1, "B3": 2, "A4": "more"})
    assert compare_workbooks(reference, below, "A:B", "trace2skill").passed
    assert not compare_workbooks(reference, below, "A:B").passed
    assert not compare_workbooks(reference, workbook(S={"A1": 1}), "A:B", "trace2skill").passed


def test_a_range_far_beyond_the_data_is_cheap() -> None:
    same = workbook(S={"A1": 1})
    result = compare_workbooks(same, same, "A1:XFD1048576")
    assert (result.passed, result.checked) == (True, 16_384 * 1_048_576)


@pytest.mark.parametrize("opened", [open_values, open_workbook])
def test_a_second_verdict_on_the_same_pair_is_the_same(opened: Callable[[bytes], Workbook]) -> None:
    reference = opened(workbook(S={"A1": 1, "B2": 2}))
    candidate = opened(workbook(S={"A1": 1, "B2": 2, "A9": 3}))
    verdicts = [
        compare_open_workbooks(reference, candidate, position, "trace2skill").passed
        for position in ("A:B", "A1:B9", "A:B")
    ]
    assert verdicts == [True, False, True]


def test_values_under_merged_cells_do_not_count() -> None:
    def merged(book: xlsxwriter.Workbook) -> None:
        sheet = book.add_worksheet("S")
        sheet.merge_range("A1:B1", 1)
        sheet.write("B1", "hidden")

    assert compare_workbooks(workbook(S={"A1": 1}), written_by_xlsxwriter(merged), "A1:B1").passed


@pytest.mark.parametrize("rules", BOTH)
def test_malformed_positions_do_not_pass(rules: Rules) -> None:
    same = workbook(First={"A5": 1})
    result = compare_workbooks(same, same, "'b2b, sez, de'!A5:V10", rules)
    assert not result.passed
    assert "'b2b'" in result.reason
    assert "the reference has no worksheet" in result.reason
    assert not compare_workbooks(same, same, "b2b, sez, de!!A5", rules).passed


def test_missing_sheets_do_not_pass() -> None:
    one, two = workbook(S={"A1": 1}), workbook(S={"A1": 1}, T={"A1": 1})
    assert compare_workbooks(two, one, "T!A1").reason == "the candidate has no worksheet 'T'"
    assert compare_workbooks(one, two, "T!A1").reason == "the reference has no worksheet 'T'"
    assert compare_workbooks(two, one, "s!A1").reason == "the reference has no worksheet 's'"


def test_a_chart_sheet_holds_no_cells() -> None:
    def chart(book: xlsxwriter.Workbook) -> None:
        book.add_worksheet("Data").write("A1", 1)
        pie = book.add_chart({"type": "pie"})
        pie.add_series({"values": "=Data!$A$1:$A$1"})
        book.add_chartsheet("S").set_chart(pie)

    candidate = written_by_xlsxwriter(chart)
    assert isinstance(open_workbook(candidate)["S"], Chartsheet)
    result = compare_workbooks(workbook(S={"A1": 1}), candidate, "A1")
    assert result.reason == "the candidate has no worksheet 'S'"


def test_features_that_openpyxl_would_drop_raise_no_warning() -> None:
    def sparkline(book: xlsxwriter.Workbook) -> None:
        sheet = book.add_worksheet("S")
        sheet.write("A1", 1)
        sheet.add_sparkline("B1", {"range": "S!A1:A1"})

    assert compare_workbooks(workbook(S={"A1": 1}), written_by_xlsxwriter(sparkline), "A1").passed


def test_unreadable_candidates_do_not_pass(tmp_path: Path) -> None:
    reference = workbook(S={"A1": 1})
    damaged = tmp_path / "damaged.xlsx"
    damaged.write_bytes(reference[: len(reference) // 2])
    for candidate in (b"", b"no archive", damaged, tmp_path / "missing.xlsx", tmp_path):
        result = compare_workbooks(reference, candidate, "A1")
        assert not result.passed
        assert result.reason.startswith("candidate cannot be opened: workbook ")
    assert "no such file" in compare_workbooks(reference, tmp_path / "missing.xlsx", "A1").reason


def test_an_unreadable_reference_is_an_error(tmp_path: Path) -> None:
    candidate = workbook(S={"A1": 1})
    path = tmp_path / "1_7_golden.xlsx"
    with pytest.raises(DataError, match=r"1_7_golden\.xlsx: there is no such file"):
        compare_workbooks(path, candidate, "A1")
    path.write_bytes(b"no archive")
    with pytest.raises(DataError, match=r"1_7_golden\.xlsx: not readable"):
        compare_workbooks(path, candidate, "A1")


# Parity


@pytest.fixture(scope="module")
def verified_tasks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    archive = SHARED_DATA / "spreadsheetbench/spreadsheetbench-verified-400.tar.xz"
    if not archive.exists():
        pytest.skip(f"needs the benchmark's data: {archive} is absent")
    folder = tmp_path_factory.mktemp("verified")
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    return folder / "spreadsheetbench-verified-400"


class Judged(NamedTuple):
    """What came of one task.

    Attributes:
        verdicts: Each candidate's under both rules.
        slow: How many of its workbooks only openpyxl could open.
    """

    verdicts: list[tuple[bool, ...]]
    slow: int


def judge_task(reference: Path, candidates: list[Path], answer_position: str) -> Judged:
    """Judges a task and checks all cells of its reference; top-level, so that a worker process finds it."""
    is_fast(reference.read_bytes())
    expected, *books = map(open_values, [reference, *candidates])
    verdicts = [
        tuple(compare_open_workbooks(expected, book, answer_position, rules).passed for rules in BOTH) for book in books
    ]
    return Judged(verdicts, sum(isinstance(book, Workbook) for book in [expected, *books]))


def candidate_of(row: dict[str, str], folder: Path) -> Path:
    outputs = SHARED_DATA / "qwen3.5-122b-trajectories"
    match row["candidate"]:
        case "golden" | "init" as kind:
            (path,) = folder.glob(f"*{kind}*.xlsx")
            return path
        case "outputs":
            return outputs / "outputs" / f"1_{row['task_id']}_output.xlsx"
        case "outputs_recalc":
            return outputs / "outputs_recalculated" / f"1_{row['task_id']}_output.xlsx"
        case other:
            raise AssertionError(f"unknown candidate {other!r}")


@pytest.mark.slow
@pytest.mark.shared_data
def test_every_recorded_verdict_of_the_official_scorers(verified_tasks: Path) -> None:
    tasks = json.loads((verified_tasks / "dataset.json").read_text(encoding="utf-8"))
    with (SHARED_DATA / "spreadsheetbench/official_verdicts_verified_400.csv").open(encoding="utf-8") as file:
        recorded = list(csv.DictReader(file))
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        running = []
        for task in tasks:
            folder = verified_tasks / "spreadsheet" / str(task["id"])
            rows = [row for row in recorded if row["task_id"] == str(task["id"])]
            (reference,) = folder.glob("*golden.xlsx")
            candidates = [candidate_of(row, folder) for row in rows]
            running.append((rows, pool.submit(judge_task, reference, candidates, task["answer_position"])))
        judged = [pair for rows, job in running for pair in zip(rows, job.result().verdicts, strict=True)]
    assert len(judged) == len(recorded) == 1068
    assert sum(job.result().slow for _, job in running) <= 10
    assert [(row, verdicts) for row, verdicts in judged if verdicts != tuple(row[rules] == "1" for rules in BOTH)] == []
