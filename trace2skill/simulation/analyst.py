"""The simulated analysts. They see what any analyst sees - prompt, files, tool results - and conclude from that alone.

The error analyst reads the attempt's script, recognises faulty lines, repairs them, and has the repair
judged. By chance it suspects the wrong line first, or submits a suspicion without proof, which the engine's
gate must stop. In a script that is not of the simulated agent's making, as in the logs of real models, it recognises
one fault only: formulas that nobody has calculated.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from inspect_ai.model import ChatMessage, ChatMessageAssistant
from inspect_ai.tool import ToolInfo

from trace2skill.simulation import replies
from trace2skill.simulation.answers.analyst import analyse_question, faulty_habits, shown_habits
from trace2skill.simulation.answers.asked import read_asked
from trace2skill.simulation.chance import Dice
from trace2skill.simulation.defects import DEFECTS, repair_command, signs_of_defects
from trace2skill.simulation.evidence import case_key, own_words, quoted_prompt
from trace2skill.simulation.habits import SPREADSHEET, VERIFY, habits
from trace2skill.simulation.lessons import MAX_LESSONS, lessons_on, misconceptions
from trace2skill.simulation.scales import Scale
from trace2skill.simulation.scripts import INSPECT_ATTEMPT, render

ERROR_ANALYST = "error analyst"
SINGLE_CALL_ANALYST = "error analyst in a single call"
SUCCESS_ANALYST = "success analyst"

MAX_ATTEMPTS = 3
FIX = "fix.py"
ATTEMPT = "attempt/solve.py"

OBVIOUS = 0.3
"""How much less often a success analyst reports what nearly every run shows."""

_LOAD = "wb = openpyxl.load_workbook(INPUT)"
_FORMULA = re.compile(r"""['"]=[A-Z@({+$-]""")
_RECALCULATE = """

import pathlib
import subprocess
profile = "-env:UserInstallation=" + pathlib.Path("recalculated", "profile").resolve().as_uri()
options = ["--headless", "--convert-to", "xlsx", "--outdir", "recalculated"]
subprocess.run(["soffice", profile, *options, {output}], check=True)
pathlib.Path("recalculated", {output}).replace({output})"""
_READ_BACK = re.compile(r"load_workbook\([^)]*data_only=True\)")


@dataclass(frozen=True, kw_only=True)
class Hypothesis:
    """What an error analyst suspects.

    Attributes:
        slugs: Habits that it takes to be omitted.
        repairs: Faulty text and its repair.
        added: Code that goes to the end of the script.
    """

    slugs: tuple[str, ...]
    repairs: tuple[tuple[str, str], ...] = ()
    added: str = ""

    def command(self) -> str:
        """The command that writes the fix."""
        command = repair_command(ATTEMPT, FIX, self.repairs)
        return f"{command}\ncat >> {FIX} <<'PYTHON'{self.added}\nPYTHON" if self.added else command


def analyse_failure(
    messages: Sequence[ChatMessage], tools: Sequence[ToolInfo], scale: Scale, seed: str
) -> ChatMessageAssistant:
    """The error analyst's next turn."""
    given = replies.given_text(messages)
    done = replies.commands_with_results(messages)
    dice = Dice(seed=seed, scale=scale.name, role=ERROR_ANALYST, case=case_key(given))
    if asked := read_asked(given):
        return analyse_question(asked, messages, tools, scale, dice)
    prompt = quoted_prompt(given)
    output = prompt.output if prompt else ""
    if not done:
        return replies.bash(
            "I look at the script of the attempt and at what it saved.", render(INSPECT_ATTEMPT, output=repr(output))
        )
    shown = done[0][1]
    hypotheses = suspect(shown, scale, dice) if _LOAD in shown else suspect_foreign(shown, output)
    commands = [str(call.arguments.get("command", "")) for call, _ in done]
    if hypotheses and dice.happens(scale.bluffs, "bluffs"):
        return _bluff(hypotheses[0], commands, dice)
    verdicts = [result for call, result in done if call.function == "check_fix"]
    if verdicts and verdicts[-1].startswith("PASSED"):
        return _submit(hypotheses[len(verdicts) - 1], dice, scale.adds_quirk)
    if len(verdicts) >= len(hypotheses):
        text = "I found no fix that holds, so I submit no lesson."
        return replies.call(text, "submit", {"fix": "", "causes": [], "lessons": []})
    return _try(hypotheses[len(verdicts)], commands)


def suspect(code: str, scale: Scale, dice: Dice) -> list[Hypothesis]:
    """What an analyst suspects on reading a script, in order of trial: each hypothesis repairs one line more."""
    signs = signs_of_defects(code)
    # A script that saves over its input spoils the ground for later attempts: that comes first.
    order = sorted(signs, key=lambda slug: (slug != "output_path", dice.uniform("order", slug)))
    found = [
        Hypothesis(slugs=tuple(order[:count]), repairs=tuple(signs[slug] for slug in order[:count]))
        for count in range(1, len(order) + 1)
    ]
    if _LOAD in code and dice.happens(scale.misdiagnoses, "misdiagnoses"):
        found.insert(0, _wrong_hypothesis(signs, dice))
    return found[:MAX_ATTEMPTS]


def suspect_foreign(code: str, output: str) -> list[Hypothesis]:
    """What an analyst suspects of a script in another style than the simulated agent's, which saved `output`."""
    added = _RECALCULATE.format(output=repr(output))
    return [Hypothesis(slugs=("recalculate",), added=added)] if _FORMULA.search(code) else []


def _wrong_hypothesis(signs: dict[str, tuple[str, str]], dice: Dice) -> Hypothesis:
    innocent = [slug for slug in DEFECTS if slug not in signs]
    repair = (_LOAD, "wb = openpyxl.load_workbook(INPUT, keep_links=False)")
    return Hypothesis(slugs=(dice.pick(innocent, "wrong"),), repairs=(repair,))


def _try(hypothesis: Hypothesis, commands: list[str]) -> ChatMessageAssistant:
    command = hypothesis.command()
    cause = DEFECTS[hypothesis.slugs[-1]].cause
    if command not in commands:
        return replies.bash(f"My diagnosis: {cause} I change only that.", command)
    return replies.call("Now the check.", "check_fix", {"script": FIX})


def _bluff(hypothesis: Hypothesis, commands: list[str], dice: Dice) -> ChatMessageAssistant:
    wrong = Hypothesis(
        slugs=(dice.pick([slug for slug in DEFECTS if slug not in hypothesis.slugs], "bluff"),),
        repairs=((_LOAD, "wb = openpyxl.load_workbook(INPUT, keep_vba=False)"),),
    )
    if wrong.command() not in commands:
        return replies.bash("The cause seems clear to me; I write the fix and need no check.", wrong.command())
    return _submit(wrong, dice, 0)


def _submit(hypothesis: Hypothesis, dice: Dice, adds_quirk: float) -> ChatMessageAssistant:
    arguments = {
        "fix": FIX,
        "causes": [f"{replies.STAMP} {DEFECTS[slug].cause}" for slug in hypothesis.slugs],
        "lessons": lessons_on(list(hypothesis.slugs), dice, adds_quirk),
    }
    return replies.call("I submit the fix and what is to be learnt from it.", "submit", arguments)


def report_failure(messages: Sequence[ChatMessage], scale: Scale, seed: str) -> ChatMessageAssistant:
    """The error analysis in a single call: what the transcript seems to show. Nothing proves it."""
    lessons = lessons_of_failure(messages, scale, seed, SINGLE_CALL_ANALYST)
    causes = [f"{replies.STAMP} The run went wrong here: {lesson['title']}." for lesson in lessons]
    return replies.structured({"causes": causes, "lessons": lessons})


def seen_faults(given: str) -> list[str]:
    """Habits whose omission the transcript in a prompt shows to whoever knows them."""
    written = own_words(given)
    asked = read_asked(given)
    return list(faulty_habits(written, asked.domain) if asked else signs_of_defects(written))


def lessons_of_failure(messages: Sequence[ChatMessage], scale: Scale, seed: str, role: str) -> list[dict[str, str]]:
    """What a role that only reads a failed run takes from it, rightly or wrongly."""
    given = replies.given_text(messages)
    dice = Dice(seed=seed, scale=scale.name, role=role, case=case_key(given))
    asked = read_asked(given)
    domain = asked.domain if asked else SPREADSHEET
    slugs = seen_faults(given)
    if not slugs or dice.happens(scale.guesses, "guesses"):
        return [dice.pick(misconceptions(domain), "misconception")]
    return lessons_on(dice.order(slugs, "order")[:1], dice, scale.adds_quirk, domain)


def report_success(messages: Sequence[ChatMessage], scale: Scale, seed: str) -> ChatMessageAssistant:
    """The success analyst's report: habits that it recognises in the transcript."""
    given = replies.given_text(messages)
    asked = read_asked(given)
    domain = asked.domain if asked else SPREADSHEET
    chosen, lessons = lessons_of_success(messages, scale, seed, SUCCESS_ANALYST)
    steps = ", ".join(habits(domain)[slug].section.lower() for slug in chosen) or "the usual steps"
    path = f"The run looked at the workbook, wrote a script and saved the result, with care for {steps}."
    return replies.structured({"solution_path": path, "lessons": lessons})


def lessons_of_success(
    messages: Sequence[ChatMessage], scale: Scale, seed: str, role: str
) -> tuple[list[str], list[dict[str, str]]]:
    """The habits that a role that reads a successful run recognises, and what it writes of them."""
    given = replies.given_text(messages)
    written = own_words(given)
    dice = Dice(seed=seed, scale=scale.name, role=role, case=case_key(given))
    asked = read_asked(given)
    domain = asked.domain if asked else SPREADSHEET
    shown = shown_habits(written, domain) if asked else _shown(written)
    seen = [slug for slug, rate in shown.items() if dice.happens(scale.sees_habit * rate, "sees", slug)]
    chosen = dice.order(seen, "order")[:MAX_LESSONS]
    return chosen, lessons_on(chosen, dice, scale.adds_quirk / 2, domain)


def _shown(written: str) -> dict[str, float]:
    """Habits that an agent's code shows, with how remarkable each is."""
    faulty = signs_of_defects(written)
    shown = {
        slug: OBVIOUS if slug == "preserve" else 1.0
        for slug, defect in DEFECTS.items()
        if defect.shown and defect.shown in written and slug not in faulty
    }
    if _READ_BACK.search(written):
        shown[VERIFY] = 1.0
    return shown
