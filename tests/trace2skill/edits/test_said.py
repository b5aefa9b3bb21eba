"""What counts as said already, and what does not."""

import pytest

from trace2skill.edits.said import Known, pieces_of, without

SKILL = """\
# Tables

- Keep the **header** row, don't drop it.
- Count rows (not cells) first; then sum.

A wrapped sentence stands
here. And "another" one
follows.

Write `a = b * c` to `*.csv` with `__main__`, or `N/A`.

| a | b |
|---|---|
| 1 | 2 |

```py
x = 1
y = 2
z = 3
```

```sh
ls
```

[manual]: https://example.org
"""


def left(text: str, skill: str = SKILL) -> str:
    """What is left of a text without what the skill says."""
    known = Known(pieces_of(tuple(skill.split("\n"))))
    return "\n".join(without(text.split("\n"), known.covers))


@pytest.mark.parametrize(
    "text",
    [
        "- keep the header row, don\u2019t drop it",
        "+ Keep the *header* row, don't drop it!",
        "- [x] Keep the header row, don't drop it.",
        "2) Keep the header row, don't drop it.",
        "\u25cf Keep the header row, don't drop it\u2026",
        "b. Keep the header row, don't drop it.",
        "iv) Keep the header row, don't drop it.",
        "> Keep the header row, don't drop it.",
        "- Keep the [header row](https://example.org/rows), don't drop it.",
        "- Keep the ~~header~~ row, don't drop it.",
        "<p>Keep the header<br>row, don't drop it.</p>",
        "- Then sum.\n- Count rows (not cells) first.",
        "A wrapped sentence stands here.",
        "And \u201canother\u201d one\nfollows",
        "Write `a = b * c` to `*.csv` with `__main__`, or `N/A`.",
        "| 1 | 2 |",
        "```\ny = 2\nz = 3\n```",
        "Do as follows:\n\n1. Count rows (not cells) first.",
        "## News\n\nA wrapped sentence stands here.\n\n### More\n\n- Then sum",
        "[manual]: https://example.org",
    ],
)
def test_it_is_said_already(text: str) -> None:
    assert left(text) == ""


@pytest.mark.parametrize(
    "text",
    [
        "- Keep the header row, do drop it.",
        "- Count rows (not cells).",
        "Write `a = b c` to `*.csv` with `__main__`, or `N/A`.",
        "Write `a = b * c` to `.csv` with `__main__`, or `N/A`.",
        "Write `a = b * c` to `*.csv` with `main`, or `N/A`.",
        "Write `a = b * c` to `*.csv` with `__main__`, or `n/a`.",
        "Keep the [header](references/header.md) row, don't drop it.",
        "```\nx = 1\nls\n```",
        "```\nx = 1\nz = 3\n```",
        "```\nX = 1\n```",
        "| 2 | 1 |",
        "## Only a heading",
        "- Then sum.\n  - Leave out empty rows.",
        "[manual]: https://example.com",
    ],
)
def test_it_is_news(text: str) -> None:
    assert left(text) == text


@pytest.mark.parametrize(
    ("skill", "text"),
    [
        ("Compute x = a * b there.", "Compute x = a b there."),
        ("Call init there.", "Call __init__ there."),
        ('Split at "," there.', 'Split at ";" there.'),
        ("Write 35.", "Write 3.5."),
        ("Round to 1.", "Round to -1."),
    ],
)
def test_signs_that_mean_something_count_in_text_too(skill: str, text: str) -> None:
    assert left(text, skill) == text
    assert left(skill, text) == skill


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("- Then sum.\n- Check twice.\n- Keep the header row, don't drop it", "- Check twice."),
        ("Look first.\n\n- Then sum\n\nLook last.", "Look first.\n\nLook last."),
        ("Do this:\n\n- Then sum\n- Check twice.", "Do this:\n\n- Check twice."),
        ("Do this:\n\n- Then sum\n\nCheck twice.", "Check twice."),
        ("## A\n\nThen sum.\n\n## B\n\nCheck twice.", "## B\n\nCheck twice."),
        ("```\nx = 1\n\n\ny = 1\n```\n\nThen sum.", "```\nx = 1\n\n\ny = 1\n```"),
        (
            "- Check:\n  - Then sum\n  - Twice.\n- Then sum",
            "- Check:\n  - Then sum\n  - Twice.".replace("  - Then sum\n", ""),
        ),
        ("A wrapped sentence stands here.\nCheck twice.", "Check twice."),
    ],
)
def test_only_news_is_left(text: str, rest: str) -> None:
    assert left(text) == rest
