"""How far the stand-in's outcomes on the bundled spreadsheets depend on its seed, and which seed lies nearest the mean.

    python benchmarks/stand_in_seeds.py
    python benchmarks/stand_in_seeds.py --seeds 1-10 --scales small large --workers 4

Each seed goes through the loop of `make quickstart`: the evolve split with `skills/xlsx-basic`, the evolution, and the
test split without a skill, with the initial and with the evolved one. Outcomes are the shares of
tasks solved, and the evolved skill's gain over no skill. Chosen is the seed whose outcomes lie nearest their means over
all seeds: the smallest mean of squared distances, each in standard deviations; of equal ones the smallest seed.

The engine, agent, analysts, scorer and scripts are the real ones. Only the sandbox is another, to save time: a plain
folder, in which Python starts at once, and in which a command that has run before on the same files is not run again,
but leaves behind what it left then.
That the outcomes are those of `make quickstart` can be seen by running it; another seed is `args: {seed: 7}` of the
model in `results/quickstart/study.yaml`.
"""

import argparse
import contextlib
import hashlib
import importlib
import io
import os
import runpy
import signal
import socket
import statistics
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from itertools import islice
from multiprocessing import Pipe, get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal, NoReturn, overload

from inspect_ai import eval
from inspect_ai.model import Model, get_model
from inspect_ai.scorer import value_to_float
from inspect_ai.util import ExecResult, SandboxEnvironment, sandboxenv, subprocess

import evals.spreadsheet
from trace2skill.evolution.configuration import EvolveConfig
from trace2skill.evolution.evolve import evolve
from trace2skill.simulation.scales import SCALES

SKILL = "skills/xlsx-basic"
SHORT = ("evolve", "no skill", "initial", "evolved", "gain")
"""Outcomes of one scale."""

Files = dict[str, bytes]
Outcomes = dict[str, float]


def main() -> None:
    """Prints a line for each seed, then means, standard deviations and the choice."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=_range, default=range(1, 61), metavar="FIRST-LAST", help="default: 1-60")
    parser.add_argument("--workers", type=int, default=1, help="processes, each with a share of the seeds")
    parser.add_argument("--scales", nargs="+", choices=SCALES, default=["small"])
    options = parser.parse_args()
    columns = [f"{scale} {name}" for scale in options.scales for name in SHORT]
    print("seed " + " ".join(f"{column:>14}" for column in columns), flush=True)
    found: dict[int, Outcomes] = {}
    with ProcessPoolExecutor(options.workers, get_context("spawn")) as pool:
        for seed, outcomes in zip(options.seeds, pool.map(partial(_play, options.scales), options.seeds), strict=True):
            found[seed] = outcomes
            _print_row(seed, outcomes.values())
    means, deviations = summary(found)
    _print_row("mean", means.values())
    _print_row("sd", deviations.values())
    ranks = distances(found)
    for seed in sorted(ranks, key=lambda seed: (ranks[seed], seed))[:5]:
        print(f"seed {seed}: mean squared distance {ranks[seed]:.3f}")


def _range(text: str) -> range:
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


def _print_row(name: object, values: Any) -> None:
    print(f"{name!s:>4} " + " ".join(f"{value:>14.3f}" for value in values), flush=True)


def summary(found: Mapping[int, Outcomes]) -> tuple[Outcomes, Outcomes]:
    """Mean and standard deviation of each outcome over the seeds."""
    columns = {name: [outcomes[name] for outcomes in found.values()] for name in next(iter(found.values()))}
    means = {name: statistics.fmean(values) for name, values in columns.items()}
    return means, {name: statistics.pstdev(values) for name, values in columns.items()}


def distances(found: Mapping[int, Outcomes]) -> dict[int, float]:
    """For each seed the mean of the squared distances of its outcomes from their means, in standard deviations."""
    means, deviations = summary(found)
    return {
        seed: statistics.fmean(((value - means[name]) / (deviations[name] or 1)) ** 2 for name, value in row.items())
        for seed, row in found.items()
    }


def _play(scales: Sequence[str], seed: int) -> Outcomes:
    evals.spreadsheet.resolve_sandbox = lambda name=None: "remembering"
    outcomes: Outcomes = {}
    for scale in scales:
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
            loop = play_loop(get_model(f"sim/{scale}", seed=seed, memoize=False), Path(folder))
        outcomes |= {f"{scale} {name}": value for name, value in zip(SHORT, loop, strict=True)}
    return outcomes


def play_loop(model: Model, folder: Path) -> tuple[float, ...]:
    """The quickstart's loop; its outcomes in the order of `SHORT`."""
    rollout = partial(_rollout, model, folder)
    first = rollout("evolve", SKILL)
    config = EvolveConfig(analysts="combined")
    evolve([folder / "evolve"], SKILL, folder / "evolution", config, model=model, display="none")
    without, initial, evolved = (rollout("test", skill) for skill in (None, SKILL, str(folder / "evolution")))
    return first, without, initial, evolved, evolved - without


