"""WikiTableQuestions: the answer items in what an agent produced, and the verdict on them."""

from collections.abc import Sequence
from typing import NamedTuple

from evals.answer_line import answer_lines
from evals.graders.wikitq import check_denotation
from evals.table_workbook import Answer, fill_answers, read_answers, table_workbook, uncalculated_formulas

SHOWN_ITEMS = 30
SHOWN_CHARACTERS = 80


class Verdict(NamedTuple):
    """Whether an answer is right, the answer in words, and why."""

    right: bool
    answer: str
    explanation: str


def judge(produced: str | bytes, values: Sequence[str], canon: Sequence[str]) -> Verdict:
    """The verdict on a workbook or a message.

    Args:
        produced: The workbook's content, or the message.
        values: The reference items.
        canon: Their canonical forms.
    """
    answer = read_answers(produced) if isinstance(produced, bytes) else read_message(produced)
    if answer.problem:
        return Verdict(False, "", answer.problem)
    for items in dict.fromkeys((answer.items, answer.literal or answer.items)):
        if check_denotation(values, canon, items):
            return Verdict(True, listed(items), "Every answer item matches.")
    explanation = f"Expected {listed(values)}, got {listed(answer.items)}."
    if isinstance(produced, bytes) and (cells := uncalculated_formulas(produced)):
        explanation += f" Formulas without a saved value read as empty: {', '.join(cells[:SHOWN_ITEMS])}."
    return Verdict(False, listed(answer.items), explanation)


def read_message(text: str) -> Answer:
    """The answer items of a message: what stands on the last line that says `ANSWER:` and on the lines below it."""
    found = answer_lines(text)
    if found is None:
        return Answer(problem="The message has no line that says ANSWER:.")
    return Answer(items=found.plain, literal=found.literal)


def judge_reference(values: Sequence[str], canon: Sequence[str]) -> Verdict:
    """The verdict on a workbook with the reference items: a grader that works can judge it."""
    return judge(fill_answers(table_workbook((("",),)), values), values, canon)


def listed(items: Sequence[str]) -> str:
    """Items in words, cut short: `2 items: 'a', 'b'`."""
    shown = [repr(item if len(item) <= SHOWN_CHARACTERS else f"{item[:SHOWN_CHARACTERS]}…") for item in items]
    more = [f"{len(items) - SHOWN_ITEMS} more"] if len(items) > SHOWN_ITEMS else []
    noun = "item" if len(items) == 1 else "items"
    return f"{len(items)} {noun}: {', '.join(shown[:SHOWN_ITEMS] + more)}" if items else "no items"
