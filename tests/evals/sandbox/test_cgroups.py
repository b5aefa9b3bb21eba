"""Control groups on a tree of plain files; `tests/security/test_control_groups.py` asks the kernel."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from evals.sandbox import bwrap, cgroups, probe
from evals.sandbox.cgroups import Candidate, ControlGroup, Parent, candidates, find_parent, usable_parent
from evals.sandbox.limits import BubblewrapLimits
from evals.sandbox.probe import find_bwrap
from tests.evals.sandbox.test_bwrap import start, stop

MOUNTS = """\
22 1 0:21 / /proc rw,relatime - proc proc rw
31 22 0:28 {root} {mount} rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate
"""
HYBRID = "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"

needs_bwrap = pytest.mark.skipif(find_bwrap().path is None, reason=f"unusable here: {find_bwrap().problem}")


def folder(path: Path, available: str = "cpu memory pids", enabled: str = "", *, root: bool = False) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    (path / "cgroup.controllers").write_text(available)
    (path / "cgroup.subtree_control").write_text(enabled)
    (path / "cgroup.procs").write_text("")
    if not root:
        (path / "cgroup.events").write_text("populated 1\n")
    return path


@pytest.mark.parametrize(
    ("root", "own", "expected"),
    [
        ("/", "0::/", ["/sys/fs/cgroup"]),
        ("/", "0::/user.slice/a b.scope", ["/sys/fs/cgroup/user.slice/a b.scope", "/sys/fs/cgroup"]),
        ("/", "4:memory:/elsewhere\n0::/x", ["/sys/fs/cgroup/x", "/sys/fs/cgroup"]),
        ("/", "0::/x/trace2skill-harness", ["/sys/fs/cgroup/x", "/sys/fs/cgroup"]),
        ("/docker/1", "0::/docker/1/x", ["/sys/fs/cgroup/x", "/sys/fs/cgroup"]),
        ("/docker/1", "0::/docker/2", ["/sys/fs/cgroup"]),
        ("/", "0::/../outside", ["/sys/fs/cgroup"]),
        ("/", "4:memory:/x", ["/sys/fs/cgroup"]),
    ],
)
def test_a_process_finds_its_own_group_and_root_the_top(
    root: str, own: str, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = HYBRID + MOUNTS.format(root=root, mount="/sys/fs/cgroup")

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    as_root = [str(each.path) for each in candidates(mounts, own, None)]
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    as_user = [str(each.path) for each in candidates(mounts, own, None)]

    assert as_root == expected
    assert as_user == expected[: len(expected) - (expected[-1] == "/sys/fs/cgroup" and own != "0::/")]


def test_a_mount_may_have_blanks_in_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    mounts = MOUNTS.format(root="/", mount=r"/a\040b")

    assert [each.path for each in candidates(mounts, "0::/", None)] == [Path("/a b")]


def test_version_1_alone_has_no_candidate() -> None:
    assert candidates(HYBRID, "4:memory:/x\n", None) == []


def test_the_folder_that_the_user_names_is_the_only_one() -> None:
    mounts = MOUNTS.format(root="/", mount="/sys/fs/cgroup")

    assert candidates(mounts, "0::/", "/given") == [Candidate(path=Path("/given"), delegated=True)]


def test_systemd_says_what_is_delegated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = folder(tmp_path / "run-1.scope")
    try:
        os.setxattr(own, "user.delegate", b"1")
    except OSError as error:
        pytest.skip(f"no extended attributes: {error}")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    mounts = MOUNTS.format(root="/", mount=tmp_path)

    assert candidates(mounts, "0::/run-1.scope", None) == [Candidate(path=own, delegated=True)]
    assert candidates(mounts, "0::/", None) == [Candidate(path=tmp_path, delegated=False)]


@pytest.mark.parametrize("delegated", [False, True])
def test_enabled_controllers_are_taken_as_they_are(tmp_path: Path, delegated: bool) -> None:
    parent = folder(tmp_path / "a", enabled="memory pids")

    assert usable_parent(Candidate(path=parent, delegated=delegated)) is None
    assert (parent / "cgroup.subtree_control").read_text() == "memory pids"
    assert not (parent / "trace2skill-harness").exists()


def test_in_a_group_of_others_nothing_is_enabled_and_nobody_moved(tmp_path: Path) -> None:
    parent = folder(tmp_path / "a", enabled="pids")

    assert usable_parent(Candidate(path=parent, delegated=False)) == "memory is not enabled for groups in it"
    assert (parent / "cgroup.subtree_control").read_text() == "pids"
    assert [path.name for path in parent.iterdir() if path.is_dir()] == []


def test_the_root_enables_what_is_off_and_moves_nobody(tmp_path: Path) -> None:
    top = folder(tmp_path / "a", enabled="pids", root=True)
    (top / "cgroup.procs").write_text("1\n2\n")

    assert usable_parent(Candidate(path=top, delegated=False)) is None
    assert (top / "cgroup.subtree_control").read_text() == "+memory"
    assert [path.name for path in top.iterdir() if path.is_dir()] == []


def test_what_is_delegated_gets_its_processes_moved(tmp_path: Path) -> None:
    parent = folder(tmp_path / "a")
    (parent / "cgroup.procs").write_text("77\n")

    assert usable_parent(Candidate(path=parent, delegated=True)) is None
    assert (parent / "trace2skill-harness" / "cgroup.procs").read_text() == "77"
    assert (parent / "cgroup.subtree_control").read_text() == "+memory +pids"


def test_a_problem_is_named(tmp_path: Path) -> None:
    without = folder(tmp_path / "a", available="cpu pids")

    assert usable_parent(Candidate(path=without, delegated=True)) == "it has no controller memory"
    assert "No such file" in str(usable_parent(Candidate(path=tmp_path / "none", delegated=True)))


def test_the_search_says_why_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cgroups.VARIABLE, str(folder(tmp_path / "a", available="")))
    assert find_parent.__wrapped__() == Parent(
        path=None, problem=f"{tmp_path / 'a'}: it has no controller memory or pids"
    )

    monkeypatch.setenv(cgroups.VARIABLE, "off")
    assert find_parent.__wrapped__() == Parent(path=None, problem="TRACE2SKILL_CGROUP is off")


def test_a_group_has_the_limits_and_is_entered_by_its_file(tmp_path: Path) -> None:
    group = ControlGroup.create(tmp_path, memory=256 << 20, processes=40)

    assert group.path.parent == tmp_path
    assert group.path.name.startswith(f"trace2skill-{os.getpid()}-")
    assert {path.name: path.read_text() for path in group.path.iterdir()} == {
        "memory.max": str(256 << 20),
        "memory.swap.max": "0",
        "memory.oom.group": "1",
        "pids.max": "42",
    }
    assert group.entrance == group.path / "cgroup.procs"


@pytest.mark.parametrize(
    ("events", "overran"),
    [
        ("low 0\nhigh 0\nmax 12\noom 1\noom_kill 3\noom_group_kill 1\n", True),
        ("low 0\nhigh 0\nmax 12\noom 0\noom_kill 0\noom_group_kill 0\n", False),
        ("max 0\noom 0\noom_kill 1\n", False),  # the machine had no memory left: not this command's doing
        ("", False),
    ],
)
def test_the_events_tell_whether_the_limit_ended_a_command(tmp_path: Path, events: str, overran: bool) -> None:
    (tmp_path / "memory.events").write_text(events)

    assert ControlGroup(tmp_path).overran() is overran
    assert not ControlGroup(tmp_path / "gone").overran()


def test_groups_of_dead_harnesses_are_removed(tmp_path: Path) -> None:
    with subprocess.Popen(["true"]) as gone:
        pass
    dead, living = tmp_path / f"trace2skill-{gone.pid}-abc", tmp_path / f"trace2skill-{os.getpid()}-abc"
    kept = [living, tmp_path / "trace2skill-harness", tmp_path / "others"]
    for path in [dead, *kept]:
        path.mkdir()

    cgroups._remove_left_over(tmp_path)

    assert sorted(tmp_path.iterdir()) == sorted(kept)


@pytest.mark.parametrize(
    ("parent", "said"),
    [
        (Parent(path=Path("/a"), problem=""), "memory limited by control groups in /a"),
        (Parent(path=None, problem="none"), "memory watched, without a control group (none)"),
    ],
)
def test_doctor_hears_which_of_the_two_holds(parent: Parent, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "find_parent", lambda: parent)

    assert probe.describe_limits() == said


@pytest.fixture
def real() -> Iterator[Path]:
    """A group of the kernel's, whatever its controllers."""
    mounts, own = (Path(f"/proc/self/{name}").read_text() for name in ("mountinfo", "cgroup"))
    for candidate in candidates(mounts, own, None):
        path = candidate.path / f"test-{os.getpid()}"
        try:
            path.mkdir()
        except OSError:
            continue
        yield path
        ControlGroup(path).remove()
        return
    pytest.skip("no group can be made here")


