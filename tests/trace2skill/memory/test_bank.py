import json
import os
from pathlib import Path

import numpy as np
import pytest

from tests.trace2skill.memory.banks import CARD, QUERIES, counted, make_bank, past
from trace2skill.errors import BankError
from trace2skill.memory import bank as banks
from trace2skill.memory import find_bank_folder, load_bank, save_bank
from trace2skill.memory.bank import CARD as CARD_FILE
from trace2skill.memory.bank import RECORDS, VECTORS

VECTORED = {"embedder": "openai:toy", "vectors": counted(list(QUERIES.values()))}


def test_a_bank_is_read_as_it_was_written(tmp_path: Path) -> None:
    records = [
        past("a", "Übung 1\u2028x", items=()),
        past("b", "2", status="failure", trajectory="--- 1. assistant ---\nx"),
    ]
    bank = make_bank(tmp_path / "bank", records, counted(["a", "b"]), embedder="openai:toy")

    assert bank.records == tuple(records)
    assert bank.vectors is not None
    assert np.array_equal(bank.vectors, counted(["a", "b"]))
    assert (bank.card.records, bank.card.dimension, bank.card.embedder) == (2, 64, "openai:toy")


def test_the_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        make_bank(tmp_path / name, **VECTORED)
    files = [{path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("one", "two")]

    assert files[0] == files[1]
    assert files[0].keys() == {CARD_FILE, RECORDS, VECTORS}


def test_a_bank_is_found_by_its_folder_or_its_run(tmp_path: Path) -> None:
    make_bank(tmp_path / "run" / "bank")

    assert (
        find_bank_folder(tmp_path / "run") == find_bank_folder(tmp_path / "run" / "bank") == tmp_path / "run" / "bank"
    )


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("gone", "it does not exist"),
        ("file", "it is a file"),
        (
            "empty",
            r"no memory bank: it has no card.json.*Make one with `trace2skill evolve LOGS",
        ),
        ("skill", "It is a skill: give it as -T skill="),
    ],
)
def test_what_is_no_bank_is_refused(tmp_path: Path, name: str, problem: str) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "empty").mkdir()
    (tmp_path / "skill").mkdir()
    (tmp_path / "skill" / "SKILL.md").write_text("x")

    with pytest.raises(BankError, match=problem):
        find_bank_folder(tmp_path / name)


def test_an_empty_bank_is_refused(tmp_path: Path) -> None:
    save_bank(tmp_path / "bank", [], None, **CARD)

    with pytest.raises(BankError, match=r"is empty: nothing of any trajectory was kept.*Make a bank of other logs"):
        load_bank(tmp_path / "bank")


def change_card(folder: Path, **values: object) -> None:
    card = json.loads((folder / CARD_FILE).read_text())
    (folder / CARD_FILE).write_text(json.dumps({**card, **values}))


def test_vectors_of_another_dimension_are_refused(tmp_path: Path) -> None:
    make_bank(tmp_path / "bank", **VECTORED)
    change_card(tmp_path / "bank", dimension=32)

    with pytest.raises(BankError, match="768 bytes; 3 vectors of 32 numbers, as the bank's card has it, take 384"):
        load_bank(tmp_path / "bank")


def test_a_huge_dimension_allocates_nothing(tmp_path: Path) -> None:
    make_bank(tmp_path / "bank", **VECTORED)
    change_card(tmp_path / "bank", dimension=10**12)

    with pytest.raises(BankError, match="dimension: Input should be less than or equal to 65536"):
        load_bank(tmp_path / "bank")


@pytest.mark.parametrize("name", [RECORDS, VECTORS])
def test_what_was_changed_is_refused(tmp_path: Path, name: str) -> None:
    make_bank(tmp_path / "bank", **VECTORED)
    data = bytearray((tmp_path / "bank" / name).read_bytes())
    data[20] ^= 1
    (tmp_path / "bank" / name).write_bytes(data)

    with pytest.raises(BankError, match=f"{name} is not what the bank's card says: it was changed. Make the bank anew"):
        load_bank(tmp_path / "bank")


def test_numbers_that_are_none_are_refused(tmp_path: Path) -> None:
    vectors = counted(list(QUERIES.values()))
    vectors[1, 1] = np.nan

    with pytest.raises(BankError, match="numbers that are none"):
        make_bank(tmp_path / "bank", vectors=vectors, embedder="openai:toy")


def test_a_missing_file_and_an_unknown_field_are_named(tmp_path: Path) -> None:
    make_bank(tmp_path / "bank")
    change_card(tmp_path / "bank", url="http://evil.example")
    with pytest.raises(BankError, match=r"card.json cannot be read: url: Extra inputs are not permitted"):
        load_bank(tmp_path / "bank")
    make_bank(tmp_path / "other")
    (tmp_path / "other" / RECORDS).unlink()
    with pytest.raises(BankError, match=r"records.jsonl cannot be read: No such file"):
        load_bank(tmp_path / "other")


def test_a_pipe_and_a_bomb_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_bank(tmp_path / "bank")
    (tmp_path / "bank" / RECORDS).unlink()
    os.mkfifo(tmp_path / "bank" / RECORDS)
    with pytest.raises(BankError, match="is a pipe"):
        load_bank(tmp_path / "bank")
    make_bank(tmp_path / "large")
    monkeypatch.setattr(banks, "MAX_RECORDS", 2)
    with pytest.raises(BankError, match="more than 2 past tasks"):
        load_bank(tmp_path / "large")
    monkeypatch.setattr(banks, "MAX_RECORDS_BYTES", 100)
    with pytest.raises(BankError, match="more than 100 bytes"):
        load_bank(tmp_path / "large")
