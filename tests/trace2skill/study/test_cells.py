"""Tiny studies with real processes."""

import os
import signal
import socket
import threading
import time
from pathlib import Path

import pytest

from tests.trace2skill.study.tiny import CONTENT, by_condition, load, scores
from trace2skill.study import Study
from trace2skill.study.cells import FAILURE, OUTPUT, Cell
from trace2skill.study.executors import LocalExecutor
from trace2skill.study.running import State


def run(study: Study, at_once: int = 2) -> dict[str, str]:
    """Run it; the name of each cell that ran now, with its state."""
    ran: dict[str, str] = {}
    began: set[str] = set()

    def watch(cell: Cell, state: State) -> None:
        if state.state == "running":
            began.add(cell.name)
        elif cell.name in began:
            ran[cell.name] = state.state

    study.run(LocalExecutor(at_once), watch)
    return ran


def unused_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def test_a_study_runs_and_what_is_finished_is_not_run_again(tmp_path: Path) -> None:
    study = load(tmp_path)

    first = run(study)
    seen = scores(study)

    assert set(first.values()) == {"finished"}
    assert len(first) == 5
    assert run(load(tmp_path)) == {}
    rows = by_condition(study)
    assert {name: (row.status, len(row.logs), row.in_distribution) for name, row in rows.items()} == {
        name: ("finished", 1, True) for name in ("no-skill", "human-written", "combined")
    }
    assert rows["combined"].artefact is not None
    assert (rows["combined"].artefact / "manifest.json").is_file()
    assert len(seen) == 3 * 2 + 4
    assert all("SIMULATED" in str(path) or (path / OUTPUT).is_file() for path in study.runs.iterdir() if path.is_dir())


def test_a_model_whose_endpoint_is_down_stops_no_other(tmp_path: Path) -> None:
    gone = {"model": "vllm/sim-small", "base_url": f"http://127.0.0.1:{unused_port()}/v1"}
    arms = [{"domain": "math", "conditions": ["no-skill"]}]
    arms += [{"domain": "math", "conditions": ["reasoning-bank"], "modes": ["deepening"], "pairs": "own"}]  # type: ignore[dict-item]
    study = load(tmp_path, models={"small": {"model": "sim/small"}, "gone": gone}, arms=arms, primary=[])

    run(study)

    rows = {(row.user, row.condition): row for row in study.evaluations() if row.split == "test"}
    assert {key: row.status for key, row in rows.items()} == {
        ("small", "no-skill"): "finished",
        ("small", "reasoning-bank"): "finished",
        ("gone", "no-skill"): "failed",
        ("gone", "reasoning-bank"): "blocked",
    }
    assert "does not answer" in rows["gone", "no-skill"].why
    assert "which failed: The server at" in rows["gone", "reasoning-bank"].why


def test_a_cell_whose_process_is_killed_fails_and_goes_on_later(tmp_path: Path) -> None:
    arms = [{"domain": "math", "conditions": ["no-skill", "human-written"]}]
    study = load(tmp_path, arms=arms, primary=[])
    killed: list[str] = []

    def kill_the_first() -> None:
        until = time.monotonic() + 60
        while not killed and time.monotonic() < until:
            for lock in study.runs.glob("*/.cell.lock"):
                if (words := lock.read_text().split()) and words[0] == "process":
                    os.kill(int(words[1]), signal.SIGKILL)
                    killed.append(lock.parent.name)
                    return
            time.sleep(0.01)

    killer = threading.Thread(target=kill_the_first)
    killer.start()
    first = run(study, at_once=1)
    killer.join()

    (failed,) = (name for name, state in first.items() if state == "failed")
    assert killed == [failed]
    assert "SIGKILL" in (study.runs / failed / FAILURE).read_text()
    assert run(study) == {failed: "finished"}
    assert {row.status for row in study.evaluations()} == {"finished"}


@pytest.mark.slow
def test_all_kinds_of_conditions_run(tmp_path: Path) -> None:
    arms = [
        {"domain": "math", "conditions": ["no-skill", "parametric"]},
        {
            "domain": "math",
            "conditions": ["combined", "error", "success", "error-llm", "sequential-2", "reasoning-bank", "synapse"],
            "modes": ["creation"],
        },
        {
            "domain": "math",
            "conditions": ["generic-checklist", "length-matched", "sections-shuffled", "lexical", "equal-tokens"],
            "of": "combined",
            "modes": ["creation"],
        },
    ]
    domains = {
        "math": {
            "evolve_on": "problems",
            "test_on": ["problems"],
            "draft": {"name": "math", "about": "Solving problems whose answer is a whole number."},
        }
    }
    # Both outcomes among the trajectories: some conditions look at one of them only.
    problems = {"problems": {**CONTENT["benchmarks"]["problems"], "evolve_samples": 12}}
    study = load(tmp_path, arms=arms, domains=domains, primary=[], benchmarks=problems)

    run(study)

    assert {row.key: row.why for row in study.evaluations() if row.status != "finished"} == {}
    results = [state.result for state in study.states().values() if state.result and state.result.kind == "draft"]
    assert results
    assert all(result.calls and result.input_tokens and result.output_tokens for result in results)


@pytest.mark.slow
def test_the_best_seed_is_tested(tmp_path: Path) -> None:
    study = load(tmp_path, seeds=[41, 42], selection="best", seed_agents=False)

    run(study)

    assert {row.key: row.why for row in study.evaluations() if row.status != "finished"} == {}
    chosen = by_condition(study)["combined"].artefact
    assert chosen is not None
    assert (chosen / "manifest.json").is_file()
