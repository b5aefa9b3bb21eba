"""What a real model did to this project where the stand-in never had: each test holds one kind of it."""

import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from inspect_ai import Task, eval
from inspect_ai.agent import AgentState
from inspect_ai.dataset import Sample
from inspect_ai.log import EvalSample, list_eval_logs, read_eval_log, write_eval_log
from inspect_ai.model import (
    ChatMessage,
    ChatMessageAssistant,
    GenerateConfig,
    Model,
    ModelOutput,
    ModelUsage,
    get_model,
)
from inspect_ai.tool import ToolCall, ToolChoice, ToolInfo

import trace2skill.standstill as standstill_module
from evals.agent import BOUNDS, skill_agent
from tests.trace2skill.toy import (
    LESSON,
    NUMBERS,
    analyst,
    call,
    edit,
    run_adding,
    scripted,
    structured,
    write_skill,
)
from trace2skill.consolidation.merging import MergeResult
from trace2skill.evolution import EvolveConfig, evolve
from trace2skill.evolution.folder import Manifest
from trace2skill.logs.transcript import how_it_ended
from trace2skill.models.sampling import Settings, load_profile
from trace2skill.skill.folder import load_skill
from trace2skill.standstill import call_as_text, persevere, standstill

pytestmark = pytest.mark.slow

OVERFLOW = "This model's maximum context length is 8192 tokens. However, your prompt contains 9000 input tokens"


@pytest.fixture
def run(adding_logs: Path, tmp_path: Path) -> Callable[..., Manifest]:
    skill = write_skill(tmp_path)

    def start(model: Model, **settings: object) -> Manifest:
        return evolve(
            [adding_logs], skill, tmp_path / "run", EvolveConfig.model_validate(settings), model=model, display="none"
        )

    return start


def samples(run: Path, stage: str) -> list[EvalSample]:
    [log] = [info for info in list_eval_logs(str(run / "logs")) if stage in info.name]
    return read_eval_log(log).samples or []


# 1. LaTeX


def test_latex_of_a_tool_call_and_of_structured_output_reaches_the_skill_whole(
    run: Callable[..., Manifest], tmp_path: Path
) -> None:
    raw = json.dumps({"edits": [edit("- Put it in BOXED and use a TIMES b where a NEQ b.")]})
    for name, command in {"BOXED": "\\boxed{}", "TIMES": "\\times", "NEQ": "\\neq"}.items():
        raw = raw.replace(name, command)
    manifest = run(scripted(patch=lambda _: ModelOutput.from_content("mockllm", raw)))

    assert manifest.edits["applied"] == 4
    assert r"- Put it in \boxed{} and use a \times b where a \neq b." in load_skill(tmp_path / "run").skill_md


# 2 and 15. Settings of their own


def test_limits_of_the_logged_agent_do_not_reach_the_engine(adding_logs: Path, tmp_path: Path) -> None:
    seen: dict[str, GenerateConfig] = {}

    def respond(
        input: list[ChatMessage], tools: list[ToolInfo], choice: ToolChoice, config: GenerateConfig
    ) -> ModelOutput:
        role = config.response_schema.name if config.response_schema else "error"
        seen[role] = config
        output = scripts[role](input)
        output.usage = ModelUsage(input_tokens=1, output_tokens=1, total_tokens=2)
        return output

    scripts: dict[str, Callable[[list[ChatMessage]], ModelOutput]] = {
        "error": analyst,
        "success_report": lambda _: structured({"solution_path": "read", "lessons": [LESSON]}),
        "patch": lambda messages: structured({"edits": [edit(f"- Habit {len(messages)} {messages[0].text[-40:]!r}.")]}),
        "merge_result": lambda _: structured({"edits": []}),
    }
    model = get_model("mockllm/model", custom_outputs=respond, memoize=False)
    config = EvolveConfig(analyst_max_tokens=333, merger_max_tokens=999, temperature=0.25, timeout=7)
    evolve([adding_logs], write_skill(tmp_path), tmp_path / "run", config, model=model, display="none")

    limits = {role: found.max_tokens for role, found in seen.items()}
    assert limits == {"error": 333, "success_report": 333, "patch": 333, "merge_result": 999}
    assert {found.temperature for found in seen.values()} == {0.25}
    assert {(found.attempt_timeout, found.timeout) for found in seen.values()} == {(7, 21)}


