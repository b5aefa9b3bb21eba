"""Compares the merge tree with a level-by-level map-reduce, with its lower bound, and with the reference's calls.

    python benchmarks/consolidation.py
    python benchmarks/consolidation.py --seeds 1 2 3 --median 3

Needs the `openai` package, Inspect's client of the server. A server in a process of its own speaks the chat-completions
API. The time of an answer is drawn from a log-normal distribution and fixed by seed and prompt, so every strategy meets
the same time for the same merge; the slower the answers (`--median`), the less of Inspect's own time shows. A merge
joins the edits that name the same lesson, keeps the wording with the most support and drops nothing. The patches are
random text, as long as in 139 patches of a real model: nearly all have one edit, of about 800 characters, and a
reasoning nearly as long. One edit in twenty repeats another one nearly word for word (in those real patches: none).

Timed is the whole stage as `trace2skill evolve` runs it, with Inspect's start and end, in a process that has run a
stage before. Printed are ratios:

- `time/levels`: to the same Inspect task with a barrier after each level, which makes the same calls; `ideal` is what
  that ratio would be if only the answers took time;
- `time/path`: to the longest chain of answers through the tree, which is the least time possible; `span/path`: the same
  from the first request to the last answer;
- `calls`, `tokens`: to the reference implementation's way, which is computed for the same tree and not run: its merge
  prompts hold the skill and the whole patches with reasoning and changelog at every level, and it then repairs the
  anchors of each edit of the final patch in a call of its own;
- `calls, each`, `tokens, each`: the same if each proposed edit were repaired.

Tokens are characters of prompts. The reference's instructions are taken to be as long as ours in its merges and to be
nothing in its repairs, and a merged patch's reasoning to be as long as a proposed one's.
"""

import argparse
import hashlib
import json
import multiprocessing
import random
import re
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import httpx
from inspect_ai import Task
from inspect_ai.dataset import Sample
from inspect_ai.log import EvalSample
from inspect_ai.model import Model, get_model

from trace2skill.consolidation.merging import MergeStep
from trace2skill.consolidation.tree import RESOLUTION, MergeTree, consolidation, level_sizes, step_of
from trace2skill.edits.importing import to_reference
from trace2skill.edits.patch import Edit, Patch
from trace2skill.evolution.stages import finished_samples, run_stage
from trace2skill.models.asking import Asking
from trace2skill.prompts import Prompts
from trace2skill.skill.folder import SKILL_MD, Skill, load_skill

SKILL = Path(__file__).parents[1] / "skills" / "xlsx"
SIZES = ((70, 5), (70, 32), (323, 5), (323, 32))
"""Patches (the paper's error and combined conditions) and batch."""
WORKERS = 128
MIN_SUPPORT = 2
TAIL = 1.0
"""Standard deviation of the logarithm of an answer's time: the slowest of 100 takes about ten times the median."""

LESSONS = 60
TWO_EDITS = 0.015
EDIT_LENGTH = (780, 0.33)
"""Median in characters, and standard deviation of the logarithm."""
REASONING_LENGTH = 740
RATIONALE_LENGTH = 120
NEAR_DUPLICATES = 0.05

COLUMNS = ("time/levels", "ideal", "time/path", "span/path", "calls", "tokens", "calls, each", "tokens, each")


class Call(NamedTuple):
    """A request as the server saw it; times in seconds."""

    prompt: str
    characters: int
    latency: float
    started: float
    ended: float


class Run(NamedTuple):
    """A strategy's run."""

    seconds: float
    calls: list[Call]
    steps: dict[str, MergeStep]
    latencies: dict[str, float]


