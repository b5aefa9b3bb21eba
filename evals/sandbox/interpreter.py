"""The Python that model-written code gets: a copy of the harness's interpreter, with four libraries.

The copy appears at `/opt/python` in every sandbox. It holds the interpreter, the standard library and the
distributions that the benchmarks promise, file by file as their installers recorded them, so nothing else that
lies beside them on the host can be read or named: neither this project, whose packages hold reference answers,
nor another library or a home. Compiled files name sources by their place in the sandbox, as tracebacks do.

Relocating works because CPython finds its library next to its program, and wheels find theirs next to
themselves. The copy is made once for each interpreter and set of library versions, in the user's cache folder.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import cache
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

import platformdirs

from evals.sandbox import copying
from evals.sandbox.copying import compile_for, place
from trace2skill.errors import Trace2SkillError

__all__ = ["PROMISED", "PYTHON", "promised_distributions", "python_environment", "sandbox_python"]

PYTHON = "/opt/python"
"""Where the interpreter appears in the sandbox: its `sys.prefix`."""

PROMISED = {"numpy": "numpy", "openpyxl": "openpyxl", "pandas": "pandas", "pillow": "PIL"}
"""What the benchmarks' prompts and skills promise, with the name to import; sandbox=docker installs the same."""

_SHARED = "lib/shared"
_MAX_AGE_DAYS = 30
# Folders of the standard library that hold packages, tests, graphical programs, or wheels of pip.
_NO_STDLIB = (
    "__pycache__",
    "site-packages",
    "dist-packages",
    "test",
    "tests",
    "idlelib",
    "turtledemo",
    "ensurepip",
)
_NO_STDLIB_FILES = ("sitecustomize.py", "usercustomize.py")
_NO_PACKAGE = {"__pycache__", "tests"}
_SYSTEM_LIBRARIES = ("/lib", "/usr/lib")
_LIBRARIES = """
import ctypes, glob, os, sys
for name in glob.glob(os.path.join(os.path.dirname(os.__file__), "lib-dynload", "*.so")):
    try:
        ctypes.CDLL(name)
    except OSError:
        pass
with open("/proc/self/maps", encoding="utf-8") as maps:
    print(*sorted({line.split(maxsplit=5)[5].strip() for line in maps if ".so" in line}), sep="\\n")
"""
_PACKAGES = "import site; print(*site.getsitepackages(), sep='\\n')"
_COMMAND_SECONDS = 60


@cache
def sandbox_python() -> Path:
    """The host folder that appears as `PYTHON`; made at the first call on a machine, which takes seconds.

    Raises:
        Trace2SkillError: A promised library is missing, or the copy cannot be made.
    """
    found = promised_distributions()
    parent = platformdirs.user_cache_path("trace2skill") / "sandbox-python"
    tree = parent / _digest(found)
    try:
        if not tree.is_dir():
            parent.mkdir(parents=True, exist_ok=True)
            _remove_old(parent)
            _make(tree, found)
        os.utime(tree)
    except (OSError, subprocess.SubprocessError) as error:
        raise Trace2SkillError(
            f"sandbox=bwrap keeps a copy of Python for model-written code in {parent} and could not make it: "
            f"{error}. Free some space (it needs 200 MB), or set XDG_CACHE_HOME to a folder that you can write."
        ) from error
    return tree


def python_environment() -> dict[str, str]:
    """Variables that the copied interpreter needs, if it was built to look for its libraries at a fixed place."""
    return {"LD_LIBRARY_PATH": f"{PYTHON}/{_SHARED}"} if (sandbox_python() / _SHARED).exists() else {}


def promised_distributions() -> dict[str, Distribution]:
    """The promised distributions and all that they require, by name.

    Raises:
        Trace2SkillError: One that is promised is not installed, or its installer recorded no files.
    """
    found: dict[str, Distribution] = {}
    wanted = list(PROMISED)
    while wanted:
        name = re.sub(r"[-_.]+", "-", wanted.pop()).lower()
        if name in found:
            continue
        try:
            found[name] = distribution(name)
        except PackageNotFoundError as error:
            if name in PROMISED:
                raise Trace2SkillError(f"The sandbox promises the Python package {name}; install it.") from error
            continue  # required on other systems only
        if not found[name].files:
            raise Trace2SkillError(f"The Python package {name} has no record of its files; reinstall it with pip.")
        required = (text for text in found[name].requires or () if "extra" not in text.partition(";")[2])
        wanted += [re.split(r"[^\w.-]", text, maxsplit=1)[0] for text in required]
    return dict(sorted(found.items()))


def _remove_old(parent: Path) -> None:
    """Removes copies that nobody has used for long: those of earlier versions."""
    for path in parent.iterdir():
        if time.time() - path.stat().st_mtime > _MAX_AGE_DAYS * 86400:
            shutil.rmtree(path, ignore_errors=True)


