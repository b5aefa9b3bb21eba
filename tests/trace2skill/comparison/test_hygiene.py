"""What would make a comparison say more than its logs do: clusters, repetitions, memories, samples seen, attempts."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.trace2skill.comparison.logs import write
from trace2skill.comparison import compare
from trace2skill.comparison.repeats import repeats
from trace2skill.errors import LogError
from trace2skill.skill.seen import Exposure, Seen

NAMES = [f"s{number:02}" for number in range(20)]
CONTROL = {name: int(8 <= number < 14) for number, name in enumerate(NAMES)}
TREATMENT = {name: int(number < 14) for number, name in enumerate(NAMES)}
UUIDS = {(name, 1): f"run of {name}" for name in NAMES}


def by_four(name: str) -> Mapping[str, object]:
    return {"table": int(name[1:]) // 4}


class TestClusters:
    def test_one_log_that_declares_them_is_enough(self, tmp_path: Path) -> None:
        control = write(tmp_path / "a.eval", CONTROL, metadata=by_four)
        found = compare(control, write(tmp_path / "b.eval", TREATMENT, metadata=by_four, cluster="table"))
        assert (found.cluster, found.cluster_source, found.result.units) == ("table", "task", 5)
        assert found.result.p_value == 0.5

    def test_one_log_that_has_the_field_is_enough(self, tmp_path: Path) -> None:
        control = write(tmp_path / "a.eval", CONTROL, metadata=lambda _: {})
        found = compare(control, write(tmp_path / "b.eval", TREATMENT, metadata=by_four, cluster="table"))
        assert found.result.units == 5

    @pytest.mark.parametrize("lacking", [{}, {"table": None}, {"table": ""}])
    @pytest.mark.parametrize("asked", [None, "table"])
    def test_samples_that_lack_the_field_are_not_independent(
        self, lacking: dict[str, object], asked: str | None, tmp_path: Path
    ) -> None:
        def some(name: str) -> Mapping[str, object]:
            return lacking if name > "s16" else by_four(name)

        control = write(tmp_path / "a.eval", CONTROL, metadata=some, cluster="table")
        treatment = write(tmp_path / "b.eval", TREATMENT, metadata=some, cluster="table")
        with pytest.raises(LogError, match=r"3 of 20 samples, such as s17, have no .*'table'.*--cluster none"):
            compare(control, treatment, cluster=asked)
        assert compare(control, treatment, cluster="none").result.units == 20

    def test_a_field_with_nothing_in_it_is_no_one_cluster(self, tmp_path: Path) -> None:
        logs = [
            write(tmp_path / name, outcomes, metadata=lambda _: {"table": None}, cluster="table")
            for name, outcomes in (("a.eval", CONTROL), ("b.eval", TREATMENT))
        ]
        with pytest.raises(LogError, match="20 of 20 samples"):
            compare(*logs)

    def test_logs_that_disagree_are_refused(self, tmp_path: Path) -> None:
        control = write(tmp_path / "a.eval", CONTROL, metadata=by_four, cluster="table")
        treatment = write(tmp_path / "b.eval", TREATMENT, metadata=lambda name: {"table": name, "page": 1})
        with pytest.raises(LogError, match=r"Sample s00 is of table 0 in one log and of s00 in another"):
            compare(control, treatment)
        other = write(tmp_path / "c.eval", TREATMENT, metadata=lambda _: {"page": 1}, cluster="page")
        with pytest.raises(LogError, match=r"different fields that group dependent samples: page, table\."):
            compare(control, other)


class TestRepetitions:
    @pytest.fixture
    def arms(self, tmp_path: Path) -> tuple[Path, Path]:
        control = write(tmp_path / "a" / "one.eval", CONTROL, uuids=UUIDS)
        return control, write(tmp_path / "b" / "one.eval", TREATMENT)

    def test_a_run_is_no_repetition_of_itself(self, arms: tuple[Path, Path], tmp_path: Path) -> None:
        again = write(tmp_path / "aa.eval", CONTROL, uuids=UUIDS)
        with pytest.raises(LogError, match=r"arm 'control' and .*aa\.eval of arm 'A/A' hold the same runs"):
            compare(*arms, aa=again)
        found = compare(*arms, aa=again, allow_same_logs=True)
        assert found.noise is not None

    def test_nor_are_two_copies(self, arms: tuple[Path, Path], tmp_path: Path) -> None:
        again = write(tmp_path / "aa" / "one.eval", CONTROL)
        shutil.copy(again, tmp_path / "aa" / "two.eval")
        with pytest.raises(LogError, match=r"'A/A': .*one\.eval, .*two\.eval hold one and the same evaluation"):
            compare(*arms, aa=tmp_path / "aa")

    def test_nor_are_two_copies_under_other_ids(self, arms: tuple[Path, Path], tmp_path: Path) -> None:
        uuids = {run: f"another {name}" for run, name in UUIDS.items()}
        for name in ("one", "two"):
            write(tmp_path / "aa" / f"{name}.eval", CONTROL, uuids=uuids)
        with pytest.raises(LogError, match=r"'A/A': sample s00 .* is one and the same run"):
            compare(*arms, aa=tmp_path / "aa")

    def test_nor_is_the_treatment(self, arms: tuple[Path, Path]) -> None:
        with pytest.raises(LogError, match="of arm 'A/A' hold the same runs"):
            compare(*arms, aa=arms[1])

    def test_a_folder_may_hold_the_control_too(self, arms: tuple[Path, Path], tmp_path: Path) -> None:
        write(tmp_path / "a" / "two.eval", CONTROL | {"s00": 1})
        found = compare(*arms, aa=tmp_path / "a")
        assert found.noise is not None
        assert (found.noise.runs, found.noise.flipped) == (2, 1 / 20)


class TestPassAtK:
    def test_a_failed_run_of_most_samples_leaves_none_of_them_out(self) -> None:
        found = repeats([[0, 0, 0, 0], *[[1, 1, 1]] * 11])
        assert found is not None
        assert (found.k, found.samples, found.of) == (3, 12, 12)
        assert found.average == found.any_of_k == found.all_of_k == pytest.approx(11 / 12)

    def test_a_sample_with_more_runs_counts_with_all(self) -> None:
        found = repeats([[1, 0, 0, 0], [1, 1, 0], [0, 1, 1], [1]])
        assert found is not None
        assert (found.k, found.samples, found.of) == (3, 3, 4)
        assert found.average == pytest.approx((1 / 4 + 2 / 3 + 2 / 3) / 3)
        assert found.any_of_k == pytest.approx((3 / 4 + 1 + 1) / 3)
        assert found.all_of_k == 0

    def test_few_that_were_run_twice_tell_nothing(self) -> None:
        assert repeats([[1, 0], [1], [0]]) is None
        assert repeats([[1, 0], [1]]) is None
        assert repeats([]) is None


class TestMemories:
    @pytest.fixture(params=["skill", "memory"])
    def kind(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    def test_several_are_draws_of_their_method(self, kind: str, tmp_path: Path) -> None:
        control = write(tmp_path / "a.eval", CONTROL)
        for seed in (1, 2, 3):
            outcomes = TREATMENT | {name: 0 for name in NAMES if int(name[1:]) % 3 == seed - 1}
            write(tmp_path / "b" / f"{seed}.eval", outcomes, **{kind: f"run/seed-{seed}"})
        found = compare(control, tmp_path / "b")
        assert (found.about, found.skills) == ("method", 3)
        assert found.result.test.startswith("two-level t (tasks and 3 ")

    def test_those_of_several_methods_are_refused(self, kind: str, tmp_path: Path) -> None:
        control = write(tmp_path / "a.eval", CONTROL)
        for name in ("one", "other"):
            write(tmp_path / "b" / f"{name}.eval", TREATMENT, **{kind: f"{name}/seed-1"})
        with pytest.raises(LogError, match=r"logs of 2 (skills|memories): one/seed-1, other/seed-1.*--several-skills"):
            compare(control, tmp_path / "b")
        assert compare(control, tmp_path / "b", several_skills=True).about == "method"


def exposed(folder: Path, *samples: str, **groups: tuple[str, ...]) -> str:
    """A skill's run folder that says what it has seen."""
    folder.mkdir(parents=True)
    exposure = Exposure(task="quiz", dataset="quiz-data", split="evolve", samples=samples, groups=groups)
    (folder / "seen.json").write_text(Seen(exposures=(exposure,)).model_dump_json())
    return str(folder)


