"""Qwen2.5-Coder's calls: read as pure text here, and by vLLM's own classes where a vLLM is at hand."""

import importlib.util
import json
import subprocess
import sys
import time
import timeit
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace2skill.models.sampling import profiles_folder
from trace2skill.serving.flags import vllm_python

FILE = profiles_folder() / "qwen2_5_coder_tool_parser.py"
TOOLS = {"bash", "submit"}
LS = '{"name": "bash", "arguments": {"cmd": "ls"}}'
DONE = '{"name": "submit", "arguments": {}}'
BASH, SUBMIT = ["bash", {"cmd": "ls"}], ["submit", {}]

CASES = {
    "a fence": (f"```json\n{LS}\n```", [BASH], ""),
    "a fence without a language": (f"```\n{LS}\n```", [BASH], ""),
    "a fence that is not closed": (f"```json\n{LS}", [BASH], ""),
    "bare": (LS, [BASH], ""),
    "over several lines": (json.dumps(json.loads(LS), indent=2), [BASH], ""),
    "tags": (f"<tool_call>\n{LS}\n</tool_call>", [BASH], ""),
    "several tags": (f"<tool_call>{LS}</tool_call>\n<tool_call>{DONE}</tool_call>", [BASH, SUBMIT], ""),
    "several fences": (f"```json\n{LS}\n```\n```json\n{DONE}\n```", [BASH, SUBMIT], ""),
    "several in one fence": (f"```json\n{LS}\n{DONE}\n```", [BASH, SUBMIT], ""),
    "a list": (f"```json\n[{LS}, {DONE}]\n```", [BASH, SUBMIT], ""),
    "prose around it": (f"I look.\n\n```json\n{LS}\n```\nThen I see.", [BASH], "I look.\n\nThen I see."),
    "parameters": ('{"name": "bash", "parameters": {"cmd": "ls"}}', [BASH], ""),
    "arguments as a string": ('{"name": "bash", "arguments": "{\\"cmd\\": \\"ls\\"}"}', [BASH], ""),
    "a line break in a string": ('{"name": "bash", "arguments": {"cmd": "l\ns"}}', [["bash", {"cmd": "l\ns"}]], ""),
    "a fence inside a string": (
        '```json\n{"name": "bash", "arguments": {"cmd": "\n```\nls"}}\n```',
        [["bash", {"cmd": "\n```\nls"}]],
        "",
    ),
    "a call after a broken one": (
        f'```json\n{{"name": "bash", \n```\n{DONE}',
        [SUBMIT],
        '```json\n{"name": "bash", \n```',
    ),
    "before a broken one": (f"{LS}\n{{ x = 1 }}", [BASH], "{ x = 1 }"),
    "a fence within a line": (f"Here: ```json\n{LS}\n```\nend", [BASH], "Here:\n\nend"),
    "a fence of one line": (f"```json {LS} ```\nand\n```json\n{DONE}\n```", [BASH, SUBMIT], "and"),
    "tildes": (f"~~~json\n{LS}\n~~~", [BASH], ""),
    "tildes in prose": (f"Well ~~~\n{LS}\nand so on", [BASH], "Well ~~~\n\nand so on"),
    "a fence in tags": (f"<tool_call>\n```json\n{LS}\n```\n</tool_call>", [BASH], ""),
    "tags in a fence": (f"```\n<tool_call>\n{LS}\n</tool_call>\n```", [BASH], ""),
    "other tags": (f"<tools>\n{LS}\n</tools>\nend", [BASH], "end"),
    "a tag that is not closed": (f"<tool_call>\n{LS}\n<tool_call>\n{DONE}\nend", [BASH, SUBMIT], "end"),
    "a tag that was not opened": (f"{LS}\n</tool_call>", [BASH], ""),
    "a fence in a fence": (f"```\n```json\n{LS}\n```\nend", [BASH], "```\n\nend"),
    "lines that end as on Windows": (
        f"```python\r\nx = 1\r\n```\r\n```json\r\n{LS}\r\n```\r\n{DONE}\r\n",
        [BASH, SUBMIT],
        "```python\r\nx = 1\r\n```",
    ),
    "after a fence that is not closed": (f"```python\nx = 1\n\n```json\n{LS}\n```", [BASH], "```python\nx = 1"),
    "after a fence without end": (f"```python\nx = 1\n{LS}", [BASH], "```python\nx = 1"),
    "after code in a line": (f"Write ```ls``` or ``` ls ```.\n{LS}", [BASH], "Write ```ls``` or ``` ls ```."),
    "after a mark that is no fence": (f"Begin with ``` here.\n{LS}", [BASH], "Begin with ``` here."),
    "a name alone": ('{"name": "submit"}', [SUBMIT], ""),
    "null": ('{"name": "submit", "arguments": null}', [SUBMIT], ""),
    "an empty string": ('{"name": "submit", "arguments": " "}', [SUBMIT], ""),
    "null as a string": ('{"name": "submit", "parameters": "null"}', [SUBMIT], ""),
    "null beside parameters": ('{"name": "bash", "arguments": null, "parameters": {"cmd": "ls"}}', [BASH], ""),
    "a description beside": ('{"name": "bash", "description": "Looks", "parameters": {"cmd": "ls"}}', [BASH], ""),
    "single backslashes": (
        r"""{"name": "bash", "arguments": {"cmd": "grep -E '\d+\.\\w' C:\users | sed 's/\s//'\n\u0041"}}""",
        [["bash", {"cmd": "grep -E '\\d+\\.\\w' C:\\users | sed 's/\\s//'\nA"}]],
        "",
    ),
    "a backslash before a line break": (
        '```json\n{"name": "bash", "arguments": {"cmd": "ls \\\n-l"}}\n```\nend',
        [["bash", {"cmd": "ls \\\n-l"}]],
        "end",
    ),
    "escaped apostrophes": (
        r"""{"name": "bash", "arguments": {"cmd": "echo \'a\'"}}""",
        [["bash", {"cmd": "echo 'a'"}]],
        "",
    ),
    "single backslashes in a string": (
        r"""{"name": "bash", "arguments": "{\"cmd\": \"grep '\d'\"}"}""",
        [["bash", {"cmd": r"grep '\d'"}]],
        "",
    ),
    "a whole pair of surrogates": (
        r'{"name": "bash", "arguments": {"cmd": "\ud83d\ude00"}}',
        [["bash", {"cmd": "😀"}]],
        "",
    ),
}
SCHEMA = '{"type": "object", "properties": {"cmd": {"type": "string"}}}'
TEXT = {
    "no call": "The answer is 4.",
    "empty": "",
    "an unknown name": '```json\n{"name": "bsh", "arguments": {}}\n```',
    "one unknown name of two": f'```json\n{LS}\n{{"name": "bsh", "arguments": {{}}}}\n```',
    "broken": '```json\n{"name": "bash", "arguments": {"cmd": "echo "hi""}}\n```',
    "cut off": '```json\n{"name": "bash", "arguments": {"cmd": "l',
    "a broken string": '{"name": "bash", "arguments": "ls"}',
    "arguments that are no object": '{"name": "bash", "arguments": ["ls"]}',
    "something else of that name": '{"name": "bash", "version": "5.2"}',
    "a declaration": f'{{"name": "bash", "description": "Runs", "parameters": {SCHEMA}}}',
    "declarations": f'```json\n[{{"name": "submit", "description": "Ends", "parameters": {{}}}}, {LS}]\n```',
    "a list for arguments": '{"name": "bash", "arguments": []}',
    "within a sentence": f"Call {LS} now.",
    "another language": f"```python\nx = 1\n{LS}\n```",
    "another language from within a line": f"Example ```python\nx = 1\n{LS}\n```\nend",
    "another language between tildes": f"~~~python\n{LS}\n```\n~~~\nend",
    "another language after a blank": f"``` python\n{LS}\n```",
    "a longer fence around": f"````markdown\n```json\n{LS}\n```\n````",
    "half a pair of surrogates": r'{"name": "bash", "arguments": {"cmd": "\ud83d"}}',
    "half a pair as a key": r'{"name": "bash", "arguments": {"\udc00": "ls"}}',
    "no number": '{"name": "bash", "arguments": {"cmd": NaN}}',
    "a number without end": '{"name": "bash", "arguments": "{\\"cmd\\": 1e999}"}',
    "a very long number": f'{{"name": "bash", "arguments": {{"cmd": {"1" * 5000}}}}}',
    "an unhashable name": '{"name": ["bash"], "arguments": {}}',
    "deep": "[" * 100_000,
}


