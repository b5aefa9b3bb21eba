"""Merge steps as pure functions: join near-duplicates, hold a merger to its account, keep support."""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field, field_validator
from rapidfuzz import fuzz

from trace2skill.edits.patch import Edit
from trace2skill.edits.proposed import ProposedEdit
from trace2skill.models.structured import Output, Rows, Texts

NEAR_DUPLICATE = 90.0
"""Similarity (0 to 100) from which two edits of the same place say the same, whatever the merger is."""


_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_NEGATION = re.compile(r"\b(?:not|never|no|none|without|avoid|instead|except|unless|only|\w+n't)\b")


class MergedEdit(ProposedEdit):
    """One edit that a merger returns, with the ids of the edits it stands for."""

    ids: Texts = Field(min_length=1, description="Ids of all input edits that this edit expresses.")


class DroppedEdit(Output):
    """An input edit that a merger leaves out."""

    model_config = ConfigDict(str_strip_whitespace=True)

    id: str = Field(min_length=1, description="Id of the input edit.")
    reason: str = Field(default="no reason given", description="Why it is left out.")

    @field_validator("reason", mode="after")
    @classmethod
    def _some(cls, reason: str) -> str:
        return reason or "no reason given"


class MergeResult(Output):
    """What a merger returns: every input id stands in exactly one edit or is dropped."""

    reasoning: str = Field(default="", description="How duplicates and conflicts were settled.")
    edits: Rows[MergedEdit] = Field(description="The merged edits.")
    dropped: Rows[DroppedEdit] = Field(default_factory=list, description="Input edits left out, each with a reason.")


class Merged(BaseModel):
    """An edit that ended in another one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    edit: Edit
    """The edit as it was before the merge."""
    into: str
    """Id of the edit that now stands for it."""


class Dropped(BaseModel):
    """An edit that a merger left out."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    edit: Edit
    """The edit as it was before the merge."""
    reason: str
    """The merger's reason."""


class MergeStep(BaseModel):
    """The outcome of one merge."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    node: str
    """Place in the merge tree, `<level>/<number>`."""
    edits: tuple[Edit, ...]
    """What goes on to the next level."""
    merged: tuple[Merged, ...] = ()
    """Inputs that ended in one of `edits`."""
    dropped: tuple[Dropped, ...] = ()
    """Inputs that were left out."""
    passed_through: str = ""
    """Why the merger's answer was not used and the inputs went on unmerged; empty if it was used."""


class Joined(NamedTuple):
    """Result of `join_duplicates`."""

    edits: tuple[Edit, ...]
    merged: tuple[Merged, ...]


def with_support(edit: Edit, others: Iterable[Edit], **changes: object) -> Edit:
    """The edit with the union of all supports."""
    support = sorted(set(edit.support).union(*(other.support for other in others)))
    return edit.model_copy(update={"support": tuple(support), **changes})


def join_duplicates(edits: Iterable[Edit], threshold: float = NEAR_DUPLICATE) -> Joined:
    """Join edits of the same place whose texts are nearly the same.

    Edits are visited by falling support, then by length and id, so the outcome does not depend on the order of the
    input; each joins the first earlier one that it resembles.

    Args:
        edits: Edits with support.
        threshold: Similarity of the texts, 0 to 100 (rapidfuzz `token_sort_ratio`, on lower-case text).

    Returns:
        The edits that remain, by id, with the supports united; and those that ended in one of them.
    """
    ordered = sorted(edits, key=lambda edit: (-len(edit.support), -len(edit.content), edit.id))
    clusters: list[list[Edit]] = []
    for edit in ordered:
        home = next((cluster for cluster in clusters if alike(cluster[0], edit, threshold)), None)
        if home is None:
            clusters.append([edit])
        else:
            home.append(edit)
    kept = [with_support(cluster[0], cluster[1:]) for cluster in clusters]
    merged = [Merged(edit=edit, into=cluster[0].id) for cluster in clusters for edit in cluster[1:]]
    return Joined(
        edits=tuple(sorted(kept, key=lambda edit: edit.id)),
        merged=tuple(sorted(merged, key=lambda row: row.edit.id)),
    )


def alike(one: Edit, other: Edit, threshold: float) -> bool:
    """Whether two edits do the same to the same place, up to wording."""
    if (one.file, one.op) != (other.file, other.op):
        return False
    if one.op != "add_section" and _normal(one.target) != _normal(other.target):
        return False
    if one.old.strip() != other.old.strip() or one.section != other.section:
        return False
    if _meaning(one.content) != _meaning(other.content):
        return False
    return fuzz.token_sort_ratio(one.content.lower(), other.content.lower(), score_cutoff=threshold) > 0 or (
        not one.content and not other.content
    )


def account(inputs: Sequence[Edit], result: MergeResult) -> list[str]:
    """What is wrong with a merger's account of its inputs: one sentence per problem."""
    known = {edit.id for edit in inputs}
    dropped = {drop.id for drop in result.dropped}
    named = [*(name for edit in result.edits for name in edit.ids), *dropped]
    problems = [f"id {name!r} is not among the inputs" for name in sorted(set(named) - known)]
    problems += [
        f"id {name!r} is missing: put it into the ids of one edit, or into dropped"
        for name in sorted(known - set(named))
    ]
    problems += [
        f"id {name!r} appears {named.count(name)} times" for name in sorted(set(named)) if named.count(name) > 1
    ]
    return problems


def settle(node: str, inputs: Sequence[Edit], result: MergeResult) -> MergeStep:
    """Turn a merger's answer into a step: supports are the unions of those it named.

    An edit that comes back alone and unchanged keeps its id; every other edit gets the id `<node>.<n>`.
    """
    by_id = {edit.id: edit for edit in inputs}
    edits: list[Edit] = []
    merged: list[Merged] = []
    for number, answer in enumerate(result.edits, start=1):
        sources = [by_id[name] for name in answer.ids]
        text = answer.model_dump(exclude={"ids"})
        first = sources[0]
        if len(sources) == 1 and all(
            getattr(first, field) == value for field, value in text.items() if field != "rationale"
        ):
            edits.append(first)
            continue
        written = Edit(id=f"m{node}.{number}", support=(), **text)
        edits.append(with_support(written, sources))
        merged += [Merged(edit=source, into=written.id) for source in sources]
    reasons = {drop.id: drop.reason for drop in result.dropped}
    dropped = [Dropped(edit=by_id[name], reason=reason) for name, reason in reasons.items()]
    return MergeStep(node=node, edits=tuple(edits), merged=tuple(merged), dropped=tuple(dropped))


@lru_cache(maxsize=8192)
def _meaning(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What a few letters can turn into its opposite: the numbers and the negations in a text."""
    words = text.lower()
    return tuple(sorted(_NUMBER.findall(words))), tuple(sorted(set(_NEGATION.findall(words))))


@lru_cache(maxsize=8192)
def _normal(heading: str) -> str:
    return " ".join(heading.lstrip("#").lower().split())
