r"""What models write into JSON strings without doubling their backslashes, and what has to come out."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trace2skill.models.backslashes import restore
from trace2skill.models.escapes import decode, restored

SHARED = Path(__file__).parents[3] / "../shared/data"


def needs_shared_data(test: Callable[[], None]) -> Callable[[], None]:
    """Mark a test that reads real texts."""
    return pytest.mark.shared_data(pytest.mark.skipif(not SHARED.is_dir(), reason=f"{SHARED} is not there")(test))


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
        r"A^\top B, f(x) = \tan(x), \sum_\nu and \triangleABC",
        r"P(A) = \nu, x\neq 0, p \nmid q",
        r"\tbinom{n}{k} \ntriangleleft \textsc{x}",
        r"$A$1 and $B$2, then a \times b",
        r"c:\temp\new\report.xlsx and save to C:\new",
        r"outputs\table.csv, reports\new.xlsx, src\utils\test.py",
        r"\begin{cases} a \\ b \end{cases}",
        r"the pattern \r?\n, `[^\n]+`, `[\t\r\n ]`, `\n{2,}` and `\t+`",
        r"re.sub('\n+', ' ', s.replace('\n\n', '\n'))",
        r"print(f'{a}\t{b}\n'); f.write('done\n')",
        r"re.findall(r'\bfoo\n', s)",
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
        (r"open(p, 'r') as f:\n    rows = f\nprint('done')", "open(p, 'r') as f:\n    rows = f\nprint('done')"),
        (r"R's list.\nIt's long", "R's list.\nIt's long"),
        (r"df = read()\nsubset = df\neq = Eq(x, 4)\n\tfrac = 3", "df = read()\nsubset = df\neq = Eq(x, 4)\n\tfrac = 3"),
        (r"Use $A$1 and $B$2.\nless is more\nu = 3", "Use $A$1 and $B$2.\nless is more\nu = 3"),
        (r"$5 to $10\ni.e. this\n\text = name[4:]", "$5 to $10\ni.e. this\n\text = name[4:]"),
        (
            r"`=SUM(A1:A9)`\n`=MAX(A1)`\n\"Do this.\"\n\"Then\"\t\"that\"",
            '`=SUM(A1:A9)`\n`=MAX(A1)`\n"Do this."\n"Then"\t"that"',
        ),
        (r"Column C:\t\"a\"\nColumn D:\tvalue\nStep E:\n\t- x", 'Column C:\t"a"\nColumn D:\tvalue\nStep E:\n\t- x'),
        (
            r"outputs\nresult\nresult.json\nsee\nfolder\ntable.csv",
            "outputs\nresult\nresult.json\nsee\nfolder\ntable.csv",
        ),
        (r"open \"C:\Users\me\" or \"D:\data\new\"", r'open "C:\Users\me" or "D:\data\new"'),
        (r"| a |\n|---|\n| 1 |", "| a |\n|---|\n| 1 |"),
        (r"git commit -m \"one\n\ntwo lines\"", 'git commit -m "one\n\ntwo lines"'),
        (r"Markdown wraps (\"so that lines\nstay short\", say)", 'Markdown wraps ("so that lines\nstay short", say)'),
        (r"\\(x\\)\nu, v\te, \\alpha is 'a\nb'", "\\(x\\)\nu, v\te, \\alpha is 'a\nb'"),
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


def test_whoever_doubles_backslashes_is_taken_at_their_word() -> None:
    honest = {"code": r"re.split(r'\d', 'a" + "\n" + r"b')", "other": "strip('\n') and `[\n]`"}

    assert restored(decode(json.dumps(honest))) == honest
    assert restored(honest | {"code": ""})["other"] == r"strip('\n') and `[\n]`"


def test_what_could_be_a_name_in_code_stays_a_line_of_it() -> None:
    text = "x = 5 \neq 0\n```python\nx = f(\nsubset)\neq 0\n```\ny \neq 1"

    assert restore(text) == "x = 5 \\neq 0\n```python\nx = f(\nsubset)\neq 0\n```\ny \\neq 1"


_PIECES = [
    "df",
    " = ",
    "eq",
    "subset = x",
    "i",
    "u",
    "\n",
    "\n\n",
    "\n\t",
    "    ",
    "(",
    ")",
    ".",
    "'r'",
    '"a"',
    "$A$1",
    "`x`",
    "C:",
    "-",
]


@settings(deadline=None)
@given(st.lists(st.sampled_from(_PIECES), min_size=1).map("".join))
def test_lines_of_code_and_prose_stay_lines(text: str) -> None:
    # A space before a line break, or a line break within brackets and quotes, is not how lines end.
    text = re.sub(r"(?<=[ (\"'`$])[\n\t]+", "", text).strip()

    assert restored(decode(json.dumps({"text": text, "command": r"\alpha"})))["text"] == text


@needs_shared_data
def test_real_skills_are_read_as_they_are() -> None:
    paths = sorted(SHARED.joinpath("skills-corpus").rglob("*.md"))
    texts = [path.read_text(encoding="utf-8").replace("\r\n", "\n") for path in paths if path.is_file()]

    assert len(texts) > 80
    assert [text for text in texts if restored(decode(json.dumps({"text": text}))) != {"text": text}] == []


@needs_shared_data
def test_real_mathematics_with_and_without_doubled_backslashes() -> None:
    prompts = pd.read_parquet(SHARED / "dapo-math" / "dapo_math_17k.parquet", columns=["prompt"])["prompt"]
    texts = sorted({prompt[0]["content"] for prompt in prompts})
    texts = [text for text in texts if "\\" in text and not re.search(r"[\x00-\x08\x0b-\x1f]", text)][::3]

    def lost(written: Callable[[str], str]) -> int:
        return sum(restored(decode(written(json.dumps({"text": text})))) != {"text": text} for text in texts)

    assert len(texts) > 3_000
    assert lost(lambda text: text) <= 2
    # What is lost: rows outside of environments, whose two backslashes are a doubled one, and `\n` in letters.
    assert lost(lambda text: text.replace("\\\\", "\\")) < len(texts) / 100
