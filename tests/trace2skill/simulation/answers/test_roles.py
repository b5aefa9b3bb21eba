"""The stand-in at questions: one message by the agent, and analysts who know only what they are given."""

import json
import re
from typing import Any

import pytest
from inspect_ai.dataset import Sample
from inspect_ai.model import ChatMessage, ChatMessageSystem, ChatMessageTool, ChatMessageUser, GenerateConfig
from inspect_ai.tool import ToolInfo, ToolParams

from tests.trace2skill.simulation.answers.sample import EVERY, SAMPLES, known, passes, prompt
from tests.trace2skill.simulation.sample import dice
from trace2skill.simulation.analyst import report_success
from trace2skill.simulation.answers.agent import Actor
from trace2skill.simulation.answers.analyst import analyse_question
from trace2skill.simulation.answers.working import write
from trace2skill.simulation.habits import MATH, VISIONQA, WIKITQ, Teaching, habits, read_teaching
from trace2skill.simulation.lessons import main_habit
from trace2skill.simulation.provider import SimulatedModel
from trace2skill.simulation.scales import SCALES

ANALYST = [ToolInfo(name=name, description="", parameters=ToolParams()) for name in ("check_answer", "submit")]
QUESTIONS = [WIKITQ, VISIONQA, MATH]


def taught(domain: str) -> Teaching:
    return read_teaching("\n".join(f"- {habit.content[0]}" for habit in habits(domain).values()), domain=domain)


@pytest.mark.parametrize("domain", QUESTIONS)
def test_teaching_and_scale_lower_omissions(domain: str) -> None:
    counts = {}
    for scale in SCALES:
        for name, teaching in {"nothing": read_teaching("", domain=domain), "all": taught(domain)}.items():
            actors = [
                Actor(asked=asked, case=case, dice=dice(seed, scale, asked.key), scale=SCALES[scale])
                for asked, case in map(known, SAMPLES[domain])
                for seed in range(5)
            ]
            counts[scale, name] = sum(len(actor.omitted(teaching)) for actor in actors)
    assert counts["large", "nothing"] < 0.7 * counts["small", "nothing"]
    assert counts["small", "all"] < 0.4 * counts["small", "nothing"]
    assert counts["large", "all"] < 0.3 * counts["large", "nothing"]


async def reply(sample: Sample, system: str = "", seed: int = 1) -> str:
    messages: list[ChatMessage] = [ChatMessageSystem(content=system), ChatMessageUser(content=prompt(sample))]
    output = await SimulatedModel("small", seed=seed).generate(messages, [], "auto", GenerateConfig())
    return output.completion


async def test_answers_are_reproducible_and_move_with_the_skill() -> None:
    for domain in QUESTIONS:
        text = "\n".join(f"- {habit.content[1]}" for habit in habits(domain).values())
        skill = f'<skill name="s">\n# S\n\n{text}\n</skill>'
        right = {"": 0, skill: 0}
        for sample in SAMPLES[domain]:
            for system in right:
                message = await reply(sample, system)
                assert message == await reply(sample, system)
                assert message.startswith("[SIMULATED]")
                right[system] += passes(domain, sample, message)
        assert right[skill] >= right[""] + 5


async def test_an_unknown_question_is_left_alone() -> None:
    for _, sample in EVERY[::20]:
        unknown = Sample(input=re.sub(r"^(### (?:question|problem)\n)", r"\1Strange: ", prompt(sample), flags=re.M))
        assert "I do not know" in await reply(unknown)


def analyse(domain: str, sample: Sample, message: str, seed: int) -> tuple[dict[str, Any], list[str]]:
    """Let the analyst work until it submits; returns its submission and the verdicts it saw."""
    transcript = f"--- 1. user ---\n{prompt(sample)}\n\n--- 2. assistant ---\n{message}"
    given = f"<task>\n{prompt(sample)}\n</task>\n<transcript>\n{transcript}\n</transcript>"
    messages: list[ChatMessage] = [ChatMessageUser(content=given)]
    asked, _ = known(sample)
    verdicts: list[str] = []
    for _ in range(6):
        answer = analyse_question(asked, messages, ANALYST, SCALES["small"], dice(seed, case=asked.key))
        (call,) = answer.tool_calls or []
        if call.function == "submit":
            return call.arguments, verdicts
        verdicts.append("PASSED" if passes(domain, sample, call.arguments["answer"]) else "FAILED")
        messages += [answer, ChatMessageTool(content=verdicts[-1], tool_call_id=call.id, function=call.function)]
    raise AssertionError("the analyst does not come to an end")


@pytest.mark.parametrize("domain", QUESTIONS)
def test_the_error_analyst_proves_what_it_learns(domain: str) -> None:
    outcomes = {"proved": 0, "after an error": 0, "unproved": 0}
    for sample in SAMPLES[domain]:
        for slug in known(sample)[1].habits:
            message = write(known(sample)[1].about([slug]), [slug])
            submission, verdicts = analyse(domain, sample, message, seed=1)
            assert len(verdicts) <= 3
            if not verdicts:
                outcomes["unproved"] += 1
                assert not passes(domain, sample, submission["answer"])
                continue
            assert passes(domain, sample, submission["answer"])
            assert main_habit(submission["lessons"][0]["content"], domain) == slug
            outcomes["after an error" if len(verdicts) > 1 else "proved"] += 1
    assert outcomes["proved"] > outcomes["after an error"] > 0 < outcomes["unproved"]


def test_without_a_visible_fault_nothing_is_claimed() -> None:
    for domain, sample in EVERY[::10]:
        submission, verdicts = analyse(domain, sample, write(known(sample)[1].misread(), ()), seed=1)
        assert (submission["answer"], submission["lessons"], verdicts) == ("", [], [])


@pytest.mark.parametrize("domain", QUESTIONS)
def test_the_success_analyst_reports_what_the_transcript_shows(domain: str) -> None:
    for sample in SAMPLES[domain][::5]:
        case = known(sample)[1]
        for slug in case.habits:
            text = f"<task>\n{prompt(sample)}\n</task>\n<transcript>\n{write(case.about([slug]), ())}\n</transcript>"
            found = set()
            for seed in range(12):
                report = json.loads(report_success([ChatMessageUser(content=text)], SCALES["large"], str(seed)).text)
                found |= {main_habit(lesson["content"], domain) for lesson in report["lessons"]}
            assert found - {None} == {slug}
