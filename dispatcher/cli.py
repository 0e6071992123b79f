"""The command `dlr`. Here everything is put together; nothing is decided here."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, MutableMapping
from importlib import import_module

import click

from dispatcher.commands.options import fail
from dispatcher.commands.saying import say
from receiver.answers import BadQuery
from receiver.settings.configuration import ConfigurationError
from receiver.shown import ShownFormatter, traceback_lines
from receiver.store.base import AmbiguousMessage, StoreUnavailable

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
    "audit": "audit",
    "migrate": "migrate",
}
"""Each command, and the module in commands/ that has a function of its name."""


class _Commands(MutableMapping[str, click.Command]):
    """The commands by name; a module is imported when its command is wanted. All together take
    three times as long to import as `dlr schedule` alone."""

    def __init__(self) -> None:
        self._modules = dict(MODULES)
        self._added: dict[str, click.Command] = {}

    def __getitem__(self, name: str) -> click.Command:
        if name not in self._added:
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


@click.group(
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
    if logging.lastResort is not None:  # the log of commands that set up none
        logging.lastResort.setFormatter(ShownFormatter())
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
    except AmbiguousMessage as error:
        fail(f"{error}; give one of them with --source")
    except (ConfigurationError, StoreUnavailable, BadQuery, OSError) as error:
        if debug:
            raise
        fail(*_faults(error))
    except UnicodeEncodeError as error:  # a shell passes on bytes that are no UTF-8
        if debug:
            raise
        fail(f"expected a text in UTF-8, got {error.object!r}")
    except Exception as error:  # a defect of ours: no traceback either, unless asked for
        if debug:
            raise
        fail(f"unexpected {type(error).__name__}: {error} (--debug shows where)")


def _faults(error: Exception) -> tuple[str, ...]:
    if isinstance(error, ConfigurationError):
        return error.faults
    return (str(error) or type(error).__name__,)


def _print_traceback(_: type[BaseException], error: BaseException, __: object) -> None:
    for line in traceback_lines(error):
        say(line, err=True)


def _in_one_line(error: click.ClickException) -> str:
    text = " ".join(error.format_message().split())
    context = error.ctx if isinstance(error, click.UsageError) else None
    return text if context is None else f"{text} See `{context.command_path} --help`."
