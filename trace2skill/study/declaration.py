"""What a study declares: `study.yaml` as values. What the values must have in common is in `reading.py`."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator

from trace2skill.baselines.controls import ControlKind
from trace2skill.evolution.configuration import SECRET, Analysts
from trace2skill.study.evaluations import Mode, OfSeen

NO_SKILL, HUMAN_WRITTEN, PARAMETRIC, EQUAL_TOKENS = "no-skill", "human-written", "parametric", "equal-tokens"
REFERENCES = (NO_SKILL, HUMAN_WRITTEN, PARAMETRIC)
"""Conditions that nothing is evolved for."""

ANALYSTS: tuple[str, ...] = get_args(Analysts)
"""Conditions of the parallel method, named after its analysts."""

SEQUENTIAL = "sequential-"
"""Conditions of sequential editing begin so; the batch follows."""

MEMORIES = ("reasoning-bank", "awm", "synapse")
"""Conditions with a memory bank instead of a skill."""

CONTROLS: tuple[str, ...] = get_args(ControlKind)
"""Conditions made of another condition's skill."""

Selection = Literal["none", "best"]
"""Whether every seed's skill is tested, or of each author, mode and condition the one that did best on the evolve
split."""


class _Declared(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _names(value: Any) -> Iterator[str]:
    """Every key of a mapping, at whatever depth."""
    if isinstance(value, Mapping):
        for name, part in value.items():
            yield str(name)
            yield from _names(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _names(part)


class DeclaredModel(_Declared):
    """A model, under its scale label."""

    model: str
    """Inspect's name of it."""
    base_url: str | None = None
    """Address of its endpoint; by default the provider's own, or that of its environment variable."""
    args: Mapping[str, Any] = Field(default_factory=dict)
    """Arguments of its provider."""
    profile: str | None = None
    """How it is sampled: a bundled profile's name, or a YAML file."""
    at_once: int | None = Field(default=None, ge=1)
    """Cells that may ask it at once; none for no limit beside that of the run."""
    gpus: int = Field(default=0, ge=0)
    """GPUs that serve it, for the plan's GPU hours."""
    tokens_per_second: float | None = Field(default=None, gt=0)
    """Output tokens per second of its endpoint, for the plan, as long as nothing was measured."""

    @field_validator("args")
    @classmethod
    def _without_secrets(cls, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """They are written into the runs folder."""
        if secret := next((name for name in _names(arguments) if SECRET.search(name)), None):
            raise ValueError(f"'{secret}' would be kept in the runs folder; use the provider's environment variable")
        return arguments


class DeclaredMetric(_Declared):
    """Where a published metric stands in the logs."""

    scorer: str
    """Name of the scorer."""
    key: str | None = None
    """Key of its value, or of the metadata of its score; none where the value is a number or a letter."""


class DeclaredBenchmark(_Declared):
    """A benchmark, under its published name."""

    task: str
    """Inspect's name of the task, such as `evals/wikitq`, or `FILE.py@task`."""
    args: Mapping[str, Any] = Field(default_factory=dict)
    """Its arguments, apart from split, skill and memory."""
    evolve: str | None = None
    """Its split that skills are made from; none where it is for evaluation only."""
    test: str = "test"
    """Its split that is tested."""
    metrics: Mapping[str, DeclaredMetric] = Field(min_length=1)
    """Published metrics; the first is the one that a selection goes by."""
    epochs: int | None = Field(default=None, ge=1)
    """Runs of each sample; by default as the task has it."""
    samples: int | None = Field(default=None, ge=1)
    """Samples of the test split, from its beginning; by default all."""
    evolve_samples: int | None = Field(default=None, ge=1)
    """Samples of the evolve split, likewise."""
    seen: OfSeen = "refuse"
    """What a report does about tested samples that a skill has seen, or whose page or table it has seen: refuse to
    compare, leave them out, or keep them with a stamp."""
    sizes: Mapping[str, int] = Field(default_factory=dict)
    """Samples of its splits, for a plan while the data is not there."""


class DeclaredDraft(_Declared):
    """What a parametric skill is for."""

    name: str
    """Name of the skill."""
    about: str
    """Its domain, in a sentence."""


class DeclaredDomain(_Declared):
    """What a skill is evolved on and tested on."""

    evolve_on: str
    """Benchmark that skills are made from."""
    test_on: tuple[str, ...] = Field(min_length=1)
    """Benchmarks that they are tested on; those other than `evolve_on` are out of distribution, unless named below."""
    in_distribution: tuple[str, ...] = ()
    """Other benchmarks of the same distribution."""
    human_written: str | None = None
    """The skill that deepening starts from."""
    draft: DeclaredDraft | None = None
    """The skill that creation starts from."""


class DeclaredArms(_Declared):
    """Conditions, and for whom."""

    domain: str
    """Domain."""
    conditions: tuple[str, ...] = Field(min_length=1)
    """Conditions."""
    authors: tuple[str, ...] = ()
    """Models that evolve; by default all."""
    users: tuple[str, ...] = ()
    """Models that are evaluated; by default all."""
    pairs: Literal["all", "own"] = "all"
    """Whether every user gets the skill of every author, or only its own."""
    modes: tuple[Mode, ...] = ()
    """Where the evolution starts; needed for conditions that are evolved."""
    of: str | None = None
    """Of controls and `equal-tokens`: the condition that they are made of."""
    test_on: tuple[str, ...] = ()
    """Benchmarks; by default those of the domain."""


class DeclaredLimits(_Declared):
    """Bounds of each run of a sample, and what is done about failures. None: as the task has it."""

    message_limit: int | None = Field(default=None, ge=1)
    """Messages."""
    token_limit: int | None = Field(default=None, ge=1)
    """Tokens."""
    time_limit: int | None = Field(default=None, ge=1)
    """Seconds."""
    working_limit: int | None = Field(default=None, ge=1)
    """Seconds of work, without waiting for the model's server."""
    retries: int = Field(default=1, ge=0)
    """Times that an evaluation with failed samples is tried again at once; running the study again tries anew."""
    tolerate: float = Field(default=0.0, ge=0, lt=1)
    """Share of samples that may break in an evaluation which counts as finished; they are shown as missing."""


class DeclaredGeneration(_Declared):
    """How agents are sampled, over their profile. None: as profile and task have it."""

    max_tokens: int | None = Field(default=None, ge=1)
    """Tokens of one generation."""
    temperature: float | None = Field(default=None, ge=0)
    """Temperature."""
    timeout: int | None = Field(default=None, ge=1)
    """Seconds of one attempt of a call."""
    max_connections: int | None = Field(default=None, ge=1)
    """Calls under way at once in each cell; no part of what defines a cell."""


class DeclaredBudget(_Declared):
    """What a study may take. Once it is used up no further cell begins."""

    tokens: int | None = Field(default=None, ge=1)
    """Tokens read and generated."""
    gpu_hours: float | None = Field(default=None, gt=0)
    """GPU hours: wall time of cells, times the GPUs of their model."""


class Primary(_Declared):
    """A comparison that was declared before anything was tested."""

    name: str
    """What it is called."""
    benchmark: str
    """Benchmark."""
    metric: str
    """Metric of it."""
    user: str
    """Model that is evaluated."""
    condition: str
    """Condition that should be better."""
    against: str
    """Condition that it is compared with."""
    author: str | None = None
    """Model that made the skill, where one did."""
    mode: Mode | None = None
    """Where the evolution started."""
    margin: float | None = Field(default=None, gt=0, lt=1)
    """Margin of equivalence or non-inferiority, in units of the metric's values: 0.05 for five points of percent."""


class Declaration(_Declared):
    """A study."""

    schema_version: Literal[1] = 1
    """Version of this form."""
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    """Name; that of its folders."""
    title: str = ""
    """What it asks, in a sentence."""
    models: Mapping[str, DeclaredModel] = Field(min_length=1)
    """Models by scale label."""
    benchmarks: Mapping[str, DeclaredBenchmark] = Field(min_length=1)
    """Benchmarks by published name."""
    domains: Mapping[str, DeclaredDomain] = Field(min_length=1)
    """Domains."""
    arms: tuple[DeclaredArms, ...] = Field(min_length=1)
    """What is compared; what stands in several is run once."""
    seeds: tuple[int, ...] = Field(default=(42,), min_length=1)
    """Seeds of evolutions."""
    seed_agents: bool = True
    """Whether agents are sampled with the seed of their row, and conditions without an evolution run once per seed.
    Otherwise agents get no seed, and such conditions run once."""
    selection: Selection = "none"
    """What is tested of several seeds."""
    reuse_analyses: bool = True
    """Whether conditions that look at the same trajectories share the analyses of `combined`, where it is there."""
    evolution: Mapping[str, Any] = Field(default_factory=dict)
    """Further settings of evolutions, as `EvolveConfig` has them."""
    generation: DeclaredGeneration = DeclaredGeneration()
    """How agents are sampled."""
    limits: DeclaredLimits = DeclaredLimits()
    """Bounds of agents."""
    budget: DeclaredBudget = DeclaredBudget()
    """What the study may take."""
    primary: tuple[Primary, ...] = ()
    """Comparisons that were declared beforehand."""
    scales: Mapping[str, Mapping[str, Any]] = Field(default_factory=dict)
    """Other scales of the study: what differs, laid over all of the above. Lists take the place of lists."""


def is_evolved(condition: str) -> bool:
    """Whether a condition has a skill or bank that is made from trajectories."""
    return condition in ANALYSTS or condition in MEMORIES or condition.startswith(SEQUENTIAL)


def is_derived(condition: str) -> bool:
    """Whether a condition is made of another one."""
    return condition in CONTROLS or condition == EQUAL_TOKENS


CONDITIONS = (*REFERENCES, *ANALYSTS, f"{SEQUENTIAL}1", f"{SEQUENTIAL}4", *MEMORIES, EQUAL_TOKENS, *CONTROLS)
"""Names of conditions; of sequential editing there is one for every batch."""
