import json
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import pytest

from tests.trace2skill.study.tiny import CONTENT, load
from trace2skill.errors import InterruptedRunError, StudyError
from trace2skill.study import Study, record_look
from trace2skill.study.cells import RESULT, Cell, Job, Result
from trace2skill.study.process import INTERRUPTED
from trace2skill.study.running import State


class Instant:
    """Cells that end at once, as a test wants them to."""

    def __init__(self, outcome: Callable[[Job], str] = lambda _: "", slots: int = 2) -> None:
        self.slots = slots
        self.outcome = outcome
        self.ran: list[str] = []
        self.stopped = 0

    def submit(self, job: Job) -> "Future[str]":
        self.ran.append(job.slug)
        future: Future[str] = Future()
        try:
            why = self.outcome(job)
        except Exception as error:
            future.set_exception(error)
            return future
        if not why:
            finish(job)
        future.set_result(why)
        return future

    def stop(self) -> None:
        self.stopped += 1


def finish(job: Job, tokens: int = 10) -> None:
    result = Result(
        kind=job.kind, slug=job.slug, digest=job.digest, definition=job.definition, needs={}, output_tokens=tokens
    )
    Path(job.folder).mkdir(parents=True, exist_ok=True)
    (Path(job.folder) / RESULT).write_text(result.model_dump_json())


def quiet(cell: Cell, state: State) -> None:
    pass


def counted(standing: dict[str, State]) -> dict[str, int]:
    states = [state.state for state in standing.values()]
    return {name: states.count(name) for name in set(states)}


def test_everything_runs_once_and_what_others_wait_for_first(tmp_path: Path) -> None:
    study, executor = load(tmp_path), Instant()

    first = study.run(executor, quiet)
    again = Instant()
    second = study.run(again, quiet)

    assert counted(first) == counted(second) == {"finished": 5}
    assert executor.ran[0].startswith("problems-evolve-small-deep")
    assert len(executor.ran) == 5
    assert again.ran == []
    assert executor.stopped == again.stopped == 1


def test_a_failure_blocks_what_needs_it_and_nothing_else(tmp_path: Path) -> None:
    study = load(tmp_path)

    standing = study.run(Instant(lambda job: "the disk is full" if job.kind == "evolve" else ""), quiet)

    assert counted(standing) == {"finished": 3, "failed": 1, "blocked": 1}
    (blocked,) = (state for state in standing.values() if state.state == "blocked")
    assert "which failed: the disk is full" in blocked.why
    assert counted(study.run(Instant(), quiet)) == {"finished": 5}


def test_an_executor_that_breaks_fails_the_cell(tmp_path: Path) -> None:
    def broken(job: Job) -> str:
        if job.kind == "rollout":
            raise RuntimeError("the worker is gone")
        return ""

    standing = load(tmp_path).run(Instant(broken), quiet)

    assert counted(standing) == {"finished": 2, "failed": 1, "blocked": 2}
    assert "RuntimeError: the worker is gone" in {state.why for state in standing.values()}


def test_an_interrupt_stops_the_study(tmp_path: Path) -> None:
    executor = Instant(lambda job: INTERRUPTED if job.kind == "evolve" else "", slots=1)

    with pytest.raises(InterruptedRunError, match="run the same command again"):
        load(tmp_path).run(executor, quiet)

    assert executor.stopped >= 1


def test_a_budget_lets_no_further_cell_begin(tmp_path: Path) -> None:
    standing = load(tmp_path, budget={"tokens": 15}).run(Instant(slots=1), quiet)

    assert counted(standing) == {"finished": 2, "blocked": 3}
    assert any("budget of 15 tokens is used up" in state.why for state in standing.values())


def test_a_model_is_asked_by_no_more_cells_than_it_may(tmp_path: Path) -> None:
    under_way: list[int] = []

    class Slow(Instant):
        def submit(self, job: Job) -> "Future[str]":
            under_way.append(1)
            return super().submit(job)

    models = {"small": {"model": "sim/small", "at_once": 1}, "large": {"model": "sim/large"}}
    standing = load(tmp_path, models=models).run(Slow(slots=8), quiet)

    assert set(counted(standing)) == {"finished"}


def test_two_processes_do_not_run_one_study(tmp_path: Path) -> None:
    study = load(tmp_path)

    def again(job: Job) -> str:
        with pytest.raises(StudyError, match="runs already"):
            Study.load(study.file, runs=study.runs).run(Instant(), quiet)
        return ""

    assert counted(study.run(Instant(again), quiet)) == {"finished": 5}


