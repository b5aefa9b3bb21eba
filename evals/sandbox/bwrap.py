"""The `bwrap` sandbox of Inspect: model-written code on this machine, without a container engine.

    inspect eval evals/spreadsheet.py -T sandbox=bwrap

or, with other limits, `Task(sandbox=SandboxEnvironmentSpec("bwrap", BubblewrapLimits(memory_mib=8192)))`.

Each command runs in namespaces of its own: no network, no processes but its own, a read-only system, and
nothing of the host's home, checkout, data or environment (`mounts` says what is visible, `launch` how it is
done). The files of a sample (`/workspace`, `/tmp`, the home) last until the sample ends. Processes do not
outlive the command that started them, so tools that keep a server in the sandbox (`bash_session`,
`exec_remote`) need `sandbox="docker"`.

A harness that was killed leaves its folders behind; `inspect sandbox cleanup bwrap` removes them.
"""

import errno
import logging
import posixpath
from pathlib import Path
from typing import Any, Literal, overload

import anyio.to_thread
from inspect_ai.util import (
    ExecResult,
    OutputLimitExceededError,
    SandboxEnvironment,
    SandboxEnvironmentConfigType,
    SandboxEnvironmentLimits,
    SandboxUnavailableError,
    SandboxUserUnsupportedError,
    sandboxenv,
    subprocess,
)

from evals.sandbox.cgroups import ControlGroup, find_parent
from evals.sandbox.launch import FIRST_UID, LAST_UID, Launcher, was_started
from evals.sandbox.limits import BubblewrapLimits, is_root
from evals.sandbox.mounts import USER, WORKSPACE, create_folder, remove_folder, samples_folder
from evals.sandbox.probe import require_bwrap
from evals.sandbox.watch import Watch, disk_problem, too_much_memory
from trace2skill.errors import Trace2SkillError

__all__ = ["BubblewrapLimits", "BubblewrapSandbox"]

_log = logging.getLogger(__name__)

_FILE_SECONDS = 120
_MESSAGE_BYTES = 10_000
_NO_WORKING_FOLDER = "bwrap: Can't chdir to"

# Files are read and written by the sandbox's user inside the sandbox, so a link that model-written code
# planted leads nowhere the code could not go itself, and there is no moment between a check and the use.
# Exit status: 66 no such file, 67 it is a folder, 68 not permitted.
_READ = """
[ -e "$1" ] || exit 66
[ ! -d "$1" ] || exit 67
[ -f "$1" ] && [ -r "$1" ] || exit 68
exec head -c "$2" -- "$1"
"""
_WRITE = """
[ ! -d "$1" ] || exit 67
[ ! -e "$1" ] || [ -f "$1" ] || exit 68
mkdir -p -- "${1%/*}/" && true >> "$1" || exit 68
cat > "$1"
"""

_uids_in_use: set[int] = set()


