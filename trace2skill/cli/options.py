"""Values of options that are more than a word or a number."""

from typing import Any

import click
import yaml

from trace2skill.foreign import ForeignError, yaml_value


def seeds(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[int, ...]:
    """Numbers, separated by commas."""
    try:
        seeds = tuple(int(part) for part in value.split(",")) if value else ()
    except ValueError as error:
        raise click.BadParameter(f"'{value}' is no list of numbers such as 41,42,43") from error
    if len(set(seeds)) < len(seeds):
        raise click.BadParameter(f"'{value}' names a seed twice")
    return seeds


def replays(context: click.Context, parameter: click.Parameter, value: str | None) -> int:
    """`replay:K` as K."""
    if value is None:
        return 0
    kind, _, count = value.partition(":")
    if kind != "replay" or not count.isdigit() or int(count) < 1:
        raise click.BadParameter(f"'{value}' is not replay:K with K of 1 or more, such as replay:3")
    return int(count)


def pairs(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, Any]:
    """NAME=VALUE, with the value read as YAML, as Inspect does."""
    try:
        return {name: yaml_value(value, name) for name, value in _split(values).items()}
    except (ForeignError, yaml.YAMLError) as error:
        raise click.BadParameter(f"a value is not valid YAML: {error}") from error


def names(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """NAME=VALUE, with the value as it is."""
    return _split(values)


def _split(values: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in values:
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise click.BadParameter(f"'{text}' is not NAME=VALUE")
        found[name] = value
    return found
