r"""What models write into JSON strings without doubling their backslashes, and what has to come out."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trace2skill.models.escapes import decode, restore, restored


def read(text: str) -> str:
    found = restored(decode(f'{{"text": "{text}"}}'))["text"]
    assert isinstance(found, str)
    return found


@pytest.mark.parametrize(
    "text",
    [
        r"a \times b",
        r"$x \neq y$",
        r"x \neq 0, so x has an inverse",
        r"\rightarrow and \Rightarrow",
        r"\boxed{5} and \frac{1}{2} and \binom{n}{k}",
        r"\text{cm}^2, \nabla f, \theta",
        r"$\theta$ \to \infty",
        r"$n \to 0$ or $a \ne b$, where \(\nu\) and $\tau$",
        r"C:\temp\new\report.xlsx",
        r"see D:\new_data\x.csv and C:\Users\n.txt",
        r"open .\temp\new.xlsx and ..\reports\total.xlsx",
        r"data\sheets\total.xlsx or data\temp\new.csv",
        r"%USERPROFILE%\table.csv, ~\notes\table.md, \\server\new\table.xlsx",
        r"x \quad \to \quad y, \neg p \nRightarrow q",
        r"\begin{tabular}{r} a & b \\ c & d \end{tabular}",
        r"re.sub(r'\b\t\n', ' ', x)",
        r"strip('\t\r\n') and `\r\n`",
        r"use \d+\s*\b\w and \. or \(",
        r"split('\n') or join with `\t`",
        r"a\_b \# \$",
    ],
)
def test_single_backslashes_are_what_was_meant(text: str) -> None:
    assert read(text) == text


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        (r"one\nnext line\n\nnot this", "one\nnext line\n\nnot this"),
        (r"a\tb\tc", "a\tb\tc"),
        (r"x = 1\ni += 1", "x = 1\ni += 1"),
        (r"if x:\n\treturn y", "if x:\n\treturn y"),
        (r"name\tfile.csv", "name\tfile.csv"),
        (r"input.csv\noutput.csv\nfinal.csv", "input.csv\noutput.csv\nfinal.csv"),
        (r"see:\n..\n\nwait...\nthen 5%.\n%TEMP% here", "see:\n..\n\nwait...\nthen 5%.\n%TEMP% here"),
        (
            r"\\\\host\\share\\new.xlsx, ..\\total.xlsx, r'\\d\\t', a \\\\ b",
            r"\\host\share\new.xlsx, ..\total.xlsx, r'\d\t', a \\ b",
        ),
        (r"Part C:\nUse it", "Part C:\nUse it"),
        (r"'x'\n'y'", "'x'\n'y'"),
        (r"```\ncode\n```", "```\ncode\n```"),
        (r"line\r\nnext\rlast", "line\nnext\\rlast"),
        (r"a \\times b, \\neq, \\boxed{1}", r"a \times b, \neq, \boxed{1}"),
        (r"\u00e9 \/ \"q\" don\'t", 'é / "q" don\'t'),
        (r"\underline{x} \upsilon", r"\underline{x} \upsilon"),
        (r"nul \u0000, bell \u0007, escape \u001b[31m", r"nul , bell \a, escape [31m"),
        ("a line break\nas it is", "a line break\nas it is"),
    ],
)
def test_escapes_that_were_meant_stay_escapes(text: str, meant: str) -> None:
    assert read(text) == meant


@pytest.mark.parametrize(
    ("decoded", "meant"),
    [
        ("a \times b", r"a \times b"),
        ("\boxed{5} \frac12", r"\boxed{5} \frac12"),
        ("$x \neq y$ \rightarrow z", r"$x \neq y$ \rightarrow z"),
        ("plain\ttext\nand more", "plain\ttext\nand more"),
    ],
)
def test_arguments_of_tool_calls_come_decoded(decoded: str, meant: str) -> None:
    assert restore(decoded) == meant


@pytest.mark.parametrize(
    "text",
    [
        '{"value": 1}',
        'Here it is:\n```json\n{"value": 1}\n```\nI hope this helps.',
        '```\n{"value": 1}\n```',
        'Sure. {"value": 1} is the answer {as asked}.',
        '<think>\nSome {thoughts}\n</think>\n```json\n{"value": 1}\n```',
    ],
)
def test_the_object_is_found_between_other_words(text: str) -> None:
    assert decode(text) == {"value": 1}


@pytest.mark.parametrize("text", ["", "no object", '{"value": 1', "[" * 100_000, "{" * 5000])
def test_what_holds_no_value_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"JSON|delimiter|Expecting|nested|control|Unterminated"):
        decode(text)


@given(st.text())
def test_only_tabs_and_line_breaks_are_left_of_control_characters(text: str) -> None:
    assert not {char for char in restore(text) if ord(char) < 32 or ord(char) == 127} - {"\t", "\n"}


@settings(deadline=None)
@given(st.dictionaries(st.text(), st.text(st.characters(exclude_characters="\b\f:.~%'"))))
def test_honest_json_is_read_as_it_is(value: dict[str, str]) -> None:
    value = {str(number): text for number, text in enumerate(value.values())}

    assert decode(json.dumps(value)) == value
