"""The bubblewrap sandbox by what code inside it can and cannot do, with real processes."""

import asyncio
import re
import shutil
import socket
import sys
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from inspect_ai import Task, eval
from inspect_ai.dataset import Sample
from inspect_ai.scorer import Score, Scorer, Target, accuracy, scorer
from inspect_ai.solver import Generate, Solver, TaskState, solver
from inspect_ai.util import (
    OutputLimitExceededError,
    SandboxEnvironmentSpec,
    SandboxUserUnsupportedError,
    override_sandbox_output_limit,
    sandbox,
)

from evals.sandbox.bwrap import BubblewrapLimits, BubblewrapSandbox
from evals.sandbox.limits import is_root
from evals.sandbox.probe import find_bwrap
from tests.evals.sandbox.processes import running
from trace2skill.errors import Trace2SkillError

pytestmark = pytest.mark.skipif(
    find_bwrap().path is None, reason=f"bubblewrap is unusable here: {find_bwrap().problem}"
)

REPOSITORY = Path(__file__).parents[3]
SMALL = BubblewrapLimits(memory_mib=256, address_space_mib=2048, processes=40, file_mib=4, cpu_seconds=1, shm_mib=2)
FEW = BubblewrapLimits(memory_mib=256, disk_mib=16, files=50)


async def start(limits: BubblewrapLimits | None = None) -> BubblewrapSandbox:
    environments = await BubblewrapSandbox.sample_init("task", limits, {})
    return environments["default"].as_type(BubblewrapSandbox)


async def stop(box: BubblewrapSandbox) -> None:
    await BubblewrapSandbox.sample_cleanup("task", None, {"default": box}, False)


@pytest.fixture
async def box() -> AsyncIterator[BubblewrapSandbox]:
    started = await start()
    yield started
    await stop(started)


@pytest.fixture
async def small_box() -> AsyncIterator[BubblewrapSandbox]:
    started = await start(SMALL)
    yield started
    await stop(started)


async def python(box: BubblewrapSandbox, code: str, timeout: int = 60) -> str:
    result = await box.exec(["python3", "-c", code], timeout=timeout)
    return f"{result.stdout}{result.stderr}".strip()


# What is visible


async def test_the_network_is_unreachable(box: BubblewrapSandbox) -> None:
    name = f"\0{uuid.uuid4().hex}"
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as abstract:
        abstract.bind(name)
        abstract.listen()
        port = server.getsockname()[1]
        found = await python(
            box,
            "import socket\n"
            f"for family, address in ((socket.AF_INET, ('127.0.0.1', {port})), (socket.AF_UNIX, {name!r})):\n"
            "    print(socket.socket(family).connect_ex(address))\n"
            "print([name for _, name in socket.if_nameindex()])",
        )
    assert found.splitlines() == ["111", "111", "['lo']"]


