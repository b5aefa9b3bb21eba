"""Runs targets in a process of its own, since its limits hold for the process.

    python -m tests.fuzz log --minutes 10
    python -m tests.fuzz archive card --examples 30 --seed 1

What a target may do is give a value or raise an error of `trace2skill.errors`, within `SECONDS` and `BYTES`. Anything
else is a finding: its input is kept in the folder of `--keep`, and the run goes on.
"""

import argparse
import hashlib
import logging
import resource
import signal
import sys
import time
import traceback
import warnings
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.fuzz.targets import TARGETS, Target, folder

SECONDS = 20
"""What one input may take; honest ones take a tenth of one."""
BYTES = 2 << 30
"""Address space that may be taken beyond what the process has at its start."""


class TooSlowError(BaseException):  # no reader may take it for an error of its own
    """An input took longer than it may."""


def _ring(number: int, frame: object) -> None:
    raise TooSlowError(f"more than {SECONDS} s")


def run(name: str, target: Target, *, examples: int, minutes: float, first_seed: int, keep: Path) -> tuple[int, int]:
    """Feed a target; returns the numbers of inputs and of findings."""
    tried = 0
    findings: set[str] = set()
    until = time.monotonic() + minutes * 60

    def one(data: bytes) -> None:
        nonlocal tried
        if minutes and time.monotonic() > until:
            return
        tried += 1
        signal.setitimer(signal.ITIMER_REAL, SECONDS)
        try:
            with folder() as place:
                target.read(data, place)
        except target.refuses:
            pass
        except (Exception, TooSlowError) as error:
            signal.setitimer(signal.ITIMER_REAL, 0)
            _report(name, data, error, findings, keep)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)

    inputs = target.inputs()
    while True:
        quick = settings(
            max_examples=examples,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        seed(first_seed)(quick(given(inputs)(one)))()
        first_seed += 1
        if time.monotonic() >= until:
            return tried, len(findings)


def _report(name: str, data: bytes, error: BaseException, findings: set[str], keep: Path) -> None:
    last = traceback.extract_tb(error.__traceback__)[-1]
    what = f"{type(error).__name__} in {Path(last.filename).name}:{last.lineno}"
    if what in findings:
        return
    findings.add(what)
    keep.mkdir(parents=True, exist_ok=True)
    file = keep / f"{name}-{hashlib.sha256(data).hexdigest()[:12]}"
    file.write_bytes(data)
    print(f"{name}: {what}: {str(error)[:200]!r}; input kept in {file}", flush=True)
    print("".join(traceback.format_exception(error)[-8:]), flush=True)


def main() -> int:
    """Run the targets that the command line names; exits with 1 if something was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Fuzz the readers of foreign bytes.")
    parser.add_argument("targets", nargs="*", default=[], help=f"{', '.join(TARGETS)}; all without a name")
    parser.add_argument("--minutes", type=float, default=0, help="how long each is run; without it once")
    parser.add_argument("--examples", type=int, default=200, help="inputs of one round")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path("fuzz-findings"), help="folder for what is found")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGALRM, _ring)
    for name in options.targets or TARGETS:
        TARGETS[name].inputs()  # seeds are made without a limit
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    found = 0
    for name in options.targets or TARGETS:
        start = time.monotonic()
        tried, findings = run(
            name,
            TARGETS[name],
            examples=options.examples,
            minutes=options.minutes,
            first_seed=options.seed,
            keep=options.keep,
        )
        print(f"{name}: {tried} inputs in {time.monotonic() - start:.0f} s, {findings} findings", flush=True)
        found += findings
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
