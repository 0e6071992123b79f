"""Which reports a selection means, compared with a plain look at everything there is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from itertools import count
from random import Random
from typing import Any

import pytest

from dispatcher.replay.request import Selection, instant_of, read_request
from receiver.answers import BadQuery
from receiver.dlr.statuses import GROUP_NUMBERS
from receiver.store.base import StoredReport
from receiver.store.sqlite.followup import Follower
from tests.contracts.report_store import an_sms
from tests.dispatcher.replay.replaying import ReplayBench, a_replay_bench
from tests.dispatcher.support import MINUTE, START, an_endpoint
from tests.receiver.payloads import STATUSES

NOW = datetime(2026, 11, 21, 18, 30, tzinfo=UTC)
PARIS = timezone(timedelta(hours=1))


@pytest.fixture
async def bench() -> AsyncIterator[ReplayBench]:
    """Acme and Beta."""
    async with a_replay_bench(an_endpoint(bucket_size=1), an_endpoint("beta")) as made:
        yield made


# --- against everything there is -----------------------------------------------------------------


class World:
    """Reports of a seed, in dispatches of each state, and what is known of them."""

    def __init__(self, bench: ReplayBench, seed: int) -> None:
        self.bench = bench
        self.random = Random(seed)
        self.reports: list[StoredReport] = []
        self.pairs: dict[int, dict[str, str]] = {}

    async def make(self) -> None:
        messages = count()
        bench = self.bench.bench
        for _ in range(40):
            bench.clock.advance(MINUTE * self.random.randrange(30))
            if self.random.random() < 0.3:
                for endpoint in ("acme", "beta"):
                    bench.sender.always(self.random.choice([200, 503]), endpoint=endpoint)
            items = [
                an_sms(
                    f"m{next(messages) % 50}",
                    status=self.random.choice([*STATUSES]),
                    bulkId=f"bulk {self.random.randrange(3)}",
                    doneAt=f"2026-03-02T12:00:{n:02}.000+0000",
                )
                for n in range(self.random.randrange(1, 6))
            ]
            await bench.receive(*items, source=self.random.choice(["default", "other"]))
            await bench.work()
            if self.random.random() < 0.2:
                await self._replay()
        bench.clock.advance(timedelta(days=1))
        await bench.run_until_idle()
        if self.random.random() < 0.5:
            await Follower(self.bench.database).turn()
        await self._look()

    async def _replay(self) -> None:
        await self.bench.ask(source="default", toEndpoint=self.random.choice(["acme", "beta"]))
        await self.bench.feed()

    async def _look(self) -> None:
        """The state of the newest dispatch of each report to each endpoint."""
        self.reports = await self.bench.bench.store.reports_after(0, 10_000)
        self.pairs = {report.id: {} for report in self.reports}
        for endpoint in ("acme", "beta"):
            for dispatch in await self.bench.bench.dispatches(endpoint):
                for report in dispatch.report_ids:
                    self.pairs[report][endpoint] = dispatch.state

    def expected(self, asked: Selection, target: str | None) -> list[tuple[int, str]]:
        found = []
        for report in self.reports:
            if not self._fits(report, asked):
                continue
            places = [
                endpoint
                for endpoint, state in self.pairs[report.id].items()
                if asked.endpoint in (None, endpoint) and asked.state in (None, state)
            ]
            if target is not None:
                places = [target] if places or not asked.of_dispatches else []
            found += [(report.id, place) for place in places]
        return found

    def _fits(self, stored: StoredReport, asked: Selection) -> bool:
        report = stored.read()
        groups = [GROUP_NUMBERS[name] for name in asked.status_groups]
        status = report.status
        assert status is not None
        return (
            (not asked.ids or stored.id in asked.ids)
            and (not asked.message_ids or report.message_id in asked.message_ids)
            and asked.bulk_id in (None, report.bulk_id)
            and asked.source in (None, stored.source)
            and (not groups or stored.status_group in groups)
            and (not asked.statuses or status.name in asked.statuses or status.id in asked.statuses)
            and (asked.since is None or stored.received_at >= asked.since)
            and (asked.until is None or stored.received_at < asked.until)
        )

    def a_selection(self) -> dict[str, Any]:
        """Some filters of what there is, as the API takes them."""
        choose, some = self.random.choice, self.random.sample
        since = START + MINUTE * self.random.randrange(300)
        until = since + MINUTE * self.random.randrange(1, 400)
        filters: dict[str, Any] = {
            "ids": some([report.id for report in self.reports], 20),
            "messageIds": [f"m{n}" for n in some(range(60), 5)],
            "bulkId": f"bulk {self.random.randrange(4)}",
            "endpoint": choose(["acme", "beta"]),
            "state": choose(["acknowledged", "exhausted", "waiting", "cancelled"]),
            "statuses": [choose([*STATUSES]), choose(["5", 15])],
            "statusGroups": some([*GROUP_NUMBERS], 2),
            "source": choose(["default", "other", "none"]),
            "since": since.isoformat(),
            "until": until.isoformat(),
        }
        names = some([*filters], self.random.randrange(1, 5))
        return {name: filters[name] for name in names}


@pytest.mark.parametrize("seed", range(4))
async def test_agrees_with_a_look_at_everything(bench: ReplayBench, seed: int) -> None:
    """Whatever is asked for together, the selection has the reports that fit and no other, each
    with its endpoints, in the order of arrival."""
    world = World(bench, seed)
    await world.make()
    for _ in range(150):
        asked = world.a_selection()
        target = world.random.choice([None, "acme"])
        request, _ = read_request(asked, NOW)
        found = await bench.select(**asked, **({"toEndpoint": target} if target else {}))

        assert sorted(found) == sorted(world.expected(request.selection, target)), asked
        assert [report for report, _ in found] == sorted(report for report, _ in found)


# --- what counts as where a report stands --------------------------------------------------------


async def test_what_was_brought_since_is_not_exhausted(bench: ReplayBench) -> None:
    """A report that was exhausted and has been brought by a replay is not selected once more; one
    that is on its way neither."""
    bench.bench.sender.always(503)
    await bench.exhaust(3)
    assert await bench.select(state="exhausted") == [(1, "acme"), (2, "acme"), (3, "acme")]

    await bench.ask(ids=[1, 2], state="exhausted", rate="1/h")
    await bench.feed()
    assert await bench.select(state="exhausted") == [(2, "acme"), (3, "acme")]
    await bench.bench.work()
    assert await bench.select(state="exhausted") == [(2, "acme"), (3, "acme")]


async def test_a_cancelled_replay_leaves_things_as_they_were(bench: ReplayBench) -> None:
    """What was fed and never sent, because its replay was cancelled, is exhausted as before."""
    await bench.exhaust(2)
    replay = await bench.ask(state="exhausted")
    await bench.feed()
    await bench.replaying.cancel(replay.id)

    assert await bench.select(state="exhausted") == [(1, "acme"), (2, "acme")]


async def test_a_url_is_no_place_to_go_back_to(bench: ReplayBench) -> None:
    """A replay to a URL does not make that URL one of the places of its reports."""
    await bench.bench.receive()
    await bench.bench.work()
    before = await bench.select(ids=[1])
    replay = await bench.ask(ids=[1], to="http://elsewhere.example/")
    bench.known.given[f"replay-{replay.id}"] = an_endpoint(f"replay-{replay.id}")
    await bench.feed()

    assert await bench.dispatched(replay) == [1]
    assert await bench.select(ids=[1]) == before


async def test_says_what_was_never_dispatched(bench: ReplayBench) -> None:
    """Reports that have no dispatch are counted and not brought, unless a target is named."""
    await bench.bench.receive()
    request, _ = read_request({"ids": [1]}, NOW)

    _, found = await bench.replaying._resolve(request, False)
    assert (found.total, found.undispatched) == (0, 1)
    assert await bench.select(ids=[1], toEndpoint="beta") == [(1, "beta")]


async def test_says_which_endpoints_are_gone(bench: ReplayBench) -> None:
    """What went to an endpoint that is no more is counted under its name, and not brought."""
    await bench.bench.receive()
    await bench.bench.work()
    await bench.known.remove("beta")
    request, _ = read_request({"ids": [1]}, NOW)

    _, found = await bench.replaying._resolve(request, False)
    assert (found.total, found.gone) == (1, {"beta": 1})
    assert await bench.select(endpoint="beta", toEndpoint="acme") == [(1, "acme")]


async def test_a_clock_set_back(bench: ReplayBench) -> None:
    """Offsets ascend in the order of arrival, though a report may be received before the last."""
    bench.bench.clock.advance(MINUTE)
    await bench.bench.receive()
    bench.bench.clock._now = START
    await bench.bench.receive()
    bench.bench.clock.advance(2 * MINUTE)
    await bench.bench.receive()
    await bench.bench.work()

    replay = await bench.ask(endpoint="acme", pace="original")
    assert [item.offset for item in await bench.items(replay)] == [0, 0, 60_000_000]


# --- how it is asked -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("14:00", datetime(2026, 11, 21, 14, tzinfo=PARIS)),
        ("14:00:30", datetime(2026, 11, 21, 14, 0, 30, tzinfo=PARIS)),
        ("2026-11-20", datetime(2026, 11, 20, tzinfo=PARIS)),
        ("2026-11-20T14:00", datetime(2026, 11, 20, 14, tzinfo=PARIS)),
        ("2026-11-20 14:00", datetime(2026, 11, 20, 14, tzinfo=PARIS)),
        ("2026-11-20T14:00:00Z", datetime(2026, 11, 20, 14, tzinfo=UTC)),
        ("2026-11-20T14:00:00.5-05:00", datetime(2026, 11, 20, 19, 0, 0, 500_000, tzinfo=UTC)),
    ],
)
def test_instants(text: str, expected: datetime) -> None:
    """A time is today's in the machine's zone, as is a date; RFC 3339 brings its zone."""
    assert instant_of(text, "since", NOW, PARIS) == expected


def test_today_is_the_zones_today() -> None:
    """Just after midnight in Paris it is still yesterday in UTC: 14:00 is that of Paris."""
    now = datetime(2026, 11, 21, 23, 30, tzinfo=UTC)

    assert instant_of("14:00", "since", now, PARIS) == datetime(2026, 11, 22, 14, tzinfo=PARIS)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, "which reports? name at least one of ids, messageIds"),
        ({"toEndpoint": "acme", "rate": "5/s"}, "which reports?"),
        ({"since": "yesterday"}, "since: expected a time of today such as 14:00"),
        ({"since": "25:00"}, "since: expected a time of today"),
        ({"since": "17:00", "until": "14:00"}, "until: expected an instant after since"),
        (
            {"state": "lost"},
            'state: expected "waiting", "leased", "acknowledged", "exhausted" or "cancelled",'
            ' got "lost"',
        ),
        ({"statusGroups": ["LOST"]}, "statusGroups: expected ACCEPTED"),
        ({"ids": ["a"]}, 'ids[0]: expected an integer from 1 to 999999999999999999, got "a"'),
        ({"ids": [0]}, "ids[0]: expected an integer from 1 to 999999999999999999, got 0"),
        ({"messageId": "m"}, "messageId: there is no such field"),
        ({"ids": [1], "rate": "5"}, "rate: expected a rate such as 50/s"),
        ({"ids": [1], "rate": "5/s", "pace": "original"}, "rate, pace: give one of the two"),
        ({"ids": [1], "pace": "slow"}, 'pace: expected "original", got "slow"'),
        ({"ids": [1], "speed": 2}, "speed: is only read with pace"),
        ({"ids": [1], "pace": "original", "speed": 0}, "speed: expected a number above 0"),
        ({"ids": [1], "stopOnErrors": 20}, "stopOnErrors: expected a number from 0 to 1, got 20"),
        ({"ids": [1], "to": "http://a", "toEndpoint": "b"}, "to, toEndpoint: give one"),
    ],
)
def test_what_cannot_be_asked(asked: dict[str, Any], expected: str) -> None:
    """What is wrong with a request is said where it is, and what was expected."""
    with pytest.raises(BadQuery) as told:
        read_request(asked, NOW, PARIS)

    assert expected in str(told.value)
