"""`dlr replays`: what it prints, and the watch over a replay while it runs."""

from __future__ import annotations

import asyncio
import time
from contextlib import AbstractContextManager
from math import inf
from typing import Any

from msgspec import structs
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from dispatcher.api.replays import (
    ReplayAnswer,
    SelectedReport,
    selected_reports,
    told_of_replay,
)
from dispatcher.clocks.clock import SystemClock
from dispatcher.commands.audit import changing
from dispatcher.commands.console import Columns, fields, print_rows, told
from dispatcher.commands.list_output import Listing, pages
from dispatcher.commands.options import stop_event
from dispatcher.commands.saying import NotThere, say
from dispatcher.endpoints.registry import Registry
from dispatcher.replay.base import ReplayStore
from dispatcher.replay.replay import InvalidReplay, Replay, Selected, UnknownReplay
from dispatcher.replay.replaying import Made, Replaying
from dispatcher.replay.request import Request
from dispatcher.settings.settings import Settings
from dispatcher.storage import Storage

POLL_SECONDS = 0.5
"""How often the database is asked how far the replay is. Its progress is another process's."""

NOBODY_SECONDS = 5.0
"""A dispatcher begins with a replay within a tenth of a second."""

LINE_SECONDS = 5.0
"""Where there is no terminal: how often a line is printed at most."""

NO = 1
INTERRUPTED = 130

FIRST_COLUMNS: Columns = fields(
    SelectedReport, "report", "receivedAt", "messageId", "status", "source", "endpoint"
)
REPLAY_COLUMNS: Columns = fields(
    ReplayAnswer,
    "id",
    "state",
    "createdAt",
    "total",
    "fed",
    "acknowledged",
    "waiting",
    "exhausted",
    "cancelled",
    "dropped",
    "failedAttempts",
    "eta",
    "key",
)


def replaying_of(opened: Storage, settings: Settings) -> Replaying:
    return Replaying(
        opened.replays,
        opened.selector,
        Registry(opened.endpoints, settings.endpoint).all,
        SystemClock().now,
    )


async def print_dry_run(opened: Storage, replaying: Replaying, request: Request) -> None:
    """Count and first rows of what would go."""
    found = await replaying.find(request, from_outside=False)
    say(f"would replay {_reports(found.total)}")
    _print_left_out(found)
    rows = [
        structs.replace(each, endpoint=request.to_url or each.endpoint)
        for each in await selected_reports(opened.store, found.first)
    ]
    print_rows(f"the first {len(rows)}", rows, FIRST_COLUMNS)


async def make(opened: Storage, replaying: Replaying, request: Request, *, detach: bool) -> int:
    """Make the replay and watch it to its end. Returns the exit code."""
    async with changing(opened, "makeReplay") as told:
        made = await replaying.make(request, from_outside=False)
        told.subject = str(made.replay.id)
        told.details |= told_of_replay(made)
    _print_made(made, detach)
    if detach:
        return 0
    ended = await watch(replaying.replays, made.replay)
    if ended is None:
        number = made.replay.id
        say(f"replay {number} continues: {_commands(number)}")
        return INTERRUPTED
    if ended.total:
        say(summary(ended))
    return NO if ended.failed else 0


async def print_replays(replaying: Replaying, listing: Listing) -> None:
    """All replays, newest first."""
    await listing.print(
        pages(replaying.replays.all),
        lambda replay: ReplayAnswer.of(replay, replaying.now()),
        REPLAY_COLUMNS,
        lambda _: 0.0,
    )


async def print_replay(replaying: Replaying, replay: int, listing: Listing) -> None:
    """One replay."""
    try:
        found = await replaying.replays.one(replay)
    except UnknownReplay as unknown:
        raise NotThere(str(unknown)) from unknown
    listing.print_one(ReplayAnswer.of(found, replaying.now()), REPLAY_COLUMNS)


async def cancel(opened: Storage, replaying: Replaying, replay: int) -> int:
    """End a replay. Returns the exit code."""
    async with changing(opened, "cancelReplay", str(replay)) as told:
        try:
            cancelled = await replaying.cancel(replay)
        except UnknownReplay as unknown:
            raise NotThere(str(unknown)) from unknown
        except InvalidReplay as error:
            told.outcome = "refused"
            say(str(error))
            return NO
    say(summary(cancelled))
    return 0


