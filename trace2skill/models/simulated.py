"""The stamp on whatever comes from the stand-in model."""

from collections.abc import Iterable

PREFIX = "sim/"
"""Models of this provider are stand-ins: what they do says nothing about a method."""

TAG = "SIMULATED"
"""Tag of the logs of a run in which the stand-in model took part."""

NOTICE = "SIMULATED: produced by the stand-in model. Evidence about the harness, not about any method or model."


def is_simulated(models: Iterable[str]) -> bool:
    """Whether a stand-in is among the models."""
    return any(name.startswith(PREFIX) for name in models)
