"""A study: a declaration in YAML, the cells that it needs, and the evaluations that come of them.

In: `results/<study>/study.yaml`. Out: `runs/<study>/`, a folder for each cell. `evaluations.py` is what reports read.
"""

from trace2skill.study.evaluations import Evaluation, Metric

__all__ = ["Evaluation", "Metric"]
