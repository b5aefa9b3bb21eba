"""How the sandbox starts and ends, as root and as a user who is not."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from evals.sandbox.launch import FIRST_UID, Launcher, was_started
from evals.sandbox.limits import BubblewrapLimits, is_root
from evals.sandbox.mounts import SampleFolder, create_folder, remove_folder
from evals.sandbox.probe import find_bwrap
from tests.evals.sandbox.processes import running

REPOSITORY = Path(__file__).parents[3]
NOBODY = 65534

usable = pytest.mark.skipif(find_bwrap().path is None, reason=f"bubblewrap is unusable here: {find_bwrap().problem}")


def test_a_status_file_is_read_once(tmp_path: Path) -> None:
    status = tmp_path / "status"
    status.write_text('{ "child-pid": 1 }\n{ "exit-code": 0 }\n')
    assert was_started(status)
    assert not was_started(status)


def test_the_command_starts_with_an_empty_environment() -> None:
    launcher = Launcher(
        bwrap="/usr/bin/bwrap", folder=SampleFolder(path=Path("/x"), uid=61184), limits=BubblewrapLimits()
    )
    command, status = launcher.command(["ls", "-l"], "/workspace", {"A": "b c"})
    assert command[0].endswith("/env")
    assert command[1] == "-i"
    assert command[-3:] == ["--", "ls", "-l"]
    assert command[command.index("A") - 1 : command.index("A") + 2] == ["--setenv", "A", "b c"]
    assert status.parent == Path("/x")


@usable
def test_the_sandbox_dies_with_a_killed_harness() -> None:
    folder = create_folder(FIRST_UID if is_root() else None)
    launcher = Launcher(bwrap=str(find_bwrap().path), folder=folder, limits=BubblewrapLimits())
    launcher.write_options()
    token = f"300.{uuid.uuid4().int}"
    command, _ = launcher.command(["sh", "-c", f"setsid sleep {token} & echo started; sleep {token}"], "/tmp", {})
    harness = ["sh", "-c", '"$@"; true', "sh", *command]
    with subprocess.Popen(harness, cwd="/", stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"started\n"
        process.kill()
    deadline = time.monotonic() + 10
    while running(token) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not running(token)
    remove_folder(folder.path)


AS_NOBODY = """
import asyncio, os, pathlib, sys
from evals.sandbox.bwrap import BubblewrapSandbox
from evals.sandbox.launch import Launcher
from evals.sandbox.limits import BubblewrapLimits
from evals.sandbox.mounts import create_folder

FORKS = '''
import os, time
count = 0
while count < 200:
    try:
        if os.fork() == 0:
            time.sleep(30)
            os._exit(0)
    except OSError as error:
        break
    count += 1
print(count)
'''

async def main():
    folder = create_folder()
    launcher = Launcher(bwrap=sys.argv[1], folder=folder, limits=BubblewrapLimits(processes=40))
    launcher.write_options()
    box = BubblewrapSandbox(launcher)
    await box.write_file("a/b", "text")
    for code in (
        "import os; print(os.getuid(), open('a/b').read())",
        "print('sk-secret' in open('/proc/1/environ').read())",
        "import os; print(os.path.exists('/etc/shadow'), os.path.exists(os.path.expanduser('~root/.')))",
        f"import socket; print(socket.socket().connect_ex(('127.0.0.1', {sys.argv[2]})))",
        FORKS,
    ):
        print((await box.exec(["python3", "-c", code])).stdout.strip())
    print((await box.exec(["unshare", "--user", "true"])).success)
    await box.exec(["python3", "-c", "import os\\nfor _ in range(3000): os.mkdir('d'); os.chdir('d')"])
    await box.exec(["sh", "-c", "mkdir x && touch x/y && chmod 000 x ."])
    await BubblewrapSandbox.sample_cleanup("task", None, {"default": box}, False)
    left_over = create_folder()
    print(folder.path.exists(), left_over.path.exists())
    await BubblewrapSandbox.cli_cleanup(None)
    print(left_over.path.parent.exists())

asyncio.run(main())
"""


@pytest.fixture
def environment_of_nobody() -> Iterator[dict[str, str]]:
    packages = [path for path in sys.path if path.endswith("site-packages")]
    with tempfile.TemporaryDirectory() as folder:  # not below tmp_path, which only its user can enter
        os.chown(folder, NOBODY, NOBODY)
        yield {
            "PYTHONPATH": os.pathsep.join([str(REPOSITORY), *packages]),
            "TMPDIR": folder,
            "HOME": folder,
            "PATH": "/usr/bin:/bin",
            "OPENAI_API_KEY": "sk-secret",
        }


@usable
@pytest.mark.skipif(not is_root(), reason="only root can become another user")
def test_a_normal_user_can_start_it(environment_of_nobody: dict[str, str]) -> None:
    def run(python: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        become = [str(shutil.which("setpriv")), f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        # Through env, because setpriv still looks its own command up with root's capabilities.
        return subprocess.run(
            [*become, "/usr/bin/env", python, "-c", *arguments],
            env=environment_of_nobody,
            cwd="/",
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

    # The environment of the tests may lie where only root can read; the system's Python serves as well.
    tries = {python: run(python, "import pydantic_core, evals") for python in (sys.executable, "/usr/bin/python3")}
    python = next((python for python, result in tries.items() if result.returncode == 0), None)
    if python is None:
        pytest.skip(f"no Python here that another user can run: {[each.stderr[-200:] for each in tries.values()]}")
    with socket.create_server(("127.0.0.1", 0)) as server:
        result = run(python, AS_NOBODY, str(find_bwrap().path), str(server.getsockname()[1]))
    assert result.returncode == 0, result.stderr
    *first, forks, user_namespace, cleaned, left = result.stdout.splitlines()
    assert first == ["1000 text", "False", "False False", "111"]
    assert int(forks) < 40
    assert (user_namespace, cleaned, left) == ("False", "False True", "False")
