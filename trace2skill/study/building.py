"""Builds the cells of a study, one method for each kind, from its declaration."""

from collections.abc import Mapping
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from inspect_ai.model import GenerateConfig

from trace2skill.data.places import resolve_path
from trace2skill.errors import StudyError
from trace2skill.evolution.configuration import OPTIONS, EvolveConfig, Method
from trace2skill.models.sampling import ATTEMPTS, Profile, load_profile
from trace2skill.skill.folder import load_skill
from trace2skill.study.cells import Cell, Kind, slug
from trace2skill.study.declaration import (
    ANALYSTS,
    MEMORIES,
    SEQUENTIAL,
    Declaration,
    DeclaredBenchmark,
    DeclaredMetric,
    DeclaredModel,
)
from trace2skill.study.evaluations import Mode, SplitName

_SHORT = {"deepening": "deep", "creation": "new"}


class Builder:
    """Builds cells; what is asked for twice is built once."""

    def __init__(self, declaration: Declaration) -> None:
        self.declaration = declaration
        self.draft = cache(self._draft)
        self.rollout = cache(self._rollout)
        self.evolve = cache(self._evolve)
        self._skill = cache(_skill)
        self._profile = cache(lambda name: load_profile(name, "profile: "))

    @cached_property
    def _agent_seed(self) -> int | None:
        """Seed of agents that no evolution's seed belongs to."""
        return self.declaration.seeds[0] if self.declaration.seed_agents else None

    def start(self, domain: str, author: str, mode: Mode) -> Cell | str:
        """The skill that an evolution starts from: a folder, or the cell that drafts it."""
        human = self.declaration.domains[domain].human_written
        if mode == "creation":
            drafted: Cell = self.draft(domain, author)
            return drafted
        assert human is not None, "checked when the declaration was read"
        return human

    def _draft(self, domain: str, author: str) -> Cell:
        declared = self.declaration.domains[domain].draft
        assert declared is not None, "checked when the declaration was read"
        definition = {
            **self._asked(author),
            "name": declared.name,
            "about": declared.about,
            "seed": self.declaration.seeds[0],
            "profile": self._profile_of(author),
        }
        return Cell(
            kind="draft",
            slug=slug(domain, author),
            definition=definition,
            places=self._places(author),
            model=author,
        )

    def _rollout(self, domain: str, author: str, mode: Mode) -> Cell:
        benchmark = self.declaration.domains[domain].evolve_on
        start = self.start(domain, author, mode)
        return self._played("rollout", author, benchmark, "evolve", start, "skill", self._agent_seed, _SHORT[mode])

    def _evolve(self, domain: str, condition: str, author: str, mode: Mode, seed: int, *, reuse: bool) -> Cell:
        benchmark = self.declaration.benchmarks[self.declaration.domains[domain].evolve_on]
        start = self.start(domain, author, mode)
        needs = {"rollout": self.rollout(domain, author, mode)}
        definition: dict[str, Any] = {}
        places = self._places(author)
        if condition not in MEMORIES:
            if isinstance(start, Cell):
                needs["initial"] = start
            else:
                places["initial"], definition["initial"] = self._skill(start)
        if reuse and (condition in ("error", "success") or condition.startswith(SEQUENTIAL)):
            needs["reuse"] = self.evolve(domain, "combined", author, mode, seed, reuse=reuse)
        config = self._config(condition, author, seed, benchmark)
        definition["config"] = config.model_dump(mode="json", exclude_defaults=True, exclude={"profile"})
        definition["profile"] = self._profile_of(author)
        return Cell(
            kind="evolve",
            slug=slug(domain, author, _SHORT[mode], condition, seed),
            definition=definition,
            needs=needs,
            places=places,
            model=author if config.asks_model else "",
        )

    def select(
        self, domain: str, condition: str, author: str, mode: Mode, evolved: Mapping[int, Cell], argument: str
    ) -> Cell:
        """The best of several seeds, by what the author does with each on the evolve split."""
        name = self.declaration.domains[domain].evolve_on
        metric = next(iter(self.declaration.benchmarks[name].metrics.values()))
        needs = {f"seed-{seed}": cell for seed, cell in evolved.items()}
        for seed, cell in evolved.items():
            needs[f"played-{seed}"] = self.play(author, name, "evolve", cell, argument, seed)
        return Cell(
            kind="select",
            slug=slug(domain, author, _SHORT[mode], condition),
            definition={"metric": metric.model_dump(mode="json"), "seeds": list(evolved)},
            needs=needs,
        )

    def control(self, kind: str, evolved: Cell, seed: int | None) -> Cell:
        """A control of an evolved skill."""
        needs = {"evolved": evolved}
        if kind == "lexical":
            needs |= {part: evolved.needs[part] for part in ("rollout", "initial") if part in evolved.needs}
        places = {key: value for key, value in evolved.places.items() if key == "initial"}
        return Cell(
            kind="control",
            slug=slug(evolved.slug, kind),
            definition={"kind": kind, "seed": self.declaration.seeds[0] if seed is None else seed},
            needs=needs,
            places=places,
        )

    def play(
        self, user: str, benchmark: str, split: SplitName, source: Cell | str | None, argument: str, seed: int | None
    ) -> Cell:
        """A benchmark's split, as a user plays it with what a source has made."""
        by = source.slug if isinstance(source, Cell) else (Path(source).name if source else "no-skill")
        agent_seed = seed if self.declaration.seed_agents and seed is not None else self._agent_seed
        named = f"{argument}-{by}" if argument == "match_tokens" else by
        return self._played("evaluate", user, benchmark, split, source, argument, agent_seed, named)

    def _played(
        self,
        kind: Kind,
        user: str,
        benchmark: str,
        split: SplitName,
        source: Cell | str | None,
        argument: str,
        seed: int | None,
        named: str,
    ) -> Cell:
        declared = self.declaration.benchmarks[benchmark]
        places, definition = self._places(user), self._asked(user)
        if isinstance(source, str):
            places["skill"], definition["skill"] = self._skill(source)
        file, at, _ = declared.task.rpartition("@")
        definition |= {
            "task": declared.task.rsplit("/", 1)[-1] if at else declared.task,
            "args": {**declared.args, "split": declared.evolve if split == "evolve" else declared.test},
            "argument": argument if source is not None else "",
            "epochs": declared.epochs,
            "samples": declared.evolve_samples if split == "evolve" else declared.samples,
            # Runs of a sample with one seed would be one run several times.
            "generation": self._sampled(user, seed if (declared.epochs or 1) == 1 else None),
            "limits": self.declaration.limits.model_dump(exclude={"retries"}, exclude_none=True),
        }
        places |= {
            "file": str(resolve_path(file)) if at else "",
            "retries": self.declaration.limits.retries,
            "max_connections": self.declaration.generation.max_connections,
        }
        return Cell(
            kind=kind,
            slug=slug(benchmark if split == "test" else f"{benchmark}-evolve", user, named, seed),
            definition=definition,
            needs={"source": source} if isinstance(source, Cell) else {},
            places=places,
            model=user,
            test=split == "test",
        )

    def _model(self, label: str) -> DeclaredModel:
        return self.declaration.models[label]

    def _asked(self, label: str) -> dict[str, Any]:
        declared = self._model(label)
        return {"model": declared.model, "model_args": dict(declared.args)}

    def _places(self, label: str) -> dict[str, Any]:
        declared = self._model(label)
        return {"base_url": declared.base_url, "profile": declared.profile}

    def _profile_of(self, label: str) -> dict[str, Any] | None:
        """How a model is sampled, by what its profile says now, without where that comes from."""
        name = self._model(label).profile
        if name is None:
            return None
        profile: Profile = self._profile(name)
        return profile.model_dump(mode="json", exclude_none=True, exclude={"source"})

    def _sampled(self, label: str, seed: int | None) -> dict[str, Any]:
        """How an agent is sampled: its profile's words for agents, and over them the study's."""
        name = self._model(label).profile
        base = self._profile(name).instruct if name else GenerateConfig()
        said = self.declaration.generation
        seconds = said.timeout or base.timeout
        over = GenerateConfig(max_tokens=said.max_tokens, temperature=said.temperature, seed=seed)
        if seconds:
            over = over.merge(GenerateConfig(attempt_timeout=seconds, timeout=ATTEMPTS * seconds))
        sampled: dict[str, Any] = base.merge(over).model_dump(mode="json", exclude_none=True)
        return sampled

    def _config(self, condition: str, author: str, seed: int, benchmark: DeclaredBenchmark) -> EvolveConfig:
        metric: DeclaredMetric = next(iter(benchmark.metrics.values()))
        file, at, _ = benchmark.task.rpartition("@")
        method, own = _method(condition)
        extra = {
            key: value for key, value in self.declaration.evolution.items() if method in OPTIONS.get(key, (method,))
        }
        try:
            return EvolveConfig(
                **{
                    **extra,
                    **own,
                    "method": method,
                    "seed": seed,
                    "scorer": extra.get("scorer", None if "success" in extra else metric.scorer),
                    "sandbox": extra.get("sandbox", benchmark.args.get("sandbox")),
                    "task": extra.get("task", str(resolve_path(file)) if at else None),
                    "model": self._model(author).model,
                    "model_args": dict(self._model(author).args),
                    "profile": self._model(author).profile,
                }
            )
        except ValueError as error:
            raise StudyError(f"{self.declaration.name}: condition {condition}, evolution: {error}") from error


def _method(condition: str) -> tuple[Method, dict[str, Any]]:
    """The method of a condition, and the settings that it has of its own."""
    if condition in ANALYSTS:
        return "parallel", {"analysts": condition}
    if condition.startswith(SEQUENTIAL):
        return "sequential", {"batch": int(condition.removeprefix(SEQUENTIAL))}
    banks: dict[str, Method] = {"reasoning-bank": "reasoning-bank", "awm": "awm", "synapse": "synapse"}
    return banks[condition], {}


def _skill(path: str) -> tuple[str, str]:
    """Folder and digest of a skill that the declaration names.

    Raises:
        SkillError: It is none.
    """
    folder = resolve_path(path).resolve()
    return str(folder), load_skill(folder).digest
