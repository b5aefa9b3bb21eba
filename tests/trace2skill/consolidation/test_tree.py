"""The merge tree: what it asks for and when, and what a merger's answer becomes."""

import json
import math
import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from inspect_ai import eval
from inspect_ai.dataset import Sample
from inspect_ai.log import EvalSample
from inspect_ai.model import ChatMessage, Model, ModelOutput

from tests.trace2skill.toy import merge_all, scripted, structured, write_skill
from trace2skill.consolidation.merging import MergeStep
from trace2skill.consolidation.tree import (
    MERGE,
    RESOLUTION,
    MergeTree,
    consolidation,
    final_selection,
    level_sizes,
    step_of,
)
from trace2skill.edits.patch import Edit, Patch
from trace2skill.models.asking import Asking
from trace2skill.skill.folder import Skill, load_skill

TOPICS = ["dates", "sums", "blanks", "headers", "totals", "signs", "quotes", "commas", "units", "rows", "tabs", "names"]


@pytest.fixture
def skill(tmp_path: Path) -> Skill:
    return load_skill(write_skill(tmp_path))


def append(name: str, content: str = "", target: str = "## Reading") -> Edit:
    trajectory = name.split(".")[0]
    content = content or f"- Mind the {TOPICS[int(trajectory[1:]) % len(TOPICS)]}."
    return Edit(id=name, file="SKILL.md", op="append_to_section", target=target, content=content, support=(trajectory,))


def replace(name: str, content: str) -> Edit:
    return append(name).model_copy(
        update={"op": "replace_in_section", "old": "- Read the file as text.", "content": content}
    )


def patches(count: int) -> list[Patch]:
    return [Patch(trajectory=f"t{n:02d}", edits=(append(f"t{n:02d}.1"),)) for n in range(count)]


def tree_of(patches: Sequence[Patch], skill: Skill, batch: int = 2) -> MergeTree:
    return MergeTree(patches, skill, batch, 1)


def inputs(sample: Sample) -> list[Edit]:
    return [Edit.model_validate(edit) for edit in (sample.metadata or {})["edits"]]


def done(sample: Sample, edits: Sequence[Edit] | None = None) -> EvalSample:
    """The sample as finished: its merge passes the inputs on, or these edits."""
    step = MergeStep(node=str(sample.id), edits=tuple(inputs(sample) if edits is None else edits))
    return EvalSample(id=str(sample.id), epoch=1, input="", target="", store={MERGE: step.model_dump(mode="json")})


async def finish(tree: MergeTree, seed: int | None = None) -> list[Sample]:
    """Finish all merges, in a random order if there is a seed; returns every sample of the tree."""
    pending, every = list(tree.initial_samples()), []
    while pending:
        sample = pending.pop(0 if seed is None else random.Random(seed).randrange(len(pending)))
        every.append(sample)
        pending += await tree.sample_complete(done(sample)) or []
    return every


@pytest.mark.parametrize(
    ("leaves", "batch", "sizes"),
    [
        (0, 32, [0]),
        (1, 32, [1]),
        (32, 32, [1]),
        (33, 32, [2, 1]),
        (200, 32, [7, 1]),
        (1025, 32, [33, 2, 1]),
        (5, 2, [3, 2, 1]),
    ],
)
def test_level_sizes(leaves: int, batch: int, sizes: list[int]) -> None:
    assert level_sizes(leaves, batch) == sizes


def test_there_are_as_many_levels_as_the_logarithm_says() -> None:
    for batch in (2, 3, 32):
        for leaves in range(2, 200):
            assert len(level_sizes(leaves, batch)) == max(1, math.ceil(round(math.log(leaves, batch), 9)))


def test_a_merge_of_fewer_than_two_is_refused(skill: Skill) -> None:
    with pytest.raises(ValueError, match="at least 2 inputs, not 1"):
        MergeTree(patches(3), skill, 1, 1)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 9, 11])
@pytest.mark.parametrize("batch", [2, 3, 32])
async def test_every_edit_reaches_the_root_once(skill: Skill, count: int, batch: int) -> None:
    tree = tree_of(patches(count), skill, batch)
    every = await finish(tree)

    leaves = [edit.id for sample in every if str(sample.id).startswith("1/") for edit in inputs(sample)]
    assert leaves == [f"t{n:02d}.1" for n in range(count)]
    assert sorted(edit.id for edit in tree.steps[tree.root].edits) == leaves
    assert len({sample.id for sample in every}) == len(every) == sum(level_sizes(count, batch))


