"""Evolution: trajectories -> analyses -> patches -> one consolidated patch -> the evolved skill. Orchestration only."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path

from inspect_ai import Task
from inspect_ai.log import EvalLog, EvalSample
from inspect_ai.model import GenerateConfig, Model
from inspect_ai.util import DisplayType
from rich.console import Console

from trace2skill.analysis import CLEAN_RUN, analysis_of, error_analysis, single_call_analysis
from trace2skill.analysts import Analysis, Limits
from trace2skill.assembly import assemble
from trace2skill.consolidation import MergeTree, consolidation, final_selection, step_of
from trace2skill.data import resolve_path
from trace2skill.errors import LogError, ModelOutputError, PatchError, SkillError
from trace2skill.files import file_digest
from trace2skill.guardrails import check_path
from trace2skill.ledger import Ledger
from trace2skill.lessons import UNUSABLE, Asking
from trace2skill.lexical import lexical_merge
from trace2skill.merging import MergeStep
from trace2skill.models import (
    ANALYST,
    MERGER,
    Cast,
    Profile,
    load_profile,
    logged_model,
    logged_roles,
    only_model,
    open_model,
)
from trace2skill.patch import Patch, check_edit
from trace2skill.patch_import import read_patches
from trace2skill.prompts import Prompts, load_prompts
from trace2skill.proposals import Proposals, Verdicts, collect, gate
from trace2skill.replay import check_replayable, lessons_of, replay, unhelpful
from trace2skill.run_folder import SIMULATED_TAG, EvolveConfig, Manifest, Record, begin, finished, simulated, write_run
from trace2skill.selection import Selection
from trace2skill.skill import Skill, check_skill, load_skill
from trace2skill.stages import StageUsage, Tally, finished_samples, run_stage, usage
from trace2skill.trajectory import Trajectories, read_trajectories


@dataclass(frozen=True, kw_only=True)
class _Run:
    """What all stages of one run share."""

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
    ) -> Iterator[tuple[EvalLog, EvalSample]]:
        """Run or resume a stage; its samples, one at a time. What it cost is noted at the end.

        Args:
            name: Its log folder.
            tasks: Its tasks.
            waits_for: The samples that a sample has to wait for.
            model: Its model, where it is not the run's.
        """
        assert self.cast is not None, "only runs with a model have stages"
        logs = run_stage(
            tasks,
            self.folder / "logs" / name,
            model or self.cast.main,
            display=self.display,
            tags=(SIMULATED_TAG,) if self.simulated else (),
            max_connections=self.max_connections,
            roles=self.cast.roles,
        )
        for log in logs:
            tally = Tally()
            for sample in finished_samples(log):
                tally.add(sample)
                yield log, sample
            self.costs.append(usage(log, tally, {sample: waits_for(sample) for sample in tally.seconds}))


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
        model: Model that plays every part, instead of the one that `config` or the logs name.
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
    trajectories = _trajectories(logs, config) if logs or not patches else None
    imported = [patch for file in patches for patch in _read_safe_patches(Path(file), initial)]
    _check_distinct(imported, trajectories)
    cast = _cast(config, trajectories, model, profile)
    record = _record(config, initial, trajectories, patches, cast, prompts)
    if done := finished(folder, record):
        return done
    begin(folder, record)
    run = _Run(
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
    analyses, verdicts = _analyse(run, trajectories) if trajectories else ([], Verdicts(clean_runs={}))
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


def _trajectories(logs: Sequence[str | Path], config: EvolveConfig) -> Trajectories:
    """The trajectories of a run; there is at least one to analyse."""
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


def _analyse(run: _Run, trajectories: Trajectories) -> tuple[list[Analysis], Verdicts]:
    """Run the analysts, and the gates on what they submitted."""
    analyses: dict[str, Analysis] = {}
    clean_runs: dict[str, bool] = {}
    for _, sample in run.stage("analysis", _analysis_tasks(run, trajectories), _after_analysis):
        name = str(sample.id)
        if name.endswith(CLEAN_RUN):
            clean_runs[name.removesuffix(CLEAN_RUN)] = trajectories.rule.passed(sample.scores or {})
        elif analysis := analysis_of(sample):
            analyses[name] = analysis
    ordered = [analyses[name] for name in sorted(analyses)]
    verdicts = Verdicts(clean_runs=clean_runs)
    if run.config.replays:
        verdicts = replace(verdicts, unhelpful=_replay(run, trajectories, ordered, verdicts))
    return ordered, verdicts


def _analysis_tasks(run: _Run, trajectories: Trajectories) -> list[Task]:
    """The analysts' tasks. Where the logged task cannot be created, failures are analysed in a single call."""
    config = run.config
    tasks: list[Task] = []
    single = config.analysts == "error-llm"
    if config.analysts in ("error", "combined") and trajectories.failures:
        limits = Limits(turns=config.max_turns, tokens=config.analyst_tokens, seconds=config.analyst_seconds)
        try:
            tasks.append(error_analysis(trajectories, run.asking, limits))
        except LogError as error:
            single = True
            run.notes.append(f"Failures were analysed in a single call, without a proven fix: {error}")
            Console(stderr=True, soft_wrap=True, markup=False).print(f"Note: {run.notes[-1]}")
    if single:
        tasks.append(single_call_analysis("error-llm", trajectories.failures, run.asking, trajectories.rule))
    if config.analysts in ("success", "combined") and trajectories.successes:
        tasks.append(single_call_analysis("success", trajectories.successes, run.asking, trajectories.rule))
    return tasks


def _after_analysis(sample: str) -> Sequence[str]:
    """A clean run waits for its analysis."""
    return [sample.removesuffix(CLEAN_RUN)] if sample.endswith(CLEAN_RUN) else []


def _replay(run: _Run, trajectories: Trajectories, analyses: Sequence[Analysis], verdicts: Verdicts) -> dict[str, str]:
    """Let the original agent replay each failed task with one lesson alone: the edits that never helped."""
    config = run.config
    by_id = {trajectory.id: trajectory for trajectory in trajectories.failures}
    lessons = [
        lesson
        for analysis in analyses
        if analysis.trajectory in by_id and analysis.patch and not gate(analysis, verdicts)
        for lesson in lessons_of(
            by_id[analysis.trajectory],
            [
                edit
                for edit in analysis.patch.edits
                if edit.id not in analysis.leaks and not check_edit(edit, run.skill)
            ],
        )
    ]
    if not lessons:
        return {}
    headers = dict(zip(trajectories.logs, trajectories.headers, strict=True))
    tasks = [
        replay(lessons, headers, run.skill, run.folder / "replay", number=number, seed=config.seed)
        for number in range(1, config.replays + 1)
    ]
    successes: Counter[str] = Counter()
    agent = logged_model(trajectories.headers[0], GenerateConfig())
    for _, sample in run.stage("replay", tasks, model=agent):
        successes[str(sample.id)] += trajectories.rule.passed(sample.scores or {})
    return unhelpful(lessons, successes, config.replays)


def _consolidate(run: _Run, proposals: Proposals) -> tuple[Selection, int]:
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
