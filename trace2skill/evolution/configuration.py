"""The settings of an evolution run."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from trace2skill.models.asking import TRANSCRIPT_TOKENS

Analysts = Literal["error", "success", "combined", "error-llm"]
"""Condition: which pools of trajectories are analysed (paper, section 4.1); in the ablation `error-llm`, failures are
analysed in a single call, without tools and without the gate."""

Merger = Literal["model", "lexical"]
"""Who merges: the model, or text similarity alone (a control that needs no model)."""


class EvolveConfig(BaseModel):
    """Settings of an evolution; the defaults are the paper's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    analysts: Analysts = "combined"
    """Which trajectories are analysed."""
    merger: Merger = "model"
    """Who merges the patches."""
    merge_batch: int = Field(default=32, ge=2)
    """Patches per merge call."""
    min_support: int = Field(default=2, ge=1)
    """Trajectories that must support an edit of SKILL.md."""
    model: str | None = None
    """Model that plays every part; by default the one that produced the logs, with its settings."""
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
    transcript_tokens: int = Field(default=TRANSCRIPT_TOKENS, ge=100)
    """Budget of a transcript in a prompt; the whole lies in the analyst's sandbox."""
    seed: int = 42
    """Seed of every model call."""
