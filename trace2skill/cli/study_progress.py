"""How far a study is, while it runs: a live display on a terminal, a line for each cell elsewhere."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import click
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from trace2skill.models.simulated import TAG
from trace2skill.study.cells import Cell
from trace2skill.study.running import State, Watcher
from trace2skill.study.study import Study
from trace2skill.text import printable


@contextmanager
def progress(study: Study) -> Iterator[Watcher]:
    """A display of a run; it is told of each cell that begins or ends."""
    if sys.stdout.isatty():
        with _Live(study) as live:
            yield live.watch
    else:
        lines = _Lines(len(study.cells))
        yield lines.watch
        lines.say_reused()


class _Counted:
    """What has ended, and what is under way."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.ended = 0
        self.failed = 0
        self.began: dict[str, tuple[Cell, float]] = {}

    def count(self, cell: Cell, state: State) -> float | None:
        """Count a cell; how long it took, where it ran now."""
        if state.state == "running":
            self.began[cell.digest] = (cell, time.monotonic())
            return None
        self.ended += 1
        self.failed += state.state in ("failed", "blocked")
        _, since = self.began.pop(cell.digest, (cell, None))
        return None if since is None else time.monotonic() - since


class _Lines(_Counted):
    """A line for each cell that begins, and one when it has run."""

    reused = 0

    def say_reused(self) -> None:
        if self.reused:
            click.echo(f"[{self.ended}/{self.total}] {self.reused} cells are finished already")
        self.reused = 0

    def watch(self, cell: Cell, state: State) -> None:
        took = self.count(cell, state)
        if state.state == "running":
            self.say_reused()
            click.echo(f"[{self.ended}/{self.total}] begins  {cell.name}")
            return
        if state.state == "finished" and took is None:
            self.reused += 1
            return
        after = f" after {took:.0f} s" if took is not None else ""
        why = f": {state.why}" if state.why else ""
        click.echo(printable(f"[{self.ended}/{self.total}] {state.state}{after}  {cell.name}{why}"))


class _Live(_Counted):
    """Bars and what is under way, redrawn in place."""

    def __init__(self, study: Study) -> None:
        super().__init__(len(study.cells))
        stamp = f"{TAG} " if study.simulated else ""
        self._bar = Progress(
            TextColumn(f"{stamp}{study.declaration.name}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
        )
        self._task = self._bar.add_task("", total=self.total)
        self._live = Live(get_renderable=self._shown, console=Console(), refresh_per_second=2)

    def __enter__(self) -> "_Live":
        self._live.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._live.__exit__(None, None, None)

    def watch(self, cell: Cell, state: State) -> None:
        self.count(cell, state)
        self._bar.update(self._task, completed=self.ended)
        if state.state == "failed":
            self._live.console.print(Text(f"failed  {cell.name}: {printable(state.why)}", style="red"))

    def _shown(self) -> Group:
        now = time.monotonic()
        rows = [Text(f"  {cell.name}  {now - since:.0f} s") for cell, since in [*self.began.values()]]
        failed = [Text(f"  {self.failed} failed or blocked", style="red")] if self.failed else []
        return Group(self._bar, *rows, *failed)
