"""A small Inspect task of its own, and a scripted model, so that the engine is tested without any benchmark."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from inspect_ai import Task, eval, task, task_with
from inspect_ai.dataset import Sample
from inspect_ai.model import (
    ChatMessage,
    ChatMessageAssistant,
    ChatMessageSystem,
    GenerateConfig,
    Model,
    ModelOutput,
    ModelUsage,
    get_model,
)
from inspect_ai.scorer import CORRECT, INCORRECT, Score, Scorer, Target, accuracy, match, scorer
from inspect_ai.solver import Generate, Solver, TaskState, solver
from inspect_ai.tool import ToolCall, ToolInfo
from inspect_ai.util import sandbox, store

from trace2skill.edits.patch import Edit
from trace2skill.memory import Asked, Memory, embedder_for, find_bank_folder, load_bank, recall_text
from trace2skill.skill.folder import load_skill

NUMBERS = {"one": 1234, "two": 2345, "three": 3456, "four": 4567}


@scorer(metrics=[accuracy()])
def total_is_right() -> Scorer:
    async def score(state: TaskState, target: Target) -> Score:
        try:
            found = (await sandbox().read_file("total.txt")).strip()
        except FileNotFoundError:
            return Score(value=INCORRECT, explanation="total.txt is missing")
        right = found == target.text
        return Score(value=CORRECT if right else INCORRECT, explanation=f"expected {target.text}, got {found}")

    return score


@solver
def careless(failing: tuple[str, ...]) -> Solver:
    """Adds up a file's numbers but forgets the last line of the samples in `failing`."""

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        rows = (await sandbox().read_file("numbers.txt")).split()
        kept = rows[:-1] if str(state.sample_id).split(".")[0] in failing else rows
        await sandbox().write_file("total.txt", str(sum(map(int, kept))))
        state.messages.append(ChatMessageAssistant(content=f"I added {len(kept)} numbers."))
        store().set("produced_files", {"notes.txt": "bm90ZXM="})
        return state

    return solve


@task
def adding(failing: str = "one,two") -> Task:
    """Add the numbers of a file; the target is their sum."""
    samples = [
        Sample(
            id=name,
            input="Write the sum of numbers.txt to total.txt.",
            target=str(number + 7),
            files={"numbers.txt": f"{number}\n7\n"},
        )
        for name, number in NUMBERS.items()
    ]
    return Task(
        dataset=samples, solver=careless(tuple(failing.split(","))), scorer=total_is_right(), sandbox="local", version=1
    )


@solver
def taught(skill: str | None, failing: tuple[str, ...]) -> Solver:
    """As `careless`, but a skill that speaks of the last line cures it."""
    cured = skill is not None and "last line" in load_skill(Path(skill)).skill_md
    return careless(() if cured else failing)


@task
def adding_with_skill(skill: str | None = None, failing: str = "one,two") -> Task:
    """`adding`, played by an agent that reads a skill."""
    base = adding(failing=failing)
    return task_with(base, solver=taught(skill, tuple(failing.split(","))))


@solver
def forgetful(failing: tuple[str, ...]) -> Solver:
    """Answers in one message, wrongly for the samples in `failing`."""

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        total = int(state.metadata["total"])
        answer = total - 1 if str(state.sample_id) in failing else total
        state.output = ModelOutput.from_content("mockllm", f"ANSWER: {answer}")
        state.messages.append(state.output.message)
        return state

    return solve


@task
def asking(failing: str = "one,two") -> Task:
    """The same sums, asked and answered in words: no sandbox."""
    samples = [
        Sample(id=name, input=f"What is {number} + 7?", target=str(number + 7), metadata={"total": number + 7})
        for name, number in NUMBERS.items()
    ]
    return Task(dataset=samples, solver=forgetful(tuple(failing.split(","))), scorer=match(), version=1)


PLAYED: list[str] = []
"""Samples that `recalling` has played."""


@solver
def recalling(memory: str | None, failing: tuple[str, ...], breaking: tuple[str, ...]) -> Solver:
    """As `forgetful`, but something recalled cures it; breaks at the samples in `breaking`."""
    bank = load_bank(find_bank_folder(Path(memory))) if memory else None
    opened = Memory(bank=bank, embedder=embedder_for(bank), same_dataset=True) if bank else None

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        name = str(state.sample_id)
        PLAYED.append(name)
        if name in breaking:
            raise RuntimeError(f"{name} broke")
        text = recall_text(opened.recall(Asked(sample=name, task=name, query=state.input_text))) if opened else ""
        state.messages.insert(0, ChatMessageSystem(content=f"Add up.\n{text}"))
        return await forgetful(() if text else failing)(state, generate)

    return solve


@task
def asking_with_memory(memory: str | None = None, failing: str = "one,two", breaking: str = "") -> Task:
    """`asking`, played by an agent that recalls."""
    return task_with(
        asking(failing=failing), solver=recalling(memory, tuple(failing.split(",")), tuple(breaking.split(",")))
    )


