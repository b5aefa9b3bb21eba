"""Tables and paragraphs as text, in one form for all commands.

Where there is room a table stands side by side: each row on one line, or else on the lines that its cells may break
into. Where there is none, each row is a block of `label: value` lines. No word is ever broken or left out.
"""

import textwrap
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from rich.cells import cell_len

from trace2skill.text import printable

_GAP = "  "
_LEAST = 24
"""Columns that a value needs beside its label; with less it stands below."""


@dataclass(frozen=True, kw_only=True)
class Table:
    r"""Rows of cells below headings.

    A line feed in a cell or heading says where it may break; else it is a blank, or nothing after a slash.
    """

    columns: Sequence[str]
    """Headings."""
    rows: Sequence[Sequence[str]]
    """Cells; a row may end early."""
    right: Collection[str] = ()
    """Headings of the columns that are set to the right."""

    def text(self, width: int | None = None) -> str:
        """The table for a terminal of this many columns, or without a limit."""
        for joint in (" ", "\n"):
            lines = list(self._side_by_side(joint))
            if width is None or max(map(cell_len, lines)) <= width:
                return "\n".join(lines)
        return "\n\n".join(facts([*zip(self.columns, row, strict=False)], width) for row in self.rows)

    def _side_by_side(self, joint: str) -> Iterator[str]:
        rows = [[_parts(cell, joint) for cell in row] for row in (self.columns, *self.rows)]
        widths = [
            max(cell_len(part) for row in rows for part in (row[number] if number < len(row) else ()))
            for number in range(len(self.columns))
        ]
        for number, row in enumerate(rows):
            for parts in zip_longest(*row, fillvalue=""):
                cells = zip(self.columns, widths, parts, strict=False)
                yield _GAP.join(_padded(part, wide, right=name in self.right) for name, wide, part in cells).rstrip()
            if number == 0:
                yield "─" * (sum(widths) + len(_GAP) * (len(widths) - 1))


def facts(pairs: Sequence[tuple[str, str]], width: int | None = None) -> str:
    """Labels with their values, a line each; longer values are continued below themselves, between words."""
    labels = [f"{_parts(label, ' ')[0]}:" for label, _ in pairs]
    indent = max(map(cell_len, labels), default=0) + 1
    lines: list[str] = []
    for label, (_, value) in zip(labels, pairs, strict=True):
        text = _parts(value, " ")[0]
        if width is None or width - indent >= _LEAST:
            wrapped = paragraph(text, width and width - indent).splitlines() or [""]
            lines.append(f"{_padded(label, indent)}{wrapped[0]}".rstrip())
            lines += [" " * indent + line for line in wrapped[1:]]
        else:
            lines += [label, textwrap.indent(paragraph(text, width - 2), "  ")]
    return "\n".join(lines)


def paragraph(text: str, width: int | None = None) -> str:
    """One paragraph, broken between words where the terminal ends."""
    safe = printable(text)
    if width is None:
        return safe
    return textwrap.fill(safe, max(width, 1), break_long_words=False, break_on_hyphens=False)


def _parts(cell: str, joint: str) -> list[str]:
    whole = cell if joint == "\n" else cell.replace("/\n", "/").replace("\n", joint)
    return [printable(part) for part in whole.split("\n")]


def _padded(text: str, wide: int, *, right: bool = False) -> str:
    blanks = " " * (wide - cell_len(text))
    return blanks + text if right else text + blanks
