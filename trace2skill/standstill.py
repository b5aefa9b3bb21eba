"""When an agent gets nowhere: it calls no tool, says the same again, or writes its tool calls as text.

A server without the right tool parser hands every tool call back as text. Then an agent that is urged on would use up
all its turns, each with the whole conversation as its prompt.
"""

import json
import logging
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from inspect_ai.agent import AgentContinue, AgentState
from inspect_ai.model import ChatMessage, ChatMessageAssistant

__all__ = ["call_as_text", "generated", "persevere", "standstill"]

_log = logging.getLogger(__name__)

SILENT_TURNS = 3
"""After so many turns in a row without a tool call, an agent is ended; so it is when it says the same twice."""

SAME_CALLS = 5
"""After so many turns in a row with the same tool calls, an agent is ended."""

SILENT_RUNS = 3
"""After so many runs, none of which ever called a tool, the user is told."""

_NAMED = re.compile(r'"name"\s*:\s*"([^"]+)"')
_ARGUMENTS = re.compile(r'"(?:arguments|parameters|args|input)"\s*:')
# The forms of calls that vLLM has parsers for: what stands before a tool's name, or before and after it.
_MARKED = re.compile(
    r"(?:<function=\"?|<invoke name=\"|<tool_call>\s*|<\|tool_call>\s*(?:call:)?|\[TOOL_CALLS\]\s*|"
    r"<\|python_tag\|>\s*|\bcall:|\bto=functions\.|>functions\.|sep\uff5c>)([\w.-]+?)(?:\.call)?(?![\w-])"
)
_PYTHONIC = re.compile(r"(?:^|[\[>`])[ \t]*(\w+)\((?:\w+ *=|[\"'])", re.MULTILINE)


def persevere(tools: Collection[str], max_turns: int | None = None) -> AgentContinue:
    """Whether an agent of `react` goes on: not after `max_turns` generations, and not when it is at a standstill.

    Args:
        tools: Names of its tools.
        max_turns: Generations it may make; Inspect's `turn_limit` lets one more begin.
    """

    async def go_on(state: AgentState) -> bool:
        turns = generated(state.messages)
        silence = _SILENCES.setdefault(state.output.model, _Silence())
        silence.called = silence.called or any(turn.tool_calls for turn in turns)
        if standstill(turns) or (max_turns is not None and len(turns) >= max_turns):
            silence.note(turns, tools)
            return False
        return True

    return go_on


def generated(messages: Sequence[ChatMessage]) -> list[ChatMessageAssistant]:
    """The turns of a conversation that a model wrote."""
    return [turn for turn in messages if isinstance(turn, ChatMessageAssistant) and turn.source == "generate"]


def standstill(turns: Sequence[ChatMessageAssistant]) -> str:
    """Why a conversation with these turns of the model should end; empty if it may go on."""
    silent = 0
    while silent < len(turns) and not turns[-1 - silent].tool_calls:
        silent += 1
    if silent >= SILENT_TURNS:
        return f"{silent} turns in a row without a tool call"
    if silent >= 2 and turns[-1].text.strip() == turns[-2].text.strip() != "":
        return "the same message twice"
    if len(turns) >= SAME_CALLS and len({_calls(turn) for turn in turns[-SAME_CALLS:]}) == 1 and not silent:
        return f"the same tool calls {SAME_CALLS} times in a row"
    return ""


@dataclass
class _Silence:
    """What is known of a model's tool calls in this process."""

    runs: int = 0
    called: bool = False
    told: bool = False

    def note(self, turns: Sequence[ChatMessageAssistant], tools: Collection[str]) -> None:
        """Note a run that has ended; the user is told once, because the server is the likely reason."""
        self.runs += 1
        as_text = next((name for turn in turns if (name := call_as_text(turn.text, tools))), None)
        if self.told or self.called or not (as_text or self.runs >= SILENT_RUNS):
            return
        self.told = True
        found = f"a call of '{as_text}' came as text" if as_text else f"none of {self.runs} runs has called a tool"
        _log.warning("%s: %s", found.capitalize(), ADVICE)


_SILENCES: dict[str, _Silence] = {}
"""By model."""

ADVICE = (
    "the server's tool parser does not fit the model. Start it with the model's own --tool-call-parser (`trace2skill "
    "serve PROFILE --print` shows it), or let Inspect read calls from the text: -M emulate_tools=true."
)


def call_as_text(text: str, tools: Collection[str]) -> str | None:
    """The tool that a message calls in its text, in a form that models have been taught; None if it calls none.

    These forms are JSON with a name and arguments, tags and tokens before a name, and calls as in Python.
    """
    named = _NAMED.findall(text) if _ARGUMENTS.search(text) else []
    found = [*named, *_MARKED.findall(text), *_PYTHONIC.findall(text)]
    return next((name for name in found if name in tools), None)


def _calls(turn: ChatMessageAssistant) -> str:
    return json.dumps([(call.function, call.arguments) for call in turn.tool_calls or []], sort_keys=True, default=str)
