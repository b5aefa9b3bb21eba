"""The notebook runs as it stands, on a small study."""

import os
from pathlib import Path

import pytest

STUDY = """\
schema_version: 1
name: few
title: Does the notebook run? (SIMULATED)
models: {small: {model: sim/small}}
benchmarks:
  spreadsheet-sample:
    task: evals/spreadsheet
    args: {dataset: sample, sandbox: local}
    evolve: evolve
    samples: 3
    metrics: {accuracy: {scorer: cell_comparison}}
domains:
  spreadsheet: {evolve_on: spreadsheet-sample, test_on: [spreadsheet-sample], human_written: skills/xlsx-basic}
arms: [{domain: spreadsheet, conditions: [no-skill, human-written]}]
seeds: [42]
"""


@pytest.mark.slow
# The kernel is another process; its client leaves sockets and a loop to the garbage collector.
@pytest.mark.filterwarnings("default")
def test_the_notebook_goes_from_a_study_to_a_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    from click.testing import CliRunner

    from trace2skill.cli.main import main

    (tmp_path / "study.yaml").write_text(STUDY)
    played = CliRunner().invoke(main, ["study", "run", str(tmp_path), "--runs", str(tmp_path / "runs")])
    assert played.exit_code == 0, played.output
    monkeypatch.setenv("TRACE2SKILL_STUDY", str(tmp_path))
    monkeypatch.setenv("TRACE2SKILL_RUNS", str(tmp_path / "runs"))
    root = Path(__file__).parents[3]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(root), os.environ.get("PYTHONPATH")))))
    notebook = nbformat.read(root / "docs/notebooks/study.ipynb", as_version=4)
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(root)}}).execute()

    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert any("SIMULATED" in output.get("text", "") for output in outputs)
    assert any(kind == "image/svg+xml" for output in outputs for kind in output.get("data", {}))
