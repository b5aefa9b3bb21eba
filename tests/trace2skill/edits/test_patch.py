"""Where edits find their place, and which are refused."""

import pytest
from pydantic import ValidationError

from tests.trace2skill.strategies import HOSTILE_PATHS
from trace2skill.edits.patch import Edit, Rejection, Resolved, check_edit, pair_links, resolve
from trace2skill.skill.folder import Skill

BODY = """\
# Guide

Intro text
continues here.

## 1. Load *files*

- First: use `pandas`.
  More of it.
- Second rule.
  - Nested rule.

```py
# a comment
x = 1
```

---

## 2. Save

Twice said.

| a | b |
|---|---|
| 1 | 2 |

### Check

Twice said.
Open the file again.

## Save
"""
MAIN = "---\nname: demo\ndescription: d\n---\n" + BODY


def skill(main: str = MAIN, /, **files: bytes) -> Skill:
    return Skill.from_files({"SKILL.md": main.encode(), **files})


def edit(op: str, target: str = "", content: str = "new", **fields: object) -> Edit:
    return Edit.model_validate(
        {"id": "t.1", "file": "SKILL.md", "op": op, "target": target, "content": content, **fields}
    )


def place(op: str, target: str = "", content: str = "new", **fields: object) -> tuple[str, str, tuple[str, ...]]:
    """How well the target matched; the lines replaced, or for an insertion the line it follows; and the text."""
    found = resolve(edit(op, target, content, **fields), skill())
    assert isinstance(found, Resolved), found
    lines = skill().lines("SKILL.md")
    start, end = found.place.start, found.place.end
    return found.place.match, "\n".join(lines[start:end] or [f"after: {lines[start - 1]}"]), found.place.text


def reason(op: str, target: str = "", content: str = "new", **fields: object) -> str:
    found = check_edit(edit(op, target, content, **fields), skill(**{"references/bad.md": b"# A\n\xff"}))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("target", "match"),
    [
        ("## 1. Load *files*", "exact"),
        ("1. Load *files*", "exact"),
        ("## 1.  LOAD files", "loose"),
        ("Load files", "loose"),
        ("### Load files:", "loose"),
        ("1. Load filesx", "near"),
    ],
)
def test_sections_are_found(target: str, match: str) -> None:
    assert place("append_to_section", target, "- Third.") == (match, "after: ```", ("- Third.",))


def test_sections_of_one_name_are_told_apart_by_level() -> None:
    known = skill("---\nname: demo\ndescription: d\n---\n# A\n## A\n## B\n### b\n## B\n")
    assert check_edit(edit("append_to_section", "## A"), known) is None
    assert check_edit(edit("append_to_section", "b"), known) is None
    for target, lines in (("A", "5, 6"), ("## B", "7, 9"), ("**B**", "7, 8, 9")):
        assert f"lines {lines}" in (check_edit(edit("append_to_section", target), known) or "")


def test_append_goes_to_the_sections_own_text() -> None:
    assert place("append_to_section", "2. Save")[1] == "after: | 1 | 2 |"
    assert place("append_to_section", "Guide")[1] == "after: continues here."
    assert place("append_to_section", "## Save")[1] == "after: ## Save"


def test_append_with_headings_goes_behind_the_subsections() -> None:
    content = "## 2. Save\n\n# Big\nx\n## Small\n"
    assert place("append_to_section", "2. Save", content) == (
        "exact",
        "after: Open the file again.",
        ("### Big", "x", "#### Small"),
    )


@pytest.mark.parametrize(
    ("op", "target", "match", "spot"),
    [
        ("insert_after", "  - Nested rule.", "exact", "  - Nested rule."),
        ("insert_after", "Open the file  again.", "loose", "Open the file again."),
        ("insert_after", "the file again", "loose", "Open the file again."),
        ("insert_after", "Open the files again.", "near", "Open the file again."),
        ("insert_after", "Intro text", "exact", "continues here."),
        ("insert_before", "continues here.", "exact", ""),
        ("insert_before", "## 2. Save", "exact", ""),
        ("insert_after", "- First: use `pandas`.\n  More of it.", "exact", "  More of it."),
        ("insert_after", "| 1 | 2 |\n### Check", "loose", "### Check"),
    ],
)
def test_insertions_go_beside_whole_blocks(op: str, target: str, match: str, spot: str) -> None:
    assert place(op, target) == (match, f"after: {spot}", ("new",))


