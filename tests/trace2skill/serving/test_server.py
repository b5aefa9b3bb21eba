"""The server as a child: its first answer, its death, and its end with all of its own children."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from trace2skill.errors import Trace2SkillError
from trace2skill.serving.command import Launch, plan_launch
from trace2skill.serving.gpus import NONE
from trace2skill.serving.server import check_port, find_vllm, running

SERVER = f"""#!{sys.executable}
import http.server, os, subprocess, sys
child = subprocess.Popen(["sleep", "600"])
print("child", child.pid, flush=True)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/health" else 404)
        self.end_headers()
port = int(sys.argv[sys.argv.index("--port") + 1])
http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


def program(folder: Path, text: str) -> str:
    path = folder / "vllm"
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def launch() -> Launch:
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return plan_launch("smollm2-135m-cpu", NONE, port=port)


def alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_it_runs_from_its_first_answer_on_and_ends_with_its_children(tmp_path: Path, launch: Launch) -> None:
    log = tmp_path / "log"
    with running(launch, program(tmp_path, SERVER), log, 60) as process:
        child = int(log.read_text().split()[1])
        assert process.poll() is None
        assert alive(child)

    assert process.returncode is not None
    time.sleep(0.1)
    assert not alive(child)


STUBBORN = SERVER.replace("import http", "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\nimport http")
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_ends_it_and_a_second_one_kills_it(tmp_path: Path, launch: Launch, number: signal.Signals) -> None:
    log = tmp_path / "log"
    before = {number: signal.getsignal(number) for number in SIGNALS}
    second = threading.Timer(1, os.kill, (os.getpid(), number))
    with (  # noqa: PT012
        pytest.raises(KeyboardInterrupt) as raised,
        running(launch, program(tmp_path, STUBBORN), log, 60) as process,
    ):
        second.start()
        os.kill(os.getpid(), number)
        time.sleep(60)
    second.join()

    assert raised.value.args == (number,)
    assert process.returncode == -signal.SIGKILL
    assert not alive(int(log.read_text().split()[1]))
    assert {number: signal.getsignal(number) for number in SIGNALS} == before


def test_a_signal_while_it_is_stopped_for_another_reason_kills_it(tmp_path: Path, launch: Launch) -> None:
    later = threading.Timer(1, os.kill, (os.getpid(), signal.SIGINT))
    with running(launch, program(tmp_path, STUBBORN), tmp_path / "log", 60) as process:
        later.start()
    later.join()

    assert process.returncode == -signal.SIGKILL


def test_nohup_keeps_its_word(tmp_path: Path, launch: Launch) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with running(launch, program(tmp_path, SERVER), tmp_path / "log", 60) as process:
            os.kill(os.getpid(), signal.SIGHUP)
            time.sleep(0.2)
            assert process.poll() is None
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent was killed")
def test_it_ends_when_this_process_is_killed(tmp_path: Path, launch: Launch) -> None:
    log = tmp_path / "log"
    serving = f"""
from pathlib import Path
from trace2skill.serving.command import plan_launch
from trace2skill.serving.gpus import NONE
from trace2skill.serving.server import running
launch = plan_launch("smollm2-135m-cpu", NONE, port={launch.port})
with running(launch, {program(tmp_path, SERVER)!r}, Path({str(log)!r}), 60) as process:
    print(process.pid, flush=True)
    process.wait()
"""
    with subprocess.Popen([sys.executable, "-c", serving], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        server = int(parent.stdout.readline())
        assert alive(server)
        parent.kill()
    end = time.monotonic() + 20
    while alive(server) and time.monotonic() < end:
        time.sleep(0.1)
    left = alive(server)
    os.killpg(server, signal.SIGKILL)  # its own child, which vLLM's would have ended

    assert not left


def test_it_is_asked_past_any_proxy(tmp_path: Path, launch: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with running(launch, program(tmp_path, SERVER), tmp_path / "log", 20) as process:
        assert process.poll() is None


@pytest.mark.parametrize("host", ["no.such.host.invalid", "192.0.2.1", "a..b"])
def test_a_host_that_is_not_here_is_named(host: str) -> None:
    with pytest.raises(Trace2SkillError, match=rf"--host {host} is no address of this machine: .*0\.0\.0\.0") as raised:
        check_port(plan_launch("smollm2-135m-cpu", NONE, host=host))
    assert "--port" not in str(raised.value)


def test_one_that_dies_shows_the_end_of_its_log(tmp_path: Path, launch: Launch) -> None:
    dying = program(tmp_path, "#!/bin/sh\nseq 1 100; echo 'no weights here\x1b[2J'; exit 3\n")

    with pytest.raises(Trace2SkillError) as raised, running(launch, dying, tmp_path / "log", 60):
        pass

    assert "ended with exit code 3" in str(raised.value)
    assert str(raised.value).endswith("no weights here\\x1b[2J")
    assert "  82\n" in str(raised.value)
    assert "  80\n" not in str(raised.value)


def test_one_that_never_answers_is_stopped(tmp_path: Path, launch: Launch) -> None:
    sleeping = program(tmp_path, "#!/bin/sh\necho loading; exec sleep 600\n")

    with (
        pytest.raises(Trace2SkillError, match=r"did not answer at http://127\S+/health within 0.5 s.*--timeout"),
        running(launch, sleeping, tmp_path / "log", 0.5) as process,
    ):
        assert process


def test_a_port_in_use_is_named(launch: Launch) -> None:
    with closing(socket.socket()) as taken:
        taken.bind((launch.host, launch.port))
        taken.listen()
        with pytest.raises(Trace2SkillError, match=rf"Port {launch.port} of .*--port.*trace2skill doctor http"):
            check_port(launch)
    check_port(launch)


def test_without_vllm_it_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Trace2SkillError, match=r"no program vllm on PATH.*pip install.*--vllm"):
        find_vllm(None)
    with pytest.raises(Trace2SkillError, match="--vllm /nowhere is no program"):
        find_vllm("/nowhere")
    assert find_vllm(program(tmp_path, "#!/bin/sh\n")) == os.fspath(tmp_path / "vllm")
