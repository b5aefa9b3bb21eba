"""The settings of an evolution run."""

import re
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from trace2skill.errors import BankError
from trace2skill.logs.trust import Allowed
from trace2skill.memory import embedder_of
from trace2skill.models.asking import TRANSCRIPT_TOKENS
from trace2skill.models.cast import Provider
from trace2skill.models.sampling import Profile, Settings
from trace2skill.skill.hazards import HazardKind

Analysts = Literal["error", "success", "combined", "error-llm"]
"""Condition: which pools of trajectories are analysed (paper, section 4.1); in the ablation `error-llm`, failures are
analysed in a single call, without tools and without the gate."""

Method = Literal["parallel", "sequential", "reasoning-bank", "awm", "synapse"]
"""How trajectories become a skill, or a bank: the parallel method, or a baseline of `trace2skill.baselines`."""

BANKS: tuple[Method, ...] = ("reasoning-bank", "awm", "synapse")
"""The methods that make a memory bank instead of a skill."""

SUCCESSES_ONLY: tuple[Method, ...] = ("awm", "synapse")
"""The banks that keep successful trajectories alone."""

ANALYSTS: dict[Method, Analysts] = {"sequential": "error"}
"""Which trajectories a method's authors analyse, where it is not both pools."""

OPTIONS: dict[str, tuple[Method, ...]] = {
    "merger": ("parallel",),
    "merge_batch": ("parallel",),
    "min_support": ("parallel",),
    "replays": ("parallel",),
    "batch": ("sequential",),
    "order_seed": ("sequential",),
    "analyse_with": ("sequential",),
    "final_consolidation": ("sequential",),
    "reuse_analyses": ("parallel", "sequential"),
    "merger_model": ("parallel", "sequential"),
    "embedder": BANKS,
    "judge": BANKS,
    "stream": ("reasoning-bank", "awm"),
}
"""Settings that only some methods have; all have the others."""

OF_SKILLS = ("max_turns", "analyst_tokens", "analyst_seconds", "merger_max_tokens")
"""Settings that a bank has no use for. A study sets them for all its methods, so they are refused where a user names
them for a bank, and not in every configuration."""

OF_MODELS = (
    "model", "model_base_url", "model_args", "analyst_model", "profile", "prompts", "temperature", "analyst_max_tokens",
    "timeout",
)  # fmt: skip
"""Settings of whoever is asked; likewise, where nobody is."""

Judge = Literal["scorer", "model"]
"""Who tells successes from failures for a bank: the logs' scorer, or the model itself, as in ReasoningBank's paper."""

Merger = Literal["model", "lexical"]
"""Who merges: the model, or text similarity alone (a control that needs no model)."""

AnalyseWith = Literal["initial", "current"]
"""The skill that analysts see: the initial one, or the one of that moment."""


def foreign_option(name: str, method: Method) -> str:
    """What there is to say of a setting that a method does not have."""
    option = {"replays": "--verify", "final_consolidation": "--no-final-consolidation"}.get(
        name, f"--{name.replace('_', '-')}"
    )
    return f"{option} belongs to --method {' or '.join(OPTIONS[name])}; --method {method} has no use for it"


SECRET = re.compile(r"key|(?<!max_)token(?!iz)|secret|password|credential|authorization", re.IGNORECASE)
"""Names of arguments whose values must not be written down; `max_tokens` and `tokenizer` hide nothing."""


