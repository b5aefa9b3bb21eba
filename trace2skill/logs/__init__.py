"""Any Inspect log -> trajectories.

In: log files or folders. Out: `Trajectories`, by reference; samples are read one at a time. What a header says is read
once, into a `Header`; nobody downstream opens one again. Open `trajectory.py` first, then `header.py` (what is known of
an evaluation), `outcome.py` (what success is), `task.py` (the logged task, created anew).
"""

from trace2skill.logs.files import LoadedLog, load_logs
from trace2skill.logs.header import Header
from trace2skill.logs.outcome import SuccessRule
from trace2skill.logs.task import create_task, recreate_task
from trace2skill.logs.trajectory import Trajectories, Trajectory, read_trajectories
from trace2skill.logs.transcript import render_transcript

__all__ = [
    "Header",
    "LoadedLog",
    "SuccessRule",
    "Trajectories",
    "Trajectory",
    "create_task",
    "load_logs",
    "read_trajectories",
    "recreate_task",
    "render_transcript",
]
