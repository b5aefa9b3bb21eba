"""Holds every command that the bundled profiles can give against the parser of an installed vLLM.

    TRACE2SKILL_VLLM=/path/to/env/bin/python python scripts/check_profiles.py

Prints one line per command, and exits with 1 if one is refused or no vLLM is found. Nothing is loaded or started.
"""

import sys

from trace2skill.serving.command import every_launch
from trace2skill.serving.flags import PYTHON_VARIABLE, check_arguments, vllm_python


def main() -> int:
    """Check and print."""
    python = vllm_python()
    if python is None:
        print(f"no vLLM found: name the Python of its environment in {PYTHON_VARIABLE}", file=sys.stderr)
        return 1
    launches = every_launch()
    files = {str(argument.file) for launch in launches for argument in launch.missing}
    version, said = check_arguments(python, [launch.arguments[1:] for launch in launches], files)
    for launch, problem in zip(launches, said, strict=True):
        flags = " ".join(word for word in launch.arguments if word.startswith("--"))
        print(f"{'refused' if problem else 'known':8}{launch.model} on {launch.layout}: {problem or flags}")
    print(f"{len(said)} commands, {sum(map(bool, said))} refused, by the parser of vLLM {version} ({python})")
    return int(any(said))


if __name__ == "__main__":
    sys.exit(main())
