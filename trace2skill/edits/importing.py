"""Patch files: this project's own, those of the Trace2Skill reference implementation, and per-trajectory records.

Whatever a file proposes becomes an `Edit`. One that cannot be read as an operation is kept as `unknown`, with the
original JSON as its content, and is rejected with its reason where edits are resolved. A file that cannot be read at
all is an error: nothing is skipped.

The foreign forms:

- The reference implementation: objects with `reasoning`, `edits` and `changelog_entries`; its edits have
  `target_section`, `target_text`, `old_text` and `after_section`.
- Records of one trajectory each: objects with `trajectory_id`, optionally `task_id`, and `edits` with `target` and
  `content`. Their `append_section` adds the section that it names where the skill has none of that name.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from trace2skill.edits.guardrails import content_lines
from trace2skill.edits.locate import sections_named
from trace2skill.edits.patch import Edit, Operation, Patch, document_of, pair_links
from trace2skill.edits.placement import nested
from trace2skill.errors import PatchError
from trace2skill.files import write_atomic
from trace2skill.foreign import Cap, ForeignError, json_value, read, unpacked
from trace2skill.models.escapes import restored
from trace2skill.skill.folder import Skill
from trace2skill.skill.sections import heading_key

OPERATION_ALIASES = {
    "append_section": "append_to_section",
    "create_file": "create",
    "createFile": "create",
    "deleteFile": "delete_file",
}
"""Operation names of other tools, and what they are called here."""

PATCHES = Cap(bytes=64 << 20, values=2_000_000)
"""A patch file may hold this when unpacked; the records of a thousand trajectories take 5 MB."""

_OPERATIONS = frozenset(get_args(Operation))
# Which field of the reference implementation's edits each of ours comes from, by operation.
_REFERENCE_FIELDS: dict[str, dict[str, str]] = {
    "insert_after": {"target": "target_text", "section": "target_section", "content": "content"},
    "insert_before": {"target": "target_text", "section": "target_section", "content": "content"},
    "append_to_section": {"target": "target_section", "content": "content"},
    "replace_in_section": {"target": "target_section", "old": "old_text", "content": "content"},
    "add_section": {"target": "after_section", "section": "target_section", "content": "content"},
    "delete_section": {"target": "target_section"},
    "create": {"content": "content"},
    "delete_file": {},
}
_OWN_FIELDS = {name: name for name in ("target", "section", "old", "content")}
# Where a record says in words what its edits are drawn from.
_REASONS = ("failure_surface", "success_surface", "root_cause", "minimal_fix_hypothesis", "effective_behaviors")


def read_patches(path: Path | str, skill: Skill | None = None) -> list[Patch]:
    """Read a patch file.

    Args:
        path: JSON or JSON lines, gzipped or not, in any of the forms above.
        skill: The skill that the edits are for. With it, an `append_section` of a per-trajectory record that names a
            section the skill lacks is read as the addition of that section; without it, it stays an append.

    Returns:
        One patch per record, in the file's order, every edit supported by its trajectory. Edit ids are unique.

    Raises:
        PatchError: The file is missing, is not JSON, or holds something that is no patch.
    """
    path = Path(path)
    counts: Counter[str] = Counter()
    patches = [
        _read_record(record, f"{path}, record {number}", f"{_stem(path)}-{number}", counts, skill)
        for number, record in enumerate(_records(path), start=1)
    ]
    ids = Counter(edit.id for patch in patches for edit in patch.edits)
    if twice := [name for name, count in ids.items() if count > 1]:
        raise PatchError(f"{path}: edit ids must be unique; {twice[0]!r} is there {ids[twice[0]]} times.")
    return patches


def write_patches(patches: Iterable[Patch], path: Path) -> None:
    """Write patches as JSON lines in this project's own form."""
    write_atomic(path, "".join(patch.model_dump_json() + "\n" for patch in patches))


