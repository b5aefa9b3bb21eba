"""How an answer is set, with which decoration or type, does not change what it says."""

import time

import pytest

from evals.answer_items import judge, read_message
from evals.graders.math_answer import extract_answer, same_value
from evals.math_reasoning import judge as judge_value
from evals.visionqa import final_answer, readings

DECORATED = [
    "**ANSWER**: Boston",
    "***ANSWER***: Boston",
    "**Answer**: **Boston**",
    "ANSWER : Boston",
    "**Final Answer:** Boston",
    "Final Answer: Boston",
    "The final answer is: Boston",
    "`ANSWER: Boston`",
    "`ANSWER`: Boston",
    "- ANSWER: Boston",
    "* ANSWER: Boston",
    "1. ANSWER: Boston",
    "> ANSWER: Boston",
    "> **ANSWER:**\n> Boston",
    "## ANSWER: Boston",
    "__ANSWER:__ Boston",
    "ANSWER: **Boston**",
    "ANSWER: *Boston*",
    "ANSWER: `Boston`",
    "ANSWER:\n**Boston**",
    "ANSWER:\n- Boston",
    "ANSWER:\n1. Boston",
    "ANSWER\N{FULLWIDTH COLON} Boston",
    "```\nANSWER: Boston\n```",
    "ANSWER:\n```\nBoston\n```",
    "ANSWER:\n```text\nBoston\n```\nI am sure of it.",
    "ANSWER: New York\nNo.\n**ANSWER**: Boston",
]


@pytest.mark.parametrize("message", DECORATED)
def test_a_decorated_answer_line_is_right_in_both_tasks(message: str) -> None:
    assert judge(f"It is in the table.\n\n{message}", ["Boston"], ["Boston"]).right
    assert final_answer(f"It is on the page.\n\n{message}") == "Boston"


@pytest.mark.parametrize(
    ("message", "items"),
    [
        ("ANSWER:\n1. a\n2. b", ("a", "b")),
        ("ANSWER:\n- a\n- **b**", ("a", "b")),
        ("ANSWER:\n2. a\n3. b", ("2. a", "3. b")),
        ("ANSWER:\n-5", ("-5",)),
        ("ANSWER:\n**a** and **b**", ("**a** and **b**",)),
        ("ANSWER: a*", ("a*",)),
        ("ANSWER:\n-", ("-",)),
    ],
)
def test_only_decoration_goes(message: str, items: tuple[str, ...]) -> None:
    assert read_message(message).items == items


def test_a_name_like_a_list_is_right_as_it_stands() -> None:
    assert judge("ANSWER:\n1. FC Köln", ["1. FC Köln"], ["1. FC Köln"]).right
    assert judge("ANSWER: 1. FC Köln", ["1. FC Köln"], ["1. FC Köln"]).right
    assert readings("ANSWER:\n1. Introduction") == ["Introduction", "1. Introduction"]
    assert not judge("ANSWER:\n1. Boston", ["Paris"], ["Paris"]).right


@pytest.mark.parametrize("message", ["It answers: Boston", "The ANSWER is Boston", "My question, answered: Boston"])
def test_a_line_that_only_speaks_of_answers_is_none(message: str) -> None:
    assert read_message(message).problem


@pytest.mark.parametrize(
    "text", ["> " * 10**6 + "answer", "answer " * 10**6, "*" * 10**6 + "answer:" + "*" * 10**6, "ANSWER:\n" * 10**5]
)
def test_looking_for_the_line_takes_a_moment_only(text: str) -> None:
    start = time.process_time()

    read_message(text)

    assert time.process_time() - start < 2


SAME = [
    r"\textcolor{blue}{7}",
    r"\color{red}7",
    r"\color{red}{7}",
    r"\color[rgb]{1,0,0} 7",
    r"\underline{7}",
    r"\emph{7}",
    r"\large 7",
    r"{\Large 7}",
    r"\bf 7",
    r"\rm 7",
    r"{\bfseries 7}",
    r"\boldsymbol{7}",
    r"\mathtt{7}",
    r"\pmb{7}",
    r"\hbox{7}",
    r"\textup{7}",
    r"\operatorname{7}",
    r"\colorbox{yellow}{7}",
    r"\colorbox{yellow}{$7$}",
    r"\fcolorbox{red}{white}{7}",
    r"\begin{aligned}7\end{aligned}",
    r"\begin{aligned}x&=7\end{aligned}",
    r"\begin{array}{c}7\end{array}",
    r"\bigl(7\bigr)",
    r"\Biggl(7\Biggr)",
    r"7\hspace{2pt}",
    r"7\thinspace",
    r"x = \color{red}{7}",
    r"7^{\circ}\mathrm{C}",
    r"7^{\text{th}}",
    "7th",
    r"\text{Answer: }7",
    r"\text{The final answer is }7",
    r"7\text{ (seven)}",
    r"\frac{\textcolor{red}{14}}{2}",
]


@pytest.mark.parametrize("answer", SAME)
def test_a_command_that_only_sets_type_leaves_the_value(answer: str) -> None:
    assert judge_value(rf"\boxed{{{answer}}}", "7")[1].same
    assert not judge_value(rf"\boxed{{{answer}}}", "8")[1].same


@pytest.mark.parametrize(
    "answer",
    [
        r"\overline{7}",
        r"7\text{ (million)}",
        "7 (n)",
        r"7^{n}",
        r"7\text{ or }8",
        r"\begin{array}{c}7\\8\end{array}",
        r"\color{red}{7}8",
        "7thousand",
    ],
)
def test_what_changes_the_value_still_does(answer: str) -> None:
    assert not same_value(answer, "7")


@pytest.mark.parametrize(
    "message", ["**ANSWER**: 7", "`ANSWER: 7`", "`ANSWER`: 7", "ANSWER : 7", "**Final Answer:** 7"]
)
def test_a_declared_number_is_found_whatever_its_decoration(message: str) -> None:
    answer = extract_answer(message)

    assert answer
    assert same_value(answer, "7")
