"""`serve` and `doctor` as a user meets them."""

import shlex
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from socket import socket

import pytest

from tests.trace2skill.cli.conftest import Cli
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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
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


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("qwen9",), "qwen9: no such profile. Name one of"),
        (("qwen3.5-122b-a10b", "--gpus", "1", "--gpu-memory", "24"), "does not fit: there is 1 x 24 GB"),
        ((CPU, "--model", "."), "A weights folder is what"),
        ((CPU, "--vllm", "./nothing"), "--vllm ./nothing is no program. Install it"),
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
