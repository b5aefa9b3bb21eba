"""Analyses of a finished stage, used again in another run: analysing costs most, merging is what one tries out."""

from collections.abc import Iterator
from pathlib import Path

from inspect_ai.log import EvalLog, EvalSample, list_eval_logs, read_eval_log

from trace2skill.errors import LogError, Trace2SkillError
from trace2skill.evolution.configuration import Analysts
from trace2skill.evolution.folder import RUN, Record, Reused, read_record, seal_of
from trace2skill.evolution.stages import StageUsage, Tally, finished_samples, usage

_SETTINGS = (
    "scorer", "threshold", "success", "task_args", "max_turns", "analyst_tokens", "analyst_seconds",
    "transcript_tokens",
)  # fmt: skip
_PROMPTS = ("error_analyst", "error_analyst_answer", "error_llm", "success_analyst", "patch")


def reusable(run: str | Path, wanted: Record) -> Reused:
    """Check that a run's analyses are what this run would have made.

    Args:
        run: The other run's folder.
        wanted: What determines this run.

    Raises:
        Trace2SkillError: It is no run folder, or its analyses are of other logs, another skill, or other settings.
        LogError: Its analyses are not finished.
    """
    folder = Path(run)
    if not (folder / RUN).is_file():
        raise Trace2SkillError(f"--reuse-analyses {run}: no {RUN} there. Name the folder of an evolution run.")
    found = read_record(folder)
    differing = [name for name in ("initial_digest", "agent_models") if getattr(found, name) != getattr(wanted, name)]
    differing += ["logs"] if _logs(found) != _logs(wanted) else []
    differing += [f"config.{key}" for key in _SETTINGS if getattr(found.config, key) != getattr(wanted.config, key)]
    differing += [] if _covers(found.config.analysts, wanted.config.analysts) else ["config.analysts"]
    differing += [f"prompts.{role}" for role in _PROMPTS if found.prompts.get(role) != wanted.prompts.get(role)]
    if differing:
        raise Trace2SkillError(
            f"--reuse-analyses {run}: that run has other {', '.join(differing)}, so its analyses are not those that "
            "this run would make. Name one with the same, or leave it out."
        )
    if unfinished := [log.eval.task for log in _headers(folder) if log.status != "success"]:
        raise LogError(f"--reuse-analyses {run}: {', '.join(unfinished)} is not finished there. Finish that run first.")
    if not _headers(folder):
        raise LogError(f"--reuse-analyses {run}: there are no analyses in {folder / 'logs' / 'analysis'}.")
    return Reused(seal=seal_of(found), models=found.models)


def reused_stage(run: str | Path, analysts: Analysts, costs: list[StageUsage]) -> Iterator[tuple[EvalLog, EvalSample]]:
    """The samples of another run's analyses; what they once cost is noted as not paid again.

    Args:
        run: The other run's folder.
        analysts: Which of its analyses are wanted: it may have more.
        costs: The costs of this run, which grow.
    """
    unwanted = {"error": "success_", "error-llm": "success_", "success": "error_"}.get(analysts)
    for log in _headers(Path(run)):
        if unwanted and log.eval.task.startswith(unwanted):
            continue
        tally = Tally()
        for sample in finished_samples(log):
            tally.add(sample)
            yield log, sample
        costs.append(usage(log, tally, {}).model_copy(update={"reused": True, "log": log.location}))


def _covers(found: Analysts, wanted: Analysts) -> bool:
    """Whether a run with these analysts made all analyses that are wanted."""
    return found == wanted or (found == "combined" and wanted in ("error", "success"))


def _headers(folder: Path) -> list[EvalLog]:
    """Headers of the analyses' logs: of each task the newest."""
    newest: dict[str, EvalLog] = {}
    for info in sorted(list_eval_logs(str(folder / "logs" / "analysis")), key=lambda info: info.name):
        log = read_eval_log(info, header_only=True)
        newest[log.eval.task] = log
    return [newest[task] for task in sorted(newest)]


def _logs(record: Record) -> list[tuple[str, str]]:
    """Names and digests of the logs among a run's inputs."""
    return [row for row in record.inputs if row[0].endswith((".eval", ".json"))]