async def test_files_of_the_host_are_invisible(box: BubblewrapSandbox, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("42")
    hidden = [secret, REPOSITORY / "pyproject.toml", REPOSITORY / "tasks", REPOSITORY / "evals", Path("/etc/shadow")]
    hidden += [Path("/sys"), Path("/run"), Path("/usr/src"), Path("/proc/1/root") / secret.relative_to("/")]
    assert secret.exists()
    result = await box.exec(["ls", "-d", *map(str, hidden)])
    assert result.stdout == ""
    for folder in (Path.home(), Path(sys.prefix), Path(sys.base_prefix) / "lib"):
        result = await box.exec(["ls", "-A", str(folder)])
        assert result.stdout == "" or folder.is_relative_to("/usr")


async def test_secrets_in_the_environment_stay_outside(box: BubblewrapSandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    result = await box.exec(["sh", "-c", "env; cat /proc/*/environ"], env={"EXTRA": "given"})
    assert "sk-secret" not in result.stdout
    assert "EXTRA=given\n" in result.stdout
    assert "HOME=/home/sandbox\n" in result.stdout


async def test_other_samples_and_processes_are_invisible(box: BubblewrapSandbox) -> None:
    other = await start()
    await other.write_file("other.txt", "other")
    await other.write_file("/tmp/other.txt", "other")
    result = await box.exec(["sh", "-c", "find /workspace /tmp /home -name other.txt; ps -e -o comm="])
    await stop(other)
    assert sorted(result.stdout.split()) == ["bwrap", "ps", "sh"]


async def test_only_the_samples_folders_are_writable(box: BubblewrapSandbox) -> None:
    mounts = [line.split() for line in (await box.exec(["cat", "/proc/self/mounts"])).stdout.splitlines()]
    writable = {mount[1] for mount in mounts if "rw" in mount[3].split(",")}
    files = {"/workspace", "/tmp", "/home/sandbox", "/dev/shm"}
    devices = {f"/dev/{name}" for name in ("full", "null", "pts", "random", "tty", "urandom", "zero")}
    assert files <= writable <= files | devices | {"/proc"}
    result = await box.exec(["sh", "-c", "echo x > /proc/sys/kernel/core_pattern"])
    assert not result.success


async def test_the_promised_libraries_run_inside(box: BubblewrapSandbox) -> None:
    import pandas as pd

    found = await python(box, "import openpyxl, pandas; print(openpyxl.__file__, pandas.__version__)")
    file, version = found.split()
    assert re.fullmatch(r"/opt/python/.*/openpyxl/__init__\.py", file)
    assert version == pd.__version__
    login = await box.exec(["bash", "--login", "-c", "python3 -c 'import openpyxl' && pwd && echo $HOME"])
    assert login.stdout == "/workspace\n/home/sandbox\n"


async def test_nothing_but_the_promised_libraries_is_there(box: BubblewrapSandbox) -> None:
    code = """
import importlib.metadata, site, sys
print(sys.prefix, sys.base_prefix, sys.executable)
print(*sorted(found.name.lower() for found in importlib.metadata.distributions()))
"""
    prefixes, names = (await python(box, code)).splitlines()
    assert prefixes == "/opt/python /opt/python /opt/python/bin/python3"
    assert names.split() == sorted(["et_xmlfile", "numpy", "openpyxl", "pandas", "pillow", "python-dateutil", "six"])
    result = await box.exec(["sh", "-c", "find / -name '*_golden.xlsx' -o -path /proc -prune -o -name '*trace2skill*'"])
    assert set(result.stdout.split()) <= {"/proc"}
    system = await box.exec(["sh", "-c", "find /usr/lib*/python*/*-packages -mindepth 1"])
    assert system.stdout == ""


async def test_host_paths_stay_out_of_tracebacks(box: BubblewrapSandbox) -> None:
    code = """
import json, openpyxl, pandas, sysconfig, traceback
for fail in (lambda: json.loads("{"), lambda: openpyxl.load_workbook("no.xlsx"), lambda: pandas.DataFrame()["a"]):
    try:
        fail()
    except Exception:
        traceback.print_exc()
print(sysconfig.get_config_vars())
"""
    found = await python(box, code)
    assert len(re.findall(r'File "/opt/python/\S+/(?:json|openpyxl|pandas)/', found)) > 5
    hidden = [str(REPOSITORY), str(Path.home()), sys.prefix] + [sys.base_prefix] * (sys.base_prefix != "/usr")
    assert [path for path in hidden if path in found] == []


async def test_no_capability_is_left(box: BubblewrapSandbox) -> None:
    result = await box.exec(["grep", "-E", "^(CapPrm|CapEff|CapAmb|NoNewPrivs)", "/proc/self/status"])
    assert [line.split()[1] for line in result.stdout.splitlines()] == ["0" * 16] * 3 + ["1"]


@pytest.mark.skipif(shutil.which("soffice") is None, reason="LibreOffice is not installed")
async def test_libreoffice_converts(box: BubblewrapSandbox) -> None:
    await box.write_file("in.csv", "a,b\n1,=A2+1\n")
    result = await box.exec(["soffice", "--headless", "--convert-to", "xlsx", "in.csv"], timeout=100)
    assert result.success, result.stderr
    assert (await box.read_file("in.xlsx", text=False)).startswith(b"PK")
    assert (await box.exec(["ls", "-A"])).stdout == "in.csv\nin.xlsx\n"


# Files


async def test_files_last_between_commands(box: BubblewrapSandbox) -> None:
    await box.exec(["sh", "-c", "echo one > one; echo two > /tmp/two; echo three > ~/three"])
    result = await box.exec(["sh", "-c", "cat one /tmp/two ~/three"])
    assert result.stdout == "one\ntwo\nthree\n"
    assert await box.read_file("/workspace/one") == "one\n"
    assert await box.read_file("/tmp/two") == "two\n"


async def test_files_written_by_the_harness_can_be_changed_inside(box: BubblewrapSandbox) -> None:
    await box.write_file("folder/file", "a\r\n")
    await box.exec(["sh", "-c", "echo b >> folder/file && touch folder/other"])
    assert await box.read_file("folder/file") == "a\r\nb\n"
    await box.write_file("folder/file", b"\xff")
    assert await box.read_file("folder/file", text=False) == b"\xff"
    with pytest.raises(UnicodeDecodeError):
        await box.read_file("folder/file")


async def test_links_lead_nowhere(box: BubblewrapSandbox, tmp_path: Path) -> None:
    reference = tmp_path / "answer.txt"
    reference.write_text("42")
    await box.exec(["ln", "-s", str(reference), "answer"])
    await box.exec(["ln", "-s", str(tmp_path), "folder"])
    await box.exec(["ln", "-s", "/usr/bin", "programs"])
    await box.exec(["ln", "-s", "../../workspace/../etc/shadow", "shadow"])
    for path in ("answer", "folder/answer.txt", "shadow", "../../../../etc/shadow"):
        with pytest.raises(FileNotFoundError):
            await box.read_file(path)
    for path in ("answer", "folder/new.txt", "programs/new"):
        with pytest.raises(PermissionError):
            await box.write_file(path, "43")
    assert reference.read_text() == "42"
    assert list(tmp_path.iterdir()) == [reference]


async def test_pipes_and_folders_are_no_files(box: BubblewrapSandbox) -> None:
    await box.exec(["sh", "-c", "mkfifo pipe; mkdir folder; echo x > locked; chmod 000 locked"])
    for path, error in (("pipe", PermissionError), ("/dev/zero", PermissionError), ("locked", PermissionError)):
        with pytest.raises(error, match=path):
            await box.read_file(path)
    for path in ("folder", "/etc", "."):
        with pytest.raises(IsADirectoryError, match="irectory"):
            await box.read_file(path)
    with pytest.raises(IsADirectoryError):
        await box.write_file("folder", "x")
    with pytest.raises(PermissionError, match="locked"):
        await box.write_file("locked", "x")
    with pytest.raises(PermissionError):
        await box.write_file("locked/x", "x")


async def test_large_files_are_refused(box: BubblewrapSandbox) -> None:
    await box.write_file("large", b"x" * 2000)
    with override_sandbox_output_limit(1999, "read_file"), pytest.raises(OutputLimitExceededError):
        await box.read_file("large")
    with override_sandbox_output_limit(2000, "read_file"):
        assert len(await box.read_file("large")) == 2000


async def test_cleanup_removes_what_code_locked() -> None:
    started = await start()
    folder = started._launcher.folder.path
    await started.exec(["sh", "-c", "mkdir -p a/b && touch a/b/c && ln -s / a/root && chmod 000 a/b a ."])
    assert folder.exists()
    await stop(started)
    assert not folder.exists()
    assert Path("/usr/bin").exists()


# Commands


async def test_results_of_commands(box: BubblewrapSandbox) -> None:
    result = await box.exec(["sh", "-c", "cat; echo out; echo err >&2; exit 3"], input="in\n")
    assert (result.success, result.returncode, result.stdout, result.stderr) == (False, 3, "in\nout\n", "err\n")
    missing = await box.exec(["no-such-command"])
    assert (missing.success, missing.returncode) == (False, 127)
    with pytest.raises(PermissionError):
        await box.exec(["/etc/passwd"])
    for user in ("root", "nobody"):
        with pytest.raises(SandboxUserUnsupportedError):
            await box.exec(["true"], user=user)


async def test_working_folders(box: BubblewrapSandbox) -> None:
    await box.exec(["mkdir", "sub"])
    assert (await box.exec(["pwd"])).stdout == "/workspace\n"
    assert (await box.exec(["pwd"], cwd="sub")).stdout == "/workspace/sub\n"
    assert (await box.exec(["pwd"], cwd="/tmp")).stdout == "/tmp\n"
    missing = await box.exec(["pwd"], cwd="missing")
    assert (missing.success, missing.stdout) == (False, "")


async def test_a_timeout_kills_every_process(box: BubblewrapSandbox) -> None:
    token = f"300.{uuid.uuid4().int}"
    with pytest.raises(TimeoutError):
        await box.exec(["sh", "-c", f"setsid sleep {token} & trap '' TERM; sleep {token}"], timeout=1)
    assert not running(token)


async def test_processes_end_with_their_command(box: BubblewrapSandbox) -> None:
    token = f"300.{uuid.uuid4().int}"
    began = time.monotonic()
    result = await box.exec(["sh", "-c", f"setsid sleep {token} & echo started"], timeout=30)
    assert result.stdout == "started\n"
    assert time.monotonic() - began < 10
    await asyncio.sleep(0.5)
    assert not running(token)


# Limits


async def test_a_memory_hog_fails_alone(small_box: BubblewrapSandbox) -> None:
    assert "MemoryError" in await python(small_box, "x = bytearray(400 << 20)")
    assert "Cannot allocate" in await python(small_box, "import mmap; mmap.mmap(-1, 4 << 30)")
    assert await python(small_box, "x = bytearray(50 << 20); print(len(x))") == str(50 << 20)


FILL = "size = 200 << 20; x = {}; [x.__setitem__(i, 1) for i in range(0, size, 4096)]; time.sleep(30)"
TOGETHER = "import mmap, os, time\n{}\n{}"


@pytest.mark.parametrize(
    "code",
    [
        TOGETHER.format("for _ in range(2): os.fork()", FILL.format("bytearray(size)")),
        TOGETHER.format("os.fork()", FILL.format("mmap.mmap(-1, size)")),
        TOGETHER.format("", FILL.replace("200", "400").format("mmap.mmap(-1, size)")),
    ],
    ids=["private", "shared by none", "shared"],
)
async def test_the_memory_of_all_processes_counts(code: str) -> None:
    started = await start(FEW)
    began = time.monotonic()
    result = await started.exec(["python3", "-c", code], timeout=60)
    assert time.monotonic() - began < 25
    assert not result.success
    assert "the command was ended, because its processes together used more than 256 MiB" in result.stderr
    assert (await started.exec(["echo", "next"])).stdout == "next\n"
    await stop(started)


async def test_pages_that_processes_share_count_once() -> None:
    started = await start(FEW)
    code = "import os, time; x = bytearray(120 << 20); os.fork(); os.fork(); time.sleep(1); print(len(x))"
    result = await started.exec(["python3", "-c", code], timeout=60)
    assert (result.stdout.split(), result.stderr) == ([str(120 << 20)] * 4, "")
    await stop(started)


async def test_memory_without_an_owner_is_refused(small_box: BubblewrapSandbox) -> None:
    assert "Operation not permitted" in await python(small_box, "import os; os.memfd_create('x')")


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("for i in 1 2 3; do head -c 8M /dev/zero > $i; done; sleep 30", "the files take more than 16 MiB"),
        ("exec 5>x; rm x; head -c 24M /dev/zero >&5; sleep 30", "the files take more than 16 MiB"),
        ("mkdir a; chmod 700 a; seq 100 | (cd a; xargs touch); chmod 000 a; sleep 30", "more than 50 files"),
        ("cd /tmp; for i in $(seq 40); do mkdir d e; cd d; done; sleep 30", "more than 50 files"),
    ],
    ids=["bytes", "deleted", "files", "folders"],
)
async def test_a_command_that_fills_the_disk_is_ended(command: str, reason: str) -> None:
    started = await start(FEW)
    began = time.monotonic()
    result = await started.exec(["sh", "-c", command], timeout=60)
    assert time.monotonic() - began < 25
    assert not result.success
    assert reason in result.stderr
    await stop(started)


