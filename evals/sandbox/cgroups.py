"""Control groups of version 2: the kernel's own limit on what all processes of a command use together.

Few processes may make a group that limits memory. A folder of the control group tree serves as the parent of our
groups if it has processes in none but its groups (or is the root), and if its controllers are enabled for these:

* the folder that the environment variable `TRACE2SKILL_CGROUP` names (`off`: none), or without it
* the harness's own group, where systemd marked it as delegated, as `systemd-run --user --scope -p Delegate=yes`
  does, or where it is a root; and then
* as root, the root of the tree.

What is named or delegated belongs to the harness alone, which may therefore move the processes there into a
group of their own. Elsewhere nothing is moved, and no controller is enabled outside a root. Where no parent is
found, and beside every group, `watch` looks at the processes.

This module needs the standard library alone.
"""

import contextlib
import errno
import os
import re
import subprocess
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from uuid import uuid4

__all__ = ["VARIABLE", "ControlGroup", "Parent", "candidates", "find_parent", "usable_parent"]

VARIABLE = "TRACE2SKILL_CGROUP"
"""Environment variable that names the parent of the groups, or is `off`."""

_PREFIX = "trace2skill-"
_HARNESS = f"{_PREFIX}harness"
_CONTROLLERS = ("memory", "pids")
_ATTRIBUTE = "user.delegate"  # systemd 251 and later, in its CGROUP_DELEGATION.md
_OWN_PROCESSES = 2  # bubblewrap, and the first process inside
_TRIAL_SECONDS = 10
_REMOVAL_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class Parent:
    """Outcome of the search for a parent of our groups: its folder, or what is wrong with each candidate."""

    path: Path | None
    problem: str


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A folder that might become the parent.

    Attributes:
        path: The folder.
        delegated: Whether it is the harness's alone, so that processes there may be moved.
    """

    path: Path
    delegated: bool


@dataclass(frozen=True)
class ControlGroup:
    """The group of one command. Made before the command starts, and removed when it is over.

    Attributes:
        path: Its folder.
    """

    path: Path

    @classmethod
    def create(cls, parent: Path, *, memory: int, processes: int) -> "ControlGroup":
        """Makes a group.

        Args:
            parent: A parent that was found usable.
            memory: Bytes that all processes may take together, of memory and of swap.
            processes: Number of processes and threads, apart from the two of bubblewrap.

        Raises:
            OSError: The kernel refuses.
        """
        group = cls(parent / f"{_PREFIX}{os.getpid()}-{uuid4().hex[:12]}")
        group.path.mkdir()
        try:
            _write(group.path / "memory.max", memory)
            with contextlib.suppress(OSError):  # a kernel without swap
                _write(group.path / "memory.swap.max", 0)
            _write(group.path / "memory.oom.group", 1)
            _write(group.path / "pids.max", processes + _OWN_PROCESSES)
        except OSError:
            group.remove()
            raise
        return group

    @property
    def entrance(self) -> Path:
        """The file that a process writes its id to, or 0, to enter with all that it starts."""
        return self.path / "cgroup.procs"

    def overran(self) -> bool:
        """Whether the kernel ended processes because the group reached its limit, and not because of another's."""
        try:
            lines = (self.path / "memory.events").read_text(encoding="ascii").splitlines()
        except OSError:
            return False
        events = dict(line.split() for line in lines if len(line.split()) == 2)
        return events.get("oom", "0") != "0" and events.get("oom_kill", "0") != "0"

    def remove(self) -> None:
        """Kills what is left in the group and removes it.

        Raises:
            OSError: Something in it does not end.
        """
        with contextlib.suppress(OSError):  # before Linux 5.14 processes end with bubblewrap alone
            _write(self.path / "cgroup.kill", 1)
        deadline = time.monotonic() + _REMOVAL_SECONDS
        while True:
            try:
                self.path.rmdir()
            except FileNotFoundError:
                return
            except OSError as error:
                if error.errno != errno.EBUSY or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)  # a killed process takes a moment
            else:
                return


