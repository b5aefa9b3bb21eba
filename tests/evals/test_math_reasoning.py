import json
import math
import re
import time
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
import yaml
from anyio.abc import TaskStatus
from inspect_ai import eval
from inspect_ai.log import EvalLog
from inspect_ai.model import Model, ModelOutput, ModelUsage, get_model
from inspect_ai.solver import Generate, Solver, TaskState, solver
from rapidfuzz import fuzz

from evals.graders.math_answer import WORKERS, compare_expressions, same_value
from evals.math_reasoning import (
    DAPO_SHA256,
    SYSTEM_PROMPTS,
    judge,
    load_dataset,
    math_reasoning,
    oracle,
    read_lines,
    zero,
)
from tasks.generate_sample_math import FOLDER, KINDS, sample_problems, write_dataset
from tasks.split_dapo_math import clean, runs, words
from trace2skill.data.places import DATA_VARIABLE, bundled
from trace2skill.errors import DataError, SkillError

SHARED = Path(__file__).parents[2] / "../shared/data"
PROBLEMS: list[dict[str, Any]] = sample_problems()


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> Path:
    if not (SHARED / "dapo-math").is_dir():
        pytest.skip(f"{SHARED / 'dapo-math'} is not there")
    monkeypatch.setenv(DATA_VARIABLE, str(SHARED.resolve()))
    return SHARED


def run(log_dir: Path, agent: Solver, **arguments: Any) -> EvalLog:
    task = math_reasoning(**arguments)
    [log] = eval(task, solver=agent, model="mockllm/model", log_dir=str(log_dir), display="none", log_samples=True)
    assert log.status == "success", log.error
    return log


def model_saying(outputs: list[ModelOutput]) -> Model:
    """A model that gives these outputs; without their usage, Inspect would load a tokenizer to count it."""
    usage = ModelUsage(input_tokens=1, output_tokens=1, total_tokens=2)
    return get_model(
        "mockllm/model",
        custom_outputs=[output.model_copy(update={"usage": usage}) for output in outputs],
        memoize=False,
    )


def scored(log: EvalLog) -> float:
    assert log.results
    return float(log.results.scores[0].metrics["accuracy"].value)


# --- on the built-in problems -----------------------------------------------------------------------------------------


def test_the_oracle_passes_every_sample_problem(tmp_path: Path) -> None:
    log = run(tmp_path, oracle(), dataset="sample", split="all")

    assert (scored(log), len(log.samples or [])) == (1.0, 40)


def test_doing_nothing_passes_no_sample_problem(tmp_path: Path) -> None:
    assert scored(run(tmp_path, zero(), dataset="sample", split="all")) == 0.0


def test_epochs_are_averaged(tmp_path: Path) -> None:
    @solver
    def right_once() -> Solver:
        async def solve(state: TaskState, generate: Generate) -> TaskState:
            return await (oracle() if state.epoch == 1 else zero())(state, generate)

        return solve

    log = run(tmp_path, right_once(), dataset="sample", split="test", epochs=4)

    assert scored(log) == 0.25
    assert len(log.samples or []) == 80


def test_a_model_answers_in_one_message(tmp_path: Path) -> None:
    answers = [ModelOutput.from_content("mockllm/model", f"It is \\boxed{{{p['answer']}}}.") for p in PROBLEMS]
    model = model_saying(answers)

    task = math_reasoning(dataset="sample", split="all", skill="skills/math-basic")
    [log] = eval(task, model=model, log_dir=str(tmp_path), display="none", max_connections=1, max_samples=1)

    assert scored(log) == 1.0
    [sample] = [sample for sample in log.samples or [] if sample.id == PROBLEMS[0]["id"]]
    system, question, answer = sample.messages
    assert "# Solving mathematical problems" in system.text
    assert PROBLEMS[0]["problem"] in question.text
    assert answer.text == "It is \\boxed{22}."


def test_a_model_computes_in_the_sandbox_and_submits_a_bare_number(tmp_path: Path) -> None:
    calls = [("bash", {"command": "echo $((6 * 7))"}), ("submit", {"answer": "22"})]
    model = model_saying([ModelOutput.for_tool_call("mockllm/model", name, arguments) for name, arguments in calls])
    task = math_reasoning(dataset="sample", split="evolve", tools="python", sandbox="local")

    [log] = eval(task, model=model, limit=1, log_dir=str(tmp_path), display="none")

    assert scored(log) == 1.0
    assert log.samples
    assert "42" in [message.text.strip() for message in log.samples[0].messages]
    assert SYSTEM_PROMPTS["python"] in log.samples[0].messages[0].text


