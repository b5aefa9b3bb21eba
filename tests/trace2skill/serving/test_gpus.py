"""What the driver shows, what of it may be used, and what is said where it shows nothing."""

from pathlib import Path

import pytest

from trace2skill.serving.command import plan_launch
from trace2skill.serving.gpus import NONE, Gpus, find_gpus
from trace2skill.serving.machine import look_around


def show(folder: Path, monkeypatch: pytest.MonkeyPatch, *memories: object, code: int = 0, said: str = "") -> None:
    """Put an nvidia-smi on PATH that lists cards with so many MiB."""
    lines = [f"{number}, GPU-{number}a7b-0c, {memory}" for number, memory in enumerate(memories)]
    text = "\n".join([*lines, said]).strip()
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{text}\nEND\nexit {code}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def test_without_a_driver_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_gpus() == NONE


def test_a_driver_that_lists_nothing_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    show(tmp_path, monkeypatch)
    assert find_gpus() == NONE


@pytest.mark.parametrize(
    ("mib", "sheet", "larger"),
    [
        (81559, 80, 94),  # H100
        (143771, 141, 180),  # H200
        (46068, 48, 80),  # L40S and A40 with ECC
        (49140, 48, 80),
        (23028, 24, 40),  # A10 with ECC
        (22731, 24, 40),  # the same, with an older driver
        (40960, 40, 48),
    ],
)
def test_the_driver_counts_memory_otherwise_than_a_data_sheet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mib: int, sheet: float, larger: float
) -> None:
    show(tmp_path, monkeypatch, mib, mib)
    found = find_gpus()

    assert found.number == 2
    assert found.hold(2, sheet)
    assert not found.hold(1, larger)


def test_cards_with_ecc_are_served_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    show(tmp_path, monkeypatch, 46068)
    assert plan_launch("qwen3.5-35b-a3b", find_gpus()).layout.memory == 48


@pytest.mark.parametrize(
    ("allowed", "number"),
    [
        ("0", 1),
        ("3,1", 2),
        (" 0, 2", 2),
        ("GPU-1a7b-0c,GPU-2", 2),
        ("", 0),
        ("-1", 0),
        ("0,9,1", 1),
        ("GPU-", 0),
        ("MIG-0", 0),
        ("0,0", 1),
    ],
)
def test_hidden_cards_are_not_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, allowed: str, number: int
) -> None:
    show(tmp_path, monkeypatch, 81559, 81559, 81559, 81559)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", allowed)
    found = find_gpus()

    assert found.number == number
    assert f"{4 - number} hidden by CUDA_VISIBLE_DEVICES={allowed}" in str(found)
    assert found.environment == {}


@pytest.mark.parametrize(
    ("memories", "indices", "sheet", "beside"),
    [
        ((81559, 4096), (0,), 80, "left out: GPU 1 with 4 GB"),
        ((4096, 81559, 81559), (1, 2), 80, "left out: GPU 0 with 4 GB"),
        ((49140, 46068, 24564), (0, 1), 48, "left out: GPU 2 with 24 GB"),
        ((4096, 4096, 81559), (2,), 80, "left out: GPU 0 with 4 GB, left out: GPU 1"),
    ],
)
def test_of_unequal_cards_the_strongest_group_is_used_alone(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    memories: tuple[int, ...],
    indices: tuple[int, ...],
    sheet: float,
    beside: str,
) -> None:
    show(tmp_path, monkeypatch, *memories)
    found = find_gpus()

    assert found.indices == indices
    assert found.hold(len(indices), sheet)
    assert beside in str(found)
    visible = ",".join(map(str, indices))
    assert found.environment == {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": visible}


def test_the_command_hides_the_card_that_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    show(tmp_path, monkeypatch, 4096, 81559)
    shell = plan_launch("qwen3.5-35b-a3b", find_gpus()).shell()

    assert shell.startswith("CUDA_DEVICE_ORDER=PCI_BUS_ID CUDA_VISIBLE_DEVICES=1 vllm serve ")


@pytest.mark.parametrize(
    ("memories", "code", "said", "number", "problem"),
    [
        ((), 18, "Failed to initialize NVML: Driver/library version mismatch", 0, "code 18: Failed to initialize NVML"),
        ((), 9, "", 0, "code 9: no word"),
        (("[N/A]",), 0, "", 0, "does not tell the memory of 0, GPU-0a7b-0c, [N/A]"),
        ((81559, "[Insufficient Permissions]"), 0, "", 1, "1, GPU-1a7b-0c, [Insufficient Permissions]"),
        ((), 0, "No devices were found", 0, "No devices were found"),
    ],
)
def test_what_the_driver_does_not_tell_is_said(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    memories: tuple[object, ...],
    code: int,
    said: str,
    number: int,
    problem: str,
) -> None:
    show(tmp_path, monkeypatch, *memories, code=code, said=said)
    found = find_gpus()
    finding = next(finding for finding in look_around(tmp_path) if finding.name == "GPUs")

    assert found.number == number
    assert problem in found.problem
    assert Gpus(0, 0, problem="broken").environment == {}
    assert finding.state == "failed"
    assert not finding.fatal
    assert problem in finding.said
    assert "--gpus" in finding.fix
