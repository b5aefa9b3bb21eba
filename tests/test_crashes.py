"""Full disks, an output that cannot be written, few file handles, a clock set back: nothing lost, the same bytes."""

import contextlib
import os
import resource
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.resumed import ROOT, all_finished, evolution, finished, kill_when, results, roll_out

FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return roll_out("math_reasoning", "math-basic", tmp_path_factory.mktemp("problems"))


@pytest.fixture(scope="module")
def whole(logs: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What a run that nothing disturbs leaves behind."""
    output = tmp_path_factory.mktemp("whole") / "run"
    subprocess.run(evolution(logs, "math-basic", output), cwd=ROOT, check=True, capture_output=True)
    return results(output, "math-basic")


@contextlib.contextmanager
def mounted(folder: Path, options: str) -> Iterator[Path]:
    """A small disk in memory, of which only root may have one."""
    folder.mkdir()
    if (
        os.geteuid() != 0
        or subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", folder], check=False).returncode
    ):
        pytest.skip("only root can mount a small disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def message(logs: Path, output: Path) -> str:
    """What a run that cannot go on says in the end, without a traceback."""
    done = subprocess.run(evolution(logs, "math-basic", output), cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize("kib", [8, 60, 150, 250, 330])
def test_a_full_disk(kib: int, logs: Path, whole: dict[str, bytes], tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", f"size={kib}k") as disk:
        output = disk / "run"
        said = message(logs, output)
        kept = all_finished(output)
        subprocess.run(["mount", "-o", "remount,size=16m", disk], check=True)
        subprocess.run(evolution(logs, "math-basic", output), cwd=ROOT, check=True, capture_output=True)
        assert kept.items() <= all_finished(output).items()
        assert results(output, "math-basic") == whole
    assert "No space left on the disk" in said
    assert str(output) in said


def test_an_output_that_may_not_be_written(logs: Path, tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "size=16m,ro") as disk:
        said = message(logs, disk / "run")
    assert "Read-only file system" in said
    assert "Choose another --output" in said


def test_sixty_four_file_handles(logs: Path, whole: dict[str, bytes], tmp_path: Path) -> None:
    output = tmp_path / "run"
    few = partial(resource.setrlimit, resource.RLIMIT_NOFILE, (64, 64))
    subprocess.run(evolution(logs, "math-basic", output), cwd=ROOT, check=True, capture_output=True, preexec_fn=few)
    assert results(output, "math-basic") == whole


@pytest.mark.skipif(not FAKETIME.exists(), reason="needs libfaketime")
def test_a_clock_that_was_set_back(logs: Path, whole: dict[str, bytes], tmp_path: Path) -> None:
    output = tmp_path / "run"
    again = evolution(logs, "math-basic", output)
    assert kill_when(again, lambda: len(finished(output, "analysis")) >= 3)
    kept = all_finished(output)
    earlier = {"LD_PRELOAD": str(FAKETIME), "FAKETIME": "-365d"}
    subprocess.run(again, cwd=ROOT, check=True, capture_output=True, env={**os.environ, **earlier})
    assert kept.items() <= all_finished(output).items()
    assert results(output, "math-basic") == whole
