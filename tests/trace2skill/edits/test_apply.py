"""What becomes of a skill, and whose each line is."""

import pytest

from trace2skill.edits.apply import apply_edits, conflicts, select
from trace2skill.edits.patch import Edit, Resolved, resolve
from trace2skill.errors import PatchError
from trace2skill.skill.folder import Skill

FRONT = "---\nname: demo\ndescription: d\n---\n"
BODY = "# Guide\n\n## Load\n\n- one\n- two\n\n## Save\n\nText one.\n\nText two.\n\n### Deep\n\n1. x\n"


def skill(body: str = BODY, /, **files: bytes) -> Skill:
    return Skill.from_files({"SKILL.md": (FRONT + body).encode(), **files})


def edit(name: str, op: str, target: str = "", content: str = "", support: str = "t", **fields: object) -> Edit:
    return Edit.model_validate(
        {"id": name, "file": "SKILL.md", "op": op, "target": target, "content": content, "support": tuple(support)}
        | fields
    )


def blame(edits: list[Edit], known: Skill | None = None, path: str = "SKILL.md") -> str:
    """The body of the result, each line after the id of its edit."""
    result = apply_edits(known or skill(), edits)
    lines = zip(result.lines[path], result.skill.lines(path), strict=True)
    return "\n".join(f"{owner or ''}|{line}" for owner, line in list(lines)[4 if path == "SKILL.md" else 0 :])


def reasons(edits: list[Edit], known: Skill | None = None) -> dict[str, str]:
    return {one.edit.id: one.reason for one in apply_edits(known or skill(), edits).rejected}


def resolved(one: Edit) -> Resolved:
    found = resolve(one, skill())
    assert isinstance(found, Resolved), found
    return found


def test_no_edits_change_nothing() -> None:
    known = skill(**{"references/a.md": b"a\r\n", "x.bin": b"\xff"})
    result = apply_edits(known, [])
    assert result.skill == known
    assert result.lines == {"SKILL.md": (None,) * 20, "references/a.md": (None,)}


def test_text_joins_what_it_continues() -> None:
    edits = [
        edit("a", "append_to_section", "Load", "- three"),
        edit("b", "append_to_section", "Save", "Text three."),
        edit("c", "append_to_section", "Deep", "2. y"),
        edit("d", "append_to_section", "Guide", "Intro."),
        edit("e", "add_section", "Load", "## Between\n\nText."),
        edit("f", "replace_in_section", "Save", "Text 2.", old="Text two."),
    ]
    assert blame(edits) == "\n".join(
        [
            *("|# Guide", "d|", "d|Intro.", "|", "|## Load", "|", "|- one", "|- two", "a|- three", "|"),
            *("e|## Between", "e|", "e|Text.", "e|", "|## Save", "|", "|Text one.", "|", "f|Text 2.", "b|"),
            *("b|Text three.", "|", "|### Deep", "|", "|1. x", "c|2. y"),
        ]
    )


def test_insertions_at_one_point_are_ordered() -> None:
    edits = [
        edit("a", "append_to_section", "Load", "- least"),
        edit("b", "append_to_section", "Load", "### Sub\n- sub"),
        edit("c", "append_to_section", "Load", "Paragraph.", "tu"),
        edit("d", "append_to_section", "Load", "- most", "tu"),
        edit("e", "append_to_section", "Load", "- least"),
    ]
    expected = ["|- two", "d|- most", "a|- least", "c|", "c|Paragraph.", "b|", "b|### Sub", "b|- sub", "|", "|## Save"]
    assert "\n".join(expected) in blame(edits)
    assert reasons(edits) == {}


