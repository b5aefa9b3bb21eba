r"""Backslashes in a model's JSON: what it wrote is not what a JSON parser reads.

Models write LaTeX, Windows paths and regular expressions into JSON strings without doubling the backslash. Most of
that is invalid JSON (`\alpha`, `\d`), which `decode` makes parsable; some of it is valid and means a control
character: `\times` decodes to a tab and `imes`. `restored` finds it again in decoded values, as arguments of tool
calls are. Whoever doubles a backslash anywhere in a value knows how: there, only what nobody can have meant is
changed.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from trace2skill.models.backslashes import restore

__all__ = ["decode", "restored"]

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_FENCE = re.compile(r"```(?:json)?[ \t]*\n(.*?)\n[ \t]*```", re.DOTALL)
# What takes two backslashes also where they are not doubled: rows of a table, and the host of a network path.
_ROWS = re.compile(r"(?<!\\)\\begin\{(\w{1,20}\*?)\}.{0,4000}?(?<!\\)\\end\{\1\}", re.DOTALL)
_HOST = re.compile(r"(?<![\\\w])\\\\(?=\w[\w.-]*\\(?!\\))")
_DOUBLED = re.compile(r"\\[A-Za-z()\[\]{}$%#&_.]")


def decode(text: str) -> Any:
    """The JSON value in a model's text: in a code fence, between other words, with single backslashes.

    Returns:
        The value. Valid JSON is taken as it is, and `restored` is yet to be applied.

    Raises:
        ValueError: There is none.
    """
    problem: ValueError | None = None
    for candidate in _candidates(text):
        try:
            return _parsed(candidate)
        except ValueError as error:
            problem = problem or error
        try:
            return _mended(_parsed(_parsable(candidate)), doubles=False)
        except ValueError:
            pass
    raise problem or ValueError("it holds no JSON object")


def restored(value: Any) -> Any:
    """A JSON value with the backslashes back, in all its strings, that a JSON parser took for escapes.

    No control character but tabs and line breaks is left.
    """
    return _mended(value, doubles=any(_DOUBLED.search(text) for text in _strings(value)))


def _candidates(text: str) -> list[str]:
    """Where the value may begin, most likely first: with the text, in its last fence, at its first brace."""
    found = [text.strip()] if text.strip().startswith(("{", "[")) else []
    found += [block.strip() for block in reversed(_FENCE.findall(text)) if block.strip().startswith(("{", "["))]
    brace = text.find("{")
    return found + ([text[brace:]] if brace >= 0 else [])


def _parsed(text: str) -> Any:
    try:
        # Models also leave line breaks in strings as they are; `strict` would refuse them.
        return json.JSONDecoder(strict=False).raw_decode(text)[0]
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _parsable(text: str) -> str:
    """JSON text in which every backslash of a string that begins no escape is doubled."""
    return _STRING.sub(lambda match: _parsable_string(match.group()), text)


def _parsable_string(text: str) -> str:
    text = _ROWS.sub(lambda rows: re.sub(r"(?<!\\)((?:\\\\)+)", r"\1\1", rows.group()), text)
    text = _HOST.sub(r"\\\\\\\\", text)
    return _ESCAPE.sub(_parsable_escape, text)


def _parsable_escape(match: re.Match[str]) -> str:
    after = match.group(1)
    if after == "'":  # an escape of Python
        return "'"
    # Nobody asks for a backspace or form feed: \boxed, \frac, and \b in regular expressions.
    return match.group() if after[0] in '"\\/nrt' or len(after) == 5 else "\\" + match.group()


def _mended(value: Any, doubles: bool) -> Any:
    match value:
        case str():
            return restore(value, doubles=doubles)
        case list():
            return [_mended(item, doubles) for item in value]
        case dict():
            return {restore(key, doubles=doubles): _mended(item, doubles) for key, item in value.items()}
    return value


def _strings(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case list():
            for item in value:
                yield from _strings(item)
        case dict():
            for key, item in value.items():
                yield from _strings(key)
                yield from _strings(item)
