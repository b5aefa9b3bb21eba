"""Text of others, made safe to show."""


def printable(text: str) -> str:
    """The text with everything that a terminal would obey or hide written out as escapes."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