class EvolveConfig(BaseModel):
    """Settings of an evolution; the defaults are the paper's."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    method: Method = "parallel"
    """How trajectories become a skill, or a bank."""
    embedder: str = "bm25"
    """What a bank's queries are embedded with."""
    judge: Judge = "scorer"
    """Who tells successes from failures for a bank."""
    stream: bool = False
    """Whether the logged tasks are played anew, one after another, and the bank grows on the way."""
    analysts: Analysts = "combined"
    """Which trajectories are analysed."""
    merger: Merger = "model"
    """Who merges the patches."""
    merge_batch: int = Field(default=32, ge=2)
    """Patches per merge call."""
    min_support: int = Field(default=2, ge=1)
    """Trajectories that must support an edit of SKILL.md."""
    batch: int = Field(default=1, ge=1)
    """Trajectories per edit call of the sequential method."""
    order_seed: int | None = Field(default=None, ge=0)
    """Shuffles the trajectories of the sequential method; none for the order of the logs."""
    analyse_with: AnalyseWith = "initial"
    """Which skill the analysts of the sequential method see."""
    final_consolidation: bool = True
    """Whether the sequential method's last call looks over all changes."""
    model: str | None = None
    """Model that plays every part; by default the one that produced the logs, with its settings."""
    model_base_url: str | None = None
    """Address of that model."""
    model_args: dict[str, Any] = Field(default_factory=dict)
    """Arguments of its provider."""
    model_roles: dict[str, str] = Field(default_factory=dict)
    """Models in roles of the logged task, such as its grader. They are never taken from a log."""
    task: str | None = None
    """Source file of the logged task that may be run, where the task is not installed."""
    task_args: dict[str, Any] = Field(default_factory=dict)
    """Arguments of the logged task in place of the log's."""
    sandbox: str | None = None
    """Where the code of the logged task runs; by default where the task itself has it run. Never taken from a log."""
    analyst_model: str | None = None
    """Model of the analysts, where it is another one."""
    merger_model: str | None = None
    """Model that merges, where it is another one."""
    profile: str | None = None
    """Sampling profile: a bundled name or a YAML file."""
    prompts: str | None = None
    """Folder with prompts of the user's own."""
    scorer: str | None = None
    """Scorer that says what success is; needed where the logs have several."""
    threshold: float = Field(default=1.0, allow_inf_nan=False)
    """Smallest score that counts as success."""
    success: str = ""
    """Expression over all scores that says what success is, instead of scorer and threshold."""
    replays: int = Field(default=0, ge=0)
    """Replays of each failed task with one lesson alone in the skill; 0 for no such gate."""
    max_turns: int = Field(default=100, ge=1)
    """Turns of the error analyst."""
    analyst_tokens: int | None = Field(default=None, ge=1)
    """Tokens that one analysis may take; none for no limit."""
    analyst_seconds: int | None = Field(default=None, ge=1)
    """Seconds that one analysis may take; none for no limit."""
    reuse_analyses: str | None = None
    """Folder of a run whose analyses are used again, instead of making them anew."""
    analyst_max_tokens: int | None = Field(default=None, ge=1)
    """Tokens of one generation of an analyst; by default those of the profile, else `Settings`' own."""
    merger_max_tokens: int | None = Field(default=None, ge=1)
    """Tokens of one merge; likewise."""
    temperature: float | None = Field(default=None, ge=0)
    """Temperature of analysts and mergers; by default that of the profile, else the server's."""
    timeout: int | None = Field(default=None, ge=1)
    """Seconds after which a call that has not ended is tried again."""
    transcript_tokens: int = Field(default=TRANSCRIPT_TOKENS, ge=100)
    """Budget of a transcript in a prompt; the whole lies in the analyst's sandbox."""
    max_quarantined: float = Field(default=0.1, ge=0, le=1)
    """Share of analyses that may break and be left out (one may in any case); with more, the run stops."""
    allow: tuple[HazardKind, ...] = ()
    """Kinds of hazards that evolved text may bring into the skill; others are withheld."""
    seed: int = 42
    """Seed of every model call."""

    @model_validator(mode="before")
    @classmethod
    def _resolved(cls, values: Any) -> Any:
        """Which trajectories are analysed depends on the method, unless it is said."""
        if isinstance(values, dict) and values.get("analysts") is None:
            usual = ANALYSTS.get(values.get("method", "parallel"), "combined")
            return {**values, "analysts": usual}
        return values

    @model_validator(mode="after")
    def _of_the_method(self) -> "EvolveConfig":
        fields = type(self).model_fields
        for name, methods in OPTIONS.items():
            if self.method not in methods and getattr(self, name) != fields[name].default:
                raise ValueError(foreign_option(name, self.method))
        if self.analyse_with == "current" and self.reuse_analyses:
            raise ValueError("analyses with the skill of the moment are made anew: leave out --reuse-analyses")
        if self.judge == "model" and self.analysts != "combined":
            raise ValueError("with --judge model nobody knows before which runs are successes: leave out --analysts")
        if self.analysts in ("error", "error-llm") and self.method in SUCCESSES_ONLY:
            raise ValueError(f"--method {self.method} keeps successes alone: leave out --analysts {self.analysts}")
        if self.stream and self.analysts != "combined":
            raise ValueError("with --stream nobody knows before which tasks are solved: leave out --analysts")
        return self

    @field_validator("embedder")
    @classmethod
    def _has_form(cls, embedder: str) -> str:
        try:
            embedder_of(embedder)
        except BankError as error:
            raise ValueError(str(error)) from error
        return embedder

    @field_validator("model_args")
    @classmethod
    def _without_secrets(cls, arguments: dict[str, Any]) -> dict[str, Any]:
        """Settings are written into the run folder."""
        if secret := next((name for name in arguments if SECRET.search(name)), None):
            raise ValueError(f"'{secret}' would be kept in run.json; put it into the provider's environment variable")
        return arguments

    @property
    def makes_bank(self) -> bool:
        """Whether the method makes a memory bank, and starts from no skill."""
        return self.method in BANKS

    @property
    def asks_model(self) -> bool:
        """Whether the method calls a model at all."""
        return self.method != "synapse" or self.judge == "model"

    def settings(self, profile: Profile | None) -> Settings:
        """How each part is sampled and bounded, with a profile that has been read."""
        return Settings.of(
            profile,
            analyst_max_tokens=self.analyst_max_tokens,
            merger_max_tokens=self.merger_max_tokens,
            temperature=self.temperature,
            timeout=self.timeout,
        )

    @property
    def allowed(self) -> Allowed:
        """What the operator allows the logs."""
        return Allowed(task_file=Path(self.task) if self.task else None, sandbox=self.sandbox, arguments=self.task_args)

    @property
    def provider(self) -> Provider:
        """What the user has said of the main model's provider."""
        return Provider(base_url=self.model_base_url, arguments=self.model_args)
