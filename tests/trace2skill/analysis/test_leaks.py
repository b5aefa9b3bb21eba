import io
import time
import zipfile

import pytest

from trace2skill.analysis.leaks import Guarded, answers, hard_coded, leaked, readable, reference_values

VERDICT = "FAILED\nSheet1!B2: expected 48213.5, got None\nSheet1!B3: expected 'Hamburg-Altona', got 'Bremen'"


def test_only_what_nobody_else_could_know_is_a_reference_value() -> None:
    values = reference_values(VERDICT, ["the task speaks of Bremen", "an input cell holds 48213.5"])

    assert values == {"Hamburg-Altona"}


def test_a_fix_with_a_reference_value_is_stopped() -> None:
    values = reference_values(VERDICT, ["Bremen"])

    assert hard_coded("ws['B2'] = 48213.5", values) is not None
    assert hard_coded("ws['B2'] = total", values) is None
    assert hard_coded("ws['B2'] = 148213.57", values) is None


def test_a_lesson_that_speaks_of_the_reference_is_stopped() -> None:
    assert leaked("Compare with the golden workbook.", Guarded()) is not None
    assert leaked("Compare with the expected answer.", Guarded()) is not None
    assert leaked("Read back what was written.", Guarded()) is None


@pytest.mark.parametrize(
    "text",
    [
        "Understand the expected output format before writing.",
        "Check that key cells contain expected values.",
        "Map external reference values to rows by key.",
        "The answer is a single number without unit.",
        "The result is 0 for an empty list.",
    ],
)
def test_a_lesson_about_form_is_no_leak(text: str) -> None:
    assert leaked(text, Guarded()) is None


@pytest.mark.parametrize(
    "text",
    [
        "The answer is 7,102.",
        "Note that the correct answer should be $\\boxed{42}$.",
        "The expected output was 3.5 here.",
        "The final answer is: 12",
    ],
)
def test_a_lesson_that_states_an_answer_is_stopped(text: str) -> None:
    assert leaked(text, Guarded()) is not None


def leaks(text: str, *targets: str) -> bool:
    return leaked(text, Guarded(answers=answers(targets))) is not None


def test_no_lesson_quotes_its_tasks_answer_though_the_task_holds_it() -> None:
    targets = ["Aoki Ward", "7102", "12", "total", "spreadsheet/1_2/golden.xlsx", " 204 "]

    assert answers(targets) == {"Aoki Ward", "7102", "12", "total", "204"}
    assert leaks("Cities such as Aoki Ward come last.", *targets)
    assert leaks("Totals such as 7,102 need a check.", *targets)


@pytest.mark.parametrize("target", ["42", "7", "0", "7102", "-366", "4.5", "B", "Paris", "yes", "none"])
@pytest.mark.parametrize(
    "text",
    [
        "The answer is **{}**.",
        "The **answer** is _{}_",
        "- Answer: {}.",
        "Answer {}.",
        "**ANSWER:** {}",
        "the answer = {}",
        "The answer is:\n{}",
        "The answer is:\n\n* {}",
        "## Answer\n\n{}",
        "The run's answer was $x = {}$.",
        r"It ends with \boxed{{\text{{{}}}}}.",
        r"$\mathbf{{{}}}$ is the answer",
        "The correct value is approximately `{}`",
        "The solution is “{}”, and nothing else.",
        "The\u00a0answer\u00a0 is\u2009{}",
        "The answer\nis {}",
        "{} is the correct answer.",
        "The word should have been {}.",
        "Of 3.5 pages, the answer to this question is {} because all rows count.",
    ],
)
def test_a_lesson_that_tells_its_tasks_answer_is_stopped_however_short_that_is(text: str, target: str) -> None:
    assert leaks(text.format(target), target)


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ("03/14/1997", "March 14, 1997"),
        ("03/14/1997", "1997-03-14"),
        ("3/14/97", "14th of March 1997"),
        ("Sept. 8,  1972", "8/9/1972"),
        ("$7,102", "7102"),
        ("7102", "US$7,102.00"),
        ("45.3%", "45.3"),
        ("7102 km", "7,102 miles"),
        ("7102", "7\u00a0102"),
        ("7102", "7{,}102"),
        ("7102", r"7\,102"),
        ("7102", "_7102_"),
        ("7102", "7102nd"),
        ("7102", "\uff17\uff11\uff10\uff12"),
        ("7102", "\u22127102"),
        ("-7102", "7102"),
        ("7102", "[12,7102,3]"),
        ("New York City", "New\nYork City"),
        ("New York City", "**New York** City"),
        ("Bob's shop", "Bob\u2019s shop"),
        ("S\u00e3o Tom\u00e9", "Sa\u0303o Tome\u0301"),
        ("France, Spain", "Spain"),
        ("GLYCERINE/GLYCOL", "glycerine/glycol"),
    ],
)
def test_a_target_is_found_in_other_spellings(target: str, text: str) -> None:
    assert leaks(f"Rows such as {text} need care.", target)
    assert leaks(f"The answer is {text}.", target)


