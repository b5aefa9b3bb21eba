import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import PIL
import pytest
import yaml
from inspect_ai import eval
from inspect_ai.log import EvalLog, read_eval_log
from inspect_ai.model import ChatMessage, ContentImage, Model, ModelOutput, ModelUsage, get_model
from inspect_ai.solver import Solver
from PIL import Image, ImageChops

from evals.visionqa import (
    SYSTEM_PROMPT,
    Place,
    blank,
    final_answer,
    load_dataset,
    oracle,
    questions_file,
    read_questions,
    visionqa,
)
from tasks.generate_sample_visionqa import FOLDER, sample_pages, sound, write_dataset
from trace2skill.comparison.pairing import compare
from trace2skill.data.cards import read_card
from trace2skill.errors import DataError, SkillError
from trace2skill.logs.trajectory import read_trajectories

ROOT = Path(__file__).parents[2]
SHARED = ROOT / "../shared/data"


def run(
    dataset: str, log_dir: Path, solver: Solver | None = None, image: Place = "message", **options: object
) -> EvalLog:
    task = visionqa(dataset=dataset, split="all", image=image, sandbox="local")
    [log] = eval(task, solver=solver, model="mockllm/model", log_dir=str(log_dir), display="none", **options)  # type: ignore[arg-type]
    assert log.status == "success", log.error
    return log


def means(log: EvalLog) -> dict[str, float]:
    assert log.results
    return {name: metric.value for score in log.results.scores for name, metric in score.metrics.items()}


def scripted(*outputs: ModelOutput, seen: list[str] | None = None) -> Model:
    """A model that says these things in turn, and notes the images that it is shown."""
    left = iter(outputs)

    def respond(messages: list[ChatMessage], *_: object) -> ModelOutput:
        parts = [part for message in messages if isinstance(message.content, list) for part in message.content]
        if seen is not None:
            seen.extend(part.image for part in parts if isinstance(part, ContentImage))
        output = next(left)
        output.usage = ModelUsage(input_tokens=1, output_tokens=1, total_tokens=2)  # else it fetches a tokenizer
        return output

    return get_model("mockllm/model", custom_outputs=respond, memoize=False)


def saying(text: str) -> ModelOutput:
    return ModelOutput.from_content("mockllm/model", text)


@pytest.mark.parametrize("image", ["message", "sandbox"])
def test_the_oracle_is_right_and_a_blank_answer_wrong_on_every_sample_question(image: Place, tmp_path: Path) -> None:
    right = run("sample", tmp_path, oracle(), image)
    wrong = run("sample", tmp_path, blank(), image)

    assert means(right) == {"accuracy": 1, "stderr": 0, "mean_anls": 1}
    assert means(wrong) == {"accuracy": 0, "stderr": 0, "mean_anls": 0}
    assert len(right.samples or []) == len(wrong.samples or []) == 30


def test_engine_reads_the_scores_without_further_choice(tmp_path: Path) -> None:
    for name, solver in (("right", oracle()), ("wrong", blank())):
        run("sample", tmp_path / name, solver)

    assert len(read_trajectories([tmp_path / "right"]).successes) == 30
    assert len(read_trajectories([tmp_path / "wrong"]).failures) == 30
    result = compare(tmp_path / "wrong", tmp_path / "right", cluster="document").result
    assert result.difference == 1


def test_the_page_goes_to_the_model_and_into_the_log_unless_told_otherwise(tmp_path: Path) -> None:
    seen: list[str] = []
    task = visionqa(dataset="sample", split="test")
    logged, sizes = [], []
    for log_images in (True, False):
        model = scripted(saying("ANSWER: 1"), seen=seen)
        [log] = eval(task, model=model, limit=1, log_dir=str(tmp_path), log_images=log_images, display="none")
        assert log.status == "success", log.error
        [sample] = read_eval_log(log.location, resolve_attachments=True).samples or []
        logged += [part.image for part in sample.messages[1].content if isinstance(part, ContentImage)]
        sizes.append(Path(log.location.removeprefix("file://")).stat().st_size)
        assert sample.messages[0].text == SYSTEM_PROMPT
        assert str(sample.input[0].text).startswith("What is the date of birth of the applicant?")  # type: ignore[union-attr]

    assert [image[:22] for image in seen] == ["data:image/png;base64,"] * 2
    assert logged == [seen[0], "<base64-data-removed>"]
    assert sizes[1] + 9_000 < sizes[0] < 20_000  # the page once, or not at all


def test_epochs_are_averaged_in_both_numbers(tmp_path: Path) -> None:
    answer = read_questions(FOLDER / "questions.json")[0].answers[0]
    near = f"{answer[:-1]}#"
    model = scripted(saying(f"ANSWER: {answer}"), saying(f"ANSWER: {near}"))
    task = visionqa(dataset="sample", split="evolve")
    [log] = eval(task, model=model, limit=1, epochs=2, max_samples=1, log_dir=str(tmp_path), display="none")

    assert means(log)["accuracy"] == 1
    assert means(log)["mean_anls"] == pytest.approx(1 - 0.5 / len(answer))


