"""What can go wrong on the way to an answer, as data: slips that change the value, and slips that change its form.

A case is a question with its right answer and the slips that apply to it. Each slip belongs to one habit, whose
omission makes the grader reject the answer; each keeps beside the wrong value what is needed to mend it.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass, replace

Items = tuple[str, ...]
"""An answer: one item, or several where the question asks for a list."""

_NOT_NUMERIC = re.compile(r"[^\d.]")


@dataclass(frozen=True, kw_only=True)
class ValueSlip:
    """A step that leads to a wrong value when its habit is omitted.

    Attributes:
        slug: The habit.
        kind: Which kind of step: an operator that is left out (`+`, `-`, `/`, `%`), `last` (the last item of a list is
            left out), `largest` and `smallest` (candidates compared as text), `beside` (the value next to the right
            one).
        start: The number before the operator, the last item, or the right value.
        by: The number after the operator, or the value beside the right one.
        candidates: What is compared: labels with what stands in the table.
    """

    slug: str
    kind: str
    start: str = ""
    by: str = ""
    candidates: tuple[tuple[str, str], ...] = ()

    def wrong(self, right: Items) -> Items:
        """What comes out without the habit."""
        match self.kind:
            case "last":
                return right[:-1]
            case "largest" | "smallest":
                return (extreme(self.candidates, self.kind, as_text=True),)
            case "beside":
                return (self.by,)
        return (self.start,)


@dataclass(frozen=True, kw_only=True)
class FormSlip:
    """A right value in a form that is not accepted.

    Attributes:
        slug: The habit.
        kind: `rewrite` (the text replaces the value), `template` (the text with the value in place of `{}`) or `join`
            (the text stands between the items).
        text: See `kind`.
    """

    slug: str
    kind: str
    text: str

    def wrong(self, items: Items) -> Items:
        """The items in that form."""
        if self.kind == "rewrite":
            return (self.text,)
        joined = (self.text if self.kind == "join" else ", ").join(items)
        return (joined if self.kind == "join" else self.text.replace("{}", joined),)


@dataclass(frozen=True, kw_only=True)
class Case:
    """A question that the agent knows.

    Attributes:
        domain: The benchmark.
        items: The right answer.
        values: Value slips that apply.
        forms: Form slips that apply, in the order in which they happen.
    """

    domain: str
    items: Items
    values: tuple[ValueSlip, ...] = ()
    forms: tuple[FormSlip, ...] = ()

    @property
    def habits(self) -> tuple[str, ...]:
        """Slugs of all habits that matter here."""
        return tuple(dict.fromkeys([*(slip.slug for slip in self.values), *(form.slug for form in self.forms)]))

    def about(self, slugs: Collection[str]) -> "Case":
        """The case with the slips of some habits only, and one value slip at most."""
        values = tuple(slip for slip in self.values if slip.slug in slugs)[:1]
        return replace(self, values=values, forms=tuple(slip for slip in self.forms if slip.slug in slugs))

    def misread(self) -> "Case":
        """The case as somebody has it who misunderstands the question, in a way that no habit cures."""
        (first, *_) = self.items
        wrong = str(int(first) + 1_000) if re.fullmatch(r"-?\d+", first) else "unclear"
        return replace(self, items=(wrong,), values=(), forms=tuple(f for f in self.forms if f.kind == "template"))


def number(text: str) -> float:
    """The number in a text such as `1,204 m`.

    Raises:
        ValueError: There is none.
    """
    return float(_digits(text))


def begins_with_number(text: str) -> bool:
    """Whether a text begins with a number, and has no more than this one: not so `776..` or `1.2 of 3.4`."""
    return re.match(r"\d", text) is not None and _digits(text).count(".") <= 1


def _digits(text: str) -> str:
    return _NOT_NUMERIC.sub("", text.split("(")[0].split("[")[0])


def extreme(candidates: Collection[tuple[str, str]], kind: str, *, as_text: bool) -> str:
    """The label of the largest or smallest candidate, as numbers or, wrongly, as text."""
    choose = max if kind == "largest" else min
    if as_text:
        return choose(candidates, key=lambda pair: pair[1])[0]
    return choose(candidates, key=lambda pair: number(pair[1]))[0]


def calculate(start: str, kind: str, by: str) -> str:
    """The number after the operator that a careless solver leaves out."""
    first, second = int(start), int(by)
    match kind:
        case "+":
            return str(first + second)
        case "-":
            return str(first - second)
        case "/":
            return str(first // second)
        case "%":
            return str(first % second)
    raise ValueError(f"'{kind}' is no operator.")
