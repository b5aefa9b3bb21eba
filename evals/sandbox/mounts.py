"""What of this machine model-written code can see: the files of the bubblewrap sandbox.

The system's programs and libraries are visible read-only and at the same paths as outside, and a Python with
the promised libraries at `/opt/python` (`interpreter` says how it is made). Nothing else of the host is: a sample
has three folders of its own that it may write, `/workspace`, `/tmp` and a home. Among the system's libraries
may lie packages that somebody installed for the system's Python, this project perhaps, with the reference
answers of its sample tasks: empty folders cover the places of packages.
"""

import os
import stat
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import evals
import trace2skill
from evals.sandbox.interpreter import PYTHON, sandbox_python
from evals.sandbox.trees import remove_tree
from trace2skill.errors import Trace2SkillError

__all__ = [
    "HOME",
    "USER",
    "WORKSPACE",
    "SampleFolder",
    "covers_for",
    "create_folder",
    "mount_arguments",
    "remove_folder",
    "samples_folder",
]

WORKSPACE = "/workspace"
"""Where the sample's folder appears in every sandbox, so that transcripts do not depend on host paths."""

HOME = "/home/sandbox"
"""Home of the sandbox's user. Apart from the workspace, so that profiles and caches do not litter it."""

USER = "sandbox"
"""Name of the only user."""

_WRITABLE = {"workspace": WORKSPACE, "tmp": "/tmp", "home": HOME}
_SYSTEM = Path("/usr")
# Not all of /usr: /usr/src and /usr/local are places where checkouts and data sets live.
_SYSTEM_FOLDERS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32", "libexec", "share")
_ROOT_FOLDERS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
# Where the system's own Pythons look for packages.
_PACKAGE_FOLDERS = ("lib*/python*/dist-packages", "lib*/python*/site-packages", "lib*/pypy*/*-packages")
# The loader's cache, links such as awk -> mawk, and what LibreOffice and its font library read at start.
_SYSTEM_FILES = (
    "/etc/alternatives",
    "/etc/fonts",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/libreoffice",
    "/var/cache/fontconfig",
    "/var/lib/libreoffice",
)


@dataclass(frozen=True, kw_only=True)
class SampleFolder:
    """The host side of one sample's sandbox.

    Attributes:
        path: Folder that holds everything below; only the harness's user can enter it.
        uid: User id, and group id, that owns the sample's files on the host.
    """

    path: Path
    uid: int

    @property
    def writable(self) -> list[Path]:
        """The folders that the sample may write."""
        return [self.path / name for name in _WRITABLE]


def create_folder(uid: int | None = None) -> SampleFolder:
    """Creates the folders and the small `/etc` of one sample.

    Args:
        uid: User id that owns what the sample may write; by default the harness's own. Only root can name
            another one.

    Raises:
        Trace2SkillError: The folder that holds all samples of this user belongs to somebody else.
    """
    owner = os.getuid() if uid is None else uid
    # bubblewrap shows the harness's own user as 1000 inside, so that `id` prints the same everywhere.
    shown = 1000 if uid is None else uid
    path = Path(tempfile.mkdtemp(dir=samples_folder()))
    for name in _WRITABLE:
        folder = path / name
        folder.mkdir()
        folder.chmod(0o1777 if name == "tmp" else 0o755)
        if uid is not None:
            os.chown(folder, uid, uid)
    etc = path / "etc"
    etc.mkdir()
    (etc / "passwd").write_text(f"{USER}:x:{shown}:{shown}::{HOME}:/bin/bash\n", encoding="utf-8")
    (etc / "group").write_text(f"{USER}:x:{shown}:\n", encoding="utf-8")
    (etc / "hosts").write_text("127.0.0.1 localhost sandbox\n", encoding="utf-8")
    (etc / "nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files\n", encoding="utf-8")
    for file in etc.iterdir():
        file.chmod(0o644)
    return SampleFolder(path=path, uid=owner)


