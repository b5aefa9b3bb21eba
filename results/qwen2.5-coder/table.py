"""Print a table of README.md from a file of outcomes: each arm against no skill, questions on one table kept together.

python results/qwen2.5-coder/table.py [outcomes.csv | outcomes-0.5b.csv]
"""

import csv
import sys
from pathlib import Path

from trace2skill.comparison import holm, paired_test
from trace2skill.tables import Table

CONTROL = "no-skill"


def table(file: Path) -> str:
    """The table, from a row of 0 and 1 for each question."""
    with file.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    scores = {arm: [int(row[arm]) for row in rows] for arm in rows[0] if arm not in ("sample", "table")}
    clusters = [row["table"] for row in rows]
    arms = [arm for arm in scores if arm != CONTROL]
    results = [paired_test(scores[CONTROL], scores[arm], clusters=clusters) for arm in arms]
    adjusted = holm([result.p_value for result in results])
    shown = [[CONTROL, f"{sum(scores[CONTROL])}", "", "", ""]]
    for arm, result, p in zip(arms, results, adjusted, strict=True):
        interval = f"[{result.low:+.3f}, {result.high:+.3f}]"
        shown.append(
            [
                arm,
                f"{sum(scores[arm])}",
                f"{result.difference:+.3f} {interval}",
                f"{result.p_value:.3f} ({p:.3f})",
                f"{result.wins}/{result.losses}",
            ]
        )
    columns = ("arm", f"solved of {len(rows)}", "difference [95%]", "p (Holm)", "won/lost")
    return Table(columns=columns, rows=shown, right=columns[1:]).text(None)


if __name__ == "__main__":
    print(table(Path(__file__).parent / (sys.argv[1] if len(sys.argv) > 1 else "outcomes.csv")))