async def test_absurd_answers_do_not_hold_up_the_event_loop() -> None:
    absurd = ["\\boxed{" * 1_000_000, "\\boxed{" + "9," * 9_900 + "}", "1 " * 100_000]
    delays = []

    async def tick(*, task_status: TaskStatus[None]) -> None:
        task_status.started()
        while True:
            before = time.perf_counter()
            await anyio.sleep(0.005)
            delays.append(time.perf_counter() - before - 0.005)

    async with anyio.create_task_group() as group:
        await group.start(tick)
        verdicts = [(await anyio.to_thread.run_sync(judge, message, "5"))[1] for message in absurd]
        verdicts.append(await anyio.to_thread.run_sync(compare_expressions, "9^{9^{9^{9}}}", "5", 0.5))
        group.cancel_scope.cancel()

    WORKERS.stop()
    assert not any(verdict.same for verdict in verdicts)
    assert sorted(delays)[len(delays) * 99 // 100] < 0.05


def test_a_missing_answer_is_explained() -> None:
    answer, verdict = judge("I could not do it.", "5")

    assert answer is None
    assert "No final answer in the message of 18 characters" in verdict.reason


def test_no_explanation_tells_the_target() -> None:
    for message in ("\\boxed{41}", "none", "\\boxed{six}", "\\boxed{98765}"):
        assert "98765" not in judge(message, "98765")[1].reason


# --- the built-in problems themselves ---------------------------------------------------------------------------------


def test_the_sample_is_what_its_generator_writes(tmp_path: Path) -> None:
    write_dataset(tmp_path)

    for name in ("problems.jsonl", "splits.json", "card.yaml"):
        assert (tmp_path / name).read_bytes() == (FOLDER / name).read_bytes()


def test_every_kind_has_two_problems_in_each_split() -> None:
    for split in ("evolve", "test"):
        kinds = [(sample.metadata or {})["kind"] for sample in load_dataset("sample", split)]
        assert sorted(kinds) == sorted([*KINDS, *KINDS])


def test_answers_differ_and_every_slip_is_rejected() -> None:
    answers = [problem["answer"] for problem in PROBLEMS]

    assert len(set(answers)) == 40
    assert min(answers) >= 10
    assert not any(same_value(str(problem["slip"]), str(problem["answer"])) for problem in PROBLEMS)


def test_the_numbers_of_a_problem_stand_in_its_text() -> None:
    for problem in PROBLEMS:
        derived = {"step", "other"}  # the second term, or the number of all things, may stand for them
        shown = {str(value) for name, value in problem["numbers"].items() if name not in derived}
        assert shown <= set(re.findall("[0-9]+", problem["problem"])), problem["id"]


def count(problem: dict[str, Any]) -> int:
    """The answer by brute force, written without the generator's formulas."""
    n: dict[str, int] = problem["numbers"]
    match problem["kind"]:
        case "power-remainder":
            return math.prod([n["base"]] * n["exponent"]) % n["divisor"]
        case "inclusive-count":
            return sum(x % n["step"] == 0 for x in range(n["low"], n["high"] + 1))
        case "either-count":
            return sum(x % n["a"] == 0 or x % n["b"] == 0 for x in range(1, n["top"] + 1))
        case "row-of-posts":
            return 2 * len({x for x in range(n["length"] + 1) if x % n["spacing"] == 0})
        case "progression-sum":
            return sum(x for x in range(n["first"], n["last"] + 1) if (x - n["first"]) % n["step"] == 0)
        case "border-area":
            return (n["length"] + 2 * n["strip"]) * (n["width"] + 2 * n["strip"]) - n["length"] * n["width"]
        case "two-rates":
            done = [n["first"] * t + n["second"] * max(0, t - n["alone"]) for t in range(200)]
            return done.index(n["total"])
        case "two-remainders":
            both = [x for x in range(n["low"] + 1, 999) if (x % n["a"], x % n["b"]) == (n["r"], n["s"])]
            return both[0]
        case "lowest-terms":
            top, bottom = math.comb(n["good"], 2), math.comb(n["good"] + n["other"], 2)
            return (top + bottom) // math.gcd(top, bottom)
        case _:
            return math.comb(n["red"] + n["green"] + n["blue"], n["red"]) * math.comb(
                n["green"] + n["blue"], n["green"]
            )


@pytest.mark.parametrize("problem", PROBLEMS, ids=[problem["id"] for problem in PROBLEMS])
def test_answers_are_right(problem: dict[str, Any]) -> None:
    assert count(problem) == problem["answer"]


# --- on the real data -------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.shared_data
def test_oracle_and_doing_nothing_on_dapo(shared: Path, tmp_path: Path) -> None:
    log = run(tmp_path, oracle())

    assert (scored(log), len(log.samples or [])) == (1.0, 100)
    assert scored(run(tmp_path, zero())) == pytest.approx(0.03)


@pytest.mark.slow
@pytest.mark.shared_data
def test_oracle_and_doing_nothing_on_aime(shared: Path, tmp_path: Path) -> None:
    log = run(tmp_path, oracle(), dataset="aime-2026")

    assert (scored(log), len(log.samples or [])) == (1.0, 240)
    assert scored(run(tmp_path, zero(), dataset="aime", epochs=1)) == 0.0


@pytest.mark.shared_data
def test_the_dapo_splits_are_clean(shared: Path) -> None:
    evolve, test = load_dataset("dapo", "evolve"), load_dataset("dapo", "test")
    ids = [str(sample.id) for sample in [*evolve, *test]]
    texts = [words(str(sample.input)) for sample in [*evolve, *test]]
    aime = [words(str(sample.input)) for sample in load_dataset("aime", "all")]

    assert (len(evolve), len(test), len(set(ids)), len(set(texts))) == (400, 100, 500, 500)
    assert {str(sample.id) for sample in load_dataset("dapo", "all")} == set(ids)
    assert "dapo-00728" not in ids
    assert not any(fuzz.ratio(one, other, score_cutoff=90) for one in texts for other in aime)


@pytest.mark.shared_data
def test_aime_is_for_evaluation_only(shared: Path) -> None:
    with pytest.raises(DataError, match="AIME is for evaluation only"):
        load_dataset("aime-2025", "evolve")
    assert [len(load_dataset(name, "test")) for name in ("aime-2024", "aime-2025", "aime")] == [30, 30, 90]


def record(name: str, problem: str, answer: str = "1") -> dict[str, Any]:
    return {"id": name, "problem": problem, "answer": answer}


def test_the_rule_of_the_split() -> None:
    shared_with_aime = "Patrick walks from school to the park at two miles per hour and arrives at noon."
    records = [
        record("kept", "Find $x$ if $x+1=2$."),
        record("repeated", "find x, if x + 1 = 2"),
        record("contradicted", "How many primes are below 10?", "4"),
        record("contradicting", "How many primes are below $10$?", "5"),
        record("picture", "See https://example.org/a.png and count."),
        record("mangled", "Write it as \x0crac{m}{n}."),
        record("aime", shared_with_aime + " How far is it?"),
    ]

    assert [r["id"] for r in clean(records, [record("2026-I-1", shared_with_aime + " Find the distance.")])] == ["kept"]
    assert runs("a b c") == set()


# --- bad input --------------------------------------------------------------------------------------------------------


def test_missing_data_says_how_to_supply_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))

    with pytest.raises(DataError, match=r"dataset's folder aime .*TRACE2SKILL_DATA.*dataset=FOLDER.*problems\.jsonl"):
        math_reasoning(dataset="aime-2026")
    with pytest.raises(
        DataError, match=r"has no problems\.jsonl\. .*must hold a file problems\.jsonl with a JSON object"
    ):
        math_reasoning(dataset=str(tmp_path))


