"""What a run needs of this machine: the sandbox, data, disk, programs, versions."""

import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from trace2skill.data.cards import benchmarks, load_card
from trace2skill.data.places import data_dir
from trace2skill.data.verify import verify
from trace2skill.errors import DataError
from trace2skill.serving.finding import Finding
from trace2skill.serving.flags import vllm_python
from trace2skill.serving.gpus import find_gpus

_SANDBOX_SECONDS = 120
_FREE_GB = 20
# Logs of a study, copies of workbooks, and a benchmark's data; weights come on top, as the profile says.


def look_around(folder: Path) -> Iterator[Finding]:
    """Looks at this machine.

    Args:
        folder: Where runs will be written.
    """
    yield _versions()
    yield _sandbox()
    yield from _data()
    yield _disk(folder)
    yield _libreoffice()
    yield _gpus()
    python = vllm_python()
    yield Finding(
        name="vLLM",
        state="ok" if python else "skipped",
        said=f"in the environment of {python}" if python else "not on PATH; only serving needs it",
    )


def _versions() -> Finding:
    said = [f"Python {platform.python_version()}"]
    for name in ("trace2skill", "inspect-ai", "openai"):
        try:
            said.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            return Finding(
                name="versions", state="failed", said=f"{name} is not installed", fix="install the package again"
            )
    return Finding(name="versions", state="ok", said=", ".join(said))


def _sandbox() -> Finding:
    # The benchmarks' sandbox tests itself, in a process of its own: the engine imports nothing of the benchmarks.
    command = [sys.executable, "-m", "evals.sandbox.probe"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=_SANDBOX_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return Finding(name="sandbox", state="failed", said=f"no answer within {_SANDBOX_SECONDS} s", fix=_DOCKER)
    if result.returncode:
        last = (result.stderr.strip().splitlines() or ["it does not start"])[-1]
        return Finding(name="sandbox", state="failed", said=last, fix=_DOCKER)
    return Finding(name="sandbox", state="ok", said=result.stdout.strip())


_DOCKER = "mend it, or give tasks another one: -T sandbox=docker"


def _data() -> Iterator[Finding]:
    there = []
    for name in benchmarks():
        try:
            found = verify(load_card(name), contents=False)
        except DataError as error:
            yield Finding(name=f"data of {name}", state="failed", said=str(error), fix="reinstall the package")
            continue
        if found.state == "damaged":
            fix = f"trace2skill data fetch {name}"
            yield Finding(name=f"data of {name}", state="failed", said=str(found), fix=fix, needed=False)
        elif found.state == "there":
            there.append(name)
    said = f"{', '.join(there) or 'no benchmark'} in {data_dir()}; samples come with the package"
    fix = "" if there else "`trace2skill data list` shows what there is to fetch"
    yield Finding(name="data", state="ok" if there else "skipped", said=said, fix=fix)


def _disk(folder: Path) -> Finding:
    there = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
    free = shutil.disk_usage(there).free / 1e9
    said = f"{free:,.0f} GB free in {there}"
    if free < _FREE_GB:
        fix = f"a study wants {_FREE_GB} GB besides the weights"
        return Finding(name="disk", state="failed", said=said, fix=fix, needed=False)
    return Finding(name="disk", state="ok", said=said)


def _gpus() -> Finding:
    gpus = find_gpus()
    if gpus.problem:
        fix = "mend the driver (a new one wants a reboot), or tell `serve` what there is: --gpus 1 --gpu-memory 80"
        return Finding(name="GPUs", state="failed", said=str(gpus), fix=fix, needed=False)
    return Finding(name="GPUs", state="ok" if gpus.number else "skipped", said=str(gpus))


def _libreoffice() -> Finding:
    found = next((path for name in ("soffice", "libreoffice") if (path := shutil.which(name))), None)
    if found:
        return Finding(name="LibreOffice", state="ok", said=found)
    return Finding(
        name="LibreOffice",
        state="skipped",
        said="not on PATH: formulas that an agent writes are not recalculated, and count as empty",
        fix="apt-get install libreoffice-calc-nogui",
    )
