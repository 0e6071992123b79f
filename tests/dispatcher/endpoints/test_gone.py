"""Endpoints that have left the settings file, because somebody renamed or deleted them there.

They held up retention for ever, since nobody read on for them; what waited for them waited for
ever, and nothing said so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from dispatcher.endpoints.base import TakenOver
from dispatcher.endpoints.endpoint import Rules
from dispatcher.endpoints.registry import (
    EndpointGone,
    EndpointInForce,
    EndpointWorkedFor,
    Registry,
    UnknownEndpoint,
)
from dispatcher.settings.settings import EndpointSettings, RetentionSettings
from dispatcher.upkeep import retention
from tests.contracts.report_store import an_sms
from tests.contracts.retention import DAY, KEEP_ALL, no_pause, vars_of
from tests.dispatcher.replay.replaying import ReplayBench
from tests.dispatcher.support import MINUTE, Bench, a_bench, an_endpoint

OLD, NEW = an_endpoint("old"), an_endpoint("new")


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    """Of an installation whose settings file named Old alone."""
    async with a_bench(OLD) as made:
        yield made


def of(bench: Bench, *names: str, **said: Any) -> Registry:
    """The registry of a process with these endpoints in its file."""
    file = [EndpointSettings(name, f"http://{name}.example/dlr", **said) for name in names]
    return Registry(bench.storage.endpoints, file, now=bench.clock.now)


async def renamed(bench: Bench, **changes: Any) -> Registry:
    """Started with a file that names New, and works for it."""
    new = an_endpoint("new", **changes)
    await bench.queue.adopt([new])
    bench.worker.use([new])
    return of(bench, "new")


def pushed(bench: Bench, endpoint: str) -> list[str]:
    """The messages that went to an endpoint, in order."""
    bodies = [each.body.decode() for each in bench.sender.pushes if each.endpoint == endpoint]
    return [part.split('"')[0] for body in bodies for part in body.split('"messageId":"')[1:]]


async def purged(bench: Bench, registry: Registry, **kept: Any) -> tuple[dict[str, int], Any]:
    """What goes with these settings, and who keeps how much of the rest. A dry run agrees."""
    await bench.storage.read_model.catch_up()
    settings = RetentionSettings(**{**vars_of(KEEP_ALL), **kept})
    now = bench.clock.now()
    of_readers = bench.storage.retention.reading(await registry.readers())
    dry, held = Counter[str](), Counter[str]()
    would = await retention.count(of_readers, settings, now, dry)
    removed = await retention.purge(of_readers, settings, now, pause=no_pause, held=held)
    if "attempts" not in kept:  # otherwise reports go that dispatches carried
        assert dry == held
        assert would["report"] == removed["report"]
    assert would["dispatch"] == removed["dispatch"]
    return {name: rows for name, rows in removed.items() if rows}, held


# --- who is gone ---------------------------------------------------------------------------------


async def test_whom_no_file_names_is_gone(bench: Bench) -> None:
    """Not one that is in the file, was added at run time, or was removed."""
    registry = of(bench, "old")
    await registry.add({"name": "added", "url": "http://added.example/"}, from_outside=False)
    assert await registry.gone() == {}

    later = of(bench, "new")
    assert list(await later.gone()) == ["old"]
    assert list(await later.listed()) == ["new", "added", "old"]
    assert [each.name for each in await later.endpoints()] == ["new", "added"]
    await later.remove("old")
    assert await later.gone() == {}


async def test_whom_another_process_works_for_is_not_gone(bench: Bench) -> None:
    """Two dispatchers may divide the endpoints of a database between them. One that has died
    leaves its endpoints to be gone after a while, one that stops does so at once."""
    here, there = of(bench, "new"), of(bench, "old")
    await there.work(3 * MINUTE)
    assert await here.gone() == {}

    bench.clock.advance(3 * MINUTE)
    assert list(await here.gone()) == ["old"]
    await there.work(3 * MINUTE)
    await there.work(timedelta())
    assert list(await here.gone()) == ["old"]


async def test_it_comes_back_with_its_name(bench: Bench) -> None:
    """An endpoint that is named again goes on where it was."""
    bench.sender.answers(503, endpoint="old")
    await bench.receive(an_sms("a"))
    await bench.work()
    await renamed(bench)
    await bench.receive(an_sms("b"))
    await bench.work()
    await bench.queue.adopt([OLD])
    bench.worker.use([OLD])

    await bench.run_until_idle()

    assert pushed(bench, "old") == ["a", "b", "a"]


# --- what can be done ----------------------------------------------------------------------------


async def test_what_can_be_done_is_said(bench: Bench) -> None:
    """Whoever asks something of it that only one in force can do is told what can be done."""
    registry = await renamed(bench)

    for ask in (registry.pause("old", True), registry.change("old", {}, from_outside=False)):
        with pytest.raises(EndpointGone, match="dlr endpoints resume old --as NAME"):
            await ask
    for name, other, error in (
        ("nobody", "new", UnknownEndpoint),
        ("old", "nobody", UnknownEndpoint),
        ("old", "old", UnknownEndpoint),
        ("new", "new", EndpointInForce),
    ):
        with pytest.raises(error):
            await registry.resume_as(name, other)


async def test_whom_a_killed_process_worked_for_is_not_unknown(bench: Bench) -> None:
    """The process was killed, and started anew with another name in its file. For three minutes
    nobody can know that it does not run any more: whoever asks is told so, and not that there is
    no such endpoint."""
    await of(bench, "old").work(3 * MINUTE)
    registry = await renamed(bench)

    with pytest.raises(EndpointWorkedFor, match="another process pushes to the endpoint"):
        await registry.resume_as("old", "new")

    bench.clock.advance(3 * MINUTE)
    await registry.resume_as("old", "new")
    with pytest.raises(UnknownEndpoint):
        await registry.resume_as("old", "new")


async def test_it_goes_on_under_its_new_name(bench: Bench) -> None:
    """What waited is pushed to the new URL with the id, the bytes and the retries that it had; what
    it had not read is read; and nothing that the new one has had comes twice."""
    bench.sender.always(503, endpoint="old")
    await bench.receive(an_sms("waits"))
    await bench.work()
    bench.worker.use([])
    await bench.receive(an_sms("unread"))
    registry = await renamed(bench)
    await bench.receive(an_sms("by itself"))
    await bench.work()
    assert pushed(bench, "new") == ["by itself"]

    assert await registry.resume_as("old", "new") == TakenOver(dispatches=1, reports=1)

    await bench.run_until_idle()
    assert sorted(pushed(bench, "new")) == ["by itself", "unread", "waits"]
    first, again = (each for each in bench.sender.pushes if b"waits" in each.body)
    assert (again.name, again.body, again.number) == (first.name, first.body, 2)
    assert (again.endpoint, again.url) == ("new", NEW.url)
    assert await registry.gone() == {}
    assert await bench.queue.counts() == {"new": {"acknowledged": 3}}


async def test_only_what_the_new_one_takes_is_taken_over(bench: Bench) -> None:
    """Of what was not read the rules of the new one decide."""
    bench.worker.use([])
    await bench.receive(an_sms("a", "PENDING_ENROUTE"), an_sms("b"))
    await bench.queue.adopt([NEW])
    registry = of(bench, "new", reports="final")

    assert await registry.resume_as("old", "new") == TakenOver(dispatches=0, reports=1)

    bench.worker.use([an_endpoint("new", rules=Rules(final=True))])
    await bench.run_until_idle()
    assert pushed(bench, "new") == ["b"]


async def test_one_that_has_read_all_along_gets_nothing_twice(bench: Bench) -> None:
    """Two customers become one: what the other had read itself is not read again for the first."""
    await bench.queue.adopt([OLD, NEW])
    bench.worker.use([NEW])
    for name in ("a", "b"):
        await bench.receive(an_sms(name))
    await bench.work()
    registry = of(bench, "new")

    assert await registry.resume_as("old", "new") == TakenOver(dispatches=0, reports=0)

    await bench.run_until_idle()
    assert pushed(bench, "new") == ["a", "b"]


async def test_the_order_is_kept(bench: Bench) -> None:
    """What was held for the order's sake goes on after what it waited for."""
    ordered = an_endpoint("old", ordered=True)
    bench.worker.use([ordered])
    bench.sender.always(503, endpoint="old")
    for status in ("PENDING_ENROUTE", "DELIVERED_TO_HANDSET"):
        await bench.receive(an_sms("a", status))
        await bench.work()
    registry = await renamed(bench, ordered=True)

    assert await registry.resume_as("old", "new") == TakenOver(dispatches=1, reports=0)

    await bench.run_until_idle()
    assert [b"DELIVERED" in each.body for each in bench.sender.pushes[-2:]] == [False, True]
    assert {each.endpoint for each in bench.sender.pushes[-2:]} == {"new"}


