"""Where benchmark data lies: the bundled samples, and the folder that downloaded benchmarks share."""

import os
from pathlib import Path

import platformdirs

from trace2skill.errors import DataError

DATA_VARIABLE = "TRACE2SKILL_DATA"
"""Environment variable that names the folder of benchmark data."""


def data_dir() -> Path:
    """Folder that holds one sub-folder per benchmark: `$TRACE2SKILL_DATA`, else the platform's cache folder."""
    named = os.environ.get(DATA_VARIABLE)
    return Path(named).expanduser() if named else platformdirs.user_cache_path("trace2skill")


def bundled(path: str) -> Path:
    """A file or folder that ships with the project.

    Args:
        path: Relative to the project's top level, for instance `tasks/sample/spreadsheet` or `skills/xlsx`.

    Returns:
        Its place in a checkout (or editable install), else inside the installed package.

    Raises:
        DataError: The installation does not contain it.
    """
    package = Path(__file__).resolve().parents[1]
    for root in (package.parent, package / "_bundled"):
        if (found := root / path).exists():
            return found
    raise DataError(f"'{path}' is not part of this installation of trace2skill; reinstall the package.")


def resolve_path(path: str) -> Path:
    """Resolve a path that a user wrote on a command line or that a log recorded.

    Inspect changes into a task file's folder while it builds the task, so a relative path is looked up where the
    user's shell is as well, and last among what ships with the project.

    Args:
        path: Absolute, or relative to the working directory, the shell's directory or the project.

    Returns:
        The first of these that exists, made absolute; when none does, the path below the shell's directory.
    """
    given = Path(path).expanduser()
    package = Path(__file__).resolve().parents[1]
    roots = (Path.cwd(), Path(os.environ.get("PWD", ".")), package.parent, package / "_bundled")
    candidates = [(root / given).resolve() for root in roots]
    return next((candidate for candidate in candidates if candidate.exists()), candidates[1])
