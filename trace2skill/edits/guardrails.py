"""Which files an edit may touch, and what its text may hold.

Edits may change SKILL.md, other Markdown files at the top of the folder, and those in `references/`; they may create
`references/<name>.md`. `scripts/` is code, `assets/` holds templates that scripts and agents use as they are, and
licence texts are not ours to change: all three are protected, as is everything that is not Markdown.
"""

import re
import textwrap
import unicodedata
from collections.abc import Collection

from trace2skill.errors import PatchError
from trace2skill.skill.folder import SKILL_MD, Skill
from trace2skill.skill.hazards import HazardKind, hidden_in, unforeseen
from trace2skill.skill.sections import BOM

PROTECTED_FOLDERS = frozenset({"scripts", "assets"})
"""Folders in which nothing is edited."""

_LICENCE = re.compile(r"(?:licen[cs]e|notice|copying)", re.IGNORECASE)
# Line feed and tabulator are the only control characters that Markdown text needs.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_INDENTED_HEADING = re.compile(r"\s*^[ \t]+#{1,6}\s", re.MULTILINE)
_MAX_PATH_BYTES = 200


def is_licence(name: str) -> bool:
    """Whether a file of this name is a licence text or a notice, and so protected."""
    return _LICENCE.match(name) is not None


def check_path(path: str) -> None:
    """Check that a path stays inside the folder and that the file may be edited.

    Raises:
        PatchError: It may not; the message says why.
    """
    parts = path.split("/")
    if any(part in ("", ".", "..") for part in parts) or "\\" in path or re.match(r"[A-Za-z]:", path):
        raise PatchError(f"unsafe path {path!r}: a relative path inside the skill folder is required")
    if _CONTROL.search(path) or "\n" in path or "\t" in path or len(path.encode()) > _MAX_PATH_BYTES:
        raise PatchError(f"unsafe path {path[:80]!r}: control characters, or longer than {_MAX_PATH_BYTES} bytes")
    if parts[0].casefold() in PROTECTED_FOLDERS or is_licence(parts[-1]):
        raise PatchError(f"protected file {path!r}: scripts/, assets/ and licence files are not edited")
    if not path.endswith(".md"):
        raise PatchError(f"protected file {path!r}: only Markdown files (.md) are edited")
    if len(parts) > 1 and parts[0] != "references":
        raise PatchError(f"protected file {path!r}: of the folders, only references/ is edited")


def check_new_file(path: str, skill: Skill) -> None:
    """Check that a file may be created.

    Raises:
        PatchError: It may not; the message says why.
    """
    folder, _, name = path.rpartition("/")
    stem = name.removesuffix(".md")
    if folder != "references" or not stem or not all(c.isalnum() or c in "._-" for c in stem):
        raise PatchError(
            f"cannot create {path!r}: new files are references/<name>.md with letters, digits, '.', '_' and '-'"
        )
    if not stem[0].isalnum() or not unicodedata.is_normalized("NFC", path):
        raise PatchError(f"cannot create {path!r}: the name must start with a letter or digit, in NFC form")
    # Some file systems do not tell case apart.
    same = [known for known in skill.files if known.casefold() == path.casefold() and known != path]
    if same or "references" in skill.files:
        raise PatchError(f"cannot create {path!r}: {(same or ['references'])[0]!r} is in the way")


def check_deletable(path: str, skill: Skill) -> None:
    """Check that a file may be deleted.

    Raises:
        PatchError: It may not; the message says why.
    """
    if path == SKILL_MD:
        raise PatchError(f"protected file: {SKILL_MD} cannot be deleted")
    if path not in skill.files:
        raise PatchError(f"file not found: {path!r} does not exist in the skill")


def hazard_reason(content: str, skill: Skill, allow: Collection[HazardKind]) -> str:
    """Why a text needs the operator's word before it enters a skill; empty if it does not.

    Args:
        content: The text.
        skill: The frozen skill; what stands there already is no news.
        allow: Kinds of hazards that the operator allows.
    """
    if not (found := unforeseen(content, skill, allow)):
        return ""
    return f"{found[0]}, which the skill did not before; if you want that, --allow {found[0].kind}"


def content_lines(content: str) -> tuple[str, ...]:
    """The lines of an edit's text, without a byte-order mark, blank lines around it, or indentation before headings.

    An indented heading is a line of code to Markdown; models that indent one mean the heading.

    Raises:
        PatchError: The text holds control characters, or what a reader would not see.
    """
    text = content.removeprefix(BOM).replace("\r\n", "\n").replace("\r", "\n")
    if found := _CONTROL.search(text):
        raise PatchError(f"the content holds the control character {found.group()!r}")
    if hidden := hidden_in(text):
        raise PatchError(f"the content holds {hidden}")
    if _INDENTED_HEADING.match(text):
        text = textwrap.dedent(text)
    lines = text.split("\n")
    while lines and not lines[-1].strip():
        lines.pop()
    while lines and not lines[0].strip():
        lines.pop(0)
    return tuple(lines)
