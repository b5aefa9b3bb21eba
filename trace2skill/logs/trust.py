"""What of a log is taken, and what only the person who runs it may say.

A log may come from anywhere. It may say which task was run and with which arguments; it never says which code is run,
where code runs, or where a model is found and a key goes.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from inspect_ai import Task
from inspect_ai.util import SandboxEnvironmentSpec

from trace2skill.errors import LogError

SANDBOX = "sandbox"
"""Task argument that says where code runs: never taken from a log."""

OF_THE_AGENT = frozenset({"skill", "memory", "match_tokens"})
"""Task arguments that say what the agent has, and nothing of the task that it is set."""

_ADDRESS = re.compile(r"^\s*[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_ENDPOINT = re.compile(r"(?:^|_)(?:url|endpoint|api|key|token|secret|password|host|port|proxy|headers)s?(?:$|_)")
# As Inspect writes the objects that a task was given: it would build them again, wherever they lead.
_MODEL, _OBJECT = frozenset({"model", "config", "base_url", "model_args"}), frozenset({"type", "name", "params"})


@dataclass(frozen=True, kw_only=True)
class Allowed:
    """What the operator has said; nothing in a log can say it."""

    task_file: Path | None = None
    """Source file of the logged task that may be run."""
    sandbox: str | None = None
    """Where code runs, `TYPE` or `TYPE:CONFIG`; by default where the task itself has it run."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """Task arguments, in place of the log's; None leaves one to the task."""

    def without_the_agents(self) -> "Allowed":
        """The same, where another solver takes the agent's place: what the agent had is left to the task."""
        return replace(self, arguments={**dict.fromkeys(OF_THE_AGENT), **self.arguments})


def taken_arguments(logged: Mapping[str, Any], allowed: Allowed) -> dict[str, Any]:
    """The arguments that a logged task is created with.

    Raises:
        LogError: An argument of the log would say where a model is found or build an object; the operator may give it.
    """
    taken = {name: value for name, value in logged.items() if name != SANDBOX and name not in allowed.arguments}
    for name, value in taken.items():
        if reason := _objection(name, value):
            raise LogError(
                f"The logged task's argument '{name}' {reason}, which is never taken from a log. Give it yourself with "
                f"-T {name}=VALUE, or leave it to the task with -T {name}=null."
            )
    taken |= {name: value for name, value in allowed.arguments.items() if value is not None}
    if allowed.sandbox and SANDBOX in logged:
        taken[SANDBOX] = allowed.sandbox.partition(":")[0]
    return taken


def sandboxes_of(task: Task) -> list[SandboxEnvironmentSpec]:
    """Where the code of a task's samples runs, each place once."""
    found: list[SandboxEnvironmentSpec] = []
    for spec in (task.sandbox, *(sample.sandbox for sample in task.dataset)):
        if spec is not None and spec not in found:
            found.append(spec)
    return found


def unconfirmed(specs: Iterable[SandboxEnvironmentSpec], allowed: Allowed) -> list[SandboxEnvironmentSpec]:
    """Those that need the operator's word: this machine itself, and any with a configuration of its own."""
    said = allowed.sandbox.partition(":")[0] if allowed.sandbox else None
    return [spec for spec in specs if spec.type != said and (spec.type == "local" or spec.config is not None)]


def shown_sandbox(spec: SandboxEnvironmentSpec) -> str:
    """A sandbox as the option --sandbox has it."""
    return spec.type if spec.config is None else f"{spec.type}:{spec.config}"


def _objection(name: str, value: Any) -> str:
    """Why an argument is not taken from a log; empty if it may be."""
    if isinstance(value, Mapping):
        keys = value.keys()
        if keys >= _MODEL or keys >= _OBJECT:
            return "builds an object"
        reasons = [_objection(str(key), item) for key, item in value.items()]
        return next((reason for reason in reasons if reason), "")
    if isinstance(value, list | tuple):
        return next((reason for item in value if (reason := _objection(name, item))), "")
    if isinstance(value, str) and value and (_ADDRESS.match(value) or _ENDPOINT.search(name.lower())):
        return "names an address or a key"
    return ""
