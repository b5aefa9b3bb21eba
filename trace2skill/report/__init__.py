"""From a study to a report that one would forward, and the published numbers beside it.

Open `published.py` first (the paper's tables as data), then `audit.py` (what those numbers could tell from noise).
"""

from trace2skill.report.published import Published, published

__all__ = ["Published", "published"]
