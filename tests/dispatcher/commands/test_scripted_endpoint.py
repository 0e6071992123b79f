"""The endpoint to try things against, over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from types import SimpleNamespace

import aiohttp
import pytest

from dispatcher.commands.scripted_endpoint import Push, Script, ScriptedEndpoint

SECOND = timedelta(seconds=1)


@asynccontextmanager
async def started(script: Script) -> AsyncIterator[ScriptedEndpoint]:
    endpoint = ScriptedEndpoint(script)
    await endpoint.start()
    try:
        yield endpoint
    finally:
        await endpoint.stop()


async def push(endpoint: ScriptedEndpoint, body: bytes = b"{}", **headers: str) -> int:
    async with (
        aiohttp.ClientSession() as session,
        session.post(endpoint.url, data=body, headers=headers) as response,
    ):
        return response.status


@pytest.mark.parametrize(
    ("script", "number", "at", "answer"),
    [
        (Script(), 1, 0, 200),
        (Script(status=404), 1, 0, 404),
        (Script(fail_first=2), 2, 0, 503),
        (Script(fail_first=2), 3, 0, 200),
        (Script(fail_first=2, fail_status=500, status=204), 1, 0, 500),
        (Script(fail_first=2, fail_status=500, status=204), 3, 0, 204),
        (Script(down_between=(SECOND, 3 * SECOND)), 1, 0, 200),
        (Script(down_between=(SECOND, 3 * SECOND)), 1, 1, None),
        (Script(down_between=(SECOND, 3 * SECOND)), 9, 2, None),
        (Script(down_between=(SECOND, 3 * SECOND)), 1, 3, 200),
        (Script(down_between=(0 * SECOND, SECOND), fail_first=1), 1, 0, None),
    ],
)
def test_script(script: Script, number: int, at: int, answer: int | None) -> None:
    """Being down comes before failing, and failing before the usual status."""
    assert script.answer_to(number, at * SECOND) == answer


async def test_keeps_what_came() -> None:
    """Each push is kept with its headers, its bytes and what was answered."""
    async with started(Script(fail_first=1)) as endpoint:
        headers = {"Content-Type": "application/json", "webhook-id": "db-1", "dlr-attempt": "1"}
        assert await push(endpoint, b'{"results":[]}', **headers) == 503
        assert await push(endpoint, b"<a/>") == 200

        first, second = endpoint.pushes
    assert (first.number, first.dispatch, first.attempt) == (1, "db-1", "1")
    assert (first.content_type, first.body) == ("application/json", b'{"results":[]}')
    assert first.answered == 503
    assert (second.number, second.dispatch, second.attempt) == (2, None, None)
    assert (second.body, second.answered) == (b"<a/>", 200)
    assert timedelta(0) <= first.since_start <= second.since_start


async def test_takes_any_path_and_method() -> None:
    """Whatever is called on the endpoint counts as a push."""
    async with started(Script()) as endpoint, aiohttp.ClientSession() as session:
        root = endpoint.url.removesuffix("/dlr")
        for method, path in (("GET", "/"), ("PUT", "/a/b?c=d"), ("POST", "/dlr")):
            async with session.request(method, root + path) as response:
                assert response.status == 200
        assert len(endpoint.pushes) == 3


async def test_cuts_the_connection_while_down() -> None:
    """While it is down the endpoint takes the request and gives no answer."""
    async with started(Script(down_between=(timedelta(0), timedelta(days=1)))) as endpoint:
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await push(endpoint)
        assert [each.answered for each in endpoint.pushes] == [None]

        endpoint.script = Script()
        assert await push(endpoint) == 200


async def test_tells_of_each_push() -> None:
    """Whoever listens hears of a push when it is answered."""
    heard: list[Push] = []
    endpoint = ScriptedEndpoint(Script(), on_push=heard.append)
    await endpoint.start()
    await push(endpoint)
    await endpoint.stop()

    assert heard == endpoint.pushes


async def test_delays_its_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a delay no answer comes before it, nor is the push counted as answered."""
    asleep, wake = asyncio.Event(), asyncio.Event()
    slept: list[float] = []

    async def pause(seconds: float) -> None:
        slept.append(seconds)
        asleep.set()
        await wake.wait()

    async with started(Script(delay=timedelta(hours=1))) as endpoint:
        scripted = SimpleNamespace(sleep=pause, get_running_loop=asyncio.get_running_loop)
        monkeypatch.setattr("dispatcher.commands.scripted_endpoint.asyncio", scripted)
        pushing = asyncio.create_task(push(endpoint))
        await asyncio.wait_for(asleep.wait(), 10)
        assert (slept, endpoint.pushes) == ([3600.0], [])

        wake.set()
        assert await pushing == 200
        assert len(endpoint.pushes) == 1


async def test_keeps_the_last_pushes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many pushes the last are kept: an endpoint that runs for days does not grow."""
    monkeypatch.setattr(ScriptedEndpoint, "PUSHES_KEPT", 2)
    async with started(Script()) as endpoint:
        for _ in range(4):
            await push(endpoint)
        assert [each.number for each in endpoint.pushes] == [3, 4]
