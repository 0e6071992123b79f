"""Makes replays of what was asked for. The API and the command line both come through here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime

from msgspec import Struct

from dispatcher.queue.base import UnknownDispatch
from dispatcher.replay.base import ReplaySelector, ReplayStore
from dispatcher.replay.items import Items
from dispatcher.replay.replay import Replay, Selected
from dispatcher.replay.request import Request
from dispatcher.security.addresses import url_fault
from dispatcher.settings.settings import EndpointSettings
from receiver.answers import BadQuery
from receiver.settings.configuration import ConfigurationError
from receiver.settings.reader import read_table


class Made(Struct, frozen=True):
    """The replay, and whether it is new. `found` is `None` when it was there already: then nothing
    was looked for."""

    replay: Replay
    new: bool
    found: Selected | None


class Replaying:
    """Tries, makes, shows and cancels replays."""

    def __init__(
        self,
        replays: ReplayStore,
        selector: ReplaySelector,
        known: Callable[[], Awaitable[Iterable[str]]],
        now: Callable[[], datetime],
    ) -> None:
        """`known` gives the names of the endpoints in force."""
        self.replays = replays
        self.now = now
        self._selector = selector
        self._known = known

    async def known(self) -> set[str]:
        """The names of the endpoints in force."""
        return set(await self._known())

    async def find(self, request: Request, *, from_outside: bool) -> Selected:
        """What the request would bring. Raises BadQuery."""
        _, found = await self._resolve(request, from_outside)
        return found

    async def make(self, request: Request, *, from_outside: bool) -> Made:
        """Make the replay, unless its key has one already. Raises BadQuery."""
        known = request.key and await self.replays.with_key(request.key)
        if known:
            return Made(known, False, None)
        items, found = await self._resolve(request, from_outside)
        replay, new = await self.replays.create(
            request, items, self.now(), from_outside=from_outside
        )
        return Made(replay, new, found if new else None)

    async def cancel(self, replay: int) -> Replay:
        """Raises UnknownReplay, InvalidReplay."""
        await self.replays.end(replay, "cancelled", self.now())
        return await self.replays.one(replay)

    async def _resolve(self, request: Request, from_outside: bool) -> tuple[Items, Selected]:
        known = await self.known()
        selection, target = request.selection, request.to_endpoint
        if target is not None and target not in known:
            raise BadQuery(f"toEndpoint: {_no_such(target, known)}")
        if selection.endpoint is not None:
            ever = known | await self._selector.endpoints_ever()
            if selection.endpoint not in ever:
                raise BadQuery(f"endpoint: {_no_such(selection.endpoint, ever)}")
        if request.to_url is not None:
            check_target(request.to_url, from_outside=from_outside)
            target = "the URL"  # its endpoint gets its name with the replay
        try:
            return await self._selector.resolve(selection, target, known)
        except UnknownDispatch as unknown:
            raise BadQuery(f"dispatch: there is no dispatch {unknown}") from unknown


def check_target(url: str, *, from_outside: bool) -> None:
    """Raises BadQuery for a URL that cannot be pushed to. Whether its address may be called is
    judged when it is."""
    if from_outside and (wrong := url_fault(url)) is not None:
        raise BadQuery(f"to: {wrong}")
    try:
        read_table(EndpointSettings, {"name": "replay", "url": url})
    except ConfigurationError as error:
        faults = "; ".join(fault.removeprefix("url: ") for fault in error.faults)
        raise BadQuery(f"to: {faults}") from error


def _no_such(name: str, known: set[str]) -> str:
    there = ", ".join(sorted(known)) or "none yet"
    return f'there is no endpoint "{name[:40]}"; there are: {there}'
