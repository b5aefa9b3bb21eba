"""Logs that do not make an arm: shared with another arm, there twice, or of several models or skills."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import combinations

from trace2skill.comparison.arms import LoadedArm
from trace2skill.comparison.options import Options
from trace2skill.errors import LogError
from trace2skill.logs.files import LoadedLog
from trace2skill.logs.header import Header

_SEED = re.compile(r"(?<![^/])seed-\d+(?![^/])")


def check_arms(arms: Sequence[LoadedArm], options: Options) -> None:
    """Refuse arms that are not what a comparison takes them for.

    Raises:
        LogError: Arms share runs, one has a log twice, or one is of several models or skills; unless asked for.
    """
    for arm in arms:
        if not options.allow_same_logs:
            _refuse_copies(arm)
        headers = _headers(arm)
        if not options.several_models:
            _refuse_several("models", arm, {header.model.model for header in headers}, "--several-models")
        for name in ("skill", "memory"):
            found = {str(header.arguments.get(name) or f"no {name}") for header in headers}
            if not options.several_skills and not are_siblings(found):
                _refuse_several("skills" if name == "skill" else "memories", arm, found, "--several-skills")
    if not options.allow_same_logs:
        for one, other in combinations(arms, 2):
            _refuse_shared(one, other)


def check_same_samples(arms: Iterable[LoadedArm], allow_different_tasks: bool) -> None:
    """Refuse arms that are not about the same samples.

    Raises:
        LogError: Tasks or datasets differ, unless that is allowed; or a sample id means different samples.
    """
    logs = [log for arm in arms for log in arm.logs]
    datasets = {log.header.dataset for log in logs} - {None}
    for what, found in (("task", {log.header.title for log in logs}), ("dataset", datasets)):
        if len(found) > 1 and not allow_different_tasks:
            raise LogError(
                f"All logs must be of one {what}, but are of: {', '.join(sorted(map(str, found)))}. Pick the logs "
                "of one, or pass --allow-different-tasks if their sample ids mean the same samples."
            )
    contents: dict[str, tuple[str, str, LoadedLog]] = {}
    for log in logs:
        for summary in log.summaries:
            question = summary.input
            text = question if isinstance(question, str) else "\n".join(message.text for message in question)
            first_text, first_target, first = contents.setdefault(str(summary.id), (text, str(summary.target), log))
            # A prompt or the path of a reference file may differ between runs; both together mean another sample.
            if text != first_text and str(summary.target) != first_target:
                raise LogError(
                    f"Sample {summary.id} differs in input and target between {first.file} and {log.file}: the "
                    "logs are of different datasets that number their samples alike, and cannot be paired."
                )


def further_runs(control: LoadedArm, again: LoadedArm, arms: Iterable[LoadedArm], options: Options) -> LoadedArm:
    """Those of the repeated runs that the control does not have: a folder of them may hold its own logs as well.

    Args:
        control: The baseline.
        again: What was named as its repeated runs.
        arms: All arms of the comparison.
        options: What was asked.

    Raises:
        LogError: They differ from the baseline in model, task or arguments of the task; or, unless that is allowed, one
            is there twice, or an arm has it under another id: a run is no repetition of itself.
    """
    _check_alike(control, again)
    known = {header.eval_id for header in _headers(control)}
    logs = tuple(log for log in again.logs if not known & {header.eval_id for header in log.headers})
    further = replace(again, logs=logs)
    if not options.allow_same_logs:
        _refuse_copies(further)
        for arm in arms:
            _refuse_shared(arm, further)
    return further


def _check_alike(control: LoadedArm, again: LoadedArm) -> None:
    for name, said in (
        ("model", lambda header: header.model.model),
        ("task", lambda header: header.title),
        ("task arguments", lambda header: str(sorted(header.arguments.items()))),
    ):
        known, found = ({said(header) for header in _headers(arm)} for arm in (control, again))
        if not found <= known:
            raise LogError(
                f"--aa wants repeated runs of the baseline '{control.name}', but their {name} differ: "
                f"{', '.join(sorted(known))} in the baseline, {', '.join(sorted(found - known))} in what was named."
            )


def are_siblings(skills: Iterable[str]) -> bool:
    """Whether skills are the evolution seeds of one run: `evolve --seeds` keeps them in `<run>/seed-<n>`."""
    found = set(skills)
    return len(found) > 1 and len({_SEED.sub("seed-*", skill) for skill in found}) == 1


def _headers(arm: LoadedArm) -> list[Header]:
    return [header for log in arm.logs for header in log.headers]


def _refuse_copies(arm: LoadedArm) -> None:
    if arm.copies:
        files = ", ".join(map(str, arm.copies[0]))
        raise LogError(
            f"Arm '{arm.name}': {files} hold one and the same evaluation. Keep one of them, or pass --allow-same-logs: "
            "each run then counts once."
        )
    seen: dict[str, Header] = {}
    for log in arm.logs:
        for run in log.runs:
            uuid = run.summary.uuid
            if uuid and uuid in seen:
                raise LogError(
                    f"Arm '{arm.name}': sample {run.summary.id} of {seen[uuid].file} and of {run.header.file} is one "
                    "and the same run. Keep one of the logs, or pass --allow-same-logs to count it twice."
                )
            if uuid:
                seen[uuid] = run.header


def _refuse_several(what: str, arm: LoadedArm, found: set[str], flag: str) -> None:
    if len(found) > 1:
        why = " that one method made" if what == "skills" else ""
        raise LogError(
            f"Arm '{arm.name}' has logs of {len(found)} {what}: {', '.join(sorted(found))}. Compare them as arms of "
            f"their own (--vs for each), or pass {flag} if they are{why} to count as one arm."
        )


def _refuse_shared(one: LoadedArm, other: LoadedArm) -> None:
    evaluations = {name: header for header in _headers(one) for name in _names(header)}
    runs = {run.summary.uuid: run.header for log in one.logs for run in log.runs if run.summary.uuid}
    for log in other.logs:
        names = (name for header in log.headers for name in _names(header))
        shared = next((evaluations[name] for name in names if name in evaluations), None)
        shared = shared or next((runs[run.summary.uuid] for run in log.runs if run.summary.uuid in runs), None)
        if shared:
            raise LogError(
                f"{shared.file} of arm '{one.name}' and {log.file} of arm '{other.name}' hold the same runs: an arm "
                "does not differ from itself, nor from another attempt at it. Name other logs, or pass "
                "--allow-same-logs."
            )


def _names(header: Header) -> Iterator[tuple[str, ...]]:
    """By what an evaluation is known: its id, and that of its task and model, which a retry keeps."""
    yield (header.eval_id,)
    if header.task_id:
        yield header.task_id, header.model.model
