"""One target per reader of foreign bytes: what it reads, and from which seeds."""

import asyncio
import io
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from evals.graders.spreadsheetbench import compare_workbooks
from evals.graders.worker import WorkerEndedError, Workers
from evals.preview import preview
from tests.fuzz.mutations import altered, broken, gzipped, json_or_bytes, tar_of, zipped
from tests.trace2skill.memory.banks import make_bank
from tests.trace2skill.toy import run_adding
from trace2skill.comparison.pairing import compare
from trace2skill.consolidation.ledger import read_ledger
from trace2skill.data.cards import read_card
from trace2skill.data.unpack import members, write_members
from trace2skill.edits.importing import read_patches
from trace2skill.edits.provenance import Provenance
from trace2skill.errors import Trace2SkillError
from trace2skill.evolution.folder import Manifest
from trace2skill.files import read_model
from trace2skill.logs.trajectory import read_sample, read_trajectories
from trace2skill.logs.transcript import render_transcript
from trace2skill.memory import Asked, Memory, embedder_for, load_bank, recall_text
from trace2skill.models.sampling import load_profile
from trace2skill.skill.folder import check_skill, find_skill_folder, load_skill
from trace2skill.skill.hazards import hazards_of, hidden_in

ROOT = Path(__file__).parents[2]
LOGS = Path(os.environ.get("TRACE2SKILL_FUZZ_LOGS", ROOT / "../shared/data/inspect-logs"))
"""Logs of other people, where there are any."""
MOST = 200_000
"""Larger seeds are left out: they would be mutated too slowly."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """A reader, and what it is fed."""

    inputs: Callable[[], SearchStrategy[bytes]]
    read: Callable[[bytes, Path], None]
    """Reads the input, with a folder to write in."""
    refuses: tuple[type[Exception], ...] = (Trace2SkillError,)
    """What it may raise."""


@contextmanager
def folder() -> Iterator[Path]:
    """A folder that is gone afterwards."""
    path = Path(tempfile.mkdtemp(prefix="fuzz-"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@cache
def _logs() -> dict[str, list[bytes]]:
    with folder() as made:
        files = [*run_adding(made).glob("*.eval")]
        files += [
            file for file in sorted(LOGS.glob("*/*.*")) if file.stat().st_size < MOST and file.name != "INDEX.json"
        ]
        return {end: [file.read_bytes() for file in files if file.suffix == end] for end in (".eval", ".json")}


def _log_inputs() -> SearchStrategy[bytes]:
    packed = _logs()[".eval"]
    plain = [json.loads(text) for text in _logs()[".json"]]
    texts = [altered(value).map(lambda changed: json.dumps(changed).encode()) for value in plain]
    return st.one_of(zipped(packed, json_or_bytes), broken(packed), *texts)


def _read_log(data: bytes, place: Path) -> None:
    log = place / ("log.eval" if data.startswith(b"PK") else "log.json")
    log.write_bytes(data)
    for reading in (lambda: _read_samples(log), lambda: compare([log], [log], allow_same_logs=True)):
        try:
            reading()
        except Trace2SkillError:
            continue


def _read_samples(log: Path) -> None:
    for row in read_trajectories([log]).all[:3]:
        sample = asyncio.run(read_sample(row))
        render_transcript(sample.messages, 500)


def _patch_inputs() -> SearchStrategy[bytes]:
    own = {"trajectory": "t", "edits": [{"id": "t.1", "op": "create", "file": "references/a.md", "content": "x"}]}
    theirs = {"reasoning": "r", "edits": [{"op": "insert_after", "file": "SKILL.md", "target_text": "a"}]}
    record = {"trajectory_id": "t", "edits": [{"op": "append_section", "file": "SKILL.md", "target": "Use"}]}
    values = [own, [theirs, record], {"patches": [own, theirs]}]
    texts = st.one_of(*(altered(value).map(lambda changed: json.dumps(changed).encode()) for value in values))
    lines = st.lists(texts, min_size=1, max_size=3).map(b"\n".join)
    return st.one_of(
        texts, lines, lines.map(gzipped), broken([gzipped(json.dumps(own).encode()), json.dumps(own).encode()])
    )


def _read_patch(data: bytes, place: Path) -> None:
    file = place / "patches.json"
    file.write_bytes(data)
    read_patches(file, load_skill(ROOT / "skills/xlsx"))


def _skill_inputs() -> SearchStrategy[bytes]:
    seeds = [file.read_bytes() for file in sorted((ROOT / "skills").glob("*/SKILL.md"))]
    heads = [seed[: seed.index(b"---", 4) + 4] + b"\n# A\n" for seed in seeds]
    return broken(seeds) | broken(heads)


def _read_skill(data: bytes, place: Path) -> None:
    (place / "xlsx/references").mkdir(parents=True)
    (place / "xlsx/SKILL.md").write_bytes(data)
    (place / "xlsx/references/more.md").write_bytes(data)
    skill = load_skill(find_skill_folder(place / "xlsx"))
    check_skill(skill)
    list(hazards_of(skill))
    hidden_in(skill.skill_md)


def _archive_inputs() -> SearchStrategy[bytes]:
    content = {"a/data.json": b'{"a": 1}', "a/b/long.txt": b"text " * 200, "x" * 150: b""}
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in content.items():
            archive.writestr(name, text)
    return broken([packed.getvalue(), *(tar_of(content, mode) for mode in ("w", "w:gz", "w:bz2", "w:xz"))])


def _read_archive(data: bytes, place: Path) -> None:
    (place / "archive").write_bytes(data)
    with members(place / "archive") as found:
        write_members(place / "archive", [(member.path, member) for member in found], place / "out")


def _workbook_inputs() -> SearchStrategy[bytes]:
    seeds = sorted((ROOT / "tasks/sample/spreadsheet").rglob("*.xlsx"), key=lambda file: file.stat().st_size)[:8]
    books = [file.read_bytes() for file in seeds]
    return zipped(books, lambda content: broken([content])) | broken(books)


GRADERS = Workers(seconds=60, memory=4 << 30)


def _read_workbook(data: bytes, place: Path) -> None:
    book = place / "book.xlsx"
    book.write_bytes(data)
    for reading in (
        lambda: preview(book),
        lambda: GRADERS.call(compare_workbooks, _golden(), data, "A1:D10"),
        lambda: GRADERS.call(compare_workbooks, data, _golden(), "A1:D10"),
    ):
        try:
            reading()
        except (Trace2SkillError, WorkerEndedError):
            continue


def _golden() -> bytes:
    return min((ROOT / "tasks/sample/spreadsheet").rglob("*_golden.xlsx")).read_bytes()


def _card_inputs() -> SearchStrategy[bytes]:
    return broken(
        [file.read_bytes() for file in [*ROOT.glob("tasks/*/card.yaml"), *ROOT.rglob("models/profiles/*.yaml")]]
    )


def _read_card(data: bytes, place: Path) -> None:
    (place / "card.yaml").write_bytes(data)
    for reading in (lambda: read_card(place / "card.yaml"), lambda: load_profile(str(place / "card.yaml"))):
        try:
            reading()
        except Trace2SkillError:
            continue


def _run_inputs() -> SearchStrategy[bytes]:
    row = {
        "kind": "edit",
        "id": "a",
        "proposed": "p",
        "fate": "withheld",
        "reason": "no",
        "op": "create",
        "file": "SKILL.md",
    }
    values = [row, {"schema_version": 1, "skill": "s", "digest": "d", "files": {}, "edits": {}}]
    return st.one_of(
        *(altered(value).map(lambda changed: json.dumps(changed).encode()) for value in values), broken([b"{}"])
    )


def _read_run(data: bytes, place: Path) -> None:
    file = place / "file.json"
    file.write_bytes(data)
    for reading in (
        lambda: read_model(file, Provenance),
        lambda: read_model(file, Manifest),
        lambda: read_ledger(file),
    ):
        try:
            reading()
        # `read_model` names no kind of file: its callers make their own error of its message.
        except (Trace2SkillError, ValueError):
            continue


def _bank_inputs() -> SearchStrategy[bytes]:
    item = {"title": "t", "description": "d", "content": "c </memory>"}
    row = {
        "id": "a",
        "sample": "a",
        "task": "a",
        "query": "1_a_x.xlsx split names",
        "status": "success",
        "items": [item],
    }
    return st.one_of(altered(row).map(lambda changed: json.dumps(changed).encode()), broken([json.dumps(row).encode()]))


def _read_bank(data: bytes, place: Path) -> None:
    """Records that the card vouches for, as a bank's maker could have them."""
    bank = make_bank(place / "bank").folder
    card = json.loads((bank / "card.json").read_text())
    changed = {"records": data.count(b"\n") + 1, "records_digest": sha256(data).hexdigest()}
    (bank / "card.json").write_text(json.dumps({**card, **changed}))
    (bank / "records.jsonl").write_bytes(data)
    try:
        read = load_bank(bank)
        memory = Memory(bank=read, embedder=embedder_for(read), count=2)
        recall_text(memory.recall(Asked(sample="b", task="b", query="split names")))
    finally:
        shutil.rmtree(bank)


TARGETS = {
    "archive": Target(inputs=_archive_inputs, read=_read_archive),
    "bank": Target(inputs=_bank_inputs, read=_read_bank),
    "card": Target(inputs=_card_inputs, read=_read_card),
    "log": Target(inputs=_log_inputs, read=_read_log),
    "patch": Target(inputs=_patch_inputs, read=_read_patch),
    "run": Target(inputs=_run_inputs, read=_read_run),
    "skill": Target(inputs=_skill_inputs, read=_read_skill),
    "workbook": Target(inputs=_workbook_inputs, read=_read_workbook),
}