def test_list_items_go_beside_whole_items() -> None:
    def beside(op: str, target: str, content: str) -> tuple[object, ...]:
        return place(op, target, content)[1:]

    assert beside("insert_after", "- First: use `pandas`.", "- B.") == ("after:   More of it.", ("- B.",))
    assert beside("insert_after", "- Second rule.", "- C.") == ("after:   - Nested rule.", ("- C.",))
    assert beside("insert_after", "Nested rule.", "- D.\n  E.") == ("after:   - Nested rule.", ("  - D.", "    E."))
    assert beside("insert_before", "More of it.", "- A.") == ("after: ", ("- A.",))
    assert beside("insert_after", "- Second rule.", "  - F.") == ("after: - Second rule.", ("  - F.",))


def test_rows_and_code_stay_together() -> None:
    assert place("insert_after", "|---|---|", "| 0 | 0 |")[1] == "after: |---|---|"
    assert place("insert_before", "| 1 | 2 |", "| 0 | 0 |")[1] == "after: |---|---|"
    assert place("insert_after", "# a comment", "y = 2")[1] == "after: # a comment"


def test_the_section_narrows_the_search() -> None:
    assert place("insert_after", "Twice said.", section="Check")[1] == "after: Open the file again."
    assert "ambiguous" in reason("insert_after", "Twice said.")
    assert "ambiguous" in reason("insert_after", "Twice said.", section="2. Save")
    assert "text not found" in reason("insert_after", "Intro text", section="Check")


@pytest.mark.parametrize(
    ("target", "old", "content", "expected"),
    [
        ("Check", "Twice said.", "Once.", ("exact", "Twice said.", ("Once.",))),
        (
            "Check",
            "said.\nOpen  the",
            "told; open the",
            ("loose", "Twice said.\nOpen the file again.", ("Twice told; open the file again.",)),
        ),
        ("", "- Nested rule.", "- A\n- B", ("loose", "  - Nested rule.", ("  - A", "  - B"))),
        ("Check", "Twice said.", "", ("exact", "Twice said.", ())),
        ("Check", "Open that file again.", "x", ("near", "Open the file again.", ("x",))),
        ("Check:", "Twice said.", "x", ("loose", "Twice said.", ("x",))),
    ],
)
def test_replace_takes_whole_lines(target: str, old: str, content: str, expected: tuple[object, ...]) -> None:
    assert place("replace_in_section", target, content, old=old) == expected


def test_replace_needs_one_place() -> None:
    assert "ambiguous" in reason("replace_in_section", "2. Save", old="Twice said.")
    assert "no text is named" in reason("replace_in_section", "Check", old=" \n")


def test_add_section() -> None:
    assert place("add_section", "1. Load *files*", "## X\ny") == ("exact", "after: ", ("## X", "y"))
    assert place("add_section", "", "## X\ny")[1] == "after: ## Save"


def test_added_sections_split_no_parent() -> None:
    known = skill("---\nname: demo\ndescription: d\n---\n# A\n## B\n### C\n### D\n## E\n")
    for level, line in (("#", 9), ("##", 8), ("###", 7), ("####", 7)):
        found = resolve(edit("add_section", "C", f"{level} New\n\nText."), known)
        assert isinstance(found, Resolved)
        assert found.place.start == line


def test_a_section_that_is_there_takes_the_text_up() -> None:
    assert place("add_section", "", "## 1. Load files\n\n- Third.")[1:] == ("after: ```", ("- Third.",))
    assert place("add_section", "", "## 1. Check\n\nOther parent.")[1] == "after: ## Save"
    assert "exists already" in reason("add_section", "", "## Load files")
    assert "must start with its heading" in reason("add_section", "", "text\n## X")


def test_delete_section() -> None:
    removed = place("delete_section", "2. Save")[1].split("\n")
    assert (removed[0], removed[-2:]) == ("## 2. Save", ["Open the file again.", ""])
    assert place("delete_section", "## Save")[1:] == ("## Save", ())
    assert "leave the file empty" in reason("delete_section", "Guide")


