"""Synapse: the raw successful trajectory of the nearest past task as an example. No model is asked for it.

Zheng et al., "Synapse: Trajectory-as-Exemplar Prompting with Memory for Computer Control",
https://arxiv.org/abs/2306.07863, in the form in which ReasoningBank's code has it as a baseline
(https://arxiv.org/abs/2509.25140).

Taken from that code: successes alone, as they are, retrieved by their queries. The paper's abstraction of states is
left out, as there. A trajectory longer than `--transcript-tokens` is shown by its head, its tail and what surrounds
its errors. Leak guard: a raw run holds the answer to its own task, which the agent found itself, so only hidden text
and hazards are looked for; that task and its copies never see it.
"""

from trace2skill.baselines.banks import fill
from trace2skill.baselines.induction import Keeping
from trace2skill.evolution.folder import Manifest, Record
from trace2skill.evolution.inputs import Inputs
from trace2skill.evolution.run import Run

KEEPING = Keeping(method="synapse", success=None, failure=None)


def synapse(run: Run, inputs: Inputs, record: Record) -> Manifest:
    """A bank of successful runs; without a model, unless one is to judge them."""
    return fill(run, inputs, record, KEEPING)
