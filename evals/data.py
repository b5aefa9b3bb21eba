"""Where a benchmark's data lies, and which of its ids belong to a split; shared by all benchmarks."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from trace2skill.data import DATA_VARIABLE, bundled, data_dir, resolve_path
from trace2skill.errors import DataError

Split = Literal["evolve", "test", "all"]


def dataset_folder(benchmark: str, dataset: str, variants: Mapping[str, str], marker: str) -> Path:
    """The folder of a dataset, checked to hold one.

    Args:
        benchmark: Name of the benchmark's folder below `tasks/sample/`.
        dataset: `sample`, a key of `variants`, or a path.
        variants: The benchmark's published datasets, each with its folder below the data folder.
        marker: A file that every dataset of this benchmark has.

    Raises:
        DataError: It is not there; the message says how to supply it.
    """
    if dataset == "sample":
        return bundled(f"tasks/sample/{benchmark}")
    folder = data_dir() / variants[dataset] if dataset in variants else resolve_path(dataset)
    if (folder / marker).is_file():
        return folder
    remedy = (
        f"`trace2skill data list` shows what can be fetched, and how. Or: put the dataset's folder {variants[dataset]} "
        f"into {data_dir()}, set {DATA_VARIABLE} to the folder that "
        f"contains {variants[dataset]}, or pass -T dataset=FOLDER. "
        if dataset in variants
        else f"A dataset is sample, {', '.join(variants)}, or a folder. "
    )
    raise DataError(
        f"The {benchmark} dataset '{dataset}' was looked for in {folder}, which has no {marker}. "
        f"{remedy}-T dataset=sample needs none."
    )


def split_ids(ids: Sequence[str], folder: Path, split: str) -> set[str]:
    """The ids that belong to a split.

    `splits.json` in the folder lists the ids of each split. Without it the first half evolves and the second half
    tests, in file order.

    Raises:
        DataError: There is no such split.
    """
    if split == "all":
        return set(ids)
    if (listed := folder / "splits.json").is_file():
        splits = json.loads(listed.read_text(encoding="utf-8"))
        if split not in splits:
            raise DataError(f"Split '{split}' is not in {listed}; it has {', '.join(sorted(splits))} and all.")
        return set(map(str, splits[split]))
    if split not in ("evolve", "test"):
        raise DataError(f"A split is evolve, test or all, not '{split}'.")
    half = len(ids) // 2
    return set(ids[:half] if split == "evolve" else ids[half:])


def check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    """Check a task argument, which Inspect takes from the command line as it is.

    Raises:
        DataError: It is not one of the choices.
    """
    if value not in choices:
        raise DataError(f"{name} must be one of {', '.join(choices)}, not '{value}'.")
