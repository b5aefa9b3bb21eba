"""Tables: whole in a pipe, stacked in a narrow terminal, and never with a broken word."""

import pytest

from trace2skill.tables import Table, facts, paragraph

NAMES = ("spreadsheetbench-verified", "spreadsheetbench-full-912", "ein-sehr-langer-name")
TABLE = Table(
    columns=("name", "state", "mean\n[95%]", "won/\nlost"),
    rows=[(name, "missing", "0.350\n[0.181, 0.567]", "6/14") for name in NAMES],
    right=("mean\n[95%]",),
)


@pytest.mark.parametrize("width", [None, 100, 72, 60, 40, 20])
def test_no_word_is_broken_or_left_out_at_any_width(width: int | None) -> None:
    words = TABLE.text(width).split()

    assert all(name in words for name in NAMES)
    assert words.count("[0.181,") == words.count("0.567]") == len(NAMES)
    assert "…" not in TABLE.text(width)
    assert width is None or width < 40 or max(map(len, TABLE.text(width).splitlines())) <= width


def test_a_row_is_a_line_then_two_lines_then_a_block() -> None:
    assert [len(TABLE.text(width).splitlines()) for width in (None, 60, 50)] == [2 + 3, 2 + 1 + 6, 3 * 4 + 2]
    assert TABLE.text().splitlines()[0] == "name                       state              mean [95%]  won/lost"
    assert TABLE.text(50).splitlines()[:4] == [
        "name:       spreadsheetbench-verified",
        "state:      missing",
        "mean [95%]: 0.350 [0.181, 0.567]",
        "won/lost:   6/14",
    ]


def test_what_others_wrote_is_neither_obeyed_nor_read_as_markup() -> None:
    wicked = "[red]x[/red] [/] \x1b[2J\u202e"

    shown = r"[red]x[/red] [/] \x1b[2J\u202e"
    assert shown in Table(columns=("id",), rows=[(wicked,)]).text()
    assert shown in facts([("id", wicked)])
    assert paragraph(wicked) == shown


def test_wide_letters_keep_the_columns_apart() -> None:
    lines = Table(columns=("id", "n"), rows=[("試料", "1"), ("abcd", "2")]).text().splitlines()

    assert lines[2:] == ["試料  1", "abcd  2"]


def test_values_are_continued_below_themselves_and_below_their_label_where_it_is_narrow() -> None:
    pairs = [("edits", "one two three four five six seven eight")]

    assert facts(pairs) == "edits: one two three four five six seven eight"
    assert facts(pairs, 34).splitlines() == ["edits: one two three four five six", "       seven eight"]
    assert facts(pairs, 20).splitlines() == ["edits:", "  one two three four", "  five six seven", "  eight"]