def to_reference(patch: Patch) -> dict[str, Any]:
    """A patch in the form of the reference implementation, which has no ids, support or rationale of single edits."""
    return {
        "reasoning": patch.reasoning,
        "edits": [_reference_edit(edit) for edit in patch.edits],
        "changelog_entries": list(patch.changelog),
    }


def write_reference(patches: Iterable[Patch], path: Path) -> None:
    """Write patches as a JSON list in the form of the reference implementation."""
    write_atomic(path, json.dumps([to_reference(patch) for patch in patches], ensure_ascii=False, indent=2) + "\n")


def _read_record(record: object, where: str, name: str, counts: Counter[str], skill: Skill | None) -> Patch:
    if not isinstance(record, dict):
        raise PatchError(f"{where}: a patch must be a JSON object, got {type(record).__name__}.")
    if "trajectory" in record:
        try:
            return Patch.model_validate(record)
        except ValidationError as error:
            problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:3])
            raise PatchError(f"{where}: not a patch of this project: {problems}.") from error
    # What others have written is what a model wrote: `\\times` that was decoded to a tab is mended as in its answers.
    edits = restored(record.get("edits"))
    if not isinstance(edits, list):
        raise PatchError(f'{where}: a patch must have a list "edits", got {type(edits).__name__}.')
    if "trajectory_id" in record or "task_id" in record:
        trajectory = str(record.get("task_id") or record.get("trajectory_id"))
        reasoning = "\n".join(_plain(record[key]) for key in _REASONS if record.get(key))
        read = partial(_from_trajectory, skill=skill)
    elif "reasoning" in record or "changelog_entries" in record:
        trajectory, reasoning = name, _plain(record.get("reasoning"))
        read = partial(_from_reference)
    else:
        raise PatchError(
            f'{where}: no known form of a patch. It needs "trajectory", "trajectory_id", or "reasoning" and '
            f'"changelog_entries"; it has {", ".join(map(repr, record)) or "nothing"}.'
        )
    read_edits = []
    for raw in edits:
        counts[trajectory] += 1
        read_edits.append(_read_edit(raw, f"{trajectory}.{counts[trajectory]}", trajectory, read))
    changelog = record.get("changelog_entries") or []
    return Patch(
        trajectory=trajectory,
        edits=pair_links(read_edits),
        reasoning=reasoning,
        changelog=tuple(map(_plain, changelog if isinstance(changelog, list) else [changelog])),
    )


def _read_edit(raw: object, name: str, trajectory: str, read: Callable[[dict[str, Any]], Edit]) -> Edit:
    """One foreign edit; what cannot be read becomes an `unknown` one, with the original as its content."""
    try:
        if not isinstance(raw, dict):
            raise PatchError(f"an edit must be an object, got {type(raw).__name__}")
        edit = read(raw)
    except PatchError as error:
        named = raw.get("file") if isinstance(raw, dict) else None
        edit = Edit(id=name, file=_plain(named), op="unknown", content=json.dumps(raw), rationale=str(error))
    return edit.model_copy(update={"id": name, "support": (trajectory,)})


def _from_reference(raw: dict[str, Any]) -> Edit:
    edit = _translate(raw, _REFERENCE_FIELDS)
    if edit.op != "add_section":
        return edit
    # There the heading is a field of its own, with or without hash marks; the text may repeat it.
    text = edit.content.strip("\n")
    heading = edit.section.strip() or ("" if text.startswith("#") else "New Section")
    heading = heading if heading.startswith("#") or not heading else f"## {heading}"
    if heading and text.partition("\n")[0].strip() != heading:
        text = f"{heading}\n\n{text}"
    return edit.model_copy(update={"section": "", "content": text})


