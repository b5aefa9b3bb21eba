from pathlib import Path

import pytest

from trace2skill.consolidation.ledger import Ledger, read_ledger, write_ledger
from trace2skill.edits.patch import Edit
from trace2skill.errors import PatchError


def edit(name: str, *support: str) -> Edit:
    return Edit(id=name, file="SKILL.md", op="append_to_section", target="# Use", content="- x", support=support)


def test_merged_edits_count_as_what_they_became() -> None:
    ledger = Ledger()
    one, two, three = edit("a.1", "a"), edit("b.1", "b"), edit("c.1", "c")
    ledger.edit(one, "merged", proposed=True, into="m1/1.1")
    ledger.edit(two, "merged", proposed=True, into="m1/1.1")
    ledger.edit(three, "rejected", proposed=True, reason="no such section")
    ledger.edit(edit("m1/1.1", "a", "b"), "applied", proposed=False)

    assert ledger.balance([one, two, three]) == {"applied": 2, "rejected": 1}


def test_lost_edit_is_found() -> None:
    with pytest.raises(PatchError, match=r"a\.1 has no final fate"):
        Ledger().balance([edit("a.1", "a")])


def test_merge_into_nothing_is_found() -> None:
    ledger = Ledger()
    ledger.edit(edit("a.1", "a"), "merged", proposed=True, into="m1/1.1")

    with pytest.raises(PatchError, match="no final fate"):
        ledger.balance([edit("a.1", "a")])


def test_lost_support_is_found() -> None:
    ledger = Ledger()
    ledger.edit(edit("a.1", "a"), "merged", proposed=True, into="m1/1.1")
    ledger.edit(edit("m1/1.1", "b"), "applied", proposed=False)

    with pytest.raises(PatchError, match=r"support of a\.1 was lost"):
        ledger.balance([edit("a.1", "a")])


def test_two_fates_are_refused() -> None:
    ledger = Ledger()
    ledger.edit(edit("a.1", "a"), "applied", proposed=True)

    with pytest.raises(PatchError, match="two fates"):
        ledger.edit(edit("a.1", "a"), "rejected", proposed=True)


def test_rows_survive_the_file(tmp_path: Path) -> None:
    ledger = Ledger()
    ledger.edit(edit("b.1", "b"), "applied", proposed=True)
    ledger.analysis("a", "no fix was submitted")
    write_ledger(ledger.rows(), tmp_path / "ledger.jsonl")

    assert read_ledger(tmp_path / "ledger.jsonl") == ledger.rows()
    assert [row.id for row in ledger.rows()] == ["a", "b.1"]
