"""How far sequential editing depends on the order of the trajectories, beside the parallel method's spread over seeds.

    python benchmarks/orders.py | tee benchmarks/orders.txt
    python benchmarks/orders.py --orders 30 --batch 4

The stand-in `sim/small` plays everything, on the bundled spreadsheets. Failures of the evolve split are analysed once;
sequential editing then starts from these analyses in each order (`--order-seed`), the parallel method merges them once
for each seed of its calls, and once more for each seed everything is drawn anew, analyses included. Printed are mean,
standard deviation and range of the share of test tasks solved with the evolved skill; the agent's own luck on the test
split is the same in all rows. What the figures show is how the harness behaves, and nothing about any real model.
"""

import argparse
import contextlib
import io
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from inspect_ai import eval
from inspect_ai.model import GenerateConfig, Model, get_model
from inspect_ai.scorer import value_to_float
from stand_in_seeds import SKILL  # the sandbox that remembers is registered with it

import evals.spreadsheet
from trace2skill.baselines import work_of
from trace2skill.evolution.configuration import EvolveConfig
from trace2skill.evolution.evolve import evolve
from trace2skill.simulation.provider import DEFAULT_SEED
from trace2skill.skill.folder import load_skill


def main() -> None:
    """Prints one line for each way to a skill."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=10, help="orders, and seeds of the parallel method")
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 4])
    options = parser.parse_args()
    evals.spreadsheet.resolve_sandbox = lambda name=None: "remembering"
    print(f"{'SIMULATED: share of test tasks solved':<44}   mean     sd  least   most  different skills")
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        bench.show("initial skill", [SKILL])
        numbers = range(options.orders)
        for batch in options.batch:
            configs = [EvolveConfig(method="sequential", batch=batch, order_seed=n) for n in numbers]
            bench.show(f"sequential, B={batch}, {options.orders} orders", bench.evolved(configs))
        configs = [EvolveConfig(analysts="error", seed=n) for n in numbers]
        bench.show(f"parallel, {options.orders} seeds of the merges", bench.evolved(configs))
        bench.show(f"parallel, {options.orders} seeds of all calls", bench.evolved(configs, reuse=False))


class Bench:
    """Trajectories and their analyses, from which skills are made and played."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._scores: dict[str, float] = {}
        self._play("evolve", SKILL)
        self._first = self._evolve(EvolveConfig(analysts="error"))

    def evolved(self, configs: Sequence[EvolveConfig], *, reuse: bool = True) -> list[str]:
        """The run folder of each configuration."""
        first = {"reuse_analyses": self._first} if reuse else {}
        return [self._evolve(config.model_copy(update=first)) for config in configs]

    def show(self, name: str, skills: Sequence[str]) -> None:
        """Print how skills do on the test split; one that has been played is not played again."""
        digests = {skill: load_skill(skill).digest for skill in skills}
        for skill, digest in digests.items():
            if digest not in self._scores:
                self._scores[digest] = self._play("test", skill)
        found = [self._scores[digests[skill]] for skill in skills]
        figures = (statistics.fmean(found), statistics.stdev(found) if found[1:] else 0.0, min(found), max(found))
        print(
            f"{name:<44} {' '.join(f'{figure:>6.3f}' for figure in figures)}  {len(set(digests.values()))}", flush=True
        )

    def _evolve(self, config: EvolveConfig) -> str:
        output = Path(tempfile.mkdtemp(dir=self._folder)) / "run"
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            evolve(
                [self._folder / "evolve"],
                SKILL,
                output,
                config,
                work=work_of(config.method),
                model=_model(config.seed),
                display="none",
            )
        return str(output)

    def _play(self, split: Literal["evolve", "test"], skill: str) -> float:
        task = evals.spreadsheet.spreadsheet(dataset="sample", split=split, skill=skill)
        with contextlib.redirect_stdout(io.StringIO()):
            [log] = eval(task, model=_model(), log_dir=str(self._folder / split), log_realtime=False, display="none")
        as_number = value_to_float()
        return statistics.fmean(as_number(next(iter((row.scores or {}).values())).value) for row in log.samples or [])


def _model(seed: int | None = None) -> Model:
    return get_model("sim/small", seed=DEFAULT_SEED, config=GenerateConfig(seed=seed), memoize=False)


if __name__ == "__main__":
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    main()
