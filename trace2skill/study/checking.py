"""What a study needs, looked at before it is run."""

from collections.abc import Iterator
from dataclasses import dataclass

from inspect_ai import Task
from inspect_ai.util import registry_info

from trace2skill.data.places import resolve_path
from trace2skill.errors import PrerequisiteError, Trace2SkillError
from trace2skill.logs.task import create_task
from trace2skill.models.cast import Provider, open_model
from trace2skill.models.sampling import load_profile
from trace2skill.skill.folder import check_skill, load_skill
from trace2skill.study.declaration import DeclaredBenchmark
from trace2skill.study.endpoints import check_endpoint
from trace2skill.study.study import Study
from trace2skill.text import unmarked


@dataclass(frozen=True, kw_only=True)
class Check:
    """Something that was looked at."""

    what: str
    passed: bool
    said: str
    """What was found, and what to do where it does not pass."""


def checks(study: Study, *, online: bool = False) -> list[Check]:
    """Everything that can be known without asking a model for an answer; the declaration itself has been read.

    Args:
        study: The study.
        online: Whether the models' endpoints are asked for a sign of life.
    """
    found = [Check(what=str(study.file), passed=True, said=f"{len(study.declaration.arms)} arms, no fault")]
    found += [*_skills(study), *_data(study), *_models(study, online=online)]
    try:
        study.check_frozen(None)
    except Trace2SkillError as error:
        found.append(Check(what="primary comparisons", passed=False, said=str(error)))
    return found


def _skills(study: Study) -> Iterator[Check]:
    paths = {domain.human_written for domain in study.declaration.domains.values() if domain.human_written}
    for path in sorted(paths):
        try:
            findings = check_skill(load_skill(resolve_path(path)))
        except Trace2SkillError as error:
            findings = [str(error)]
        yield Check(what=f"skill {path}", passed=not findings, said="; ".join(findings) or "valid")


def _data(study: Study) -> Iterator[Check]:
    """Whether each benchmark's task can be made, has samples, and has the scorers that the metrics name."""
    for name, benchmark in study.declaration.benchmarks.items():
        if "@" in benchmark.task:
            said = "a task of one's own file, which only running imports"
            yield Check(what=f"benchmark {name}", passed=True, said=said)
            continue
        splits = dict.fromkeys(filter(None, (benchmark.evolve, benchmark.test)))
        try:
            tasks = {split: create_task(benchmark.task, {**benchmark.args, "split": split}) for split in splits}
        except Trace2SkillError as error:
            yield Check(what=f"benchmark {name}", passed=False, said=str(error))
            continue
        said = ", ".join(f"{len(task.dataset)} samples in {split}" for split, task in tasks.items())
        wrong = next(filter(None, (_wrong_scorer(benchmark, task) for task in tasks.values())), "")
        yield Check(what=f"benchmark {name}", passed=not wrong, said=wrong or said)


def _wrong_scorer(benchmark: DeclaredBenchmark, task: Task) -> str:
    """Which metric names a scorer that the task does not have; empty if none does."""
    known = [registry_info(scorer).name.rpartition("/")[2] for scorer in task.scorer or ()]
    for name, metric in benchmark.metrics.items():
        if metric.scorer not in known:
            return f"metric '{name}' is of scorer '{metric.scorer}', but {benchmark.task} has {', '.join(known)}"
    return ""


def _models(study: Study, *, online: bool) -> Iterator[Check]:
    from inspect_ai.model import GenerateConfig

    for label, model in study.declaration.models.items():
        try:
            if model.profile:
                load_profile(model.profile, "profile: ")
            if online:
                check_endpoint(model.base_url)
                open_model(
                    model.model, GenerateConfig(), "model", Provider(base_url=model.base_url, arguments=model.args)
                )
        except (Trace2SkillError, PrerequisiteError) as error:
            said = str(error) if error.args else unmarked(error.message)
            yield Check(what=f"model {label}", passed=False, said=said)
        else:
            where = model.base_url or "the provider's own address"
            yield Check(
                what=f"model {label}", passed=True, said=f"{model.model} at {where}{'' if online else ' (not asked)'}"
            )
