"""What a run is made from: read and checked here, before anything is asked of a model."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from inspect_ai.model import GenerateConfig, Model

from trace2skill.analysis.replay import check_replayable
from trace2skill.data.places import resolve_path
from trace2skill.edits.guardrails import check_path
from trace2skill.edits.importing import read_patches
from trace2skill.edits.patch import Patch
from trace2skill.errors import LogError, PatchError, SkillError, Trace2SkillError
from trace2skill.evolution.configuration import SUCCESSES_ONLY, EvolveConfig
from trace2skill.logs.header import Header
from trace2skill.logs.task import recreate_for_analysis, recreate_task
from trace2skill.logs.trajectory import Trajectories, read_trajectories
from trace2skill.models.cast import ANALYST, MERGER, Cast, logged_model, open_model
from trace2skill.models.sampling import Profile, load_profile
from trace2skill.prompts import Prompts, load_prompts
from trace2skill.skill.folder import Skill, check_skill, load_skill
from trace2skill.text import printable

NO_SKILL = Skill(name="", description="", files=MappingProxyType({}))
"""What a bank starts from."""


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What a run is made from."""

    skill: Skill
    """The frozen skill."""
    prompts: Prompts
    profile: Profile | None
    """How models are sampled, where a profile says so."""
    trajectories: Trajectories | None
    """None where there are patches alone."""
    patches: tuple[Patch, ...]
    """Patches from elsewhere."""
    patch_files: tuple[Path, ...]

    @property
    def headers(self) -> tuple[Header, ...]:
        """Headers of the logs."""
        return self.trajectories.headers if self.trajectories else ()

    @property
    def files(self) -> list[Path]:
        """The logs and the patch files."""
        return [*(header.file for header in self.headers), *self.patch_files]


def read_inputs(
    logs: Sequence[str | Path], skill: str | Path | None, config: EvolveConfig, patches: Sequence[str | Path] = ()
) -> Inputs:
    """Read and check what a run is made from.

    Args:
        logs: Log files or folders, of one task. May be empty if there are patches.
        skill: The skill to start from; none where the method makes a bank.
        config: The run's settings.
        patches: Patch files.

    Raises:
        LogError: A log cannot be used, holds nothing for the condition, or cannot be replayed as the settings want.
        SkillError: The skill is malformed.
        PatchError: A patch file is malformed or unsafe, the method takes none, or a trajectory would be counted twice.
        Trace2SkillError: The prompts or the profile cannot be used.
    """
    _check_method(config, skill, patches)
    initial = _checked(load_skill(resolve_path(str(skill)))) if skill else NO_SKILL
    prompts = load_prompts(Path(config.prompts) if config.prompts else None)
    profile = load_profile(config.profile) if config.profile else None
    trajectories = _usable(read_logs(logs, config), config) if logs or not patches else None
    if config.replays and trajectories is None:
        raise LogError("--verify replays failed runs, and there are no logs. Name some, or leave it out.")
    files = tuple(map(Path, patches))
    imported = [patch for file in files for patch in _read_safe_patches(file, initial)]
    _check_distinct(imported, trajectories)
    return Inputs(
        skill=initial,
        prompts=prompts,
        profile=profile,
        trajectories=trajectories,
        patches=tuple(imported),
        patch_files=files,
    )


def read_logs(logs: Sequence[str | Path], config: EvolveConfig) -> Trajectories:
    """The trajectories of logs, with success as the settings say.

    Raises:
        LogError: A log cannot be used.
    """
    return read_trajectories(logs, scorer=config.scorer, threshold=config.threshold, success=config.success)


def check_one_model(headers: Iterable[Header]) -> None:
    """Check that all logs evaluated the same model.

    Raises:
        LogError: They are of several models.
    """
    names = sorted({header.model.model for header in headers})
    if len(names) > 1:
        raise LogError(f"The logs are of several models ({', '.join(names)}); say which one analyses with --model.")


def task_roles(config: EvolveConfig) -> dict[str, Model]:
    """The models that the user has put into roles of the logged task."""
    return {
        role: open_model(name, GenerateConfig(), f"--model-role {role}=") for role, name in config.model_roles.items()
    }


def check_roles(headers: Iterable[Header], config: EvolveConfig) -> None:
    """Check that the user has named a model for each role of the logged task: no log chooses who judges.

    Raises:
        Trace2SkillError: A role has none.
    """
    logged = {role: models for header in headers for role, models in header.roles.items()}
    if missing := sorted(logged.keys() - {ANALYST, MERGER} - config.model_roles.keys()):
        name = printable(logged[missing[0]][0].model)
        raise Trace2SkillError(
            f"The logged task has a model in the role '{missing[0]}' ({name}), and models in roles are never "
            f"taken from a log. Say who plays it: --model-role {missing[0]}=MODEL."
        )


