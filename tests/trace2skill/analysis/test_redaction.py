"""Verdicts without values: what an analyst still learns, and what it does not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace2skill.analysis.redaction import redact, without_kinds

KNOWN = ("The sheet My Sales; save to 1_905_output.xlsx.", '<sheet name="My Sales"/><t>Bremen</t><v>4063</v>')


@pytest.mark.parametrize(
    ("verdict", "shown"),
    [
        ("Sheet1!B6: expected 48213.5, got None", "Sheet1!B6: expected <number with 1 decimal>, got None"),
        ("My Sales!$C$7: expected 4063, got 'Bremen'", "My Sales!$C$7: expected <integer>, got <text>"),
        ("C7: expected '1,204.50', got 1204.5", "C7: expected <number as text>, got <number with 1 decimal>"),
        (
            "A1: expected datetime.datetime(2024, 3, 5, 0, 0), got '05.03.2024'",
            "A1: expected <date>, got <date as text>",
        ),
        (
            "A1: expected datetime.datetime(2024, 3, 5, 10, 30), got 2024-03-05 10:30",
            "A1: expected <date and time>, got <date and time>",
        ),
        ("A1: expected datetime.time(10, 30), got 10:30", "A1: expected <time>, got <time>"),
        ("A1: expected True, got ''", "A1: expected <boolean>, got <blank text>"),
        ("A1: expected \"Bob's shop\", got 'a\\'b'", "A1: expected <text>, got <text>"),
        (
            "A1: expected 'one\ntwo', got 'x'\nA2: expected 1, got 2",
            "A1: expected <text>, got <text>\nA2: expected <integer>, got <integer>",
        ),
        ("expected 1241, got 12", "expected <integer>, got <integer>"),
        ("Expected 2 items: 'a', 'b c', got no items.", "Expected <integer> items: <text>, <text>, got <text> items."),
    ],
)
def test_values_give_way_to_their_kinds(verdict: str, shown: str) -> None:
    assert redact(verdict, (), KNOWN) == shown


@pytest.mark.parametrize(
    "verdict",
    [
        "3 of 240 cells differ on 'My Sales'",
        "The output workbook 1_905_output.xlsx was not written.",
        "Every cell of the answer position matches.\nRules: spreadsheetbench.",
        "Formulas without a saved value read as empty: B2, AB34.",
        "total.txt is missing",
        "the candidate has no worksheet 'My Sales'",
    ],
)
def test_what_is_no_value_stays_readable(verdict: str) -> None:
    assert redact(verdict, ("spreadsheet/905/1_905_golden.xlsx",), KNOWN) == verdict


@pytest.mark.parametrize(
    ("verdict", "shown"),
    [
        ("Expected Hamburg Altona, got Bremen", "Expected <text>, got <text>"),
        ("Hamburg != Bremen", "<text> != <text>"),
        ("the answer is hamburg", "the answer is <text>"),
        ("Expected:\nHamburg\nBremen\n\nThe end", "Expected:\n<text>\n<text>\n\nThe end"),
        ('{"expected": 5, "got": "six"}', "{<text>: <integer>, <text>: <text>}"),
        ("It says Hamburg somewhere", "It says <text> somewhere"),
        ("Close to \u5317\u4eac", "Close to <text>"),
        ("off by 48,213.50 in 'Hamburg'", "off by <number with 2 decimals> in <text>"),
    ],
)
def test_scorers_of_any_wording_are_redacted(verdict: str, shown: str) -> None:
    assert redact(verdict, (), KNOWN) == shown


@pytest.mark.parametrize(
    ("verdict", "target", "shown"),
    [
        ("2 rows are left", "2", "<integer> rows are left"),
        ("12 rows are left", "2", "12 rows are left"),
        ("it ought to be B, a letter", "B", "it ought to be <text>, a letter"),
        ("the capital, new york, is missing", "New York", "the capital, <text>, is missing"),
        ("items cattle and sheep are missing", "cattle|sheep", "items <text> and <text> are missing"),
        ("see 'Bremen' in the list", "Bremen", "see <text> in the list"),
    ],
)
def test_targets_are_redacted_at_any_length_wherever_they_stand(verdict: str, target: str, shown: str) -> None:
    assert redact(verdict, (target,), KNOWN) == shown


VALUES = st.one_of(
    st.integers(-(10**9), 10**9),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(min_size=1, max_size=30),
    st.dates(),
    st.datetimes(),
)


@given(expected=VALUES, other=VALUES, got=VALUES)
def test_two_values_of_a_kind_look_the_same(expected: object, other: object, got: object) -> None:
    """Nothing but kinds is left: where these agree, the whole texts do."""
    first = redact(f"Sheet1!B6: expected {expected!r}, got {got!r}")
    second = redact(f"Sheet1!B6: expected {other!r}, got {got!r}")

    assert without_kinds(first) == without_kinds(second) == "Sheet1!B6: expected <>, got <>"


@given(st.text())
def test_any_text_is_redacted(text: str) -> None:
    redact(text, (text,), (text,))
