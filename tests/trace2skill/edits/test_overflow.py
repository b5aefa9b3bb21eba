"""Text that moves out of over-long files: nothing lost, everything linked, and blame follows."""

import random
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.trace2skill.toy import append, create
from trace2skill.consolidation.assembly import Assembled, assemble
from trace2skill.consolidation.ledger import Ledger
from trace2skill.consolidation.selection import select_edits
from trace2skill.edits.apply import Applied, apply_edits
from trace2skill.edits.overflow import move_out
from trace2skill.edits.patch import Edit
from trace2skill.edits.provenance import MOVED
from trace2skill.skill.folder import (
    MAX_REFERENCE_LINES,
    MAX_SKILL_LINES,
    SKILL_MD,
    Skill,
    check_skill,
    linked_paths,
    mentioned,
)
from trace2skill.skill.sections import parse_document

FRONT = "---\nname: demo\ndescription: d\n---\n\n"
# A seed says nothing when it shrinks.
QUICK = settings(max_examples=15, deadline=None, database=None, phases=[Phase.explicit, Phase.generate])
WARNING = "SIMULATED: nothing of this was learned from a model"


def skill_of(text: str, **references: str) -> Skill:
    files = {f"references/{name}.md": content.encode() for name, content in references.items()}
    return Skill.from_files({SKILL_MD: (FRONT + text).encode(), **files})


def items(count: int, name: str = "x") -> str:
    return "\n".join(f"- Line {number} of {name}." for number in range(count))


def section(title: str, count: int, level: int = 2) -> str:
    return f"{'#' * level} {title}\n\n{items(count, title)}\n"


def moved(skill: Skill, *edits: Edit) -> Applied:
    plain = apply_edits(skill, edits)
    assert not plain.rejected
    result = move_out(plain)
    nothing_lost(plain, result)
    assert check_skill(result.skill) == []
    return result


def nothing_lost(before: Applied, after: Applied) -> None:
    """Every line with text is still there with its origin, but for the hash marks of headings."""
    assert after.applied == before.applied
    assert contents(after) == contents(before)
    for path, owners in after.lines.items():
        assert len(owners) == len(after.skill.lines(path))


def contents(applied: Applied) -> Counter[tuple[str | None, str]]:
    return Counter(
        (owner, text.replace("#", ""))
        for path, owners in applied.lines.items()
        for owner, text in zip(owners, applied.skill.lines(path), strict=True)
        if text.strip() and owner != MOVED
    )


def new_files(before: Skill, after: Applied) -> list[str]:
    return sorted(after.skill.files.keys() - before.files.keys())


def test_a_skill_within_its_limits_stays_as_it_is() -> None:
    skill = skill_of("# Demo\n\n## Use\n\n- One.\n")
    plain = apply_edits(skill, [append("a.1", items(MAX_SKILL_LINES - 1 - 10), target="## Use")])

    assert len(plain.lines[SKILL_MD]) == MAX_SKILL_LINES - 1
    assert move_out(plain) is plain


def test_the_longest_section_that_edits_wrote_goes_and_leaves_heading_and_link() -> None:
    skill = skill_of("# Demo\n\n" + section("Old", 200))
    result = moved(
        skill,
        append("a.1", section("Dates", 140), op="add_section", target=""),
        append("b.1", section("Totals", 160), op="add_section", target=""),
    )

    assert new_files(skill, result) == ["references/totals.md"]
    text = result.skill.skill_md
    assert text.endswith("## Totals\n\nRead [references/totals.md](references/totals.md) before you work on this.\n")
    assert result.lines[SKILL_MD][-3:] == ("b.1", "b.1", MOVED)
    assert result.skill.text("references/totals.md") == f"# Totals\n\n{items(160, 'Totals')}\n"
    assert result.lines["references/totals.md"] == (MOVED, MOVED, *["b.1"] * 160)


def test_text_of_the_initial_skill_stays_unless_edits_enlarged_its_section() -> None:
    skill = skill_of("# Demo\n\n" + section("Long", 300) + "\n" + section("Enlarged", 10))
    changed = append("b.1", "- Other.", op="replace_in_section", target="", old="- Line 7 of Long.")
    result = moved(skill, append("a.1", items(190, "a"), target="## Enlarged"), changed)

    assert new_files(skill, result) == ["references/enlarged.md"]
    assert result.lines["references/enlarged.md"] == (MOVED, MOVED, *[None] * 10, *["a.1"] * 190)
    assert "- Other." in result.skill.skill_md


