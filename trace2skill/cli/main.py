"""The command line. Thin: it parses, calls the public functions, and prints."""

import errno
import importlib
import signal
import sys
from types import FrameType
from typing import Any, NoReturn

import click

COMMANDS = {
    "compare": "Compare the logs of two or more conditions, sample by sample.",
    "data": "Fetch, check and list benchmark data.",
    "doctor": "Look at this machine and, if a URL is given, ask the endpoint there what a run depends on.",
    "evolve": "Evolve a skill from the logs of an agent, or make a memory bank of them.",
    "serve": "Serve a model by its PROFILE with vLLM, and certify the endpoint; Ctrl-C stops it.",
    "skill": "Look at skill folders, and draft new ones.",
    "study": "Plan, run and check a study: models, skills, conditions and benchmarks, declared in one file.",
}
"""What each command does. Its module of the same name is imported when it is called: Inspect takes seconds to load."""


class _Commands(click.Group):
    """Prints errors that a user can mend as one message and exits with 1; any other is a bug and keeps its traceback.

    Ctrl-C and a request to end (SIGTERM) stop a run in the same way: what is under way is cleared away, and the exit
    code is the one that shells expect, 130 or 143.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        if cmd_name not in COMMANDS:
            raise click.UsageError(f"There is no command '{cmd_name}'. The commands are {', '.join(COMMANDS)}.", ctx)
        command: click.Command = importlib.import_module(f"trace2skill.cli.{cmd_name}").COMMAND
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(sorted(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        reason = signal.SIGINT

        def end(number: int, frame: FrameType | None) -> None:
            nonlocal reason
            reason = signal.SIGTERM
            # A shell has its background jobs ignore Ctrl-C; a request to end is for them, too.
            if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
                signal.signal(signal.SIGINT, signal.default_int_handler)
            signal.raise_signal(signal.SIGINT)

        before = signal.signal(signal.SIGTERM, end)
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit):
            raise
        except KeyboardInterrupt:
            _stop("Interrupted. Run the same command again to go on.", 128 + reason)
        except OSError as error:
            if error.errno == errno.EPIPE or error.strerror is None:
                raise
            place = f"{error.filename}: " if error.filename else ""
            _stop(f"{place}{error.strerror}. Mend that and run the same command again.", 1)
        except Exception as error:
            from trace2skill.errors import InterruptedRunError, PrerequisiteError
            from trace2skill.text import unmarked

            if not isinstance(error, PrerequisiteError):
                raise
            message = str(error) if error.args else unmarked(error.message)
            _stop(message, 128 + reason if isinstance(error, InterruptedRunError) else 1)
        finally:
            signal.signal(signal.SIGTERM, before)


def _stop(message: str, code: int) -> NoReturn:
    from trace2skill.cli.printing import say_aside

    say_aside(f"trace2skill: {message}")
    sys.exit(code)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="trace2skill")
def main() -> None:
    """Turn the logs of LLM agents into skills that transfer, and test whether they help."""
