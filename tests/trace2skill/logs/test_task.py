"""A logged task is created anew, wherever it came from."""

import sys
from pathlib import Path

import pytest
from inspect_ai.log import EvalLog, read_eval_log

import tests.trace2skill.toy
from trace2skill.errors import LogError
from trace2skill.logs.files import find_logs
from trace2skill.logs.task import recreate_task

TASK_FILE = '''\
from inspect_ai import Task, task
from inspect_ai.dataset import Sample


@task
def {name}(count: int = 1) -> Task:
    """A task that only this file defines."""
    return Task(dataset=[Sample(id=f"s{{number}}", input="?") for number in range(count)])
'''


@pytest.fixture
def header(adding_logs: Path) -> EvalLog:
    return read_eval_log(find_logs([adding_logs])[0], header_only=True)


def renamed(header: EvalLog, **changes: object) -> EvalLog:
    """The header with other task fields."""
    return header.model_copy(update={"eval": header.eval.model_copy(update=changes)})


def ids(log: EvalLog) -> list[object]:
    return [sample.id for sample in recreate_task(log).dataset]


def test_a_task_comes_back_with_its_dataset_sandbox_and_scorer(header: EvalLog) -> None:
    task = recreate_task(header)

    assert [sample.id for sample in task.dataset] == list(tests.trace2skill.toy.NUMBERS)
    assert task.sandbox is not None
    assert task.scorer is not None
    assert task.version == 1


@pytest.mark.parametrize("name", ["adding", "tests/adding", "some_package/adding"])
def test_a_prefix_that_is_not_installed_here_does_not_matter(header: EvalLog, name: str) -> None:
    assert len(ids(renamed(header, task_registry_name=name))) == 4


def test_a_log_without_a_registry_name_goes_by_its_task_name(header: EvalLog) -> None:
    assert len(ids(renamed(header, task_registry_name=None, task="adding"))) == 4


def test_a_bare_name_finds_the_task_of_an_installed_extension(header: EvalLog) -> None:
    for name in ("spreadsheet", "evals/spreadsheet"):
        bare = renamed(header, task_registry_name=name, task_args={"dataset": "sample", "sandbox": "local"})
        assert ids(bare)


def test_a_task_file_that_was_not_imported_yet_is_imported(header: EvalLog, tmp_path: Path) -> None:
    source = tmp_path / "only_here.py"
    source.write_text(TASK_FILE.format(name="only_here"))
    log = renamed(header, task_registry_name="only_here", task_file=str(source), task_args={"count": 3})

    assert ids(log) == ["s0", "s1", "s2"]


def test_a_task_file_may_import_its_neighbours(header: EvalLog, tmp_path: Path) -> None:
    (tmp_path / "helper_of_neighbourly.py").write_text("COUNT = 2\n")
    source = tmp_path / "neighbourly.py"
    source.write_text("from helper_of_neighbourly import COUNT\n" + TASK_FILE.format(name="neighbourly"))
    path = list(sys.path)

    assert ids(renamed(header, task_registry_name="neighbourly", task_file=str(source), task_args={})) == ["s0"]
    assert sys.path == path


def test_a_relative_task_file_is_found_from_where_the_evaluation_ran(
    header: EvalLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "relative_one.py").write_text(TASK_FILE.format(name="relative_one"))
    monkeypatch.chdir(tmp_path)

    assert ids(renamed(header, task_registry_name="relative_one", task_file="relative_one.py", task_args={})) == ["s0"]


@pytest.mark.parametrize("file", ["gone.py", None])
def test_an_unknown_task_says_what_to_do(header: EvalLog, file: str | None) -> None:
    unknown = renamed(header, task_registry_name="pkg/no_such_task", task="no_such_task", task_file=file)

    with pytest.raises(
        LogError, match=r"'pkg/no_such_task' is not installed here.*Install the package that defines it"
    ):
        recreate_task(unknown)


def test_a_task_file_without_the_task_is_no_help(header: EvalLog, tmp_path: Path) -> None:
    source = tmp_path / "another.py"
    source.write_text(TASK_FILE.format(name="another"))

    with pytest.raises(LogError, match="'renamed_task' is not installed here"):
        recreate_task(renamed(header, task_registry_name="renamed_task", task_file=str(source), task_args={}))


def test_a_file_that_is_no_python_file_is_refused(header: EvalLog, tmp_path: Path) -> None:
    source = tmp_path / "task.ipynb"
    source.write_text("{}")

    with pytest.raises(LogError, match="not a Python file"):
        recreate_task(renamed(header, task_registry_name="in_a_notebook", task_file=str(source)))


def test_arguments_that_no_longer_fit_are_named(header: EvalLog) -> None:
    with pytest.raises(LogError, match=r"'adding' does not take these arguments.*difficulty"):
        recreate_task(renamed(header, task_registry_name="adding", task_args={"difficulty": "hard"}))


@pytest.mark.parametrize("broken", ["import nowhere", "raise KeyError('x')", "1 / 0", "open('gone.json')"])
def test_a_task_file_that_fails_is_named(header: EvalLog, tmp_path: Path, broken: str) -> None:
    source = tmp_path / "failing.py"
    source.write_text(f"{broken}\n")

    with pytest.raises(LogError, match=r"failing\.py, the logged task's file, cannot be loaded: "):
        recreate_task(renamed(header, task_registry_name="failing", task_file=str(source)))


@pytest.mark.parametrize("error", ["KeyError('x')", "ValueError('x')", "FileNotFoundError('data.json')"])
def test_a_task_that_fails_is_named_with_its_error(header: EvalLog, tmp_path: Path, error: str) -> None:
    name = f"failing_{error.partition('(')[0].lower()}"
    source = tmp_path / "failing.py"
    source.write_text(f"from inspect_ai import task\n\n@task\ndef {name}():\n    raise {error}\n")

    with pytest.raises(LogError, match=rf"'{name}' cannot be loaded: {error.partition('(')[0]}"):
        recreate_task(renamed(header, task_registry_name=name, task_file=str(source), task_args={}))
