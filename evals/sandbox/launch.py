"""How a command is started in the bubblewrap sandbox.

A command runs as `env -i sh bwrap setpriv prlimit COMMAND`, each link with one purpose:

* `env -i` empties the environment before anything else starts: the environment that `bwrap` itself was given
  stays readable in the sandbox, in `/proc/1/environ`, whatever it clears later.
* `sh` enters the command's control group, if there is one, and opens the files with bubblewrap's options and
  filter, which keeps host paths out of `ps` inside.
* `bwrap` makes the namespaces: mounts, processes, network, IPC, host name, and users where the harness is not
  root. It dies with the harness, and everything inside dies with it.
* `setpriv`, only where the harness is root, becomes the sample's own unprivileged user. Root without a user
  namespace is the stronger choice: the kernel counts processes per user and never limits root's, and a root
  that lost its capabilities still owns root's files. In both cases code cannot make user namespaces of its own:
  `seccomp` filters those and other system calls.
* `prlimit` sets the limits.
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from evals.sandbox.cgroups import ControlGroup
from evals.sandbox.interpreter import PYTHON, python_environment
from evals.sandbox.limits import BubblewrapLimits, is_root, limit_options
from evals.sandbox.mounts import HOME, USER, SampleFolder, mount_arguments
from evals.sandbox.seccomp import filter_program
from trace2skill.errors import Trace2SkillError

__all__ = ["FIRST_UID", "LAST_UID", "SYSTEM_PATH", "Launcher", "sandbox_environment", "was_started"]

# First and last user id that root gives to sandboxes: systemd's range for short-lived users, in which no
# account of a person or a package lies.
FIRST_UID, LAST_UID = 61184, 65519

SYSTEM_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
"""Where the programs that start the sandbox are looked up: no folder that others can write."""

_NAMESPACES = ("--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try")
_START = """
bwrap=$1 options=$2 status=$3 filter=$4 group=$5; shift 5
[ -z "$group" ] || { echo 0 > "$group"; } 2>/dev/null  # if not, the watch goes on
exec "$bwrap" --args 3 --json-status-fd 4 "$@" 3<"$options" 4>"$status" 5<"$filter"
"""


@dataclass(frozen=True, kw_only=True)
class Launcher:
    """Starts commands in one sample's sandbox.

    Attributes:
        bwrap: The bubblewrap program.
        folder: The sample's folders.
        limits: What a command may use.
    """

    bwrap: str
    folder: SampleFolder
    limits: BubblewrapLimits

    def write_options(self) -> None:
        """Writes the file of bubblewrap options that every start reads. Call it once, before the first."""
        options = ["--die-with-parent", "--new-session", "--hostname", "sandbox", *_NAMESPACES]
        options += ["--cap-drop", "ALL"]
        if is_root():
            options += ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
        else:
            options += ["--unshare-user", "--disable-userns", "--uid", "1000", "--gid", "1000"]
        options += mount_arguments(self.folder, self.limits.shm_mib)
        program = filter_program()
        self._filter.write_bytes(program or b"")
        if program is not None:
            options += ["--seccomp", "5"]
        self._options.write_bytes(b"".join(os.fsencode(option) + b"\0" for option in options))

    def command(
        self, cmd: list[str], cwd: str, env: dict[str, str], full: bool = False, group: ControlGroup | None = None
    ) -> tuple[list[str], Path]:
        """The host command that runs `cmd` in the sandbox, and the file that tells whether it ran.

        Args:
            cmd: Command and arguments.
            cwd: Absolute working folder inside.
            env: Variables on top of the sandbox's own.
            full: Whether the sample's files take all the space they may.
            group: The control group to run it in.

        Returns:
            The host command, which wants `/` as its working folder, and the path for `was_started`.
        """
        status = self.folder.path / f"status-{uuid4().hex}"
        start = [_program("env"), "-i", "/bin/sh", "-c", _START, "sh"]
        start += [self.bwrap, str(self._options), str(status), str(self._filter)]
        start += [str(group.entrance) if group else "", "--chdir", cwd]
        for name, value in {**sandbox_environment(), **env}.items():
            start += ["--setenv", name, value]
        start.append("--")
        if is_root():
            uid = self.folder.uid
            start += [
                _program("setpriv"),
                f"--reuid={uid}",
                f"--regid={uid}",
                "--clear-groups",
                "--inh-caps=-all",
            ]
        return [*start, _program("prlimit"), *limit_options(self.limits, full), "--", *cmd], status

    @property
    def _filter(self) -> Path:
        return self.folder.path / "filter"

    @property
    def _options(self) -> Path:
        return self.folder.path / "options"


def was_started(status: Path) -> bool:
    """Whether bubblewrap got as far as running the command; removes its status file."""
    text = status.read_text(encoding="utf-8") if status.exists() else ""
    status.unlink(missing_ok=True)
    return '"exit-code"' in text


def sandbox_environment() -> dict[str, str]:
    """The whole environment of a command, apart from what the caller adds.

    Linear algebra runs in one thread: results do not depend on the number of processors, samples run side by
    side anyway, and each further thread reserves memory. Hashes of strings are fixed for the same reason.
    """
    return {
        "PATH": f"{PYTHON}/bin:/usr/local/bin:/usr/bin:/bin",
        "HOME": HOME,
        "USER": USER,
        "LOGNAME": USER,
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONHASHSEED": "0",
        **python_environment(),
    }


def _program(name: str) -> str:
    """Absolute path of a system program."""
    found = shutil.which(name, path=SYSTEM_PATH)
    if found is None:
        raise Trace2SkillError(f"sandbox=bwrap needs the program {name} in one of {SYSTEM_PATH}; install it.")
    return found
