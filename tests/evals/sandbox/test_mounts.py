"""What the sandbox sees of the host, as options; and a whole harness installed as a wheel would be."""

import os
import shutil
import site
import subprocess
import sys
from pathlib import Path

import pytest

from evals.sandbox.interpreter import sandbox_python
from evals.sandbox.mounts import covers_for, create_folder, mount_arguments, remove_folder
from evals.sandbox.probe import find_bwrap

REPOSITORY = Path(__file__).parents[3]

# Runs as the harness of a checkout with its environment inside and the packages installed there.
HARNESS = """
import subprocess, sys
sys.path.insert(0, sys.argv[1])
import evals
from evals.sandbox.launch import FIRST_UID, Launcher
from evals.sandbox.limits import BubblewrapLimits, is_root
from evals.sandbox.mounts import WORKSPACE, create_folder, remove_folder
assert evals.__file__.startswith(sys.prefix)
folder = create_folder(FIRST_UID if is_root() else None)
launcher = Launcher(bwrap=sys.argv[2], folder=folder, limits=BubblewrapLimits())
launcher.write_options()
for code in sys.argv[3:]:
    command, _ = launcher.command(["python3", "-c", code], WORKSPACE, {})
    subprocess.run(command, cwd="/", check=True)
remove_folder(folder.path)
"""

LOOK = """
import os, sys
print(sys.prefix)
named = ("answers.txt", "evals", "trace2skill", "inspect_ai")
for parent, folders, files in os.walk("/"):
    folders[:] = [name for name in folders if os.path.join(parent, name) not in ("/proc", "/dev")]
    for name in folders + files:
        if name in named or "_golden.xlsx" in name:
            print("leaked", os.path.join(parent, name))
"""


def test_hidden_folders_are_covered_under_every_name(tmp_path: Path) -> None:
    package = tmp_path / "real" / "lib" / "site" / "package"
    package.mkdir(parents=True)
    (tmp_path / "real" / "lib64").symlink_to("lib")
    (tmp_path / "alias").symlink_to("real")
    (tmp_path / "other").mkdir()
    exposed = [tmp_path / name for name in ("real/lib", "real/lib64", "alias/lib", "other")]
    expected = [str(path / "site" / "package") for path in exposed[:3]]
    assert covers_for(exposed, [package]) == sorted(expected)
    assert covers_for(exposed, [tmp_path]) == []


def test_options_name_nothing_of_the_host_but_the_system() -> None:
    folder = create_folder()
    try:
        options = mount_arguments(folder, 1)
    finally:
        remove_folder(folder.path)
    sources = [Path(options[i + 1]) for i, option in enumerate(options) if option in ("--bind", "--ro-bind")]
    allowed = [folder.path, sandbox_python(), *(Path(name) for name in ("/usr", "/etc", "/var", "/bin", "/sbin"))]
    strays = [path for path in sources if not any(path.is_relative_to(parent) for parent in allowed)]
    assert all(str(path).startswith("/lib") for path in strays)
    assert options[-2:] == ["--remount-ro", "/"]


@pytest.mark.skipif(find_bwrap().path is None, reason=f"bubblewrap is unusable here: {find_bwrap().problem}")
@pytest.mark.parametrize("base", [sys.executable, "/usr/bin/python3"])
def test_installed_packages_and_the_checkout_are_hidden(base: str, tmp_path: Path) -> None:
    version = "import sys, venv; sys.exit(sys.version_info[:2] != tuple(map(int, sys.argv[1:])))"
    same = subprocess.run([base, "-c", version, *map(str, sys.version_info[:2])], capture_output=True, check=False)
    if same.returncode != 0:
        pytest.skip(f"{base} is not of the version that the libraries here are compiled for")
    checkout = tmp_path / "checkout"
    environment = checkout / ".venv"
    subprocess.run([base, "-m", "venv", "--without-pip", str(environment)], check=True)
    packages = next(environment.glob("lib/python*/site-packages"))
    for name in ("evals", "trace2skill"):
        shutil.copytree(REPOSITORY / name, packages / name)
    for folder in (checkout, packages / "evals", packages / "trace2skill"):
        (folder / "answers.txt").write_text("42")
        (folder / "1_golden.xlsx").write_text("42")
    command = [str(environment / "bin" / "python"), "-c", HARNESS, str(packages), str(find_bwrap().path)]
    result = subprocess.run(
        [*command, LOOK, "import numpy, openpyxl, pandas, PIL, sqlite3, ssl, lzma, ctypes"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(site.getsitepackages()), "XDG_CACHE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (result.stdout, result.returncode) == ("/opt/python\n", 0), result.stderr
