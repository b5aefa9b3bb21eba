"""A study: its declaration, its runs folder, what it has to run and what came of it."""

import json
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from trace2skill.errors import StudyError, Trace2SkillError
from trace2skill.files import HeldError, held, naming_full_disk
from trace2skill.models.simulated import TAG, is_simulated
from trace2skill.study.cells import Cell, Result
from trace2skill.study.declaration import Declaration
from trace2skill.study.evaluations import Evaluation, Metric, Status
from trace2skill.study.executors import Executor
from trace2skill.study.expansion import Expansion, Row, expand
from trace2skill.study.freezing import (
    Frozen,
    Look,
    add_look,
    check_frozen,
    freeze,
    note_evaluations,
    read_frozen,
    read_looks,
    share_record,
)
from trace2skill.study.reading import find_file, read_declaration
from trace2skill.study.running import CellState, Running, State, Watcher, states
from trace2skill.study.store import Store
from trace2skill.study.working import SELECTION

if TYPE_CHECKING:
    import pandas as pd

_LOCK = ".study.lock"
_STORED = "README"
"""Is written to a store first, so that one that cannot be written is known before anything is paid for."""

_STATUS: dict[CellState, Status] = {
    "finished": "finished",
    "failed": "failed",
    "blocked": "blocked",
    "running": "not evaluated",
    "not run": "not evaluated",
}


