"""The result of comparing conditions, as it is saved and shown."""

import math
from typing import Literal

from pydantic import BaseModel, ConfigDict

from trace2skill.comparison.margin import Margins
from trace2skill.comparison.repeats import Noise, Repeats
from trace2skill.comparison.sequential import Anytime
from trace2skill.comparison.statistics import PairedResult


class _Record(BaseModel):
    # Undefined numbers are written as the JSON strings "NaN" and "Infinity", which are read back as numbers.
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


class LogFile(_Record):
    """A log that an arm consists of."""

    file: str
    """Path of the log."""

    eval_id: str
    """Inspect's id of the evaluation."""

    task: str
    """Task name and version."""

    model: str
    """The evaluated model."""

    status: str
    """Status of the evaluation: success, error, cancelled or started."""

    created: str
    """When the evaluation started."""


class MissingSample(_Record):
    """A sample of which some or all runs are missing."""

    id: str
    """Sample id."""

    scored: int
    """Number of its runs that have a score; with 0 the sample is left out of the test."""

    missing: dict[str, int]
    """Number of its missing runs for each reason."""


class Arm(_Record):
    """One side of a comparison."""

    name: str
    """Name of the arm in tables."""

    logs: tuple[LogFile, ...]
    """The logs, each a seed or a part of the arm."""

    superseded: tuple[str, ...]
    """Logs left out because a newer attempt at the same evaluation is there."""

    models: tuple[str, ...]
    """The evaluated models."""

    skills: tuple[str, ...]
    """The skills given to the task; empty if it had none."""

    memories: tuple[str, ...] = ()
    """The memory banks given to the task, likewise."""

    match_tokens: tuple[str, ...] = ()
    """What its agent might spend on checking its work: the logs of another arm, or a number; empty for nothing."""

    tokens_per_run: float | None = None
    """Mean tokens, read and generated, of the runs that did not fail; None where the logs do not tell."""

    tokens_allowed: float | None = None
    """Mean tokens that these runs might take, where they had a budget; None where they had none."""

    samples: int
    """Samples that should have a score: those of any arm's dataset."""

    scored: int
    """Samples with at least one scored run."""

    runs: int
    """Runs (epochs of all logs) that should have a score."""

    runs_scored: int
    """Runs that have a score."""

    repeats: Repeats | None = None
    """avg@k, pass@k and pass^k of its runs; None where samples were run once, or scores are not 0 and 1."""

    mean: float
    """Mean score over the samples that the difference is about: those scored in both arms."""

    low: float
    """Lower limit of the 95% interval of the mean."""

    high: float
    """Upper limit of the 95% interval of the mean."""

    missing: tuple[MissingSample, ...]
    """Samples that lack a run, by id."""


class Setting(_Record):
    """Something that is not the same in both arms."""

    name: str
    """Name of the setting: model, task, a task argument (`task.skill`), an option of generation or a limit."""

    control: tuple[str, ...]
    """Its values in the control's logs."""

    treatment: tuple[str, ...]
    """Its values in the treatment's logs."""


class Seen(_Record):
    """What a skill or a memory has seen of the samples it is tested on."""

    artefact: str
    """Its path as the logs name it."""

    samples: tuple[str, ...]
    """Tested samples that are among those it was made from."""

    related: tuple[str, ...] = ()
    """Other tested samples whose page or table is one of theirs."""

    group: str = ""
    """Metadata field that names page or table."""


class Pair(_Record):
    """Scores of one sample in both arms."""

    id: str
    """Sample id."""

    control: float
    """Mean score of its runs in the control."""

    treatment: float
    """Mean score of its runs in the treatment."""

    cluster: str | None
    """Its cluster, if samples are clustered."""