async def test_it_can_be_replayed(bench: Bench) -> None:
    """What waits for it, and what it has had, can be replayed to another endpoint."""
    bench.sender.always(503, endpoint="old")
    await bench.receive(an_sms("a"), an_sms("b"))
    await bench.work()
    await renamed(bench)

    replaying = ReplayBench(bench, NEW)
    replay = await replaying.ask(endpoint="old", toEndpoint="new")
    await replaying.run()

    assert (await replaying.replays.one(replay.id)).counts["acknowledged"] == 2
    assert pushed(bench, "new") == ["a", "b"]


# --- retention -----------------------------------------------------------------------------------


async def test_it_holds_up_nothing(bench: Bench) -> None:
    """Reports go though it has not read them, or has them in dispatches that wait; these stay whole
    until they are too old themselves, so that they can still be resumed."""
    bench.sender.always(503, endpoint="old")
    await bench.receive(an_sms("waits"))
    await bench.work()
    registry = await renamed(bench)
    await bench.receive(an_sms("unread"))
    await bench.work()
    bench.clock.advance(10 * DAY)

    removed, held = await purged(bench, registry, reports=DAY)
    assert (removed["report"], held) == (2, {})
    assert await registry.resume_as("old", "new") == TakenOver(dispatches=1, reports=0)
    await bench.run_until_idle()
    assert pushed(bench, "new") == ["unread", "waits"]


