"""Training samples that would be taken for a test: what the skills and memories of the arms have seen of them."""

from collections.abc import Iterable, Mapping, Sequence, Set
from pathlib import Path

from trace2skill.comparison.arms import LoadedArm, cluster_of
from trace2skill.comparison.results import Seen
from trace2skill.data.places import resolve_path
from trace2skill.errors import LogError, Trace2SkillError
from trace2skill.logs.files import LoadedLog
from trace2skill.logs.header import Header
from trace2skill.memory import find_bank_folder, load_bank
from trace2skill.skill.seen import Exposure, find_seen

_ABOVE, _TAIL = 4, 6
"""Folders above a log that are searched, and parts of a path that are tried there, for what was moved."""


def seen_by(
    arms: Iterable[LoadedArm], samples: Sequence[str], *, cluster: str | None = None, lenient: bool
) -> tuple[Seen, ...]:
    """What the skills and memories of arms have seen of the tested samples.

    Args:
        arms: The arms.
        samples: Ids of the samples that are tested.
        cluster: Metadata field that groups dependent samples, beside those that the logs declare.
        lenient: Whether a record that cannot be read is passed over.

    Raises:
        SkillError: A record of what a skill has seen cannot be read.
    """
    logs = [log for arm in arms for log in arm.logs]
    groups = _groups(logs, {cluster or ""} | {log.header.cluster for log in logs})
    exposures: dict[str, list[Exposure]] = {}
    for log in logs:
        for artefact, rows in _exposures(log.header, lenient):
            exposures.setdefault(artefact, []).extend(row for row in rows if _is_of(row, log.header))
    found = (overlap(artefact, rows, samples, groups) for artefact, rows in sorted(exposures.items()))
    return tuple(seen for seen in found if seen.samples or seen.related)


def unrecorded_in(arms: Iterable[LoadedArm]) -> tuple[str, ...]:
    """Skills that were tested on a split which skills are made from, and of which no record says what they have seen.

    A copy of an evolved skill without the run's `seen.json` is one; so is a skill written by hand, or one that is gone.
    """
    headers = [header for arm in arms for log in arm.logs for header in log.headers]
    found = {
        str(skill)
        for header in headers
        if (skill := header.arguments.get("skill")) and header.arguments.get("split") in _MADE_FROM
        if not any(True for artefact, _ in _exposures(header, lenient=True) if artefact == str(skill))
    }
    return tuple(sorted(found))


_MADE_FROM = ("evolve", "all")
"""Splits whose samples skills are made from."""


def left_out(seen: Iterable[Seen]) -> set[str]:
    """Samples that were seen, themselves or by their group."""
    return {name for row in seen for name in (*row.samples, *row.related)}


def refuse_in_sample(seen: Sequence[Seen], count: int) -> None:
    """Refuse a comparison on samples that an arm has seen.

    Raises:
        LogError: There are any.
    """
    if not seen:
        return
    first = seen[0]
    named = [*first.samples, *first.related]
    on = f" {len(first.related)} others lie on a {first.group} that it has seen." if first.related else ""
    raise LogError(
        f"{first.artefact} was made from {len(first.samples)} of the {count} samples to be compared, such as "
        f"{', '.join(named[:3])}.{on} That is no test of it: run the arms on a split that it has not seen (-T "
        "split=test), leave out what it has seen with --unseen-only, or pass --allow-in-sample, and the table says "
        "IN-SAMPLE. In a study: `seen: leave-out` of the benchmark."
    )


def _exposures(header: Header, lenient: bool) -> Iterable[tuple[str, Sequence[Exposure]]]:
    if skill := header.arguments.get("skill"):
        path = _now_at(str(skill), header.file)
        try:
            seen = find_seen(path) if path.exists() else None
        except Trace2SkillError:
            if not lenient:
                raise
            seen = None
        if seen:
            yield str(skill), seen.exposures
    if memory := header.arguments.get("memory"):
        try:
            bank = load_bank(find_bank_folder(_now_at(str(memory), header.file)))
        except Trace2SkillError:
            return  # a memory that is gone, or was changed, tells nothing; the task refused it if it had seen a test
        samples = {name for record in bank.records for name in (record.sample, record.task)}
        card = bank.card
        yield (
            str(memory),
            [Exposure(task=card.task, dataset=card.dataset, split=card.split, samples=tuple(samples), groups={})],
        )


def _now_at(name: str, log: Path) -> Path:
    """Where an artefact lies: as it was logged, or, of a study that was moved as a whole, below a folder of its log."""
    path = resolve_path(name)
    if path.exists():
        return path
    for folder in list(log.resolve().parents)[:_ABOVE]:
        for count in range(min(_TAIL, len(path.parts) - 1), 1, -1):
            candidate = folder.joinpath(*path.parts[-count:])
            if candidate.exists():
                return candidate
    return path


def _is_of(row: Exposure, header: Header) -> bool:
    """Whether ids mean the same: in one task, and in one dataset, whatever the task is called."""
    return row.task in ("", header.base_task) or bool(row.dataset and row.dataset == header.dataset)


def _groups(logs: Sequence[LoadedLog], fields: Set[str]) -> dict[str, dict[str, str]]:
    """The value of each sample in each metadata field that groups samples, from whichever log has it."""
    summaries = [summary for log in logs for summary in log.summaries]
    return {
        field: {str(row.id): value for row in summaries if (value := cluster_of(row, field)) is not None}
        for field in sorted(fields - {""})
    }


def overlap(
    artefact: str, exposures: Sequence[Exposure], samples: Sequence[str], groups: Mapping[str, Mapping[str, str]]
) -> Seen:
    """Tested samples that are among those seen, and those of a group that was.

    Args:
        artefact: What has seen.
        exposures: What it has seen.
        samples: Ids of the tested samples.
        groups: The value of each sample in each metadata field that groups samples.
    """
    ids = {name for row in exposures for name in row.samples}
    by: dict[str, list[str]] = {}
    for field, found in groups.items():
        # The cases of a task of one dataset are a whole task, under its id, in another.
        values = ids | {value for row in exposures for value in row.groups.get(field, ())}
        by[field] = [name for name in samples if name not in ids and found.get(name) in values]
    related = {name for names in by.values() for name in names}
    return Seen(
        artefact=artefact,
        samples=tuple(name for name in samples if name in ids),
        related=tuple(name for name in samples if name in related),
        group=" or ".join(field for field, names in by.items() if names),
    )
