"""`serve` and `doctor` as a user meets them."""

import shlex
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from socket import socket

import pytest

from tests.trace2skill.cli.conftest import Cli
from tests.trace2skill.serving import fake
from tests.trace2skill.serving.fake import fake_endpoint

pytestmark = pytest.mark.slow

CPU = "smollm2-135m-cpu"

# Stands in for vLLM's program: the tests' fake endpoint, under the name and at the port that the command line gives.
VLLM = f"""#!{sys.executable}
import sys
sys.path.insert(0, {str(Path(__file__).parents[3])!r})
from tests.trace2skill.serving import fake
words = sys.argv[1:]
fake.MODEL, fake.CONTEXT = words[words.index("--served-model-name") + 1], 8192
fake.serve(int(words[words.index("--port") + 1]), *FAULTS)
"""


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def port() -> int:
    with closing(socket()) as free:
        free.bind(("127.0.0.1", 0))
        number: int = free.getsockname()[1]
    return number


def fake_vllm(folder: Path, *faults: str) -> Path:
    path = folder / "vllm"
    path.write_text(VLLM.replace("FAULTS", repr(faults)))
    path.chmod(0o755)
    return path


def test_print_gives_the_command_alone_on_standard_output(cli: Cli) -> None:
    result = cli("serve", "qwen3.5-122b-a10b", "--gpus", 4, "--gpu-memory", 80, "--print", "--", "--seed", 1)
    words = shlex.split(result.stdout)

    assert result.exit_code == 0
    assert words[:3] == ["vllm", "serve", "Qwen/Qwen3.5-122B-A10B-FP8"]
    assert words[-2:] == ["--seed", "1"]
    assert len(result.stdout.splitlines()) == 1
    assert "# fp8 weights on 4 x 80 GB: throughput" in result.stderr


def test_it_serves_certifies_and_stops(cli: Cli, tmp_path: Path, port: int) -> None:
    result = cli("serve", CPU, "--vllm", fake_vllm(tmp_path), "--port", port, "--check-only")

    assert result.exit_code == 0, result.output
    assert "ok      endpoint: " in result.output
    assert "skipped tool call: the profile says" in result.output
    assert (tmp_path / f"runs/serve/{port}.log").exists()
    with closing(socket()) as again:
        assert again.connect_ex(("127.0.0.1", port))