def lingering(group: Path) -> "subprocess.Popen[bytes]":
    """A process that enters a group and starts another one there."""
    process = subprocess.Popen(["/bin/sh", "-c", 'echo 0 > "$1"; sleep 100 & wait', "sh", str(group / "cgroup.procs")])
    while process.poll() is None and len((group / "cgroup.procs").read_text().split()) < 2:
        time.sleep(0.01)
    return process


def test_what_lingers_ends_with_its_group(real: Path) -> None:
    group = real / "trace2skill-1-a"
    group.mkdir()
    process = lingering(group)

    ControlGroup(group).remove()

    assert process.wait(10) == -9
    assert not group.exists()
    ControlGroup(group).remove()


def test_processes_are_moved_into_a_leaf(real: Path) -> None:
    process = lingering(real)

    cgroups._move_processes(real)

    harness = real / "trace2skill-harness"
    assert (real / "cgroup.procs").read_text() == ""
    assert str(process.pid) in (harness / "cgroup.procs").read_text().split()
    ControlGroup(harness).remove()
    process.wait(10)


@needs_bwrap
async def test_a_command_enters_its_group_and_does_not_see_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(bwrap, "find_parent", lambda: Parent(path=tmp_path, problem=""))
    box = await start(BubblewrapLimits(memory_mib=256))

    result = await box.exec(["sh", "-c", "cat /proc/1/cmdline /proc/self/cgroup /proc/self/mountinfo"])

    await stop(box)
    (group,) = tmp_path.iterdir()
    assert (group / "cgroup.procs").read_text() == "0\n"
    assert (group / "memory.max").read_text() == str(256 << 20)
    assert result.success
    assert group.name not in result.stdout
    assert (group / "cgroup.kill").read_text() == "1"
    assert "could not remove the control group" in caplog.text  # plain files do not vanish with their folder


@needs_bwrap
async def test_the_agent_reads_the_same_as_from_the_watch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bwrap, "find_parent", lambda: Parent(path=tmp_path, problem=""))
    monkeypatch.setattr(ControlGroup, "overran", lambda group: True)
    box = await start(BubblewrapLimits(memory_mib=256))
    # Like the kernel, which ends bubblewrap together with what runs in it: nobody is left to tell an exit status.
    launcher = box._launcher
    monkeypatch.setattr(
        type(launcher), "command", lambda *_, **__: (["sh", "-c", "kill -KILL $$"], launcher.folder.path / "status")
    )

    result = await box.exec(["true"])

    await stop(box)
    assert not result.success
    assert result.returncode == 137
    assert result.stderr == (
        "sandbox: the command was ended, because its processes together used more than 256 MiB of memory.\n"
    )


@needs_bwrap
async def test_without_a_group_a_command_runs_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bwrap, "find_parent", lambda: Parent(path=tmp_path / "taken-back", problem=""))
    box = await start()

    result = await box.exec(["echo", "here"])

    await stop(box)
    assert result.stdout == "here\n"
