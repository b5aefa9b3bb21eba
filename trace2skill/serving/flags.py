"""A command of vLLM, held against the parser of an installed vLLM."""

import json
import os
import shutil
import subprocess
from collections.abc import Collection, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

PYTHON_VARIABLE = "TRACE2SKILL_VLLM"
"""Environment variable that names the Python in whose environment vLLM is installed."""

_SECONDS = 300

# Runs under that Python: argument lists in, one message or null for each out, with the version before them.
_CHECK = """
import contextlib, io, json, sys
lists = json.load(sys.stdin)
import vllm
from vllm.entrypoints.launchers.cli_args import make_arg_parser, validate_parsed_serve_args
from vllm.reasoning import ReasoningParserManager
from vllm.tool_parsers import ToolParserManager
from vllm.utils.argparse_utils import FlexibleArgumentParser
said = []
for words in lists:
    errors = io.StringIO()
    try:
        with contextlib.redirect_stderr(errors):
            arguments = make_arg_parser(FlexibleArgumentParser()).parse_args(words)
            validate_parsed_serve_args(arguments)
        if arguments.tool_parser_plugin:
            ToolParserManager.import_tool_parser(arguments.tool_parser_plugin)
        if arguments.tool_call_parser:
            ToolParserManager.get_tool_parser(arguments.tool_call_parser)
        if arguments.reasoning_parser:
            ReasoningParserManager.get_reasoning_parser(arguments.reasoning_parser)
        said.append(None)
    except SystemExit:
        said.append((errors.getvalue().strip().splitlines() or ["refused"])[-1])
    except Exception as error:
        said.append(repr(error))
print("RESULT", json.dumps([vllm.__version__, said]))
"""


def vllm_python() -> Path | None:
    """The Python of an installed vLLM: `$TRACE2SKILL_VLLM`, else the one beside the vllm on PATH. None without one."""
    named = os.environ.get(PYTHON_VARIABLE)
    if named:
        return Path(named)
    program = shutil.which("vllm")
    beside = Path(program).resolve().with_name("python") if program else None
    return beside if beside and beside.exists() else None


def check_arguments(
    python: Path, commands: Sequence[Sequence[str]], files: Collection[str] = ()
) -> tuple[str, list[str | None]]:
    """What vLLM's own parser says about arguments of `vllm serve`; nothing is loaded or started.

    Args:
        python: Python in whose environment vLLM is installed.
        commands: Arguments after `vllm serve`.
        files: Names of files that they expect in the working folder; empty ones will do.

    Returns:
        vLLM's version, and for each command what is wrong with it, or None.

    Raises:
        RuntimeError: This Python has no vLLM whose parser can be asked.
    """
    # The parser takes the model as an option; as the first word only the command line does.
    lists = [words if words[:1] and words[0].startswith("-") else ["--model", *words] for words in map(list, commands)]
    with TemporaryDirectory() as folder:
        for name in files:
            Path(folder, name).touch()
        result = subprocess.run(
            [str(python), "-c", _CHECK],
            input=json.dumps(lists),
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
            cwd=folder,
            env=os.environ | {"VLLM_LOGGING_LEVEL": "ERROR", "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"},
        )
    answer = next((line for line in result.stdout.splitlines() if line.startswith("RESULT ")), None)
    if answer is None:
        last = (result.stderr.strip().splitlines() or ["no answer"])[-1]
        raise RuntimeError(f"{python}: the parser of vLLM cannot be asked: {last}")
    version, said = json.loads(answer.removeprefix("RESULT "))
    return version, said
