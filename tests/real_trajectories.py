"""Convert recorded runs of a real model on SpreadsheetBench-Verified into an Inspect log of the spreadsheet task.

    python -m tests.real_trajectories ../shared/data/qwen3.5-122b-trajectories real.eval --skill recorded-skill

The folder of records has `trajectories.jsonl.gz`, and the workbooks that the runs wrote in `outputs/`, or
in `outputs_recalculated/` after LibreOffice has calculated their formulas. The benchmark's own workbooks come from the
dataset, as for the task.

What is made of a record:

- The prompt: skill and rules, which are the same in all, become the system message, the task the user message. Paths
  stay as recorded.
- A turn: what the runner executed in a Jupyter kernel, which is the first Python block of the message, or all of a
  message without one, becomes a call of bash that hands it to Python. The recorded output is the tool's message.
- Produced files, kept as the task keeps them: the workbook, and as `solve.py` the last script that ran, with the
  paths of the task's sandbox. A kernel keeps the names of earlier cells, so a few of these scripts do not run alone.
- The score: that of the task's own grader on the workbook. A run whose workbook was not recorded has none. What the
  runner's grader had said is `recorded_label` in the sample's metadata.
- Records of the same task are epochs; the folder has one workbook for each task.

Nothing was recorded of tokens, times and sampling, so the log has none of it.
"""

import base64
import gzip
import json
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from inspect_ai.dataset import Sample
from inspect_ai.event import Event, ModelEvent, ScoreEvent, ToolEvent
from inspect_ai.log import EvalLog, EvalSample, EvalSpec, EvalStats, condense_sample, recompute_metrics, write_eval_log
from inspect_ai.model import (
    ChatCompletionChoice,
    ChatMessage,
    ChatMessageAssistant,
    ChatMessageSystem,
    ChatMessageTool,
    ChatMessageUser,
    GenerateConfig,
    ModelOutput,
)
from inspect_ai.scorer import CORRECT, INCORRECT, Score
from inspect_ai.tool import ToolCall

from evals.agent import MAX_FILE_BYTES, PRODUCED_FILES
from evals.graders.spreadsheetbench import Rules, compare_workbooks
from evals.spreadsheet import explain, load_dataset, workbook_folder
from trace2skill.errors import DataError
from trace2skill.skill.folder import Skill, save_skill

MODEL = "qwen3.5-122b-a10b"
"""The recorded model, as the paths in its prompts name it."""

CREATED = "2026-04-28T00:00:00+00:00"
"""The day that the patches of these runs are dated; the runs themselves carry no date."""

SCORER = "cell_comparison"
RULES: Rules = "spreadsheetbench"

_TASK_BEGINS = "### instruction\n"
_PYTHON = re.compile(r"```python\n(.*?)(?:```|\Z)", re.DOTALL)
_RECORDED_FOLDER = re.compile(r"/mnt/data/(?:spreadsheet|outputs)/[^/'\"\s]+")
_SKILL = re.compile(r"<SKILL\.md>\n(.*?)</SKILL\.md>", re.DOTALL)
_FRONTMATTER = """\
---
name: spreadsheet-manipulation
description: Manipulate spreadsheets with Python. Use for reading, editing or creating .xlsx files.
---

"""


def read_records(folder: Path) -> list[dict[str, Any]]:
    """The recorded runs, in file order.

    Raises:
        DataError: The folder has none.
    """
    path = folder / "trajectories.jsonl.gz"
    if not path.is_file():
        raise DataError(f"{folder} should hold the recorded runs, but has no {path.name}.")
    with gzip.open(path, "rt", encoding="utf-8") as rows:
        return [json.loads(row) for row in rows]


def convert(
    folder: Path, dataset: str = "verified", *, recalculated: bool = False, ids: Collection[str] | None = None
) -> EvalLog:
    """The recorded runs as a log of the spreadsheet task.

    Args:
        folder: The folder of the records.
        dataset: The task's argument: `verified`, or a folder in its format.
        recalculated: Whether the workbooks are taken as they are after LibreOffice has calculated their formulas.
        ids: Tasks to convert; by default all.

    Raises:
        DataError: The records or the dataset are missing, or a recorded task is not in the dataset.
    """
    place = workbook_folder(dataset)
    known = {str(sample.id): sample for sample in load_dataset(place, "all")}
    outputs = folder / ("outputs_recalculated" if recalculated else "outputs")
    runs: Counter[str] = Counter()
    samples: list[EvalSample] = []
    for record in read_records(folder):
        name = str(record["id"])
        if ids is not None and name not in ids:
            continue
        if name not in known:
            raise DataError(f"The recorded task {name} is not in {place}.")
        runs[name] += 1
        samples.append(convert_record(record, known[name], place, outputs, runs[name]))
    header = _header(dataset, place, sorted(runs), max(runs.values(), default=1))
    stats = EvalStats(started_at=CREATED, completed_at=CREATED)
    log = EvalLog(status="success", eval=header, stats=stats, samples=samples)
    recompute_metrics(log)
    return log


