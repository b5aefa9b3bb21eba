"""The filter of system calls: its form, and what it denies to real code."""

import struct

import pytest

from evals.sandbox.bwrap import BubblewrapSandbox
from evals.sandbox.probe import find_bwrap
from evals.sandbox.seccomp import denied_calls, filter_program

JUMP, RETURN = 0x05, 0x06


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_every_jump_stays_inside_and_every_path_returns(machine: str) -> None:
    program = filter_program(machine)
    assert program is not None
    operations = list(struct.iter_unpack("=HBBI", program))
    for place, (code, if_true, if_false, _) in enumerate(operations):
        if code & 0x07 == JUMP:
            assert place + 1 + max(if_true, if_false) < len(operations)
    assert operations[-1][0] == RETURN
    assert len(operations) < 4096


def run(program: bytes, number: int, *arguments: int, architecture: int = 0xC000003E) -> int:
    """What the filter returns for a call, as the kernel would work it out."""
    data = struct.pack("<IIQ6Q", number, architecture, 0, *arguments, *[0] * (6 - len(arguments)))
    operations = list(struct.iter_unpack("=HBBI", program))
    place, register = 0, 0
    while True:
        code, if_true, if_false, value = operations[place]
        place += 1
        if code == RETURN:
            return int(value)
        if code == 0x20:
            register = struct.unpack_from("<I", data, value)[0]
        else:
            holds = {0x15: register == value, 0x35: register >= value, 0x45: bool(register & value)}[code]
            place += if_true if holds else if_false


ALLOW, KILL, EPERM, ENOSYS, EAFNOSUPPORT = 0x7FFF0000, 0x80000000, 0x50001, 0x50026, 0x50061


@pytest.mark.parametrize(
    ("call", "arguments", "expected"),
    [
        (0, (), ALLOW),  # read
        (101, (), EPERM),  # ptrace
        (435, (), ENOSYS),  # clone3
        (0x40000000 | 101, (), ENOSYS),  # ptrace by its x32 number
        (56, (0x01200011,), ALLOW),  # clone, as fork does it
        (56, (0x003D0F00,), ALLOW),  # clone, as threads do
        (56, (0x10000011,), EPERM),  # clone into a new user namespace
        (272, (0x10000000,), EPERM),  # unshare the user namespace
        (272, (0x00000080,), EPERM),  # unshare the time namespace
        (272, (0x00000400,), ALLOW),  # unshare the file table
        (41, (1,), ALLOW),
        (41, (2,), ALLOW),
        (41, (10,), ALLOW),
        (41, (16,), ALLOW),
        (41, (40,), EAFNOSUPPORT),  # vsock
        (41, (38,), EAFNOSUPPORT),  # the kernel's cryptography
        (16, (0, 0x5412), EPERM),  # push a character into the terminal
        (16, (0, 0x5401), ALLOW),
    ],
)
def test_calls_on_x86_64(call: int, arguments: tuple[int, ...], expected: int) -> None:
    program = filter_program("x86_64")
    assert program is not None
    assert run(program, call, *arguments) == expected


def test_calls_of_another_architecture_end_the_process() -> None:
    program = filter_program("aarch64")
    assert program is not None
    assert run(program, 0) == KILL
    assert run(program, 117, architecture=0xC00000B7) == EPERM
    assert run(program, 0x40000000 | 117, architecture=0xC00000B7) == ALLOW  # no such call there


def test_an_unknown_architecture_has_no_filter() -> None:
    assert filter_program("sparc") is None
    assert denied_calls("sparc") == {}


@pytest.mark.skipif(find_bwrap().path is None, reason=f"bubblewrap is unusable here: {find_bwrap().problem}")
@pytest.mark.skipif(not denied_calls(), reason="no filter for this architecture")
async def test_the_kernel_denies_every_call() -> None:
    environments = await BubblewrapSandbox.sample_init("task", None, {})
    code = f"""
import ctypes, errno
libc = ctypes.CDLL(None, use_errno=True)
for name, number in {denied_calls()!r}.items():
    if libc.syscall(number, 0, 0, 0, 0, 0, 0) != -1 or ctypes.get_errno() != errno.EPERM:
        print(name, ctypes.get_errno())
print("asked", open("/proc/self/status").read().split("Seccomp:")[1].split()[0])
"""
    result = await environments["default"].exec(["python3", "-c", code])
    await BubblewrapSandbox.sample_cleanup("task", None, environments, False)
    assert result.stdout == "asked 2\n", result.stderr
