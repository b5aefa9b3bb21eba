"""What a memory recalls, and what that is good for, when queries are like those that it was made from, and when not.

    python benchmarks/retrieval.py | tee benchmarks/retrieval.txt
    python benchmarks/retrieval.py --embedder st:FOLDER

The stand-in `sim/small` plays the evolve splits of two built-in samples, questions on tables as text and mathematical
problems; of each a ReasoningBank is made. Each bank is then used on both test splits: its own benchmark's queries are
in distribution, the other's are shifted. Printed are the share of test queries at which something was recalled, the
mean score of the nearest past task (BM25, or a cosine; comparable within one embedder only), and the share of test
tasks solved beside that without a memory. What it solves shows how the harness behaves, and nothing about a real model.
"""

import argparse
import contextlib
import io
import os
import statistics
import sys
import tempfile
from pathlib import Path

from inspect_ai import Task, eval
from inspect_ai.log import EvalLog
from inspect_ai.model import Model, get_model
from inspect_ai.scorer import value_to_float

from evals.math_reasoning import math_reasoning
from evals.memory import MEMORY
from evals.wikitq import wikitq
from trace2skill.baselines import evolve
from trace2skill.evolution.configuration import EvolveConfig
from trace2skill.simulation.provider import DEFAULT_SEED

BENCHMARKS = ("wikitq", "math")


def main() -> None:
    """Prints one line for each bank and test split."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--embedder", default="bm25", help="bm25, or st:FOLDER for sentence-transformers")
    options = parser.parse_args()
    print(f"SIMULATED, embedder {options.embedder.split(':')[0]}")
    print(f"{'bank of':<10}{'queries of':<12}{'':<18}{'recalled':>9}{'nearest':>9}{'solved':>8}{'without':>9}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        banks = {each: _bank(each, folder, options.embedder) for each in BENCHMARKS}
        without = {each: _solved(_play(_task(each, "test"), folder)) for each in BENCHMARKS}
        for source, bank in banks.items():
            for target in BENCHMARKS:
                log = _play(_task(target, "test", memory=bank), folder)
                nearest = [row[0]["score"] for sample in log.samples or [] if (row := _retrieved(sample.store))]
                share = len(nearest) / max(len(log.samples or []), 1)
                kind = "in distribution" if source == target else "shifted"
                score = f"{statistics.fmean(nearest):.2f}" if nearest else "-"
                print(
                    f"{source:<10}{target:<12}{kind:<18}{share:>9.2f}{score:>9}{_solved(log):>8.2f}{without[target]:>9.2f}",
                    flush=True,
                )


def _task(benchmark: str, split: str, **arguments: str) -> Task:
    if benchmark == "wikitq":
        return wikitq(dataset="sample", split=split, format="text", **arguments)  # type: ignore[arg-type]
    return math_reasoning(dataset="sample", split=split, **arguments)  # type: ignore[arg-type]


def _bank(benchmark: str, folder: Path, embedder: str) -> str:
    logs = folder / f"{benchmark}-evolve"
    _play(_task(benchmark, "evolve"), logs)
    output = folder / f"{benchmark}-bank"
    config = EvolveConfig(method="reasoning-bank", embedder=embedder)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        evolve([logs], None, output, config, model=_model(), display="none")
    return str(output)


def _play(task: Task, folder: Path) -> EvalLog:
    with contextlib.redirect_stdout(io.StringIO()):
        [log] = eval(task, model=_model(), log_dir=str(folder), log_realtime=False, display="none")
    return log


def _retrieved(store: dict[str, dict[str, list[dict[str, float]]]]) -> list[dict[str, float]]:
    return store.get(MEMORY, {}).get("retrieved", [])


def _solved(log: EvalLog) -> float:
    as_number = value_to_float()
    return statistics.fmean(as_number(next(iter((row.scores or {}).values())).value) for row in log.samples or [])


def _model() -> Model:
    return get_model("sim/small", seed=DEFAULT_SEED, memoize=False)


if __name__ == "__main__":
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    main()