@pytest.fixture(scope="module")
def plugin() -> ModuleType:
    spec = importlib.util.spec_from_file_location("qwen2_5_coder_tool_parser", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("text", "calls", "prose"), CASES.values(), ids=CASES)
def test_calls_are_read(plugin: ModuleType, text: str, calls: list[object], prose: str) -> None:
    found, rest = plugin.read_calls(text, TOOLS)

    assert [[call.name, json.loads(call.arguments)] for call in found] == calls
    assert rest == prose


@pytest.mark.parametrize("text", TEXT.values(), ids=TEXT)
def test_everything_else_stays_text(plugin: ModuleType, text: str) -> None:
    assert plugin.read_calls(text, TOOLS) == ([], text)


def streamed(plugin: ModuleType, deltas: list[str]) -> tuple[list[object], str]:
    stream = plugin.Stream()
    passed = "".join(map(stream.feed, deltas))
    calls, rest = stream.finish(TOOLS)
    return calls, passed + rest


PIECES = st.one_of(
    st.sampled_from([text for text, _, _ in CASES.values()] + [text for text in TEXT.values() if len(text) < 1000]),
    st.sampled_from(["```", "````", "~~~", "`", "~", "json", "python\n"]),
    st.sampled_from(["<tool_call>", "</tool_call>", "<tools>", "</tools>", "<too", "<"]),
    st.sampled_from([LS, DONE, "{", "}", "[", "]", '"', "\\", "'", "u00e9", "\n", "\r\n", " ", "\t", ",", "a", "NaN"]),
    st.text(max_size=3),
)


