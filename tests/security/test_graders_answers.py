"""A file that takes over a grader's process does not get into the harness by way of its answer."""

import os
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from evals.graders import worker
from evals.graders.spreadsheetbench import CellMismatch, Comparison
from evals.graders.worker import WorkerEndedError, Workers
from evals.sandbox.launch import Launcher

ANSWERS = """
import os, sys
answer = bytes.fromhex(sys.argv[1])
size = int(sys.argv[2]) or len(answer)
sys.stdin.buffer.read(8)
os.write(1, size.to_bytes(8, "big") + answer)
import time; time.sleep(60)
"""


class Calls:
    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call


def taken_over(monkeypatch: pytest.MonkeyPatch, answer: bytes, size: int = 0) -> Workers:
    """Workers whose process answers with these bytes."""
    start = subprocess.Popen
    command = [sys.executable, "-c", ANSWERS, answer.hex(), str(size)]
    monkeypatch.setattr(worker.subprocess, "Popen", lambda _, **options: start(command, **options))
    return Workers()


@pytest.mark.parametrize("returned", [True, False])
@pytest.mark.parametrize(
    "reached",
    [os.system, subprocess.Popen, eval, getattr, Launcher, Workers, type, SystemExit],
    ids=lambda each: each.__name__,
)
def test_an_answer_calls_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, reached: Callable[..., Any], returned: bool
) -> None:
    made = tmp_path / "made"
    pool = taken_over(monkeypatch, pickle.dumps((returned, Calls(reached, f"touch {made}"))))

    with pytest.raises(RuntimeError, match="The process that ran len gave no usable answer"):
        pool.call(len, "x")
    assert not made.exists()
    assert pool.idle == []


def test_a_name_leads_to_no_other_module(monkeypatch: pytest.MonkeyPatch) -> None:
    dotted = b"\x80\x04\x88\x8c\x14evals.graders.worker\x8c\x10subprocess.Popen\x93\x86."
    assert pickle.loads(dotted) == (True, subprocess.Popen)

    with pytest.raises(RuntimeError, match="no usable answer"):
        taken_over(monkeypatch, dotted).call(len, "x")


def test_an_answer_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_GRACE", 0.1)

    with pytest.raises(WorkerEndedError, match="ended with status -9"):
        taken_over(monkeypatch, b"x", size=1 << 40).call(len, "x")


def test_what_is_no_pickle_is_an_error_too(monkeypatch: pytest.MonkeyPatch) -> None:
    for answer in (b"junk", pickle.dumps(5), pickle.dumps((False, "no exception"))):
        with pytest.raises(RuntimeError, match="no usable answer"):
            taken_over(monkeypatch, answer).call(len, "x")


@pytest.mark.parametrize(
    "value",
    [
        None,
        [1.5, "text", b"bytes", {"a": {2}}],
        (date(2026, 1, 2), timedelta(1), Decimal("1.5")),
        Comparison(passed=False, mismatches=(CellMismatch(sheet="S", cell="A1", expected=date(2026, 1, 2), got=None),)),
    ],
    ids=["none", "plain", "dates", "verdict"],
)
def test_verdicts_arrive(value: object) -> None:
    pool = Workers()
    assert pool.call(list, [value]) == [value]
    pool.stop()


def test_an_error_of_a_library_is_told_in_words(tmp_path: Path) -> None:
    file = tmp_path / "x.zip"
    file.write_bytes(b"no archive")
    pool = Workers()
    with pytest.raises(RuntimeError, match="BadZipFile: File is not a zip file"):
        pool.call(zipfile.ZipFile, file)
    pool.stop()
