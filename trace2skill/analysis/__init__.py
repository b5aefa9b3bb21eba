"""Trajectory -> lessons -> patch, and the gate.

In: trajectories and the frozen skill. Out: one `Analysis` per trajectory, with its patch, and the gates' verdicts. Open
`tasks.py` first (the Inspect tasks that analysts are), then `analysts.py` (what an analyst does), `gate.py` (what
proves a lesson), `lessons.py` (lessons -> edits), `proposals.py` (which edits may be merged). `fix.py` and
`judging.py` are the analyst's own trials. `submission.py`,
`redaction.py` and `leaks.py` keep reference answers out; `replay.py` is the stronger gate.
"""

from trace2skill.analysis.analysts import Limits
from trace2skill.analysis.gate import Verdicts
from trace2skill.analysis.proposals import Proposals, collect
from trace2skill.analysis.reports import Analysis
from trace2skill.analysis.tasks import error_analysis, single_call_analysis

__all__ = ["Analysis", "Limits", "Proposals", "Verdicts", "collect", "error_analysis", "single_call_analysis"]
