import gzip
import json
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trace2skill.edits.test_patch_properties import QUICK
from trace2skill.edits.apply import apply_edits
from trace2skill.edits.importing import read_patches, to_reference, write_patches, write_reference
from trace2skill.edits.patch import Edit, Patch, Rejection, check_edit, resolve
from trace2skill.errors import PatchError
from trace2skill.skill.folder import Skill

REAL = Path(__file__).parents[3] / "../shared/data/qwen3.5-122b-trajectories"
FRONT = "---\nname: xlsx\ndescription: Works on spreadsheets.\n---\n"
SKILL = Skill.from_files({"SKILL.md": f"{FRONT}# Guide\n\n## 1. Load\n\n- one\n".encode()})


def written(tmp_path: Path, value: Any, name: str = "p.json") -> Path:
    path = tmp_path / name
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return path


def record(*edits: Any, **fields: Any) -> dict[str, Any]:
    return {"trajectory_id": "t", "edits": list(edits), **fields}


def append(target: str, content: str = "- x") -> dict[str, str]:
    return {"file": "SKILL.md", "op": "append_section", "target": target, "content": content}


def reference_edit(op: str, **fields: str) -> dict[str, str]:
    return {"file": "SKILL.md", "op": op, **fields}


def reference(*edits: dict[str, str]) -> dict[str, Any]:
    return {"reasoning": "why", "edits": list(edits), "changelog_entries": ["c"]}


def test_own_form_round_trip(tmp_path: Path) -> None:
    edit = Edit(id="a.1", file="SKILL.md", op="create", content="ü\r\n", support=("a",), requires=("a.2",))
    patches = [Patch(trajectory="a", edits=(edit,), reasoning="r", changelog=("c",)), Patch(trajectory="b", edits=())]
    write_patches(patches, tmp_path / "p.jsonl")
    assert read_patches(tmp_path / "p.jsonl") == patches
    (tmp_path / "p.jsonl.gz").write_bytes(gzip.compress((tmp_path / "p.jsonl").read_bytes()))
    assert read_patches(str(tmp_path / "p.jsonl.gz")) == patches
    assert read_patches(written(tmp_path, [patch.model_dump() for patch in patches])) == patches
    assert read_patches(written(tmp_path, patches[0].model_dump())) == patches[:1]


def test_reference_form(tmp_path: Path) -> None:
    patch = reference(
        reference_edit("insert_after", target_section="## 1. Load", target_text="- one", content="- two"),
        reference_edit("append_to_section", target_section="## 1. Load", content="See references/n.md", note="n"),
        reference_edit("replace_in_section", target_section="Load", old_text="one", content="1"),
        reference_edit("add_section", target_section="## New", after_section="## 1. Load", content="text"),
        reference_edit("add_section", target_section="New", content="## New\n\ntext"),
        reference_edit("add_section", content="# Own\n\ntext"),
        reference_edit("delete_section", target_section="## 1. Load"),
        reference_edit("createFile", content="# N") | {"file": "references/n.md"},
        reference_edit("deleteFile") | {"file": "references/o.md"},
    )
    (found,) = read_patches(written(tmp_path, patch, "map.v1.json"))
    assert (found.trajectory, found.reasoning, found.changelog) == ("map-1", "why", ("c",))
    assert [edit.id for edit in found.edits] == [f"map-1.{number}" for number in range(1, 10)]
    assert {edit.support for edit in found.edits} == {("map-1",)}
    assert [(edit.op, edit.target, edit.section, edit.old, edit.content) for edit in found.edits] == [
        ("insert_after", "- one", "## 1. Load", "", "- two"),
        ("append_to_section", "## 1. Load", "", "", "See references/n.md"),
        ("replace_in_section", "Load", "", "one", "1"),
        ("add_section", "## 1. Load", "", "", "## New\n\ntext"),
        ("add_section", "", "", "", "## New\n\ntext"),
        ("add_section", "", "", "", "# Own\n\ntext"),
        ("delete_section", "## 1. Load", "", "", ""),
        ("create", "", "", "", "# N"),
        ("delete_file", "", "", "", ""),
    ]
    assert found.edits[1].rationale == '{"note": "n"}'
    assert found.edits[1].requires == ("map-1.8",)
    # What we write for the reference implementation comes back as the same.
    (again,) = read_patches(written(tmp_path, to_reference(found), "map.v1.json"))
    assert [edit.model_copy(update={"rationale": ""}) for edit in found.edits] == list(again.edits)