async def test_a_full_sample_can_only_delete() -> None:
    started = await start(FEW)
    await started.exec(["sh", "-c", "head -c 30M /dev/zero > big"])
    refused = await started.exec(["sh", "-c", "cat /etc/passwd > more"])
    assert not refused.success
    assert refused.stderr.endswith(
        "sandbox: the files take more than 16 MiB; until some are deleted, nothing can be written.\n"
    )
    with pytest.raises(OSError, match="16 MiB"):
        await started.write_file("more", "x")
    assert (await started.read_file("big", text=False))[:1] == b"\0"
    await started.exec(["rm", "big"])
    await started.write_file("more", "x")
    assert (await started.exec(["cat", "more"])).stderr == ""
    await stop(started)


async def test_shared_memory_is_small(small_box: BubblewrapSandbox) -> None:
    result = await small_box.exec(["sh", "-c", "head -c 3000000 /dev/zero > /dev/shm/x"])
    assert "No space left" in result.stderr


async def test_a_fork_bomb_stops_at_the_limit(small_box: BubblewrapSandbox) -> None:
    code = """
import os, time
count = 0
while count < 200:
    try:
        if os.fork() == 0:
            time.sleep(30)
            os._exit(0)
    except OSError as error:
        print(type(error).__name__, count)
        break
    count += 1
"""
    name, count = (await python(small_box, code)).split()
    assert name == "BlockingIOError"
    assert 30 <= int(count) < 40
    assert (await small_box.exec(["echo", "next"])).stdout == "next\n"


