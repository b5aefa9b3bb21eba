"""What a log says of its evaluation, apart from its samples. A header is read here once, into one typed value."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inspect_ai.log import EvalLog
from inspect_ai.model import ModelConfig

CLUSTER = "cluster"
"""Key of a task's metadata under which it names the metadata field that groups its dependent samples."""

_LIMITS = frozenset({"message_limit", "token_limit", "time_limit", "working_limit", "cost_limit"})


@dataclass(frozen=True, kw_only=True)
class Header:
    """The header of a log."""

    file: Path
    eval_id: str
    """Inspect's id of the evaluation."""
    task_id: str
    """Inspect's id of the task within it; a retry keeps it."""
    created: str
    """ISO time of the start."""
    status: str
    """success, error, cancelled or started."""
    error: str
    """What the evaluation failed with; empty if it did not."""
    invalidated: bool
    """Whether a person has declared results of it void."""
    task: str
    """Name of the task."""
    registered: str
    """Name under which the task is registered."""
    version: int | str
    """Version of the task."""
    task_file: str | None
    """Source file of the task, where it came from one."""
    arguments: Mapping[str, Any]
    """The task's arguments."""
    dataset: str | None
    """Name of its dataset."""
    sample_ids: tuple[str, ...]
    """Samples that were to be run; empty where the log does not say."""
    epochs: int
    """Runs of each sample."""
    solver: str | None
    """The solver, where it is not the task's own."""
    scorers: tuple[str, ...]
    """Names under which the task's scorers stand in its scores, in their order."""
    model: ModelConfig
    """The evaluated model, with all settings that it was run with."""
    roles: Mapping[str, tuple[ModelConfig, ...]]
    """Models in roles."""
    generation: Mapping[str, Any]
    """Settings of generation that were given for the evaluation."""
    limits: Mapping[str, float]
    """Limits of each sample, by Inspect's names."""
    cluster: str
    """Metadata field of the samples that groups dependent ones, as the task declares it; empty if it declares none."""
    input_tokens: int
    """Tokens read in all samples, cached ones included."""
    output_tokens: int
    """Tokens generated."""

    @property
    def title(self) -> str:
        """Task name and version, without the package that registered it."""
        return f"{self.base_task} (version {self.version})"

    @property
    def base_task(self) -> str:
        """Task name without the package that registered it."""
        return self.task.rsplit("/", 1)[-1]

    @property
    def models(self) -> frozenset[str]:
        """Names of the evaluated model and of the models in roles."""
        return frozenset({self.model.model, *(config.model for role in self.roles.values() for config in role)})


def header_of(log: EvalLog, file: Path) -> Header:
    """The header of a log that Inspect has read from a file."""
    spec, used = log.eval, log.stats.model_usage.values()
    roles = {name: tuple(given if isinstance(given, list) else [given]) for name, given in _roles(log).items()}
    return Header(
        file=file,
        eval_id=spec.eval_id,
        task_id=spec.task_id or "",
        created=spec.created,
        status=log.status,
        error=log.error.message if log.error else "",
        invalidated=log.invalidated,
        task=spec.task,
        registered=spec.task_registry_name or spec.task,
        version=spec.task_version,
        task_file=spec.task_file,
        arguments=spec.task_args,
        dataset=spec.dataset.name,
        sample_ids=tuple(map(str, spec.dataset.sample_ids or ())),
        epochs=spec.config.epochs or 1,
        solver=spec.solver,
        scorers=_scorers(log),
        model=ModelConfig(
            model=spec.model,
            config=spec.model_generate_config.merge(log.plan.config),
            base_url=spec.model_base_url,
            args=spec.model_args,
        ),
        roles=roles,
        generation=log.plan.config.model_dump(exclude_none=True),
        limits=spec.config.model_dump(include=set(_LIMITS), exclude_none=True),
        cluster=cluster if isinstance(cluster := (spec.metadata or {}).get(CLUSTER), str) else "",
        input_tokens=sum(usage.input_tokens + (usage.input_tokens_cache_read or 0) for usage in used),
        output_tokens=sum(usage.output_tokens for usage in used),
    )


def _roles(log: EvalLog) -> Mapping[str, ModelConfig | list[ModelConfig]]:
    return log.eval.model_roles or {}


def _scorers(log: EvalLog) -> tuple[str, ...]:
    """Inspect numbers scorers of one name: `match`, `match1`, `match2`."""
    names: list[str] = []
    for definition in log.eval.scorers or []:
        base = definition.name.rsplit("/", 1)[-1]
        candidates = [base, *(f"{base}{number}" for number in range(1, len(names) + 1))]
        names.append(next(name for name in candidates if name not in names))
    return tuple(names)
