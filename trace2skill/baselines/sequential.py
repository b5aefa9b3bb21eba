"""Sequential editing: the skill is edited after every few trajectories, each edit seeing the last one's result.

The baseline of the Trace2Skill paper (arXiv 2603.25158, section 4.1), as its code does it (`run_evolution`): failures
only, in the order of the logs, in slices; each call sees the whole current skill, the slice's causes and lessons,
neither trajectories nor what was changed before, its place in the row, and how long the skill may be; temperature 0.3;
what does not apply is rolled back, a slice that does not fit in the context is dropped; a last call sees all changes.
Ours: analyses, gate, guards, schema and repair rounds of the parallel method, and support that is counted.

The calls of a run are a chain of samples: each starts when the one before it has ended, and the skill after it is a
pure function of the answers so far. So a second run after a crash finds the same skill and goes on with the next call.
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import replace

from trace2skill.analysis.gate import Verdicts, gate
from trace2skill.analysis.reports import Analysis
from trace2skill.baselines.editing import CONSOLIDATION, Chain, Current, Round, Step, editing, step_of
from trace2skill.consolidation.assembly import Assembled, stamped
from trace2skill.edits.apply import apply_edits
from trace2skill.edits.patch import Edit
from trace2skill.edits.provenance import provenance_of
from trace2skill.evolution.analyses import analyse
from trace2skill.evolution.configuration import Analysts
from trace2skill.evolution.folder import Manifest, Record, simulated, write_run
from trace2skill.evolution.inputs import Inputs
from trace2skill.evolution.run import Run
from trace2skill.logs.trajectory import Trajectories
from trace2skill.skill.folder import Skill

LOST = "its batch was dropped: "
UNHEARD = "no edit was made of its lessons"


def sequential(run: Run, inputs: Inputs, record: Record) -> Manifest:
    """The sequential method: analyse, edit batch by batch, consolidate, write."""
    read, config = inputs.trajectories, run.config
    assert read is not None, "only the parallel method takes patches instead of logs"
    start = Current(skill=run.skill, lines={}, stamp=simulated(record), allow=config.allow)
    editor = _Editing(run, start)
    if config.analyse_with == "initial":
        usable = {row.trajectory: row for row in _usable(run, *analyse(run, read))}
        batches = slices(in_order(read, usable, config.order_seed), config.batch)
        editor.edit("edits", editor.rounds([[usable[name] for name in batch] for batch in batches], last=True))
    else:
        _edit_with_current(run, read, editor)
    assembled = editor.assembled(run.skill)
    notes = list(dict.fromkeys(run.notes))
    return write_run(run.folder, record, assembled, run.ledger.rows(), run.costs, read.counts(), notes=notes)


def _edit_with_current(run: Run, read: Trajectories, editor: "_Editing") -> None:
    """Each batch is analysed when its turn comes, with the skill of that moment."""
    batches = slices(in_order(read, analysed(run.config.analysts, read), run.config.order_seed), run.config.batch)
    for number, names in enumerate(batches, start=1):
        node = f"batch-{number:04}"
        part = replace(read, all=tuple(row for row in read.all if row.id in names))
        seeing = replace(run, asking=replace(run.asking, skill=editor.current.skill))
        usable = {row.trajectory: row for row in _usable(run, *analyse(seeing, part, f"analysis-{node}"))}
        batch = tuple(usable[name] for name in names if name in usable)
        editor.edit(f"edits-{node}", [Round(node, number, len(batches), batch)] if batch else [])
    editor.edit(CONSOLIDATION, editor.rounds([], last=True))


def analysed(analysts: Analysts, read: Trajectories) -> list[str]:
    """Ids of the trajectories that are analysed."""
    return [row.id for row in read.all if analysts == "combined" or row.success == (analysts == "success")]


def in_order(read: Trajectories, names: Iterable[str], seed: int | None = None) -> list[str]:
    """Trajectories in the order of the logs' samples, or shuffled."""
    rows = {row.id: row for row in read.all}
    places = {
        (header.file, sample): (log, place)
        for log, header in enumerate(read.headers)
        for place, sample in enumerate(header.sample_ids)
    }

    def place(name: str) -> tuple[tuple[int, int], int, str]:
        row = rows[name]
        return places.get((row.log, str(row.sample_id)), (len(read.headers), 0)), row.epoch, name

    ordered = sorted(names, key=place)
    if seed is not None:
        random.Random(seed).shuffle(ordered)
    return ordered


