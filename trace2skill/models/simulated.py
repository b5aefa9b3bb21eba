"""The stamp on whatever comes from the stand-in model."""

import re
from collections.abc import Iterable

_STAND_IN = re.compile(r"^sim/|(^|/)sim-(small|large)( |$)")
"""The stand-ins of the provider `sim/`, and those behind a server, whichever provider asks it: it serves them under
these names alone, and answers by them. What they do says nothing about a method."""

TAG = "SIMULATED"
"""Tag of the logs of a run in which the stand-in model took part."""

NOTICE = "SIMULATED: produced by the stand-in model. Evidence about the harness, not about any method or model."


def is_simulated(models: Iterable[str]) -> bool:
    """Whether a stand-in is among the models."""
    return any(_STAND_IN.search(name) for name in models)
