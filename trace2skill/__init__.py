"""Turn the logs of LLM agents into skills that transfer, and test whether they help."""

from trace2skill.comparison.pairing import compare, compare_table
from trace2skill.errors import Trace2SkillError
from trace2skill.evolution.configuration import EvolveConfig
from trace2skill.evolution.evolve import evolve
from trace2skill.skill.folder import load_skill, save_skill

__all__ = ["EvolveConfig", "Trace2SkillError", "compare", "compare_table", "evolve", "load_skill", "save_skill"]
