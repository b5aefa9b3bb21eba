"""Comparisons of small logs that Inspect itself writes: each sample carries the outcome of each of its runs."""

import gc
import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from inspect_ai import Task, eval
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.log import EvalLog, ProvenanceData, read_eval_log, write_eval_log
from inspect_ai.scorer import Score, Scorer, Target, mean, scorer
from inspect_ai.solver import Generate, Solver, TaskState, solver
from pydantic import ValidationError

from trace2skill.comparison.pairing import compare, compare_table
from trace2skill.comparison.results import Comparison, ComparisonTable, MissingSample
from trace2skill.comparison.tables import render
from trace2skill.errors import LogError

SHARED = Path(__file__).parents[3] / "../shared/data/inspect-logs"

Outcome = Any
"""A score, "error" for a run that fails, None for one that the scorer cannot judge."""


@solver
def replay() -> Solver:
    async def solve(state: TaskState, generate: Generate) -> TaskState:
        if state.metadata["outcomes"][state.epoch - 1] == "error":
            raise RuntimeError("the server went away")
        return state

    return solve


@scorer(metrics=[mean()])
def graded() -> Scorer:
    async def score(state: TaskState, target: Target) -> Score:
        value = state.metadata["outcomes"][state.epoch - 1]
        return Score.unscored() if value is None else Score(value=value)

    return score


@scorer(metrics=[mean()])
def length() -> Scorer:
    async def score(state: TaskState, target: Target) -> Score:
        return Score(value=len(state.input_text))

    return score


def run(
    folder: Path,
    outcomes: Mapping[str, Sequence[Outcome] | Outcome],
    *,
    task: str = "quiz",
    question: str = "What is",
    scorers: Sequence[Scorer] | None = None,
    edit: Callable[[EvalLog], None] | None = None,
) -> Path:
    """Evaluate samples with given outcomes, one for each epoch, and return the log's path."""
    runs = {name: value if isinstance(value, list) else [value] for name, value in outcomes.items()}
    samples = [
        Sample(
            id=name,
            input=f"{question} {name}?",
            target=f"the {name} of {question}",
            metadata={"outcomes": value, "table": name[0]},
        )
        for name, value in runs.items()
    ]
    quiz = Task(
        MemoryDataset(samples, name=f"{task}-data"),
        solver=replay(),
        scorer=list(scorers or [graded()]),
        name=task,
    )
    epochs = max(map(len, runs.values()))
    with warnings.catch_warnings():
        # Inspect leaves a memory stream of each sample unclosed; collect them before pytest counts them.
        warnings.simplefilter("ignore", ResourceWarning)
        [log] = eval(
            quiz, model="mockllm/model", epochs=epochs, fail_on_error=False, log_dir=str(folder), display="none"
        )
        gc.collect()
    path = Path(log.location)
    if edit is not None:
        stored = read_eval_log(path)
        edit(stored)
        write_eval_log(stored, path)
    return path


CONTROL = {"a1": "C", "a2": "I", "a3": "I", "b1": "I", "b2": "C", "b3": "I", "c1": "I", "c2": "C"}
TREATMENT = {"a1": "C", "a2": "C", "a3": "C", "b1": "C", "b2": "I", "b3": "C", "c1": "C", "c2": "C"}


