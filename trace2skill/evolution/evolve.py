"""Evolution: trajectories -> analyses -> patches -> one consolidated patch -> the evolved skill. Orchestration only."""

from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

import click
from inspect_ai.model import Model
from inspect_ai.util import DisplayType

from trace2skill.analysis.gate import Verdicts
from trace2skill.analysis.proposals import Proposals, collect
from trace2skill.consolidation.assembly import assemble
from trace2skill.consolidation.lexical import lexical_merge
from trace2skill.consolidation.merging import MergeStep
from trace2skill.consolidation.selection import Selection
from trace2skill.consolidation.tree import MergeTree, consolidation, final_selection, step_of
from trace2skill.data.places import resolve_path
from trace2skill.errors import PatchError, Trace2SkillError
from trace2skill.evolution.analyses import analyse
from trace2skill.evolution.configuration import EvolveConfig
from trace2skill.evolution.disclosure import disclosure
from trace2skill.evolution.folder import Manifest, Record, alone, begin, finished, simulated, write_run
from trace2skill.evolution.inputs import Inputs, choose_cast, read_inputs
from trace2skill.evolution.reuse import reusable
from trace2skill.evolution.run import Run
from trace2skill.files import file_digest, naming_full_disk, write_atomic
from trace2skill.models.asking import Asking
from trace2skill.models.cast import Cast
from trace2skill.skill.seen import SEEN, find_seen, join_exposures

Work = Callable[[Run, Inputs, Record], Manifest]
"""What a method does in a run that has been checked, claimed and recorded: it writes the run's results."""


def evolve(
    logs: Sequence[str | Path],
    skill: str | Path | None,
    output: str | Path,
    config: EvolveConfig | None = None,
    *,
    work: Work | None = None,
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
        skill: The skill to start from; it is not changed. None where the method makes a bank.
        output: Run folder.
        config: Settings; the defaults are the paper's.
        work: What the method does, where it is not the parallel one: `trace2skill.baselines.evolve` gives it.
        patches: Patch files to consolidate, beside what the analysts propose.
        model: Model that plays every part, instead of the one that `config` or the logs name, with settings of its own:
            seed and profile of `config` do not reach it.
        display: Inspect's progress display.
        max_connections: Model calls under way at once (the paper: 128); by default Inspect adapts it to the server.

    Returns:
        The run's manifest; `Manifest.skill` or `Manifest.bank` names what was made, a folder inside `output`.

    Raises:
        LogError: A log cannot be used, or a stage did not finish.
        SkillError: The initial skill is malformed, or the evolved one fails the format check (nothing is saved then).
        PatchError: A patch file is malformed, or the folder holds another run.
        InterruptedRunError: It was stopped; what is finished is kept.
        DiskFullError: There is no space left; what is finished is kept.
    """
    config = config or EvolveConfig()
    if config.method != "parallel" and work is None:
        raise Trace2SkillError(f"Method {config.method} is a baseline: call trace2skill.baselines.evolve.")
    folder = Path(output)
    inputs = read_inputs(logs, skill, config, patches)
    cast = choose_cast(config, inputs, model)
    record = _record(config, inputs, cast)
    if config.reuse_analyses:
        record = record.model_copy(update={"reused": reusable(config.reuse_analyses, record)})
    if done := finished(folder, record):
        return done
    with naming_full_disk(folder), alone(folder):
        begin(folder, record)
        _write_seen(folder, inputs, skill)
        for line in disclosure(inputs, config, named=bool(model or config.model)):
            click.echo(line, err=True)
        run = Run(
            folder=folder,
            config=config,
            asking=_asking(config, inputs),
            cast=cast,
            display=display,
            max_connections=max_connections,
            simulated=bool(simulated(record)),
        )
        return (work or parallel)(run, inputs, record)


def _write_seen(folder: Path, inputs: Inputs, skill: str | Path | None) -> None:
    """Record what the run has seen: its logs, and whatever the skill that it begins with was made from."""
    before = find_seen(resolve_path(str(skill))) if skill else None
    own = inputs.trajectories.exposures if inputs.trajectories else ()
    if before or own:
        seen = join_exposures([*(before.exposures if before else ()), *own])
        write_atomic(folder / SEEN, seen.model_dump_json(indent=1) + "\n")


def _asking(config: EvolveConfig, inputs: Inputs) -> Asking:
    return Asking(
        skill=inputs.skill,
        prompts=inputs.prompts,
        settings=config.settings(inputs.profile),
        transcript_tokens=config.transcript_tokens,
    )


def parallel(run: Run, inputs: Inputs, record: Record) -> Manifest:
    """The parallel method: analyse, consolidate, assemble, write."""
    folder, config = run.folder, run.config
    analyses, verdicts = analyse(run, inputs.trajectories) if inputs.trajectories else ([], Verdicts(clean_runs={}))
    proposals = collect(
        analyses,
        verdicts,
        inputs.patches,
        inputs.skill,
        run.ledger,
        split=config.merger == "lexical",
        allow=config.allow,
    )
    selection, unmerged = _consolidate(run, proposals)
    assembled = assemble(selection, inputs.skill, run.ledger, proposals.edits, simulated(record))
    counts = inputs.trajectories.counts() if inputs.trajectories else {}
    return write_run(folder, record, assembled, run.ledger.rows(), run.costs, counts, unmerged, run.notes)


def _record(config: EvolveConfig, inputs: Inputs, cast: Cast | None) -> Record:
    return Record(
        config=config,
        models=cast.names() if cast else {},
        agent_models=tuple(sorted({header.model.model for header in inputs.headers})),
        initial_skill=inputs.skill.name,
        initial_digest=inputs.skill.digest,
        inputs=tuple(sorted((path.name, file_digest(path)) for path in inputs.files)),
        prompts=inputs.prompts.digests(),
        profile=inputs.profile,
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
        tree = MergeTree(proposals.patches, run.skill, config.merge_batch, config.min_support, config.allow)
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
    return final_selection(steps, root, run.skill, config.min_support, config.allow), unmerged
