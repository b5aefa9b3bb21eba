"""Consolidation: all patches into one conflict-free patch, by a merge tree without level barriers.

Each merge is a sample of one Inspect task. A merge starts as soon as its own inputs are there, and its id is its
place in the tree, so that a second run after a crash finds what is finished. What the tree yields depends only on
the patches, the skill and the answers.
"""

import json
import math
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

from inspect_ai import SampleSource, Task
from inspect_ai.dataset import Sample
from inspect_ai.log import EvalSample
from inspect_ai.model import ChatMessage, ChatMessageUser, get_model
from inspect_ai.solver import Generate, Solver, TaskState, solver
from inspect_ai.util import store

from trace2skill.consolidation.merging import MergeResult, MergeStep, account, join_duplicates, settle
from trace2skill.consolidation.selection import Selection, select_edits
from trace2skill.edits.patch import Edit, Patch
from trace2skill.errors import ContextOverflowError, ModelOutputError
from trace2skill.models.asking import Asking
from trace2skill.models.cast import MERGER
from trace2skill.models.structured import generate_structured
from trace2skill.skill.folder import SKILL_MD, Skill
from trace2skill.skill.hazards import HazardKind

MERGE_BATCH = 32
"""Patches per merge call (paper, section 3.3)."""

MERGE = "merge"
"""Store key of a finished merge."""

SMALLEST_GROUP = 4
"""Fewer edits are not merged in smaller groups when the merger has failed at them."""

RESOLUTION = "resolve"
"""Sample id of the round in which conflicting edits are reworked."""


def consolidation(tree: "MergeTree", asking: Asking) -> Task:
    """The task that merges patches.

    Args:
        tree: What is to be merged.
        asking: The skill, and how the merger is asked.
    """
    return Task(name="consolidation", dataset=tree, solver=_merger(asking, tree.min_support))


class MergeTree(SampleSource):
    """Produces the merges of a tree, each when its inputs are there, and last the resolution of conflicts."""

    def __init__(
        self,
        patches: Sequence[Patch],
        skill: Skill,
        batch: int,
        min_support: int,
        allow: Collection[HazardKind] = (),
    ) -> None:
        if batch < 2:
            raise ValueError(f"A merge needs at least 2 inputs, not {batch}.")
        self._skill = skill
        self._batch = batch
        self._allow = allow
        self.min_support = min_support
        leaves = sorted((patch for patch in patches if patch.edits), key=lambda patch: patch.trajectory)
        self._leaves = [patch.edits for patch in leaves]
        self._sizes = level_sizes(len(leaves), batch)
        self.steps: dict[str, MergeStep] = {}

    @property
    def root(self) -> str:
        """Id of the last merge."""
        return f"{len(self._sizes)}/1"

    def waits_for(self) -> dict[str, list[str]]:
        """For each merge the merges whose results it takes."""
        waits = {RESOLUTION: [self.root]}
        for level, size in enumerate(self._sizes[1:], start=2):
            for number in range(1, size + 1):
                waits[f"{level}/{number}"] = self._inputs(level - 1, number - 1)
        return waits

    def initial_samples(self) -> list[Sample]:
        """The merges of the first level."""
        groups = [self._leaves[start : start + self._batch] for start in range(0, len(self._leaves), self._batch)]
        return [
            self._sample(f"1/{number}", [edit for edits in group for edit in edits])
            for number, group in enumerate(groups, start=1)
        ]

    async def sample_complete(self, sample: EvalSample) -> list[Sample] | None:
        """Record a merge; return the merge above it if that was the last it waited for."""
        found = step_of(sample)
        if found is None or found.node in self.steps:
            return None
        self.steps[found.node] = found
        if found.node == self.root:
            return self._resolution(found)
        if found.node == RESOLUTION:
            return None
        level, number = map(int, found.node.split("/"))
        parent = (number - 1) // self._batch
        siblings = self._inputs(level, parent)
        if not all(node in self.steps for node in siblings):
            return None
        edits = [edit for node in siblings for edit in self.steps[node].edits]
        return [self._sample(f"{level + 1}/{parent + 1}", edits)]

    def _inputs(self, level: int, parent: int) -> list[str]:
        """The merges of a level that the merge with the index `parent` on the next one takes."""
        last = min((parent + 1) * self._batch, self._sizes[level - 1])
        return [f"{level}/{child}" for child in range(parent * self._batch + 1, last + 1)]

    def _resolution(self, root: MergeStep) -> list[Sample] | None:
        selection = select_edits(root.edits, self._skill, self.min_support, self._allow)
        if not selection.conflicting:
            return None
        sample = self._sample(RESOLUTION, [edit for edit, _ in selection.conflicting])
        sample.metadata = {
            **(sample.metadata or {}),
            "kept": [edit.model_dump(mode="json") for edit in selection.kept],
        }
        return [sample]

    def _sample(self, node: str, edits: Sequence[Edit]) -> Sample:
        return Sample(
            id=node,
            input=f"Merge {len(edits)} edits at {node}.",
            metadata={"node": node, "edits": [edit.model_dump(mode="json") for edit in edits]},
        )


def level_sizes(leaves: int, batch: int) -> list[int]:
    """Number of merges on each level, from the leaves up: `ceil(log_batch leaves)` levels, at least one."""
    sizes = [math.ceil(leaves / batch)]
    while sizes[-1] > 1:
        sizes.append(math.ceil(sizes[-1] / batch))
    return sizes


def step_of(sample: EvalSample) -> MergeStep | None:
    """The merge in a finished sample; none if it did not finish."""
    found = sample.store.get(MERGE)
    return MergeStep.model_validate(found) if found is not None and sample.error is None else None


