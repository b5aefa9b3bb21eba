"""Turn the logs of LLM agents into skills that transfer, and test whether they help.

The packages are the stages of the loop: logs -> analysis -> consolidation -> skill -> comparison; `evolution` runs the
first three. `docs/architecture.md` is the map.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trace2skill.baselines import evolve
    from trace2skill.comparison import compare, compare_table
    from trace2skill.errors import Trace2SkillError
    from trace2skill.evolution import EvolveConfig
    from trace2skill.skill import load_skill, save_skill

__all__ = ["EvolveConfig", "Trace2SkillError", "compare", "compare_table", "evolve", "load_skill", "save_skill"]

_HOMES = {
    "EvolveConfig": "evolution",
    "Trace2SkillError": "errors",
    "compare": "comparison",
    "compare_table": "comparison",
    "evolve": "baselines",
    "load_skill": "skill",
    "save_skill": "skill",
}


def __getattr__(name: str) -> Any:
    """A public name, imported when it is asked for: Inspect takes seconds to load, and `--help` needs none of it."""
    if name not in _HOMES:
        raise AttributeError(f"module 'trace2skill' has no attribute '{name}'")
    return getattr(import_module(f"trace2skill.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """The public names, for completion."""
    return sorted([*globals(), *__all__])
