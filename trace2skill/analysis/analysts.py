"""The analysts as solvers: what they see, the tools they have, and the analysis they leave in their sample's store."""

import base64
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import anyio.to_thread
from inspect_ai.agent import AgentState, AgentSubmit, react, run
from inspect_ai.log import EvalSample
from inspect_ai.model import (
    ChatMessage,
    ChatMessageUser,
    ContentImage,
    ContentText,
    get_model,
)
from inspect_ai.solver import Generate, Solver, TaskState, solver
from inspect_ai.tool import Tool, ToolDef, bash
from inspect_ai.util import LimitExceededError, sandbox, store, time_limit, token_limit

from trace2skill.analysis.fix import (
    check_answer,
    check_fix,
    refuse,
    submit,
    submit_answer,
    take_inputs,
)
from trace2skill.analysis.gate import clean_run
from trace2skill.analysis.judging import Judging
from trace2skill.analysis.leaks import Guarded, answers, leaked, readable
from trace2skill.analysis.lessons import UNUSABLE, leaking_edits, propose_patch
from trace2skill.analysis.reports import MAX_LESSONS, Analysis, Analyst, ErrorReport, SuccessReport
from trace2skill.analysis.submission import Submission, sift
from trace2skill.errors import ModelOutputError
from trace2skill.logs.outcome import SuccessRule
from trace2skill.logs.trajectory import Trajectory, read_sample
from trace2skill.logs.transcript import how_it_ended, render_transcript
from trace2skill.models.asking import Asking
from trace2skill.models.calling import turns_of, was_cut_off, was_refused
from trace2skill.models.cast import ANALYST
from trace2skill.models.structured import generate_structured
from trace2skill.standstill import ADVICE, SILENT_TURNS, call_as_text, generated, persevere, standstill

ANALYSIS = "analysis"
"""Store key of a finished analysis."""

WORK = "trace2skill"
"""Metadata key of what the engine adds to a sample."""


PRODUCED_FILES = "produced_files"
"""Store key under which a task keeps what its agent produced: path -> base64 content."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one error analysis may take, the turn for the edits aside; the logged task's own limits are lifted."""

    turns: int = 100
    """Model generations (paper: 100)."""
    tokens: int | None = None
    """Tokens in and out; none for no limit."""
    seconds: int | None = None
    """Time; none for no limit."""


def error_analyst(
    by_id: Mapping[str, Trajectory], asking: Asking, judging: Judging, limits: Limits, *, sandboxed: bool
) -> Solver:
    """The error analyst; in a sample that carries a fix, the clean run of that fix.

    Args:
        by_id: The failures.
        asking: The skill, and how the analyst is asked.
        judging: How the task decides what success is.
        limits: What an analysis may take.
        sandboxed: Whether the task has a sandbox. There a fix is a script, and a verdict tells what kind of mismatch it
            found; elsewhere a fix is an answer, verdicts are bare, and tries are few, because an answer can be guessed.
    """

    @solver(name="error_analyst")
    def build(asking_digest: str, max_turns: int) -> Solver:
        async def solve(state: TaskState, generate: Generate) -> TaskState:
            work: dict[str, Any] = state.metadata[WORK]
            if "fix" in work:
                return await clean_run(state, work)
            trajectory = by_id[str(state.sample_id)]
            attempt = await read_sample(trajectory)
            transcript = render_transcript(attempt.messages)
            submission = Submission(targets=tuple(state.target), known=(state.input_text, transcript))
            if sandboxed:
                await take_inputs(submission)
                submission.known += tuple(await _place_attempt(attempt, transcript))
            first = judging.of(attempt.scores or {})
            verdict = submission.show(first, bare=not sandboxed)
            tools, end = _tools(state, judging, submission, sandboxed)
            names = [ToolDef(each).name for each in (*tools, end)]
            agent = react(
                prompt=None,
                model=turns_of(get_model(role=ANALYST), asking.settings.analyst, submission.readable),
                tools=tools,
                submit=AgentSubmit(tool=end, keep_in_messages=True),
                on_continue=persevere(names, limits.turns),
            )
            for budget in asking.budgets():
                prompt = asking.prompts.render(
                    "error_analyst" if sandboxed else "error_analyst_answer",
                    max_lessons=MAX_LESSONS,
                    task=state.input_text,
                    transcript=render_transcript(attempt.messages, budget),
                    verdict=f"{verdict}\n{how_it_ended(attempt)}".strip(),
                    skill_name=asking.skill.name,
                    skill=asking.skill.skill_md,
                )
                bounds = [token_limit(limits.tokens), time_limit(limits.seconds)]
                ended, over = await run(agent, _with_images(state, prompt), limits=bounds)
                if not was_refused(ended.output) or len(ended.messages) > 2:
                    break  # it was not the prompt that was too long
            state.messages, state.output = list(ended.messages), ended.output
            await _conclude(state, trajectory.id, submission, asking, _no_fix(ended, submission, over, limits, names))
            return state

        return solve

    return build(asking.digest, limits.turns)