class Comparison(_Record):
    """A paired comparison of two arms."""

    schema_version: Literal[2] = 2
    """Version of this format."""

    simulated: bool
    """Whether a stand-in model took part; then the numbers are evidence about the harness only."""

    tasks: tuple[str, ...]
    """The tasks, one unless different tasks were allowed."""

    scorer: str
    """The scorer whose values are compared."""

    key: str | None
    """Which of the scorer's values, if it gives several."""

    cluster: str | None
    """Metadata field that names clusters of dependent samples."""

    cluster_source: Literal["asked", "task", "none"] = "none"
    """Who says so: whoever asked for the comparison, the task, or nobody: samples count as independent."""

    split: str = ""
    """The split that was run, as the logs have it; several joined by " and "; empty where they do not say."""

    in_sample: bool = False
    """Whether the skill or memory of an arm has seen samples, or their pages or tables: then this is no test of it."""

    seen: tuple[Seen, ...] = ()
    """What has been seen of the samples, for each skill and memory that has seen any; left out where the comparison is
    not in-sample."""

    unrecorded: tuple[str, ...] = ()
    """Skills tested on a split that skills are made from, of which no record says what they have seen."""

    seed: int
    """Seed of the statistics."""

    control: Arm
    """The arm compared against."""

    treatment: Arm
    """The arm whose effect is asked for."""

    settings: tuple[Setting, ...]
    """What differs between the arms' logs, wanted or not."""

    result: PairedResult
    """The test on the samples that are scored in both arms: what is missing is left out."""

    as_failures: PairedResult | None = None
    """The same with every missing run counted as a failure, a score of 0; equal to `result` where none is missing, None
    where scores lie outside 0..1, so that 0 is no failure. In a table its interval holds together with the others', as
    its confidence says."""

    tipping_point: float = math.nan
    """The mean score of the treatment's missing runs, those of the control having its complement, from which the
    treatment is better at the 5% level; 0 if it is even at the worst. NaN if it is not even at the best, or nothing is
    missing."""

    n_needed: float = math.nan
    """Samples that would find the observed difference in 80 of 100 studies; infinite for no difference."""

    regressions: tuple[str, ...] = ()
    """Samples that the treatment scored lower than the control, the largest loss first."""

    lost: tuple[str, ...] = ()
    """Samples that the control has points for, and of which all runs are missing that the treatment's logs call for."""

    simultaneous: tuple[float, float] = (math.nan, math.nan)
    """Interval of the difference that holds together with those of the other comparisons of its table at 95%; it
    excludes zero where the p-value after Holm's correction is at most .05. Of a single comparison, the plain one."""

    p_adjusted: float = math.nan
    """P-value of `result` after Holm's correction over the comparisons of its table; of a single one, the plain one."""

    p_adjusted_as_failures: float = math.nan
    """The same of `as_failures`, or of `result` where that is None."""

    skills: int = 0
    """Different skills, or memories, that the treatment was run with, each an evolution seed of one method."""

    about: Literal["condition", "skill", "method"] = "condition"
    """What the difference is about: two conditions, one evolved skill, or the method that made several."""

    margins: Margins | None = None
    """Non-inferiority and equivalence at the declared margin, missing runs counted as failures; None without one."""

    noise: Noise | None = None
    """What repeated runs of the control differ by; None if there are none."""

    anytime: Anytime | None = None
    """The same comparison for one who looks several times; None unless asked for, and for several skills."""

    worst: float
    """Difference if every missing run of the treatment scored 0 and of the control 1; NaN outside 0..1."""

    best: float
    """Difference if every missing run of the treatment scored 1 and of the control 0; NaN outside 0..1."""

    pairs: tuple[Pair, ...]
    """The scores that were tested, by sample id."""


class Making(_Record):
    """What an arm is, and what making its skill or memory took."""

    arm: str
    """Name of the arm in tables."""

    method: str
    """How its skill or memory was made."""

    sees: str
    """What the method may look at."""

    author: tuple[str, ...] = ()
    """Models that made it; empty where no model did, or nothing is known of it."""

    trajectories: int | None = None
    """Trajectories that it was made from; None where nothing is known, or nothing was made."""

    calls: int | None = None
    """Model calls that were answered, those whose answers could not be used among them; likewise."""

    input_tokens: int | None = None
    """Tokens read, cached ones included; likewise."""

    output_tokens: int | None = None
    """Tokens generated; likewise."""

    rounds: int | None = None
    """Model-asking samples in the longest chain of those that had to wait for each other; likewise."""

    wall_seconds: float | None = None
    """Time of its stages, those side by side counted once; likewise."""

    agents: tuple[str, ...] = ()
    """Models that played the trajectories; empty where nothing is known, or nothing was made."""

    sources: tuple[str, ...] = ()
    """SHA-256 of each log, and file of patches, that it was made from, sorted; likewise."""

    artefact: str = ""
    """Path of the skill or memory as the logs name it; empty where there is none."""

    notes: tuple[str, ...] = ()
    """What a reader of the row should know."""


class ComparisonTable(_Record):
    """Several arms, each compared with the same baseline."""

    schema_version: Literal[2] = 2
    """Version of this format."""

    simulated: bool
    """Whether a stand-in model took part in any arm."""

    baseline: str
    """Name of the arm that the others are compared with."""

    comparisons: tuple[Comparison, ...]
    """One comparison for each other arm, in the given order."""

    adjusted: tuple[float, ...]
    """P-values of the comparisons after Holm's correction, in the same order."""

    methods: tuple[Making, ...] = ()
    """What each arm is and what making it took, the baseline first; empty unless asked for."""

    unequal: tuple[str, ...] = ()
    """In what those who made the arms were not equal."""