def main() -> None:
    """Prints a line for each size and seed, and the means over the seeds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--median", type=float, default=1.0, help="median of an answer's time, in seconds")
    options = parser.parse_args()
    skill = load_skill(SKILL)
    rows: dict[tuple[int, int], list[list[float]]] = {}
    print("patches batch seed " + " ".join(f"{name:>12}" for name in COLUMNS))
    with server(options.median) as address:
        warm_up = MergeTree(propose(2, 0, skill), skill, 2, MIN_SUPPORT)
        _run_tree(consolidation(warm_up, Asking(skill=skill)), "warm-up", address)
        for number, seed in enumerate(options.seeds):
            for size in SIZES:
                row = compare(*size, seed, skill, address, tree_first=number % 2 == 0)
                rows.setdefault(size, []).append(row)
                print(f"{size[0]:>7} {size[1]:>5} {seed:>4} " + _cells(row), flush=True)
    for (count, batch), found in rows.items():
        means = [statistics.mean(column) for column in zip(*found, strict=True)]
        print(f"{count:>7} {batch:>5} mean " + _cells(means))


def _cells(values: Sequence[float]) -> str:
    return " ".join(f"{value:>12.2f}" for value in values)


def compare(count: int, batch: int, seed: int, skill: Skill, address: str, *, tree_first: bool) -> list[float]:
    """The ratios of one size and seed, in the order of `COLUMNS`."""
    patches = propose(count, seed, skill)
    trees = (MergeTree(patches, skill, batch, MIN_SUPPORT), LevelByLevel(patches, skill, batch, MIN_SUPPORT))
    tree, levels = (consolidation(merges, Asking(skill=skill)) for merges in trees)
    model = f"merger-{seed}"
    runs = [_run_tree(task, model, address) for task in ((tree, levels) if tree_first else (levels, tree))]
    ours, barrier = runs if tree_first else reversed(runs)
    if {call.prompt for call in ours.calls} != {call.prompt for call in barrier.calls}:
        raise RuntimeError("The two strategies made different calls.")
    path, barriers = lower_bounds(ours.latencies, level_sizes(count, batch), batch)
    span = max(call.ended for call in ours.calls) - min(call.started for call in ours.calls)
    merges, final, each = reference_way(patches, ours.steps, batch, skill)
    tokens = sum(call.characters for call in ours.calls)
    return [
        ours.seconds / barrier.seconds,
        path / barriers,
        ours.seconds / path,
        span / path,
        len(ours.calls) / (len(merges) + len(final)),
        tokens / (sum(merges) + sum(final)),
        len(ours.calls) / (len(merges) + len(each)),
        tokens / (sum(merges) + sum(each)),
    ]


class LevelByLevel(MergeTree):
    """The same merges with a barrier: none of a level starts before all of the level below have ended."""

    def __init__(self, patches: Sequence[Patch], skill: Skill, batch: int, min_support: int) -> None:
        super().__init__(patches, skill, batch, min_support)
        self._waiting: list[Sample] = []

    async def sample_complete(self, sample: EvalSample) -> list[Sample] | None:
        """Keep what could start now."""
        self._waiting += await super().sample_complete(sample) or []
        return None

    async def next_samples(self) -> list[Sample] | None:
        """The next level; Inspect asks when no sample is under way."""
        waiting, self._waiting = self._waiting, []
        return waiting or None


def _run_tree(task: Task, model: str, address: str) -> Run:
    merger: Model = get_model(f"openai-api/local/{model}", base_url=f"{address}/v1", api_key="none")
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        (log,) = run_stage([task], Path(folder) / "logs", merger, display="none", max_connections=WORKERS)
        seconds = time.perf_counter() - start
        samples = list(finished_samples(log))
    calls = [Call(*row) for row in httpx.get(f"{address}/calls").raise_for_status().json()]
    times = {call.prompt: call.latency for call in calls}
    prompts = {str(sample.id): digest(sample.messages[0].text) for sample in samples}
    steps = {step.node: step for sample in samples if (step := step_of(sample))}
    if not set(times) <= set(prompts.values()) or any(step.passed_through for step in steps.values()):
        raise RuntimeError("The engine did not use all answers: the server no longer reads its prompts aright.")
    return Run(seconds, calls, steps, {node: times.get(prompt, 0.0) for node, prompt in prompts.items()})


def lower_bounds(latencies: Mapping[str, float], sizes: Sequence[int], batch: int) -> tuple[float, float]:
    """Seconds of the longest chain of answers up to the resolution; of the slowest answer of each level, added up."""
    ends: list[float] = []
    barriers = latencies.get(RESOLUTION, 0.0)
    for level, size in enumerate(sizes, start=1):
        times = [latencies[f"{level}/{number}"] for number in range(1, size + 1)]
        ends = [took + max(ends[n * batch : (n + 1) * batch], default=0.0) for n, took in enumerate(times)]
        barriers += max(times)
    return ends[0] + latencies.get(RESOLUTION, 0.0), barriers


def reference_way(
    patches: Sequence[Patch], steps: Mapping[str, MergeStep], batch: int, skill: Skill
) -> tuple[list[int], list[int], list[int]]:
    """Characters of the prompts: of the merges, of the repairs of the final edits, of the repairs of all edits."""
    texts = {path: skill.text(path) for path in skill.files if path.endswith(".md")}
    wording = Prompts().render("merger", min_support=MIN_SUPPORT, files=[], edits="")
    constant = len(wording) + sum(map(len, texts.values()))
    layer = sorted(patches, key=lambda patch: patch.trajectory)
    merges: list[int] = []

    def reference_form(patch: Patch) -> str:
        return json.dumps(to_reference(patch), ensure_ascii=False)

    for level, size in enumerate(level_sizes(len(layer), batch), start=1):
        groups = [layer[start : start + batch] for start in range(0, len(layer), batch)]
        merges += [constant + sum(len(reference_form(patch)) for patch in group) for group in groups]
        merged = [steps[f"{level}/{number}"].edits for number in range(1, size + 1)]
        layer = [_patch(f"{level}", edits, patches[0].reasoning) for edits in merged]
    proposed = tuple(edit for patch in patches for edit in patch.edits)
    final, each = (
        [
            len(texts.get(edit.file, "")) + len(reference_form(Patch(trajectory="", edits=(edit,))))
            for edit in edits
            if edit.op not in ("create", "delete_file")
        ]
        for edits in (layer[0].edits, proposed)
    )
    return merges, final, each


def _patch(name: str, edits: tuple[Edit, ...], reasoning: str) -> Patch:
    lines = tuple(f"{edit.op} in {edit.file}, {edit.target}: {_lesson(edit.content)}" for edit in edits)
    return Patch(trajectory=name, edits=edits, reasoning=reasoning, changelog=lines)


def propose(count: int, seed: int, skill: Skill) -> list[Patch]:
    """Patches on a skill whose lessons recur with Zipf's frequencies."""
    draw = random.Random(seed)
    writer = _Writer(draw, skill)
    patches = []
    for number in range(1, count + 1):
        name = f"task-{number:03d}"
        edits = tuple(writer.edit(name, index) for index in range(1, 3 if draw.random() < TWO_EDITS else 2))
        patches.append(_patch(name, edits, writer.words(REASONING_LENGTH)))
    return patches