def test_the_explanation_does_not_show_the_answer(tmp_path: Path) -> None:
    log = run("sample", tmp_path, blank())

    for sample in log.samples or []:
        score = (sample.scores or {})["document_answer"]
        assert not any(answer in (score.explanation or "") for answer in sample.target)


def test_an_agent_writes_its_answer_to_a_file(tmp_path: Path) -> None:
    question = read_questions(FOLDER / "questions.json")[0]
    name = Path(question.image).name
    calls = [
        ModelOutput.for_tool_call("mockllm/model", "view_image", {"path": "answer.txt"}),
        ModelOutput.for_tool_call("mockllm/model", "view_image", {"path": name}),
        ModelOutput.for_tool_call("mockllm/model", "bash", {"command": f"printf '{question.answers[0]}' > answer.txt"}),
        ModelOutput.for_tool_call("mockllm/model", "submit", {"answer": "written"}),
    ]
    task = visionqa(dataset="sample", split="evolve", image="sandbox", sandbox="local")
    seen: list[str] = []
    [log] = eval(task, model=scripted(*calls, seen=seen), limit=1, log_dir=str(tmp_path), display="none")

    assert log.status == "success", log.error
    assert means(log)["accuracy"] == 1
    assert len(seen) == 1 + 1 + 2 + 2  # the page, from the third turn on twice
    assert len(set(seen)) == 1


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        ("It says so at the top.\n\nANSWER: 12 May 1984", "12 May 1984"),
        ("ANSWER: 1\nNo, wait.\nANSWER: 2", "2"),
        ("**ANSWER:** Paul", "Paul"),
        ("**Answer: Paul**\n", "Paul"),
        ("answer: **Paul**", "Paul"),
        ("ANSWER:\nPaul", "Paul"),
        ("ANSWER: F*", "F*"),
        ("ANSWER: ** Nominees", "** Nominees"),
        ("I looked at the table.\n0.28", "0.28"),
        ("ANSWER:", ""),
        ("", ""),
        ("x" * 10_000_000 + "\nANSWER: y", "y"),
    ],
)
def test_final_answer(reply: str, answer: str) -> None:
    assert final_answer(reply) == answer


def test_a_skill_needs_a_sandbox_to_be_a_tool() -> None:
    with pytest.raises(SkillError, match="skill_mode=tool"):
        visionqa(dataset="sample", skill="skills/docvqa-basic", skill_mode="tool")


def test_missing_data_says_how_to_supply_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TRACE2SKILL_DATA", str(tmp_path))

    with pytest.raises(DataError, match=r"has no val_v1\.0_withQT\.json.*TRACE2SKILL_DATA.*must hold questions\.json"):
        visionqa()
    with pytest.raises(DataError, match=r"no file of questions .*none\.json"):
        visionqa(dataset=str(tmp_path / "none.json"))


