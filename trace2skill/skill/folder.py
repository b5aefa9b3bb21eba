"""A skill folder in the Agent Skills format: load, check, save.

A `Skill` is a frozen snapshot in memory: the bytes of every file, so that what is not edited is written back unchanged.
"""

import hashlib
import os
import re
import stat
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from urllib.parse import unquote

from markdown_it import MarkdownIt
from skills_ref.parser import parse_frontmatter
from skills_ref.validator import validate_metadata

from trace2skill.errors import SkillError
from trace2skill.files import STORED, write_folder
from trace2skill.foreign import ForeignError, beyond, json_value, read, walk
from trace2skill.skill.sections import BOM, frontmatter_problem, split_frontmatter, split_lines

SKILL_MD = "SKILL.md"
MAX_SKILL_LINES = 500
"""SKILL.md stays under this many lines (the size limit of the paper)."""
MAX_REFERENCE_LINES = 300
"""Each Markdown file in `references/` stays under this many lines (the size limit of the paper)."""

MAX_SKILL_BYTES = 64 << 20
"""A skill's files may take this together; published ones with fonts and schemas take 5 MB."""
MAX_SKILL_MD_BYTES = 1 << 20
"""SKILL.md may take this: 500 lines of 2,000 characters."""
MAX_SKILL_FILES = 2_000
"""A skill may have so many files and folders; the largest published ones have 100."""
MAX_SKILL_DEPTH = 16
"""So deep may its folders be nested."""

# By-products of running a skill's scripts or of version control; no part of the skill.
_IGNORED = frozenset({"__pycache__", ".git", ".DS_Store"})
_MENTION = re.compile(r"(?<![\w./-])references/[\w./-]+\.md\b")


