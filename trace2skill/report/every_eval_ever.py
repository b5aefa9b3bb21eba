"""Scores of a study in the form of Every Eval Ever, the shared schema for results of evaluations (version 0.3.0).

One file for each model and benchmark, with one result for each arm and metric, at the place that the project's own
folder of data has for it: `<benchmark>/<developer>/<model>/<id>.json`. The schema is that of the package
`every-eval-ever`, whose validator needs Python 3.12: `every_eval_ever validate FOLDER` there.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from trace2skill.comparison import results as compared
from trace2skill.files import write_atomic
from trace2skill.models.simulated import NOTICE
from trace2skill.report.results import Results
from trace2skill.report.source import ArmKey, Source

SCHEMA: Literal["0.3.0"] = "0.3.0"
Details = Mapping[str, str]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SourceMetadata(_Part):
    """Who evaluated."""

    source_name: str
    source_type: Literal["documentation", "evaluation_run"] = "evaluation_run"
    source_organization_name: str = "not stated"
    evaluator_relationship: Literal["first_party", "third_party", "collaborative", "other"] = "other"
    additional_details: Details


class EvalLibrary(_Part):
    """What evaluated."""

    name: str = "inspect_ai"
    version: str
    additional_details: Details


class ModelInfo(_Part):
    """The evaluated model."""

    name: str
    id: str
    additional_details: Details


class SourceData(_Part):
    """The benchmark."""

    dataset_name: str
    source_type: Literal["other"] = "other"
    additional_details: Details


class MetricConfig(_Part):
    """The metric."""

    metric_id: str
    metric_name: str
    lower_is_better: bool = False
    score_type: Literal["continuous"] = "continuous"
    min_score: float = 0.0
    max_score: float = 1.0


class ConfidenceInterval(_Part):
    """Where the score lies."""

    lower: float
    upper: float
    confidence_level: float = 0.95


class Uncertainty(_Part):
    """How sure the score is."""

    confidence_interval: ConfidenceInterval
    num_samples: int


class ScoreDetails(_Part):
    """The score."""

    score: float
    details: Details
    uncertainty: Uncertainty


class Result(_Part):
    """The score of an arm in one metric."""

    evaluation_result_id: str
    evaluation_name: str
    source_data: SourceData
    metric_config: MetricConfig
    score_details: ScoreDetails


class Document(_Part):
    """One file."""

    schema_version: Literal["0.3.0"] = SCHEMA
    evaluation_id: str
    evaluation_timestamp: str
    retrieved_timestamp: str
    source_metadata: SourceMetadata
    eval_library: EvalLibrary
    model_info: ModelInfo
    evaluation_results: tuple[Result, ...]


def export(study: Source, found: Results, folder: Path) -> list[Path]:
    """Write the scores of a study's arms.

    Args:
        study: The study.
        found: Its numbers.
        folder: Folder for the files.

    Returns:
        The files.
    """
    written = []
    for (benchmark, model), scores in _by_model(found).items():
        document = _document(study.declaration.name, benchmark, model, scores, simulated=found.simulated)
        name = sha256(document.evaluation_id.encode()).hexdigest()[:32]
        file = folder / _safe(benchmark) / Path(*map(_safe, _identity(model).split("/"))) / f"{name}.json"
        write_atomic(file, document.model_dump_json(indent=2) + "\n")
        written.append(file)
    return written


def _by_model(found: Results) -> dict[tuple[str, str], dict[tuple[ArmKey, str], compared.Arm]]:
    groups: dict[tuple[str, str], dict[tuple[ArmKey, str], compared.Arm]] = defaultdict(dict)
    for (key, metric), score in found.scores.items():
        for model in score.models:
            groups[key.benchmark, model][key, metric] = score
    return groups


def _document(
    study: str, benchmark: str, model: str, scores: Mapping[tuple[ArmKey, str], compared.Arm], *, simulated: bool
) -> Document:
    started = max(log.created for score in scores.values() for log in score.logs)
    stamp = {"simulated": NOTICE} if simulated else {}
    now = f"{datetime.now(UTC).timestamp():.0f}"
    return Document(
        evaluation_id=f"trace2skill-{study}-{benchmark}/{_identity(model)}/{started}",
        evaluation_timestamp=started,
        retrieved_timestamp=now,
        source_metadata=SourceMetadata(source_name=f"trace2skill study {study}", additional_details=stamp),
        eval_library=EvalLibrary(
            version=version("inspect_ai"), additional_details={"harness": f"trace2skill {version('trace2skill')}"}
        ),
        model_info=ModelInfo(
            name=model,
            id=_identity(model),
            additional_details={"deployment_type": "unknown", "model_availability": "unknown", "inspect_model": model},
        ),
        evaluation_results=tuple(_results(benchmark, scores, stamp)),
    )


def _results(benchmark: str, scores: Mapping[tuple[ArmKey, str], compared.Arm], stamp: Details) -> Iterator[Result]:
    for (key, metric), score in scores.items():
        if not all(0 <= value <= 1 for value in (score.mean, score.low, score.high)):
            continue
        yield Result(
            evaluation_result_id="/".join(filter(None, (*key, metric))),
            evaluation_name=f"{benchmark}: {key.label}",
            source_data=SourceData(dataset_name=benchmark, additional_details={"split": "test"}),
            metric_config=MetricConfig(metric_id=metric, metric_name=metric),
            score_details=ScoreDetails(
                score=score.mean,
                details={
                    **stamp,
                    "condition": key.condition,
                    "author": key.author,
                    "mode": key.mode,
                    "logs": str(len(score.logs)),
                    "samples": str(score.samples),
                    "samples_without_score": str(score.samples - score.scored),
                    "runs_missing": str(score.runs - score.runs_scored),
                },
                uncertainty=Uncertainty(
                    confidence_interval=ConfidenceInterval(lower=score.low, upper=score.high), num_samples=score.scored
                ),
            ),
        )


def _identity(model: str) -> str:
    """A model's name without Inspect's provider: `<developer>/<model>`."""
    parts = model.split("/")
    return "/".join(parts[-2:]) if len(parts) > 1 else f"unknown/{model}"


def _safe(name: str) -> str:
    """A name as a file's."""
    return re.sub(r"[^\w.-]", "_", name).lstrip(".") or "_"
