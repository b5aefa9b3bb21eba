"""What a report reads of a study, and the arms that its evaluations make.

An arm is a benchmark as one model does it under one condition, over all seeds.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from trace2skill.comparison.options import Asked
from trace2skill.errors import Trace2SkillError
from trace2skill.evolution.folder import MANIFEST, Manifest
from trace2skill.files import read_model
from trace2skill.study.evaluations import Evaluation, Metric

State = Literal["measured", "failed", "blocked", "not evaluated"]


class Primary(Protocol):
    """A comparison that the study was made for, declared before it was run."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def benchmark(self) -> str:
        """Benchmark."""

    @property
    def metric(self) -> str:
        """Published name of the metric."""

    @property
    def user(self) -> str:
        """Scale of the evaluated model."""

    @property
    def author(self) -> str | None:
        """Scale of the model that made the skill."""

    @property
    def mode(self) -> str | None:
        """Where the evolution started."""

    @property
    def condition(self) -> str:
        """The condition whose effect is asked for."""

    @property
    def against(self) -> str:
        """The condition that it is compared with."""

    @property
    def margin(self) -> float | None:
        """Loss that would still be no harm."""


class Declaration(Protocol):
    """What was declared of a study."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def primary(self) -> Sequence[Primary]:
        """Its primary comparisons."""


class Source(Protocol):
    """A study, as a report reads it: `trace2skill.study.Study` is one."""

    @property
    def declaration(self) -> Declaration:
        """What was declared."""

    @property
    def folder(self) -> Path:
        """Where the declaration lies, and reports go."""

    @property
    def runs(self) -> Path:
        """Where its logs and skills lie."""

    @property
    def simulated(self) -> bool:
        """Whether a stand-in takes part."""

    def evaluations(self) -> Sequence[Evaluation]:
        """Every evaluation that it calls for."""


class ArmKey(NamedTuple):
    """What an arm is of; author and mode are empty where they do not apply."""

    benchmark: str
    user: str
    author: str
    mode: str
    condition: str

    @property
    def label(self) -> str:
        """How it was made, without benchmark and user."""
        made = ", ".join(filter(None, (self.mode, self.author and f"by {self.author}")))
        return f"{self.condition} ({made})" if made else self.condition

    @property
    def full(self) -> str:
        """All of it in words."""
        return f"{self.label} on {self.benchmark} for {self.user}"


@dataclass(frozen=True, kw_only=True)
class Arm:
    """An arm of a study with its evaluations, one for each seed."""

    key: ArmKey
    evaluations: tuple[Evaluation, ...]

    @property
    def logs(self) -> tuple[Path, ...]:
        """The finished logs of all seeds."""
        return tuple(dict.fromkeys(log for evaluation in self.evaluations for log in evaluation.logs))

    @property
    def metrics(self) -> Mapping[str, Metric]:
        """Where its metrics stand in the logs."""
        return self.evaluations[0].metrics

    @property
    def in_distribution(self) -> bool:
        """Whether its skill was made from tasks of the same benchmark."""
        return self.evaluations[0].in_distribution

    @property
    def of_seen(self) -> Asked:
        """What a comparison is asked to do about samples that a skill has seen."""
        seen = self.evaluations[0].seen
        return {"unseen_only": seen == "leave-out", "allow_in_sample": seen == "keep"}

    @property
    def artefacts(self) -> tuple[Path, ...]:
        """Folders of the runs that made its skills or banks."""
        return tuple(dict.fromkeys(each.artefact for each in self.evaluations if each.artefact))

    @property
    def unchanged(self) -> tuple[Path, ...]:
        """Those of its artefacts that are a skill as it was before, or a bank without items."""
        return tuple(folder for folder in self.artefacts if (made := manifest_of(folder)) and made.unchanged)

    @property
    def state(self) -> State:
        """Whether there is anything to show; what is not measured says why in `why`."""
        statuses = {evaluation.status for evaluation in self.evaluations}
        if self.logs and "finished" in statuses:
            return "measured"
        return "failed" if "failed" in statuses else "blocked" if "blocked" in statuses else "not evaluated"

    @property
    def why(self) -> str:
        """What the evaluations that are not finished say."""
        return "; ".join(dict.fromkeys(each.why for each in self.evaluations if each.status != "finished" and each.why))

    @property
    def incomplete(self) -> str:
        """How many seeds are there, where some are not."""
        done = sum(evaluation.status == "finished" for evaluation in self.evaluations)
        return f"{done} of {len(self.evaluations)} seeds" if 0 < done < len(self.evaluations) else ""


def arms_of(evaluations: Iterable[Evaluation]) -> dict[ArmKey, Arm]:
    """The arms on the test split, in the order of the study."""
    groups: dict[ArmKey, list[Evaluation]] = defaultdict(list)
    for each in evaluations:
        if each.split == "test":
            groups[ArmKey(each.benchmark, each.user, each.author or "", each.mode or "", each.condition)].append(each)
    return {key: Arm(key=key, evaluations=tuple(group)) for key, group in groups.items()}


def manifest_of(folder: Path) -> Manifest | None:
    """What a run wrote of itself; None where a folder is not a run's, or it cannot be read."""
    try:
        return read_model(folder / MANIFEST, Manifest)
    except (Trace2SkillError, OSError, ValueError):
        return None
