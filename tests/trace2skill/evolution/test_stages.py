"""What stages count."""

from itertools import pairwise

from trace2skill.evolution.stages import critical_path


def test_the_longest_chain_counts_in_whatever_order_its_samples_are_listed() -> None:
    waits_for = {"root": ["a", "b"], "b": ["c"], "c": ["d"]}

    assert critical_path(dict.fromkeys(("root", "a", "b", "c", "d", "alone"), 1.0), waits_for) == 4
    assert critical_path({"root": 1.0, "a": 9.0, "b": 1.0}, waits_for) == 10
    assert critical_path({}, {}) == 0


def test_a_chain_of_thousands_is_no_problem() -> None:
    names = [str(number) for number in range(5_000)]
    waits_for = {later: [earlier] for earlier, later in pairwise(names)}

    assert critical_path(dict.fromkeys(reversed(names), 1.0), waits_for) == 5_000
