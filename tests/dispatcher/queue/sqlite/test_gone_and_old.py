"""The migration for dispatches by their age and endpoints that left the settings, run on a database
of the schema before it with data in it."""

from __future__ import annotations

from dispatcher.endpoints.base import TakenOver
from dispatcher.queue.sqlite.endpoints import SqliteEndpoints
from dispatcher.queue.sqlite.queue import MIGRATIONS as QUEUE_MIGRATIONS
from dispatcher.queue.sqlite.retention import QueueRetention
from receiver.store.instants import instant
from receiver.store.sqlite.store import MIGRATIONS as STORE_MIGRATIONS
from tests.contracts.report_store import NOON
from tests.contracts.retention import no_pause
from tests.dispatcher.queue.sqlite.story import BETA, a_story, an_old_story


async def test_what_was_there_before_goes_on() -> None:
    """Dispatches of before are found by their age. Of endpoints of before nobody knows when they
    began to read: whoever takes over gets what is on its way, and no report twice."""
    told = await a_story(*QUEUE_MIGRATIONS)
    await told.first_half()
    story = await an_old_story(9)
    database = story.database
    await database.migrate([*STORE_MIGRATIONS, *QUEUE_MIGRATIONS])
    story.goes_on_as(told)
    endpoints = SqliteEndpoints(database)

    assert await endpoints.worked_for(instant(0)) == frozenset()
    taken = await endpoints.take_over("acme", BETA, lambda _: None, known=())

    assert taken.reports == 0
    assert taken.dispatches > 0
    counts = await story.queue.counts()
    assert not {"waiting", "leased"} & counts["acme"].keys()
    open_ones = sum(counts["beta"].get(state, 0) for state in ("waiting", "leased"))
    assert open_ones == taken.dispatches + len(story.of_beta)
    ended = sum(n for each in counts.values() for n in each.values()) - open_ones
    removed = await QueueRetention(database).purge_dispatches(
        before=NOON.replace(year=NOON.year + 1), most=0, pause=no_pause
    )
    assert removed["dispatch"] == ended
    assert isinstance(taken, TakenOver)
    await database.close()
