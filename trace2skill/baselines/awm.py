"""Agent Workflow Memory: workflows from successes only, the nearest past task's shown to the agent.

Wang et al., "Agent Workflow Memory", https://arxiv.org/abs/2409.07429, in the form in which ReasoningBank's code has
it as a baseline (https://arxiv.org/abs/2509.25140).

Taken from that code: successes alone, temperature 0.7, retrieval as for its items. The paper's own offline form
induces from all successes of a site at once and shows every workflow; here, as there, one call looks at one
trajectory. At most 3 workflows, as many as ReasoningBank has items.
"""

from trace2skill.baselines.banks import fill
from trace2skill.baselines.induction import Keeping
from trace2skill.baselines.streaming import streamed
from trace2skill.evolution.folder import Manifest, Record
from trace2skill.evolution.inputs import Inputs
from trace2skill.evolution.run import Run

KEEPING = Keeping(method="awm", success="memory_workflow", failure=None, temperature=0.7)


def awm(run: Run, inputs: Inputs, record: Record) -> Manifest:
    """A bank of workflows, one call for each success."""
    make = streamed if run.config.stream else fill
    return make(run, inputs, record, KEEPING)
