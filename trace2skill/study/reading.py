"""Reads `study.yaml`. Every fault is said with the file, its line, and what to write instead."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from trace2skill.errors import StudyError
from trace2skill.foreign import MAX_YAML_BYTES, ForeignError, read, yaml_value
from trace2skill.study.declaration import Declaration
from trace2skill.study.faults import Fault, Place, faults, nearest

SCALES = "scales"
FILE = "study.yaml"


def find_file(path: str | Path) -> Path:
    """The declaration that a user named by itself or by its folder.

    Raises:
        StudyError: There is none.
    """
    given = Path(path)
    file = given / FILE if given.is_dir() else given
    if not file.is_file():
        raise StudyError(f"{given}: there is no {FILE}. Name the file of a study, such as results/quickstart/{FILE}.")
    return file


def read_declaration(file: Path, scale: str | None = None) -> Declaration:
    """A study's declaration, checked.

    Args:
        file: The YAML file.
        scale: One of its `scales`, which is laid over it.

    Raises:
        StudyError: It is no YAML, has no such scale, or has faults; all of them are named, with their lines.
    """
    try:
        text = read(file, MAX_YAML_BYTES).decode("utf-8")
        content = yaml_value(text, file)
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
        lines = dict(_lines(tree))
    except (ForeignError, UnicodeDecodeError) as error:
        raise StudyError(f"{file}: {error}") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise StudyError(f"{file}{line}: this is no valid YAML: {getattr(error, 'problem', error)}.") from error
    if not isinstance(content, dict):
        raise StudyError(f"{file}: a study is a mapping with name, models, benchmarks, domains and arms.")
    if twice := list(_twice(tree)):
        raise StudyError(
            "\n".join(
                f"{file}, line {line}: '{name}' is there a second time; the first is on line {first}."
                for name, first, line in twice
            )
        )
    if scale is not None:
        content = _scaled(content, scale, file)
    try:
        declaration = Declaration.model_validate(content)
    except ValidationError as error:
        rows = [_fault(row) for row in error.errors()]
        # A list whose members are wrong is also said to be too short.
        own = [
            row for row in rows if not any(len(o.place) > len(row.place) == _common(o.place, row.place) for o in rows)
        ]
        raise StudyError(_message(own, lines, scale, file)) from error
    if found := list(faults(declaration)):
        raise StudyError(_message(found, lines, scale, file))
    return declaration


def _scaled(content: dict[str, Any], scale: str, file: Path) -> dict[str, Any]:
    scales = content.get(SCALES) or {}
    if not isinstance(scales, dict):
        raise StudyError(
            f"{file}: {SCALES} is no mapping. Write a name, and below it what it lays over the declaration."
        )
    if scale not in scales:
        known = ", ".join(map(str, scales)) if scales else "none"
        raise StudyError(f"{file} has no scale '{scale}'{nearest(scale, list(scales))} Its scales: {known}.")
    if not isinstance(scales[scale], dict):
        raise StudyError(f"{file}: scale '{scale}' is no mapping. Write what it lays over the declaration.")
    merged: dict[str, Any] = _laid_over(content, scales[scale])
    return merged


def _laid_over(below: Any, above: Any) -> Any:
    if not (isinstance(below, Mapping) and isinstance(above, Mapping)):
        return above
    return {**below, **{key: _laid_over(below.get(key), value) for key, value in above.items()}}


def _lines(node: yaml.Node | None, path: Place = ()) -> Iterator[tuple[Place, int]]:
    """The line of every value, and of every key, by its path."""
    if node is None:
        return
    yield path, node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            below = (*path, _plain(key))
            yield from _lines(value, below)
            yield below, key.start_mark.line + 1
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            yield from _lines(value, (*path, number))


def _twice(node: yaml.Node | None) -> Iterator[tuple[str, int, int]]:
    """Keys that a mapping has twice, of which YAML would silently take the last: name, first line, line."""
    if isinstance(node, yaml.MappingNode):
        first: dict[str | int, int] = {}
        for key, value in node.value:
            name, line = _plain(key), key.start_mark.line + 1
            if name in first:
                yield str(name), first[name], line
            first.setdefault(name, line)
            yield from _twice(value)
    elif isinstance(node, yaml.SequenceNode):
        for member in node.value:
            yield from _twice(member)


def _common(one: Place, other: Place) -> int:
    """Parts that two paths begin with alike."""
    pairs = zip(one, other, strict=False)
    return next((number for number, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def _plain(key: yaml.Node) -> str | int:
    return str(key.value)


def _line(place: Place, lines: Mapping[Place, int], scale: str | None) -> int:
    """The line of a value, or of what is nearest above it; that of the scale, where it says the value."""
    wanted = tuple(part if isinstance(part, int) else str(part) for part in place)
    for length in range(len(wanted), -1, -1):
        for prefix in ((SCALES, scale), ()) if scale else ((),):
            if (found := (*prefix, *wanted[:length])) in lines and (length or not prefix):
                return lines[found]
    return 1


def _message(found: Sequence[Fault], lines: Mapping[Place, int], scale: str | None, file: Path) -> str:
    rows = sorted({(_line(fault.place, lines, scale), fault.text) for fault in found})
    return "\n".join(f"{file}, line {line}: {text}" for line, text in rows)


def _fault(error: Any) -> Fault:
    """What pydantic found, in our words."""
    place: Place = tuple(error["loc"])
    name = ".".join(map(str, place))
    if error["type"] == "extra_forbidden":
        known = _keys(Declaration, place[:-1])
        return Fault(
            place, f"unknown key '{place[-1]}'{nearest(str(place[-1]), known)} Known here: {', '.join(known)}."
        )
    if error["type"] == "missing":
        return Fault(place, f"'{place[-1]}' is missing{f' in {name}' if len(place) > 1 else ''}. Add it.")
    if error["type"] == "literal_error":
        choices = [part.strip("' ") for part in str(error["ctx"]["expected"]).replace(" or ", ",").split(",")]
        return Fault(
            place, f"{name}: '{error['input']}' is none of {', '.join(choices)}{nearest(str(error['input']), choices)}"
        )
    message = str(error["msg"]).removeprefix("Value error, ")
    return Fault(place, f"{name}: {message}{_shown(place, error['input'])}.")


def _shown(place: Place, value: Any) -> str:
    """What was written, unless that may hold a key or a password."""
    if isinstance(value, Mapping | list | tuple) or "base_url" in place:
        return ""
    return f" (it is {value!r:.60})"


def _keys(model: type[BaseModel], place: Place) -> list[str]:
    """The keys that a mapping may have, whose path is given."""
    rest = list(place)
    while rest:
        part = rest.pop(0)
        field = model.model_fields.get(str(part))
        if field is None:
            break
        inner = _model_in(field.annotation)
        if inner is None:
            break
        model = inner
        if rest and str(rest[0]) not in model.model_fields:
            rest.pop(0)
    return list(model.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part))), None)