def _merger(asking: Asking, min_support: int) -> Solver:
    @solver(name="merger")
    def build(asking_digest: str, min_support: int) -> Solver:
        async def solve(state: TaskState, generate: Generate) -> TaskState:
            node: str = state.metadata["node"]
            edits = [Edit.model_validate(edit) for edit in state.metadata["edits"]]
            merged = await (
                _resolve(state, edits, asking) if node == RESOLUTION else _merge(state, edits, asking, min_support)
            )
            store().set(MERGE, merged.model_dump(mode="json"))
            return state

        return solve

    return build(asking.digest, min_support)


async def _merge(state: TaskState, edits: Sequence[Edit], asking: Asking, min_support: int) -> MergeStep:
    node: str = state.metadata["node"]
    joined = join_duplicates(edits)

    def prompt(group: Sequence[Edit]) -> str:
        return asking.prompts.render(
            "merger", min_support=min_support, files=numbered_files(asking.skill, group), edits=edit_lines(group)
        )

    if len(joined.edits) < 2:
        return MergeStep(node=node, edits=joined.edits, merged=joined.merged)
    step = await _ask_groups(state, node, joined.edits, asking, prompt, whole=True)
    return step.model_copy(update={"node": node, "merged": joined.merged + step.merged})


async def _ask_groups(
    state: TaskState,
    node: str,
    edits: Sequence[Edit],
    asking: Asking,
    prompt: Callable[[Sequence[Edit]], str],
    *,
    whole: bool,
) -> MergeStep:
    """A merge or a resolution; where the model does not manage it as a whole, in two groups that stand side by side.

    Groups are made smaller once where the account stayed wrong, and as often as it takes where they do not fit in the
    model's context.

    Args:
        state: The sample.
        node: Name of the group; new edits are named after it.
        edits: The group.
        asking: The skill, and how the merger is asked.
        prompt: What it is asked about a group.
        whole: Whether the group has not been made smaller yet.
    """
    try:
        return settle(node, edits, await _ask(state, edits, prompt(edits), asking))
    except ModelOutputError as error:
        if len(edits) < SMALLEST_GROUP or not (whole or isinstance(error, ContextOverflowError)):
            return MergeStep(node=node, edits=tuple(edits), passed_through=str(error))
    # Edits of the same place stay together.
    ordered = sorted(edits, key=lambda edit: (edit.file, edit.target, edit.id))
    half = len(ordered) // 2
    halves = [
        await _ask_groups(state, f"{node}{name}", group, asking, prompt, whole=False)
        for name, group in (("a", ordered[:half]), ("b", ordered[half:]))
    ]
    return MergeStep(
        node=node,
        edits=tuple(edit for step in halves for edit in step.edits),
        merged=tuple(row for step in halves for row in step.merged),
        dropped=tuple(drop for step in halves for drop in step.dropped),
        passed_through="; ".join(step.passed_through for step in halves if step.passed_through),
    )


async def _resolve(state: TaskState, edits: Sequence[Edit], asking: Asking) -> MergeStep:
    kept = [Edit.model_validate(edit) for edit in state.metadata["kept"]]

    def prompt(group: Sequence[Edit]) -> str:
        files = numbered_files(asking.skill, [*kept, *group])
        return asking.prompts.render("resolver", files=files, kept=edit_lines(kept), edits=edit_lines(group))

    return await _ask_groups(state, RESOLUTION, edits, asking, prompt, whole=True)


async def _ask(state: TaskState, edits: Sequence[Edit], prompt: str, asking: Asking) -> MergeResult:
    """Put a merge to the model.

    Raises:
        ModelOutputError: It gave no complete account.
    """
    question: list[ChatMessage] = [ChatMessageUser(content=prompt)]
    try:
        return await generate_structured(
            get_model(role=MERGER),
            question,
            MergeResult,
            "merge_result",
            lambda answer: account(edits, answer),
            config=asking.settings.merger,
        )
    finally:
        # Groups that were made smaller are conversations of their own; the sample shows all of them.
        state.messages = [*state.messages, *question] if state.metadata.get("asked") else question
        state.metadata["asked"] = True


def edit_lines(edits: Sequence[Edit]) -> str:
    """Edits as a merger sees them: one JSON object a line, with the number of supporting trajectories."""
    return "\n".join(
        json.dumps(
            {**edit.model_dump(exclude={"support", "requires"}), "support": len(edit.support)},
            ensure_ascii=False,
        )
        for edit in edits
    )


def numbered_files(skill: Skill, edits: Iterable[Edit]) -> list[dict[str, Any]]:
    """The skill's Markdown files for a prompt: with line numbers those that matter for some edits, else their size."""
    shown = {SKILL_MD, *(edit.file for edit in edits)}
    return [
        {
            "path": path,
            "numbered": "\n".join(f"{number:>4} {line}" for number, line in enumerate(skill.lines(path), 1))
            if path in shown
            else f"({len(skill.lines(path))} lines; no edit touches this file)",
        }
        for path in skill.files
        if path.endswith(".md") and skill.is_text(path)
    ]


def final_selection(
    steps: dict[str, MergeStep], root: str, skill: Skill, min_support: int, allow: Collection[HazardKind] = ()
) -> Selection:
    """What a finished tree selects: the root's edits, those in conflict in the form that the resolution gave them."""
    if root not in steps:
        return select_edits((), skill, min_support, allow)
    first = select_edits(steps[root].edits, skill, min_support, allow)
    if RESOLUTION not in steps:
        return first
    conflicting = {edit.id for edit, _ in first.conflicting}
    others = [edit for edit in steps[root].edits if edit.id not in conflicting]
    return select_edits([*others, *steps[RESOLUTION].edits], skill, min_support, allow)