def test_create_and_delete_files() -> None:
    known = skill(**{"references/a.md": b"# A\r\n\r\ntext\r\n"})
    create = Edit(id="t.1", file="references/b.md", op="create", content="\n# B\n")
    assert check_edit(create, known) is None
    for change, why in (
        ({"file": "references/a.md", "content": "# A\n\ntext"}, "already there"),
        ({"file": "references/a.md"}, "exists already"),
        ({"file": "references/A.md"}, "in the way"),
        ({"file": "notes.md"}, "cannot create"),
        ({"content": " \n"}, "empty"),
        ({"content": "---\nname: x\n---\n"}, "frontmatter"),
        ({"content": "a\0b"}, "control character"),
    ):
        assert why in (check_edit(create.model_copy(update=change), known) or "")
    delete = Edit(id="t.1", file="references/a.md", op="delete_file")
    assert check_edit(delete, known) is None
    assert "cannot be deleted" in (check_edit(delete.model_copy(update={"file": "SKILL.md"}), known) or "")
    assert "not found" in (check_edit(delete.model_copy(update={"file": "references/b.md"}), known) or "")


@pytest.mark.parametrize("path", [path for path in HOSTILE_PATHS if path != "references/A.md"])
@pytest.mark.parametrize("op", ["create", "delete_file", "append_to_section", "add_section"])
def test_hostile_paths_are_refused(path: str, op: str) -> None:
    known = skill(**{"scripts/run.py": b"", "scripts/run.md": b"# A", "LICENSE.md": b"# A", "assets/t.md": b"# A"})
    assert check_edit(Edit(id="t.1", file=path, op=op, target="A", content="# A\nx"), known)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"op": "insert_after", "target": "description: d"}, "frontmatter"),
        ({"op": "insert_before", "target": "name: demo"}, "frontmatter"),
        ({"op": "replace_in_section", "target": "", "old": "name: demo"}, "frontmatter"),
        ({"op": "append_to_section", "target": "Nothing of the kind"}, "section not found"),
        ({"op": "append_to_section", "target": ""}, "section not found"),
        ({"op": "append_to_section", "target": "a comment"}, "section not found"),
        ({"op": "append_to_section", "target": "x. save"}, "ambiguous"),
        ({"op": "insert_after", "target": "Nothing of the kind"}, "text not found"),
        ({"op": "append_to_section", "target": "Guide", "content": " \n\t\n"}, "content is empty"),
        ({"op": "append_to_section", "target": "Guide", "content": "# Guide\n"}, "only repeats the heading"),
        ({"op": "append_to_section", "target": "Guide", "content": "a\x1bb"}, "control character"),
        ({"op": "append_to_section", "target": "Guide", "content": "```\nopen"}, "swallow"),
        ({"op": "append_to_section", "target": "Guide", "content": "<!-- open"}, "not shown when rendered"),
        ({"op": "replace_in_section", "target": "", "old": "x = 1\n```", "content": "x"}, "swallow"),
        ({"op": "append_to_section", "file": "references/gone.md", "target": "A"}, "file not found"),
        ({"op": "append_to_section", "file": "references/bad.md", "target": "A"}, "not UTF-8"),
        ({"op": "unknown", "rationale": "why"}, "not one of the eight operations: why"),
    ],
)
def test_reasons(fields: dict[str, str], why: str) -> None:
    assert why in reason(**fields)


def test_no_frontmatter_at_the_start_of_a_reference() -> None:
    known = skill(**{"references/a.md": b"first\n\n# A\n"})
    fake = Edit(id="t.1", file="references/a.md", op="insert_before", target="first", content="---\nname: x\n---")
    assert "frontmatter" in (check_edit(fake, known) or "")


def test_resolve_keeps_the_edit() -> None:
    bad = edit("append_to_section", "gone")
    assert resolve(bad, skill()) == Rejection(bad, check_edit(bad, skill()) or "")


def test_edits_are_strict_and_tidy() -> None:
    assert edit("create", support=("b", "a", "b"), requires=["y", "x"]).support == ("a", "b")
    with pytest.raises(ValidationError):
        edit("rewrite")
    with pytest.raises(ValidationError):
        edit("create", other="x")
    with pytest.raises(ValidationError):
        edit("create", content="\ud800")


def test_pair_links() -> None:
    one = edit("create", id="a.1", file="references/n.md", support=("a",))
    better = edit("create", id="b.1", file="references/n.md", support=("a", "b"))
    link = edit(
        "append_to_section", "Guide", "See [n](references/n.md) and references/m.md.", id="c.1", requires=("z",)
    )
    paired = pair_links([link, one, better])
    assert [found.id for found in paired] == ["c.1", "a.1", "b.1"]
    assert [found.requires for found in paired] == [("b.1", "z"), (), ()]


