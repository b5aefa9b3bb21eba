"""Leak guard: values and words that only someone who saw the reference could write."""

import html
import io
import re
import zipfile
import zlib
from collections.abc import Iterable
from typing import NamedTuple

from trace2skill.analysis.spellings import fold, spellings

MAX_UNPACKED = 64 * 1024**2
"""Containers that unpack to more bytes are not unpacked."""

SHORTEST_NUMBER = 3
"""Shorter numbers stand everywhere, so that nobody could be said to have copied one."""

LONGEST_LIST = 200
"""Longer targets, in characters, are not lists of answers, but texts."""

_NUMBER = re.compile(r"(?<![A-Za-z$\d])-?\d[\d.,:/-]*\d")
"""A number, but not the row of a cell reference."""
_CALLED_DATE = re.compile(r"\b(?:datetime|date)\((\d{4}), (\d\d?), (\d\d?)[\d, ]*\)")
_QUOTED = re.compile(r"'((?:[^'\\]|\\.){4,80})'|\"((?:[^\"\\]|\\.){4,80})\"")
_PATH = re.compile(r"(?!\w+://)\S*/\S*\.[A-Za-z]\w{0,4}")
_QUANTITY = re.compile(
    r"(?:USD?|EUR|GBP|Rs\.?)? ?[^\w\s.]{0,2} ?(?P<number>\d+(?:,\d{3})*(?:\.\d+)?)"
    r" ?(?:[%\u00b0'\"]|[^\W\d_]{1,15})?(?: ?/ ?[^\W\d_]{1,15})?\.?"
)
"""A number with or without a sign, a currency, and a unit."""
_CONSTANTS = frozenset({"none", "null", "true", "false", "nan"})
_WORDS = {"2": "two", "3": "three", "4": "four", "5": "five", "6": "six", "7": "seven", "8": "eight", "9": "nine"}
_WORDS |= {"10": "ten", "11": "eleven", "12": "twelve"}

# "Expected output" and "reference values" are not among them: of 1,647 recorded texts of a real model, all 12 that hold
# such words speak of the form of results, or of values in the input. So do they of an answer key that has columns.
_MENTION = re.compile(
    r"\b(golden (file|workbook|answer)|reference (answer|file|workbook|solution)"
    r"|(ground[- ]truth|answer key)(?!s? (columns?|rows?|cells?|labels?|sheets?|tabs?|tables?|fields?|ranges?)\b)"
    r"|expected answer|check_(fix|answer)|the (grader|scorer|verdict))\b",
    re.IGNORECASE,
)
_SAYS = r"(?:is|was|are|were|be|been|equals?|gives?|yields?)"
_FORM = (
    r"(?i:-[a-z]| ?%?,? (?:(?:to|and|or) -?\d+"
    r"|(?:or|and) (?:more|greater|less|fewer|higher|lower|larger|smaller|above|below|up)"
    r"|digits?|decimals?|places?|significant|characters?|letters?|words?|sentences?|lines?|integers?|numbers?"
    r"|spaces?)\b)"
)
"""After a number: it tells how an answer looks."""
_NO_FORM = rf"(?!{_FORM})"
_FILLERS = r"(?: (?:approximately|about|around|exactly|simply|just|only|therefore|thus|then|answer|the|an?)){0,3}"
_ASKED = (
    r"\b(?:answer(?:s|ed)?|solutions?"
    r"|(?:expected|correct|right|true|final|target) (?:value|result|output|number|count|total|sum|choice|option))\b"
)
_SENTENCE = r"(?:[^\n.!?]|[.!?](?!\s)|(?<=[:=])\n){0,200}?"
"""What may lie between two parts of a sentence."""
_TOLD = (
    rf"(?:{_ASKED}(?: ?[^\w\s,;.)]|\n)|{_ASKED}{_SENTENCE}(?:\b(?:{_SAYS}|of|as|to)\b|[:=]|->|i\.e\.)"
    rf"|(?:should|must) (?:be|have been)\b){_FILLERS}\W{{0,9}}"
)
"""What stands before a word, or number, that is called the answer."""
_CALLED = rf"\W{{0,4}} (?:(?:is|was|are|were|as|being|for) (?:the |its |an? )?(?:\w+ )?{_ASKED}|(?:is|was) correct\b)"
"""What stands after it."""
_STATED = re.compile(
    rf"\b(?:answer|solution|expected (?:output|result|value))s? (?:(?:should|must) (?:have )?)?{_SAYS}\b"
    rf":?{_FILLERS}\W{{1,9}}\d(?:[\d.,]*\d)?(?![\d.,]*\d){_NO_FORM}",
    re.IGNORECASE,
)


class Guarded(NamedTuple):
    """What the lessons of a trajectory may not hold."""

    values: frozenset[str] = frozenset()
    """Values that stand in verdicts alone (`reference_values`)."""
    answers: frozenset[str] = frozenset()
    """What the targets say (`answers`); empty where nobody knows them."""


