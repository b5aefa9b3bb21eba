"""What a task declares as its samples' groups is there in every sample: comparisons rely on it."""

from collections.abc import Callable
from functools import partial

import pytest
from inspect_ai import Task
from inspect_ai.dataset import Sample

from evals.math_reasoning import math_reasoning
from evals.spreadsheet import of_case, spreadsheet
from evals.visionqa import visionqa
from evals.wikitq import wikitq


@pytest.mark.parametrize(
    ("create", "field"),
    [
        (partial(wikitq, dataset="sample", split="all", format="text"), "table"),
        (partial(visionqa, dataset="sample", split="all"), "document"),
        (partial(spreadsheet, dataset="sample", split="all", sandbox="local"), None),
        (partial(math_reasoning, dataset="sample", split="all"), None),
    ],
)
def test_a_task_declares_its_groups(create: Callable[[], Task], field: str | None) -> None:
    task = create()
    assert (task.metadata or {}).get("cluster") == field
    if field:
        groups = [(sample.metadata or {})[field] for sample in task.dataset]
        assert 1 < len(set(groups)) < len(groups)


def test_the_cases_of_a_task_are_one_group() -> None:
    assert of_case(Sample(input=""), "13-1", 2, 3).metadata == {"task": "13-1", "case": 2, "cases": 3}
