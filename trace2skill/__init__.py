"""Turn the logs of LLM agents into skills that transfer, and test whether they help.

The packages are the stages of the loop: logs -> analysis -> consolidation -> skill -> comparison; `evolution` runs the
first three. `docs/architecture.md` is the map.
"""

from trace2skill.comparison import compare, compare_table
from trace2skill.errors import Trace2SkillError
from trace2skill.evolution import EvolveConfig, evolve
from trace2skill.skill import load_skill, save_skill

__all__ = ["EvolveConfig", "Trace2SkillError", "compare", "compare_table", "evolve", "load_skill", "save_skill"]
