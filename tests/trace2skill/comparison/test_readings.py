"""What a comparison refuses, or says before anyone believes it: training samples, failures, clusters, seeds, logs."""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from inspect_ai.log import EvalLog, read_eval_log, write_eval_log
from scipy import stats

from tests.trace2skill.comparison.test_pairing import run
from trace2skill.comparison import Comparison, compare, compare_table, render, verdict
from trace2skill.comparison.arms import SampleRuns
from trace2skill.comparison.contrast import contrast
from trace2skill.comparison.formats import number, p
from trace2skill.comparison.hygiene import are_siblings
from trace2skill.comparison.levels import two_level
from trace2skill.comparison.statistics import paired_test
from trace2skill.errors import LogError, SkillError
from trace2skill.skill.seen import Exposure, Seen, find_seen, join_exposures


def made(
    *, metadata: Mapping[str, Any] | None = None, model: str = "", **arguments: object
) -> Callable[[EvalLog], None]:
    """Changes a log to one of a task with these arguments."""

    def edit(log: EvalLog) -> None:
        log.eval.task_args = arguments
        log.eval.metadata = dict(metadata) if metadata else None
        log.eval.model = model or log.eval.model

    return edit


def scores(wins: int, losses: int, both: int, neither: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Outcomes of two arms by sample."""
    control = [0] * wins + [1] * losses + [1] * both + [0] * neither
    treatment = [1] * wins + [0] * losses + [1] * both + [0] * neither
    names = [f"s{number:02}" for number in range(len(control))]
    return dict(zip(names, control, strict=True)), dict(zip(names, treatment, strict=True))


def exposed(folder: Path, samples: list[str], **groups: tuple[str, ...]) -> Path:
    """A skill's run folder that says what it has seen."""
    folder.mkdir(parents=True)
    exposure = Exposure(task="quiz", dataset="quiz-data", split="evolve", samples=tuple(samples), groups=groups)
    (folder / "seen.json").write_text(Seen(exposures=(exposure,)).model_dump_json())
    return folder


class TestInSample:
    def test_samples_that_a_skill_has_seen_are_no_test(self, tmp_path: Path) -> None:
        a, b = scores(6, 0, 2, 2)
        skill = exposed(tmp_path / "evolution", [*a][:8])
        control = run(tmp_path / "a", a, edit=made(split="evolve", skill=None))
        treatment = run(tmp_path / "b", b, edit=made(split="evolve", skill=str(skill)))
        with pytest.raises(LogError, match=r"made from 8 of the 10 samples.*s00, s01, s02.*--allow-in-sample"):
            compare(control, treatment)
        found = compare(control, treatment, allow_in_sample=True)
        assert (found.in_sample, found.split) == (True, "evolve")
        assert found.seen[0].samples == tuple([*a][:8])
        shown = render(found)
        assert shown.startswith("IN-SAMPLE")
        assert "split evolve" in shown
        assert verdict(found).startswith("IN-SAMPLE, no test: ")

    def test_a_copy_without_its_record_is_not_taken_for_unseen(self, tmp_path: Path) -> None:
        a, b = scores(6, 0, 2, 2)
        copy = tmp_path / "copied" / "adding"
        copy.mkdir(parents=True)
        control = run(tmp_path / "a", a, edit=made(split="evolve", skill=None))
        treatment = run(tmp_path / "b", b, edit=made(split="evolve", skill=str(copy)))
        found = compare(control, treatment)
        assert found.unrecorded == (str(copy),)
        assert "no record says what" in render(found)
        assert not compare(control, run(tmp_path / "c", b, edit=made(split="test", skill=str(copy)))).unrecorded

    def test_a_question_on_a_page_that_was_seen_is_seen(self, tmp_path: Path) -> None:
        outcomes = {"a1": 1, "a2": 0, "b1": 1, "b2": 1}
        skill = exposed(tmp_path / "evolution", ["a9"], table=("a",))
        by_table = {"cluster": "table"}
        control = run(tmp_path / "a", outcomes, edit=made(metadata=by_table, split="test"))
        treatment = run(tmp_path / "b", outcomes, edit=made(metadata=by_table, split="test", skill=str(skill)))
        with pytest.raises(LogError, match="2 others lie on a table that it has seen"):
            compare(control, treatment)
        found = compare(control, treatment, allow_in_sample=True)
        assert (found.seen[0].samples, found.seen[0].related) == ((), ("a1", "a2"))

    def test_what_was_seen_can_be_left_out(self, tmp_path: Path) -> None:
        outcomes = {"a1": 1, "a2": 0, "b1": 1, "b2": 1, "c1": 0}
        better = {**outcomes, "c1": 1}
        skill = exposed(tmp_path / "evolution", ["b1"], table=("a",))
        by_table = {"cluster": "table"}
        control = run(tmp_path / "a", outcomes, edit=made(metadata=by_table, split="test"))
        treatment = run(tmp_path / "b", better, edit=made(metadata=by_table, split="test", skill=str(skill)))
        found = compare(control, treatment, unseen_only=True)
        assert [pair.id for pair in found.pairs] == ["b2", "c1"]
        assert (found.treatment.samples, found.in_sample) == (2, False)
        assert "left out:" in render(found)
        assert "has seen 1 samples, and 2 more by table" in render(found)
        with pytest.raises(LogError, match="keeps the samples that a skill has seen"):
            compare(control, treatment, unseen_only=True, allow_in_sample=True)
        everything = exposed(tmp_path / "whole", [*outcomes])
        treatment = run(tmp_path / "c", better, edit=made(metadata=by_table, split="test", skill=str(everything)))
        with pytest.raises(LogError, match="has seen every sample that both arms have"):
            compare(control, treatment, unseen_only=True)

    def test_other_samples_are_a_test(self, tmp_path: Path) -> None:
        a, b = scores(6, 0, 2, 2)
        skill = exposed(tmp_path / "evolution", ["x1", "x2"])
        control = run(tmp_path / "a", a, edit=made(split="test"))
        treatment = run(tmp_path / "b", b, edit=made(split="test", skill=str(skill)))
        found = compare(control, treatment)
        assert (found.in_sample, found.split, found.about) == (False, "test", "skill")
        assert "about this one skill" in verdict(found)

    def test_a_control_has_seen_what_its_source_has(self, tmp_path: Path) -> None:
        source = exposed(tmp_path / "evolution", ["a1"])
        control = tmp_path / "control"
        (control / "adding").mkdir(parents=True)
        (control / "control.json").write_text(json.dumps({"source": str(source), "skill": "adding"}))
        found = find_seen(control / "adding")
        assert found is not None
        assert found.exposures[0].samples == ("a1",)

    def test_an_older_runs_ledger_tells_the_ids(self, tmp_path: Path) -> None:
        rows = [{"kind": "edit", "id": "a1#2.1", "support": ["a1#2", "b1"]}, {"kind": "analysis", "id": "c1"}]
        (tmp_path / "ledger.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        found = find_seen(tmp_path)
        assert found is not None
        assert found.exposures[0].samples == ("a1", "b1", "c1")
        assert find_seen(tmp_path / "elsewhere" / "skill") is None

    def test_a_damaged_record_is_no_licence(self, tmp_path: Path) -> None:
        (tmp_path / "seen.json").write_text("{}")
        with pytest.raises(SkillError, match="what it has seen cannot be told"):
            find_seen(tmp_path)

    def test_exposures_of_one_dataset_are_one(self) -> None:
        one = Exposure(task="t", dataset="d", split="evolve", samples=("b",), groups={"page": ("p",)})
        two = replace_samples(one, ("a", "b"), {"page": ("o",), "table": ("t",)})
        assert join_exposures([one, two]).exposures == (
            replace_samples(one, ("a", "b"), {"page": ("o", "p"), "table": ("t",)}),
        )


def replace_samples(row: Exposure, samples: tuple[str, ...], groups: dict[str, tuple[str, ...]]) -> Exposure:
    return row.model_copy(update={"samples": samples, "groups": groups})


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    # Of 40 samples the treatment wins 6, and breaks down on 6 that the control solved.
    folder = tmp_path_factory.mktemp("missing")
    a, b = scores(6, 0, 18, 16)
    solved = [name for name, score in a.items() if score][:6]
    return compare(run(folder / "a", a), run(folder / "b", b | dict.fromkeys(solved, "error")))


class TestMissing:
    def test_both_readings_are_told(self, found: Comparison) -> None:
        assert found.result.difference == pytest.approx(6 / 34)
        assert found.result.p_value == pytest.approx(2**-6)
        assert found.as_failures is not None
        assert (found.as_failures.n, found.as_failures.difference, found.as_failures.p_value) == (40, 0.0, 1.0)
        shown = render(found)
        assert "missing = 0" in shown
        assert "+0.176" in shown

    def test_the_verdict_follows_the_worse_one(self, found: Comparison) -> None:
        said = verdict(found)
        assert said.startswith("No difference between treatment and control is shown: +0.000")
        assert "missing runs counted as failures" in said

    def test_the_tipping_point_lies_between(self, found: Comparison) -> None:
        assert 0 < found.tipping_point < 1
        assert f"better at the 5% level if its missing runs would have scored {found.tipping_point:.3f}" in render(
            found
        )

    def test_means_are_over_the_compared_samples(self, found: Comparison) -> None:
        assert found.control.mean == found.result.control_mean
        assert found.treatment.mean - found.control.mean == pytest.approx(found.result.difference)

    def test_without_missing_runs_both_are_one(self, tmp_path: Path) -> None:
        a, b = scores(3, 1, 2, 2)
        found = compare(run(tmp_path / "a", a), run(tmp_path / "b", b))
        assert found.as_failures == found.result
        assert np.isnan(found.tipping_point)
        assert "missing = 0" not in render(found)

    def test_samples_that_an_arm_was_not_to_run_are_no_failures(self, tmp_path: Path) -> None:
        a, b = scores(3, 0, 2, 2)
        found = compare(run(tmp_path / "a", a), run(tmp_path / "b", {name: b[name] for name in [*b][:5]}))
        assert found.as_failures == found.result
        assert "2 not in its logs" in render(found)

    def test_scores_of_another_kind_have_no_failures(self, tmp_path: Path) -> None:
        control = run(tmp_path / "a", {"a": 5, "b": 7, "c": 3})
        found = compare(control, run(tmp_path / "b", {"a": 6, "b": 9, "c": "error"}))
        assert found.as_failures is None


class TestWhatGotWorse:
    def test_regressions_come_first_with_their_names(self, tmp_path: Path) -> None:
        a, b = scores(4, 2, 1, 1)
        found = compare(run(tmp_path / "a", a), run(tmp_path / "b", b))
        assert found.regressions == ("s04", "s05")
        assert render(found).splitlines()[1] == "Regressions: treatment 2 of 8 (s04, s05)."

    def test_a_margin_is_tested(self, tmp_path: Path) -> None:
        a, b = scores(0, 0, 4, 4)
        arms = run(tmp_path / "a", a), run(tmp_path / "b", b)
        wide, narrow = compare(*arms, margin=0.5), compare(*arms, margin=0.05)
        assert wide.margins is not None
        assert narrow.margins is not None
        assert (wide.margins.noninferior, wide.margins.equivalent) == (True, True)
        assert (narrow.margins.noninferior, narrow.margins.equivalent) == (False, False)
        assert "; equivalent by 0.500 (p " in verdict(wide)
        assert "; not shown to be non-inferior by 0.050 (p " in verdict(narrow)
        with pytest.raises(LogError, match="smallest difference that matters"):
            compare(*arms, margin=-1)


class TestClusters:
    OUTCOMES = ({"a1": 0, "a2": 0, "b1": 0, "c1": 1}, {"a1": 1, "a2": 1, "b1": 0, "c1": 1})

    def test_the_task_declares_them(self, tmp_path: Path) -> None:
        edit = made(metadata={"cluster": "table"})
        arms = [run(tmp_path / name, row, edit=edit) for name, row in zip("ab", self.OUTCOMES, strict=True)]
        found, alone = compare(*arms), compare(*arms, cluster="none")
        assert (found.cluster, found.cluster_source, found.result.units) == ("table", "task", 3)
        assert "in 3 clusters by table, as the task declares" in render(found)
        assert (alone.cluster, alone.cluster_source, alone.result.units) == (None, "none", 4)

    def test_a_declared_field_that_samples_lack_is_none(self, tmp_path: Path) -> None:
        edit = made(metadata={"cluster": "page"})
        arms = [run(tmp_path / name, row, edit=edit) for name, row in zip("ab", self.OUTCOMES, strict=True)]
        assert compare(*arms).cluster is None


class TestSkills:
    def test_three_evolution_seeds_are_three_draws(self, tmp_path: Path) -> None:
        rng = np.random.default_rng(0)
        names = [f"s{number:02}" for number in range(30)]
        control = run(tmp_path / "control", {name: int(rng.random() < 0.4) for name in names})
        for seed, rate in ((41, 0.9), (42, 0.5), (43, 0.4)):
            outcomes = {name: int(rng.random() < rate) for name in names}
            run(tmp_path / "evolved", outcomes, edit=made(skill=f"runs/evolution/seed-{seed}"))
        found = compare(control, tmp_path / "evolved")
        assert (found.about, found.skills) == ("method", 3)
        assert found.result.test.startswith("two-level t (tasks and 3 skills")
        assert "about the method, by 3 skills that it made" in verdict(found)
        flat = paired_test([pair.control for pair in found.pairs], [pair.treatment for pair in found.pairs])
        assert found.result.difference == pytest.approx(flat.difference)
        assert found.result.high - found.result.low > flat.high - flat.low

    def test_skills_that_are_no_seeds_of_one_run_are_refused(self, tmp_path: Path) -> None:
        a, b = scores(3, 0, 2, 2)
        control = run(tmp_path / "a", a)
        for skill in ("skills/xlsx", "skills/xlsx-basic"):
            run(tmp_path / "b", b, edit=made(skill=skill))
        with pytest.raises(LogError, match=r"logs of 2 skills: skills/xlsx, skills/xlsx-basic.*--several-skills"):
            compare(control, tmp_path / "b")
        assert compare(control, tmp_path / "b", several_skills=True).about == "method"

    def test_siblings_differ_in_their_seed_alone(self) -> None:
        assert are_siblings(["run/seed-1", "run/seed-12"])
        assert are_siblings(["run/seed-1/xlsx", "run/seed-2/xlsx"])
        assert not are_siblings(["run/seed-1", "other/seed-1"])
        assert not are_siblings(["run/seed-1"])

    def test_two_levels_are_the_textbook_variance(self) -> None:
        # Crossed without interaction or noise: task effects times 0, seed effects known.
        control = np.zeros((6, 1))
        treatment = np.arange(6)[:, None] / 10 + np.array([[0.0, 0.3, 0.6]])
        found = two_level(control, treatment)
        over_tasks, over_seeds = np.var(np.arange(6) / 10, ddof=1) / 6, 0.09 / 3
        assert found.error**2 == pytest.approx(over_tasks + over_seeds)
        reach = np.sqrt(over_tasks * stats.t.isf(0.025, 5) ** 2 + over_seeds * stats.t.isf(0.025, 2) ** 2)
        assert found.interval(0.05) == pytest.approx((found.difference - reach, found.difference + reach))
        assert found.p_value(found.difference - reach) == pytest.approx(0.05)
        assert found.p_value(found.difference) == 1.0
        assert found.samples_needed(6) == np.inf


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tmp_path_factory.mktemp("one"), {"a": 1, "b": 0, "c": 1})


class TestLogs:
    def test_a_log_in_both_arms(self, log: Path, tmp_path: Path) -> None:
        run(tmp_path, {"a": 1, "b": 1, "c": 1})
        shutil.copy(log, tmp_path / "again.eval")
        with pytest.raises(LogError, match=r"'control'.*again\.eval of arm 'treatment' hold the same runs"):
            compare(log, tmp_path)

    def test_a_copy_under_another_id(self, log: Path, tmp_path: Path) -> None:
        copy = read_eval_log(log)
        copy.eval.eval_id = copy.eval.task_id = "another"
        (tmp_path / "b").mkdir()
        write_eval_log(copy, tmp_path / "b" / "copy.eval")
        with pytest.raises(LogError, match="hold the same runs"):
            compare(log, tmp_path / "b")
        with pytest.raises(LogError, match="is one and the same run"):
            compare([log, tmp_path / "b" / "copy.eval"], run(tmp_path / "c", {"a": 1, "b": 1, "c": 1}))

    def test_a_copy_in_one_arm(self, log: Path, tmp_path: Path) -> None:
        for name in ("one.eval", "two.eval"):
            (tmp_path / "a").mkdir(exist_ok=True)
            shutil.copy(log, tmp_path / "a" / name)
        other = run(tmp_path / "b", {"a": 1, "b": 1, "c": 1})
        with pytest.raises(LogError, match=r"one\.eval.*two\.eval hold one and the same evaluation"):
            compare(tmp_path / "a", other)
        assert compare(tmp_path / "a", other, allow_same_logs=True).control.runs == 3

    def test_two_models_in_one_arm(self, log: Path, tmp_path: Path) -> None:
        for model in ("openai/small", "openai/large"):
            run(tmp_path, {"a": 1, "b": 1, "c": 1}, edit=made(model=model))
        with pytest.raises(LogError, match=r"2 models: openai/large, openai/small.*--several-models"):
            compare(log, tmp_path)
        assert compare(log, tmp_path, several_models=True).treatment.runs == 6

    def test_an_empty_retry_hides_no_finished_log(self, log: Path, tmp_path: Path) -> None:
        done = run(tmp_path, {"a": 1, "b": 1, "c": 1})

        def emptied(retry: EvalLog) -> None:
            retry.eval.task_id = read_eval_log(done, header_only=True).eval.task_id
            retry.samples = []

        run(tmp_path, {"a": 1, "b": 1, "c": 1}, edit=emptied)
        assert compare(log, tmp_path).treatment.scored == 3


class TestRuns:
    def test_repeated_runs_have_pass_at_k(self, tmp_path: Path) -> None:
        control = run(tmp_path / "a", {"a": [1, 1], "b": [1, 0], "c": [0, 0], "d": [0, 1]})
        found = compare(control, run(tmp_path / "b", {"a": [1, 1], "b": [1, 1], "c": [0, 0], "d": [1, 1]}))
        assert found.control.repeats is not None
        row = found.control.repeats
        assert (row.k, row.average, row.any_of_k, row.all_of_k) == (2, 0.5, 0.75, 0.25)
        assert row.any_error == pytest.approx(np.std([1, 1, 0, 1], ddof=1) / 2)
        assert "control: avg@2 0.500 (± 0.204), pass@2 0.750 (± 0.250), pass^2 0.250 (± 0.250)." in render(found)
        # Its own repetitions tell the noise as well: two of four samples have one of two runs right.
        assert found.noise is not None
        assert (found.noise.samples, found.noise.runs, found.noise.flipped) == (4, 2, 0.5)

    def test_repeated_controls_tell_the_noise(self, tmp_path: Path) -> None:
        a, b = scores(4, 0, 2, 2)
        control, treatment = run(tmp_path / "a", a), run(tmp_path / "b", b)
        again = run(tmp_path / "aa", a | {"s00": 1, "s04": 0})
        found = compare(control, treatment, aa=again)
        assert found.noise is not None
        assert (found.noise.samples, found.noise.flipped) == (8, 0.25)
        # Two of eight samples have one of two runs right: a variance of .5 each, .125 on average.
        assert found.noise.sd == pytest.approx(np.sqrt(2 * 0.125 / 8))
        assert found.noise.reach == pytest.approx(1.959964 * found.noise.sd)
        assert f"±{found.noise.reach:.3f}" in render(found)
        with pytest.raises(LogError, match="repeated runs of the baseline 'control', but their task arguments differ"):
            compare(control, treatment, aa=run(tmp_path / "other", a, edit=made(skill="skills/xlsx")))
        with pytest.raises(LogError, match="no sample was run twice"):
            compare(control, treatment, aa=control)

    def test_unequal_epochs_use_the_spread_of_runs(self, tmp_path: Path) -> None:
        names = [f"s{number}" for number in range(8)]
        eight = {name: [1, 0, 0, 0] for name in names}
        found = compare(run(tmp_path / "a", eight), run(tmp_path / "b", dict.fromkeys(names, 0)))
        # All differences are -.25: by signs alone p is 2/256.
        assert "at least the spread of runs" in found.result.test
        assert found.result.p_value > 0.05
        assert found.result.low < 0 <= found.result.high

    def test_several_looks_have_a_test_of_their_own(self, tmp_path: Path) -> None:
        a, b = scores(20, 0, 2, 2)
        found = compare(run(tmp_path / "a", a), run(tmp_path / "b", b), anytime=True)
        assert found.anytime is not None
        assert found.result.p_value < found.anytime.p_value < 0.05
        assert 0 < found.anytime.low < found.result.low
        assert "looked at any number of times" in render(found)


class TestSeveralComparisons:
    def test_intervals_hold_together_and_agree_with_holm(self, tmp_path: Path) -> None:
        a, b = scores(6, 0, 7, 7)
        arms = {"none": run(tmp_path / "a", a), "same": run(tmp_path / "s", a), "evolved": run(tmp_path / "b", b)}
        same, evolved = compare_table(arms, "none").comparisons
        assert evolved.p_adjusted == pytest.approx(2 * evolved.result.p_value)
        assert evolved.simultaneous[0] < evolved.result.low
        assert evolved.simultaneous[0] > 0
        assert same.simultaneous[1] > same.result.high
        [alone] = compare_table({name: arms[name] for name in ("none", "evolved")}, "none").comparisons
        assert alone.simultaneous == (alone.result.low, alone.result.high)
        assert "Intervals of differences hold together" in render(compare_table(arms, "none"))

    def test_the_verdict_is_that_of_holm(self, tmp_path: Path) -> None:
        a, b = scores(5, 0, 7, 7)
        arms = {"none": run(tmp_path / "a", a), "one": run(tmp_path / "s", b), "two": run(tmp_path / "b", a)}
        one, _ = compare_table(arms, "none").comparisons
        assert (one.result.p_value, one.p_adjusted) == (pytest.approx(0.03125), pytest.approx(0.0625))
        assert verdict(one).startswith("No difference")
        assert one.simultaneous[0] <= 0


class TestVerdicts:
    def test_what_is_worse_in_one_reading_is_worse(self, tmp_path: Path) -> None:
        a, b = scores(0, 7, 2, 2)
        found = compare(run(tmp_path / "a", a), run(tmp_path / "b", b))
        assert verdict(found).startswith("treatment is worse than control: -0.636")
        better = found.model_copy(update={"result": replace(found.result, difference=0.1), "p_adjusted": 0.01})
        assert verdict(better).startswith("treatment is worse")

    def test_too_few_samples_are_said(self, tmp_path: Path) -> None:
        a, b = scores(3, 1, 5, 5)
        found = compare(run(tmp_path / "a", a), run(tmp_path / "b", b))
        assert f"it would take {found.n_needed:,.0f} samples, not 14" in verdict(found)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0496, "0.0496"),
        (0.0504, "0.0504"),
        (0.05, "0.050"),
        (0.049996, "0.049996"),
        (0.0495, "0.0495"),
        (0.049, "0.049"),
        (0.0004, "<0.001"),
        (1.0, "1.000"),
        (float("nan"), "n/a"),
    ],
)
def test_no_p_value_is_rounded_to_the_line(value: float, shown: str) -> None:
    assert p(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"), [(-0.0, "+0.000"), (-0.0001, "-0.0001"), (1e-300, ">0"), (-1e-300, "<0"), (0.3, "+0.300")]
)
def test_nothing_but_zero_reads_as_zero(value: float, shown: str) -> None:
    assert number(value, "+") == shown


