import math
from pathlib import Path

from tests.trace2skill.study.test_running import Instant, quiet
from tests.trace2skill.study.tiny import CONTENT, load
from trace2skill.study.cells import RESULT, Job, Result
from trace2skill.study.planning import plan_study, plan_table


def test_a_plan_counts_cells_and_says_what_they_wait_for(tmp_path: Path) -> None:
    rows, notes = plan_study(load(tmp_path))
    found = {(row.kind, row.model): row for row in rows}

    assert {key: (row.cells, row.finished, row.waits_for) for key, row in found.items()} == {
        ("rollout", "small"): (1, 0, ""),
        ("evolve", "small"): (1, 0, "rollout"),
        ("evaluate", "small"): (3, 0, "evolve"),
    }
    # Two problems for each of three evaluations, four for the rollout, eight turns for each.
    assert found["evaluate", "small"].left.calls == 3 * 2 * 8
    assert found["rollout", "small"].left.calls == 4 * 8
    assert found["evolve", "small"].left.calls > 0
    assert all(row.gpu_hours == 0 for row in rows)
    assert notes == []
    assert "total" in plan_table(rows).text()


def test_what_finished_cells_took_goes_before_assumptions(tmp_path: Path) -> None:
    study = load(tmp_path)

    def measured(job: Job) -> str:
        if job.kind != "evaluate" or job.definition["argument"]:
            return "not now"
        result = Result(
            kind=job.kind, slug=job.slug, digest=job.digest, definition=job.definition, needs={},
            samples=2, calls=6, input_tokens=100, output_tokens=40, seconds=2.0,
        )  # fmt: skip
        Path(job.folder).mkdir(parents=True)
        (Path(job.folder) / RESULT).write_text(result.model_dump_json())
        return "not now"

    study.run(Instant(measured), quiet)
    rows, _ = plan_study(study)
    left = {row.kind: row for row in rows}["evaluate"]

    assert left.finished == 1
    assert (left.left.calls, left.left.input_tokens, left.left.output_tokens) == (12, 200, 80)


def test_gpu_hours_need_a_rate(tmp_path: Path) -> None:
    served = {"model": "sim/small", "gpus": 4}
    untold = plan_study(load(tmp_path / "a", models={"small": served}))[0]
    told = plan_study(load(tmp_path / "b", models={"small": {**served, "tokens_per_second": 100}}))[0]

    assert all(math.isnan(row.gpu_hours) for row in untold)
    assert all(row.gpu_hours == row.left.output_tokens / 100 * 4 / 3600 for row in told)
    assert "not told" in plan_table(untold).text()


def test_data_that_is_not_there_is_assumed_and_named(tmp_path: Path) -> None:
    declared = {**CONTENT["benchmarks"]["problems"], "args": {"dataset": "/nowhere"}, "sizes": {"test": 50}}
    del declared["samples"], declared["evolve_samples"]

    rows, notes = plan_study(load(tmp_path, benchmarks={"problems": declared}))

    calls = {row.kind: row.left.calls for row in rows}
    assert calls["evaluate"] == 3 * 50 * 8
    assert calls["rollout"] == 200 * 8
    assert any("50 samples are declared" in note for note in notes)
    assert any("200 samples are assumed" in note for note in notes)
