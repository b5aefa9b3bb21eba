"""What the stages of one evolution run share, and how a stage is run."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from inspect_ai import Task
from inspect_ai.log import EvalLog, EvalSample
from inspect_ai.model import Model
from inspect_ai.util import DisplayType

from trace2skill.consolidation.ledger import Ledger
from trace2skill.evolution.configuration import EvolveConfig
from trace2skill.evolution.stages import StageUsage, Tally, finished_samples, run_stage, usage
from trace2skill.models.asking import Asking
from trace2skill.models.cast import Cast
from trace2skill.models.simulated import TAG
from trace2skill.skill.folder import Skill


@dataclass(frozen=True, kw_only=True)
class Run:
    """An evolution run under way; its stages add to the ledger, the costs and the notes."""

    folder: Path
    config: EvolveConfig
    asking: Asking
    cast: Cast | None
    display: DisplayType | None
    max_connections: int | None
    simulated: bool
    ledger: Ledger = field(default_factory=Ledger)
    costs: list[StageUsage] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def skill(self) -> Skill:
        """The frozen skill."""
        return self.asking.skill

    def stage(
        self,
        name: str,
        tasks: Sequence[Task],
        waits_for: Callable[[str], Sequence[str]] = lambda _: (),
        model: Model | None = None,
        tolerate: int = 0,
    ) -> Iterator[tuple[EvalLog, EvalSample]]:
        """Run or resume a stage; its samples, one at a time. What it cost is noted at the end.

        Args:
            name: Its log folder.
            tasks: Its tasks.
            waits_for: The samples that a sample has to wait for.
            model: Its model, where it is not the run's.
            tolerate: Samples that may break without stopping the run.
        """
        assert self.cast is not None, "only runs with a model have stages"
        logs = run_stage(
            tasks,
            self.folder / "logs" / name,
            model or self.cast.main,
            display=self.display,
            tags=(TAG,) if self.simulated else (),
            max_connections=self.max_connections,
            roles=self.cast.roles,
            tolerate=tolerate,
        )
        for log in logs:
            tally = Tally()
            for sample in finished_samples(log):
                tally.add(sample)
                yield log, sample
            self.costs.append(usage(log, tally, {sample: waits_for(sample) for sample in tally.seconds}))
