"""What results/qwen2.5-coder says is what its outcomes say."""

import runpy
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "results" / "qwen2.5-coder"


def test_the_readme_has_the_table_of_the_outcomes() -> None:
    table = runpy.run_path(str(FOLDER / "table.py"))["table"](FOLDER / "outcomes.csv")
    assert table.rstrip() in (FOLDER / "README.md").read_text()
