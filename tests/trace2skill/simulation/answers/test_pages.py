"""Questions on documents of any source, as the stand-in knows them: both forms of files, each slip a real one."""

import json
from pathlib import Path
from typing import Any

import pytest
from inspect_ai.dataset import Sample
from PIL import Image

from evals.visionqa import load_dataset
from tests.trace2skill.simulation.answers.sample import passes, prompt
from trace2skill.errors import DataError
from trace2skill.simulation.answers.agent import study
from trace2skill.simulation.answers.asked import Asked, read_asked
from trace2skill.simulation.answers.slips import Case
from trace2skill.simulation.answers.working import write
from trace2skill.simulation.habits import VISIONQA
from trace2skill.simulation.world import known_folders

SHARED = Path(__file__).parents[4] / "../shared/data"
PAGES = [
    {
        "image_path": "page.png",
        "questions": [
            {"question": "What was the revenue?", "answer": "143,756", "type": "extractive"},
            {"question": "How many shares were sold?", "answer": 12, "type": "extractive"},
            {"question": "Who signed?", "answer": "Jana Novotná"},
        ],
    },
    {"image_path": "other.png", "questions": [{"question": "What was the revenue?", "answer": "8.4%"}]},
]


def write_pages(folder: Path, content: Any, name: str = "annotations.json") -> Path:
    for page in ("page.png", "other.png"):
        Image.new("L", (8, 8)).save(folder / page)
    (folder / name).write_text(json.dumps(content), encoding="utf-8")
    return folder / name


def case_of(sample: Sample, file: Path) -> Case:
    asked = read_asked(prompt(sample))
    assert asked is not None
    case = study(asked, known_folders([str(file)]))
    assert case is not None, f"{sample.id} is unknown"
    return case


def assert_played(file: Path, count: int) -> None:
    """Every question of a file is known; the right answer passes, and no answer with a slip does."""
    samples = list(load_dataset(file, "all"))
    assert len(samples) == count
    for sample in samples:
        case = case_of(sample, file)
        assert passes(VISIONQA, sample, write(case.about([]), ()))
        for slug in case.habits:
            assert passes(VISIONQA, sample, write(case.about([slug]), ()))
            assert not passes(VISIONQA, sample, write(case.about([slug]), [slug])), f"{sample.id} passes without {slug}"


def test_a_list_of_pages_is_played(tmp_path: Path) -> None:
    file = write_pages(tmp_path, PAGES)

    assert_played(file, 4)
    habits = [set(case_of(sample, file).habits) for sample in load_dataset(file, "all")]
    assert "right_place" in habits[0]  # the page has other answers
    assert "no_unit" in habits[1]
    assert "whole_value" in habits[2]
    assert "right_place" not in habits[3]


def test_a_folder_of_pages_is_known_by_its_file(tmp_path: Path) -> None:
    write_pages(tmp_path, PAGES, "questions.json")

    assert_played(tmp_path / "questions.json", 4)
    assert known_folders([str(tmp_path)])[-1] == tmp_path


@pytest.mark.parametrize("content", [7, [1], [{"image_path": "x.png"}], {"questions": []}])
def test_a_file_in_another_form_is_named(content: Any, tmp_path: Path) -> None:
    file = write_pages(tmp_path, content)

    with pytest.raises(DataError, match=r"annotations\.json is neither in DocVQA's form nor a list of pages"):
        study(Asked(domain=VISIONQA, question="?", about="page.png"), (file,))


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.json: expected a dataset folder.*data=FILE\.json"):
        known_folders([str(tmp_path / "none.json")])


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("file", "count"), [("docvqa/val_with_images.json", 24), ("financial-docvqa/annotations.json", 172)]
)
def test_real_documents_are_played(file: str, count: int) -> None:
    if not (SHARED / file).is_file():
        pytest.skip(f"{SHARED / file} is not there")
    assert_played((SHARED / file).resolve(), count)
