"""Runs the cells of a study: what is finished is used, what fails stops nothing but what needs it."""

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Literal

from trace2skill.errors import InterruptedRunError, StudyError
from trace2skill.files import is_held
from trace2skill.study.cells import ORDER, Cell, Job, Result
from trace2skill.study.executors import Executor
from trace2skill.study.process import INTERRUPTED, LOCK
from trace2skill.study.store import Store

CellState = Literal["finished", "running", "failed", "blocked", "not run"]


@dataclass(frozen=True, kw_only=True)
class State:
    """How a cell stands."""

    state: CellState
    why: str = ""
    """Reason where it failed or is blocked."""
    result: Result | None = None
    """What it came to, where it is finished."""


Watcher = Callable[[Cell, State], None]
"""Is told of each cell that begins, or ends."""


def states(cells: Iterable[Cell], runs: Path) -> dict[str, State]:
    """How each cell stands by what lies in the runs folder, by digest.

    Args:
        cells: The cells, none before what it needs.
        runs: The runs folder.
    """
    found: dict[str, State] = {}
    for cell in cells:
        state = _alone(cell, runs / cell.name)
        if state.state in ("not run", "failed") and (why := _blocked(cell, found)):
            state = State(state="blocked", why=why)
        found[cell.digest] = state
    return found


def _alone(cell: Cell, folder: Path) -> State:
    from trace2skill.study.working import read_failure, read_result

    try:
        if (result := read_result(folder, cell.digest)) is not None:
            return State(state="finished", result=result)
    except StudyError as error:
        return State(state="failed", why=str(error))
    if is_held(folder / LOCK):
        return State(state="running")
    failure = read_failure(folder, cell.digest)
    return State(state="failed", why=failure.why) if failure else State(state="not run")


def _blocked(cell: Cell, found: Mapping[str, State]) -> str:
    for needed in cell.needs.values():
        state = found.get(needed.digest)
        if state is not None and state.state == "failed":
            return f"It needs {needed.name}, which failed: {state.why}"
        if state is not None and state.state == "blocked":
            return state.why
    return ""


@dataclass(kw_only=True)
class Running:
    """Cells under way."""

    cells: Mapping[str, Cell]
    runs: Path
    executor: Executor
    watch: Watcher
    before_test: Callable[[], None]
    """Is called before the first cell that opens a test split."""
    budget: Callable[[Iterable[Result]], str]
    """Says why no further cell may begin; else nothing."""
    at_once: Mapping[str, int]
    """Cells that may ask a model at once, by its label, where that is limited."""
    tags: tuple[str, ...] = ()
    store: Store | None = None
    results: dict[str, State] = field(default_factory=dict)

    def run(self) -> dict[str, State]:
        """Run everything that can be run; how each cell stands, by digest.

        Raises:
            InterruptedRunError: It was stopped; what is finished is kept.
        """
        needs = {name: [need.digest for need in cell.needs.values()] for name, cell in self.cells.items()}
        sorter = TopologicalSorter(needs)
        sorter.prepare()
        before = states(self.cells.values(), self.runs)
        ready: list[tuple[int, int, str]] = []
        under_way: dict[Future[str], Cell] = {}
        try:
            while True:
                self._collect(sorter, before, ready)
                self._begin(ready, under_way)
                if not under_way:
                    return self._all()
                self._end(under_way, sorter)
        except KeyboardInterrupt:
            self.executor.stop()
            raise InterruptedRunError(
                f"Interrupted. What is finished is kept in {self.runs}: run the same command again to go on."
            ) from None

    def _collect(
        self, sorter: "TopologicalSorter[str]", before: Mapping[str, State], ready: list[tuple[int, int, str]]
    ) -> None:
        """Take the cells that wait for nothing any more; those that are finished let others come."""
        numbers = {name: number for number, name in enumerate(self.cells)}
        while names := sorter.get_ready():
            for name in names:
                if before[name].state == "finished":
                    self._note(self.cells[name], before[name])
                    sorter.done(name)
                else:
                    heapq.heappush(ready, (ORDER.index(self.cells[name].kind), numbers[name], name))

    def _begin(self, ready: list[tuple[int, int, str]], under_way: dict[Future[str], Cell]) -> None:
        """Begin as many cells as there is room for."""
        asked = Counter(cell.model for cell in under_way.values())
        put_back = []
        while ready and len(under_way) < self.executor.slots:
            item = heapq.heappop(ready)
            cell = self.cells[item[2]]
            if cell.model in self.at_once and asked[cell.model] >= self.at_once[cell.model]:
                put_back.append(item)
                continue
            if why := self.budget(state.result for state in self.results.values() if state.result):
                self._note(cell, State(state="blocked", why=why))
                continue
            if cell.test:
                self.before_test()
            asked[cell.model] += 1
            self.watch(cell, State(state="running"))
            under_way[self.executor.submit(self.job(cell))] = cell
        for item in put_back:
            heapq.heappush(ready, item)

    def job(self, cell: Cell) -> Job:
        """A cell for a process."""
        return cell.job(self.runs, self.tags, self.store.address if self.store else "")

    def _end(self, under_way: dict[Future[str], Cell], sorter: "TopologicalSorter[str]") -> None:
        """Wait for a cell to end, and note how."""
        for future in wait(under_way, return_when=FIRST_COMPLETED).done:
            cell = under_way.pop(future)
            error = future.exception()
            why = f"{type(error).__name__}: {error}" if error else future.result()
            if why == INTERRUPTED:
                raise KeyboardInterrupt
            if not why and self.store:
                self.store.fetch(self.runs / cell.name)
            state = State(state="failed", why=why) if why else _alone(cell, self.runs / cell.name)
            self._note(cell, state)
            if state.state == "finished":
                sorter.done(cell.digest)

    def _note(self, cell: Cell, state: State) -> None:
        self.results[cell.digest] = state
        self.watch(cell, state)

    def _all(self) -> dict[str, State]:
        """Every cell, those that were never begun as blocked."""
        found: dict[str, State] = {}
        for name, cell in self.cells.items():
            state = self.results.get(name)
            if state is None:
                state = State(state="blocked", why=_blocked(cell, found) or "What it needs is not there.")
                self.watch(cell, state)
            found[name] = state
        return found
