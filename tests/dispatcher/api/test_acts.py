"""What somebody does with one dispatch or one endpoint: retry now, push again.

Whoever looked at a dispatch that waits for hours, because its customer had been down, could only
cancel it; what had been exhausted could be replayed by its reports, and an event, which has none,
not at all.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from msgspec.structs import replace
from pytest_aiohttp.plugin import AiohttpClient

from dispatcher.api.again import AgainApi
from dispatcher.api.dispatches import DispatchApi
from dispatcher.api.endpoints import EndpointApi
from dispatcher.endpoints.endpoint import Target
from dispatcher.endpoints.registry import Registry
from dispatcher.retrying.outcome import Outcome
from dispatcher.settings.settings import EndpointSettings
from dispatcher.storage import insert_new_event
from receiver.callbacks.app import new_app
from receiver.routes import add_routes
from receiver.store.instants import micros
from tests.contracts.report_store import an_sms
from tests.dispatcher.replay.replaying import ReplayBench, a_replay_bench
from tests.dispatcher.support import MINUTE

Client = TestClient[Any, Any]

ACME = EndpointSettings(name="acme", url="http://acme.example/dlr")


class Acts:
    """The routes over a bench, and who was woken."""

    def __init__(self, replays: ReplayBench, client: Client, woken: list[str]) -> None:
        self.replays = replays
        self.bench = replays.bench
        self.client = client
        self.woken = woken

    async def post(self, path: str, status: int = 200) -> Any:
        async with self.client.post(f"/api{path}") as response:
            said = await response.json()
            assert response.status == status, said
            return said

    async def refused(self, path: str, status: int, code: str) -> str:
        said = (await self.post(path, status))["error"]
        assert said["code"] == code
        return str(said["message"])

    async def failed(self, *names: str) -> None:
        """These messages were pushed once, each by itself, and wait."""
        self.bench.sender.always(503)
        for name in names:
            await self.bench.receive(an_sms(name))
            await self.bench.work()
        self.bench.sender.always(200)

    async def event(self, state: str) -> str:
        """A dispatch of an event that has ended. Returns its name."""
        at = micros(self.bench.clock.now())
        to = Target("http://acme.example/in", "application/json")
        number = await self.bench.database.write(
            lambda c: insert_new_event(c, "acme", to, b'{"messageId":"e"}', "e", at)
        )
        self.bench.sender.answers(200 if state == "acknowledged" else Outcome.STOPPED)
        await self.bench.work()
        self.bench.sender.pushes.clear()
        return f"db-{number}"


@pytest.fixture
async def acts(aiohttp_client: AiohttpClient) -> AsyncIterator[Acts]:
    async with a_replay_bench() as replays:
        bench, woken = replays.bench, list[str]()
        registry = Registry(bench.storage.endpoints, [ACME])
        given: dict[str, Any] = {"on_due": lambda: woken.append("woken")}
        app = new_app(body_limit=1_000)
        add_routes(
            app,
            DispatchApi(bench.store, bench.queue, now=bench.clock.now, **given),
            EndpointApi(registry, bench.queue, bench.storage.figures, now=bench.clock.now, **given),
            AgainApi(bench.store, bench.queue, replays.replaying, **given),
        )
        yield Acts(replays, await aiohttp_client(app), woken)


# --- retry now -----------------------------------------------------------------------------------


async def test_retry_now(acts: Acts) -> None:
    """A dispatch that waits is pushed now, as the next attempt of its schedule, with the same
    bytes; if that fails too, it waits as long as the schedule says after its second attempt."""
    await acts.failed("a", "b")
    (first, _) = acts.bench.sender.pushes
    acts.bench.sender.answers(503)
    acts.bench.clock.advance(timedelta(seconds=10))

    said = await acts.post("/dispatches/db-1/retry")

    assert (said["state"], said["dueAt"]) == ("waiting", "2026-03-02T12:00:10.000Z")
    assert acts.woken == ["woken"]
    assert await acts.bench.work() == 1
    again = acts.bench.sender.pushes[-1]
    assert (again.number, again.body, again.webhook_id) == (2, first.body, first.webhook_id)
    now = (await acts.bench.dispatches())[0]
    assert (now.attempts, now.due_at) == (2, acts.bench.clock.now() + 2 * MINUTE)


async def test_retry_of_what_does_not_wait(acts: Acts) -> None:
    """It is refused, and told what can be done instead; nothing changes, and nobody is woken."""
    await acts.failed("a")
    await acts.bench.queue.cancel("db-1")

    told = await acts.refused("/dispatches/db-1/retry", 409, "not_waiting")

    assert told == "dispatch db-1 has ended (cancelled): push it again instead"
    assert await acts.refused("/dispatches/db-9/retry", 404, "not_found")
    assert acts.woken == []


async def test_retry_all_of_an_endpoint(acts: Acts) -> None:
    """All that waits for it is pushed now; asked once more, nothing was due later."""
    await acts.failed("a", "b", "c")

    assert await acts.post("/endpoints/acme/retry") == {"endpoint": "acme", "retried": 3}

    assert await acts.post("/endpoints/acme/retry") == {"endpoint": "acme", "retried": 0}
    assert await acts.bench.work() == 3
    assert await acts.bench.states() == ["acknowledged"] * 3
    assert await acts.refused("/endpoints/nobody/retry", 404, "not_found")


async def test_what_is_paused_still_waits(acts: Acts) -> None:
    """What is due now is made as soon as its endpoint has room, and no sooner."""
    await acts.failed("a")
    (endpoint,) = acts.bench.worker.endpoints.values()
    acts.bench.worker.use([replace(endpoint, paused=True)])
    await acts.post("/endpoints/acme/retry")
    assert await acts.bench.work() == 0

    acts.bench.worker.use([endpoint])
    assert await acts.bench.work() == 1


# --- push again ----------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["acknowledged", "exhausted", "cancelled"])
async def test_push_again(acts: Acts, state: str) -> None:
    """What has ended is pushed again, whether it succeeded or not: the same reports to the same
    endpoint, by a replay that says which dispatch it is of. The old dispatch stays as it was."""
    if state == "acknowledged":
        await acts.bench.receive(an_sms("a"))
        await acts.bench.work()
    else:
        acts.bench.sender.always(503)
        await acts.bench.receive(an_sms("a"))
        await acts.bench.work()
        if state == "exhausted":
            await acts.bench.run_until_idle()
        else:
            await acts.bench.queue.cancel("db-1")
        acts.bench.sender.always(200)
    (before,) = await acts.bench.dispatches()
    old = acts.bench.sender.pushes[0]

    said = await acts.post("/dispatches/db-1/again", 201)

    assert said["dispatch"] is None
    assert (said["replay"]["id"], said["replay"]["total"]) == (1, 1)
    assert said["replay"]["selection"] == {"dispatch": "db-1"}
    assert acts.woken == ["woken"]
    await acts.replays.feed()
    await acts.bench.work()
    new = acts.bench.sender.pushes[-1]
    assert (new.body, new.endpoint, new.number) == (old.body, old.endpoint, 1)
    assert new.webhook_id != old.webhook_id
    assert (await acts.bench.dispatches())[0] == before
    assert await acts.bench.states() == [state, "acknowledged"]


@pytest.mark.parametrize("state", ["acknowledged", "exhausted"])
async def test_push_an_event_again(acts: Acts, state: str) -> None:
    """An event, which has no reports and which no replay can bring, goes as a new dispatch."""
    name = await acts.event(state)

    said = await acts.post(f"/dispatches/{name}/again", 201)

    assert said["replay"] is None
    assert (said["dispatch"]["id"], said["dispatch"]["messageIds"]) == ("db-2", ["e"])
    assert said["dispatch"]["state"] == "waiting"
    await acts.bench.work()
    (push,) = acts.bench.sender.pushes
    assert (push.name, push.body) == ("db-2", b'{"messageId":"e"}')
    assert await acts.bench.states() == [state, "acknowledged"]


async def test_what_cannot_be_pushed_again(acts: Acts) -> None:
    """What has not ended, and what is no more, is refused with what can be done instead. Nothing is
    made."""
    await acts.failed("waits", "leased")
    await acts.bench.queue.retry("db-2", acts.bench.clock.now())
    (leased,) = await acts.bench.worker.claim()
    assert leased.name == "db-2"
    code = "cannot_go_again"

    assert "retry it instead" in await acts.refused("/dispatches/db-1/again", 409, code)
    assert "an attempt is under way" in await acts.refused("/dispatches/db-2/again", 409, code)
    assert await acts.refused("/dispatches/db-9/again", 404, "not_found")

    await acts.bench.worker.give_back([leased])
    await acts.bench.queue.cancel("db-1")
    await acts.bench.database.write(lambda c: c.execute("DELETE FROM report WHERE id = 1").close())
    told = await acts.refused("/dispatches/db-1/again", 409, code)
    assert told == "dispatch db-1: its reports are no longer stored"
    del acts.replays.known.given["acme"]
    await acts.bench.queue.cancel("db-2")
    told = await acts.refused("/dispatches/db-2/again", 409, code)
    assert told == (
        'dispatch db-2: the endpoint "acme" no longer exists;'
        " a replay with dispatch = db-2 can push its reports elsewhere"
    )
    assert await acts.replays.replays.all() == []
    assert acts.woken == []


async def test_an_event_without_its_bytes(acts: Acts) -> None:
    """They were erased: there is nothing left to push."""
    name = await acts.event("exhausted")
    await acts.bench.database.write(lambda c: c.execute("DELETE FROM dispatch_body").close())

    told = await acts.refused(f"/dispatches/{name}/again", 409, "cannot_go_again")

    assert told == f"dispatch {name}: what it pushed is no longer stored"
