"""Memory banks: what agents have kept of past tasks, and which of it belongs to the task at hand.

In: a bank's folder and a task's query. Out: the items of the nearest past tasks, and the text that shows them to an
agent. Open `bank.py` first (the folder), then `embedding.py` (how near two queries are) and `retrieval.py` (what is
recalled).
"""

from trace2skill.memory.bank import Bank, Card, Item, PastTask, find_bank_folder, load_bank, save_bank
from trace2skill.memory.embedding import EMBEDDER_VARIABLE, embedder_at, embedder_for, embedder_of, open_embedder
from trace2skill.memory.retrieval import Asked, Memory, Recalled, document_of, query_of, recall_text, refuse_own_split

__all__ = [
    "EMBEDDER_VARIABLE",
    "Asked",
    "Bank",
    "Card",
    "Item",
    "Memory",
    "PastTask",
    "Recalled",
    "document_of",
    "embedder_at",
    "embedder_for",
    "embedder_of",
    "find_bank_folder",
    "load_bank",
    "open_embedder",
    "query_of",
    "recall_text",
    "refuse_own_split",
    "save_bank",
]