GUIDE = """\
---
name: demo
description: d
---
# Tables

## Work it out

- Name the rows, then count.

## Answer

- Write a line that says ANSWER: and the items below it.
"""


@pytest.mark.parametrize(
    ("op", "target", "content", "why"),
    [
        ("append_to_section", "# Tables", "### Lessons\n", "a heading with nothing below it"),
        ("add_section", "", "\n### Lessons\n", "a heading with nothing below it"),
        ("append_to_section", "# Tables", "## Work it out\n- Find the rows.", "'Work it out' stands there already"),
        ("append_to_section", "# Tables", "## New\nText.\n\n## New\nOther text.", "'New' stands there already"),
        ("insert_after", "## Answer", "<p>Name the rows, then count.</p>", "already there"),
        ("append_to_section", "# Answer", "Answer:\n\n- Name the rows, then count.", "already there"),
    ],
)
def test_what_a_small_model_wrote(op: str, target: str, content: str, why: str) -> None:
    reason = check_edit(edit(op, target, content), skill(GUIDE))
    assert reason is not None
    assert why in reason


def test_an_indented_heading_is_a_heading() -> None:
    found = resolve(edit("append_to_section", "# Tables", "\t## Check\n\tLook twice.\n\n\t    code"), skill(GUIDE))
    assert isinstance(found, Resolved)
    assert found.place.text == ("## Check", "Look twice.", "", "    code")


def test_sections_of_one_name_may_stand_below_different_parents() -> None:
    content = "### Examples\n\nOne."
    assert check_edit(edit("append_to_section", "## Answer", content), skill(GUIDE)) is None
    twice = GUIDE + "\n### Examples\n\nTwo.\n"
    assert check_edit(edit("append_to_section", "## Work it out", content), skill(twice)) is None


STEPS = """\
---
name: demo
description: d
---
# Steps

1. Open the file.
2. Count the rows.
3. Write the sum.

```sh
# count
wc -l rows
```

## Checks

- Sum again.

Appendix
--------

### Notes

Nothing yet.
"""


def of_steps(op: str, target: str = "", content: str = "new", **fields: object) -> Resolved | Rejection:
    return resolve(edit(op, target, content, **fields), skill(STEPS))


def accepted(found: Resolved | Rejection) -> tuple[str, ...]:
    assert isinstance(found, Resolved), found
    return found.place.text


def refused(found: Resolved | Rejection) -> str:
    assert isinstance(found, Rejection), found
    return found.reason


def test_an_edit_brings_only_what_is_new() -> None:
    found = of_steps("add_section", "Checks", "## Care\n\n- sum again\n- Keep a copy.")
    assert accepted(found) == ("## Care", "", "- Keep a copy.")
    assert found.edit.content == "## Care\n\n- Keep a copy."
    assert accepted(of_steps("insert_after", "2. Count the rows.", "3. write the sum\n4. Close it.")) == (
        "4. Close it.",
    )
    assert "already there" in refused(of_steps("add_section", "Checks", "## Care\n\n* **Sum** again"))


@pytest.mark.parametrize(
    ("old", "content", "text"),
    [
        ("1. Open the file.", "1. Open the file.\n2. Lock it.\n3. Write the sum", ("1. Open the file.", "2. Lock it.")),
        ("2. Count the rows.\n3. Write the sum.", "2. Write the sum.\n3. Count the rows.", None),
        ("1. Open the file.\n2. Count the rows.", "1. Open the file.", None),
        ("1. Open the file.", "1. ~~Open the file.~~", None),
        ("Count", "Number", ("2. Number the rows.",)),
    ],
)
def test_a_replacement_that_changes_something(old: str, content: str, text: tuple[str, ...] | None) -> None:
    assert accepted(of_steps("replace_in_section", "", content, old=old)) == (text or tuple(content.split("\n")))


@pytest.mark.parametrize(
    ("old", "content"),
    [
        ("1. Open the file.", "1) **Open** the file!"),
        ("1. Open the file.", "1. Open the file.\n2. Count the rows."),
        ("1. Open the file.", "1. Sum again."),
        ("wc -l rows", "wc -l rows"),
    ],
)
def test_a_replacement_that_changes_nothing_or_repeats(old: str, content: str) -> None:
    assert "already there" in refused(of_steps("replace_in_section", "", content, old=old))