def test_an_installed_package_says_where_the_sample_is(tmp_path: Path) -> None:
    for package in ("evals", "trace2skill"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    code = "from evals.visionqa import visionqa; visionqa(dataset={!r}); visionqa(dataset='sample')"
    ran = subprocess.run(
        [sys.executable, "-c", code.format(str(FOLDER))],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path), "PWD": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert "The visionqa sample comes with a checkout of the project only" in ran.stderr
    assert "dataset=CHECKOUT/tasks/sample/visionqa" in ran.stderr


def test_missing_images_are_counted_and_named(tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path / "sample")
    (tmp_path / "sample/documents/form_01.png").unlink()
    (tmp_path / "sample/documents/table_03.png").write_bytes(b"")

    with pytest.raises(
        DataError, match=r"2 of the 6 page images of split 'evolve'.*form_01\.png, documents/table_03\.png"
    ):
        visionqa(dataset=str(tmp_path / "sample"), split="evolve")
    assert len(visionqa(dataset=str(tmp_path / "sample"), split="test").dataset) == 15


def test_an_image_that_vanishes_is_an_error_of_its_sample(tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path / "sample")
    task = visionqa(dataset=str(tmp_path / "sample"), split="evolve")
    (tmp_path / "sample/documents/form_01.png").unlink()
    [log] = eval(task, solver=oracle(), model="mockllm/model", log_dir=str(tmp_path), display="none")

    assert log.status == "error"
    failed = [sample for sample in log.samples or [] if sample.error]
    assert len(failed) == 3
    assert all("No such file" in sample.error.message for sample in failed if sample.error)
    assert means(log)["accuracy"] == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "it is not JSON"),
        ("{}", "neither in DocVQA's form nor a list"),
        ("7", "neither in DocVQA's form nor a list"),
        ('{"data": [{"questionId": 1, "question": "?", "image": "a.png"}]}', r"0\.answers: Field required"),
        (
            '{"data": [{"questionId": 1, "question": "?", "image": "a.png", "answers": []}]}',
            r"0\.answers: .* at least 1",
        ),
        ('{"data": [{"questionId": 1, "question": "?", "image": "../a.png", "answers": ["x"]}]}', "path below"),
        ('[{"image_path": "a.png", "questions": [{"question": "?"}]}]', "KeyError.*answer"),
    ],
)
def test_a_malformed_file_is_refused(content: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "questions.json"
    file.write_text(content, encoding="utf-8")

    with pytest.raises(DataError, match=message):
        visionqa(dataset=str(file))


def test_an_id_that_stands_twice_is_refused(tmp_path: Path) -> None:
    record = {"questionId": 1, "question": "?", "image": "a.png", "answers": ["x"]}
    (tmp_path / "questions.json").write_text(json.dumps({"data": [record, record]}), encoding="utf-8")

    with pytest.raises(DataError, match="2 questions have only 1 different ids"):
        visionqa(dataset=str(tmp_path))


def test_the_sample_is_what_its_generator_writes(tmp_path: Path) -> None:
    write_dataset(tmp_path)
    card = yaml.safe_load((FOLDER / "card.yaml").read_text(encoding="utf-8"))

    for name in ("questions.json", "splits.json"):
        assert (tmp_path / name).read_bytes() == (FOLDER / name).read_bytes()
    for name, digest in card["sha256"].items():
        assert hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() == digest
        assert (FOLDER / name).stat().st_size < 60_000
    if card["made_with"] == f"Pillow {PIL.__version__}":  # another version may place letters differently
        for path in (FOLDER / "documents").iterdir():
            with Image.open(path) as kept, Image.open(tmp_path / "documents" / path.name) as made:
                assert ImageChops.difference(kept.convert("L"), made.convert("L")).getbbox() is None


def test_every_sample_question_can_be_answered_from_its_page_and_every_slip_fails() -> None:
    pages = list(sample_pages())
    assert sum(len(page.asked) for _, _, page in pages) == 30
    assert {page.kind for _, _, page in pages} == {"form", "invoice", "table", "letter"}
    for _, _, page in pages:
        printed = " ".join(entry["text"] for entry in page.printed)
        for asked in page.asked:
            assert asked.answers[0] in printed
            assert {"place", "only"} <= asked.slips.keys()
            assert sound(asked)


def test_no_page_is_in_both_splits() -> None:
    evolve, test = (
        {sample.metadata["document"] for sample in load_dataset(questions_file("sample"), split) if sample.metadata}
        for split in ("evolve", "test")
    )
    assert len(evolve) == len(test) == 6
    assert not evolve & test


def shared(path: str) -> Path:
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED} is not there")
    return SHARED / path


@pytest.mark.slow
@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("file", "count"), [("docvqa/val_with_images.json", 24), ("financial-docvqa/annotations.json", 172)]
)
def test_real_pages(file: str, count: int, tmp_path: Path) -> None:
    dataset = str(shared(file))
    right = run(dataset, tmp_path, oracle(), log_images=False)
    wrong = run(dataset, tmp_path, blank(), log_images=False)

    assert means(right)["accuracy"] == means(right)["mean_anls"] == 1
    assert means(wrong)["accuracy"] == means(wrong)["mean_anls"] == 0
    assert len(right.samples or []) == len(wrong.samples or []) == count


@pytest.mark.shared_data
def test_the_whole_validation_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    source = shared("docvqa/val_v1.0_withQT.json")
    (tmp_path / "docvqa/documents").mkdir(parents=True)
    shutil.copy(source, tmp_path / "docvqa")
    monkeypatch.setenv("TRACE2SKILL_DATA", str(tmp_path))
    questions = read_questions(source)
    with pytest.raises(DataError, match="1286 of the 1286 page images of split 'all'"):
        visionqa(split="all")

    for image in {question.image for question in questions}:
        (tmp_path / "docvqa" / image).write_bytes(b"a stand-in for an image")
    ids = [question.id for question in questions]
    assert [sample.id for sample in visionqa(split="evolve").dataset] == ids[:2700]
    assert [sample.id for sample in visionqa(split="test").dataset] == ids[2700:]
    assert all(final_answer(f"ANSWER: {answer}") == answer for question in questions for answer in question.answers)
    card = read_card(ROOT / "tasks/visionqa/card.yaml")
    assert card.files == {source.name: hashlib.sha256(source.read_bytes()).hexdigest()}
    assert card.tasks == len(ids) == 5349
