"""What `dlr dispatches --retry` and `--again` do and print."""

from __future__ import annotations

from dispatcher.api.again import told_of_again
from dispatcher.clocks.clock import SystemClock
from dispatcher.commands.audit import changing
from dispatcher.commands.gone import counted
from dispatcher.commands.replay_output import replaying_of
from dispatcher.commands.saying import NotThere, say
from dispatcher.queue.base import NotWaiting, UnknownDispatch
from dispatcher.replay.again import CannotGoAgain, push_again
from dispatcher.settings.settings import Settings
from dispatcher.storage import Storage
from receiver.answers import BadQuery


async def retry(opened: Storage, name: str) -> None:
    """Make a waiting dispatch due now."""
    async with changing(opened, "retryDispatch", name):
        try:
            await opened.queue.retry(name, SystemClock().now())
        except UnknownDispatch as unknown:
            raise NotThere(f"there is no dispatch {name!r}") from unknown
        except NotWaiting as error:
            raise BadQuery(str(error)) from error
    say(f"{name}: is due now")


async def again(opened: Storage, settings: Settings, name: str) -> None:
    """Push again what an ended dispatch has pushed."""
    replaying = replaying_of(opened, settings)
    async with changing(opened, "pushDispatchAgain", name) as told:
        try:
            made = await push_again(name, opened.queue, replaying, replaying.now())
        except UnknownDispatch as unknown:
            raise NotThere(f"there is no dispatch {name!r}") from unknown
        except CannotGoAgain as error:
            raise BadQuery(str(error)) from error
        told.details |= told_of_again(made)
    if made.replay is None:
        say(f"{name}: goes again as dispatch {made.dispatch}")
    else:
        reports = counted(made.replay.total, "report")
        number = made.replay.id
        say(f"{name}: replay {number} pushes it again, {reports}; see `dlr replays show {number}`")
