"""From the selected edits to the evolved skill, its provenance and a ledger that balances."""

import pytest

from tests.trace2skill.toy import append, create
from trace2skill.consolidation.assembly import Assembled, assemble
from trace2skill.consolidation.ledger import Ledger, LedgerRow
from trace2skill.consolidation.selection import select_edits
from trace2skill.edits.patch import Edit
from trace2skill.edits.provenance import STAMP
from trace2skill.errors import PatchError, SkillError
from trace2skill.skill.folder import MAX_SKILL_LINES, SKILL_MD, Skill, check_skill

WARNING = "SIMULATED: nothing of this was learned from a model"


def build(
    edits: list[Edit], skill: Skill, min_support: int = 1, simulated: str = ""
) -> tuple[Assembled, dict[str, LedgerRow]]:
    ledger = Ledger()
    assembled = assemble(select_edits(edits, skill, min_support), skill, ledger, edits, simulated)
    return assembled, {row.id: row for row in ledger.rows()}


def with_main(skill: Skill, text: str) -> Skill:
    return skill.with_files({SKILL_MD: text.encode()})


def owners(assembled: Assembled, file: str = SKILL_MD) -> list[str]:
    ranges = assembled.provenance.files[file]
    assert [lines.start for lines in ranges] == [1, *(lines.end + 1 for lines in ranges[:-1])]
    return [lines.edit for lines in ranges for _ in range(lines.start, lines.end + 1)]


def test_every_edit_has_a_row_and_the_totals_balance(skill: Skill) -> None:
    edits = [
        append("a.1", "", "a", "b"),
        append("c.1"),
        append("d.1", "", "d", "e", target="## Nowhere"),
        append("f.1", "- Read all.", "f", "g", "h", op="replace_in_section", old="- Read the file as text."),
        append("i.1", "- Read some.", "i", "j", op="replace_in_section", old="- Read the file as text."),
    ]
    assembled, rows = build(edits, skill, min_support=2)

    assert {name: row.fate for name, row in rows.items()} == {
        "a.1": "applied",
        "c.1": "withheld",
        "d.1": "rejected",
        "f.1": "applied",
        "i.1": "withheld",
    }
    assert assembled.totals == {"proposed": 5, "applied": 2, "rejected": 1, "withheld": 2}
    assert all(row.reason for row in rows.values() if row.fate != "applied")
    assert rows["a.1"].support == ("a", "b")
    assert all(row.proposed for row in rows.values())
    assert sorted(assembled.provenance.edits) == ["a.1", "f.1"]


def test_edits_that_a_merge_wrote_are_not_counted_as_proposed(skill: Skill) -> None:
    one, two, whole = append("a.1"), append("b.1"), append("m1/1.1", "- Both.", "a", "b")
    ledger = Ledger()
    for edit in (one, two):
        ledger.edit(edit, "merged", proposed=True, into=whole.id)
    assembled = assemble(select_edits([whole], skill, 2), skill, ledger, [one, two], "")

    assert assembled.totals == {"proposed": 2, "applied": 2}
    assert [row.proposed for row in ledger.rows() if row.id == whole.id] == [False]


def test_an_edit_that_got_lost_before_is_noticed(skill: Skill) -> None:
    with pytest.raises(PatchError, match=r"z\.1 has no final fate"):
        assemble(select_edits([], skill, 1), skill, Ledger(), [append("z.1")], "")


def test_a_new_file_that_nothing_links_is_withheld(skill: Skill) -> None:
    assembled, rows = build([create("a.1", "a", "b")], skill)

    assert rows["a.1"].fate == "withheld"
    assert "points to references/dates.md" in rows["a.1"].reason
    assert assembled.evolved == skill


def test_a_new_file_whose_link_has_too_little_support_is_withheld_with_it(skill: Skill) -> None:
    link = append("a.2", "- See references/dates.md.\n- Always round.")
    assembled, rows = build([create("a.1"), link], skill, min_support=2)

    assert {row.fate for row in rows.values()} == {"withheld"}
    assert assembled.evolved == skill


def test_a_new_file_comes_with_its_link(skill: Skill) -> None:
    assembled, _ = build([create("a.1"), append("a.2", "- See references/dates.md.")], skill, min_support=2)

    assert assembled.totals == {"proposed": 2, "applied": 2}
    assert owners(assembled, "references/dates.md") == ["a.1"]
    assert owners(assembled).count("a.2") == 1


def test_what_makes_the_skill_too_long_moves_into_references(skill: Skill) -> None:
    edits = [append(f"{name}.1", "\n".join(f"- Line {n} of {name}." for n in range(240))) for name in "abc"]

    assembled, rows = build(edits, skill, simulated=WARNING)

    assert {row.fate for row in rows.values()} == {"applied"}
    assert assembled.totals == {"proposed": 3, "applied": 3}
    assert check_skill(assembled.evolved) == []
    assert owners(assembled)[-2:] == ["", STAMP]
    files = ("references/reading.md", "references/reading-2.md", "references/reading-3.md")
    assert sum(owners(assembled, file).count("b.1") for file in files) == 240


def block(lines: int) -> str:
    """A code block of so many lines, which no reference can take if they are 300."""
    return "\n".join(["```", *["x"] * (lines - 2), "```"])


