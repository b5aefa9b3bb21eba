"""How the simulated analysts word what they have found, and how they read each other's wording."""

import functools
from collections.abc import Iterable
from pathlib import Path

import yaml

from trace2skill.simulation.chance import Dice
from trace2skill.simulation.habits import DOMAINS, SPREADSHEET, denied_by, habits, taught_by

MAX_LESSONS = 3


def habit_lesson(slug: str, dice: Dice, domain: str = SPREADSHEET) -> dict[str, str]:
    """A lesson on a habit, in one of several wordings."""
    habit = habits(domain)[slug]
    return {
        "title": dice.pick(habit.title, "title", slug),
        "description": dice.pick(habit.description, "description", slug),
        "content": dice.pick(habit.content, "content", slug),
    }


@functools.cache
def quirks(domain: str = SPREADSHEET) -> tuple[dict[str, str], ...]:
    """Lessons that concern one task only."""
    source = Path(__file__).with_name(DOMAINS[domain].replace("habits", "quirks"))
    return tuple(yaml.safe_load(source.read_text(encoding="utf-8")))


def misconceptions(domain: str = SPREADSHEET) -> tuple[dict[str, str], ...]:
    """The one-off lessons that are wrong, or all where none is."""
    return tuple(quirk for quirk in quirks(domain) if denied_by(quirk["content"], domain)) or quirks(domain)


def lessons_on(slugs: list[str], dice: Dice, adds_quirk: float, domain: str = SPREADSHEET) -> list[dict[str, str]]:
    """At most three lessons: one for each habit, and sometimes a one-off."""
    lessons = [habit_lesson(slug, dice, domain) for slug in slugs]
    if dice.happens(adds_quirk, "quirk"):
        lessons.append(dice.pick(quirks(domain), "which quirk"))
    return lessons[:MAX_LESSONS]


def main_habit(text: str, domain: str = SPREADSHEET) -> str | None:
    """The habit that a text is about; the first by slug if it touches several, None if it touches none."""
    return min(taught_by(text, domain), default=None)


def contradicts(text: str, domain: str = SPREADSHEET) -> set[str]:
    """Habits whose opposite a text recommends."""
    return denied_by(text, domain)


def domain_of(texts: Iterable[str]) -> str:
    """The benchmark that the texts are about: familiar wordings tell it best, then habits; else spreadsheets."""
    listed = list(texts)

    def votes(domain: str) -> tuple[int, int]:
        wordings = [content for habit in habits(domain).values() for content in habit.content]
        familiar = sum(any(wording in text for wording in wordings) for text in listed)
        return familiar, sum(bool(taught_by(text, domain)) for text in listed)

    return max(DOMAINS, key=votes)
