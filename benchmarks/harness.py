"""How much of a server's pace the harness keeps: its turns per second, divided by those of a bare asyncio client.

    python benchmarks/harness.py
    python benchmarks/harness.py --samples 128 --turns 6 --latencies 0 0.05 0.5 --rounds 2

A server of fixed latency asks for one command in each turn, and ends the conversation after so many. Both sides make
the same calls, all samples at once, and run the same commands in the same bubblewrap sandbox, of which as many run at
once as there are processors. The harness is what a rollout is: a task of its own with `evals`' agent and a skill,
Inspect's `vllm/` provider, a scorer and a log. It goes without Inspect's realtime log, as the engine and the quickstart
do (`--no-log-realtime`), which writes each event to a database from within the event loop; `--realtime` has it. The
client keeps its conversations and nothing else. The sides take turns in each round, in one process, so that a machine's
load moves both; printed are medians over rounds.

A timer looks a hundred times a second at what the event loop is doing, which gives the split of its time, and a thread
asks it for a turn, which gives the longest stall.
"""

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import os
import signal
import statistics
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from types import FrameType
from typing import Any, NamedTuple

import aiohttp
import anyio
from aiohttp import web
from inspect_ai import Task, eval
from inspect_ai.dataset import Sample
from inspect_ai.model import ChatMessageAssistant, ModelUsage, get_model
from inspect_ai.scorer import Score, Scorer, Target, accuracy, scorer
from inspect_ai.solver import Generate, Solver, TaskState, chain, solver
from inspect_ai.tool import ToolCall
from inspect_ai.util import SandboxEnvironment

from evals.agent import skill_agent
from evals.sandbox.bwrap import BubblewrapSandbox
from trace2skill.simulation.wire import completion

MODEL = "fixed-latency"
COMMAND = "echo turn {turn} >> notes.txt && wc -l notes.txt"
PROMPT = "Do in the sandbox whatever you are asked for. " * 20
QUESTION = "Take notes, please: number {number}."
USAGE = ModelUsage(input_tokens=1000, output_tokens=50, total_tokens=1050)
TICK = 0.01

PARTS = {
    "waiting": ("selectors.py",),
    "transcript and log": ("inspect_ai/log", "inspect_ai/event", "inspect_ai/_util/", "zipfile", "zstandard"),
    "model call": ("inspect_ai/model", "openai", "httpx", "httpcore", "aiohttp", "h11", "anyio/_backends"),
    "agent and tools": ("inspect_ai/agent", "inspect_ai/tool", "inspect_ai/solver", "inspect_ai/_eval"),
    "sandbox": ("evals/sandbox", "subprocess", "inspect_ai/util"),
    "ours, without the sandbox": ("evals/", "trace2skill/"),
}
"""Where the loop is, told from the innermost frame whose file has one of these in its name."""


class Pace(NamedTuple):
    """One side in one round."""

    seconds: float
    busy: float
    """Seconds of processors, those of the sandboxes included."""
    stall: float
    split: Counter[str]


class Watch:
    """Looks at the event loop of the main thread: by a timer's signal at what it does, from a thread at its stalls."""

    def __init__(self) -> None:
        """Begins when `begin` is called in the loop."""
        self.split: Counter[str] = Counter()
        self.stall = 0.0
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Watch the running loop; once only."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._ask, args=(asyncio.get_running_loop(),), daemon=True)
            self._thread.start()
            signal.signal(signal.SIGALRM, self._look)
            signal.setitimer(signal.ITIMER_REAL, TICK, TICK)

    def end(self) -> None:
        """Stop watching."""
        signal.setitimer(signal.ITIMER_REAL, 0)
        self._over.set()
        if self._thread:
            self._thread.join()

    def _look(self, _: int, frame: FrameType | None) -> None:
        self.split[part_of(frame)] += 1

    def _ask(self, loop: asyncio.AbstractEventLoop) -> None:
        answered, asked = threading.Event(), time.monotonic()
        loop.call_soon_threadsafe(answered.set)
        while not self._over.wait(TICK):
            if answered.is_set():
                answered, asked = threading.Event(), time.monotonic()
                try:
                    loop.call_soon_threadsafe(answered.set)
                except RuntimeError:  # the loop has ended
                    return
            else:
                self.stall = max(self.stall, time.monotonic() - asked)


def part_of(frame: FrameType | None) -> str:
    """The part of the work that a stack is in."""
    while frame is not None:
        name = frame.f_code.co_filename
        found = next((part for part, names in PARTS.items() if any(each in name for each in names)), None)
        if found:
            return found
        frame = frame.f_back
    return "other"


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=128)
    parser.add_argument("--turns", type=int, default=6, help="calls of each sample")
    parser.add_argument("--latencies", type=float, nargs="+", default=[0, 0.05, 0.5], help="seconds")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--realtime", action="store_true", help="with Inspect's realtime log, which is its default")
    options = parser.parse_args()
    calls = options.samples * options.turns
    print(f"{options.samples} samples of {options.turns} turns, {multiprocessing.cpu_count()} processors")
    print(f"{'':8}{'turns per second':^24}{'ms of processor per turn':^26}{'longest stall in ms':^22}")
    print(
        f"{'latency':8}{'harness':>9}{'client':>8}{'ratio':>7}{'harness':>14}{'client':>10}{'harness':>14}{'client':>8}"
    )
    for latency in options.latencies:
        with serving(latency, options.turns) as address:
            measure_harness(address, 2, options.realtime)  # imports and caches
            rounds = [
                (measure_harness(address, options.samples, options.realtime), measure_client(address, options.samples))
                for _ in range(options.rounds)
            ]
        sides = list(zip(*rounds, strict=True))
        ours, bare = (calls / statistics.median(pace.seconds for pace in side) for side in sides)
        busy = [1000 * statistics.median(pace.busy for pace in side) / calls for side in sides]
        stall = [1000 * max(pace.stall for pace in side) for side in sides]
        print(
            f"{latency * 1000:5.0f} ms{ours:9.1f}{bare:8.1f}{ours / bare:7.2f}"
            f"{busy[0]:14.0f}{busy[1]:10.0f}{stall[0]:14.0f}{stall[1]:8.0f}"
        )
        split = sum((one.split for one, _ in rounds), Counter[str]())
        print("         " + ", ".join(f"{part} {count / split.total():.0%}" for part, count in split.most_common()))


