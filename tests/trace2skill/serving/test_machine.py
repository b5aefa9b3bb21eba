"""What is looked at without an endpoint."""

from pathlib import Path

import pytest

from trace2skill.serving.finding import Finding
from trace2skill.serving.machine import look_around


def looked(folder: Path) -> dict[str, Finding]:
    return {finding.name: finding for finding in look_around(folder)}


def test_it_looks_at_all_that_a_run_needs(tmp_path: Path) -> None:
    found = looked(tmp_path / "not" / "yet")

    assert {"versions", "sandbox", "data", "disk", "LibreOffice", "GPUs", "vLLM"} <= found.keys()
    assert found["versions"].said.startswith("Python 3.")
    assert found["disk"].said.endswith(f"free in {tmp_path}")


def test_what_is_missing_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("TRACE2SKILL_DATA", str(tmp_path / "data"))
    monkeypatch.delenv("TRACE2SKILL_VLLM", raising=False)
    found = looked(tmp_path)

    assert "trace2skill data list" in found["data"].fix
    assert found["LibreOffice"].fix.startswith("apt-get install")
    assert found["vLLM"].state == "skipped"
    assert not any(finding.fatal for name, finding in found.items() if name != "sandbox")


def test_damaged_data_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACE2SKILL_DATA", str(tmp_path))
    (tmp_path / "spreadsheetbench-full-912").mkdir()
    found = looked(tmp_path)["data of spreadsheetbench-full"]

    assert found.state == "failed"
    assert found.fix == "trace2skill data fetch spreadsheetbench-full"
