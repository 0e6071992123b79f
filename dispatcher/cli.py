"""The command `dlr`. Here everything is put together; nothing is decided here."""

from __future__ import annotations

import asyncio
import gc
import math
import os
import shlex
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import wraps
from pathlib import Path
from typing import Any, NoReturn, get_args

import click
import uvloop
from rich.console import Console

from dispatcher import endpoints_command, erasure, lists, logs, upkeep
from dispatcher.clock import Clock, CompressedClock, SystemClock
from dispatcher.console import ListFormat
from dispatcher.demo import run_demo
from dispatcher.dispatch import State
from dispatcher.from_settings import schedule_of
from dispatcher.lists import Listing
from dispatcher.presets import PRESETS
from dispatcher.queue.erasure import StillLeased
from dispatcher.registry import Registry
from dispatcher.replay import command as replays_shown
from dispatcher.replay.request import read_request
from dispatcher.schedule_table import print_presets, print_schedule
from dispatcher.scripted_endpoint import Push, Script, ScriptedEndpoint
from dispatcher.service import (
    MIGRATIONS,
    Parts,
    Storage,
    naming_the_address,
    registry_of,
    service,
    storage,
)
from dispatcher.settings import Settings, find_file, read_settings
from receiver import parameters
from receiver.answers import BadQuery
from receiver.configuration import ConfigurationError, effective
from receiver.durations import duration
from receiver.filters import BUCKETS, message_query, report_query, totals_query
from receiver.intake import Limits
from receiver.settings import may_listen
from receiver.store.base import ReportQuery, StoreUnavailable
from receiver.store.database import Database
from receiver.store.erasure import Recipient
from receiver.store.followup import Follower

WRONG_USAGE = 2


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
        _fail(_in_one_line(error))
    except click.Abort:
        sys.exit(130)
    except BrokenPipeError:  # `dlr reports | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (ConfigurationError, StoreUnavailable, BadQuery, OSError) as error:
        if debug:
            raise
        _fail(str(error) or type(error).__name__)
    except Exception as error:  # a defect of ours: no traceback either, unless asked for
        if debug:
            raise
        _fail(f"unexpected {type(error).__name__}: {error} (--debug shows where)")


def _in_one_line(error: click.ClickException) -> str:
    text = " ".join(error.format_message().split())
    context = error.ctx if isinstance(error, click.UsageError) else None
    return text if context is None else f"{text} See `{context.command_path} --help`."


def _fail(text: str) -> NoReturn:
    for line in text.splitlines():
        click.echo(f"dlr: {line}", err=True)
    sys.exit(WRONG_USAGE)


