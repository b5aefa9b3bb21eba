"""Selection: several evolved skills, each played on the evolve split, and the best of them kept if it helps there.

The test split is not looked at. A skill that does not beat the initial one where it was made is not worth a test.
"""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from inspect_ai import Task, task_with
from inspect_ai.model import GenerateConfig
from inspect_ai.util import DisplayType
from pydantic import BaseModel, ConfigDict

from trace2skill.analysis.replay import check_replayable
from trace2skill.data.places import resolve_path
from trace2skill.edits.provenance import FILE as PROVENANCE
from trace2skill.errors import LogError, SkillError, Trace2SkillError
from trace2skill.evolution.configuration import EvolveConfig
from trace2skill.evolution.evolve import Work, evolve
from trace2skill.evolution.folder import Manifest, begin
from trace2skill.evolution.inputs import NO_SKILL, check_one_model, check_roles, read_logs, task_roles
from trace2skill.evolution.stages import file_of, run_stage
from trace2skill.files import write_atomic
from trace2skill.logs.header import Header
from trace2skill.logs.task import recreate_task, sample_of
from trace2skill.logs.trajectory import Trajectories
from trace2skill.models.cast import logged_model
from trace2skill.models.sampling import TIMES
from trace2skill.models.simulated import TAG, is_simulated
from trace2skill.skill.folder import load_skill, save_skill
from trace2skill.skill.seen import SEEN

CANDIDATES, SELECTION = "candidates.json", "selection.json"
INITIAL = "initial"


class Candidate(BaseModel):
    """A skill as it did on the evolve split."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    """`seed-<n>`, or `initial`."""
    skill: str
    """Its folder, relative to the output folder; empty for the initial skill."""
    digest: str
    """Digest of the skill."""
    successes: int
    """Successful runs."""
    runs: int
    """Runs with a score."""
    missing: int
    """Runs without one: errors and resource limits. They count neither way."""

    @property
    def accuracy(self) -> float:
        """Share of successes among the scored runs."""
        return self.successes / self.runs if self.runs else 0.0


class Selection(BaseModel):
    """The outcome of a selection."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = 1
    """Version of this file's form."""
    simulated: str
    """The warning that a stand-in model took part; empty otherwise."""
    initial: Candidate
    """The initial skill, from the logs themselves where they were made with it."""
    candidates: tuple[Candidate, ...]
    """The evolved skills, in the order of their seeds."""
    chosen: str
    """Name of the best candidate; empty if none beats the initial skill."""


class Candidates(BaseModel):
    """What determines the runs of several seeds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = 1
    """Version of this record's form."""
    config: EvolveConfig
    """The settings that all seeds share; its seed is not used."""
    initial_digest: str
    """Digest of the initial skill."""


def evolve_seeds(
    logs: Sequence[str | Path],
    skill: str | Path | None,
    output: str | Path,
    config: EvolveConfig,
    seeds: Sequence[int],
    *,
    work: Work | None = None,
    patches: Sequence[str | Path] = (),
    display: DisplayType | None = None,
    max_connections: int | None = None,
) -> dict[str, Manifest]:
    """Evolve one skill per seed, each in the run folder `<output>/seed-<n>`.

    Returns:
        The manifests by the folders' names. Running it again resumes; seeds may be added and left out.

    Raises:
        Trace2SkillError: As `evolve` does; or the output folder holds something else.
    """
    initial = load_skill(resolve_path(str(skill))) if skill else NO_SKILL
    shared = config.model_copy(update={"seed": EvolveConfig().seed})
    begin(Path(output), Candidates(config=shared, initial_digest=initial.digest), CANDIDATES)
    return {
        f"seed-{seed}": evolve(
            logs,
            skill,
            Path(output) / f"seed-{seed}",
            config.model_copy(update={"seed": seed}),
            work=work,
            patches=patches,
            display=display,
            max_connections=max_connections,
        )
        for seed in seeds
    }


def check_selectable(logs: Sequence[str | Path], config: EvolveConfig) -> None:
    """Check before anything is run that candidates can be played.

    Raises:
        LogError: There are no logs, they are of several models, or the logged task cannot be created or takes no skill.
    """
    if not logs:
        raise LogError("--select plays the logged tasks again, and there are no logs. Name some, or leave it out.")
    logged = read_logs(logs, config)
    check_one_model(logged.headers)
    check_replayable(logged.headers[0], config.allowed)
    check_roles(logged.headers, config)


