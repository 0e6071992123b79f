"""The command `dlr`. Here everything is put together; nothing is decided here."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, MutableMapping
from importlib import import_module
from typing import NoReturn

import click

# Nothing of ours is imported before it is needed: `dlr --help` needs none of it, and all commands
# together take six times as long to import as click.

MODULES = {
    "serve": "serve",
    "receive": "serve",
    "dispatch": "serve",
    "sandbox": "serve",
    "demo": "demo",
    "endpoint": "endpoint",
    "reports": "lists",
    "messages": "lists",
    "quarantine": "lists",
    "totals": "lists",
    "dispatches": "lists",
    "why": "why",
    "schedule": "schedule",
    "simulate": "simulate",
    "capture": "capture",
    "endpoints": "endpoints",
    "replay": "replay",
    "replays": "replay",
    "reconcile": "reconcile",
    "purge": "purge",
    "erase": "erase",
    "rehearse": "rehearse",
    "check": "check",
    "open": "open_pages",
    "audit": "audit",
    "migrate": "migrate",
}
"""Each command, and the module in commands/ that has a function of its name."""

SUMMARIES = {
    "serve": "Receiver and dispatcher in one process.",
    "receive": "The receiver alone: takes callbacks into the database.",
    "dispatch": "The dispatcher alone: pushes what `dlr receive` took in on the same database.",
    "sandbox": (
        "`dlr serve` with the provider's send API: an app sends to it and gets real webhooks."
    ),
    "demo": "A whole story on one screen, in under a minute, with no set-up.",
    "endpoint": "A customer endpoint to try things against: prints what it gets.",
    "reports": "The stored reports, newest first; with REPORT (its id) everything that it says.",
    "messages": (
        "The messages and their state; with MESSAGE_ID its history, dispatches and attempts."
    ),
    "quarantine": (
        "What could not be read, newest first; with ENTRY (its id) the bytes as they came."
    ),
    "totals": "Reports by time of receipt (UTC): counts, cost, times from sentAt to doneAt.",
    "dispatches": (
        "The dispatches, newest first; with DISPATCH_ID, or a webhook-id, its messages and "
        "attempts."
    ),
    "why": "Where a report went, and by which rule it did not go elsewhere.",
    "schedule": (
        "The retry table: retry, interval, cumulative (hours:minutes or hours:minutes:seconds)."
    ),
    "simulate": (
        "What the outage of SCENARIO would cost: reports late and lost, peak, backlog. It is "
        "a TOML file, or a capsule of `dlr capture`."
    ),
    "capture": (
        "Write what was received in a window, and what became of it, into one file to share."
    ),
    "endpoints": "The endpoints: list, health, add, change, pause, resume, retry, test, remove,"
    " reset.",
    "replay": "Dispatch stored reports again: those that fit all options given.",
    "replays": "The replays, newest first; with ID how far that one is.",
    "reconcile": (
        "Ask the provider what became of its messages, and list the reports that never came."
    ),
    "purge": "Remove what is old: reports, quarantine, ended dispatches with their attempts.",
    "erase": "Erase one recipient's data: reports, quarantine, bodies and answers that hold it.",
    "rehearse": "Push to a webhook what production will push, and say what would go wrong.",
    "check": "Read the configuration, name every fault at once, print what is in effect.",
    "open": "Open the pages of the running `dlr` in a browser.",
    "audit": "Who changed what, newest first: over the API and on the command line.",
    "migrate": "Bring the database to the current schema. `dlr serve` does so by itself.",
}
"""What `dlr --help` says of each command: the first paragraph of its own help, a test holds it."""


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


class _Group(click.Group):
    """Lists its commands without importing them."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = formatter.width - 6 - max(map(len, SUMMARIES))
        with formatter.section("Commands"):
            formatter.write_dl(
                [
                    (name, click.Command(name, help=SUMMARIES[name]).get_short_help_str(width))
                    for name in self.list_commands(ctx)
                ]
            )


@click.group(
    cls=_Group,
    commands=_Commands(),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="dlr-relay", prog_name="dlr")
def cli() -> None:
    """SMS delivery reports: receive them, keep them, push them on, retry.

    Start with `dlr demo`, then `dlr serve`. Each command has --help with an example. --debug shows
    tracebacks.
    """


def main() -> None:
    """The entry point: errors are one readable line, unless --debug."""
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
        _fail(_in_one_line(error))
    except click.Abort:
        sys.exit(130)
    except BrokenPipeError:  # `dlr reports | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:  # a defect of ours too: no traceback either, unless asked for
        if debug and not _is_ambiguous(error):
            raise
        _fail(*_faults(error))


def _fail(*lines: str) -> NoReturn:
    from dispatcher.commands.options import fail

    fail(*lines)


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
