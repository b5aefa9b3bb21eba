"""How one and the same value may be written: numbers, dates, and texts with markup around or inside them."""

import html
import re
import unicodedata
from collections.abc import Iterator
from contextlib import suppress
from datetime import date

from trace2skill.text import PLAIN

_DAY_ZERO = date(1899, 12, 30)
"""Workbooks save a date as the number of days since then."""
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = (
    r"(jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    r"|nov(?:ember)?|dec(?:ember)?)\b\.?"
)
_DAY = r"(\d\d?)(?:st|nd|rd|th)?"
_DATE_IN_WORDS = re.compile(rf"\b(?:{_MONTH} {_DAY}|{_DAY}(?: of)?[ -]{_MONTH})(?: ?, ?| |-)(\d{{4}})\b", re.IGNORECASE)
_CHARACTERS = PLAIN | str.maketrans({**dict.fromkeys("\u00ad\u200b\u200c\u200d\u2060\ufeff"), "\u2044": "/"})
_MARKUP = (
    (r"\\boxed\b", "answer: "),  # what mathematicians write for it
    (r"\\[dt]?frac\{([^{}\n]*)\}\{([^{}\n]*)\}", r"\1/\2"),
    (r"\{,\}", ","),
    (r"\\(?:[,;:! ]|(?:text|math|operatorname)[a-z]*\b)|[{}]", " "),
    (r"\b(?:US\$|USD|EUR|GBP|Rs\.?)(?=\d)|\$", ""),  # so that $B$7 is a cell, as B7 is
    (r"(?m)^[^\S\n]*[*+](?= )", "-"),
    (r"(?<![^\W_])[*_`~]+|[*_`~]+(?![^\W_])", ""),
    (r"[^\S\n]+", " "),
    (r" ?\n ?", "\n"),
    (r"(?<=[\w,;(])\n(?=\w(?!\w{0,2}[.)] ))", " "),  # a line that was only wrapped
)


def fold(text: str) -> str:
    r"""A text as its reader takes it: one form of each character, and no markup; blocks remain lines of their own.

    Dates in words become ISO dates, and `\boxed` becomes the word "answer".
    """
    text = unicodedata.normalize("NFKC", html.unescape(text)).translate(_CHARACTERS)
    for pattern, replacement in _MARKUP:
        text = re.sub(pattern, replacement, text)
    return _DATE_IN_WORDS.sub(_iso, text)


def _iso(match: re.Match[str]) -> str:
    month, day, other_day, other_month, year = match.groups()
    number = _MONTHS.index((month or other_month)[:3].lower()) + 1
    return f"{year}-{number:02}-{int(day or other_day):02}"


def spellings(value: str) -> Iterator[str]:
    """How a value may be written: a number with and without separators and trailing zeros, a date in other orders.

    Args:
        value: A text; dates and numbers are known by their form. In `5/3/24` each part may be the day.
    """
    yield value
    if match := re.fullmatch(r"(\d{4})-(\d\d)-(\d\d)", value):
        yield from _of_date(*map(int, match.groups()))
    elif match := re.fullmatch(r"(\d\d?)([./-])(\d\d?)\2(\d\d(?:\d\d)?)", value):
        first, second, year = int(match[1]), int(match[3]), int(match[4])
        for full in (year,) if year > 99 else (1900 + year, 2000 + year):
            for month, day in ((first, second), (second, first)):
                yield from _of_date(full, month, day) if month <= 12 else ()
    elif match := re.fullmatch(r"(-?(?:[1-9]\d{0,2}(?:,\d{3}){1,9}|0|[1-9]\d{0,30}))(?:\.(\d+))?", value):
        whole, decimals = int(match[1].replace(",", "")), (match[2] or "").rstrip("0")
        for padding in range(max(0, 2 - len(decimals)) + 1):
            padded = decimals + "0" * padding
            grouped = [f"{whole}", *(f"{whole:,}".replace(",", separator) for separator in ",_ '")]
            yield from (f"{each}.{padded}" if padded else each for each in grouped)
            yield f"{whole:,}".replace(",", ".") + (f",{padded}" if padded else "") if abs(whole) >= 1000 else value


def _of_date(year: int, month: int, day: int) -> Iterator[str]:
    yield f"{year}, {month}, {day}"
    for separator in "/.-":
        for first, second in ((day, month), (month, day)):
            yield f"{first}{separator}{second}{separator}{year}"
            yield f"{first:02}{separator}{second:02}{separator}{year}"
            yield f"{first}{separator}{second}{separator}{year % 100:02}"
            yield f"{first:02}{separator}{second:02}{separator}{year % 100:02}"
        yield f"{year}{separator}{month:02}{separator}{day:02}"
    with suppress(ValueError):  # no day of any calendar
        yield str((date(year, month, day) - _DAY_ZERO).days)
