"""Tables of a report as HTML, Markdown, LaTeX and CSV. Great Tables sets what has spanners; the rest is plain."""

import csv
import io
import math
import re
from collections.abc import Callable, Iterator, Sequence

import pandas as pd
from great_tables import GT
from markupsafe import Markup

from trace2skill.report.paper import Cell, PaperTable, gap
from trace2skill.report.results import Delta, Results
from trace2skill.report.source import State
from trace2skill.report.wording import STATES, beside_n, interval, p_value, percent, points, tone_of
from trace2skill.text import printable

NOT_IN_STUDY = "· not in this study"
COLUMNS = (
    "family",
    "name",
    "benchmark",
    "metric",
    "user",
    "condition",
    "author",
    "mode",
    "against",
    "state",
    "why",
    "n",
    "score",
    "score_against",
    "difference",
    "low",
    "high",
    "p",
    "p_corrected",
    "seen",
    "in_sample",
    "made",
    "unchanged",
    "wins",
    "losses",
    "mde",
    "n_needed",
    "published",
    "simulated",
)


def paper_html(table: PaperTable) -> Markup:
    """A table of the paper for the page; what it says leads to the samples."""
    return _typeset(table, _cell_html, _average_html)


def paper_latex(table: PaperTable, stamp: str) -> str:
    """A table of the paper for a manuscript, for the packages booktabs and caption."""
    head = f"% {stamp}\n" if stamp else ""
    return head + _great(table, _cell_text, _average_text, stamp).as_latex().strip() + "\n"


def paper_markdown(table: PaperTable, stamp: str) -> str:
    """A table of the paper as Markdown."""
    columns = ["", *(f"{column.user} {column.short}".strip() for column in table.columns)]
    columns += ["avg"] if table.averages else []
    rows = []
    for row in table.rows:
        cells = [_cell_text(table.cells[row, column]) for column in table.columns]
        cells += [_average_text(*table.averages[row])] if table.averages else []
        rows.append([" ".join(filter(None, (row.condition, row.mode, row.author and f"by {row.author}"))), *cells])
    title = [f"## Table {table.number}: {table.title}", "", *([f"**{stamp}**", ""] if stamp else []), table.note, ""]
    return "\n".join([*title, *markdown_table(columns, rows), ""])


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A Markdown table, in which what others wrote is text."""
    yield f"| {' | '.join(map(markdown_text, columns))} |"
    yield f"|{'---|' * len(columns)}"
    for row in rows:
        yield f"| {' | '.join(map(markdown_text, row))} |"


def deltas_csv(found: Results) -> str:
    """Every difference of a study, one a line, in shares."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for delta in found.deltas:
        writer.writerow(_record(delta, found.simulated))
    return out.getvalue()


def n_needed(delta: Delta) -> int | None:
    """Samples that would find a difference like the one found in 80 of 100 studies; None where none would."""
    needed = delta.comparison.n_needed if delta.comparison else math.nan
    return math.ceil(needed) if math.isfinite(needed) else None


def _record(delta: Delta, simulated: bool) -> dict[str, object]:
    record: dict[str, object] = {
        "family": delta.family,
        "name": delta.title,
        "benchmark": delta.treatment.benchmark,
        "metric": delta.metric,
        "user": delta.treatment.user,
        "condition": delta.treatment.condition,
        "author": delta.treatment.author,
        "mode": delta.treatment.mode,
        "against": delta.control.label,
        "state": delta.state,
        "why": delta.why,
        "published": "" if delta.published is None else round(delta.published, 6),
        "simulated": simulated,
    }
    if delta.comparison:
        result = delta.comparison.result
        numbers = {
            "score": result.treatment_mean, "score_against": result.control_mean, "difference": result.difference,
            "low": delta.interval[0], "high": delta.interval[1], "p": result.p_value, "p_corrected": delta.adjusted,
            "mde": result.mde,
        }  # fmt: skip
        record |= {name: f"{value:.6g}" for name, value in numbers.items()}
        record |= {
            "n": result.n,
            "seen": delta.seen,
            "in_sample": delta.comparison.in_sample,
            "made": delta.made,
            "unchanged": delta.unchanged,
            "wins": result.wins,
            "losses": result.losses,
            "n_needed": n_needed(delta) or "",
        }
    # A spreadsheet takes a cell that begins so for a formula.
    return {name: f"'{value}" if str(value)[:1] in "=@" and value else value for name, value in record.items()}


def _typeset(table: PaperTable, cell: Callable[[Cell], str], average: Callable[[float, float | None], str]) -> Markup:
    drawn = _great(table, cell, average, "").as_raw_html()
    # The page has its own style, which knows light and dark; Great Tables' own is per table.
    return Markup(re.sub(r"<style>.*?</style>", "", drawn, flags=re.DOTALL))