def slices(names: Sequence[str], batch: int) -> list[Sequence[str]]:
    """Batches of a size; the last one may be smaller."""
    return [names[start : start + batch] for start in range(0, len(names), batch)]


def _usable(run: Run, analyses: Sequence[Analysis], verdicts: Verdicts) -> list[Analysis]:
    """The analyses with lessons that may be used; the others end in the ledger."""
    usable = []
    for analysis in analyses:
        for lesson in analysis.lessons_stopped:
            run.ledger.lesson(analysis.trajectory, lesson)
        reason = gate(analysis, verdicts)
        if reason or not analysis.lessons:
            run.ledger.analysis(analysis.trajectory, reason or "no lesson was drawn")
        else:
            usable.append(analysis)
    return usable


class _Editing:
    """The skill on its way, and what every call has brought."""

    def __init__(self, run: Run, start: Current) -> None:
        self.current = start
        self._run = run
        self._proposed: list[Edit] = []
        self._read: list[Analysis] = []

    def rounds(self, batches: Sequence[Sequence[Analysis]], *, last: bool) -> list[Round]:
        """The calls for some batches, and the last one if the settings want it."""
        rounds = [
            Round(f"batch-{number:04}", number, len(batches), tuple(batch)) for number, batch in enumerate(batches, 1)
        ]
        if last and self._run.config.final_consolidation:
            read = (*self._read, *(analysis for batch in batches for analysis in batch))
            rounds.append(Round(CONSOLIDATION, len(batches), len(batches), read))
        return rounds

    def edit(self, stage: str, rounds: Sequence[Round]) -> None:
        """Run or resume some calls, and enter the fates of their edits."""
        chain = Chain(self.current, rounds)
        if chain.due is None:
            return
        waits_for = chain.waits_for()
        samples = self._run.stage(stage, [editing(chain, self._run.asking)], lambda node: waits_for.get(node, ()))
        steps = {step.node: step for _, sample in samples if (step := step_of(sample))}
        for each in rounds:
            if step := steps.get(each.node):
                self._enter(each, step)

    def assembled(self, initial: Skill) -> Assembled:
        """The evolved skill with the origin of its lines; the ledger is balanced."""
        final = stamped(apply_edits(self.current.skill, (), self.current.lines), self.current.stamp)
        used = [edit for _, edit in self.current.changes]
        provenance = provenance_of(final.skill.name, final.skill.digest, final.lines, used, self.current.stamp)
        totals = {"proposed": len(self._proposed), **dict(sorted(self._run.ledger.balance(self._proposed).items()))}
        return Assembled(initial=initial, evolved=final.skill, provenance=provenance, totals=totals)

    def _enter(self, each: Round, step: Step) -> None:
        self.current, ended = self.current.after(step)
        for row in ended:
            self._run.ledger.edit(row.edit, row.fate, proposed=True, reason=row.reason)
        self._proposed += step.edits
        if step.dropped:
            self._run.notes.append(f"{each.node} of {each.of} batches was left out: {step.dropped}")
        if each.node == CONSOLIDATION:
            return
        self._read += each.analyses
        heard = {name for edit in step.edits for name in edit.support}
        for analysis in each.analyses:
            if analysis.trajectory not in heard:
                self._run.ledger.analysis(analysis.trajectory, f"{LOST}{step.dropped}" if step.dropped else UNHEARD)
