"""What is asked of a contrast besides its test: a margin, several looks, noise. Claims hold under both readings."""

from trace2skill.comparison.contrast import Contrast, Runs, as_failures, in_order, reached
from trace2skill.comparison.margin import Margins, less_favourable, margins
from trace2skill.comparison.repeats import Noise, noise
from trace2skill.comparison.sequential import Anytime, anytime, worst_look


def tested_margin(found: Contrast, margin: float) -> Margins:
    """Non-inferiority and equivalence, with missing runs left out and with them counted as failures.

    Args:
        found: The contrast.
        margin: The margin, positive.
    """
    readings = (found, as_failures(found) or found)
    left_out, failed = (
        margins(*one.scores, margin, clusters=one.labels, levels=one.levels, seed=found.seed) for one in readings
    )
    return less_favourable(left_out, failed)


def looked_at(found: Contrast) -> Anytime:
    """The test for several looks, of pairs in the order in which they came to be complete.

    Args:
        found: A contrast of scores within 0..1, of one skill in each arm.
    """
    readings = (found, as_failures(reached(found)) or found)
    left_out, failed = (
        anytime([y - x for x, y in zip(*one.scores, strict=True)], clusters=one.labels)
        for one in map(in_order, readings)
    )
    return worst_look(left_out, failed)


def noise_of(repeated: Runs, found: Contrast) -> Noise | None:
    """How much two arms would differ that are the same; None if no sample was run twice.

    Args:
        repeated: Runs of the control, further ones of its samples included.
        found: The contrast.
    """
    control, treatment = (
        sum(len(runs[sample].scores) for sample in found.samples) / len(found.samples)
        for runs in (found.control, found.treatment)
    )
    scores = [repeated[sample].scores for sample in found.samples if sample in repeated]
    return noise(scores, samples=len(found.samples), arms=(control, treatment))