class _Writer:
    """Writes edits in a skill's vocabulary."""

    def __init__(self, draw: random.Random, skill: Skill) -> None:
        self._draw = draw
        text = skill.lines(SKILL_MD)
        self._vocabulary = sorted(set(re.findall(r"[a-z]{3,}", "\n".join(text))))
        headings = [line for line in text if line.startswith("## ")]
        item = next(number for number, line in enumerate(text) if line.startswith("- "))
        self._item = text[item]
        self._home = next(line for line in reversed(text[:item]) if line.startswith("## "))
        self._lessons = [(self.words(24), draw.choice(headings)) for _ in range(LESSONS)]
        self._wordings: dict[int, list[str]] = {}

    def words(self, length: float) -> str:
        """Random words of about so many characters."""
        mean = 1 + statistics.mean(map(len, self._vocabulary))
        return " ".join(self._draw.choices(self._vocabulary, k=max(1, round(length / mean))))

    def edit(self, trajectory: str, index: int) -> Edit:
        """The next edit. Two of the frequent lessons replace the same line, so there is a conflict to resolve."""
        lesson = self._draw.choices(range(LESSONS), [1 / rank for rank in range(1, LESSONS + 1)])[0]
        title, heading = self._lessons[lesson]
        replaces = lesson in (2, 5)
        return Edit(
            id=f"{trajectory}.{index}",
            file=SKILL_MD,
            op="replace_in_section" if replaces else "append_to_section",
            target=self._home if replaces else heading,
            old=self._item if replaces else "",
            content=f"- **{title}**: {self._wording(lesson)}",
            rationale=self.words(RATIONALE_LENGTH),
            support=(trajectory,),
        )

    def _wording(self, lesson: int) -> str:
        earlier = self._wordings.setdefault(lesson, [])
        if earlier and self._draw.random() < NEAR_DUPLICATES:
            words = self._draw.choice(earlier).split()
            words[self._draw.randrange(len(words))] = self._draw.choice(self._vocabulary)
            return " ".join(words)
        median, spread = EDIT_LENGTH
        earlier.append(self.words(median * self._draw.lognormvariate(0, spread)))
        return earlier[-1]


