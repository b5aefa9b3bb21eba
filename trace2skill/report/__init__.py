"""From a study to a report that one would forward, and the published numbers beside it.

Open `writing.py` first (what is written), then `source.py` (what is read of a study), `results.py` (every difference
with its test), `paper.py` (the paper's layout), `page.py`, `tables.py`, `figures.py`, `samples.py`, `skills.py` (what
is shown). `published.py` has the paper's tables as data, `audit.py` what those could tell from noise.
"""

from trace2skill.report.published import Published, published
from trace2skill.report.results import Results, results
from trace2skill.report.writing import write_report

__all__ = ["Published", "Results", "published", "results", "write_report"]