def test_by_default_every_call_has_a_limit_of_tokens_and_of_time() -> None:
    settings = Settings.of()
    parts: Sequence[GenerateConfig] = (settings.analyst, settings.single, settings.merger, BOUNDS)

    assert all(part.max_tokens and part.attempt_timeout and part.timeout for part in parts)
    assert (settings.merger.max_tokens or 0) > (settings.analyst.max_tokens or 0)


def test_a_profile_is_between_defaults_and_options() -> None:
    profile = load_profile("qwen3.5")
    settings = Settings.of(profile, temperature=0.1)

    assert settings.single.presence_penalty == profile.thinking.presence_penalty
    assert settings.single.temperature == 0.1
    assert settings.single.attempt_timeout is not None


# 3. Cut-offs and context overflow


def short(limit: int, role: Callable[[list[ChatMessage]], ModelOutput]) -> Callable[[list[ChatMessage]], ModelOutput]:
    """A model with a small context, in characters."""

    def answer(messages: list[ChatMessage]) -> ModelOutput:
        if sum(len(message.text) for message in messages) > limit:
            return ModelOutput.from_content("mockllm", OVERFLOW, stop_reason="model_length")
        return role(messages)

    return answer


def test_a_prompt_that_is_too_long_is_asked_again_with_less_of_the_transcript(tmp_path: Path) -> None:
    logs, skill = run_adding(tmp_path / "logs"), write_skill(tmp_path)
    [log] = logs.glob("*.eval")
    long = read_eval_log(log)
    for sample in long.samples or []:
        sample.messages.insert(
            1, ChatMessageAssistant(content="\n".join(f"step {n}: nothing new" for n in range(2000)))
        )
    write_eval_log(long, log)
    sizes: list[int] = []

    def report(messages: list[ChatMessage]) -> ModelOutput:
        sizes.append(len(messages[0].text))
        return structured({"solution_path": "read", "lessons": [LESSON]})

    model = scripted(success_report=short(12_000, report), error=short(12_000, analyst))
    manifest = evolve([logs], skill, tmp_path / "run", EvolveConfig(), model=model, display="none")

    assert manifest.edits["proposed"] == 4
    assert max(sizes) <= 12_000


def test_the_edits_are_asked_for_without_the_conversation_where_that_is_too_long(
    run: Callable[..., Manifest], tmp_path: Path
) -> None:
    def patch(messages: list[ChatMessage]) -> ModelOutput:
        if len(messages) > 1:
            return ModelOutput.from_content("mockllm", OVERFLOW, stop_reason="model_length")
        assert "Read the file as text." in messages[0].text, "the skill takes the conversation's place"
        return structured({"edits": [edit("- Read to the last line.")]})

    assert run(scripted(patch=patch)).edits == {"proposed": 4, "applied": 4}


def test_an_overflow_is_named_and_the_server_not_blamed(run: Callable[..., Manifest]) -> None:
    def full(_: list[ChatMessage]) -> ModelOutput:
        return ModelOutput.from_content("mockllm", OVERFLOW, stop_reason="model_length")

    manifest = run(scripted(success_report=full), analysts="success")

    assert "too long for mockllm/model" in manifest.unchanged
    assert "structured output" not in manifest.unchanged


