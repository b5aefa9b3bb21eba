import csv
from collections import Counter
from pathlib import Path

import pytest

from tests.trace2skill.study.tiny import CONTENT, load
from trace2skill.errors import StudyError
from trace2skill.study import Study

ROOT = Path(__file__).parents[3]
PUBLISHED = ROOT.parent / "shared" / "published" / "trace2skill_v3.csv"


def kinds(study: Study) -> Counter[str]:
    return Counter(cell.kind for cell in study.cells.values())


def test_the_quickstart_has_five_cells() -> None:
    study = Study.load(ROOT / "results" / "quickstart")

    assert kinds(study) == {"rollout": 1, "evolve": 1, "evaluate": 3}
    assert study.simulated
    assert [row.key for row in study.evaluations()] == [
        "spreadsheet-sample/small/-/no-skill/-/-",
        "spreadsheet-sample/small/-/human-written/-/-",
        "spreadsheet-sample@evolve/small/-/human-written/-/-",
        "spreadsheet-sample/small/deepening/combined/small/42",
    ]


def test_a_cell_stands_behind_what_it_needs() -> None:
    study = Study.load(ROOT / "results" / "paper")
    seen: set[str] = set()
    for digest, cell in study.cells.items():
        assert {needed.digest for needed in cell.needs.values()} <= seen
        seen.add(digest)


def test_a_seed_or_a_model_more_leaves_the_cells_that_are_there(tmp_path: Path) -> None:
    before = load(tmp_path / "a").cells.keys()
    seed = load(tmp_path / "b", seeds=[41, 42]).cells.keys()
    model = load(tmp_path / "c", models={"small": {"model": "sim/small"}, "large": {"model": "sim/large"}}).cells.keys()

    assert before < seed
    assert before < model


def test_where_a_model_is_served_defines_nothing_but_its_name_does(tmp_path: Path) -> None:
    before = load(tmp_path / "a").cells.keys()
    moved = {"small": {"model": "sim/small", "base_url": "http://127.0.0.1:1/v1", "at_once": 1, "gpus": 8}}

    assert load(tmp_path / "b", models=moved).cells.keys() == before
    assert not load(tmp_path / "c", models={"small": {"model": "sim/large"}}).cells.keys() & before
    assert not load(tmp_path / "d", generation={"temperature": 0.1}).cells.keys() & before


def test_conditions_share_analyses_and_rollouts(tmp_path: Path) -> None:
    arms = [{"domain": "math", "conditions": ["combined", "error", "sequential-4", "awm"], "modes": ["deepening"]}]
    study = load(tmp_path, arms=arms, primary=[])
    evolved = {cell.slug: cell for cell in study.cells.values() if cell.kind == "evolve"}

    assert kinds(study) == {"rollout": 1, "evolve": 4, "evaluate": 4}
    combined = evolved["math-small-deep-combined-41"].digest
    assert evolved["math-small-deep-error-41"].needs["reuse"].digest == combined
    assert evolved["math-small-deep-sequential-4-41"].needs["reuse"].digest == combined
    assert evolved["math-small-deep-awm-41"].needs.keys() == {"rollout"}


def test_the_best_of_several_seeds_is_chosen_before_the_test_split(tmp_path: Path) -> None:
    study = load(tmp_path, seeds=[41, 42], selection="best")
    tested = {row.condition: row.cell for row in study.expansion.rows.values() if row.split == "test"}
    (select,) = (cell for cell in study.cells.values() if cell.kind == "select")

    assert tested["combined"].needs["source"].digest == select.digest
    assert select.needs.keys() == {"seed-41", "seed-42", "played-41", "played-42"}
    assert not any(cell.test for cell in select.needs.values())
    assert {row.seed for row in study.evaluations() if row.condition == "combined" and row.split == "evolve"} == {
        41,
        42,
    }


def test_controls_and_equal_tokens_are_made_of_a_condition(tmp_path: Path) -> None:
    arms = [
        *CONTENT["arms"],
        {"domain": "math", "conditions": ["lexical", "equal-tokens"], "of": "combined", "modes": ["deepening"]},
    ]
    study = load(tmp_path, arms=arms)
    tested = {row.condition: row.cell for row in study.expansion.rows.values() if row.split == "test"}

    assert tested["lexical"].needs["source"].needs.keys() == {"evolved", "rollout"}
    assert tested["equal-tokens"].needs["source"].digest == tested["combined"].digest
    assert tested["equal-tokens"].definition["argument"] == "match_tokens"


def test_arms_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    evolved = {"domain": "math", "conditions": ["combined", "error"], "modes": ["deepening"]}
    controls = [
        {"domain": "math", "conditions": ["length-matched"], "of": of, "modes": ["deepening"]}
        for of in ("combined", "error")
    ]

    with pytest.raises(StudyError, match="different evaluations the name problems/small/deepening/length-matched"):
        load(tmp_path, arms=[evolved, *controls], primary=[]).expansion  # noqa: B018


def test_a_primary_comparison_needs_its_evaluations(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="needs small with combined by None \\(deepening\\)"):
        load(tmp_path, primary=[{**CONTENT["primary"][0], "author": None}]).expansion  # noqa: B018


@pytest.mark.shared_data
@pytest.mark.skipif(not PUBLISHED.exists(), reason="the published tables are not part of the repository")
@pytest.mark.parametrize("scale", [None, "smoke"])
def test_the_paper_study_has_every_published_cell(scale: str | None) -> None:
    rows = Study.load(ROOT / "results" / "paper", scale).evaluations()
    seeds = {None: 3, "smoke": 1}[scale]
    ours = Counter(
        (
            row.benchmark,
            metric,
            row.user,
            "" if row.condition == "parametric" else row.author or "",
            row.mode or "",
            row.condition,
        )
        for row in rows
        if row.split == "test"
        for metric in row.metrics
    )
    with PUBLISHED.open() as file:
        published = {
            (row["benchmark"], row["metric"], row["skill_user"], row["skill_author"], row["mode"], _condition(row))
            for row in csv.DictReader(file)
            if row["benchmark"] not in ("all", "evolution")
        }

    assert {cell: ours[cell] for cell in published if ours[cell] != seeds} == {}


def _condition(row: dict[str, str]) -> str:
    """Table 4 calls its condition by the method; it is that of Table 1 with these numbers."""
    return "error" if row["condition"] == "parallel" else row["condition"]


def test_runs_of_a_sample_do_not_share_a_seed(tmp_path: Path) -> None:
    benchmark = CONTENT["benchmarks"]["problems"]
    once = load(tmp_path / "once")
    twice = load(tmp_path / "twice", benchmarks={"problems": {**benchmark, "epochs": 2}})
    assert {cell.definition["generation"].get("seed") for cell in once.cells.values() if cell.kind == "evaluate"} == {
        41
    }
    assert not any("seed" in cell.definition.get("generation", {}) for cell in twice.cells.values())


def test_a_comparison_of_what_nobody_evolves_names_no_author(tmp_path: Path) -> None:
    primary = [{**CONTENT["primary"][0], "condition": "human-written", "against": "no-skill"}]
    with pytest.raises(StudyError, match="leave out author and mode"):
        len(load(tmp_path, primary=primary).cells)
