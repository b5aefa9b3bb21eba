"""What tests of interrupted evolutions share: the command, how it is killed, and what has to be there in the end."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from inspect_ai.log import list_eval_logs, read_eval_log_sample_summaries

ROOT = Path(__file__).parents[1]
RECORDS = ("ledger.jsonl", "provenance.json", "changes.diff", "CHANGELOG.md")
STAGES = ("error-analysis", "success-analysis", "replay", "consolidation", "sequential-editing", "induction")


def command(name: str, *arguments: str) -> list[str]:
    return [str(Path(sys.executable).parent / name), *arguments]


def roll_out(task: str, skill: str, folder: Path, *options: str) -> Path:
    arguments = ["-T", "dataset=sample", "-T", "split=evolve", "-T", f"skill=skills/{skill}", *options]
    subprocess.run(
        command(
            "inspect", "eval", f"evals/{task}.py", "--model", "sim/small", *arguments,
            "--log-dir", str(folder), "--display", "none",
        ),
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    return folder


def evolution(logs: Path, skill: str, output: Path, *options: str) -> list[str]:
    return command(
        "trace2skill", "evolve", str(logs), "--skill", str(ROOT / "skills" / skill),
        "--merge-batch", "2", "--output", str(output), "--display", "none", *options,
    )  # fmt: skip


def sequential_evolution(logs: Path, skill: str, output: Path, *options: str) -> list[str]:
    return command(
        "trace2skill", "evolve", str(logs), "--skill", str(ROOT / "skills" / skill),
        "--method", "sequential", "--output", str(output), "--display", "none", *options,
    )  # fmt: skip


def results(output: Path, skill: str) -> dict[str, bytes]:
    """Contents of the skill's files and of the records, by path."""
    files = [*(output / name for name in RECORDS), *(output / skill).rglob("*")]
    return {str(path.relative_to(output)): path.read_bytes() for path in files if path.is_file()}


def banking(logs: Path, method: str, output: Path, *options: str) -> list[str]:
    return command(
        "trace2skill", "evolve", str(logs), "--method", method, "--output", str(output), "--display", "none", *options,
    )  # fmt: skip


def bank_results(output: Path) -> dict[str, bytes]:
    """Contents of a bank and of its ledger, by path."""
    files = [output / "ledger.jsonl", *(output / "bank").rglob("*")]
    return {str(path.relative_to(output)): path.read_bytes() for path in files}


def finished(output: Path, stage: str) -> dict[str, str]:
    """Ids and unique run ids of the samples that the newest log of a stage holds."""
    found: dict[str, str] = {}
    for info in list_eval_logs(str(output / "logs")):
        if stage not in info.name:
            continue
        try:
            summaries = read_eval_log_sample_summaries(info)
        except Exception:
            continue  # a log that has just been created, or is being written
        found.update({str(row.id): str(row.uuid) for row in summaries if row.completed and not row.error})
    return found


def all_finished(output: Path) -> dict[tuple[str, str], str]:
    """Unique run ids of all finished samples, by stage and id."""
    return {(stage, name): uuid for stage in STAGES for name, uuid in finished(output, stage).items()}


def kill_when(arguments: list[str], due: Callable[[], bool]) -> bool:
    """Start a command and kill it as soon as `due`; whether it was still running then. It may not fail."""
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(arguments, cwd=ROOT, stdout=said, stderr=said, start_new_session=True)
        while process.poll() is None and not due():
            time.sleep(0.1)
        running = process.poll() is None
        if running:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        said.seek(0)
        assert process.returncode in (0, -signal.SIGKILL), said.read().decode()
    return running