def test_a_damaged_result_is_named(tmp_path: Path) -> None:
    study = load(tmp_path)
    study.run(Instant(), quiet)
    cell = next(iter(study.cells.values()))
    (study.runs / cell.name / RESULT).write_text("{")

    state = study.states()[cell.digest]

    assert state.state == "failed"
    assert f"Delete {study.runs / cell.name}" in state.why


def test_primary_comparisons_are_frozen_before_the_test_split_is_opened(tmp_path: Path) -> None:
    other = [{**CONTENT["primary"][0], "against": "human-written"}]
    study = load(tmp_path)
    study.run(Instant(lambda _: "no"), quiet)
    assert study.frozen() is not None

    changed = load(tmp_path, primary=other)
    with pytest.raises(StudyError, match="'helps' is another"):
        changed.run(Instant(), quiet)
    changed.check_frozen("the other was a mistake")
    changed.run(Instant(), quiet)

    frozen = changed.frozen()
    assert frozen is not None
    assert frozen.primary[0].against == "human-written"
    assert [row.reason for row in frozen.refrozen] == ["the other was a mistake"]
    with pytest.raises(StudyError, match="Leave it out"):
        changed.check_frozen("again")


def test_what_the_names_of_primary_comparisons_stand_for_is_frozen_too(tmp_path: Path) -> None:
    study = load(tmp_path)
    study.run(Instant(lambda _: "no"), quiet)
    before = study.frozen()
    model = CONTENT["models"]["small"]

    load(tmp_path, models={"small": {**model, "base_url": "http://127.0.0.1:1/v1"}}).check_frozen()
    larger = load(tmp_path, models={"small": {**model, "model": "sim/large"}})
    with pytest.raises(StudyError, match="model 'small' is another"):
        larger.check_frozen()
    larger.check_frozen("the small one is gone")

    again = load(tmp_path, models={"small": {**model, "model": "sim/large"}}, seeds=[41, 42])
    with pytest.raises(StudyError, match="the choice of seeds is another"):
        again.check_frozen()
    hotter = load(
        tmp_path,
        models={"small": {**model, "model": "sim/large"}},
        generation={"temperature": 1.0},
        limits={"retries": 3},
    )
    with pytest.raises(StudyError, match=r"\(the sampling of agents is another\)"):
        hotter.check_frozen()
    after = larger.frozen()
    assert before is not None
    assert after is not None
    assert after.at == before.at
    file = study.runs / "frozen.json"
    file.write_text(file.read_text().replace(after.meaning["the choice of seeds"], "0" * 64))
    with pytest.raises(StudyError, match="changed by hand"):
        larger.frozen()


def test_a_frozen_file_that_was_changed_by_hand_is_noticed(tmp_path: Path) -> None:
    study = load(tmp_path)
    study.run(Instant(), quiet)
    file = study.runs / "frozen.json"
    content = json.loads(file.read_text())
    content["primary"][0]["condition"] = "no-skill"
    file.write_text(json.dumps(content))

    with pytest.raises(StudyError, match="changed by hand"):
        study.frozen()


def test_nothing_is_frozen_while_no_test_split_is_opened(tmp_path: Path) -> None:
    study = load(tmp_path, arms=[{"domain": "math", "conditions": ["combined"], "modes": ["deepening"]}], primary=[])

    study.run(Instant(lambda job: "no" if job.kind == "rollout" else ""), quiet)

    assert study.frozen() is None
    assert study.looks() == ()


def test_looks_are_counted_and_resuming_is_none(tmp_path: Path) -> None:
    study = load(tmp_path)
    study.run(Instant(lambda job: "no" if job.kind == "evaluate" else ""), quiet)
    assert [look.again for look in study.looks()] == [False]

    load(tmp_path).run(Instant(), quiet)
    assert len(study.looks()) == 1

    other = load(tmp_path, generation={"temperature": 0.5})
    other.check_frozen("cooler")
    other.run(Instant(), quiet)
    record_look(other, "report: tables")

    looks = other.looks()
    assert [look.again for look in looks] == [False, True, True]
    assert "3 of them again with other settings" in looks[1].what
    assert looks[2].what == "report: tables"


def test_evaluations_say_how_they_stand(tmp_path: Path) -> None:
    study = load(tmp_path)
    assert {row.status for row in study.evaluations()} == {"not evaluated"}

    study.run(Instant(lambda job: "" if job.kind == "rollout" else "it broke"), quiet)

    # Reasons are kept by the processes of cells, which are not here.
    assert {row.split: row.status for row in study.evaluations()} == {"evolve": "finished", "test": "not evaluated"}
