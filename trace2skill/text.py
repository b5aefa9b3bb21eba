"""Text of others, made safe to show."""

from rich.errors import MarkupError
from rich.text import Text


def printable(text: str) -> str:
    """The text with everything that a terminal would obey or hide written out as escapes."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def unmarked(message: object) -> str:
    """A message of Inspect's without its markup: it is meant for Rich."""
    try:
        return Text.from_markup(str(message)).plain
    except MarkupError:
        return str(message)