async def test_a_large_file_is_cut(small_box: BubblewrapSandbox) -> None:
    result = await small_box.exec(["sh", "-c", "head -c 9000000 /dev/zero > big"])
    assert not result.success
    assert (await small_box.exec(["stat", "-c", "%s", "big"])).stdout.strip() == str(4 << 20)
    with pytest.raises(OSError, match="big"):
        await small_box.write_file("big", b"x" * (5 << 20))


async def test_a_busy_loop_ends(small_box: BubblewrapSandbox) -> None:
    result = await small_box.exec(["sh", "-c", "while :; do :; done"], timeout=60)
    assert result.returncode == 137


async def test_only_the_end_of_much_output_is_kept(box: BubblewrapSandbox) -> None:
    with override_sandbox_output_limit(1000, "exec"):
        result = await box.exec(["seq", "100000"])
    assert len(result.stdout) <= 1000
    assert result.stdout.endswith("\n99999\n100000\n")


def test_limits_travel_through_a_log() -> None:
    spec = SandboxEnvironmentSpec("bwrap", SMALL)
    assert SandboxEnvironmentSpec.model_validate(spec.model_dump()) == spec
    with pytest.raises(ValueError, match="extra"):
        BubblewrapSandbox.config_deserialize({"memory": 1})


async def test_another_configuration_is_refused() -> None:
    with pytest.raises(Trace2SkillError, match=r"compose\.yaml"):
        await BubblewrapSandbox.task_init("task", "compose.yaml")


