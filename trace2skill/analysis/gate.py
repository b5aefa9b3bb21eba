"""The gate: what an error analyst has learned counts only if its fix passes where the analyst cannot reach.

A submitted fix is run again as a sample of its own, `<id>/clean-run`, from the original inputs, in a sandbox that no
analyst has touched, and the task's own scorer judges that sample.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from inspect_ai.log import EvalSample
from inspect_ai.solver import TaskState
from inspect_ai.util import OutputLimitExceededError, sandbox, store

from trace2skill.analysis.fix import answer_with, run_fix
from trace2skill.analysis.reports import Analysis
from trace2skill.logs.outcome import SuccessRule

CLEAN_RUN = "/clean-run"
"""Suffix of the sample in which a fix is run again."""

OUTCOME, RAN = "clean_run", "ran"
"""Store key of how the script of a clean run ended, and what stands there if it went through."""

NOT_REPRODUCED = "the fix did not pass in a clean run from the original inputs"


@dataclass(frozen=True, kw_only=True)
class Verdicts:
    """What the gates say."""

    clean_runs: Mapping[str, bool]
    """For each trajectory whose fix was run again, whether it passed."""
    unhelpful: Mapping[str, str] = field(default_factory=dict)
    """Edits that helped in no replay, by id, with the reason."""


async def clean_run(state: TaskState, work: Mapping[str, Any]) -> TaskState:
    """Run a submitted fix from the original inputs; the task's scorer then judges the sample as usual."""
    if not work["fix"]:
        answer_with(state, work["source"])
        store().set(OUTCOME, RAN)
        return state
    try:
        await sandbox().write_file(work["fix"], work["source"])
        ran = await run_fix(work["fix"])
    except (OSError, OutputLimitExceededError) as error:
        store().set(OUTCOME, f"failed: {error!r}")
        return state
    if ran.stdout.strip():
        answer_with(state, ran.stdout)
    store().set(OUTCOME, RAN if ran.success else f"failed: {ran.stderr[-500:]}")
    return state


def passed_clean(sample: EvalSample, rule: SuccessRule) -> bool:
    """Whether the fix in a clean run went through and the sample is a success.

    A fix that breaks off has proven nothing, whatever it left behind.
    """
    return sample.store.get(OUTCOME) == RAN and rule.passed(sample.scores or {})


def gate(analysis: Analysis, verdicts: Verdicts) -> str:
    """Why an analysis may not teach: only a failure whose fix passes in a clean sandbox may (paper, section 3.2).

    Analyses in a single call propose no fix, so nothing proves them.

    Returns:
        The reason; empty if it may.
    """
    if analysis.rejected or analysis.analyst != "error":
        return analysis.rejected
    return "" if verdicts.clean_runs.get(analysis.trajectory) else NOT_REPRODUCED
