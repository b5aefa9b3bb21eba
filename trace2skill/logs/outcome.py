"""What counts as success: one scorer's value against a threshold, or an expression over all scores."""

from collections.abc import Mapping
from dataclasses import dataclass

from inspect_ai.scorer import Score
from jinja2 import StrictUndefined, TemplateError, meta
from jinja2.sandbox import SandboxedEnvironment

from trace2skill.errors import LogError
from trace2skill.logs.files import score_number

_ENVIRONMENT = SandboxedEnvironment(undefined=StrictUndefined)

Scores = Mapping[str, Score]
"""The scores of one sample, by name of the scorer."""


@dataclass(frozen=True, kw_only=True)
class SuccessRule:
    """Tells success from failure.

    An expression is in Jinja's notation and must be true or false. It sees each scorer by its name: `includes == 1`,
    `rubric.style >= 0.5` for one of several values, `scores["pkg/name"]` where a name is no identifier. The letters C,
    I and P read as 1, 0 and 0.5.
    """

    scorer: str = ""
    """Name of the scorer; empty where an expression decides."""
    threshold: float = 1.0
    """Least value of a success, where there is no expression."""
    expression: str = ""
    """Expression over all scores, such as `includes == 1 and rubric.style >= 0.5`."""

    def value(self, scores: Scores, where: str) -> float | None:
        """The scorer's number, or 1 or 0 where an expression decides; None if a score that decides is missing.

        Args:
            scores: The sample's scores.
            where: Names the sample in messages.

        Raises:
            LogError: A score has no number, or the expression does not fit the scores.
        """
        if self.expression:
            return self._evaluate(scores, where)
        given = scores.get(self.scorer)
        return score_number(given.value, where, self.scorer) if given is not None else None

    def names(self) -> frozenset[str]:
        """The names that the expression uses; none without one.

        Raises:
            LogError: It is no expression.
        """
        try:
            _ENVIRONMENT.compile_expression(self.expression or "none")
            return frozenset(meta.find_undeclared_variables(_ENVIRONMENT.parse("{{" + self.expression + "}}")))
        except TemplateError as error:
            raise LogError(f"--success '{self.expression}' is no expression: {error}.") from error

    def holds(self, value: float) -> bool:
        """Whether a value that `value` gave is a success."""
        return value >= (1.0 if self.expression else self.threshold)

    def passed(self, scores: Scores) -> bool:
        """Whether a sample with these scores is a success; one with a missing score is none."""
        value = self.value(scores, "verdict")
        return value is not None and self.holds(value)

    def explanation(self, scores: Scores) -> str:
        """What the scorers that decide say of a sample."""
        if not self.expression:
            return (scores[self.scorer].explanation or "") if self.scorer in scores else ""
        return "\n".join(f"{name}: {given.explanation}" for name, given in scores.items() if given.explanation)

    def _evaluate(self, scores: Scores, where: str) -> float | None:
        names = self.names()
        compiled = _ENVIRONMENT.compile_expression(self.expression, undefined_to_none=False)
        numbers = {name: _numbers(given, where, name) for name, given in scores.items()}
        if not numbers or any(_lacks(numbers[name]) for name in names & numbers.keys()):
            return None
        try:
            found = compiled(**{"scores": numbers, **{name: numbers[name] for name in names & numbers.keys()}})
        except (TemplateError, TypeError, ValueError, ArithmeticError) as error:
            raise self._misfit(where, str(error), numbers) from error
        if not isinstance(found, bool):
            raise self._misfit(where, f"gives {found!r}, not true or false", numbers)
        return float(found)

    def _misfit(self, where: str, problem: str, numbers: Mapping[str, object]) -> LogError:
        known = ", ".join(f"{name} = {value}" for name, value in sorted(numbers.items()))
        return LogError(f"{where}: --success '{self.expression}': {problem}. The scores are {known}.")


def _numbers(given: Score, where: str, name: str) -> object:
    """A score's value as a number, or several as numbers by key."""
    if isinstance(given.value, Mapping):
        return {key: score_number(value, where, f"{name}.{key}") for key, value in given.value.items()}
    if isinstance(given.value, list):
        return [score_number(value, where, name) for value in given.value]
    return score_number(given.value, where, name)


def _lacks(numbers: object) -> bool:
    """Whether a score has no number: it is there, but its scorer marked it as unscored."""
    return numbers is None or (isinstance(numbers, dict) and None in numbers.values())
