import pytest
from hypothesis import given

from tests.trace2skill.edits.test_patch_properties import QUICK
from tests.trace2skill.strategies import texts
from trace2skill.edits.splice import Splice, encode, splice
from trace2skill.skill.sections import bare_key, heading_key, parse_document, split_frontmatter, split_lines


def outline(text: str) -> list[tuple[int, str, int, int, int]]:
    document = parse_document(text.encode())
    return [(s.level, s.title, s.start, s.own_end, s.end) for s in document.sections]


def test_sections_nest_by_level() -> None:
    assert outline("# A\nx\n## B\ny\n### C\n## D ##\n# E\n") == [
        (1, "A", 0, 2, 6),
        (2, "B", 2, 4, 5),
        (3, "C", 4, 5, 5),
        (2, "D", 5, 6, 6),
        (1, "E", 6, 7, 7),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "```\n# no\n```",
        "~~~~ py\n```\n# no\n~~~\n# no\n~~~~",
        "````md\n```\n# no\n```\n````",
        "```\n# no\n",
        "- item\n\n  # in the item",
        "- ```\n  # no\n  ```",
        "> # quoted",
        "<div>\n# no\n</div>",
        "<!--\n\n# no\n\n-->",
        "    # indented code",
        "#no space",
        "####### seven",
        "\\# escaped",
    ],
)
def test_what_is_no_heading(text: str) -> None:
    assert outline(text) == []


def test_setext_headings_and_rules() -> None:
    assert outline("Title\n===\n\ntext\n\n---\nmore\nlines\n---\n") == [
        (1, "Title", 0, 6, 9),
        (2, "more lines", 6, 9, 9),
    ]


def test_only_line_feeds_end_lines() -> None:
    assert split_lines("a\r\nb\x0cc\u2028d\re\n\nf") == (("a", "b\x0cc\u2028d\re", "", "f"), ("\r\n", "\n", "\n", ""))
    assert split_lines("") == ((), ())
    assert outline("a\r# no\x0b# no\u2028# no\n# yes\n") == [(1, "yes", 1, 2, 2)]


def test_frontmatter_hides_its_lines() -> None:
    document = parse_document(b"\xef\xbb\xbf---\nname: x\n# comment\n---\n# A\n---\n")
    assert (document.front, document.bom) == (4, True)
    assert [section.title for section in document.sections] == ["A"]
    assert document.rules == {5}


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("---\na: 1\n---", 3),
        ("--- \na: 1\n---\t\nx", 3),
        ("---\n# Just\n\nrules\n---", 0),
        ("---\na: 1\n", 0),
        ("\n---\na: 1\n---", 0),
        ("---\n---\n", 0),
        ("---\na: 2024-99-99\n---", 3),
        ("---\na: *b\n---", 0),
        ("---\n" + "[" * 5000 + "\n---", 0),
    ],
)
def test_what_is_frontmatter(text: str, lines: int) -> None:
    assert split_frontmatter(text.split("\n"))[0] == lines


def test_heading_keys() -> None:
    assert heading_key("## **Write**  the [file](x.md): ##") == "write the file"
    assert bare_key("### 3.1 Write Files") == bare_key("2. write files") == bare_key("(4) write files") == "write files"
    assert bare_key("10") == "10"
    assert bare_key("3 ways") == "3 ways"


def test_dominant_newline() -> None:
    assert parse_document(b"a\r\nb\r\nc\n").newline == "\r\n"
    assert parse_document(b"a\r\nb\n").newline == "\n"


@given(texts())
@QUICK
def test_unchanged_documents_keep_their_bytes(text: str) -> None:
    document = parse_document(text.encode())
    assert encode(document, splice(document, [])) == text.encode()
    for section in document.sections:
        assert document.front <= section.start < section.body <= section.own_end <= section.end <= len(document.lines)


def test_encode_keeps_endings_and_the_missing_last_one() -> None:
    document = parse_document(b"a\r\nb\nc")
    new = splice(document, [Splice(start=3, end=3, text=("d",), owner="e", gap=False)])
    assert encode(document, new) == b"a\r\nb\nc\nd"
    assert encode(document, splice(document, [Splice(start=2, end=3, text=(), owner="e", gap=False)])) == b"a\r\nb"
    assert encode(document, []) == b""
