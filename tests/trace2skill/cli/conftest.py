"""The command line, called in this process."""

from collections.abc import Callable

import pytest
from click.testing import CliRunner, Result

from trace2skill.cli.main import main

Cli = Callable[..., Result]


@pytest.fixture
def cli() -> Cli:
    def call(*arguments: object) -> Result:
        result = CliRunner().invoke(main, [str(argument) for argument in arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert "Traceback" not in result.output
        return result

    return call
