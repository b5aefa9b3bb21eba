"""Logs that somebody has edited: they may not choose where a key goes, which code runs, or where it runs."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from inspect_ai import Task, eval, task
from inspect_ai.dataset import Sample
from inspect_ai.log import EvalLog, read_eval_log, write_eval_log
from inspect_ai.model import GenerateConfig, ModelConfig
from inspect_ai.scorer import match

from tests.trace2skill.toy import adding, run_adding, scripted, total_is_right, write_skill
from trace2skill.cli.main import main
from trace2skill.errors import LogError, Trace2SkillError
from trace2skill.evolution import EvolveConfig, evolve
from trace2skill.evolution.disclosure import disclosure
from trace2skill.evolution.inputs import Inputs, read_logs
from trace2skill.logs.files import find_logs
from trace2skill.logs.header import Header, header_of
from trace2skill.logs.task import recreate_task
from trace2skill.logs.trust import Allowed, sandboxes_of
from trace2skill.models.cast import logged_model
from trace2skill.prompts import Prompts
from trace2skill.skill.folder import load_skill


@dataclass
class Server:
    """A server of the attacker's, with the keys that came to it."""

    url: str = ""
    keys: list[str] = field(default_factory=list)


@contextmanager
def listening() -> Iterator[Server]:
    server = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            server.keys.append(self.headers.get("Authorization", ""))
            self.rfile.read(int(self.headers["Content-Length"]))
            body = json.dumps({"error": {"message": "no such model"}}).encode()
            self.send_response(404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Tells nobody."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.url = f"http://127.0.0.1:{http.server_port}/v1"
    thread = threading.Thread(target=http.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


@pytest.fixture
def hostile() -> Iterator[Server]:
    with listening() as server:
        yield server


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with listening() as server:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-user")
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        yield server


def edited(source: Path, folder: Path, edit: Callable[[EvalLog], None]) -> Path:
    (file,) = find_logs([source])
    log = read_eval_log(file)
    edit(log)
    folder.mkdir()
    write_eval_log(log, folder / "edited.eval")
    return folder


def header(log: Path) -> Header:
    (file,) = find_logs([log])
    return header_of(read_eval_log(file, header_only=True), file)


def points_at(url: str) -> Callable[[EvalLog], None]:
    def edit(log: EvalLog) -> None:
        log.eval.model = "openai/gpt-4o"
        log.eval.model_base_url = url
        log.eval.model_args = {"base_url": url, "default_headers": {"x": "y"}}
        log.eval.model_generate_config = GenerateConfig(
            temperature=0.5, extra_headers={"x": "y"}, extra_body={"model": "other"}, max_retries=0
        )
        log.plan.config = GenerateConfig(max_retries=0)

    return edit


class TestEndpoints:
    def test_a_key_goes_to_the_users_endpoint_alone(
        self, adding_logs: Path, tmp_path: Path, hostile: Server, own: Server, capsys: pytest.CaptureFixture[str]
    ) -> None:
        log = edited(adding_logs, tmp_path / "logs", points_at(hostile.url))

        with pytest.raises(Trace2SkillError):
            evolve([log], write_skill(tmp_path), tmp_path / "run", EvolveConfig(analysts="success"), display="none")

        assert hostile.keys == []
        assert set(own.keys) == {"Bearer sk-of-the-user"}
        told = capsys.readouterr().err
        assert "From the logs: model openai/gpt-4o, on your own endpoint\n" in told
        assert "temperature" not in told
        assert f"Not taken from the logs: address {hostile.url}, argument base_url of the provider" in told
        assert "setting extra_body, setting extra_headers" in told

    def test_what_a_replay_takes_is_told(self, adding_logs: Path, tmp_path: Path) -> None:
        log = edited(adding_logs, tmp_path / "logs", points_at("http://127.0.0.1:9/v1"))
        config = EvolveConfig(replays=1)
        trajectories = read_logs([log], config)
        inputs = Inputs(
            skill=load_skill(write_skill(tmp_path)),
            prompts=Prompts(),
            profile=None,
            trajectories=trajectories,
            patches=(),
            patch_files=(),
        )

        told = disclosure(inputs, config, named=True)

        assert "From the logs: how openai/gpt-4o plays in replays (temperature=0.5)" in told

    def test_only_what_says_how_text_is_drawn_is_taken(self, adding_logs: Path, tmp_path: Path, own: Server) -> None:
        logged = header(edited(adding_logs, tmp_path / "logs", points_at("http://127.0.0.1:9/v1"))).model
        model = logged_model(logged, GenerateConfig(seed=1))

        assert model.api.base_url in (None, own.url)  # without one, the environment decides
        assert model.config.model_dump(exclude_none=True) == {"temperature": 0.5, "seed": 1}

    @pytest.mark.parametrize("name", ["hf//etc", "vllm/./weights", "hf/~/weights"])
    def test_a_model_that_is_a_path_needs_the_users_word(self, name: str) -> None:
        with pytest.raises(Trace2SkillError, match="is a path on this machine"):
            logged_model(ModelConfig(model=name), GenerateConfig())

    @pytest.mark.parametrize("model", [None, "mockllm/model"])
    def test_a_role_never_comes_from_a_log(
        self, adding_logs: Path, tmp_path: Path, hostile: Server, own: Server, model: str | None
    ) -> None:
        def judge(log: EvalLog) -> None:
            config = ModelConfig(model="openai/gpt-4o", base_url=hostile.url)
            log.eval.model_roles = {"grader": config, "analyst": config, "merger": [config]}

        log = edited(adding_logs, tmp_path / "logs", judge)
        skill = write_skill(tmp_path)

        with pytest.raises(Trace2SkillError, match=r"role 'grader' \(openai/gpt-4o\).*--model-role grader=MODEL"):
            evolve([log], skill, tmp_path / "run", EvolveConfig(model=model), display="none")
        config = EvolveConfig(model_roles={"grader": "mockllm/model"})
        manifest = evolve([log], skill, tmp_path / "told", config, model=scripted(), display="none")

        assert manifest.record.models == {"model": "mockllm/model", "grader": "mockllm/model"}
        assert (hostile.keys, own.keys) == ([], [])


def test_a_key_is_not_written_into_a_run_folder(adding_logs: Path, tmp_path: Path) -> None:
    options = ["--skill", str(write_skill(tmp_path)), "--output", str(tmp_path / "run"), "-M", "api_key=sk-of-the-user"]
    result = CliRunner().invoke(main, ["evolve", str(adding_logs), *options])

    assert result.exit_code == 2
    assert "'api_key' would be kept in run.json" in result.output
    assert not (tmp_path / "run").exists()


@task
def careful(where: str = "bwrap", compose: str | None = None, samples: str | None = None) -> Task:
    """A task whose arguments may lead its code out of the sandbox."""
    made = [Sample(id="one", input="?", target="1", sandbox=samples)]
    return Task(dataset=made, sandbox=(where, compose) if compose else where, scorer=total_is_right())


@task
def open_to_all(sandbox: str = "bwrap", judge: Any = None, api_key: str = "", dataset: str = "") -> Task:
    """A task with the usual arguments."""
    return Task(dataset=[Sample(id="one", input="?", target="1")], sandbox=sandbox, scorer=match())


@pytest.fixture
def logged(adding_logs: Path) -> Callable[..., Header]:
    found = header(adding_logs)
    return lambda name, **arguments: replace(found, registered=name, arguments=arguments)


class TestWhereCodeRuns:
    def test_a_logged_sandbox_is_not_taken(self, logged: Callable[..., Header]) -> None:
        found = recreate_task(logged("open_to_all", sandbox="local"))

        assert [spec.type for spec in sandboxes_of(found)] == ["bwrap"]

    @pytest.mark.parametrize(
        ("arguments", "shown"),
        [
            ({"where": "local"}, "local"),
            ({"where": "docker", "compose": "/tmp/evil.yaml"}, "docker:/tmp/evil.yaml"),
            ({"samples": "local"}, "local"),
        ],
    )
    def test_nor_is_one_that_other_arguments_lead_to(
        self, logged: Callable[..., Header], arguments: dict[str, str], shown: str
    ) -> None:
        with pytest.raises(LogError, match=rf"in the sandbox '{shown}'. Where code runs is yours to say"):
            recreate_task(logged("careful", **arguments))

    @pytest.mark.parametrize("arguments", [{"where": "local"}, {"samples": "local"}])
    def test_the_operators_word_is(self, logged: Callable[..., Header], arguments: dict[str, str]) -> None:
        assert sandboxes_of(recreate_task(logged("careful", **arguments), Allowed(sandbox="local")))[-1].type == "local"
        confined = recreate_task(logged("careful", **arguments), Allowed(sandbox="docker:mine.yaml"))
        assert [(spec.type, spec.config) for spec in sandboxes_of(confined)] == [("docker", "mine.yaml")]

    def test_what_the_installed_task_does_unasked_stays(self, adding_logs: Path) -> None:
        assert [spec.type for spec in sandboxes_of(recreate_task(header(adding_logs)))] == ["local"]


class TestArguments:
    @pytest.mark.parametrize(
        "value",
        [
            {"model": "openai/gpt-4o", "config": {}, "base_url": "http://127.0.0.1:9", "model_args": {}},
            [{"type": "solver", "name": "generate", "params": {}}],
            {"deep": {"deeper": "https://elsewhere.example"}},
        ],
    )
    def test_objects_and_addresses_are_not_built(self, logged: Callable[..., Header], value: object) -> None:
        with pytest.raises(LogError, match=r"argument 'judge' .*never taken from a log.*-T judge=VALUE"):
            recreate_task(logged("open_to_all", judge=value))

    @pytest.mark.parametrize(
        ("name", "value"), [("api_key", "x"), ("dataset", "s3://bucket/x"), ("dataset", "FTP://x")]
    )
    def test_keys_and_addresses_are_named(self, logged: Callable[..., Header], name: str, value: str) -> None:
        with pytest.raises(LogError, match=f"'{name}' names an address or a key"):
            recreate_task(logged("open_to_all", **{name: value}))
        assert recreate_task(logged("open_to_all", **{name: value}), Allowed(arguments={name: None}))
        assert recreate_task(logged("open_to_all", **{name: value}), Allowed(arguments={name: "mine"}))


class TestWhichCodeRuns:
    def test_a_logged_file_is_not_run(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'owned')!r}, 'w').close()\n")
        monkeypatch.chdir(tmp_path)

        def points(log: EvalLog) -> None:
            log.eval.task_registry_name = log.eval.task = "unheard_of"
            log.eval.task_file = "evil.py"

        log = edited(run_adding(tmp_path / "source"), tmp_path / "logs", points)
        manifest = evolve([log], write_skill(tmp_path), tmp_path / "run", model=scripted(), display="none")

        assert not (tmp_path / "owned").exists()
        (note,) = manifest.notes
        assert "single call" in note
        assert "--task FILE" in note
        assert "--task FILE" in capsys.readouterr().err

    def test_a_file_that_the_operator_names_is(self, tmp_path: Path) -> None:
        source = tmp_path / "mine.py"
        source.write_text(
            "from inspect_ai import Task, task\nfrom inspect_ai.dataset import Sample\n\n"
            "@task\ndef of_mine() -> Task:\n    return Task(dataset=[Sample(input='?')])\n"
        )
        found = eval(adding(), model="mockllm/model", log_dir=str(tmp_path / "logs"), display="none", limit=1)[0]
        found.eval.task_registry_name = "of_mine"
        found.eval.task_args = {}

        assert recreate_task(header_of(found, tmp_path), Allowed(task_file=source)).dataset