def test_reference_collections(tmp_path: Path) -> None:
    one = reference(reference_edit("create", content="x"))
    assert [p.trajectory for p in read_patches(written(tmp_path, {"patches": [one, one]}))] == ["p-1", "p-2"]
    assert len(read_patches(written(tmp_path, [one, one]))) == 2
    assert len(read_patches(written(tmp_path, "\n".join([json.dumps(one), "", json.dumps(one)])))) == 2
    assert len(read_patches(written(tmp_path, json.dumps(one, indent=2)))) == 1


def test_write_reference(tmp_path: Path) -> None:
    source = read_patches(written(tmp_path, reference(reference_edit("add_section", content="## A\n\nb"))))
    write_reference(source, tmp_path / "out.json")
    assert json.loads((tmp_path / "out.json").read_bytes()) == [
        {
            "reasoning": "why",
            "edits": [{"file": "SKILL.md", "op": "add_section", "target_section": "## A", "content": "b"}],
            "changelog_entries": ["c"],
        }
    ]


def test_trajectory_records(tmp_path: Path) -> None:
    rows = [
        record(append("Load"), append("Lessons", "## 6. Lessons\n# Big\n- x"), task_id="13-1", root_cause="because"),
        record(append("Lessons", "- y")),
        record(append("Lessons")),
    ]
    found = read_patches(written(tmp_path, rows), SKILL)
    assert [patch.trajectory for patch in found] == ["13-1", "t", "t"]
    assert found[0].reasoning == "because"
    assert [edit.id for patch in found for edit in patch.edits] == ["13-1.1", "13-1.2", "t.1", "t.2"]
    first, second = found[0].edits
    assert (first.op, first.target, first.support) == ("append_to_section", "Load", ("13-1",))
    assert (second.op, second.target, second.content) == ("add_section", "", "## Lessons\n\n### Big\n- x")
    result = apply_edits(SKILL, [edit for patch in found for edit in patch.edits])
    assert result.rejected == ()
    assert result.skill.skill_md.endswith("- one\n- x\n\n## Lessons\n\n- y\n- x\n\n### Big\n- x\n")
    # Without the skill nobody knows that the section is missing.
    assert {edit.op for patch in read_patches(written(tmp_path, rows)) for edit in patch.edits} == {"append_to_section"}


def test_other_operations_do_not_make_sections(tmp_path: Path) -> None:
    row = record(append("Nowhere") | {"op": "append_to_section"}, append("Load") | {"file": "gone.md"})
    (patch,) = read_patches(written(tmp_path, row), SKILL)
    assert [edit.op for edit in patch.edits] == ["append_to_section", "append_to_section"]
    assert all(check_edit(edit, SKILL) for edit in patch.edits)


@pytest.mark.parametrize("wrap", [record, reference])
def test_commands_of_latex_that_json_took_for_escapes_are_mended(tmp_path: Path, wrap: Any) -> None:
    raw = {"file": "SKILL.md", "op": "append_to_section", "content": "- Write $a \times b$, \frac{a}{b}.\n- ok"}
    names = {"target": "Load", "target_section": "Load"}
    (patch,) = read_patches(written(tmp_path, wrap({**raw, **names})), SKILL)
    assert patch.edits[0].content == "- Write $a \\times b$, \\frac{a}{b}.\n- ok"


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        ("text", "must be an object, got str"),
        (None, "must be an object, got NoneType"),
        ({"file": "SKILL.md", "op": "rewrite_all", "content": "x"}, "unknown operation 'rewrite_all'"),
        ({"file": "SKILL.md", "op": ["x"]}, "unknown operation ['x']"),
        ({"file": "SKILL.md"}, "unknown operation None"),
        ({"op": "create", "content": "x"}, "must name its file"),
        ({"file": 3, "op": "create"}, "must name its file, got 3"),
        ({"file": "SKILL.md", "op": "create", "content": ["x"]}, "'content' must be text, got list"),
    ],
)
@pytest.mark.parametrize("wrap", [record, reference])
def test_unreadable_edits_are_kept_and_rejected(tmp_path: Path, raw: Any, why: str, wrap: Any) -> None:
    (patch,) = read_patches(written(tmp_path, wrap(raw)), SKILL)
    (edit,) = patch.edits
    assert edit.op == "unknown"
    assert json.loads(edit.content) == raw
    assert why in (check_edit(edit, SKILL) or "")
    assert to_reference(patch)["edits"] == [raw]


