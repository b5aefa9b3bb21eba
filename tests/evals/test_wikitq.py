import io
import shutil
import sys
import tarfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest
from inspect_ai import Task, eval
from inspect_ai.log import EvalLog, EvalSample
from inspect_ai.model import Model, ModelOutput, ModelUsage, get_model
from inspect_ai.solver import Generate, Solver, TaskState, solver
from inspect_ai.util import sandbox
from openpyxl import Workbook
from python_calamine import CalamineWorkbook

from evals.agent import PRODUCED_FILES
from evals.answer_items import judge, read_message
from evals.table_workbook import read_table, table_workbook
from evals.wikitq import (
    Format,
    answering,
    load_dataset,
    load_questions,
    oracle,
    unanswered,
    unescape,
    wikitq,
)
from trace2skill.data.places import bundled
from trace2skill.errors import DataError
from trace2skill.skill.folder import load_skill

SHARED = Path(__file__).parents[2] / "../shared/data/wikitq"
FORMATS: tuple[Format, ...] = ("workbook", "text")


def run(task: Task, solver: Solver | None, log_dir: Path, limit: int | None = None) -> list[EvalSample]:
    [log] = eval(task, solver=solver, model="mockllm/model", log_dir=str(log_dir), display="none", limit=limit)
    assert log.status == "success", log.error
    return log.samples or []


@solver
def says(*items: str) -> Solver:
    return answering(lambda state: items)


@solver
def knows_the_first_two_tables() -> Solver:
    return answering(lambda state: list(state.target) if state.metadata["table"] < "csv/200-csv/7" else [])


def verdict(sample: EvalSample) -> str:
    return str((sample.scores or {})["denotation"].value)


def explanation(sample: EvalSample) -> str:
    return str((sample.scores or {})["denotation"].explanation)


@pytest.mark.parametrize("format", FORMATS)
def test_the_oracle_answers_every_sample_question(format: Format, tmp_path: Path) -> None:
    samples = run(wikitq(dataset="sample", split="all", format=format, sandbox="local"), oracle(), tmp_path)

    assert Counter(map(verdict, samples)) == {"C": 40}


@pytest.mark.parametrize("format", FORMATS)
def test_doing_nothing_answers_no_sample_question(format: Format, tmp_path: Path) -> None:
    samples = run(wikitq(dataset="sample", split="all", format=format, sandbox="local"), unanswered(), tmp_path)

    assert Counter(map(verdict, samples)) == {"I": 40}


def test_samples_name_their_table_and_keep_the_answer_out_of_the_prompt_parts() -> None:
    [first, *_] = load_dataset(bundled("tasks/sample/wikitq"), "test", "workbook")

    assert first.metadata is not None
    assert first.metadata["table"] == "csv/200-csv/5.csv"
    assert first.target == ["12 October 1984"]
    assert "### question\non what date was Pětihory the opponent?\n\n### spreadsheet_path\nts-20_input.xlsx\n" in str(
        first.input
    )
    assert str(first.input).endswith("### output_path\nts-20_output.xlsx")


def test_the_standard_error_is_clustered_by_table(tmp_path: Path) -> None:
    task = wikitq(dataset="sample", split="test", format="text")
    [log] = eval(
        task, solver=knows_the_first_two_tables(), model="mockllm/model", log_dir=str(tmp_path), display="none"
    )

    assert log.results is not None
    metrics = {name: metric.value for name, metric in log.results.scores[0].metrics.items()}
    # Two of five tables right, in full: the questions are worth five observations, not twenty.
    assert metrics == pytest.approx({"accuracy": 0.4, "stderr": (0.4 * 0.6 / 5) ** 0.5}, rel=0.15)


@solver
def writes(content: bytes | None, folder: bool = False) -> Solver:
    async def solve(state: TaskState, generate: Generate) -> TaskState:
        if folder:
            await sandbox().exec(["mkdir", state.metadata["output"]])
        elif content is not None:
            await sandbox().write_file(state.metadata["output"], content)
        return state

    return solve


