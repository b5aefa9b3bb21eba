"""Fetching from a server of the hub's form, by the libraries and the command that people run."""

import io
import json
import os
import random
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from tests.trace2skill.data.hub import COMMIT, Hub, page, parquet, serve
from tests.trace2skill.data.test_forms import problems, questions
from trace2skill.cli import data as commands
from trace2skill.data.cards import Card, load_card
from trace2skill.data.download import download
from trace2skill.data.fetch import fetch
from trace2skill.data.sources import HubFile, HubRows, UrlSource
from trace2skill.errors import DataError

SHARED = Path(__file__).parents[3] / "../shared/data"
RUN = Path(__file__).with_name("run_fetch.py")

README = """---
configs:
- config_name: DocVQA
  data_files:
  - {split: validation, path: DocVQA/validation-*}
  - {split: test, path: DocVQA/test-*}
- config_name: InfographicVQA
  data_files:
  - {split: test, path: InfographicVQA/test-*}
---
"""


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serve(Hub()) as served:
        yield served


def fetch_each(hub: Hub, folder: Path, *names: str, **more: str) -> list[tuple[int, str]]:
    """`trace2skill data fetch` of each, in one process: exit codes and messages."""
    places = {"HF_ENDPOINT": hub.address, "HF_HOME": str(folder / "hf"), "TRACE2SKILL_DATA": str(folder / "data")}
    done = subprocess.run(
        [sys.executable, str(RUN), *names],
        env=os.environ | places | more,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return [tuple(json.loads(line)) for line in done.stdout.splitlines()]


def tar_gz(contents: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as tar:
        for path, content in contents.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def write_card(folder: Path, name: str, source: dict[str, Any], **fields: Any) -> str:
    """A card with one source."""
    file = folder / f"{name}.yaml"
    card = {"name": name, "licence": "none", "folder": name, "sources": [source]}
    file.write_text(yaml.safe_dump(card | fields))
    return str(file)


def docvqa_repo(rows: list[dict[str, Any]], parts: int = 2) -> dict[str, bytes]:
    """A repository with several configurations and splits; the rows are one split in several files."""
    size = -(-len(rows) // parts)
    files = {
        f"DocVQA/validation-{part:05d}-of-{parts:05d}.parquet": parquet(rows[part * size : (part + 1) * size])
        for part in range(parts)
    }
    others = {name: b"never read" for name in ("DocVQA/test-0.parquet", "InfographicVQA/test-0.parquet")}
    return {"README.md": README.encode()} | files | others


@pytest.mark.slow
def test_archives_and_rows_are_fetched(hub: Hub, tmp_path: Path) -> None:
    hub.repos["owner/sheets"] = {
        "a.tar.gz": tar_gz(
            {"any/folder/dataset.json": b"[]", "any/folder/1.xlsx": random.Random(0).randbytes(12 << 20)}
        )
    }
    hub.repos["owner/aime"] = {"data/train-00000-of-00001.parquet": parquet(problems())}
    asked = [row | {"image": {"bytes": page(1), "path": None}} for row in questions()]
    hub.repos["owner/docvqa"] = docvqa_repo(asked)
    (tmp_path / "ORDER").write_text("3\n1\n2\n")
    sheets = {"repo": "owner/sheets", "revision": COMMIT, "file": "a.tar.gz"}
    cards = [
        write_card(tmp_path, "sheets", sheets, marker="dataset.json"),
        write_card(
            tmp_path, "aime", {"repo": "owner/aime", "split": "train", "form": "aime", "path": "aime_2026.jsonl"}
        ),
        write_card(
            tmp_path,
            "docvqa",
            {"repo": "owner/docvqa", "config": "DocVQA", "split": "validation", "form": "docvqa", "path": "val.json"},
            order_file="ORDER",
        ),
    ]
    # The hub's library keeps what has arrived in units of 10 MB.
    hub.cut_after = 11 << 20

    outcomes = fetch_each(hub, tmp_path, *cards)

    assert [code for code, _ in outcomes] == [0, 0, 0], outcomes
    folder = tmp_path / "data"
    assert (folder / "sheets/1.xlsx").stat().st_size == 12 << 20
    assert len((folder / "aime/aime_2026.jsonl").read_text().splitlines()) == 30
    ids = [row["questionId"] for row in json.loads((folder / "docvqa/val.json").read_text())["data"]]
    assert ids == [3, 1, 2]
    assert (folder / "docvqa/documents/abcd0123_1.png").read_bytes() == page(1)
    assert hub.cut_after is None
    assert any(request.startswith("GET") and request.endswith(f"bytes={10 << 20}-") for request in hub.asked)
    assert not any("test-0" in request for request in hub.asked if request.startswith("GET"))
    assert sorted(path.name for path in folder.iterdir()) == [".downloads", "aime", "docvqa", "sheets"]

    hub.asked.clear()
    (folder / "sheets/dataset.json").unlink()
    [(code, message)] = fetch_each(hub, tmp_path, cards[0], HF_HUB_OFFLINE="1")
    assert (code, hub.asked) == (0, []), message


def test_a_local_copy_of_a_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACE2SKILL_DATA", str(tmp_path / "data"))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    years = [{"repo": f"o/y{year}", "split": "train", "form": "aime", "path": f"aime_{year}.jsonl"} for year in (1, 2)]
    card = Card.model_validate({"name": "aime", "licence": "none", "folder": "aime", "sources": years})
    for year in (1, 2):
        (tmp_path / f"copy/y{year}/data").mkdir(parents=True)
        (tmp_path / f"copy/y{year}/data/train-0.parquet").write_bytes(parquet(problems()))
    with pytest.raises(DataError, match=r"copy/y1 holds no aime_1\.jsonl"):
        fetch(card, copy=tmp_path / "copy/y1")

    assert fetch(card, copy=tmp_path / "copy").state == "there"
    assert sorted(path.name for path in (tmp_path / "data/aime").iterdir()) == ["aime_1.jsonl", "aime_2.jsonl"]

    (tmp_path / "copy/y2/data/train-0.parquet").write_bytes(b"damaged")
    with pytest.raises(DataError, match=r"hf://datasets/o/y2@main \(train\) could not be read from .*copy/y2: "):
        fetch(card, copy=tmp_path / "copy", force=True)


def test_what_the_hub_refuses_is_one_message(hub: Hub, tmp_path: Path) -> None:
    hub.repos["owner/name"] = docvqa_repo([row | {"image": {"bytes": page(1)}} for row in questions()])
    file = {"repo": "owner/name", "revision": COMMIT, "file": "README.md", "path": "README.md"}
    rows = {"repo": "owner/name", "config": "DocVQA", "split": "validation", "form": "docvqa", "path": "val.json"}
    changes: list[tuple[dict[str, str], str]] = [
        (file | {"repo": "owner/nothing"}, "hf://datasets/owner/nothing@"),
        (file | {"file": "nothing.tar.gz"}, "nothing.tar.gz could not be fetched from http://127.0.0.1"),
        (file | {"revision": "0" * 40}, "could not be fetched from"),
        (file | {"sha256": "0" * 64}, f"but {'0' * 64} is on record. --force downloads it again"),
        (
            rows | {"repo": "owner/nothing"},
            "hf://datasets/owner/nothing@main (DocVQA, validation) could not be fetched",
        ),
        (rows | {"split": "train"}, "(DocVQA, train) has the splits validation, test. Check the card."),
        (rows | {"config": "Other"}, "'Other' not found"),
        (rows, "has 3 questions where the official order has 0; 3 are only in one of them, such as question 1"),
    ]
    cards = [write_card(tmp_path, f"card{number}", source) for number, (source, _) in enumerate(changes)]

    outcomes = fetch_each(hub, tmp_path, *cards)

    for (code, message), (_, wanted) in zip(outcomes, changes, strict=True):
        assert code == 1
        assert wanted in message
        assert message.count("trace2skill:") == 1
        assert "Traceback" not in message
    assert all("--from" in message for _, message in outcomes[:7])
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == [".downloads"]


def test_a_hub_is_asked_over_an_encrypted_way_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://hub.example.org")
    source = HubFile(repo="owner/name", revision=COMMIT, file="file")
    with pytest.raises(DataError, match=r"over https, not from http://hub\.example\.org\. Run"):
        download(source)


# The benchmarks in full, as far as copies of them are at hand


def shared(path: str) -> Path:
    if not (found := SHARED / path).exists():
        pytest.skip(f"{found} is not there")
    return found


def repacked(archive: Path, top: str) -> bytes:
    """A tar.xz as tar.gz, with another top folder."""
    with tarfile.open(archive) as tar:
        entries = [(entry.name, tar.extractfile(entry)) for entry in tar if entry.isreg()]
        return tar_gz({f"{top}/{name.split('/', 1)[1]}": file.read() for name, file in entries if file})


def aime_repos() -> Iterator[tuple[str, dict[str, bytes]]]:
    for source in load_card("aime").sources:
        assert source.path
        rows = [json.loads(line) for line in shared(f"aime/{source.path}").read_text().splitlines()]
        if "2024" in source.path:  # names its problems by address, pads answers, and words one in another way
            asked = [_addressed(row) for row in rows]
            asked[3]["problem"] += " "
        else:
            asked = [
                {"problem_idx": n, "problem": row["problem"], "answer": row["answer"]} for n, row in enumerate(rows, 1)
            ]
        random.Random(0).shuffle(asked)
        assert isinstance(source, HubRows)
        yield source.repo, {"data/train-00000-of-00001.parquet": parquet(asked)}


def _addressed(row: dict[str, Any]) -> dict[str, Any]:
    year, paper, number = row["id"].split("-")
    url = f"https://example.org/{year}_AIME_{paper}_Problems/Problem_{number}"
    return {"problem": row["problem"], "solution": "", "answer": f"{row['answer']:03d}", "url": url, "year": year}


def docvqa_rows() -> list[dict[str, Any]]:
    """The official questions in another order, each with a stand-in for its page."""
    rows = json.loads(shared("docvqa/val_v1.0_withQT.json").read_text())["data"]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(row["image"] for row in rows))}
    asked = [
        row | {"questionId": str(row["questionId"]), "image": {"bytes": page(numbers[row["image"]]), "path": None}}
        for row in rows
    ]
    random.Random(0).shuffle(asked)
    return asked


@pytest.mark.shared_data
@pytest.mark.slow
def test_the_benchmarks_of_the_hub(hub: Hub, tmp_path: Path) -> None:
    sheets = shared("spreadsheetbench")
    hub.commit = load_card("spreadsheetbench-verified").sources[0].revision
    hub.repos = dict(aime_repos())
    hub.repos["lmms-lab/DocVQA"] = docvqa_repo(docvqa_rows())
    hub.repos["KAKA22/SpreadsheetBench"] = {
        "spreadsheetbench_verified_400.tar.gz": repacked(
            sheets / "spreadsheetbench-verified-400.tar.xz", "spreadsheetbench_verified_400"
        ),
        # 21 of the 912 tasks: no copy of the others is at hand.
        "spreadsheetbench_912_v0.1.tar.gz": repacked(
            sheets / "spreadsheetbench-full-sample.tar.xz", "all_data_912_v0.1"
        ),
    }

    names = ("aime", "visionqa", "spreadsheetbench-verified", "spreadsheetbench-full")
    outcomes = dict(zip(names, fetch_each(hub, tmp_path, *names), strict=True))

    assert [code for code, _ in outcomes.values()] == [0, 0, 0, 0], outcomes
    aime, visionqa, verified, full = (message for _, message in outcomes.values())
    assert (
        "checksum right: 2 files; ids and answers right, but worded otherwise than the copy on record: 1 files" in aime
    )
    assert "checksum right: 1 files; not checked, no checksum on record: 1,286 files" in visionqa
    assert "checksum right: 1,201 files;" in verified
    assert "not checked, no checksum on record: " in full
    written = (tmp_path / "data/docvqa/val_v1.0_withQT.json").read_bytes()
    assert written == shared("docvqa/val_v1.0_withQT.json").read_bytes()


@pytest.mark.shared_data
@pytest.mark.parametrize("name", ["dapo-math", "wikitq"])
def test_the_benchmarks_of_github(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    card = load_card(name)
    [source] = card.sources
    assert isinstance(source, UrlSource)
    if name == "dapo-math":
        hub.files["/file"] = shared("dapo-math/dapo_math_17k.parquet").read_bytes()
    else:
        hub.files["/file"] = repacked(shared("wikitq/wikitq-full.tar.xz"), f"WikiTableQuestions-{source.revision}")
    local = card.model_copy(update={"sources": (source.model_copy(update={"url": f"{hub.address}/file"}),)})
    monkeypatch.setattr(commands, "load_card", lambda _: local)
    monkeypatch.setenv("TRACE2SKILL_DATA", str(tmp_path))

    result = CliRunner().invoke(commands.data, ["fetch", name])

    assert result.exit_code == 0, result.output
    assert f"checksum right: {len(card.files):,} files" in result.output