def test_half_characters_are_spelled_out(tmp_path: Path) -> None:
    (patch,) = read_patches(written(tmp_path, record(append("Load", "\ud83d"), trajectory_id="\ud800")), SKILL)
    assert patch.trajectory == "\\ud800"
    assert patch.edits[0].content == "\\ud83d"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("\n \n", "is empty"),
        ("{", "is not JSON"),
        ('{"a": 1}\n{', "line 2 cannot be read: it is not JSON"),
        ("3", "must be a JSON object, got int"),
        ("[3]", "must be a JSON object, got int"),
        ("[" * 100_000, "levels of nested"),
        ('{"edits": []}', "no known form of a patch"),
        ('{"trajectory_id": "t"}', 'must have a list "edits"'),
        ('{"trajectory": "t"}', "edits: Field required"),
        ('{"trajectory": "t", "edits": [], "x": 1}', "x: Extra inputs"),
        ('{"trajectory": "t", "edits": [{"id": "a", "file": "b", "op": "c"}]}', "edits.0.op"),
    ],
)
def test_unreadable_files(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(PatchError) as caught:
        read_patches(written(tmp_path, text))
    assert message in str(caught.value)


def test_files_that_are_no_text(tmp_path: Path) -> None:
    for data in (b"\xff", b"\x1f\x8bbroken", gzip.compress(b"[]")[:-9]):
        (tmp_path / "p").write_bytes(data)
        with pytest.raises(PatchError, match="Cannot read"):
            read_patches(tmp_path / "p")
    with pytest.raises(PatchError, match="Cannot read"):
        read_patches(tmp_path / "gone.json")


def test_ids_are_unique_in_a_file(tmp_path: Path) -> None:
    patch = Patch(trajectory="a", edits=(Edit(id="a.1", file="SKILL.md", op="create"),))
    write_patches([patch, patch], tmp_path / "p.jsonl")
    with pytest.raises(PatchError, match=r"'a\.1' is there 2 times"):
        read_patches(tmp_path / "p.jsonl")


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(st.characters(), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
_FIELDS = ["file", "op", "target", "content", "trajectory", "trajectory_id", "reasoning", "edits", "changelog_entries"]


@given(st.dictionaries(st.sampled_from(_FIELDS), _JSON | st.lists(st.dictionaries(st.sampled_from(_FIELDS), _JSON))))
@QUICK
def test_any_json_is_read_or_refused(value: dict[str, Any]) -> None:
    with TemporaryDirectory() as name:
        try:
            patches = read_patches(written(Path(name), value), SKILL)
        except PatchError:
            return
    assert len(patches[0].edits) == len(value["edits"])


def initial_skill() -> Skill:
    """The skill that the recorded agents had: SKILL.md as the first prompt quotes it, which is without frontmatter."""
    with gzip.open(REAL / "trajectories.jsonl.gz", "rt", encoding="utf-8") as rows:
        prompt = json.loads(next(rows))["trajectory"]["conversation"][0]
    body = prompt.split("<SKILL.md>\n")[1].split("</SKILL.md>")[0]
    return Skill.from_files({"SKILL.md": f"{FRONT}{body}".encode()})


@pytest.mark.shared_data
@pytest.mark.skipif(not REAL.is_dir(), reason="needs ../shared/data/qwen3.5-122b-trajectories")
def test_real_patches_resolve_or_say_why_not() -> None:
    skill = initial_skill()
    patches = read_patches(REAL / "patches.jsonl.gz", skill)
    edits = [edit for patch in patches for edit in patch.edits]
    assert (len(patches), len(edits)) == (139, 141)
    fates: Counter[tuple[str, str]] = Counter()
    for edit in edits:
        found = resolve(edit, skill)
        fates[edit.op, found.reason if isinstance(found, Rejection) else found.place.match] += 1
    assert fates == {
        ("add_section", "exact"): 120,
        ("append_to_section", "exact"): 10,
        ("append_to_section", "loose"): 10,
        ("append_to_section", "the content is empty"): 1,
    }
    result = apply_edits(skill, edits)
    assert (len(result.applied), len(result.rejected)) == (140, 1)
    assert result.skill.skill_md.count("## Trace-Derived Lessons\n") == 1
    assert {owner for owner in result.lines["SKILL.md"] if owner} == {one.edit.id for one in result.applied}
