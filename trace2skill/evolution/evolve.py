"""Evolution: trajectories -> analyses -> patches -> one consolidated patch -> the evolved skill. Orchestration only."""

from collections import Counter
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from inspect_ai.model import GenerateConfig, Model
from inspect_ai.util import DisplayType

from trace2skill.analysis.lessons import UNUSABLE
from trace2skill.analysis.proposals import Proposals, Verdicts, collect
from trace2skill.analysis.replay import check_replayable
from trace2skill.consolidation.assembly import assemble
from trace2skill.consolidation.lexical import lexical_merge
from trace2skill.consolidation.merging import MergeStep
from trace2skill.consolidation.selection import Selection
from trace2skill.consolidation.tree import MergeTree, consolidation, final_selection, step_of
from trace2skill.data.places import resolve_path
from trace2skill.edits.guardrails import check_path
from trace2skill.edits.importing import read_patches
from trace2skill.edits.patch import Patch
from trace2skill.errors import LogError, ModelOutputError, PatchError, SkillError
from trace2skill.evolution.analyses import analyse
from trace2skill.evolution.configuration import EvolveConfig
from trace2skill.evolution.folder import Manifest, Record, begin, finished, simulated, write_run
from trace2skill.evolution.run import Run
from trace2skill.files import file_digest
from trace2skill.logs.trajectory import Trajectories, read_trajectories
from trace2skill.models.asking import Asking
from trace2skill.models.cast import ANALYST, MERGER, Cast, logged_model, logged_roles, only_model, open_model
from trace2skill.models.sampling import Profile, load_profile
from trace2skill.prompts import Prompts, load_prompts
from trace2skill.skill.folder import Skill, check_skill, load_skill


def evolve(
    logs: Sequence[str | Path],
    skill: str | Path,
    output: str | Path,
    config: EvolveConfig | None = None,
    *,
    patches: Sequence[str | Path] = (),
    model: Model | None = None,
    display: DisplayType | None = None,
    max_connections: int | None = None,
) -> Manifest:
    """Evolve a skill from the logs of an agent.

    The output folder receives the stage logs, the evolved skill and its records. Running the same call again resumes
    an interrupted evolution and returns at once when it is finished.

    Args:
        logs: Log files or folders, of one task. May be empty if `patches` are given.
        skill: The skill to start from; it is not changed.
        output: Run folder.
        config: Settings; the defaults are the paper's.
        patches: Patch files to consolidate, beside what the analysts propose.
        model: Model that plays every part, instead of the one that `config` or the logs name, with settings of its own:
            seed and profile of `config` do not reach it.
        display: Inspect's progress display.
        max_connections: Model calls under way at once (the paper: 128); by default Inspect adapts it to the server.

    Returns:
        The run's manifest; `Manifest.skill` names the skill's folder inside `output`.

    Raises:
        LogError: A log cannot be used, or a stage did not finish.
        SkillError: The initial skill is malformed, or the evolved one fails the format check (nothing is saved then).
        PatchError: A patch file is malformed, or the folder holds another run.
    """
    config = config or EvolveConfig()
    folder = Path(output)
    initial = _checked(load_skill(resolve_path(str(skill))))
    prompts = load_prompts(Path(config.prompts) if config.prompts else None)
    profile = load_profile(config.profile) if config.profile else None
    trajectories = usable_trajectories(logs, config) if logs or not patches else None
    if config.replays and trajectories is None:
        raise LogError("--verify replays failed runs, and there are no logs. Name some, or leave it out.")
    imported = [patch for file in patches for patch in _read_safe_patches(Path(file), initial)]
    _check_distinct(imported, trajectories)
    cast = _cast(config, trajectories, model, profile)
    record = _record(config, initial, trajectories, patches, cast, prompts)
    record = record.model_copy(update={"profile": profile})
    if done := finished(folder, record):
        return done
    begin(folder, record)
    run = Run(
        folder=folder,
        config=config,
        asking=Asking(
            skill=initial,
            prompts=prompts,
            thinking=profile.thinking if profile else GenerateConfig(),
            transcript_tokens=config.transcript_tokens,
        ),
        cast=cast,
        display=display,
        max_connections=max_connections,
        simulated=bool(simulated(record)),
    )
    analyses, verdicts = analyse(run, trajectories) if trajectories else ([], Verdicts(clean_runs={}))
    if analyses and all(analysis.rejected.startswith(UNUSABLE) for analysis in analyses):
        raise ModelOutputError(
            f"None of the {len(analyses)} analyses can be used; {analyses[0].trajectory}: {analyses[0].rejected} "
            f"No skill was saved. The transcripts are in {folder / 'logs'}; choose another --output to try again."
        )
    proposals = collect(analyses, verdicts, imported, initial, run.ledger, split=config.merger == "lexical")
    selection, unmerged = _consolidate(run, proposals)
    assembled = assemble(selection, initial, run.ledger, proposals.edits, simulated(record))
    counts = trajectories.counts() if trajectories else {}
    return write_run(folder, record, assembled, run.ledger.rows(), run.costs, counts, unmerged, run.notes)