def test_sections_of_one_name_are_joined() -> None:
    edits = [
        edit("a", "add_section", "", "## Lessons\n\n### Sub\n- s"),
        edit("b", "add_section", "Save", "## 4. lessons\n\n- b", "tu"),
        edit("c", "add_section", "", "## Lessons\n\n- c"),
        edit("d", "add_section", "", "## Lessons\n\n- c"),
        edit("e", "add_section", "Deep", "### Lessons\n- e"),
    ]
    expected = ["|1. x", "e|", "e|### Lessons", "e|- e", "b|", "b|## 4. lessons", "b|", "b|- b", "c|- c", "a|"]
    assert blame(edits).endswith("\n".join([*expected, "a|### Sub", "a|- s"]))
    assert reasons(edits) == {}


def test_files_keep_their_line_endings() -> None:
    known = skill(**{"references/a.md": b"\xef\xbb\xbf# A\r\n\r\n- x\r\nlf\n- y"})
    edits = [edit("a", "append_to_section", "A", "- z", file="references/a.md")]
    assert apply_edits(known, edits).skill.files["references/a.md"] == (b"\xef\xbb\xbf# A\r\n\r\n- x\r\nlf\n- y\r\n- z")


def test_deleting_leaves_sane_markdown() -> None:
    known = skill("# Guide\ntext\n## Load\nx\n## Save\n")
    assert blame([edit("a", "delete_section", "Load")], known) == "|# Guide\n|text\na|\n|## Save"
    assert apply_edits(known, [edit("a", "delete_section", "Save")]).skill.files["SKILL.md"].endswith(b"## Load\nx\n")


def test_the_better_supported_edit_stays() -> None:
    edits = [
        edit("a", "replace_in_section", "Save", "A", "t", old="Text one."),
        edit("b", "replace_in_section", "Save", "B", "tu", old="Text one.\n\nText two."),
        edit("c", "replace_in_section", "Save", "B", "t", old="Text one.\n\nText two."),
        edit("d", "insert_after", "Text one.", "Inside.", "tuv"),
    ]
    result = apply_edits(skill(), edits)
    assert [one.edit.id for one in result.applied] == ["a", "d"]
    assert reasons(edits) == {
        "b": "conflicts with d (support 3, here 2)",
        "c": "conflicts with d (support 3, here 1)",
    }
    assert [one.conflicts_with.id for one in result.rejected if one.conflicts_with] == ["d", "d"]
    assert [one.edit.id for one in apply_edits(skill(), edits[:3]).applied] == ["b", "c"]
    assert [one.edit.id for one in apply_edits(skill(), edits[::2]).applied] == ["a"]


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (edit("x", "replace_in_section", "Save", "y", old="Text one."), True),
        (edit("x", "replace_in_section", "Load", "y", old="- two"), False),
        (edit("x", "delete_section", "Save"), False),
        (edit("x", "delete_section", "Deep"), True),
        (edit("x", "append_to_section", "Save", "y"), True),
        (edit("x", "append_to_section", "Deep", "y"), True),
        (edit("x", "append_to_section", "Load", "y"), False),
        (edit("x", "insert_after", "1. x", "2. y"), True),
        (edit("x", "insert_before", "## Save", "y"), True),
        (edit("x", "insert_after", "- two", "y"), False),
        (edit("x", "add_section", "Save", "## New\n\nText."), False),
        (edit("x", "add_section", "Save", "### New\n\nText."), True),
        (edit("x", "add_section", "Load", "## New\n\nText."), False),
        (edit("x", "create", file="references/n.md", content="y"), False),
    ],
)
def test_conflicts_with_a_deleted_section(other: Edit, expected: bool) -> None:
    deletion = resolved(edit("d", "delete_section", "Save"))
    assert conflicts(deletion, resolved(other)) is expected
    assert conflicts(resolved(other), deletion) is expected


def test_whole_files_conflict() -> None:
    known = skill("See references/a.md, references/n.md.\n", **{"references/a.md": b"# A\n"})
    edits = [
        edit("a", "create", content="one", support="tu", file="references/n.md"),
        edit("b", "create", content="one", file="references/n.md"),
        edit("c", "create", content="two", file="references/n.md"),
        edit("d", "append_to_section", "A", "x", "tu", file="references/a.md"),
        edit("e", "delete_file", file="references/a.md"),
    ]
    assert reasons(edits, known) == {
        "c": "conflicts with a (support 2, here 1)",
        "e": "conflicts with d (support 2, here 1)",
    }
    result = apply_edits(known, edits)
    assert result.skill.files["references/n.md"] == b"one\n"
    assert result.lines["references/n.md"] == ("a",)


