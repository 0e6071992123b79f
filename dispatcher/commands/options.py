"""What the commands share: options, their types, and how they run and fail."""

from __future__ import annotations

import asyncio
import math
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, get_args

import click
import uvloop

from dispatcher.commands.saying import say
from dispatcher.settings.settings import Settings, read_settings
from receiver.settings.durations import duration

# What is for lists and databases is imported where it is used: `dlr schedule` needs none of it.
if TYPE_CHECKING:
    from dispatcher.commands.console import ListFormat
    from dispatcher.storage import Storage

WRONG_USAGE = 2
"""The exit code of wrong usage or configuration."""


def fail(*lines: str) -> NoReturn:
    for line in lines:
        say(f"dlr: {line}", err=True)
    sys.exit(WRONG_USAGE)


def stop_event() -> asyncio.Event:
    """Is set by Ctrl-C, SIGTERM and SIGQUIT, which then end nothing by themselves."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def run_to_end(coroutine: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(coroutine)


Command = Callable[..., None]

FILE = click.Path(path_type=Path, dir_okay=False)


def config_option(command: Command) -> Command:
    return click.option(
        "--config",
        type=FILE,
        envvar="DLR_CONFIG",
        help="Settings (TOML). Default: dlr.toml, then config/dlr.toml.",
    )(command)


def with_settings(command: Command) -> Command:
    command = config_option(command)
    return click.option(
        "--database",
        envvar="DLR_DATABASE",
        help="A SQLite file, or postgresql://…. Default: store.database of the settings, dlr.db.",
    )(command)


def settings_of(config: Path | None, database: str | None) -> Settings:
    settings = read_settings(config, os.environ)
    if database is None:
        return settings
    if not database.strip() or Path(database).is_dir():
        came = f"the folder {database}" if database.strip() else "nothing"
        fail(f"--database: expected a SQLite file or postgresql://…, got {came}")
    return replace(settings, store=replace(settings.store, database=database))


class Duration(click.ParamType[timedelta]):
    name = "duration"

    def convert(self, value: Any, param: Any, ctx: Any) -> timedelta:
        try:
            return duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Span(click.ParamType[tuple[timedelta, timedelta]]):
    """Two durations from the start: `10s..70s`."""

    name = "from..to"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[timedelta, timedelta]:
        start, dots, end = value.partition("..")
        try:
            span = duration(start), duration(end)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if not dots or span[0] >= span[1]:
            self.fail(f"expected a span such as 10s..70s, got {value!r}", param, ctx)
        return span


class Speed(click.FloatRange):
    """How many times as fast. NaN, which lies in any range, is none."""

    name = "factor"

    def __init__(self) -> None:
        super().__init__(min=0, max=1_000_000, min_open=True)

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        factor = float(super().convert(value, param, ctx))
        if math.isnan(factor):
            self.fail(f"expected a number above 0, got {value}", param, ctx)
        return factor


class Id(click.types.IntParamType):
    """A number that a database could have given."""

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        number = int(super().convert(value, param, ctx))
        if not -(2**63) <= number < 2**63:
            self.fail(f"{value!r} is not a valid integer.", param, ctx)  # as of what is none
        return number


class IntegerIn(click.IntRange):
    """A whole number in a range. Click would call a word "not a valid integer range"."""

    name = "integer"


PORT = IntegerIn(0, 65_535)  # beyond, the event loop would take the number modulo 65536


def listing_options(command: Command) -> Command:
    """The options of lists, handed over as one `listing`."""
    from dispatcher.commands.console import ListFormat
    from dispatcher.commands.list_output import Listing

    @wraps(command)
    def wrapped(
        form: ListFormat | None, limit: int | None, output: Path | None, **options: Any
    ) -> None:
        command(listing=Listing(form, limit, output), **options)

    options: Sequence[Callable[[Command], Command]] = (
        format_option(get_args(ListFormat)),
        click.option(
            "--limit",
            type=IntegerIn(min=1),
            help="At most this many rows. Default: the newest 100 on a terminal, otherwise all.",
        ),
        click.option("--output", type=FILE, help="Write to this file, and show the progress."),
    )
    made: Command = wrapped
    for option in options:
        made = option(made)
    return with_settings(made)


def format_option(forms: Sequence[str], words: str = "") -> Callable[[Command], Command]:
    """`--format`, of which the first word is the default, and `--json`, which is short for one of
    them. Handed over as `form`, `None` if neither is given."""

    def decorate(command: Command) -> Command:
        @wraps(command)
        def wrapped(form: str | None, as_json: bool, **options: Any) -> None:
            if as_json and form not in (None, "json"):
                fail(f"--json, --format {form}: give one of them")
            command(form="json" if as_json else form, **options)

        for option in (
            click.option("--json", "as_json", is_flag=True, help="Short for --format json."),
            click.option(
                "--format",
                "form",
                type=click.Choice(list(forms)),
                help=f"{words} Default: {forms[0]}.".strip(),
            ),
        ):
            wrapped = option(wrapped)
        return wrapped

    return decorate


def look(
    config: Path | None, database: str | None, work: Callable[[Storage], Awaitable[None]]
) -> None:
    """Run `work` on a database that must be there, if the command names only what there is."""
    from dispatcher.commands.names import check_names
    from dispatcher.storage import is_postgres, storage

    settings = settings_of(config, database)
    path = settings.store.database
    if not is_postgres(path) and not Path(path).exists():
        fail(f"there is no database at {path}: start `dlr serve` first, or give --database")

    given = click.get_current_context().params

    async def run() -> None:
        async with storage(path) as opened:
            await check_names(opened, settings, given)
            await work(opened)

    run_to_end(run())


_ROWS = {
    "report": ("report", "reports"),
    "report_key": ("search key of a report", "search keys of reports"),
    "received_body": ("body as it was received", "bodies as they were received"),
    "quarantine": ("quarantine entry", "quarantine entries"),
    "dispatch": ("dispatch", "dispatches"),
    "dispatch_body": ("body of a dispatch", "bodies of dispatches"),
    "dispatch_report": ("report in a dispatch", "reports in dispatches"),
    "attempt": ("attempt", "attempts"),
    "replay": ("replay", "replays"),
}
"""What a row of each table is called, and several of them."""


def print_counts(verb: str, rows: Mapping[str, int]) -> None:
    """A line for each table: what was or would be done to how many of its rows."""
    for table, count in rows.items():
        one, several = _ROWS.get(table, (table, table))
        say(f"{verb} {count:>9} {one if count == 1 else several}")