def test_another_dapo_file_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    (tmp_path / "dapo-math").mkdir()
    (tmp_path / "dapo-math" / "dapo_math_17k.parquet").write_bytes(b"half a download")

    with pytest.raises(DataError, match="is not the file that the split was made from"):
        math_reasoning()


def test_a_folder_of_problems_is_a_dataset(tmp_path: Path) -> None:
    lines = [json.dumps(record(f"p{n}", "What\u2028is it?", str(n))) for n in range(4)]
    (tmp_path / "problems.jsonl").write_text("\n".join(lines), encoding="utf-8")

    assert [sample.id for sample in load_dataset(str(tmp_path), "test")] == ["p2", "p3"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"id": 1, "problem": "x"}', "line 2: no answer"),
        ("[1]", "line 2: it is no JSON object"),
        ("not json", "line 2 cannot be read: it is not JSON"),
        ("7", "line 2: it is no JSON object"),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "problems.jsonl"
    path.write_text(json.dumps(record("a", "b")) + "\n" + line + "\n", encoding="utf-8")

    with pytest.raises(DataError, match=message):
        read_lines(path)


def test_arguments_that_do_not_fit_are_refused() -> None:
    with pytest.raises(SkillError, match="skill_mode=tool needs a sandbox"):
        math_reasoning(dataset="sample", skill="skills/math-basic", skill_mode="tool")
    with pytest.raises(DataError, match="tools is none or python"):
        math_reasoning(dataset="sample", tools="bash")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="'dev' is not in"):
        math_reasoning(dataset="sample", split="dev")  # type: ignore[arg-type]


def test_the_card_has_the_checksum_that_the_loader_wants() -> None:
    card = yaml.safe_load((bundled("tasks/dapo-math") / "card.yaml").read_text(encoding="utf-8"))

    assert card["files"] == {"dapo_math_17k.parquet": DAPO_SHA256}
