"""Other ways from the same logs to a skill or a bank, to compare the parallel method with. One file each.

Every method is a `Work`: it gets a run that has been checked and claimed, with the stages, the ledger, the costs and
the resuming that the parallel method has, and writes the run's results. `sequential.py` has its calls in `editing.py`;
what the memories share is in `induction.py` (one trajectory) and `banks.py` (the bank), and where they learn while they
play in `streaming.py`, with the samples in `playing.py`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trace2skill.baselines.awm import awm
from trace2skill.baselines.reasoning_bank import reasoning_bank
from trace2skill.baselines.sequential import sequential
from trace2skill.baselines.synapse import synapse
from trace2skill.evolution import evolve as run_work
from trace2skill.evolution.configuration import EvolveConfig, Method
from trace2skill.evolution.evolve import Work, parallel
from trace2skill.evolution.folder import Manifest

__all__ = ["evolve", "work_of"]


def evolve(
    logs: Sequence[str | Path],
    skill: str | Path | None,
    output: str | Path,
    config: EvolveConfig | None = None,
    **running: Any,
) -> Manifest:
    """Evolve a skill, or fill a bank, with the method that the configuration names.

    Arguments, result and errors are those of `trace2skill.evolution.evolve`.
    """
    return run_work(logs, skill, output, config, work=work_of((config or EvolveConfig()).method), **running)


def work_of(method: Method) -> Work:
    """What a method does in a run."""
    works: dict[Method, Work] = {
        "parallel": parallel,
        "sequential": sequential,
        "reasoning-bank": reasoning_bank,
        "awm": awm,
        "synapse": synapse,
    }
    return works[method]
