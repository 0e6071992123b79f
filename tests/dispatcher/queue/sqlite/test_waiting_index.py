"""A claim among a million waiting dispatches took twice as long as among a thousand: each dispatch
had to leave four indexes of what waits, each on another page. There are two now. What a database of
before holds is found as it was."""

from __future__ import annotations

from dispatcher.queue.sqlite.figures import SqliteFigures
from dispatcher.queue.sqlite.queue import MIGRATIONS as QUEUE_MIGRATIONS
from dispatcher.retrying.dispatch import DispatchState
from receiver.store.sqlite.store import MIGRATIONS as STORE_MIGRATIONS
from tests.dispatcher.queue.sqlite.story import Story, a_story

BEFORE = [step for step in QUEUE_MIGRATIONS if step.number < 16]
STATES: tuple[DispatchState, ...] = ("waiting", "leased", "acknowledged", "exhausted", "cancelled")


async def lists(story: Story) -> dict[tuple[str | None, str], list[str]]:
    return {
        (endpoint, state): [
            each.id for each in await story.queue.dispatches(endpoint=endpoint, state=state)
        ]
        for endpoint in (None, "acme", "beta")
        for state in STATES
    }


async def test_what_was_there_before_is_found_by_its_state() -> None:
    """Lists by endpoint and state, and the oldest that waits, as in a database that never had the
    schema of before."""
    told = await a_story(*QUEUE_MIGRATIONS)
    await told.first_half()
    story = await a_story(*BEFORE)
    await story.first_half()

    await story.database.migrate([*STORE_MIGRATIONS, *QUEUE_MIGRATIONS])

    found = await lists(story)
    assert found == await lists(told)
    assert all(
        found[which] for which in ((None, "waiting"), ("acme", "waiting"), ("acme", "cancelled"))
    )
    depths = await SqliteFigures(story.database).depths()
    assert depths == await SqliteFigures(told.database).depths()
    for each in (story, told):
        await each.database.close()


async def test_only_two_indexes_have_what_waits() -> None:
    """Whoever adds another makes each claim dearer by a page for each dispatch."""
    story = await a_story(*QUEUE_MIGRATIONS)

    found = await story.database.read(
        lambda c: c.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'dispatch'"
            " AND sql LIKE '%''waiting''%' AND sql NOT LIKE '%replay%' ORDER BY name"
        ).fetchall()
    )

    assert found == [("dispatch_due",), ("dispatch_waiting",)]
    await story.database.close()