async def test_patches_without_edits_take_no_place(skill: Skill) -> None:
    tree = tree_of([*patches(2), Patch(trajectory="empty", edits=())], skill)

    assert [sample.id for sample in await finish(tree)] == ["1/1"]


async def test_no_patches_make_no_samples(skill: Skill) -> None:
    assert tree_of([], skill).initial_samples() == []


async def test_a_merge_starts_while_other_groups_of_its_level_are_still_open(skill: Skill) -> None:
    tree = tree_of(patches(8), skill)
    first, second, third, *_ = tree.initial_samples()

    assert not await tree.sample_complete(done(second))
    [parent] = await tree.sample_complete(done(first)) or []

    assert parent.id == "2/1"
    assert [edit.id for edit in inputs(parent)] == ["t00.1", "t01.1", "t02.1", "t03.1"]
    assert not await tree.sample_complete(done(third))
    assert not await tree.sample_complete(done(parent))


async def test_a_last_group_may_be_smaller(skill: Skill) -> None:
    tree = tree_of(patches(5), skill)
    *_, last = tree.initial_samples()

    [parent] = await tree.sample_complete(done(last)) or []
    assert (parent.id, [edit.id for edit in inputs(parent)]) == ("2/2", ["t04.1"])


async def test_what_is_asked_depends_on_no_order(skill: Skill) -> None:
    given = patches(11)
    expected = {sample.id: sample for sample in await finish(tree_of(given, skill))}
    for seed in range(20):
        random.Random(seed).shuffle(given)
        assert {sample.id: sample for sample in await finish(tree_of(given, skill), seed)} == expected


async def test_a_merge_that_is_reported_twice_counts_once(skill: Skill) -> None:
    tree = tree_of(patches(4), skill)
    first, second = tree.initial_samples()

    assert not await tree.sample_complete(done(first))
    assert not await tree.sample_complete(done(first, []))
    [parent] = await tree.sample_complete(done(second)) or []
    assert not await tree.sample_complete(done(second))
    assert len(inputs(parent)) == 4


async def test_a_merge_that_failed_starts_nothing(skill: Skill) -> None:
    tree = tree_of(patches(2), skill)
    [only] = tree.initial_samples()
    failed = EvalSample(id=str(only.id), epoch=1, input="", target="", store={})

    assert not await tree.sample_complete(failed)
    assert tree.steps == {}


async def test_conflicts_at_the_root_are_put_back_once(skill: Skill) -> None:
    kept, rival, free = replace("t00.1", "- Read all."), replace("t01.1", "- Read a part."), append("t02.1")
    tree = tree_of([Patch(trajectory=edit.id[:3], edits=(edit,)) for edit in (kept, rival, free)], skill, batch=3)
    [only] = tree.initial_samples()

    [resolution] = await tree.sample_complete(done(only)) or []

    assert resolution.id == RESOLUTION
    assert inputs(resolution) == [rival]
    assert [edit["id"] for edit in (resolution.metadata or {})["kept"]] == ["t00.1", "t02.1"]
    assert not await tree.sample_complete(done(resolution))


async def test_without_a_conflict_there_is_no_resolution(skill: Skill) -> None:
    tree = tree_of(patches(2), skill)
    [only] = tree.initial_samples()

    assert not await tree.sample_complete(done(only))


def test_a_resolution_takes_the_place_of_what_was_in_conflict(skill: Skill) -> None:
    kept, rival, moved = replace("t00.1", "- Read all."), replace("t01.1", "- Read a part."), append("t01.9")
    steps = {"1/1": MergeStep(node="1/1", edits=(kept, rival))}

    first = final_selection(steps, "1/1", skill, 1)
    second = final_selection({**steps, RESOLUTION: MergeStep(node=RESOLUTION, edits=(moved,))}, "1/1", skill, 1)

    assert (first.kept, [edit for edit, _ in first.conflicting]) == ((kept,), [rival])
    assert (second.kept, second.conflicting) == ((kept, moved), ())