class TestMovedStudies:
    def test_what_a_skill_has_seen_is_found_where_a_study_was_moved_to(self, tmp_path: Path) -> None:
        a, b = scores(6, 0, 2, 2)
        old = tmp_path / "old"
        skill = exposed(old / "evolve-cell" / "run", [*a][:8]) / "skill"
        skill.mkdir()
        (skill / "SKILL.md").write_text("---\nname: skill\ndescription: d\n---\n# Use\n")
        given = str(skill.parent)
        run(old / "control" / "logs", a, edit=made(split="test", skill=None))
        run(old / "treated" / "logs", b, edit=made(split="test", skill=given))
        old.rename(tmp_path / "new")
        with pytest.raises(LogError, match="made from 8 of the 10 samples"):
            compare(tmp_path / "new" / "control" / "logs", tmp_path / "new" / "treated" / "logs")


class TestReadingsThatDecide:
    """The sentence gives the numbers of the reading that it goes by."""

    def test_a_sentence_never_contradicts_its_numbers(self, tmp_path: Path) -> None:
        # Left out: 6 won, none lost, p .016. As failures the control's 20 errors help and the treatment's 14 hurt.
        a, b = scores(6, 0, 40, 54)
        a |= {f"c{n:02}": None for n in range(20)} | {f"t{n:02}": 1 for n in range(14)}
        b |= {f"c{n:02}": 1 for n in range(20)} | {f"t{n:02}": None for n in range(14)}
        control, treatment = run(tmp_path / "a", a), run(tmp_path / "b", b)
        up, down = compare(control, treatment), compare(treatment, control)

        assert up.result.p_value < 0.05 < up.as_failures.p_value
        assert f"p {p(up.p_adjusted_as_failures)}" in verdict(up)
        assert "No difference" in verdict(up)
        assert "worse" in verdict(down)
        assert f"p {p(down.p_adjusted)}" in verdict(down)

    def test_crashes_of_the_control_make_nothing_non_inferior(self, tmp_path: Path) -> None:
        a, b = scores(4, 5, 12, 12)
        control, treatment = run(tmp_path / "a", a), run(tmp_path / "b", b)
        assert not compare(control, treatment, margin=0.15).margins.noninferior
        crashed = {f"c{n}": None for n in range(6)}
        again = compare(
            run(tmp_path / "c", a | crashed), run(tmp_path / "d", b | dict.fromkeys(crashed, 1)), margin=0.15
        )
        assert not again.margins.noninferior

    def test_scores_that_know_no_failure_say_that_missing_runs_are_left_out(self, tmp_path: Path) -> None:
        names = [f"s{n}" for n in range(14)]
        a = {name: 1.0 + 0.1 * n for n, name in enumerate(names)}
        b = {name: None if n < 4 else 3.0 + 0.1 * n for n, name in enumerate(names)}
        found = compare(run(tmp_path / "a", a), run(tmp_path / "b", b))
        assert "missing runs left out, as no score here is a failure" in verdict(found)

    def test_what_missing_runs_would_have_to_score_is_said_of_the_arm_that_has_them(self, tmp_path: Path) -> None:
        a, b = scores(9, 0, 5, 6)
        gone = {f"c{n}": None for n in range(3)}
        found = compare(run(tmp_path / "a", a | gone), run(tmp_path / "b", b | dict.fromkeys(gone, 1)))
        assert "better at the 5% level even if every missing run spoke against it" in render(found)
        # Samples that only one arm was asked about are nobody's failures.
        more = compare(run(tmp_path / "c", a), run(tmp_path / "d", b | {"d1": 1, "d2": 0}))
        assert "would have scored" not in render(more)


