"""Check that the quickstart's table in README.md is the one that a run printed, word by word.

White space may differ. In a pipe the table is whole, however narrow the window is:

make quickstart | tee run.txt
python scripts/check_readme_table.py run.txt
"""

import difflib
import re
import sys
from collections.abc import Iterable
from itertools import dropwhile
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"

FIRST, LAST = "SIMULATED: a stand-in model took part", "evolved "
"""How the first line of the block begins, and the row of its last arm."""

COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def block(text: str) -> list[str]:
    """The lines of the table in a text, from its stamp to its last row; none if there is no table."""
    lines = [line.rstrip() for line in COLOURS.sub("", text).splitlines()]
    table = list(dropwhile(lambda line: not line.startswith(FIRST), lines))
    last = next((number for number, line in enumerate(table) if line.startswith(LAST)), None)
    if last is None:
        return []
    return list(filter(None, table[: last + 1]))


def words(lines: Iterable[str]) -> list[str]:
    """The words of a table, without its rules."""
    return [word for line in lines for word in line.split() if word.strip("─")]


def differences(readme: str, run: str) -> str:
    """How the two tables differ, for people to read; empty if they do not."""
    expected, printed = block(readme), block(run)
    if not expected or not printed:
        return f"There is no table of the quickstart in {'the run' if expected else 'README.md'}."
    if words(expected) == words(printed):
        return ""
    return "\n".join(difflib.unified_diff(expected, printed, "README.md", "the run", lineterm=""))


def main(run: str) -> None:
    """Compare README.md with the output of a run; exit status 1 and the difference if they do not agree."""
    found = differences(README.read_text(encoding="utf-8"), Path(run).read_text(encoding="utf-8"))
    if found:
        raise SystemExit(f"README.md does not print the table of this run:\n{found}")
    print("The table in README.md is the one of this run.")


if __name__ == "__main__":
    main(sys.argv[1])