class TestInSample:
    OUTCOMES: Mapping[str, object] = {"a1": 1, "a2": 0, "b1": 1, "c1": 1}

    def test_a_renamed_task_hides_no_dataset(self, tmp_path: Path) -> None:
        skill = exposed(tmp_path / "run", "a1")
        control = write(tmp_path / "a.eval", self.OUTCOMES, task="quiz_v2")
        with pytest.raises(LogError, match="made from 1 of the 4 samples"):
            compare(control, write(tmp_path / "b.eval", self.OUTCOMES, task="quiz_v2", skill=skill))

    @pytest.mark.parametrize("declared", [("table", None), (None, "table"), (None, None)])
    def test_a_table_is_one_whoever_names_it(self, declared: tuple[str | None, str | None], tmp_path: Path) -> None:
        skill = exposed(tmp_path / "run", "a9", table=("a",))
        control = write(tmp_path / "a.eval", self.OUTCOMES, cluster=declared[0])
        treatment = write(tmp_path / "b.eval", self.OUTCOMES, cluster=declared[1], skill=skill)
        with pytest.raises(LogError, match="2 others lie on a table that it has seen"):
            compare(control, treatment, cluster=None if any(declared) else "table")

    def test_samples_that_count_as_independent_are_seen_all_the_same(self, tmp_path: Path) -> None:
        skill = exposed(tmp_path / "run", "a9", table=("a",))
        control = write(tmp_path / "a.eval", self.OUTCOMES, cluster="table")
        treatment = write(tmp_path / "b.eval", self.OUTCOMES, cluster="table", skill=skill)
        with pytest.raises(LogError, match="2 others lie on a table that it has seen"):
            compare(control, treatment, cluster="none")

    def test_what_is_in_either_log_of_a_skill_is_told(self, tmp_path: Path) -> None:
        skill = exposed(tmp_path / "run", "q9", table=("a", "b"))
        control = write(tmp_path / "a.eval", self.OUTCOMES, cluster="table")
        for part in (("a1", "a2"), ("b1", "c1")):
            outcomes = {name: 1 for name in part}
            write(tmp_path / "b" / f"{part[0]}.eval", outcomes, cluster="table", skill=skill)
        [seen] = compare(control, tmp_path / "b", allow_in_sample=True).seen
        assert (seen.samples, seen.related, seen.group) == ((), ("a1", "a2", "b1"), "table")


