"""The simulated model asked for a skill out of its own head: it writes what holds everywhere, and so teaches little."""

import re
from collections.abc import Sequence

from inspect_ai.model import ChatMessage, ChatMessageAssistant

from trace2skill.simulation import replies

_DOMAIN = re.compile(r"<domain>\n(.*?)\n</domain>", re.DOTALL)

BODY = """\
## Before you start

- Read the task twice and note what it asks for, in which form, and where the result belongs.
- Look at what is given before you decide how to go about it.

## While you work

- Take one step at a time, and keep intermediate results where you can look at them again.
- Prefer the simplest way that does all that is asked.

## Before you finish

- Compare the result with the task, point by point, and mend what differs."""


def draft(messages: Sequence[ChatMessage]) -> ChatMessageAssistant:
    """A skill for the domain that the prompt names."""
    found = _DOMAIN.search(replies.given_text(messages))
    domain = " ".join(found.group(1).split()) if found else "tasks of this kind"
    described = f"General care for {domain[:800].rstrip('.')}. Use it when you work on such tasks."
    return replies.structured({"description": described, "title": "Working with care", "body": BODY})
