"""The folder of a run: whose it is, whether it is finished, and what is written into it."""

import json
from pathlib import Path

import pytest

from tests.trace2skill.toy import write_skill
from trace2skill.consolidation.assembly import assemble
from trace2skill.consolidation.ledger import Ledger, read_ledger
from trace2skill.consolidation.selection import select_edits
from trace2skill.edits.patch import Edit
from trace2skill.errors import Trace2SkillError
from trace2skill.evolution.configuration import EvolveConfig
from trace2skill.evolution.folder import (
    MANIFEST,
    RUN,
    Manifest,
    Record,
    begin,
    finished,
    read_record,
    simulated,
    write_run,
)
from trace2skill.skill.folder import load_skill

RECORD = Record(
    config=EvolveConfig(),
    models={"model": "mockllm/model"},
    agent_models=("mockllm/model",),
    initial_skill="adding",
    initial_digest="sha256:0",
    inputs=(("a.eval", "0"),),
    prompts={"merger": "0"},
    versions={"trace2skill": "0"},
)
OTHERS = {
    "config": EvolveConfig(seed=7),
    "models": {"model": "sim/large"},
    "agent_models": ("sim/small",),
    "initial_digest": "sha256:1",
    "inputs": (("a.eval", "1"),),
    "prompts": {"merger": "1"},
    "versions": {"trace2skill": "1"},
}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return tmp_path / "runs" / "one"


def write(run: Path, record: Record = RECORD) -> Manifest:
    skill = load_skill(write_skill(run.parent / "initial"))
    edits = [
        Edit(
            id=name,
            file="SKILL.md",
            op="append_to_section",
            target="## Reading",
            content=f"- Habit\n  {name}.",
            support=tuple(name.split(".")[0]),
        )
        for name in ("a.1", "bcd.1", "e.1")
    ]
    ledger = Ledger()
    ledger.analysis("x", "no fix was submitted")
    ledger.analysis("y", "no fix was submitted")
    assembled = assemble(select_edits(edits, skill, 1), skill, ledger, edits, simulated(record))
    return write_run(run, record, assembled, ledger.rows(), (), {"successes": 1, "failures": 4})


def test_a_new_folder_is_claimed_and_the_same_run_goes_on_in_it(run: Path) -> None:
    begin(run, RECORD)
    before = (run / RUN).read_bytes()
    begin(run, RECORD)

    assert (run / RUN).read_bytes() == before
    assert read_record(run) == RECORD
    assert finished(run, RECORD) is None


def test_an_empty_folder_may_be_claimed(run: Path) -> None:
    run.mkdir(parents=True)
    begin(run, RECORD)

    assert (run / RUN).is_file()


CALLED = {"config": "--", "inputs": "logs", "initial_digest": "content of the skill", "initial_skill": "skill"}
"""What the message calls a field of the record."""


@pytest.mark.parametrize("field", OTHERS)
def test_another_run_is_refused_by_name(run: Path, field: str) -> None:
    begin(run, RECORD)
    other = RECORD.model_copy(update={field: OTHERS[field]})

    with pytest.raises(Trace2SkillError, match=rf"other {CALLED.get(field, field)}.*choose another --output"):
        begin(run, other)
    assert read_record(run) == RECORD


def test_a_folder_with_other_content_is_refused_and_left_alone(run: Path) -> None:
    run.mkdir(parents=True)
    (run / "thesis.txt").write_text("mine")

    with pytest.raises(Trace2SkillError, match="is not empty and holds no evolution run"):
        begin(run, RECORD)
    assert [path.name for path in run.iterdir()] == ["thesis.txt"]


def test_a_file_in_the_way_is_refused(run: Path) -> None:
    run.parent.mkdir()
    run.write_text("mine")

    with pytest.raises(Trace2SkillError, match="is a file"):
        begin(run, RECORD)
    assert run.read_text() == "mine"


@pytest.mark.parametrize("torn", ["", '{"schema_version": 1, "con', "[]", '{"schema_version": 2}', "\0\0", "\udcff"])
def test_a_torn_record_is_refused(run: Path, torn: str) -> None:
    begin(run, RECORD)
    (run / RUN).write_bytes(torn.encode(errors="surrogateescape"))

    with pytest.raises(Trace2SkillError, match=r"run\.json cannot be read: .*\. Choose another --output"):
        begin(run, RECORD)


def test_a_finished_run_is_known_again(run: Path) -> None:
    begin(run, RECORD)
    manifest = write(run)

    assert finished(run, RECORD) == manifest
    assert manifest.edits == {"proposed": 3, "applied": 3}
    assert manifest.analyses == {"no fix was submitted": 2}
    assert manifest.trajectories == {"successes": 1, "failures": 4}
    assert load_skill(run).digest == manifest.digest


@pytest.mark.parametrize("field", OTHERS)
def test_a_finished_run_of_another_record_is_refused(run: Path, field: str) -> None:
    write(run)

    with pytest.raises(Trace2SkillError, match=f"holds a run with other {CALLED.get(field, field)}"):
        finished(run, RECORD.model_copy(update={field: OTHERS[field]}))


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.99])
def test_a_torn_manifest_is_refused(run: Path, kept: float) -> None:
    write(run)
    whole = (run / MANIFEST).read_bytes()
    (run / MANIFEST).write_bytes(whole[: int(len(whole) * kept)])

    with pytest.raises(Trace2SkillError, match=r"manifest\.json cannot be read: .* Choose another --output"):
        finished(run, RECORD)


def test_the_folder_holds_the_skill_and_its_records(run: Path) -> None:
    write(run)

    assert {path.name for path in run.iterdir()} == {
        "adding",
        "ledger.jsonl",
        "provenance.json",
        "changes.diff",
        "CHANGELOG.md",
        MANIFEST,
    }
    assert len(read_ledger(run / "ledger.jsonl")) == 5
    added = [line for line in (run / "changes.diff").read_text().splitlines() if line.startswith("+")]
    assert len(added) == 1 + 6
    assert [path.name for path in (run / "adding").iterdir()] == ["SKILL.md"]


def test_the_changelog_lists_the_best_supported_first_each_on_one_line(run: Path) -> None:
    write(run)

    lines = (run / "CHANGELOG.md").read_text().splitlines()
    assert lines[2:] == [
        "- **3 trajectories**, SKILL.md (bcd.1): - Habit bcd.1.",
        "- **1 trajectories**, SKILL.md (a.1): - Habit a.1.",
        "- **1 trajectories**, SKILL.md (e.1): - Habit e.1.",
    ]


@pytest.mark.parametrize(
    "changes", [{"models": {"model": "sim/large"}}, {"agent_models": ("mockllm/model", "sim/small")}]
)
def test_whatever_a_stand_in_took_part_in_says_so(run: Path, changes: dict[str, object]) -> None:
    record = RECORD.model_copy(update=changes)
    write(run, record)

    assert simulated(RECORD) == ""
    texts = ["manifest.json", "provenance.json", "changes.diff", "CHANGELOG.md", "adding/SKILL.md"]
    assert [name for name in texts if simulated(record) not in (run / name).read_text()] == []
    assert json.loads((run / MANIFEST).read_text())["simulated"] == simulated(record)
