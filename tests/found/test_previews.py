"""A preview takes any workbook that openpyxl opens, and no workbook takes the process with it."""

import io
import re
import tarfile
import zipfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from inspect_ai import eval
from openpyxl import Workbook
from openpyxl.chart import BarChart
from python_calamine import CalamineWorkbook

from evals.preview import preview
from evals.spreadsheet import load_dataset, oracle, spreadsheet
from trace2skill.data.places import bundled
from trace2skill.errors import DataError

SHARED = Path(__file__).parents[2] / "../shared/data/spreadsheetbench"


def far_corner() -> bytes:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet["A1"], sheet["B1"], sheet["XFD1048576"] = 1, 2, "x"
    return saved(book)


def late_start() -> bytes:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet["C900000"], sheet["D900001"], sheet["XFD1048576"] = "first", datetime(2024, 5, 1), True  # noqa: DTZ001
    book.create_sheet("Empty")
    book.create_chartsheet("Chart").add_chart(BarChart())
    return saved(book)


def huge_duration() -> bytes:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet["A1"], sheet["A2"] = "d", 10**12
    sheet["A2"].number_format = "[h]:mm:ss"
    return saved(book)


def no_relation() -> bytes:
    book = Workbook()
    book["Sheet"]["A1"] = "kept"
    book.create_sheet("Lost")
    return changed(saved(book), "xl/workbook.xml", rb'(name="Lost"[^>]*?) r:id="[^"]*"', rb"\1")


def saved(book: Workbook) -> bytes:
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def changed(workbook: bytes, part: str, pattern: bytes, replacement: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(workbook)) as old, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            content = old.read(name)
            new.writestr(name, re.sub(pattern, replacement, content) if name == part else content)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("make", "shown"),
    [
        (far_corner, "Sheet Name: Sheet\n1.0\t2.0"),
        (late_start, "Sheet Name: Sheet\nfirst\t\n\t2024-05-01\nSheet Name: Empty\n\nSheet Name: Chart\n"),
        (huge_duration, "Sheet Name: Sheet\nd\n#VALUE!"),
        (no_relation, "Sheet Name: Sheet\nkept"),
    ],
)
def test_an_unusual_workbook_has_a_preview(make: Callable[[], bytes], shown: str, tmp_path: Path) -> None:
    (tmp_path / "book.xlsx").write_bytes(make())

    assert preview(tmp_path / "book.xlsx") == shown


def test_a_damaged_workbook_is_named(tmp_path: Path) -> None:
    (tmp_path / "book.xlsx").write_bytes(b"half a download")

    with pytest.raises(DataError, match=r"book\.xlsx cannot be read as a workbook"):
        preview(tmp_path / "book.xlsx")


def test_a_cell_in_the_last_corner_stops_no_task(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    records = []
    for name in ("a", "b"):
        place = folder / name
        place.mkdir(parents=True)
        for kind in ("init", "golden"):
            (place / f"1_{name}_{kind}.xlsx").write_bytes(far_corner())
        records.append(
            f'{{"id": "{name}", "instruction": "Leave it.", "spreadsheet_path": "{name}", '
            '"instruction_type": "Cell-Level Manipulation", "answer_position": "B1"}'
        )
    (folder / "dataset.json").write_text(f"[{', '.join(records)}]")
    task = spreadsheet(dataset=str(folder), split="all", sandbox="local")
    [log] = eval(task, solver=oracle(str(folder)), model="mockllm/model", log_dir=str(tmp_path), display="none")

    assert log.status == "success", log.error
    assert log.results
    assert log.results.scores[0].metrics["accuracy"].value == 1


def as_before(workbook: Path) -> str:
    book = CalamineWorkbook.from_path(workbook)
    sheets = {name: book.get_sheet_by_name(name).to_python(nrows=5) for name in book.sheet_names}
    return "\n".join(
        f"Sheet Name: {name}\n" + "\n".join("\t".join(map(str, row)) for row in rows) for name, rows in sheets.items()
    )


def test_ordinary_previews_are_what_they_were() -> None:
    for sample in load_dataset(bundled("tasks/sample/spreadsheet"), "all"):
        [workbook] = (sample.files or {}).values()
        assert as_before(Path(workbook)) in str(sample.input)


@pytest.mark.shared_data
def test_previews_of_the_verified_tasks_are_what_they_were(tmp_path: Path) -> None:
    archive = SHARED / "spreadsheetbench-verified-400.tar.xz"
    if not archive.is_file():
        pytest.skip(f"{archive} is not there")
    with tarfile.open(archive) as opened:
        opened.extractall(tmp_path, filter="data")
    workbooks = sorted(tmp_path.rglob("*init*.xlsx"))

    assert len(workbooks) > 390
    assert [book.name for book in workbooks if preview(book) != as_before(book)] == []
