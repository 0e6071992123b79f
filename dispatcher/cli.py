"""The command `dlr`. Here everything is put together; nothing is decided here."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, MutableMapping
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path
from typing import NoReturn

import click
from click.shell_completion import CompletionItem

# Nothing of ours is imported before it is needed: `dlr --help` needs none of it, and all commands
# together take six times as long to import as click.

MODULES = {
    "serve": "serve",
    "receive": "serve",
    "dispatch": "serve",
    "endpoints": "endpoints",
    "open": "open_pages",
    "reports": "lists",
    "messages": "lists",
    "dispatches": "lists",
    "why": "why",
    "totals": "lists",
    "quarantine": "lists",
    "audit": "audit",
    "replays": "replays",
    "reconcile": "reconcile",
    "demo": "demo",
    "sandbox": "serve",
    "listen": "listen",
    "rehearse": "rehearse",
    "simulate": "simulate",
    "capture": "capture",
    "schedule": "schedule",
    "check": "check",
    "config": "config",
    "migrate": "migrate",
    "purge": "purge",
    "erase": "erase",
    "backup": "backup",
    "restore": "backup",
    "views": "views",
    "completion": "completion",
}
"""Each command, and the module in commands/ that has a function of its name."""

SECTIONS = {
    "Run (operators)": ("serve", "receive", "dispatch", "endpoints", "open"),
    "Look (operators and support)": (
        *("reports", "messages", "dispatches", "why", "totals", "quarantine", "audit"),
    ),
    "Repair (operators and support)": ("replays", "reconcile"),
    "Test (developers and testers)": (
        *("demo", "sandbox", "listen", "rehearse", "simulate", "capture", "schedule"),
    ),
    "Maintain (operators)": (
        "check",
        "config",
        "backup",
        "restore",
        "migrate",
        "purge",
        "erase",
        "views",
        "completion",
    ),
}
"""The headings of `dlr --help`, and the commands below each, all of them."""

OLD_WORDS = {"endpoint": ("listen",), "replay": ("replays", "start")}
"""Commands of 0.1, one letter away from others, and what they are called now. They go on working,
and no help names them."""

SUMMARIES = {
    "serve": "Run receiver and dispatcher in one process.",
    "receive": "Run the receiver alone: it stores callbacks in the database.",
    "dispatch": "Run the dispatcher alone: it pushes what `dlr receive` stored.",
    "endpoints": "List, add and change the endpoints that reports are pushed to.",
    "open": "Open the pages of the running `dlr` in a browser.",
    "reports": "List the stored reports, newest first. With REPORT (its id), show all it says.",
    "messages": (
        "List the messages and their state. With MESSAGE_ID, show its history, dispatches and"
        " attempts."
    ),
    "dispatches": (
        "List the dispatches, newest first. With DISPATCH_ID, or a webhook-id, show its messages"
        " and attempts."
    ),
    "why": "Explain where a report went, and why it went nowhere else.",
    "totals": "Count reports and add up their cost, by time of receipt (UTC).",
    "quarantine": (
        "List what could not be read, newest first. With ENTRY (its id), print the original bytes."
    ),
    "audit": "List who changed what, newest first.",
    "replays": "Push stored reports again; list, show and cancel replays.",
    "reconcile": "Ask the provider for reports that never arrived.",
    "demo": "Watch a whole story on one screen, in under a minute.",
    "sandbox": "Run `dlr serve` with the provider's send API, to test an app.",
    "listen": "Run a customer endpoint that prints what it gets.",
    "rehearse": "Test a webhook with what production will push to it.",
    "simulate": "Compute what an outage would cost: late and lost reports.",
    "capture": "Write a time window of the database to a file for sharing.",
    "schedule": "Print the retry table of a schedule.",
    "check": "Check the settings, and list every fault at once.",
    "config": "Check the settings, or print their JSON Schema.",
    "backup": "Copy the database to FILE while `dlr` runs, and check the copy.",
    "restore": "Put a backup where the database is.",
    "migrate": "Upgrade the schema of the database, or move it to PostgreSQL.",
    "purge": "Remove what is old: reports, quarantine, ended dispatches.",
    "erase": "Erase the data of one recipient.",
    "views": "Print the SQL views of the database, for Grafana and others.",
    "completion": "Print the completion script of a shell.",
}
"""What `dlr --help` says of each command: the first paragraph of its own help, a test holds it."""


_STREAMS = 3
"""Standard input, output and error have the numbers below it."""


class _Commands(MutableMapping[str, click.Command]):
    """The commands by name; a module is imported when its command is wanted."""

    def __init__(self) -> None:
        self._modules = dict(MODULES)
        self._added: dict[str, click.Command] = {}

    def __getitem__(self, name: str) -> click.Command:
        if name not in self._added:
            _prepare_log()
            module = import_module(f"dispatcher.commands.{self._modules[name]}")
            self._added[name] = getattr(module, name)
        return self._added[name]

    def __setitem__(self, name: str, command: click.Command) -> None:
        self._modules[name] = name
        self._added[name] = command

    def __delitem__(self, name: str) -> None:
        del self._modules[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __len__(self) -> int:
        return len(self._modules)

    def __contains__(self, name: object) -> bool:
        return name in self._modules  # without importing it


def _prepare_log() -> None:
    """For commands that set up no log."""
    import logging

    from receiver.shown import ShownFormatter

    if logging.lastResort is not None:
        logging.lastResort.setFormatter(ShownFormatter())


class _OutputClosed(Exception):
    """Whoever read the output has closed it, as in `dlr reports | head`."""


class _Group(click.Group):
    """Lists its commands without importing them, below headings, and knows the old words."""

    def get_command(self, _: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name, old or new."""
        first, *more = OLD_WORDS.get(cmd_name, (cmd_name,))
        command = self.commands.get(first)
        for word in more:
            assert isinstance(command, click.Group)
            command = command.commands[word]
        return command

    def format_commands(self, _: click.Context, formatter: click.HelpFormatter) -> None:
        """A list below each heading, all with the same columns."""
        widest = max(map(len, MODULES))
        width = formatter.width - 6 - widest
        for heading, names in SECTIONS.items():
            with formatter.section(heading):
                formatter.write_dl(
                    [
                        (
                            name.ljust(widest),
                            click.Command(name, help=SUMMARIES[name]).get_short_help_str(width),
                        )
                        for name in names
                    ]
                )

    def invoke(self, ctx: click.Context) -> object:
        """Runs the command. click and rich would end with exit code 1 when the output is closed
        early, and 1 is an answer of ours."""
        try:
            done = super().invoke(ctx)
            sys.stdout.flush()
            return done
        except BrokenPipeError as error:
            raise _OutputClosed from error
        except SystemExit as ended:
            if isinstance(ended.__context__, BrokenPipeError):  # rich
                raise _OutputClosed from ended
            raise

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """What may follow `dlr`, without importing it."""
        named = [
            CompletionItem(name, help=summary)
            for name, summary in SUMMARIES.items()
            if name.startswith(incomplete)
        ]
        return [*named, *click.Command.shell_complete(self, ctx, incomplete)]


