"""One ledger for all arms: read from the records that the methods wrote, whatever they are called."""

import json
import shutil
from pathlib import Path

import pytest

from tests.trace2skill.comparison.test_pairing import run as play
from tests.trace2skill.evolution.test_folder import RECORD, write
from tests.trace2skill.memory.banks import make_bank
from tests.trace2skill.toy import edit, scripted, structured, write_skill
from trace2skill.baselines.arena import making, with_methods
from trace2skill.baselines.controls import lexical_control, make_control
from trace2skill.comparison.pairing import compare_table
from trace2skill.comparison.results import Arm, ComparisonTable, Making
from trace2skill.comparison.tables import render
from trace2skill.evolution import EvolveConfig, evolve
from trace2skill.evolution.candidates import SELECTION, Candidate, Selection
from trace2skill.evolution.folder import MANIFEST, Manifest
from trace2skill.evolution.stages import StageUsage
from trace2skill.files import read_model
from trace2skill.skill.folder import find_skill_folder


def arm(name: str = "a", **given: tuple[str, ...]) -> Arm:
    nothing = {"samples": 0, "scored": 0, "runs": 0, "runs_scored": 0, "mean": 0.0, "low": 0.0, "high": 0.0}
    return Arm.model_validate(
        {"name": name, "logs": (), "superseded": (), "models": (), "skills": (), "missing": (), **nothing, **given}
    )


def skilled(path: Path, name: str = "a") -> Making:
    return making(arm(name, skills=(str(path),)))


HABITS = ("Open the file once.", "Sum with integers.", "Mind a blank row.", "Print nothing else.")
"""Edits that only a model can merge."""


