"""A runs folder that is kept in a store besides: a folder here, which fsspec treats as it does an object store."""

import shutil
from pathlib import Path

import pytest

from tests.trace2skill.study.test_running import Instant, counted, quiet
from tests.trace2skill.study.tiny import CONTENT, load, scores, write
from trace2skill.errors import StudyError
from trace2skill.study import Study, open_executor, record_look
from trace2skill.study.cells import RESULT
from trace2skill.study.store import Store


def test_a_cell_is_brought_whole_and_one_under_way_is_left_alone(tmp_path: Path) -> None:
    store = Store(f"file://{tmp_path}/store")
    made = tmp_path / "made" / "cell"
    (made / "run" / "skill").mkdir(parents=True)
    (made / "run" / "skill" / "SKILL.md").write_text("text")
    (made / ".cell.lock").write_text("process 1")
    store.keep(made)
    here, busy = tmp_path / "here" / "cell", tmp_path / "busy" / "cell"
    busy.mkdir(parents=True)
    store.fetch(here)
    store.fetch(busy)
    assert sorted(path.name for path in here.rglob("*")) == ["SKILL.md", "run", "skill"]
    assert not any(busy.iterdir())
    assert store.finished() == set()

    (made / RESULT).write_text("{}")
    store.keep(made)
    store.fetch(busy)
    assert store.finished() == {"cell"}
    assert (busy / RESULT).read_text() == "{}"
    assert (busy / "run" / "skill" / "SKILL.md").read_text() == "text"

    store.fetch(tmp_path / "here" / "unknown")
    assert not (tmp_path / "here" / "unknown").exists()


def test_a_name_that_leads_out_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fsspec

    system = fsspec.filesystem("memory")
    monkeypatch.setattr(system, "find", lambda path: [f"{path}/{RESULT}", f"{path}/../../out"])
    with pytest.raises(StudyError, match="leads out of it"):
        Store("memory://store").fetch(tmp_path / "cell")
    assert not (tmp_path / "cell").exists()


def test_an_address_that_nobody_knows(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"--store nonesuch://x: .* Name an address that fsspec knows"):
        Store("nonesuch://x").fetch(tmp_path / "cell")


def test_a_store_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StudyError, match=r"The store file://.* cannot be used"):
        Store(f"file://{tmp_path}/file").write("looks.jsonl", "")


def test_what_is_finished_in_the_store_is_not_run_again(tmp_path: Path) -> None:
    """These cells copy nothing, as one does whose copy fails: the run makes up for it in the end."""
    store = f"file://{tmp_path}/store"
    file = write(tmp_path)
    here, there = (Study.load(file, runs=tmp_path / name, store=store) for name in ("here", "there"))
    here.run(Instant(), quiet)
    record_look(here, "report")
    again = Instant()

    assert counted(there.run(again, quiet)) == {"finished": 5}
    assert again.ran == []
    assert there.frozen() == here.frozen()
    assert there.looks() == here.looks()


def test_what_was_finished_before_there_was_a_store_is_kept_there_too(tmp_path: Path) -> None:
    file = write(tmp_path)
    Study.load(file, runs=tmp_path / "runs").run(Instant(), quiet)
    store = f"file://{tmp_path}/store"
    Study.load(file, runs=tmp_path / "runs", store=store).run(Instant(), quiet)
    there = Study.load(file, runs=tmp_path / "there", store=store)
    there.fetch()

    assert counted(there.states()) == {"finished": 5}


def test_looks_of_all_machines_count(tmp_path: Path) -> None:
    store, file = f"file://{tmp_path}/store", write(tmp_path)
    one, other = (Study.load(file, runs=tmp_path / name, store=store) for name in ("one", "other"))
    one.run(Instant(), quiet)
    other.fetch()
    record_look(one, "report of one")
    record_look(other, "report of the other")
    one.fetch()

    assert {"report of one", "report of the other"} < {look.what for look in one.looks()}
    assert {look.what for look in one.looks()} == {look.what for look in other.looks()} | {"report of one"}


def test_a_store_of_another_study_is_no_store_of_this(tmp_path: Path) -> None:
    store = f"file://{tmp_path}/store"
    Study.load(write(tmp_path / "a"), runs=tmp_path / "a" / "runs", store=store).run(Instant(), quiet)
    changed = [{**CONTENT["primary"][0], "against": "human-written"}]
    other = Study.load(write(tmp_path / "b", primary=changed), runs=tmp_path / "b" / "runs", store=store)

    with pytest.raises(StudyError, match="another study's"):
        other.fetch()
    assert other.frozen() is None
    Study.load(other.file, runs=other.runs).run(Instant(), quiet)
    with pytest.raises(StudyError, match="frozen with different comparisons"):
        other.fetch()


def test_a_store_that_cannot_be_written_is_known_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    executor = Instant()
    study = Study.load(write(tmp_path), runs=tmp_path / "runs", store=f"file://{tmp_path}/file")
    with pytest.raises(StudyError, match="cannot be used"):
        study.run(executor, quiet)
    assert executor.ran == []
    assert study.frozen() is None


@pytest.mark.slow
def test_machines_that_share_nothing_but_a_store(tmp_path: Path) -> None:
    """The runs folder is taken away between two runs, and once from under a cell's result."""
    alone = load(tmp_path / "alone")
    alone.run(open_executor("local", 2), quiet)
    store = f"file://{tmp_path}/store"
    file = write(tmp_path / "shared")
    first = Study.load(file, runs=tmp_path / "first", store=store)
    first.run(open_executor("local", 2), quiet)
    gone = next(path for path in (tmp_path / "store").iterdir() if path.name.startswith("evaluate-"))
    shutil.rmtree(gone)
    second = Study.load(file, runs=tmp_path / "second", store=store)
    ran: list[str] = []
    second.run(
        open_executor("local", 2), lambda cell, state: ran.append(cell.name) if state.state == "running" else None
    )

    assert ran == [gone.name]
    assert (gone / RESULT).is_file()
    assert scores(first) == scores(second) == scores(alone)
