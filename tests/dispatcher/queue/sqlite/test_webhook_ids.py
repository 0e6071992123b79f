"""A `webhook-id` never means two pushes.

It was the database's name and a number that counted up. A database that was restored from a backup
counted from the same number once more, and so did two copies of one file: customers who remember
the ids that they have had dropped reports which they had never had.
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from dispatcher.queue.sqlite.queue import MIGRATIONS as QUEUE_MIGRATIONS
from receiver.store.recipient import Recipient
from receiver.store.sqlite.store import MIGRATIONS as STORE_MIGRATIONS
from tests.contracts.report_store import an_sms
from tests.dispatcher.queue.sqlite.story import an_old_story
from tests.dispatcher.support import MINUTE, START, Bench, a_bench


@asynccontextmanager
async def copied(path: Path, to: Path) -> AsyncIterator[Bench]:
    """What a copy of this file, which nobody has open, does."""
    shutil.copy(path, to)
    async with a_bench(path=to) as bench:
        yield bench


async def test_a_restored_or_copied_database_repeats_its_own_ids_and_no_others(
    tmp_path: Path,
) -> None:
    """What waited when the backup was made is the same push with the same id wherever it is sent.
    What is formed afterwards has an id that no copy has given."""
    path, ids = tmp_path / "dlr.db", list[set[str]]()
    async with a_bench(path=path) as bench:
        bench.sender.answers(503)
        await bench.receive(an_sms("waits"))
        await bench.work()
        waits = bench.sender.pushes[0].webhook_id

    for name in ("one.db", "two.db"):
        async with copied(path, tmp_path / name) as bench:
            await bench.receive(an_sms(f"new in {name}"))
            await bench.work()
            bench.clock.advance(MINUTE)
            await bench.work()
            assert [push.name for push in bench.sender.pushes] == ["db-2", "db-1"]
            ids.append({push.webhook_id for push in bench.sender.pushes})

    assert ids[0] & ids[1] == {waits}


async def test_retries_keep_it_and_replays_and_erasures_have_new_ones(tmp_path: Path) -> None:
    """It is the same at each attempt, after a restart too. Other bytes have another id."""
    async with a_bench(path=tmp_path / "dlr.db") as bench:
        bench.sender.answers(503)
        await bench.receive(an_sms("a", to="4179111"), an_sms("b", to="4179222"))
        await bench.work()
    async with a_bench(path=tmp_path / "dlr.db") as again:
        again.clock.advance(MINUTE)
        again.sender.answers(503)
        await again.work()
        assert again.sender.pushes[0].webhook_id == bench.sender.pushes[0].webhook_id

        await again.storage.erasure.erase(Recipient("4179111"))
        await again.run_until_idle()

    assert again.sender.pushes[1].webhook_id != again.sender.pushes[0].webhook_id


async def test_a_dispatch_is_found_by_it() -> None:
    """What a customer tells of a push leads to its dispatch; that of a copy leads nowhere."""
    async with a_bench() as bench:
        await bench.receive()
        await bench.work()
        (push,) = bench.sender.pushes

        found = await bench.queue.dispatch(push.webhook_id)

        assert found is not None
        assert (found[0].id, found[0].webhook_id) == ("db-1", push.webhook_id)
        assert push.webhook_id.startswith("db-1-")
        for unknown in ("db-1-0123456789abcdef", "db-1-", f"{push.webhook_id}-", "other-1"):
            assert await bench.queue.dispatch(unknown) is None


async def test_what_waited_before_the_upgrade_keeps_its_id() -> None:
    """Its customer may have seen the push already."""
    story = await an_old_story(9)
    await story.database.migrate([*STORE_MIGRATIONS, *QUEUE_MIGRATIONS])

    claimed = await story.claim(START + 60 * MINUTE, room=9)

    assert claimed
    assert [each.webhook_id for each in claimed] == [each.name for each in claimed]
    found = await story.queue.dispatch(claimed[0].webhook_id)
    assert found is not None
    assert found[0].webhook_id == claimed[0].name
    await story.database.close()