@pytest.fixture(scope="module")
def evolved(adding_logs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evolved")
    config = EvolveConfig(model="mockllm/model", merge_batch=2, min_support=1)
    left = iter(HABITS)
    model = scripted(patch=lambda _: structured({"edits": [edit(f"- {next(left)}")]}))
    evolve([adding_logs], write_skill(folder), folder / "run", config, model=model, display="none")
    return folder / "run"


def test_an_arm_without_anything_and_a_skill_without_records() -> None:
    assert making(arm()) == Making(arm="a", method="no-skill", sees="the task")
    by_hand = skilled(Path("skills/xlsx"))
    assert (by_hand.method, by_hand.artefact, by_hand.calls, by_hand.trajectories) == (
        "skill by hand",
        "skills/xlsx",
        None,
        None,
    )


def test_a_run_is_counted_from_its_manifest(evolved: Path) -> None:
    manifest = read_model(evolved / MANIFEST, Manifest)
    row = skilled(evolved)

    assert row.method == "parallel"
    assert row.sees == "successes and failures"
    assert row.author == ("mockllm/model",)
    assert row.trajectories == 4
    assert row.calls == sum(stage.calls for stage in manifest.stages) > 8
    assert row.input_tokens == sum(stage.input_tokens for stage in manifest.stages)
    assert row.output_tokens == sum(stage.output_tokens for stage in manifest.stages)
    # Analyses side by side, then two merges of two patches side by side, then the merge of both.
    assert [stage.rounds for stage in manifest.stages] == [1, 1, 2]
    assert row.rounds == 3
    assert row.artefact == str(evolved)


def test_the_skill_in_a_run_is_the_runs_and_a_copy_elsewhere_is_not(evolved: Path, tmp_path: Path) -> None:
    inside, copy = skilled(evolved / "adding"), tmp_path / "adding"
    shutil.copytree(evolved / "adding", copy)

    assert inside.calls == skilled(evolved).calls
    assert skilled(copy).method == "skill by hand"


def test_what_is_gone_or_cannot_be_read_is_said(evolved: Path, tmp_path: Path) -> None:
    gone = skilled(tmp_path / "gone")
    assert (gone.method, gone.artefact) == ("unknown", f"{tmp_path / 'gone'} (not found)")

    broken = tmp_path / "run"
    shutil.copytree(evolved, broken)
    (broken / MANIFEST).write_text('{"schema_version": 9}')
    row = skilled(broken)
    assert row.method == "unknown"
    assert "manifest.json cannot be read" in row.notes[0]


def test_a_manifest_from_before_rounds_were_counted_has_none(evolved: Path, tmp_path: Path) -> None:
    shutil.copytree(evolved, tmp_path / "run")
    manifest = json.loads((evolved / MANIFEST).read_text())
    for stage in manifest["stages"]:
        del stage["rounds"]
    (tmp_path / "run" / MANIFEST).write_text(json.dumps(manifest))

    row = skilled(tmp_path / "run")
    assert row.rounds is None
    assert row.calls == skilled(evolved).calls


def test_a_model_that_was_named_and_never_asked_is_no_author(evolved: Path, tmp_path: Path) -> None:
    shutil.copytree(evolved, tmp_path / "run")
    manifest = json.loads((evolved / MANIFEST).read_text())
    assert {name for stage in manifest["stages"] for name in stage["models"]} == {"mockllm/model"}
    manifest["record"]["models"]["merger"] = "mockllm/idle"
    (tmp_path / "run" / MANIFEST).write_text(json.dumps(manifest))
    assert skilled(tmp_path / "run").author == ("mockllm/model",)

    for stage in manifest["stages"]:
        del stage["models"]
    (tmp_path / "run" / MANIFEST).write_text(json.dumps(manifest))
    assert skilled(tmp_path / "run").author == ("mockllm/idle", "mockllm/model")


def test_attempts_that_broke_are_said_and_their_last_answered_calls_counted(tmp_path: Path) -> None:
    manifest = write(tmp_path / "run", RECORD)
    stages = (stage("one", "analysis", 1, 5).model_copy(update={"broken_attempts": 2}),)
    (tmp_path / "run" / MANIFEST).write_text(manifest.model_copy(update={"stages": stages}).model_dump_json())

    assert skilled(tmp_path / "run").notes == (
        "2 attempts broke and were tried again: their tokens are counted, of their calls the last at most",
    )


@pytest.mark.parametrize("kind", ["generic-checklist", "length-matched", "sections-shuffled"])
def test_a_control_is_named_and_costs_nothing(evolved: Path, tmp_path: Path, kind: str) -> None:
    make_control(kind, evolved, tmp_path / "out", seed=7)  # type: ignore[arg-type]
    row = skilled(tmp_path / "out" / "adding")

    assert row.method == f"control: {kind}" + (" (seed 7)" if kind == "sections-shuffled" else "")
    assert (row.calls, row.input_tokens, row.rounds) == (0, 0, 0)
    assert str(evolved) in row.notes[0]


def test_the_lexical_control_counts_the_analyses_that_it_uses_again(
    evolved: Path, adding_logs: Path, tmp_path: Path
) -> None:
    lexical_control(evolved, tmp_path / "out", [adding_logs], evolved.parent / "adding")
    row, before = skilled(tmp_path / "out"), read_model(evolved / MANIFEST, Manifest).stages

    assert row.method == "control: lexical"
    assert row.calls == sum(stage.calls for stage in before[:2])
    assert row.rounds == 1
    assert row.notes[0] == f"{row.calls} of its calls are another run's analyses, used again"


def stage(name: str, folder: str, rounds: int, seconds: float) -> StageUsage:
    return StageUsage(
        stage=name,
        log=f"logs/{folder}/{name}.eval",
        samples=3,
        calls=5,
        input_tokens=100,
        cached_tokens=None,
        output_tokens=10,
        started="",
        completed="",
        wall_seconds=seconds,
        critical_path_seconds=seconds,
        rounds=rounds,
    )


def test_tasks_side_by_side_count_once_and_stages_add_up(tmp_path: Path) -> None:
    manifest = write(tmp_path / "run", RECORD)
    stages = (stage("one", "analysis", 1, 5), stage("two", "analysis", 2, 3), stage("edits", "edits", 70, 60))
    changed = manifest.model_copy(update={"stages": stages})
    (tmp_path / "run" / MANIFEST).write_text(changed.model_dump_json())

    row = skilled(tmp_path / "run")
    assert (row.rounds, row.wall_seconds, row.calls, row.trajectories) == (72, 65, 15, 5)


@pytest.mark.parametrize(
    ("analysts", "sees", "trajectories"),
    [("error", "failures", 4), ("success", "successes", 1), ("error-llm", "failures", 4)],
)
def test_only_what_was_analysed_counts(tmp_path: Path, analysts: str, sees: str, trajectories: int) -> None:
    config = EvolveConfig.model_validate({"analysts": analysts, "merger": "lexical"})
    write(tmp_path / "run", RECORD.model_copy(update={"config": config}))

    row = skilled(tmp_path / "run")
    assert (row.method, row.sees, row.trajectories) == ("parallel, lexical merger", sees, trajectories)


@pytest.mark.parametrize("named", [".", "adding"])
def test_a_selection_counts_all_seeds(evolved: Path, tmp_path: Path, named: str) -> None:
    out = tmp_path / "out"
    seeds = [
        Candidate(name=f"seed-{n}", skill=f"seed-{n}/adding", digest="", successes=n, runs=2, missing=0) for n in (1, 2)
    ]
    for seed in seeds:
        shutil.copytree(evolved, out / seed.name)
    shutil.copytree(evolved / "adding", out / "adding")
    chosen = Selection(simulated="", initial=seeds[0], candidates=tuple(seeds), chosen="seed-2")
    (out / SELECTION).write_text(chosen.model_dump_json())

    row, one = skilled(out / named), skilled(evolved)
    assert (row.method, row.calls) == ("parallel", 2 * (one.calls or 0))
    assert "the best of 2 seeds" in " ".join(row.notes)
    assert find_skill_folder(out) == out / "adding"


def test_a_bank_that_was_copied_out_of_its_run_is_known_by_its_card(tmp_path: Path) -> None:
    folder = make_bank(tmp_path / "bank", agents=("mockllm/agent",), logs=(("a.eval", "123"),)).folder
    row = making(arm(memories=(str(folder),)))

    assert (row.method, row.author, row.agents, row.sources) == (
        "reasoning-bank", ("mockllm/model",), ("mockllm/agent",), ("123",),
    )  # fmt: skip
    assert row.notes == ("its run's manifest is not there: its card says that it holds 3 past tasks",)


@pytest.mark.parametrize("kind", ["run", "control", "selection"])
def test_what_was_edited_since_is_said(evolved: Path, tmp_path: Path, kind: str) -> None:
    out, named = tmp_path / "out", tmp_path / "out" / "adding"
    if kind == "control":
        make_control("generic-checklist", evolved, out)
    else:
        shutil.copytree(evolved, out if kind == "run" else out / "seed-1")
    if kind == "selection":
        shutil.copytree(evolved / "adding", named)
        seed = Candidate(name="seed-1", skill="seed-1/adding", digest="", successes=1, runs=1, missing=0)
        chosen = Selection(simulated="", initial=seed, candidates=(seed,), chosen="seed-1")
        (out / SELECTION).write_text(chosen.model_dump_json())
    assert not any("edited" in note for note in skilled(named).notes)

    with (named / "SKILL.md").open("a") as file:
        file.write("- One more.\n")
    assert skilled(named).notes[-1] == "it was edited since it was made: its digest is not that of its record"


def test_other_logs_of_as_many_trajectories_are_not_equal(tmp_path: Path) -> None:
    write(tmp_path / "one", RECORD)
    shutil.rmtree(tmp_path / "initial")
    other = {"inputs": (("a.eval", "f" * 64),), "agent_models": ("mockllm/other",)}
    write(tmp_path / "two", RECORD.model_copy(update=other))
    found = with_methods(table_of(tmp_path / "logs", first=tmp_path / "one", second=tmp_path / "two"))

    agents, logs = found.unequal
    assert agents.startswith("Models that played the trajectories are not equal: first ")
    assert agents.endswith("; second mockllm/other.")
    assert logs.startswith("The logs that they were made from are not the same: first ")
    assert logs.endswith("second 1 (ffffffff).")


@pytest.mark.parametrize(
    ("given", "told", "note"),
    [
        ("logs/skill", {}, "what the runs in logs/skill took on that sample"),
        ("2000", {"tokens_per_run": 500.0}, "2,000 tokens on each sample"),
        (
            "logs/skill",
            {"tokens_per_run": 387.0, "tokens_allowed": 786.0},
            "what the runs in logs/skill took on that sample; it spent 49% of that (387 of 786 tokens per run)",
        ),
    ],
)
def test_the_row_of_equal_tokens_says_what_was_spent(given: str, told: dict[str, float], note: str) -> None:
    row = making(arm(match_tokens=(given,)).model_copy(update=told))

    assert row.notes == (f"its agent might check its work until it had spent {note}",)


def test_equal_tokens_and_a_skill_with_a_memory_have_one_row() -> None:
    assert making(arm(match_tokens=("logs/skill",))).method == "equal tokens"
    assert making(arm(memories=("skills",))).method == "memory bank"
    both = making(arm(skills=("skills/xlsx",), memories=("nowhere",)))
    assert (both.method, both.artefact) == ("skill by hand + unknown", "skills/xlsx, nowhere (not found)")


def table_of(tmp_path: Path, **skills: Path) -> ComparisonTable:
    logs = {"none": play(tmp_path / "none", {"a": 1, "b": 0})}
    for name in skills:
        logs[name] = play(tmp_path / name, {"a": 1, "b": 1})
    table = compare_table(logs, "none")
    named = tuple(
        row.model_copy(
            update={"treatment": row.treatment.model_copy(update={"skills": (str(skills[row.treatment.name]),)})}
        )
        for row in table.comparisons
    )
    return table.model_copy(update={"comparisons": named})


def test_unequal_authors_and_numbers_are_said_below_the_table(tmp_path: Path) -> None:
    write(tmp_path / "one", RECORD)
    other = RECORD.model_copy(
        update={"models": {"model": "mockllm/other"}, "config": EvolveConfig(analysts="error", seed=1)}
    )
    shutil.rmtree(tmp_path / "initial")
    write(tmp_path / "two", other)
    for name in ("one", "two"):
        manifest = read_model(tmp_path / name / MANIFEST, Manifest)
        stages = (stage("analysis", "analysis", 1, 1),)
        changed = manifest.model_copy(update={"stages": stages}).model_dump_json()
        (tmp_path / name / MANIFEST).write_text(changed)
    found = with_methods(table_of(tmp_path / "logs", first=tmp_path / "one", second=tmp_path / "two"))

    assert [row.arm for row in found.methods] == ["none", "first", "second"]
    assert found.unequal == (
        "Author models are not equal: first mockllm/model; second mockllm/other.",
        "Numbers of trajectories are not equal: first 5; second 4.",
    )
    text = render(found)
    assert "Author models are not equal" in text
    assert f"second: {tmp_path / 'two'}" in text
    assert ComparisonTable.model_validate_json(found.model_dump_json()).methods == found.methods
    assert "Author models" not in render(with_methods(table_of(tmp_path / "again", first=tmp_path / "one")))
