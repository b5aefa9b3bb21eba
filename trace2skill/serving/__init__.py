"""From a profile to a certified endpoint: the command for the GPUs at hand, the server, and what is asked of it.

Open `command.py` first (a profile as a command), then `server.py` (running it), `endpoint.py` and `probes.py` (what is
asked of it), `machine.py` (what is looked at without it). `finding.py` is what either says, `gpus.py` what there is to
serve on, `weights.py` looks at a folder of weights, `flags.py` holds a command against an installed vLLM.
"""

from trace2skill.serving.command import Launch, plan_launch
from trace2skill.serving.finding import Finding
from trace2skill.serving.probes import probe

__all__ = ["Finding", "Launch", "plan_launch", "probe"]
