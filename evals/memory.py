"""What the agents of all benchmarks share where they have a memory: a bank is opened, and asked for each sample."""

from functools import partial

import anyio.to_thread
from inspect_ai.dataset import MemoryDataset
from inspect_ai.solver import TaskState
from inspect_ai.util import store

from evals.data import check_texts
from trace2skill.data import resolve_path
from trace2skill.errors import DataError
from trace2skill.memory import (
    Asked,
    Memory,
    document_of,
    embedder_for,
    find_bank_folder,
    load_bank,
    query_of,
    recall_text,
    refuse_own_split,
)

MEMORY = "memory"
"""Store key under which it is kept what was recalled: the bank, ids and scores, and the text that the agent saw."""


def open_memory(memory: str | None, count: int, *, task: str, split: str, samples: MemoryDataset) -> Memory | None:
    """The memory that a task was given, checked against the samples that it would be tested on.

    Args:
        memory: Folder of a bank, or of the run that made it; nothing for none.
        count: Past tasks to recall.
        task: Name of the task.
        split: The split that is evaluated.
        samples: The samples of it.

    Raises:
        BankError: It is no bank, is empty or damaged, needs another embedder, or was made from what would be tested.
        ServerError: Its embedding server does not answer.
        DataError: An argument is out of range.
    """
    check_texts(memory=memory)
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise DataError(f"memory_k must be a whole number of at least 1, not {count!r}.")
    if memory is None:
        return None
    bank = load_bank(find_bank_folder(resolve_path(memory)))
    same = (bank.card.task, bank.card.dataset) == (task, samples.name)
    opened = Memory(bank=bank, embedder=embedder_for(bank), count=count, same_dataset=same)
    asked = [_asked(str(sample.id), sample.metadata, query_of(sample.input)) for sample in samples]
    refuse_own_split(opened, asked, task=task, split=split)
    return opened


async def recall(memory: Memory | None, state: TaskState) -> str:
    """What an agent recalls at a sample, for the end of its system prompt; kept in the sample's store."""
    if memory is None:
        return ""
    asked = _asked(str(state.sample_id), state.metadata, query_of(state.input))
    found = await anyio.to_thread.run_sync(partial(memory.recall, asked))
    text = recall_text(found)
    retrieved = [{"id": row.past.id, "status": row.past.status, "score": row.score} for row in found]
    store().set(MEMORY, {"bank": str(memory), "retrieved": retrieved, "text": text})
    return text


def _asked(sample: str, metadata: dict[str, object] | None, query: str) -> Asked:
    given = metadata or {}
    return Asked(sample=sample, task=str(given.get("task", sample)), query=query, document=document_of(given))