def test_code_is_code_wherever_it_comes_from() -> None:
    assert accepted(of_steps("replace_in_section", "", "# count all", old="# count")) == ("# count all",)
    assert accepted(of_steps("replace_in_section", "", "# all\nwc rows", old="wc -l rows")) == ("# all", "wc rows")
    assert accepted(of_steps("insert_before", "wc -l rows", "# of lines")) == ("# of lines",)
    assert accepted(of_steps("insert_after", "wc -l rows", "- Sum again.")) == ("- Sum again.",)
    assert "already there" in refused(of_steps("insert_after", "# count", "wc -l rows"))


@pytest.mark.parametrize(
    "content", ["### Checks\n\n- Twice.", "# Checks\n\n- Twice.", "## Check\n\n- Twice.", "- Twice."]
)
def test_replacing_text_keeps_headings_and_their_levels(content: str) -> None:
    found = of_steps("replace_in_section", "", content, old="## Checks\n\n- Sum again.")
    assert "headings change through" in refused(found)
    same = of_steps("replace_in_section", "", "## Checks\n\n- Twice.", old="## Checks\n\n- Sum again.")
    assert accepted(same) == ("## Checks", "", "- Twice.")


def test_no_underline_makes_a_heading_of_a_line() -> None:
    known = skill("---\nname: demo\ndescription: d\n---\n# A\n\none\ntwo\n")
    found = resolve(edit("replace_in_section", "A", "---\n\nMore.", old="two"), known)
    assert "headings change through" in refused(found)


@pytest.mark.parametrize(
    ("op", "target", "content"),
    [
        ("insert_after", "1. Open the file.", "## Care\n\nKeep a copy."),
        ("insert_before", "```sh", "### Care\n\nKeep a copy."),
        ("insert_after", "## Checks", "### Care\n\nKeep a copy."),
        ("insert_before", "### Notes", "## Care\n\nKeep a copy."),
        ("insert_before", "## Checks", "# Care\n\nKeep a copy."),
    ],
)
def test_no_line_comes_under_a_heading_that_is_inserted(op: str, target: str, content: str) -> None:
    assert "below the new heading 'Care'" in refused(of_steps(op, target, content))


@pytest.mark.parametrize("below", ["Sum again.", "    # Use", "- Sum again."])
def test_taking_out_the_text_of_a_heading_is_no_way_to_delete_it(below: str) -> None:
    text = skill(f"---\nname: demo\ndescription: d\n---\n\n# Use\n\n{below}\n")
    found = resolve(edit("replace_in_section", "Use", "", old="# Use"), text)
    assert "headings change through add_section and delete_section only" in refused(found)
    found = resolve(edit("replace_in_section", "Use", "", old=below), text)
    assert isinstance(found, Resolved)


def test_headings_are_inserted_where_a_section_ends() -> None:
    for op, target in (
        ("insert_before", "## Checks"),
        ("insert_after", "- Sum again."),
        ("insert_after", "Nothing yet."),
    ):
        assert accepted(of_steps(op, target, "## Care\n\nKeep a copy.")) == ("## Care", "", "Keep a copy.")


def test_a_section_of_higher_rank_takes_no_other_over() -> None:
    found = of_steps("add_section", "Checks", "# Care\n\nKeep a copy.")
    assert accepted(found)
    assert found.place.start == len(skill(STEPS).lines("SKILL.md"))


def test_a_section_takes_up_no_section_beside_it() -> None:
    both = "## Checks\n\n- Twice.\n\n## Appendix\n\nMore."
    assert "'Checks' exists already and 'Appendix' is no part" in refused(of_steps("add_section", "", both))
    new = both.replace("Appendix", "Care")
    assert "'Checks' exists already and 'Care' is no part" in refused(of_steps("add_section", "", new))
    assert "'Appendix' is not part of 'Checks'" in refused(of_steps("append_to_section", "Checks", both))


@pytest.mark.parametrize("target", ["Appendix\n--------", "Appendix\n===", "## Appendix"])
def test_underlined_headings_are_found(target: str) -> None:
    assert accepted(of_steps("append_to_section", target, "More.")) == ("More.",)