def remove_folder(path: Path) -> None:
    """Removes a folder of a sample, or of all, whatever model-written code left in it."""
    remove_tree(path)


def samples_folder() -> Path:
    """The one folder that holds the samples of all harness processes of this user.

    Raises:
        Trace2SkillError: It exists and belongs to somebody else, or is not a folder.
    """
    path = Path(tempfile.gettempdir()) / f"trace2skill-{os.getuid()}"
    path.mkdir(mode=0o700, exist_ok=True)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise Trace2SkillError(
            f"The sandbox keeps its files in {path}, which must be a folder of user {os.getuid()}; found one "
            f"of user {found.st_uid}. Remove it, or set TMPDIR to a folder of your own."
        )
    path.chmod(0o700)
    return path


def mount_arguments(folder: SampleFolder, shm_mib: int) -> list[str]:
    """The bubblewrap options that build the sandbox's file system.

    Args:
        folder: The sample's folders.
        shm_mib: Size of `/dev/shm` in MiB; the only memory-backed folder that is writable.
    """
    exposed = _exposed_folders()
    options = ["--proc", "/proc", "--dev", "/dev"]
    options += ["--perms", "1777", "--size", str(shm_mib * 1024 * 1024), "--tmpfs", "/dev/shm"]
    for kind, target in _WRITABLE.items():
        options += [*_parents(target), "--bind", str(folder.path / kind), target]
    options += [*_parents("/var/tmp"), "--symlink", "/tmp", "/var/tmp"]
    for path in exposed:
        options += [*_parents(str(path)), *_expose(path)]
    options += [*_parents(PYTHON), "--ro-bind", str(sandbox_python()), PYTHON]
    for file in sorted((folder.path / "etc").iterdir()):
        options += ["--ro-bind", str(file), f"/etc/{file.name}"]
    mounted = [path for path in exposed if _expose(path)[0] == "--ro-bind"]
    covers = covers_for(mounted, _hidden_folders())
    for cover in covers:
        options += ["--tmpfs", cover]
    for mount in [*covers, "/dev", "/"]:
        options += ["--remount-ro", mount]
    return options


def _exposed_folders() -> list[Path]:
    """Host paths that are visible read-only, parents first, each once."""
    found = [Path("/", name) for name in _ROOT_FOLDERS]
    found += [_SYSTEM / name for name in _SYSTEM_FOLDERS]
    found += [Path(name) for name in _SYSTEM_FILES]
    return [path for path in found if path.exists()]


def _hidden_folders() -> set[Path]:
    """Folders that must look empty: what pip installs into the system's Python, and this project wherever it lies."""
    packages = [folder for pattern in _PACKAGE_FOLDERS for folder in _SYSTEM.glob(pattern)]
    project = [Path(str(package.__file__)).resolve().parent for package in (evals, trace2skill)]
    return {*packages, *project, *(folder.parent for folder in project)}


def _parents(target: str) -> list[str]:
    """Creates the folders above a target: those that bubblewrap makes unasked, others may not enter."""
    return [word for parent in reversed(Path(target).parents[:-1]) for word in ("--dir", str(parent))]


def _expose(path: Path) -> list[str]:
    """Makes a host path visible; a link to a neighbour (`/bin`, `lib64`) stays a link."""
    if path.is_symlink():
        target = path.readlink()
        if not target.is_absolute() and ".." not in target.parts:
            return ["--symlink", str(target), str(path)]
    return ["--ro-bind", str(path), str(path)]


def covers_for(exposed: Iterable[Path], hidden: Iterable[Path]) -> list[str]:
    """Where hidden folders would be visible, by every name that they can be reached under.

    Args:
        exposed: Visible paths, which may be or contain links.
        hidden: Folders that must look empty.
    """
    covers = {
        str(path / folder.resolve().relative_to(path.resolve()))
        for path in exposed
        for folder in hidden
        if folder.resolve().is_relative_to(path.resolve())
    }
    return sorted(covers)
