"""The command `dlr`. Here everything is put together; nothing is decided here."""

from __future__ import annotations

import os
import sys

import click

from dispatcher.commands import (
    bringing_back,
    capturing,
    endpoints,
    letting_go,
    looking,
    reconciling,
    rehearsing,
    running,
    setting_up,
    simulating,
)
from dispatcher.commands.options import fail
from receiver.answers import BadQuery
from receiver.configuration import ConfigurationError
from receiver.store.base import StoreUnavailable


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="dlr-relay", prog_name="dlr")
def cli() -> None:
    """SMS delivery reports: receive them, keep them, push them on, retry.

    Start with `dlr demo`, then `dlr serve`. Each command has --help with an example. --debug shows
    tracebacks.
    """


for _command in (
    running.serve,
    running.receive,
    running.dispatch,
    running.sandbox,
    running.demo,
    running.endpoint,
    looking.reports,
    looking.messages,
    looking.quarantine,
    looking.totals,
    looking.dispatches,
    looking.schedule,
    simulating.simulate,
    capturing.capture,
    endpoints.endpoints,
    bringing_back.replay,
    bringing_back.replays,
    reconciling.reconcile,
    letting_go.purge,
    letting_go.erase,
    rehearsing.rehearse,
    setting_up.check,
    setting_up.migrate,
):
    cli.add_command(_command)


def main() -> None:
    """The entry point: errors are one readable line, unless --debug."""
    debug = "--debug" in sys.argv or bool(os.environ.get("DLR_DEBUG"))
    if debug:
        sys.argv = [word for word in sys.argv if word != "--debug"]
    try:
        cli(standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:  # `dlr` alone: its text is the help
        error.show()
        sys.exit(error.exit_code)
    except click.ClickException as error:
        fail(_in_one_line(error))
    except click.Abort:
        sys.exit(130)
    except BrokenPipeError:  # `dlr reports | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (ConfigurationError, StoreUnavailable, BadQuery, OSError) as error:
        if debug:
            raise
        fail(str(error) or type(error).__name__)
    except Exception as error:  # a defect of ours: no traceback either, unless asked for
        if debug:
            raise
        fail(f"unexpected {type(error).__name__}: {error} (--debug shows where)")


def _in_one_line(error: click.ClickException) -> str:
    text = " ".join(error.format_message().split())
    context = error.ctx if isinstance(error, click.UsageError) else None
    return text if context is None else f"{text} See `{context.command_path} --help`."
