"""Trajectory -> lessons -> patch, and the gate.

In: trajectories and the frozen skill. Out: one `Analysis` per trajectory, with its patch, and the gates' verdicts. Open
`tasks.py` first (the Inspect tasks that analysts are), then `analysts.py` (what an analyst does), `fix.py` and
`judging.py` (the gate), `lessons.py` (lessons -> edits), `proposals.py` (which edits may be merged). `submission.py`,
`redaction.py` and `leaks.py` keep reference answers out; `replay.py` is the stronger gate.
"""

from trace2skill.analysis.analysts import Analysis, Limits
from trace2skill.analysis.proposals import Proposals, Verdicts, collect
from trace2skill.analysis.tasks import error_analysis, single_call_analysis

__all__ = ["Analysis", "Limits", "Proposals", "Verdicts", "collect", "error_analysis", "single_call_analysis"]