@pytest.mark.parametrize(
    ("agent", "reason"),
    [
        (writes(None), "was not written"),
        (writes(None, folder=True), "was not written"),
        (writes(b"not a workbook"), "no readable workbook"),
        (says("=1+1", "x"), "Expected 1 item: '3', got 2 items: '=1+1', 'x'."),
        (unanswered(), "Expected 1 item: '3', got no items."),
    ],
)
def test_bad_output_is_wrong_and_explained(agent: Solver, reason: str, tmp_path: Path) -> None:
    task = wikitq(dataset="sample", split="evolve", sandbox="local")
    task.dataset = task.dataset.filter(lambda sample: sample.id == "ts-3")
    [sample] = run(task, agent, tmp_path)

    assert verdict(sample) == "I"
    assert reason in explanation(sample)


def test_formulas_that_nothing_calculated_are_named() -> None:
    book = Workbook()
    book.create_sheet("Answer").append(["Answer"])
    book["Answer"].append(["=2+1"])

    buffer = io.BytesIO()
    book.save(buffer)

    score = judge(buffer.getvalue(), ["3"], ["3.0"])

    assert score.explanation == (
        "Expected 1 item: '3', got no items. Formulas without a saved value read as empty: A2."
    )


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("So it is 3.\nANSWER:\n3", ("3",)),
        ("ANSWER: 3", ("3",)),
        ("**ANSWER:**\n a \n\nb\n", ("a", "b")),
        ("ANSWER:\nwrong\nno, wait\nAnswer:\nright", ("right",)),
        ("ANSWER:\n", ()),
        ("ANSWER:\n- 3", ("3",)),
    ],
)
def test_a_message_ends_with_its_answer(text: str, items: tuple[str, ...]) -> None:
    assert read_message(text).items == items


def test_a_message_without_an_answer_says_so() -> None:
    assert read_message("The ANSWER is 3").problem == "The message has no line that says ANSWER:."


def saying(*outputs: ModelOutput) -> Model:
    """A model that gives these outputs; without their usage, Inspect would load a tokenizer to count it."""
    usage = ModelUsage(input_tokens=1, output_tokens=1, total_tokens=2)
    told = [output.model_copy(update={"usage": usage}) for output in outputs]
    return get_model("mockllm/model", custom_outputs=told, memoize=False)


def test_the_agent_meets_table_and_skill_in_one_message(tmp_path: Path) -> None:
    skill = bundled("skills/xlsx-basic")
    task = wikitq(dataset="sample", split="evolve", format="text", skill=str(skill))
    model = saying(ModelOutput.from_content("mockllm/model", "ANSWER: 3"))
    task.dataset = task.dataset.filter(lambda sample: sample.id == "ts-3")
    [log] = eval(task, model=model, log_dir=str(tmp_path), display="none")
    [sample] = log.samples or []

    assert verdict(sample) == "C"
    assert load_skill(skill).skill_md.strip() in sample.messages[0].text
    assert "5 August 2010\tBränby\tH" in sample.messages[1].text


SCRIPT = """\
import openpyxl
book = openpyxl.load_workbook("ts-3_input.xlsx")
rows = list(book["Table"].iter_rows(min_row=2, values_only=True))
won = [row for row in rows if row[2] == "H" and int(row[3][0]) > int(row[3][2])]
book["Answer"]["A2"] = len(won)
book.save("ts-3_output.xlsx")
"""


def test_an_agent_finds_the_workbook_and_answers_in_it(tmp_path: Path) -> None:
    calls = [("bash", {"command": f"{sys.executable} - <<'END'\n{SCRIPT}END"}), ("submit", {"answer": "done"})]
    task = wikitq(dataset="sample", split="evolve", sandbox="local")
    task.dataset = task.dataset.filter(lambda sample: sample.id == "ts-3")
    model = saying(*(ModelOutput.for_tool_call("mockllm/model", name, arguments) for name, arguments in calls))
    [log] = eval(task, model=model, log_dir=str(tmp_path), display="none")
    [sample] = log.samples or []

    assert verdict(sample) == "C", explanation(sample)
    assert set(sample.store[PRODUCED_FILES]) == {"ts-3_output.xlsx"}


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    folder = tmp_path / "broken"
    shutil.copytree(bundled("tasks/sample/wikitq"), folder)
    return folder