def _great(
    table: PaperTable, cell: Callable[[Cell], str], average: Callable[[float, float | None], str], stamp: str
) -> GT:
    names = {column: f"c{number}" for number, column in enumerate(table.columns)}
    records = []
    for row in table.rows:
        record = {"group": row.group, "condition": row.condition}
        record |= {name: cell(table.cells[row, column]) for column, name in names.items()}
        records.append(record | ({"avg": average(*table.averages[row])} if table.averages else {}))
    shown = [*names.values(), *(["avg"] if table.averages else [])]
    great = GT(pd.DataFrame(records), rowname_col="condition", groupname_col="group", id=f"table-{table.number}-body")
    great = great.fmt(lambda text: text, columns=shown)
    for user in dict.fromkeys(column.user for column in table.columns if column.user):
        spanned = [name for column, name in names.items() if column.user == user]
        great = great.tab_spanner(label=f"for {user}", columns=spanned)
    great = great.cols_label({name: column.short for column, name in names.items()})
    note = f"{table.note} {stamp}".strip()
    if cell is _cell_text:
        great = great.tab_header(f"Table {table.number}: {table.title}")
    return great.tab_source_note(note)


def _cell_html(cell: Cell) -> Markup:
    """One cell: difference or score with its interval, p-value and sample; what is published below."""
    parts = []
    if cell.delta and cell.delta.comparison:
        result, delta = cell.delta.comparison.result, cell.delta
        needed = n_needed(delta)
        parts.append(
            Markup('<a class="num {}" href="#{}">{}</a> <span class="iv">{}</span>').format(
                tone_of(delta), delta.id, points(result.difference), interval(*delta.interval)
            )
        )
        sample = f"n {result.n}{beside_n(delta)}" + (f", needs {needed:,}" if needed else "")
        parts.append(Markup('<span class="sub">p {}, {}</span>').format(p_value(delta.adjusted), sample))
    elif cell.score and cell.state == "measured":
        score = cell.score
        parts.append(
            Markup('<a class="num" href="#{}">{}</a> <span class="iv">{}</span>').format(
                cell.anchor, percent(score.mean), interval(score.low, score.high, signed=False)
            )
        )
        parts.append(Markup('<span class="sub">n {} of {}</span>').format(score.scored, score.samples))
    else:
        parts.append(_no_number(cell))
    if cell.published is not None:
        printed = points(cell.published) if cell.is_difference else percent(cell.published)
        apart = "" if math.isnan(gap(cell)) else f", off by {points(gap(cell))}"
        parts.append(Markup('<span class="pub">◇ {}{}</span>').format(printed, apart))
    return Markup("<br>").join(parts)


def _no_number(cell: Cell) -> Markup:
    if cell.state is None:
        return Markup('<span class="none outside">{}</span>').format(NOT_IN_STUDY)
    state = _without_number(cell.state)
    kind, why = state.replace(" ", "-"), printable(cell.why)
    return Markup('<span class="none {}" title="{}">{}</span>').format(kind, why, STATES[state])


def _without_number(state: State) -> State:
    """The state of a cell that has no number: what ran, and of which the logs give none, has failed."""
    return "failed" if state == "measured" else state


def _cell_text(cell: Cell) -> str:
    if cell.delta and cell.delta.comparison:
        result = cell.delta.comparison.result
        needed = n_needed(cell.delta)
        text = f"{points(result.difference)} {interval(*cell.delta.interval)}; p {p_value(cell.delta.adjusted)}"
        text += f"; n {result.n}" + (f"/{needed}" if needed else "") + beside_n(cell.delta)
    elif cell.score and cell.state == "measured":
        text = f"{percent(cell.score.mean)} {interval(cell.score.low, cell.score.high, signed=False)}"
        text += f"; n {cell.score.scored}"
    else:
        text = (NOT_IN_STUDY if cell.state is None else STATES[_without_number(cell.state)])[2:]
    if cell.published is not None:
        printed = points(cell.published) if cell.is_difference else percent(cell.published)
        text += f"; published {printed}"
    return text


def _average_html(measured: float, printed: float | None) -> Markup:
    parts = [Markup('<span class="num">{}</span>').format("n/a" if math.isnan(measured) else percent(measured))]
    parts.append(Markup('<span class="sub">{}</span>').format("cells missing" if math.isnan(measured) else "no test"))
    if printed is not None:
        parts.append(Markup('<span class="pub">◇ {}</span>').format(percent(printed)))
    return Markup("<br>").join(parts)


def _average_text(measured: float, printed: float | None) -> str:
    return percent(measured) + ("" if printed is None else f"; published {percent(printed)}")


def markdown_text(text: str) -> str:
    """Text of others as Markdown that shows it word by word."""
    safe = printable(text.replace("\n", " "))
    return re.sub(r"([\\`*_\[\]|])", r"\\\1", safe.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))
