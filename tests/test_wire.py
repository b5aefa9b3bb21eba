"""The whole loop through Inspect's own `vllm/` provider and a server that is told to fail."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from inspect_ai import eval
from inspect_ai.log import EvalLog, read_eval_log
from inspect_ai.model import Model

from evals.math_reasoning import math_reasoning
from scripts.check_readme_table import README, differences
from tests.resumed import ROOT, all_finished, results
from tests.wire import counts, evaluated, port_of, served
from trace2skill.errors import ServerError
from trace2skill.evolution.configuration import EvolveConfig
from trace2skill.evolution.evolve import evolve
from trace2skill.models import servers

pytestmark = pytest.mark.slow

SKILL = "skills/math-basic"
LOOP_FAULTS = ("429=0.1", "500=0.05", "reset=0.02", "truncated=0.02", "hang=0.01")


def surely(*faults: str) -> list[str]:
    """Faults at their rates, and each of them once in any case."""
    kinds = [fault.partition("=")[0] for fault in faults]
    return [*faults, *(f"{kind}@{3 + number}" for number, kind in enumerate(kinds)), f"none@{3 + len(kinds)}"]


def roll_out(model: Model, folder: Path, skill: Path | str = SKILL, split: str = "evolve", retries: int = 3) -> EvalLog:
    task = math_reasoning(dataset="sample", split=split, skill=str(skill))
    [log] = eval(
        task, model=model, log_dir=str(folder), display="none", attempt_timeout=5, retry_on_error=retries,
        fail_on_error=False,
    )  # fmt: skip
    return log


def scores(log: EvalLog) -> dict[str, object]:
    return {
        str(sample.id): next(iter(sample.scores.values())).value if sample.scores else str(sample.error)
        for sample in log.samples or []
    }


def evolution(model: Model, logs: Path, output: Path, *, timeout: int = 5, quarantined: float = 0.1) -> None:
    config = EvolveConfig(analysts="combined", merge_batch=2, timeout=timeout, max_quarantined=quarantined)
    evolve([logs], SKILL, output, config, model=model, display="none")


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A server without faults."""
    with served() as address:
        yield address


@pytest.fixture(scope="module")
def logs(address: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("logs")
    with evaluated(address) as model:
        roll_out(model, folder)
    return folder


@pytest.fixture(scope="module")
def whole(address: str, logs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run without faults."""
    output = tmp_path_factory.mktemp("whole")
    with evaluated(address) as model:
        evolution(model, logs, output)
    return output


@pytest.mark.parametrize(
    "fault", ["429=0.2", "429-retry-after=0.2", "500=0.2", "reset=0.2", "truncated=0.2", "hang=0.1", "slow=0.1"]
)
def test_what_passes_changes_no_rollout(fault: str, logs: Path, tmp_path: Path) -> None:
    [log] = logs.glob("*.eval")
    with served(*surely(fault), late=0.5) as address, evaluated(address) as model:
        again = roll_out(model, tmp_path)
        assert counts(address)[fault.partition("=")[0]] >= 1
    assert scores(again) == scores(read_eval_log(str(log)))


@pytest.mark.parametrize("fault", ["unknown-model", "gone"])
def test_what_lasts_is_an_error_of_every_sample(fault: str, tmp_path: Path) -> None:
    with served(f"{fault}@1") as address, evaluated(address) as model:
        log = roll_out(model, tmp_path, retries=0)
    assert all(sample.error and not sample.scores for sample in log.samples or [])


@pytest.mark.parametrize(
    "fault",
    [
        "429=0.2",
        "429-retry-after=0.1",
        "500=0.2",
        "reset=0.2",
        "truncated=0.2",
        "empty-choices=0.2",
        "hang=0.05",
        "slow=0.1",
    ],
)
def test_what_passes_changes_no_evolution(fault: str, logs: Path, whole: Path, tmp_path: Path) -> None:
    with served(*surely(fault), late=0.5) as address, evaluated(address) as model:
        evolution(model, logs, tmp_path)
        assert counts(address)[fault.partition("=")[0]] >= 1
    assert results(tmp_path, "math-basic") == results(whole, "math-basic")


def test_the_loop_under_faults(logs: Path, whole: Path, address: str, tmp_path: Path) -> None:
    with evaluated(address) as model:
        expected = scores(roll_out(model, tmp_path / "expected", whole, "test"))
    with served(*surely(*LOOP_FAULTS)) as faulty, evaluated(faulty) as model:
        roll_out(model, tmp_path / "logs")
        evolution(model, tmp_path / "logs", tmp_path / "run")
        evaluation = roll_out(model, tmp_path / "evaluation", tmp_path / "run", "test")
        met = counts(faulty)
    print(met)
    [log] = (tmp_path / "run" / "logs" / "analysis").glob("*success*.eval")
    samples = read_eval_log(str(log)).samples or []
    retried = sum(event.retries or 0 for sample in samples for event in sample.events if event.event == "model")
    assert all(met.get(fault.partition("=")[0]) for fault in LOOP_FAULTS)
    assert retried > 0
    assert scores(evaluation) == expected
    mine, theirs = results(tmp_path / "run", "math-basic"), results(whole, "math-basic")
    assert mine.keys() == theirs.keys()
    assert {name for name in mine if mine[name] != theirs[name]} <= {"provenance.json"}  # it names the logs


@pytest.mark.parametrize("number", [5, 25, 45])
@pytest.mark.parametrize("fault", ["gone", "hang"])
def test_a_server_that_fails_for_good(
    fault: str, number: int, logs: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "LIFE_SECONDS", 1)
    with served(f"{fault}@{number}") as address, evaluated(address) as model:
        with pytest.raises(ServerError) as raised:
            evolution(model, logs, tmp_path, timeout=2)
        port = port_of(address)
    kept = all_finished(tmp_path)
    message = str(raised.value)
    assert message.startswith(f"The server {address} ")
    assert message.count(address) == 1
    assert "run the same command again" in message

    with served(port=port) as address, evaluated(address) as model:
        evolution(model, logs, tmp_path)
    assert kept.items() <= all_finished(tmp_path).items()
    assert results(tmp_path, "math-basic") == results(whole, "math-basic")


def test_samples_that_a_server_failed_are_never_quarantined(logs: Path, whole: Path, tmp_path: Path) -> None:
    with served("500@20") as address, evaluated(address) as model:
        with pytest.raises(ServerError, match=rf"The server {address} failed[^:]*: Error code: 500"):
            evolution(model, logs, tmp_path, timeout=3, quarantined=1.0)
        port = port_of(address)
    with served(port=port) as address, evaluated(address) as model:
        evolution(model, logs, tmp_path, timeout=3, quarantined=1.0)
    assert results(tmp_path, "math-basic") == results(whole, "math-basic")


def test_quickstart_prints_the_same_table(address: str, tmp_path: Path) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {"SCALE": "served", "VLLM_BASE_URL": address, "RUNS": str(tmp_path), "COLUMNS": "100"}
    done = subprocess.run(
        ["bash", "scripts/quickstart.sh"],
        cwd=ROOT, env={**os.environ, "PATH": path, **environment}, check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert differences(README.read_text(), done.stdout) == ""
