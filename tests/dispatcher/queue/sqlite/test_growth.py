"""What replays to URLs leave behind: each has an endpoint of its own, and a thousand of them a day
would be read at each change of any endpoint, for ever."""

from __future__ import annotations

from typing import Any

from dispatcher.endpoints.endpoint import Endpoint
from dispatcher.queue.base import Forming, Lease
from dispatcher.queue.sqlite.queue import MIGRATIONS as QUEUE_MIGRATIONS
from dispatcher.replay.base import Portion
from dispatcher.replay.items import Items
from dispatcher.replay.request import Request, Selection
from tests.contracts.dispatch_queue import a_bucket, a_record, a_report
from tests.contracts.report_store import a_callback, an_sms
from tests.dispatcher.queue.sqlite.story import ACME, NOON, Story, a_story
from tests.dispatcher.support import a_bench, an_endpoint

ELSEWHERE = Endpoint(name="replay-1", url="http://elsewhere.example/")


async def brought_elsewhere(story: Story) -> None:
    """A replay to a URL has brought a report, and its endpoint is removed."""
    await story.store.add([a_callback(an_sms("m"))])
    items = Items()
    items.add(1, "", 0)
    request = Request(selection=Selection(ids=(1,)), to_url=ELSEWHERE.url)
    replay, _ = await story.replays.create(request, items, NOON, from_outside=False)
    forming = Forming(ELSEWHERE, 0, 0, [a_bucket(ELSEWHERE, [a_report(1)])], [b"{}"])
    portion = Portion(
        replay=replay.id, fed_from=0, fed_to=1, dropped=0, anchor_at=NOON, formings=[forming]
    )
    assert await story.replays.feed(portion, NOON)
    (leased,) = await story.queue.claim_due(NOON, {"replay-1": Lease("t", NOON)}, {"replay-1": 1})
    await story.queue.record([a_record(leased, "acknowledged", status=200)])
    assert await story.replays.finish(replay.id, NOON)
    assert await story.replays.tidy(replay.id)
    await story.registry.remove("replay-1")
    await story.replays.tidied(replay.id)


async def rows(story: Story, table: str, column: str) -> list[Any]:
    found = f"SELECT {column} FROM {table} WHERE {column} LIKE 'replay-%'"
    return await story.database.read(lambda c: c.execute(found).fetchall())


async def test_nothing_is_left_of_the_endpoint_of_a_replay() -> None:
    """Its row goes with it, its counts when retention has taken its dispatches; and a process that
    still knows it does not make it known anew, which would hold up retention for ever."""
    story = await a_story(*QUEUE_MIGRATIONS)
    await story.queue.adopt([ACME])
    await brought_elsewhere(story)
    assert await rows(story, "endpoint", "name") == []

    await story.queue.adopt([ACME, ELSEWHERE])
    assert await rows(story, "endpoint", "name") == []

    assert await rows(story, "dispatch_count", "endpoint") != []
    await story.purge()
    assert await rows(story, "dispatch_count", "endpoint") == []
    await story.database.close()


async def test_the_worker_forgets_endpoints_that_are_gone() -> None:
    """As soon as nothing is under way to them any more."""
    async with a_bench() as bench:
        await bench.receive()
        (leased,) = await bench.worker.claim()
        bench.worker.use([an_endpoint("beta")])
        await bench.worker.claim()
        assert "acme" in bench.worker._gates

        await bench.worker.attempt(leased)
        await bench.worker.claim()

        assert list(bench.worker._gates) == ["beta"]
        assert await bench.states() == ["acknowledged"]
