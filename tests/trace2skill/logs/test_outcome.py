"""What counts as success."""

import pytest
from inspect_ai.scorer import Score

from trace2skill.errors import LogError
from trace2skill.logs.outcome import SuccessRule

SCORES = {
    "match": Score(value="C", explanation="it matches"),
    "rubric": Score(value={"style": 0.6, "tone": "P"}, explanation="fine"),
    "pkg/odd": Score(value=0.25),
    "open": Score.unscored(),
}


@pytest.mark.parametrize(
    ("expression", "passed"),
    [
        ("match == 1", True),
        ("match == 1 and rubric.style >= 0.7", False),
        ("rubric.tone == 0.5 and scores['pkg/odd'] < 1", True),
        ("not match", False),
        ("rubric is mapping", True),
    ],
)
def test_an_expression_sees_numbers(expression: str, passed: bool) -> None:
    assert SuccessRule(expression=expression).passed(SCORES) is passed


def test_a_score_that_is_missing_decides_nothing() -> None:
    assert SuccessRule(expression="open == 1").value(SCORES, "here") is None
    assert SuccessRule(scorer="open").value(SCORES, "here") is None
    assert SuccessRule(scorer="gone").value(SCORES, "here") is None
    assert not SuccessRule(expression="open == 1").passed(SCORES)


@pytest.mark.parametrize("expression", ["match.__class__ == 1", "scores.values.__globals__ == 1", "().__class__ == 1"])
def test_an_expression_reaches_nothing_of_python(expression: str) -> None:
    with pytest.raises(LogError, match="--success"):
        SuccessRule(expression=expression).passed(SCORES)


def test_explanations_of_all_scorers_stand_beside_an_expression() -> None:
    assert SuccessRule(scorer="match").explanation(SCORES) == "it matches"
    assert SuccessRule(scorer="gone").explanation(SCORES) == ""
    assert SuccessRule(expression="match == 1").explanation(SCORES) == "match: it matches\nrubric: fine"
