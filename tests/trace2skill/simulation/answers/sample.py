"""The bundled questions as the tests of the stand-in model use them: prompts, cases, and the graders' verdicts."""

from collections.abc import Callable
from typing import Any

from inspect_ai.dataset import Sample

from evals import answer_items, math_reasoning, visionqa, wikitq
from evals.graders.anls import THRESHOLD, anls
from trace2skill.simulation.answers.agent import study
from trace2skill.simulation.answers.asked import Asked, read_asked
from trace2skill.simulation.answers.slips import Case
from trace2skill.simulation.habits import MATH, VISIONQA, WIKITQ

TABLES = wikitq.question_folder("sample")
PAGES = visionqa.questions_file("sample")
SAMPLES: dict[str, list[Sample]] = {
    WIKITQ: list(wikitq.load_dataset(TABLES, "all", "text")),
    VISIONQA: list(visionqa.load_dataset(PAGES, "all", "message")),
    MATH: list(math_reasoning.load_dataset("sample", "all")),
}
EVERY = [(domain, sample) for domain, samples in SAMPLES.items() for sample in samples]
NAMES = [f"{domain}-{sample.id}" for domain, sample in EVERY]


def prompt(sample: Sample) -> str:
    """The text of the prompt."""
    if isinstance(sample.input, str):
        return sample.input
    return next(message.text for message in sample.input if message.role == "user")


def known(sample: Sample) -> tuple[Asked, Case]:
    """The question as the agent reads it, and what it knows of it."""
    asked = read_asked(prompt(sample))
    assert asked is not None
    case = study(asked, ())
    assert case is not None
    return asked, case


def passes(domain: str, sample: Sample, produced: str | bytes) -> bool:
    """The grader's verdict on a message, or on what was written to the output file."""
    judge: dict[str, Callable[[Any], bool]] = {
        WIKITQ: lambda given: (
            answer_items.judge(given, list(sample.target), (sample.metadata or {})["target_canon"]).right
        ),
        VISIONQA: lambda given: all(
            anls(visionqa.final_answer(given), list(sample.target), rules=rules) >= THRESHOLD
            for rules in ("paper", "rrc")
        ),
        MATH: lambda given: math_reasoning.judge(given, str(sample.target))[1].same,
    }
    return judge[domain](produced)