@given(pieces=st.lists(PIECES, max_size=12), cuts=st.lists(st.integers(0, 400), max_size=40))
def test_streaming_gives_what_the_whole_text_gives(plugin: ModuleType, pieces: list[str], cuts: list[int]) -> None:
    text = "".join(pieces)
    places = sorted({0, *(min(cut, len(text)) for cut in cuts), len(text)})
    calls, prose = plugin.read_calls(text, TOOLS)

    for deltas in ([text[start:end] for start, end in pairwise(places)], list(text)):
        found, content = streamed(plugin, deltas)
        assert found == calls
        assert content.strip() == prose.strip()
        assert calls or content == text
    for call in calls:
        json.loads(call.arguments.encode(), parse_constant=pytest.fail)


def test_prose_is_passed_on_at_once(plugin: ModuleType) -> None:
    stream = plugin.Stream()

    passed = [stream.feed(delta) for delta in ("\nI ", "look `h", "ere` <", "b>, the", "n ", "``", "`json\n", LS)]

    assert passed == ["\nI", " look `h", "ere`", " <b>, the", "n", "", "", ""]


REPEATED = (
    *(
        "[1,\n",
        "[\n",
        "{\n",
        '["',
        '{"a":\n',
        '["\n[\\"\n',
        "[]\n",
        "[],",
        f"{LS}\n",
        f"{LS},{' ' * 100}",
        "[1]" + "\t" * 97,
    ),
    *("```", "``` ", "`` ", "x ```python\n", "```json\n{\n", "```json [", f"```json\n{LS}\n```\n", "~~~ ````\n"),
    *("<tools>", "<tool_call>```json\n", "<", "a", "-", " ", "\n", " \n", "x" + " " * 99, "\\"),
)


