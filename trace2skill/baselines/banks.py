"""What the methods that make a memory bank share: what may be kept of trajectories, and the run folder with the bank.

Nothing is kept that an analyst's lesson could not hold: the leak guard, hidden text and hazards are those of the
skills.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import anyio

from trace2skill.baselines.induction import KEPT, Keeping, Kept, induction, of_run, raw_of
from trace2skill.consolidation.ledger import Fate, write_ledger
from trace2skill.errors import LogError
from trace2skill.evolution.analyses import quarantine, tolerated
from trace2skill.evolution.configuration import EvolveConfig
from trace2skill.evolution.folder import LEDGER, MANIFEST, Manifest, Record, simulated
from trace2skill.evolution.inputs import NO_SKILL, Inputs
from trace2skill.evolution.run import Run
from trace2skill.files import file_digest, write_atomic
from trace2skill.logs.trajectory import Trajectories, Trajectory, read_sample
from trace2skill.memory import Item, PastTask, embedder_of, open_embedder, save_bank
from trace2skill.memory.bank import BANK, CARD
from trace2skill.memory.embedding import Embedder
from trace2skill.models.asking import Asking
from trace2skill.skill.hazards import hidden_in, unforeseen

STAGE = "memory"
"""Log folder of the stage that fills a bank."""


def fill(run: Run, inputs: Inputs, record: Record, keeping: Keeping) -> Manifest:
    """Make a bank of a run's trajectories.

    Args:
        run: The run.
        inputs: What it is made from.
        record: What determines it.
        keeping: What the method keeps.
    """
    assert inputs.trajectories is not None, "a bank is made from logs"
    embedder = tried_embedder(run.config)
    pool = _pool(keeping, inputs.trajectories, run.config)
    kept = _induced(run, keeping, pool) if run.config.asks_model else anyio.run(_as_they_are, pool, run.asking)
    records = [past for row in kept if (past := sorted_out(run, row))]
    return write(run, inputs, record, records, embedder, inputs.trajectories.counts())


def tried_embedder(config: EvolveConfig) -> Embedder:
    """The run's embedder, once it has answered: nothing is paid before.

    Raises:
        ServerError: It does not answer, or not with vectors.
    """
    embedder = open_embedder(embedder_of(config.embedder))
    embedder.vectors(["A first query, before anything is paid."])
    return embedder


def _pool(keeping: Keeping, trajectories: Trajectories, config: EvolveConfig) -> list[Trajectory]:
    """The trajectories that are looked at, by id. What a model will judge, nobody knows before."""
    if config.judge == "model":
        chosen = trajectories.all
    elif keeping.failure is None or config.analysts == "success":
        chosen = trajectories.successes
    else:
        chosen = trajectories.all if config.analysts == "combined" else trajectories.failures
    return sorted(chosen, key=lambda row: row.id)


def _induced(run: Run, keeping: Keeping, pool: Sequence[Trajectory]) -> list[Kept]:
    """What a model made of the trajectories, by id."""
    tolerate = tolerated(run, len(pool))
    kept: dict[str, Kept] = {}
    broken: dict[str, str] = {}
    tasks = [induction(keeping, pool, run.asking, run.config.judge)]
    for _, sample in run.stage(STAGE, tasks, tolerate=tolerate):
        if sample.error:
            broken[str(sample.id)] = sample.error.message
        elif found := sample.store.get(KEPT):
            kept[str(sample.id)] = Kept.model_validate(found)
    if lost := sorted({row.id for row in pool} - kept.keys() - broken.keys()):
        raise LogError(
            f"What was induced from {len(lost)} trajectories is missing in {run.folder / 'logs' / STAGE}, that of "
            f"{lost[0]} among them. Delete that folder and run the same command again."
        )
    quarantine(run, broken, STAGE, tolerate)
    return [kept[name] for name in sorted(kept.keys() - broken.keys())]


async def _as_they_are(pool: Sequence[Trajectory], asking: Asking) -> list[Kept]:
    """The runs themselves, without a call to any model."""
    kept: list[Kept] = []
    for trajectory in pool:
        attempt = await read_sample(trajectory)
        kept.append(of_run(trajectory, attempt).model_copy(update={"raw": raw_of(attempt, asking)}))
    return kept


def sorted_out(run: Run, kept: Kept) -> PastTask | None:
    """What of a trajectory goes into the bank, with the fate of each part in the ledger; None if nothing does."""
    for reason in kept.stopped:
        run.ledger.item(kept.trajectory, "rejected", "", reason)
    items = [row for row in kept.items if _may_stay(run, kept, f"{row.title}\n{row.description}\n{row.content}")]
    raw = kept.raw if kept.raw and _may_stay(run, kept, kept.raw) else ""
    if not (items or raw):
        found = bool(kept.items or kept.stopped or kept.raw)
        reason = "nothing of it may be kept" if found else kept.rejected or "no item was proposed"
        run.ledger.analysis(kept.trajectory, reason)
        return None
    return PastTask(
        id=kept.trajectory,
        sample=kept.sample,
        task=kept.task,
        query=kept.query,
        document=kept.document,
        status=kept.status,
        items=tuple(Item(**row.model_dump()) for row in items),
        trajectory=raw,
    )


def _may_stay(run: Run, kept: Kept, text: str) -> bool:
    """Whether a text may be kept; the ledger has the reason if not."""
    fate: Fate = "applied"
    reason = ""
    if hidden := hidden_in(text):
        fate, reason = "rejected", f"it holds {hidden}"
    elif hazards := unforeseen(text, NO_SKILL, run.config.allow):
        fate, reason = "withheld", f"{hazards[0]}; if you want that, --allow {hazards[0].kind}"
    run.ledger.item(kept.trajectory, fate, text, reason)
    return fate == "applied"


def said_of(config: EvolveConfig, inputs: Inputs, record: Record) -> dict[str, Any]:
    """What the card of a run's bank says, apart from what follows from its records."""
    header = inputs.headers[0]
    return {
        "method": config.method,
        "embedder": embedder_of(config.embedder).name,
        "authors": record.models,
        "agents": record.agent_models,
        "judge": config.judge,
        "stream": config.stream,
        "logs": record.inputs,
        "task": header.task.rsplit("/", 1)[-1],
        "dataset": header.dataset or "",
        "split": ", ".join(sorted({str(each.arguments.get("split") or "") for each in inputs.headers})),
        "simulated": simulated(record),
    }


