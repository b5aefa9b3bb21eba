"""The bundled sample as the tests of the stand-in model use it: prompts, plans, and runs of generated scripts."""

import json
import re
import runpy
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from evals.graders.spreadsheetbench import Comparison, compare_workbooks
from evals.spreadsheet import find_workbook, load_dataset
from trace2skill.data.places import bundled
from trace2skill.simulation.chance import Dice
from trace2skill.simulation.scripts import solve_command
from trace2skill.simulation.world import Knowledge, Prompt, knowledge, read_prompt

FOLDER = bundled("tasks/sample/spreadsheet")
PROMPTS = {str(sample.id): sample.input for sample in load_dataset(FOLDER, "all")}
RECORDS = {str(record["id"]): record for record in json.loads((FOLDER / "dataset.json").read_text())}

_HEREDOC = re.compile(r"<<'PYTHON'\n(.*?)\nPYTHON$", re.DOTALL | re.MULTILINE)


def dice(seed: int, scale: str = "small", case: str = "") -> Dice:
    return Dice(seed=str(seed), scale=scale, role="tested", case=case)


def task_text(task_id: str) -> str:
    """The prompt that an agent gets."""
    text = PROMPTS[task_id]
    assert isinstance(text, str)
    return text


def task(task_id: str) -> tuple[Prompt, Knowledge]:
    prompt = read_prompt(task_text(task_id))
    assert prompt is not None
    known = knowledge(prompt, (FOLDER,))
    assert known is not None
    return prompt, known


def workbook(task_id: str, kind: Literal["init", "golden"]) -> Path:
    return find_workbook(FOLDER / RECORDS[task_id]["spreadsheet_path"], kind)


def verdict(task_id: str, folder: Path) -> Comparison:
    """The benchmark's verdict on what lies in a folder."""
    output = folder / f"1_{task_id}_output.xlsx"
    return compare_workbooks(workbook(task_id, "golden"), output, RECORDS[task_id]["answer_position"])


def place_input(task_id: str, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(workbook(task_id, "init"), folder)


def script(task_id: str, needed: Iterable[str], omitted: Iterable[str] = ()) -> str:
    """The Python code that the agent writes."""
    prompt, known = task(task_id)
    return code_of(solve_command(prompt, known, needed, omitted, wrong=False))


def code_of(command: str) -> str:
    """The Python code in a command."""
    found = _HEREDOC.search(command)
    assert found is not None
    return found.group(1) + "\n"


def run_code(code: str, folder: Path) -> None:
    """Run a script in this process; the working directory must be `folder` already."""
    (folder / "solve.py").write_text(code, encoding="utf-8")
    runpy.run_path("solve.py")


def shell(command: str, folder: Path) -> str:
    """Run a command as the sandbox would."""
    ran = subprocess.run(["bash", "-c", command], cwd=folder, capture_output=True, text=True, check=False)
    return ran.stdout + ran.stderr