@pytest.mark.slow
@pytest.mark.parametrize("start", ["", "```", "[\n" * 50], ids=repr)
def test_time_grows_with_the_text_and_not_faster(plugin: ModuleType, start: str) -> None:
    def whole(text: str) -> object:
        return plugin.read_calls(text, TOOLS)

    def in_deltas(text: str) -> object:
        return streamed(plugin, [text[place : place + 4] for place in range(0, len(text), 4)])

    def seconds(way: Callable[[str], object], text: str) -> float:
        return min(timeit.repeat(partial(way, text), timer=time.process_time, repeat=3, number=1))

    slow = []
    for unit in REPEATED:
        short, long = (start + unit * (size // len(unit)) for size in (4_000, 32_000))
        for way in (whole, in_deltas):
            ratio = seconds(way, long) / max(seconds(way, short), 1e-3)
            slow += [(unit, way.__name__, ratio)] if ratio > 40 else []  # it is 8, or 64 where time is quadratic
    assert not slow


@pytest.mark.parametrize("unit", ["[1,\n", "```json\n[1\n```\n", "<tools>{", "x ```json [\n"])
def test_few_broken_values_are_tried(plugin: ModuleType, unit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = 0

    class Counting(json.JSONDecoder):
        def raw_decode(self, s: str, idx: int = 0) -> tuple[Any, int]:
            nonlocal tried
            tried += 1
            return super().raw_decode(s, idx)

    monkeypatch.setattr(plugin, "_DECODER", Counting(strict=False))

    assert plugin.read_calls(unit * 16_000, TOOLS) == ([], unit * 16_000)
    assert tried <= 200


def test_no_depth_of_arguments_is_an_error(plugin: ModuleType) -> None:
    for depth in [*range(600, 1100), 100_000]:
        text = '{"name": "bash", "arguments": ' + '{"a":' * depth + "1" + "}" * depth + "}"
        calls, rest = plugin.read_calls(text, TOOLS)
        assert calls or rest == text


IN_VLLM = """
import json, sys
from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
from vllm.tool_parsers import ToolParserManager
file, texts, tools = json.load(sys.stdin)
ToolParserManager.import_tool_parser(file)
parser = ToolParserManager.get_tool_parser("qwen2_5_coder")
declared = [{"type": "function", "function": {"name": name, "parameters": {}}} for name in tools]
def request(choice="auto"):
    return ChatCompletionRequest(model="m", messages=[], tools=declared, tool_choice=choice)
def pairs(calls):
    return [[call.function.name, json.loads(call.function.arguments)] for call in calls]
def streamed(text, step):
    reader, content, calls = parser(None, request().tools), "", []
    deltas = [reader.extract_tool_calls_streaming("", "", text[i : i + step], [], [], [], request())
              for i in range(0, len(text), step)]
    for delta in [*deltas, reader.finish_streaming()]:
        if delta:
            content += delta.content or ""
            calls += delta.tool_calls
    assert [call.index for call in calls] == list(range(len(calls)))
    return [pairs(calls), content]
said = []
for text in texts:
    whole = parser(None, request().tools).extract_tool_calls(text, request())
    assert whole.tools_called == bool(whole.tool_calls)
    whole.model_dump_json()
    said.append([[pairs(whole.tool_calls), whole.content or ""], streamed(text, 1), streamed(text, 7)])
none = parser(None, request().tools).extract_tool_calls(texts[0], request("none"))
assert not none.tools_called and none.content == texts[0]
assert parser(None, request().tools).adjust_request(request()).skip_special_tokens is False
print("RESULT", json.dumps(said))
"""


@pytest.mark.skipif(vllm_python() is None, reason="no vLLM: name its Python in TRACE2SKILL_VLLM")
def test_vllm_reads_the_same_whole_and_streamed() -> None:
    texts = [text for text, _, _ in CASES.values()] + [text for text in TEXT.values() if len(text) < 10_000]
    result = subprocess.run(
        [str(vllm_python()), "-c", IN_VLLM],
        input=json.dumps([str(FILE), texts, sorted(TOOLS)]),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    answer = [line for line in result.stdout.splitlines() if line.startswith("RESULT ")]
    assert answer, result.stderr
    said = json.loads(answer[0].removeprefix("RESULT "))

    for (text, calls, prose), (whole, *streams) in zip(CASES.values(), said, strict=False):
        assert whole == [calls, prose], text
        for found, content in streams:
            assert found == calls
            assert content.strip() == prose
    for text, (whole, *streams) in zip(texts[len(CASES) :], said[len(CASES) :], strict=True):
        assert whole == [[], text]
        assert all(stream == [[], text] for stream in streams)
