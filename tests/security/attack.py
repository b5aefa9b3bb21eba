"""Runs all probes as the user of this process, and prints a report as JSON.

    python -m tests.security.attack

In a process of its own, because the probes run as root and as a user who is not.
"""

import contextlib
import ctypes
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import anyio
import anyio.to_thread

from evals.sandbox.bwrap import BubblewrapSandbox
from evals.sandbox.mounts import samples_folder
from tests.security.probes import LIMITS, PREAMBLE, PROBES, Probe

REPOSITORY = Path(__file__).parents[2]


def serve(server: socket.socket, token: str) -> None:
    """Sends the token to whoever connects or writes."""
    while True:
        try:
            if server.type == socket.SOCK_DGRAM:
                server.sendto(token.encode(), server.recvfrom(100)[1])
            else:
                with server.accept()[0] as peer:
                    peer.sendall(token.encode())
        except OSError:
            return


def file_handle(path: Path) -> tuple[int, bytes]:
    """What `open_by_handle_at` takes for a file, if this system has it."""

    class Handle(ctypes.Structure):
        _fields_ = (("size", ctypes.c_uint), ("kind", ctypes.c_int), ("data", ctypes.c_ubyte * 128))

    handle, mount = Handle(128), ctypes.c_int()
    ctypes.CDLL(None).name_to_handle_at(-100, os.fsencode(path), ctypes.byref(handle), ctypes.byref(mount), 0)
    return handle.kind, bytes(handle.data)[: min(handle.size, 128)]


@contextlib.contextmanager
def secrets(token: str) -> Iterator[dict[str, Any]]:
    """Puts secrets in the places of the host that probes look at; yields the names that probes know them by."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="secrets-")))
        folder.chmod(0o755)
        for name in ("secret.txt", "1_golden.xlsx", "home/.netrc", "runs/log.eval"):
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(token)
        shared = Path("/dev/shm", f"secret-{uuid4().hex}")
        shared.write_text(token)
        stack.callback(shared.unlink)
        abstract = f"\0{uuid4().hex}"
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(("127.0.0.1", 0))
        servers = [socket.create_server(("127.0.0.1", 0)), udp]
        for name in (abstract, str(folder / "socket")):
            servers.append(socket.socket(socket.AF_UNIX))
            servers[-1].bind(name)
            servers[-1].listen()
        for server in servers:
            stack.enter_context(server)
            threading.Thread(target=serve, args=(server, token), daemon=True).start()
        named = stack.enter_context(
            subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)", token], stdin=subprocess.DEVNULL)
        )
        stack.callback(named.kill)
        yield {
            "FOLDER": str(folder),
            "FILE": str(folder / "secret.txt"),
            "HANDLE": file_handle(folder / "secret.txt"),
            "DEVICE": folder.stat().st_dev,
            "PORT": servers[0].getsockname()[1],
            "UDP": udp.getsockname()[1],
            "ABSTRACT": abstract,
            "PID": named.pid,
            "SAMPLES": str(samples_folder()),
            "REPOSITORY": str(REPOSITORY),
        }


async def attempt(probe: Probe, names: dict[str, Any]) -> str:
    """What a probe prints in the sandbox."""
    environments = await BubblewrapSandbox.sample_init("task", LIMITS, {})
    try:
        result = await environments["default"].exec(["python3", "-c", program(probe, names)], timeout=60)
        return result.stdout + result.stderr
    finally:
        await BubblewrapSandbox.sample_cleanup("task", LIMITS, environments, False)


def control(probe: Probe, names: dict[str, Any]) -> str:
    """What a probe prints outside."""
    with tempfile.TemporaryDirectory(dir=Path(names["FOLDER"]).parent) as folder:
        place = os.open(folder, os.O_RDONLY)
        result = subprocess.run(
            [sys.executable, "-c", program(probe, names)],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            pass_fds=[place],
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(REPOSITORY), *sys.path])},
        )
        os.close(place)
    return result.stdout + result.stderr


def program(probe: Probe, names: dict[str, Any]) -> str:
    """The whole Python program of a probe."""
    values = "".join(f"{name} = {value!r}\n" for name, value in names.items())
    return f"{values}{PREAMBLE}print('TRIED', flush=True)\n{probe.code}"


async def main() -> None:
    """Runs every probe in the sandbox and outside."""
    token = f"token-{uuid4().hex}"
    os.environ["SECRET_KEY"] = token
    report = {}
    limiter = anyio.CapacityLimiter(4)

    async def run(probe: Probe, names: dict[str, Any]) -> None:
        async with limiter:
            inside, outside = await attempt(probe, names), await anyio.to_thread.run_sync(control, probe, names)
        report[probe.name] = {
            "tried": "TRIED" in inside,
            "escaped": token in inside or "REACHED" in inside.splitlines(),
            "control": token in outside or "REACHED" in outside.splitlines(),
            "inside": inside[-500:],
            "outside": outside[-500:],
        }

    with secrets(token) as names:
        other = await BubblewrapSandbox.sample_init("task", LIMITS, {})
        await other["default"].write_file("other.txt", token)
        async with anyio.create_task_group() as group:
            for probe in PROBES:
                group.start_soon(run, probe, names)
        await BubblewrapSandbox.sample_cleanup("task", LIMITS, other, False)
    print(json.dumps(report))


if __name__ == "__main__":
    anyio.run(main)
