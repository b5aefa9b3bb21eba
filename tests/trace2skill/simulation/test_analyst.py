"""The simulated error analyst on real failed attempts, and the success analyst on transcripts."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from inspect_ai.model import ChatMessage, ChatMessageTool, ChatMessageUser

from tests.trace2skill.simulation.sample import dice, place_input, script, shell, task_text, verdict
from trace2skill.simulation.analyst import analyse_failure, report_success, suspect
from trace2skill.simulation.lessons import main_habit
from trace2skill.simulation.scales import SCALES

FAILURES = [("905-2", ("bottom_up",)), ("9061", ("clean_text", "recalculate")), ("908-2", ("dates", "sheet"))]


def analyse(task_id: str, omitted: tuple[str, ...], folder: Path, seed: str) -> tuple[dict[str, Any], list[str]]:
    """Let the analyst work in a folder until it submits; returns its submission and all verdicts."""
    place_input(task_id, folder / "attempt")
    (folder / "attempt" / "solve.py").write_text(script(task_id, omitted, omitted), encoding="utf-8")
    place_input(task_id, folder)
    messages: list[ChatMessage] = [ChatMessageUser(content=f"<task>\n{task_text(task_id)}\n</task>")]
    verdicts: list[str] = []
    for _ in range(12):
        reply = analyse_failure(messages, [], SCALES["small"], seed)
        messages.append(reply)
        (call,) = reply.tool_calls or []
        if call.function == "submit":
            return call.arguments, verdicts
        if call.function == "check_fix":
            shell(f"python3 {call.arguments['script']}", folder)
            verdicts.append("PASSED" if verdict(task_id, folder).passed else "FAILED")
            result = verdicts[-1]
        else:
            result = shell(call.arguments["command"], folder)
        messages.append(ChatMessageTool(content=result, tool_call_id=call.id, function=call.function))
    raise AssertionError("the analyst does not come to an end")


@pytest.mark.parametrize(("task_id", "omitted"), FAILURES)
def test_real_defects_are_repaired(task_id: str, omitted: tuple[str, ...], tmp_path: Path) -> None:
    submission, verdicts = analyse(task_id, omitted, tmp_path / "work", seed="1")
    assert verdicts[-1] == "PASSED"
    learnt = {main_habit(lesson["content"]) for lesson in submission["lessons"]}
    assert learnt - {None} == set(omitted)
    clean = tmp_path / "clean"
    place_input(task_id, clean)
    shutil.copy(tmp_path / "work" / submission["fix"], clean)
    shell(f"python3 {submission['fix']}", clean)
    assert verdict(task_id, clean).passed


def test_without_a_visible_defect_nothing_is_claimed(tmp_path: Path) -> None:
    submission, verdicts = analyse("905-2", (), tmp_path, seed="1")
    assert "PASSED" not in verdicts or submission["fix"]
    assert submission["fix"] or not submission["lessons"]


def test_some_analysts_suspect_the_wrong_line_first() -> None:
    code = script("905-2", ("bottom_up",), ("bottom_up",))
    first = [suspect(code, SCALES["small"], dice(seed))[0].slugs for seed in range(100)]
    assert 10 <= sum(slugs != ("bottom_up",) for slugs in first) <= 40


def test_the_success_analyst_reports_what_the_transcript_shows() -> None:
    shown = script("905-2", ("bottom_up",))
    seen = set()
    for seed in range(20):
        prompt = [ChatMessageUser(content=f"<transcript>\n{shown}\n</transcript>")]
        report = json.loads(report_success(prompt, SCALES["large"], str(seed)).text)
        assert report["solution_path"].startswith("[SIMULATED]")
        seen |= {main_habit(lesson["content"]) for lesson in report["lessons"]}
    assert "bottom_up" in seen
    assert "dates" not in seen
