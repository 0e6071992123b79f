"""`dlr rehearse`: does this webhook survive?"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any, get_args

import click
from msgspec.structs import replace
from rich.console import Console

from dispatcher.clocks.clock import wall_time
from dispatcher.commands.console import told
from dispatcher.commands.drill_options import DOWN, DrillOptions
from dispatcher.commands.names import no_such
from dispatcher.commands.options import (
    FILE,
    Duration,
    IntegerIn,
    Speed,
    config_option,
    fail,
    format_option,
    run_to_end,
    settings_of,
)
from dispatcher.commands.saying import say
from dispatcher.commands.simulation_progress import BROKEN_OFF
from dispatcher.endpoints.endpoint import Endpoint
from dispatcher.endpoints.from_settings import endpoint_of
from dispatcher.pushing.oauth import NoToken
from dispatcher.rehearsal.bodies import Ids, Values
from dispatcher.rehearsal.check import Check
from dispatcher.rehearsal.checks import select
from dispatcher.rehearsal.plan import TIMEOUT, Plan
from dispatcher.rehearsal.rehearsed import Rehearsed
from dispatcher.rehearsal.reports import html, json_report, junit, text
from dispatcher.rehearsal.run import Rehearsal
from dispatcher.rehearsal.target import Target
from dispatcher.rehearsal.verdict import Result
from dispatcher.rehearsal.verify import CannotVerify, Verify, verify_of
from dispatcher.security.signing import overruled
from dispatcher.security.tls import Tls
from dispatcher.security.urls import is_http_url, spelling_fault
from receiver.settings.durations import duration_text

RENDER: Mapping[str, Callable[[Rehearsed], str]] = {
    "text": text.render,
    "json": json_report.render,
    "junit": junit.render,
    "html": html.render,
}
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")

FAILED = 1
"""The exit code when a check has failed."""


@click.command()
@click.argument("url", required=False)
@click.option(
    "--only",
    multiple=True,
    metavar="NAMES",
    help="Only these checks or groups, separated by commas.",
)
@click.option("--skip", multiple=True, metavar="NAMES", help="Leave out these checks or groups.")
@click.option("--list", "listing", is_flag=True, help="List the checks, and run none.")
@click.option("--quick", is_flag=True, help="Run the fifteen checks that find most, in seconds.")
@click.option(
    "--seed", type=IntegerIn(min=0), help="The seed of the message ids. Default: a new one."
)
@click.option(
    "--header",
    "headers",
    multiple=True,
    metavar="'NAME: VALUE'",
    help="A header of each push, such as credentials. It is never shown.",
)
@click.option(
    "--endpoint",
    metavar="NAME",
    help="Push as to this endpoint of the settings, with its URL, headers, security and TLS.",
)
@config_option
@click.option(
    "--ids",
    type=click.Choice(get_args(Ids)),
    default="named",
    show_default=True,
    help="The form of messageId and bulkId: names, 19 digits, or UUIDs.",
)
@click.option(
    "--callback-data",
    metavar="TEXT",
    help="The callbackData of all reports. {messageId} in it becomes the id of the message.",
)
@click.option("--to", metavar="NUMBER", help="The recipient of all reports.")
@click.option("--sender", metavar="NAME", help="The sender of all reports.")
@click.option(
    "--verify",
    metavar="TEMPLATE",
    help="Where to ask the app for the state of a message: http://app/messages/{messageId}, or"
    " 'cmd: ./state.sh {messageId}'.",
)
@click.option(
    "--verify-path",
    "paths",
    multiple=True,
    metavar="WHAT=PATH",
    help="Where the answer has it, in JMESPath: state=status.name, count='length(reports)',"
    " callbackData=…, doneAt=…",
)
@click.option(
    "--timeout",
    type=Duration(),
    default=duration_text(TIMEOUT),
    show_default=True,
    help="How long each answer may take.",
)
@click.option(
    "--patience",
    type=Duration(),
    default=duration_text(Plan().patience),
    show_default=True,
    help="How long the app may take until it shows a state.",
)
@click.option(
    "--outage", type=Duration(), help="Run an outage drill of this length instead of the checks."
)
@click.option(
    "--scenario",
    type=FILE,
    help="Run a drill of this scenario of `dlr simulate` (TOML), or of this capsule.",
)
@click.option("--rate", metavar="N/s", help="Reports in a drill: 20/s, 100/m. Default: 1/s.")
@click.option(
    "--speed", type=Speed(), help="How many times as fast the clock of a drill runs. Default: 600."
)
@click.option(
    "--down", type=click.Choice(DOWN), help="How the proxy of a drill is down. Default: refuse."
)
@click.option(
    "--pause-cmd", metavar="COMMAND", help="Stop your app with this command instead of the proxy."
)
@click.option("--resume-cmd", metavar="COMMAND", help="Start it again with this command.")
@click.option(
    "--ca-file",
    type=click.Path(exists=True, dir_okay=False),
    help="Trust this authority (PEM) instead of those of the system.",
)
@format_option(list(RENDER))
@click.option("--output", type=FILE, help="Write the report to this file.")
def rehearse(
    url: str | None,
    only: Sequence[str],
    skip: Sequence[str],
    listing: bool,
    quick: bool,
    form: str | None,
    output: Path | None,
    outage: timedelta | None,
    scenario: Path | None,
    rate: str | None,
    speed: float | None,
    down: Any,
    pause_cmd: str | None,
    resume_cmd: str | None,
    **options: Any,
) -> None:
    """Test a webhook with what production will push to it.

    It makes some sixty checks: formats, semantics, answers, security, load, retry behaviour. Use it
    against a test system: it leaves some 1,500 messages named rehearsal-SEED-… behind. Exit code 1:
    a check has failed. An app that wants its own kind of values is rehearsed with --ids,
    --callback-data, --to and --sender; one that wants signatures with --endpoint.

    With --outage or --scenario: an outage drill. Reports arrive at --rate while a proxy between our
    dispatcher and the webhook is down, on a clock that runs --speed times as fast; rates and
    durations are that clock's. Exit code 1: a report was lost, or the app holds another state.

    Example: dlr rehearse http://127.0.0.1:9000/dlr --quick

    Example: dlr rehearse http://127.0.0.1:9000/dlr --outage 3h --rate 2/s --down half-open
    """
    checks = _selected(only, skip, quick)
    if listing:
        text.print_checks(Console(), checks)
        return
    asked = DrillOptions(outage, scenario, rate, speed, down, pause_cmd, resume_cmd)
    drilling = asked.wanted
    if drilling and (only or skip or quick):
        fail("--only, --skip and --quick choose checks, and a drill is none: keep one of both")
    target = _target(url, **options)
    if output is not None:
        _check_writable(output)
    run_to_end(_rehearse(target, asked if drilling else checks, form or "text", output))


async def _rehearse(
    target: Target, what: Sequence[Check] | DrillOptions, form: str, output: Path | None
) -> None:
    # What is not the report itself goes to stderr, so that stdout can be piped.
    aside = form != "text" and output is None
    console = Console(stderr=aside, highlight=False, soft_wrap=True)
    try:
        if isinstance(what, DrillOptions):
            run = await _drill(console, target, what)
        else:
            run = await _run(console, target, what)
    except CannotVerify as error:
        fail(f"--verify: {error}")
    except NoToken as error:
        fail(str(error))
    text.print_end(console, run)
    if output is not None or form != "text":
        _write(RENDER[form](run), output)
    if run.verdict == "failed":
        sys.exit(FAILED)
    if run.drill is not None and run.drill.rehearsed.partial:
        sys.exit(BROKEN_OFF)


async def _drill(console: Console, target: Target, asked: DrillOptions) -> Rehearsed:
    from dispatcher.commands.drill import drill

    return await drill(asked, target, console)


async def _run(console: Console, target: Target, checks: Sequence[Check]) -> Rehearsed:
    started, at = time.perf_counter(), wall_time()
    results: list[Result] = []
    async with Rehearsal(target) as rehearsal:
        url = rehearsal.way.shown
        console.print(text.heading(url, rehearsal.seed, len(checks)))
        running = rehearsal.run(checks)
        for number, check in enumerate(checks, 1):
            with _in_progress(console, f"{number} of {len(checks)}: {check.name}"):
                result = await anext(running)
            results.append(result)
            console.print(text.line(result))
    return Rehearsed(
        url=url,
        seed=rehearsal.seed,
        started_at=at,
        seconds=time.perf_counter() - started,
        verified=target.verify is not None,
        fault=rehearsal.fault,
        note=rehearsal.note,
        results=tuple(results),
    )


def _in_progress(console: Console, what: str) -> AbstractContextManager[object]:
    """What is being done, on a terminal."""
    return console.status(told(what)) if console.is_terminal else nullcontext()


def _write(report: str, output: Path | None) -> None:
    if output is None:
        click.echo(report, nl=False)
        return
    output.write_text(report, "utf-8")
    say(f"written to {output}", err=True)


def _check_writable(output: Path) -> None:
    """Before a minute of work and not after it."""
    if not output.parent.is_dir():
        fail(f"--output: there is no directory {output.parent}")


def _selected(only: Sequence[str], skip: Sequence[str], quick: bool) -> tuple[Check, ...]:
    try:
        checks = select(_words(only), _words(skip), quick=quick)
    except ValueError as error:
        fail(str(error))
    return checks or fail("--only and --skip leave no check")


def _words(options: Sequence[str]) -> list[str]:
    return [word.strip() for option in options for word in option.split(",") if word.strip()]


def _target(
    url: str | None,
    *,
    headers: Sequence[str],
    verify: str | None,
    paths: Sequence[str],
    seed: int | None,
    timeout: timedelta,
    patience: timedelta,
    ca_file: str | None,
    endpoint: str | None,
    config: Path | None,
    ids: Ids,
    callback_data: str | None,
    to: str | None,
    sender: str | None,
) -> Target:
    values = Values(ids=ids, callback_data=callback_data)
    values = replace(values, to=to or values.to, sender=sender or values.sender)
    as_in = None if endpoint is None else _endpoint(endpoint, config)
    url = as_in.url if url is None and as_in is not None else url
    if url is None:
        fail("expected the URL of a webhook: dlr rehearse http://127.0.0.1:9000/dlr")
    if not is_http_url(url):
        fail(f"expected an http or https URL with a host, got {url!r}")
    if (wrong := spelling_fault(url)) is not None:
        fail(wrong)
    if not timeout:
        fail("--timeout: expected a positive duration, got 0s")
    return Target(
        url=url,
        headers=overruled(
            {} if as_in is None else as_in.headers, dict(_header(each) for each in headers)
        ),
        security=None if as_in is None else as_in.security,
        tls=Tls() if as_in is None else as_in.tls,
        values=values,
        verify=_verify(verify, paths),
        ca_file=ca_file,
        seed=seed,
        plan=Plan(timeout=timeout, patience=patience),
    )


def _endpoint(name: str, config: Path | None) -> Endpoint:
    settings = {each.name: each for each in settings_of(config, None).endpoint}
    if name not in settings:
        fail(f"--endpoint: {no_such('endpoint of the settings', name, settings)}")
    return endpoint_of(settings[name])


def _verify(template: str | None, paths: Sequence[str]) -> Verify | None:
    if template is None:
        return fail("--verify-path needs --verify") if paths else None
    try:
        return verify_of(template, paths)
    except ValueError as error:
        fail(f"--verify: {error}")


def _header(option: str) -> tuple[str, str]:
    """The name and value of `NAME: VALUE`. The value is a secret: no error message shows it."""
    name, colon, value = (part.strip() for part in option.partition(":"))
    if not colon or not value or not _TOKEN.fullmatch(name):
        fault = "no value" if colon and name else "no name and colon"
        fail(f"--header: expected 'Name: value', got {fault}")
    if not value.isprintable():
        fail(f"--header: expected a value of {name} without control characters")
    return name, value
