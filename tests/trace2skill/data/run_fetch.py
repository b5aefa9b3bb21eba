"""Runs `trace2skill data fetch` for several benchmarks or card files, and writes what each ended with as JSON.

A process of its own, since the hub's libraries read `HF_ENDPOINT` when they are imported.
"""

import json
import sys
import traceback
from pathlib import Path

from click.testing import CliRunner

from trace2skill.cli import data as commands
from trace2skill.cli.main import main
from trace2skill.data.cards import Card, load_card, read_card


def find_card(name: str) -> Card:
    return read_card(Path(name)) if name.endswith(".yaml") else load_card(name)


if __name__ == "__main__":
    commands.load_card = find_card
    for arguments in sys.argv[1:]:
        result = CliRunner().invoke(main, ["data", "fetch", *arguments.split()])
        if result.exception and not isinstance(result.exception, SystemExit):
            traceback.print_exception(result.exception)
        print(json.dumps([result.exit_code, " ".join(result.output.split())]))
