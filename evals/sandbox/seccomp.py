"""The system calls that model-written code may not make, as a filter for bubblewrap's `--seccomp`.

Namespaces and missing capabilities forbid most of this already. The filter takes whole parts of the kernel out of
reach in which errors have let code escape, and those ways to memory that no limit counts (memfd, System V shared
memory). Neither Python with its libraries nor LibreOffice needs any of them.

The filter is classic BPF: the kernel runs it on `struct seccomp_data` (number at 0, architecture at 4, arguments
from 16) before each system call. Numbers are from the kernel's `unistd_64.h` and `asm-generic/unistd.h`.
"""

import errno
import os
import struct

__all__ = ["denied_calls", "filter_program"]

# Name -> (x86_64, aarch64).
_DENIED = {
    # Other processes
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "kcmp": (312, 272),
    "pidfd_getfd": (438, 438),
    # Mounts and namespaces
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "setns": (308, 268),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "open_tree_attr": (467, 467),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "fanotify_init": (300, 262),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    # Keys, programs and rings in the kernel
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "userfaultfd": (323, 282),
    # Memory that no limit counts
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "shmget": (29, 194),
    # The machine
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "acct": (163, 89),
    "syslog": (103, 116),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "adjtimex": (159, 171),
    "clock_adjtime": (305, 266),
}
_CLONE = (56, 220)
_UNSHARE = (272, 97)
_CLONE3 = (435, 435)
_SOCKET = (41, 198)
_IOCTL = (16, 29)

# AUDIT_ARCH_X86_64 and AUDIT_ARCH_AARCH64.
_ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
_X32_BIT = 0x40000000
# CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET. NEWTIME only apart: in clone its bit is a signal's.
_NEW_NAMESPACES = 0x00020000 | 0x02000000 | 0x04000000 | 0x08000000 | 0x10000000 | 0x20000000 | 0x40000000
_NEW_TIME = 0x00000080
# Unix, IPv4, IPv6, and netlink, with which the C library lists interfaces. Others, such as vsock, are not namespaced.
_FAMILIES = (1, 2, 10, 16)
_TERMINAL_INPUT = (0x5412, 0x541C)  # TIOCSTI, TIOCLINUX

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _FIRST, _SECOND = 0, 4, 16, 24
_ALLOW, _KILL, _ERROR = 0x7FFF0000, 0x80000000, 0x00050000


def denied_calls(machine: str | None = None) -> dict[str, int]:
    """Names and numbers of the system calls that always fail; empty on an architecture without a filter."""
    known = _ARCHITECTURES.get(machine or os.uname().machine)
    return {name: numbers[known[0]] for name, numbers in _DENIED.items()} if known else {}


def filter_program(machine: str | None = None) -> bytes | None:
    """The filter as an array of `struct sock_filter`, or None on an architecture that it is not written for.

    Denied calls fail with EPERM, as for a user who may not; `clone3` with ENOSYS, whose flags a filter cannot
    read, so that the C library falls back to `clone`. A call of another architecture ends the process.
    """
    known = _ARCHITECTURES.get(machine or os.uname().machine)
    if known is None:
        return None
    column, audit = known
    denied = _ERROR | errno.EPERM
    program = [_op(_LOAD, _ARCHITECTURE), _op(_EQUAL, audit, 1, 0), _op(_RETURN, _KILL), _op(_LOAD, _NUMBER)]
    if column == 0:  # the second set of numbers that x86_64 has
        program += [_op(_AT_LEAST, _X32_BIT, 0, 1), _op(_RETURN, _ERROR | errno.ENOSYS)]
    for numbers in _DENIED.values():
        program += [_op(_EQUAL, numbers[column], 0, 1), _op(_RETURN, denied)]
    program += [_op(_EQUAL, _CLONE3[column], 0, 1), _op(_RETURN, _ERROR | errno.ENOSYS)]
    program += _arguments(_CLONE[column], _FIRST, [_op(_ANY_BIT, _NEW_NAMESPACES, 0, 1), _op(_RETURN, denied)])
    unshare = [_op(_ANY_BIT, _NEW_NAMESPACES | _NEW_TIME, 0, 1), _op(_RETURN, denied)]
    program += _arguments(_UNSHARE[column], _FIRST, unshare)
    ioctl = [word for code in _TERMINAL_INPUT for word in (_op(_EQUAL, code, 0, 1), _op(_RETURN, denied))]
    program += _arguments(_IOCTL[column], _SECOND, ioctl)
    sockets = [_op(_EQUAL, family, len(_FAMILIES) - place, 0) for place, family in enumerate(_FAMILIES)]
    sockets.append(_op(_RETURN, _ERROR | errno.EAFNOSUPPORT))
    program += _arguments(_SOCKET[column], _FIRST, sockets)
    return b"".join([*program, _op(_RETURN, _ALLOW)])


def _op(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    """One instruction; the jumps say how many of the next instructions to leave out."""
    return struct.pack("=HBBI", code, if_true, if_false, value)


def _arguments(number: int, offset: int, checks: list[bytes]) -> list[bytes]:
    """Checks on an argument of one system call; what passes them is allowed."""
    checks = [_op(_LOAD, offset), *checks, _op(_RETURN, _ALLOW)]
    return [_op(_EQUAL, number, 0, len(checks)), *checks]