@pytest.mark.parametrize("format", FORMATS)
def test_a_broken_table_is_an_error_of_its_samples_only(format: Format, broken: Path, tmp_path: Path) -> None:
    (broken / "csv/200-csv/0.csv").write_text("")
    task = wikitq(dataset=str(broken), split="evolve", format=format, sandbox="local")
    log: EvalLog
    [log] = eval(
        task, solver=oracle(), model="mockllm/model", log_dir=str(tmp_path), display="none", fail_on_error=False
    )

    assert log.status == "success"
    failed = [sample for sample in log.samples or [] if sample.error]
    assert [str(sample.id) for sample in failed] == ["ts-0", "ts-1", "ts-2", "ts-3"]
    assert all("0.csv is empty" in sample.error.message for sample in failed if sample.error)
    assert Counter(verdict(sample) for sample in log.samples or [] if not sample.error) == {"C": 16}


@pytest.mark.parametrize(
    ("path", "content", "message"),
    [
        ("data/questions.tsv", "", "lacks the columns context, id, targetValue, utterance"),
        ("data/questions.tsv", "id\tutterance\tcontext\ttargetValue\nts-0\tcut", "line 2 has 2 of 4 fields"),
        ("data/questions.tsv", "id\tutterance\tcontext\ttargetValue\nnew\ta\tb\tc", "no answer for 1 questions, such"),
        ("tagged/data/questions.tagged", None, "cannot be read"),
    ],
)
def test_damaged_question_files_are_named(broken: Path, path: str, content: str | None, message: str) -> None:
    (broken / path).unlink()
    if content is not None:
        (broken / path).write_text(content)

    with pytest.raises(DataError, match=message):
        wikitq(dataset=str(broken), split="all", format="text")


def test_missing_data_says_how_to_supply_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TRACE2SKILL_DATA", str(tmp_path))

    with pytest.raises(DataError, match=r"wikitablequestions.*TRACE2SKILL_DATA"):
        wikitq(sandbox="local")


def test_the_sample_has_no_dev_split() -> None:
    with pytest.raises(DataError, match=r"'dev' is not in .*evolve, test"):
        wikitq(dataset="sample", split="dev", format="text")


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED} is not there")
    folder = tmp_path_factory.mktemp("data")
    with tarfile.open(SHARED / "wikitq-full.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder / "wikitq-full"


@pytest.mark.shared_data
def test_the_splits_are_the_published_ones(published: Path) -> None:
    test, dev = load_questions(published, "test"), load_questions(published, "dev")

    assert (len(test), len({question.table for question in test})) == (4_344, 421)
    assert (len(dev), len({question.table for question in dev})) == (3_537, 1_455)
    assert load_questions(published, "all") == test + dev
    with pytest.raises(DataError, match="test, dev and all, not 'evolve'"):
        load_questions(published, "evolve")


def words(table: Iterable[Iterable[str]]) -> list[list[list[str]]]:
    """Each cell's words: upstream levels white space in the one form and not in the other."""
    return [[cell.split() for cell in row] for row in table]


@pytest.mark.shared_data
def test_the_csv_reads_as_the_tsv_does(published: Path) -> None:
    for path in sorted(published.glob("csv/*/*.csv")):
        lines = path.with_suffix(".tsv").read_bytes().decode().rstrip("\n").split("\n")

        assert words(read_table(path)) == words([map(unescape, line.split("\t")) for line in lines]), path


@pytest.mark.shared_data
def test_every_gold_answer_passes_as_a_message(published: Path) -> None:
    questions = load_questions(published, "test")

    verdicts = [judge("\n".join(["ANSWER:", *one.values]), one.values, one.canon) for one in questions]

    assert sum(verdict.right for verdict in verdicts) == len(verdicts) == 4_344


@pytest.mark.shared_data
def test_the_oracle_answers_published_questions(published: Path, tmp_path: Path) -> None:
    samples = run(wikitq(dataset=str(published), sandbox="local"), oracle(), tmp_path, limit=20)

    assert Counter(map(verdict, samples)) == {"C": 20}


@pytest.mark.slow
@pytest.mark.shared_data
def test_the_oracle_answers_200_published_questions(published: Path, tmp_path: Path) -> None:
    samples = run(wikitq(dataset=str(published), sandbox="local"), oracle(), tmp_path, limit=200)

    assert Counter(map(verdict, samples)) == {"C": 200}


@pytest.mark.slow
@pytest.mark.shared_data
def test_every_published_table_survives_as_a_workbook(published: Path) -> None:

    for name in sorted({question.table for question in load_questions(published, "test")}):
        table = read_table(published / name)
        book = CalamineWorkbook.from_filelike(io.BytesIO(table_workbook(table)))
        assert tuple(map(tuple, book.get_sheet_by_name("Table").to_python())) == table, name
