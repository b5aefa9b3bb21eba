r"""Mathematical reasoning: DAPO-Math and AIME, problems with a whole number as answer, compared by value.

Yu et al., "DAPO: An Open-Source LLM Reinforcement Learning System at Scale", https://arxiv.org/abs/2503.14476; used by
Trace2Skill, https://arxiv.org/abs/2603.25158, with AIME 2026 (avg@8) out of distribution.

    inspect eval evals/math_reasoning.py --model vllm/Qwen/Qwen3.5-35B-A3B -T dataset=aime-2026 -T
    skill=skills/math-basic
"""

import functools
import hashlib
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import anyio.to_thread
import pandas as pd
from inspect_ai import Epochs, Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import ModelOutput
from inspect_ai.scorer import CORRECT, INCORRECT, Score, Scorer, Target, accuracy, scorer, stderr
from inspect_ai.solver import Generate, Solver, TaskState, solver

from evals.agent import BOUNDS, SkillMode, skill_agent, skill_answer
from evals.budget import open_budget
from evals.data import DATASET, Split, check_texts, dataset_folder, fetched_again, refuse_unknown, split_ids
from evals.graders.math_answer import Verdict, compare_answers, compare_expressions, extract_answer, shortened
from evals.memory import open_memory
from evals.produced import UnusableError, judge_produced
from evals.sandbox.select import resolve_sandbox
from trace2skill.data import bundled
from trace2skill.errors import DataError
from trace2skill.foreign import json_lines, read

Tools = Literal["none", "python"]
"""`none`: one message; `python`: an agent that runs code in the sandbox."""

PROBLEMS = "problems.jsonl"
"""File of the sample and of a dataset given as a folder: a JSON object {id, problem, answer} in each line."""

DAPO_FILE = "dapo_math_17k.parquet"
DAPO_SHA256 = "246ae23df97c9eae8126cb4da780e9a0a31d10110e16eed144bcecbf2132d535"
"""The ids of the committed split are rows of exactly this file."""

VALUE = re.compile(r"[0-9\\π]")
"""What at least stands in an answer that has a value."""

SHOWN_CHARACTERS = 1_000
"""An answer in the log is cut to this."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """A published dataset.

    Attributes:
        folder: Its folder below the data folder.
        files: The files to read from it.
        epochs: How often each problem is attempted by default.
    """

    folder: str
    files: tuple[str, ...]
    epochs: int = 1


AIME_FILES = {f"aime-{year}": f"aime_{year}.jsonl" for year in (2024, 2025, 2026)}
SOURCES = {
    "dapo": Source(folder="dapo-math", files=(DAPO_FILE,)),
    **{name: Source(folder="aime", files=(file,), epochs=8) for name, file in AIME_FILES.items()},
    "aime": Source(folder="aime", files=tuple(AIME_FILES.values()), epochs=8),
}

SYSTEM_PROMPTS: dict[Tools, str] = {
    "none": """\
You are an expert in mathematics who solves competition problems. Work the problem out step by step, then give the
answer in the form that the task asks for.""",
    "python": """\
You are an expert in mathematics who solves competition problems. You can run shell commands and Python 3 (with numpy
and pandas) in a sandbox to compute, enumerate and check. When you are sure, call submit with your answer in the form
that the task asks for.""",
}

TASK_PROMPT = """\
### problem
{problem}

