"""The world that the simulated agent knows: tasks in the SpreadsheetBench format, found by what the prompt says.

Known are the bundled sample, the verified and the full set where they were downloaded, and what is given as model
argument `data`. A task that stands in none of them is unknown, and the agent says so.
"""

import functools
import json
import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from trace2skill.data.places import bundled, data_dir
from trace2skill.errors import DataError
from trace2skill.simulation.applicable import applicable_habits, wrong_sheet
from trace2skill.simulation.blocks import answer_blocks, load
from trace2skill.simulation.chance import digest
from trace2skill.simulation.plans import Plan, make_plan

PUBLISHED = ("spreadsheetbench-verified-400", "spreadsheetbench-full-912")

DATASET_FILES = ("dataset.json", "data/questions.tsv", "questions.json", "problems.jsonl")
"""What tells the folder of a dataset, by benchmark."""

FIRST_CASE = "1"
"""Number of a task's only or first test case, which shares the key of the task."""

_FIELD = re.compile(r"^### (\w+)\n(.*?)(?=\n\n### \w+\n|\n\nCell-level manipulation|\Z)", re.DOTALL | re.MULTILINE)
_REMOVAL = re.compile(r"\b(delet|remov)", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """What a task's prompt says.

    Attributes:
        key: Identifies the task by its text, whichever test case of it this is.
        instruction: The task's text.
        answer_position: The cells that count.
        input: Name of the input workbook.
        output: Name of the workbook to write.
    """

    key: str
    instruction: str
    answer_position: str
    input: str
    output: str

    @property
    def case_key(self) -> str:
        """Identifies the test case: agents decide anew on each workbook of a task."""
        case = case_number(self.output)
        return self.key if case == FIRST_CASE else f"{self.key}/{case}"


@dataclass(frozen=True, kw_only=True)
class Knowledge:
    """How one task is solved.

    Attributes:
        plan: What is to be written.
        habits: Slugs of the habits that it takes.
        wrong_sheet: Code of the sheet that a careless agent writes to.
    """

    plan: Plan
    habits: tuple[str, ...]
    wrong_sheet: str | None


def read_prompt(text: str) -> Prompt | None:
    """The parts of a spreadsheet task's prompt; None if it is no such prompt."""
    fields = {match.group(1): match.group(2).strip("\n") for match in _FIELD.finditer(text)}
    if not {"instruction", "spreadsheet_path", "answer_position", "output_path"} <= fields.keys():
        return None
    return Prompt(
        key=task_key(fields["instruction"], fields["answer_position"]),
        instruction=fields["instruction"],
        answer_position=fields["answer_position"],
        input=_first_line(fields["spreadsheet_path"]),
        output=_first_line(fields["output_path"]),
    )


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0].strip()


def task_key(instruction: str, answer_position: str) -> str:
    """Identifies a task by its text, whatever the white space around it."""
    return digest(f"{instruction.strip()}\n{answer_position.strip()}")


def case_number(name: str) -> str:
    """The number of the test case that the name of a workbook begins with."""
    return name.partition("_")[0]


def known_folders(extra: Sequence[str]) -> tuple[Path, ...]:
    """Folders of all tasks that the agent knows, and files of questions on documents.

    Raises:
        DataError: Something in `extra` is no dataset.
    """
    folders = [bundled("tasks/sample/spreadsheet"), *(data_dir() / name for name in PUBLISHED)]
    for folder in map(Path, extra):
        if not (_is_file_of_questions(folder) or any((folder / name).is_file() for name in DATASET_FILES)):
            raise DataError(
                f"Model argument data={folder}: expected a dataset folder, but it has no {' or '.join(DATASET_FILES)}. "
                "Questions on documents may also be given as a file: data=FILE.json."
            )
        folders.append(folder.resolve())
    return tuple(folder for folder in folders if folder.exists())


def _is_file_of_questions(path: Path) -> bool:
    return path.suffix == ".json" and path.is_file()


@functools.lru_cache(maxsize=8)
def index(folders: tuple[Path, ...]) -> dict[str, tuple[Path, ...]]:
    """Folders of every known task by the key of its text, which several datasets may share."""
    found: dict[str, tuple[Path, ...]] = {}
    for folder in (folder for folder in folders if (folder / "dataset.json").is_file()):
        for record in json.loads((folder / "dataset.json").read_text(encoding="utf-8")):
            key = task_key(record["instruction"], record["answer_position"])
            found[key] = (*found.get(key, ()), folder / record["spreadsheet_path"])
    return found


def knowledge(prompt: Prompt, folders: tuple[Path, ...]) -> Knowledge | None:
    """How a task is solved; None if it is unknown or beyond the agent. Opens workbooks: call it off the event loop."""
    for folder in index(folders).get(prompt.key, ()):
        if pair := find_pairs(folder).get(prompt.input):
            return _study(*pair, prompt.answer_position, removes=bool(_REMOVAL.search(prompt.instruction)))
    return None


@functools.lru_cache(maxsize=1024)
def find_pairs(folder: Path) -> dict[str, tuple[Path, Path]]:
    """Input workbook and its answer, by the input's name in the sandbox: one pair, or one for each test case."""
    inits, goldens = (sorted(folder.glob(f"*{kind}*.xlsx")) for kind in ("init", "golden"))
    pairs = {init.name: (init, golden) for init, golden in zip(inits[:1], goldens[:1], strict=False)}
    answers = {case_number(path.name): path for path in sorted(folder.glob("*_answer*.xlsx"))}
    for path in sorted(folder.glob("*_input*.xlsx")):
        if answer := answers.get(case_number(path.name)):
            pairs[path.name.replace(" .xlsx", ".xlsx")] = (path, answer)
    return pairs


@functools.lru_cache(maxsize=1024)
def _study(init: Path, golden: Path, answer_position: str, *, removes: bool) -> Knowledge | None:
    try:
        before, after = load(init, data_only=False), load(golden, data_only=True)
    except (
        ValueError,
        KeyError,
        TypeError,
        OSError,
        zipfile.BadZipFile,
    ):  # what openpyxl raises for damaged files
        return None
    blocks = answer_blocks(answer_position, before, after)
    plan = make_plan(init, golden, before, after, blocks, removes=removes) if blocks else None
    if plan is None:
        return None
    return Knowledge(
        plan=plan,
        habits=applicable_habits(plan, before, after, blocks),
        wrong_sheet=wrong_sheet(plan, before),
    )
