"""Expected values come from scipy, from published tables, or from the definition of the method."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from trace2skill.comparison.mcnemar import mcnemar, mcnemar_effect, mcnemar_pairs, mcnemar_power, tango_interval
from trace2skill.comparison.means import noncentrality
from trace2skill.comparison.statistics import benjamini_hochberg, holm, mean_interval, paired_test

SHARED = Path(__file__).parents[3] / "../shared/data"


def binary_pairs(both: int, wins: int, losses: int, neither: int) -> tuple[list[int], list[int]]:
    control = [1] * both + [0] * wins + [1] * losses + [0] * neither
    treatment = [1] * both + [1] * wins + [0] * losses + [0] * neither
    return control, treatment


class TestPairedTestOnBinaryScores:
    def test_exact_mcnemar_and_tango_of_a_published_example(self) -> None:
        # Bentur et al. 2009, as analysed by Fagerland, Lydersen and Laake (2013, BMC Med Res Methodol 13:91;
        # 2014): 21 children, discordant 1 and 7. Exact p 0.0703; Tango -0.517 to -0.026.
        result = paired_test(*binary_pairs(both=1, wins=1, losses=7, neither=12))
        assert result.p_value == pytest.approx(0.0703, abs=5e-5)
        assert tango_interval(1, 7, 21) == pytest.approx((-0.517, -0.026), abs=5e-4)
        assert (result.low, result.high) == (pytest.approx(-0.517, abs=5e-4), 0.0)
        assert (result.wins, result.losses, result.ties, result.n) == (1, 7, 13, 21)
        assert (result.test, result.interval) == ("exact McNemar", "Tango score")

    @pytest.mark.parametrize(("wins", "losses"), [(0, 1), (3, 3), (2, 11), (40, 20), (150, 90), (0, 9)])
    def test_p_value_is_the_binomial_test_of_the_discordant_pairs(self, wins: int, losses: int) -> None:
        result = paired_test(*binary_pairs(both=30, wins=wins, losses=losses, neither=10))
        assert result.p_value == pytest.approx(scipy_stats.binomtest(wins, wins + losses).pvalue, rel=1e-9)

    @pytest.mark.parametrize(("wins", "losses", "n"), [(1, 7, 21), (12, 2, 50), (40, 20, 160), (0, 4, 40)])
    def test_score_statistic_at_tango_limits_is_the_critical_value(self, wins: int, losses: int, n: int) -> None:
        for delta in tango_interval(wins, losses, n):
            # The restricted maximum of the likelihood over the share of losses, found by search.
            losing = np.linspace(max(0.0, -delta), (1 - delta) / 2, 400_001)[1:-1]
            likelihood = (
                wins * np.log(losing + delta)
                + losses * np.log(losing)
                + (n - wins - losses) * np.log1p(-2 * losing - delta)
            )
            best = losing[np.argmax(likelihood)]
            statistic = (wins - losses - n * delta) / np.sqrt(n * (2 * best + delta - delta**2))
            assert abs(statistic) == pytest.approx(1.959964, abs=1e-3)

    def test_no_discordant_pair_still_has_an_interval(self) -> None:
        result = paired_test([1, 0] * 20, [1, 0] * 20)
        z2 = scipy_stats.norm.ppf(0.975) ** 2
        assert (result.difference, result.p_value) == (0.0, 1.0)
        assert (result.low, result.high) == pytest.approx((-z2 / (40 + z2), z2 / (40 + z2)), abs=1e-6)
        assert np.isnan(result.mde)

    def test_all_pairs_won_or_lost(self) -> None:
        won, lost = paired_test([0] * 12, [1] * 12), paired_test([1] * 12, [0] * 12)
        assert (won.difference, won.high, won.p_value) == (1.0, 1.0, pytest.approx(2**-11))
        assert (lost.low, lost.high) == pytest.approx((-won.high, -won.low))

    @pytest.mark.shared_data
    def test_two_models_on_200_real_tasks(self) -> None:
        path = SHARED / "paired-outcomes/verified_0_200.csv"
        if not path.exists():
            pytest.skip(f"{path} is absent")
        with path.open() as file:
            rows = list(csv.DictReader(file))
        result = paired_test([int(row["claude-opus-4.6"]) for row in rows], [int(row["gpt-5.4"]) for row in rows])
        assert (result.n, result.wins, result.losses, result.ties) == (200, 17, 27, 156)
        assert result.difference == pytest.approx(-0.05)
        assert result.p_value == pytest.approx(scipy_stats.binomtest(17, 44).pvalue)
        assert (result.low, result.high) == pytest.approx((-0.1167, 0.0155), abs=5e-5)
        assert result.mde == pytest.approx(2.8016 * np.sqrt((0.22 - 0.05**2) * 200 / 199 / 200), abs=1e-4)


class TestPairedTestOnOtherScores:
    def test_few_pairs_equal_the_exact_permutation_test_of_scipy(self) -> None:
        rng = np.random.default_rng(3)
        a, b = rng.random(11), rng.random(11) + 0.15
        expected = scipy_stats.permutation_test(
            (a, b),
            lambda x, y, axis: (y - x).mean(axis=axis),
            permutation_type="samples",
            vectorized=True,
            n_resamples=np.inf,
        )
        result = paired_test(a, b)
        assert result.p_value == pytest.approx(expected.pvalue)
        assert result.test == "exact sign-flip"

    def test_averaged_runs_are_tested_exactly(self) -> None:
        rng = np.random.default_rng(4)
        a, b = rng.binomial(3, 0.5, 60) / 3, rng.binomial(3, 0.6, 60) / 3
        result = paired_test(a, b)
        flips = rng.choice([-1, 1], (200_000, 60)) @ np.rint((b - a) * 3)
        assert result.test == "exact sign-flip"
        assert result.p_value == pytest.approx((np.abs(flips) >= abs(np.rint((b - a) * 3).sum())).mean(), abs=0.003)

    def test_large_effects_keep_a_positive_p_value(self) -> None:
        rng = np.random.default_rng(5)
        a = rng.random(40)
        result = paired_test(a, a + 1 + rng.random(40), resamples=999)
        assert result.test == "sign-flip, 999 draws"
        assert result.p_value == 1 / 1000

    def test_interval_of_normal_differences_is_close_to_the_t_interval(self) -> None:
        rng = np.random.default_rng(6)
        d = rng.normal(0.2, 1.0, 200)
        low, high = scipy_stats.ttest_1samp(d, 0).confidence_interval()
        result = paired_test(np.zeros(200), d)
        assert (result.low, result.high) == pytest.approx((low, high), abs=0.01)

    def test_result_depends_on_the_seed_alone(self) -> None:
        rng = np.random.default_rng(7)
        a, b = rng.random(50), rng.random(50)
        assert paired_test(a, b, seed=1) == paired_test(a, b, seed=1)
        assert paired_test(a, b, seed=1).p_value == pytest.approx(paired_test(a, b, seed=2).p_value, abs=0.03)

    def test_swapping_the_arms_mirrors_the_result(self) -> None:
        rng = np.random.default_rng(8)
        a, b = rng.random(30), rng.random(30)
        one, two = paired_test(a, b), paired_test(b, a)
        assert (one.difference, one.low, one.high) == pytest.approx((-two.difference, -two.high, -two.low))
        assert (one.p_value, one.wins) == (two.p_value, two.losses)

    def test_equal_scores_have_a_bound_inside_0_to_1_and_none_outside(self) -> None:
        inside, outside = paired_test([0.5] * 30, [0.5] * 30), paired_test([5.0] * 30, [5.0] * 30)
        assert inside.p_value == outside.p_value == 1.0
        assert (inside.low, inside.high) == pytest.approx(tango_interval(0, 0, 30))
        assert np.isnan([outside.low, outside.high, outside.mde]).all()

    def test_one_pair_decides_nothing(self) -> None:
        result = paired_test([0.2], [0.9])
        assert (result.p_value, result.low, result.high) == (1.0, -1.0, 1.0)

    @settings(max_examples=60, deadline=None)
    @given(
        pairs=st.lists(st.tuples(*[st.sampled_from([0, 1 / 3, 0.5, 2 / 3, 1])] * 2), min_size=1, max_size=40),
        clustered=st.booleans(),
    )
    def test_interval_holds_zero_exactly_when_p_exceeds_alpha(
        self, pairs: list[tuple[float, float]], clustered: bool
    ) -> None:
        a, b = np.array(pairs).T
        clusters = [i // 3 for i in range(len(a))] if clustered else None
        result = paired_test(a, b, clusters=clusters, resamples=500)
        assert (result.low <= 0 <= result.high) == (result.p_value > 0.05)
        assert -1 <= result.low <= result.difference + 1e-12
        assert result.difference - 1e-12 <= result.high <= 1


class TestClusters:
    def test_clusters_of_one_change_nothing(self) -> None:
        a, b = binary_pairs(both=5, wins=9, losses=2, neither=4)
        alone, clustered = paired_test(a, b), paired_test(a, b, clusters=range(20))
        assert clustered == replace(alone, mde=clustered.mde)
        assert clustered.mde == pytest.approx(alone.mde)

    def test_copies_of_a_sample_are_no_new_evidence(self) -> None:
        a, b = binary_pairs(both=5, wins=9, losses=2, neither=4)
        single = paired_test(a, b)
        copied = paired_test(a * 4, b * 4, clusters=list(range(20)) * 4)
        assert (copied.n, copied.units) == (80, 20)
        assert copied.p_value == pytest.approx(single.p_value)
        assert copied.mde == pytest.approx(single.mde)
        assert paired_test(a * 4, b * 4).p_value < single.p_value / 10

    def test_mean_interval_uses_the_cluster_robust_error(self) -> None:
        x = np.array([1, 1, 0, 0, 1, 0, 1, 1, 1, 0, 0, 1])
        labels = list("aabbccddeeff")
        sums = [x[i : i + 2].sum() - 2 * x.mean() for i in range(0, 12, 2)]
        error = np.sqrt(6 / 5 * np.sum(np.square(sums))) / 12
        interval = mean_interval(x, clusters=labels)
        assert interval.high - interval.mean == pytest.approx(scipy_stats.t.ppf(0.975, 5) * error)


class TestCalibration:
    def test_continuous_scores_reject_a_true_null_in_5_percent(self) -> None:
        rng = np.random.default_rng(11)
        p = [paired_test(np.zeros(40), rng.normal(size=40), resamples=399).p_value for _ in range(1500)]
        assert np.mean(np.array(p) <= 0.05) == pytest.approx(0.05, abs=0.015)

    @pytest.mark.parametrize(("n", "least"), [(40, 0.01), (200, 0.025)])
    def test_binary_scores_never_reject_more_than_5_percent(self, n: int, least: float) -> None:
        draws = np.random.default_rng(12).multinomial(n, [0.15, 0.15, 0.7], 3000)
        p = [paired_test(*binary_pairs(0, wins, losses, ties)).p_value for wins, losses, ties in draws]
        assert least < np.mean(np.array(p) <= 0.05) <= 0.055

    @pytest.mark.parametrize("n", [40, 200])
    @pytest.mark.parametrize("shares", [(0.15, 0.10), (0.30, 0.05), (0.04, 0.04)])
    def test_binary_interval_covers_the_truth(self, n: int, shares: tuple[float, float]) -> None:
        rng = np.random.default_rng(13)
        hits = []
        for wins, losses, ties in rng.multinomial(n, [*shares, 1 - sum(shares)], 600):
            result = paired_test(*binary_pairs(0, wins, losses, ties))
            hits.append(result.low <= shares[0] - shares[1] <= result.high)
        assert 0.93 < np.mean(hits) <= 1.0

    @pytest.mark.parametrize("n", [40, 200])
    @pytest.mark.parametrize("changed", [0.05, 0.3])
    def test_interval_of_averaged_runs_covers_the_truth(self, n: int, changed: float) -> None:
        # Three runs per sample; most samples are always or never solved, a share becomes always solved.
        rng = np.random.default_rng(14)
        hits = []
        for _ in range(400):
            before = rng.choice([0.0, 0.5, 1.0], n, p=[0.45, 0.1, 0.45])
            after = np.where(rng.random(n) < changed, 1.0, before)
            result = paired_test(rng.binomial(3, before) / 3, rng.binomial(3, after) / 3, resamples=400)
            hits.append(result.low <= changed * 0.5 <= result.high)
        assert 0.92 < np.mean(hits) <= 1.0

    def test_clustered_interval_covers_the_truth(self) -> None:
        rng = np.random.default_rng(15)
        hits = []
        for _ in range(400):
            table = np.repeat(rng.normal(0.3, 1.0, 20), 6)
            result = paired_test(
                np.zeros(120),
                table + rng.normal(0, 0.5, 120),
                clusters=np.repeat(np.arange(20), 6),
                resamples=400,
            )
            hits.append(result.low <= 0.3 <= result.high)
        assert np.mean(hits) == pytest.approx(0.95, abs=0.03)


class TestMeanInterval:
    def test_binary_scores_get_wilson(self) -> None:
        expected = scipy_stats.binomtest(17, 40).proportion_ci(method="wilson")
        assert mean_interval([1] * 17 + [0] * 23) == pytest.approx((17 / 40, expected.low, expected.high))

    def test_other_scores_get_t(self) -> None:
        x = np.random.default_rng(16).normal(3, 2, 25)
        low, high = scipy_stats.ttest_1samp(x, 0).confidence_interval()
        assert mean_interval(x) == pytest.approx((x.mean(), low, high))

    def test_limits_stay_in_the_range_of_bounded_scores(self) -> None:
        assert mean_interval([1, 1, 1, 0.5]).high == 1.0
        assert mean_interval([0.5] * 10).low == pytest.approx(
            scipy_stats.binomtest(5, 10).proportion_ci(method="wilson").low
        )

    def test_no_spread_outside_0_to_1_is_undefined(self) -> None:
        assert np.isnan(mean_interval([7.0, 7.0, 7.0])[1:]).all()
        assert np.isnan(mean_interval([7.0])[1:]).all()


class TestMinimumDetectableEffect:
    def test_is_found_four_times_in_five(self) -> None:
        rng = np.random.default_rng(17)
        effect = minimum_detectable_effect(scipy_stats.norm.ppf((np.arange(100) + 0.5) / 100))
        p = [paired_test(np.zeros(100), rng.normal(effect, 1, 100), resamples=399).p_value for _ in range(500)]
        assert np.mean(np.array(p) <= 0.05) == pytest.approx(0.8, abs=0.05)

    def test_matches_the_textbook_value(self) -> None:
        d = np.array([1.0, -1.0] * 50)
        assert minimum_detectable_effect(d) == pytest.approx((1.959964 + 0.841621) * d.std(ddof=1) / 10)


class TestHolm:
    def test_known_values(self) -> None:
        assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])

    def test_undefined_values_stay_undefined_and_cost_nothing(self) -> None:
        assert holm([0.03, float("nan"), 0.02]) == pytest.approx([0.04, float("nan"), 0.04], nan_ok=True)

    def test_is_capped_at_one(self) -> None:
        assert holm([0.9, 0.8]).tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("control", "treatment", "message"),
    [
        ([], [], "non-empty"),
        ([1.0], [1.0, 0.0], "equal length"),
        ([float("nan")], [1.0], "finite"),
    ],
)
def test_unusable_scores_are_refused(control: list[float], treatment: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        paired_test(control, treatment)


def test_every_sample_needs_a_cluster() -> None:
    with pytest.raises(ValueError, match="one cluster label per sample"):
        paired_test([1, 0], [0, 1], clusters=["a"])
