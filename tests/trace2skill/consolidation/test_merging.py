import random

from trace2skill.consolidation.merging import DroppedEdit, MergedEdit, MergeResult, account, join_duplicates, settle
from trace2skill.edits.patch import Edit


def edit(name: str, content: str, target: str = "## Formulas") -> Edit:
    trajectory = name.split(".")[0]
    return Edit(id=name, file="SKILL.md", op="append_to_section", target=target, content=content, support=(trajectory,))


RECALCULATE = [
    edit("a.1", "- Recalculate the workbook after writing formulas."),
    edit("b.1", "- recalculate the workbook after writing formulas"),
    edit("c.1", "- After writing formulas, recalculate the workbook."),
]
DATES = edit("d.1", "- Write dates as dates, not as text.")


def merged(*ids: str, content: str = "- Recalculate.") -> MergedEdit:
    return MergedEdit(ids=list(ids), op="append_to_section", file="SKILL.md", target="## Formulas", content=content)


def test_near_duplicates_unite_their_support() -> None:
    joined = join_duplicates([*RECALCULATE, DATES])

    assert [(kept.id, kept.support) for kept in joined.edits] == [("c.1", ("a", "b", "c")), ("d.1", ("d",))]
    assert [(row.edit.id, row.into) for row in joined.merged] == [("a.1", "c.1"), ("b.1", "c.1")]


def test_joining_does_not_depend_on_the_order() -> None:
    edits = [*RECALCULATE, DATES, edit("e.1", "- Keep other sheets."), edit("f.1", "- Keep all other sheets.")]
    expected = join_duplicates(edits)
    for seed in range(20):
        random.Random(seed).shuffle(edits)
        assert join_duplicates(edits) == expected


def test_the_same_text_in_another_section_is_another_edit() -> None:
    elsewhere = edit("b.1", RECALCULATE[0].content, target="## Output")

    assert len(join_duplicates([RECALCULATE[0], elsewhere]).edits) == 2


def test_a_full_account_has_no_problems() -> None:
    result = MergeResult(edits=[merged("a.1", "b.1")], dropped=[DroppedEdit(id="d.1", reason="known")])

    assert account([RECALCULATE[0], RECALCULATE[1], DATES], result) == []


def test_missing_unknown_and_repeated_ids_are_named() -> None:
    result = MergeResult(edits=[merged("a.1", "zz.9"), merged("a.1")])

    problems = account([RECALCULATE[0], DATES], result)

    assert len(problems) == 3
    assert any("'zz.9' is not among" in problem for problem in problems)
    assert any("'d.1' is missing" in problem for problem in problems)
    assert any("'a.1' appears 2 times" in problem for problem in problems)


def test_support_is_the_union_and_an_unchanged_edit_keeps_its_id() -> None:
    same = merged("d.1", content=DATES.content)
    step = settle("1/2", [*RECALCULATE, DATES], MergeResult(edits=[merged("a.1", "b.1", "c.1"), same]))

    assert [(kept.id, kept.support) for kept in step.edits] == [("m1/2.1", ("a", "b", "c")), ("d.1", ("d",))]
    assert {row.edit.id: row.into for row in step.merged} == dict.fromkeys(("a.1", "b.1", "c.1"), "m1/2.1")


def test_opposites_and_other_numbers_are_not_duplicates() -> None:
    pairs = [
        (
            "- Always write formulas instead of values in result cells.",
            "- Never write formulas instead of values in result cells.",
        ),
        (
            "- Round every amount to 2 decimals before writing it.",
            "- Round every amount to 4 decimals before writing it.",
        ),
    ]
    for one, other in pairs:
        assert len(join_duplicates([edit("a.1", one), edit("b.1", other)]).edits) == 2


def test_the_same_line_in_two_places_is_two_edits() -> None:
    base = Edit(
        id="a.1", file="SKILL.md", op="insert_after", target="- x", section="## A", content="- y", support=("a",)
    )
    other = base.model_copy(update={"id": "b.1", "section": "## B", "support": ("b",)})

    assert len(join_duplicates([base, other]).edits) == 2