def _from_trajectory(raw: dict[str, Any], skill: Skill | None) -> Edit:
    edit = _translate(raw, dict.fromkeys(_OPERATIONS, _OWN_FIELDS))
    if raw["op"] != "append_section" or skill is None or edit.file not in skill.files:
        return edit
    if not heading_key(edit.target) or sections_named(document_of(skill, edit.file), edit.target)[0]:
        return edit
    title = edit.target.strip().lstrip("#").strip()
    body = nested(content_lines(edit.content), 2, title)
    if not body:
        return edit  # a bare heading would be no lesson: the guardrails reject the empty content
    return edit.model_copy(update={"op": "add_section", "target": "", "content": "\n".join([f"## {title}", "", *body])})


def _translate(raw: dict[str, Any], fields: Mapping[str, Mapping[str, str]]) -> Edit:
    """An edit with our names. What has no place in it is kept in its rationale."""
    named, file = raw.get("op"), raw.get("file")
    op = OPERATION_ALIASES.get(named, named) if isinstance(named, str) else ""
    if op not in _OPERATIONS:
        raise PatchError(f"unknown operation {named!r}")
    if not isinstance(file, str) or not file:
        raise PatchError(f"an edit must name its file, got {file!r}")
    names = fields[op]
    texts = {ours: raw.get(theirs) or "" for ours, theirs in names.items()}
    if odd := next((name for name, text in texts.items() if not isinstance(text, str)), None):
        raise PatchError(f"{names[odd]!r} must be text, got {type(texts[odd]).__name__}")
    known = {"op", "file", "rationale", *names.values()}
    rest = {key: value for key, value in raw.items() if key not in known and value not in (None, "")}
    rationale = [_plain(raw.get("rationale")), json.dumps(rest, ensure_ascii=False) if rest else ""]
    return Edit(id="-", op=op, file=file, rationale=" ".join(filter(None, rationale)), **texts)


def _reference_edit(edit: Edit) -> Any:
    if edit.op == "unknown":
        return json.loads(edit.content)
    texts = {theirs: getattr(edit, ours) for ours, theirs in _REFERENCE_FIELDS[edit.op].items()}
    if edit.op == "add_section":
        heading, _, body = edit.content.lstrip("\n").partition("\n")
        texts |= {"target_section": heading.strip(), "content": body.lstrip("\n")}
    return {"file": edit.file, "op": edit.op, **{name: text for name, text in texts.items() if text}}


def _records(path: Path) -> list[Any]:
    try:
        text = unpacked(read(path, PATCHES.bytes), path, PATCHES.bytes).decode("utf-8")
    except ValueError as error:
        said = str(error).removeprefix(f"{path} cannot be read: ").rstrip(".")
        raise PatchError(
            f"Cannot read the patch file {path}: {said}. JSON or JSON lines in UTF-8 are needed."
        ) from error
    rows = [(number, row) for number, row in enumerate(text.split("\n"), start=1) if row.strip()]
    if not rows:
        raise PatchError(f"The patch file {path} is empty.")
    try:
        # JSON lines have a whole value on the first line, and more lines.
        whole = _decode(text, path) if len(rows) == 1 or not _is_json(rows[0][1]) else None
    except ForeignError as error:
        raise PatchError(f"The patch file {error}") from error
    if whole is None:
        return [_decode_row(path, number, row) for number, row in rows]
    inner = whole.get("patches", whole) if isinstance(whole, dict) else whole
    return inner if isinstance(inner, list) else [inner]


def _decode_row(path: Path, number: int, row: str) -> Any:
    try:
        return _decode(row, f"{path}, line {number}")
    except ForeignError as error:
        raise PatchError(str(error)) from error


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _decode(text: str, where: Path | str) -> Any:
    return _clean(json_value(text, where, PATCHES))


def _clean(value: Any) -> Any:
    """A JSON value in which escapes of half a character, which no file can hold, are spelled out."""
    if isinstance(value, dict):
        return {_clean(key): _clean(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_clean(inner) for inner in value]
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


def _plain(value: object) -> str:
    """A JSON value as text."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _stem(path: Path) -> str:
    return path.name.split(".")[0]
