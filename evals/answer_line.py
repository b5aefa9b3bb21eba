"""The answer at the end of a message: what follows the last line that says `ANSWER:`.

Models decorate that line in many ways, none of which changes what they answer: `**ANSWER**: x`, `ANSWER : x`,
`Final Answer: x`, a list or code block below the mark. Where decoration may be part of an answer, as in `1. FC Köln`
on a line below the mark, both readings are given.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

_MARK = re.compile(
    r"(?:[\s>#+•-]|[0-9]{1,2}[.)]\s|\*\s)*+(?P<opened>[*_`~]*+)\s*+"
    r"(?:(?:the|my)\s++)?(?:final\s++)?answers?(?:\s++(?:is|are))?\s*+"
    r"(?P<between>[*_`~]*+)\s*+[:\uff1a](?P<after>[*_`~]*+)(?P<rest>.*)",
    re.IGNORECASE,
)
_FENCE = re.compile(r"(?:`{3,}|~{3,})\s*\w*")
_WRAPPED = re.compile(r"(?P<mark>\*{1,3}|_{1,3}|`{1,3}|~~)(?P<inner>\S|\S.*\S)(?P=mark)", re.DOTALL)
_QUOTED = re.compile(r"(?:>\s*)+")
_BULLET = re.compile(r"[-*+•]\s+")
_NUMBER = re.compile(r"([0-9]{1,3})[.)]\s+")


class AnswerLines(NamedTuple):
    """What a message answers, without empty lines.

    Attributes:
        plain: Without decoration.
        literal: As it stands on the lines.
    """

    plain: tuple[str, ...]
    literal: tuple[str, ...]


def answer_lines(text: str) -> AnswerLines | None:
    """The lines of a message from its last `ANSWER:` on, which must begin a line; None if there is none.

    A code block around them, or around the mark as well, ends them.
    """
    lines = [line.strip() for line in text.splitlines()]
    for number in range(len(lines) - 1, -1, -1):
        if "answer" in lines[number].lower() and (mark := _MARK.fullmatch(lines[number])):
            first = _rest_of(mark)
            below = _up_to_fence(lines[number + 1 :], bool(first))
            start = [first] if first else []
            plain = [undecorated(first)] if first else []
            return AnswerLines((*plain, *_without_list(below)), (*start, *below))
    return None


def undecorated(text: str) -> str:
    """A text without the emphasis or code marks that enclose all of it; lone ones stay, as in a footnote's `*5`."""
    while (match := _WRAPPED.fullmatch(text)) and match["mark"] not in match["inner"]:
        text = match["inner"]
    return text


def last_line(text: str) -> str:
    """The last line of a message that is more than the fence of a code block, without decoration."""
    lines = (line.strip() for line in reversed(text.splitlines()))
    return undecorated(next((line for line in lines if line and not _FENCE.fullmatch(line)), ""))


def _rest_of(mark: re.Match[str]) -> str:
    """What follows the mark on its line, without what closes the emphasis that the line opens."""
    opened, rest = mark["opened"], mark["rest"].strip()
    if not opened:
        return f"{mark['after']}{mark['rest']}".strip()
    return rest if mark["between"] or mark["after"] else rest.removesuffix(opened[::-1]).strip()


def _up_to_fence(lines: Sequence[str], begun: bool) -> list[str]:
    """The lines that are not empty, up to the fence that ends them; one before the first of them opens the block."""
    found: list[str] = []
    for line in lines:
        if _FENCE.fullmatch(line):
            if found or begun:
                break
        elif line:
            found.append(line)
    return found


def _without_list(lines: Sequence[str]) -> list[str]:
    """Lines without the marks of a quotation and a list; numbers go only if they count from 1 on every line."""
    lines = [_QUOTED.sub("", line, count=1) if line.startswith(">") else line for line in lines]
    numbers = [_NUMBER.match(line) for line in lines]
    if all(number and int(number[1]) == place for place, number in enumerate(numbers, start=1)):
        lines = [line[number.end() :] for line, number in zip(lines, numbers, strict=True) if number]
    lines = [_BULLET.sub("", line, count=1) if _BULLET.match(line) else line for line in lines]
    return [plain for line in lines if (plain := undecorated(line))]