@dataclass(frozen=True, kw_only=True)
class Skill:
    """A skill folder as it was at one moment."""

    name: str
    """Name in the frontmatter, which is also the folder's."""
    description: str
    """Description in the frontmatter."""
    files: Mapping[str, bytes]
    """Content of every file by its relative POSIX path, sorted; read-only."""
    executable: frozenset[str] = frozenset()
    """Paths of the files with an executable bit."""

    @classmethod
    def from_files(cls, files: Mapping[str, bytes], executable: frozenset[str] = frozenset()) -> "Skill":
        """Build a skill from its files' contents.

        Args:
            files: Contents by relative POSIX path; SKILL.md among them.
            executable: Paths of executable files; those that are not in `files` are left out.

        Raises:
            SkillError: A path leaves the folder, or SKILL.md is missing, not UTF-8 or without a name and description.
        """
        for path in files:
            _check_path(path, files)
        if SKILL_MD not in files:
            raise SkillError(f"A skill needs a {SKILL_MD}; got {', '.join(sorted(files)) or 'no files'}.")
        name, description = _read_frontmatter(files[SKILL_MD])
        ordered = {path: files[path] for path in sorted(files)}
        return cls(
            name=name,
            description=description,
            files=MappingProxyType(ordered),
            executable=executable & ordered.keys(),
        )

    def __hash__(self) -> int:
        return hash(self.digest)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the sorted paths and contents, byte for byte, in hexadecimal."""
        digest = hashlib.sha256()
        for path, data in self.files.items():
            encoded = path.encode()
            # Lengths first: no two different folders feed the hash the same bytes.
            digest.update(b"%d:%d:" % (len(encoded), len(data)) + encoded + data)
        return digest.hexdigest()

    @property
    def skill_md(self) -> str:
        """Text of SKILL.md."""
        return self.text(SKILL_MD)

    def is_text(self, path: str) -> bool:
        """Whether a file holds UTF-8 text."""
        try:
            self.files[path].decode("utf-8")
        except UnicodeDecodeError:
            return False
        return True

    def text(self, path: str) -> str:
        """Text of a file with its line endings, without a byte-order mark.

        Raises:
            SkillError: There is no such file, or it is not UTF-8.
        """
        if path not in self.files:
            raise SkillError(f"Skill {self.name!r} has no file {path!r}. It has: {', '.join(self.files)}.")
        try:
            return self.files[path].decode("utf-8").removeprefix(BOM)
        except UnicodeDecodeError as error:
            raise SkillError(f"{path} of skill {self.name!r} is not UTF-8 text: {error}.") from error

    def lines(self, path: str) -> tuple[str, ...]:
        """Lines of a text file, split at line feeds only, without their endings."""
        return split_lines(self.text(path))[0]

    def with_files(self, changes: Mapping[str, bytes | None]) -> "Skill":
        """A copy in which these files have these contents; None removes a file."""
        merged: dict[str, bytes | None] = {**self.files, **changes}
        return Skill.from_files({path: data for path, data in merged.items() if data is not None}, self.executable)


def load_skill(path: Path | str) -> Skill:
    """Load a skill.

    Args:
        path: A skill folder, its SKILL.md, or the folder of an evolution run, whose `manifest.json` names the skill.
            Links are not followed: a folder that holds one is refused. `__pycache__`, `.git` and `.DS_Store` are
            not part of a skill.

    Raises:
        SkillError: There is no skill, or it is malformed; the message says what to do.
    """
    folder = find_skill_folder(Path(path))
    try:
        found = dict(_walk(folder))
        executable = frozenset(relative for relative, file in found.items() if os.access(file, os.X_OK))
        files = _read(folder, found)
    except OSError as error:
        raise SkillError(f"Cannot read the skill folder {folder}: {error}. Check its permissions.") from error
    except ForeignError as error:
        raise SkillError(f"Cannot read the skill folder {folder}: {error}") from error
    try:
        skill = Skill.from_files(files, executable)
    except SkillError as error:
        raise SkillError(f"{folder}: {error}") from error
    name = folder.absolute().name if folder.name not in ("", "..") else folder.resolve().name
    if unicodedata.normalize("NFKC", name) != unicodedata.normalize("NFKC", skill.name):
        raise SkillError(
            f"The folder {folder} must be named like its skill: the frontmatter of {SKILL_MD} says "
            f"{skill.name!r}, the folder is {name!r}. Rename the folder or change `name:`."
        )
    return skill


def save_skill(skill: Skill, parent: Path, *, overwrite: bool = False) -> Path:
    """Save a skill as a folder of its name, in full or not at all.

    Args:
        skill: What to save.
        parent: The folder that gets the skill folder; created if missing.
        overwrite: Replace an existing folder, in one step.

    Returns:
        The skill folder.

    Raises:
        SkillError: The name cannot be a folder's, the folder exists and may not be replaced, or cannot be written.
    """
    if not skill.name or skill.name in (".", "..") or any(c in skill.name for c in "/\\\0"):
        raise SkillError(f"A skill is saved in a folder of its name, and {skill.name!r} cannot name one.")
    target = Path(parent) / skill.name
    try:
        write_folder(target, skill.files, skill.executable, overwrite=overwrite)
    except FileExistsError as error:
        raise SkillError(f"{target} exists already. Choose another folder, remove it, or allow overwriting.") from error
    except OSError as error:
        raise SkillError(f"Cannot save the skill in {target}: {error}.") from error
    return target


def check_skill(skill: Skill) -> list[str]:
    """Findings of the Agent Skills reference validator, the size limits and the links; none for a valid skill."""
    return [*_format_findings(skill), *size_findings(skill), *_link_findings(skill)]


def size_findings(skill: Skill) -> list[str]:
    """The findings of `check_skill` that say that a file is too long."""
    findings = []
    for path in skill.files:
        limit = line_limit(path)
        count = len(skill.lines(path)) if limit and skill.is_text(path) else 0
        if limit and count >= limit:
            findings.append(f"{path}: {count} lines, must stay under {limit}; move details to references/")
    return findings


def line_limit(path: str) -> int:
    """The number of lines that a file must stay under; 0 for a file without a limit."""
    if path == SKILL_MD:
        return MAX_SKILL_LINES
    return MAX_REFERENCE_LINES if path.startswith("references/") and path.endswith(".md") else 0


def mentioned(text: str) -> frozenset[str]:
    """The `references/*.md` that a text names."""
    return frozenset(_MENTION.findall(text))


def linked_paths(skill: Skill) -> frozenset[str]:
    """Relative paths that SKILL.md points to outside code blocks: as Markdown links, or by naming `references/*.md`."""
    body = split_lines(skill.skill_md)[0]
    front, _ = split_frontmatter(body)
    tokens = MarkdownIt("commonmark").parse("\n".join(body[front:]))
    inline = [child for token in tokens for child in token.children or ()]
    links = (str(child.attrGet("href") or child.attrGet("src") or "") for child in inline)
    mentions = (path for child in inline for path in mentioned(child.content))
    return frozenset({path for path in map(_relative, links) if path} | set(mentions))


def _format_findings(skill: Skill) -> list[str]:
    raw = skill.files[SKILL_MD].decode("utf-8")
    findings = [f"{SKILL_MD}: starts with a byte-order mark, which skill readers reject"] * raw.startswith(BOM)
    try:
        metadata, _ = parse_frontmatter(raw.removeprefix(BOM).replace("\r\n", "\n"))
    except Exception as error:  # strictyaml lets through what its scanner and its converters stumble over
        return [*findings, f"{SKILL_MD}: {' '.join(str(error).split())}"]
    return [*findings, *(f"{SKILL_MD}: {finding}" for finding in validate_metadata(metadata))]


def _link_findings(skill: Skill) -> list[str]:
    folders = {str(parent) for path in skill.files for parent in PurePosixPath(path).parents}
    missing = sorted(linked_paths(skill) - skill.files.keys() - folders)
    return [f"{SKILL_MD}: links to {path}, which does not exist in the skill" for path in missing]


def _relative(link: str) -> str:
    """The normalised path in the skill folder that a Markdown link means; empty for a web or in-page link."""
    target = unquote(link.split("#")[0].split("?")[0])
    if not target or target.startswith("/") or re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", target):
        return ""
    return os.path.normpath(target).replace(os.sep, "/")


def find_skill_folder(path: Path) -> Path:
    """The folder of a skill, given it, its SKILL.md, an evolution run, or a selection among several.

    Raises:
        SkillError: There is no skill at the path.
    """
    if path.name == SKILL_MD and path.is_file():
        return path.parent
    if not path.is_dir():
        found = "it is a file" if path.exists() else "it does not exist"
        raise SkillError(f"A skill folder, a {SKILL_MD} or an evolution run was expected at {path}; {found}.")
    if os.path.lexists(path / SKILL_MD):
        return path
    manifest = path / "manifest.json"
    if manifest.is_file():
        return _run_skill(manifest)
    selection = path / "selection.json"
    if selection.is_file():
        return _selected_skill(selection)
    hint = " Rename skill.md to SKILL.md." if (path / "skill.md").is_file() else ""
    raise SkillError(f"{path} is no skill folder: it has no {SKILL_MD}, nor the manifest.json of a run.{hint}")


def _stored(file: Path) -> object:
    try:
        return json_value(read(file, STORED.bytes), file, STORED)
    except ForeignError as error:
        raise SkillError(str(error)) from error


def _selected_skill(selection: Path) -> Path:
    """The folder of the skill that a selection has chosen, which it keeps beside its record."""
    content = _stored(selection)
    if not isinstance(content, dict) or not isinstance(rows := content.get("candidates"), list):
        raise SkillError(f'{selection} is no record of a selection: it has no "candidates".')
    chosen = [row.get("skill") for row in rows if isinstance(row, dict) and row.get("name") == content.get("chosen")]
    if not content.get("chosen") or not chosen:
        raise SkillError(
            f"{selection.parent} is a selection that has chosen no skill: none was better than the initial one. Name "
            "the run folder of one of its seeds."
        )
    folder = selection.parent / PurePosixPath(str(chosen[0])).name
    if folder.name in ("", "..") or not os.path.lexists(folder / SKILL_MD):
        raise SkillError(f"{selection} names the skill {chosen[0]!r}, but {folder / SKILL_MD} does not exist.")
    return folder


def _run_skill(manifest: Path) -> Path:
    """The skill folder of an evolution run."""
    content = _stored(manifest)
    if isinstance(content, dict) and content.get("bank"):
        raise SkillError(f"{manifest.parent} is a run that made a memory bank, not a skill. Give it as -T memory=.")
    relative = content.get("skill") if isinstance(content, dict) else None
    if not isinstance(relative, str):
        raise SkillError(f'{manifest} is no manifest of an evolution run: it has no "skill" with a folder.')
    folder = manifest.parent / relative
    if not folder.resolve().is_relative_to(manifest.parent.resolve()):
        raise SkillError(f'"skill" in {manifest} must name a folder of the run, got {relative!r}.')
    if not os.path.lexists(folder / SKILL_MD):
        raise SkillError(f"{manifest} names the skill {relative!r}, but {folder / SKILL_MD} does not exist.")
    return folder


def _walk(folder: Path) -> Iterator[tuple[str, Path]]:
    """Every regular file below a folder with its relative POSIX path."""
    for entry in walk(folder, entries=MAX_SKILL_FILES, depth=MAX_SKILL_DEPTH, ignored=_IGNORED):
        mode = entry.lstat().st_mode
        if stat.S_ISLNK(mode):
            raise SkillError(f"{entry} is a link. A skill holds plain files: copy what it points to.")
        if not stat.S_ISREG(mode):
            raise SkillError(f"{entry} is no plain file. Remove it from the skill folder.")
        yield entry.relative_to(folder).as_posix(), entry


def _read(folder: Path, found: Mapping[str, Path]) -> dict[str, bytes]:
    """The content of files, which are not too large together."""
    files: dict[str, bytes] = {}
    left = MAX_SKILL_BYTES
    for relative, file in found.items():
        # What does not fit is refused by the size that the whole skill may have, not by what is left of it.
        if file.lstat().st_size > left:
            raise beyond(folder, "bytes", MAX_SKILL_BYTES)
        files[relative] = read(file, MAX_SKILL_MD_BYTES if relative == SKILL_MD else left)
        left -= len(files[relative])
    return files


def _check_path(path: str, files: Mapping[str, bytes]) -> None:
    parts = path.split("/")
    if any(part in ("", ".", "..") for part in parts) or any(c in path for c in "\\\0"):
        raise SkillError(f"{path!r} is no relative path inside a skill folder.")
    try:
        path.encode()
    except UnicodeEncodeError as error:
        raise SkillError(f"The file name {path!r} is not UTF-8. Rename it.") from error
    folder = next((str(p) for p in PurePosixPath(path).parents if str(p) in files), None)
    if folder is not None:
        raise SkillError(f"{folder!r} cannot be a file and the folder of {path!r}.")


def _read_frontmatter(data: bytes) -> tuple[str, str]:
    """Name and description in the frontmatter of SKILL.md."""
    try:
        lines, _ = split_lines(data.decode("utf-8").removeprefix(BOM))
    except UnicodeDecodeError as error:
        raise SkillError(f"{SKILL_MD} must be UTF-8 text: {error}. Save it as UTF-8.") from error
    front, mapping = split_frontmatter(lines)
    if not front:
        link = " Its one line looks like the target of a link that was checked out as a file."
        raise SkillError(
            f"{SKILL_MD} must start with YAML frontmatter between two `---` lines, with name and description; "
            f"{frontmatter_problem(lines)}" + (link if len(lines) == 1 and "/" in lines[0] else "")
        )
    values = []
    for key in ("name", "description"):
        value = mapping.get(key)
        if not isinstance(value, str) or not value.strip():
            raise SkillError(f"The frontmatter of {SKILL_MD} must have a `{key}:` with text; got {value!r}.")
        values.append(value.strip())
    return values[0], values[1]
