"""Random skills and edits for property tests: awkward Markdown, awkward text, hostile paths."""

from typing import get_args

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from trace2skill.edits.patch import Edit, Operation, document_of
from trace2skill.skill.folder import Skill

TITLES = ("Use", "1. Use", "Write *files*", "Ä: ölig", "见", "End", "use")

HOSTILE_PATHS = (
    "",
    ".",
    "..",
    "../x.md",
    "/etc/x.md",
    "C:/x.md",
    "references/../../x.md",
    "references//x.md",
    "references/",
    "references\\x.md",
    "references/a\0.md",
    "references/a\nb.md",
    "references/.hidden.md",
    "references/sub/x.md",
    "references/A.md",
    "references/A\u030a.md",
    "references/" + "x" * 300 + ".md",
    "scripts/run.md",
    "Scripts/x.md",
    "assets/t.md",
    "LICENSE",
    "LICENSE.md",
    "references/notice.md",
    "scripts/run.py",
    "SKILL.md/x.md",
    "skill.md",
    "~/x.md",
    "references/new.md/x.md",
)

headings: SearchStrategy[str] = st.builds(
    lambda indent, level, title, close: f"{' ' * indent}{'#' * level} {title}{close}",
    st.integers(0, 4),
    st.integers(1, 7),
    st.sampled_from(TITLES),
    st.sampled_from(["", " ##", "  "]),
)

lines: SearchStrategy[str] = st.one_of(
    headings,
    st.sampled_from(
        ["", "", "  ", "---", "===", "***", "- - -", "\t", "\ufeff", "\r", "a\rb", "a\u2028b", "x" * 5_000]
    ),
    st.sampled_from(["- one", "- two", "  - deep", "    more", "1. first", "2) second", "* star", "-", "+ plus"]),
    st.sampled_from(["```", "```py", "~~~", "~~~~ text", "````", "    ```", "- ```", "> ```", "`", "<!--", "-->"]),
    st.sampled_from(["<details>", "</details>", "<pre>", "</pre>", "<div>", "| a | b |", "|---|---|", "> quote"]),
    st.sampled_from(
        ["some text", "some  text", "Some text.", "see references/new.md", "[x]: y", "[a](references/a.md)"]
    ),
    st.text(max_size=20),
)


_blocks: SearchStrategy[str] = st.one_of(
    headings.map(str.strip),
    st.sampled_from(
        ["", "- one\n- two", "- a\n  - b\n\n    c\n- d", "1. x\n2. y", "para one\nstill one", "text  here"]
    ),
    st.sampled_from(["```py\n# no heading\n```", "~~~\n## no\n```\n~~~", "| a |\n|---|\n| 1 |", "> q\n> r", "---"]),
)


@st.composite
def texts(draw: DrawFn, max_lines: int = 12, min_lines: int = 0) -> str:
    """Markdown with any line endings: half of it decent, half of it anything."""
    ending = draw(st.sampled_from(["\n", "\r\n", None]))
    source = draw(st.sampled_from([lines, _blocks, st.one_of(lines, _blocks)]))
    parts = []
    for line in draw(st.lists(source, min_size=min_lines, max_size=max_lines)):
        parts += [line, ending or draw(st.sampled_from(["\n", "\r\n", "\n\n"]))]
    return "".join(parts[:-1] if draw(st.booleans()) else parts)


@st.composite
def skills(draw: DrawFn) -> Skill:
    """A skill that loads, with files of every kind."""
    ending = draw(st.sampled_from(["\n", "\r\n"]))
    front = ending.join(["---", "name: demo", "description: d", "# a comment", "---", ""])
    files = {"SKILL.md": (draw(st.sampled_from(["", "\ufeff"])) + front + draw(texts(20, 8))).encode()}
    others = st.sampled_from(["references/a.md", "references/b.md", "notes.md", "assets/t.md", "LICENSE.md", "x.bin"])
    for path in draw(st.lists(others, unique=True, max_size=4)):
        broken = draw(st.integers(0, 9)) == 0
        files[path] = b"# A\n\xff\n" if broken else draw(texts()).encode()
    return Skill.from_files({**files, "scripts/run.py": b"print()\n"}, frozenset({"scripts/run.py"}))


@st.composite
def edits_of(draw: DrawFn, skill: Skill, max_size: int = 8) -> list[Edit]:
    """Edits with unique ids, most of which fit the skill."""
    count = draw(st.integers(0, max_size))
    wild = st.integers(0, 5).map(lambda number: number == 5)
    return [
        draw(_wild_edit(skill, f"t{number}.1")) if draw(wild) else draw(_fitting_edit(skill, f"t{number}.1", count))
        for number in range(count)
    ]


_OPERATIONS = get_args(Operation)
_TRAJECTORIES = st.lists(st.sampled_from("abcd"), max_size=3).map(tuple)
_CONTENTS = st.one_of(texts(6), st.tuples(headings, texts(4)).map("\n".join), st.just("- item"), st.just("text"))


@st.composite
def _fitting_edit(draw: DrawFn, skill: Skill, name: str, count: int) -> Edit:
    """An edit that names what is there."""
    editable = [path for path in skill.files if path.endswith(".md") and skill.is_text(path)]
    file = draw(st.one_of(st.just("SKILL.md"), st.sampled_from(editable)))
    document = document_of(skill, file)
    body = [line for line in document.lines[document.front :] if line.strip()] or ["none"]
    titles = [section.title for section in document.sections] or ["none"]
    heads = st.sampled_from([*titles, *(document.lines[section.start] for section in document.sections)])
    quotes = st.one_of(st.sampled_from(body), st.sampled_from(body).map(str.strip), st.sampled_from(body).map(_part))
    op = draw(st.sampled_from([*_OPERATIONS, "append_to_section", "add_section", "replace_in_section"]))
    content = draw(_CONTENTS)
    if op == "add_section":
        content = f"{'#' * draw(st.integers(1, 3))} {draw(st.sampled_from(TITLES))}\n{content}"
    if op == "create":
        file = draw(st.sampled_from(["references/new.md", "references/a.md"]))
    others = st.lists(st.integers(0, count - 1).map(lambda other: f"t{other}.1"), max_size=1).map(tuple)
    return Edit(
        id=name,
        file=file,
        op=op,
        target=draw(
            quotes if op.startswith("insert") else st.one_of(st.just(""), heads) if op == "add_section" else heads
        ),
        section=draw(st.one_of(st.just(""), st.just(""), heads)),
        old=draw(quotes),
        content=content,
        support=draw(_TRAJECTORIES),
        requires=draw(st.one_of(st.just(()), st.just(()), others)),
    )


@st.composite
def _wild_edit(draw: DrawFn, skill: Skill, name: str) -> Edit:
    """An edit of anything, anywhere."""
    anything = st.one_of(lines, texts(3), st.sampled_from(TITLES))
    return Edit(
        id=name,
        file=draw(st.one_of(st.sampled_from(HOSTILE_PATHS), st.sampled_from(list(skill.files)), st.text(max_size=8))),
        op=draw(st.sampled_from([*_OPERATIONS, "unknown"])),
        target=draw(anything),
        section=draw(anything),
        old=draw(anything),
        content=draw(_CONTENTS),
        support=draw(_TRAJECTORIES),
        requires=draw(st.sampled_from([(), (), ("t0.1",), ("gone.1",)])),
    )


def _part(line: str) -> str:
    return line[len(line) // 4 : -len(line) // 4] or line


@st.composite
def cases(draw: DrawFn) -> tuple[Skill, list[Edit]]:
    """A skill and edits to it."""
    skill = draw(skills())
    return skill, draw(edits_of(skill))
