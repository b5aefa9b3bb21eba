"""The engine in the stand-in's world, whose truth is known: which habits a run omitted, and which lessons are sound."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from inspect_ai import eval
from inspect_ai.log import read_eval_log, read_eval_log_samples
from inspect_ai.model import Model, get_model
from inspect_ai.scorer import value_to_float

from evals.math_reasoning import math_reasoning
from evals.visionqa import visionqa
from evals.wikitq import wikitq
from trace2skill.analysis.gate import CLEAN_RUN
from trace2skill.analysis.reports import Analysis
from trace2skill.analysis.tasks import analysis_of
from trace2skill.consolidation.ledger import read_ledger
from trace2skill.edits.patch import Edit, Patch
from trace2skill.edits.provenance import blame
from trace2skill.evolution.configuration import Analysts, EvolveConfig
from trace2skill.evolution.evolve import evolve
from trace2skill.evolution.folder import Manifest
from trace2skill.logs.transcript import render_transcript
from trace2skill.simulation.answers.analyst import faulty_habits
from trace2skill.simulation.habits import read_teaching, taught_by
from trace2skill.simulation.lessons import quirks
from trace2skill.skill.folder import load_skill

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class World:
    """A benchmark as the stand-in plays it, without a sandbox."""

    domain: str
    skill: str

    def rollout(self, folder: Path, model: Model, split: str, skill: Path | str | None = None) -> float:
        """Play a split; the share of successes."""
        arguments = {"dataset": "sample", "split": split, "skill": str(skill or self.skill)}
        task = {"math": math_reasoning, "wikitq": wikitq, "visionqa": visionqa}[self.domain]
        if self.domain == "wikitq":
            arguments["format"] = "text"
        [log] = eval(task(**arguments), model=model, log_dir=str(folder), display="none")
        scores = [value_to_float()(next(iter((sample.scores or {}).values())).value) for sample in log.samples or []]
        return sum(score >= 0.5 for score in scores) / len(scores)

    def evolve(self, logs: Path, output: Path, model: Model, analysts: Analysts, seed: int) -> Manifest:
        # DocVQA's score is a share: half of it counts as success.
        threshold = 0.5 if self.domain == "visionqa" else 1.0
        config = EvolveConfig(analysts=analysts, threshold=threshold, seed=seed)
        return evolve([logs], self.skill, output, config, model=model, display="none")


WORLDS = (
    World("math", "skills/math-basic"),
    World("wikitq", "skills/xlsx-basic"),
    World("visionqa", "skills/docvqa-basic"),
)
SEEDS = (1, 2, 3)


def stand_in(seed: int, scale: str = "small") -> Model:
    return get_model(f"sim/{scale}", seed=seed, memoize=False)


@dataclass(frozen=True)
class Judged:
    """An error analysis, the habits that the run really omitted, and whether the gate let it pass."""

    analysis: Analysis
    domain: str
    omitted: frozenset[str]
    admitted: bool

    @property
    def named(self) -> set[str]:
        """Habits that its lessons are about; one-offs are about none."""
        return {slug for lesson in self.analysis.lessons for slug in taught_by(lesson.content, self.domain)}

    @property
    def sound(self) -> bool:
        return self.named <= self.omitted


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> list[Judged]:
    return [row for world in WORLDS for seed in SEEDS for row in judge(world, seed, tmp_path_factory.mktemp("gate"))]


def judge(world: World, seed: int, folder: Path) -> Iterator[Judged]:
    model = stand_in(seed)
    world.rollout(folder / "logs", model, "all")
    world.evolve(folder / "logs", folder / "run", model, "error", seed)
    [log] = (folder / "logs").glob("*.eval")
    omitted = {
        str(sample.id): frozenset(faulty_habits(render_transcript(sample.messages), world.domain))
        for sample in read_eval_log_samples(log, all_samples_required=False)
    }
    [analysed] = (folder / "run" / "logs" / "analysis").glob("*.eval")
    samples = {str(sample.id): sample for sample in read_eval_log(analysed).samples or []}
    # An edit with a wrong anchor is rejected as well, but not by the gate.
    rejected = {
        row.id
        for row in read_ledger(folder / "run" / "ledger.jsonl")
        if row.fate == "rejected" and not row.reason.startswith("section not found")
    }
    for name, sample in samples.items():
        analysis = analysis_of(sample) if not name.endswith(CLEAN_RUN) else None
        if analysis and analysis.patch and analysis.patch.edits:
            admitted = not {edit.id for edit in analysis.patch.edits} <= rejected
            yield Judged(analysis, world.domain, omitted[name], admitted)


def test_the_gate_admits_sound_lessons_and_stops_misdiagnoses(judged: list[Judged]) -> None:
    sound = [row for row in judged if row.named and row.sound]
    wrong = [row for row in judged if not row.sound]

    assert len(sound) >= 60
    assert len(wrong) >= 15
    assert sum(row.admitted for row in sound) / len(sound) >= 0.95
    assert sum(row.admitted for row in wrong) / len(wrong) <= 0.02


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.domain)
def test_support_is_true_and_what_one_run_shows_stays_out(world: World, tmp_path: Path) -> None:
    model = stand_in(1)
    world.rollout(tmp_path / "logs", model, "all")
    world.evolve(tmp_path / "logs", tmp_path / "run", model, "combined", 1)

    ledger = read_ledger(tmp_path / "run" / "ledger.jsonl")
    usable = [row for row in ledger if row.proposed and row.kind == "edit" and row.fate != "rejected"]
    proposed: dict[str, set[str]] = {}
    for row in usable:
        for slug in taught_by(row.content, world.domain):
            proposed.setdefault(slug, set()).update(row.support)
    _, lines = blame(tmp_path / "run")
    written = [line for line in lines if line.edit and line.file == "SKILL.md"]
    found = {slug: set(line.support) for line in written for slug in taught_by(line.text, world.domain)}

    frequent = {slug for slug, support in proposed.items() if len(support) >= 2}
    assert len(frequent) >= 4
    assert {slug: found.get(slug) for slug in frequent} == {slug: proposed[slug] for slug in frequent}
    one_offs = [quirk["content"] for quirk in quirks(world.domain)]
    supported = Counter(row.content.strip("- \n") for row in usable)
    kept = [line for line in written if line.text.strip("- ") in one_offs]
    assert [line.text for line in kept if supported[line.text.strip("- ")] < 2] == []


def test_proven_lessons_help_more_than_single_calls(tmp_path: Path) -> None:
    gains: dict[str, list[float]] = {"error": [], "combined": [], "error-llm": []}
    for world in WORLDS:
        for seed in SEEDS:
            place, model = tmp_path / world.domain / str(seed), stand_in(seed)
            world.rollout(place / "logs", model, "evolve")
            before = world.rollout(place / "before", model, "test")
            for analysts, found in gains.items():
                world.evolve(place / "logs", place / analysts, model, analysts, seed)
                found.append(world.rollout(place / f"{analysts}-test", model, "test", place / analysts) - before)

    means = {analysts: sum(found) / len(found) for analysts, found in gains.items()}
    assert means["error"] > means["error-llm"]
    assert means["combined"] > means["error-llm"]


KEEPS = "- Bring a fraction to lowest terms before you add numerator and denominator."
DENIES = "- There is no need to reduce fractions before you add their parts."


@pytest.mark.parametrize("batch", [2, 32])
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("for_it", "against"), [(3, 2), (2, 3), (2, 2)])
def test_of_a_planted_contradiction_never_both_sides_are_kept(
    tmp_path: Path, seed: int, for_it: int, against: int, batch: int
) -> None:
    sides = [KEEPS] * for_it + [DENIES] * against
    patches = [_patch(f"run-{(number * 7 + seed) % 10}", text) for number, text in enumerate(sides)]
    (tmp_path / "patches.jsonl").write_text("".join(patch.model_dump_json() + "\n" for patch in patches))

    evolve(
        [],
        "skills/math-basic",
        tmp_path / "run",
        EvolveConfig(merge_batch=batch, seed=seed),
        patches=[tmp_path / "patches.jsonl"],
        model=stand_in(seed),
        display="none",
    )

    teaching = read_teaching(load_skill(tmp_path / "run").skill_md, domain="math")
    text = load_skill(tmp_path / "run").skill_md
    assert not (KEEPS in text and DENIES in text)
    if batch == 32:  # where both sides meet at once, the better supported one stays
        assert ("lowest_terms" in teaching.taught) == (for_it >= against)


def _patch(trajectory: str, text: str) -> Patch:
    edit = Edit(
        id=f"{trajectory}.1",
        file="SKILL.md",
        op="add_section",
        target="",
        content=f"## Fractions\n\n{text}",
        support=(trajectory,),
    )
    return Patch(trajectory=trajectory, edits=(edit,), reasoning="", changelog=())