@contextmanager
def server(median: float) -> Iterator[str]:
    """A merge model behind the chat-completions API, in another process; gives its address."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=serve, args=(there, median), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{here.recv()}"
    finally:
        process.terminate()
        process.join()


def serve(ready: Connection, median: float) -> None:
    """Serve until terminated; the port goes through the pipe."""
    calls: list[Call] = []
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            with lock:
                self._send(list(calls))
                calls.clear()

        def do_POST(self) -> None:
            started = time.perf_counter()
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            prompt = request["messages"][0]["content"]
            name = digest(prompt)
            latency = median * random.Random(f"{request['model']} {name}").lognormvariate(0, TAIL)
            completion = _completion(request["model"], prompt)
            time.sleep(max(0.0, started + latency - time.perf_counter()))
            with lock:
                calls.append(Call(name, len(prompt), latency, started, time.perf_counter()))
            self._send(completion)

        def _send(self, value: object) -> None:
            body = json.dumps(value).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        request_queue_size = 2 * WORKERS
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as http_server:
        ready.send(http_server.server_port)
        http_server.serve_forever()


def digest(prompt: str) -> str:
    """The name of a prompt."""
    return hashlib.sha256(prompt.encode()).hexdigest()


def _completion(model: str, prompt: str) -> dict[str, Any]:
    text = json.dumps(answer(prompt))
    message = {"role": "assistant", "content": text}
    usage = {"prompt_tokens": len(prompt) // 4, "completion_tokens": len(text) // 4}
    return {
        "id": digest(prompt),
        "object": "chat.completion",
        "created": 0,
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {**usage, "total_tokens": sum(usage.values())},
    }


def answer(prompt: str) -> dict[str, Any]:
    """What the model makes of a merger's or a resolver's prompt."""
    if conflicting := re.search(r"<conflicting>\n(.*)\n</conflicting>", prompt, re.DOTALL):
        edits = map(json.loads, conflicting[1].splitlines())
        return {"edits": [], "dropped": [{"id": edit["id"], "reason": "the kept edit is enough"} for edit in edits]}
    found = re.search(r"<edits>\n(.*)\n</edits>", prompt, re.DOTALL)
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for edit in map(json.loads, found[1].splitlines() if found else ()):
        groups.setdefault((edit["op"], edit["file"], edit["target"], _lesson(edit["content"])), []).append(edit)
    return {"edits": [_joined(group) for group in groups.values()]}


def _joined(group: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    best = max(group, key=lambda edit: int(edit["support"]))
    fields = ("op", "file", "target", "old", "content", "rationale")
    return {"ids": [edit["id"] for edit in group], **{field: best[field] for field in fields}}


def _lesson(content: str) -> str:
    return content.split("**")[1]


if __name__ == "__main__":
    main()