def _print_made(made: Made, detach: bool) -> None:
    replay = made.replay
    if not made.new:
        say(f"replay {replay.id}: made before with this key, at {replay.created_at:%F %T} UTC")
    elif not replay.total:
        say(f"replay {replay.id}: nothing matches")
    else:
        target = replay.url or replay.endpoint
        to = f" to {target}" if target else ""
        say(f"replay {replay.id}: {_reports(replay.total)}{to}")
    if made.found is not None:
        _print_left_out(made.found)
    if detach and replay.state == "running":
        say(_commands(replay.id))


def _commands(replay: int) -> str:
    return f"`dlr replays show {replay}` shows it, `dlr replays cancel {replay}` cancels it"


def _print_left_out(found: Selected) -> None:
    if found.undispatched:
        count = _reports(found.undispatched)
        say(f"left out: {count} that never went anywhere; give --to-endpoint or --to for them")
    for name, number in found.gone.items():
        say(
            f'left out: {_reports(number)} that went to "{name}", which does not exist any more;'
            " give --to-endpoint or --to for them"
        )


def _reports(number: int) -> str:
    return f"{number} report" if number == 1 else f"{number} reports"


def summary(replay: Replay) -> str:
    counts = replay.counts
    parts = {
        "acknowledged": counts.get("acknowledged", 0),
        "waiting": replay.waiting,
        "exhausted": counts.get("exhausted", 0),
        "cancelled": counts.get("cancelled", 0),
        "no longer there": replay.dropped,
        "not sent": replay.total - replay.fed,
        "failed attempts": replay.failed_attempts,
    }
    shown = ", ".join(f"{number} {word}" for word, number in parts.items() if number)
    return f"replay {replay.id}: {replay.state}: {shown or 'nothing sent'}"


async def watch(replays: ReplayStore, replay: Replay) -> Replay | None:
    """The replay at its end; `None` when somebody presses Ctrl-C, which ends only the watch."""
    interrupted = stop_event()
    console = Console()
    display = _Bar(console) if console.is_terminal else _Lines()
    nobody_at = time.monotonic() + NOBODY_SECONDS
    with display:
        while replay.state == "running":
            display.show(replay)
            if replay.started_at is None and time.monotonic() > nobody_at:
                nobody_at = inf  # it is said once
                display.say(
                    "no dispatcher seems to be at work on this database:"
                    " start `dlr serve`, and the replay begins"
                )
            if await _happens(interrupted, POLL_SECONDS):
                return None
            replay = await replays.one(replay.id)
        display.show(replay)
    return replay


async def _happens(event: asyncio.Event, within: float) -> bool:
    try:
        await asyncio.wait_for(event.wait(), within)
    except TimeoutError:
        return False
    return True


class _Lines(AbstractContextManager[Any]):
    """For a pipe or a file: a line when something has changed, and not too many of them."""

    def __init__(self) -> None:
        self._shown = ""
        self._next = 0.0

    def __exit__(self, *_: object) -> None: ...

    def show(self, replay: Replay) -> None:
        line = f"{replay.settled} of {replay.total}: {_progress(replay)}"
        if replay.fed and line != self._shown and time.monotonic() >= self._next:
            say(line)
            self._shown, self._next = line, time.monotonic() + LINE_SECONDS

    def say(self, text: str) -> None:
        say(text)


class _Bar(Progress):
    """For a terminal: a bar with the time that remains."""

    def __init__(self, console: Console) -> None:
        super().__init__(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[told]}"),
            console=console,
        )
        self._of_replay = self.add_task("replay", total=None, told="")

    def show(self, replay: Replay) -> None:
        self.update(
            self._of_replay,
            description=f"replay {replay.id}",
            total=replay.total,
            completed=min(replay.settled, replay.total),
            told=_progress(replay),
        )

    def say(self, text: str) -> None:
        self.console.print(told(text))


def _progress(replay: Replay) -> str:
    counts = replay.counts
    return (
        f"{counts.get('acknowledged', 0)} acknowledged, {replay.waiting} waiting,"
        f" {counts.get('exhausted', 0)} exhausted, {replay.failed_attempts} failed attempts"
    )