class TestAttempts:
    def test_one_without_scores_hides_none_that_has_them(self, tmp_path: Path) -> None:
        control = write(tmp_path / "a.eval", CONTROL)
        write(
            tmp_path / "b" / "1.eval", TREATMENT | {"s00": "error"}, task_id="task", created="2026-11-20T10:00:00+00:00"
        )
        unscored = dict.fromkeys(NAMES[:19])
        write(tmp_path / "b" / "2.eval", unscored, task_id="task", created="2026-11-21T10:00:00+00:00")
        found = compare(control, tmp_path / "b")
        assert (found.treatment.samples, found.treatment.scored) == (20, 19)
        assert [(sample.id, sample.missing) for sample in found.treatment.missing] == [("s00", {"unscored": 1})]

    def test_two_at_one_evaluation_are_no_two_arms(self, tmp_path: Path) -> None:
        logs = [write(tmp_path / f"{name}.eval", CONTROL, task_id="task") for name in "ab"]
        with pytest.raises(LogError, match=r"hold the same runs.*nor from another attempt"):
            compare(logs[0], logs[1])
        assert compare(logs[0], logs[1], allow_same_logs=True).result.n == 20

    def test_samples_that_were_not_planned_are_not_lost(self, tmp_path: Path) -> None:
        control = write(tmp_path / "a.eval", CONTROL)
        part = {name: TREATMENT[name] for name in NAMES[:9]}
        assert compare(control, write(tmp_path / "b.eval", part)).lost == ()
        assert compare(control, write(tmp_path / "c.eval", part, planned=NAMES[:10])).lost == ("s09",)
