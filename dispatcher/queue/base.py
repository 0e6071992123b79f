"""What the worker needs of the store and of the queue of dispatches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal, Protocol

from msgspec import Struct

from dispatcher.endpoints.endpoint import Endpoint, Target
from dispatcher.retrying.dispatch import DispatchState
from dispatcher.retrying.outcome import Answer, Outcome
from receiver.dlr.model import Generation
from receiver.store.base import Message, ReportItem, StoredReport


class Lease(Struct, frozen=True):
    """A worker's claim. The token is new with each claim: what comes back with an old one is late,
    and is not recorded (fencing). `stepped`: all steps of its worker's clock until then, which the
    worker alone needs."""

    token: str
    until: datetime
    stepped: timedelta = timedelta()


class Bucket(Struct, frozen=True):
    """Reports that go to an endpoint in one push. `generation` None: none of them tells one."""

    reports: Sequence[ReportItem]
    generation: Generation | None
    target: Target


class Forming(Struct, frozen=True):
    """What one endpoint takes over in one transaction: the buckets that become its dispatches,
    with the bytes of each (None: they could not be made), and how far it has read in the store.

    At an endpoint that keeps the order, `hold` are reports that wait for an earlier one of their
    message, and `freed` (ids) those that were held and are in the buckets now, or are no more.
    """

    endpoint: Endpoint
    read_from: int
    read_to: int
    buckets: Sequence[Bucket] = ()
    bodies: Sequence[bytes | None] = ()
    hold: Sequence[ReportItem] = ()
    freed: Sequence[int] = ()


class Leased(Struct, frozen=True):
    """A dispatch in the hands of a worker, with the bytes to send."""

    id: int
    name: str  # its id in the API and in logs
    webhook_id: str  # what its customer knows it by: the same at each attempt, and no other's ever
    endpoint: str
    url: str
    content_type: str
    body: bytes
    reports: int
    attempts_made: int
    due_at: datetime
    lease: Lease
    replay: int | None = None  # the replay that it is a part of
    authorization: str | None = None  # a header of this dispatch alone
    encoded: bool = True  # False: its bytes are not kept, and `body` is empty
    generation: Generation | None = None  # that of its bytes; None: as the endpoint's settings say


class Record(Struct, frozen=True):
    """An attempt and what it does to its dispatch: stored together or not at all. `body`: the bytes
    of a first attempt, kept if the dispatch goes on waiting."""

    dispatch: int
    token: str
    number: int
    started_at: datetime
    answer: Answer
    outcome: Outcome
    state: DispatchState
    due_at: datetime | None
    body: bytes | None = None


class Pending(Struct, frozen=True):
    """What there is to do: endpoints with due dispatches, and those with reports to form
    dispatches of (by the report they have read up to). `freed` are those of them that have reports
    which were held for the order's sake and wait for nothing any more.

    `first_due` says when the first waiting dispatch to each endpoint is due, and `lease_until` when
    the first lease runs out: what `next_due` would say, if nothing has changed since."""

    due: frozenset[str]
    unread: Mapping[str, int]
    freed: frozenset[str] = frozenset()
    first_due: Mapping[str, datetime] = {}
    lease_until: datetime | None = None

    def next_due(self, endpoints: Iterable[str]) -> datetime | None:
        instants = [self.first_due.get(name) for name in endpoints]
        return min((at for at in (*instants, self.lease_until) if at is not None), default=None)


class News(Struct, frozen=True):
    """Tells whether there may be something to do. `version` changes with each commit of any
    process; a commit that only renews notices may leave it as it is. `endpoints` changes when
    endpoints are changed at run time. `expired`: a lease has run out. `replays`: one has something
    left to do. `notices`: what the dispatchers on this database tell each other."""

    version: object
    expired: bool
    endpoints: int
    replays: bool
    notices: Mapping[str, bytes] = {}


class StoredDispatch(Struct, frozen=True):
    """A dispatch as it is stored, for whoever shows it."""

    id: str
    endpoint: str
    url: str
    state: DispatchState
    attempts: int
    created_at: datetime
    due_at: datetime | None
    reports: int
    report_ids: Sequence[int]
    webhook_id: str
    event_of: str | None = None  # the messageId of an event, which has no reports


StatusClass = Literal["2xx", "3xx", "4xx", "5xx", "none"]
"""The class of an attempt's HTTP status; `none`: there was no answer."""


class OfMessage(Struct, frozen=True):
    """The dispatches of a message: those that carry one of its reports, and those of events with
    the messageId `event` (None: no events)."""

    reports: Sequence[int] = ()
    event: str | None = None


class DispatchSearch(Struct, frozen=True, kw_only=True):
    """Which dispatches are wanted, newest first; `before` is the cursor (a dispatch's name). `None`
    means: any. All must hold. Of a range the beginning belongs to it, the end does not.

    `outcome`, `status_class` and `attempted_…` (its beginning) are of the last attempt: a dispatch
    that was never tried has none of them.
    """

    limit: int = 100
    before: str | None = None
    endpoint: str | None = None
    state: DispatchState | None = None
    outcome: str | None = None
    status_class: StatusClass | None = None
    created_since: datetime | None = None
    created_until: datetime | None = None
    attempted_since: datetime | None = None
    attempted_until: datetime | None = None
    replay: int | None = None
    message: OfMessage | None = None


