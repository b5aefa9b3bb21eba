"""What a study needs, looked at before it is run."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from inspect_ai import Task
from inspect_ai.dataset import Sample
from inspect_ai.util import registry_info

from trace2skill.comparison.exposure import left_out, overlap
from trace2skill.comparison.results import Seen
from trace2skill.data.places import resolve_path
from trace2skill.errors import PrerequisiteError, Trace2SkillError
from trace2skill.logs.header import CLUSTER
from trace2skill.logs.task import create_task
from trace2skill.models.cast import Provider, open_model
from trace2skill.models.sampling import load_profile
from trace2skill.skill.folder import check_skill, load_skill
from trace2skill.skill.seen import Exposure
from trace2skill.study.declaration import DeclaredBenchmark, is_evolved
from trace2skill.study.endpoints import check_endpoint
from trace2skill.study.evaluations import OfSeen
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
    made: dict[tuple[str, str], Task] = {}
    found += [*_skills(study), *_data(study, made), *_overlaps(study, made), *_models(study, online=online)]
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


def _data(study: Study, made: dict[tuple[str, str], Task]) -> Iterator[Check]:
    """Whether each benchmark's task can be made, has samples, and has the scorers that the metrics name.

    What could be made is put into `made`, by benchmark and split.
    """
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
        made.update({(name, split): task for split, task in tasks.items()})
        said = ", ".join(f"{len(task.dataset)} samples in {split}" for split, task in tasks.items())
        wrong = next(filter(None, (_wrong_scorer(benchmark, task) for task in tasks.values())), "")
        yield Check(what=f"benchmark {name}", passed=not wrong, said=wrong or said)


def _overlaps(study: Study, made: Mapping[tuple[str, str], Task]) -> Iterator[Check]:
    """Whether skills are tested on samples that they are made from, or on others of their page or table."""
    declared = study.declaration
    pairs = {
        (declared.domains[arms.domain].evolve_on, name)
        for arms in declared.arms
        for name in arms.test_on or declared.domains[arms.domain].test_on
        if any(map(is_evolved, arms.conditions))
    }
    for source, name in sorted(pairs):
        old, new = declared.benchmarks[source], declared.benchmarks[name]
        evolve, test = made.get((source, old.evolve or "")), made.get((name, new.test))
        if evolve is None or test is None or not _comparable(old, new, evolve, test):
            continue
        seen = seen_of_test(evolve, old.evolve_samples, test, new.samples)
        count = len(left_out([seen]))
        if not count:
            continue
        where = f"{len(seen.samples)} by id, {len(seen.related)} by {seen.group or 'page or table'}"
        said = f"{count} tested samples are seen by skills made from {source} ({where}); {_OF_SEEN[new.seen]}"
        yield Check(what=f"split {new.test} of {name}", passed=new.seen != "refuse", said=said)


_OF_SEEN: Mapping[OfSeen, str] = {
    "refuse": "reports refuse to compare on them: name another split, or say `seen: leave-out` of the benchmark",
    "leave-out": "reports leave them out",
    "keep": "reports stamp what is compared on them IN-SAMPLE",
}


def _comparable(old: DeclaredBenchmark, new: DeclaredBenchmark, evolve: Task, test: Task) -> bool:
    """Whether ids mean the same in two benchmarks: in one task, and in one dataset, whatever the task is called."""
    return old.task == new.task or bool(evolve.dataset.name and evolve.dataset.name == test.dataset.name)


def seen_of_test(evolve: Task, evolved: int | None, test: Task, tested: int | None) -> Seen:
    """The tested samples that are in the evolve split, or of a group that is."""
    field = str((test.metadata or {}).get(CLUSTER, ""))
    seen, new = list(evolve.dataset)[:evolved], list(test.dataset)[:tested]
    exposure = Exposure(
        task="",
        dataset="",
        split="",
        samples=tuple(str(sample.id) for sample in seen),
        groups={field: tuple(sorted(_groups(seen, field).values()))},
    )
    return overlap("", [exposure], [str(sample.id) for sample in new], {field: _groups(new, field)})


def _groups(samples: Iterable[Sample], field: str) -> dict[str, str]:
    values = {str(sample.id): (sample.metadata or {}).get(field) for sample in samples}
    return {name: str(value) for name, value in values.items() if value not in (None, "")}


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
