"""Ten mistakes of somebody who runs the commands for the first time: each message says what to do next."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from inspect_ai import eval

from evals.math_reasoning import math_reasoning
from tests.terminal import in_terminal
from tests.trace2skill.toy import run_adding, write_skill
from trace2skill.cli.main import main
from trace2skill.errors import DataError
from trace2skill.evolution.folder import MANIFEST
from trace2skill.models.simulated import NOTICE

Evolve = Callable[..., Result]


@pytest.fixture
def evolve(adding_logs: Path, tmp_path: Path) -> Evolve:
    def call(*options: object, logs: tuple[object, ...] = (adding_logs,), output: str = "run") -> Result:
        skill = tmp_path / "adding"
        given = ["--skill", skill if skill.exists() else write_skill(tmp_path), "--output", tmp_path / output]
        return CliRunner().invoke(main, ["evolve", *map(str, (*logs, *given, *options))])

    return call


def told(result: Result, *advice: str, code: int = 1) -> None:
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    assert result.stdout == ""
    for part in advice:
        assert part in result.stderr


def test_a_wrong_path(evolve: Evolve) -> None:
    told(evolve(logs=("log",)), "log: no such log. Name an .eval file or a folder of them.")


def test_a_wrong_flag_and_a_wrong_command(evolve: Evolve) -> None:
    told(evolve("--treshold", 1), "--threshold", code=2)
    told(
        CliRunner().invoke(main, ["evolv"]),
        "The commands are compare, data, doctor, evolve, serve, skill, study.",
        code=2,
    )


def test_a_wrong_scorer(evolve: Evolve) -> None:
    told(evolve("--scorer", "accuracy"), "choose one with --scorer: total_is_right.")


def test_a_wrong_split_and_a_dataset_that_is_a_number() -> None:
    with pytest.raises(DataError, match=r"Split 'tests' is not in .*; it has evolve, test and all"):
        math_reasoning(dataset="sample", split="tests")  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"dataset must be a name or a path, not 5\. .* -T dataset=\./5\."):
        math_reasoning(dataset=5)  # type: ignore[arg-type]


def test_a_wrong_model(evolve: Evolve) -> None:
    told(evolve("--model", "sim/tiny"), "--model sim/tiny", "The stand-in models are sim/small and sim/large")


def test_a_model_whose_provider_speaks_in_markup(evolve: Evolve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    result = evolve("--model", "openai/gpt-5")

    told(result, "OPENAI_API_KEY")
    assert "[bold]" not in result.stderr


def test_logs_of_two_tasks(evolve: Evolve, adding_logs: Path, tmp_path: Path) -> None:
    eval(math_reasoning(dataset="sample"), model="sim/small", log_dir=str(tmp_path / "math"), limit=1, display="none")

    told(evolve(logs=(adding_logs, tmp_path / "math")), "The logs must be of one task", "Evolve on each alone.")
    other = CliRunner().invoke(main, ["compare", str(adding_logs), "--vs", str(tmp_path / "math")])
    told(other, "All logs must be of one task", "Pick the logs of one")


def test_an_output_that_is_resumed_with_other_settings(evolve: Evolve, tmp_path: Path) -> None:
    settings = ("--analysts", "success", "--model", "sim/small", "--display", "none")
    assert evolve(*settings).exit_code in (0, 3)
    told(evolve(*settings, "--seed", 7), "other --seed (42 there, 7 now)", "choose another --output")


def test_what_a_user_says_of_the_task_is_never_passed_over(evolve: Evolve, tmp_path: Path) -> None:
    told(evolve("-T", "wrong=1", "--model", "sim/small"), "does not take these arguments")
    assert not (tmp_path / "run").exists()


def test_a_blank_in_a_path(evolve: Evolve, adding_logs: Path, tmp_path: Path) -> None:
    told(evolve(logs=(adding_logs, ["my", "logs"][0])), "A path with blanks needs quotes.")
    shutil.copytree(adding_logs, tmp_path / "my logs")
    settings = ("--analysts", "success", "--model", "sim/small", "--display", "none")
    result = evolve(*settings, logs=(tmp_path / "my logs",), output="my run")

    assert f"trace2skill skill blame '{tmp_path / 'my run'}'" in result.stdout
    assert f"inspect view --log-dir '{tmp_path / 'my run' / 'logs'}'" in result.stdout


@pytest.mark.parametrize(
    "columns", [pytest.param(60, marks=pytest.mark.slow), 80, pytest.param(130, marks=pytest.mark.slow)]
)
def test_a_narrow_terminal(adding_logs: Path, tmp_path: Path, columns: int) -> None:
    name = "better-than-it-was-before"
    shutil.copytree(run_adding(tmp_path / "logs", failing="one"), tmp_path / name)
    command = ["trace2skill", "compare", str(adding_logs), "--vs", str(tmp_path / name)]

    code, shown = in_terminal(command, columns)
    piped = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, "COLUMNS": "20"})

    assert code == 0
    assert max(map(len, shown.splitlines())) <= columns
    assert {word for word in piped.stdout.split() if "0" in word} == {word for word in shown.split() if "0" in word}
    assert (f"arm:              {name}" in shown) == (columns < 100)
    [row] = [line for line in piped.stdout.splitlines() if line.startswith(f"{name} ")]
    assert "4/4, 0 missing" in row


@pytest.fixture(scope="module")
def math_logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("math")
    task = math_reasoning(dataset="sample", split="all", skill="skills/math-basic")
    eval(task, model="sim/small", log_dir=str(folder), display="none")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run(math_logs: Path, tmp_path: Path, number: signal.Signals, code: int) -> None:
    (tmp_path / "tmp").mkdir()
    run = tmp_path / "run"
    command = ["trace2skill", "evolve", str(math_logs), "--skill", "skills/math-basic", "--output", str(run)]

    def interrupt(program: "subprocess.Popen[bytes]") -> None:
        while program.poll() is None and not list((run / "logs").glob("*/*.eval")):
            time.sleep(0.01)
        program.send_signal(number)

    environment = {"TMPDIR": str(tmp_path / "tmp")}
    ended, shown = in_terminal([*command, "--display", "plain"], 80, interrupt, environment)

    said = " ".join(shown.split())
    assert ended == code
    assert "Completed all tasks" not in said
    assert "Finished samples are kept in" in said
    assert "run the same command again to go on." in said
    assert "Traceback" not in said
    assert list((tmp_path / "tmp").iterdir()) == []
    assert not list(run.rglob(".*.lock"))
    again = subprocess.run([*command, "--display", "none"], capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert (run / MANIFEST).is_file()
    assert again.stdout.startswith(NOTICE)
