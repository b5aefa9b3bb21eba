"""What a command in the bubblewrap sandbox may use of the machine."""

import os
import re
import resource

from pydantic import BaseModel, ConfigDict, PositiveInt

__all__ = ["BubblewrapLimits", "is_root", "limit_options"]


class BubblewrapLimits(BaseModel):
    """What a command in the sandbox may use; the optional configuration of `sandbox="bwrap"`.

    The kernel enforces them on each process alone, except where a field says otherwise. Where the harness can make
    control groups (`cgroups`), it also enforces those on the memory and the number of all processes of a command;
    `trace2skill doctor` says whether that is so, and `systemd-run --user --scope -p Delegate=yes ...` around the
    harness can make it so. Everywhere a thread looks at what processes and files take together, memory ten times and
    the disk once in a second, and ends the command when that is too much (`watch`): the machine must have room for
    what fast code can take in that time. For a hard limit on files put `TMPDIR` on a file system with a quota. Wall
    time has no limit here; `exec` has a timeout.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    memory_mib: PositiveInt = 4096
    """Memory in MiB: of all processes together, and of each one what is private and can be written (RLIMIT_DATA)."""

    address_space_mib: PositiveInt = 16384
    """Address space (RLIMIT_AS), in MiB. Larger than the memory, because LibreOffice and libraries for linear
    algebra reserve much more than they touch."""

    processes: PositiveInt = 512
    """Processes and threads of a sample together (RLIMIT_NPROC). On kernels before 5.14 a harness that is not
    root does not set it, because these count everything its user runs."""

    file_mib: PositiveInt = 1024
    """Size of one file (RLIMIT_FSIZE), in MiB."""

    disk_mib: PositiveInt = 4096
    """Size of all files of a sample together, in MiB. Once a sample has more, its commands can only delete."""

    files: PositiveInt = 100_000
    """Number of a sample's files, folders and links together; above it, as with `disk_mib`."""

    cpu_seconds: PositiveInt = 600
    """Processor time (RLIMIT_CPU), in seconds."""

    shm_mib: PositiveInt = 64
    """Size of `/dev/shm`, for a command and its children together, in MiB."""


def limit_options(limits: BubblewrapLimits, full: bool = False) -> list[str]:
    """Options of `prlimit`; a limit that the harness itself runs under is never raised.

    Args:
        limits: The limits.
        full: Whether the sample's files take all the space they may: no more can be written.
    """
    mib = 1024 * 1024
    wanted = {
        "data": (resource.RLIMIT_DATA, limits.memory_mib * mib),
        "as": (resource.RLIMIT_AS, limits.address_space_mib * mib),
        "fsize": (resource.RLIMIT_FSIZE, 0 if full else limits.file_mib * mib),
        "cpu": (resource.RLIMIT_CPU, limits.cpu_seconds),
        "core": (resource.RLIMIT_CORE, 0),
    }
    if is_root() or _counts_processes_per_namespace():
        wanted["nproc"] = (resource.RLIMIT_NPROC, limits.processes)
    options = []
    for name, (kind, value) in wanted.items():
        hard = resource.getrlimit(kind)[1]
        options.append(f"--{name}={value if hard == resource.RLIM_INFINITY else min(value, hard)}")
    return options


def _counts_processes_per_namespace() -> bool:
    """Whether the kernel counts a user's processes apart in each user namespace (Linux 5.14 and later)."""
    version = re.match(r"(\d+)\.(\d+)", os.uname().release)
    return version is not None and (int(version[1]), int(version[2])) >= (5, 14)


def is_root() -> bool:
    """Whether the harness runs as root, who starts the sandbox in another way than other users."""
    return os.geteuid() == 0