@pytest.mark.parametrize(
    ("stop", "said"),
    [("max_tokens", "cut off at the limit of tokens"), ("model_length", "filled the model's context"), ("stop", "")],
)
def test_analysts_are_told_that_an_answer_was_cut_off(stop: str, said: str) -> None:
    output = ModelOutput.from_content("mockllm", "The total is", stop_reason=stop)  # type: ignore[arg-type]
    told = how_it_ended(EvalSample(id="a", epoch=1, input="?", target="1", output=output))

    assert said in told
    assert bool(said) == bool(told)


# 5. Lengths that never reach the server


def test_an_empty_lesson_loses_itself_and_not_its_analysis(run: Callable[..., Manifest]) -> None:
    empty = {"title": "", "description": " ", "content": ""}
    report = {"solution_path": "read", "lessons": [empty, LESSON]}

    assert run(scripted(success_report=lambda _: structured(report)), analysts="success").edits["proposed"] == 2


def test_lessons_beyond_the_third_lose_themselves_and_not_their_analysis(run: Callable[..., Manifest]) -> None:
    report = {"solution_path": "read", "lessons": [{**LESSON, "title": f"Lesson {number}"} for number in range(5)]}

    assert run(scripted(success_report=lambda _: structured(report)), analysts="success").edits["proposed"] == 2


def test_a_merged_edit_without_inputs_is_left_out() -> None:
    row = {"op": "append_to_section", "file": "SKILL.md", "target": "## A", "content": "- x"}
    result = MergeResult.model_validate({"edits": [{**row, "ids": []}, {**row, "ids": ["t.1"]}], "dropped": []})

    assert [edit.ids for edit in result.edits] == [["t.1"]]


def test_a_merger_that_fails_at_a_batch_gets_smaller_ones(run: Callable[..., Manifest], tmp_path: Path) -> None:
    asked: list[int] = []

    def merge(messages: list[ChatMessage]) -> ModelOutput:
        block = messages[0].text.split("<edits>")[1].split("</edits>")[0]
        edits = [json.loads(line) for line in block.strip().splitlines()]
        asked.append(len(edits))
        if len(edits) > 2:
            return structured({"edits": []})
        fields = ("op", "file", "target", "old", "content", "rationale")
        return structured({"edits": [{**{key: row[key] for key in fields}, "ids": [row["id"]]} for row in edits]})

    words = iter(("dates", "blanks", "signs", "units"))

    def patch(_: list[ChatMessage]) -> ModelOutput:
        return structured({"edits": [edit(f"- Mind the {next(words)}."), edit(f"- Look at {next(words)} twice.")]})

    manifest = run(scripted(patch=patch, merge_result=merge), analysts="success", min_support=1)

    assert asked == [4, 4, 2, 2]
    assert manifest.edits == {"proposed": 4, "applied": 4}
    assert manifest.unmerged == 0


# 6 and 14. Standstills, and tool calls left as text


def turn(text: str = "", *calls: str) -> ChatMessageAssistant:
    tools = [ToolCall(id=name, function="bash", arguments={"cmd": name}) for name in calls]
    return ChatMessageAssistant(content=text, tool_calls=tools or None, source="generate")


@pytest.mark.parametrize(
    ("turns", "ended"),
    [
        ([turn("a"), turn("b")], False),
        ([turn("a"), turn("b"), turn("c")], True),
        ([turn("a"), turn("a")], True),
        ([turn(""), turn("")], False),
        ([turn(""), turn(""), turn("")], True),
        ([turn("", "ls"), turn("a"), turn("b")], False),
        ([turn("", "ls")] * 4, False),
        ([turn("", "ls")] * 5, True),
        ([turn("", "ls"), turn("", "pwd")] * 5, False),
    ],
)
def test_what_a_standstill_is(turns: list[ChatMessageAssistant], ended: bool) -> None:
    assert bool(standstill(turns)) == ended


def test_an_analyst_that_calls_no_tool_is_ended_soon(run: Callable[..., Manifest], tmp_path: Path) -> None:
    manifest = run(scripted(error=lambda _: ModelOutput.from_content("mockllm", "I think so.")), analysts="error")

    assert manifest.stages[0].calls == 2 * 2
    assert list(manifest.analyses) == ["no fix: the same message twice"]


