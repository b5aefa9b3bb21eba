"""Scores as numbers."""

import pytest
from inspect_ai.scorer import Score

from trace2skill.errors import LogError
from trace2skill.logs.files import number_of


def test_a_number_may_stand_in_the_metadata_of_a_score() -> None:
    right = Score(value="C", metadata={"anls": 0.75})
    assert number_of(right, "sample 1", "document_answer", "anls") == 0.75
    assert number_of(right, "sample 1", "document_answer") == 1.0
    assert number_of(Score(value={"soft": 0.5}), "sample 1", "cells", "soft") == 0.5
    with pytest.raises(LogError, match="gives a single value"):
        number_of(right, "sample 1", "document_answer", "f1")
