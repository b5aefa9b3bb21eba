from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.trace2skill.study.test_running import Instant, quiet
from tests.trace2skill.study.tiny import CONTENT, load, write
from trace2skill.cli import study as command
from trace2skill.cli.main import main
from trace2skill.errors import StudyError
from trace2skill.report import writing
from trace2skill.study import Study


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["study", *map(str, arguments)])


def test_plan_names_cells_and_assumptions(tmp_path: Path) -> None:
    result = call("plan", write(tmp_path), "--runs", tmp_path / "runs")

    assert result.exit_code == 0, result.output
    assert result.output.startswith("SIMULATED")
    assert "5 cells for 4 evaluations" in " ".join(result.output.split())
    assert "assumed" in result.output
    assert not (tmp_path / "runs").exists()


def test_check_says_what_is_not_there(tmp_path: Path) -> None:
    good = call("check", write(tmp_path), "--runs", tmp_path / "runs")
    broken = {**CONTENT["benchmarks"]["problems"], "args": {"dataset": "/nowhere"}}
    bad = call("check", write(tmp_path / "bad", benchmarks={"problems": broken}), "--runs", tmp_path / "runs")

    assert good.exit_code == 0, good.output
    assert "20 samples in evolve, 20 samples in test" in good.output
    assert "`study run` would run 5" in good.output
    assert bad.exit_code == 1
    assert "FAILED  benchmark problems" in bad.output


def test_check_online_asks_endpoints(tmp_path: Path) -> None:
    models = {"small": {"model": "vllm/sim-small", "base_url": "http://127.0.0.1:9/v1"}}

    result = call("check", write(tmp_path, models=models), "--runs", tmp_path / "runs", "--online")

    assert result.exit_code == 1
    assert "FAILED  model small: The server at http://127.0.0.1:9/v1 does not answer" in result.output


def test_a_run_with_failed_cells_has_an_exit_code_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = Instant(lambda job: "it broke" if job.kind == "rollout" else "")
    monkeypatch.setattr(command, "open_executor", lambda *_: broken)

    first = call("run", write(tmp_path), "--runs", tmp_path / "runs")
    monkeypatch.setattr(command, "open_executor", lambda *_: Instant())
    second = call("run", tmp_path, "--runs", tmp_path / "runs")

    assert first.exit_code == command.CELLS_FAILED
    assert "failed   rollout-problems-evolve-small-deep-41" in first.output
    assert "blocked  2 cells: It needs rollout-problems-evolve-small-deep-41" in first.output
    assert second.exit_code == 0
    assert "Cells: 5 finished" in second.output
    assert "cells are finished already" in second.output


def test_status_shows_changes_and_looks(tmp_path: Path) -> None:
    study = load(tmp_path)
    study.run(Instant(), quiet)
    other = [{**CONTENT["primary"][0], "against": "human-written"}]
    refused = call("run", write(tmp_path, primary=other), "--runs", study.runs)
    Study.load(tmp_path, runs=study.runs).check_frozen("a wrong control")

    result = call("status", tmp_path, "--runs", study.runs)

    assert refused.exit_code == 1
    assert "--refreeze" in refused.output
    assert "Cells: 5 finished" in result.output
    assert "a wrong control" in result.output
    assert "looked at 0 times since" in " ".join(result.output.split())


def test_a_report_that_fails_is_no_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = load(tmp_path)
    study.run(Instant(lambda job: "it broke" if job.kind == "evaluate" else ""), quiet)
    assert call("report", tmp_path, "--runs", study.runs).exit_code == 0
    assert len(study.looks()) == 2

    def fail(_: object) -> str:
        raise StudyError("no page")

    monkeypatch.setattr(writing, "render_page", fail)
    assert call("report", tmp_path, "--runs", study.runs).exit_code == 1
    assert len(study.looks()) == 2
