import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.graders import math_answer
from evals.graders.math_answer import WORKERS, compare_answers, compare_expressions, extract_answer, same_value
from evals.graders.worker import PROCESSES


@pytest.fixture(autouse=True, scope="module")
def no_workers_left() -> Iterator[None]:
    yield
    WORKERS.stop()


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"so \boxed{41}, no: \boxed{42}.", "42"),
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed{\text{a } \{1, 2\}}", r"\text{a } \{1, 2\}"),
        (r"\boxed{\boxed{5}}", r"\boxed{5}"),
        (r"\boxed {7} and \boxed{unfinished", "7"),
        (r"an open { before \boxed{8}", "8"),
        (r"\boxed{9} then \boxed{}", "9"),
        (r"\fbox{3}", "3"),
        (r"ANSWER: 4 although earlier \boxed{5}", "5"),
        ("ANSWER: 17", "17"),
        ("answer: 1\nANSWER: 2", "2"),
        ("Hence the answer is $x = 12$ minutes.", "x = 12"),
        ("The answer is 3.5. Let us check it.", "3.5"),
        ("The final answer is: 1,234, as claimed", "1,234"),
        ("**Answer:** 42", "42"),
        ("**ANSWER: -42**", "-42"),
        ("The answer is:\n$$6$$", "6"),
        ("The answer is \\(8\\).", "8"),
        ("I computed it.\n\n42", "42"),
        ("Done.\n**1,024**", "1,024"),
        ("I think it is 42 apples", None),
        ("Answer", None),
        ("", None),
    ],
)
def test_the_last_declared_answer_is_found(text: str, answer: str | None) -> None:
    assert extract_answer(text) == answer


@pytest.mark.parametrize(
    "text", ["\\boxed{" * 200_000, "answer is " * 200_000, "{" * 10**7, "$" * 10**6, "the answer is $" + "a$" * 10**5]
)
def test_looking_for_an_answer_takes_a_moment_only(text: str) -> None:
    start = time.process_time()

    extract_answer(text)

    assert time.process_time() - start < 1


EQUAL = [
    ("204", "204"),
    ("007", "7"),
    ("+5", "5"),
    ("-0", "0"),
    ("- 5", "-5"),
    ("\N{MINUS SIGN}5", "-5"),
    ("7.0", "7"),
    ("7.", "7"),
    (".5", "1/2"),
    ("1,234", "1234"),
    ("1{,}234", "1234"),
    (r"1\,234\,567", "1234567"),
    (r"1,\!234", "1234"),
    ("20000000000000000000000", "20,000,000,000,000,000,000,000"),
    (r"\frac{10}{2}", "5"),
    (r"\dfrac{-6}{3}", "-2"),
    (r"-\tfrac12", "-0.5"),
    (r"\frac{1,000}{2}", "500"),
    ("10/2", "5"),
    (r"12\text{ cm}", "12"),
    (r"12\,\mathrm{cm}^2", "12"),
    ("12cm", "12"),
    ("12 square units", "12"),
    ("204 minutes.", "204"),
    (r"45^{\circ}", "45"),
    ("45°", "45"),
    (r"\$1,200", "1200"),
    ("50%", "50"),
    ("x=12", "12"),
    ("AB = BC = 12", "12"),
    (r"x \equiv 5 \pmod{7}", "5"),
    (r"\left( 5 \right)", "5"),
    (r"\boxed{\textbf{5}}", "5"),
    (r"\text{(A)}", "(A)"),
]
DIFFERENT = [
    ("5", "-5"),
    ("7.5", "7"),
    ("1,2", "12"),
    ("(1,234)", "1234"),
    ("12 or 13", "12"),
    ("12 or 13", "13"),
    (r"1\text{ or }234", "1234"),
    ("x=3, y=4", "4"),
    ("x=3 or x=4", "4"),
    ("x>=5", "5"),
    (r"x\neq 5", "5"),
    (r"12\pmod 7", "5"),
    ("12 million", "12"),
    ("12^2", "12"),
    ("12n", "12"),
    (r"\frac{1}{0}", "5"),
    ("{{{", "5"),
    ("5-", "5"),
    ("\x00", "5"),
    ("1" + "0" * 6000, "1" + "0" * 5999),
]
SYMBOLIC = [
    (r"2^{10}", "1024"),
    (r"\sqrt{16}", "4"),
    (r"\binom{5}{2}", "10"),
    ("5!", "120"),
    (r"3\frac{1}{2}", "7/2"),
    (r"2\times10^{22}", "20000000000000000000000"),
    (r"50\%", "0.5"),
    ("12 = 3*4", "12"),
]


@pytest.mark.parametrize(("prediction", "target"), EQUAL + SYMBOLIC)
def test_equal_values(prediction: str, target: str) -> None:
    assert same_value(prediction, target)


@pytest.mark.parametrize(("prediction", "target"), DIFFERENT)
def test_different_values(prediction: str, target: str) -> None:
    assert not same_value(prediction, target)


@given(st.integers(-(10**30), 10**30), st.integers(-(10**30), 10**30))
def test_whole_numbers_are_compared_by_value(one: int, other: int) -> None:
    assert same_value(f"{one:,}", str(other)) == (one == other)
    assert same_value(f"\\boxed{{{one}}}", f"{one}.0")


@given(st.text(alphabet="\\{}()[]$,.^_=+- 0123456789abm%/", max_size=30))
def test_no_answer_is_a_crash(text: str) -> None:
    extract_answer(text)
    math_answer.number_of(math_answer.tidy(text))


@pytest.mark.parametrize(
    ("prediction", "reason"),
    [
        ("seven", "A number was expected, but the answer is 'seven'"),
        ("no solution", "A number was expected"),
        ("9" * 30_000, "An answer of 30,000 characters is too long"),
        ("1+" * 5_000 + "1", "An expression of 10,001 characters"),
        ("6", "another value than the target"),
        (r"\frac{m}{n}", "differs from the target"),
        (r"\foo{", "cannot be read as mathematics"),
    ],
)
def test_a_wrong_answer_is_explained(prediction: str, reason: str) -> None:
    verdict = compare_answers(prediction, "5")

    assert not verdict.same
    assert reason in verdict.reason


def test_an_absurd_expression_is_given_up_and_the_next_is_judged() -> None:
    given_up = compare_expressions(r"9^{9^{9^{9}}}", "5", seconds=0.5)

    assert not given_up.same
    assert "took more than 0.5 s" in given_up.reason
    assert same_value(r"\sqrt{16}", "4")


def test_a_process_is_kept_and_threads_share_them() -> None:
    assert same_value(r"\sqrt{25}", "5")
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(same_value, [rf"\sqrt{{{n * n}}}" for n in range(20)], map(str, range(20))))

    assert all(found)
    assert 1 <= len(WORKERS.idle) <= PROCESSES
    WORKERS.stop()
    assert not WORKERS.idle