@pytest.mark.skipif(not is_root(), reason="only root gives each sample a user of its own")
async def test_samples_of_root_run_as_different_users(box: BubblewrapSandbox) -> None:
    other = await start()
    ids = {(await each.exec(["id", "-u"])).stdout for each in (box, other)}
    await stop(other)
    assert len(ids) == 2
    assert "0\n" not in ids
    assert (await box.exec(["id", "-un"])).stdout == "sandbox\n"


# In an eval


@solver
def write_and_look() -> Solver:
    async def solve(state: TaskState, generate: Generate) -> TaskState:
        await sandbox().exec(["sh", "-c", "cat input.txt > output.txt; id -un >> output.txt"])
        state.output.completion = await sandbox().read_file("output.txt")
        return state

    return solve


@scorer(metrics=[accuracy()])
def same_text() -> Scorer:
    async def score(state: TaskState, target: Target) -> Score:
        return Score(value="C" if await sandbox().read_file("output.txt") == target.text else "I")

    return score


@pytest.mark.parametrize("spec", ["bwrap", SandboxEnvironmentSpec("bwrap", SMALL)])
def test_inspect_finds_the_sandbox_by_name(spec: str | SandboxEnvironmentSpec, tmp_path: Path) -> None:
    samples = [
        Sample(
            input="x",
            target="7\nran\nsandbox\n",
            files={"input.txt": "7\n"},
            setup="#!/bin/sh\necho ran >> input.txt\n",
        )
        for _ in range(2)
    ]
    task = Task(dataset=samples, solver=write_and_look(), scorer=same_text(), sandbox=spec)
    log = eval(task, model="mockllm/model", display="none", log_dir=str(tmp_path))[0]
    assert log.status == "success", log.error
    assert log.results is not None
    assert log.results.scores[0].metrics["accuracy"].value == 1.0