class TestFewTasksAndManySkills:
    def skills(self, folder: Path, outcomes: list[dict[str, Any]]) -> list[Path]:
        return [run(folder / f"seed-{n}", each, edit=made(skill=f"run/seed-{n}")) for n, each in enumerate(outcomes, 1)]

    def test_one_task_shows_nothing_however_many_skills(self, tmp_path: Path) -> None:
        control = run(tmp_path / "a", {"s": 0.1})
        found = compare(
            control, self.skills(tmp_path, [{"s": 0.9}, {"s": 0.5}, {"s": 0.7}]), several_skills=True, margin=0.05
        )
        assert found.result.p_value == 1.0
        assert (found.result.low, found.result.high) == (-1.0, 1.0)
        assert not found.margins.noninferior

    def test_tasks_without_spread_are_not_taken_for_certain(self, tmp_path: Path) -> None:
        names = [f"s{n:02}" for n in range(20)]
        control = run(tmp_path / "a", dict.fromkeys(names, 0))
        skills = self.skills(tmp_path, [dict.fromkeys(names, 1), dict.fromkeys(names, 1) | {"s00": 0}])
        found = compare(control, skills, several_skills=True)
        assert found.result.low < 0.8
        assert found.result.mde > 0.2

    def test_unequal_runs_find_no_effect_where_there_is_none(self) -> None:
        rng, rejected = np.random.default_rng(0), 0
        for _ in range(100):
            outcomes = rng.random((20, 9)) < 0.05
            control = {
                f"s{n}": SampleRuns(scores=(float(row[0]),), missing={}, skills=("",)) for n, row in enumerate(outcomes)
            }
            treatment = {
                f"s{n}": SampleRuns(scores=tuple(map(float, row[1:])), missing={}, skills=tuple("abcdefgh"))
                for n, row in enumerate(outcomes)
            }
            rejected += contrast(control, treatment, None, 0).test(resamples=199).p_value <= 0.05
        # It was 29.
        assert rejected <= 10

    def test_who_is_compared_says_what_the_sentence_is_about(self, tmp_path: Path) -> None:
        names = [f"s{n:02}" for n in range(12)]
        control = self.skills(tmp_path, [dict.fromkeys(names, 0), dict.fromkeys(names, 0) | {"s00": 1}])
        one = run(tmp_path / "b", dict.fromkeys(names, 1), edit=made(skill="run/other"))
        none = run(tmp_path / "c", dict.fromkeys(names, 1), edit=made(skill=None))
        assert compare(control, one, several_skills=True).about == "skill"
        assert compare(control, none, several_skills=True).about == "condition"