@click.group(
    cls=_Group,
    commands=_Commands(),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="dlr-relay", prog_name="dlr")
def cli() -> None:
    """Receive the delivery reports of your SMS, store them, push them to your customers, and retry.

    New here? Start with `dlr demo`, then `dlr serve`. If you write an app against the SMS API,
    start with `dlr sandbox`. If you test a webhook, start with `dlr rehearse URL`.

    Each command has --help with an example. With --debug, an error prints its traceback.
    """


def main() -> None:
    """The entry point: errors are one readable line, unless --debug."""
    _prepare_streams()
    debug = "--debug" in sys.argv or bool(os.environ.get("DLR_DEBUG"))
    if debug:
        sys.argv = [word for word in sys.argv if word != "--debug"]
        sys.excepthook = _print_traceback
    try:
        cli(standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:  # `dlr` alone: its text is the help
        error.show()
        sys.exit(error.exit_code)
    except click.ClickException as error:
        _say(_in_one_line(error))
        sys.exit(1 if _is_not_there(error) else 2)
    except click.Abort:
        sys.exit(130)
    except _OutputClosed:
        # For what is still to be flushed.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
    except Exception as error:  # a defect of ours too: no traceback either, unless asked for
        if debug and not _is_ambiguous(error):
            raise
        if _is_unreachable(error):
            _say(str(error))
            sys.exit(1)
        _fail(*_faults(error))


def _prepare_streams() -> None:
    """Standard streams that every command can write to, however it was started.

    The number of a stream that was closed would be given to the next file or connection, and libuv
    ends a process that closes one of those. A pipe gets UTF-8 in every locale, because JSON is
    UTF-8; a terminal of another encoding gets a question mark for what it cannot show.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) < _STREAMS:
        pass
    os.close(number)
    sys.stdout = sys.stdout or Path(os.devnull).open("w")  # noqa: SIM115
    sys.stderr = sys.stderr or Path(os.devnull).open("w")  # noqa: SIM115
    if isinstance(sys.stdout, TextIOWrapper) and sys.stdout.encoding.lower() != "utf-8":
        if sys.stdout.isatty():
            sys.stdout.reconfigure(errors="replace")
        else:
            sys.stdout.reconfigure(encoding="utf-8")


def _fail(*lines: str) -> NoReturn:
    from dispatcher.commands.options import fail

    fail(*lines)


def _say(line: str) -> None:
    from dispatcher.commands.saying import say

    say(f"dlr: {line}", err=True)


def _is_not_there(error: click.ClickException) -> bool:
    from dispatcher.commands.saying import NotThere

    return isinstance(error, NotThere)


def _is_unreachable(error: Exception) -> bool:
    from receiver.store.base import StoreUnreachable

    return isinstance(error, StoreUnreachable)


def _is_ambiguous(error: Exception) -> bool:
    from receiver.store.base import AmbiguousMessage

    return isinstance(error, AmbiguousMessage)


def _faults(error: Exception) -> tuple[str, ...]:
    from receiver.answers import BadQuery
    from receiver.settings.configuration import ConfigurationError
    from receiver.store.base import StoreUnavailable

    if _is_ambiguous(error):
        return (f"{error}; give one of them with --source",)
    if isinstance(error, ConfigurationError):
        return error.faults
    if isinstance(error, StoreUnavailable | BadQuery | OSError):
        return (str(error) or type(error).__name__,)
    if isinstance(error, UnicodeEncodeError):  # a shell passes on bytes that are no UTF-8
        return (f"expected a text in UTF-8, got {error.object!r}",)
    return (f"unexpected {type(error).__name__}: {error} (--debug shows where)",)


def _print_traceback(_: type[BaseException], error: BaseException, __: object) -> None:
    from dispatcher.commands.saying import say
    from receiver.shown import traceback_lines

    for line in traceback_lines(error):
        say(line, err=True)


def _in_one_line(error: click.ClickException) -> str:
    text = " ".join(error.format_message().split())
    context = error.ctx if isinstance(error, click.UsageError) else None
    return text if context is None else f"{text} See `{context.command_path} --help`."
