"""Commands that run: serve, receive, dispatch, sandbox."""

from __future__ import annotations

import asyncio
import logging
import shlex
import signal
import sys
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from dispatcher.clocks.clock import Clock, machine_clock
from dispatcher.commands.gone import gone_lines
from dispatcher.commands.options import (
    PORT,
    Command,
    IntegerIn,
    Speed,
    fail,
    run_to_end,
    settings_of,
    stop_event,
    with_settings,
)
from dispatcher.commands.saying import say, say_in_json
from dispatcher.endpoints.registry import Registered
from dispatcher.observe import logs
from dispatcher.observe.attempt_lines import AttemptLines
from dispatcher.receivers.receiving import spare_the_collector
from dispatcher.sandbox.certificate import require_package
from dispatcher.sandbox.messages.outcomes import MAGIC
from dispatcher.service import Parts, service
from dispatcher.settings.sandbox import may_mount
from dispatcher.settings.security import policy_of
from dispatcher.settings.settings import OWN_URLS, Settings
from dispatcher.web.pages import add_pages
from receiver.faults import without_credentials
from receiver.settings.configuration import ConfigurationError
from receiver.settings.settings import ServerSettings, may_listen

log = logging.getLogger("dlr.dispatcher")


def _serving(command: Command) -> Command:
    for option in (
        click.option("--bind", metavar="HOST", help="Address to listen on. Default: 127.0.0.1."),
        click.option(
            "--port",
            type=PORT,
            help="Port to listen on; 0 takes a free one. Default: 8080, for `dlr dispatch` 8081.",
        ),
        click.option("--no-web", is_flag=True, help="Do not serve the pages for browsers."),
        click.option(
            "--speed",
            type=Speed(),
            default=1.0,
            help="Compressed clock: divide every wait of the schedule by this number.",
        ),
    ):
        command = option(command)
    return with_settings(command)


_receivers = click.option(
    "--receivers",
    type=IntegerIn(1, 64),
    help="How many processes take callbacks, all on one port. Default: server.receivers of the"
    " settings, 1: this process takes them itself.",
)


@click.command()
@_serving
@_receivers
def serve(**options: Any) -> None:
    """Run receiver and dispatcher in one process.

    Example: dlr serve --port 8080 --database dlr.db
    """
    _serve(Parts(), **options)


@click.command()
@_serving
@_receivers
def receive(**options: Any) -> None:
    """Run the receiver alone: it stores callbacks in the database.

    Example: dlr receive --database dlr.db
    """
    _serve(Parts(dispatches=False), **options)


@click.command()
@_serving
def dispatch(**options: Any) -> None:
    """Run the dispatcher alone: it pushes what `dlr receive` stored.

    Both need the same database. They can share one settings file: `dlr dispatch` listens on
    server.dispatch_port, which is the port after server.port unless you set it.

    Example: dlr dispatch --database dlr.db
    """
    _serve(Parts(receives=False), **options)


@click.command()
@_serving
@click.option(
    "--tls",
    is_flag=True,
    help="Listen with https, with a certificate of its own. dlr prints the file that an app has to"
    " trust.",
)
@click.option(
    "--list-recipients",
    is_flag=True,
    help="Print the magic recipients with what happens to messages to them, and exit.",
)
def sandbox(tls: bool, list_recipients: bool, **options: Any) -> None:
    """Run `dlr serve` with the provider's send API, to test an app.

    The app sends to it and gets real webhooks. No SMS is sent, and no account is needed.

    Example: dlr sandbox --speed 60
    """
    if list_recipients:
        for number, (_, words) in MAGIC.items():
            say(f"{number}  {words.replace('`', '')}")
        return
    if tls:
        require_package()
    _serve(Parts(sandbox=True, tls=tls), **options)


def _settings(config: Path | None, database: str | None) -> Settings:
    """The settings. From here on, each line is as [log] wants it, that of a fault of them too."""
    try:
        settings = settings_of(config, database)
    except ConfigurationError as error:
        if error.readable is not None and error.readable.log.format == "json":
            say_in_json()
        raise
    if settings.log.format == "json":
        say_in_json()
    return settings


def _serve(
    parts: Parts,
    *,
    config: Path | None,
    database: str | None,
    bind: str | None,
    port: int | None,
    no_web: bool,
    speed: float,
    receivers: int | None = None,
) -> None:
    settings = _settings(config, database)
    server = settings.server
    if port is None:
        port = server.port if parts.receives else server.port_of_dispatch
    server = replace(
        server,
        bind=server.bind if bind is None else bind,
        port=port,
        dispatch_port=None,
        receivers=_receivers_of(parts, server, receivers, settings.store.database),
    )
    if (refusal := may_listen(server, settings.api)) is not None:
        fail(refusal)
    if parts.sandbox and (refusal := may_mount(server, settings.sandbox)) is not None:
        fail(refusal)
    logs.set_up(settings.log.format, settings.log.level)
    clock = machine_clock(speed)
    look = "dlr reports"
    for name, value in (("--config", config), ("--database", database)):
        if value is not None:
            look += f" {name} {shlex.quote(without_credentials(str(value)))}"
    pages = settings.web.pages and not no_web
    settings = replace(settings, server=server, web=replace(settings.web, pages=pages))
    run_to_end(_until_stopped(settings, parts, clock, look))


