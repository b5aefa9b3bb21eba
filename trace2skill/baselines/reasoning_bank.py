"""ReasoningBank: memory items from successes and failures, the nearest past task's shown to the agent.

Ouyang et al., "ReasoningBank: Scaling Agent Self-Evolving with Reasoning Memory", https://arxiv.org/abs/2509.25140.

Taken from its code: at most 3 items {title, description, content} per trajectory; one prompt for successes and one
for failures, in our own words; temperature 1.0; the query is embedded, not the items; the items of the nearest past
task stand at the end of the agent's system prompt, with the instruction to discuss each at every step. With `--judge
model` the model judges its own runs, and its thoughts go before the induction.

Different on purpose: success is what the logs' scorer says unless a model is to judge, and a model's verdict is one
word of two (there, any reply that holds "success" passes); a task never recalls itself; query and bank have one
embedder; items pass the leak guard. The bank is made from logs of the same runs that the other methods learn from;
with `--stream`, as there, while the tasks are played (`streaming.py`).
"""

from trace2skill.baselines.banks import fill
from trace2skill.baselines.induction import Keeping
from trace2skill.baselines.streaming import streamed
from trace2skill.evolution.folder import Manifest, Record
from trace2skill.evolution.inputs import Inputs
from trace2skill.evolution.run import Run

KEEPING = Keeping(method="reasoning-bank", success="memory_success", failure="memory_failure", temperature=1.0)


def reasoning_bank(run: Run, inputs: Inputs, record: Record) -> Manifest:
    """A bank of items, one call for each trajectory."""
    make = streamed if run.config.stream else fill
    return make(run, inputs, record, KEEPING)
