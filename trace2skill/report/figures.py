"""The charts of a report: Altair's, drawn as SVG that stands in the page and takes its colours from it.

Colours are names of CSS variables, so one drawing serves light and dark. Nothing is told by colour alone: measured and
published differ in shape, harm and gain in side and sign, and every number is written out.
"""

import re
from collections.abc import Sequence
from typing import Any, Literal

import altair as alt
import pandas as pd
import vl_convert

INK, MUTED, GRID, ACCENT, SECOND, PAPER = "#010101", "#020202", "#030303", "#040404", "#050505", "#060606"
_SCALE = ("#0a0101", "#0a0102", "#0a0103", "#0a0104", "#0a0105", "#0a0106", "#0a0107")
_VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    GRID: "--grid",
    ACCENT: "--accent",
    SECOND: "--second",
    PAPER: "--paper",
    **{colour: f"--heat-{number}" for number, colour in enumerate(_SCALE)},
}
_STEPS = (-0.15, -0.05, -0.01, 0.01, 0.05, 0.15)
"""Differences at which the shade of a heatmap changes."""

_SHAPES = ["circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "stroke", "triangle-right"]
_SIDES: tuple[tuple[int, Literal["left", "right"], int], ...] = ((0, "right", -8), (1, "left", 8))
"""Where the letters of a chart stand, in turn: neighbours then cover each other less."""

_LETTER = 9
"""Pixels that a letter of a name takes, at most on average."""

_FONT = "system-ui, sans-serif"

Rows = Sequence[dict[str, Any]]
Chart = alt.LayerChart | alt.FacetChart


def svg(chart: Chart, label: str) -> str:
    """A chart as SVG for a page.

    Args:
        chart: The chart, in the colours of this module.
        label: What it shows, for those who do not see it. It is text, and is escaped.
    """
    dressed = chart.configure(
        font=_FONT,
        background="transparent",
        view=alt.ViewConfig(stroke=None),
        axis=alt.AxisConfig(
            labelColor=MUTED, titleColor=MUTED, gridColor=GRID, domainColor=GRID, tickColor=GRID,
            labelFontSize=12, titleFontSize=12, titleFontWeight="normal",
        ),
    )  # fmt: skip
    drawn = vl_convert.vegalite_to_svg(dressed.to_dict())
    for colour, variable in _VARIABLES.items():
        drawn = re.sub(f'"{colour}"', f'"var({variable})"', drawn, flags=re.IGNORECASE)
    width, height = re.search(r'width="([\d.]+)" height="([\d.]+)"', drawn).groups()  # type: ignore[union-attr]
    # One picture with one name: its parts would be read out as unnamed groups.
    drawn = re.sub(r' (role|aria-[\w-]+)="[^"]*"', "", drawn)
    return re.sub(
        r"^<svg [^>]*>",
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{_escaped(label)}" width="{width}" '
        f'height="{height}" viewBox="0 0 {width} {height}">',
        drawn,
    )


def forest(rows: Rows, width: int) -> Chart:
    """Differences with their intervals, measured beside published, each below its name.

    Args:
        rows: `name`; `said`, the numbers in words; `difference`, `low` and `high` in points, NaN where not measured;
            `published` likewise; `state`, in words, where not measured.
        width: Pixels.
    """
    frame = pd.DataFrame(list(rows))
    frame["order"] = range(len(frame))
    frame["name"] = [_short(name, width // _LETTER) for name in frame["name"]]
    ends = [*frame[["low", "high", "published"]].to_numpy().ravel(), 0.0]
    known = [value for value in ends if not pd.isna(value)]
    low, high = min(known), max(known)
    room = (high - low or 1) * 0.06
    x = alt.X("difference:Q", title="points; right of zero is better", axis=_signed_axis())
    x = x.scale(domain=[min(low - room, -room), max(high + room, room)], nice=False)
    base = alt.Chart(frame).encode(y=alt.Y("order:O", axis=None))
    zero = alt.Chart(pd.DataFrame({"zero": [0.0]})).mark_rule(color=INK, strokeWidth=1.4).encode(x="zero:Q")
    names = base.mark_text(align="left", baseline="bottom", dy=-13, color=INK, fontSize=14, fontWeight=600)
    said = base.mark_text(align="left", baseline="top", dy=11, color=MUTED, fontSize=12, lineBreak="\n")
    bars = base.mark_rule(color=ACCENT, strokeWidth=3).encode(x=alt.X("low:Q"), x2="high:Q")
    points = base.mark_point(filled=True, color=ACCENT, size=110, opacity=1, shape="circle").encode(x=x)
    other = base.mark_point(filled=True, fill=PAPER, stroke=INK, strokeWidth=1.8, size=100, opacity=1, shape="diamond")
    # Where text crosses a line, a halo in the colour of the page keeps it readable.
    halo = {"stroke": PAPER, "strokeWidth": 4}
    texts = [
        mark.encode(text=field, x=alt.value(0))
        for plain, field in ((names, "name:N"), (said, "said:N"))
        for mark in (_with(plain, halo), plain)
    ]
    return alt.layer(
        zero,
        *texts,
        bars,
        points,
        other.encode(x="published:Q"),
    ).properties(width=width, height=alt.Step(88))


def cost(rows: Rows, width: int, height: int = 240) -> Chart:
    """Score against what a run takes, a shape and a letter for each condition.

    Args:
        rows: `mark`, a letter; `shape`, a number; `tokens` of a run; `score`, `low` and `high` in percent.
        width: Pixels.
        height: Pixels.
    """
    frame = pd.DataFrame(list(rows))
    shapes = [_SHAPES[number % len(_SHAPES)] for number in range(int(frame["shape"].max()) + 1)]
    base = alt.Chart(frame).encode(
        x=alt.X("tokens:Q", title="tokens per run", axis=alt.Axis(tickCount=4, format="~s")).scale(
            zero=False, padding=24
        )
    )
    y = alt.Y("score:Q", title="score, %", axis=alt.Axis(tickCount=5)).scale(zero=False, padding=12)
    bars = base.mark_rule(color=MUTED, strokeWidth=1.2).encode(y="low:Q", y2="high:Q")
    shape = alt.Shape("shape:O", legend=None).scale(domain=list(range(len(shapes))), range=shapes)
    points = base.mark_point(filled=True, size=110, color=ACCENT, opacity=1).encode(y=y, shape=shape)
    sides = [
        base.transform_filter(f"datum.shape % 2 == {side}")
        .mark_text(align=align, dx=reach, dy=-6, fontSize=13, fontWeight=600, color=INK)
        .encode(y=y, text="mark:N")
        for side, align, reach in _SIDES
    ]
    return alt.layer(bars, points, *sides).properties(width=width, height=height)


def heatmap(rows: Rows, width: int) -> Chart:
    """Differences by author and user, as shades with the number and its interval in each field.

    Args:
        rows: `author`, `user`; `difference` as a share, NaN where not measured; `value` and `said`, in words.
        width: Pixels.
    """
    frame = pd.DataFrame(list(rows))
    frame["shade"] = [_shade(value) for value in frame["difference"]]
    users, authors = list(dict.fromkeys(frame["user"])), list(dict.fromkeys(frame["author"]))
    base = alt.Chart(frame).encode(
        x=alt.X("user:N", title="evaluated model", sort=users, axis=alt.Axis(orient="top", labelAngle=0)),
        y=alt.Y("author:N", title="skill made by", sort=authors),
    )
    fields = base.mark_rect(stroke=PAPER, strokeWidth=3).encode(fill=alt.Fill("shade:N").scale(None))
    values = base.mark_text(fontSize=17, fontWeight=600, dy=-7, color=INK).encode(text="value:N")
    said = base.mark_text(fontSize=11, dy=13, color=INK).encode(text="said:N")
    return alt.layer(fields, values, said).properties(width=width, height=82 * len(authors))


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _with(chart: alt.Chart, properties: dict[str, Any]) -> alt.Chart:
    """A text once more, with other properties of its mark."""
    again = chart.copy()
    again.mark = alt.MarkDef(**{**chart.mark.to_dict(), **properties})
    return again


def _signed_axis() -> alt.Axis:
    """An axis of differences: a sign on all but zero."""
    return alt.Axis(tickCount=5, format="d", labelExpr="datum.value > 0 ? '+' + datum.label : datum.label")


def _shade(difference: float) -> str:
    if pd.isna(difference):
        return PAPER
    return _SCALE[sum(difference > step for step in _STEPS)]


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
