"""The page of a report: one HTML file that works offline, with its charts, style and few lines of script inside.

Whatever comes of logs, skills and declarations is foreign: the template escapes it, what a reader would not see is
written out, and the page's own policy lets no script run but its own.
"""

import shlex
from base64 import b64encode
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from trace2skill.baselines.arena import making
from trace2skill.comparison import results as compared
from trace2skill.comparison import verdict
from trace2skill.comparison.results import Making
from trace2skill.files import file_digest
from trace2skill.models.simulated import NOTICE
from trace2skill.report import figures, wording
from trace2skill.report.paper import PaperTable, paper_tables
from trace2skill.report.results import Delta, Results
from trace2skill.report.samples import SHOWN, ArmRuns, LogBook, lost, pair_rows, shown_path
from trace2skill.report.skills import SkillView, skill_views
from trace2skill.report.source import ArmKey, Source
from trace2skill.report.tables import n_needed, paper_html
from trace2skill.text import printable

_WIDE, _NARROW = 620, 326
"""Widths of charts, in pixels: of a page and of a phone."""

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class Chart(NamedTuple):
    """A chart at two widths."""

    wide: Markup
    narrow: Markup


class Place(NamedTuple):
    """A benchmark and a metric for one model."""

    benchmark: str
    user: str
    metric: str


class Method(NamedTuple):
    """An arm among others of its place."""

    mark: str
    key: ArmKey
    anchor: str
    score: compared.Arm
    delta: Delta | None
    making: Making


@dataclass(frozen=True, kw_only=True)
class Methods:
    """All arms of a place: what each did, and what it took."""

    place: Place
    rows: tuple[Method, ...]
    chart: Chart | None


class Transfer(NamedTuple):
    """Differences by author and user."""

    title: str
    chart: Chart


class LogRow(NamedTuple):
    """A log of the study."""

    number: int
    file: str
    model: str
    status: str
    created: str
    digest: str


@dataclass(frozen=True, kw_only=True)
class Report:
    """Everything that a report tells."""

    name: str
    found: Results
    tables: tuple[PaperTable, ...]
    runs: tuple[ArmRuns, ...]
    skills: tuple[SkillView, ...]
    methods: tuple[Methods, ...]
    transfers: tuple[Transfer, ...]
    logs: tuple[LogRow, ...]
    looks: int | None
    changes: tuple[str, ...]
    """What was changed of the declared comparisons after a test split was opened, and why."""
    view: str
    """Command that shows the logs."""
    bundled: bool

    @property
    def stamp(self) -> str:
        """The warning that a stand-in took part; empty otherwise."""
        return NOTICE if self.found.simulated else ""


def gather(
    study: Source,
    found: Results,
    runs: Sequence[ArmRuns],
    book: LogBook,
    *,
    bundled: bool,
    looks: int | None,
    changes: Sequence[str] = (),
) -> Report:
    """Everything that the report of a study tells.

    Args:
        study: The study.
        found: Its numbers.
        runs: The runs of its arms.
        book: Its logs.
        bundled: Whether the viewer is bundled with the report.
        looks: How often the test split was looked at, if that is counted.
        changes: What was changed of the declared comparisons since, and why.
    """
    used: dict[Path, list[str]] = defaultdict(list)
    for arm in found.arms.values():
        for folder in arm.artefacts:
            used[folder].append(arm.key.label)
    return Report(
        name=study.declaration.name,
        found=found,
        tables=paper_tables(found),
        runs=tuple(runs),
        skills=skill_views((folder, tuple(dict.fromkeys(labels))) for folder, labels in used.items()),
        methods=tuple(_methods(found)),
        transfers=tuple(_transfers(found)),
        logs=tuple(_logs(study, found, book)),
        looks=looks,
        changes=tuple(changes),
        view=f"inspect view --log-dir {shlex.quote(shown_path(study.runs, Path.cwd()))}",
        bundled=bundled,
    )