async def test_what_waits_for_it_does_not_wait_for_ever(bench: Bench) -> None:
    """With the age at which attempts go, it is given up and goes like what has ended."""
    bench.sender.always(503, endpoint="old")
    for _ in range(2):
        await bench.receive()
        await bench.work()
        bench.clock.advance(5 * DAY)
    registry = await renamed(bench)

    removed, _ = await purged(bench, registry, attempts=6 * DAY)

    assert (removed["dispatch"], removed["attempt"]) == (1, 2)
    assert await bench.states("old") == ["waiting"]
    assert (await bench.queue.counts())["old"] == {"waiting": 1}


async def test_a_pause_holds_only_what_will_be_taken(bench: Bench) -> None:
    """Reports that a paused endpoint will not take go, the others stay, and it is said for whom."""
    await bench.receive(an_sms("a", "PENDING_ENROUTE"), an_sms("b"), an_sms("c", to="4178"))
    registry = of(bench, "old", reports="final", to_prefixes=("4179",))
    await registry.pause("old", True)
    bench.clock.advance(10 * DAY)

    removed, held = await purged(bench, registry, reports=DAY)

    assert (removed["report"], held) == (2, {"old": 1})
    (left,) = await bench.store.reports_after(0, 9)
    assert left.read().message_id == "b"


async def test_a_replay_holds_only_what_it_brings(bench: Bench) -> None:
    """Reports between those of an open replay go."""
    await bench.receive(*(an_sms(f"m{n}") for n in range(6)))
    await bench.work()
    bench.clock.advance(10 * DAY)
    await ReplayBench(bench, OLD).ask(ids=[2, 5])

    removed, held = await purged(bench, of(bench, "old"), reports=DAY)

    assert (removed["report"], held) == (4, {"replay 1": 2})


async def test_one_whose_settings_cannot_be_read_keeps_all(bench: Bench) -> None:
    """What its rules are nobody can tell: so all that it has not read stays."""
    await of(bench).add({"name": "x", "url": "http://x.example/"}, from_outside=False)
    await bench.receive()
    await bench.work()
    await bench.storage.endpoints.put(
        "x", lambda stored: type(stored["x"])('{"name":"x","window":0}'), known=()
    )
    bench.clock.advance(10 * DAY)

    removed, held = await purged(bench, of(bench, "old"), reports=DAY)

    assert (removed, held) == ({}, {"x": 1})
