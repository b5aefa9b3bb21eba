"""Which edits make it: fit, prevalence, conflicts."""

import random

import pytest

from tests.trace2skill.toy import append, create
from trace2skill.consolidation.selection import Selection, select_edits
from trace2skill.edits.patch import Edit
from trace2skill.skill.folder import Skill


def replace(name: str, content: str, *support: str) -> Edit:
    return append(name, content, *support, op="replace_in_section", old="- Read the file as text.")


def ids(selection: Selection) -> dict[str, list[str]]:
    left_out = ("conflicting", "withheld", "rejected")
    return {
        "kept": sorted(edit.id for edit in selection.kept),
        **{name: sorted(edit.id for edit, _ in getattr(selection, name)) for name in left_out},
    }


def test_an_edit_of_the_main_file_needs_enough_trajectories(skill: Skill) -> None:
    found = select_edits([append("a.1", "", "a"), append("b.1", "", "b", "c")], skill, min_support=2)

    assert ids(found) == {"kept": ["b.1"], "conflicting": [], "withheld": ["a.1"], "rejected": []}
    assert found.withheld[0][1] == "support 1 is below 2, the least for SKILL.md"


@pytest.mark.parametrize("least", [1, 2, 3])
def test_the_least_support_is_enough(skill: Skill, least: int) -> None:
    edits = [append(f"{count}.1", "", *map(str, range(count))) for count in (1, 2, 3)]

    assert ids(select_edits(edits, skill, least))["kept"] == [f"{count}.1" for count in range(least, 4)]


def test_a_reference_and_the_line_that_links_it_may_rest_on_one(skill: Skill) -> None:
    link = append("a.2", "- For dates see references/dates.md.\n")
    found = select_edits([create("a.1"), link], skill, min_support=2)

    assert ids(found)["kept"] == ["a.1", "a.2"]


def test_a_link_with_more_than_one_line_needs_support(skill: Skill) -> None:
    link = append("a.2", "- For dates see references/dates.md.\n- And always round.")

    assert ids(select_edits([create("a.1"), link], skill, min_support=2))["withheld"] == ["a.2"]


def test_a_line_that_names_no_new_file_is_no_link_whatever_it_requires(skill: Skill) -> None:
    requiring = append("a.2", "- Always round.", requires=("a.1",))

    assert ids(select_edits([create("a.1"), requiring], skill, min_support=2))["withheld"] == ["a.2"]


def test_a_link_that_takes_the_place_of_a_line_needs_support(skill: Skill) -> None:
    link = replace("a.2", "- For dates see references/dates.md.")

    assert ids(select_edits([create("a.1"), link], skill, min_support=2))["withheld"] == ["a.2"]


def test_a_link_to_a_file_that_nobody_creates_needs_support(skill: Skill) -> None:
    assert ids(select_edits([append("a.2", "- See references/dates.md.")], skill, 2))["withheld"] == ["a.2"]


def test_edits_that_do_not_fit_are_rejected_with_the_reason(skill: Skill) -> None:
    found = select_edits(
        [
            append("a.1", target="## Nowhere"),
            append("b.1", file="../x.md"),
            append("c.1", file="scripts/x.md"),
            create("d.1", file="references/a b.md"),
        ],
        skill,
        1,
    )

    assert ids(found)["rejected"] == ["a.1", "b.1", "c.1", "d.1"]
    reasons = {edit.id: reason for edit, reason in found.rejected}
    assert "Nowhere" in reasons["a.1"]
    assert "unsafe path" in reasons["b.1"]
    assert "protected" in reasons["c.1"]


def test_the_better_supported_of_two_in_conflict_stays(skill: Skill) -> None:
    weak, strong = replace("a.1", "- Read a part.", "a", "b"), replace("b.1", "- Read all.", "b", "c", "d")
    found = select_edits([weak, strong], skill, 2)

    assert ids(found) == {"kept": ["b.1"], "conflicting": ["a.1"], "withheld": [], "rejected": []}
    assert found.conflicting[0][1] == "conflicts with b.1, which 3 trajectories support"


def test_what_is_withheld_stands_in_nobodys_way(skill: Skill) -> None:
    weak, strong = replace("a.1", "- Read a part.", "a"), replace("b.1", "- Read all.", "b", "c")

    assert ids(select_edits([weak, strong], skill, 2)) == {
        "kept": ["b.1"],
        "conflicting": [],
        "withheld": ["a.1"],
        "rejected": [],
    }


def test_every_edit_has_one_fate_in_any_order(skill: Skill) -> None:
    edits = [
        append("a.1", "", "a"),
        append("b.1", "", "b", "c"),
        replace("c.1", "- Read all.", "b", "c"),
        replace("d.1", "- Read a part.", "d", "e"),
        append("e.1", target="## Nowhere"),
        create("f.1"),
        create("g.1", content="# Other dates"),
        append("g.2", "- See references/dates.md."),
    ]
    expected = select_edits(edits, skill, 2)
    assert sorted(name for names in ids(expected).values() for name in names) == sorted(edit.id for edit in edits)
    for seed in range(20):
        random.Random(seed).shuffle(edits)
        assert select_edits(edits, skill, 2) == expected


def test_of_several_creations_of_one_file_the_best_supported_stays_with_its_link(skill: Skill) -> None:
    one = create("a.1", "a", content="# One")
    two = create("b.1", "b", "c", content="# Two")
    link = append("l.1", "- Dates: see references/dates.md.", "a", "b", "c", requires=("a.1", "b.1", "gone"))
    selection = select_edits([one, two, link], skill, 2)

    assert {edit.id for edit in selection.kept} == {"b.1", "l.1"}
    assert [(edit.id, reason) for edit, reason in selection.conflicting] == [
        ("a.1", "conflicts with b.1, which creates the same file")
    ]


BASE = {"references/old.md": b"# Old\n\n- One.\n\n## Part\n\n- Two.\n", "notes.md": b"# Notes\n\n- Three.\n"}
TAKES_AWAY = [
    {"op": "delete_section", "target": "## Part"},
    {"op": "delete_file"},
    {"op": "replace_in_section", "target": "", "old": "- Two.", "content": ""},
]


@pytest.mark.parametrize("change", TAKES_AWAY)
@pytest.mark.parametrize("count", [1, 2])
def test_what_takes_text_out_of_a_reference_needs_support(skill: Skill, change: dict[str, str], count: int) -> None:
    support = tuple("ab"[:count])
    values = {"content": "", "target": "", **change}
    edit = Edit.model_validate({"id": "a.1", "file": "references/old.md", "support": support, **values})
    found = select_edits([edit], skill.with_files(BASE), min_support=2)

    if count == 2:
        assert ids(found)["kept"] == ["a.1"]
    else:
        assert found.withheld == ((edit, "support 1 is below 2, the least for deleting from references/old.md"),)


def test_what_adds_to_a_reference_or_corrects_it_may_rest_on_one(skill: Skill) -> None:
    add = append("a.1", file="references/old.md", target="## Part")
    correct = replace("b.1", "- Two, or three.").model_copy(
        update={"file": "references/old.md", "target": "## Part", "old": "- Two."}
    )

    assert ids(select_edits([add, correct], skill.with_files(BASE), 2))["kept"] == ["a.1", "b.1"]


def test_of_all_files_only_references_may_rest_on_one(skill: Skill) -> None:
    found = select_edits([append("a.1", file="notes.md", target="# Notes")], skill.with_files(BASE), 2)

    assert [reason for _, reason in found.withheld] == ["support 1 is below 2, the least for notes.md"]
