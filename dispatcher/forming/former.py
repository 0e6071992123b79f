"""Makes dispatches of reports that are new in the store.

Read `form` from top to bottom: it reads the reports that endpoints have not read yet, fills them
into buckets, encodes these, and stores them as dispatches that are leased from the start. An error
at one endpoint, foreseen or not, sets only that endpoint aside.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import count

from msgspec import Struct, structs

from dispatcher.clocks.clock import Clock
from dispatcher.endpoints.endpoint import Endpoint
from dispatcher.forming.bucket import encoded, fill
from dispatcher.forming.routing import Routes
from dispatcher.observe.unforeseen import tell_unforeseen
from dispatcher.queue.base import DispatchQueue, Forming, Lease, Leased, Outbox, Pending
from receiver.store.base import ReportItem, StoreUnavailable

READ_AHEAD = 5_000
"""The most reports that are read from the store for one look."""

XML_AHEAD = 500
"""How many reports of all endpoints together are made into XML for one look; the last bucket may
exceed it. A report takes 80 us, and until it is done the other endpoints' pushes do not begin."""

AT_A_STRETCH = 500
"""If more reports are read, or looked at or encoded for one endpoint, the loop turns to others
first. A hundred endpoints that looked at 5,000 reports held it up for 82 ms."""

SET_ASIDE = timedelta(minutes=1)
"""How long, in the world's time, an endpoint gets no new dispatches after an unforeseen error in
forming them. What waits for its retry goes on."""

Form = Callable[[datetime, Mapping[str, Lease], Sequence[Forming]], Awaitable[Sequence[Leased]]]
"""As `form` of a DispatchQueue."""

NewLeases = Callable[[Iterable[str]], Mapping[str, Lease]]
"""Makes a new lease for each of these endpoints."""


class Reader(Struct, frozen=True):
    """An endpoint that has reports to read, and how many buckets of them it may be given."""

    endpoint: Endpoint
    room: int


class Formed(Struct, frozen=True):
    """What came of one look. `leased`: the new dispatches, and `read_to`: up to which report each
    of their endpoints has read now. `only_read`: there are none, because the reports that were read
    go nowhere, and there may be more. `overtaken`: endpoints for which another dispatcher was
    faster: it has read on there, or is doing so now."""

    leased: Sequence[Leased] = ()
    read_to: Mapping[str, int] = {}
    only_read: bool = False
    overtaken: frozenset[str] = frozenset()


