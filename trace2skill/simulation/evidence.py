"""What a conversation is about, and what of it an analyst may conclude from.

A prompt's wording, the numbers of its messages and what tools printed in it (paths, tracebacks, remarks of programs
that one machine has and another has not) are incidental. The task is not, and neither is what the agent itself wrote.
"""

import re

from trace2skill.simulation.answers.asked import read_asked
from trace2skill.simulation.chance import digest
from trace2skill.simulation.world import Prompt, read_prompt

_TASK = re.compile(r"<task>\n(.*?)\n</task>", re.DOTALL)
_TRANSCRIPT = re.compile(r"<transcript>\n(.*)\n</transcript>", re.DOTALL)
_HEADING = re.compile(r"^--- \d+\. (\w+) ---$", re.MULTILINE)


def quoted_task(given: str) -> str:
    """The task that an analyst's prompt quotes; empty if there is none."""
    found = _TASK.search(given)
    return found.group(1) if found else ""


def quoted_prompt(given: str) -> Prompt | None:
    """The spreadsheet task that an analyst's prompt quotes; None if it is none."""
    return read_prompt(quoted_task(given))


def case_key(given: str) -> str:
    """Identifies the task that an analyst's prompt quotes, by its text alone."""
    if asked := read_asked(given):
        return asked.key
    if prompt := quoted_prompt(given):
        return prompt.case_key
    return digest(" ".join(quoted_task(given).split()))


def own_words(given: str) -> str:
    """What the agent itself wrote in the transcript that a prompt shows: its messages, and the arguments of its calls.

    What tools returned is left out: a traceback repeats lines of code, and a skill that was loaded shows good ones.
    """
    found = _TRANSCRIPT.search(given)
    transcript = found.group(1) if found else ""
    before, *parts = _HEADING.split(transcript)
    if not parts:
        return before
    return "\n".join(text for role, text in zip(parts[::2], parts[1::2], strict=True) if role == "assistant")
