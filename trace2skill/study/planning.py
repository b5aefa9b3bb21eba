"""About what a study takes."""

from trace2skill.study.study import Study
from trace2skill.tables import Table

ASSUMPTIONS: tuple[str, ...] = ()


def plan_study(study: Study) -> tuple[list[tuple[str, ...]], list[str]]:
    """For now nothing."""
    return [], []


def plan_table(rows: list[tuple[str, ...]]) -> Table:
    """For now nothing."""
    return Table(columns=("cells",), rows=rows)