def _rollout(model: Model, folder: Path, split: Literal["evolve", "test"], skill: str | None) -> float:
    task = evals.spreadsheet.spreadsheet(dataset="sample", split=split, skill=skill)
    [log] = eval(task, model=model, log_dir=str(folder / split), log_realtime=False, display="none")
    if log.status != "success":
        raise RuntimeError(f"{split} with {skill}: {log.error or log.status}")
    as_number = value_to_float()
    return statistics.fmean(as_number(next(iter((sample.scores or {}).values())).value) for sample in log.samples or [])


SHIM = """\
#!/bin/bash
script=$1
if [ "$script" = - ]; then script=$(mktemp); cat > "$script"; fi
status=$(mktemp)
exec 3<>/dev/tcp/127.0.0.1/{port}
printf '%s\\n' "$PWD" "$script" "$status" >&3
cat <&3
exit "$(cat "$status")"
"""
"""A `python3` that lets a process do the work that has imported the libraries already."""


@cache
def quick_python() -> str:
    """Folder of a `python3` that starts at once."""
    ours, theirs = Pipe()
    get_context("spawn").Process(target=serve_python, args=(theirs,), daemon=True).start()
    folder = Path(tempfile.mkdtemp())
    shim = folder / "python3"
    shim.write_text(SHIM.format(port=ours.recv()), encoding="utf-8")
    shim.chmod(0o755)
    return str(folder)


def serve_python(connection: Connection) -> None:
    """Runs each script that is asked for in a fork of this process."""
    for library in ("openpyxl", "pandas"):
        importlib.import_module(library)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.create_server(("127.0.0.1", 0), backlog=128) as server:
        connection.send(server.getsockname()[1])
        while True:
            client, _ = server.accept()
            if os.fork() == 0:
                run_script(client)
            client.close()


def run_script(client: socket.socket) -> NoReturn:
    """Runs one script, with the client as its output, and leaves the process."""
    place, script, status = (line.rstrip("\n") for line in islice(client.makefile(encoding="utf-8"), 3))
    os.chdir(place)
    for stream in (1, 2):
        os.dup2(client.fileno(), stream)
    code = 0
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as exit:
        code = 0 if exit.code is None else exit.code if isinstance(exit.code, int) else 1
        print(exit.code)
    except BaseException:
        code = 1
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    Path(status).write_text(str(code), encoding="utf-8")
    os._exit(0)


_remembered: dict[str, tuple[ExecResult[str], Files]] = {}


@sandboxenv(name="remembering")
class RememberingSandbox(SandboxEnvironment):
    """A folder without protection, for the stand-in's own code only; what was run before is not run again."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._path = Path(self._folder.name)

    @classmethod
    async def sample_init(cls, task_name: str, config: Any, metadata: dict[str, str]) -> dict[str, SandboxEnvironment]:
        """A folder for one sample."""
        return {"default": cls()}

    @classmethod
    async def sample_cleanup(
        cls, task_name: str, config: Any, environments: dict[str, SandboxEnvironment], interrupted: bool
    ) -> None:
        """Removes the folder."""
        for environment in environments.values():
            environment.as_type(RememberingSandbox)._folder.cleanup()

    async def exec(
        self,
        cmd: list[str],
        input: str | bytes | None = None,
        cwd: str | None = None,
        env: dict[str, str] | None = None,
        user: str | None = None,
        timeout: int | None = None,
        timeout_retry: bool = True,
        concurrency: bool = True,
    ) -> ExecResult[str]:
        """Runs a command; one that runs Python, which takes long, only if it has not run on these files before."""
        if not any("python3" in part for part in cmd):
            return await self._run(cmd, input)
        before = self._files()
        key = hashlib.sha256(repr((cmd, input, sorted(before.items()))).encode()).hexdigest()
        if key not in _remembered:
            result = await self._run(cmd, input)
            _remembered[key] = result, self._files()
        result, after = _remembered[key]
        now = self._files()
        for name in now.keys() - after.keys():
            (self._path / name).unlink()
        for name, content in after.items():
            if now.get(name) != content:
                self._write(name, content)
        return result

    async def _run(self, cmd: list[str], input: str | bytes | None) -> ExecResult[str]:
        # A login shell would set PATH anew, and find another Python than the quick one.
        command = [part for part in cmd if part != "--login"]
        path = f"{quick_python()}{os.pathsep}{os.environ['PATH']}"
        return await subprocess(command, input=input, cwd=self._folder.name, env={"PATH": path})

    def _files(self) -> Files:
        paths = (path for path in self._path.rglob("*") if path.is_file())
        return {path.relative_to(self._path).as_posix(): path.read_bytes() for path in paths}

    def _write(self, name: str, content: bytes) -> None:
        path = self._path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    async def write_file(self, file: str, contents: str | bytes) -> None:
        """Writes a file."""
        self._write(file, contents.encode() if isinstance(contents, str) else contents)

    @overload
    async def read_file(self, file: str, text: Literal[True] = True) -> str: ...

    @overload
    async def read_file(self, file: str, text: Literal[False]) -> bytes: ...

    async def read_file(self, file: str, text: bool = True) -> str | bytes:
        """Reads a file."""
        content = (self._path / file).read_bytes()
        return content.decode() if text else content


if __name__ == "__main__":
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    main()