def convert_record(record: dict[str, Any], known: Sample, place: Path, outputs: Path, epoch: int) -> EvalSample:
    """One recorded run as a sample.

    Args:
        record: The run.
        known: The task's sample.
        place: The dataset's folder.
        outputs: The folder of the workbooks that the runs wrote.
        epoch: Which run of the task it is.
    """
    metadata = known.metadata or {}
    messages = list(conversation(record, f"{known.id}-{epoch}"))
    files = {"solve.py": local_script(record["trajectory"]["solution"]).encode()}
    workbook = outputs / metadata["output"]
    if workbook.is_file():
        files[metadata["output"]] = workbook.read_bytes()
    score = grade(known, place, workbook) if workbook.is_file() else None
    sample = EvalSample(
        id=str(known.id),
        epoch=epoch,
        uuid=f"recorded-{known.id}-{epoch}",
        input=messages[1].text,
        target=known.target,
        files=[metadata["input"]],
        messages=messages,
        output=_output(next(m for m in reversed(messages) if isinstance(m, ChatMessageAssistant))),
        scores={SCORER: score} if score else {},
        metadata={**metadata, "recorded_label": record["label"]},
        store={PRODUCED_FILES: {path: _kept(content) for path, content in sorted(files.items())}},
        events=list(events(messages, score)),
    )
    return condense_sample(sample)


def conversation(record: dict[str, Any], name: str) -> Iterator[ChatMessage]:
    """The messages of a run.

    Args:
        record: The run: a prompt, then by turns what the model wrote and what the runner answered.
        name: What the messages' ids begin with.
    """
    prompt, *turns = record["trajectory"]["conversation"]
    begin = prompt.index(_TASK_BEGINS)
    yield ChatMessageSystem(id=f"{name}-system", content=prompt[:begin].strip())
    yield ChatMessageUser(id=f"{name}-user", content=prompt[begin:].strip())
    for number, (written, answered) in enumerate(zip(turns[::2], turns[1::2], strict=True), start=1):
        code, said = executed(written)
        call = ToolCall(id=f"{name}-call-{number}", function="bash", arguments={"command": python_command(code)})
        yield ChatMessageAssistant(id=f"{name}-turn-{number}", content=said, tool_calls=[call], model=MODEL)
        yield ChatMessageTool(
            id=f"{name}-result-{number}", content=answered, tool_call_id=call.id, function=call.function
        )


def events(messages: Sequence[ChatMessage], score: Score | None) -> Iterator[Event]:
    """What Inspect's viewer shows as the transcript: model calls, tool calls, and the score.

    Args:
        messages: The whole conversation.
        score: The verdict; None where there is none.
    """
    # No times were recorded: the order of the events is that of the list.
    when: dict[str, Any] = {"timestamp": datetime.fromisoformat(CREATED), "working_start": 0.0}
    calls: dict[str, ToolCall] = {}
    for number, message in enumerate(messages):
        if isinstance(message, ChatMessageAssistant):
            calls |= {call.id: call for call in message.tool_calls or []}
            yield ModelEvent(
                model=MODEL,
                input=list(messages[:number]),
                tools=[],
                tool_choice="auto",
                config=GenerateConfig(),
                output=_output(message),
                **when,
            )
        elif isinstance(message, ChatMessageTool):
            call = calls[message.tool_call_id or ""]
            yield ToolEvent(
                id=call.id,
                function=call.function,
                arguments=call.arguments,
                result=message.text,
                completed=None,
                **when,
            )
    if score:
        yield ScoreEvent(score=score, scorer=SCORER, **when)


