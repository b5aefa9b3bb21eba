"""Copies of Python files for the sandbox: readable for all, and without the host's paths in compiled files."""

import importlib.util
import marshal
import shutil
import struct
import warnings
from pathlib import Path
from types import CodeType

__all__ = ["compile_for", "place"]

# PEP 552: the source's hash stands in the file, and the interpreter does not check it.
_UNCHECKED_HASH = struct.pack("<I", 0b01)
_HEADER_BYTES = 16


def place(source: Path, target: Path, mode: int = 0o644) -> None:
    """Copies a file, readable for all; a shared library becomes a second name of the same file where possible."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if ".so" in source.suffixes and _linked(source, target):
        return
    shutil.copyfile(source, target)
    target.chmod(mode)


def compile_for(source: Path, copied: Path, shown: str) -> None:
    """Writes the compiled file beside a copied module.

    What the host has compiled already is taken over with another file name, ten times as fast as compiling.

    Args:
        source: The module on the host.
        copied: Its copy.
        shown: Path of the copy in the sandbox, which tracebacks will show.
    """
    text = copied.read_bytes()
    code = _compiled_by_host(source) if text == source.read_bytes() else None
    if code is not None:
        code = _renamed(code, shown)
    else:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                code = compile(text, shown, "exec", dont_inherit=True, optimize=0)
        except (SyntaxError, ValueError):  # a template or an example, which nobody imports
            return
    target = Path(importlib.util.cache_from_source(str(copied), optimization=""))
    target.parent.mkdir(exist_ok=True)
    header = importlib.util.MAGIC_NUMBER + _UNCHECKED_HASH + importlib.util.source_hash(text)
    target.write_bytes(header + marshal.dumps(code))
    target.chmod(0o644)


def _linked(source: Path, target: Path) -> bool:
    """Whether the target could be made a second name of a file that everybody can read."""
    if source.stat().st_mode & 0o004 == 0:
        return False
    try:
        target.hardlink_to(source.resolve())
    except OSError:  # another file system, or somebody else's file
        return False
    return True


def _compiled_by_host(source: Path) -> CodeType | None:
    """The module's code from the host's compiled file, if that is of this interpreter and of the present source."""
    try:
        data = Path(importlib.util.cache_from_source(str(source), optimization="")).read_bytes()
        status = source.stat()
        stamp = struct.pack("<III", 0, int(status.st_mtime) & 0xFFFFFFFF, status.st_size & 0xFFFFFFFF)
        if data[:_HEADER_BYTES] != importlib.util.MAGIC_NUMBER + stamp:
            return None
        code = marshal.loads(data[_HEADER_BYTES:])
    except (OSError, EOFError, ValueError, TypeError):
        return None
    return code if isinstance(code, CodeType) else None


def _renamed(code: CodeType, name: str) -> CodeType:
    """The code, and that of its functions and classes, with another file name."""
    constants = tuple(_renamed(each, name) if isinstance(each, CodeType) else each for each in code.co_consts)
    return code.replace(co_filename=name, co_consts=constants)
