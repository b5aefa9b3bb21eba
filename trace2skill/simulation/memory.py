"""The simulated keepers of memory banks: they read a run as the analysts do that read it once, and no better."""

from collections.abc import Sequence

from inspect_ai.model import ChatMessage, ChatMessageAssistant

from trace2skill.simulation import replies
from trace2skill.simulation.analyst import lessons_of_failure, lessons_of_success, seen_faults
from trace2skill.simulation.chance import Dice
from trace2skill.simulation.evidence import case_key
from trace2skill.simulation.scales import Scale

KEEPER = "keeper of a memory"
JUDGE = "judge of a run"


def remember_success(messages: Sequence[ChatMessage], scale: Scale, seed: str) -> ChatMessageAssistant:
    """Memory items, or workflows, of a successful run: the habits that it recognises there."""
    _, items = lessons_of_success(messages, scale, seed, KEEPER)
    return replies.structured({"items": items})


def remember_failure(messages: Sequence[ChatMessage], scale: Scale, seed: str) -> ChatMessageAssistant:
    """Memory items of a failed run: what the transcript seems to show."""
    return replies.structured({"items": lessons_of_failure(messages, scale, seed, KEEPER)})


def judge(messages: Sequence[ChatMessage], scale: Scale, seed: str) -> ChatMessageAssistant:
    """The verdict on a run: by the faults that its transcript shows, as often wrong as a misdiagnosis."""
    given = replies.given_text(messages)
    dice = Dice(seed=seed, scale=scale.name, role=JUDGE, case=case_key(given))
    good = not seen_faults(given)
    if dice.happens(scale.misdiagnoses, "misjudges"):
        good = not good
    thoughts = f"{replies.STAMP} The run {'did all that was asked' if good else 'left something out'}."
    return replies.structured({"thoughts": thoughts, "verdict": "success" if good else "failure"})
