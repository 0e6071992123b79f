"""What every queue of dispatches does (dispatcher/queue/base.py).

An implementation's test derives a class from `DispatchQueueContract` and gives it a fixture
`backend`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from itertools import combinations, count
from typing import Any, Protocol, TypeVar

import pytest
from msgspec.structs import replace

from dispatcher.endpoints.endpoint import Endpoint, Target
from dispatcher.queue.base import (
    Bucket,
    DispatchQueue,
    DispatchSearch,
    Forming,
    Lease,
    Leased,
    NotWaiting,
    OfMessage,
    Pending,
    Record,
    StoredAttempt,
    StoredDispatch,
    UnknownDispatch,
)
from dispatcher.retrying.dispatch import DispatchState, InvalidTransition
from dispatcher.retrying.outcome import Answer, Outcome
from receiver.store.base import Message, ReportStore, StoredReport, StoreUnavailable
from tests.contracts.report_store import a_callback, an_sms

T = TypeVar("T")

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)

ACME = Endpoint(name="acme", url="http://acme.example/dlr")
BETA = Endpoint(name="beta", url="http://beta.example/", content_type="application/xml")


class StoreAndQueue(Protocol):
    """A queue and the store it reads from, in one database."""

    @property
    def store(self) -> ReportStore: ...

    @property
    def queue(self) -> DispatchQueue: ...


class QueueBackend(StoreAndQueue, Protocol):
    """A queue and the store it reads from, in one empty database."""

    async def another_queue(self) -> DispatchQueue:
        """A queue on the same database, as another process has it."""

    async def another_store(self) -> ReportStore:
        """The reports of the same database, as another process has them."""

    async def foreign_queue(self) -> DispatchQueue:
        """A queue on a database of its own."""

    async def skip_ids(self, number: int) -> None:
        """The next report, dispatch, attempt and replay have ids that are so much higher: as after
        a transaction that took ids and was rolled back."""

    def losing(self, after: int) -> AbstractAsyncContextManager[None]:
        """Within the block the database is lost once, after so many steps of what writes to it,
        however small a step is. What it is in the middle of fails; then it is there again."""


def a_lease(token: str = "t1", until: datetime = NOON + MINUTE) -> Lease:
    return Lease(token, until)


A_LEASE = a_lease()


def leases(lease: Lease = A_LEASE) -> dict[str, Lease]:
    """This lease for whoever forms something."""
    return {ACME.name: lease, BETA.name: lease}


def a_report(number: int, key: int | None = None, source: str = "default") -> StoredReport:
    """The report with this id, as far as a queue looks at it; by default of a message of its
    own."""
    return StoredReport(
        id=number,
        received_at=NOON,
        source=source,
        format="json",
        generation=None,
        final=True,
        status_group=None,
        duplicates=0,
        message_key=number if key is None else key,
        identity=number,
        item=b"{}",
    )


def a_bucket(endpoint: Endpoint, reports: Iterable[StoredReport]) -> Bucket:
    return Bucket(list(reports), None, Target(endpoint.url, endpoint.content_type))


def a_forming(
    endpoint: Endpoint, buckets: Mapping[bytes, Sequence[int]], *, read_from: int = 0, read_to: int
) -> Forming:
    """Buckets of these reports (ids), by their bytes."""
    made = [a_bucket(endpoint, map(a_report, ids)) for ids in buckets.values()]
    return Forming(endpoint, read_from, read_to, made, list(buckets))


def a_record(
    dispatch: Leased,
    state: DispatchState = "waiting",
    *,
    due_at: datetime | None = NOON + MINUTE,
    status: int = 503,
    token: str | None = None,
    started_at: datetime = NOON,
) -> Record:
    """An attempt at this dispatch and what became of it; by default a failed one."""
    return Record(
        dispatch=dispatch.id,
        token=dispatch.lease.token if token is None else token,
        number=dispatch.attempts_made + 1,
        started_at=started_at,
        answer=Answer(12.5, status=status, body=b"come again"),
        outcome=Outcome.ACKNOWLEDGED if status == 200 else Outcome.FAILED,
        state=state,
        due_at=due_at if state == "waiting" else None,
        body=dispatch.body if state == "waiting" and dispatch.encoded else None,
    )


class Desk:
    """A queue in the words of the tests: reports come in, and become dispatches of one each."""

    def __init__(self, backend: StoreAndQueue) -> None:
        self.store = backend.store
        self.queue = backend.queue
        self._count = 0
        self.keys: dict[int, int] = {}
        self.read_to = 0

    async def receive(self, number: int = 1) -> list[int]:
        """So many reports are stored. Returns their ids."""
        last = max([r.id for r in await self.store.reports_after(0, 10_000)], default=0)
        items = [an_sms(f"m{self._count + n}") for n in range(number)]
        self._count += number
        await self.store.add([a_callback(*items)])
        return [report.id for report in await self.store.reports_after(last, number)]

    async def forming(
        self,
        reports: Sequence[int],
        endpoint: Endpoint = ACME,
        *,
        read_from: int | None = None,
    ) -> Forming:
        """A bucket of each of these reports, for an endpoint that has read up to them."""
        if read_from is None:
            read_from = (await self.queue.pending(NOON)).unread[endpoint.name]
        buckets = {f"report {report}".encode(): [report] for report in reports}
        return a_forming(endpoint, buckets, read_from=read_from, read_to=reports[-1])

    async def dispatches(
        self,
        number: int = 1,
        endpoint: Endpoint = ACME,
        *,
        at: datetime = NOON,
        lease: Lease = A_LEASE,
    ) -> list[Leased]:
        """So many new dispatches, leased."""
        reports = await self.receive(number)
        forming = await self.forming(reports, endpoint)
        return await self.queue.form(at, leases(lease), [forming])

    async def read_on(self, number: int) -> int:
        """A worker of Acme forms of the next reports, as many. Returns of how many."""
        place = (await self.queue.pending(NOON)).unread.get(ACME.name)
        if place is None:
            return 0
        reports = [report.id for report in await self.store.reports_after(place, number)]
        await self.queue.form(NOON, leases(), [await self.forming(reports, read_from=place)])
        return len(reports)

    async def of_one_message(self, number: int = 2) -> list[int]:
        """So many reports of one new message. Each goes after the one before it."""
        self._count += 1
        last = max([r.id for r in await self.store.reports_after(0, 10_000)], default=0)
        items = [an_sms(f"m{self._count}", error={"id": n}) for n in range(number)]
        await self.store.add([a_callback(*items)])
        reports = await self.store.reports_after(last, number)
        self.keys |= {report.id: report.message_key for report in reports}
        return [report.id for report in reports]

    def message(self, report: int) -> Message:
        """The message of a report of `of_one_message`."""
        return "default", self.keys[report]

    async def forming_in_order(
        self,
        reports: Sequence[int],
        *,
        hold: Sequence[int] = (),
        freed: Sequence[int] = (),
        read_to: int | None = None,
    ) -> Forming:
        """A bucket of these reports for Acme, which keeps the order. It has read all before, and
        reads up to the last of these (or up to `read_to`)."""
        unread = (await self.queue.pending(NOON)).unread
        place = unread.get(ACME.name, self.read_to)
        of_message = {each: a_report(each, self.keys[each]) for each in (*reports, *hold)}
        bucket = a_bucket(ACME, [of_message[report] for report in reports])
        held = [of_message[report] for report in hold]
        self.read_to = max(place, read_to or max(*reports, *hold, 0))
        in_order = replace(ACME, ordered=True)
        return Forming(in_order, place, self.read_to, [bucket], [b"[]"], held, freed)

    async def in_order(self, reports: Sequence[int], **given: Any) -> list[Leased]:
        """As `forming_in_order`, and formed."""
        return await self.queue.form(
            NOON, leases(), [await self.forming_in_order(reports, **given)]
        )

    async def waiting(
        self, number: int = 1, endpoint: Endpoint = ACME, *, due_at: datetime = NOON + MINUTE
    ) -> list[Leased]:
        """So many dispatches that have failed once and wait."""
        leased = await self.dispatches(number, endpoint)
        assert all(await self.queue.record([a_record(each, due_at=due_at) for each in leased]))
        return leased

    async def claim(
        self, at: datetime = NOON + MINUTE, room: int = 100, lease: Lease | None = None
    ) -> list[Leased]:
        """What is due for Acme."""
        taken = lease or Lease("t2", at + MINUTE)
        return await self.queue.claim_due(at, {ACME.name: taken}, {ACME.name: room})

    async def next_due(self) -> datetime | None:
        return await self.queue.next_due()

    async def view(self, dispatch: Leased) -> StoredDispatch:
        return (await self.look(dispatch))[0]

    async def look(self, dispatch: Leased) -> tuple[StoredDispatch, list[StoredAttempt]]:
        found = await self.queue.dispatch(dispatch.name)
        assert found is not None
        return found


async def losing_the_store(
    backend: QueueBackend, act: Callable[[], Awaitable[T]], still: Callable[[], Awaitable[None]]
) -> T:
    """Lose the store in the middle of `act`, a step later each time, until it comes through. Each
    time that it does not, it says StoreUnavailable, and `still` has to find all as it was."""
    for after in count():
        try:
            async with backend.losing(after):
                done = await act()
        except StoreUnavailable:
            await still()
        else:
            assert after > 10, "it was never lost in the middle"
            return done
    raise AssertionError("unreachable")


_FILTERS: list[dict[str, Any]] = [
    {"endpoint": "acme"},
    {"state": "waiting"},
    {"state": "leased"},
    {"state": "acknowledged"},
    {"state": "exhausted"},
    {"state": "cancelled"},
    {"outcome": "acknowledged"},
    {"outcome": "failed"},
    {"outcome": "refused"},
    {"status_class": "2xx"},
    {"status_class": "4xx"},
    {"status_class": "5xx"},
    {"status_class": "none"},
    {"created_since": NOON + 2 * MINUTE},
    {"created_until": NOON + 2 * MINUTE},
    {"attempted_since": NOON + 2 * MINUTE},
    {"attempted_until": NOON + 2 * MINUTE},
]


async def _varied(backend: QueueBackend, desk: Desk) -> None:
    """Dispatches of two endpoints and several instants in every state, after attempts that ended
    in different ways; some were tried twice, some never."""
    answers = {
        200: Outcome.ACKNOWLEDGED,
        404: Outcome.REFUSED,
        503: Outcome.FAILED,
        None: Outcome.UNREACHABLE,
    }
    for minute in range(4):
        at = NOON + minute * MINUTE
        if minute == 2:
            await backend.skip_ids(50)
        for endpoint in (ACME, BETA):
            made = await desk.dispatches(6, endpoint, at=at, lease=a_lease(until=NOON + 9 * MINUTE))
            for dispatch, status in zip(made, answers, strict=False):
                state: DispatchState = "exhausted" if status in (404, None) else "waiting"
                record = replace(
                    a_record(dispatch, state, due_at=at + MINUTE, started_at=at),
                    state="acknowledged" if status == 200 else state,
                    due_at=at + MINUTE if status == 503 else None,
                    answer=Answer(1.0, status=status, failure=answers[status]),
                    outcome=answers[status],
                    body=None,
                )
                assert await desk.queue.record([record]) == [True]
            await desk.queue.release(made[4:5])
            if minute % 2:
                await desk.queue.cancel(made[4].name)
    (again,) = await desk.claim(NOON + MINUTE, room=1, lease=Lease("t9", NOON + 9 * MINUTE))
    late = replace(
        a_record(again, "exhausted", started_at=NOON + 3 * MINUTE),
        answer=Answer(1.0, status=404),
        outcome=Outcome.REFUSED,
    )
    assert await desk.queue.record([late]) == [True]


async def _found_among_all(queue: DispatchQueue, filters: Mapping[str, Any]) -> list[str]:
    """What fits, looked for without the search."""
    views = await queue.dispatches(limit=1_000)
    attempts = await queue.attempts([view.id for view in views])
    return [view.id for view in views if _fits(view, [*attempts[view.id]][-1:], filters)]


def _fits(view: StoredDispatch, last: Sequence[StoredAttempt], filters: Mapping[str, Any]) -> bool:
    tried = last[0] if last else None
    facts: dict[str, Callable[[Any], bool]] = {
        "endpoint": lambda wanted: view.endpoint == wanted,
        "state": lambda wanted: view.state == wanted,
        "created_since": lambda at: view.created_at >= at,
        "created_until": lambda at: view.created_at < at,
        "outcome": lambda wanted: tried is not None and tried.outcome == wanted,
        "status_class": lambda wanted: tried is not None and _class_of(tried) == wanted,
        "attempted_since": lambda at: tried is not None and tried.started_at >= at,
        "attempted_until": lambda at: tried is not None and tried.started_at < at,
    }
    return all(facts[name](wanted) for name, wanted in filters.items())


def _class_of(attempt: StoredAttempt) -> str:
    return "none" if attempt.status is None else f"{attempt.status // 100}xx"


async def _paged(queue: DispatchQueue, filters: Mapping[str, Any], *, limit: int) -> list[str]:
    """All that a search finds, a step after the other."""
    found: list[str] = []
    before = None
    while True:
        step = await queue.find(DispatchSearch(limit=limit, before=before, **filters))
        assert len(step.dispatches) <= limit
        found += [view.id for view in step.dispatches]
        if (before := step.next) is None:
            return found


def names(dispatches: Sequence[Leased]) -> list[str]:
    return [dispatch.name for dispatch in dispatches]


class DispatchQueueContract:
    @pytest.fixture
    def queue(self, backend: QueueBackend) -> DispatchQueue:
        return backend.queue

    @pytest.fixture
    async def desk(self, backend: QueueBackend) -> Desk:
        """A queue that has read everything and knows Acme and Beta."""
        await backend.queue.adopt([ACME, BETA])
        return Desk(backend)

    # --- where endpoints start -----------------------------------------------------------------

    async def test_first_endpoints_get_everything(
        self, backend: QueueBackend, queue: DispatchQueue
    ) -> None:
        """What came in before any dispatcher ran is pushed when one does: nothing is lost."""
        await Desk(backend).receive(3)

        await queue.adopt([ACME, BETA])

        assert (await queue.pending(NOON)).unread == {"acme": 0, "beta": 0}

    async def test_later_endpoint_starts_now(
        self, backend: QueueBackend, queue: DispatchQueue
    ) -> None:
        """A customer who is added to a store of a year does not get the year."""
        desk = Desk(backend)
        await queue.adopt([ACME])
        reports = await desk.receive(3)

        await queue.adopt([ACME, BETA])
        assert (await queue.pending(NOON)).unread == {"acme": 0}

        await desk.receive()
        assert (await queue.pending(NOON)).unread == {"acme": 0, "beta": reports[-1]}

    async def test_adopting_again_reads_on(self, desk: Desk, queue: DispatchQueue) -> None:
        """After a restart an endpoint reads on from where it was."""
        await desk.dispatches(2)
        reports = await desk.receive()
        before = (await queue.pending(NOON)).unread

        await queue.adopt([ACME, BETA])

        assert (await queue.pending(NOON)).unread == before
        assert before["acme"] == reports[0] - 1

    @pytest.mark.usefixtures("desk")
    async def test_no_news(self, queue: DispatchQueue) -> None:
        """The version stays as it is while nothing is committed."""
        assert await queue.news(NOON) == await queue.news(NOON)

    async def test_news(self, desk: Desk, queue: DispatchQueue) -> None:
        """Its version changes with whatever is committed."""
        await queue.adopt([ACME])
        first = await queue.news(NOON)
        assert (first.expired, first.replays) == (False, False)

        (leased,) = await desk.dispatches()

        second = await queue.news(NOON)
        assert (second.version != first.version, second.endpoints) == (True, first.endpoints)
        assert (await queue.news(leased.lease.until)).expired

    @pytest.mark.usefixtures("desk")
    async def test_notices_of_dispatchers(
        self, backend: QueueBackend, queue: DispatchQueue
    ) -> None:
        """Each dispatcher sees what the others tell, as soon as it looks."""
        other = await backend.another_queue()
        one, two = await queue.put_up(b"one"), await other.put_up(b"two")
        assert one != two
        assert (await queue.news(NOON)).notices == {one: b"one", two: b"two"}

        assert await other.renew(two, b'{"a": "\xc3\xa9"}')
        assert (await queue.news(NOON)).notices == {one: b"one", two: b'{"a": "\xc3\xa9"}'}

        await other.take_down(two)
        assert (await queue.news(NOON)).notices == {one: b"one"}

    @pytest.mark.usefixtures("desk")
    async def test_a_notice_that_was_taken_down_stays_so(
        self, backend: QueueBackend, queue: DispatchQueue
    ) -> None:
        """One that the others took for dead learns it; and none is taken down that has just told
        that it lives."""
        other = await backend.another_queue()
        one = await queue.put_up(b"one")
        assert await queue.renew(one, b"it lives")
        await other.take_down(one, b"one")
        assert (await other.news(NOON)).notices == {one: b"it lives"}

        await other.take_down(one, b"it lives")
        assert not await queue.renew(one, b"too late")
        assert (await queue.news(NOON)).notices == {}

        again = await queue.put_up(b"anew")
        assert again != one
        assert (await other.news(NOON)).notices == {again: b"anew"}

    async def test_no_endpoints(self, backend: QueueBackend, queue: DispatchQueue) -> None:
        """Without endpoints there is nothing to do; the first that comes gets everything."""
        await queue.adopt([])
        await Desk(backend).receive()
        assert await queue.pending(NOON) == Pending(frozenset(), {})

        await queue.adopt([ACME])
        assert (await queue.pending(NOON)).unread == {"acme": 0}

    async def test_open_dispatches_follow_the_url(self, desk: Desk, queue: DispatchQueue) -> None:
        """When an endpoint moves, what is still to be sent goes to its new URL; what has ended
        stays as it was."""
        ended, waiting, leased = await desk.dispatches(3)
        (other,) = await desk.dispatches(1, BETA)
        await queue.record([a_record(ended, "acknowledged", status=200), a_record(waiting)])

        moved = replace(ACME, url="http://new.example/")
        await queue.adopt([moved, BETA])

        assert (await desk.view(ended)).url == ACME.url
        assert (await desk.view(waiting)).url == moved.url
        assert (await desk.view(leased)).url == moved.url
        assert (await desk.view(other)).url == BETA.url
        assert [each.url for each in await desk.claim()] == [moved.url]

    async def test_what_was_being_sent_tells_where_it_went(
        self, desk: Desk, queue: DispatchQueue
    ) -> None:
        """A push that was under way when its endpoint moved went to the old URL, and says so when
        it has ended. If it failed, its retry goes to the new one."""
        ended, failed = await desk.dispatches(2)
        moved = replace(ACME, url="http://new.example/")
        await queue.adopt([moved, BETA])
        await queue.record([a_record(ended, "acknowledged", status=200), a_record(failed)])

        assert (await desk.view(ended)).url == ACME.url
        assert (await desk.view(failed)).url == moved.url
        assert [each.url for each in await desk.claim()] == [moved.url]

    async def test_own_urls_stay(self, desk: Desk, queue: DispatchQueue) -> None:
        """What goes to URLs that reports brought does not follow the endpoint's: it has none."""
        (waiting,) = await desk.waiting()

        await queue.adopt([replace(ACME, url="http://none.example/", own_urls=True), BETA])

        assert (await desk.view(waiting)).url == ACME.url

    # --- forming -------------------------------------------------------------------------------

    async def test_forms_with_credentials(self, desk: Desk, queue: DispatchQueue) -> None:
        """The credentials of a bucket's URL are with its dispatch, from the first attempt on."""
        (report,) = await desk.receive()
        forming = await desk.forming([report])
        (bucket,) = forming.buckets
        bucket = replace(bucket, target=replace(bucket.target, authorization="Basic YTpi"))

        (formed,) = await queue.form(NOON, leases(), [replace(forming, buckets=[bucket])])
        await queue.record([a_record(formed)])

        assert formed.authorization == "Basic YTpi"
        assert [each.authorization for each in await desk.claim()] == ["Basic YTpi"]

    async def test_forms_leased_dispatches(self, desk: Desk, queue: DispatchQueue) -> None:
        """A new dispatch is leased to who formed it, with its bytes and no attempt behind it."""
        reports = await desk.receive(2)
        lease = a_lease("mine")
        forming = a_forming(BETA, {b"\x00\xff<a/>": reports}, read_to=reports[-1])

        (leased,) = await queue.form(NOON, leases(lease), [forming])

        assert (leased.endpoint, leased.url, leased.content_type) == (
            "beta",
            BETA.url,
            "application/xml",
        )
        assert (leased.body, leased.reports, leased.attempts_made) == (b"\x00\xff<a/>", 2, 0)
        assert (leased.due_at, leased.lease) == (NOON, lease)
        view = await desk.view(leased)
        assert (view.state, view.created_at, view.report_ids) == ("leased", NOON, reports)

    async def test_a_bucket_without_bytes_waits(self, desk: Desk, queue: DispatchQueue) -> None:
        """Bytes that could not be made cost no report: its dispatch is due at once, and is claimed
        without them. Bytes that are made later are kept, and are those of each later attempt."""
        reports = await desk.receive(2)
        forming = replace(await desk.forming(reports), bodies=[b"fine", None])

        formed = await queue.form(NOON, leases(), [forming])

        assert [(each.body, each.encoded) for each in formed] == [(b"fine", True)]
        (claimed,) = await desk.claim(NOON)
        assert (claimed.body, claimed.encoded, claimed.reports) == (b"", False, 1)
        assert claimed.attempts_made == 0
        assert (await desk.view(claimed)).report_ids == reports[1:]

        assert await queue.keep_body(claimed, b"made")
        assert not await queue.keep_body(claimed, b"made anew")
        await queue.record([a_record(claimed)])
        (again,) = await desk.claim()
        assert (again.body, again.encoded) == (b"made", True)

    async def test_bytes_of_a_first_attempt_that_failed_are_kept(
        self, desk: Desk, queue: DispatchQueue
    ) -> None:
        """And of one that was given back. What was acknowledged at once has none that anybody
        reads."""
        (failed, back) = await desk.dispatches(2)
        await queue.record([a_record(failed, due_at=NOON + MINUTE)])
        await queue.release([back], broken_off=NOON)

        claimed = await desk.claim()

        assert [(each.body, each.encoded) for each in claimed] == [
            (back.body, True),
            (failed.body, True),
        ]

    async def test_bytes_of_a_lease_that_ran_out_are_not_kept(
        self, desk: Desk, queue: DispatchQueue
    ) -> None:
        """The process that had them has died. Whoever claims the dispatch is told all that it takes
        to make the same bytes: its reports, in order, the content type and the generation."""
        reports = await desk.receive(2)
        forming = await desk.forming(reports[:1])
        told = replace(forming.buckets[0], generation="v2")
        (first,) = await queue.form(NOON, leases(), [replace(forming, buckets=[told])])
        await queue.release_expired(first.lease.until)

        (claimed,) = await desk.claim()

        assert (claimed.body, claimed.encoded) == (b"", False)
        assert (claimed.generation, claimed.content_type) == (told.generation, first.content_type)
        assert (await desk.view(claimed)).report_ids == reports[:1]
        assert claimed.webhook_id == first.webhook_id

    @pytest.mark.parametrize("changed", [{"generation": "v3"}, {"content_type": "application/xml"}])
    async def test_bytes_that_a_later_version_may_make_otherwise_are_kept_at_once(
        self, desk: Desk, queue: DispatchQueue, changed: dict[str, Any]
    ) -> None:
        """XML, and JSON in another generation than the reports came in, are made by an encoder."""
        forming = await desk.forming(await desk.receive())
        (bucket,) = forming.buckets
        if "generation" in changed:
            told = [replace(report, generation="v2") for report in bucket.reports]
            bucket = replace(bucket, reports=told, **changed)
        else:
            bucket = replace(bucket, target=replace(bucket.target, **changed))
        (first,) = await queue.form(NOON, leases(), [replace(forming, buckets=[bucket])])
        await queue.release_expired(first.lease.until)

        (claimed,) = await desk.claim()

        assert (claimed.body, claimed.encoded) == (first.body, True)

    async def test_bytes_are_kept_under_a_valid_lease(
        self, desk: Desk, queue: DispatchQueue
    ) -> None:
        """Whoever comes with an old lease keeps nothing: another has the dispatch."""
        (report,) = await desk.receive()
        await queue.form(NOON, leases(), [replace(await desk.forming([report]), bodies=[None])])
        (late,) = await desk.claim(NOON, lease=Lease("old", NOON + MINUTE))
        await queue.release_expired(NOON + MINUTE)
        (claimed,) = await desk.claim(NOON + MINUTE)

        assert not await queue.keep_body(late, b"late")

        assert await queue.keep_body(claimed, b"in time")

    async def test_forming_reads_on(self, desk: Desk, queue: DispatchQueue) -> None:
        """With the dispatches goes how far the endpoint has read, that of each endpoint alone."""
        reports = await desk.receive(3)
        await queue.form(NOON, leases(), [await desk.forming(reports[:2])])

        assert (await queue.pending(NOON)).unread == {"acme": reports[1], "beta": 0}

    async def test_reads_on_without_dispatches(self, desk: Desk, queue: DispatchQueue) -> None:
        """Reports that go nowhere are read off, too."""
        reports = await desk.receive(3)

        nothing = a_forming(ACME, {}, read_to=reports[-1])
        assert await queue.form(NOON, leases(), [nothing]) == []

        assert "acme" not in (await queue.pending(NOON)).unread

    async def test_not_formed_twice(self, desk: Desk, queue: DispatchQueue) -> None:
        """When another worker has read on meanwhile, nothing is added for that endpoint."""
        reports = await desk.receive(2)
        same = await desk.forming(reports)
        beta = await desk.forming(reports, BETA)
        assert len(await queue.form(NOON, leases(), [same])) == 2

        formed = await queue.form(NOON, leases(), [same, beta])

        assert {each.endpoint for each in formed} == {"beta"}
        assert len(await queue.dispatches(endpoint="acme")) == 2

    async def test_two_workers_form_each_report_once(
        self, backend: QueueBackend, desk: Desk
    ) -> None:
        """Of workers that read the same reports at the same time, one has them."""
        reports = await desk.receive(5)
        forming = await desk.forming(reports)
        other = await backend.another_queue()

        formed = await asyncio.gather(
            *(queue.form(NOON, leases(), [forming]) for queue in (desk.queue, other) * 5)
        )

        assert sorted(map(len, formed)) == [0] * 9 + [5]

    async def test_two_writers_and_a_reader_that_goes_on(
        self, backend: QueueBackend, desk: Desk
    ) -> None:
        """Two processes store reports at once while a worker reads on from the last one it has
        seen: it misses none, and forms none twice."""
        stores = [desk.store, await backend.another_store()]

        async def write(store: ReportStore, writer: str) -> None:
            for n in range(20):
                await store.add([a_callback(an_sms(f"{writer} {n}"), an_sms(f"{writer} {n} too"))])

        writing = [
            asyncio.create_task(write(stores[n % 2], f"writer {n}")) for n in range(len(stores) * 2)
        ]
        while not all(task.done() for task in writing):
            await desk.read_on(3)
            await asyncio.sleep(0)  # the writers' turn, where nothing waits for a disk
        await asyncio.gather(*writing)
        while await desk.read_on(3):
            pass

        stored = [report.id for report in await desk.store.reports_after(0, 1_000)]
        formed = await desk.queue.dispatches(limit=1_000, endpoint="acme")
        assert len(stored) == 160
        assert [each for view in reversed(formed) for each in view.report_ids] == stored

    async def test_who_has_read_on_from_elsewhere_takes_nothing(
        self, backend: QueueBackend, desk: Desk, queue: DispatchQueue
    ) -> None:
        """How far an endpoint has read is taken over from the place that it was read from, and
        from no other: neither from one before it nor from one after it."""
        reports = await desk.receive(4)
        await queue.form(NOON, leases(), [await desk.forming(reports[:2])])
        other = await backend.another_queue()

        for place in (0, reports[0], reports[2], reports[3]):
            wrong = await desk.forming(reports[2:], read_from=place)
            wrong = replace(wrong, hold=[a_report(reports[3], 7)])
            assert await other.form(NOON, leases(), [wrong]) == []

        assert (await queue.pending(NOON)).unread["acme"] == reports[1]
        assert await queue.blocked("acme", [("default", 7)], []) == frozenset()
        right = await desk.forming(reports[2:], read_from=reports[1])
        assert len(await other.form(NOON, leases(), [right])) == 2

    async def test_ids_that_have_gaps(
        self, backend: QueueBackend, desk: Desk, queue: DispatchQueue
    ) -> None:
        """Nobody takes the next id to be one more than the last: neither of reports nor of
        dispatches."""
        await desk.dispatches(2)
        await backend.skip_ids(1_000)
        reports = await desk.receive(2)
        await backend.skip_ids(1_000)
        reports += await desk.receive(2)
        assert reports[-1] - reports[0] > 1_000
        forming = a_forming(ACME, {b"all": reports}, read_from=2, read_to=reports[-1])

        (leased,) = await queue.form(NOON, leases(), [forming])

        assert (await desk.view(leased)).report_ids == reports
        assert leased.reports == 4
        ids = [view.id for view in await queue.dispatches()]
        assert [int(each.rpartition("-")[2]) for each in ids] == [2_003, 2, 1]
        between = leased.name.replace("2003", "1500")
        assert [view.id for view in await queue.dispatches(before=between)] == ids[1:]
        assert await queue.dispatch(between) is None
        assert names(await desk.dispatches()) == [leased.name.replace("2003", "2004")]

    async def test_instants_that_do_not_ascend(self, desk: Desk, queue: DispatchQueue) -> None:
        """A clock that was set back changes no id and no order of attempts; what is due goes by
        its instant alone."""
        (first,) = await desk.dispatches(at=NOON, lease=a_lease(until=NOON + 9 * MINUTE))
        before = NOON - timedelta(hours=1)
        (second,) = await desk.dispatches(at=before, lease=a_lease(until=before + MINUTE))

        assert [view.id for view in await queue.dispatches()] == [second.name, first.name]
        assert await desk.next_due() == before + MINUTE
        assert await queue.release_expired(before + MINUTE) == 1
        assert await desk.next_due() == before
        await queue.release([first])
        assert names(await desk.claim(NOON)) == [second.name, first.name]

    async def test_attempts_whose_instants_do_not_ascend(
        self, desk: Desk, queue: DispatchQueue
    ) -> None:
        """The history is in the order of the attempts, whenever they say that they were."""
        (leased,) = await desk.dispatches()
        await queue.record([a_record(leased, due_at=NOON)])
        (again,) = await desk.claim(NOON)
        earlier = NOON - timedelta(days=1)
        await queue.record([a_record(again, "exhausted", started_at=earlier)])

        _, history = await desk.look(leased)
        assert [(each.number, each.started_at) for each in history] == [(1, NOON), (2, earlier)]

    # --- claiming ------------------------------------------------------------------------------

    async def test_claims_what_is_due(self, desk: Desk, queue: DispatchQueue) -> None:
        """A dispatch is claimed at its due time, and not a microsecond before."""
        (waiting,) = await desk.waiting(due_at=NOON + MINUTE)
        before = NOON + MINUTE - timedelta(microseconds=1)

        assert (await queue.pending(before)).due == frozenset()
        assert await desk.claim(before) == []
        assert (await queue.pending(NOON + MINUTE)).due == {"acme"}
        assert names(await desk.claim(NOON + MINUTE)) == [waiting.name]

    async def test_claims_the_oldest_first(self, desk: Desk) -> None:
        """What has been due for longest comes first, and of equals the one formed first."""
        leased = await desk.dispatches(5)
        due = [NOON + n * MINUTE for n in (3, 1, 2, 1, 9)]
        await desk.queue.record(
            [a_record(each, due_at=at) for each, at in zip(leased, due, strict=True)]
        )

        claimed = await desk.claim(NOON + 5 * MINUTE)

        assert names(claimed) == [leased[n].name for n in (1, 3, 2, 0)]
        assert [each.due_at for each in claimed] == [NOON + n * MINUTE for n in (1, 1, 2, 3)]

    async def test_the_oldest_is_what_has_been_due_for_longest(self, desk: Desk) -> None:
        """When there is room for one, that is the one due first and not the one formed first."""
        (later,) = await desk.waiting(due_at=NOON + 2 * MINUTE)
        (sooner,) = await desk.waiting(due_at=NOON + MINUTE)

        assert names(await desk.claim(NOON + 3 * MINUTE, room=1)) == [sooner.name]
        assert names(await desk.claim(NOON + 3 * MINUTE, room=1)) == [later.name]

    async def test_claims_within_room(self, desk: Desk) -> None:
        """No more is claimed than there is room for, the most urgent; the rest stays due."""
        waiting = await desk.waiting(5)

        assert names(await desk.claim(room=2)) == names(waiting[:2])
        assert await desk.claim(room=0) == []
        assert names(await desk.claim(room=9)) == names(waiting[2:])
        assert await desk.claim() == []

    async def test_claims_by_endpoint(self, desk: Desk, queue: DispatchQueue) -> None:
        """Each endpoint has its own room and lease; one that is not asked for is left alone."""
        acme, beta = await desk.waiting(3), await desk.waiting(3, BETA)
        leases = {"acme": a_lease("a"), "beta": a_lease("b")}

        assert {each.endpoint for each in await desk.claim(room=1)} == {"acme"}
        claimed = await queue.claim_due(NOON + MINUTE, leases, {"acme": 1, "beta": 2})

        assert names(claimed) == [acme[1].name, beta[0].name, beta[1].name]
        assert [each.lease.token for each in claimed] == ["a", "b", "b"]

    async def test_claimed_dispatch_is_whole(self, desk: Desk) -> None:
        """What is claimed has everything that is needed to send it."""
        (waiting,) = await desk.waiting()
        lease = a_lease("t9", NOON + 9 * MINUTE)

        (claimed,) = await desk.claim(lease=lease)

        assert claimed == replace(waiting, attempts_made=1, due_at=NOON + MINUTE, lease=lease)

    async def test_same_bytes_and_name_each_time(self, desk: Desk, queue: DispatchQueue) -> None:
        """At each attempt a dispatch has the bytes and the name with which it was formed."""
        (first,) = await desk.dispatches()
        at, dispatch = NOON, first
        for n in range(5):
            await queue.record([a_record(dispatch, due_at=at + MINUTE)])
            at += MINUTE
            (dispatch,) = await desk.claim(at, lease=Lease(f"again-{n}", at + MINUTE))
            assert (dispatch.name, dispatch.body) == (first.name, first.body)
            assert dispatch.attempts_made == n + 1

    async def test_two_claimers_never_get_the_same(self, backend: QueueBackend, desk: Desk) -> None:
        """Workers that claim at the same time share the dispatches out; none is left behind."""
        waiting = await desk.waiting(60)
        queues = [desk.queue, await backend.another_queue()]

        async def work(queue: DispatchQueue, token: str) -> list[str]:
            claimed: list[str] = []
            leases = {"acme": a_lease(token)}
            while batch := await queue.claim_due(NOON + MINUTE, leases, {"acme": 3}):
                claimed += names(batch)
            return claimed

        shares = await asyncio.gather(*(work(queues[n % 2], f"worker-{n}") for n in range(6)))

        claimed = [name for share in shares for name in share]
        assert sorted(claimed) == sorted(names(waiting))

    # --- recording -----------------------------------------------------------------------------

    @pytest.mark.parametrize("state", ["acknowledged", "exhausted"])
    async def test_records_an_end(
        self, desk: Desk, queue: DispatchQueue, state: DispatchState
    ) -> None:
        """A dispatch that has ended is never due again."""
        (leased,) = await desk.dispatches()

        assert await queue.record([a_record(leased, state)]) == [True]

        view = await desk.view(leased)
        assert (view.state, view.attempts, view.due_at) == (state, 1, None)
        assert await desk.next_due() is None
        assert await desk.claim(NOON + timedelta(days=365)) == []
        assert await queue.release_expired(NOON + timedelta(days=365)) == 0

    async def test_records_a_failure(self, desk: Desk, queue: DispatchQueue) -> None:
        """Attempt, new state and next due time are there together."""
        (leased,) = await desk.dispatches()

        assert await queue.record([a_record(leased, due_at=NOON + 5 * MINUTE)]) == [True]

        view, history = await desk.look(leased)
        assert (view.state, view.attempts, view.due_at) == ("waiting", 1, NOON + 5 * MINUTE)
        assert history == [StoredAttempt(1, NOON, 12.5, 503, "failed", None, b"come again")]

    async def test_late_record_is_not_stored(self, desk: Desk, queue: DispatchQueue) -> None:
        """What comes back with an old token is late: it is told so, and nothing of it is kept."""
        (leased,) = await desk.dispatches(lease=a_lease("old"))
        await queue.release_expired(NOON + MINUTE)
        (again,) = await desk.claim(lease=a_lease("new"))
        late = a_record(leased, "acknowledged", status=200)

        assert await queue.record([late]) == [False]
        view, history = await desk.look(leased)
        assert (view.state, view.attempts, history) == ("leased", 0, [])

        assert await queue.record([a_record(again), late]) == [True, False]
        view, history = await desk.look(leased)
        assert (view.state, view.attempts) == ("waiting", 1)
        assert [attempt.status for attempt in history] == [503]

    async def test_late_though_nobody_has_claimed_it(
        self, backend: QueueBackend, desk: Desk, queue: DispatchQueue
    ) -> None:
        """After the rescue a record is late, whoever has rescued and though nobody has claimed."""
        (leased,) = await desk.dispatches()
        other = await backend.another_queue()
        assert await other.release_expired(NOON + MINUTE) == 1

        assert await queue.record([a_record(leased, "acknowledged", status=200)]) == [False]

        view, history = await desk.look(leased)
        assert (view.state, view.attempts, history) == ("waiting", 0, [])

    async def test_two_that_rescue_at_once(self, backend: QueueBackend, desk: Desk) -> None:
        """Each lease that ran out is rescued once, and each dispatch recorded by its new holder
        alone."""
        old = await desk.dispatches(20)
        other = await backend.another_queue()

        rescued = await asyncio.gather(
            *(queue.release_expired(NOON + MINUTE) for queue in (desk.queue, other) * 3)
        )
        new = await desk.claim(lease=a_lease("new"))
        records = [[a_record(each) for each in held] for held in (old, new)]
        late, good = await asyncio.gather(desk.queue.record(records[0]), other.record(records[1]))

        assert (sum(rescued), len(new)) == (20, 20)
        assert (any(late), all(good)) == (False, True)
        assert (await desk.queue.counts())["acme"] == {"waiting": 20}

    async def test_record_before_the_rescue_counts(self, desk: Desk, queue: DispatchQueue) -> None:
        """A lease that ran out is valid until somebody rescues it: the attempt was made."""
        (leased,) = await desk.dispatches(lease=a_lease(until=NOON))

        assert await queue.record([a_record(leased, "acknowledged", status=200)]) == [True]
        assert await queue.release_expired(NOON + MINUTE) == 0

    async def test_records_each_by_itself(self, desk: Desk, queue: DispatchQueue) -> None:
        """A late record among others costs them nothing."""
        one, two, three = await desk.dispatches(3)
        await queue.release([two])

        records = [a_record(one), a_record(two), a_record(three, "exhausted")]
        assert await queue.record(records) == [True, False, True]
        counts = (await queue.counts())["acme"]
        assert counts == {"waiting": 2, "exhausted": 1}
        assert (await desk.look(two))[1] == []

    async def test_records_once(self, desk: Desk, queue: DispatchQueue) -> None:
        """The same record a second time is late."""
        (leased,) = await desk.dispatches()
        record = a_record(leased)

        assert await queue.record([record, record]) == [True, False]
        assert await queue.record([record]) == [False]
        assert len((await desk.look(leased))[1]) == 1

    async def test_records_along_with_what_is_formed(
        self, desk: Desk, queue: DispatchQueue
    ) -> None:
        """Attempts are recorded and dispatches formed as if each were done alone. A lease that has
        ended is told, and costs nobody else."""
        held, late = await desk.dispatches(2)
        forming = await desk.forming(await desk.receive(2))
        records = [
            a_record(held, "acknowledged", status=200),
            a_record(late, token="another"),
        ]

        formed, recorded = await queue.form_and_record(NOON, leases(), [forming], records)

        assert recorded == [True, False]
        assert [each.body for each in formed] == forming.bodies
        assert (await queue.pending(NOON)).unread.get(ACME.name) is None
        states = [(await desk.view(each)).state for each in (held, late, *formed)]
        assert states == ["acknowledged", "leased", "leased", "leased"]
        assert len((await desk.look(held))[1]) == 1
        assert await queue.form_and_record(NOON, leases(), [], []) == ([], [])

    async def test_records_for_unknown_dispatch(self, desk: Desk, queue: DispatchQueue) -> None:
        """A record for a dispatch that is not there is late."""
        (leased,) = await desk.dispatches()

        assert await queue.record([replace(a_record(leased), dispatch=leased.id + 1)]) == [False]
        assert await queue.record([]) == []

    async def test_history(self, desk: Desk, queue: DispatchQueue) -> None:
        """The history has every attempt in order, also one that had no answer at all."""
        (leased,) = await desk.dispatches()
        silent = replace(
            a_record(leased),
            answer=Answer(10_000.25, failure=Outcome.TIMED_OUT, error="no answer in time"),
            outcome=Outcome.TIMED_OUT,
        )
        await queue.record([silent])
        (again,) = await desk.claim()
        later = NOON + MINUTE
        odd = a_record(again, "acknowledged", status=200, started_at=later)
        odd = replace(odd, answer=replace(odd.answer, note="two lengths"))
        await queue.record([odd])

        _, history = await desk.look(leased)
        assert history == [
            StoredAttempt(1, NOON, 10_000.25, None, "timed_out", "no answer in time", b""),
            StoredAttempt(2, later, 12.5, 200, "acknowledged", None, b"come again", "two lengths"),
        ]

    # --- leases --------------------------------------------------------------------------------

    async def test_history_tells_of_attempts_that_were_not_recorded(
        self, desk: Desk, queue: DispatchQueue
    ) -> None:
        """A worker that is killed between its push and the record of it leaves a lease that runs
        out. The push is repeated under the same number: the history said nothing of the first one,
        and a customer who had got it twice was told that it had been sent once."""
        (killed,) = await desk.dispatches()
        await queue.release_expired(NOON + MINUTE)
        (stopped,) = await desk.claim()
        await queue.release([stopped], broken_off=NOON + MINUTE)
        (unused,) = await desk.claim()
        await queue.release([unused])
        (last,) = await desk.claim()
        await queue.record([a_record(last)])
        (again,) = await desk.claim()
        await queue.record([a_record(again, "acknowledged", status=200)])

        _, history = await desk.look(killed)

        assert [(each.number, each.unrecorded) for each in history] == [(1, 2), (2, 0)]

    async def test_a_late_release_tells_of_nothing(self, desk: Desk, queue: DispatchQueue) -> None:
        """What is not that worker's any more, nobody's history tells of."""
        (late,) = await desk.dispatches()
        assert await queue.record([a_record(late, "acknowledged", status=200)]) == [True]
        await queue.release([late], broken_off=NOON)

        _, history = await desk.look(late)

        assert [each.unrecorded for each in history] == [0]

    async def test_release(self, desk: Desk, queue: DispatchQueue) -> None:
        """A lease that is given back leaves its dispatch due as it was, with no attempt counted."""
        fresh = await desk.dispatches(at=NOON)
        await desk.waiting()
        retried = await desk.claim()

        await queue.release([*fresh, *retried])

        again = await desk.claim(lease=a_lease("t3"))
        assert names(again) == names([*fresh, *retried])
        assert [(each.attempts_made, each.due_at) for each in again] == [
            (0, NOON),
            (1, NOON + MINUTE),
        ]

    async def test_release_with_old_token(self, desk: Desk, queue: DispatchQueue) -> None:
        """Who has lost a lease cannot give it back."""
        (leased,) = await desk.dispatches(lease=a_lease("old"))
        await queue.release_expired(NOON + MINUTE)
        await desk.claim(lease=a_lease("new"))

        await queue.release([leased])

        assert (await desk.view(leased)).state == "leased"

    async def test_release_expired(self, desk: Desk, queue: DispatchQueue) -> None:
        """A lease that ran out makes its dispatch due again; that is no attempt."""
        (leased,) = await desk.dispatches(lease=a_lease(until=NOON + MINUTE))
        (other,) = await desk.dispatches(lease=a_lease(until=NOON + 2 * MINUTE))

        assert await queue.release_expired(NOON + MINUTE - timedelta(microseconds=1)) == 0
        assert await queue.release_expired(NOON + MINUTE) == 1

        view, history = await desk.look(leased)
        assert (view.state, view.attempts, view.due_at, history) == ("waiting", 0, NOON, [])
        assert (await desk.view(other)).state == "leased"

    async def test_next_due(self, desk: Desk) -> None:
        """The next instant is the earliest at which something is due or a lease runs out."""
        assert await desk.next_due() is None
        await desk.dispatches(lease=a_lease(until=NOON + 9 * MINUTE))
        assert await desk.next_due() == NOON + 9 * MINUTE
        await desk.waiting(1, BETA, due_at=NOON + 4 * MINUTE)
        assert await desk.next_due() == NOON + 4 * MINUTE
        await desk.waiting(due_at=NOON + 2 * MINUTE)
        assert await desk.next_due() == NOON + 2 * MINUTE
        assert await desk.queue.next_due(["beta"]) == NOON + 4 * MINUTE
        pending = await desk.queue.pending(NOON)
        for names_asked in (["acme"], ["beta"], ["acme", "beta"], ["nobody"]):
            assert pending.next_due(names_asked) == await desk.queue.next_due(names_asked)
        assert await desk.queue.next_due(["nobody"]) == NOON + 9 * MINUTE

    async def test_removed_endpoint_is_not_due(self, desk: Desk, queue: DispatchQueue) -> None:
        """What waits for an endpoint that was taken out of the settings is kept and not tried."""
        (waiting,) = await desk.waiting()
        await queue.adopt([BETA])

        assert await desk.next_due() is None
        assert (await queue.pending(NOON + MINUTE)).due == frozenset()
        assert (await desk.view(waiting)).state == "waiting"

        await queue.adopt([ACME, BETA])
        assert (await queue.pending(NOON + MINUTE)).due == {"acme"}

    # --- order ---------------------------------------------------------------------------------

    async def test_a_later_report_is_held_until_the_earlier_has_ended(
        self, desk: Desk, queue: DispatchQueue
    ) -> None:
        """What is held for a message that is under way is freed when its dispatch ends, however it
        ends, and not while it waits to be repeated."""
        for end in ("acknowledged", "exhausted", "cancelled"):
            first, second = await desk.of_one_message()
            (leased,) = await desk.in_order([first], hold=[second])
            assert await queue.freed("acme", 9) == []
            await queue.record([a_record(leased)])
            assert await queue.freed("acme", 9) == []
            assert (await queue.pending(NOON)).freed == frozenset()

            if end == "cancelled":
                await queue.cancel(leased.name)
            else:
                (leased,) = await desk.claim()
                await queue.record([a_record(leased, end)])

            assert await queue.freed("acme", 9) == [second]
            pending = await queue.pending(NOON)
            assert pending.freed == {"acme"}
            assert "acme" in pending.unread
            (held,) = await desk.in_order([second], freed=[second])
            assert await queue.freed("acme", 9) == []
            assert await queue.record([a_record(held, "acknowledged", status=200)]) == [True]

    async def test_blocked(self, desk: Desk, queue: DispatchQueue) -> None:
        """A message is blocked while it is under way, and while a report of it is held that the
        asker does not take along; elsewhere it is not."""
        first, second = await desk.of_one_message()
        message = desk.message(first)
        messages = [message, ("default", 7)]
        assert await queue.blocked("acme", messages, []) == frozenset()

        (leased,) = await desk.in_order([first], hold=[second])
        assert await queue.blocked("acme", messages, [second]) == {message}
        await queue.record([a_record(leased, "acknowledged", status=200)])

        assert await queue.blocked("acme", [message], []) == {message}
        assert await queue.blocked("acme", [message], [second]) == frozenset()
        assert await queue.blocked("beta", [message], []) == frozenset()

    async def test_messages_of_two_sources(self, desk: Desk, queue: DispatchQueue) -> None:
        """A message is of a source: what is under way or held of alpha's does not hold up beta's
        with the same key, and its end frees nothing of beta's."""
        await desk.receive(4)
        in_order = replace(ACME, ordered=True)
        alpha, later = a_report(1, 7, "alpha"), a_report(3, 7, "alpha")
        beta, last = a_report(2, 7, "beta"), a_report(4, 7, "beta")

        def taken(report: StoredReport, hold: StoredReport, read_from: int) -> Forming:
            bucket, read_to = a_bucket(ACME, [report]), hold.id
            return Forming(in_order, read_from, read_to, [bucket], [b"[]"], [hold])

        (of_alpha,) = await queue.form(NOON, leases(), [taken(alpha, later, 0)])
        messages = [alpha.message, beta.message]
        assert await queue.blocked("acme", messages, []) == {alpha.message}
        (of_beta,) = await queue.form(NOON, leases(), [taken(beta, last, 3)])
        assert await queue.blocked("acme", messages, []) == set(messages)
        assert await queue.freed("acme", 9) == []

        await queue.record([a_record(of_beta, "acknowledged", status=200)])
        assert await queue.freed("acme", 9) == [4]
        await queue.record([a_record(of_alpha, "exhausted")])
        assert await queue.freed("acme", 9) == [3, 4]

    async def test_a_bucket_of_two_sources(self, desk: Desk, queue: DispatchQueue) -> None:
        """Reports of both sources in one dispatch are under way for both, until it ends."""
        await desk.receive(2)
        both = [a_report(1, 7, "alpha"), a_report(2, 7, "beta")]
        forming = Forming(replace(ACME, ordered=True), 0, 2, [a_bucket(ACME, both)], [b"[]"])
        (leased,) = await queue.form(NOON, leases(), [forming])
        messages = [report.message for report in both]
        assert await queue.blocked("acme", [*messages, ("gamma", 7)], []) == set(messages)

        await queue.record([a_record(leased, "acknowledged", status=200)])
        assert await queue.blocked("acme", messages, []) == frozenset()

    async def test_freed_in_the_order_of_arrival(self, desk: Desk, queue: DispatchQueue) -> None:
        """What was freed comes oldest first, and no more than is asked for."""
        first, *later = await desk.of_one_message(4)
        (leased,) = await desk.in_order([first], hold=later)
        await queue.record([a_record(leased, "acknowledged", status=200)])

        assert await queue.freed("acme", 2) == later[:2]
        assert await queue.freed("acme", 9) == later

    async def test_what_was_freed_is_taken_once(
        self, backend: QueueBackend, desk: Desk, queue: DispatchQueue
    ) -> None:
        """Of workers that have found the same freed report, one forms it; the others do nothing."""
        first, second = await desk.of_one_message()
        (leased,) = await desk.in_order([first], hold=[second])
        await queue.record([a_record(leased, "acknowledged", status=200)])
        forming = await desk.forming_in_order([second], freed=[second])
        other = await backend.another_queue()

        formed = await asyncio.gather(
            *(each.form(NOON, leases(), [forming]) for each in (queue, other) * 3)
        )

        assert sorted(map(len, formed)) == [0] * 5 + [1]

    async def test_what_was_freed_is_taken_once_without_order_too(
        self, desk: Desk, queue: DispatchQueue
    ) -> None:
        """An endpoint that keeps the order no more may still have reports that were held for it."""
        first, second = await desk.of_one_message()
        (leased,) = await desk.in_order([first], hold=[second])
        await queue.record([a_record(leased, "acknowledged", status=200)])
        forming = replace(await desk.forming_in_order([second], freed=[second]), endpoint=ACME)

        assert len(await queue.form(NOON, leases(), [forming])) == 1
        assert await queue.form(NOON, leases(), [forming]) == []

    async def test_what_was_freed_goes_together(self, desk: Desk, queue: DispatchQueue) -> None:
        """Reports of one message that are free may go in one bucket."""
        first, *later = await desk.of_one_message(3)
        (leased,) = await desk.in_order([first], hold=later)
        await queue.record([a_record(leased, "acknowledged", status=200)])

        (formed,) = await desk.in_order(later, freed=later)

        assert (await desk.view(formed)).report_ids == later

    async def test_a_message_that_is_under_way_is_not_formed_again(
        self, desk: Desk, queue: DispatchQueue
    ) -> None:
        """A worker that saw the message free, when it was, forms nothing when it is no more: nor
        does it read on or hold anything."""
        first, second, third = await desk.of_one_message(3)
        too_late = await desk.forming_in_order([second], hold=[third])
        (leased,) = await desk.in_order([first], read_to=first)
        too_late = replace(too_late, read_from=first, read_to=third)

        assert await queue.form(NOON, leases(), [too_late]) == []

        assert (await queue.pending(NOON)).unread["acme"] == first
        await queue.record([a_record(leased, "acknowledged", status=200)])
        assert await queue.freed("acme", 9) == []
        assert len(await queue.form(NOON, leases(), [too_late])) == 1

    async def test_what_did_not_fit_waits_again(self, desk: Desk, queue: DispatchQueue) -> None:
        """When some of the freed reports of a message go, the others wait for these."""
        first, second, third = await desk.of_one_message(3)
        (leased,) = await desk.in_order([first], hold=[second, third])
        await queue.record([a_record(leased, "acknowledged", status=200)])

        await desk.in_order([second], freed=[second])

        assert await queue.freed("acme", 9) == []

    async def test_last_attempts(self, desk: Desk, queue: DispatchQueue) -> None:
        """The last attempt of each of several dispatches is looked up in one go."""
        twice, once, never = await desk.dispatches(3)
        await queue.record([a_record(twice, due_at=NOON), a_record(once, "exhausted", status=410)])
        (later,) = await desk.claim()
        await queue.record([a_record(later, "acknowledged", status=200)])

        found = await queue.last_attempts([twice.name, once.name, never.name])

        assert {name: (each.number, each.status) for name, each in found.items()} == {
            twice.name: (2, 200),
            once.name: (1, 410),
        }
        assert await queue.last_attempts([]) == {}

    async def test_request(self, desk: Desk, queue: DispatchQueue) -> None:
        """What is kept of a request: its bytes as long as it waits with them."""
        (waiting,) = await desk.waiting()

        kept = await queue.request(waiting.name)

        assert kept is not None
        assert (kept.content_type, kept.body) == ("application/json", waiting.body)
        assert (kept.generation, kept.replay, kept.authorized) == (None, None, False)
        with pytest.raises(UnknownDispatch):
            await queue.request("another-1")

    # --- by hand -------------------------------------------------------------------------------

    async def test_cancel(self, desk: Desk, queue: DispatchQueue) -> None:
        """A cancelled dispatch is never tried again."""
        (waiting,) = await desk.waiting()

        await queue.cancel(waiting.name)

        view = await desk.view(waiting)
        assert (view.state, view.attempts, view.due_at) == ("cancelled", 1, None)
        assert await desk.claim(NOON + timedelta(days=365)) == []
        assert await desk.next_due() is None

    async def test_cancels_only_what_waits(self, desk: Desk, queue: DispatchQueue) -> None:
        """What is under way or has ended cannot be cancelled, and stays as it is."""
        leased, done, lost, gone = await desk.dispatches(4)
        await queue.record(
            [a_record(done, "acknowledged", status=200), a_record(lost, "exhausted")]
        )
        await queue.release([gone])
        await queue.cancel(gone.name)

        for dispatch in (leased, done, lost, gone):
            before = await desk.look(dispatch)
            with pytest.raises(InvalidTransition, match="cancelled"):
                await queue.cancel(dispatch.name)
            assert await desk.look(dispatch) == before

    async def test_names_of_another_database(self, backend: QueueBackend, desk: Desk) -> None:
        """A name given out by another database is unknown here, though its number is not."""
        (ours,) = await desk.waiting()
        foreign = await backend.foreign_queue()
        assert await foreign.dispatch(ours.name) is None
        with pytest.raises(UnknownDispatch):
            await foreign.cancel(ours.name)
        with pytest.raises(UnknownDispatch):
            await foreign.dispatches(before=ours.name)
        assert (await desk.view(ours)).state == "waiting"

    @pytest.mark.parametrize(
        "name", ["", "-", "1", "{}-", "{}-999", "{}-٣", "{}-+1", "{}--1", "{}-" + "9" * 30]
    )
    async def test_unknown_names(self, desk: Desk, queue: DispatchQueue, name: str) -> None:
        """What is no name of a dispatch is unknown, whatever it looks like."""
        (ours,) = await desk.waiting()
        name = name.format(ours.name.rpartition("-")[0])

        assert await queue.dispatch(name) is None
        with pytest.raises(UnknownDispatch):
            await queue.cancel(name)

    async def test_first_due(self, desk: Desk, queue: DispatchQueue) -> None:
        """The first due time of each endpoint that is asked for and has something waiting."""
        first, second = await desk.dispatches(2)
        await desk.dispatches(1, BETA)
        later = a_record(first, due_at=NOON + 2 * MINUTE)
        await queue.record([later, a_record(second, due_at=NOON + MINUTE)])

        assert await queue.first_due(["acme", "beta", "nobody"]) == {"acme": NOON + MINUTE}
        assert await queue.first_due(["beta"]) == {}
        assert await queue.first_due([]) == {}

    # --- now -----------------------------------------------------------------------------------

    async def test_retry(self, desk: Desk, queue: DispatchQueue) -> None:
        """A waiting dispatch is due now, and is claimed with the attempts that it had; another one
        that waits is not. What was due before stays so."""
        one, other = await desk.waiting(2, due_at=NOON + 5 * MINUTE)
        now = NOON + MINUTE
        await queue.retry(one.name, now)

        assert (await desk.view(one)).due_at == await queue.next_due() == now
        assert (await desk.view(other)).due_at == NOON + 5 * MINUTE
        await queue.retry(one.name, now + MINUTE)
        assert (await desk.view(one)).due_at == now
        assert [(e.id, e.attempts_made) for e in await desk.claim(now)] == [(one.id, 1)]

    async def test_retries_only_what_waits(self, desk: Desk, queue: DispatchQueue) -> None:
        """One that does not wait stays as it is; what is said tells what can be done instead."""
        leased, done, lost, gone = await desk.dispatches(4)
        await queue.record([a_record(done, "acknowledged", status=200), a_record(gone)])
        await queue.record([a_record(lost, "exhausted")])
        await queue.cancel(gone.name)
        told = {"leased": "an attempt is in progress", "acknowledged": "push it again instead"}
        told |= {"exhausted": "push it again instead", "cancelled": "push it again instead"}

        for dispatch in (leased, done, lost, gone):
            before = await desk.view(dispatch)
            with pytest.raises(NotWaiting, match=told[before.state]):
                await queue.retry(dispatch.name, NOON)
            assert await desk.view(dispatch) == before
        for name in ("ours-99", "foreign-1", "nonsense"):
            with pytest.raises(UnknownDispatch):
                await queue.retry(name, NOON)

    async def test_retry_all(self, desk: Desk, queue: DispatchQueue) -> None:
        """All that waits for an endpoint is due now, however much it is, the first that came first;
        what was due already is not counted. Other endpoints' go on waiting."""
        many = await desk.waiting(1_100, due_at=NOON + 5 * MINUTE)
        early = await desk.waiting(2, due_at=NOON)
        beta = await desk.waiting(2, BETA, due_at=NOON + 5 * MINUTE)
        (leased,) = await desk.dispatches(1, lease=a_lease(until=NOON + 9 * MINUTE))

        assert await queue.retry_all("acme", NOON + MINUTE) == 1_100
        assert await queue.retry_all("acme", NOON + MINUTE) == 0
        assert await queue.retry_all("nobody", NOON + MINUTE) == 0

        claimed = await desk.claim(NOON + MINUTE, room=2_000)
        assert [each.id for each in claimed] == [each.id for each in (*early, *many)]
        assert (await desk.view(beta[0])).due_at == NOON + 5 * MINUTE
        assert (await desk.view(leased)).state == "leased"

    # --- lists ---------------------------------------------------------------------------------

    async def test_lists_dispatches(self, desk: Desk, queue: DispatchQueue) -> None:
        """Dispatches are listed newest first; each filter narrows the list."""
        first, second = await desk.waiting(2)
        (third,) = await desk.dispatches(1, BETA)

        async def listed(**wanted: object) -> list[str]:
            return [view.id for view in await queue.dispatches(**wanted)]  # type: ignore[arg-type]

        assert await listed() == [third.name, second.name, first.name]
        assert await listed(endpoint="acme") == [second.name, first.name]
        assert await listed(endpoint="nobody") == []
        assert await listed(endpoint="ACME") == await listed(endpoint="ac_e") == []
        assert await listed(endpoint="%") == []
        assert await listed(state="waiting") == [second.name, first.name]
        assert await listed(state="waiting", endpoint="beta") == []
        assert await listed(limit=1) == [third.name]
        assert await listed(before=third.name, limit=1) == [second.name]
        assert await listed(before=first.name) == []

    async def test_finds_dispatches(
        self, backend: QueueBackend, desk: Desk, queue: DispatchQueue
    ) -> None:
        """A search finds what fits all that is asked for, newest first, and nothing else: each
        filter by itself, and any two together. Page after page finds the same."""
        await _varied(backend, desk)
        wanted = [*_FILTERS, *({**a, **b} for a, b in combinations(_FILTERS, 2))]
        whole = await _found_among_all(queue, {})
        assert len(whole) > 10

        for filters in wanted:
            expected = await _found_among_all(queue, filters)
            assert await _paged(queue, filters, limit=100) == expected, filters
            assert await _paged(queue, filters, limit=2) == expected, filters
        for filters in _FILTERS:
            assert await _found_among_all(queue, filters) not in ([], whole), filters

    async def test_finds_what_carries_a_report(self, desk: Desk, queue: DispatchQueue) -> None:
        """The dispatches of a message are those that carry one of its reports, of every endpoint;
        the other filters narrow these."""
        reports = await desk.receive(3)
        await queue.form(NOON, leases(), [await desk.forming(reports)])
        await queue.form(NOON, leases(), [await desk.forming(reports[:1], BETA)])

        async def found(of: OfMessage, **more: Any) -> list[str]:
            search = DispatchSearch(message=of, **more)
            return [each.endpoint for each in (await queue.find(search)).dispatches]

        assert await found(OfMessage(reports[:1])) == ["beta", "acme"]
        assert await found(OfMessage(reports[:1]), endpoint="acme") == ["acme"]
        assert await found(OfMessage(reports[:1]), outcome="failed") == []
        assert await found(OfMessage(reports)) == ["beta", "acme", "acme", "acme"]
        assert await found(OfMessage()) == []
        assert await found(OfMessage(reports[:1], "m1")) == ["beta", "acme"]

    async def test_finds_nothing_behind_a_foreign_cursor(
        self, backend: QueueBackend, queue: DispatchQueue
    ) -> None:
        """A cursor of another database is refused, not taken for one of this."""
        foreign = Desk(backend)
        foreign.queue = await backend.foreign_queue()

        for name in ("foreign-1", "nonsense", ""):
            with pytest.raises(UnknownDispatch):
                await queue.find(DispatchSearch(before=name))

    async def test_lists_what_waits_for_several_endpoints(
        self, desk: Desk, queue: DispatchQueue
    ) -> None:
        """Newest first whomever it is for, page by page, and each once."""
        made = [
            leased.name
            for endpoint in (ACME, BETA, BETA, ACME, BETA)
            for leased in await desk.waiting(2, endpoint)
        ]
        for size in (1, 3, 20):
            listed: list[str] = []
            while page := await queue.dispatches(
                state="waiting", limit=size, before=listed[-1] if listed else None
            ):
                assert len(page) == min(size, len(made) - len(listed))
                listed += [view.id for view in page]
            assert listed == made[::-1]
        of_beta = await queue.dispatches(state="waiting", endpoint="beta", limit=4, before=made[9])
        assert [view.id for view in of_beta] == [made[8], made[5], made[4], made[3]]

    async def test_reports_that_are_far_apart(self, desk: Desk, queue: DispatchQueue) -> None:
        """A dispatch has the reports that it has, however many of others lie between them."""
        reports = await desk.receive(60)
        near, far = reports[10:13], [reports[0], reports[30], reports[59]]
        others = {f"{each}".encode(): [each] for each in reports}
        place = (await queue.pending(NOON)).unread[ACME.name]
        made = {b"near": near, b"far": far}
        forming = a_forming(ACME, made, read_from=place, read_to=reports[-1])
        beside = a_forming(BETA, others, read_from=place, read_to=reports[-1])

        formed = await queue.form(NOON, leases(), [forming, beside])

        views = [await desk.view(each) for each in formed]
        assert [list(each.report_ids) for each in views] == [near, far, *([r] for r in reports)]
        listed = await queue.dispatches(endpoint=ACME.name)
        assert [list(each.report_ids) for each in listed] == [far, near]

    async def test_many_reports_are_asked_for(self, desk: Desk, queue: DispatchQueue) -> None:
        """A list may be asked for more reports than a statement has parameters."""
        (dispatch,) = await desk.dispatches()
        view = await desk.view(dispatch)

        found = await queue.dispatches(report_ids=[*range(100_000), *view.report_ids])

        assert [each.id for each in found] == [dispatch.name]

    async def test_attempts_of_several(self, desk: Desk, queue: DispatchQueue) -> None:
        """The attempts of several dispatches in one go are those of each."""
        tried, untried = await desk.dispatches(2)
        await queue.record([a_record(tried)])

        found = await queue.attempts([tried.name, untried.name])

        assert found == {
            name: (await desk.look(each))[1]
            for name, each in ((tried.name, tried), (untried.name, untried))
        }
        assert [len(found[each.name]) for each in (tried, untried)] == [1, 0]

    async def test_dispatches_of_reports(self, desk: Desk, queue: DispatchQueue) -> None:
        """The dispatches that carry a report are found by it, those of every endpoint."""
        reports = await desk.receive(4)
        both = a_forming(ACME, {b"1": reports[:2], b"2": reports[2:]}, read_to=reports[-1])
        await queue.form(NOON, leases(), [both, await desk.forming(reports[:1], BETA)])

        async def carriers(*wanted: int) -> list[tuple[str, list[int]]]:
            found = await queue.dispatches(report_ids=wanted)
            return [(view.endpoint, list(view.report_ids)) for view in found]

        assert await carriers(reports[0]) == [("beta", reports[:1]), ("acme", reports[:2])]
        assert await carriers(reports[3]) == [("acme", reports[2:])]
        assert len(await carriers(*reports)) == 3
        assert await carriers() == []

    async def test_counts(self, desk: Desk, queue: DispatchQueue) -> None:
        """Dispatches are counted by endpoint and state."""
        assert await queue.counts() == {}
        await desk.waiting(2)
        await desk.dispatches(1)
        await desk.dispatches(3, BETA)

        assert await queue.counts() == {
            "acme": {"waiting": 2, "leased": 1},
            "beta": {"leased": 3},
        }