def executed(message: str) -> tuple[str, str]:
    """What the runner executed of a message, and the message without it."""
    if found := _PYTHON.search(message):
        return found[1], f"{message[: found.start()].rstrip()}\n\n{message[found.end() :].lstrip()}".strip()
    return message, ""


def python_command(code: str) -> str:
    """The shell command that hands a script to Python."""
    return f"python3 - <<'PYTHON'\n{code.rstrip()}\nPYTHON"


def local_script(solution: str) -> str:
    """A recorded script with the paths of the task's sandbox, where all files lie in the working directory."""
    return _RECORDED_FOLDER.sub(".", solution).rstrip() + "\n"


def grade(known: Sample, place: Path, workbook: Path) -> Score:
    """What the task's scorer says of a workbook."""
    metadata = known.metadata or {}
    golden = place / str(known.target)
    comparison = compare_workbooks(
        golden, workbook.read_bytes(), metadata["answer_position"], RULES, metadata["answer_sheet"]
    )
    return Score(
        value=CORRECT if comparison.passed else INCORRECT,
        answer=metadata["output"],
        explanation=f"{explain(comparison)}\nRules: {RULES}.",
    )


def recorded_skill(folder: Path) -> Skill:
    """The skill that the recorded agents had, which the prompts quote without frontmatter."""
    prompt = read_records(folder)[0]["trajectory"]["conversation"][0]
    found = _SKILL.search(prompt)
    if found is None:
        raise DataError(f"The first prompt in {folder} quotes no skill.")
    return Skill.from_files({"SKILL.md": f"{_FRONTMATTER}{found[1]}".encode()})


def agreement(samples: Sequence[EvalSample]) -> Counter[tuple[str, str]]:
    """How often each recorded label meets each score; `-` is no score."""
    scores = [(sample, (sample.scores or {}).get(SCORER)) for sample in samples]
    return Counter((sample.metadata["recorded_label"], str(score.value) if score else "-") for sample, score in scores)


def _output(message: ChatMessageAssistant) -> ModelOutput:
    return ModelOutput(model=MODEL, choices=[ChatCompletionChoice(message=message, stop_reason="tool_calls")])


def _kept(content: bytes) -> str:
    return base64.b64encode(content).decode() if len(content) <= MAX_FILE_BYTES else f"not kept: {len(content)} bytes"


def _header(dataset: str, place: Path, ids: list[str], epochs: int) -> EvalSpec:
    arguments = {
        "dataset": dataset,
        "split": "all",
        "skill": None,
        "skill_mode": "preload",
        "sandbox": None,
        "max_turns": 100,
        "rules": RULES,
    }
    metrics = [{"name": "inspect_ai/accuracy"}, {"name": "inspect_ai/stderr"}]
    return EvalSpec.model_validate(
        {
            "eval_id": f"recorded-{MODEL}",
            "run_id": f"recorded-{MODEL}",
            "task_id": f"recorded-{MODEL}",
            "created": CREATED,
            "task": "spreadsheet",
            "task_registry_name": "evals/spreadsheet",
            "task_file": "evals/spreadsheet.py",
            "task_version": "1-A",
            "task_args": arguments,
            "task_args_passed": {"dataset": dataset, "split": "all"},
            "dataset": {"name": place.name, "samples": len(ids), "sample_ids": ids, "shuffled": False},
            "model": MODEL,
            "config": {"epochs": epochs},
            "metadata": {"source": "recorded runs, converted"},
            "scorers": [
                {"name": SCORER, "options": {"dataset": dataset, "rules": RULES}, "metrics": metrics, "metadata": {}}
            ],
        }
    )


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("output", type=click.Path(path_type=Path))
@click.option("--dataset", default="verified", show_default=True, help="As for the task.")
@click.option("--recalculated", is_flag=True, help="Take the workbooks after LibreOffice has calculated them.")
@click.option("--skill", type=click.Path(path_type=Path), help="Folder that gets the skill that the agents had.")
def main(folder: Path, output: Path, dataset: str, recalculated: bool, skill: Path | None) -> None:
    """Convert the recorded runs in FOLDER into the log OUTPUT (FILE.eval)."""
    log = convert(folder, dataset, recalculated=recalculated)
    write_eval_log(log, output)
    if skill:
        save_skill(recorded_skill(folder), skill)
    for (label, score), count in sorted(agreement(log.samples or []).items()):
        click.echo(f"{count:>4} runs recorded as {label} score {score}")


if __name__ == "__main__":
    main()