@sandboxenv(name="bwrap")
class BubblewrapSandbox(SandboxEnvironment):
    """A sample's sandbox. Every call of `exec` starts it anew around the sample's files."""

    def __init__(self, launcher: Launcher) -> None:
        super().__init__()
        self._launcher = launcher

    @classmethod
    def default_concurrency(cls) -> int | None:
        """No maximum: an idle sandbox is a folder, and Inspect limits how many subprocesses run at once."""
        return None

    @classmethod
    def config_deserialize(cls, config: dict[str, Any]) -> BubblewrapLimits:
        """The limits that a log or a command line carries."""
        return BubblewrapLimits.model_validate(config)

    @classmethod
    async def task_init(cls, task_name: str, config: SandboxEnvironmentConfigType | None) -> None:
        """Checks, once per process, that this machine can start the sandbox.

        Raises:
            Trace2SkillError: It cannot, or the configuration is not a `BubblewrapLimits`.
        """
        _limits(config)
        await anyio.to_thread.run_sync(require_bwrap)

    @classmethod
    async def sample_init(
        cls, task_name: str, config: SandboxEnvironmentConfigType | None, metadata: dict[str, str]
    ) -> dict[str, SandboxEnvironment]:
        """Creates the sample's folders, and as root takes a user id that no other running sample has."""
        bwrap, limits = require_bwrap(), _limits(config)
        folder = create_folder(_take_uid() if is_root() else None)
        launcher = Launcher(bwrap=bwrap, folder=folder, limits=limits)
        launcher.write_options()
        return {"default": cls(launcher)}

    @classmethod
    async def sample_cleanup(
        cls,
        task_name: str,
        config: SandboxEnvironmentConfigType | None,
        environments: dict[str, SandboxEnvironment],
        interrupted: bool,
    ) -> None:
        """Removes the sample's folders, also after an interruption."""
        for environment in environments.values():
            folder = environment.as_type(BubblewrapSandbox)._launcher.folder
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(_remove, folder.path)
            _uids_in_use.discard(folder.uid)

    @classmethod
    async def cli_cleanup(cls, id: str | None) -> None:
        """Removes the named folder, or all of this user; with no harness running, those are left-overs."""
        remove_folder(samples_folder() / id if id else samples_folder())

    async def exec(
        self,
        cmd: list[str],
        input: str | bytes | None = None,
        cwd: str | None = None,
        env: dict[str, str] | None = None,
        user: str | None = None,
        timeout: int | None = None,
        timeout_retry: bool = True,
        concurrency: bool = True,
    ) -> ExecResult[str]:
        """Runs a command; see `SandboxEnvironment.exec` for the contract.

        Of each output stream the last `MAX_EXEC_OUTPUT_SIZE` bytes are kept. On a timeout everything the
        command started is killed, and it is not tried again.
        """
        if user not in (None, USER):
            raise SandboxUserUnsupportedError(f"sandbox=bwrap runs commands as {USER!r} only, not as {user!r}.")
        limit = SandboxEnvironmentLimits.MAX_EXEC_OUTPUT_SIZE
        result = await self._run(cmd, limit, input, cwd, env, timeout, concurrency)
        stdout, stderr = result.stdout.decode(errors="replace"), result.stderr.decode(errors="replace")
        if result.returncode == 126 and stderr.startswith("prlimit: failed to execute"):
            raise PermissionError(f"Permission denied executing {cmd[0]}")
        return ExecResult(result.success, result.returncode, stdout, stderr)

    async def write_file(self, file: str, contents: str | bytes) -> None:
        """Writes a file as the sandbox's user, creating its parents; relative to the workspace.

        Raises:
            IsADirectoryError: The path is a folder.
            PermissionError: The sandbox's user may not write there, or a link leads out of the sandbox.
            OSError: The file is larger than the limits allow, or the disk is full.
        """
        await self._file_command(_WRITE, file, 0, contents)

    @overload
    async def read_file(self, file: str, text: Literal[True] = True) -> str: ...

    @overload
    async def read_file(self, file: str, text: Literal[False]) -> bytes: ...

    async def read_file(self, file: str, text: bool = True) -> str | bytes:
        """Reads a regular file as the sandbox's user; relative to the workspace.

        Raises:
            FileNotFoundError: There is no such file in the sandbox; a link to a host file counts as none.
            IsADirectoryError: The path is a folder.
            PermissionError: The sandbox's user may not read it, or it is a pipe, socket or device.
            UnicodeDecodeError: `text` was asked for and it is not UTF-8.
            OutputLimitExceededError: It is larger than `MAX_READ_FILE_SIZE`.
        """
        limit = SandboxEnvironmentLimits.MAX_READ_FILE_SIZE
        contents = await self._file_command(_READ, file, limit + 1)
        if len(contents) > limit:
            raise OutputLimitExceededError(SandboxEnvironmentLimits.MAX_READ_FILE_SIZE_STR, None)
        return contents.decode("utf-8") if text else contents

    async def _file_command(self, script: str, file: str, limit: int, contents: str | bytes = b"") -> bytes:
        """Runs a script on a file inside and turns its exit status into the error that Inspect documents."""
        path = posixpath.join(WORKSPACE, file)
        result = await self._run(
            ["/bin/sh", "-c", script, "sh", path, str(limit)],
            max(limit, _MESSAGE_BYTES),
            contents,
            env={"PATH": "/usr/bin:/bin"},
            timeout=_FILE_SECONDS,
            concurrency=False,
        )
        match result.returncode:
            case 0:
                return result.stdout
            case 66:
                raise FileNotFoundError(errno.ENOENT, "No such file in the sandbox", file)
            case 67:
                raise IsADirectoryError(errno.EISDIR, "Is a directory in the sandbox", file)
            case 68:
                raise PermissionError(errno.EACCES, "Permission denied in the sandbox", file)
        reason = result.stderr.decode(errors="replace").strip() or f"exit status {result.returncode}"
        raise OSError(f"The sandbox could not access {file}: {reason}")

    async def _run(
        self,
        cmd: list[str],
        output_limit: int,
        input: str | bytes | None = None,
        cwd: str | None = None,
        env: dict[str, str] | None = None,
        timeout: int | None = None,
        concurrency: bool = True,
    ) -> ExecResult[bytes]:
        """Starts the sandbox around one command.

        Raises:
            SandboxUnavailableError: The sandbox did not start.
        """
        launcher = self._launcher
        full = await anyio.to_thread.run_sync(disk_problem, launcher.folder, launcher.limits)
        where = posixpath.join(WORKSPACE, cwd) if cwd else WORKSPACE
        group = await anyio.to_thread.run_sync(_group, launcher.limits)
        command, status = launcher.command(cmd, where, env or {}, full=full is not None, group=group)
        watch = Watch(status, launcher.folder, launcher.limits, full=full is not None)
        overran = False
        try:
            with watch:
                result = await subprocess(
                    command,
                    text=False,
                    input=input,
                    cwd="/",
                    output_limit=output_limit,
                    timeout=timeout,
                    concurrency=concurrency,
                )
        finally:
            started = was_started(status)
            if group is not None:
                with anyio.CancelScope(shield=True):
                    overran = await anyio.to_thread.run_sync(_close, group)
        reason = result.stderr.decode(errors="replace").strip()
        if not started and not overran and not reason.startswith(_NO_WORKING_FOLDER):
            raise SandboxUnavailableError(f"sandbox=bwrap could not start: {reason or result.returncode}")
        return _with_notes(result, full, watch.problem or (too_much_memory(launcher.limits) if overran else None))