@cache
def find_parent() -> Parent:
    """Looks for a usable parent on this machine, trying it out; remembers the answer."""
    named = os.environ.get(VARIABLE)
    if named == "off":
        return Parent(path=None, problem=f"{VARIABLE} is off")
    try:
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
        own = Path("/proc/self/cgroup").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        return Parent(path=None, problem=str(error))
    problems = []
    for candidate in candidates(mounts, own, named):
        problem = usable_parent(candidate) or _trial(candidate.path)
        if problem is None:
            _remove_left_over(candidate.path)
            return Parent(path=candidate.path, problem="")
        problems.append(f"{candidate.path}: {problem}")
    return Parent(path=None, problem="; ".join(problems) or "no control groups of version 2 are mounted")


def candidates(mounts: str, own: str, named: str | None) -> list[Candidate]:
    """The folders to try, best first.

    Args:
        mounts: Content of `/proc/self/mountinfo`.
        own: Content of `/proc/self/cgroup`.
        named: Folder that the user named, if any.
    """
    if named:
        return [Candidate(path=Path(named), delegated=True)]
    mount = re.search(r"^\d+ \d+ \S+ (\S+) (\S+) .* - cgroup2 ", mounts, re.MULTILINE)
    group = re.search(r"^0::(/.*)$", own, re.MULTILINE)
    if mount is None:
        return []
    top = Path(_unescaped(mount[2]))
    found = []
    if group is not None:
        with contextlib.suppress(ValueError):  # what is mounted is another part of the tree
            path = top / Path(group[1]).relative_to(_unescaped(mount[1]))
            path = path.parent if path.name == _HARNESS else path
            if ".." not in path.parts:
                found.append(Candidate(path=path, delegated=_is_delegated(path)))
    if os.geteuid() == 0 and top not in [each.path for each in found]:
        found.append(Candidate(path=top, delegated=False))
    return found


def usable_parent(candidate: Candidate) -> str | None:
    """Enables the controllers for the groups in a folder; returns why that is not possible, or None."""
    path = candidate.path
    try:
        available = _words(path / "cgroup.controllers")
        missing = [name for name in _CONTROLLERS if name not in available]
        if missing:
            return f"it has no controller {' or '.join(missing)}"
        off = [name for name in _CONTROLLERS if name not in _words(path / "cgroup.subtree_control")]
        if not off:
            return None
        if (path / "cgroup.events").exists():  # the root, where processes may stay, has no such file
            if not candidate.delegated:
                return f"{' and '.join(off)} {'is' if len(off) == 1 else 'are'} not enabled for groups in it"
            _move_processes(path)
        _write(path / "cgroup.subtree_control", " ".join(f"+{name}" for name in off))
    except OSError as error:
        return str(error)
    return None


def _move_processes(path: Path) -> None:
    """Moves the processes of a folder into a group in it: the kernel wants them in leaves."""
    harness = path / _HARNESS
    harness.mkdir(exist_ok=True)
    for _ in range(10):  # a process may start another one meanwhile
        processes = _words(path / "cgroup.procs")
        if not processes:
            return
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                _write(harness / "cgroup.procs", process)


def _trial(parent: Path) -> str | None:
    """What goes wrong when a process enters a group in a folder, or None."""
    try:
        group = ControlGroup.create(parent, memory=64 << 20, processes=8)
        try:
            subprocess.run(
                ["/bin/sh", "-c", 'echo 0 > "$1"', "sh", str(group.entrance)],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_TRIAL_SECONDS,
                check=True,
            )
        finally:
            group.remove()
    except subprocess.CalledProcessError as error:
        return f"no process may enter a group in it ({error.stderr.decode(errors='replace').strip() or error})"
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return None


def _remove_left_over(parent: Path) -> None:
    """Removes the empty groups of harnesses that were killed."""
    for path in parent.glob(f"{_PREFIX}*-*"):
        process = path.name.removeprefix(_PREFIX).partition("-")[0]
        if process.isdecimal() and not Path(f"/proc/{process}").exists():
            with contextlib.suppress(OSError):
                path.rmdir()


def _is_delegated(path: Path) -> bool:
    try:
        return os.getxattr(path, _ATTRIBUTE) == b"1"
    except OSError:
        return False


def _unescaped(path: str) -> str:
    """A path of mountinfo, which writes blanks and the like as octal numbers."""
    return re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), path)


def _words(path: Path) -> list[str]:
    return path.read_text(encoding="ascii").split()


def _write(path: Path, value: object) -> None:
    path.write_text(str(value), encoding="ascii")
