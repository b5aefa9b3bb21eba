"""Cut a slice of WikiTableQuestions that a model of 1.5 billion parameters neither always fails nor always solves.

    python results/qwen2.5-coder/slice.py WIKITQ FOLDER [--bytes 1500] [--test 400]

Questions on tables of at most so many bytes: those on tables seen in training (the release's dev split, as far as its
tables are there) to evolve on, a random choice of those on unseen tables to test on. FOLDER is a dataset of
`evals/wikitq.py`. No table, and so no question, is in both.
"""

import argparse
import json
import random
import shutil
from pathlib import Path

SPLITS = {"evolve": "pristine-seen-tables", "test": "pristine-unseen-tables"}


def rows(file: Path) -> tuple[str, dict[str, str]]:
    """Header and lines of a file of tab-separated values, by their first field."""
    header, *lines = file.read_text(encoding="utf-8").rstrip("\n").split("\n")
    return header, {line.split("\t", 1)[0]: line for line in lines}


def main(source: Path, folder: Path, largest: int, test: int) -> None:
    """Write the dataset's files: questions, tagged answers, tables, split ids."""
    splits: dict[str, list[str]] = {}
    written: dict[str, list[str]] = {"data/questions.tsv": [], "tagged/data/questions.tagged": []}
    for split, name in SPLITS.items():
        header, questions = rows(source / "data" / f"{name}.tsv")
        tagged_header, tagged = rows(source / "tagged" / "data" / f"{name}.tagged")
        table = header.split("\t").index("context")
        paths = {question: source / line.split("\t")[table] for question, line in questions.items()}
        ids = [question for question, path in paths.items() if path.is_file() and path.stat().st_size <= largest]
        if split == "test":
            ids = sorted(random.Random(1).sample(ids, min(test, len(ids))), key=list(questions).index)
        splits[split] = ids
        for file, first, lines in zip(written, (header, tagged_header), (questions, tagged), strict=True):
            written[file] = (written[file] or [first]) + [lines[question] for question in ids]
        for path in {paths[question] for question in ids}:
            place = folder / path.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, place)
    for file, lines in written.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "splits.json").write_text(json.dumps(splits, indent=1) + "\n", encoding="utf-8")
    print(*(f"{split}: {len(ids)} questions" for split, ids in splits.items()), sep="\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="the release's folder, with data/, tagged/ and csv/")
    parser.add_argument("folder", type=Path, help="the dataset to write")
    parser.add_argument("--bytes", type=int, default=1500, help="size of a table at most")
    parser.add_argument("--test", type=int, default=400, help="test questions at most")
    arguments = parser.parse_args()
    main(arguments.source, arguments.folder, arguments.bytes, arguments.test)
