"""Tables as the stand-in reads them: what only begins like a number is compared by nobody."""

import pytest

from trace2skill.simulation.answers.slips import begins_with_number, number
from trace2skill.simulation.answers.tables import make_case

HEADER = ["Venue", "Seats"]


@pytest.mark.parametrize(
    ("text", "expected"), [("1,204 m", 1204), ("9.5", 9.5), ("776. [a]", 776), ("2006 (4.)", 2006)]
)
def test_a_text_that_begins_with_one_number(text: str, expected: float) -> None:
    assert begins_with_number(text)
    assert number(text) == expected


@pytest.mark.parametrize("text", ["", "x1", "776..", "1.2 of 3.4"])
def test_a_text_that_does_not(text: str) -> None:
    assert not begins_with_number(text)


@pytest.mark.parametrize(("odd", "habits"), [("776", {"as_numbers", "value_only"}), ("776..", {"value_only"})])
def test_a_column_with_an_odd_number_is_not_compared(odd: str, habits: set[str]) -> None:
    case = make_case("which is the largest?", ("Hall",), [HEADER, ["Hall", "1500"], ["Arena", "95"], ["Dome", odd]])

    assert {"as_numbers", "value_only"} & set(case.habits) == habits