def write(
    run: Run,
    inputs: Inputs,
    record: Record,
    records: Sequence[PastTask],
    embedder: Embedder,
    trajectories: dict[str, int],
) -> Manifest:
    """Write the results of a run; the manifest comes last.

    Args:
        run: The run, with the ledger of what was kept.
        inputs: What it was made from.
        record: What determined it.
        records: What the bank holds, in its order.
        embedder: Embeds their queries.
        trajectories: Numbers of the successes, failures and excluded runs that were looked at.
    """
    vectors = embedder.vectors([past.query for past in records]) if records else None
    save_bank(run.folder / BANK, records, vectors, overwrite=True, **said_of(run.config, inputs, record))
    ledger = run.ledger.rows()
    write_ledger(ledger, run.folder / LEDGER)
    fates = Counter(row.fate for row in ledger if row.kind == "item")
    manifest = Manifest(
        skill="",
        bank=BANK,
        digest=file_digest(run.folder / BANK / CARD),
        simulated=simulated(record),
        record=record,
        trajectories=trajectories,
        edits={"proposed": fates.total(), **dict(sorted(fates.items()))},
        changes=len(records),
        analyses=dict(Counter(row.reason for row in ledger if row.kind == "analysis")),
        notes=tuple(run.notes),
        stages=tuple(run.costs),
    )
    write_atomic(run.folder / MANIFEST, manifest.model_dump_json(indent=2) + "\n")
    return manifest