def test_a_model_whose_thoughts_use_up_the_limit_is_told_from_one_that_repeats_itself(
    run: Callable[..., Manifest],
) -> None:
    manifest = run(scripted(error=lambda _: ModelOutput.from_content("mockllm", "", "max_tokens")), analysts="error")

    assert list(manifest.analyses) == [
        "no fix: its answers were cut off at the limit of tokens: raise --analyst-max-tokens"
    ]


def test_calls_that_come_as_text_are_the_reason_that_is_given(run: Callable[..., Manifest]) -> None:
    texts = iter(range(100))

    def calling(_: list[ChatMessage]) -> ModelOutput:
        text = (
            f"<tool_call>\n<function=bash>\n<parameter=cmd>\nls {next(texts)}\n</parameter>\n</function>\n</tool_call>"
        )
        return ModelOutput.from_content("mockllm", text)

    manifest = run(scripted(error=calling), analysts="error")

    [reason] = manifest.analyses
    assert reason.startswith("no fix: a call of 'bash' came as text: the server's tool parser does not fit the model.")


@pytest.mark.parametrize("limit", [1, 3])
def test_a_limit_of_turns_is_a_limit_of_generations(run: Callable[..., Manifest], limit: int) -> None:
    numbers = iter(range(100))

    def busy(_: list[ChatMessage]) -> ModelOutput:
        return call("bash", command=f"echo {next(numbers)}")

    manifest = run(scripted(error=busy), analysts="error", max_turns=limit)

    assert manifest.stages[0].calls == 2 * limit
    assert list(manifest.analyses) == ["no fix within the turn limit"]


@pytest.mark.parametrize(
    "text",
    [
        'Let me look.\n```json\n{"name": "bash", "arguments": {"cmd": "ls"}}\n```',
        '<tool_call>\n{"name": "bash", "arguments": {"cmd": "ls"}}\n</tool_call>',
        '{"name": "bash", "arguments": {"cmd": "ls"}}',
        '```\n{"name": "bash", "arguments": {"cmd": "cat > a.py <<EOF\nprint(1)\nEOF"}}\n```',
        '```json\n{"name": "bash", "arguments": {"cmd": "grep \\d"}}\n```',
        "<tool_call>\n<function=bash>\n<parameter=cmd>\nls\n</parameter>\n</function>\n</tool_call>",
        '<function=bash>{"cmd": "ls"}</function>',
        '<|python_tag|>bash.call(cmd="ls")',
        '[bash(cmd="ls"), submit(answer="x")]',
        'I will look.\n\n[{"name": "bash", "parameters": {"cmd": "ls"}}]\n\nThen I will see.',
        '{"type": "function", "function": {"name": "bash", "arguments": "{}"}}',
        '[TOOL_CALLS]bash[ARGS]{"cmd": "ls"}',
        '<|tool_call>call:bash{cmd:<|"|>ls<|"|>}<tool_call|>',
        '<invoke name="bash"><parameter name="cmd">ls</parameter></invoke>',
        "<tool_call>bash\n<arg_key>cmd</arg_key>\n<arg_value>ls</arg_value>\n</tool_call>",
        "<|tool_call_begin|>functions.bash:0<|tool_call_argument_begin|>{}",
        "<|start|>assistant to=functions.bash<|channel|>commentary<|message|>{}",
        "```tool_code\nbash(cmd='ls')\n```",
    ],
)
def test_a_tool_call_in_a_text_is_recognised(text: str) -> None:
    assert call_as_text(text, {"bash", "submit"}) == "bash"


PROSE = [
    "I would run bash (the shell) and then submit.",
    "```bash\nls -l\n```",
    "call: bash is needed",
    "def run(cmd):\n    return os.system(cmd)",
    'The tool\'s name is "bash"; its arguments are a command.',
]


