"""A logged task is created anew, wherever it came from."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from inspect_ai.log import read_eval_log

import tests.trace2skill.toy
from trace2skill.errors import LogError
from trace2skill.logs.files import find_logs
from trace2skill.logs.header import Header, header_of
from trace2skill.logs.task import NOTHING, recreate_task
from trace2skill.logs.trust import Allowed

TASK_FILE = '''\
from inspect_ai import Task, task
from inspect_ai.dataset import Sample


@task
def {name}(count: int = 1) -> Task:
    """A task that only this file defines."""
    return Task(dataset=[Sample(id=f"s{{number}}", input="?") for number in range(count)])
'''


@pytest.fixture
def header(adding_logs: Path) -> Header:
    (log,) = find_logs([adding_logs])
    return header_of(read_eval_log(log, header_only=True), log)


def renamed(header: Header, **changes: Any) -> Header:
    """The header with other task fields."""
    return replace(header, **changes)


def ids(log: Header, allowed: Allowed = NOTHING) -> list[object]:
    return [sample.id for sample in recreate_task(log, allowed).dataset]


def test_a_task_comes_back_with_its_dataset_sandbox_and_scorer(header: Header) -> None:
    task = recreate_task(header)

    assert [sample.id for sample in task.dataset] == list(tests.trace2skill.toy.NUMBERS)
    assert task.sandbox is not None
    assert task.scorer is not None
    assert task.version == 1


@pytest.mark.parametrize("name", ["adding", "tests/adding", "some_package/adding"])
def test_a_prefix_that_is_not_installed_here_does_not_matter(header: Header, name: str) -> None:
    assert len(ids(renamed(header, registered=name))) == 4


def test_a_log_without_a_registry_name_goes_by_its_task_name(header: Header) -> None:
    assert len(ids(renamed(header, registered="adding"))) == 4


def test_a_bare_name_finds_the_task_of_an_installed_extension(header: Header) -> None:
    for name in ("spreadsheet", "evals/spreadsheet"):
        bare = renamed(header, registered=name, arguments={"dataset": "sample", "sandbox": "local"})
        assert ids(bare)


def test_a_task_file_that_was_not_imported_yet_is_imported(header: Header, tmp_path: Path) -> None:
    source = tmp_path / "only_here.py"
    source.write_text(TASK_FILE.format(name="only_here"))
    log = renamed(header, registered="only_here", task_file=str(source), arguments={"count": 3})

    assert ids(log, Allowed(task_file=source)) == ["s0", "s1", "s2"]


def test_a_task_file_may_import_its_neighbours(header: Header, tmp_path: Path) -> None:
    (tmp_path / "helper_of_neighbourly.py").write_text("COUNT = 2\n")
    source = tmp_path / "neighbourly.py"
    source.write_text("from helper_of_neighbourly import COUNT\n" + TASK_FILE.format(name="neighbourly"))
    path = list(sys.path)

    assert ids(renamed(header, registered="neighbourly", arguments={}), Allowed(task_file=source)) == ["s0"]
    assert sys.path == path


def test_a_relative_task_file_is_found_from_where_the_evaluation_ran(
    header: Header, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "relative_one.py").write_text(TASK_FILE.format(name="relative_one"))
    monkeypatch.chdir(tmp_path)

    log = renamed(header, registered="relative_one", arguments={})

    assert ids(log, Allowed(task_file=Path("relative_one.py"))) == ["s0"]


@pytest.mark.parametrize("file", ["gone.py", None])
def test_an_unknown_task_says_what_to_do(header: Header, file: str | None) -> None:
    unknown = renamed(header, registered="pkg/no_such_task", task_file=file)

    with pytest.raises(
        LogError, match=r"'pkg/no_such_task' is not installed here.*Install the package that defines it"
    ):
        recreate_task(unknown)


def test_a_task_file_without_the_task_is_no_help(header: Header, tmp_path: Path) -> None:
    source = tmp_path / "another.py"
    source.write_text(TASK_FILE.format(name="another"))

    with pytest.raises(LogError, match=r"another\.py defines no task 'renamed_task'"):
        recreate_task(renamed(header, registered="renamed_task", arguments={}), Allowed(task_file=source))


def test_a_file_that_is_no_python_file_is_refused(header: Header, tmp_path: Path) -> None:
    source = tmp_path / "task.ipynb"
    source.write_text("{}")

    with pytest.raises(LogError, match="not a Python file"):
        recreate_task(renamed(header, registered="in_a_notebook"), Allowed(task_file=source))


def test_arguments_that_no_longer_fit_are_named(header: Header) -> None:
    with pytest.raises(LogError, match=r"'adding' does not take these arguments.*difficulty"):
        recreate_task(renamed(header, registered="adding", arguments={"difficulty": "hard"}))


@pytest.mark.parametrize("broken", ["import nowhere", "raise KeyError('x')", "1 / 0", "open('gone.json')"])
def test_a_task_file_that_fails_is_named(header: Header, tmp_path: Path, broken: str) -> None:
    source = tmp_path / "failing.py"
    source.write_text(f"{broken}\n")

    with pytest.raises(LogError, match=r"failing\.py, the task's file, cannot be loaded: "):
        recreate_task(renamed(header, registered="failing"), Allowed(task_file=source))


@pytest.mark.parametrize("error", ["KeyError('x')", "ValueError('x')", "FileNotFoundError('data.json')"])
def test_a_task_that_fails_is_named_with_its_error(header: Header, tmp_path: Path, error: str) -> None:
    name = f"failing_{error.partition('(')[0].lower()}"
    source = tmp_path / "failing.py"
    source.write_text(f"from inspect_ai import task\n\n@task\ndef {name}():\n    raise {error}\n")

    with pytest.raises(LogError, match=rf"'{name}' cannot be loaded: {error.partition('(')[0]}"):
        recreate_task(renamed(header, registered=name, arguments={}), Allowed(task_file=source))
