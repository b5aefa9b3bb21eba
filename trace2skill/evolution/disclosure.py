"""What a run takes from its logs, told before the first call to a model."""

from collections.abc import Iterator, Mapping
from typing import Any

from trace2skill.evolution.configuration import EvolveConfig
from trace2skill.evolution.inputs import Inputs
from trace2skill.logs.header import Header
from trace2skill.logs.trust import OF_THE_AGENT, SANDBOX
from trace2skill.models.cast import SAMPLING
from trace2skill.text import printable

_BOUNDS = {"attempt_timeout", "timeout"}
"""Settings that every part has of its own, and that lead nowhere."""


def disclosure(inputs: Inputs, config: EvolveConfig, named: bool) -> list[str]:
    """What is taken from the logs, and what they say that is not taken, a line each.

    Args:
        inputs: What the run is made from.
        config: Its settings.
        named: Whether the user has named the main model.
    """
    lines: dict[str, None] = {}
    for header in inputs.headers:
        if not named and config.asks_model:
            lines[f"From the logs: model {header.model.model}, on your own endpoint"] = None
        if config.replays:
            settings = header.model.config.model_dump(include=set(SAMPLING), exclude_none=True)
            lines[f"From the logs: how {header.model.model} plays in replays{_listed(settings)}"] = None
        if config.stream:
            settings = header.model.config.model_dump(include=set(SAMPLING), exclude_none=True)
            lines[f"From the logs: how {header.model.model} plays the tasks{_listed(settings)}"] = None
        if config.stream or (config.analysts != "success" and not config.makes_bank):
            left_out = {SANDBOX} if config.replays else {SANDBOX, *OF_THE_AGENT}
            taken = {name: value for name, value in header.arguments.items() if name not in left_out}
            lines[f"From the logs: task {header.registered}{_listed({**taken, **config.task_args})}"] = None
        if left := ", ".join(_left(header)):
            lines[f"Not taken from the logs: {left}"] = None
    return [printable(line) for line in lines]


def _left(header: Header) -> Iterator[str]:
    """What a log says of endpoints, code and judges, which only the user may say."""
    if header.model.base_url:
        yield f"address {header.model.base_url}"
    yield from (f"argument {name} of the provider" for name in sorted(header.model.args))
    dropped = header.model.config.model_dump(exclude={*SAMPLING, *_BOUNDS}, exclude_none=True)
    yield from (f"setting {name}" for name in sorted(dropped))
    yield from (f"role {role} ({models[0].model})" for role, models in sorted(header.roles.items()))
    if sandbox := header.arguments.get(SANDBOX):
        yield f"sandbox {sandbox}"


def _listed(settings: Mapping[str, Any]) -> str:
    shown = ", ".join(f"{name}={value}" for name, value in sorted(settings.items()) if value is not None)
    return f" ({shown})" if shown else ""
