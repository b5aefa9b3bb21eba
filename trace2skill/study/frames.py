"""The runs of a study as a data frame, by Inspect's own."""

from collections.abc import Sequence

import pandas as pd
from inspect_ai.analysis import samples_df

from trace2skill.study.evaluations import Evaluation

COORDINATES = ("key", "domain", "benchmark", "split", "in_distribution", "user", "author", "mode", "condition")


def results_frame(evaluations: Sequence[Evaluation]) -> pd.DataFrame:
    """One row for each run of a sample, of all finished evaluations; see `Study.results`."""
    placed = pd.DataFrame(
        [
            {**{name: getattr(row, name) for name in COORDINATES}, "evolution_seed": row.seed, "log": str(log)}
            for row in evaluations
            if row.status == "finished"
            for log in row.logs
        ],
        columns=[*COORDINATES, "evolution_seed", "log"],
    )
    if placed.empty:
        return placed
    runs = samples_df(sorted(set(placed["log"])), quiet=True)
    runs["log"] = runs["log"].str.removeprefix("file://")
    return placed.merge(runs, on="log", how="left", validate="many_to_many")