class TestCompare:
    def test_pairs_by_sample_id(self, tmp_path: Path) -> None:
        control = run(tmp_path / "control", CONTROL)
        treatment = run(tmp_path / "treatment", dict(reversed(TREATMENT.items())))
        comparison = compare(control, tmp_path / "treatment")
        result = comparison.result
        assert (result.n, result.wins, result.losses, result.ties) == (8, 5, 1, 2)
        assert (result.control_mean, result.treatment_mean, result.difference) == (0.375, 0.875, 0.5)
        assert result.p_value == pytest.approx(0.125)
        assert comparison.scorer == "graded"
        assert comparison.tasks == ("quiz (version 0)",)
        assert [log.file for log in comparison.treatment.logs] == [str(treatment)]
        assert (comparison.worst, comparison.best) == (0.5, 0.5)
        assert not comparison.simulated

    def test_a_log_does_not_differ_from_itself(self, tmp_path: Path) -> None:
        log = run(tmp_path, CONTROL)
        comparison = compare(log, log, allow_same_logs=True)
        assert (comparison.result.difference, comparison.result.p_value) == (0.0, 1.0)
        assert comparison.settings == ()

    def test_epochs_and_logs_are_averaged_per_sample(self, tmp_path: Path) -> None:
        run(tmp_path / "control", {"a": [1, 0], "b": [0, 0]})
        run(tmp_path / "control", {"a": [1, 1], "b": [0, 0]})
        run(tmp_path / "treatment", {"a": [1], "b": [0.5]})
        comparison = compare(tmp_path / "control", tmp_path / "treatment")
        assert [(pair.id, pair.control, pair.treatment) for pair in comparison.pairs] == [
            ("a", 0.75, 1.0),
            ("b", 0.0, 0.5),
        ]
        assert (comparison.control.runs, comparison.control.runs_scored) == (8, 8)
        assert len(comparison.control.logs) == 2

    def test_missing_runs_are_listed_and_never_scored(self, tmp_path: Path) -> None:
        control = run(tmp_path / "control", {"a": [1, "error"], "b": [0, 0], "c": [1, 1], "d": [0, 0]})
        treatment = run(tmp_path / "treatment", {"a": 1, "b": 1, "c": "error", "e": None})
        comparison = compare(control, treatment)
        assert [pair.id for pair in comparison.pairs] == ["a", "b"]
        assert comparison.result.difference == 0.5
        assert comparison.control.missing == (
            MissingSample(id="a", scored=1, missing={"error": 1}),
            MissingSample(id="e", scored=0, missing={"not in its logs": 2}),
        )
        assert comparison.treatment.missing == (
            MissingSample(id="c", scored=0, missing={"error": 1}),
            MissingSample(id="d", scored=0, missing={"not in its logs": 1}),
            MissingSample(id="e", scored=0, missing={"unscored": 1}),
        )
        assert (comparison.control.samples, comparison.control.scored) == (5, 4)
        assert (comparison.control.runs, comparison.control.runs_scored) == (10, 7)
        # Control a, b, c, d, e: at most 1, 0, 1, 0, 1 and at least 0.5, 0, 1, 0, 0; treatment c, d, e: 0 or 1.
        assert comparison.worst == pytest.approx((2 - 3) / 5)
        assert comparison.best == pytest.approx((5 - 1.5) / 5)
        shown = render(comparison)
        assert "tested on 2 samples scored in both arms" in shown
        assert "between -0.200 and +0.700" in shown
        assert "control: missing runs: 2 not in its logs, 1 error; samples a, e." in shown

    def test_invalidated_samples_are_missing(self, tmp_path: Path) -> None:
        def invalidate(log: EvalLog) -> None:
            assert log.samples is not None
            log.samples[0].invalidation = ProvenanceData(author="reviewer", reason="wrong file")
            log.invalidated = True

        control = run(tmp_path / "control", {"a": 1, "b": 0}, edit=invalidate)
        treatment = run(tmp_path / "treatment", {"a": 1, "b": 1})
        assert compare(control, treatment).control.missing == (
            MissingSample(id="a", scored=0, missing={"invalidated": 1}),
        )

    def test_scores_outside_0_to_1_have_no_bounds(self, tmp_path: Path) -> None:
        control = run(tmp_path / "control", {"a": 5, "b": 7, "c": "error"})
        treatment = run(tmp_path / "treatment", {"a": 6, "b": 9, "c": 4})
        comparison = compare(control, treatment)
        assert comparison.result.difference == 1.5
        assert comparison.worst != comparison.worst
        assert "between n/a and n/a" in render(comparison)

    def test_newest_attempt_at_an_evaluation_counts(self, tmp_path: Path) -> None:
        old = run(tmp_path / "treatment", {"a": "error", "b": 1})

        def retry(log: EvalLog) -> None:
            log.eval.task_id = read_eval_log(old, header_only=True).eval.task_id

        new = run(tmp_path / "treatment", {"a": 0, "b": 1}, edit=retry)
        control = run(tmp_path / "control", {"a": 1, "b": 1})
        comparison = compare(control, tmp_path / "treatment")
        assert [log.file for log in comparison.treatment.logs] == [str(new)]
        assert comparison.treatment.superseded == (str(old),)
        assert comparison.treatment.missing == ()
        assert "left out as older attempts" in render(comparison)

    def test_clusters_come_from_sample_metadata(self, tmp_path: Path) -> None:
        control, treatment = run(tmp_path / "control", CONTROL), run(tmp_path / "treatment", TREATMENT)
        comparison = compare(control, treatment, cluster="table")
        assert (comparison.result.n, comparison.result.units) == (8, 3)
        assert [pair.cluster for pair in comparison.pairs] == [pair.id[0] for pair in comparison.pairs]
        assert "in 3 clusters by table" in render(comparison)
        with pytest.raises(LogError, match=r"no metadata field 'tabel'.*outcomes, table"):
            compare(control, treatment, cluster="tabel")

    def test_a_scorer_of_several_must_be_named(self, tmp_path: Path) -> None:
        log = run(tmp_path, {"a": 1, "b": 0}, scorers=[graded(), length()])
        with pytest.raises(LogError, match=r"several scorers; name one with --scorer: graded, length"):
            compare(log, log, allow_same_logs=True)
        with pytest.raises(LogError, match=r"no scorer 'size'. Its scorers are: graded, length"):
            compare(log, log, allow_same_logs=True, scorer="size")
        assert compare(log, log, allow_same_logs=True, scorer="length").result.control_mean == 10.0

    def test_a_value_of_several_must_be_named(self, tmp_path: Path) -> None:
        log = run(tmp_path, {"a": {"soft": 0.5, "hard": "I"}, "b": {"soft": 1.0, "hard": "C"}})
        with pytest.raises(LogError, match=r"several values; choose one with --key: soft, hard"):
            compare(log, log, allow_same_logs=True)
        assert compare(log, log, allow_same_logs=True, key="soft").result.control_mean == 0.75
        assert compare(log, log, allow_same_logs=True, key="hard").result.control_mean == 0.5

    def test_text_that_is_no_number_is_refused(self, tmp_path: Path) -> None:
        log = run(tmp_path, {"a": "yes", "b": "0.5", "c": "splendid"})
        with pytest.raises(LogError, match=r"sample c: scorer 'graded' gave 'splendid'"):
            compare(log, log, allow_same_logs=True)

    def test_differing_settings_are_shown(self, tmp_path: Path) -> None:
        def with_skill(log: EvalLog) -> None:
            log.eval.task_args = {"skill": "skills/xlsx", "split": "test"}

        def without(log: EvalLog) -> None:
            log.eval.task_args = {"skill": None, "split": "test"}

        control = run(tmp_path / "control", CONTROL, edit=without)
        treatment = run(tmp_path / "treatment", TREATMENT, edit=with_skill)
        comparison = compare(control, treatment)
        assert [(s.name, s.control, s.treatment) for s in comparison.settings] == [
            ("task.skill", ("None",), ("skills/xlsx",))
        ]
        assert (comparison.control.skills, comparison.treatment.skills) == ((), ("skills/xlsx",))
        assert "differs from control in task.skill (None -> skills/xlsx)" in render(comparison)

    def test_stand_in_models_are_stamped(self, tmp_path: Path) -> None:
        def simulate(log: EvalLog) -> None:
            log.eval.model = "sim/small"

        control, treatment = run(tmp_path / "control", CONTROL), run(tmp_path / "t", TREATMENT, edit=simulate)
        comparison = compare(control, treatment)
        assert comparison.simulated
        assert render(comparison).startswith("SIMULATED")
        assert "SIMULATED" not in render(compare(control, control, allow_same_logs=True))

    def test_is_saved_as_json(self, tmp_path: Path) -> None:
        log = run(tmp_path, CONTROL)
        saved = compare(log, log, allow_same_logs=True).model_dump_json()
        assert json.loads(saved)["tipping_point"] == "NaN"
        assert Comparison.model_validate_json(saved).model_dump_json() == saved
        for place in ("result", "control"):
            damaged = json.loads(saved)
            damaged[place]["surprise"] = 1
            with pytest.raises(ValidationError, match="surprise"):
                Comparison.model_validate(damaged)


