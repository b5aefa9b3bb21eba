"""Selection among seeds: on the evolve split, with the original task and model."""

import json
import shutil
from pathlib import Path

import pytest

from tests.trace2skill.toy import edit, run_adding, run_adding_with_skill, scripted, structured, write_skill
from trace2skill.edits.provenance import blame
from trace2skill.errors import LogError, SkillError, Trace2SkillError
from trace2skill.evolution.candidates import SELECTION, Selection, check_selectable, evolve_seeds, select_candidate
from trace2skill.evolution.configuration import EvolveConfig
from trace2skill.evolution.evolve import evolve
from trace2skill.evolution.folder import Manifest
from trace2skill.skill.folder import load_skill

CONFIG = EvolveConfig(analysts="error")


def candidates(logs: Path, skill: Path, output: Path, **lines: str) -> dict[str, Manifest]:
    """One run folder for each name, whose analysts all propose its line."""
    manifests = {}
    for name, line in lines.items():
        model = scripted(patch=lambda _, line=line: structured({"edits": [edit(line)]}))
        manifests[name.replace("_", "-")] = evolve(
            [logs], skill, output / name.replace("_", "-"), CONFIG, model=model, display="none"
        )
    return manifests


@pytest.mark.slow
@pytest.mark.parametrize("with_skill", [True, False])
def test_the_best_candidate_is_kept_if_it_beats_the_initial_skill(tmp_path: Path, with_skill: bool) -> None:
    skill = write_skill(tmp_path)
    logs = run_adding_with_skill(tmp_path / "logs", skill if with_skill else None)
    output = tmp_path / "out"
    manifests = candidates(logs, skill, output, seed_1="- Count first.", seed_2="- Read to the last line.")

    selection = select_candidate([logs], skill, output, manifests, CONFIG, display="none")

    assert selection.chosen == "seed-2"
    assert [(row.name, row.successes, row.runs) for row in (selection.initial, *selection.candidates)] == [
        ("initial", 2, 4),
        ("seed-1", 2, 4),
        ("seed-2", 4, 4),
    ]
    assert select_candidate([logs], skill, output, manifests, CONFIG, display="none") == selection
    assert blame(output / "adding")[0].digest == manifests["seed-2"].digest
    assert load_skill(output / "adding").digest == load_skill(output / "seed-2").digest
    assert Selection.model_validate_json((output / SELECTION).read_text()) == selection


def test_without_a_gain_none_is_chosen_and_all_are_kept(tmp_path: Path) -> None:
    skill = write_skill(tmp_path)
    logs = run_adding_with_skill(tmp_path / "logs", skill)
    manifests = candidates(logs, skill, tmp_path / "out", seed_1="- Count first.")

    with pytest.raises(SkillError, match=r"No candidate beats the initial skill on the evolve split \(2 of 4\)"):
        select_candidate([logs], skill, tmp_path / "out", manifests, CONFIG, display="none")
    assert json.loads((tmp_path / "out" / SELECTION).read_text())["chosen"] == ""
    assert load_skill(tmp_path / "out" / "seed-1").name == "adding"
    assert not (tmp_path / "out" / "adding").exists()


@pytest.mark.slow
def test_another_skill_of_the_same_seed_is_played_anew(tmp_path: Path) -> None:
    skill = write_skill(tmp_path)
    logs = run_adding_with_skill(tmp_path / "logs", skill)
    output = tmp_path / "out"
    first = candidates(logs, skill, output, seed_1="- Count first.")
    with pytest.raises(SkillError):
        select_candidate([logs], skill, output, first, CONFIG, display="none")
    shutil.rmtree(output / "seed-1")
    second = candidates(logs, skill, output, seed_1="- Read to the last line.")

    assert select_candidate([logs], skill, output, second, CONFIG, display="none").candidates[0].successes == 4


def test_a_folder_with_something_else_is_left_alone(tmp_path: Path) -> None:
    skill = write_skill(tmp_path)
    logs = run_adding_with_skill(tmp_path / "logs", skill)

    with pytest.raises(Trace2SkillError, match="is not empty and holds no evolution run"):
        evolve_seeds([logs], skill, skill.parent, CONFIG, [1])


def test_what_cannot_be_selected_is_refused_before_anything_is_run(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="there are no logs"):
        check_selectable([], CONFIG)
    with pytest.raises(LogError, match="need a logged task with the argument `skill`"):
        check_selectable([run_adding(tmp_path / "logs")], CONFIG)
