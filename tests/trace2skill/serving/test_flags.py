"""Each flag of each profile, and of the page on GPUs, is one that vLLM and this command line know."""

import re
import shlex
from pathlib import Path

import click
import pytest

from trace2skill.cli.main import main
from trace2skill.serving.command import every_launch
from trace2skill.serving.flags import check_arguments, vllm_python

PAGE = Path(__file__).parents[3] / "docs/gpu.md"
needs_vllm = pytest.mark.skipif(vllm_python() is None, reason="no vLLM: name its Python in TRACE2SKILL_VLLM")


def page_commands() -> list[list[str]]:
    """The words of each command in the page's blocks."""
    blocks = re.findall(r"^```(?:bash|sh)?\n(.*?)^```", PAGE.read_text(), re.M | re.S)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    commands = [shlex.split(line, comments=True) for line in lines]
    named = [[word for word in command if not re.fullmatch(r"[A-Z_0-9]+=.*", word)] for command in commands]
    return [command for command in named if command]


@needs_vllm
def test_vllm_knows_every_flag_of_every_profile() -> None:
    python = vllm_python()
    assert python is not None
    launches = every_launch()
    files = {str(argument.file) for launch in launches for argument in launch.missing}
    _, said = check_arguments(python, [launch.arguments[1:] for launch in launches], files)

    assert len(launches) > 15
    assert [(launch.shell(), problem) for launch, problem in zip(launches, said, strict=True) if problem] == []


@needs_vllm
def test_a_flag_that_it_does_not_know_is_found() -> None:
    python = vllm_python()
    assert python is not None
    commands = [["m", "--mamba-cash-mode", "align"], ["m", "--tool-call-parser", "qwen"], ["m", "--seed", "1"]]
    _, (unknown, parser, fine) = check_arguments(python, commands)

    assert "--mamba-cash-mode" in (unknown or "")
    assert "qwen" in (parser or "")
    assert fine is None


@pytest.mark.parametrize("command", [words for words in page_commands() if words[0] == "trace2skill"], ids=shlex.join)
def test_the_page_gives_commands_that_parse(command: list[str]) -> None:
    group: click.Command = main
    context = click.Context(main)
    words = command[1:]
    while isinstance(group, click.Group):
        found = group.get_command(context, words[0])
        assert found is not None, command
        group, words = found, words[1:]
    group.make_context(words[0] if words else "", list(words), resilient_parsing=True)
    known = {name for parameter in group.params for name in (*parameter.opts, *parameter.secondary_opts)}
    own = words[: words.index("--")] if "--" in words else words

    assert {word.split("=")[0] for word in own if word.startswith("--")} <= known


@needs_vllm
def test_the_page_gives_commands_that_vllm_parses() -> None:
    python = vllm_python()
    assert python is not None
    commands = [words[2:] for words in page_commands() if words[:2] == ["vllm", "serve"]]
    _, said = check_arguments(python, commands)

    assert commands
    assert [pair for pair in zip(commands, said, strict=True) if pair[1]] == []