def _run(coroutine: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(coroutine)


Command = Callable[..., None]


def _config(command: Command) -> Command:
    return click.option(
        "--config",
        type=click.Path(path_type=Path, dir_okay=False),
        envvar="DLR_CONFIG",
        help="Settings (TOML). Default: dlr.toml, then config/dlr.toml.",
    )(command)


def _with_settings(command: Command) -> Command:
    command = _config(command)
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


class _Speed(click.FloatRange):
    """How many times as fast. NaN, which lies in any range, is none."""

    name = "factor"

    def __init__(self) -> None:
        super().__init__(min=0, max=1_000_000, min_open=True)

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        factor = float(super().convert(value, param, ctx))
        if math.isnan(factor):
            self.fail(f"expected a number above 0, got {value}", param, ctx)
        return factor


_PORT = click.IntRange(0, 65_535)  # beyond, the event loop would take the number modulo 65536


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
            "--port", type=_PORT, help="Port to listen on; 0 takes a free one. Default: 8080."
        ),
        click.option(
            "--speed",
            type=_Speed(),
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
    if (refusal := may_listen(server, settings.api)) is not None:
        _fail(refusal)
    logs.set_up(settings.log.format, settings.log.level)
    clock = SystemClock() if speed == 1.0 else CompressedClock(speed)
    look = "dlr reports"
    for name, value in (("--config", config), ("--database", database)):
        look += f" {name} {shlex.quote(str(value))}" if value is not None else ""
    _run(_until_stopped(replace(settings, server=server), parts, clock, look))


async def _until_stopped(settings: Settings, parts: Parts, clock: Clock, look: str) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    written = settings.log
    lines = logs.CallbackLines(written.format, written.level, mask_numbers=written.mask_numbers)
    async with (
        _flushed(lines),
        service(
            settings,
            parts=parts,
            clock=clock,
            listeners=[logs.log_attempt],
            callback_listeners=[lines],
        ) as running,
    ):
        _spare_the_collector()
        click.echo(f"listening on {running.url}")
        names = list(await running.endpoints.all())
        for line in _what_next(settings, parts, running.url, look, names):
            click.echo(line)
        sys.stdout.flush()
        await stop.wait()
        click.echo("stopping: running attempts end, then all is committed")
        sys.stdout.flush()


def _spare_the_collector() -> None:
    """What lives as long as the process is not looked through again and again for garbage, and the
    rest more rarely: a report makes many objects and no cycles. It took 12 % off the CPU time of a
    callback (138 to 121 us, median of six interleaved rounds)."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


@asynccontextmanager
async def _flushed(lines: logs.CallbackLines) -> AsyncIterator[None]:
    try:
        yield
    finally:
        lines.flush()


def _what_next(
    settings: Settings, parts: Parts, url: str, look: str, endpoints: Sequence[str]
) -> list[str]:
    lines = [f"  database   {settings.store.database}"]
    if parts.receives:
        lines.append(f"  callbacks  POST {url}/notify  (JSON or XML)")
    if parts.dispatches:
        none = "none yet: `dlr endpoints add NAME --url URL`, or name one in config/dlr.toml"
        lines.append(f"  endpoints  {', '.join(endpoints) or none}")
    return [*lines, f"  reports    {look}, or {url}/api/reports"]


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
@click.option("--port", type=_PORT, default=9000, show_default=True)
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
    with naming_the_address(bind, port):
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
    """The options of lists, handed over as one `listing`."""

    @wraps(command)
    def wrapped(form: ListFormat, limit: int | None, output: Path | None, **options: Any) -> None:
        command(listing=Listing(form, limit, output), **options)

    for option in (
        click.option(
            "--format",
            "form",
            type=click.Choice(list(get_args(ListFormat))),
            default="table",
            show_default=True,
        ),
        click.option("--limit", type=click.IntRange(min=1), help="At most so many rows."),
        click.option(
            "--output",
            type=click.Path(path_type=Path, dir_okay=False),
            help="Write to this file, and show the progress.",
        ),
    ):
        wrapped = option(wrapped)
    return _with_settings(wrapped)


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


def _filters(*options: tuple[str, str]) -> Callable[[Command], Command]:
    """Options that are parameters of the API: name and help."""

    def decorate(command: Command) -> Command:
        for name, text in reversed(options):
            command = click.option(name, help=text)(command)
        return command

    return decorate


_FINALITY = click.option(
    "--final/--intermediate", default=None, help="Only final, or only intermediate ones."
)
_GROUPS = ("--status-group", "Only these groups, ids or names: DELIVERED,EXPIRED.")


@cli.command()
@_filters(
    ("--message-id", "Only of this message."),
    ("--bulk-id", "Only of this bulk."),
    ("--to", "Only to this number."),
    ("--to-prefix", "Only to numbers that begin so: 4179."),
    ("--sender", "Only from this sender."),
    _GROUPS,
    ("--status", "Only these statuses, ids or names: 5,EXPIRED_EXPIRED."),
    ("--error", "Only these errors, ids or names: EC_ABSENT_SUBSCRIBER,27."),
)
@click.option("--permanent/--temporary", default=None, help="Only permanent, or only other errors.")
@_FINALITY
@_filters(
    ("--source", "Only from this source."),
    ("--callback-data", "Only with this callbackData."),
    ("--callback-data-contains", "Only with this in the callbackData."),
    ("--received-since", "Received then or later: 2026-11-21T10:00:00Z."),
    ("--received-until", "Received before."),
    ("--done-since", "doneAt then or later."),
    ("--done-until", "doneAt before."),
)
@click.option("--unrouted", is_flag=True, help="Only those that no endpoint took.")
@_listing
def reports(
    config: Path | None, database: str | None, listing: Listing, unrouted: bool, **filters: Any
) -> None:
    """The stored reports, newest first.

    Example: dlr reports --status-group EXPIRED,REJECTED --format csv --output failed.csv
    """
    query = report_query(lists.parameters(**filters))
    if unrouted:
        if query != ReportQuery():
            _fail("--unrouted takes no other filter")
        settings = _settings(config, database)
        _look(
            config,
            database,
            lambda s: lists.print_unrouted(s, registry_of(s, settings), listing),
        )
        return
    _look(config, database, lambda s: lists.print_reports(s, query, listing))


@cli.command()
@click.argument("message_id", required=False)
@_FINALITY
@_filters(("--source", "Only those with a report from this source."), _GROUPS)
@_listing
def messages(
    config: Path | None,
    database: str | None,
    listing: Listing,
    message_id: str | None,
    **filters: Any,
) -> None:
    """The messages and their state; with MESSAGE_ID its history, dispatches and attempts.

    Example: dlr messages 2033247207850523791
    """
    query = message_query(lists.parameters(**filters))
    if message_id is None:
        _look(config, database, lambda s: lists.print_messages(s, query, listing))
    else:
        _look(config, database, lambda s: lists.print_message(s, message_id))


@cli.command()
@click.argument("entry", type=int, required=False)
@click.option("--retry", metavar="ID|all", help="Read it again, and store what can now be read.")
@_listing
def quarantine(
    config: Path | None,
    database: str | None,
    listing: Listing,
    entry: int | None,
    retry: str | None,
) -> None:
    """What could not be read, newest first; with ENTRY (its id) the bytes as they came.

    Example: dlr quarantine 3 > body.bin
    """
    if retry is not None:
        again = None if retry == "all" else parameters.number(retry, "--retry")
        settings = _settings(config, database)
        limits = Limits(items=settings.limits.items, field=settings.limits.field)

        async def read_again(opened: Storage) -> None:
            await lists.retry_quarantine(opened, again, limits)

        _look(config, database, read_again)
    elif entry is None:
        _look(config, database, lambda s: lists.print_quarantine(s, listing))
    else:
        _look(config, database, lambda s: lists.print_quarantined(s, entry))


@cli.command()
@_filters(
    ("--since", "The beginning; with it, all of its hour or day. Default: a day, or 31 days ago."),
    ("--until", "The end. Default: now."),
)
@click.option("--bucket", type=click.Choice(list(BUCKETS)), default="hour", show_default=True)
@_filters(("--source", "Only from this source."))
@_FINALITY
@_listing
def totals(config: Path | None, database: str | None, listing: Listing, **filters: Any) -> None:
    """Reports by hour or day (UTC) of receipt: counts, prices, times from sentAt to doneAt.

    Example: dlr totals --bucket day --since 2026-11-01
    """
    query = totals_query(lists.parameters(**filters), datetime.now(UTC))
    _look(config, database, lambda s: lists.print_totals(s, query, listing))


@cli.command()
@click.argument("dispatch_id", required=False)
@click.option("--endpoint", help="Only to this endpoint.")
@click.option("--state", type=click.Choice(get_args(State)), help="Only in this state.")
@_listing
def dispatches(
    config: Path | None,
    database: str | None,
    listing: Listing,
    dispatch_id: str | None,
    endpoint: str | None,
    state: State | None,
) -> None:
    """The dispatches, newest first; with DISPATCH_ID its attempts.

    Example: dlr dispatches --state exhausted
    """
    if dispatch_id is None:
        _look(config, database, lambda s: lists.print_dispatches(s, listing, endpoint, state))
    else:
        _look(config, database, lambda s: lists.print_dispatch(s, dispatch_id))


@cli.command()
@click.argument("preset", type=click.Choice([*PRESETS, "custom"]), required=False)
@click.option("--list", "listing", is_flag=True, help="The presets, a line each.")
@_config
def schedule(config: Path | None, preset: str | None, listing: bool) -> None:
    """The retry table: retry, interval, cumulative (hours:minutes or hours:minutes:seconds).

    PRESET is a name of --list, or `custom` for the one that the settings describe; without it, the
    one that the settings choose.

    Example: dlr schedule svix
    """
    console = Console()
    if listing:
        print_presets(console, PRESETS.values())
    elif preset in PRESETS:
        print_schedule(console, PRESETS[preset])
    else:
        chosen = read_settings(config, os.environ).schedule
        if preset is not None and chosen.preset != preset:
            _fail(f'there is none: schedule.preset is "{chosen.preset}", not "custom"')
        print_schedule(console, schedule_of(chosen))


# --- endpoints ---------------------------------------------------------------------------------


@cli.group(invoke_without_command=True)
@_listing
@click.pass_context
def endpoints(
    context: click.Context, config: Path | None, database: str | None, listing: Listing
) -> None:
    """The endpoints: list, add, change, pause, resume, remove, reset.

    A running `dlr` notices within a fraction of a second. What is said here wins over the settings
    file, until `reset`.

    Example: dlr endpoints add acme --url https://acme.example/dlr --set reports=final
    """
    if context.invoked_subcommand is not None:
        context.obj = (config, database)
        return
    _endpoints(config, database, lambda s, r: endpoints_command.print_endpoints(s, r, listing))


def _endpoints(
    config: Path | None, database: str | None, work: Callable[[Storage, Registry], Awaitable[None]]
) -> None:
    of_group = click.get_current_context().obj or (None, None)
    config, database = config or of_group[0], database or of_group[1]
    settings = _settings(config, database)
    _look(config, database, lambda s: work(s, registry_of(s, settings)))


def _endpoint_settings(command: Command) -> Command:
    """The settings that are typed, handed over as one `given`."""

    @wraps(command)
    def wrapped(
        settings: tuple[str, ...],
        secrets: tuple[str, ...],
        unset: tuple[str, ...] = (),
        **rest: Any,
    ) -> None:
        command(given=endpoints_command.typed(settings, secrets, unset), **rest)

    wrapped = click.option(
        "--secret",
        "secrets",
        metavar="KEY",
        multiple=True,
        help="Asks for its value, which then stands in no history; or reads it from stdin.",
    )(wrapped)
    return click.option(
        "--set",
        "settings",
        metavar="KEY=VALUE",
        multiple=True,
        help="A setting of [[endpoint]], its value in TOML: window=5, security.type=basic.",
    )(wrapped)


@endpoints.command()
@click.argument("name")
@click.option("--url", required=True, help="Where reports are posted.")
@_endpoint_settings
@_with_settings
def add(
    config: Path | None, database: str | None, name: str, url: str, given: dict[str, Any]
) -> None:
    """Add an endpoint. It gets the reports that come from now on; the first one ever gets all.

    Example: dlr endpoints add acme --url https://acme.example/dlr --set 'senders=["InfoSMS"]'
    """
    _endpoints(config, database, lambda _, r: endpoints_command.add(r, name, url, given))


@endpoints.command()
@click.argument("name")
@_endpoint_settings
@click.option("--unset", metavar="KEY", multiple=True, help="Back to its default.")
@_with_settings
def change(config: Path | None, database: str | None, name: str, given: dict[str, Any]) -> None:
    """Change some settings of an endpoint; the others stay.

    Example: dlr endpoints change acme --set rate_limit=10 --secret security.password
    """
    _endpoints(config, database, lambda _, r: endpoints_command.change(r, name, given))


@endpoints.command()
@click.argument("name")
@_with_settings
def pause(config: Path | None, database: str | None, name: str) -> None:
    """Hold what is for an endpoint. It spends no retries, and survives restarts.

    Example: dlr endpoints pause acme
    """
    _endpoints(config, database, lambda _, r: endpoints_command.hold(r, name, True))


@endpoints.command()
@click.argument("name")
@_with_settings
def resume(config: Path | None, database: str | None, name: str) -> None:
    """Let a paused endpoint go on.

    Example: dlr endpoints resume acme
    """
    _endpoints(config, database, lambda _, r: endpoints_command.hold(r, name, False))


@endpoints.command()
@click.argument("name")
@_with_settings
def remove(config: Path | None, database: str | None, name: str) -> None:
    """Take an endpoint out, even one of the file: what waits for it is cancelled.

    Example: dlr endpoints remove acme
    """
    _endpoints(config, database, lambda _, r: endpoints_command.remove(r, name))


@endpoints.command()
@click.argument("name")
@_with_settings
def reset(config: Path | None, database: str | None, name: str) -> None:
    """Give an endpoint back to the settings file: what was said at run time is forgotten.

    Example: dlr endpoints reset acme
    """
    _endpoints(config, database, lambda _, r: endpoints_command.reset(r, name))


# --- bringing back -----------------------------------------------------------------------------


_INSTANT = "14:00 is today's, in this machine's zone; or 2026-11-21T14:00:00+01:00."


@cli.command()
@click.option("--id", "ids", type=int, multiple=True, help="These reports, by id.")
@click.option("--message-id", "message_ids", multiple=True, help="All reports of these messages.")
@click.option("--bulk-id", help="Only of this bulk.")
@click.option("--endpoint", help="Only what went to this endpoint.")
@click.option(
    "--state",
    type=click.Choice(get_args(State)),
    help="Only where the newest dispatch is in this state.",
)
@click.option("--status", "statuses", multiple=True, help="Only these statuses, by name or id.")
@click.option("--status-group", "status_groups", multiple=True, help="Only these: EXPIRED.")
@click.option("--source", help="Only from this source.")
@click.option("--since", help=f"Received then or later. {_INSTANT}")
@click.option("--until", help="Received before then.")
@click.option("--to-endpoint", help="Push to this endpoint. Default: to where each went before.")
@click.option("--to", metavar="URL", help="Push to this URL.")
@click.option("--rate", help="So many reports: 50/s, 100/m, 1000/h. Default: as fast as it goes.")
@click.option("--pace", type=click.Choice(["original"]), help="With the gaps in which they came.")
@click.option("--speed", type=_Speed(), help="With --pace: so many times as fast.")
@click.option(
    "--stop-on-errors",
    type=click.FloatRange(0, 1),
    help="Stop when more than this share of the attempts fail: 0.2.",
)
@click.option("--key", help="A second call with the same key is the same replay.")
@click.option("--dry-run", is_flag=True, help="Only print how many these are, and the first.")
@click.option("--detach", is_flag=True, help="Do not wait for the end.")
@_with_settings
def replay(
    config: Path | None, database: str | None, dry_run: bool, detach: bool, **asked: Any
) -> None:
    """Dispatch stored reports again: what is asked for must all hold.

    A running `dlr serve` or `dlr dispatch` does the work; Ctrl-C ends only the watching. Exit code
    1: something could not be brought.

    Example: dlr replay --state exhausted --since 14:00 --until 17:00
    """
    given = {name: value for name, value in asked.items() if value != ()}
    request, _ = read_request(lists.parameters(**given), SystemClock().now())

    async def work(opened: Storage) -> None:
        replaying = replays_shown.replaying_of(opened, _settings(config, database))
        if dry_run:
            await replays_shown.print_dry_run(opened, replaying, request)
        elif code := await replays_shown.make(replaying, request, detach=detach):
            sys.exit(code)

    _look(config, database, work)


@cli.command()
@click.argument("number", metavar="[ID]", type=int, required=False)
@click.option("--cancel", type=int, metavar="ID", help="End this replay: what waits is cancelled.")
@_listing
def replays(
    config: Path | None,
    database: str | None,
    listing: Listing,
    number: int | None,
    cancel: int | None,
) -> None:
    """The replays, newest first; with ID how far that one is.

    Example: dlr replays --cancel 3
    """
    if number is not None and cancel is not None:
        _fail("expected either ID or --cancel ID")

    async def work(opened: Storage) -> None:
        replaying = replays_shown.replaying_of(opened, _settings(config, database))
        if cancel is not None:
            sys.exit(await replays_shown.cancel(replaying, cancel))
        elif number is not None:
            await replays_shown.print_replay(replaying, number)
        else:
            await replays_shown.print_replays(replaying, listing)

    _look(config, database, work)


# --- letting go --------------------------------------------------------------------------------


@cli.command()
@click.option("--older-than", type=_Duration(), help="Of any kind; default: as [retention] says.")
@click.option("--dry-run", is_flag=True, help="Only print what would go.")
@_with_settings
def purge(
    config: Path | None, database: str | None, older_than: timedelta | None, dry_run: bool
) -> None:
    """Remove what is old: reports, quarantine, ended dispatches with their attempts.

    In small batches, so that a running `dlr serve` goes on. What waits for an endpoint stays.

    Example: dlr purge --older-than 90d --dry-run
    """
    kept = _settings(config, database).retention
    if older_than is not None:
        if not older_than:
            _fail("--older-than: expected a duration above 0s")
        kept = replace(
            kept,
            reports=older_than,
            reports_max=0,
            quarantine=older_than,
            quarantine_max=0,
            attempts=older_than,
            attempts_max=0,
        )

    async def work(opened: Storage) -> None:
        now = SystemClock().now()
        if dry_run:
            _print_rows("would remove", await upkeep.count(opened.database, kept, now))
        else:
            await Follower(opened.database).catch_up()  # what is added up may go
            _print_rows("removed", await upkeep.purge(opened.database, kept, now))

    _look(config, database, work)


@cli.command()
@click.option("--to", help="The recipient's number.")
@click.option("--message-id", help="Of one message of the recipient.")
@click.option("--dry-run", is_flag=True, help="Only print what would be touched.")
@_with_settings
def erase(
    config: Path | None,
    database: str | None,
    to: str | None,
    message_id: str | None,
    dry_run: bool,
) -> None:
    """Erase one recipient's data: reports, quarantine, bodies and answers that hold it.

    Waiting dispatches that carry it are cancelled, and formed anew of what they carried of others.
    Exit code 1: one of them is being sent just now, and nothing was erased.

    Example: dlr erase --to 41793026727 --dry-run
    """
    if (to is None) == (message_id is None) or not (to or message_id):
        _fail("expected either --to NUMBER or --message-id ID")

    async def work(opened: Storage) -> None:
        try:
            touched = await erasure.erase(
                opened.database, Recipient(to=to, message_id=message_id), dry_run=dry_run
            )
        except StillLeased as error:
            click.echo(f"dlr: {error}", err=True)
            sys.exit(1)
        _print_rows("would touch" if dry_run else "touched", touched)

    _look(config, database, work)


def _print_rows(verb: str, rows: Mapping[str, int]) -> None:
    for table, count in rows.items():
        click.echo(f"{verb} {count:>9} of {table}")


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
    if (refusal := may_listen(settings.server, settings.api)) is not None:
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
