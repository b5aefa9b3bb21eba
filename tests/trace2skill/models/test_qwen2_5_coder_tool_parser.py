"""Qwen2.5-Coder's calls: read as pure text here, and by vLLM's own classes where a vLLM is at hand."""

import importlib.util
import json
import subprocess
import sys
from types import ModuleType

import pytest

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
}
TEXT = {
    "no call": "The answer is 4.",
    "empty": "",
    "an unknown name": '```json\n{"name": "bsh", "arguments": {}}\n```',
    "one unknown name of two": f'```json\n{LS}\n{{"name": "bsh", "arguments": {{}}}}\n```',
    "broken": '```json\n{"name": "bash", "arguments": {"cmd": "echo "hi""}}\n```',
    "cut off": '```json\n{"name": "bash", "arguments": {"cmd": "l',
    "a broken string": '{"name": "bash", "arguments": "ls"}',
    "arguments that are no object": '{"name": "bash", "arguments": ["ls"]}',
    "no arguments": '{"name": "bash"}',
    "within a sentence": f"Call {LS} now.",
    "another language": f"```python\nx = 1\n{LS}\n```",
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
    said.append([[pairs(whole.tool_calls), whole.content or ""], streamed(text, 1), streamed(text, 7)])
none = parser(None, request().tools).extract_tool_calls(texts[0], request("none"))
assert not none.tools_called and none.content == texts[0]
assert parser(None, request().tools).adjust_request(request()).skip_special_tokens is False
print("RESULT", json.dumps(said))
"""


@pytest.mark.skipif(vllm_python() is None, reason="no vLLM: name its Python in TRACE2SKILL_VLLM")
def test_vllm_reads_the_same_whole_and_streamed() -> None:
    texts = [text for text, _, _ in CASES.values()] + [text for name, text in TEXT.items() if name != "deep"]
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
            assert content.split() == prose.split()
    for text, (whole, *streams) in zip(texts[len(CASES) :], said[len(CASES) :], strict=True):
        assert whole == [[], text]
        assert all(stream == [[], text] for stream in streams)
