"""What a cell does, in a process of its own. Importing this module imports all that a cell needs."""

import json
import math
import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from inspect_ai.log import list_eval_logs, read_eval_log

from trace2skill.baselines import evolve
from trace2skill.baselines.controls import lexical_control, make_control
from trace2skill.errors import StudyError
from trace2skill.evolution.configuration import EvolveConfig
from trace2skill.evolution.draft import draft_skill
from trace2skill.files import read_model, write_atomic
from trace2skill.models.cast import Provider
from trace2skill.skill.folder import load_skill, save_skill
from trace2skill.study.cells import FAILURE, LOGS, RESULT, Failure, Job, Kind, Result
from trace2skill.study.endpoints import check_endpoint
from trace2skill.study.playing import costs, means, play, summaries_of

SELECTION = "selection.json"
"""What a selection went by."""


def work(job: Job) -> Result:
    """Do what a cell is for, or go on with it; its result is kept in its folder.

    Raises:
        Trace2SkillError: It cannot be done; what is finished is kept.
    """
    if (found := read_result(Path(job.folder), job.digest)) is not None:
        return found
    if "model" in job.definition or "config" in job.definition:
        check_endpoint(job.places.get("base_url"))
    folder = Path(job.folder)
    folder.mkdir(parents=True, exist_ok=True)
    began, clock = datetime.now(UTC), time.monotonic()
    done = _WORKS[job.kind](job)
    result = Result(
        kind=job.kind,
        slug=job.slug,
        digest=job.digest,
        definition=job.definition,
        needs={part: Path(place).name for part, place in job.needs.items()},
        seconds=round(time.monotonic() - clock, 3),
        started=began.isoformat(timespec="seconds"),
        versions={name: version(name) for name in ("trace2skill", "inspect-ai")},
        **done,
    )
    write_atomic(folder / RESULT, result.model_dump_json(indent=2) + "\n")
    (folder / FAILURE).unlink(missing_ok=True)
    return result


def read_result(folder: Path, digest: str) -> Result | None:
    """The result of a finished cell; none where it is not finished.

    Raises:
        StudyError: It is there, but cannot be read, or is that of another cell.
    """
    if not (folder / RESULT).is_file():
        return None
    try:
        result = read_model(folder / RESULT, Result)
    except ValueError as error:
        raise StudyError(f"{error} Delete {folder} to run that cell again.") from error
    if result.digest != digest:
        raise StudyError(f"{folder / RESULT} is of another cell ({result.digest}). Delete {folder}, or restore it.")
    return result


def read_failure(folder: Path, digest: str) -> Failure | None:
    """Why a cell failed when it was last run; none where it did not."""
    try:
        failure = read_model(folder / FAILURE, Failure)
    except ValueError:
        return None
    return failure if failure.digest == digest else None


def note_failure(job: Job, why: str) -> None:
    """Keep the reason for which a cell is not finished."""
    failure = Failure(digest=job.digest, why=why, at=datetime.now(UTC).isoformat(timespec="seconds"))
    write_atomic(Path(job.folder) / FAILURE, failure.model_dump_json(indent=2) + "\n")


def _draft(job: Job) -> dict[str, Any]:
    folder, said = Path(job.folder), job.definition
    skill = folder / str(said["name"])
    if not skill.exists():
        draft_skill(
            said["about"],
            skill,
            said["model"],
            profile=job.places.get("profile"),
            seed=said["seed"],
            provider=Provider(base_url=job.places.get("base_url"), arguments=said["model_args"]),
            display="plain",
        )
    logs = [read_eval_log(log, header_only=True) for log in list_eval_logs(str(skill.with_name(f"{skill.name}.logs")))]
    return {"artefact": load_skill(skill).name, "samples": 1, **costs(logs, summaries_of(logs))}


def _played(job: Job) -> dict[str, Any]:
    played = play(job)
    return {
        "logs": tuple(str(Path(LOGS) / log.name) for log in played.logs),
        "samples": played.samples,
        "calls": played.calls,
        "input_tokens": played.input_tokens,
        "output_tokens": played.output_tokens,
        "note": f"{played.missing} runs of samples are missing" if played.missing else "",
    }


