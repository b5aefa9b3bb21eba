"""The lexical merger: one item one edit, and those that say the same become one."""

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trace2skill.strategies import texts
from trace2skill.consolidation.lexical import lexical_merge, split_items
from trace2skill.edits.patch import Edit


def edit(name: str, content: str, op: str = "append_to_section", **changes: object) -> Edit:
    values: dict[str, object] = {
        "id": name,
        "file": "SKILL.md",
        "op": op,
        "target": "## Formulas",
        "content": content,
        "support": (name.split(".")[0],),
    }
    return Edit.model_validate({**values, **changes})


def items(content: str, op: str = "append_to_section") -> list[str]:
    return [part.content for part in split_items(edit("a.1", content, op))]


RECALCULATE = [
    edit("a.1", "- Recalculate the workbook after writing formulas, since readers see cached values."),
    edit("b.1", "- After writing formulas recalculate the workbook."),
    edit("c.1", "- Recalculate the workbook: errors in formulas show."),
]
DATES = edit("d.1", "- Store dates as true dates, never as strings.")


def test_the_edit_that_most_trajectories_resemble_takes_in_the_others() -> None:
    joined = lexical_merge([*RECALCULATE, DATES])

    assert [(kept.id, kept.support) for kept in joined.edits] == [("b.1", ("a", "b", "c")), ("d.1", ("d",))]
    assert [(row.edit.id, row.into) for row in joined.merged] == [("a.1", "b.1"), ("c.1", "b.1")]
    assert len(lexical_merge([RECALCULATE[0], RECALCULATE[2]]).edits) == 2


def test_the_order_of_the_input_does_not_matter() -> None:
    edits = [
        *RECALCULATE,
        DATES,
        edit("e.1", "- Dates are stored as dates."),
        edit("f.1", "- Check formulas for errors."),
        edit("g.1", "- See references/x.md", file="references/y.md"),
        edit("h.1", "", "delete_section"),
    ]
    expected = lexical_merge(edits)
    for seed in range(20):
        random.Random(seed).shuffle(edits)
        assert lexical_merge(edits) == expected


@given(
    st.lists(
        st.tuples(st.sampled_from("abcdef"), st.lists(st.sampled_from(["dates", "sums", "rows", "tabs"]))), max_size=9
    )
)
def test_no_edit_and_no_support_is_lost(rows: list[tuple[str, list[str]]]) -> None:
    edits = [edit(f"{who}.{n}", f"- {' '.join(words)}", support=(who,)) for n, (who, words) in enumerate(rows)]
    joined = lexical_merge(edits)

    kept = {one.id: one for one in joined.edits}
    assert sorted([*kept, *(row.edit.id for row in joined.merged)]) == sorted(one.id for one in edits)
    for row in joined.merged:
        assert set(row.edit.support) <= set(kept[row.into].support)
    assert set().union(*(one.support for one in joined.edits)) == {who for who, _ in rows}


def test_the_same_words_in_another_file_are_another_edit() -> None:
    elsewhere = edit("b.1", RECALCULATE[0].content, file="references/formulas.md")

    assert len(lexical_merge([RECALCULATE[0], elsewhere]).edits) == 2


@pytest.mark.parametrize("op", ["replace_in_section", "delete_section", "create", "insert_after", "delete_file"])
def test_edits_that_do_more_than_add_are_joined_only_with_their_like(op: str) -> None:
    twins = [edit("a.1", "- One.\n- Two.", op), edit("b.1", "- One.\n- Two.", op)]
    stranger = edit("c.1", "- Something else altogether.", op)

    assert [len(kept.support) for kept in lexical_merge([*twins, stranger]).edits] == [2, 1]
    assert split_items(twins[0]) == (twins[0],)


def test_texts_without_words_join_nothing() -> None:
    assert len(lexical_merge([edit("a.1", "- 1"), edit("b.1", "- 2")]).edits) == 2
    assert lexical_merge([]).edits == ()


def test_a_new_heading_alone_makes_nothing_alike() -> None:
    one, other = (edit(n, f"## Formulas\n\n{text}", "add_section") for n, text in (("a.1", "Sum."), ("b.1", "Date.")))

    assert len(lexical_merge([one, other]).edits) == 2


def test_each_item_becomes_an_edit_with_an_id_of_its_own() -> None:
    parts = split_items(edit("a.1", "- One.\n- Two.\n\nA paragraph\nof two lines."))

    assert [(part.id, part.content) for part in parts] == [
        ("a.1.1", "- One."),
        ("a.1.2", "- Two."),
        ("a.1.3", "A paragraph\nof two lines."),
    ]
    assert {part.support for part in parts} == {("a",)}


def test_one_item_comes_back_as_it_is() -> None:
    only = edit("a.1", "1. One.")

    assert split_items(only) == (only,)


def test_nested_items_and_continued_lines_stay_with_their_item() -> None:
    assert items("- One\n  - deep\n    - deeper\n  more\n- Two\nlazily continued") == [
        "- One\n  - deep\n    - deeper\n  more",
        "- Two\nlazily continued",
    ]


def test_numbered_items_become_bullets() -> None:
    assert items("1. One.\n2) Two.\n* Three.") == ["- One.", "- Two.", "- Three."]


@pytest.mark.parametrize("fence", ["```", "~~~"])
def test_a_code_fence_stays_whole_with_the_item_before_it(fence: str) -> None:
    code = f"{fence}py\n# no heading\n\n- no item\n{fence}"

    assert items(f"- One:\n\n{code}\n- Two.") == [f"- One:\n{code}", "- Two."]
    assert items(f"{code}\n\n- Two.") == [code, "- Two."]


def test_a_code_fence_under_a_sub_heading_stays_there() -> None:
    assert items("- One.\n\n### Example\n\n```py\nsum(rows)\n```\n\n- Two.") == [
        "- One.",
        "**Example.**\n```py\nsum(rows)\n```",
        "- Two.",
    ]


def test_a_sub_heading_leads_what_follows_it() -> None:
    assert items("### Dates\nStore dates.\n\nNever strings.\n### Sums\n- Add all.\n- Check.") == [
        "**Dates.** Store dates.",
        "Never strings.",
        "- **Sums.** Add all.",
        "- Check.",
    ]


def test_headings_with_nothing_between_them_are_all_kept() -> None:
    assert items("- One.\n### Dates\n#### Time zones\nUse UTC.") == ["- One.", "**Dates. Time zones.** Use UTC."]
    assert items("- One.\n- Two.\n### Last") == ["- One.", "- Two.", "**Last.**"]


def test_a_new_sections_heading_goes_with_each_item() -> None:
    assert items("## Checks\n\n- One.\n- Two.", "add_section") == ["## Checks\n\n- One.", "## Checks\n\n- Two."]


@given(texts(), st.sampled_from(["append_to_section", "add_section"]))
def test_no_word_is_lost_and_none_is_made_up(content: str, op: str) -> None:
    whole = edit("a.1", content, op)
    parts = split_items(whole)

    def words(text: str) -> set[str]:
        return set(re.findall(r"[^\W\d_]+", text))

    assert set().union(*(words(part.content) for part in parts)) == words(content)
    assert len({part.id for part in parts}) == len(parts)
    assert {(part.op, part.file, part.target, part.support) for part in parts} == {
        (whole.op, whole.file, whole.target, whole.support)
    }