def test_of_nested_sections_the_deepest_goes() -> None:
    nested = f"## Outer\n\n{items(30, 'outer')}\n\n{section('Inner', 200, level=3)}\n### Other\n\nText."
    skill = skill_of("# Demo\n\n" + section("Old", 260))
    result = moved(skill, append("a.1", nested, op="add_section", target=""))

    assert new_files(skill, result) == ["references/inner.md"]
    titles = [one.title for one in parse_document(result.skill.files[SKILL_MD]).sections]
    assert titles == ["Demo", "Old", "Outer", "Inner", "Other"]


def test_many_short_subsections_go_together_with_headings_below_the_new_title() -> None:
    nested = "## Pitfalls\n" + "".join(f"\n### Pit {n}\n\n```\n### no heading\n```\n" for n in range(90))
    skill = skill_of("# Demo\n\n- Text.\n")
    result = moved(skill, append("a.1", nested, op="add_section", target=""))

    assert new_files(skill, result) == ["references/pitfalls-2.md", "references/pitfalls.md"]
    assert result.skill.skill_md.count("### Pit") == 0
    first = parse_document(result.skill.files["references/pitfalls.md"])
    assert (first.sections[0].title, first.sections[0].level) == ("Pitfalls (1 of 2)", 1)
    assert {one.level for one in first.sections[1:]} == {2}
    assert "### no heading" in first.lines
    assert first.lines[-1] == "```"


def test_what_is_too_long_for_one_reference_is_split_between_blocks() -> None:
    code = "\n".join(["```", *["x"] * 100, "```"])
    skill = skill_of("# Demo\n\n## Use\n\n- One.\n")
    result = moved(skill, append("a.1", "\n\n".join([items(250), code, items(150, "end")]), target="## Use"))

    assert new_files(skill, result) == ["references/use-2.md", "references/use.md"]
    assert len(result.lines["references/use.md"]) == 2 + 1 + 250
    assert result.skill.lines("references/use-2.md")[:3] == ("# Use (2 of 2)", "", "```")


def test_an_over_long_reference_keeps_its_beginning() -> None:
    skill = skill_of("# Demo\n\nRead references/big.md.\n", big=f"# Big\n\n{items(290)}\n")
    grown = append("a.1", items(100, "a"), file="references/big.md", target="# Big")
    result = moved(skill, grown)

    assert new_files(skill, result) == ["references/big-2.md"]
    assert result.skill.lines("references/big.md")[:5] == skill.lines("references/big.md")[:5]
    assert len(result.lines["references/big.md"]) == MAX_REFERENCE_LINES - 1
    assert result.skill.lines("references/big.md")[-1] == "This goes on in [references/big-2.md](references/big-2.md)."


def test_names_that_are_taken_are_not_used_again_whatever_their_case() -> None:
    skill = skill_of("# Demo\n\nSee references/Dates.md.\n\n## Dates\n\nText.\n", Dates="# Dates\n")
    result = moved(skill, append("a.1", items(500), target="## Dates"))

    assert new_files(skill, result) == ["references/dates-2.md", "references/dates-3.md"]
    assert result.skill.files["references/Dates.md"] == b"# Dates\n"


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("Copying cells", "on-copying-cells"),
        ("`C#` & [links](https://y.org)", "c-links-https-y-org"),
        ("日付 Ä", "日付-ä"),
        ("../../etc", "etc"),
        ("!!", "more"),
        ("x" * 300, "x" * 40),
    ],
)
def test_any_heading_makes_a_safe_name(title: str, name: str) -> None:
    skill = skill_of("# Demo\n")
    text = f"## {title}\n\n{items(290)}\n\n## End\n\n{items(280)}"
    result = moved(skill, append("a.1", text, op="add_section", target=""))

    assert new_files(skill, result) == [f"references/{name}.md"]
    assert f"references/{name}.md" in linked_paths(result.skill)


def test_line_endings_stay() -> None:
    text = skill_of("# Demo\n\n## Use\n\n- One.\n\n## End\n\n- Last.").files[SKILL_MD].replace(b"\n", b"\r\n")
    edits = [append("a.1", items(250), target="## Use"), append("b.1", items(290), target="## End")]
    result = moved(Skill.from_files({SKILL_MD: text}), *edits)

    assert set(result.skill.files) == {SKILL_MD, "references/end.md"}
    assert not result.skill.files[SKILL_MD].endswith(b"\n")
    for data in result.skill.files.values():
        assert data.count(b"\r\n") == data.count(b"\n")
    assert result.skill.files["references/end.md"].endswith(b"- Line 289 of x.\r\n")


