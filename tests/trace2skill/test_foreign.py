import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals import data, table_workbook
from trace2skill import foreign
from trace2skill.data import unpack
from trace2skill.edits.importing import PATCHES
from trace2skill.files import STORED
from trace2skill.foreign import Cap, ForeignError, check_json, json_value, read, unpacked, walk
from trace2skill.logs import files as logs
from trace2skill.memory import bank
from trace2skill.skill import folder as skills

AWKWARD = st.text('a"\\[]{},', max_size=5)
VALUES = st.recursive(
    st.none() | AWKWARD,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(AWKWARD, inner, max_size=4),
    max_leaves=20,
)


def depth(value: Any) -> int:
    if not isinstance(value, dict | list):
        return 0
    return 1 + max(map(depth, value.values() if isinstance(value, dict) else value), default=0)


def values(value: Any) -> int:
    if not isinstance(value, dict | list):
        return 0
    inner = list(value.values()) if isinstance(value, dict) else value
    return 1 + max(len(inner) - 1, 0) + sum(map(values, inner))


@given(VALUES, st.integers(1, 7))
def test_what_is_counted_is_what_is_there(value: Any, size: int) -> None:
    text = json.dumps(value).encode()
    pieces = [text[start : start + size] for start in range(0, len(text), size)]

    def count(cap: Cap, nesting: int) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(foreign, "MAX_NESTING", nesting)
            counter = foreign._Counter("x", cap)
            for piece in pieces:
                counter.count(piece)

    there = Cap(len(text), values(value)), depth(value)
    count(*there)
    with pytest.raises(ForeignError, match="bytes"):
        count(Cap(len(text) - 1, 1000), 100)
    if depth(value):
        with pytest.raises(ForeignError, match="values"):
            count(Cap(1000000, values(value) - 1), 100)
        with pytest.raises(ForeignError, match="levels"):
            count(there[0], depth(value) - 1)


def test_a_file_that_is_as_long_as_it_may_be(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"[1, 2]")

    assert read(file, 6) == b"[1, 2]"
    assert json_value(b"[1, 2]", file, Cap(6, 2)) == [1, 2]
    check_json(file, Cap(6, 2))
    with pytest.raises(ForeignError, match="more than 5 bytes"):
        read(file, 5)


def test_gzip_members_one_after_the_other() -> None:
    both = gzip.compress(b"one ") + gzip.compress(b"two") + bytes(7)

    assert unpacked(both, "x", 7) == b"one two"
    with pytest.raises(ForeignError, match="more than 6 bytes when unpacked"):
        unpacked(both, "x", 6)


def test_a_file_that_says_that_it_is_empty() -> None:
    with pytest.raises(ForeignError, match="more than 10 bytes"):
        read(Path("/proc/self/status"), 10)


def test_walking_is_sorted_and_follows_no_link(tmp_path: Path) -> None:
    for name in ("b/two", "a/one", "c", ".git/x"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "a/up").symlink_to(tmp_path)

    found = walk(tmp_path, entries=9, depth=1, ignored=frozenset({".git"}))

    assert [path.relative_to(tmp_path).as_posix() for path in found] == ["a/one", "a/up", "b/two", "c"]


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_the_length_of_a_string_over_several_pieces(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    def count(text: bytes) -> None:
        counter = foreign._Counter("x", Cap(1000, 1000))
        for start in range(0, len(text), size):
            counter.count(text[start : start + size])

    monkeypatch.setattr(foreign, "MAX_STRING", 10)
    count(b'["0123456789", "0123456789"]')
    with pytest.raises(ForeignError, match="more than 10 bytes in one string"):
        count(b'["0123456789x", ""]')


def test_the_documented_limits_are_those_of_the_code() -> None:
    def mib(size: int) -> str:
        return f"{size >> 20} MiB" if size < 1 << 30 else f"{size >> 30} GiB"

    def both(cap: Cap) -> str:
        return f"{mib(cap.bytes)}, {cap.values:,} values"

    text = (Path(__file__).parents[2] / "docs/security.md").read_text()
    limits = dict(re.findall(r"^\| ([^|]+) \| ([^|]+) \|", text[text.index("## Bombs") :], re.MULTILINE))

    assert limits.pop("what") == "limit"
    assert limits == {
        "a log's header": both(logs.HEADER),
        "summaries of its samples": both(logs.SUMMARIES),
        "one sample, or a whole log in JSON": both(logs.SAMPLE),
        "one string in JSON": mib(foreign.MAX_STRING),
        "a patch file, unpacked": both(PATCHES),
        "a JSON file of a run folder": both(STORED),
        "a skill": f"{mib(skills.MAX_SKILL_BYTES)}, {skills.MAX_SKILL_FILES:,} files and folders, "
        f"{skills.MAX_SKILL_DEPTH} levels",
        "SKILL.md": mib(skills.MAX_SKILL_MD_BYTES),
        "a YAML text": f"{mib(foreign.MAX_YAML_BYTES)}, {foreign.MAX_YAML_NODES:,} values, no aliases",
        "nesting of JSON and YAML": f"{foreign.MAX_NESTING} levels",
        "a folder of logs": f"{logs.MAX_LOG_FOLDERS:,} files and folders, {logs.MAX_LOG_DEPTH} levels",
        "a file of a data set's tasks": both(data.DATASET),
        "a table of a data set": both(table_workbook.TABLE),
        "a memory bank": f"records {mib(bank.MAX_RECORDS_BYTES)}, {bank.MAX_RECORDS:,} past tasks; vectors "
        f"{mib(bank.MAX_VECTORS_BYTES)}",
        "an archive of a benchmark": f"{mib(unpack.MAX_BYTES)}, {unpack.MAX_MEMBERS:,} files, "
        f"{unpack.MAX_RATIO} times its size",
    }
