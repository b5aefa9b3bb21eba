"""Reading of text for the benchmarks with short answers: each has its own habits, and none speaks for another."""

import pytest

from trace2skill.data.places import bundled
from trace2skill.simulation.habits import DOMAINS, SPREADSHEET, denied_by, habits, read_teaching, taught_by
from trace2skill.simulation.lessons import domain_of, quirks

QUESTIONS = sorted(set(DOMAINS) - {SPREADSHEET})
PHRASINGS = [(d, slug, text) for d in DOMAINS for slug, habit in habits(d).items() for text in habit.content]


@pytest.mark.parametrize(("domain", "slug", "text"), PHRASINGS)
def test_every_phrasing_teaches_its_habit_and_no_other(domain: str, slug: str, text: str) -> None:
    assert taught_by(text, domain) == {slug}
    assert denied_by(text, domain) == set()
    assert domain_of([f"- {text}"]) == domain


@pytest.mark.parametrize("domain", QUESTIONS)
def test_habits_are_worded_in_several_ways(domain: str) -> None:
    assert 4 <= len(habits(domain)) <= 6
    assert min(len(habit.content) for habit in habits(domain).values()) >= 4


@pytest.mark.parametrize("domain", QUESTIONS)
def test_one_off_lessons_teach_nothing_and_some_are_wrong(domain: str) -> None:
    assert [quirk["title"] for quirk in quirks(domain) if taught_by(quirk["content"], domain)] == []
    assert {slug for quirk in quirks(domain) for slug in denied_by(quirk["content"], domain)}


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("name", ["xlsx-basic", "docvqa-basic", "math-basic"])
def test_the_parametric_skills_teach_nothing(domain: str, name: str) -> None:
    text = (bundled(f"skills/{name}") / "SKILL.md").read_text(encoding="utf-8")
    teaching = read_teaching(text, domain=domain)
    assert (teaching.taught, teaching.denied) == (frozenset(), frozenset())


def test_texts_on_nothing_known_are_taken_for_spreadsheets() -> None:
    assert domain_of(["- Something else."]) == SPREADSHEET