def _no_fix(
    ended: AgentState,
    submission: Submission,
    over: LimitExceededError | None,
    limits: Limits,
    tools: Collection[str],
) -> str:
    """Why an analysis ended without a submission; empty if there was one."""
    if submission.submitted:
        return ""
    if over:
        return f"no fix within the {over.type} limit"
    if ended.output.stop_reason == "model_length":
        return "no fix before the conversation filled the model's context: serve it with a longer one"
    turns = generated(ended.messages)
    if was_cut_off(ended.output):
        return "no fix: its answers were cut off at the limit of tokens: raise --analyst-max-tokens"
    called = next((name for turn in turns[-SILENT_TURNS:] if (name := call_as_text(turn.text, tools))), None)
    if called and not turns[-1].tool_calls:
        return f"no fix: a call of '{called}' came as text: {ADVICE}"
    return "no fix within the turn limit" if len(turns) >= limits.turns else f"no fix: {standstill(turns)}"


def _tools(state: TaskState, judging: Judging, submission: Submission, sandboxed: bool) -> tuple[list[Tool], Tool]:
    """The analyst's tools, and the one that ends the analysis."""
    if sandboxed:
        return [bash(timeout=180), check_fix(state, judging, submission)], submit(submission)
    return [check_answer(state, judging, submission)], submit_answer(submission)


def _with_images(state: TaskState, prompt: str) -> list[ChatMessage]:
    """The prompt, with the images that the task shows its agent."""
    images = [
        content
        for message in state.messages
        if isinstance(message, ChatMessageUser) and isinstance(message.content, list)
        for content in message.content
        if isinstance(content, ContentImage)
    ]
    return [ChatMessageUser(content=[ContentText(text=prompt), *images] if images else prompt)]


async def _place_attempt(attempt: EvalSample, transcript: str) -> list[str]:
    """Put what the failed run left behind under `attempt/`; returns the text in it."""
    await sandbox().write_file("attempt/transcript.md", transcript)
    texts = []
    for path, content in attempt.store.get(PRODUCED_FILES, {}).items():
        if not content.startswith("not kept"):
            data = base64.b64decode(content, validate=True)
            # An agent chose these names: none of them may lead out of the folder.
            inside = [part for part in PurePosixPath(path).parts if part not in ("/", "..")]
            await sandbox().write_file(str(PurePosixPath("attempt", *inside)), data)
            texts.append(await anyio.to_thread.run_sync(readable, data))
    return texts


def _unleaking(causes: Iterable[str], guarded: Guarded) -> tuple[str, ...]:
    """The causes that may be read by others, such as an editor: no answer gets into a skill by way of them."""
    return tuple(cause for cause in causes if not leaked(cause, guarded))


async def _conclude(state: TaskState, trajectory: str, submission: Submission, asking: Asking, rejected: str) -> None:
    """Apply what can be checked at once, have the lessons turned into edits, and keep the analysis in the store."""
    values = await anyio.to_thread.run_sync(submission.reference_values)
    guarded = Guarded(values, answers(submission.targets))
    lessons, stopped = sift(submission.lessons, guarded, submission.left_out)
    rejected = rejected or refuse(submission, values)
    if not rejected and stopped and not lessons:
        rejected = f"every lesson was stopped; {stopped[0]}"
    patch = None
    if lessons and not rejected:
        patch, rejected = await propose_patch(state.messages, trajectory, lessons, asking, asking.settings.single)
    analysis = Analysis(
        trajectory=trajectory,
        analyst="error",
        causes=_unleaking(submission.causes, guarded),
        lessons=tuple(lessons),
        lessons_stopped=stopped,
        patch=patch,
        fix=submission.script,
        fix_source=submission.source,
        leaks=leaking_edits(patch.edits if patch else (), guarded),
        rejected=rejected,
    )
    store().set(ANALYSIS, analysis.model_dump(mode="json"))


