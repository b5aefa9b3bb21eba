"""Do the tests keep what they promise? False positives, coverage and power in simulated studies, and the speed.

    python benchmarks/calibration.py | tee benchmarks/calibration.txt
    python benchmarks/calibration.py --studies 1000

Of each kind there are 10,000 studies, or as many as its line says, of n samples. Promised are: of 100 studies without
an effect 4 to 6 are false positives, fewer where a test is exact; 93.5 to 96.5 of 100 intervals hold the truth, more
where few differences say little; the power is within 3 points of what is claimed. What is outside is marked.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from trace2skill.comparison.levels import two_level
from trace2skill.comparison.margin import margins
from trace2skill.comparison.mcnemar import mcnemar, mcnemar_effect, mcnemar_power, tango_interval
from trace2skill.comparison.means import agreeing, noncentrality
from trace2skill.comparison.sequential import hedged_wealth
from trace2skill.comparison.sign_flip import sign_flip_p_values
from trace2skill.comparison.statistics import paired_test

Array = NDArray[np.float64]
Rng = np.random.Generator

SIZES = (20, 30, 100, 200, 2_649)
DRAWS, CHUNKS = 1_000, 20
SEED = 20_261_126


def main() -> None:
    """Prints one line for each kind of study and number of samples."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=10_000)
    studies = parser.parse_args().studies
    began = time.perf_counter()
    print(f"{'':<58}{'n':>6}  measured  promised")
    for part in (binary, scores, clusters, epochs, seeds, margin, looks):
        for line in part(studies):
            print(line, flush=True)
        print(flush=True)
    for line in speed():
        print(line, flush=True)
    print(f"\n{time.perf_counter() - began:.0f} s in all, seed {SEED}.")


def rate(what: str, n: int, measured: float, low: float, high: float, promised: str = "") -> str:
    """A line of the report; rates are told in 100."""
    promised = promised or f"{100 * low:.1f} to {100 * high:.1f}"
    outside = "" if low - 1e-9 <= measured <= high + 1e-9 else "  <- outside"
    return f"{what:<58}{n:>6}  {100 * measured:>8.1f}  {promised}{outside}"


def false_positives(what: str, n: int, measured: float, least: float = 0.04) -> str:
    """Rate of rejections of a true null."""
    return rate(what, n, measured, least, 0.06)


def generator(n: int) -> Rng:
    """Random numbers of one kind of studies, the same in every run."""
    return np.random.default_rng([SEED, n])


def binary(studies: int) -> Iterator[str]:
    """Pairs of right and wrong: mid-p McNemar, Tango's interval."""
    for n in SIZES:
        rng = generator(n)
        for losing in (0.05, 0.15):
            wins, losses, _ = rng.multinomial(n, [losing, losing, 1 - 2 * losing], studies).T
            # With fewer than some eight discordant pairs no level between 0 and 5% can be met.
            least = 0.04 if n * losing >= 15 else 0.0
            what = f"binary, {2 * losing:.0%} discordant: false positives"
            yield false_positives(what, n, float((mcnemar(wins, losses) <= 0.05).mean()), least)
            exact = float((mcnemar(wins, losses, mid_p=False) <= 0.05).mean())
            yield rate("   the exact test instead", n, exact, 0.0, 0.05)
        wins, losses, _ = rng.multinomial(n, [0.25, 0.10, 0.65], studies).T
        held = np.mean([low <= 0.15 <= high for low, high in map(tango(n), wins.tolist(), losses.tolist())])
        yield rate("binary, 25% won, 10% lost: coverage", n, float(held), 0.935, 0.965 if n > 30 else 0.98)
        effect = mcnemar_effect(n, 0.05)
        wins, losses, _ = rng.multinomial(n, [0.05 + effect, 0.05, 0.9 - effect], studies).T
        found = float(((mcnemar(wins, losses) <= 0.05) & (wins > losses)).mean())
        yield rate(f"binary, difference {effect:.3f}: power", n, found, 0.77, 0.83, "80.0 +- 3")
    claimed = mcnemar_power(100, 0.2, 0.08)
    wins, losses, _ = generator(1).multinomial(100, [0.2, 0.08, 0.72], studies).T
    found = float(((mcnemar(wins, losses) <= 0.05) & (wins > losses)).mean())
    yield rate("binary, 20% won, 8% lost: power", 100, found, claimed - 0.03, claimed + 0.03, f"{claimed:.1%} +- 3")


def tango(n: int) -> Callable[[int, int], tuple[float, float]]:
    """The interval that goes with the test, of n pairs."""

    @cache
    def interval(wins: int, losses: int) -> tuple[float, float]:
        rejected = float(mcnemar(wins, losses)) <= 0.05
        return agreeing(*tango_interval(wins, losses, n), rejected, wins - losses)

    return interval


DISTRIBUTIONS: dict[str, Callable[[Rng, tuple[int, int]], Array]] = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "uniform": lambda rng, shape: rng.random(shape) - 0.5,
    "t, 3 degrees of freedom": lambda rng, shape: rng.standard_t(3, shape),
    "skewed (exponential)": lambda rng, shape: rng.exponential(size=shape) - 1,
    "very skewed (lognormal)": lambda rng, shape: rng.lognormal(size=shape) - np.exp(0.5),
}


