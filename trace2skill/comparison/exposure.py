"""Training samples that would be taken for a test: what the skills and memories of the arms have seen of them."""

from collections.abc import Iterable, Mapping, Sequence

from trace2skill.comparison.arms import LoadedArm
from trace2skill.comparison.results import Seen
from trace2skill.data.places import resolve_path
from trace2skill.errors import LogError, Trace2SkillError
from trace2skill.logs.header import Header
from trace2skill.memory import find_bank_folder, load_bank
from trace2skill.skill.seen import Exposure, find_seen


def seen_by(arms: Iterable[LoadedArm], samples: Sequence[str], *, lenient: bool) -> tuple[Seen, ...]:
    """What the skills and memories of arms have seen of the tested samples.

    Args:
        arms: The arms.
        samples: Ids of the samples that are tested.
        lenient: Whether a record that cannot be read is passed over.

    Raises:
        SkillError: A record of what a skill has seen cannot be read.
    """
    found: dict[str, Seen] = {}
    for arm in arms:
        for log in arm.logs:
            groups = {str(row.id): str(row.metadata.get(log.header.cluster, "")) for row in log.summaries}
            for artefact, exposures in _exposures(log.header, lenient):
                seen = _overlap(artefact, exposures, log.header, samples, groups)
                if seen.samples or seen.related:
                    found[artefact] = seen
    return tuple(found[name] for name in sorted(found))


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
        "split=test), or pass --allow-in-sample, and the table says IN-SAMPLE."
    )


def _exposures(header: Header, lenient: bool) -> Iterable[tuple[str, Sequence[Exposure]]]:
    if skill := header.arguments.get("skill"):
        path = resolve_path(str(skill))
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
            bank = load_bank(find_bank_folder(resolve_path(str(memory))))
        except Trace2SkillError:
            return  # a memory that is gone, or was changed, tells nothing; the task refused it if it had seen a test
        samples = {name for record in bank.records for name in (record.sample, record.task)}
        card = bank.card
        yield (
            str(memory),
            [Exposure(task=card.task, dataset=card.dataset, split=card.split, samples=tuple(samples), groups={})],
        )


def _overlap(
    artefact: str, exposures: Sequence[Exposure], header: Header, samples: Sequence[str], groups: Mapping[str, str]
) -> Seen:
    """Tested samples that are among those seen, and those of a group that was: ids mean the same in one task."""
    same = [row for row in exposures if row.task in ("", header.base_task)]
    ids = {name for row in same for name in row.samples}
    values = {value for row in same for value in row.groups.get(header.cluster, ())}
    own = tuple(name for name in samples if name in ids)
    # The cases of a task of one dataset are a whole task, under its id, in another.
    related = tuple(name for name in samples if name not in ids and groups.get(name) and groups[name] in (values | ids))
    return Seen(artefact=artefact, samples=own, related=related, group=header.cluster if related else "")