def _receivers_of(parts: Parts, server: ServerSettings, given: int | None, database: str) -> int:
    """How many processes take callbacks. A sandbox is the only one on its database."""
    if not parts.receives or parts.sandbox:
        return 1
    receivers = server.receivers if given is None else given
    if receivers > 1 and database == ":memory:":
        fail(
            f"receivers = {receivers} needs a database file or PostgreSQL, because processes cannot"
            " share :memory:"
        )
    return receivers


_REFUSED = {
    signal.SIGHUP: "settings are read at the start only. Restart dlr to apply them, or use"
    " `dlr endpoints` to change endpoints while it runs",
    signal.SIGUSR1: "dlr does not use it",
    signal.SIGUSR2: "dlr does not use it",
}
"""Signals that would kill the process in the middle of its work, and what is said instead."""


def _refuse_signals(stop: asyncio.Event) -> None:
    """Have other signals do nothing but write a line. A terminal that is closed stops dlr in order:
    its SIGHUP is no wish to read the settings again."""
    loop = asyncio.get_running_loop()
    for number, words in _REFUSED.items():
        line = f"{number.name} is ignored: {words}. SIGTERM stops dlr cleanly"
        loop.add_signal_handler(number, log.warning, line)
    if sys.stdin is not None and sys.stdin.isatty():
        loop.add_signal_handler(signal.SIGHUP, stop.set)


async def _until_stopped(settings: Settings, parts: Parts, clock: Clock, look: str) -> None:
    stop = stop_event()
    _refuse_signals(stop)
    written = settings.log
    lines = logs.CallbackLines(written.format, written.level, mask_numbers=written.mask_numbers)
    attempts = AttemptLines(written.format, written.level)
    async with (
        _flushed(lines, attempts),
        service(
            settings,
            parts=parts,
            clock=clock,
            listeners=[attempts],
            callback_listeners=[lines],
            pages=add_pages if settings.web.pages else None,
        ) as running,
    ):
        spare_the_collector()
        say(f"listening on {running.url}")
        endpoints = await running.endpoints.all()
        for line in _what_next(settings, parts, running.url, look, list(endpoints)):
            say(line)
        if running.trust_file is not None:
            for line in _whom_to_trust(running.trust_file):
                say(line)
        if parts.sandbox:
            for line in _not_called(settings, endpoints.values()):
                say(line)
        if parts.dispatches:
            for line in await gone_lines(running.storage, running.endpoints):
                say(f"  {line}")
        sys.stdout.flush()
        await stop.wait()
        say("stopping: running attempts end, then all is committed")
        sys.stdout.flush()


@asynccontextmanager
async def _flushed(*listeners: logs.CallbackLines | AttemptLines) -> AsyncIterator[None]:
    try:
        yield
    finally:
        for lines in listeners:
            lines.flush()


def _what_next(
    settings: Settings, parts: Parts, url: str, look: str, endpoints: Sequence[str]
) -> list[str]:
    page = f"{url}/sandbox" if parts.sandbox else f"{url}/"
    lines = [f"  pages      {page}"] if settings.web.pages else []
    lines.append(f"  database   {without_credentials(settings.store.database)}")
    if parts.receives:
        several = settings.server.receivers
        by = f", taken by {several} processes" if several > 1 else ""
        lines.append(f"  callbacks  POST {url}/notify  (JSON or XML){by}")
    if parts.dispatches:
        none = "none yet: `dlr endpoints add NAME --url URL`, or name one in dlr.toml"
        lines.append(f"  endpoints  {', '.join(endpoints) or none}")
    if parts.sandbox:
        some = "any credentials" if not settings.sandbox.credential else "a [[sandbox.credential]]"
        lines.append(f"  send API   {url}/sms/…  with {some}: the base URL of your app's client")
        lines.append(f"  for tests  {url}/sandbox/messages, /advance?by=1h, /reset, /outcomes")
        lines.append(f"  to look    {url}/sandbox/requests?refused=true, /pushes")
    return [*lines, f"  reports    {look}, or {url}/api/reports"]


def _whom_to_trust(file: Path) -> Iterator[str]:
    yield f"  trust      {file.resolve()}  is the certificate for your app to trust: by"
    yield "             SSL_CERT_FILE or REQUESTS_CA_BUNDLE (Python), NODE_EXTRA_CA_CERTS (Node)"


def _not_called(settings: Settings, endpoints: Iterable[Registered]) -> Iterator[str]:
    """A line for each endpoint that a sandbox leaves alone, with the reason. What its name leads to
    is known only when it is called."""
    policy = policy_of(settings.outgoing, settings.sandbox)
    for each in endpoints:
        if each.name == OWN_URLS or each.settings is None or policy.may_call(each.settings.url):
            continue
        yield (
            f"  not called {each.name} at {without_credentials(each.settings.url)}, unless that is"
            f" this machine: {policy.setting} does not name it"
        )