@pytest.mark.parametrize(
    "text", ["", "bash", '```json\n{"name": "Ann", "arguments": {}}\n```', '{"name": "bash"}', *PROSE]
)
def test_other_text_is_no_tool_call(text: str) -> None:
    assert call_as_text(text, {"bash", "submit"}) is None


def test_an_agent_whose_calls_come_as_text_is_ended_and_the_parser_named_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standstill_module, "_SILENCES", {})
    asked: list[int] = []

    def silent(input: list[ChatMessage], *_: object) -> ModelOutput:
        asked.append(len(input))
        text = f'```json\n{{"name": "bash", "arguments": {{"command": "ls {len(asked)}"}}}}\n```'
        output = ModelOutput.from_content("mockllm", text)
        output.usage = ModelUsage(input_tokens=1, output_tokens=1, total_tokens=2)
        return output

    model = get_model("mockllm/model", custom_outputs=silent, memoize=False)
    task = Task(dataset=[Sample(input="Go."), Sample(input="Go on.")], solver=skill_agent("You act."), sandbox="local")
    with caplog.at_level(logging.WARNING):
        [log] = eval(task, model=model, log_dir=str(tmp_path), display="none")

    assert log.status == "success"
    assert len(asked) == 2 * 3
    told = [record.message for record in caplog.records if "--tool-call-parser" in record.message]
    assert len(told) == 1
    assert "A call of 'bash' came as text" in told[0]


async def test_a_model_that_has_called_tools_is_not_said_to_call_none(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standstill_module, "_SILENCES", {})
    go_on = persevere(["bash"])

    async def play(*turns: ChatMessageAssistant) -> bool:
        state = AgentState(messages=list(turns))
        state.output = ModelOutput(model="m")
        return bool(await go_on(state))

    with caplog.at_level(logging.WARNING):
        assert await play(turn("", "ls"))
        assert not any([await play(turn("a"), turn("b"), turn("c")) for _ in range(5)])

    assert not caplog.records


# 7. Costs


def test_calls_and_conversations_of_a_failing_analysis_are_kept(run: Callable[..., Manifest], tmp_path: Path) -> None:
    texts = iter(f"no JSON {number}" for number in range(100))
    manifest = run(
        scripted(success_report=lambda _: ModelOutput.from_content("mockllm", next(texts))), analysts="success"
    )

    assert manifest.stages[0].calls == 2 * 4
    assert all(
        sum(message.role == "assistant" for message in sample.messages) == 4
        for sample in samples(tmp_path / "run", "success-analysis")
    )


# 11. Edits that eat headings, edits that say nothing new


def test_a_heading_is_not_replaced_as_text(run: Callable[..., Manifest]) -> None:
    eating = edit("- All of it.", op="replace_in_section", target="## Reading", old="## Reading")
    manifest = run(scripted(patch=lambda _: structured({"edits": [eating]})))

    assert manifest.edits == {"proposed": 4, "rejected": 4}


def test_what_the_skill_says_already_is_no_news(run: Callable[..., Manifest], tmp_path: Path) -> None:
    known = edit("* **Read** the file as text.")
    manifest = run(scripted(patch=lambda _: structured({"edits": [known]})))

    assert manifest.edits == {"proposed": 4, "rejected": 4}
    assert "already there" in (tmp_path / "run" / "ledger.jsonl").read_text()


# 12. One leak guard


def test_a_lesson_of_a_success_that_states_the_answer_is_stopped(run: Callable[..., Manifest]) -> None:
    sums = " or ".join(f"**{number + 7}**" for number in NUMBERS.values())
    telling = {**LESSON, "content": f"The answer is {sums}."}
    manifest = run(
        scripted(success_report=lambda _: structured({"solution_path": "read", "lessons": [telling]})),
        analysts="success",
    )

    assert "proposed" not in manifest.edits or manifest.edits["proposed"] == 0
