"""The first half of an evolution: the analyses of all trajectories, and what the gates say of them."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import click
from inspect_ai import Task
from inspect_ai.log import EvalLog, EvalSample
from inspect_ai.model import GenerateConfig

from trace2skill.analysis.analysts import Limits
from trace2skill.analysis.gate import CLEAN_RUN, Verdicts, gate, passed_clean
from trace2skill.analysis.replay import Lesson, lessons_of, replay, unhelpful
from trace2skill.analysis.reports import Analysis
from trace2skill.analysis.tasks import analysis_of, error_analysis, single_call_analysis
from trace2skill.edits.patch import check_edit
from trace2skill.errors import LogError
from trace2skill.evolution.inputs import check_roles
from trace2skill.evolution.reuse import reused_stage
from trace2skill.evolution.run import Run
from trace2skill.logs.trajectory import Trajectories, Trajectory
from trace2skill.models.cast import logged_model
from trace2skill.skill.folder import Skill
from trace2skill.text import printable


def analyse(run: Run, trajectories: Trajectories, stage: str = "analysis") -> tuple[list[Analysis], Verdicts]:
    """Run the analysts, and the gates on what they submitted.

    Args:
        run: The run.
        trajectories: What is analysed.
        stage: Log folder.

    Returns:
        The analyses by trajectory, and the verdicts of the gates.

    Raises:
        LogError: A stage did not finish, or its log has lost analyses.
    """
    analyses: dict[str, Analysis] = {}
    clean_runs: dict[str, bool] = {}
    broken: dict[str, str] = {}
    pool = _pool(run, trajectories)
    tolerate = tolerated(run, len(pool))
    for _, sample in _samples(run, trajectories, stage, tolerate):
        name = str(sample.id)
        if sample.error:
            broken[name.removesuffix(CLEAN_RUN)] = sample.error.message
        elif name.endswith(CLEAN_RUN):
            clean_runs[name.removesuffix(CLEAN_RUN)] = passed_clean(sample, trajectories.rule)
        elif analysis := analysis_of(sample):
            analyses[name] = analysis
    if lost := sorted(pool - analyses.keys() - broken.keys()):
        raise LogError(
            f"{len(lost)} analyses are missing in {run.folder / 'logs' / stage}, that of {lost[0]} among them. "
            "Delete that folder and run the same command again."
        )
    quarantine(run, broken, stage, tolerate)
    ordered = [analyses[name] for name in sorted(analyses.keys() - broken.keys())]
    verdicts = Verdicts(clean_runs=clean_runs)
    if run.config.replays:
        verdicts = replace(verdicts, unhelpful=_replay(run, trajectories, ordered, verdicts))
    return ordered, verdicts


def _samples(run: Run, trajectories: Trajectories, stage: str, tolerate: int) -> Iterator[tuple[EvalLog, EvalSample]]:
    if run.config.reuse_analyses:
        return reused_stage(run.config.reuse_analyses, run.config.analysts, run.costs)
    return run.stage(stage, _analysis_tasks(run, trajectories), _after_analysis, tolerate=tolerate)


def tolerated(run: Run, count: int) -> int:
    """How many of so many analyses may break."""
    return max(1, int(run.config.max_quarantined * count)) if run.config.max_quarantined else 0


def quarantine(run: Run, broken: Mapping[str, str], stage: str, tolerate: int) -> None:
    """Leave out what broke, with its reason in the ledger: a bad sample is no reason to lose the others.

    Args:
        run: The run.
        broken: What broke, by trajectory, with the reason.
        stage: The stage's log folder.
        tolerate: How many may.

    Raises:
        LogError: More broke than may.
    """
    if len(broken) > tolerate:
        name, reason = next(iter(sorted(broken.items())))
        raise LogError(
            f"{len(broken)} analyses broke, {tolerate} may; {name} with: {reason} Finished ones are kept in "
            f"{run.folder / 'logs' / stage}. Mend the cause, or raise --max-quarantined with another --output."
        )
    for name, reason in sorted(broken.items()):
        run.ledger.analysis(name, f"quarantined: the analysis broke: {printable(reason)[:500]}")
    if broken:
        run.notes.append(f"{len(broken)} analyses broke and were left out: {', '.join(sorted(broken)[:5])}.")


def _pool(run: Run, trajectories: Trajectories) -> set[str]:
    """Ids of the trajectories that are analysed."""
    chosen: list[Trajectory] = []
    if run.config.analysts != "success":
        chosen += trajectories.failures
    if run.config.analysts in ("success", "combined"):
        chosen += trajectories.successes
    return {trajectory.id for trajectory in chosen}


def _analysis_tasks(run: Run, trajectories: Trajectories) -> list[Task]:
    """The analysts' tasks. Where the logged task cannot be created, failures are analysed in a single call."""
    config = run.config
    tasks: list[Task] = []
    single = config.analysts == "error-llm"
    if config.analysts in ("error", "combined") and trajectories.failures:
        limits = Limits(turns=config.max_turns, tokens=config.analyst_tokens, seconds=config.analyst_seconds)
        try:
            tasks.append(error_analysis(trajectories, run.asking, limits, config.allowed))
            check_roles(trajectories.headers, config)
        except LogError as error:
            single = True
            run.notes.append(f"Failures were analysed in a single call, without a proven fix: {error}")
            click.echo(f"Note: {printable(run.notes[-1])}", err=True)
    if single:
        tasks.append(single_call_analysis("error-llm", trajectories.failures, run.asking, trajectories.rule))
    if config.analysts in ("success", "combined") and trajectories.successes:
        tasks.append(single_call_analysis("success", trajectories.successes, run.asking, trajectories.rule))
    return tasks


def _after_analysis(sample: str) -> Sequence[str]:
    """A clean run waits for its analysis."""
    return [sample.removesuffix(CLEAN_RUN)] if sample.endswith(CLEAN_RUN) else []


def _replay(run: Run, trajectories: Trajectories, analyses: Sequence[Analysis], verdicts: Verdicts) -> dict[str, str]:
    """Let the original agent replay each failed task with one lesson alone: the edits that never helped."""
    lessons = _to_replay(run.skill, trajectories, [row for row in analyses if not gate(row, verdicts)])
    if not lessons:
        return {}
    headers = {header.file: header for header in trajectories.headers}
    tasks = [
        replay(
            lessons,
            headers,
            run.skill,
            run.folder / "replay",
            number=number,
            seed=run.config.seed,
            allowed=run.config.allowed,
        )
        for number in range(1, run.config.replays + 1)
    ]
    successes: Counter[str] = Counter()
    patience = run.asking.settings.analyst
    bounds = GenerateConfig(attempt_timeout=patience.attempt_timeout, timeout=patience.timeout)
    agent = logged_model(trajectories.headers[0].model, bounds, run.config.provider)
    for _, sample in run.stage("replay", tasks, model=agent):
        successes[str(sample.id)] += trajectories.rule.passed(sample.scores or {})
    return unhelpful(lessons, successes, run.config.replays)


def _to_replay(skill: Skill, trajectories: Trajectories, admitted: Sequence[Analysis]) -> list[Lesson]:
    """The lessons from failures that could be used."""
    failures = {trajectory.id: trajectory for trajectory in trajectories.failures}
    lessons: list[Lesson] = []
    for analysis in admitted:
        if analysis.trajectory in failures and analysis.patch:
            edits = [row for row in analysis.patch.edits if row.id not in analysis.leaks and not check_edit(row, skill)]
            lessons += lessons_of(failures[analysis.trajectory], edits)
    return lessons
