"""One bad sample does not block an evolution; many of them do."""

import base64
from collections.abc import Callable
from pathlib import Path

import pytest
from inspect_ai.log import EvalLog, read_eval_log, write_eval_log

from tests.trace2skill.toy import run_adding, scripted, write_skill
from trace2skill.consolidation import read_ledger
from trace2skill.errors import LogError
from trace2skill.evolution import EvolveConfig, evolve
from trace2skill.logs.files import find_logs

pytestmark = pytest.mark.slow


def edited(folder: Path, edit: Callable[[EvalLog], None]) -> Path:
    (file,) = find_logs([run_adding(folder / "source")])
    log = read_eval_log(file)
    edit(log)
    (folder / "logs").mkdir()
    write_eval_log(log, folder / "logs" / "edited.eval")
    return folder / "logs"


def produced(content: object, *names: str) -> Callable[[EvalLog], None]:
    def edit(log: EvalLog) -> None:
        for sample in log.samples or []:
            if sample.id in names:
                sample.store["produced_files"] = content

    return edit


@pytest.mark.parametrize(
    "content", [{"notes.txt": 7}, {"notes.txt": "no base64!"}, ["notes.txt"], {"a\0b": base64.b64encode(b"x").decode()}]
)
def test_a_produced_file_that_is_none_quarantines_its_sample(tmp_path: Path, content: object) -> None:
    log = edited(tmp_path, produced(content, "one"))
    manifest = evolve([log], write_skill(tmp_path), tmp_path / "run", model=scripted(), display="none")

    assert manifest.edits == {"proposed": 3, "applied": 3}
    (row,) = [row for row in read_ledger(tmp_path / "run" / "ledger.jsonl") if row.kind == "analysis"]
    assert row.id == "one"
    assert row.reason.startswith("quarantined: the analysis broke: ")
    assert manifest.notes == ("1 analyses broke and were left out: one.",)


def test_too_many_stop_the_run_and_keep_the_others(tmp_path: Path) -> None:
    log = edited(tmp_path, produced({"notes.txt": 7}, "one", "two"))
    skill = write_skill(tmp_path)

    with pytest.raises(LogError, match="2 samples failed"):
        evolve([log], skill, tmp_path / "run", model=scripted(), display="none")
    config = EvolveConfig(max_quarantined=0.5)
    manifest = evolve([log], skill, tmp_path / "other", config, model=scripted(), display="none")
    assert manifest.edits == {"proposed": 2, "applied": 2}


def test_none_may_break_where_the_user_says_so(tmp_path: Path) -> None:
    log = edited(tmp_path, produced({"notes.txt": 7}, "one"))

    with pytest.raises(LogError, match="1 samples failed"):
        evolve([log], write_skill(tmp_path), tmp_path / "run", EvolveConfig(max_quarantined=0), model=scripted())