class FoundDispatches(Struct, frozen=True):
    """What one step of a search has found, newest first.

    `next` is the cursor of the next step, `None` when there is none. It may come with fewer
    dispatches than were asked for, even with none, because one step looks at a bounded number.
    """

    dispatches: Sequence[StoredDispatch]
    next: str | None


class StoredAttempt(Struct, frozen=True):
    """An attempt as it is stored: one line of a dispatch's history. `unrecorded`: how often it was
    begun, or may have been, before it was recorded; each time its customer may have got the push.
    """

    number: int
    started_at: datetime
    duration_ms: float
    status: int | None
    outcome: str
    error: str | None
    answer: bytes
    note: str | None = None
    unrecorded: int = 0


class Reading(Struct, frozen=True):
    """How far an endpoint is with one report. `read_from`: it began after this report (None: not
    known). `held`: the report waits for an earlier one of its message, unless it is `freed`;
    `waits_for` is the dispatch of that one. `failures`: so many of its newest attempts failed in a
    row, as far as the newest attempts of all endpoints tell."""

    read_to: int
    read_from: int | None = None
    held: bool = False
    freed: bool = False
    waits_for: str | None = None
    failures: int = 0


class ReportIds(Struct, frozen=True):
    """What one step of a search has found, newest first. `next`: the cursor of the next step, None
    when there is none; it may come with fewer than were asked for."""

    reports: Sequence[int]
    next: int | None


class Readings(Struct, frozen=True):
    """How far each endpoint is with a report; removed ones are left out. `forgotten_to`: of reports
    up to it the dispatches may have been removed."""

    by_endpoint: Mapping[str, Reading]
    forgotten_to: int


class StoredRequest(Struct, frozen=True):
    """What is kept of a dispatch's request beside its URL. `body` None: its bytes are not kept.
    `authorized`: it has a header `Authorization` of its own, of a URL that the reports brought."""

    content_type: str
    generation: Generation | None
    replay: int | None
    authorized: bool
    body: bytes | None


class UnknownDispatch(Exception):
    """There is no dispatch of this name."""


class NotWaiting(Exception):
    """A dispatch was to be tried now, and does not wait."""

    def __init__(self, dispatch: str, state: DispatchState) -> None:
        if state == "leased":
            told = "is leased: an attempt is in progress"
        else:
            told = f"has ended ({state}): push it again instead"
        super().__init__(f"dispatch {dispatch} {told}")


class BytesGone(Exception):
    """The bytes of an event are not stored any more."""

    def __init__(self, dispatch: str) -> None:
        super().__init__(f"dispatch {dispatch}: what it pushed is no longer stored")


class Outbox(Protocol):
    """The store as the dispatcher sees it: reports wait there until they are read off."""

    async def reports_after(self, report_id: int, limit: int) -> Sequence[ReportItem]:
        """As the store's. There may be fewer than `limit` though more follow."""

    async def reports_by_id(self, report_ids: Sequence[int]) -> Sequence[StoredReport]:
        """As the store's."""


