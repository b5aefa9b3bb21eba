"""Every target for a moment; `python -m tests.fuzz TARGET --minutes 10` is the long run."""

import subprocess
import sys
from pathlib import Path

import pytest

FEW = ["archive", "bank", "card", "log", "patch", "run", "skill"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("targets", "examples"), [(FEW, 15), pytest.param(["workbook"], 2, id="workbook, which starts processes")]
)
def test_readers_give_a_value_or_a_message(tmp_path: Path, targets: list[str], examples: int) -> None:
    command = [sys.executable, "-m", "tests.fuzz", *targets, "--examples", str(examples), "--keep", str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])

    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-3000:]
    assert ran.stdout.count(" 0 findings") == len(targets)