class TestSeveralLooks:
    def timed(self, minutes: Mapping[str, int]) -> Callable[[EvalLog], None]:
        """Gives each sample the minute at which it was complete."""

        def edit(log: EvalLog) -> None:
            for sample in log.samples or []:
                sample.completed_at = f"2026-01-01T00:{minutes[str(sample.id)]:02}:00+00:00"

        return edit

    def test_names_do_not_decide(self, tmp_path: Path) -> None:
        """Pairs come in the order in which they were complete, whatever they are called."""
        a, b = scores(14, 2, 4, 4)
        found = []
        for names in ({name: name for name in a}, {name: f"z{99 - place}" for place, name in enumerate(a)}):
            edit = self.timed({names[name]: minute for minute, name in enumerate(a)})
            arms = [{names[name]: score for name, score in arm.items()} for arm in (a, b)]
            logs = [run(tmp_path / f"{names['s00']}-{n}", arm, edit=edit) for n, arm in enumerate(arms)]
            found.append(compare(*logs, anytime=True).anytime)
        assert found[0] == found[1]

    def test_missing_runs_count_against_whoever_has_them(self, tmp_path: Path) -> None:
        a, b = scores(14, 0, 4, 4)
        gone = {f"t{n}": 1 for n in range(8)}
        edit = self.timed({name: minute for minute, name in enumerate([*gone, *a])})
        whole = compare(run(tmp_path / "a", a, edit=edit), run(tmp_path / "b", b, edit=edit), anytime=True)
        part = compare(
            run(tmp_path / "c", a | gone, edit=edit),
            run(tmp_path / "d", b | dict.fromkeys(gone), edit=edit),
            anytime=True,
        )
        assert whole.anytime.p_value < 0.05 < part.anytime.p_value

    def test_it_is_not_left_out_in_silence(self, tmp_path: Path) -> None:
        a = {f"s{n}": 2.0 * n for n in range(8)}
        b = {name: score + 1 for name, score in a.items()}
        with pytest.raises(LogError, match="--anytime is for scores within 0 to 1"):
            compare(run(tmp_path / "a", a), run(tmp_path / "b", b), anytime=True)