def scores(studies: int) -> Iterator[str]:
    """Differences of continuous scores; that the truth is held is the same as that a true null is not rejected."""
    for name, draw in DISTRIBUTIONS.items():
        for n in SIZES:
            rejected, by_t = [], []
            for number, count in enumerate(chunks(studies)):
                units = draw(np.random.default_rng([SEED, n, number]), (count, n))
                rejected += (sign_flip_p_values(units, resamples=DRAWS, seed=number) <= 0.05).tolist()
                by_t += (stats.ttest_1samp(units, 0, axis=1).pvalue <= 0.05).tolist()
            yield false_positives(f"{name}: false positives", n, float(np.mean(rejected)))
            yield f"{'   the t test instead':<58}{n:>6}  {100 * np.mean(by_t):>8.1f}"
    for n in SIZES:
        effect, found = noncentrality(n - 1) / np.sqrt(n), []
        for number, count in enumerate(chunks(studies)):
            units = np.random.default_rng([SEED, n, number]).normal(effect, 1, (count, n))
            found += ((sign_flip_p_values(units, resamples=DRAWS, seed=number) <= 0.05) & (units.mean(1) > 0)).tolist()
        yield rate(f"normal, difference {effect:.3f}: power", n, float(np.mean(found)), 0.77, 0.83, "80.0 +- 3")