class Former:
    """Forms the dispatches of one worker. It remembers whose turn is next, and who is set aside."""

    def __init__(self, outbox: Outbox, queue: DispatchQueue, clock: Clock, form: Form) -> None:
        self._outbox = outbox
        self._queue = queue
        self._form = form
        self._clock = clock
        self._turns = count(1)
        self._had_turn: dict[str, int] = {}  # endpoints that take XML: which turn was its last
        self._aside_until: dict[str, datetime] = {}

    async def form(
        self,
        readers: Iterable[Reader],
        pending: Pending,
        leases: NewLeases,
    ) -> Formed:
        """Form dispatches of what these endpoints have not read, as far as each has room."""
        filled = await self._fill(self._not_aside(readers), pending)
        formings = await self._encoded(filled)
        if not formings:
            return Formed()
        leased = await self._form_apart(formings, leases)
        names = {each.endpoint for each in leased}
        overtaken = _with_bytes(formings) - names
        in_vain = not leased and not overtaken
        return Formed(
            leased,
            {each.endpoint.name: each.read_to for each in formings if each.endpoint.name in names},
            only_read=in_vain and any(each.read_to > each.read_from for each in formings),
            overtaken=frozenset(overtaken),
        )

    def set_aside(self, now: datetime) -> dict[str, datetime]:
        """The endpoints that are set aside now, and when each gets new dispatches again."""
        return {name: until for name, until in self._aside_until.items() if until > now}

    def forget(self, name: str) -> None:
        """Keep nothing about an endpoint that no longer exists."""
        self._had_turn.pop(name, None)
        self._aside_until.pop(name, None)

    # --- who reads --------------------------------------------------------------------------------

    def _not_aside(self, readers: Iterable[Reader]) -> list[Reader]:
        if not self._aside_until:
            return list(readers)
        now = self._clock.now()
        over = [name for name, until in self._aside_until.items() if until <= now]
        for name in over:
            del self._aside_until[name]
        return [each for each in readers if each.endpoint.name not in self._aside_until]

    def _set_aside(self, name: str, error: Exception) -> None:
        tell_unforeseen(f"no dispatch can be made for {name}; dlr tries again in a minute", error)
        self._aside_until[name] = self._clock.now() + SET_ASIDE * self._clock.speed

    # --- buckets ----------------------------------------------------------------------------------

    async def _fill(self, readers: Iterable[Reader], pending: Pending) -> list[Forming]:
        """Put new reports into buckets. Endpoints that have read equally far read together."""
        filled: list[Forming] = []
        groups: dict[int, list[Reader]] = {}
        for reader in readers:
            groups.setdefault(pending.unread[reader.endpoint.name], []).append(reader)
        for read_from, together in sorted(groups.items()):
            most = max([_room_to_form(each) * each.endpoint.bucket_size for each in together])
            reports = await self._outbox.reports_after(read_from, min(most, READ_AHEAD))
            routes = Routes(reports)
            if any(each.endpoint.rules.asks_fields for each in together):
                await _read_all(reports, routes)
            for each in together:
                if len(reports) > AT_A_STRETCH:
                    await asyncio.sleep(0)  # whoever else waits for the loop goes first
                forming = await self._filled(each, reports, read_from, pending, routes)
                if forming is not None:
                    filled.append(forming)
        return filled

    async def _filled(
        self,
        reader: Reader,
        reports: Sequence[ReportItem],
        read_from: int,
        pending: Pending,
        routes: Routes,
    ) -> Forming | None:
        """One endpoint's buckets; None when they cannot be filled, which sets it aside."""
        endpoint, room = reader.endpoint, _room_to_form(reader)
        try:
            # One that keeps the order no more may still have reports held for it.
            if endpoint.ordered or endpoint.name in pending.freed:
                return await self._fill_in_order(endpoint, reports, room, read_from, routes)
            return fill(endpoint, reports, room=room, read_from=read_from, routes=routes)
        except StoreUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - told, and nobody else's failure
            self._set_aside(endpoint.name, error)
            return None

    async def _fill_in_order(
        self,
        endpoint: Endpoint,
        reports: Sequence[ReportItem],
        room: int,
        read_from: int,
        routes: Routes,
    ) -> Forming:
        """As `fill`, knowing what is under way to the endpoint and what is held for it."""
        freed_ids = await self._queue.freed(endpoint.name, room * endpoint.bucket_size)
        freed = await self._outbox.reports_by_id(freed_ids)
        messages = [report.message for report in (*freed, *reports)]
        blocked = await self._queue.blocked(endpoint.name, messages, freed_ids)
        forming = fill(
            endpoint,
            reports,
            room=room,
            read_from=read_from,
            freed=freed,
            blocked=blocked,
            routes=routes,
        )
        erased = set(freed_ids) - {report.id for report in freed}  # while they were held
        return structs.replace(forming, freed=[*forming.freed, *erased])

    async def _encoded(self, filled: Sequence[Forming]) -> list[Forming]:
        """As many as XML_AHEAD allows. Those that have waited longest for a turn come first. The
        others are not read off, and come with the next look."""
        formings = []
        left = XML_AHEAD
        for forming in sorted(filled, key=lambda each: self._had_turn.get(each.endpoint.name, 0)):
            endpoint = forming.endpoint
            if endpoint.may_be_xml and forming.buckets:
                if left <= 0:
                    continue
                left -= sum(len(bucket.reports) for bucket in forming.buckets)
                self._had_turn[endpoint.name] = next(self._turns)
            if sum(len(bucket.reports) for bucket in forming.buckets) > AT_A_STRETCH:
                await asyncio.sleep(0)
            formings.append(await encoded(forming))
        return formings

    # --- dispatches -------------------------------------------------------------------------------

    async def _form_apart(self, formings: Sequence[Forming], leases: NewLeases) -> list[Leased]:
        """Form all in one transaction; form each alone if that fails and the store is available."""
        try:
            of_each = leases(each.endpoint.name for each in formings)
            return list(await self._form(self._clock.now(), of_each, formings))
        except StoreUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - told, and nobody else's failure
            if len(formings) == 1:
                self._set_aside(formings[0].endpoint.name, error)
                return []
        return [
            leased for forming in formings for leased in await self._form_apart([forming], leases)
        ]


async def _read_all(reports: Sequence[ReportItem], routes: Routes) -> None:
    """Read the reports for those whose rules ask for fields, a stretch at a time."""
    for at, report in enumerate(reports):
        if at % AT_A_STRETCH == AT_A_STRETCH - 1:
            await asyncio.sleep(0)
        with suppress(Exception):  # it is the failure of the endpoints whose rules ask for it
            routes.read(report)


def _with_bytes(formings: Iterable[Forming]) -> set[str]:
    """The endpoints whose new dispatches are leased from the start, if these are formed."""
    return {each.endpoint.name for each in formings if each.bodies.count(None) < len(each.bodies)}


def _room_to_form(reader: Reader) -> int:
    if reader.endpoint.may_be_xml:
        return min(reader.room, max(1, XML_AHEAD // reader.endpoint.bucket_size))
    return reader.room
