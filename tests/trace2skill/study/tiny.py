"""A tiny study: two problems for each cell, no sandbox, the stand-in in all parts."""

from pathlib import Path
from typing import Any

import yaml

from trace2skill.study import Evaluation, Study

CONTENT: dict[str, Any] = {
    "name": "tiny",
    "models": {"small": {"model": "sim/small"}},
    "benchmarks": {
        "problems": {
            "task": "evals/math_reasoning",
            "args": {"dataset": "sample"},
            "evolve": "evolve",
            "samples": 2,
            "evolve_samples": 4,
            "metrics": {"accuracy": {"scorer": "answer_value"}},
        }
    },
    "domains": {"math": {"evolve_on": "problems", "test_on": ["problems"], "human_written": "skills/math-basic"}},
    "arms": [
        {"domain": "math", "conditions": ["no-skill", "human-written"]},
        {"domain": "math", "conditions": ["combined"], "modes": ["deepening"]},
    ],
    "seeds": [41],
    "primary": [
        {
            "name": "helps",
            "benchmark": "problems",
            "metric": "accuracy",
            "user": "small",
            "author": "small",
            "mode": "deepening",
            "condition": "combined",
            "against": "no-skill",
        }
    ],
}


def write(folder: Path, **changes: Any) -> Path:
    """The declaration's file, with other values for some keys."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "study.yaml"
    file.write_text(yaml.safe_dump({**CONTENT, **changes}, sort_keys=False))
    return file


def load(folder: Path, **changes: Any) -> Study:
    return Study.load(write(folder, **changes), runs=folder / "runs")


def scores(study: Study) -> dict[tuple[str, str, int], str]:
    """The score of every run of a sample."""
    frame = study.results()
    rows = zip(frame["key"], frame["id"], frame["epoch"], frame["score_answer_value"], strict=True)
    return {(key, str(sample), int(epoch)): str(score) for key, sample, epoch, score in rows}


def by_condition(study: Study) -> dict[str, Evaluation]:
    """Evaluations of the test split."""
    return {row.condition: row for row in study.evaluations() if row.split == "test"}
