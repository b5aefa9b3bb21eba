"""The stronger gate: the original agent plays a failed task again with one lesson alone added to its skill.

A lesson that never turns the failure into a success is dropped. The clean run shows that the analyst found a way to
pass; the replay shows that the agent passes when it is told so.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from inspect_ai import Task, task_with
from inspect_ai.dataset import Sample
from inspect_ai.model import GenerateConfig
from inspect_ai.solver import Generate, Solver, TaskState, solver

from trace2skill.edits.apply import apply_edits
from trace2skill.edits.patch import Edit, pair_links
from trace2skill.errors import LogError
from trace2skill.logs.header import Header
from trace2skill.logs.task import NOTHING, recreate_task, sample_of, solver_of
from trace2skill.logs.trajectory import Trajectory
from trace2skill.logs.trust import Allowed
from trace2skill.models.sampling import TIMES
from trace2skill.skill.folder import Skill, save_skill


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """Edits that stand or fall together: one edit, or a new reference file and what links it."""

    trajectory: Trajectory
    edits: tuple[Edit, ...]

    @property
    def id(self) -> str:
        """Id of its first edit."""
        return self.edits[0].id


def lessons_of(trajectory: Trajectory, edits: Sequence[Edit]) -> list[Lesson]:
    """A patch as lessons, in the order of their first edits."""
    groups: list[list[Edit]] = []
    for edit in pair_links(edits):
        tied = [
            group for group in groups if any(other.id in edit.requires or edit.id in other.requires for other in group)
        ]
        groups = [group for group in groups if group not in tied]
        groups.append([*(other for group in tied for other in group), edit])
    units = [tuple(sorted(group, key=lambda edit: edit.id)) for group in groups]
    return [Lesson(trajectory=trajectory, edits=unit) for unit in sorted(units, key=lambda unit: unit[0].id)]


def replay(
    lessons: Sequence[Lesson],
    headers: Mapping[Path, Header],
    skill: Skill,
    folder: Path,
    *,
    number: int,
    seed: int,
    allowed: Allowed = NOTHING,
) -> Task:
    """One replay of each lesson's task as the original agent plays it, as an Inspect task.

    Args:
        lessons: The lessons; the id of a sample is that of its lesson.
        headers: Header of each log, by its file.
        skill: The frozen skill.
        folder: Receives the skills with one lesson each.
        number: Number of the replay, from 1; its model calls have the seed `seed + number`.
        seed: Seed of the run.
        allowed: What the operator allows the logs.

    Raises:
        LogError: The logged task cannot be created, or takes no skill.
    """
    samples: list[Sample] = []
    solvers: dict[str, Solver] = {}
    for lesson in lessons:
        candidate = apply_edits(skill, lesson.edits).skill
        place = folder / candidate.digest[:16]
        if not (place / skill.name).exists():
            save_skill(candidate, place)
        task = recreate_task(headers[lesson.trajectory.log], allowed, skill=str((place / skill.name).resolve()))
        sample = deepcopy(sample_of(task, lesson.trajectory))
        sample.id = lesson.id
        samples.append(sample)
        solvers[lesson.id] = solver_of(task)
    return task_with(
        recreate_task(headers[lessons[0].trajectory.log], allowed),
        name=f"replay_{number}",
        dataset=samples,
        setup=None,
        solver=_as_logged(solvers),
        epochs=1,
        config=TIMES.merge(GenerateConfig(seed=seed + number)),
    )


def unhelpful(lessons: Iterable[Lesson], successes: Counter[str], replays: int) -> dict[str, str]:
    """The edits of lessons that never helped, by id, with the reason."""
    reason = f"with this lesson alone, {replays} of {replays} replays of the task failed"
    return {edit.id: reason for lesson in lessons if not successes[lesson.id] for edit in lesson.edits}


def _as_logged(solvers: Mapping[str, Solver]) -> Solver:
    """Each sample's own solver: the logged one, with the skill of its lesson."""

    @solver(name="replay")
    def build(lessons: str) -> Solver:
        async def solve(state: TaskState, generate: Generate) -> TaskState:
            return await solvers[str(state.sample_id)](state, generate)

        return solve

    return build(sha256("\n".join(sorted(solvers)).encode()).hexdigest())


def check_replayable(header: Header, allowed: Allowed = NOTHING) -> None:
    """Check that the logged task takes a skill.

    Raises:
        LogError: It does not, so that no lesson can be tried.
    """
    try:
        recreate_task(header, allowed, skill=None)
    except LogError as error:
        raise LogError(f"--verify replay and --select need a logged task with the argument `skill`. {error}") from error
