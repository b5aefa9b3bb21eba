"""Create the task of a log again, with its dataset, sandbox and scorer."""

import importlib.util
import sys
from collections.abc import Callable
from contextlib import chdir
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path
from typing import TypeVar

from inspect_ai import Task
from inspect_ai.dataset import Sample
from inspect_ai.util import registry_create

from trace2skill.data.places import resolve_path
from trace2skill.errors import LogError, Trace2SkillError
from trace2skill.logs.header import Header
from trace2skill.logs.trajectory import Trajectory, target_beginning

T = TypeVar("T")


def recreate_task(header: Header, **changes: object) -> Task:
    """The task that a log records, created anew with the same arguments, but for `changes`.

    Inspect prefixes a task's name with its package only where that package is installed as a distribution, so the
    same task is called `spreadsheet` in a checkout and `evals/spreadsheet` in a wheel. The name is therefore tried
    as logged, without its prefix, with the prefix of every installed Inspect extension, and last from the logged
    source file.

    Raises:
        LogError: No such task is installed, or it cannot be created with the arguments.
        DataError: Its data is missing.
    """
    arguments = {**header.arguments, **changes}
    logged = header.registered
    extensions = entry_points(group="inspect_ai")
    for extension in extensions:
        _attempt(f"Inspect extension '{extension.name}'", extension.load)
    base = logged.rsplit("/", 1)[-1]
    names = [logged, base, *(f"{extension.name}/{base}" for extension in extensions)]
    task = _create(names, arguments)
    if task is None and header.task_file:
        source = resolve_path(header.task_file)
        if source.is_file():
            _attempt(f"{source}, the logged task's file,", partial(_import_file, source))
            task = _create(names, arguments)
    if task is None:
        raise LogError(
            f"The logged task '{logged}' is not installed here, and its file "
            f"{header.task_file or '(none logged)'} was not found. "
            "Install the package that defines it, or run from the folder that the evaluation ran in."
        )
    return task


def _create(names: list[str], arguments: dict[str, object]) -> Task | None:
    for name in dict.fromkeys(names):
        try:
            return _attempt(f"The logged task '{name}'", partial(_create_named, name, arguments))
        except _NotRegisteredError:
            continue
    return None


class _NotRegisteredError(Trace2SkillError):
    """No task of this name is registered."""


def _create_named(name: str, arguments: dict[str, object]) -> Task:
    try:
        task: Task = registry_create("task", name, **arguments)
    except LookupError as error:
        # A KeyError comes from the task itself.
        if type(error) is LookupError:
            raise _NotRegisteredError(f"No task '{name}' is installed here.") from error
        raise
    return task


def _attempt(what: str, action: Callable[[], T]) -> T:
    """Run the code of others, which may fail in any way."""
    try:
        return action()
    except Trace2SkillError:
        raise
    except TypeError as error:
        raise LogError(f"{what} does not take these arguments, or fails with them: {error}.") from error
    except Exception as error:
        raise LogError(f"{what} cannot be loaded: {error!r}.") from error


def _import_file(source: Path) -> None:
    spec = importlib.util.spec_from_file_location(f"_logged_task_{source.stem}", source)
    if spec is None or spec.loader is None:
        raise LogError(f"{source}: the logged task's file is not a Python file.")
    # As Inspect does it: a task file may import and open what lies beside it.
    sys.path.insert(0, str(source.parent))
    try:
        with chdir(source.parent):
            spec.loader.exec_module(importlib.util.module_from_spec(spec))
    finally:
        sys.path.remove(str(source.parent))


def sample_of(task: Task, trajectory: Trajectory) -> Sample:
    """The sample of a task that a trajectory is a run of.

    Raises:
        LogError: The task's dataset has no such sample any more, or another one of that id.
    """
    wanted = str(trajectory.sample_id)
    found = next((sample for sample in task.dataset if str(sample.id) == wanted), None)
    if found is None:
        raise LogError(f"Sample {wanted} of {trajectory.log} is not in the logged task's dataset any more.")
    if target_beginning(found.target) != trajectory.target:
        raise LogError(
            f"Sample {wanted} of {trajectory.log} has another target than in the task of that name here: either the "
            "dataset has changed, or it is another task."
        )
    return found