@pytest.mark.parametrize(
    "target", ["Check", "First", "Index", "Report", "References", "None", "True", "100", "2,000", "2", "IN", "no", "A"]
)
@pytest.mark.parametrize(
    "text",
    [
        "Check the report first",
        "Index References by Name: First Report, then Original",
        "Process 100 of 2000 rows; set the rest to None or True.",
        "A wrong answer has no unit, or an article in it.",
        "Give the answer in 2 decimal places.",
    ],
)
def test_a_lessons_own_words_are_no_answers(text: str, target: str) -> None:
    assert not leaks(text, target)


@pytest.mark.parametrize("targets", [(), ("42",), ("outputs/1_2/golden.xlsx",)])
@pytest.mark.parametrize(
    "text",
    [
        "Check that the answer is 0 or greater.",
        "The answer must be 3 digits.",
        "It should be 2 decimal places.",
        "The expected result is 1-based.",
        "AIME answers are 0 to 999.",
        "Fill the answer key column.",
        "Compare with the ground truth labels in the sheet.",
    ],
)
def test_the_form_of_answers_and_columns_of_the_input_are_no_leak(text: str, targets: tuple[str, ...]) -> None:
    assert not leaks(text, *targets)


def test_an_answer_in_letters_without_case_stops_only_what_holds_it() -> None:
    assert leaks("such as \u6771\u4eac\u30bf\u30ef\u30fc, first", "\u6771\u4eac\u30bf\u30ef\u30fc")
    assert not leaks("look at the last line, first", "\u6771\u4eac\u30bf\u30ef\u30fc")
    assert leaks("The answer is \u6771\u4eac.", "\u6771\u4eac")
    assert not leaks("look at the last line, first", "\u6771\u4eac")


@pytest.mark.parametrize("text", ["The answer is twelve.", "Answer: twelve"])
def test_a_small_number_in_words_is_an_answer_too(text: str) -> None:
    assert leaks(text, "12")
    assert not leaks(text, "11")


def test_an_example_with_another_number_is_no_leak_where_the_target_is_known() -> None:
    assert not leaks("If the answer is 7, write \\boxed{7}.", "42")
    assert leaks("If the answer is 7, write \\boxed{7}.", "7")


@pytest.mark.parametrize(
    "text",
    ["answer " * 3000, "answer is " + "the " * 5000, "*" * 20_000, "answer: \n" * 3000, "\n" * 20_000, "{" * 20_000],
)
def test_a_long_text_takes_no_long_time(text: str) -> None:
    begun = time.process_time()

    assert not leaks(text, "42", "Paris")
    assert time.process_time() - begun < 20  # seconds; it is one or two


def test_text_inside_a_workbook_is_readable() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("xl/sharedStrings.xml", "<t>Hamburg-Altona</t>")

    assert "Hamburg-Altona" in readable(buffer.getvalue())
    assert readable(b"plain") == "plain"


def test_a_damaged_or_oversized_container_is_read_as_it_is() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.xml", "text " * 1000)
        archive.writestr("b.xml", "x" * 70_000_000)
    damaged = bytearray(buffer.getvalue())
    damaged[40:60] = bytes(20)

    assert len(readable(buffer.getvalue())) < 1_000_000
    assert isinstance(readable(bytes(damaged)), str)


def test_the_row_of_a_cell_is_no_value_and_double_quotes_are_quotes() -> None:
    assert reference_values('Sheet1!C412: expected "Bob\'s shop", got None', []) == {"Bob's shop"}


@pytest.mark.parametrize(
    ("verdict", "text"),
    [
        ("expected 48213.5", "total = 48_213.50"),
        ("expected 48213.5", "The sum is 48.213,50."),
        ("expected 1,241.00", "It is 1241."),
        ("expected 'Hamburg-Altona'", "write HAMBURG-ALTONA"),
        ("expected datetime.datetime(2024, 3, 5, 0, 0)", "sheet['B2'] = date(2024, 3, 5)"),
        ("expected datetime.datetime(2024, 3, 5, 0, 0)", "It fell on 05.03.2024."),
        ("expected datetime.datetime(2024, 3, 5, 0, 0)", "sheet['B2'] = 45356"),
    ],
)
def test_a_reference_value_is_found_in_other_spellings(verdict: str, text: str) -> None:
    assert hard_coded(text, reference_values(verdict, [])) is not None


@pytest.mark.parametrize(
    ("verdict", "known"),
    [
        ("expected 1241.0", "the input holds 1,241"),
        ("expected datetime.datetime(2024, 3, 5, 0, 0)", "<v>45356</v>"),
        ("expected datetime.datetime(2024, 3, 5, 0, 0)", "The deadline is 2024-03-05."),
        ("expected 12", ""),
        ("expected 2024-13-45", "it says 2024-13-45"),
    ],
)
def test_what_is_known_in_another_spelling_is_no_reference_value(verdict: str, known: str) -> None:
    assert reference_values(verdict, [known]) == set()


@pytest.mark.parametrize("text", ["range(0, 12)", "round(1.05)", "version 21.0", "row 112"])
def test_short_spellings_of_a_number_stop_nothing(text: str) -> None:
    assert hard_coded(text, frozenset({"1.0", "12.0", "0.5"})) is None


def test_text_in_a_workbook_is_read_as_its_reader_sees_it() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("xl/sharedStrings.xml", "<t>Birch &amp; Co</t>")

    assert reference_values("expected 'Birch & Co'", [readable(buffer.getvalue())]) == set()
