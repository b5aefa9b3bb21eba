"""The lexical merger: joins what says the same by the words it uses. No model; a control for the merge model.

Each edit is split into its list items and paragraphs, each a vector of TF-IDF weights (Salton and Buckley 1988; log
term frequency, cosine normalisation). The item that resembles items of the most trajectories takes those in, then the
next one.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from trace2skill.consolidation.merging import Joined, Merged, join_duplicates, with_support
from trace2skill.edits.patch import Edit

SIMILARITY = 0.3
"""Cosine from which two items count as saying the same; chosen by reading clusters of real patches."""

_ITEM = re.compile(r"^([-*+]|\d+[.)])\s+")
_HEADING = re.compile(r"^#{1,6}\s+")
_WORD = re.compile(r"[a-z_]{3,}")
_SUFFIX = re.compile(r"(ings?|ions?|ed|es|s)$")
_SPLIT = ("append_to_section", "add_section")


def lexical_merge(edits: Iterable[Edit], similarity: float = SIMILARITY) -> Joined:
    """Join edits that say the same.

    Args:
        edits: Edits with support, each saying one thing (see `split_items`).
        similarity: Least cosine, 0 to 1.

    Returns:
        The edits that remain, by id, with the supports united, and those that ended in one of them. The order of the
        input does not matter.
    """
    ordered = sorted(edits, key=lambda edit: edit.id)
    kept: list[Edit] = []
    merged: list[Merged] = []
    for file in sorted({edit.file for edit in ordered}):
        group = [edit for edit in ordered if edit.file == file and edit.op in _SPLIT]
        for cluster in _clusters(group, similarity):
            kept.append(with_support(cluster[0], cluster[1:]))
            merged += [Merged(edit=edit, into=cluster[0].id) for edit in cluster[1:]]
    others = join_duplicates(edit for edit in ordered if edit.op not in _SPLIT)
    kept += others.edits
    merged += others.merged
    return Joined(
        edits=tuple(sorted(kept, key=lambda edit: edit.id)),
        merged=tuple(sorted(merged, key=lambda row: row.edit.id)),
    )


def split_items(edit: Edit) -> tuple[Edit, ...]:
    """One edit for each list item and paragraph of an edit that adds text; `<id>.<n>` are their ids.

    A new section's heading goes with each of its items, a sub-heading leads what follows it in bold, and a numbered
    item becomes a bullet, since its number means nothing alone. Edits that add one item, or do something else, come
    back as they are.
    """
    if edit.op not in _SPLIT:
        return (edit,)
    lines = edit.content.splitlines()
    heading = lines[0] if edit.op == "add_section" and lines else ""
    items = _items(lines[1:] if heading else lines)
    if len(items) < 2:
        return (edit,)
    prefix = f"{heading}\n\n" if heading else ""
    return tuple(
        edit.model_copy(update={"id": f"{edit.id}.{number}", "content": prefix + item})
        for number, item in enumerate(items, start=1)
    )


def _items(lines: Sequence[str]) -> list[str]:
    """Top-level list items and paragraphs, with what is indented below them; code fences stay whole."""
    blocks: list[list[str]] = []
    title, fenced, open_block = "", False, False
    for line in lines:
        starts_fence = line.lstrip().startswith(("```", "~~~"))
        if not fenced and _HEADING.match(line):
            title, open_block = ". ".join(filter(None, (title, _HEADING.sub("", line).strip()))), False
            continue
        if not fenced and not line.strip():
            open_block = False
            continue
        continues = fenced or starts_fence or line.startswith((" ", "\t"))
        if (continues or (open_block and not _ITEM.match(line))) and blocks and not title:
            blocks[-1].append(line)
        else:
            blocks.append([_led(title, line, apart=continues) if title else _ITEM.sub("- ", line)])
            title = ""
        open_block = True
        fenced ^= starts_fence
    return ["\n".join(block) for block in blocks] + ([f"**{title}.**"] if title else [])


def _led(title: str, line: str, *, apart: bool) -> str:
    """A block's first line, led by the sub-heading above it; a fence, or what is indented, keeps its own line."""
    if _ITEM.match(line):
        return _ITEM.sub("- ", line).replace("- ", f"- **{title}.** ", 1)
    return f"**{title}.**{chr(10) if apart else ' '}{line}"


def _clusters(edits: Sequence[Edit], similarity: float) -> list[list[Edit]]:
    """Clusters of edits, each led by the edit that most trajectories resemble; ties go to the first id."""
    if not edits:
        return []
    vectors = _vectors([edit.content for edit in edits])
    close = np.asarray((vectors @ vectors.T).todense()) >= similarity - 1e-9
    np.fill_diagonal(close, True)
    left = np.ones(len(edits), dtype=bool)
    clusters: list[list[Edit]] = []
    while left.any():
        support = [len(_supporters(edits, close[row] & left)) if left[row] else -1 for row in range(len(edits))]
        leader = int(np.argmax(support))
        members = np.flatnonzero(close[leader] & left).tolist()
        clusters.append([edits[leader], *(edits[member] for member in members if member != leader)])
        left[members] = False
    return clusters


def _supporters(edits: Sequence[Edit], chosen: NDArray[np.bool_]) -> set[str]:
    return {name for row in np.flatnonzero(chosen).tolist() for name in edits[row].support}


def _vectors(texts: Sequence[str]) -> "csr_array":
    """TF-IDF rows of unit length; a text without words is a zero row."""
    counts = [Counter(_words(text)) for text in texts]
    frequency = Counter(word for count in counts for word in count)
    column = {word: number for number, word in enumerate(sorted(frequency))}
    rows, columns, weights = [], [], []
    for row, count in enumerate(counts):
        weight = {word: (1 + math.log(n)) * math.log1p(len(texts) / frequency[word]) for word, n in count.items()}
        length = math.sqrt(math.fsum(value * value for value in weight.values()))
        for word in sorted(weight):
            rows.append(row)
            columns.append(column[word])
            weights.append(weight[word] / length)
    return csr_array((weights, (rows, columns)), shape=(len(texts), len(column)))


def _words(text: str) -> list[str]:
    """Lower-case words without code marks, headings and common endings."""
    body = "\n".join(line for line in text.lower().splitlines() if not _HEADING.match(line))
    return [_SUFFIX.sub("", word) for word in _WORD.findall(body)]