class TestRefusals:
    def test_missing_path(self, tmp_path: Path) -> None:
        with pytest.raises(LogError, match="no such log"):
            compare(tmp_path / "a.eval", tmp_path / "b.eval")

    def test_folder_without_logs(self, tmp_path: Path) -> None:
        with pytest.raises(LogError, match="no Inspect logs"):
            compare(tmp_path, tmp_path)

    @pytest.mark.parametrize("content", [b"", b"not a log", b"PK\x05\x06" + bytes(18)])
    def test_damaged_log(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "damaged.eval").write_bytes(content)
        with pytest.raises(LogError, match="cannot be read"):
            compare(tmp_path / "damaged.eval", tmp_path / "damaged.eval")

    def test_log_without_scores(self, tmp_path: Path) -> None:
        log = run(tmp_path, {"a": "error", "b": "error"})
        with pytest.raises(LogError, match=r"Arm 'control': no sample has a score .*2 samples"):
            compare(log, log, allow_same_logs=True)

    def test_no_common_sample(self, tmp_path: Path) -> None:
        control, treatment = run(tmp_path / "a", {"a": 1, "b": 0}), run(tmp_path / "b", {"c": 1})
        with pytest.raises(LogError, match="'control' has 2 scored samples, 'treatment' has 1"):
            compare(control, treatment)

    def test_different_tasks(self, tmp_path: Path) -> None:
        control, treatment = run(tmp_path / "a", CONTROL), run(tmp_path / "b", CONTROL, task="exam")
        with pytest.raises(LogError, match=r"one task, but are of: exam \(version 0\), quiz \(version 0\)"):
            compare(control, treatment)
        comparison = compare(control, treatment, allow_different_tasks=True)
        assert comparison.tasks == ("exam (version 0)", "quiz (version 0)")

    def test_different_samples_of_the_same_id(self, tmp_path: Path) -> None:
        control = run(tmp_path / "a", CONTROL)
        treatment = run(tmp_path / "b", CONTROL, question="Who is")
        with pytest.raises(LogError, match="Sample a1 differs in input and target"):
            compare(control, treatment, allow_different_tasks=True)

    def test_equal_names(self, tmp_path: Path) -> None:
        with pytest.raises(LogError, match="two names"):
            compare(tmp_path, tmp_path, names=("one", "one"))


