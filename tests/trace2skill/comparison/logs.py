"""Logs of samples with given outcomes, written without an evaluation."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

from inspect_ai.log import EvalConfig, EvalDataset, EvalError, EvalLog, EvalSample, EvalSpec, write_eval_log
from inspect_ai.scorer import Score


def by_first_letter(name: str) -> dict[str, Any]:
    return {"table": name[0]}


def write(
    file: Path,
    outcomes: Mapping[str, Any],
    *,
    task: str = "quiz",
    task_id: str = "",
    created: str = "2026-11-20T10:00:00+00:00",
    cluster: str | None = None,
    metadata: Callable[[str], Mapping[str, Any]] = by_first_letter,
    uuids: Mapping[tuple[str, int], str] | None = None,
    planned: Sequence[str] = (),
    **arguments: object,
) -> Path:
    """Write a log.

    Args:
        file: Where.
        outcomes: Of each sample its score, or one for each epoch; "error" for a run that failed, None for one without
            a score.
        task: Name of the task.
        task_id: Inspect's id of it, which a retry keeps; by default a new one.
        created: When the evaluation started.
        cluster: Metadata field that the task declares to group its samples.
        metadata: Metadata of a sample, by its id.
        uuids: Ids of runs, by sample and epoch; by default new ones.
        planned: Samples that were to run; by default those with an outcome.
        **arguments: Arguments of the task.
    """
    runs = {name: value if isinstance(value, list) else [value] for name, value in outcomes.items()}
    samples = [
        EvalSample(
            id=name,
            epoch=epoch,
            input=f"What is {name}?",
            target=f"the {name}",
            uuid=(uuids or {}).get((name, epoch)) or uuid4().hex,
            metadata=dict(metadata(name)),
            error=EvalError(message="m", traceback="", traceback_ansi="") if value == "error" else None,
            scores={} if value in ("error", None) else {"graded": Score(value=value)},
        )
        for name, values in runs.items()
        for epoch, value in enumerate(values, 1)
    ]
    spec = EvalSpec(
        eval_id=uuid4().hex,
        run_id=uuid4().hex,
        task_id=task_id or uuid4().hex,
        created=created,
        task=task,
        task_args=arguments,
        dataset=EvalDataset(name="quiz-data", samples=len(runs), sample_ids=list(planned or runs)),
        model="mockllm/model",
        config=EvalConfig(epochs=max(map(len, runs.values()))),
        metadata={"cluster": cluster} if cluster else None,
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    write_eval_log(EvalLog(eval=spec, status="success", samples=samples), str(file))
    return file