def answers(targets: Iterable[str]) -> frozenset[str]:
    """Targets that no lesson tells, although they may stand in the task itself: a lesson is for other tasks.

    Args:
        targets: A sample's targets. Of a list such as `France, Spain` each item is an answer as well; of a quantity
            such as `$7,102` or `12 km` the number is. Paths of reference files are not answers.
    """
    found: set[str] = set()
    for target in (fold(target).strip() for target in targets if not _PATH.fullmatch(target.strip())):
        found |= {target, *(re.split(r"[|;\n]|,(?!\d)", target) if len(target) <= LONGEST_LIST else ())}
    bare = (item.strip(" \n\"'()[]").rstrip(".!") for item in found)
    items = {quantity["number"] if (quantity := _QUANTITY.fullmatch(item)) else item for item in bare}
    return frozenset(item for item in items if any(map(str.isalnum, item)))


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
    return frozenset(value for value in values if not any(spelling in haystack for spelling in spellings(value)))


def leaked(text: str, guarded: Guarded) -> str | None:
    """Why a lesson or edit may not be used: it holds an answer, or speaks of the reference. None if it may.

    A value that nobody writes by chance stops a text wherever it stands. Any other, such as `42` or `Check`, does where
    the text calls it the answer, and a name also within a sentence, where it is no ordinary word.
    """
    text = fold(text)
    if mention := _MENTION.search(text):
        return f"mentions what the agent never sees: '{mention.group()}'"
    for value in sorted(guarded.values | guarded.answers):
        if _is_distinctive(fold(value)):
            if _holds(text, value):
                return f"contains the reference value {value!r}"
        elif _tells(text, fold(value)):
            return f"states an answer: {value!r}"
    if not guarded.answers:
        stated = _STATED.search(text)
        return f"states an answer: '{stated.group()}'" if stated else None
    return None


def hard_coded(text: str, values: frozenset[str]) -> str | None:
    """Why a fix may not be used: it contains a reference value. None if it may."""
    text = fold(text)
    return next((f"contains the reference value {value!r}" for value in sorted(values) if _holds(text, value)), None)


def _is_distinctive(value: str) -> bool:
    """Whether nobody writes a value by chance: no word, no short or round number."""
    if re.fullmatch(r"-?[\d,.]+", value):
        digits = re.sub(r"\D", "", value)
        return len(digits) >= SHORTEST_NUMBER and len(digits.strip("0")) > 1
    ordinary = re.sub(r"[.'-]", "", value).isalpha() and value.lower() != value.upper()
    return len(value) > SHORTEST_NUMBER and not ordinary


def _holds(text: str, value: str) -> bool:
    folded = fold(value)
    telling = {folded, *(spelling for spelling in spellings(folded) if len(spelling) >= SHORTEST_NUMBER)}
    return re.search(_alone(telling), text, re.IGNORECASE) is not None


def _alone(spelt: Iterable[str]) -> str:
    """A pattern of texts that are no part of a longer word or number; a unit may follow a number."""
    return "|".join(
        rf"(?<![\w])(?<!\d\.){re.escape(each)}" + (r"(?!\d|\.\d|,\d{3}(?!\d))" if each[-1:].isdigit() else r"(?!\w)")
        for each in sorted(spelt)
    )


def _tells(text: str, value: str) -> bool:
    """Whether a text calls a value the answer, or has it as a name."""
    if value[:1] in "-0123456789":
        alone = rf"(?:{_alone(spellings(value))}){_NO_FORM}"
        patterns = [rf"{_ASKED}{_SENTENCE}{alone}", rf"{_TOLD}{alone}", rf"{alone}{_CALLED}"]
        if value in _WORDS:
            patterns.append(rf"{_TOLD}{_WORDS[value]}\b{_NO_FORM}")
    else:
        # "A" is an answer where "a" is an article.
        alone = rf"(?:{_alone([value])})" if len(value) > 1 else rf"(?-i:{_alone([value])})"
        patterns = [rf"{_TOLD}{alone}", rf"{_ASKED} {alone}(?=[.!?\n]|$)", rf"{alone}{_CALLED}"]
    return any(re.search(pattern, text, re.IGNORECASE) for pattern in patterns) or _names(text, value)


def _names(text: str, value: str) -> bool:
    """Whether a value stands within a sentence as a name, not as one word of a title."""
    spelt = "|".join({value, value.capitalize()} - {value.lower()})
    if not spelt or len(value) <= SHORTEST_NUMBER or value.lower() in _CONSTANTS or not value.isalpha():
        return False
    return re.search(rf"\b[a-z]+,? [\"'(]?(?:{spelt})(?:'s)?[\"')]?(?= [a-z]|[.,;:)]|\n|$)", text) is not None


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
