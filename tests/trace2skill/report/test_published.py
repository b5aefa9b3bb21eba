import math
from statistics import fmean

import pytest

from trace2skill.report.published import IN_DISTRIBUTION, SAMPLES, Key, absolute, baseline, published

USERS = ("122B", "35B")
AVERAGES = [cell for cell in published().values() if cell.metric == "avg"]
ROUNDING = 0.0151  # of two printed digits, summed


def test_every_number_is_there() -> None:
    cells = published()

    assert len(cells) == 264
    assert {cell.table for cell in cells.values()} == set("123456")
    assert {cell.benchmark for cell in cells.values()} == {*SAMPLES, "all", "evolution"}


@pytest.mark.parametrize("average", AVERAGES, ids=lambda cell: "-".join(filter(None, cell.key)))
def test_averages_come_out_again(average) -> None:
    def score(user: str, benchmark: str, metric: str) -> float:
        cell = published()[average.key._replace(user=user, benchmark=benchmark, metric=metric)]
        return cell.value

    inside = fmean(score(user, *of) for user in USERS for of in IN_DISTRIBUTION)
    outside = fmean(score(user, "wikitq", "accuracy") for user in USERS)

    assert (inside + outside) / 2 == pytest.approx(average.value, abs=ROUNDING)


def test_averages_are_as_many_as_the_paper_has() -> None:
    assert len(AVERAGES) == 23


def test_cells_that_two_tables_share_agree() -> None:
    shared = 0
    for key, cell in published().items():
        condition = "error" if cell.condition == "parallel" else cell.condition
        first = published().get(Key("1", key.author, key.mode, condition, key.user, key.benchmark, key.metric))
        if key.table in "456" and first:
            shared += 1
            assert 100 * absolute(first) == pytest.approx(cell.value, abs=ROUNDING), key

    assert shared == 48


def test_a_delta_is_from_the_baseline_of_its_table() -> None:
    headline = published()[Key("1", "35B", "creation", "error", "122B", "wikitq", "accuracy")]
    math_delta = published()[Key("2", "35B", "creation", "error", "122B", "aime-2026", "avg@8")]
    anls = published()[Key("3", "35B", "creation", "error", "35B", "docvqa", "anls")]

    assert (baseline(headline).condition, baseline(headline).value) == ("parametric", 23.73)
    assert math.isclose(absolute(headline), 0.8138)
    assert baseline(math_delta).condition == "no-skill"
    assert math.isclose(absolute(anls), 0.6223)