def _evolve(job: Job) -> dict[str, Any]:
    folder = Path(job.folder)
    run = folder / "run"
    config = EvolveConfig.model_validate(
        {
            **job.definition["config"],
            "profile": job.places.get("profile"),
            "model_base_url": job.places.get("base_url"),
            "reuse_analyses": str(Path(job.needs["reuse"]) / "run") if "reuse" in job.needs else None,
        }
    )
    initial = None if config.makes_bank else initial_of(job)
    manifest = evolve(logs_of(Path(job.needs["rollout"])), initial, run, config, display="plain")
    stages = [stage for stage in manifest.stages if not stage.reused]
    return {
        "artefact": "run",
        "note": f"left as it was: {manifest.unchanged}" if manifest.unchanged else "",
        "samples": sum(manifest.trajectories.values()),
        "calls": sum(stage.calls for stage in stages),
        "input_tokens": sum(stage.input_tokens for stage in stages),
        "output_tokens": sum(stage.output_tokens for stage in stages),
    }


def initial_of(job: Job) -> str:
    """The skill that an evolution starts from."""
    if "initial" in job.needs:
        return str(artefact_of(Path(job.needs["initial"])))
    return str(job.places["initial"])


def artefact_of(folder: Path) -> Path:
    """The skill or bank of a finished cell.

    Raises:
        StudyError: It has none.
    """
    result = _finished(folder)
    if not result.artefact:
        raise StudyError(f"{folder} made no skill and no bank. Delete it and run the study again.")
    return folder / result.artefact


def logs_of(folder: Path) -> list[str | Path]:
    """The finished logs of a cell.

    Raises:
        StudyError: They are not there.
    """
    logs: list[str | Path] = [folder / log for log in _finished(folder).logs]
    if missing := [log for log in logs if not Path(log).is_file()]:
        raise StudyError(f"{missing[0]} is gone. Restore it, or delete {folder} and run the study again.")
    return logs


def _finished(folder: Path) -> Result:
    try:
        return read_model(folder / RESULT, Result)
    except ValueError as error:
        raise StudyError(f"{error} Run the study again.") from error


def _select(job: Job) -> dict[str, Any]:
    folder = Path(job.folder)
    scorer, key = job.definition["metric"]["scorer"], job.definition["metric"]["key"]
    seeds = [str(seed) for seed in job.definition["seeds"]]
    scores = {seed: means(logs_of(Path(job.needs[f"played-{seed}"])), scorer, key) for seed in seeds}
    if lacking := [seed for seed in seeds if math.isnan(scores[seed])]:
        raise StudyError(f"No run with the skill of seed {lacking[0]} has a score, so the best cannot be told.")
    best = max(seeds, key=lambda seed: scores[seed])
    made = artefact_of(Path(job.needs[f"seed-{best}"]))
    shutil.rmtree(folder / "chosen", ignore_errors=True)
    if (made / "bank").is_dir():
        shutil.copytree(made / "bank", folder / "chosen" / "bank")
        artefact = "chosen/bank"
    else:
        artefact = f"chosen/{save_skill(load_skill(made), folder / 'chosen').name}"
    write_atomic(folder / SELECTION, json.dumps({"chosen": int(best), "scores": scores}, indent=2) + "\n")
    told = ", ".join(f"seed {seed} {scores[seed]:.3f}" for seed in seeds)
    return {"artefact": artefact, "note": f"seed {best} on the evolve split ({told})"}


def _control(job: Job) -> dict[str, Any]:
    folder = Path(job.folder) / "control"
    evolved = artefact_of(Path(job.needs["evolved"]))
    kind = job.definition["kind"]
    if kind == "lexical":
        control, _ = lexical_control(evolved, folder, logs_of(Path(job.needs["rollout"])), initial_of(job))
    else:
        shutil.rmtree(folder, ignore_errors=True)
        control = make_control(kind, evolved, folder, seed=job.definition["seed"])
    return {"artefact": f"control/{control.skill}"}


_WORKS: dict[Kind, Callable[[Job], dict[str, Any]]] = {
    "draft": _draft,
    "rollout": _played,
    "evolve": _evolve,
    "select": _select,
    "control": _control,
    "evaluate": _played,
}