def check_streamable(headers: Iterable[Header], config: EvolveConfig) -> None:
    """Check that the logged agent can play the logged tasks again, each with the bank of that moment.

    Raises:
        LogError: The logs are of several models, of another split than evolve, or of a task that takes no memory or
            cannot be created.
        Trace2SkillError: A role of the task has no model.
    """
    check_one_model(headers)
    check_roles(headers, config)
    for header in headers:
        split = {**header.arguments, **config.task_args}.get("split") or ""
        if split not in ("", "evolve"):
            raise LogError(
                f"--stream learns from the tasks that it plays, and {header.file} is of split={split}: the bank would "
                "have seen what a test is for. Run the task with -T split=evolve, and give those logs."
            )
        try:
            recreate_task(header, config.allowed.without_the_agents(), memory=None)
        except LogError as error:
            raise LogError(f"--stream needs a logged task with the argument `memory`. {error}") from error


def choose_cast(config: EvolveConfig, inputs: Inputs, model: Model | None) -> Cast | None:
    """Who plays which part: the models that were named, else the agent's own. None where no model is needed.

    Args:
        config: The run's settings.
        inputs: What it is made from.
        model: Model that plays every part, instead of the one that settings or logs name.

    Raises:
        LogError: The logs are of several models, or there are none and no model is named.
        Trace2SkillError: A model cannot be used.
    """
    if not config.asks_model:
        return None
    generate = GenerateConfig(seed=config.seed)
    own = {ANALYST: config.analyst_model, MERGER: config.merger_model}
    roles = {role: open_model(name, generate, f"--{role}-model") for role, name in own.items() if name}
    roles = {**task_roles(config), **roles}
    main = model or (open_model(config.model, generate, "--model", config.provider) if config.model else None)
    if main is None and not inputs.headers:
        if config.merger == "lexical":
            return None
        main = roles.get(MERGER)
        if main is None:
            raise LogError(
                "Without logs there is no model to merge with: name one with --model, or use --merger lexical."
            )
    if main is None:
        check_one_model(inputs.headers)
        # The agent's sampling and limits are the agent's: each part of the engine has its own.
        main = logged_model(
            inputs.headers[0].model.model_copy(update={"config": GenerateConfig()}), generate, config.provider
        )
    return Cast(main=main, roles=roles)


def _usable(found: Trajectories, config: EvolveConfig) -> Trajectories:
    """Trajectories of which at least one can be analysed."""
    pools = {
        "error": found.failures,
        "success": found.successes,
        "combined": found.all,
        "error-llm": found.failures,
    }
    if config.stream:
        check_streamable(found.headers, config)
        return found
    from_successes = config.method in SUCCESSES_ONLY and config.judge == "scorer"
    if not (found.successes if from_successes else pools[config.analysts]):
        wanted = f"--method {config.method}" if from_successes else f"--analysts {config.analysts}"
        raise LogError(f"The logs hold no trajectory for {wanted}: all of them have the other outcome.")
    if config.makes_bank:
        return found
    if config.task_args and config.analysts in ("error", "combined"):
        # What the user says of the task is never passed over: without it, a task that cannot be created is.
        recreate_for_analysis(found.headers[0], config.allowed)
    if config.replays:
        check_one_model(found.headers)
        check_replayable(found.headers[0], config.allowed)
        check_roles(found.headers, config)
    return found


def _check_method(config: EvolveConfig, skill: str | Path | None, patches: Sequence[str | Path]) -> None:
    """Check that a method is given what it starts from, and nothing that it would pass over.

    Raises:
        SkillError: The skill to start from is missing, or there is one and the method makes a bank.
        PatchError: There are patches that the method does not merge.
    """
    if patches and config.method != "parallel":
        raise PatchError(
            f"--patches are merged by --method parallel. --method {config.method} starts from lessons, not from edits: "
            "leave them out."
        )
    if config.makes_bank and skill:
        raise SkillError(f"--method {config.method} makes a memory bank from logs alone. Leave --skill out.")
    if not config.makes_bank and not skill:
        raise SkillError(f"--method {config.method} starts from a skill. Name it with --skill.")


def _checked(skill: Skill) -> Skill:
    if findings := check_skill(skill):
        raise SkillError(
            f"The initial skill '{skill.name}' fails the format check: {'; '.join(findings)}. "
            "Mend it, then check it with `trace2skill skill check`."
        )
    return skill


def _read_safe_patches(file: Path, skill: Skill) -> list[Patch]:
    """The patches of a file that a user supplied; one that reaches for what is off limits is refused as a whole."""
    patches = read_patches(file, skill)
    for edit in (edit for patch in patches for edit in patch.edits):
        try:
            check_path(edit.file)
        except PatchError as error:
            raise PatchError(
                f"{file}: edit {edit.id}: {error}. Remove it from the patch file; nothing was done."
            ) from error
    return patches


def _check_distinct(imported: Sequence[Patch], trajectories: Trajectories | None) -> None:
    """Each trajectory may speak once: two patches of one, or a patch beside its log, would count it twice."""
    analysed = {trajectory.id for trajectory in trajectories.all} if trajectories else set()
    counts = Counter(patch.trajectory for patch in imported)
    if twice := sorted(name for name, count in counts.items() if count > 1 or name in analysed):
        raise PatchError(
            f"Trajectory {twice[0]} is there more than once, in the patch files or in them and in the logs. "
            "Its support would be counted twice; leave one out."
        )
