"""The stand-in behind vLLM's API, and Inspect's own `vllm/` provider in front of it."""

import contextlib
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.request import urlopen

from anyio.from_thread import start_blocking_portal
from inspect_ai.model import GenerateConfig, Model, get_model

from trace2skill.simulation.faults import read_faults
from trace2skill.simulation.server import StandIn, serving


@contextlib.contextmanager
def served(*faults: str, fault_seed: int = 0, port: int = 0, late: float = 1.5, **settings: Any) -> Iterator[str]:
    """A server in a thread of its own; its address."""
    server = StandIn(faults=read_faults(faults, fault_seed), late=late, **settings)
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(serving(server, port)) as address:
        yield address


def provided(address: str, config: GenerateConfig | None = None) -> Model:
    """A model of the real provider."""
    config = config or GenerateConfig()
    return get_model("vllm/sim-small", base_url=address, config=config, memoize=False, retry_delay=0.1)


@contextlib.asynccontextmanager
async def asked(address: str, config: GenerateConfig | None = None) -> AsyncIterator[Model]:
    """A model of the real provider, closed in the end: Inspect keeps the address of a served model until then."""
    model = provided(address, config)
    try:
        yield model
    finally:
        await model.api.aclose()


@contextlib.contextmanager
def evaluated(address: str, config: GenerateConfig | None = None) -> Iterator[Model]:
    """The same for evaluations, which have event loops of their own."""
    model = provided(address, config)
    try:
        yield model
    finally:
        model.api.close()


def counts(address: str) -> dict[str, int]:
    """What the server has counted: requests, and faults by kind."""
    with urlopen(f"{address.removesuffix('/v1')}/metrics") as answer:
        rows = dict(line.rsplit(" ", 1) for line in answer.read().decode().splitlines())
    named = {re.sub(r'.*kind="(.*)"}', r"\1", name): int(float(value)) for name, value in rows.items()}
    return {re.sub(r"{.*}", "", name): value for name, value in named.items()}


def port_of(address: str) -> int:
    return int(address.removesuffix("/v1").rpartition(":")[2])