def test_references_that_only_the_moved_text_names_are_named_in_its_place() -> None:
    skill = skill_of(
        "# Demo\n\n## Use\n\n- See references/a.md.\n\n## End\n\n- And references/b.md.\n", a="# A\n", b="# B\n"
    )
    result = moved(skill, append("a.1", items(490) + "\n- See references/b.md.", target="## Use"))

    assert mentioned(result.skill.skill_md) >= {"references/a.md", "references/b.md", "references/use.md"}
    assert "before you work on this. See also references/a.md.\n" in result.skill.skill_md


def test_a_section_with_link_definitions_stays() -> None:
    skill = skill_of("# Demo\n\n## Use\n\nSee [A].\n\n[a]: https://example.org\n\n## Other\n\nText.\n")
    plain = apply_edits(skill, [append("a.1", items(490), target="## Use")])
    assert move_out(plain).skill == plain.skill

    result = moved(skill, append("a.1", items(250), target="## Use"), append("b.1", items(250), target="## Other"))
    assert new_files(skill, result) == ["references/other.md"]


def test_a_rule_that_closes_a_section_stays_a_rule() -> None:
    skill = skill_of("# Demo\n\n## Use\n- One.\n---\n## End\n\nText.\n")
    result = moved(skill, append("a.1", items(500), target="## Use"))

    titles = [one.title for one in parse_document(result.skill.files[SKILL_MD]).sections]
    assert titles == ["Demo", "Use", "End"]
    assert "---" in result.skill.lines(SKILL_MD)[6:]


def test_a_block_that_fits_nowhere_is_not_moved() -> None:
    fence = "\n".join(["```", *["x"] * 500, "```"])
    plain = apply_edits(skill_of("# Demo\n\n## Use\n\n- One.\n"), [append("a.1", fence, target="## Use")])

    assert move_out(plain).skill == plain.skill


def test_a_file_called_references_is_in_the_way() -> None:
    skill = Skill.from_files({SKILL_MD: (FRONT + "## Use\n\n- One.\n").encode(), "references": b"x"})
    plain = apply_edits(skill, [append("a.1", items(500), target="## Use")])

    assert move_out(plain) is plain


TITLES = (
    "Use",
    "Use",
    "Write *files*",
    "Copying",
    "日付",
    "C#",
    "[x](https://y.org)",
    "Dates",
    "1. Read",
    "--",
    "Very " * 20,
)


def random_text(dice: random.Random, name: str, most: int) -> str:
    """Markdown blocks of up to about `most` lines, with all that looks like structure and is none."""
    blocks = []
    while sum(block.count("\n") + 2 for block in blocks) < most:
        size = dice.randint(1, 8)
        rows = [f"{name} {dice.randrange(1000)} row {number}" for number in range(size)]
        bullets = [f"{'  ' * dice.randint(0, 1) * bool(number)}- {row}" for number, row in enumerate(rows)]
        quote = [f"> # {rows[0]}", *(f"> {row}" for row in rows)]
        shapes = [
            rows,
            bullets,
            quote,
            ["```", "# no heading", *rows, "```"],
            ["| a |", "|---|", *(f"| {r} |" for r in rows)],
        ]
        shapes += [[f"{number}. {row}" for number, row in enumerate(rows, 1)], ["<!-- # none", *rows, "-->"], ["***"]]
        shapes += [[f"See [a](references/a.md) and {rows[0]}."]]
        blocks.append("\n".join(dice.choice(shapes)))
    return "\n\n".join(blocks) or "text"


def random_sections(dice: random.Random, name: str, most: int) -> str:
    parts = []
    level = 2
    for number in range(dice.randint(1, 6)):
        parts.append(
            f"{'#' * level} {dice.choice(TITLES)}\n\n{random_text(dice, f'{name}{number}', dice.randint(0, most))}\n"
        )
        level = dice.randint(2, min(5, level + 1))
    return "\n".join(parts)