def test_a_server_that_is_not_as_it_should_be_ends_with_1(cli: Cli, tmp_path: Path, port: int) -> None:
    result = cli("serve", CPU, "--vllm", fake_vllm(tmp_path, "prose"), "--port", port, "--check-only")

    assert result.exit_code == 1
    assert "failed  JSON schema, thinking off: no JSON came back" in result.output
    assert result.output.endswith("1 needed probe failed.\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_it_stops_its_server_when_it_is_asked_to_end_also_in_the_background(
    tmp_path: Path, port: int, number: signal.Signals
) -> None:
    command = [sys.executable, "-c", "from trace2skill.cli.main import main; main()", "serve", CPU]
    options = ["--vllm", str(fake_vllm(tmp_path)), "--port", str(port)]
    shell = ["sh", "-c", 'trap "" INT; exec "$@"', "sh"]  # as a shell starts what runs in its background
    with subprocess.Popen([*shell, *command, *options], cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert any("Ctrl-C stops" in line for line in process.stdout)
        process.send_signal(number)
        assert process.wait(60) == 0
    with closing(socket()) as again:
        assert again.connect_ex(("127.0.0.1", port))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("faults", [(), ("mute",)])
def test_interrupted_before_it_is_certified_it_stops_its_server_too(
    tmp_path: Path, port: int, number: signal.Signals, faults: tuple[str, ...]
) -> None:
    vllm = fake_vllm(tmp_path, *faults)
    if not faults:
        vllm.write_text("#!/bin/sh\nsleep 600\n")
    command = [sys.executable, "-c", "from trace2skill.cli.main import main; main()", "serve", CPU]
    options = ["--vllm", str(vllm), "--port", str(port), "--log", "log"]
    with subprocess.Popen(
        [*command, *options], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        if faults:
            assert any("ok      endpoint" in line for line in process.stdout)
        else:
            while not (tmp_path / "log").exists():
                time.sleep(0.05)
        time.sleep(0.5)
        process.send_signal(number)
        _, said = process.communicate(timeout=60)

    assert process.returncode == 128 + number, said
    assert "Traceback" not in said
    assert "the server was stopped" in said
    assert "to go on" not in said
    with closing(socket()) as again:
        assert again.connect_ex(("127.0.0.1", port))


@pytest.mark.parametrize("extra", [["--max-model-len=1k"], ["--max_model_len", "4k"], ["--max-model-len", "auto"]])
def test_the_context_is_the_one_that_the_server_tells(cli: Cli, tmp_path: Path, port: int, extra: list[str]) -> None:
    vllm = fake_vllm(tmp_path)
    vllm.write_text(vllm.read_text().replace("8192", "1000"))
    result = cli("serve", CPU, "--vllm", vllm, "--port", port, "--check-only", "--", *extra)

    assert result.exit_code == 0, result.output
    assert "of 1,000 tokens" in result.output


def test_doctor_knows_what_each_form_of_the_weights_takes(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fake, "CONTEXT", 32768)
    said = {}
    for form in ("", "-FP8", "-GPTQ-Int4"):
        monkeypatch.setattr(fake, "MODEL", f"Qwen/Qwen3.5-122B-A10B{form}")
        with fake_endpoint() as server:
            said[form] = cli("doctor", server.url, "--profile", "qwen3.5-122b-a10b").output

    assert "failed  context" not in said["-GPTQ-Int4"]
    for form in ("", "-FP8"):
        assert "failed  context: it takes 32,768 tokens, the profile needs 131,072" in said[form]
    assert all("ok      tool call" in text for text in said.values())


def test_a_broken_driver_is_told_where_nothing_fits(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\necho 'Driver/library version mismatch'; exit 18\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    result = cli("serve", "qwen3.5-35b-a3b", "--print")
    told = cli("serve", "qwen3.5-35b-a3b", "--print", "--gpus", 1, "--gpu-memory", 80)

    assert result.exit_code == 1
    assert "there is no GPU (nvidia-smi fails with exit code 18: Driver/library version mismatch)" in result.output
    assert told.exit_code == 0


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:99999/v1", "127.0.0.1:port", "ftp://127.0.0.1/v1", "http://", "http://[::1/v1", "a b"]
)
def test_doctor_refuses_what_is_no_address(cli: Cli, url: str) -> None:
    result = cli("doctor", url)

    assert result.exit_code == 2
    assert "is no address" in result.output


@pytest.mark.parametrize("key", ["one\ntwo", "schlüssel"])
@pytest.mark.parametrize("command", [("doctor", "127.0.0.1:9"), ("serve", CPU, "--vllm", sys.executable)])
def test_a_key_that_no_request_can_carry(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, key: str, command: tuple[str, ...]
) -> None:
    monkeypatch.setenv("VLLM_API_KEY", key)
    result = cli(*command)

    assert result.exit_code == 1
    assert "VLLM_API_KEY holds a line break or a letter outside ASCII" in result.output
    assert key not in result.output


def test_an_empty_key_is_none(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_API_KEY", "")
    with fake_endpoint("locked") as server:
        assert "the server wants a key (401)" in cli("doctor", server.url).output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("qwen9",), "qwen9: no such profile. Name one of"),
        (("qwen3.5-122b-a10b", "--gpus", "1", "--gpu-memory", "24"), "does not fit: there is 1 x 24 GB"),
        ((CPU, "--model", "."), "A weights folder is what"),
        ((CPU, "--vllm", "./nothing"), "--vllm ./nothing is no program. Install it"),
        ((CPU, "--", "--port", "18120"), "--port cannot stand after --"),
        (("gemma-4-26b-a4b", "--gpus", "1"), "tool_chat_template_gemma4.jinja is not in this folder."),
    ],
)
def test_mistakes_name_their_fix(cli: Cli, arguments: tuple[str, ...], said: str) -> None:
    result = cli("serve", *arguments)

    assert result.exit_code == 1
    assert said in result.output


def test_a_port_in_use(cli: Cli, tmp_path: Path, port: int) -> None:
    with closing(socket()) as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        result = cli("serve", CPU, "--vllm", fake_vllm(tmp_path), "--port", port)

    assert result.exit_code == 1
    assert f"Port {port} of 127.0.0.1 cannot be used" in result.output


def test_doctor_asks_an_endpoint(cli: Cli) -> None:
    with fake_endpoint() as server:
        result = cli("doctor", server.url.removeprefix("http://") + "/", "--images")

    assert result.exit_code == 0, result.output
    assert "ok      image: it read 7294" in result.output
    assert result.output.endswith("Nothing needed failed.\n")


def test_doctor_expects_no_thoughts_of_a_model_that_it_does_not_know(cli: Cli) -> None:
    with fake_endpoint("thoughtless") as server:
        result = cli("doctor", server.url)

    assert result.exit_code == 0, result.output
    assert "no thought was seen" in result.output
    assert "skipped image: say --images" in result.output


def test_doctor_fails_with_what_is_needed(cli: Cli) -> None:
    with fake_endpoint("fenced", "uncached") as server:
        result = cli("doctor", server.url)

    assert result.exit_code == 1
    assert "-> serve it with --enable-auto-tool-choice --tool-parser-plugin" in result.output
    assert "prefix cache: 0 of" in result.output
    assert "(a run goes on without it)" in result.output


def test_doctor_without_a_url_looks_at_the_machine_alone(cli: Cli) -> None:
    result = cli("doctor")

    assert "skipped endpoint: no URL given" in result.output
    assert "versions: Python" in result.output
