"""Expected values come from scipy, from published tables, or from the definition of the method."""

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from trace2skill.comparison.margin import margins
from trace2skill.comparison.mcnemar import mcnemar, mcnemar_effect, mcnemar_pairs, mcnemar_power, tango_interval
from trace2skill.comparison.means import noncentrality
from trace2skill.comparison.sign_flip import SignFlip
from trace2skill.comparison.statistics import benjamini_hochberg, holm, mean_interval, paired_test
from trace2skill.comparison.units import standard_error

SHARED = Path(__file__).parents[3] / "../shared/data"


def binary_pairs(both: int, wins: int, losses: int, neither: int) -> tuple[list[int], list[int]]:
    control = [1] * both + [0] * wins + [1] * losses + [0] * neither
    treatment = [1] * both + [1] * wins + [0] * losses + [0] * neither
    return control, treatment


class TestPairedTestOnBinaryScores:
    def test_mcnemar_and_tango_of_a_published_example(self) -> None:
        # Bentur et al. 2009, as analysed by Fagerland, Lydersen and Laake (2013, BMC Med Res Methodol 13:91;
        # 2014): 21 children, discordant 1 and 7. Exact p 0.0703, mid-p 0.0391; Tango -0.517 to -0.026.
        result = paired_test(*binary_pairs(both=1, wins=1, losses=7, neither=12))
        assert float(mcnemar(1, 7, mid_p=False)) == pytest.approx(0.0703, abs=5e-5)
        assert result.p_value == pytest.approx(0.0391, abs=5e-5)
        assert (result.low, result.high) == pytest.approx((-0.517, -0.026), abs=5e-4)
        assert (result.wins, result.losses, result.ties, result.n) == (1, 7, 13, 21)
        assert (result.test, result.interval) == ("mid-p McNemar", "Tango score")

    @pytest.mark.parametrize(("wins", "losses"), [(0, 1), (3, 3), (2, 11), (40, 20), (150, 90), (0, 9), (0, 0)])
    def test_p_value_is_the_binomial_test_with_half_the_observed_split(self, wins: int, losses: int) -> None:
        result = paired_test(*binary_pairs(both=30, wins=wins, losses=losses, neither=10))
        exact = scipy_stats.binomtest(wins, wins + losses).pvalue if wins + losses else 1.0
        assert float(mcnemar(wins, losses, mid_p=False)) == pytest.approx(exact, rel=1e-9)
        assert result.p_value == pytest.approx(exact - scipy_stats.binom.pmf(wins, wins + losses, 0.5), abs=1e-12) or (
            wins == losses
        )

    @pytest.mark.parametrize(("wins", "losses"), [(0, 1), (3, 3), (2, 11), (40, 20), (0, 9)])
    def test_exact_p_value_is_that_of_statsmodels(self, wins: int, losses: int) -> None:
        tables = pytest.importorskip("statsmodels.stats.contingency_tables")
        expected = tables.mcnemar([[30, wins], [losses, 10]], exact=True).pvalue
        assert float(mcnemar(wins, losses, mid_p=False)) == pytest.approx(expected, rel=1e-9)

    def test_the_test_rejects_nothing_that_its_interval_holds(self) -> None:
        # Tango's statistic at zero is the asymptotic one, which rejects whatever mid-p rejects, and little more.
        for pairs in range(1, 300):
            for losses in range(pairs // 2 + 1):
                if mcnemar(pairs - losses, losses) <= 0.05:
                    assert (pairs - 2 * losses) / np.sqrt(pairs) > 1.96

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
        assert result.mde == pytest.approx(mcnemar_effect(40, 0))
        assert result.n_needed == np.inf

    def test_all_pairs_won_or_lost(self) -> None:
        won, lost = paired_test([0] * 12, [1] * 12), paired_test([1] * 12, [0] * 12)
        assert (won.difference, won.high, won.p_value) == (1.0, 1.0, pytest.approx(2**-12))
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
        exact = scipy_stats.binomtest(17, 44).pvalue
        assert exact == pytest.approx(0.1742, abs=5e-5)
        assert result.p_value == pytest.approx(exact - scipy_stats.binom.pmf(17, 44, 0.5))
        assert (result.low, result.high) == pytest.approx((-0.1167, 0.0155), abs=5e-5)
        assert result.mde == pytest.approx(mcnemar_effect(200, 17 / 200))
        found = margins([int(row["claude-opus-4.6"]) for row in rows], [int(row["gpt-5.4"]) for row in rows], 0.05)
        assert (found.low, found.high) == pytest.approx((-0.106, 0.005), abs=5e-4)
        assert found.p_noninferior == pytest.approx(0.5)
        assert not found.noninferior
        assert not found.equivalent


class TestPairedTestOnOtherScores:
    def test_few_pairs_equal_the_exact_permutation_test_of_scipy(self) -> None:
        rng = np.random.default_rng(3)
        a, b = rng.random(11), rng.random(11) + 0.15

        def statistic(x: np.ndarray, y: np.ndarray, axis: int) -> np.ndarray:
            d = np.moveaxis(np.asarray(y - x), axis, -1)
            u, g = d.mean(-1) / d.std(-1), scipy_stats.skew(d, axis=-1)
            return u + g * u**2 / 3 + g**2 * u**3 / 27 + g / (6 * d.shape[-1])

        expected = scipy_stats.permutation_test(
            (a, b), statistic, permutation_type="samples", vectorized=True, n_resamples=np.inf
        )
        result = paired_test(a, b)
        assert result.p_value == pytest.approx(expected.pvalue)
        assert result.test == "exact sign-flip"

    def test_symmetric_differences_get_the_p_value_of_the_plain_permutation_test(self) -> None:
        rng = np.random.default_rng(4)
        half = rng.normal(0.3, 1, 100)
        d = np.concatenate([half, 2 * half.mean() - half])
        plain = scipy_stats.permutation_test(
            (np.zeros(200), d),
            lambda x, y, axis: (y - x).mean(axis=axis),
            permutation_type="samples",
            vectorized=True,
            n_resamples=9_999,
            rng=np.random.default_rng(1),
        )
        assert paired_test(np.zeros(200), d).p_value == pytest.approx(plain.pvalue, abs=0.01)

    def test_few_differences_among_many_pairs_are_tested_exactly(self) -> None:
        a, b = np.full(60, 1 / 3), np.full(60, 1 / 3)
        b[:7] += 1 / 3
        result = paired_test(a, b)
        assert result.test == "exact sign-flip"
        assert result.p_value == pytest.approx(2**-6)

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
        assert inside.mde == pytest.approx(mcnemar_effect(30, 0))

    def test_gains_of_one_size_have_an_interval_with_a_width(self) -> None:
        # All shifts but that of .5 are rejected by the six signs; six gains of a half know nothing of their spread.
        result = paired_test([0.0, 0.5] * 3, [0.5, 1.0] * 3)
        assert result.p_value == pytest.approx(2 / 64)
        assert 0 < result.low < 1e-9
        assert result.high == pytest.approx(tango_interval(3, 0, 6)[1])
        many = paired_test([0.0, 0.5] * 20, [0.5, 1.0] * 20)
        assert (many.low, many.high) == pytest.approx(tango_interval(20, 0, 40))

    def test_one_pair_decides_nothing(self) -> None:
        result = paired_test([0.2], [0.9])
        assert (result.p_value, result.low, result.high) == (1.0, -1.0, 1.0)

    @settings(max_examples=40, deadline=None)
    @given(
        pairs=st.lists(st.tuples(*[st.sampled_from([0, 1 / 3, 0.5, 2 / 3, 1])] * 2), min_size=1, max_size=40),
        clustered=st.booleans(),
    )
    def test_interval_holds_zero_exactly_when_p_exceeds_alpha(
        self, pairs: list[tuple[float, float]], clustered: bool
    ) -> None:
        a, b = np.array(pairs).T
        clusters = [i // 3 for i in range(len(a))] if clustered else None
        result = paired_test(a, b, clusters=clusters, resamples=200)
        assert (result.low <= 0 <= result.high) == (result.p_value > 0.05)
        assert result.high - result.low > 1e-6
        assert -1 <= result.low <= result.difference + 1e-12
        assert result.difference - 1e-12 <= result.high <= 1


class TestClusters:
    def test_clusters_of_one_change_nothing(self) -> None:
        a, b = binary_pairs(both=5, wins=9, losses=2, neither=4)
        alone, clustered = paired_test(a, b), paired_test(a, b, clusters=range(20))
        assert clustered == alone

    def test_copies_of_a_sample_are_no_new_evidence(self) -> None:
        a, b = binary_pairs(both=5, wins=9, losses=2, neither=4)
        single = paired_test(a, b)
        copied = paired_test(a * 4, b * 4, clusters=list(range(20)) * 4)
        assert (copied.n, copied.units) == (80, 20)
        assert single.p_value == pytest.approx(float(mcnemar(9, 2)))
        assert copied.p_value == pytest.approx(float(mcnemar(9, 2, mid_p=False)), abs=0.02)
        assert paired_test(a * 4, b * 4).p_value < single.p_value / 10

    def test_mean_interval_uses_the_cluster_robust_error(self) -> None:
        x = np.array([1, 1, 0, 0, 1, 0, 1, 1, 1, 0, 0, 1])
        labels = list("aabbccddeeff")
        sums = [x[i : i + 2].sum() - 2 * x.mean() for i in range(0, 12, 2)]
        error = np.sqrt(6 / 5 * np.sum(np.square(sums))) / 12
        interval = mean_interval(x, clusters=labels)
        assert interval.high - interval.mean == pytest.approx(scipy_stats.t.ppf(0.975, 5) * error)


class TestCalibration:
    """Small studies; `benchmarks/calibration.py` has ten thousand of each kind."""

    @pytest.mark.parametrize(("n", "least"), [(40, 0.03), (200, 0.04)])
    def test_binary_scores_reject_a_true_null_in_5_percent(self, n: int, least: float) -> None:
        draws = np.random.default_rng(12).multinomial(n, [0.15, 0.15, 0.7], 10_000)
        assert least < (mcnemar(draws[:, 0], draws[:, 1]) <= 0.05).mean() <= 0.055

    @pytest.mark.parametrize("n", [40, 200])
    @pytest.mark.parametrize("shares", [(0.15, 0.10), (0.30, 0.05), (0.04, 0.04)])
    def test_binary_interval_covers_the_truth(self, n: int, shares: tuple[float, float]) -> None:
        hits = []
        for wins, losses, ties in np.random.default_rng(13).multinomial(n, [*shares, 1 - sum(shares)], 300):
            result = paired_test(*binary_pairs(0, wins, losses, ties))
            hits.append(result.low <= shares[0] - shares[1] <= result.high)
        assert 0.92 < np.mean(hits) <= 1.0

    @pytest.mark.parametrize("skewed", [False, True])
    def test_scores_of_mean_zero_are_rejected_in_5_percent(self, skewed: bool) -> None:
        rng = np.random.default_rng(14)
        d = rng.exponential(size=(800, 30)) - 1 if skewed else rng.normal(size=(800, 30))
        p = [SignFlip(row, np.ones(30), resamples=299, seed=0).p_value() for row in d]
        assert np.mean(np.array(p) <= 0.05) == pytest.approx(0.05, abs=0.025)
        # The t test, and with it the plain sign-flip test, rejects more of the skewed ones.
        if skewed:
            assert np.mean(scipy_stats.ttest_1samp(d, 0, axis=1).pvalue <= 0.05) > 0.07

    def test_clustered_interval_covers_the_truth(self) -> None:
        rng = np.random.default_rng(15)
        labels, hits = np.repeat(np.arange(20), 6), []
        for _ in range(120):
            scores = np.repeat(rng.normal(0.3, 1.0, 20), 6) + rng.normal(0, 0.5, 120)
            result = paired_test(np.zeros(120), scores, clusters=labels, resamples=200)
            hits.append(result.low <= 0.3 <= result.high)
        assert np.mean(hits) == pytest.approx(0.95, abs=0.05)

    def test_eight_runs_against_one_are_no_effect(self) -> None:
        # One run in ten is right. Where the single runs are all wrong, their spread looks like none.
        rng = np.random.default_rng(16)
        rejected = []
        for _ in range(150):
            eight, one = rng.binomial(1, 0.1, (20, 8)), rng.binomial(1, 0.1, (20, 1))
            spread = np.concatenate([eight, one], axis=1).var(axis=1, ddof=1) * (1 / 8 + 1)
            result = paired_test(eight.mean(axis=1), one.mean(axis=1), run_variance=spread, resamples=199)
            rejected.append(result.p_value <= 0.05)
        assert np.mean(rejected) <= 0.07


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


class TestPower:
    def test_binary_power_is_counted(self) -> None:
        # All outcomes of 12 pairs, one by one.
        winning, losing, total = 0.4, 0.1, 0.0
        for wins in range(13):
            for losses in range(13 - wins):
                if wins > losses and mcnemar(wins, losses) <= 0.05:
                    total += scipy_stats.multinomial.pmf(
                        [wins, losses, 12 - wins - losses], 12, [winning, losing, 1 - winning - losing]
                    )
        assert mcnemar_power(12, winning, losing) == pytest.approx(total, rel=1e-6)

    def test_the_least_that_can_be_found_does_not_follow_from_few_discordant_pairs(self) -> None:
        # 20 pairs: with one discordant one 2.8 standard errors are .140, where the power is nothing like 80%.
        one, eight = (paired_test(*binary_pairs(0, wins, 0, 20 - wins)) for wins in (1, 8))
        assert mcnemar_effect(20, 0, mid_p=False) == pytest.approx(0.367, abs=1e-3)
        assert one.mde == eight.mde == pytest.approx(mcnemar_effect(20, 0)) == pytest.approx(0.313, abs=1e-3)
        assert mcnemar_power(20, one.mde, 0) == pytest.approx(0.8, abs=1e-3)

    def test_no_effect_within_0_to_1_can_be_found_by_four_pairs(self) -> None:
        assert np.isnan(mcnemar_effect(4, 0))
        assert np.isnan(paired_test([0.1, 0.2, 0.9, 0.4], [0.9, 0.3, 0.1, 0.8]).mde)

    @pytest.mark.parametrize(("winning", "losing"), [(0.3, 0.05), (0.12, 0.08), (0.4, 0.0)])
    def test_the_pairs_needed_have_the_power(self, winning: float, losing: float) -> None:
        needed = int(mcnemar_pairs(winning, losing))
        assert mcnemar_power(needed, winning, losing) >= 0.8
        assert mcnemar_power(int(needed * 0.85), winning, losing) < 0.8

    def test_large_numbers_of_pairs_follow_the_published_formula(self) -> None:
        # Connor 1987, Biometrics 43:207: (z_a sqrt(d) + z_b sqrt(d - e^2))^2 / e^2.
        d, e = 0.21, 0.01
        expected = (1.959964 * np.sqrt(d) + 0.841621 * np.sqrt(d - e**2)) ** 2 / e**2
        assert mcnemar_pairs(0.11, 0.10) == pytest.approx(expected, rel=1e-4)
        assert mcnemar_power(19_000, 0.11, 0.095) == pytest.approx(mcnemar_power(20_001, 0.11, 0.095), abs=0.02)

    @pytest.mark.parametrize(("n", "effect"), [(20, 0.66), (100, 0.283)])
    def test_power_of_a_mean_is_that_of_statsmodels(self, n: int, effect: float) -> None:
        power = pytest.importorskip("statsmodels.stats.power")
        expected = power.TTestPower().solve_power(nobs=n, alpha=0.05, power=0.8)
        assert noncentrality(n - 1) / np.sqrt(n) == pytest.approx(expected, rel=1e-3)
        assert expected == pytest.approx(effect, abs=0.005)

    def test_scores_get_the_effect_of_the_t_test(self) -> None:
        d = np.random.default_rng(17).normal(0.3, 1, 100)
        result = paired_test(np.zeros(100), d, resamples=200)
        assert result.mde == pytest.approx(noncentrality(99) * d.std(ddof=1) / 10)
        power = noncentrality(result.n_needed - 1) / np.sqrt(result.n_needed)
        assert power == pytest.approx(d.mean() / d.std(ddof=1), rel=0.02)


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


def test_a_level_of_95_is_no_level() -> None:
    with pytest.raises(ValueError, match=r"between 0 and 1, such as 0\.95; got 95"):
        paired_test([1, 0], [0, 1], confidence=95)


class TestBenjaminiHochberg:
    def test_is_that_of_scipy(self) -> None:
        p = [0.01, 0.04, 0.03, 0.005, 0.5]
        assert benjamini_hochberg(p) == pytest.approx(scipy_stats.false_discovery_control(p))

    def test_undefined_values_stay_undefined_and_cost_nothing(self) -> None:
        assert benjamini_hochberg([0.03, float("nan"), 0.02]) == pytest.approx([0.03, float("nan"), 0.03], nan_ok=True)


class TestStatsmodels:
    def test_holm_and_benjamini_hochberg(self) -> None:
        multitest = pytest.importorskip("statsmodels.stats.multitest")
        p = np.random.default_rng(18).random(12) ** 2
        assert holm(p) == pytest.approx(multitest.multipletests(p, method="holm")[1])
        assert benjamini_hochberg(p) == pytest.approx(multitest.multipletests(p, method="fdr_bh")[1])

    def test_the_error_of_clusters(self) -> None:
        api = pytest.importorskip("statsmodels.api")
        rng = np.random.default_rng(19)
        groups = rng.integers(0, 15, 90)
        d = rng.normal(size=90) + rng.normal(size=15)[groups]
        fit = api.OLS(d, np.ones(90)).fit(cov_type="cluster", cov_kwds={"groups": groups})
        # statsmodels also multiplies by (n - 1) / (n - k), which is 1 for a mean.
        assert standard_error(d, groups) == pytest.approx(fit.bse[0], rel=1e-6)


class TestWhatCanBeDetected:
    @pytest.mark.parametrize(("wins", "losses"), [(5, 5), (10, 6), (9, 9)])
    def test_a_detectable_effect_at_ordinary_results(self, wins: int, losses: int) -> None:
        a = [0] * wins + [1] * losses + [0] * (20 - wins - losses)
        b = [1] * wins + [0] * losses + [0] * (20 - wins - losses)
        assert 0 < paired_test(a, b).mde <= 1

    def test_no_sample_is_enough_whose_test_can_never_reject(self) -> None:
        four = paired_test([0.0, 0.0, 0.0, 0.0], [9.0, 10.0, 11.0, 12.0])
        assert four.p_value == 0.125
        assert np.isnan(four.mde)
        assert four.n_needed == 6
        assert np.isnan(four.low)
        clusters = paired_test(np.zeros(10), np.ones(10), clusters=np.repeat(range(5), 2))
        assert clusters.n_needed == 12

    def test_unequal_runs_are_in_it(self) -> None:
        a, b = np.tile([0.1, 0.2], 20), np.tile([0.2, 0.25], 20)
        plain = paired_test(a, b)
        noisy = paired_test(a, b, run_variance=np.full(40, 0.2))
        assert noisy.mde > 2 * plain.mde
        assert noisy.n_needed > plain.n_needed

    def test_no_p_value_is_below_what_its_signs_can_show(self) -> None:
        b = 1000 + np.array([1, 2, 3, 4, 5, 6, 7, 8.0])
        assert paired_test(np.zeros(8), b).p_value == 2 / 2**8
        many = 1000 + np.random.default_rng(0).normal(size=50)
        assert paired_test(np.zeros(50), many).p_value == pytest.approx(1 / 10_001)

    @pytest.mark.parametrize("level", [95, 0, 1])
    def test_a_level_lies_between_zero_and_one(self, level: float) -> None:
        for refuse in (
            lambda: mean_interval([0.0, 1.0], confidence=level),
            lambda: tango_interval(1, 1, 4, level),
            lambda: paired_test([0, 1], [1, 1], confidence=level),
        ):
            with pytest.raises(ValueError, match="lies between 0 and 1"):
                refuse()
