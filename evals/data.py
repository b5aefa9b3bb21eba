"""Where a benchmark's data lies, and which of its ids belong to a split; shared by all benchmarks."""

import difflib
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from trace2skill.data import DATA_VARIABLE, bundled, data_dir, resolve_path
from trace2skill.errors import DataError
from trace2skill.foreign import Cap, ForeignError, json_value, read

Split = Literal["evolve", "test", "all"]

DATASET = Cap(bytes=256 << 20, values=5_000_000)
"""What a file with all tasks of a dataset may hold; the largest published one, of DocVQA, takes about 10 MB."""


def dataset_folder(benchmark: str, dataset: str, variants: Mapping[str, str], marker: str) -> Path:
    """The folder of a dataset, checked to hold one.

    Args:
        benchmark: Name of the benchmark's folder below `tasks/sample/`.
        dataset: `sample`, a key of `variants`, or the path of a folder, or of the marker in it.
        variants: The benchmark's published datasets, each with its folder below the data folder.
        marker: A file that every dataset of this benchmark has.

    Raises:
        DataError: It is not there; the message says how to supply it.
    """
    if dataset == "sample":
        return bundled(f"tasks/sample/{benchmark}")
    folder = data_dir() / variants[dataset] if dataset in variants else folder_around(resolve_path(dataset), marker)
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


def folder_around(path: Path, marker: str) -> Path:
    """The folder of a dataset that is named by its marker, a file in it; any other path is the folder itself."""
    depth = len(Path(marker).parts)
    return path.parents[depth - 1] if path.parts[-depth:] == Path(marker).parts and not path.is_dir() else path


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
        splits = read_json(listed)
        if not isinstance(splits, dict):
            raise DataError(f"{listed} should be a JSON object with the ids of each split.")
        if split not in splits:
            raise DataError(f"Split '{split}' is not in {listed}; it has {', '.join(sorted(splits))} and all.")
        if not isinstance(splits[split], list):
            raise DataError(f"{listed}: {split} should be a list of ids.")
        return set(map(str, splits[split]))
    if split not in ("evolve", "test"):
        raise DataError(f"A split is evolve, test or all, not '{split}'.")
    half = len(ids) // 2
    return set(ids[:half] if split == "evolve" else ids[half:])


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        DataError: It cannot be read, is not JSON, or holds more than `DATASET`.
    """
    with fetched_again():
        return json_value(read(path, DATASET.bytes), path, DATASET)


@contextmanager
def fetched_again() -> Iterator[None]:
    """Around the reading of a dataset's file: what cannot be read becomes an error that says what to do.

    Raises:
        DataError: The file cannot be read, or goes beyond a limit.
    """
    try:
        yield
    except ForeignError as error:
        raise DataError(f"{error} Fetch the dataset again.") from error


def refuse_unknown(task: Callable[..., object], unknown: Mapping[str, object]) -> None:
    """Refuse task arguments that the task does not have; Inspect would only warn and leave them out.

    Args:
        task: The task, which collects such arguments under a name of their own.
        unknown: The arguments.

    Raises:
        DataError: There are any; the message names the arguments that may have been meant.
    """
    if not unknown:
        return
    parameters = inspect.signature(task).parameters.values()
    known = [each.name for each in parameters if each.kind is not inspect.Parameter.VAR_KEYWORD]
    near = {name: difflib.get_close_matches(name, known, n=1) for name in unknown}
    meant = " ".join(f"Did you mean {found[0]} instead of {name}?" for name, found in near.items() if found)
    raise DataError(
        f"The task has no argument {', '.join(unknown)}; its arguments are {', '.join(known)}. {meant}".rstrip()
    )


def check_texts(**arguments: object) -> None:
    """Check task arguments that are names or paths: the command line makes a number of `-T dataset=5`.

    Raises:
        DataError: One is something else.
    """
    for name, value in arguments.items():
        if not isinstance(value, str | None):
            raise DataError(
                f"{name} must be a name or a path, not {value!r}. If a folder has that name, say where it lies: "
                f"-T {name}=./{value}."
            )


def check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    """Check a task argument, which Inspect takes from the command line as it is.

    Raises:
        DataError: It is not one of the choices.
    """
    if value not in choices:
        raise DataError(f"{name} must be one of {', '.join(choices)}, not '{value}'.")
