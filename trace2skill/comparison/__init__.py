"""Do two conditions differ? Statistics on samples, comparisons on logs.

In: the logs of two or more arms. Out: a `Comparison`, its table and its verdict. Open `pairing.py` first (logs ->
pairs -> test), then `arms.py` (what is a score and what is missing), `hygiene.py` and `exposure.py` (which logs are no
test), `contrast.py` (two arms on the same samples), `statistics.py` and what it imports (pure functions on numbers),
`results.py` (what is saved), `tables.py`, `notes.py` and `verdict.py` (what is shown).
"""

from trace2skill.comparison.pairing import compare, compare_table
from trace2skill.comparison.results import Comparison, ComparisonTable
from trace2skill.comparison.statistics import holm, mean_interval, paired_test
from trace2skill.comparison.tables import render
from trace2skill.comparison.verdict import verdict

__all__ = [
    "Comparison",
    "ComparisonTable",
    "compare",
    "compare_table",
    "holm",
    "mean_interval",
    "paired_test",
    "render",
    "verdict",
]
