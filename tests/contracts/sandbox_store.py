"""What every store of a sandbox does (dispatcher/sandbox/store/base.py).

An implementation's test derives a class from `SandboxStoreContract` and gives it a fixture
`backend`. Decisions are the sandbox's own, or fail where a test wants them to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, time, timedelta, timezone
from decimal import Decimal
from itertools import count
from typing import Any, Protocol

import pytest
from msgspec.structs import replace

from dispatcher.queue.base import DispatchQueue
from dispatcher.sandbox.messages.acceptance import Admission, Arrival, Known, admitted
from dispatcher.sandbox.messages.bulks import Bulk, BulkChange, WaitingBulk, moved, with_status
from dispatcher.sandbox.messages.message import Message
from dispatcher.sandbox.messages.outcomes import Fate
from dispatcher.sandbox.messages.reports import Account, StepTaken, take_step
from dispatcher.sandbox.messages.send import (
    BinaryContent,
    Delivery,
    DeliveryTimeWindow,
    Refusal,
    Send,
    SendingSpeed,
    Sms,
    TextContent,
    Tracking,
)
from dispatcher.sandbox.store.base import (
    AcceptedQuery,
    ClockState,
    LogQuery,
    PullQuery,
    SandboxStore,
    StepCounts,
    TakeStep,
)
from dispatcher.settings.settings import SANDBOX
from receiver.store.base import ReportStore, StoreUnavailable
from tests.contracts.dispatch_queue import ACME, Desk, a_forming, a_record, leases
from tests.contracts.report_store import a_callback, an_sms

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

DELIVERED = Fate((3, 5), "NO_ERROR", 2 * SECOND)
NUMBER = Refusal(5, 52)
ACCOUNT = Account(Decimal("0.01"), "EUR", "22801")


class SandboxBackend(Protocol):
    """An empty store of a sandbox with the reports and dispatches beside it, and what a test does
    to its database behind its back."""

    @property
    def store(self) -> SandboxStore: ...

    @property
    def reports(self) -> ReportStore: ...

    @property
    def queue(self) -> DispatchQueue: ...

    async def another_store(self) -> SandboxStore:
        """A store on the same database, as another process has it."""

    async def refuse_writes(self) -> None:
        """As a full or read-only disk does, from now on."""

    async def refuse_reports(self, refused: bool) -> None:
        """Whether no report can be stored, although everything else can."""

    async def delete_report(self, report_id: int) -> None:
        """As retention would do."""


def an_sms_to(to: str = "41790000001", **changes: Any) -> Sms:
    """A message of one part that is pulled."""
    sms = Sms(
        message_id=None,
        to=to,
        sender="InfoSMS",
        content=TextContent("hello", "hello"),
        parts=1,
        delivery=Delivery(),
    )
    return replace(sms, **changes)


def an_arrival(*messages: Sms, bulk_id: str = "B", **changes: Any) -> Arrival:
    send = Send(api="v2", bulk_id=bulk_id, messages=messages or (an_sms_to(),))
    return Arrival(replace(send, **changes), bulk_id)


class Provider:
    """A store in the words of the tests: what it is sent, and what it is told at which instant."""

    def __init__(self, store: SandboxStore) -> None:
        self.store = store
        self._ids = count(1)

    async def accept(
        self, *arrivals: Arrival, at: datetime = NOON, fate: Fate = DELIVERED
    ) -> list[Message]:
        def admit(arrival: Arrival, known: Known) -> Admission:
            return admitted(arrival, known, at, lambda _, __: fate, self._new_id)

        stored = await self.store.accept(arrivals or [an_arrival()], at, admit)
        return [message for messages in stored for message in messages]

    async def step(self, at: datetime, *, most: int = 100, pushed: bool = False) -> StepCounts:
        """Take what is due, one step of each message. `pushed`: an endpoint takes every report."""
        return await self.store.take_due(at, most, stepping(at, pushed=pushed))

    async def settle(self, at: datetime) -> None:
        """Take all steps that are due."""
        while (await self.step(at)).steps:
            pass

    async def pull(self, at: datetime = NOON, limit: int = 1000, **wanted: Any) -> list[str | None]:
        """The recipients of the reports that are handed out."""
        query = PullQuery(made_after=at - 2 * DAY, limit=limit, **wanted)
        return [stored.read().to for stored in await self.store.pull(query)]

    async def messages(self, after: int = 0, limit: int = 1000, **wanted: Any) -> list[Message]:
        return await self.store.messages(AcceptedQuery(after=after, limit=limit, **wanted))

    async def logs(self, **wanted: Any) -> list[int]:
        """The numbers of the messages that are found."""
        query = {"left_after": NOON - 2 * DAY, "limit": 1000, **wanted}
        return [message.id for message in await self.store.logs(LogQuery(**query))]

    async def set_status(self, status: Any, at: datetime = NOON, bulk_id: str = "B") -> Bulk | None:
        return await self.store.change_bulk(bulk_id, at, lambda b: with_status(b, status, at))

    def _new_id(self) -> str:
        return f"id-{id(self)}-{next(self._ids)}"


def stepping(at: datetime, *, pushed: bool = False) -> TakeStep:
    def take(message: Message) -> StepTaken:
        taken = take_step(message, at, ACCOUNT, ())
        return replace(taken, pushed=pushed)

    return take


class Broken(Exception):
    """A decision that cannot be made."""


def failing(decide: Callable[..., Any], *, after: int) -> Callable[..., Any]:
    """A decision that is made so often, and then fails."""
    made = count()

    def decided(*given: Any) -> Any:
        if next(made) >= after:
            raise Broken
        return decide(*given)

    return decided


def numbers(messages: Sequence[Message]) -> list[int]:
    return [message.id for message in messages]


def names(messages: Sequence[Message]) -> list[tuple[str, str]]:
    return [(message.sms.to, message.state) for message in messages]


class SandboxStoreContract:
    @pytest.fixture
    def store(self, backend: SandboxBackend) -> SandboxStore:
        return backend.store

    @pytest.fixture
    def provider(self, store: SandboxStore) -> Provider:
        return Provider(store)

    # --- whose it is ---------------------------------------------------------------------------

    async def test_belongs_to_one_sandbox(
        self, backend: SandboxBackend, store: SandboxStore
    ) -> None:
        """The first that claims it has it; a second one, here or in another process, has not."""
        other = await backend.another_store()

        assert await store.claim()
        assert not await other.claim()
        assert not await store.claim()

    # --- accepting -----------------------------------------------------------------------------

    async def test_keeps_a_message_as_it_was_accepted(self, provider: Provider) -> None:
        """Everything that a message has comes back as it was, whatever content and fate it has."""
        text = an_sms_to(
            content=TextContent("ä", "a", "ALL", "TR", True, False),
            delivery=Delivery(True, True, "https://app.example/?a=1", "xml", "order 7"),
            send_at=NOON + HOUR,
            window=DeliveryTimeWindow(frozenset({0, 3}), time(9), time(23)),
            validity=HOUR,
            regional={"indiaDlt": {"principalEntityId": "1"}},
            network_id=7,
        )
        binary = an_sms_to("41790000002", content=BinaryContent(b"\x00\xff", 8, 64), flash=True)
        refused = an_sms_to("nobody", refusal=NUMBER)
        arrival = an_arrival(
            binary, text, refused, speed=SendingSpeed(1, HOUR), tracking=Tracking("KEY")
        )
        fate = Fate((2, 9), "EC_ABSENT_SUBSCRIBER", 2 * HOUR, "twice", Decimal("0.070"))

        accepted = await provider.accept(arrival, fate=fate)

        assert await provider.messages() == accepted
        assert [each.state for each in accepted] == ["enroute", "waiting", "refused"]

    async def test_numbers_have_no_gaps(self, provider: Provider) -> None:
        """Messages are numbered from 1 in their order, refused ones too: what becomes of a message
        is decided by its number, and is the same in each run."""
        first = await provider.accept(
            an_arrival(an_sms_to(), an_sms_to(refusal=NUMBER)), an_arrival(bulk_id="C")
        )
        second = await provider.accept(at=NOON - HOUR)

        assert numbers([*first, *second]) == [1, 2, 3, 4]
        assert numbers(await provider.messages()) == [1, 2, 3, 4]

    async def test_two_accept_at_once(self, backend: SandboxBackend, provider: Provider) -> None:
        """Two processes that accept at the same time number their messages one after the other, and
        of two messages that ask for one id one is a duplicate."""
        other = Provider(await backend.another_store())
        arrivals = [
            an_arrival(an_sms_to(message_id=f"m{n}"), an_sms_to(), bulk_id=f"B{n}")
            for n in range(10)
        ]

        found = await asyncio.gather(
            *(each.accept(arrival) for arrival in arrivals for each in (provider, other))
        )

        assert sorted(numbers([m for messages in found for m in messages])) == [*range(1, 41)]
        stored = await provider.messages()
        assert numbers(stored) == [*range(1, 41)]
        named = [each for each in stored if each.message_id.startswith("m")]
        assert sorted(each.message_id for each in named if each.state != "refused") == sorted(
            f"m{n}" for n in range(10)
        )
        assert len({each.message_id for each in stored}) == 30
        for n in range(10):
            bulk = await provider.store.bulk(f"B{n}")
            assert bulk is not None
            assert bulk.accepted == 3

    async def test_a_decision_that_fails_stores_nothing(self, provider: Provider) -> None:
        """When one request of several cannot be judged none is stored, and no number is used."""

        def admit(arrival: Arrival, known: Known) -> Admission:
            return admitted(arrival, known, NOON, lambda _, __: DELIVERED, lambda: "id")

        arrivals = [an_arrival(bulk_id="B"), an_arrival(bulk_id="C")]
        with pytest.raises(Broken):
            await provider.store.accept(arrivals, NOON, failing(admit, after=1))

        assert await provider.messages() == []
        assert await provider.store.bulk("B") is None
        assert numbers(await provider.accept()) == [1]

    async def test_an_id_is_taken_by_what_was_not_refused(self, provider: Provider) -> None:
        """A messageId is taken by a message that was accepted, in this request or before; a refused
        one takes none."""
        refused = an_sms_to(message_id="m1", refusal=NUMBER)
        named = an_sms_to(message_id="m1")

        messages = await provider.accept(
            an_arrival(refused), an_arrival(named, named), an_arrival(named)
        )

        assert [each.status for each in messages if each.state == "refused"] == [
            (5, 52),
            (5, 23),
            (5, 23),
        ]
        sent = await provider.store.sent("m1")
        assert sent is not None
        assert sent.id == 2
        assert await provider.store.sent("m2") is None

    async def test_many_messages_with_ids(self, provider: Provider) -> None:
        """A request may have more messages than a statement has room for parameters."""
        many = [an_sms_to(message_id=f"m{n}") for n in range(3000)]
        await provider.accept(an_arrival(*many))

        again = await provider.accept(an_arrival(*many))

        assert all(each.state == "refused" for each in again)
        assert await provider.logs(message_ids=[f"m{n}" for n in range(3000)], limit=1) == [6000]

    # --- steps that are due --------------------------------------------------------------------

    async def test_what_is_due_first_is_taken_first(self, provider: Provider) -> None:
        """Steps are taken in the order in which they are due, and by number where two are due at
        once, however the messages came: at most so many, and one of each message."""
        assert await provider.store.next_due() is None
        for number, minutes in enumerate((3, 1, 2, 1)):
            sms = an_sms_to(f"4179000000{number}", send_at=NOON + minutes * HOUR / 60)
            await provider.accept(an_arrival(sms, bulk_id=str(number)), at=NOON - number * SECOND)
        assert await provider.store.next_due() == NOON + HOUR / 60
        taken: list[str] = []

        def take(message: Message) -> StepTaken:
            taken.append(message.sms.to[-1])
            return take_step(message, NOON + HOUR, ACCOUNT, ())

        assert await provider.store.take_due(NOON + HOUR, 3, take) == StepCounts(3, 0)
        assert taken == ["1", "3", "2"]
        assert (await provider.store.take_due(NOON + HOUR, 100, take)).steps == 4
        assert taken[3:] == ["1", "3", "2", "0"]

    async def test_what_is_not_due_waits(self, provider: Provider) -> None:
        """A step is due at its instant and not a microsecond before."""
        await provider.accept()
        before = NOON + 2 * SECOND - timedelta(microseconds=1)

        assert await provider.step(before) == StepCounts(0, 0)
        assert await provider.step(NOON + 2 * SECOND) == StepCounts(1, 1)
        assert await provider.store.next_due() is None

    async def test_a_step_is_taken_once(self, backend: SandboxBackend, provider: Provider) -> None:
        """Of two processes that take what is due at the same time each step goes to one."""
        other = Provider(await backend.another_store())
        await provider.accept(an_arrival(*(an_sms_to(f"417900000{n:02}") for n in range(40))))
        at = NOON + 2 * SECOND

        taken = await asyncio.gather(
            *(each.step(at, most=7) for _ in range(4) for each in (provider, other))
        )

        assert sum(each.steps for each in taken) == sum(each.reports for each in taken) == 40
        assert sorted(await provider.pull(at)) == [f"417900000{n:02}" for n in range(40)]  # type: ignore[type-var]

    async def test_a_step_and_its_report_are_one(
        self, backend: SandboxBackend, provider: Provider
    ) -> None:
        """When reports cannot be stored no step is taken; later each is told once. The ids of the
        reports may have a gap then."""
        await provider.accept(an_arrival(an_sms_to("41790000001"), an_sms_to("41790000002")))
        before = await provider.messages()
        at = NOON + 2 * SECOND
        await backend.refuse_reports(True)
        with pytest.raises(StoreUnavailable):
            await provider.step(at)
        assert await provider.messages() == before

        await backend.refuse_reports(False)
        assert await provider.step(at) == StepCounts(2, 2)
        assert await provider.step(at) == StepCounts(0, 0)
        assert await provider.pull(at) == ["41790000001", "41790000002"]

    async def test_a_decision_that_fails_takes_no_step(
        self, backend: SandboxBackend, provider: Provider
    ) -> None:
        """When one of several steps cannot be taken none is, and nothing is told."""
        await provider.accept(an_arrival(an_sms_to(), an_sms_to()))
        before = await provider.messages()
        at = NOON + 2 * SECOND
        with pytest.raises(Broken):
            await provider.store.take_due(at, 100, failing(stepping(at), after=1))

        assert await provider.messages() == before
        assert await backend.reports.reports_after(0, 10) == []

    async def test_reports_are_the_sandboxs(
        self, backend: SandboxBackend, provider: Provider
    ) -> None:
        """What is told is an ordinary report of the source `sandbox`, made at that instant."""
        await provider.accept()
        at = NOON + 2 * SECOND
        await provider.step(at)

        (stored,) = await backend.reports.reports_after(0, 10)
        assert (stored.source, stored.received_at, stored.final) == (SANDBOX, at, True)
        report = stored.read()
        assert (report.message_id, report.done_at) == (
            (await provider.messages())[0].message_id,
            at,
        )

    async def test_a_late_step_changes_no_status(self, provider: Provider) -> None:
        """A copy of a report is a report of its own, and leaves the message as it stands."""
        await provider.accept(fate=replace(DELIVERED, told="twice"))
        await provider.settle(NOON + HOUR)

        (message,) = await provider.messages()
        assert (message.status, message.done_at) == ((3, 5), NOON + 2 * SECOND)
        assert len(await provider.pull(NOON + HOUR)) == 2

    # --- reports that wait to be pulled --------------------------------------------------------

    async def test_each_report_is_pulled_once(self, provider: Provider) -> None:
        """A report is handed out once, the oldest first."""
        await provider.accept(an_arrival(*(an_sms_to(f"4179000000{n}") for n in range(5))))
        await provider.step(NOON + 2 * SECOND)

        assert await provider.pull(limit=2) == ["41790000000", "41790000001"]
        assert await provider.pull() == ["41790000002", "41790000003", "41790000004"]
        assert await provider.pull() == []

    async def test_two_pull_at_once(self, backend: SandboxBackend, provider: Provider) -> None:
        """Of several who pull at the same time each gets other reports, and all are handed out."""
        other = Provider(await backend.another_store())
        await provider.accept(an_arrival(*(an_sms_to(f"417900000{n:02}") for n in range(40))))
        await provider.step(NOON + 2 * SECOND)

        pulled = await asyncio.gather(
            *(each.pull(limit=3) for _ in range(8) for each in (provider, other))
        )

        assert sorted(to or "" for each in pulled for to in each) == [
            f"417900000{n:02}" for n in range(40)
        ]

    async def test_the_right_reports_are_pulled(
        self, backend: SandboxBackend, provider: Provider
    ) -> None:
        """Others store reports in between, and some reports are gone: what is handed out is what
        the sandbox made, whatever gaps their ids have."""
        await provider.accept(an_arrival(*(an_sms_to(f"4179000000{n}") for n in range(3))))
        await backend.reports.add([a_callback(an_sms("other"))])
        await provider.step(NOON + 2 * SECOND, most=2)
        await backend.delete_report(await backend.reports.newest_report())
        await backend.reports.add([a_callback(an_sms("another"))])
        await provider.step(NOON + 2 * SECOND)

        assert await provider.pull() == ["41790000000", "41790000002"]

    async def test_what_is_pushed_is_not_pulled(self, provider: Provider) -> None:
        """A report that is pushed to somebody does not wait."""
        await provider.accept()
        assert await provider.step(NOON + 2 * SECOND, pushed=True) == StepCounts(1, 1)

        assert await provider.pull() == []

    async def test_a_repeated_report_is_pulled_once(
        self, backend: SandboxBackend, provider: Provider
    ) -> None:
        """A report that the store has already is counted there, and waits only once."""
        await provider.accept(an_arrival(*(an_sms_to(f"4179000000{n}") for n in range(3))))
        at = NOON + 2 * SECOND
        first = take_step((await provider.messages())[0], at, ACCOUNT, ())

        def take(message: Message) -> StepTaken:
            taken = take_step(message, at, ACCOUNT, ())
            return replace(taken, report=first.report) if message.id == 2 else taken

        assert await provider.store.take_due(at, 100, take) == StepCounts(3, 2)
        assert await provider.pull() == ["41790000000", "41790000002"]
        repeated, other = await backend.reports.reports_after(0, 10)
        assert (repeated.duplicates, other.duplicates) == (1, 0)

    async def test_what_nobody_pulls_is_forgotten(self, provider: Provider) -> None:
        """A report waits until `made_after`, that instant included, and never longer."""
        await provider.accept()
        made_at = NOON + 2 * SECOND
        await provider.step(made_at)

        assert await provider.pull(made_at + 2 * DAY) == []
        assert await provider.pull(made_at) == []

    @pytest.mark.parametrize(
        ("wanted", "found"),
        [
            ({"bulk_id": "B"}, ["41790000001", "41790000002"]),
            ({"bulk_id": "C"}, ["41790000003"]),
            ({"message_id": "m2"}, ["41790000002"]),
            ({"entity_id": "e", "application_id": "a"}, ["41790000003"]),
            ({"campaign_reference_id": "spring"}, ["41790000003"]),
            ({"campaign_reference_id": "spring", "bulk_id": "B"}, []),
            ({"bulk_id": ""}, []),
        ],
    )
    async def test_pulls_what_is_asked_for(
        self, provider: Provider, wanted: dict[str, Any], found: list[str]
    ) -> None:
        """Filters hold together, an empty text too; what is not asked for goes on waiting."""
        await self._three(provider)

        assert await provider.pull(**wanted) == found
        assert len(await provider.pull()) == 3 - len(found)

    async def _three(self, provider: Provider) -> None:
        """Three messages that were delivered, of two bulks, the last one half an hour later."""
        of_platform = {"entity_id": "e", "application_id": "a", "campaign_reference_id": "spring"}
        await provider.accept(
            an_arrival(an_sms_to(), an_sms_to("41790000002", message_id="m2")),
            an_arrival(
                an_sms_to("41790000003", sender="Other", send_at=NOON + HOUR / 2, **of_platform),
                bulk_id="C",
            ),
        )
        await provider.settle(NOON + HOUR)

    # --- logs and lists ------------------------------------------------------------------------

    @pytest.mark.parametrize(
        ("wanted", "found"),
        [
            ({}, [3, 2, 1]),
            ({"limit": 2}, [3, 2]),
            ({"before": 3}, [2, 1]),
            ({"sender": "Other"}, [3]),
            ({"sender": "other"}, []),
            ({"sender": "Oth_r"}, []),
            ({"to": "%2"}, []),
            ({"to": "41790000002"}, [2]),
            ({"to": "+41 79 000 00 02"}, [2]),
            ({"bulk_ids": ["B", "none"]}, [2, 1]),
            ({"bulk_ids": []}, []),
            ({"message_ids": ["m2"]}, [2]),
            ({"status_group": 3}, [3, 2, 1]),
            ({"status_group": 0}, []),
            ({"since": NOON + HOUR / 2}, [3]),
            ({"until": NOON + HOUR / 2}, [2, 1]),
            ({"left_after": NOON}, [3]),
            ({"entity_id": "e", "application_id": "a"}, [3]),
            ({"campaign_reference_ids": ["autumn", "spring"]}, [3]),
        ],
    )
    async def test_finds_in_logs(
        self, provider: Provider, wanted: dict[str, Any], found: list[int]
    ) -> None:
        """Logs are newest first. Of a range the beginning belongs to it, and the end does not."""
        await self._three(provider)

        assert await provider.logs(**wanted) == found

    async def test_lists_go_on_where_they_ended(self, provider: Provider) -> None:
        """A page goes on after the last number and misses nothing, although numbers between were
        purged and messages came meanwhile, with instants that do not ascend."""
        await self._three(provider)
        first = await provider.messages(limit=1)
        assert await provider.store.purge(NOON + HOUR / 4, 100) == 2
        await provider.accept(at=NOON - DAY)

        assert numbers(first) == [1]
        assert numbers(await provider.messages(after=1)) == [3, 4]
        assert numbers(await provider.messages(after=3)) == [4]
        assert numbers(await provider.messages(bulk_id="C")) == [3]
        assert numbers(await provider.messages(to="41790000001", bulk_id="B")) == [4]
        assert numbers(await provider.messages(to="0041790000001", bulk_id="B")) == [4]
        assert await provider.messages(message_id="m2") == []
        assert await provider.logs(before=4) == [3]

    # --- bulks ---------------------------------------------------------------------------------

    async def test_a_bulk_counts_its_messages(self, provider: Provider) -> None:
        """A bulk knows how many wait, when the first of them may leave, and when the last left."""
        assert await provider.store.bulk("B") is None
        two_hours = an_arrival(
            an_sms_to(send_at=NOON + HOUR),
            an_sms_to(refusal=NUMBER),
            an_sms_to(send_at=NOON + 2 * HOUR),
            speed=SendingSpeed(1, HOUR),
        )
        await provider.accept(two_hours)
        scheduled = Bulk("B", "open", HOUR, 2, 2, NOON + HOUR, None)
        assert await provider.store.bulk("B") == scheduled
        assert scheduled.status == "PENDING"

        await provider.step(NOON + HOUR)

        assert await provider.store.bulk("B") == replace(
            scheduled, waiting=1, send_at=NOON + 2 * HOUR, last_left_at=NOON + HOUR
        )

    async def test_an_id_used_again_is_one_bulk(self, provider: Provider) -> None:
        """A bulkId that is used again has all messages, and the newest gap."""
        await provider.accept(an_arrival(speed=SendingSpeed(1, HOUR)))
        await provider.accept(an_arrival())

        bulk = await provider.store.bulk("B")
        assert bulk is not None
        assert (bulk.accepted, bulk.gap) == (2, timedelta(0))

    async def test_a_paused_bulk_waits_and_goes_on(self, provider: Provider) -> None:
        """What is paused is never due; more messages let it go on, with all that waited."""
        late = an_sms_to(send_at=NOON + HOUR)
        await provider.accept(an_arrival(late))
        paused = await provider.set_status("PAUSED")
        assert paused is not None
        assert (paused.state, paused.status) == ("paused", "PAUSED")
        assert await provider.store.next_due() is None
        assert await provider.step(NOON + DAY) == StepCounts(0, 0)

        known: list[Known] = []

        def admit(arrival: Arrival, found: Known) -> Admission:
            known.append(found)
            return admitted(arrival, found, NOON + DAY, lambda _, __: DELIVERED, lambda: "id")

        await provider.store.accept([an_arrival(bulk_id="B")], NOON + DAY, admit)

        (found,) = known
        assert found.paused is not None
        assert numbers(found.paused.messages) == [1]
        assert found.paused.bulk == paused
        bulk = await provider.store.bulk("B")
        assert bulk is not None
        assert bulk.state == "open"
        assert (await provider.messages())[0].leaves_at == NOON + DAY
        assert await provider.store.next_due() == NOON + DAY

    async def test_a_bulk_is_moved(self, provider: Provider) -> None:
        """Those that wait leave at another time, and those that have left do not."""
        first, later = an_sms_to(), an_sms_to(send_at=NOON + HOUR)
        await provider.accept(an_arrival(first, later))
        at = NOON + DAY

        bulk = await provider.store.change_bulk("B", NOON, lambda b: moved(b, at, NOON))

        assert bulk is not None
        assert bulk.send_at == at
        assert [each.leaves_at for each in await provider.messages()] == [NOON, at]
        assert [each.due_at for each in await provider.messages()] == [NOON + 2 * SECOND, at]

    async def test_a_bulk_tells_the_time_that_was_asked_for(self, provider: Provider) -> None:
        """Whether it was sent or moved for a time that is past: it leaves at once, and says that
        time. Of several the one that leaves first is told."""
        past, zone = NOON - 400 * DAY, timezone(HOUR)
        await provider.accept(an_arrival(an_sms_to(send_at=past), bulk_id="sent"))
        later = [an_sms_to(send_at=(NOON + hours * HOUR).astimezone(zone)) for hours in (3, 2)]
        await provider.accept(an_arrival(*later))

        sent, waiting = await provider.store.bulk("sent"), await provider.store.bulk("B")
        assert sent is not None
        assert waiting is not None
        bulk = await provider.store.change_bulk("B", NOON, lambda b: moved(b, past, NOON))

        assert (sent.send_at, waiting.send_at) == (past, NOON + 2 * HOUR)
        assert waiting.send_at.tzinfo == UTC
        assert bulk is not None
        assert bulk.send_at == past
        assert [each.leaves_at for each in await provider.messages()] == [NOON] * 3
        assert [each.sms.send_at for each in await provider.messages()] == [past] * 3

    async def test_what_waits_is_told_in_the_order_of_acceptance(self, provider: Provider) -> None:
        """Whoever changes a bulk gets its waiting messages oldest first, and no others."""
        messages = [an_sms_to(send_at=NOON + hours * HOUR) for hours in (3, 1, 2)]
        await provider.accept(an_arrival(an_sms_to(), *messages))
        await provider.settle(NOON + 9 * SECOND)
        seen: list[int] = []

        def look(found: WaitingBulk) -> BulkChange:
            seen.extend(numbers(found.messages))
            return BulkChange(found.bulk.state)

        await provider.store.change_bulk("B", NOON + 9 * SECOND, look)
        assert seen == [2, 3, 4]

    async def test_a_cancelled_bulk_is_told(self, provider: Provider) -> None:
        """What waits of a cancelled bulk ends at once, and its report says so."""
        await provider.accept(an_arrival(an_sms_to(send_at=NOON + HOUR)))
        bulk = await provider.set_status("CANCELED", NOON + SECOND)
        assert bulk is not None
        assert bulk.state == "cancelled"

        await provider.settle(NOON + SECOND)

        (message,) = await provider.messages()
        assert (message.state, message.cancelled_at) == ("ended", NOON + SECOND)
        assert message.error == "EC_MESSAGE_CANCELED"
        assert await provider.pull() == ["41790000001"]

    async def test_a_change_that_fails_changes_nothing(self, provider: Provider) -> None:
        """What a decision raises is raised, and neither bulk nor clock has changed."""
        await provider.accept(an_arrival(an_sms_to(send_at=NOON + HOUR)))
        before = await provider.store.bulk("B"), await provider.store.clock()

        change = failing(lambda found: BulkChange(found.bulk.state), after=0)
        with pytest.raises(Broken):
            await provider.store.change_bulk("B", NOON + DAY, change)
        assert (await provider.store.bulk("B"), await provider.store.clock()) == before
        assert await provider.store.change_bulk("other", NOON, change) is None

    async def test_changes_of_a_bulk_come_one_after_the_other(
        self, backend: SandboxBackend, provider: Provider
    ) -> None:
        """Of changes at the same time each sees what the one before has made: what one process
        pauses the other cannot find open, and no change gets lost."""
        other = Provider(await backend.another_store())
        await provider.accept(an_arrival(an_sms_to(send_at=NOON + HOUR)))

        def later(found: WaitingBulk) -> BulkChange:
            return moved(found, found.bulk.send_at + HOUR, NOON)

        await asyncio.gather(
            *(
                each.store.change_bulk("B", NOON, later)
                for _ in range(5)
                for each in (provider, other)
            )
        )

        bulk = await provider.store.bulk("B")
        assert bulk is not None
        assert bulk.send_at == NOON + 11 * HOUR

    # --- the clock, rules, counters ------------------------------------------------------------

    async def test_the_clock_never_goes_back(self, provider: Provider) -> None:
        """The latest instant that anything had is remembered, in whatever order they come, and how
        far the clock was moved last."""
        store = provider.store
        await store.move_clock(HOUR, NOON + HOUR)
        await store.move_clock(HOUR / 2, NOON)
        assert await store.clock() == ClockState(HOUR / 2, NOON + HOUR)
        await provider.accept(at=NOON + 2 * HOUR)
        await provider.accept(at=NOON)
        assert (await store.clock()).seen_at == NOON + 2 * HOUR
        await provider.settle(NOON + 3 * HOUR)
        assert (await store.clock()).seen_at == NOON + 3 * HOUR
        await provider.set_status("FINISHED", NOON + 4 * HOUR)
        assert await store.clock() == ClockState(HOUR / 2, NOON + 4 * HOUR)

    async def test_rules_are_kept(self, backend: SandboxBackend, store: SandboxStore) -> None:
        """The latest rule comes first, for every process, as it was given."""
        first: dict[str, Any] = {"to": "4179*", "share": 0.5, "after": "10s"}
        assert await store.rules() == []
        await store.add_rule(first)
        await (await backend.another_store()).add_rule({"status": "EXPIRED_EXPIRED"})

        assert await store.rules() == [{"status": "EXPIRED_EXPIRED"}, first]

    async def test_rules_are_taken_back(self, store: SandboxStore) -> None:
        """Then there is none, and one that is added later is alone."""
        await store.add_rule({"to": "1"})
        await store.forget_rules()
        assert await store.rules() == []
        await store.add_rule({"to": "2"})

        assert await store.rules() == [{"to": "2"}]

    async def test_two_add_rules_at_once(
        self, backend: SandboxBackend, store: SandboxStore
    ) -> None:
        """No rule gets lost when two are added at the same time."""
        other = await backend.another_store()
        await asyncio.gather(
            *(
                each.add_rule({"to": f"{n}{m}"})
                for n in range(5)
                for m, each in enumerate((store, other))
            )
        )

        assert len(await store.rules()) == 10

    async def test_counters_count_what_there_was(
        self, backend: SandboxBackend, provider: Provider
    ) -> None:
        """Reports are counted whether they are kept or not."""
        assert (await provider.store.counters()).reports == 0
        await provider.accept(an_arrival(an_sms_to(), an_sms_to()))
        await provider.step(NOON + 2 * SECOND)
        counted = await provider.store.counters()
        await backend.delete_report(1)

        assert (counted.reports, counted.attempts) == (2, 0)
        assert await provider.store.counters() == counted

    # --- a fate that changes -------------------------------------------------------------------

    async def test_what_is_to_become_of_a_message_changes(self, provider: Provider) -> None:
        """What a decision changes is kept, of the message with that id alone; the clock does not go
        back before it."""
        first, second = await provider.accept(
            an_arrival(an_sms_to(send_at=NOON + DAY), an_sms_to(send_at=NOON + DAY))
        )
        fate = Fate((5, 13), "EC_CALL_BARRED", HOUR, "twice", Decimal("0.5"))

        def change(message: Message) -> Message:
            assert message == second
            at = NOON + HOUR
            return replace(message, start_at=at, leaves_at=at, done=0, due_at=at, fate=fate)

        changed = await provider.store.change_message(second.message_id, NOON + HOUR, change)

        assert changed == change(second)
        assert await provider.messages() == [first, changed]
        assert await provider.store.next_due() == NOON + HOUR
        assert (await provider.store.clock()).seen_at == NOON + HOUR

    async def test_what_is_not_sent_does_not_change(self, provider: Provider) -> None:
        """A refused message, and one that is not there, are not even asked about; a decision that
        fails changes nothing."""
        (refused, sent) = await provider.accept(
            an_arrival(an_sms_to(message_id="m", refusal=NUMBER), an_sms_to())
        )
        decide = failing(lambda message: message, after=0)

        assert await provider.store.change_message("m", NOON, decide) is None
        assert await provider.store.change_message("nobody", NOON, decide) is None
        with pytest.raises(Broken):
            await provider.store.change_message(sent.message_id, NOON + DAY, decide)
        assert await provider.messages() == [refused, sent]
        assert (await provider.store.clock()).seen_at == NOON

    # --- what is forgotten ---------------------------------------------------------------------

    async def test_purges_what_has_ended(self, provider: Provider) -> None:
        """The oldest go first, at most so many, by when they ended; what waits or has a step left
        stays, a paused message too. Numbers are not used again."""
        scheduled = an_sms_to("41790000009", send_at=NOON + 3 * DAY)
        await provider.accept(
            an_arrival(an_sms_to("41790000001"), an_sms_to("41790000002")),
            an_arrival(an_sms_to("41790000003"), bulk_id="C"),
            an_arrival(scheduled, bulk_id="D"),
            an_arrival(an_sms_to(refusal=NUMBER), bulk_id="E"),
        )
        await provider.set_status("PAUSED", bulk_id="D")
        await provider.step(NOON + 2 * SECOND)

        assert await provider.store.purge(NOON, 100) == 0
        assert await provider.store.purge(NOON + DAY, 1) == 1
        assert await provider.store.bulk("B") is not None
        assert await provider.store.purge(NOON + DAY, 100) == 3
        assert await provider.store.purge(NOON + DAY, 100) == 0

        assert names(await provider.messages()) == [("41790000009", "waiting")]
        assert await provider.store.bulk("C") is None
        assert numbers(await provider.accept()) == [6]

    async def test_a_number_is_not_used_again(self, provider: Provider) -> None:
        """The number of a purged message is not used again, though it was the newest."""
        await provider.accept()
        await provider.settle(NOON + HOUR)
        assert await provider.store.purge(NOON + DAY, 100) == 1

        assert numbers(await provider.accept()) == [2]

    async def test_a_reset_forgets(self, backend: SandboxBackend, provider: Provider) -> None:
        """After a reset there are no messages, bulks, rules and reports to be pulled, and numbers
        begin anew. Reports and clock stay."""
        await provider.accept()
        await provider.settle(NOON + HOUR)
        await provider.store.add_rule({"to": "1"})
        clock = await provider.store.clock()

        await provider.store.reset()

        assert await provider.messages() == []
        assert await provider.pull() == []
        assert await provider.store.bulk("B") is None
        assert await provider.store.rules() == []
        assert await provider.store.next_due() is None
        assert await provider.store.clock() == clock
        assert len(await backend.reports.reports_after(0, 10)) == 1
        assert numbers(await provider.accept()) == [1]
        assert await provider.pull() == []  # the report of the first one of before

    async def test_a_reset_cancels_the_sandboxs_dispatches(
        self, backend: SandboxBackend, provider: Provider
    ) -> None:
        """Of the dispatches that wait those go that have only reports of the sandbox."""
        await backend.queue.adopt([ACME])
        desk = Desk(_QueueBackend(backend))
        (foreign,) = await desk.waiting()
        await provider.accept()
        await provider.step(NOON + 2 * SECOND, pushed=True)
        report = await backend.reports.newest_report()
        (ours,) = await backend.queue.form(NOON, leases(), [await desk.forming([report])])
        assert all(await backend.queue.record([a_record(ours)]))
        for source in ("aa", "zz"):
            await backend.reports.add([a_callback(an_sms(source), source=source)])
        both = [report, report + 1], [report, report + 2]
        forming = a_forming(
            ACME, dict(zip((b"1", b"2"), both, strict=True)), read_from=report, read_to=report + 2
        )
        mixed = await backend.queue.form(NOON, leases(), [forming])
        assert all(await backend.queue.record([a_record(each) for each in mixed]))

        await provider.store.reset()

        assert (await desk.view(foreign)).state == "waiting"
        assert [(await desk.view(each)).state for each in mixed] == ["waiting"] * 2
        assert (await desk.view(ours)).state == "cancelled"

    # --- a store that goes away ----------------------------------------------------------------

    async def test_tells_that_it_cannot_be_written(
        self, backend: SandboxBackend, provider: Provider
    ) -> None:
        """Every change raises StoreUnavailable when nothing can be written, and what was there can
        be read as it was."""
        await provider.accept(an_arrival(an_sms_to(), an_sms_to(send_at=NOON + HOUR)))
        await provider.step(NOON + 2 * SECOND)
        before = await provider.messages(), await provider.store.bulk("B")
        waiting = before[0][1].message_id
        await backend.refuse_writes()
        changes: list[Callable[[], Any]] = [
            provider.accept,
            lambda: provider.step(NOON + DAY),
            lambda: provider.pull(),
            lambda: provider.set_status("PAUSED"),
            lambda: provider.store.add_rule({}),
            provider.store.forget_rules,
            lambda: provider.store.change_message(waiting, NOON, lambda message: message),
            lambda: provider.store.move_clock(HOUR, NOON + DAY),
            lambda: provider.store.purge(NOON + DAY, 100),
            provider.store.reset,
        ]

        for change in changes:
            with pytest.raises(StoreUnavailable):
                await change()

        assert (await provider.messages(), await provider.store.bulk("B")) == before
        assert await provider.store.next_due() == NOON + HOUR


class _QueueBackend:
    """A backend as the queue's tests see it."""

    def __init__(self, backend: SandboxBackend) -> None:
        self.store = backend.reports
        self.queue = backend.queue

    async def another_queue(self) -> DispatchQueue:
        raise NotImplementedError

    async def foreign_queue(self) -> DispatchQueue:
        raise NotImplementedError