def test_the_least_supported_gives_way_when_the_skill_is_too_long_and_nothing_can_move(skill: Skill) -> None:
    edits = [
        append("a.1", block(401), "a", "b"),
        append("b.1", block(400), "a", "b", "c"),
        append("c.1", "\n".join(["- Line."] * 200), "d", target="## Writing"),
    ]

    assembled, rows = build(edits, skill)

    assert {name: row.fate for name, row in rows.items()} == {"a.1": "withheld", "b.1": "applied", "c.1": "applied"}
    assert "the skill would fail its check: SKILL.md: " in rows["a.1"].reason
    assert owners(assembled, "references/writing.md").count("c.1") == 200
    assert check_skill(assembled.evolved) == []


def test_an_edit_whose_link_leads_nowhere_costs_only_itself(skill: Skill) -> None:
    edits = [append("a.1"), append("b.1", "- See [the script](scripts/gone.py).", "a", "b"), append("c.1")]
    _, rows = build(edits, skill)

    assert {name: row.fate for name, row in rows.items()} == {"a.1": "applied", "b.1": "withheld", "c.1": "applied"}
    assert "links to scripts/gone.py" in rows["b.1"].reason


def test_a_link_that_leads_nowhere_does_not_hide_in_a_reference(skill: Skill) -> None:
    text = "\n".join(["- Line."] * 600)
    assembled, rows = build([append("a.1", text), append("b.1", "- See [x](scripts/gone.py).")], skill)

    assert {name: row.fate for name, row in rows.items()} == {"a.1": "applied", "b.1": "withheld"}
    assert "references/reading.md" in assembled.evolved.files


def test_exactly_as_much_as_fits_is_kept(skill: Skill) -> None:
    room = MAX_SKILL_LINES - 2 - len(skill.lines(SKILL_MD))
    for extra, fate in ((0, "applied"), (1, "withheld")):
        _, rows = build([append("a.1", block(room + extra))], skill)
        assert rows["a.1"].fate == fate


def test_the_warning_counts_towards_the_size(skill: Skill) -> None:
    room = MAX_SKILL_LINES - 2 - len(skill.lines(SKILL_MD))
    assembled, rows = build([append("a.1", block(room))], skill, simulated=WARNING)

    assert rows["a.1"].fate == "withheld"
    assert WARNING in assembled.evolved.skill_md


def test_a_skill_that_fails_without_any_edit_is_not_saved(skill: Skill) -> None:
    full = with_main(skill, skill.skill_md + "x\n" * (MAX_SKILL_LINES - 1 - len(skill.lines(SKILL_MD))))
    assert check_skill(full) == []

    with pytest.raises(SkillError, match=r"was not saved: SKILL\.md: 501 lines"):
        build([], full, simulated=WARNING)


@pytest.mark.parametrize(
    "ending", ["", "\n", "\n\n\n", "\r\n", "\r\n\r\n"], ids=["none", "LF", "blank-LF", "CRLF", "blank-CRLF"]
)
@pytest.mark.parametrize("edited", [False, True])
def test_the_warning_is_the_last_line_and_every_line_has_an_origin(skill: Skill, ending: str, edited: bool) -> None:
    text = skill.skill_md.rstrip("\n")
    initial = with_main(skill, (text.replace("\n", "\r\n") if "\r" in ending else text) + ending)
    edit = append("a.1", target="## Writing")

    assembled, _ = build([edit] if edited else [], initial, simulated=WARNING)

    lines = assembled.evolved.lines(SKILL_MD)
    assert lines[-2:] == ("", f"<!-- {WARNING} -->")
    assert assembled.evolved.files[SKILL_MD].endswith(b"\n")
    origins = owners(assembled)
    assert len(origins) == len(lines)
    assert origins[-2:] == ["", STAMP]
    assert [line for line, edit in zip(lines, origins, strict=True) if edit == "a.1"] == ["- Habit a.1."] * edited
    assert origins.count(STAMP) == 1
    assert check_skill(assembled.evolved) == []
    endings = {line[-1:] for line in assembled.evolved.files[SKILL_MD].split(b"\n")[:-1]}
    assert "\r" not in ending or endings == {b"\r"}


def test_a_skill_that_carries_the_warning_already_gets_no_second_one(skill: Skill) -> None:
    first, _ = build([append("a.1")], skill, simulated=WARNING)
    second, _ = build([append("b.1")], first.evolved, simulated=WARNING)

    assert second.evolved.skill_md.count(WARNING) == 1
    assert len(owners(second)) == len(second.evolved.lines(SKILL_MD))


def test_without_a_stand_in_there_is_no_warning(skill: Skill) -> None:
    assembled, _ = build([append("a.1")], skill)

    assert "SIMULATED" not in assembled.evolved.skill_md
    assert STAMP not in owners(assembled)


@pytest.mark.parametrize(("text", "fate"), [("- line\n" * 400, "applied"), (block(400), "withheld")])
def test_an_over_long_reference_is_split_or_costs_only_itself(skill: Skill, text: str, fate: str) -> None:
    long = create("r.1", "a", "b", "c", file="references/big.md", content=f"# Big\n\n{text}")
    link = append("l.1", "- More: see references/big.md.", "a", "b", "c")
    short = append("s.1", "- Read to the last line.", "d", "e")
    assembled, rows = build([long, link, short], skill, min_support=2)

    assert rows["s.1"].fate == "applied"
    assert rows["r.1"].fate == rows["l.1"].fate == fate
    expected = {"applied": {"references/big.md", "references/big-2.md"}, "withheld": set()}
    assert assembled.evolved.files.keys() - {SKILL_MD} == expected[fate]
