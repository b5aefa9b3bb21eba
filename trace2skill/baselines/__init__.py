"""Other ways from the same logs to a skill or a bank, to compare the parallel method with. One file each.

Every method is a `Work`: it gets a run that has been checked and claimed, with the stages, the ledger, the costs and
the resuming that the parallel method has, and writes the run's results. `sequential.py` has its calls in `editing.py`.
"""

from trace2skill.baselines.sequential import sequential
from trace2skill.evolution.configuration import Method
from trace2skill.evolution.evolve import Work, parallel

__all__ = ["work_of"]


def work_of(method: Method) -> Work:
    """What a method does in a run."""
    works: dict[Method, Work] = {"parallel": parallel, "sequential": sequential}
    return works[method]