def run_adding(folder: Path, failing: str = "one,two") -> Path:
    """Run the task without a model; returns its log folder."""
    eval(adding(failing=failing), model="mockllm/model", log_dir=str(folder), display="none")
    return folder


def run_adding_with_skill(folder: Path, skill: Path | None, failing: str = "one,two") -> Path:
    """Run it with a skill; returns its log folder."""
    played = adding_with_skill(skill=str(skill) if skill else None, failing=failing)
    eval(played, model="mockllm/model", log_dir=str(folder), display="none")
    return folder


def run_asking(folder: Path) -> Path:
    """Run the task without a sandbox; returns its log folder."""
    eval(asking(), model="mockllm/model", log_dir=str(folder), display="none")
    return folder


def run_asking_with_memory(folder: Path, **arguments: str) -> Path:
    """Run it without a memory; returns its log folder."""
    eval(asking_with_memory(**arguments), model="mockllm/model", log_dir=str(folder), display="none")
    return folder


def write_skill(folder: Path) -> Path:
    skill = folder / "adding"
    skill.mkdir(parents=True)
    (skill / "SKILL.md").write_text(
        "---\nname: adding\ndescription: How to add the numbers of a file.\n---\n\n# Adding\n\n## Reading\n\n"
        "- Read the file as text.\n\n## Writing\n\n- Write the sum as an integer.\n"
    )
    return skill


LESSON = {
    "title": "Every line",
    "description": "When adding up a file.",
    "content": "Read to the last line, since a total without it is wrong.",
}
GOOD_FIX = "rows = open('numbers.txt').read().split()\nopen('total.txt', 'w').write(str(sum(map(int, rows))))\n"


def call(function: str, **arguments: Any) -> ModelOutput:
    output = ModelOutput.from_content("mockllm", "")
    output.choices[0].message.tool_calls = [ToolCall(id=f"call-{function}", function=function, arguments=arguments)]
    return output


def structured(value: dict[str, Any]) -> ModelOutput:
    return ModelOutput.from_content("mockllm", json.dumps(value))


def edit(content: str, **changes: str) -> dict[str, str]:
    return {"op": "append_to_section", "file": "SKILL.md", "target": "## Reading", "content": content, **changes}


def analyst(
    messages: list[ChatMessage],
    fix: str = GOOD_FIX,
    lessons: list[dict[str, str]] | None = None,
    causes: tuple[str, ...] = ("the last line was left out",),
) -> ModelOutput:
    """An error analyst in three turns: write the fix, check it, submit it."""
    turn = sum(message.role == "assistant" for message in messages)
    if turn == 0:
        return call("bash", command=f"cat > fix.py <<'END'\n{fix}END\n")
    if turn == 1:
        return call("check_fix", script="fix.py")
    return call("submit", fix="fix.py", causes=[*causes], lessons=lessons or [LESSON])


def merge_all(messages: list[ChatMessage]) -> ModelOutput:
    """A merger that joins all edits of one file into one."""
    block = messages[0].text.split("<edits>")[1].split("</edits>")[0]
    edits = [json.loads(line) for line in block.strip().splitlines()]
    first = {key: edits[0][key] for key in ("op", "file", "target", "old", "content", "rationale")}
    return structured({"edits": [{**first, "ids": [row["id"] for row in edits]}]})


Reply = Callable[[list[ChatMessage]], ModelOutput]


def scripted(**replies: Reply) -> Model:
    """A model that answers by role: error, error_report, success_report, patch, merge_result."""
    defaults: dict[str, Reply] = {
        "error": analyst,
        "error_report": lambda _: structured({"causes": ["the last line was left out"], "lessons": [LESSON]}),
        "success_report": lambda _: structured({"solution_path": "read, add, write", "lessons": [LESSON]}),
        "patch": lambda _: structured({"edits": [edit("- Read to the last line.")]}),
        "merge_result": merge_all,
    }
    roles = {**defaults, **replies}

    def respond(input: list[ChatMessage], tools: list[ToolInfo], choice: Any, config: GenerateConfig) -> ModelOutput:
        role = config.response_schema.name if config.response_schema else "error"
        output = roles[role](input)
        output.usage = ModelUsage(input_tokens=10, output_tokens=2, total_tokens=12)
        return output

    return get_model("mockllm/model", custom_outputs=respond, memoize=False)


def append(name: str, content: str = "", *support: str, **changes: object) -> Edit:
    """An edit of the toy skill, supported by the trajectory in its id unless others are named."""
    values: dict[str, object] = {
        "id": name,
        "file": "SKILL.md",
        "op": "append_to_section",
        "target": "## Reading",
        "content": content or f"- Habit {name}.",
        "support": support or (name.split(".")[0],),
    }
    return Edit.model_validate({**values, **changes})


def create(name: str, *support: str, file: str = "references/dates.md", content: str = "# Dates") -> Edit:
    """An edit that creates a reference file."""
    return append(name, content, *support, file=file, op="create", target="")