def _with_notes(result: ExecResult[bytes], full: str | None, ended: str | None) -> ExecResult[bytes]:
    """The result, with what the sandbox did to the command at the end of its error stream."""
    notes = [f"sandbox: {full}; until some are deleted, nothing can be written.\n"] if full else []
    notes += [f"sandbox: the command was ended, because {ended}.\n"] if ended else []
    if not notes:
        return result
    stderr = b"".join([result.stderr, *(note.encode() for note in notes)])
    # Of a command that was killed bubblewrap tells a status as a shell does, unless the kernel killed it as well.
    status = 128 - result.returncode if result.returncode < 0 else result.returncode
    return ExecResult(result.success and not ended, status, result.stdout, stderr)


def _group(limits: BubblewrapLimits) -> ControlGroup | None:
    """A control group for one command, or None where only the watch limits it."""
    parent = find_parent().path
    if parent is None:
        return None
    try:
        return ControlGroup.create(parent, memory=limits.memory_mib << 20, processes=limits.processes)
    except OSError as error:  # what was delegated may be taken back
        _log.warning("sandbox=bwrap could not make a control group and watches instead: %s", error)
        return None


def _close(group: ControlGroup) -> bool:
    """Removes a command's group; returns whether its memory limit ended the command."""
    overran = group.overran()
    try:
        group.remove()
    except OSError as error:
        _log.warning("sandbox=bwrap could not remove the control group %s: %s", group.path, error)
    return overran


def _remove(path: Path) -> None:
    """Removes a sample's folder; the sample's score does not depend on whether that works."""
    try:
        remove_folder(path)
    except OSError as error:
        _log.warning("sandbox=bwrap could not remove %s: %s. `inspect sandbox cleanup bwrap` tries again.", path, error)


def _limits(config: SandboxEnvironmentConfigType | None) -> BubblewrapLimits:
    """The limits to apply, the default ones without a configuration."""
    if config is None:
        return BubblewrapLimits()
    if not isinstance(config, BubblewrapLimits):
        raise Trace2SkillError(
            f"sandbox=bwrap takes a BubblewrapLimits as its configuration, or nothing; got {config!r}."
        )
    return config


def _take_uid() -> int:
    """Reserves the lowest user id that no running sample of this process has.

    Another harness process may use the same one: its samples then share the limit on processes, and nothing
    else, since each sees only its own files and processes.
    """
    uid = next((uid for uid in range(FIRST_UID, LAST_UID) if uid not in _uids_in_use), LAST_UID)
    _uids_in_use.add(uid)
    return uid
