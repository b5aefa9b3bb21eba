import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trace2skill.comparison import paired_test
from trace2skill.comparison.mcnemar import mcnemar
from trace2skill.data.places import bundled
from trace2skill.report.audit import csv_text, main, markdown
from trace2skill.report.detectability import audit, discordance


@pytest.fixture(scope="module")
def rows():
    return audit()


@pytest.mark.parametrize(("name", "make"), [("power_audit.csv", csv_text), ("power_audit.md", markdown)])
def test_the_committed_audit_is_what_the_code_makes(name: str, make, rows) -> None:
    assert bundled(f"results/published/{name}").read_text() == make(rows), "run python -m trace2skill.report.audit"


def test_it_writes_where_it_is_told(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("sys.argv", ["audit", str(tmp_path)])
    main()

    assert {path.name for path in tmp_path.iterdir()} == {"power_audit.csv", "power_audit.md"}


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_no_pairing_leaves_the_bounds(pairs: list[tuple[bool, bool]]) -> None:
    control, treatment = ([float(pair[side]) for pair in pairs] for side in (0, 1))
    n, p1, p2 = len(pairs), sum(control) / len(pairs), sum(treatment) / len(pairs)
    low, _, high = discordance(p1, p2)
    found = paired_test(control, treatment)
    difference, most = round(n * abs(p2 - p1)), round(n * high)

    assert low - 1e-9 <= (found.wins + found.losses) / n <= high + 1e-9
    best, losses = mcnemar(difference, 0), (most - difference) // 2
    assert best - 1e-9 <= found.p_value <= mcnemar(losses + difference, losses) + 1e-9


def test_rows_are_in_order_and_say_what_could_be_told(rows) -> None:
    assert len(rows) == 162
    for row in rows:
        assert row.p_best_seeds <= row.p_best + 1e-9 <= row.p_independent + 2e-9 <= row.p_worst * 1.01 + 3e-9
        assert row.p_worst <= row.p_worst_holm
        assert row.discordance_low <= row.discordance_high
        assert (row.told == "at any pairing") == (row.p_worst < 0.05)


def test_the_headline_is_beyond_noise_and_parallel_against_sequential_is_not_for_sure(rows) -> None:
    [headline] = [row for row in rows if row.delta == pytest.approx(0.5765)]
    sequential = [row for row in rows if row.table == "4" and row.benchmark == "spreadsheetbench-verified"]

    assert headline.told == "at any pairing"
    assert "at any pairing" not in {row.told for row in sequential}


def test_an_effect_of_the_published_size_is_found_with_the_tasks_that_it_needs(rows) -> None:
    for row in rows:
        if row.n_needed_worst and abs(abs(row.delta) - row.mde_worst) > 1e-3:
            assert (row.n >= row.n_needed_worst) == (abs(row.delta) >= row.mde_worst)