def usable_trajectories(logs: Sequence[str | Path], config: EvolveConfig) -> Trajectories:
    """The trajectories of a run, of which at least one can be analysed.

    Raises:
        LogError: A log cannot be used, holds nothing for the condition, or cannot be replayed as the settings want.
    """
    found = read_trajectories(logs, scorer=config.scorer, threshold=config.threshold, success=config.success)
    pools = {
        "error": found.failures,
        "success": found.successes,
        "combined": found.all,
        "error-llm": found.failures,
    }
    if not pools[config.analysts]:
        raise LogError(
            f"The logs hold no trajectory for --analysts {config.analysts}: all of them have the other outcome."
        )
    if config.replays:
        only_model(found.headers)
        check_replayable(found.headers[0])
    return found


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


def _cast(
    config: EvolveConfig, trajectories: Trajectories | None, model: Model | None, profile: Profile | None
) -> Cast | None:
    """Who plays which part: the models that were named, else the agent's own. None where no model is needed."""
    generate = (profile.instruct if profile else GenerateConfig()).merge(GenerateConfig(seed=config.seed))
    named = {ANALYST: config.analyst_model, MERGER: config.merger_model}
    roles = {role: open_model(name, generate, f"--{role}-model") for role, name in named.items() if name}
    if trajectories:
        roles = {**logged_roles(trajectories.headers[0]), **roles}
    main = model or (open_model(config.model, generate, "--model") if config.model else None)
    if main is None and trajectories is None:
        if config.merger == "lexical":
            return None
        main = roles.get(MERGER)
        if main is None:
            raise LogError(
                "Without logs there is no model to merge with: name one with --model, or use --merger lexical."
            )
    if main is None and trajectories:
        only_model(trajectories.headers)
        main = logged_model(trajectories.headers[0], generate)
    return Cast(main=main, roles=roles) if main else None


def _record(
    config: EvolveConfig,
    skill: Skill,
    trajectories: Trajectories | None,
    patches: Sequence[str | Path],
    cast: Cast | None,
    prompts: Prompts,
) -> Record:
    files = [*(trajectories.logs if trajectories else ()), *map(Path, patches)]
    return Record(
        config=config,
        models=cast.names() if cast else {},
        agent_models=tuple(sorted({header.eval.model for header in (trajectories.headers if trajectories else ())})),
        initial_skill=skill.name,
        initial_digest=skill.digest,
        inputs=tuple(sorted((path.name, file_digest(path)) for path in files)),
        prompts=prompts.digests(),
        versions={name: version(name) for name in ("trace2skill", "inspect-ai")},
    )


def _consolidate(run: Run, proposals: Proposals) -> tuple[Selection, int]:
    """Merge the patches and select what is applied; what was joined or dropped on the way is in the ledger.

    Returns:
        The selection, and the number of merges whose answers could not be used.
    """
    config = run.config
    steps: dict[str, MergeStep] = {}
    root = ""
    if config.merger == "lexical":
        joined = lexical_merge(edit for patch in proposals.patches for edit in patch.edits)
        root = "lexical"
        steps[root] = MergeStep(node=root, edits=joined.edits, merged=joined.merged)
    elif proposals.patches:
        tree = MergeTree(proposals.patches, run.skill, config.merge_batch, config.min_support)
        root, waits_for = tree.root, tree.waits_for()
        stage = run.stage("consolidation", [consolidation(tree, run.asking)], lambda node: waits_for.get(node, ()))
        steps = {step.node: step for _, sample in stage if (step := step_of(sample))}
        if root not in steps:
            raise PatchError(f"The merge tree in {run.folder / 'logs'} has no root. Run the same command again.")
    names = {edit.id for edit in proposals.edits}
    for _, step in sorted(steps.items()):
        for row in step.merged:
            run.ledger.edit(row.edit, "merged", proposed=row.edit.id in names, into=row.into)
        for drop in step.dropped:
            run.ledger.edit(drop.edit, "rejected", proposed=drop.edit.id in names, reason=f"merger: {drop.reason}")
    unmerged = sum(bool(step.passed_through) for step in steps.values())
    return final_selection(steps, root, run.skill, config.min_support), unmerged
