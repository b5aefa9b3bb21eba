"""A run: from logs to a run folder with an evolved skill.

In: logs, a skill, settings. Out: the run folder and its `Manifest`. Open `evolve.py` first: it is the whole run on one
screen. `inputs.py` reads and checks, `configuration.py` has the settings, `analyses.py` runs the analysts, `stages.py`
runs any stage as an Inspect eval set, `folder.py` writes what is left behind; `plan.py`, `candidates.py` and `draft.py`
are the commands beside it.
"""

from trace2skill.evolution.candidates import evolve_seeds, select_candidate
from trace2skill.evolution.configuration import EvolveConfig
from trace2skill.evolution.draft import draft_skill
from trace2skill.evolution.evolve import evolve
from trace2skill.evolution.folder import Manifest
from trace2skill.evolution.plan import plan

__all__ = ["EvolveConfig", "Manifest", "draft_skill", "evolve", "evolve_seeds", "plan", "select_candidate"]