class DispatchQueue(Protocol):
    """Keeps dispatches and attempts, and lends each dispatch to one worker at a time."""

    async def adopt(self, endpoints: Sequence[Endpoint]) -> None:
        """Make these endpoints known.

        The first endpoints of a database read from its first report on; one that comes later reads
        from the next report on. Open dispatches follow their endpoint to a new URL, except those
        of reports that came with their own. It takes no longer when more of them are open.
        """

    async def news(self, now: datetime) -> News:
        """What is new, read in one round trip of some microseconds, even if the queue is long."""

    async def put_up(self, notice: bytes) -> str:
        """Put up the notice of a dispatcher that begins. Returns its name, which no other has or
        had. Where it can be known that an earlier one has ended, the notice of that one goes."""

    async def renew(self, dispatcher: str, notice: bytes) -> bool:
        """Put up another notice of this dispatcher. False: its notice is gone, and stays so. The
        disk is not waited for."""

    async def take_down(self, dispatcher: str, notice: bytes | None = None) -> None:
        """Remove the notice of a dispatcher, if it still is this one; None: whatever it is."""

    async def pending(self, now: datetime) -> Pending:
        """Which of the known endpoints have something to do at `now`."""

    async def claim_due(
        self, now: datetime, leases: Mapping[str, Lease], room: Mapping[str, int]
    ) -> list[Leased]:
        """Lease what is due, for each endpoint the oldest first and at most its room."""

    async def form(
        self, now: datetime, leases: Mapping[str, Lease], formings: Sequence[Forming]
    ) -> list[Leased]:
        """Make dispatches of reports, leased, in the same transaction that reads them off.

        Bytes that are the stored items side by side (forming/bucket.py `is_as_stored`) are not
        kept: most dispatches are acknowledged at their first attempt. Of one that is not, `record`
        or `release` keeps them; of one whose lease runs out nobody does, and they are made anew.

        A bucket without bytes becomes a dispatch that waits and is due at once: it is claimed like
        any other. Nothing is added for an endpoint that another worker has read on meanwhile.
        """

    takes_records_along: bool
    """Whether `form_and_record` costs less than both of its parts, and holds up nobody."""

    async def form_and_record(
        self,
        now: datetime,
        leases: Mapping[str, Lease],
        formings: Sequence[Forming],
        records: Sequence[Record],
    ) -> tuple[list[Leased], list[bool]]:
        """What `form` and `record` return, of one transaction: all of it is stored, or nothing."""

    async def keep_body(self, dispatch: Leased, body: bytes) -> bool:
        """Keep the bytes of a dispatch that was claimed without. False when its lease is not valid
        any more, or it has bytes by now: nothing is changed then."""

    async def record(self, records: Sequence[Record]) -> list[bool]:
        """Record attempts in one transaction. False for each whose lease was not valid any more:
        of that one nothing is stored."""

    async def release(
        self, dispatches: Sequence[Leased], *, broken_off: datetime | None = None
    ) -> None:
        """Give leases back: the dispatches are due again as they were, and the bytes of those
        without an attempt are kept. `broken_off` None: unused. Otherwise their attempts were under
        way then, and the history tells that they are repeated.
        """

    async def release_expired(self, now: datetime) -> int:
        """Make dispatches whose lease ran out waiting again. Returns how many. Nobody knows whether
        their attempts were made: the history tells that they may have been."""

    async def next_due(self, endpoints: Sequence[str] | None = None) -> datetime | None:
        """The next instant at which a dispatch to one of these endpoints (None: to any known one)
        is due, or a lease runs out."""

    async def first_due(self, endpoints: Sequence[str]) -> Mapping[str, datetime]:
        """When the first waiting dispatch to each of these endpoints is due; those for which none
        waits are left out."""

    async def freed(self, endpoint: str, limit: int) -> list[int]:
        """Reports held for the order's sake that wait for nothing any more, oldest first."""

    async def blocked(
        self, endpoint: str, messages: Sequence[Message], besides: Sequence[int]
    ) -> frozenset[Message]:
        """The messages of these that have a report on its way to the endpoint, or a held report
        that is not among `besides`."""

    async def cancel(self, name: str) -> None:
        """Waiting to cancelled. Raises UnknownDispatch, InvalidTransition."""

    async def retry(self, name: str, now: datetime) -> None:
        """Make a waiting dispatch due at `now`, unless it was due before. Raises
        UnknownDispatch, NotWaiting."""

    async def retry_all(self, endpoint: str, now: datetime) -> int:
        """Have all that waits for an endpoint be due at `now`. Returns how many were due later.
        Much of it becomes due in several transactions, the first that were due first."""

    async def push_event_again(self, name: str, now: datetime) -> str:
        """Make the bytes of an event's dispatch, which has no reports, a new dispatch to where it
        went, due at `now`. Returns its name. Raises UnknownDispatch, BytesGone."""

    async def dispatches(
        self,
        *,
        before: str | None = None,
        limit: int = 100,
        endpoint: str | None = None,
        state: DispatchState | None = None,
        report_ids: Sequence[int] | None = None,
    ) -> list[StoredDispatch]:
        """Dispatches, newest first; `before` is the cursor (a dispatch's name).

        Raises UnknownDispatch when that is no name of this queue.
        """

    async def find(self, query: DispatchSearch) -> FoundDispatches:
        """One step of a search, in bounded time. Raises UnknownDispatch when the cursor is no name
        of this queue."""

    async def dispatch(self, name: str) -> tuple[StoredDispatch, list[StoredAttempt]] | None:
        """A dispatch with its attempts, by its name or by its webhook-id."""

    async def attempts(self, names: Sequence[str]) -> Mapping[str, Sequence[StoredAttempt]]:
        """The attempts of each of these dispatches, in one go."""

    async def reports_in(
        self, endpoint: str | None, state: DispatchState | None, before: int | None, limit: int
    ) -> ReportIds:
        """Reports with a smaller id than `before` that have a dispatch to this endpoint (None: to
        any), of which the newest to an endpoint is in this state. One step of bounded time."""

    async def takers(self, report_ids: Sequence[int]) -> Sequence[tuple[int, str]]:
        """These reports with the endpoints that took them: a pair for each of both, ascending.
        A replay does not make an endpoint one that took a report."""

    async def readings(self, report: StoredReport) -> Readings:
        """How far each endpoint is with this report. It takes no longer when more is stored."""

    async def last_attempts(self, names: Sequence[str]) -> Mapping[str, StoredAttempt]:
        """The last attempt of each of these dispatches, in one go. Those that were never tried are
        not in it."""

    async def request(self, name: str) -> StoredRequest | None:
        """What is kept of a dispatch's request; None when there is no such dispatch."""

    async def counts(self) -> Mapping[str, Mapping[DispatchState, int]]:
        """How many dispatches each endpoint has in each state."""