class Study:
    """A declared study and its runs.

    Attributes:
        declaration: What is declared, with the scale laid over it.
        file: The declaration's file.
        folder: Its folder.
        runs: The runs folder, absolute.
        scale: Name of the scale; none for the study itself.
        store: Where finished cells are kept besides; none where they are not.
    """

    def __init__(
        self,
        declaration: Declaration,
        file: Path,
        runs: Path,
        scale: str | None = None,
        store: str | None = None,
    ) -> None:
        self.declaration = declaration
        self.file = file
        self.folder = file.parent
        self.runs = runs.resolve()
        self.scale = scale
        self.store = Store(store) if store else None
        self._opened = False

    @classmethod
    def load(
        cls,
        path: str | Path,
        scale: str | None = None,
        runs: str | Path | None = None,
        store: str | None = None,
    ) -> "Study":
        """Read a study.

        Args:
            path: `study.yaml`, or its folder.
            scale: One of the declaration's scales.
            runs: The runs folder; by default `runs/<name>`, with the scale's name where there is one.
            store: An fsspec address, such as `s3://bucket/study`, at which the runs folder is kept besides.

        Raises:
            StudyError: The declaration has faults; all are named, with their lines.
        """
        file = find_file(path)
        declaration = read_declaration(file, scale)
        folder = declaration.name if scale is None else f"{declaration.name}-{scale}"
        return cls(declaration, file, Path(runs) if runs else Path("runs") / folder, scale, store)

    @property
    def simulated(self) -> bool:
        """Whether a stand-in is among the models."""
        return is_simulated(model.model for model in self.declaration.models.values())

    @cached_property
    def expansion(self) -> Expansion:
        """The cells and rows.

        Raises:
            Trace2SkillError: A skill or profile that the declaration names cannot be read.
        """
        try:
            return expand(self.declaration)
        except Trace2SkillError as error:
            raise StudyError(f"{self.file}: {error}") from error

    @property
    def cells(self) -> Mapping[str, Cell]:
        """The cells by digest, none before what it needs."""
        return self.expansion.cells

    def states(self) -> dict[str, State]:
        """How each cell stands, by digest."""
        return states(self.cells.values(), self.runs)

    def frozen(self) -> Frozen | None:
        """The primary comparisons as they were before a test split was opened; none before that."""
        return read_frozen(self.runs)

    def looks(self) -> tuple[Look, ...]:
        """Every look at the test splits so far."""
        return read_looks(self.runs)

    def fetch(self) -> None:
        """Bring here what the store has and the runs folder lacks: finished cells, what was frozen, looks.

        Raises:
            StudyError: The store cannot be read.
        """
        if self.store is None:
            return
        self.keep_record()
        finished = self.store.finished()
        for cell in self.cells.values():
            if cell.name in finished:
                self.store.fetch(self.runs / cell.name)

    def check_frozen(self, refreeze: str | None = None) -> None:
        """Check that the primary comparisons are those of before a test split was opened, or freeze others.

        Args:
            refreeze: Why they have changed since; it is kept.

        Raises:
            StudyError: They have changed and no reason is given, or there is a reason and nothing to freeze anew.
        """
        check_frozen(self.runs, self.declaration, refreeze)

    def run(self, executor: Executor, watch: Watcher) -> dict[str, State]:
        """Run what is not finished.

        Args:
            executor: Where cells run; it is stopped at the end.
            watch: Is told of each cell that begins or ends.

        Returns:
            How each cell stands, by digest.

        Raises:
            StudyError: The primary comparisons have changed, or another process runs the study.
            InterruptedRunError: It was stopped; what is finished is kept.
            DiskFullError: There is no space left; what is finished is kept.
        """
        try:
            with naming_full_disk(self.runs), held(self.runs / _LOCK):
                self.fetch()
                self.keep_finished()
                self.check_frozen()
                running = Running(
                    cells=self.cells,
                    runs=self.runs,
                    executor=executor,
                    watch=watch,
                    before_test=self._open_test,
                    budget=self._over_budget,
                    at_once={name: row.at_once for name, row in self.declaration.models.items() if row.at_once},
                    tags=(TAG,) if self.simulated else (),
                    store=self.store,
                )
                standing = running.run()
                # Of a cell whose copy failed only this machine knows that it is finished.
                self.keep_finished()
                return standing
        except HeldError as error:
            raise StudyError(
                f"The study runs already in {self.runs} ({error}). Wait for it, or name other --runs."
            ) from error
        finally:
            executor.stop()

    def _open_test(self) -> None:
        """Before a test split is opened: freeze what was declared, and count the look."""
        if self._opened:
            return
        freeze(self.runs, self.declaration)
        standing = self.states()
        rows = [row for row in self.expansion.rows.values() if row.split == "test"]
        note_evaluations(
            self.runs, {row.key: row.cell.digest for row in rows if standing[row.cell.digest].state != "finished"}
        )
        self.keep_record()
        self._opened = True

    def keep_record(self) -> None:
        """Have the runs folder and the store tell the same of what was frozen, and of the looks.

        Raises:
            StudyError: They were frozen with different comparisons, or the store cannot be used.
        """
        if self.store:
            share_record(self.runs, self.store, self.declaration)

    def keep_finished(self) -> None:
        """Copy cells to the store that are finished here and not there.

        Raises:
            StudyError: The store cannot be written.
        """
        if self.store is None:
            return
        self.store.write(_STORED, "Cells of a trace2skill study.\n")
        there = self.store.finished()
        for digest, state in self.states().items():
            if state.state == "finished" and self.cells[digest].name not in there:
                self.store.keep(self.runs / self.cells[digest].name)

    def _over_budget(self, results: Iterable[Result]) -> str:
        budget = self.declaration.budget
        if budget.tokens is None and budget.gpu_hours is None:
            return ""
        done = list(results)
        tokens = sum(result.input_tokens + result.output_tokens for result in done)
        gpus = {digest: self._gpus(cell) for digest, cell in self.cells.items()}
        hours = sum(result.seconds * gpus.get(result.digest, 0) for result in done) / 3600
        if budget.tokens is not None and tokens >= budget.tokens:
            return (
                f"The budget of {budget.tokens:,} tokens is used up. Raise it in study.yaml, and run the study again."
            )
        if budget.gpu_hours is not None and hours >= budget.gpu_hours:
            return f"The budget of {budget.gpu_hours:g} GPU hours is used up. Raise it in study.yaml, and run again."
        return ""

    def _gpus(self, cell: Cell) -> int:
        return self.declaration.models[cell.model].gpus if cell.model else 0

    def evaluations(self) -> tuple[Evaluation, ...]:
        """Every evaluation that the study wants, and how it stands."""
        standing = self.states()
        return tuple(self._evaluation(row, standing[row.cell.digest]) for row in self.expansion.rows.values())

    def _evaluation(self, row: Row, state: State) -> Evaluation:
        domain = self.declaration.domains[row.domain]
        declared = self.declaration.benchmarks[row.benchmark]
        place = self.runs / row.cell.name
        return Evaluation(
            key=row.key,
            domain=row.domain,
            benchmark=row.benchmark,
            metrics={name: Metric(scorer=each.scorer, key=each.key) for name, each in declared.metrics.items()},
            split=row.split,
            seen=declared.seen,
            in_distribution=row.benchmark in (domain.evolve_on, *domain.in_distribution),
            user=row.user,
            author=row.author,
            mode=row.mode,
            condition=row.condition,
            seed=row.seed,
            status=_STATUS[state.state],
            why=state.why,
            logs=tuple(place / log for log in state.result.logs) if state.result else (),
            artefact=self._artefact(row.artefact) if row.artefact else None,
        )

    def _artefact(self, cell: Cell) -> Path | None:
        """The folder of the run that made a skill or bank; none where it is not made yet."""
        folder = self.runs / cell.name
        if cell.kind == "select":
            try:
                chosen = json.loads((folder / SELECTION).read_text(encoding="utf-8"))["chosen"]
            except (OSError, ValueError, KeyError):
                return None
            return self._artefact(cell.needs[f"seed-{chosen}"])
        if cell.kind == "draft":
            made = folder / str(cell.definition["name"])
        else:
            made = folder / {"evolve": "run", "control": "control"}[cell.kind]
        return made if made.is_dir() else None

    def results(self) -> "pd.DataFrame":
        """One row for each run of a sample, of all finished evaluations, with the coordinates of its evaluation.

        The columns are those of `inspect_ai.analysis.samples_df`, before them `key`, `domain`, `benchmark`, `split`,
        `in_distribution`, `user`, `author`, `mode`, `condition` and `evolution_seed`. What serves several evaluations
        stands there for each.
        """
        from trace2skill.study.frames import results_frame

        return results_frame(self.evaluations())


def record_look(study: Study, what: str) -> Look:
    """Count a look at the test splits, such as a report.

    Args:
        study: The study.
        what: What was looked at, and by what, such as "report: tables 1 to 6".
    """
    look = add_look(study.runs, what)
    study.keep_record()
    return look