### answer_format
The answer is a whole number. Write it as \\boxed{{...}} in the last line of your final answer; the last box is judged,
by its value."""


@task
def math_reasoning(
    dataset: str = "dapo",
    split: Split = "test",
    tools: Tools = "none",
    skill: str | None = None,
    skill_mode: SkillMode = "preload",
    sandbox: str | None = None,
    max_turns: int = 100,
    epochs: int | None = None,
    match_tokens: str | int | None = None,
    memory: str | None = None,
    memory_k: int = 1,
    **unknown: object,
) -> Task:
    """DAPO-Math or AIME, answered in one message or with an agent that computes.

    Args:
        dataset: `dapo`, `aime-2024`, `aime-2025`, `aime-2026`, `aime` (all three years), `sample` (40 small problems
            of this project), or a folder with a file problems.jsonl.
        split: `evolve`, `test` or `all`. For dapo the 400 and 100 problems of `tasks/dapo-math/splits.json`, or both;
            AIME is for evaluation only and all of it is `test`.
        tools: `none` or `python`.
        skill: Skill folder or evolution run folder; nothing for the no-skill condition.
        skill_mode: `preload` (SKILL.md in the system prompt) or, with tools=python, `tool` (Inspect's `skill()` tool).
        sandbox: For tools=python: `bwrap`, `docker`, or `local` (no isolation); by default the first usable of bwrap
            and docker.
        max_turns: For tools=python: model generations an agent may take.
        epochs: Attempts at each problem, whose mean is its score; by default 8 for AIME (avg@8) and 1 for the others.
        match_tokens: Logs of another arm, or a number of tokens: the agent checks its work until it has spent as much.
        memory: Memory bank, or the run folder that made it; nothing for none. It may stand beside a skill.
        memory_k: Past tasks of it that are recalled.
        **unknown: Refused.
    """
    refuse_unknown(math_reasoning, unknown)
    check_texts(dataset=dataset, skill=skill)
    if tools not in SYSTEM_PROMPTS:
        raise DataError(f"tools is none or python, not '{tools}'.")
    samples = load_dataset(dataset, split)
    budget = open_budget(match_tokens, task="math_reasoning", samples=samples, form={"tools": tools})
    prompt = SYSTEM_PROMPTS[tools]
    agent = functools.partial(skill_agent, max_turns=max_turns) if tools == "python" else skill_answer
    recalled = open_memory(memory, memory_k, task="math_reasoning", split=split, samples=samples)
    attempts = epochs or (SOURCES[dataset].epochs if dataset in SOURCES else 1)
    return Task(
        dataset=samples,
        solver=agent(prompt, skill=skill, skill_mode=skill_mode, budget=budget, memory=recalled),
        scorer=answer_value(),
        sandbox=resolve_sandbox(sandbox) if tools == "python" else None,
        epochs=Epochs(attempts, "mean"),
        config=BOUNDS,
        continue_on_fail=True,
        version="1-A",
    )


def load_dataset(dataset: str, split: Split) -> MemoryDataset:
    """The samples of one split, in file order.

    Raises:
        DataError: The data is missing or damaged, or has no such split.
    """
    source = SOURCES.get(dataset, Source(folder="", files=(PROBLEMS,)))
    folder = problem_folder(dataset, source.files[0])
    records = [record for file in source.files for record in read_records(folder / file)]
    if dataset == "dapo":
        chosen = dapo_ids(split)
    elif dataset in SOURCES:
        chosen = aime_ids(records, split)
    else:
        chosen = split_ids([str(record["id"]) for record in records], folder, split)
    samples = [record_to_sample(record) for record in records if str(record["id"]) in chosen]
    return MemoryDataset(samples, name=dataset if dataset in SOURCES else folder.name, location=str(folder))


def problem_folder(dataset: str, marker: str) -> Path:
    """The folder of a dataset, which has the file `marker`.

    Raises:
        DataError: It is not there; the message says how to supply it.
    """
    try:
        return dataset_folder("math", dataset, {name: source.folder for name, source in SOURCES.items()}, marker)
    except DataError as error:
        raise DataError(
            f"{error} A folder of your own must hold a file {PROBLEMS} with a JSON object in each line: "
            '{"id": "1", "problem": "...", "answer": "5"}.'
        ) from error


def dapo_ids(split: Split) -> set[str]:
    """The ids of a DAPO-Math split; `all` is both of them, since the rest of the file is not cleaned."""
    folder = bundled("tasks/dapo-math")
    return set().union(*(split_ids([], folder, part) for part in (("evolve", "test") if split == "all" else (split,))))


def aime_ids(records: Sequence[dict[str, Any]], split: Split) -> set[str]:
    """All ids: AIME is not split."""
    if split not in ("test", "all"):
        raise DataError(f"AIME is for evaluation only: a split is test or all, not '{split}'.")
    return {str(record["id"]) for record in records}


def read_records(path: Path) -> list[dict[str, Any]]:
    """The problems of a file as {id, problem, answer, ...}.

    Raises:
        DataError: The file cannot be read, or is not the one that the committed split belongs to.
    """
    return read_dapo(path) if path.name == DAPO_FILE else read_lines(path)


def read_dapo(path: Path) -> list[dict[str, Any]]:
    """DAPO-Math: ids are the rows, `dapo-00000` and on."""
    with fetched_again():
        content = read(path, DATASET.bytes)
    if (found := hashlib.sha256(content).hexdigest()) != DAPO_SHA256:
        raise DataError(
            f"{path} is not the file that the split was made from: expected SHA-256 {DAPO_SHA256}, found {found}. "
            "Its rows would be other problems. Fetch the dataset again."
        )
    frame = pd.read_parquet(io.BytesIO(content), columns=["prompt", "reward_model"])
    return [
        {"id": f"dapo-{row:05d}", "problem": prompt[0]["content"], "answer": judged["ground_truth"]}
        for row, (prompt, judged) in enumerate(zip(frame["prompt"], frame["reward_model"], strict=True))
    ]


def read_lines(path: Path) -> list[dict[str, Any]]:
    """A JSON object in each line; every one must have an id, a problem and an answer."""
    records: list[dict[str, Any]] = []
    with fetched_again():
        for number, record in json_lines(read(path, DATASET.bytes), path, DATASET):
            if not isinstance(record, dict):
                raise DataError(f"{path}, line {number}: it is no JSON object.")
            if missing := {"id", "problem", "answer"} - set(record):
                raise DataError(f"{path}, line {number}: no {' and no '.join(sorted(missing))}.")
            records.append(record)
    return records


def record_to_sample(record: dict[str, Any]) -> Sample:
    """One problem as a sample; the kind, where there is one, goes along as metadata."""
    return Sample(
        id=str(record["id"]),
        input=TASK_PROMPT.format(problem=str(record["problem"]).strip()),
        target=str(record["answer"]),
        metadata={"kind": record["kind"]} if "kind" in record else None,
    )


@solver
def oracle() -> Solver:
    """Answers with the target."""

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        state.output = ModelOutput.from_content(str(state.model), f"\\boxed{{{state.target.text}}}")
        return state

    return solve


@solver
def zero() -> Solver:
    """Answers every problem with 0: what an agent that does nothing scores."""

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        state.output = ModelOutput.from_content(str(state.model), "\\boxed{0}")
        return state

    return solve


@scorer(metrics=[accuracy(), stderr()])
def answer_value() -> Scorer:
    """Judge the final answer of the last message by its value.

    The explanation does not tell the target: an analyst that may check answers would only copy it. A problem whose
    reference has no value is an error of its sample, since any answer to it would count as wrong.
    """

    async def score(state: TaskState, target: Target) -> Score:
        if not VALUE.search(target.text):
            raise DataError(
                f"Problem {state.sample_id}: its reference answer is {shortened(target.text)!r}, where a number was "
                "expected. Correct it in the dataset."
            )
        in_thread = functools.partial(functools.partial, anyio.to_thread.run_sync)
        try:
            answer, verdict = await judge_produced(
                in_thread(judge, state.output.completion, target.text),
                in_thread(compare_expressions, target.text, target.text),
            )
        except UnusableError as error:
            return Score(value=INCORRECT, explanation=str(error))
        return Score(
            value=CORRECT if verdict.same else INCORRECT,
            answer=None if answer is None else shortened(answer, SHOWN_CHARACTERS),
            explanation=verdict.reason,
        )

    return score


def judge(message: str, target: str) -> tuple[str | None, Verdict]:
    """The answer that a message declares, and whether it has the target's value."""
    answer = extract_answer(message)
    if answer is None:
        reason = f"No final answer in the message of {len(message):,} characters: \\boxed{{...}} was expected."
        return None, Verdict(same=False, reason=reason)
    return answer, compare_answers(answer, target)
