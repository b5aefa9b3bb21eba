"""Which share of the prompts in Inspect logs a prefix cache can hit, stage by stage, and what the server says it hit.

    python benchmarks/prefix.py runs/quickstart/rollout-* runs/quickstart/evolve-*/run/logs
    python benchmarks/prefix.py LOGS --server http://127.0.0.1:8000

The calls of a log are taken in the order of their beginnings, and a cache without a limit keeps whole blocks of vLLM's
size (16 tokens, taken for 64 characters) of every prompt from its beginning on, tools first, as chat templates write
them. `all calls` is the share of characters that lie in such blocks: the bound of what a server can hit in that stage.
`first calls` counts the first call of each sample alone, where only what samples share can be hit: what the layout of
prompts is worth; `server` is the share of `cached_tokens`, where the server tells (vLLM:
--enable-prompt-tokens-details). With `--server` the server's own counters since its start are printed as well.
"""

import argparse
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.request import urlopen

from inspect_ai.event import ModelEvent
from inspect_ai.log import list_eval_logs, read_eval_log_samples

from trace2skill.simulation.prefixes import PrefixCache
from trace2skill.simulation.tokens import CHARACTERS_PER_TOKEN, prompt_text

BLOCK = 16 * CHARACTERS_PER_TOKEN


class Call(NamedTuple):
    """One call of a model."""

    started: str
    sample: str
    prompt: str
    tokens: int
    cached: int | None


class Shares(NamedTuple):
    """What of a stage's prompts is in common prefixes."""

    calls: int
    tokens: int
    every: float
    first: float
    server: float | None


def main() -> None:
    """Prints one line for each log."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("logs", type=Path, nargs="+", help="log files, or folders of logs")
    parser.add_argument("--server", help="address of a vLLM server")
    options = parser.parse_args()
    print(f"{'stage':34}{'calls':>7}{'tokens':>10}{'all calls':>11}{'first calls':>13}{'server':>9}")
    for folder in options.logs:
        for info in sorted(list_eval_logs(str(folder)), key=lambda row: row.name):
            row = shares(list(calls(info.name)))
            server = "untold" if row.server is None else f"{row.server:.1%}"
            stage = f"{folder.name}/{info.task}"
            print(f"{stage:34}{row.calls:7}{row.tokens:10}{row.every:11.1%}{row.first:13.1%}{server:>9}")
    if options.server:
        queries, hits = counters(options.server)
        print(f"The server's own counters: {hits / queries if queries else 0:.1%} of {queries:.0f} tokens.")


def calls(log: str) -> Iterator[Call]:
    """The calls of a log that a server answered."""
    for sample in read_eval_log_samples(log, all_samples_required=False, resolve_attachments=True):
        for event in sample.events:
            if isinstance(event, ModelEvent) and event.output.usage and not event.error:
                usage = event.output.usage
                cached = usage.input_tokens_cache_read
                yield Call(
                    started=event.timestamp.isoformat(),
                    sample=str(sample.uuid),
                    prompt=prompt_text(event.input, event.tools),
                    tokens=usage.input_tokens + (cached or 0),
                    cached=cached,
                )


def shares(made: list[Call]) -> Shares:
    """The shares of one stage."""
    cache, begun = PrefixCache(BLOCK), set[str]()
    first: list[tuple[int, int]] = []
    every: list[tuple[int, int]] = []
    for call in sorted(made):
        every.append((cache.read(call.prompt), len(call.prompt)))
        if call.sample not in begun:
            first.append(every[-1])
            begun.add(call.sample)
    tokens = sum(call.tokens for call in made)
    told = [call.cached for call in made if call.cached is not None]
    return Shares(len(made), tokens, _share(every), _share(first), sum(told) / tokens if told and tokens else None)


def _share(rows: list[tuple[int, int]]) -> float:
    return sum(hit for hit, _ in rows) / max(sum(length for _, length in rows), 1)


def counters(server: str) -> tuple[float, float]:
    """Tokens that were looked for in a server's prefix cache, and those that it held."""
    with urlopen(f"{server.rstrip('/').removesuffix('/v1')}/metrics") as answer:
        text = answer.read().decode()

    def total(name: str) -> float:
        return sum(map(float, re.findall(rf"^vllm:{name}_total(?:{{.*}})? (\S+)$", text, re.MULTILINE)))

    return total("prefix_cache_queries"), total("prefix_cache_hits")


if __name__ == "__main__":
    main()
