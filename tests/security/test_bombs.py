"""Small files that ask for gigabytes, and files that are no files: refused with a message, in little memory."""

import gzip
import io
import json
import os
import socket
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import zstandard

from tests.security.confined import Confined, Ended, confined
from tests.trace2skill.toy import write_skill
from trace2skill.data.unpack import members, write_members
from trace2skill.errors import DataError
from trace2skill.logs.files import find_logs

pytestmark = pytest.mark.slow

Change = Callable[[bytes], bytes]
GIB = 1 << 30
LIES = b"0" * 16


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Confined]:
    with confined(tmp_path_factory.mktemp("runs")) as running:
        yield running


@pytest.fixture
def log(adding_logs: Path) -> Path:
    (found,) = find_logs([adding_logs])
    return found


def refused(ended: Ended, *said: str, peak: int = 300) -> None:
    assert "Traceback" not in ended.output, ended.output[-2000:]
    assert ended.status in (1, 2), ended
    for words in said:
        assert words in ended.output
    assert len(ended.output) < 3000
    assert ended.seconds < 20
    assert ended.peak < peak


def deflated(size: int, piece: bytes) -> bytes:
    """A deflate stream that unpacks to a repeated piece, made without unpacking it here."""
    packing = zlib.compressobj(9, wbits=-15)
    block = piece * (8 * 1024**2 // len(piece))
    return b"".join([*(packing.compress(block) for _ in range(size // len(block))), packing.flush()])


def with_entry(source: Path, target: Path, name: str, packed: bytes, size: int, method: int = 8) -> Path:
    """A log in which an entry is replaced by packed bytes that say that they unpack to `size`."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for info in old.infolist():
            if info.filename != name:
                new.writestr(info.filename, old.read(info))
        new.writestr(zipfile.ZipInfo(name), packed)
    data = bytearray(target.read_bytes())
    for record, at in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        start = data.rindex(record)
        data[start + at : start + at + 2] = method.to_bytes(2, "little")
        data[start + at + 14 : start + at + 18] = size.to_bytes(4, "little")
    target.write_bytes(data)
    return target


@pytest.mark.parametrize("name", ["header.json", "summaries.json"])
@pytest.mark.parametrize(("honest", "said"), [(True, "more than"), (False, "declares 16 bytes")])
def test_a_log_of_gigabytes(tmp_path: Path, run: Confined, log: Path, name: str, honest: bool, said: str) -> None:
    size = 136 * 1024**2 if honest else 24 * 1024**2
    packed = deflated(size, b" " * 1024)
    bomb = with_entry(log, tmp_path / "bomb.eval", name, packed, size if honest else 16)
    refused(run("compare", bomb, "--vs", log), "bomb.eval", said)


def test_a_lie_about_gigabytes(tmp_path: Path, run: Confined, log: Path) -> None:
    bomb = with_entry(log, tmp_path / "bomb.eval", "header.json", deflated(64 << 20, b" " * 1024), 16)
    refused(run("compare", bomb, "--vs", log), "more than 33,554,432 bytes")


def test_a_lie_in_zstandard(tmp_path: Path, run: Confined, log: Path) -> None:
    packing = zstandard.ZstdCompressor().compressobj()
    packed = b"".join([*(packing.compress(bytes(8 << 20)) for _ in range(32)), packing.flush()])
    bomb = with_entry(log, tmp_path / "bomb.eval", "header.json", packed, 16, method=93)
    assert len(packed) < 1 << 20
    refused(run("compare", bomb, "--vs", log), "more than 33,554,432 bytes")


def test_a_header_of_empty_lists(tmp_path: Path, run: Confined, log: Path) -> None:
    size = 24 * 1024**2
    bomb = with_entry(log, tmp_path / "bomb.eval", "header.json", deflated(size, b"[],"), size)
    refused(run("compare", bomb, "--vs", log), "more than 500,000 values")


def test_a_header_with_a_million_problems(tmp_path: Path, run: Confined, log: Path) -> None:
    with zipfile.ZipFile(log) as source:
        header = json.loads(source.read("header.json"))
    header["eval"]["scorers"] = [1] * 450_000
    bomb = with_member(log, tmp_path / "bomb.eval", "header.json", json.dumps(header).encode())
    refused(run("compare", bomb, "--vs", log), "another schema", peak=700)


def with_member(source: Path, target: Path, name: str, content: bytes) -> Path:
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for other in old.namelist():
            if other != name:
                new.writestr(other, old.read(other))
        new.writestr(name, content)
    return target


def test_a_log_of_a_billion_summaries(tmp_path: Path, run: Confined, log: Path) -> None:
    bomb = tmp_path / "bomb.eval"
    with zipfile.ZipFile(log) as old, zipfile.ZipFile(bomb, "w") as new:
        for name in old.namelist():
            if name != "summaries.json":
                new.writestr(name, old.read(name))
        new.writestr("_journal/summaries/999999999.json", b"[]")
    refused(run("compare", bomb, "--vs", log), "has a number above")


def test_a_log_with_two_directories(tmp_path: Path, run: Confined, log: Path) -> None:
    # Some readers search for the end of the directory, some look for it at the end of the file.
    hidden = with_entry(log, tmp_path / "bomb.eval", "header.json", deflated(24 << 20, b" " * 1024), 16).read_bytes()
    bomb = tmp_path / "two.eval"
    bomb.write_bytes(hidden + log.read_bytes())
    refused(run("compare", bomb, "--vs", log), "its directory does not lie at its end")


def test_a_sample_that_lies(tmp_path: Path, run: Confined, log: Path) -> None:
    bomb = with_entry(log, tmp_path / "bomb.eval", "samples/one_epoch_1.json", deflated(272 << 20, b" " * 1024), 16)
    refused(plan(run, bomb, tmp_path), "bomb.eval", "more than 268,435,456 bytes")


def plan(run: Confined, log: Path, folder: Path, *arguments: object, memory: int = 1024) -> Ended:
    skill = folder / "adding"
    if not skill.exists():
        write_skill(folder)
    output = folder / "run"
    return run(
        "evolve",
        log,
        "--skill",
        skill,
        "--plan",
        "--output",
        output,
        "--analysts",
        "error-llm",
        *arguments,
        memory=memory,
    )


def test_a_message_of_100_megabytes(tmp_path: Path, run: Confined, log: Path) -> None:
    with zipfile.ZipFile(log) as source:
        sample = json.loads(source.read("samples/one_epoch_1.json"))
    sample["messages"][-1]["content"] = "word " * 20_000_000
    bomb = with_member(log, tmp_path / "large.eval", "samples/one_epoch_1.json", json.dumps(sample).encode())
    refused(plan(run, bomb, tmp_path), "large.eval", "more than 33,554,432 bytes in one string")


def test_a_json_log_that_is_sparse(tmp_path: Path, run: Confined, log: Path) -> None:
    bomb = sparse(tmp_path / "bomb.json", 3 * GIB)
    refused(run("compare", bomb, "--vs", log), "bomb.json", "more than 268,435,456 bytes")


def test_a_json_log_that_is_nested(tmp_path: Path, run: Confined, log: Path) -> None:
    bomb = tmp_path / "bomb.json"
    bomb.write_bytes(b'{"version": 2, "eval": ' + b"[" * 100_000)
    refused(run("compare", bomb, "--vs", log), "cannot be read as an Inspect log")


@pytest.mark.parametrize(
    ("score", "said"),
    [("1e400", "beyond 1.8e+308"), ("-1e400", "beyond"), ("1" + "0" * 400, "beyond"), ("9" * 5000, "cannot be read")],
)
def test_a_score_beyond_all_numbers(tmp_path: Path, run: Confined, log: Path, score: str, said: str) -> None:
    bomb = scored(log, tmp_path / "bomb.eval", score)
    refused(run("compare", bomb, "--vs", log, "--allow-same-logs"), said)
    refused(plan(run, bomb, tmp_path), said)


def test_a_score_of_nan_is_no_score(tmp_path: Path, run: Confined, log: Path) -> None:
    ended = plan(run, scored(log, tmp_path / "nan.eval", "NaN"), tmp_path)

    assert ended.status == 0, ended


def scored(source: Path, target: Path, score: str) -> Path:
    """A log in which sample `one` has this score, spelt as it is."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            content = json.loads(old.read(name))
            for row in content if name == "summaries.json" else [content]:
                if isinstance(row, dict) and row.get("id") == "one" and "scores" in row:
                    row["scores"]["total_is_right"]["value"] = "SCORE"
            new.writestr(name, json.dumps(content).replace('"SCORE"', score))
    return target


def sparse(file: Path, size: int) -> Path:
    with file.open("wb") as hollow:
        hollow.truncate(size)
    return file


def patched(run: Confined, patches: Path, folder: Path) -> Ended:
    skill = write_skill(folder)
    return run("evolve", "--patches", patches, "--merger", "lexical", "--skill", skill, "--output", folder / "run")


def test_patches_of_gigabytes(tmp_path: Path, run: Confined) -> None:
    bomb = tmp_path / "patches.json.gz"
    bomb.write_bytes(b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + deflated(80 << 20, b" " * 1024) + bytes(8))
    assert bomb.stat().st_size < 5 << 20
    refused(patched(run, bomb, tmp_path), "patches.json.gz", "more than 67,108,864 bytes when unpacked")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[" * 100_000, "levels of nested"),
        (b'{"a":' * 2_000 + b"1" + b"}" * 2_000, "levels of nested"),
        (b"[" + b"[]," * 3_000_000 + b"[]]", "more than 2,000,000 values"),
        (gzip.compress(b"{}", mtime=0)[:-9], "end early"),
        (b'{"trajectory_id": "t", "edits": [' + b"9" * 5_000 + b"]}", "not JSON"),
    ],
)
def test_patches_that_are_odd(tmp_path: Path, run: Confined, content: bytes, said: str) -> None:
    bomb = tmp_path / "patches.json"
    bomb.write_bytes(content)
    refused(patched(run, bomb, tmp_path), "patches.json", said)


def test_patches_that_are_sparse(tmp_path: Path, run: Confined) -> None:
    refused(patched(run, sparse(tmp_path / "patches.json", 3 * GIB), tmp_path), "more than 67,108,864 bytes")


@pytest.fixture
def skill(tmp_path: Path) -> Path:
    return write_skill(tmp_path)


def test_a_skill_that_is_sparse(run: Confined, skill: Path) -> None:
    for name in ("a.bin", "b.bin", "c.bin"):
        sparse(skill / name, GIB)
    refused(run("skill", "check", skill), "more than 67,108,864 bytes")


def test_a_skill_file_that_is_sparse(run: Confined, skill: Path) -> None:
    sparse(skill / "SKILL.md", 60 << 20)
    refused(run("skill", "check", skill), "more than 1,048,576 bytes")


def test_a_skill_of_many_files(run: Confined, skill: Path) -> None:
    for number in range(2_001):
        (skill / f"{number}.md").touch()
    refused(run("skill", "check", skill), "more than 2,000 files and folders")


@contextmanager
def deep(folder: Path, depth: int) -> Iterator[None]:
    """Nested folders, whose path is longer than what pytest could clear away."""
    levels = [os.open(folder, os.O_RDONLY)]
    for _ in range(depth):
        os.mkdir("d", dir_fd=levels[-1])
        levels.append(os.open("d", os.O_RDONLY, dir_fd=levels[-1]))
    try:
        yield
    finally:
        os.close(levels.pop())
        while levels:
            os.rmdir("d", dir_fd=levels[-1])
            os.close(levels.pop())


def test_a_skill_of_deep_folders(run: Confined, skill: Path) -> None:
    with deep(skill, 900):
        refused(run("skill", "check", skill), "more than 16 levels of nested folders")


def test_logs_and_data_in_deep_folders(tmp_path: Path, run: Confined, log: Path) -> None:
    with deep(tmp_path, 900):
        refused(run("compare", tmp_path, "--vs", log), "more than 32 levels of nested folders")
        refused(run("data", "fetch", "wikitq", "--from", tmp_path), "more than 32 levels of nested folders")


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ((f"k{number}: 1" for number in range(300_000)), "bytes"),
        ((f"k{number}: 1" for number in range(12_000)), "more than 10,000 values of YAML"),
        (("a: &a [x, x]", "b: &b [*a, *a]", "c: [*b, *b]"), "an alias, *a"),
        (("a: " + "[" * 200,), "levels of nested"),
        (("a: " * 1,), "`name:`"),
    ],
)
def test_frontmatter_that_swells(run: Confined, skill: Path, lines: Any, said: str) -> None:
    (skill / "SKILL.md").write_text("\n".join(["---", *lines, "---", "", "# A"]))
    refused(run("skill", "check", skill), said)


@pytest.mark.parametrize("value", ["2001-99-99", "!!bool perhaps", "!!timestamp tomorrow", "9" * 5_000, "[" * 3_000])
def test_yaml_that_does_not_convert(tmp_path: Path, run: Confined, log: Path, value: str) -> None:
    profile = tmp_path / "profile.yaml"
    profile.write_text(f"source: {value}\n")
    refused(plan(run, log, tmp_path, "--profile", profile), "profile.yaml")


def pipe(path: Path) -> None:
    os.mkfifo(path)


def bound(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # a socket's address is short
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)
    finally:
        os.chdir(here)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("make", [pipe, bound, device, Path.mkdir])
def test_what_is_no_file_is_never_read(
    tmp_path: Path, run: Confined, skill: Path, log: Path, make: Callable[[Path], None]
) -> None:
    names = ("odd.eval", "odd.json", "odd.yaml", "run/manifest.json", "run/ledger.jsonl", "made/SKILL.md")
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        make(tmp_path / name)
    kinds = {pipe: "a pipe", bound: "a socket", device: "a device", Path.mkdir: ""}
    said = kinds[make]
    odd = tmp_path / "odd.eval"
    refused(run("compare", odd, "--vs", log, seconds=5), said)
    for patches in (odd, tmp_path / "odd.json"):
        refused(run("evolve", "--patches", patches, "--skill", skill, "--output", tmp_path / "out", seconds=5), said)
    refused(plan(run, log, tmp_path, "--profile", tmp_path / "odd.yaml"), said)
    refused(run("skill", "check", tmp_path / "made", seconds=5))
    refused(run("skill", "check", tmp_path / "run", seconds=5))
    refused(run("skill", "blame", tmp_path / "run", seconds=5))
    refused(run("evolve", "--skill", skill, "--show-withheld", tmp_path / "run", seconds=5))
    refused(run("data", "fetch", "wikitq", "--from", odd, seconds=5))


@pytest.mark.parametrize("content", [b"[" * 100_000, b'{"edits": 1}', b"\xff", b""])
def test_run_folders_of_others(tmp_path: Path, run: Confined, skill: Path, content: bytes) -> None:
    for name in ("manifest.json", "ledger.jsonl", "provenance.json"):
        (tmp_path / name).write_bytes(content)
    refused(run("evolve", "--skill", skill, "--show-withheld", tmp_path))
    refused(run("skill", "check", tmp_path))
    refused(run("skill", "blame", skill))


def test_an_archive_that_begins_before_itself(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a", b"x")
    # Found by fuzzing: a directory that counts its offsets from further back, as if something had been cut off.
    data = packed.getvalue()
    end = data.rindex(b"PK\x05\x06")
    (tmp_path / "cut.zip").write_bytes(data[: end + 16] + struct.pack("<I", len(data)) + data[end + 20 :])

    with pytest.raises(DataError, match="damaged"), members(tmp_path / "cut.zip") as found:
        write_members(tmp_path / "cut.zip", [(member.path, member) for member in found], tmp_path / "out")