def render_page(report: Report) -> str:
    """The page."""
    environment = Environment(
        loader=PackageLoader("trace2skill.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_visible,
    )
    environment.filters |= {
        "points": wording.points,
        "percent": wording.percent,
        "interval": wording.interval,
        "p_value": wording.p_value,
        "said": wording.said,
        "tone": wording.tone_of,
        "verdict": lambda delta: verdict(delta.comparison),
        "needed": n_needed,
        "beside_n": wording.beside_n,
        "pairs": pair_rows,
        "lost": lost,
        "paper": paper_html,
    }
    style, script = (_part(name) for name in ("report.css", "report.js"))
    return environment.get_template("report.html.j2").render(
        report=report,
        found=report.found,
        head=wording.headline(report.found.primary),
        forest=_forest(report.found),
        states=wording.STATES,
        shown=SHOWN,
        style=Markup(style),
        script=Markup(script),
        script_digest=b64encode(sha256(script.encode()).digest()).decode(),
        version=version("trace2skill"),
        inspect_version=version("inspect_ai"),
    )


def _part(name: str) -> str:
    return (Path(__file__).parent / "templates" / name).read_text(encoding="utf-8")


def _visible(value: Any) -> Any:
    """A text with everything written out that a reader would not see."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _chart(draw: Any, rows: figures.Rows, label: str, wide: int = _WIDE) -> Chart:
    return Chart(*(Markup(figures.svg(draw(rows, width), label)) for width in (wide, _NARROW)))


def _forest(found: Results) -> Chart | None:
    deltas = found.primary
    if not deltas or all(delta.comparison is None and delta.published is None for delta in deltas):
        return None
    nan = float("nan")
    rows = []
    for delta in deltas:
        result = delta.comparison.result if delta.comparison else None
        numbers = wording.said(delta) if result else wording.STATES[delta.state]
        printed = "" if delta.published is None else f"◇ published {wording.points(delta.published)}"
        rows.append(
            {
                "name": f"{wording.mark_of(delta)} {printable(delta.title)}",
                "said": "\n".join(filter(None, (numbers, printed))),
                "difference": 100 * result.difference if result else nan,
                "low": 100 * delta.interval[0],
                "high": 100 * delta.interval[1],
                "published": nan if delta.published is None else 100 * delta.published,
            }
        )
    said = "; ".join(f"{delta.title}: {wording.said(delta)}" for delta in deltas)
    return _chart(figures.forest, rows, f"Forest plot of the primary differences. {said}")


def _places(found: Results) -> Iterator[Place]:
    """Where arms are compared: those of the primary differences first, one metric of each benchmark."""
    primary = [Place(delta.treatment.benchmark, delta.treatment.user, delta.metric) for delta in found.primary]
    every = [Place(key.benchmark, key.user, next(iter(arm.metrics))) for key, arm in found.arms.items()]
    seen: set[tuple[str, str]] = set()
    for place in (*primary, *every):
        if place[:2] not in seen:
            seen.add(place[:2])
            yield place


def _methods(found: Results) -> Iterator[Methods]:
    for place in _places(found):
        arms = [key for key in found.arms if (key.benchmark, key.user) == place[:2]]
        scored = [(key, found.scores[key, place.metric]) for key in arms if (key, place.metric) in found.scores]
        rows = tuple(
            Method(
                mark=_LETTERS[number % len(_LETTERS)] * (number // len(_LETTERS) + 1),
                key=key,
                anchor=found.anchor(key),
                score=score,
                delta=found.of(key, place.metric),
                making=making(score),
            )
            for number, (key, score) in enumerate(scored)
        )
        if rows:
            yield Methods(place=place, rows=rows, chart=_cost(place, rows))


def _cost(place: Place, rows: Sequence[Method]) -> Chart | None:
    points = [
        {
            "mark": row.mark,
            "shape": number,
            "tokens": row.score.tokens_per_run,
            "score": 100 * row.score.mean,
            "low": 100 * row.score.low,
            "high": 100 * row.score.high,
        }
        for number, row in enumerate(rows)
        if row.score.tokens_per_run is not None
    ]
    if len(points) < 2:
        return None
    said = "; ".join(
        f"{row.mark} {row.key.label}: {wording.percent(row.score.mean)}% at {row.score.tokens_per_run:.0f} tokens"
        for row in rows
        if row.score.tokens_per_run is not None
    )
    label = f"Score against tokens per run on {place.benchmark} for {place.user}. {said}"
    return _chart(figures.cost, points, label, wide=400)


def _transfers(found: Results) -> Iterator[Transfer]:
    groups: dict[tuple[str, str, str, str], list[Delta]] = defaultdict(list)
    for key, arm in found.arms.items():
        for metric in arm.metrics if key.author and key.mode else ():
            delta = found.of(key, metric)
            if delta and key.condition != delta.control.condition and key.condition != "parametric":
                groups[key.benchmark, metric, key.mode, key.condition].append(delta)
    for (benchmark, metric, mode, condition), deltas in groups.items():
        authors, users = ({getattr(delta.treatment, of) for delta in deltas} for of in ("author", "user"))
        if len(authors) * len(users) < 2 or not any(delta.comparison for delta in deltas):
            continue
        rows = [_field(delta) for delta in deltas]
        said = "; ".join(f"by {row['author']} for {row['user']}: {row['value']} {row['said']}" for row in rows)
        title = f"{benchmark}, {metric}: {condition}, {mode}, against {deltas[0].control.condition}"
        yield Transfer(title, _chart(figures.heatmap, rows, f"{title}. {said}", wide=400))


def _field(delta: Delta) -> dict[str, Any]:
    field: dict[str, Any] = {"author": printable(delta.treatment.author), "user": printable(delta.treatment.user)}
    if delta.comparison is None:
        return field | {"difference": float("nan"), "value": wording.STATES[delta.state], "said": ""}
    result = delta.comparison.result
    mark = wording.mark_of(delta)
    return field | {
        "difference": result.difference,
        "value": f"{mark} {wording.points(result.difference)}",
        "said": f"{wording.interval(*delta.interval)}, p {wording.p_value(delta.adjusted)}",
    }


def _logs(study: Source, found: Results, book: LogBook) -> Iterator[LogRow]:
    said: Mapping[Path, compared.LogFile] = {
        Path(log.file).resolve(): log for score in found.scores.values() for log in score.logs
    }
    for file, number in book.numbers.items():
        log = said.get(file)
        yield LogRow(
            number=number,
            file=shown_path(file, study.runs),
            model=log.model if log else "unknown",
            status=log.status if log else "not read",
            created=log.created[:16].replace("T", " ") if log else "",
            digest=file_digest(file) if file.is_file() else "missing",
        )