def test_a_resolution_that_conflicts_again_is_left_out(skill: Skill) -> None:
    kept, rival = replace("t00.1", "- Read all."), replace("t01.1", "- Read a part.")
    steps = {
        "1/1": MergeStep(node="1/1", edits=(kept, rival)),
        RESOLUTION: MergeStep(node=RESOLUTION, edits=(rival,)),
    }

    assert [edit for edit, _ in final_selection(steps, "1/1", skill, 1).conflicting] == [rival]


def merge(patches: Sequence[Patch], skill: Skill, model: Model, folder: Path, batch: int = 2) -> dict[str, MergeStep]:
    [log] = eval(
        consolidation(MergeTree(patches, skill, batch, 1), Asking(skill=skill)),
        model=model,
        log_dir=str(folder),
        display="none",
        fail_on_error=True,
    )
    assert log.status == "success"
    return {step.node: step for sample in log.samples or [] if (step := step_of(sample))}


def test_merges_run_up_to_the_root_with_the_support_of_all(skill: Skill, tmp_path: Path) -> None:
    steps = merge(patches(5), skill, scripted(merge_result=merge_all), tmp_path / "logs")

    assert sorted(steps) == ["1/1", "1/2", "1/3", "2/1", "2/2", "3/1"]
    [edit] = steps["3/1"].edits
    assert edit.support == tuple(f"t{n:02d}" for n in range(5))


def test_near_duplicates_are_joined_before_the_model_is_asked(skill: Skill, tmp_path: Path) -> None:
    same = [Patch(trajectory=f"t{n}", edits=(append(f"t{n}.1", "- Read to the last line."),)) for n in (0, 1)]
    shown: list[str] = []

    def merger(messages: list[ChatMessage]) -> ModelOutput:
        shown.append(messages[0].text)
        return merge_all(messages)

    steps = merge(same, skill, scripted(merge_result=merger), tmp_path / "logs")

    [edit] = steps["1/1"].edits
    assert (edit.id, edit.support) == ("t0.1", ("t0", "t1"))
    assert [row.edit.id for row in steps["1/1"].merged] == ["t1.1"]
    assert all('"t1.1"' not in text for text in shown)


def test_an_incomplete_account_is_repaired_or_else_the_inputs_go_on(skill: Skill, tmp_path: Path) -> None:
    asked: list[str] = []

    def forgetful(messages: list[ChatMessage]) -> ModelOutput:
        asked.append(messages[-1].text)
        return structured({"edits": [], "dropped": [{"id": "t00.1", "reason": "known"}]})

    steps = merge(patches(2), skill, scripted(merge_result=forgetful), tmp_path / "logs")

    assert [edit.id for edit in steps["1/1"].edits] == ["t00.1", "t01.1"]
    assert steps["1/1"].dropped == ()
    assert "id 't01.1' is missing" in steps["1/1"].passed_through
    assert "id 't01.1' is missing" in asked[1]
    assert len(asked) == 2, "the same answer twice ends it"


def test_a_resolution_that_fails_as_a_whole_is_tried_in_smaller_groups(skill: Skill, tmp_path: Path) -> None:
    rivals = [replace(f"t{n:02d}.1", f"- Read {TOPICS[n]} first.") for n in range(5)]
    conflicting = [Patch(trajectory=edit.id[:3], edits=(edit,)) for edit in rivals]
    asked: list[int] = []

    def merger(messages: list[ChatMessage]) -> ModelOutput:
        resolving = "<kept>" in messages[0].text
        tag = "conflicting" if resolving else "edits"
        block = messages[0].text.split(f"<{tag}>")[1].split(f"</{tag}>")[0]
        rows = [json.loads(row) for row in block.split("\n") if row]
        if resolving:
            asked.append(len(rows))
            if len(rows) > 2:
                return structured({"edits": []})
        fields = ("file", "rationale", "op", "target", "old", "content")
        moved = {"op": "append_to_section", "old": ""} if resolving else {}
        return structured(
            {"edits": [{**{key: row[key] for key in fields}, **moved, "ids": [row["id"]]} for row in rows]}
        )

    steps = merge(conflicting, skill, scripted(merge_result=merger), tmp_path / "logs", batch=5)

    assert asked == [4, 4, 2, 2]
    assert steps[RESOLUTION].passed_through == ""
    assert sorted(edit.support for edit in steps[RESOLUTION].edits) == [(f"t{n:02d}",) for n in range(1, 5)]
    assert {edit.op for edit in steps[RESOLUTION].edits} == {"append_to_section"}
