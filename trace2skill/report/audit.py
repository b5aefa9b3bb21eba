"""The power audit of the published numbers as tables; `detectability.py` has what it computes.

`python -m trace2skill.report.audit` writes `power_audit.csv` and `power_audit.md` in `results/published/`.
"""

import csv
import io
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from trace2skill.data.places import bundled
from trace2skill.files import write_atomic
from trace2skill.report.detectability import ALPHA, Audit, audit
from trace2skill.report.published import PLACE, SEEDS, SOURCE

_WORDS = """\
# What the published numbers could tell from noise

Made by `python -m trace2skill.report.audit` from the tables of {source}; `power_audit.csv` has all columns.

**This is about detectability, not about the authors.** It asks what a difference of this size, on so many
tasks, could show. A difference that could not be told from noise may well be real; one that could may have
other causes than the skill. The runs themselves, which would settle how tasks pair, are not published.

Of {all} differences **{always}** are beyond noise however the tasks pair ({corrected} after Holm's correction
for all {all}), **{depends}** are or are not, depending on which tasks changed, and **{never}** are not at any pairing.

- *Pairing*: the share of tasks that changed lies between |p1 - p2| and min(p1 + p2, 2 - p1 - p2). `p best` is
  the McNemar test (mid-p) at the lower end, `p worst` at the upper end, `p unrelated` where outcomes have nothing
  to do with each other. Tasks that are hard for one condition mostly are for the other, so that the truth tends
  to lie between `p best` and `p unrelated`.
- *Seeds*: each number is a mean over {seeds} seeds on the same tasks. `p best`, `p unrelated` and `p worst` count
  each task once, as if seeds agreed; `p best, seeds` lets every gain of every seed fall on another task. Neither
  speaks of other skills: three seeds are three skills, their spread is not published, and a claim about the
  method rather than about these three skills needs it.
- *Clusters*: questions on one table (WikiTableQuestions) or page (DocVQA) are not independent, so that the true
  p-values there tend to be larger than these.
- *MDE*: minimum detectable effect, 5% level, 80% power: at best (no task gets worse), and at worst, with the
  largest discordance at these rates. `n needed`: tasks that the published difference needs at that discordance.
- Left out: the averages over benchmarks of Tables 1 and 6, which have no sample of their own.
"""


def csv_text(rows: Sequence[Audit]) -> str:
    """The audit as CSV."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(Audit.model_fields), lineterminator="\n")
    writer.writeheader()
    writer.writerows(row.model_dump() for row in rows)
    return out.getvalue()


def markdown(rows: Sequence[Audit]) -> str:
    """The audit in words and tables."""
    few = [row for row in rows if row.told == "at no pairing"]
    return "\n".join(
        [_head(rows), *_summary(rows), *_table(few, "## Could not be told at any pairing", ""), *_full(rows)]
    )


def _head(rows: Sequence[Audit]) -> str:
    told = Counter(row.told for row in rows)
    return _WORDS.format(
        source=SOURCE,
        seeds=SEEDS,
        all=len(rows),
        always=told["at any pairing"],
        corrected=sum(row.p_worst_holm < ALPHA for row in rows),
        depends=told["depends on the pairing"],
        never=told["at no pairing"],
    )


def _summary(rows: Sequence[Audit]) -> Iterator[str]:
    yield "| table | benchmark | n | differences | at any pairing | depends | at no pairing | MDE best - worst |"
    yield "|---|---|--:|--:|--:|--:|--:|--:|"
    groups: dict[tuple[str, str], list[Audit]] = {}
    for row in rows:
        groups.setdefault((row.table, f"{row.benchmark}, {row.metric}"), []).append(row)
    for (table, name), group in groups.items():
        told = Counter(row.told for row in group)
        reach = f"{_points(group[0].mde_best)} - {_points(max(row.mde_worst for row in group))}"
        counts = (told["at any pairing"], told["depends on the pairing"], told["at no pairing"])
        yield f"| {table} | {name} | {group[0].n} | {len(group)} | {' | '.join(map(str, counts))} | {reach} |"
    yield ""


def _full(rows: Sequence[Audit]) -> Iterator[str]:
    for table in dict.fromkeys(row.table for row in rows):
        yield from _table([row for row in rows if row.table == table], f"## Table {table}", table)


def _table(rows: Sequence[Audit], heading: str, table: str) -> Iterator[str]:
    """Rows below a heading; they say their table where that is not the heading's."""
    yield from (heading, "")
    if not rows:
        yield from ("None.", "")
        return
    yield (
        f"| {'' if table else 'table | '}author, mode | condition - against | user | benchmark | n | from | "
        "difference | p best, seeds | p best | p unrelated | p worst | MDE worst | n needed | told from noise |"
    )
    yield "|" + "---|" * (4 + (not table)) + "--:|" * 9 + "---|"
    for row in rows:
        cells = [
            *([] if table else [row.table]),
            f"{row.author}, {row.mode}",
            f"{row.condition} - {row.against}",
            row.user,
            f"{row.benchmark}, {row.metric}",
            str(row.n),
            _points(row.rate_against),
            f"{100 * row.delta:+.2f}",
            *map(_shown, (row.p_best_seeds, row.p_best, row.p_independent, row.p_worst)),
            _points(row.mde_worst),
            "-" if row.n_needed_worst is None else f"{row.n_needed_worst:,}",
            row.told,
        ]
        yield f"| {' | '.join(cells)} |"
    yield ""


def _points(share: float) -> str:
    return f"{100 * share:.1f}"


def _shown(p: float) -> str:
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def main() -> None:
    """Write the audit beside the published tables, or into the folder that is named."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else bundled(PLACE).parent
    rows = audit()
    write_atomic(folder / "power_audit.csv", csv_text(rows))
    write_atomic(folder / "power_audit.md", markdown(rows))


if __name__ == "__main__":
    main()