def chunks(studies: int) -> list[int]:
    """Sizes of the groups of studies that share their signs."""
    return [studies // CHUNKS] * CHUNKS


def clusters(studies: int) -> Iterator[str]:
    """Clusters of 1 to 7 samples, on average 4, of which half the variance is shared."""
    for n in SIZES:
        rng = generator(n)
        sizes = np.resize([1, 4, 7], max(round(n / 4), 5))
        alone, together = [], []
        for number, count in enumerate(chunks(studies)):
            shared = np.repeat(rng.normal(size=(count, len(sizes))), sizes, axis=1)
            units = shared + rng.normal(size=(count, int(sizes.sum())))
            sums = np.add.reduceat(units, np.concatenate([[0], np.cumsum(sizes)[:-1]]), axis=1)
            together += (sign_flip_p_values(sums, resamples=DRAWS, seed=number) <= 0.05).tolist()
            alone += (sign_flip_p_values(units, resamples=DRAWS, seed=number) <= 0.05).tolist()
        name = f"{len(sizes)} clusters: false positives"
        yield false_positives(name, int(sizes.sum()), float(np.mean(together)), 0.0 if len(sizes) < 8 else 0.04)
        yield f"{'   clusters ignored':<58}{int(sizes.sum()):>6}  {100 * np.mean(alone):>8.1f}"


def epochs(studies: int) -> Iterator[str]:
    """Binary runs, several of each sample; samples differ in how hard they are. One call of `paired_test` for each."""
    few = max(studies // 25, 50)
    for one, other in ((3, 3), (8, 8), (8, 1)):
        for n in SIZES[:4]:
            rng, rejected, held = generator(n), [], []
            for _ in range(few):
                hard = rng.beta(0.4, 1.2, n)
                easier = np.where(rng.random(n) < 0.2, 1.0, hard)
                before = (rng.random((one, n)) < hard).T
                after, better = ((rng.random((other, n)) < chance).T for chance in (hard, easier))
                rejected.append(averaged(before, after).p_value <= 0.05)
                result = averaged(before, better)
                held.append(result.low <= 0.2 * (1 - 0.25) <= result.high)
            exact = 0.0 if one != other or n < 100 else 0.035
            what = f"{one} runs against {other}: "
            yield rate(f"{what}false positives ({few:,} studies)", n, float(np.mean(rejected)), exact, 0.065)
            yield rate(f"{what}coverage ({few:,} studies)", n, float(np.mean(held)), 0.93, 1.0, "93.5 or more")


def averaged(before: NDArray[np.bool_], after: NDArray[np.bool_]) -> object:
    """The test of means of runs, shape (n, runs) each."""
    one, other = before.shape[1], after.shape[1]
    spread = None
    if one != other:
        spread = np.concatenate([before, after], axis=1).var(axis=1, ddof=1) * (1 / one + 1 / other)
    return paired_test(before.mean(1), after.mean(1), run_variance=spread, resamples=200)


def seeds(studies: int) -> Iterator[str]:
    """Skills whose effects have a standard deviation of .5 logits and mean zero: no method is better than none."""
    for n in SIZES:
        count = studies if n <= 200 else max(studies // 10, 50)
        rng = generator(n)
        rejected: dict[str, list[bool]] = {"one": [], "flat": [], "two-level": [], "same": []}
        held, claimed = [], []
        critical = float(stats.t.isf(0.025, n - 1))
        for _ in range(count):
            hard = rng.normal(0, 1.5, n)
            skills = rng.normal(0, 0.5, 3)
            control = (rng.random(n) < special.expit(hard)).astype(float)
            chances = special.expit(hard[:, None] + skills)
            treatment = (rng.random((n, 3)) < chances).astype(float)
            rejected["one"].append(mcnemar_of(control, treatment[:, 0]))
            rejected["same"].append(mcnemar_of(control, (rng.random(n) < special.expit(hard)).astype(float)))
            rows = treatment.mean(1) - control
            rejected["flat"].append(bool(abs(rows.mean()) > critical * rows.std(ddof=1) / np.sqrt(n)))
            levels = two_level(control[:, None], treatment)
            rejected["two-level"].append(abs(levels.difference) > levels.reach(0.05))
            better = (rng.random((n, 3)) < special.expit(hard[:, None] + 1 + skills)).astype(float)
            low, high = two_level(control[:, None], better).interval(0.05)
            held.append(low <= TRUTH <= high)
            claimed.append(low > 0)
        note = "" if count == studies else f" ({count:,} studies)"
        taken = f"one skill, taken for its method: finds an effect{note}"
        yield f"{taken:<58}{n:>6}  {100 * mean(rejected['one']):>8.1f}"
        yield false_positives(f"one skill without effect: false positives{note}", n, mean(rejected["same"]), 0.0)
        yield f"{f'three skills, averaged: finds an effect{note}':<58}{n:>6}  {100 * mean(rejected['flat']):>8.1f}"
        yield false_positives(f"three skills, two levels: false positives{note}", n, mean(rejected["two-level"]))
        yield rate(f"three skills, two levels, an effect: coverage{note}", n, float(np.mean(held)), 0.935, 0.965)
        yield f"{f'three skills, two levels: power of that effect{note}':<58}{n:>6}  {100 * mean(claimed):>8.1f}"


_HARD = np.random.default_rng(0).normal(0, 1.5, 2_000_000)
TRUTH = float(
    np.mean(special.expit(_HARD + 1 + np.random.default_rng(1).normal(0, 0.5, len(_HARD))) - special.expit(_HARD))
)
"""Mean difference that one logit makes."""


def mean(found: list[bool]) -> float:
    """Share of studies."""
    return float(np.mean(found))


def mcnemar_of(control: Array, treatment: Array) -> bool:
    """Whether the test of two arms rejects."""
    return bool(mcnemar((treatment > control).sum(), (treatment < control).sum()) <= 0.05)


def margin(studies: int) -> Iterator[str]:
    """A treatment that is worse by just the margin of .05 is called non-inferior in at most 5 of 100 studies."""
    for n in SIZES:

        @cache
        def noninferior(wins: int, losses: int, n: int = n) -> bool:
            control = np.repeat([0.0, 1.0, 0.0], [wins, losses, n - wins - losses])
            treatment = np.repeat([1.0, 0.0, 0.0], [wins, losses, n - wins - losses])
            return margins(control, treatment, 0.05).noninferior

        wins, losses, _ = generator(n).multinomial(n, [0.10, 0.15, 0.75], studies).T
        called = np.mean([noninferior(*pair) for pair in zip(wins.tolist(), losses.tolist(), strict=True)])
        yield rate("worse by the margin: called non-inferior", n, float(called), 0.03, 0.06, "5.0 or less, +- 1")


def looks(studies: int) -> Iterator[str]:
    """A look after each sample; stopped at the first that finds something."""
    few = max(studies // 10, 50)
    for n in SIZES[:4]:
        rng, ever, naive = generator(n), [], []
        for _ in range(few):
            d = rng.choice([-1.0, 0.0, 1.0], n, p=[0.15, 0.7, 0.15])
            ever.append(hedged_wealth(d, np.zeros(1), 0.05).max() >= np.log(20))
            wins, losses = np.cumsum(d > 0), np.cumsum(d < 0)
            naive.append(bool((mcnemar(wins, losses)[9:] <= 0.05).any()))
        yield rate(f"looks after each sample: false positives ({few:,} studies)", n, float(np.mean(ever)), 0.0, 0.05)
        yield f"{'   McNemar at each look':<58}{n:>6}  {100 * np.mean(naive):>8.1f}"


def speed() -> Iterator[str]:
    """4,344 pairs, 10,000 sign vectors: the whole of `paired_test`, against a loop over sign vectors and pairs."""
    rng = generator(3)
    control, treatment = rng.random(4_344), rng.random(4_344)
    began = time.perf_counter()
    paired_test(control, treatment, resamples=10_000)
    ours = time.perf_counter() - began
    differences, turns = (treatment - control).tolist(), 20
    began = time.perf_counter()
    for _ in range(turns):
        signs = rng.integers(0, 2, len(differences)).tolist()
        total = 0.0
        for sign, difference in zip(signs, differences, strict=True):
            total += difference if sign else -difference
    loop = (time.perf_counter() - began) / turns * 10_000
    yield (
        f"4,344 pairs, 10,000 sign vectors: test and interval take {ours:.2f} s, a plain loop for the test alone "
        f"{loop:.1f} s: {loop / ours:.0f} times as long."
    )


if __name__ == "__main__":
    main()
