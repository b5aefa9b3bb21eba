"""The stand-in at the wire says what it says in the process, under names that stamp it; faults repeat."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from inspect_ai import eval
from inspect_ai.log import EvalLog
from inspect_ai.model import ChatMessageUser, GenerateConfig, Model, ResponseSchema, get_model
from inspect_ai.tool import ToolFunction, ToolInfo, ToolParam, ToolParams
from inspect_ai.util import JSONSchema

from evals.math_reasoning import math_reasoning
from evals.spreadsheet import spreadsheet
from tests.wire import asked, counts, evaluated, served
from trace2skill.errors import Trace2SkillError
from trace2skill.models.simulated import is_simulated
from trace2skill.simulation.faults import FAULTS, Faults, read_faults
from trace2skill.simulation.prefixes import PrefixCache
from trace2skill.simulation.server import SERVED

NOTE = ToolInfo(
    name="note",
    description="Note a number.",
    parameters=ToolParams(properties={"number": ToolParam(type="integer")}, required=["number"]),
)


def test_its_names_are_those_of_stand_ins() -> None:
    for name in SERVED:
        for provider in ("vllm", "openai-api/vllm", "openai"):
            assert is_simulated([f"{provider}/{name}"])
        assert is_simulated([f"{name} (SIMULATED)"])
    assert not is_simulated(["vllm/org/sim-7b", "vllm/org/simulator", "mockllm/model"])


def seen(log: EvalLog) -> list[Any]:
    """What happened in each sample: its scores, its tokens, and what was said."""
    return [
        (
            sample.id,
            {name: score.value for name, score in (sample.scores or {}).items()},
            [(usage.input_tokens, usage.output_tokens) for usage in sample.model_usage.values()],
            [(message.role, message.text) for message in sample.messages],
        )
        for sample in log.samples or []
    ]


def play(benchmark: str, model: Model, folder: Path, limit: int) -> EvalLog:
    task = {
        "math": lambda: math_reasoning(dataset="sample", split="evolve", skill="skills/math-basic"),
        "spreadsheet": lambda: spreadsheet(dataset="sample", split="evolve", skill="skills/xlsx-basic"),
    }[benchmark]()
    [log] = eval(task, model=model, log_dir=str(folder), limit=limit, display="none")
    return log


@pytest.mark.parametrize(("benchmark", "limit"), [("math", 4), pytest.param("spreadsheet", 3, marks=pytest.mark.slow)])
def test_samples_are_those_of_the_stand_in_in_the_process(benchmark: str, limit: int, tmp_path: Path) -> None:
    inside = play(benchmark, get_model("sim/small"), tmp_path, limit)
    with served() as address, evaluated(address) as model:
        outside = play(benchmark, model, tmp_path, limit)
    assert seen(outside) == seen(inside)
    assert {sample.output.model for sample in outside.samples or []} == {"sim-small (SIMULATED)"}
    assert is_simulated([outside.eval.model])


async def generate(address: str, choice: Any = "auto", **config: Any) -> Any:
    async with asked(address, GenerateConfig(**config)) as model:
        return await model.generate([ChatMessageUser(content="Hello.")], tools=[NOTE], tool_choice=choice)


async def test_calls_and_schemas_are_obeyed() -> None:
    schema = JSONSchema(type="object", properties={"causes": JSONSchema(type="array")}, required=["causes"])
    with served() as address:
        forced = await generate(address, ToolFunction(name="note"))
        free = await generate(address)
        bound = await generate(address, response_schema=ResponseSchema(name="unheard_of", json_schema=schema))
    assert forced.message.tool_calls[0].arguments == {"number": 0}
    assert not free.message.tool_calls
    assert bound.completion == '{"causes": []}'


async def test_a_stream_says_the_same() -> None:
    with served() as address:
        whole = await generate(address, "any")
        async with asked(address) as model:
            model.api.stream = True  # type: ignore[attr-defined]
            streamed = await model.generate([ChatMessageUser(content="Hello.")], tools=[NOTE], tool_choice="any")
    assert streamed.message.text == whole.message.text
    assert streamed.message.tool_calls == whole.message.tool_calls
    assert streamed.usage == whole.usage


async def test_calls_left_as_text_and_answers_that_are_cut_off() -> None:
    with served("text-call@1") as address:
        left = await generate(address, "any")
    assert not left.message.tool_calls
    assert '```json\n{"name": "note", "arguments": {"number": 0}}\n```' in left.completion
    with served() as address:
        cut = await generate(address, max_tokens=5)
    assert (cut.stop_reason, len(cut.completion), cut.usage.output_tokens) == ("max_tokens", 20, 5)


async def test_the_prefix_cache_counts_what_it_has_seen() -> None:
    with served(tell_cached=True) as address:
        first, again = await generate(address), await generate(address)
        counted = counts(address)
    assert first.usage.input_tokens_cache_read == 0
    assert again.usage.input_tokens_cache_read == counted["vllm:prefix_cache_hits_total"] > 0


def test_prefixes_are_whole_blocks_from_the_first() -> None:
    cache = PrefixCache(4)
    assert [cache.read(text) for text in ("aaaabbbbcc", "aaaabbbbdd", "aaaaXbbb", "bbbb", "aaaa")] == [0, 8, 4, 0, 4]


def drawn(faults: Faults, bodies: Sequence[bytes]) -> dict[bytes, list[str]]:
    met: dict[bytes, list[str]] = {}
    for body in bodies:
        met.setdefault(body, []).append(faults.meet(body))
    return met


def test_faults_depend_on_request_and_attempt_alone() -> None:
    bodies = [str(number).encode() for number in range(500)] * 2
    options = ["429=0.1", "hang=0.05"]
    there = drawn(read_faults(options), bodies)
    assert drawn(read_faults(options), sorted(bodies, reverse=True)) == there
    assert drawn(read_faults(options, seed=1), bodies) != there
    firsts = [first for first, _ in there.values()]
    assert 30 < firsts.count("429") < 70
    assert 10 < firsts.count("hang") < 40
    # What failed once mostly does not fail again.
    assert sum(bool(second) for first, second in there.values() if first) < 30


def test_faults_that_last() -> None:
    faults = read_faults(["500@2", "none@4"])
    assert [faults.meet(b"") for _ in range(5)] == ["", "500", "500", "", ""]


@pytest.mark.parametrize("option", ["429", "unheard=0.1", "gone=0.1", "429=x", "429=2", "hang@x"])
def test_a_fault_that_cannot_be(option: str) -> None:
    with pytest.raises(Trace2SkillError):
        read_faults([option])


def test_every_fault_is_described() -> None:
    assert all(FAULTS.values())