def _digest(found: dict[str, Distribution]) -> str:
    """Name of the copy: changes with the interpreter, the libraries' recorded files, and how it is made."""
    program = _program()
    status = program.stat()
    makers = [Path(name).read_text(encoding="utf-8") for name in (__file__, copying.__file__)]
    parts: list[object] = [makers, sys.version, str(program), status.st_size, status.st_mtime_ns]
    parts += [os.__file__, *((name, each.version, each.read_text("RECORD")) for name, each in found.items())]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:24]


def _program() -> Path:
    """The interpreter's own file, behind the links of virtual environments."""
    return Path(sys.executable).resolve()


def _make(tree: Path, found: dict[str, Distribution]) -> None:
    """Makes the copy under another name and puts it in place at once, unless another process did so first."""
    draft = Path(tempfile.mkdtemp(prefix=".", dir=tree.parent))
    try:
        _copy_interpreter(draft)
        packages = _packages_folder(draft)
        for each in found.values():
            for source, name in _files(each):
                _copy(source, packages / name, draft)
        _run(draft / "bin" / "python3", f"import {', '.join(PROMISED.values())}", shared=draft / _SHARED)
        for path in draft.rglob("*"):
            if path.is_dir() and not path.is_symlink():
                path.chmod(0o755)
        draft.chmod(0o755)
        try:
            draft.rename(tree)
        except OSError:
            if not tree.is_dir():
                raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _copy_interpreter(draft: Path) -> None:
    """Program, standard library, and those libraries of the program that are not the system's."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    place(_program(), draft / "bin" / version, mode=0o755)
    for alias in ("python3", "python"):
        (draft / "bin" / alias).symlink_to(version)
    stdlib = Path(os.__file__).parent
    copied = draft / sys.platlibdir / version
    for parent, folders, files in os.walk(stdlib):
        folders[:] = [name for name in folders if name not in _NO_STDLIB and not name.startswith("config-")]
        for name in files:
            source = Path(parent, name)
            if name not in _NO_STDLIB_FILES and source.is_file():
                _copy(source, copied / source.relative_to(stdlib), draft)
    for library in _foreign_libraries(_program()):
        place(library, draft / "lib" / library.name)
    for library in _foreign_libraries(draft / "bin" / version):
        if not library.is_relative_to(draft):
            shared = draft / _SHARED / library.name
            shared.parent.mkdir(parents=True, exist_ok=True)
            shared.symlink_to(f"../{library.name}")


def _copy(source: Path, target: Path, draft: Path) -> None:
    """Copies a file of the standard library or of a package, and compiles a module."""
    place(source, target)
    if source.name.startswith("_sysconfigdata") and sys.base_prefix != "/usr":
        text = target.read_text(encoding="utf-8")
        target.write_text(text.replace(sys.base_prefix, PYTHON), encoding="utf-8")
    if source.suffix == ".py":
        compile_for(source, target, f"{PYTHON}/{target.relative_to(draft)}")


def _foreign_libraries(program: Path) -> list[Path]:
    """Shared libraries that an interpreter and its standard library load from outside the system's folders."""
    lines = _run(program, _LIBRARIES)
    stdlib = f"{os.sep}lib-dynload{os.sep}"
    return [
        Path(line)
        for line in lines
        if line.startswith("/") and stdlib not in line and not line.startswith(_SYSTEM_LIBRARIES)
    ]


def _packages_folder(draft: Path) -> Path:
    """Where the copied interpreter looks for packages; Debian's does not look in `site-packages`."""
    folders = [Path(line) for line in _run(draft / "bin" / "python3", _PACKAGES)]
    inside = [folder for folder in folders if folder.is_relative_to(draft)]
    if not inside:
        raise OSError(f"{_program()} does not look for packages next to its program")
    return next((folder for folder in inside if folder.name == "site-packages"), inside[0])


def _run(program: Path, code: str, shared: Path | None = None) -> list[str]:
    """What code prints under an interpreter that sees neither the user's packages nor the environment."""
    result = subprocess.run(
        [str(program), "-I", "-B", "-W", "ignore", "-c", code],
        env={"LD_LIBRARY_PATH": str(shared)} if shared else {},
        cwd="/",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_COMMAND_SECONDS,
        check=False,
    )
    if result.returncode != 0:
        raise OSError(f"{program} does not run: {result.stderr.strip() or result.returncode}")
    return result.stdout.splitlines()


def _files(found: Distribution) -> Iterator[tuple[Path, Path]]:
    """Files of a distribution, with their names below the folder of packages; not its programs and tests."""
    for file in found.files or ():
        name = Path(file)
        source = Path(str(found.locate_file(file)))
        outside = name.is_absolute() or ".." in name.parts
        # direct_url.json names the folder that a package was installed from, a .pth file any folder.
        private = name.name == "direct_url.json" or name.suffix == ".pth"
        if not outside and not private and not _NO_PACKAGE & set(name.parts) and source.is_file():
            yield source, name
