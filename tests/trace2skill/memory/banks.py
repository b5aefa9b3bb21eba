"""Small banks, an embedder whose vectors are counts of words, and a server that embeds with it or misbehaves."""

import contextlib
import json
import re
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

from trace2skill.memory import Bank, Item, PastTask, load_bank, save_bank
from trace2skill.memory.bank import Vectors

QUERIES = {
    "dates": "Turn the dates of column B into months",
    "totals": "Write the totals of each region below the table",
    "names": "Split the names of column A into two columns",
}
CARD: dict[str, Any] = {
    "method": "reasoning-bank",
    "embedder": "bm25",
    "authors": {"model": "mockllm/model"},
    "agents": ("mockllm/model",),
    "judge": "scorer",
    "logs": (("a.eval", "0"),),
    "task": "toy",
    "dataset": "toys",
    "split": "evolve",
    "simulated": "",
}


def past(name: str, query: str, **fields: Any) -> PastTask:
    item = Item(title=f"On {name}", description=f"For {name}.", content=f"Do it as {name}.")
    return PastTask(
        **{"id": name, "sample": name, "task": name, "query": query, "status": "success", "items": (item,)} | fields
    )


def counted(texts: Sequence[str], dimension: int = 64) -> Vectors:
    """Counts of hashed words: two texts are near if they share words."""
    rows = np.zeros((len(texts), dimension), dtype=np.float32)
    for row, text in zip(rows, texts, strict=True):
        for word in re.findall(r"\w+", text.lower()):
            row[crc32(word.encode()) % dimension] += 1
    return rows


def make_bank(
    folder: Path, records: Sequence[PastTask] | None = None, vectors: Vectors | None = None, **card: Any
) -> Bank:
    kept = records if records is not None else [past(name, query) for name, query in QUERIES.items()]
    save_bank(folder, kept, vectors, **{**CARD, **card})
    return load_bank(folder)


@contextlib.contextmanager
def embedding_server(dimension: int = 64, answer: Any = None, status: int = 200) -> Iterator[tuple[str, list[Any]]]:
    """An address and the requests that came there, each with its key; all get `answer` where there is one."""
    asked: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append({**request, "key": self.headers["Authorization"], "path": self.path})
            rows = [
                {"object": "embedding", "index": number, "embedding": row}
                for number, row in enumerate(counted(request["input"], dimension).tolist())
            ]
            good = {
                "object": "list",
                "model": request["model"],
                "data": rows[::-1],
                "usage": {"prompt_tokens": 1, "total_tokens": 1},
            }
            body = answer if isinstance(answer, bytes) else json.dumps(good if answer is None else answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: Any) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/v1", asked
        finally:
            server.shutdown()
            thread.join()
