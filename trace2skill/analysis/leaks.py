"""Leak guard: values and words that only someone who saw the reference could write."""

import html
import io
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import date

MAX_UNPACKED = 64 * 1024**2
"""Containers that unpack to more bytes are not unpacked."""

SHORTEST_NUMBER = 3
"""Shorter numbers stand everywhere, so that nobody could be said to have copied one."""

_NUMBER = re.compile(r"(?<![A-Za-z$\d])-?\d[\d.,:/-]*\d")
"""A number, but not the row of a cell reference."""
_DAY_ZERO = date(1899, 12, 30)
"""Workbooks save a date as the number of days since then."""
_CALLED_DATE = re.compile(r"\b(?:datetime|date)\((\d{4}), (\d\d?), (\d\d?)[\d, ]*\)")
_QUOTED = re.compile(r"'((?:[^'\\]|\\.){4,80})'|\"((?:[^\"\\]|\\.){4,80})\"")
# "Expected output" and "reference values" are not among them: of 1,647 recorded texts of a real model, all 12 that hold
# such words speak of the form of results, or of values in the input.
_MENTION = re.compile(
    r"\b(golden (file|workbook|answer)|reference (answer|file|workbook|solution)|ground[- ]truth|answer key"
    r"|expected answer|check_(fix|answer)|the (grader|scorer|verdict))\b",
    re.IGNORECASE,
)
_STATED = re.compile(
    r"\b(?:answer|solution|expected (?:output|result|value))s? "
    r"(?:is|was|are|equals|(?:should|must) (?:be|have been)):? [\"'`$(\[\\{a-z]{0,8}-?\d[\d.,]*",
    re.IGNORECASE,
)


def answers(targets: Iterable[str]) -> frozenset[str]:
    """Targets that no lesson quotes, although they may stand in the task itself: a lesson is for other tasks.

    Left out are those that may well be a lesson's own words: short ones, single words in lower case, and paths.
    """
    return frozenset(
        target
        for target in map(str.strip, targets)
        if len(target) > SHORTEST_NUMBER or (target.isdecimal() and len(target) == SHORTEST_NUMBER)
        if "/" not in target and not (target.islower() and target.isalpha())
    )


def reference_values(verdicts: str, known: Iterable[str]) -> frozenset[str]:
    """Values that a verdict or target holds and that cannot be had from anywhere else.

    Args:
        verdicts: Everything that scorers said, and the targets. Analysts do not see these values (`redaction`), but may
            come upon them.
        known: Texts that the agent could read or wrote itself: the task, its inputs, the attempt.

    Returns:
        Numbers of three or more characters, dates, and quoted strings of four or more that occur in `verdicts` and, in
        whatever spelling, in none of `known`.
    """
    haystack = "\n".join(known)
    dates = {"-".join(part.zfill(2) for part in match.groups()) for match in _CALLED_DATE.finditer(verdicts)}
    verdicts = _CALLED_DATE.sub(" ", verdicts)
    found = {match.group().strip(".,:/-") for match in _NUMBER.finditer(verdicts)}
    found |= {match.group(1) or match.group(2) for match in _QUOTED.finditer(verdicts)}
    values = dates | {value for value in found if len(value) >= SHORTEST_NUMBER}
    return frozenset(value for value in values if not any(spelling in haystack for spelling in _spellings(value)))


def leaked(text: str, values: frozenset[str]) -> str | None:
    """Why a lesson or edit may not be used: it holds an answer, or speaks of the reference. None if it may."""
    if mention := _MENTION.search(text):
        return f"mentions what the agent never sees: '{mention.group()}'"
    if stated := _STATED.search(text):
        return f"states an answer: '{stated.group()}'"
    return hard_coded(text, values)


def hard_coded(text: str, values: frozenset[str]) -> str | None:
    """Why a fix may not be used: it contains a reference value. None if it may."""
    for value in sorted(values):
        telling = {value, *(spelling for spelling in _spellings(value) if len(spelling) >= SHORTEST_NUMBER)}
        spelt = "|".join(map(re.escape, sorted(telling)))
        if re.search(rf"(?<![\w.])(?:{spelt})(?!\w|[.,]\d)", text, re.IGNORECASE):
            return f"contains the reference value {value!r}"
    return None


def _spellings(value: str) -> Iterator[str]:
    """How a value may be written: a number with and without separators and trailing zeros, a date in other orders."""
    yield value
    if match := re.fullmatch(r"(\d{4})-(\d\d)-(\d\d)", value):
        yield from _spellings_of_date(*map(int, match.groups()))
    elif match := re.fullmatch(r"(-?(?:[1-9]\d{0,2}(?:,\d{3}){1,9}|0|[1-9]\d{0,30}))(?:\.(\d+))?", value):
        whole, decimals = int(match.group(1).replace(",", "")), (match.group(2) or "").rstrip("0")
        for padding in range(max(0, 2 - len(decimals)) + 1):
            padded = decimals + "0" * padding
            english = [f"{whole}", f"{whole:,}", f"{whole:_}"]
            yield from (f"{grouped}.{padded}" if padded else grouped for grouped in english)
            yield f"{whole:,}".replace(",", ".") + (f",{padded}" if padded else "") if abs(whole) >= 1000 else value


def _spellings_of_date(year: int, month: int, day: int) -> Iterator[str]:
    yield f"{year}, {month}, {day}"
    for separator in "/.-":
        for first, second in ((day, month), (month, day)):
            yield f"{first}{separator}{second}{separator}{year}"
            yield f"{first:02}{separator}{second:02}{separator}{year}"
        yield f"{year}{separator}{month:02}{separator}{day:02}"
    with suppress(ValueError):  # no day of any calendar
        yield str((date(year, month, day) - _DAY_ZERO).days)


def readable(content: bytes) -> str:
    """The text in a file; of a zip container, such as a workbook, the text in its members.

    Agents made these files, so a damaged or oversized container is read as plain bytes.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if sum(member.file_size for member in archive.infolist()) <= MAX_UNPACKED:
                members = (archive.read(name).decode("utf-8", errors="replace") for name in archive.namelist())
                return html.unescape("\n".join(members))
    except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, OSError, EOFError):
        pass  # not a container that can be read: its bytes are all there is
    return content.decode("utf-8", errors="replace")
