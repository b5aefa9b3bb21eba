"""The simulated analysts on questions: they read task, transcript and files, and conclude from these alone.

Without a sandbox the error analyst mends the working in the transcript; with one it mends the script that the attempt
left behind. By chance it suspects the wrong step first, or submits a suspicion without proof.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from inspect_ai.model import ChatMessage, ChatMessageAssistant
from inspect_ai.tool import ToolInfo

from trace2skill.simulation import replies
from trace2skill.simulation.answers import code
from trace2skill.simulation.answers.asked import Asked
from trace2skill.simulation.answers.wordings import WORDINGS
from trace2skill.simulation.answers.working import read_working
from trace2skill.simulation.chance import Dice
from trace2skill.simulation.defects import repair_command
from trace2skill.simulation.lessons import lessons_on
from trace2skill.simulation.scales import Scale

MAX_TRIES = 3
FIX = "fix.py"
SHOW = f"cut -c1-2000 {code.ATTEMPT}"


@dataclass(frozen=True, kw_only=True)
class Suspicion:
    """What an error analyst takes to be wrong.

    Attributes:
        slugs: Habits that it takes to be omitted.
        fix: The whole message as it should have been, or the command that writes the mended script.
        cause: The newest of its causes, in words.
    """

    slugs: tuple[str, ...]
    fix: str
    cause: str


def analyse_question(
    asked: Asked, messages: Sequence[ChatMessage], tools: Sequence[ToolInfo], scale: Scale, dice: Dice
) -> ChatMessageAssistant:
    """The error analyst's next turn."""
    given = replies.given_text(messages)
    done = replies.commands_with_results(messages)
    scripted = any(tool.name == "check_fix" for tool in tools)
    if scripted and not done:
        return replies.bash("I look at the script of the attempt.", SHOW)
    evidence = done[0][1] if scripted else given.partition("<transcript>\n")[2].partition("\n</transcript>")[0]
    suspicions = suspect(evidence, asked.domain, scale, dice, scripted=scripted)
    commands = [str(call.arguments.get("command", "")) for call, _ in done]
    if suspicions and dice.happens(scale.bluffs, "bluffs"):
        bluff = _innocent(evidence, asked.domain, suspicions[0].slugs, dice, "bluff", scripted=scripted)
        if scripted and bluff.fix not in commands:
            return replies.bash("The cause seems clear to me; I write the fix and need no check.", bluff.fix)
        return _submit(bluff, asked.domain, dice, 0, scripted=scripted)
    verdicts = [result for call, result in done if call.function in ("check_fix", "check_answer")]
    if verdicts and verdicts[-1].startswith("PASSED"):
        return _submit(suspicions[len(verdicts) - 1], asked.domain, dice, scale.adds_quirk, scripted=scripted)
    if len(verdicts) >= len(suspicions):
        empty = {"fix" if scripted else "answer": "", "causes": [], "lessons": []}
        return replies.call("I found nothing that holds, so I submit no lesson.", "submit", empty)
    return _try(suspicions[len(verdicts)], commands, scripted=scripted)


def suspect(evidence: str, domain: str, scale: Scale, dice: Dice, *, scripted: bool) -> list[Suspicion]:
    """What an analyst suspects, in order of trial: each suspicion mends one step more."""
    working, lines = read_working(evidence, domain), code.faults(evidence, domain)
    causes = {slug: said.cause for slug, (said, _) in (lines if scripted else working.faults).items()}
    order = dice.order(list(causes), "order")
    found = []
    for count in range(1, len(order) + 1):
        slugs = tuple(order[:count])
        mended = repair_command(code.ATTEMPT, FIX, [lines[s][1] for s in slugs]) if scripted else working.mended(slugs)
        found.append(Suspicion(slugs=slugs, fix=mended, cause=causes[slugs[-1]]))
    if found and dice.happens(scale.misdiagnoses, "misdiagnoses"):
        found.insert(0, _innocent(evidence, domain, tuple(order), dice, "wrong", scripted=scripted))
    return found[:MAX_TRIES]


def _innocent(
    evidence: str, domain: str, faulty: tuple[str, ...], dice: Dice, what: str, *, scripted: bool
) -> Suspicion:
    """A wrong suspicion: a step that was done with care. What it changes is of no consequence."""
    said = dice.pick([said for said in WORDINGS[domain] if said.slug not in faulty], what)
    if scripted:
        fix = repair_command(code.ATTEMPT, FIX, [("# What I worked out.", f"# What I worked out ({what}).")])
    else:
        fix = read_working(evidence, domain).text
    return Suspicion(slugs=(said.slug,), fix=fix, cause=said.cause)


def _try(suspicion: Suspicion, commands: list[str], *, scripted: bool) -> ChatMessageAssistant:
    said = f"My diagnosis: {suspicion.cause} I change only that."
    if not scripted:
        return replies.call(said, "check_answer", {"answer": suspicion.fix})
    if suspicion.fix not in commands:
        return replies.bash(said, suspicion.fix)
    return replies.call("Now the check.", "check_fix", {"script": FIX})


def _submit(
    suspicion: Suspicion, domain: str, dice: Dice, adds_quirk: float, *, scripted: bool
) -> ChatMessageAssistant:
    arguments = {
        "fix" if scripted else "answer": FIX if scripted else suspicion.fix,
        "causes": [f"{replies.STAMP} {suspicion.cause}"],
        "lessons": lessons_on(list(suspicion.slugs), dice, adds_quirk, domain),
    }
    return replies.call("I submit this and what is to be learnt from it.", "submit", arguments)


def faulty_habits(transcript: str, domain: str) -> list[str]:
    """Habits whose omission a transcript shows."""
    return sorted({*read_working(transcript, domain).faults, *code.faults(transcript, domain)})


def shown_habits(transcript: str, domain: str) -> dict[str, float]:
    """Habits that a transcript shows, with how remarkable each is."""
    faulty = faulty_habits(transcript, domain)
    return {said.slug: 1.0 for said in WORDINGS[domain] if said.slug not in faulty and said.shown().search(transcript)}