class LostStoreContract:
    """What holds when the database is lost in the middle of a transaction: nothing is half done,
    and all goes on when it is there again."""

    @pytest.fixture
    def queue(self, backend: QueueBackend) -> DispatchQueue:
        return backend.queue

    @pytest.fixture
    async def desk(self, backend: QueueBackend) -> Desk:
        await backend.queue.adopt([ACME, BETA])
        return Desk(backend)

    async def test_forming_is_atomic(self, desk: Desk, queue: DispatchQueue) -> None:
        """If one dispatch cannot be stored, no dispatch is, and nothing is read off."""
        reports = await desk.receive(2)
        good, bad = await desk.forming(reports), await desk.forming(reports, BETA)
        too_high = a_forming(BETA, {b"": [2**63]}, read_to=0)
        buckets, bodies = [*bad.buckets, *too_high.buckets], [*bad.bodies, *too_high.bodies]
        bad = replace(bad, buckets=buckets, bodies=bodies)
        before = await queue.pending(NOON)

        with pytest.raises(OverflowError):
            await queue.form(NOON, leases(), [good, bad])

        assert await queue.pending(NOON) == before
        assert await queue.dispatches() == []

    async def test_lost_while_forming(
        self, backend: QueueBackend, desk: Desk, queue: DispatchQueue
    ) -> None:
        """Either all dispatches of all endpoints are there and their reports read off and held, or
        nothing is."""
        first, second = await desk.of_one_message()
        formings = [
            await desk.forming_in_order([first], hold=[second]),
            await desk.forming([first, second], BETA),
        ]
        before = await queue.pending(NOON)

        async def still() -> None:
            assert await queue.pending(NOON) == before
            assert await queue.dispatches() == []
            assert await queue.counts() == {}
            assert await queue.blocked("acme", [desk.message(first)], []) == frozenset()

        formed = await losing_the_store(
            backend, lambda: queue.form(NOON, leases(), formings), still
        )

        assert [each.endpoint for each in formed] == ["acme", "beta", "beta"]
        assert await queue.counts() == {"acme": {"leased": 1}, "beta": {"leased": 2}}
        message = desk.message(first)
        assert await queue.blocked("acme", [message], []) == {message}

    async def test_forming_and_recording_are_one(self, desk: Desk, queue: DispatchQueue) -> None:
        """If a dispatch cannot be stored, no attempt is recorded either, and the other way."""
        (leased,) = await desk.dispatches()
        forming = await desk.forming(await desk.receive())
        record = a_record(leased, "acknowledged", status=200)
        too_high = a_forming(ACME, {b"": [2**63]}, read_to=0)
        bad_forming = replace(forming, buckets=too_high.buckets, bodies=too_high.bodies)
        bad_record = replace(record, number=2**63)
        for formings, records in (([bad_forming], [record]), ([forming], [bad_record])):
            before = await queue.pending(NOON)
            with pytest.raises(Exception):  # noqa: B017, PT011 - each database has its own
                await queue.form_and_record(NOON, leases(), formings, records)
            assert await queue.pending(NOON) == before
            assert (await desk.view(leased)).state == "leased"
            assert (await desk.look(leased))[1] == []

    async def test_lost_while_recording(
        self, backend: QueueBackend, desk: Desk, queue: DispatchQueue
    ) -> None:
        """The lease stays and no attempt is counted; when the store is there again, each attempt
        is recorded once, and what it freed is free."""
        first, second = await desk.of_one_message()
        (ending,) = await desk.in_order([first], hold=[second])
        (failing,) = await desk.dispatches(1, BETA)
        records = [a_record(ending, "acknowledged", status=200), a_record(failing)]

        async def still() -> None:
            for each in (ending, failing):
                view, history = await desk.look(each)
                assert (view.state, view.attempts, history) == ("leased", 0, [])
            assert await queue.counts() == {"acme": {"leased": 1}, "beta": {"leased": 1}}
            assert await queue.freed("acme", 9) == []

        assert await losing_the_store(backend, lambda: queue.record(records), still) == [True, True]

        assert await queue.record(records) == [False, False]
        for each, state in ((ending, "acknowledged"), (failing, "waiting")):
            view, history = await desk.look(each)
            assert (view.state, view.attempts, len(history)) == (state, 1, 1)
        assert await queue.freed("acme", 9) == [second]

    async def test_lost_while_claiming(
        self, backend: QueueBackend, desk: Desk, queue: DispatchQueue
    ) -> None:
        """What could not be claimed is due as it was."""
        waiting = [*await desk.waiting(3), *await desk.waiting(2, BETA)]
        room = {"acme": 9, "beta": 9}

        async def claim() -> list[Leased]:
            return await queue.claim_due(NOON + MINUTE, leases(a_lease("t2")), room)

        async def still() -> None:
            assert await queue.counts() == {"acme": {"waiting": 3}, "beta": {"waiting": 2}}
            assert (await queue.pending(NOON + MINUTE)).due == {"acme", "beta"}

        assert names(await losing_the_store(backend, claim, still)) == names(waiting)
