"""Do two conditions differ? Statistics on samples, comparisons on logs.

In: the logs of two or more arms. Out: a `Comparison`, and its table. Open `pairing.py` first (logs -> pairs -> test),
then `arms.py` (what is a score and what is missing), `statistics.py` and `sign_flip.py` (pure functions on numbers),
`results.py` (what is saved) and `tables.py` (what is shown).
"""

from trace2skill.comparison.pairing import compare, compare_table
from trace2skill.comparison.results import Comparison, ComparisonTable
from trace2skill.comparison.statistics import holm, mean_interval, paired_test
from trace2skill.comparison.tables import render

__all__ = [
    "Comparison",
    "ComparisonTable",
    "compare",
    "compare_table",
    "holm",
    "mean_interval",
    "paired_test",
    "render",
]