class TestCompareTable:
    def test_arms_against_a_baseline(self, tmp_path: Path) -> None:
        arms = {
            "no skill": run(tmp_path / "none", CONTROL),
            "xlsx-basic": run(tmp_path / "basic", CONTROL | {"a2": "C"}),
            "evolved": run(tmp_path / "evolved", dict.fromkeys(CONTROL, "C")),
        }
        table = compare_table(arms, "no skill")
        assert [comparison.treatment.name for comparison in table.comparisons] == ["xlsx-basic", "evolved"]
        assert [c.result.p_value for c in table.comparisons] == pytest.approx([0.5, 0.03125])
        assert table.adjusted == pytest.approx((0.5, 0.0625))
        shown = render(table)
        assert [line.split("  ")[0].strip() for line in shown.splitlines() if "/8" in line] == list(arms)
        assert "Differences are from no skill." in shown
        assert "0.062" in shown
        assert "5/0/3" in shown
        saved = table.model_dump_json()
        assert ComparisonTable.model_validate_json(saved).model_dump_json() == saved

    def test_fits_a_narrow_terminal(self, tmp_path: Path) -> None:
        log = run(tmp_path, CONTROL)
        table = compare_table({"no skill": log, "xlsx-basic": log}, "no skill", allow_same_logs=True)
        [comparison] = table.comparisons
        wide = replace(comparison.result, p_value=1e-9, wins=1171, losses=131, ties=3105, mde=0.135)
        widest = table.model_copy(update={"comparisons": (comparison.model_copy(update={"result": wide}),)})
        rows = render(widest, 80).splitlines()
        assert max(map(len, rows)) <= 80
        assert not any("…" in row for row in rows)

    def test_shows_what_is_undefined_and_names_as_they_are(self, tmp_path: Path) -> None:
        log = run(tmp_path / "a log", {"a": 7, "b": 7})
        arms: dict[str, Path] = {"[bold]plain": log, "other": tmp_path / "a log"}
        shown = render(compare_table(arms, "[bold]plain", allow_same_logs=True))
        assert "[bold]plain" in shown
        assert shown.count("[n/a]") == 4

    def test_needs_its_baseline(self, tmp_path: Path) -> None:
        with pytest.raises(LogError, match="A baseline and another arm are required"):
            compare_table({"one": tmp_path, "two": tmp_path}, "three")


@pytest.mark.shared_data
class TestForeignLogs:
    @pytest.fixture
    def index(self) -> list[dict[str, Any]]:
        path = SHARED / "INDEX.json"
        if not path.exists():
            pytest.skip(f"{path} is absent")
        rows: list[dict[str, Any]] = json.loads(path.read_text())
        return rows

    def test_each_log_equals_itself_or_is_refused(self, index: list[dict[str, Any]]) -> None:
        for row in index:
            log = SHARED / row["path"]
            if not row["scorers"]:
                with pytest.raises(LogError, match="no sample has a score"):
                    compare(log, log, allow_same_logs=True)
                continue
            for name in row["scorers"]:
                comparison = compare(log, log, allow_same_logs=True, scorer=name)
                assert (comparison.result.difference, comparison.result.p_value) == (0.0, 1.0)
                assert comparison.control.runs_scored == row["n"]
                assert render(comparison)
