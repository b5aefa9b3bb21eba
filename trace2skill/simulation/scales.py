"""How the two stand-in models differ: the rates of all that they do by chance. None was measured on a real model."""

from dataclasses import dataclass

from trace2skill.errors import Trace2SkillError


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Rates of one stand-in model, all in [0, 1].

    Attributes:
        name: Name of the model after `sim/`.
        omits: Omits a habit that the task needs and nothing teaches.
        taught: By how much `omits` is multiplied when the skill teaches the habit.
        misreads: Misunderstands the task in a way that no habit cures.
        verifies: Reads its output back, untaught.
        verifies_taught: Reads its output back when the skill says so.
        notices: Sees a defect while it reads its output back, and repairs it.
        reads_reference: Reads a file that SKILL.md links.
        misdiagnoses: As error analyst, tries a wrong cause first.
        guesses: As error analyst in a single call, with nothing to try a cause on, names a wrong one.
        bluffs: As error analyst, submits a wrong cause without proof.
        sees_habit: As success analyst, reports a habit that it recognises.
        adds_quirk: As analyst, adds a lesson that concerns this task only.
        misplaces: Gives an edit an anchor that does not exist.
        malforms: Breaks a structured output, until told so.
        prunes: As merger, drops a one-off edit.
    """

    name: str
    omits: float
    taught: float
    misreads: float
    verifies: float
    verifies_taught: float
    notices: float
    reads_reference: float
    misdiagnoses: float
    guesses: float
    bluffs: float
    sees_habit: float
    adds_quirk: float
    misplaces: float
    malforms: float
    prunes: float


SCALES = {
    "small": Scale(
        name="small",
        omits=0.55,
        taught=0.3,
        misreads=0.05,
        verifies=0.3,
        verifies_taught=0.75,
        notices=0.35,
        reads_reference=0.35,
        misdiagnoses=0.25,
        guesses=0.5,
        bluffs=0.15,
        sees_habit=0.65,
        adds_quirk=0.2,
        misplaces=0.03,
        malforms=0.1,
        prunes=0.5,
    ),
    "large": Scale(
        name="large",
        omits=0.3,
        taught=0.15,
        misreads=0.02,
        verifies=0.5,
        verifies_taught=0.9,
        notices=0.5,
        reads_reference=0.7,
        misdiagnoses=0.1,
        guesses=0.3,
        bluffs=0.05,
        sees_habit=0.7,
        adds_quirk=0.1,
        misplaces=0.02,
        malforms=0.03,
        prunes=0.8,
    ),
}


def get_scale(name: str) -> Scale:
    """The rates of `sim/<name>`.

    Raises:
        Trace2SkillError: There is no such stand-in model.
    """
    if name not in SCALES:
        known = " and ".join(f"sim/{scale}" for scale in SCALES)
        raise Trace2SkillError(f"The stand-in models are {known}; there is no sim/{name}.")
    return SCALES[name]