def select_candidate(
    logs: Sequence[str | Path],
    skill: str | Path,
    output: str | Path,
    manifests: Mapping[str, Manifest],
    config: EvolveConfig,
    *,
    display: DisplayType | None = None,
    max_connections: int | None = None,
) -> Selection:
    """Play every candidate on the logged samples, with the logged task and model, and keep the best.

    The best skill is copied to `<output>/<skill>`, with its provenance beside it; ties go to the first.
    `<output>/selection.json` has the figures. They are no test: the skills were made from these samples.

    Args:
        logs: The logs that the skills were evolved from.
        skill: The initial skill.
        output: Folder of the candidates' run folders.
        manifests: The candidates, as `evolve_seeds` returned them.
        config: What says what success is.
        display: Inspect's progress display.
        max_connections: Model calls under way at once.

    Raises:
        LogError: The logged task cannot be created or takes no skill, or the logs are of several models.
        SkillError: No candidate beats the initial skill; they are kept in their run folders.
    """
    folder = Path(output)
    logged = read_logs(logs, config)
    initial = load_skill(resolve_path(str(skill)))
    skills = {name: (folder / name / manifest.skill).resolve() for name, manifest in manifests.items()}
    ran_with_it = all(_skill_digest(header) == initial.digest for header in logged.headers)
    if not ran_with_it:
        skills[INITIAL] = resolve_path(str(skill)).resolve()
    played = {name: _play(logged, path, folder, config, display, max_connections) for name, path in skills.items()}
    digests = {name: manifest.digest for name, manifest in manifests.items()}
    candidates = {
        name: _candidate(name, f"{name}/{skills[name].name}", digests[name], played[name]) for name in manifests
    }
    before = _candidate(INITIAL, "", initial.digest, [logged] if ran_with_it else played[INITIAL])
    best = max(candidates.values(), key=lambda row: row.accuracy)
    chosen = best.name if best.accuracy > before.accuracy else ""
    selection = Selection(
        simulated=next(iter(manifests.values())).simulated,
        initial=before,
        candidates=tuple(candidates.values()),
        chosen=chosen,
    )
    write_atomic(folder / SELECTION, selection.model_dump_json(indent=2) + "\n")
    if not chosen:
        raise SkillError(
            f"No candidate beats the initial skill on the evolve split ({before.successes} of {before.runs}): "
            + ", ".join(f"{row.name} {row.successes} of {row.runs}" for row in candidates.values())
            + f". None was chosen; the candidates are kept in {folder}, the figures in {folder / SELECTION}."
        )
    save_skill(load_skill(folder / best.skill), folder, overwrite=True)
    shutil.copyfile(folder / best.name / PROVENANCE, folder / PROVENANCE)
    if (seen := folder / best.name / SEEN).is_file():
        shutil.copyfile(seen, folder / SEEN)
    return selection


def _skill_digest(header: Header) -> str:
    """Digest of the skill that a log's agent had; empty if it had none or it is not there any more."""
    given = header.arguments.get("skill")
    try:
        return load_skill(resolve_path(str(given))).digest if given else ""
    except Trace2SkillError:
        return ""


def _candidate(name: str, skill: str, digest: str, played: Sequence[Trajectories]) -> Candidate:
    return Candidate(
        name=name,
        skill=skill,
        digest=digest,
        successes=sum(len(log.successes) for log in played),
        runs=sum(len(log.all) for log in played),
        missing=sum(len(log.excluded) for log in played),
    )


def _play(
    logged: Trajectories,
    path: Path,
    folder: Path,
    config: EvolveConfig,
    display: DisplayType | None,
    max_connections: int | None,
) -> list[Trajectories]:
    """The logged samples as the logged agent plays them with a skill. The log folder is that of the skill's content."""
    tasks: list[Task] = []
    for number, header in enumerate(logged.headers, start=1):
        task = recreate_task(header, config.allowed, skill=str(path))
        ran = {str(row.sample_id): sample_of(task, row) for row in logged.all if row.log == header.file}
        samples = list(ran.values())
        tasks.append(task_with(task, name=f"select_{number}", dataset=samples, epochs=header.epochs, config=TIMES))
    header = logged.headers[0]
    finished = run_stage(
        tasks,
        folder / "logs" / "selection" / load_skill(path).digest[:16],
        logged_model(header.model, GenerateConfig(), config.provider),
        display=display,
        max_connections=max_connections,
        roles=task_roles(config),
        tags=(TAG,) if is_simulated(header.models) else (),
    )
    return [read_logs([file_of(log)], config) for log in finished]
