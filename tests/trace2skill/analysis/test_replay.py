"""The stronger gate: lessons that help no replay are dropped."""

from pathlib import Path

import pytest

from tests.trace2skill.toy import (
    append,
    create,
    edit,
    run_adding,
    run_adding_with_skill,
    scripted,
    structured,
    write_skill,
)
from trace2skill.analysis.replay import lessons_of
from trace2skill.consolidation.ledger import read_ledger
from trace2skill.errors import LogError
from trace2skill.evolution.configuration import EvolveConfig
from trace2skill.evolution.evolve import evolve
from trace2skill.logs.trajectory import Trajectory
from trace2skill.skill.folder import load_skill

USELESS = "- Count the lines first."


def test_a_lesson_that_turns_no_failure_into_a_success_is_dropped(tmp_path: Path) -> None:
    skill = write_skill(tmp_path)
    logs = run_adding_with_skill(tmp_path / "logs", skill)
    model = scripted(patch=lambda _: structured({"edits": [edit("- Read to the last line."), edit(USELESS)]}))

    manifest = evolve(
        [logs], skill, tmp_path / "run", EvolveConfig(analysts="error", replays=2), model=model, display="none"
    )

    assert manifest.edits == {"proposed": 4, "applied": 2, "rejected": 2}
    evolved = load_skill(tmp_path / "run").skill_md
    assert "- Read to the last line." in evolved
    assert USELESS not in evolved
    reasons = {row.reason for row in read_ledger(tmp_path / "run" / "ledger.jsonl") if row.fate == "rejected"}
    assert reasons == {"with this lesson alone, 2 of 2 replays of the task failed"}
    replays = {stage.stage: stage.samples for stage in manifest.stages if stage.stage.startswith("replay")}
    assert replays == {"replay_1": 4, "replay_2": 4}


def test_a_task_that_takes_no_skill_cannot_be_replayed(tmp_path: Path) -> None:
    logs = run_adding(tmp_path / "logs")

    with pytest.raises(LogError, match="need a logged task with the argument `skill`"):
        evolve([logs], write_skill(tmp_path), tmp_path / "run", EvolveConfig(replays=1), model=scripted())
    assert not (tmp_path / "run").exists()


def test_a_new_file_and_its_link_are_one_lesson() -> None:
    trajectory = Trajectory(id="one", log=Path("x.eval"), sample_id="one", epoch=1, target="", score=0, success=False)
    edits = [append("one.1"), create("one.2"), append("one.3", "- Dates: see references/dates.md.")]

    lessons = lessons_of(trajectory, edits)

    assert [lesson.id for lesson in lessons] == ["one.1", "one.2"]
    assert [[row.id for row in lesson.edits] for lesson in lessons] == [["one.1"], ["one.2", "one.3"]]
