"""The command `dlr`. Here everything is put together; nothing is decided here."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn, get_args

import click
import uvloop
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dispatcher import lists, logs
from dispatcher.clock import Clock, CompressedClock, SystemClock
from dispatcher.console import ListFormat
from dispatcher.demo import run_demo
from dispatcher.dispatch import State
from dispatcher.schedule import PRESETS
from dispatcher.scripted_endpoint import Push, Script, ScriptedEndpoint
from dispatcher.service import MIGRATIONS, Parts, Storage, service, storage
from dispatcher.settings import Settings, find_file, read_settings
from receiver.answers import BadQuery
from receiver.configuration import ConfigurationError, effective
from receiver.durations import duration
from receiver.settings import may_listen
from receiver.store.base import StoreUnavailable
from receiver.store.database import Database

WRONG_USAGE = 2


def main() -> None:
    """The entry point: errors are one readable line, unless --debug."""
    debug = "--debug" in sys.argv or bool(os.environ.get("DLR_DEBUG"))
    if debug:
        sys.argv = [word for word in sys.argv if word != "--debug"]
    try:
        cli(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        sys.exit(130)
    except BrokenPipeError:  # `dlr reports | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (ConfigurationError, StoreUnavailable, BadQuery, OSError) as error:
        if debug:
            raise
        _fail(str(error))


def _fail(text: str) -> NoReturn:
    for line in text.splitlines():
        click.echo(f"dlr: {line}", err=True)
    sys.exit(WRONG_USAGE)


def _run(coroutine: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(coroutine)


Command = Callable[..., None]


def _with_settings(command: Command) -> Command:
    command = click.option(
        "--config",
        type=click.Path(path_type=Path, dir_okay=False),
        envvar="DLR_CONFIG",
        help="Settings (TOML). Default: dlr.toml, then config/dlr.toml.",
    )(command)
    return click.option(
        "--database",
        envvar="DLR_DATABASE",
        help="The SQLite file. Default: store.database of the settings, dlr.db.",
    )(command)


def _settings(config: Path | None, database: str | None) -> Settings:
    settings = read_settings(config, os.environ)
    if database is None:
        return settings
    return replace(settings, store=replace(settings.store, database=database))


class _Duration(click.ParamType[timedelta]):
    name = "duration"

    def convert(self, value: Any, param: Any, ctx: Any) -> timedelta:
        try:
            return duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class _Span(click.ParamType[tuple[timedelta, timedelta]]):
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


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="dlr-relay", prog_name="dlr")
def cli() -> None:
    """SMS delivery reports: receive them, keep them, push them on, retry.

    Start with `dlr demo`, then `dlr serve`. Each command has --help with an example. --debug shows
    tracebacks.
    """


# --- running -----------------------------------------------------------------------------------


def _serving(command: Command) -> Command:
    for option in (
        click.option("--bind", metavar="HOST", help="Address to listen on. Default: 127.0.0.1."),
        click.option(
            "--port", type=int, help="Port to listen on; 0 takes a free one. Default: 8080."
        ),
        click.option(
            "--speed",
            type=click.FloatRange(min=0, min_open=True),
            default=1.0,
            help="Compressed clock: every wait of the schedule is divided by this.",
        ),
    ):
        command = option(command)
    return _with_settings(command)


@cli.command()
@_serving
def serve(**options: Any) -> None:
    """Receiver and dispatcher in one process.

    Example: dlr serve --port 8080 --database dlr.db
    """
    _serve(Parts(), **options)


@cli.command()
@_serving
def receive(**options: Any) -> None:
    """The receiver alone: takes callbacks into the database.

    Example: dlr receive --database dlr.db
    """
    _serve(Parts(dispatches=False), **options)


@cli.command()
@_serving
def dispatch(**options: Any) -> None:
    """The dispatcher alone: pushes what `dlr receive` took in on the same database.

    Example: dlr dispatch --database dlr.db --port 8081
    """
    _serve(Parts(receives=False), **options)


def _serve(
    parts: Parts,
    *,
    config: Path | None,
    database: str | None,
    bind: str | None,
    port: int | None,
    speed: float,
) -> None:
    settings = _settings(config, database)
    server = replace(
        settings.server,
        bind=settings.server.bind if bind is None else bind,
        port=settings.server.port if port is None else port,
    )
    if (refusal := may_listen(server)) is not None:
        _fail(refusal)
    logs.set_up(settings.log.format, settings.log.level)
    clock = SystemClock() if speed == 1.0 else CompressedClock(speed)
    _run(_until_stopped(replace(settings, server=server), parts, clock))


async def _until_stopped(settings: Settings, parts: Parts, clock: Clock) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with service(settings, parts=parts, clock=clock, listeners=[logs.log_attempt]) as running:
        click.echo(f"listening on {running.url}")
        for line in _what_next(settings, parts, running.url):
            click.echo(line)
        sys.stdout.flush()
        await stop.wait()
        click.echo("stopping: running attempts end, then all is committed")
        sys.stdout.flush()


def _what_next(settings: Settings, parts: Parts, url: str) -> list[str]:
    lines = [f"  database   {settings.store.database}"]
    if parts.receives:
        lines.append(f"  callbacks  POST {url}/notify  (JSON or XML)")
    if parts.dispatches:
        names = ", ".join(endpoint.name for endpoint in settings.endpoint)
        lines.append(f"  endpoints  {names or 'none yet: name one in config/dlr.toml'}")
    return [*lines, f"  reports    dlr reports, or {url}/api/reports"]


@cli.command()
@click.option("--seed", type=int, default=1, help="For the ids of the demo's messages.")
def demo(seed: int) -> None:
    """A whole story on one screen, in under a minute, with no set-up.

    Callbacks come in, an endpoint fails and recovers, retries run on a compressed clock.

    Example: dlr demo
    """
    _run(run_demo(Console(), seed=seed))


@cli.command()
@click.option("--bind", default="127.0.0.1", metavar="HOST")
@click.option("--port", type=int, default=9000, show_default=True)
@click.option("--status", type=click.IntRange(100, 599), default=200, help="What to answer.")
@click.option(
    "--fail-first", type=click.IntRange(min=0), default=0, help="Answer so many with 503."
)
@click.option("--delay", type=_Duration(), default="0s", help="Wait before each answer: 2s.")
@click.option("--down-between", type=_Span(), help="Cut connections meanwhile: 10s..70s.")
def endpoint(bind: str, port: int, **script: Any) -> None:
    """A customer endpoint to try things against: prints what it gets.

    Example: dlr endpoint --port 9000 --fail-first 3
    """
    _run(_endpoint(bind, port, Script(**script)))


async def _endpoint(bind: str, port: int, script: Script) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    scripted = ScriptedEndpoint(script, on_push=_print_push)
    await scripted.start(bind, port)
    click.echo(f"listening on {scripted.url}")
    sys.stdout.flush()
    await stop.wait()
    await scripted.stop()


def _print_push(push: Push) -> None:
    answered = "cut the connection" if push.answered is None else f"answered {push.answered}"
    who = f"dispatch {push.dispatch} attempt {push.attempt}" if push.dispatch else "no dlr headers"
    click.echo(f"+{push.since_start.total_seconds():.1f}s push {push.number}: {who}: {answered}")
    click.echo(f"  {push.content_type} {push.body.decode('utf-8', 'replace')}")
    sys.stdout.flush()


# --- looking -----------------------------------------------------------------------------------


def _listing(command: Command) -> Command:
    for option in (
        click.option(
            "--format",
            "form",
            type=click.Choice(list(get_args(ListFormat))),
            default="table",
            show_default=True,
        ),
        click.option("--limit", type=click.IntRange(min=1), help="At most so many rows."),
    ):
        command = option(command)
    return _with_settings(command)


def _look(
    config: Path | None, database: str | None, work: Callable[[Storage], Awaitable[None]]
) -> None:
    """Run `work` on a database that must be there."""
    path = _settings(config, database).store.database
    if not Path(path).exists():
        _fail(f"there is no database at {path}: start `dlr serve` first, or give --database")

    async def run() -> None:
        async with storage(path) as opened:
            await work(opened)

    _run(run())


@cli.command()
@click.option("--message-id", help="Only of this message.")
@click.option("--source", help="Only from this source.")
@click.option("--final/--intermediate", default=None, help="Only final, or only intermediate ones.")
@click.option("--status-group", help="Only these groups: DELIVERED,EXPIRED.")
@_listing
def reports(
    config: Path | None, database: str | None, form: ListFormat, limit: int | None, **filters: Any
) -> None:
    """The stored reports, newest first.

    Example: dlr reports --status-group EXPIRED,REJECTED --format csv
    """
    query = lists.query(**filters)
    _look(config, database, lambda s: lists.print_reports(s, query, form, limit))


@cli.command()
@click.argument("message_id", required=False)
@_listing
def messages(
    config: Path | None,
    database: str | None,
    form: ListFormat,
    limit: int | None,
    message_id: str | None,
) -> None:
    """The messages and their state; with MESSAGE_ID its history and dispatches.

    Example: dlr messages 2033247207850523791
    """
    if message_id is None:
        _look(config, database, lambda s: lists.print_messages(s, form, limit))
    else:
        _look(config, database, lambda s: lists.print_message(s, message_id))


@cli.command()
@click.argument("entry", type=int, required=False)
@_listing
def quarantine(
    config: Path | None,
    database: str | None,
    form: ListFormat,
    limit: int | None,
    entry: int | None,
) -> None:
    """What could not be read, newest first; with ENTRY (its id) the bytes as they came.

    Example: dlr quarantine 3 > body.bin
    """
    if entry is None:
        _look(config, database, lambda s: lists.print_quarantine(s, form, limit))
    else:
        _look(config, database, lambda s: lists.print_quarantined(s, entry))


@cli.command()
@click.argument("dispatch_id", required=False)
@click.option("--endpoint", help="Only to this endpoint.")
@click.option("--state", type=click.Choice(get_args(State)), help="Only in this state.")
@_listing
def dispatches(
    config: Path | None,
    database: str | None,
    form: ListFormat,
    limit: int | None,
    dispatch_id: str | None,
    endpoint: str | None,
    state: State | None,
) -> None:
    """The dispatches, newest first; with DISPATCH_ID its attempts.

    Example: dlr dispatches --state exhausted
    """
    if dispatch_id is None:
        _look(config, database, lambda s: lists.print_dispatches(s, form, limit, endpoint, state))
    else:
        _look(config, database, lambda s: lists.print_dispatch(s, dispatch_id))


@cli.command()
@click.argument("preset", type=click.Choice(list(PRESETS)), default="infobip")
def schedule(preset: str) -> None:
    """The retry table: retry, interval, cumulative (hours:minutes).

    Example: dlr schedule
    """
    table = Table("retry", "interval", "cumulative", box=None, header_style="bold")
    for number, wait, since in PRESETS[preset].rows():
        table.add_row(str(number), f"{wait // timedelta(minutes=1)} min", _hours_minutes(since))
    console = Console()
    console.print(table)
    chosen = PRESETS[preset]
    console.print(f"{chosen.attempts} attempts. Source: {escape(chosen.source)}", style="dim")


def _hours_minutes(span: timedelta) -> str:
    minutes = span // timedelta(minutes=1)
    return f"{minutes // 60:02}:{minutes % 60:02}"


# --- setting up --------------------------------------------------------------------------------


@cli.command()
@_with_settings
def check(config: Path | None, database: str | None) -> None:
    """Read the configuration, name every fault at once, print what is in effect.

    Example: dlr check --config config/dlr.toml
    """
    settings = _settings(config, database)
    file = find_file(config, Path())
    click.echo(f"settings from {file or 'defaults and the environment'}: no fault")
    for name, value in effective(settings):
        click.echo(f"  {name} = {value}")
    if (refusal := may_listen(settings.server)) is not None:
        _fail(refusal)


@cli.command()
@_with_settings
def migrate(config: Path | None, database: str | None) -> None:
    """Bring the database to the current schema. `dlr serve` does so by itself.

    Example: dlr migrate --database dlr.db
    """
    path = _settings(config, database).store.database

    async def run() -> None:
        opened = await Database.open(path)
        try:
            applied = await opened.migrate(MIGRATIONS)
        finally:
            await opened.close()
        for step in applied:
            click.echo(f"{path}: applied {step.part} {step.number:04} {step.name}")
        if not applied:
            click.echo(f"{path}: nothing to do")

    _run(run())
