"""Reading of text: what teaches a habit, what contradicts it, and how length dilutes it."""

import pytest

from trace2skill.data.places import bundled
from trace2skill.simulation.habits import denied_by, habits, read_teaching, statements, taught_by
from trace2skill.simulation.lessons import quirks

PHRASINGS = [(slug, text) for slug, habit in habits().items() for text in habit.content]


@pytest.mark.parametrize(("slug", "text"), PHRASINGS)
def test_every_phrasing_teaches_its_habit_and_no_other(slug: str, text: str) -> None:
    assert taught_by(text) == {slug}
    assert denied_by(text) == set()


def test_every_habit_has_at_least_four_phrasings() -> None:
    assert min(len(habit.content) for habit in habits().values()) >= 4


def test_one_off_lessons_teach_nothing_and_some_are_wrong() -> None:
    assert [quirk["title"] for quirk in quirks() if taught_by(quirk["content"])] == []
    assert {slug for quirk in quirks() for slug in denied_by(quirk["content"])} == {"dates", "preserve"}


def test_the_parametric_skill_teaches_nothing() -> None:
    skill = (bundled("skills/xlsx-basic") / "SKILL.md").read_text(encoding="utf-8")
    teaching = read_teaching(skill)
    assert (teaching.taught, teaching.denied) == (frozenset(), frozenset())


def test_a_contradiction_undoes_the_teaching() -> None:
    good = "- Write dates as real date values, not as text."
    bad = "- Write dates as ISO strings so that every program can read them."
    assert read_teaching(good).taught == {"dates"}
    assert read_teaching(f"{good}\n{bad}").taught == frozenset()


def test_wrapped_bullets_are_one_statement() -> None:
    text = "# Title\n\n- Delete rows\n  bottom-up, always.\n- Next.\n\nA paragraph\nin two lines."
    assert statements(text) == ["# Title", "- Delete rows bottom-up, always.", "- Next.", "A paragraph in two lines."]


def test_a_long_skill_teaches_less() -> None:
    line = "- Delete rows bottom-up.\n"
    short, long = read_teaching(line), read_teaching(line + "\nMore.\n" * 150)
    assert short.factor("bottom_up", 0.3) == pytest.approx(0.3)
    assert 0.3 < long.factor("bottom_up", 0.3) < 1
    assert short.factor("dates", 0.3) == 1