@contextlib.contextmanager
def serving(latency: float, turns: int) -> Iterator[str]:
    """A server in a process of its own; its address."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=serve, args=(latency, turns, there), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{here.recv()}/v1"
    finally:
        process.terminate()
        process.join()


def serve(latency: float, turns: int, ready: Connection) -> None:
    """A server that asks for one command in each turn and ends after `turns`."""

    async def chat(request: web.Request) -> web.Response:
        asked = await request.json()
        turn = sum(message["role"] == "assistant" for message in asked["messages"]) + 1
        call = ToolCall(id=f"call-{turn}", function="bash", arguments={"command": COMMAND.format(turn=turn)})
        if turn == turns:
            call = ToolCall(id=f"call-{turn}", function="submit", arguments={"answer": "done"})
        message = ChatMessageAssistant(content=f"Turn {turn}.", tool_calls=[call])
        await asyncio.sleep(latency)
        return web.json_response(completion(MODEL, message, USAGE))

    async def models(request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": MODEL, "max_model_len": 131_072}]})

    async def run() -> None:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", chat)
        app.router.add_get("/v1/models", models)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
        ready.send(runner.addresses[0][1])
        await asyncio.Event().wait()

    asyncio.run(run())


def measure_harness(address: str, samples: int, realtime: bool) -> Pace:
    """A rollout."""
    watch = Watch()

    @solver
    def watched() -> Solver:
        async def solve(state: TaskState, generate: Generate) -> TaskState:
            watch.begin()
            return state

        return solve

    @scorer(metrics=[accuracy()])
    def noted() -> Scorer:
        async def score(state: TaskState, target: Target) -> Score:
            return Score(value=target.text in state.output.completion)

        return score

    task = Task(
        dataset=[Sample(id=n, input=QUESTION.format(number=n), target="done") for n in range(samples)],
        solver=chain(watched(), skill_agent(PROMPT, skill="skills/xlsx-basic")),
        scorer=noted(),
        sandbox="bwrap",
    )
    model = get_model(f"vllm/{MODEL}", base_url=address, memoize=False)
    with tempfile.TemporaryDirectory() as folder:
        start, busy = time.monotonic(), processors()
        [log] = eval(
            task, model=model, log_dir=folder, display="none", max_connections=samples, max_samples=samples,
            log_realtime=realtime,
        )  # fmt: skip
        seconds, busy = time.monotonic() - start, processors() - busy
        watch.end()
        model.api.close()  # type: ignore[attr-defined]
        if failed := [sample.error for sample in log.samples or [] if sample.error]:
            raise SystemExit(f"A sample failed: {failed[0].message}")
    return Pace(seconds, busy, watch.stall, watch.split)


def measure_client(address: str, samples: int) -> Pace:
    """The same calls and commands, and nothing else."""
    watch = Watch()

    async def run() -> None:
        watch.begin()
        await BubblewrapSandbox.task_init("client", None)
        connector = aiohttp.TCPConnector(limit=samples)
        async with aiohttp.ClientSession(connector=connector) as session, anyio.create_task_group() as group:
            for number in range(samples):
                group.start_soon(converse, session, address, number)

    start, busy = time.monotonic(), processors()
    asyncio.run(run())
    seconds, busy = time.monotonic() - start, processors() - busy
    watch.end()
    return Pace(seconds, busy, watch.stall, watch.split)


def processors() -> float:
    """Seconds that this process and those it has waited for have kept a processor busy."""
    return sum(os.times()[:4])


async def converse(session: aiohttp.ClientSession, address: str, number: int) -> None:
    """One sample of the client's."""
    environments = await BubblewrapSandbox.sample_init("client", None, {})
    try:
        await _turns(session, address, number, environments["default"])
    finally:
        await BubblewrapSandbox.sample_cleanup("client", None, environments, False)


async def _turns(session: aiohttp.ClientSession, address: str, number: int, box: SandboxEnvironment) -> None:
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": PROMPT},
        {"role": "user", "content": QUESTION.format(number=number)},
    ]
    while True:
        body = {"model": MODEL, "messages": messages, "tools": TOOLS}
        async with session.post(f"{address}/chat/completions", json=body) as answer:
            said = (await answer.json())["choices"][0]["message"]
        messages.append(said)
        for call in said["tool_calls"]:
            if call["function"]["name"] == "submit":
                return
            command = json.loads(call["function"]["arguments"])["command"]
            done = await box.exec(["bash", "--login", "-c", command], timeout=180)
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": done.stdout})


def _tools(names: Sequence[tuple[str, str]]) -> Iterator[dict[str, Any]]:
    for name, argument in names:
        parameters = {"type": "object", "properties": {argument: {"type": "string"}}, "required": [argument]}
        yield {"type": "function", "function": {"name": name, "description": name, "parameters": parameters}}


TOOLS = list(_tools((("bash", "command"), ("submit", "answer"))))

if __name__ == "__main__":
    main()
