"""`dlr listen`: a scripted customer endpoint to try things against."""

from __future__ import annotations

import sys
from typing import Any

import click

from dispatcher.commands.options import PORT, Duration, IntegerIn, Span, run_to_end, stop_event
from dispatcher.commands.saying import say
from dispatcher.commands.scripted_endpoint import Push, Script, ScriptedEndpoint
from receiver.server import naming_the_address


@click.command()
@click.option("--bind", default="127.0.0.1", metavar="HOST")
@click.option("--port", type=PORT, default=9000, show_default=True)
@click.option("--status", type=IntegerIn(100, 599), default=200, help="What to answer.")
@click.option(
    "--fail-first", type=IntegerIn(min=0), default=0, help="Answer this many with 503 first."
)
@click.option("--delay", type=Duration(), default="0s", help="Wait before each answer: 2s.")
@click.option("--down-between", type=Span(), help="Cut connections in this span: 10s..70s.")
def listen(bind: str, port: int, **script: Any) -> None:
    """Run a customer endpoint that prints what it gets.

    Use it to try things against: it can fail, stall and recover. Name its URL as an endpoint, or
    give it to `dlr rehearse`.

    Example: dlr listen --port 9000 --fail-first 3
    """
    run_to_end(_listen(bind, port, Script(**script)))


async def _listen(bind: str, port: int, script: Script) -> None:
    stop = stop_event()
    scripted = ScriptedEndpoint(script, on_push=_print_push)
    with naming_the_address(bind, port):
        await scripted.start(bind, port)
    say(f"listening on {scripted.url}")
    sys.stdout.flush()
    await stop.wait()
    await scripted.stop()


def _print_push(push: Push) -> None:
    answered = "cut the connection" if push.answered is None else f"answered {push.answered}"
    who = f"dispatch {push.dispatch} attempt {push.attempt}" if push.dispatch else "no dlr headers"
    say(f"+{push.since_start.total_seconds():.1f}s push {push.number}: {who}: {answered}")
    first, *more = push.body.decode("utf-8", "replace").split("\n")
    for line in (f"{push.content_type} {first}", *more):  # indented, as no line of ours is
        say(f"  {line}")
    sys.stdout.flush()