def random_skill(dice: random.Random) -> Skill:
    text = FRONT + "# Demo\n\nIntro, see references/a.md.\n\n" + random_sections(dice, "initial", 50)
    text = dice.choice([text, text.rstrip("\n"), text + "\n\n"])
    files = {SKILL_MD: text, "references/a.md": "# A\n\n" + random_text(dice, "a", 250), "references/use.md": "# U\n"}
    ending = dice.choice(["\n", "\r\n"])
    return Skill.from_files({path: data.replace("\n", ending).encode() for path, data in files.items()})


def random_edits(dice: random.Random, skill: Skill, count: int) -> list[Edit]:
    heads = [one.title for one in parse_document(skill.files[SKILL_MD]).sections]
    edits = []
    for number in range(count):
        name, most = f"t{number}.1", dice.choice([3, 20, 80, 200])
        who = tuple("abcdef"[: dice.randint(1, 6)])
        text = random_text(dice, name, most)
        if dice.random() < 0.05:
            text = "\n".join(["```", *[f"{name} code"] * 310, "```"])
        kind = dice.choice(["append", "append", "section", "create", "reference", "replace"])
        if kind == "append":
            edits.append(append(name, text, *who, target=dice.choice(heads)))
        elif kind == "section":
            edits.append(append(name, random_sections(dice, name, most), *who, op="add_section", target=""))
        elif kind == "reference":
            edits.append(append(name, text, *who, file="references/a.md", target="# A"))
        elif kind == "replace":
            old = dice.choice([line for line in skill.lines(SKILL_MD)[6:] if line.strip()])
            edits.append(append(name, text, *who, op="replace_in_section", target="", old=old))
        else:
            path = f"references/new{number}.md"
            edits.append(create(name, *who, file=path, content=f"# New\n\n{text}"))
            edits.append(append(f"t{number}.2", f"- See {path}.", *who, target=dice.choice(heads)))
    return edits


def evolve(skill: Skill, edits: Sequence[Edit], simulated: str) -> tuple[Assembled, Ledger]:
    ledger = Ledger()
    return assemble(select_edits(edits, skill, 1), skill, ledger, edits, simulated), ledger


def check(seed: int, count: int, simulated: str) -> None:
    dice = random.Random(seed)
    skill = random_skill(dice)
    edits = random_edits(dice, skill, count)
    assembled, ledger = evolve(skill, edits, simulated)
    evolved, provenance = assembled.evolved, assembled.provenance

    assert check_skill(evolved) == []
    used = [edit for edit in edits if edit.id in provenance.edits]
    assert {row.id for row in ledger.rows() if row.fate == "applied"} == provenance.edits.keys()
    assert sum(assembled.totals.values()) == 2 * len(edits)

    owners = {
        path: [lines.edit or None for lines in ranges for _ in range(lines.start, lines.end + 1)]
        for path, ranges in provenance.files.items()
    }
    plain = apply_edits(skill, used)
    assert not plain.rejected
    final = Applied(
        skill=evolved, lines={p: tuple(rows) for p, rows in owners.items()}, applied=plain.applied, rejected=()
    )
    found = contents(final)
    found.pop(("simulated", f"<!-- {simulated} -->"), None)
    assert found == contents(plain)
    assert owners.keys() == evolved.files.keys()
    assert all(len(rows) == len(evolved.lines(path)) for path, rows in owners.items())

    text = {path: evolved.text(path) for path in evolved.files}
    for path in evolved.files.keys() - skill.files.keys():
        assert any(path in mentioned(other) for name, other in text.items() if name != path)
        assert path in plain.skill.files or owners[path][0] == MOVED
    assert mentioned(plain.skill.skill_md) <= mentioned(evolved.skill_md)
    assert all(mentioned(one) <= evolved.files.keys() for one in text.values())
    assert all(data.count(b"\r\n") in (0, data.count(b"\n")) for data in evolved.files.values())

    dice.shuffle(edits)
    again, _ = evolve(skill, edits, simulated)
    assert again.evolved.digest == evolved.digest
    assert again.provenance == provenance


@given(st.integers(0, 2**32), st.integers(0, 20), st.sampled_from(["", WARNING]))
@settings(QUICK)
def test_big_skills_and_many_edits(seed: int, count: int, simulated: str) -> None:
    check(seed, count, simulated)


@pytest.mark.slow
@given(st.integers(0, 2**32), st.integers(0, 60), st.sampled_from(["", WARNING]))
@settings(QUICK, max_examples=40)
def test_bigger_skills_and_more_edits(seed: int, count: int, simulated: str) -> None:
    check(seed, count, simulated)