def test_required_edits_stand_or_fall_together() -> None:
    edits = [
        edit("a", "append_to_section", "Load", "- a", requires=["b"]),
        edit("b", "append_to_section", "Nowhere", "- b"),
        edit("c", "append_to_section", "Load", "- c", requires=["gone"]),
        edit("d", "replace_in_section", "Save", "z", "tuv", old="Text one.", requires=["e"]),
        edit("e", "append_to_section", "Load", "- e"),
        edit("f", "replace_in_section", "Save", "y", "tu", old="Text one."),
        edit("g", "append_to_section", "Load", "- g", requires=["f"]),
    ]
    found = reasons(edits)
    assert set(found) == {"a", "b", "c", "f", "g"}
    assert found["a"].startswith("stands or falls with b, which was rejected: section not found")
    assert found["c"] == "requires gone, which is not among the edits"
    assert found["f"] == "conflicts with d (support 3, here 2)"
    assert found["g"] == "requires an edit that conflicts with d (support 3, here 1)"


def test_an_edit_rejected_for_its_group_blocks_nobody() -> None:
    edits = [
        edit("a", "replace_in_section", "Save", "z", "tuv", old="Text one.", requires=["b"]),
        edit("b", "append_to_section", "Nowhere", "- b"),
        edit("c", "replace_in_section", "Save", "y", "t", old="Text one."),
    ]
    assert set(reasons(edits)) == {"a", "b"}


def test_new_files_need_links_and_links_need_files() -> None:
    create = edit("a", "create", content="text", file="references/n.md")
    link = edit("b", "append_to_section", "Load", "- See [n](references/n.md).")
    assert reasons([create, link]) == {}
    assert reasons([create]) == {"a": "nothing in SKILL.md points to references/n.md"}
    assert reasons([link]) == {"b": "points to references/n.md, which does not exist in the skill"}
    better = edit("c", "delete_section", "Load", support="tu")
    assert set(reasons([create, link, better])) == {"a", "b"}
    known = skill("See `references/a.md` and references/gone.md.\n\n## B\n", **{"references/a.md": b"a"})
    drop = edit("a", "delete_file", file="references/a.md")
    keep = edit(
        "b", "replace_in_section", "", "Use references/gone.md.", old="See `references/a.md` and references/gone.md."
    )
    assert reasons([drop], known) == {"a": "SKILL.md still points to references/a.md"}
    assert reasons([drop, keep], known) == {}


def test_ids_must_be_unique() -> None:
    with pytest.raises(PatchError, match="'a' is there more than once"):
        apply_edits(skill(), [edit("a", "create"), edit("a", "create")])


def test_select_names_the_edit_that_stays() -> None:
    first = resolved(edit("a", "replace_in_section", "Save", "z", "tu", old="Text one."))
    second = resolved(edit("b", "replace_in_section", "Save", "y", "t", old="Text one."))
    selection = select([second, first])
    assert selection.kept == (first,)
    assert selection.conflicted == ((second, first),)


def test_edits_that_take_a_heading_away_together_do_not_both_stay() -> None:
    """A list item that comes to stand right before an indented heading makes it the item's text."""
    known = skill("# Use\n# Form\n## Steps\n\n\n---\n===\n  # Notes\n")
    item = edit("a.1", "insert_after", "---", "- item", old="# Use")
    gone = edit("b.1", "replace_in_section", "Form", "", old="===")
    assert reasons([item], known) == reasons([gone], known) == {}

    result = apply_edits(known, [item, gone])

    assert [one.edit.id for one in result.applied] == ["a.1"]
    assert "with the edits before it, the edit would swallow or change the heading 'Notes'" in result.rejected[0].reason
