"""Text of others, made safe to show."""

from rich.errors import MarkupError
from rich.text import Text

PLAIN = str.maketrans(
    {
        **dict.fromkeys("\u2018\u2019\u201a\u201b\u02bc\u2032", "'"),
        **dict.fromkeys("\u201c\u201d\u201e\u201f\u00ab\u00bb\u2033", '"'),
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212", "-"),
    }
)
"""Typographic quotation marks and hyphens, by what a keyboard has: a table of `str.translate`."""


def printable(text: str) -> str:
    """The text with everything that a terminal would obey or hide written out as escapes."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def unmarked(message: object) -> str:
    """A message of Inspect's without its markup: it is meant for Rich."""
    try:
        return Text.from_markup(str(message)).plain
    except MarkupError:
        return str(message)
