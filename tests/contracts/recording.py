"""What every database tells a capture (dispatcher/capsule/base.py)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from msgspec import json

from dispatcher.capsule.base import CapturedReport, Recording, Window
from dispatcher.capsule.capsule import SharedAttempt, SharedDispatch
from dispatcher.endpoints.endpoint import Rules
from tests.contracts.dispatch_queue import ACME, Desk, a_record
from tests.contracts.report_store import a_callback, an_sms
from tests.contracts.storages import OnStorage, StorageBackend, a_bench_on
from tests.dispatcher.replay.replaying import ReplayBench
from tests.dispatcher.support import MINUTE, START, Bench, an_endpoint

ALL = Window(START - timedelta(days=1), START + timedelta(days=1), None)
OF_ACME = Window(ALL.since, ALL.until, "acme")


def named(reports: list[CapturedReport]) -> list[str]:
    return [json.decode(report.item)["messageId"] for report in reports]


async def reports(recording: Recording, window: Window, piece: int = 100) -> list[CapturedReport]:
    """All of the window, in pieces of so many ids."""
    first, end = await recording.report_span(window) or (1, 0)
    return [
        report
        for start in range(first, end + 1, piece)
        for report in await recording.reports(window, start, min(end, start + piece - 1))
    ]


async def dispatches(
    recording: Recording, window: Window = OF_ACME, piece: int = 100
) -> list[SharedDispatch]:
    of_reports = await recording.report_span(window)
    first, end = (of_reports and await recording.dispatch_span(window, *of_reports)) or (1, 0)
    return [
        dispatch
        for start in range(first, end + 1, piece)
        for dispatch in await recording.dispatches(window, start, min(end, start + piece - 1))
    ]


class RecordingContract(OnStorage):
    @pytest.fixture
    def recording(self, backend: StorageBackend) -> Recording:
        return backend.storage.recording

    async def test_of_nothing(self, recording: Recording) -> None:
        """A new database has no span, and nothing in any."""
        assert await recording.report_span(ALL) is None
        assert await recording.dispatch_span(OF_ACME, 1, 5_000) is None
        assert await recording.reports(ALL, 1, 5_000) == []
        assert await recording.dispatches(OF_ACME, 1, 5_000) == []

    async def test_the_span_of_a_window(self, bench: Bench, recording: Recording) -> None:
        """It lies around the window and no wider: a capture of an hour went through all ids of a
        year. Reports may be stored in another order than they came."""
        for n, minute in enumerate((0, 2, 1, 3)):
            at = START + minute * MINUTE
            await bench.store.add([a_callback(an_sms(f"m{n}"), at=at)])
            await bench.work()
        await bench.store.add([a_callback(an_sms("unpushed"), at=START + 4 * MINUTE)])
        ids = [each.id for each in await bench.store.reports_after(0, 9)]

        def of(since: int, until: int, endpoint: str | None = "acme") -> Window:
            return Window(START + since * MINUTE, START + until * MINUTE, endpoint)

        assert await recording.report_span(of(1, 3, None)) == (ids[1], ids[2])
        assert await recording.report_span(of(2, 3)) == (ids[1], ids[1])
        assert await recording.report_span(of(5, 9)) is None
        span = await recording.dispatch_span(of(1, 3), ids[1], ids[2])
        assert span is not None
        assert span[1] - span[0] == 1
        assert len(await recording.dispatches(of(1, 3), *span)) == 2
        assert await recording.dispatch_span(of(4, 5), ids[4], ids[4]) is None
        assert await recording.dispatch_span(of(1, 3, "beta"), ids[0], ids[4]) is None
        assert await recording.dispatch_span(of(1, 3, None), ids[0], ids[4]) is None

    # --- reports -------------------------------------------------------------------------------

    async def test_reports_as_they_lie_in_the_store(
        self, backend: StorageBackend, bench: Bench
    ) -> None:
        """When they were received, where from, in which format, and the item."""
        await bench.receive(an_sms("m1"), source="alpha")
        bench.clock.advance(timedelta(microseconds=1))
        await bench.receive(an_sms("m2"), format="xml", source="beta")
        stored = await bench.store.reports_after(0, 10)

        found = await reports((await backend.another()).recording, ALL)

        assert [(each.received_at, each.source, each.format) for each in found] == [
            (START, "alpha", "json"),
            (START + timedelta(microseconds=1), "beta", "xml"),
        ]
        assert [each.item.encode() for each in found] == [each.item for each in stored]

    async def test_the_window(self, bench: Bench, recording: Recording) -> None:
        """Its beginning belongs to it, its end does not."""
        for minute in range(4):
            at = START + minute * MINUTE
            await bench.store.add([a_callback(an_sms(f"m{minute}"), at=at)])

        window = Window(START + MINUTE, START + 3 * MINUTE, None)
        assert named(await reports(recording, window)) == ["m1", "m2"]

    @pytest.mark.parametrize("piece", [1, 2, 3, 100])
    async def test_pieces_make_the_whole(
        self, backend: StorageBackend, bench: Bench, recording: Recording, piece: int
    ) -> None:
        """In the order of ids, in which instants need not ascend; ids may have gaps."""
        for n, minute in enumerate((5, 3, 4, 9, 1, 2)):
            at = START + minute * MINUTE
            await bench.store.add([a_callback(an_sms(f"m{n}"), at=at)])
        await backend.delete_reports([2, 4])

        assert named(await reports(recording, ALL, piece)) == ["m0", "m2", "m4", "m5"]

    async def test_what_went_to_an_endpoint(self, backend: StorageBackend) -> None:
        """A report that no dispatch to it carries is not of its window."""
        rules = Rules(to_prefixes=("41",))
        bench = await a_bench_on(backend, an_endpoint(rules=rules), an_endpoint("beta"))
        await bench.receive(an_sms("m1"), an_sms("m2", to="49301"))
        await bench.work()
        await bench.receive(an_sms("m3"))

        recording = backend.storage.recording
        assert named(await reports(recording, OF_ACME)) == ["m1"]
        beta = Window(ALL.since, ALL.until, "beta")
        assert named(await reports(recording, beta)) == ["m1", "m2"]
        for name in ("gone", "ACME", "ac_e", "%"):
            other = Window(ALL.since, ALL.until, name)
            assert await reports(recording, other) == []
            assert await dispatches(recording, other) == []

    # --- dispatches ----------------------------------------------------------------------------

    async def test_dispatches_with_their_attempts(
        self, backend: StorageBackend, bench: Bench
    ) -> None:
        """Each with all its attempts in order, also those after the window; one that was not tried
        yet has none."""
        bench.sender.answers(503, 200)
        await bench.receive(an_sms("m1"), an_sms("m2"))
        await bench.run_until_idle()
        ended_at = bench.clock.now()
        await bench.receive()
        await bench.worker.claim()

        found = await dispatches((await backend.another()).recording)

        assert found == [
            SharedDispatch(
                START,
                2,
                "acknowledged",
                [
                    SharedAttempt(START, 5.0, "failed", 503),
                    SharedAttempt(ended_at, 5.0, "acknowledged", 200),
                ],
            ),
            SharedDispatch(ended_at, 1, "leased", []),
        ]
        window = Window(START, START + timedelta(microseconds=1), "acme")
        assert await dispatches(backend.storage.recording, window) == found[:1]

    async def test_those_of_the_window(self, bench: Bench, recording: Recording) -> None:
        """A dispatch is of the window when any of its reports is."""
        await bench.store.add([a_callback(an_sms("m1"), at=START)])
        await bench.store.add([a_callback(an_sms("m2"), at=START + MINUTE)])
        await bench.work()

        for since, until, number in ((-1, 0, 0), (-1, 1, 1), (0, 1, 1), (1, 2, 1), (2, 9, 0)):
            window = Window(START + since * MINUTE, START + until * MINUTE, "acme")
            assert len(await dispatches(recording, window)) == number

    @pytest.mark.parametrize("piece", [1, 2, 100])
    async def test_pieces_of_dispatches(
        self, backend: StorageBackend, bench: Bench, recording: Recording, piece: int
    ) -> None:
        """In the order of ids; what retention has removed is passed over."""
        bench.sender.answers(503, 200, 503, 200, 503)
        for minute in range(5):
            bench.clock.advance_to(START + minute * timedelta(seconds=1))
            await bench.receive()
            await bench.work()

        async def at_once() -> None: ...

        before = await dispatches(recording)
        await backend.storage.retention.purge_dispatches(
            before=bench.clock.now(), most=0, pause=at_once
        )
        assert [each.state for each in before] == ["waiting", "acknowledged"] * 2 + ["waiting"]
        assert await dispatches(recording, piece=piece) == before[::2]

    async def test_replays_are_no_part_of_it(self, bench: Bench, recording: Recording) -> None:
        """What was brought again on request did not happen by itself."""
        await bench.receive()
        await bench.work()
        replaying = ReplayBench(bench, an_endpoint())
        await replaying.ask(source="default")
        await replaying.run()
        assert len(await bench.dispatches()) == 2

        assert len(await dispatches(recording)) == 1

    async def test_dispatches_by_number(
        self, backend: StorageBackend, recording: Recording
    ) -> None:
        """In the order in which they were formed, though a clock was set back between them."""
        await backend.storage.queue.adopt([ACME])
        desk = Desk(backend.storage)
        formed = [START + 2 * MINUTE, START, START + MINUTE]
        for at in formed:
            await desk.dispatches(1, at=at)

        assert [each.created_at for each in await dispatches(recording)] == formed

    async def test_attempts_by_number(self, bench: Bench, recording: Recording) -> None:
        """In their order, though a clock was set back between them."""
        await bench.receive()
        (leased,) = await bench.worker.claim()
        started = [START + MINUTE, START]
        await bench.queue.record([a_record(leased, due_at=START, started_at=started[0])])
        (leased,) = await bench.worker.claim()
        await bench.queue.record([a_record(leased, "exhausted", started_at=started[1])])

        (dispatch,) = await dispatches(recording)
        assert [attempt.started_at for attempt in dispatch.attempts] == started

    async def test_without_an_endpoint_there_are_none(
        self, bench: Bench, recording: Recording
    ) -> None:
        """A window of all endpoints has reports alone."""
        await bench.receive()
        await bench.work()

        assert await dispatches(recording, ALL) == []
        assert len(await reports(recording, ALL)) == 1
