"""Create the task of a log again, with its dataset, sandbox and scorer."""

import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import chdir
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path
from typing import TypeVar

from inspect_ai import Task, task_with
from inspect_ai.dataset import Sample
from inspect_ai.solver import Solver, chain
from inspect_ai.util import SandboxEnvironmentSpec, registry_create

from trace2skill.data.places import resolve_path
from trace2skill.errors import LogError, Trace2SkillError
from trace2skill.logs.header import Header
from trace2skill.logs.trajectory import Trajectory, target_beginning
from trace2skill.logs.trust import Allowed, sandboxes_of, shown_sandbox, taken_arguments, unconfirmed

T = TypeVar("T")

NOTHING = Allowed()
"""What a log alone may do."""


def recreate_task(header: Header, allowed: Allowed = NOTHING, **changes: object) -> Task:
    """The task that a log records, created anew with the same arguments, but for `changes`.

    Inspect prefixes a task's name with its package only where that package is installed as a distribution, so the
    same task is called `spreadsheet` in a checkout and `evals/spreadsheet` in a wheel. The name is therefore tried
    as logged, without its prefix, and with the prefix of every installed Inspect extension. The source file that a log
    names is run only if the operator has named it as well; where code runs is never the log's to say.

    Args:
        header: The log.
        allowed: What the operator has said.
        changes: Arguments that differ.

    Raises:
        LogError: No such task is installed, it cannot be created with the arguments, or they or the place where its
            code would run need the operator's word.
        DataError: Its data is missing.
    """
    _load_extensions()
    if allowed.task_file:
        source = resolve_path(str(allowed.task_file))
        _attempt(f"{source}, the task's file,", partial(_import_file, source))
    names = _names(header.registered)
    task = _create(names, {**taken_arguments(header.arguments, allowed), **changes})
    if task is None:
        raise LogError(_not_there(header, allowed))
    return _confined(task, names, allowed)


def create_task(name: str, arguments: Mapping[str, object]) -> Task:
    """The task of a name that a user wrote, where an installed package or an imported file registers it.

    Args:
        name: Such as `evals/wikitq`; with or without the package.
        arguments: Its arguments.

    Raises:
        LogError: No such task is installed, or it cannot be created with the arguments.
        DataError: Its data is missing.
    """
    _load_extensions()
    task = _create(_names(name), dict(arguments))
    if task is None:
        raise LogError(
            f"No task '{name}' is installed here. Install the package that defines it, or write FILE.py@task."
        )
    return task


def _load_extensions() -> None:
    for extension in entry_points(group="inspect_ai"):
        _attempt(f"Inspect extension '{extension.name}'", extension.load)


def _names(registered: str) -> list[str]:
    """The names that a task may have here."""
    base = registered.rsplit("/", 1)[-1]
    return [registered, base, *(f"{extension.name}/{base}" for extension in entry_points(group="inspect_ai"))]


def recreate_for_analysis(header: Header, allowed: Allowed = NOTHING) -> Task:
    """The task for an analyst in the agent's place, without what the agent had: that may be gone, or from elsewhere.

    A task that cannot do without is created as it was logged.

    Raises:
        LogError: As `recreate_task` does.
    """
    try:
        return recreate_task(header, allowed.without_the_agents())
    except LogError:
        return recreate_task(header, allowed)


def _not_there(header: Header, allowed: Allowed) -> str:
    if allowed.task_file:
        return f"{allowed.task_file} defines no task '{header.registered}', which is the one that was logged."
    name = header.task_file or "(none logged)"
    return (
        f"The logged task '{header.registered}' is not installed here, and its file {name} is run only if you say so. "
        "Install the package that defines it, or, if you trust the file, name it with --task FILE."
    )


def _confined(task: Task, names: list[str], allowed: Allowed) -> Task:
    """The task, with its code run where the operator wants it.

    Raises:
        LogError: The log's arguments have led to a place that needs the operator's word.
    """
    if allowed.sandbox and {spec.type for spec in sandboxes_of(task)} - {allowed.sandbox.partition(":")[0]}:
        kind, _, config = allowed.sandbox.partition(":")
        for sample in task.dataset:
            sample.sandbox = None
        return task_with(task, sandbox=(kind, config) if config else kind)
    if suspicious := unconfirmed(sandboxes_of(task), allowed):
        # What the installed task does unasked is the operator's own choice.
        plain = _unasked(names)
        if unsafe := [spec for spec in suspicious if spec not in plain]:
            raise LogError(
                f"The log would have the task's code run in the sandbox '{shown_sandbox(unsafe[0])}'. Where code runs "
                f"is yours to say: add --sandbox {shown_sandbox(unsafe[0])} if you trust it, or name another one."
            )
    return task


def _unasked(names: list[str]) -> list[SandboxEnvironmentSpec]:
    """Where the installed task runs code when it is given no arguments; nowhere if it wants some."""
    try:
        task = _create(names, {})
    except Trace2SkillError:
        return []
    return sandboxes_of(task) if task else []


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
        raise LogError(f"{source}: the task's file is not a Python file.")
    # As Inspect does it: a task file may import and open what lies beside it.
    sys.path.insert(0, str(source.parent))
    try:
        with chdir(source.parent):
            spec.loader.exec_module(importlib.util.module_from_spec(spec))
    finally:
        sys.path.remove(str(source.parent))


def solver_of(task: Task) -> Solver:
    """What a task has its agent do, its setup first."""
    setup = task.setup or []
    return chain(*(setup if isinstance(setup, Sequence) else [setup]), task.solver)


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