def single_call_analyst(analyst: Analyst, by_id: Mapping[str, Trajectory], asking: Asking, rule: SuccessRule) -> Solver:
    """An analyst that reads a transcript in one call, with one more for the edits.

    Args:
        analyst: `success`, or `error-llm` for failures.
        by_id: The trajectories.
        asking: The skill, and how the analyst is asked.
        rule: What success is.
    """

    @solver(name="single_call_analyst")
    def build(analyst: Analyst, asking_digest: str) -> Solver:
        async def solve(state: TaskState, generate: Generate) -> TaskState:
            trajectory = by_id[str(state.sample_id)]
            attempt = await read_sample(trajectory)
            analysis = await _report(state, trajectory.id, analyst, attempt, asking, rule)
            store().set(ANALYSIS, analysis.model_dump(mode="json"))
            return state

        return solve

    return build(analyst, asking.digest)


def _single_prompt(analyst: Analyst, attempt: EvalSample, asking: Asking, rule: SuccessRule, budget: int) -> str:
    values: dict[str, object] = {
        "max_lessons": MAX_LESSONS,
        "task": attempt.input if isinstance(attempt.input, str) else render_transcript(attempt.input),
        "transcript": render_transcript(attempt.messages, budget),
        "skill_name": asking.skill.name,
        "skill": asking.skill.skill_md,
    }
    if analyst == "success":
        return asking.prompts.render("success_analyst", **values)
    known = (str(values["task"]), render_transcript(attempt.messages))
    verdict = Judging(rule=rule, scorers=()).of(attempt.scores or {})
    shown = Submission(targets=targets_of(attempt), known=known).show(verdict)
    return asking.prompts.render("error_llm", verdict=f"{shown}\n{how_it_ended(attempt)}".strip(), **values)


async def _report(
    state: TaskState, trajectory: str, analyst: Analyst, attempt: EvalSample, asking: Asking, rule: SuccessRule
) -> Analysis:
    causes: tuple[str, ...]
    try:
        told = await _told(state, analyst, attempt, asking, rule)
    except ModelOutputError as error:
        return Analysis(trajectory=trajectory, analyst=analyst, rejected=f"{UNUSABLE}{error}")
    causes = (told.solution_path,) if isinstance(told, SuccessReport) else tuple(told.causes)
    guarded = Guarded(answers=answers(targets_of(attempt)))
    lessons, stopped = sift(told.lessons, guarded, told.left_out)
    patch, rejected = None, ""
    if lessons:
        patch, rejected = await propose_patch(state.messages, trajectory, lessons, asking, asking.settings.single)
    return Analysis(
        trajectory=trajectory,
        analyst=analyst,
        causes=_unleaking(causes, guarded),
        lessons=tuple(lessons),
        lessons_stopped=stopped,
        patch=patch,
        leaks=leaking_edits(patch.edits if patch else (), guarded),
        rejected=rejected,
    )


def targets_of(attempt: EvalSample) -> tuple[str, ...]:
    """The targets of a logged sample."""
    return (attempt.target,) if isinstance(attempt.target, str) else tuple(attempt.target)


async def _told(
    state: TaskState, analyst: Analyst, attempt: EvalSample, asking: Asking, rule: SuccessRule
) -> SuccessReport | ErrorReport:
    """The report; where the prompt is too long for the model, with less and less of the transcript."""

    async def ask(budget: int) -> SuccessReport | ErrorReport:
        state.messages = [ChatMessageUser(content=_single_prompt(analyst, attempt, asking, rule, budget))]
        return await generate_structured(
            get_model(role=ANALYST),
            state.messages,
            SuccessReport if analyst == "success" else ErrorReport,
            "success_report" if analyst == "success" else "error_report",
            config=asking.settings.single,
        )

    return await asking.fitted(ask)
