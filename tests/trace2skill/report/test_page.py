"""The page: what others wrote stays text, nothing is fetched, and states never look like numbers."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.trace2skill.report.study import HOSTILE, FakeStudy, Primary
from trace2skill.report.results import Results
from trace2skill.report.writing import Written, write_report


class Elements(HTMLParser):
    """Tags with their attributes, and where links lead."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]


@pytest.fixture(scope="module")
def elements(page: str) -> Elements:
    parser = Elements()
    parser.feed(page)
    return parser


def test_what_others_wrote_stays_text(page: str, elements: Elements) -> None:
    assert HOSTILE not in page
    assert "&lt;script&gt;alert" in page
    assert elements.tags.count("script") == 1
    assert "img" not in elements.tags
    assert [found for found in elements.attributes if found[1].startswith("on")] == []


def test_the_policy_allows_its_own_script_alone(page: str) -> None:
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)[1]

    assert "default-src 'none'" in policy
    assert re.findall(r"script-src ([^;]+)", policy)[0].startswith("'sha256-")


def test_nothing_is_fetched(elements: Elements) -> None:
    fetching = {"src", "srcset", "data", "action", "poster"}
    places = [value for _, name, value in elements.attributes if name == "href"]

    assert [found for found in elements.attributes if found[1] in fetching] == []
    assert [place for place in places if not place.startswith("#")] == []
    assert "link" not in elements.tags
    assert "@import" not in "".join(elements.tags)


def test_every_link_leads_somewhere(elements: Elements) -> None:
    targets = {value for _, name, value in elements.attributes if name == "id"}
    links = {value[1:] for _, name, value in elements.attributes if name == "href"}

    assert links <= targets
    ids = [value for _, name, value in elements.attributes if name == "id" and not value.startswith("table-")]
    assert len(ids) == len(set(ids))


def test_it_answers_first(page: str, written: Written) -> None:
    head = page[page.index("<header") : page.index("<nav")]

    assert f"SIMULATED: {written.headline.text}" in head
    assert re.match(r"It helped in \d of 5 declared comparisons\.", written.headline.text)
    assert "There is no result in 1: from scratch." in head
    assert head.count("<svg") == 4
    assert 'aria-label="Forest plot of the primary differences. deepening helps: +' in head


def test_the_stamp_is_all_over_it(page: str, study: FakeStudy) -> None:
    assert '<body class="simulated">' in page
    assert page.count("SIMULATED") >= 20
    for name in ("tables.md", "table-1.tex"):
        assert "SIMULATED" in (study.folder / name).read_text()
    assert ",True\n" in (study.folder / "results.csv").read_text()


def test_states_do_not_look_alike(page: str) -> None:
    for state, text in (
        ("failed", "✕ failed"),
        ("blocked", "‖ blocked"),
        ("not-evaluated", "○ not evaluated"),
        ("outside", "· not in this study"),
    ):
        assert re.search(f'<span class="none {state}"[^>]*>{text}</span>', page)
    assert re.search(r'<a class="num" href="#a\d+">0.0</a>', page)


def test_charts_take_their_colours_from_the_page(page: str) -> None:
    drawings = re.findall(r"<svg.*?</svg>", page, re.DOTALL)

    assert len(drawings) > 8
    for drawing in drawings:
        assert re.findall(r'(?:fill|stroke)="#', drawing) == []
        assert "var(--ink)" in drawing


def test_the_skill_has_its_support_beside_each_line(page: str) -> None:
    blame = page[page.index('<table class="blame">') :]

    assert '<tr class="evolved from">' in blame
    assert '<tr class="initial' in blame
    assert "Of a.1: a &lt; b &amp;&amp; c &gt; d, {{ 7 * 7 }}" in blame
    assert "&lt;img src=x" in blame
    assert "2 proposed" in page


def test_a_study_without_results_says_so(empty: FakeStudy) -> None:
    empty.add("wikitq", "no-skill", "35B", status="not evaluated")
    empty.primary = [
        Primary(name="later", benchmark="wikitq", user="35B", condition="no-skill", against="human-written"),
    ]
    written = write_report(empty)
    page = (empty.folder / "report.html").read_text()

    assert written.headline.text == "Nothing is measured yet."
    assert "Nothing is measured yet." in page
    assert "SIMULATED" not in page.replace('SIMULATED"; position', "")
    assert "human-written: not part of the study" in page


def test_unseen_characters_are_written_out(found: Results, study: FakeStudy, tmp_path) -> None:
    sly = FakeStudy(folder=tmp_path, runs=study.runs, rows=study.rows[:2], name="evil\u202ename")
    sly.rows = [replace(row, why="\u202egood\x07") for row in sly.rows]
    write_report(sly)
    page = (tmp_path / "report.html").read_text()

    assert "\u202e" not in page
    assert "evil\\u202ename" in page


def test_a_log_that_is_gone_takes_its_arm_and_no_other(study: FakeStudy, tmp_path: Path) -> None:
    moved = tmp_path / "gone.eval"
    row = next(row for row in study.rows if row.condition == "no-skill" and row.logs)
    before = row.logs
    row.logs[0].rename(moved)
    try:
        written = write_report(study, tmp_path / "report")
    finally:
        moved.rename(before[0])
    assert (tmp_path / "report" / "report.html").is_file()
    assert {delta.state for delta in written.results.deltas} >= {"failed", "measured"}
