"""No 500: every operation of the OpenAPI document with values from the edges of what it takes.

`GET /api/totals?since=0001-01-01`, `until=0001-01-01` of replays and a `notifyUrl` with a host that
begins with "xn--" were answered 500 with a traceback in the log. The documents say which operations
there are, so a new one is driven without a line here.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from tests.end_to_end.processes import Running, an_endpoint, configure, customer, running
from tests.receiver.payloads import a_json_body, an_item
from tests.security.attacked import attacked
from tests.security.commands import run_all
from tests.security.edges import DURATIONS, EDGES, INSTANTS, NUMBERS, Request, requests

SHARE = 17
"""The short run sends every so many-th request; a prime, so that it meets each value somewhere."""

AT_ONCE = 8

STREAM = "/api/events"
"""Its answer does not end: only its status is read."""


async def status_of(client: aiohttp.ClientSession, request: Request) -> int:
    headers = {name: str(text) for name, text in request.headers}
    url = URL(request.target.decode(), encoded=True)
    async with client.request(
        request.method, url, headers=headers, data=request.body, skip_auto_headers=["Content-Type"]
    ) as response:
        if not request.target.startswith(STREAM.encode()) or response.status != 200:
            await response.read()
        else:
            response.close()
        return response.status


async def drive(server: Running, all_of_them: Iterable[Request]) -> tuple[Counter[int], list[str]]:
    """How often each status came, and what was answered 5xx or not at all."""
    counts: Counter[int] = Counter()
    wrong: list[str] = []
    waiting = iter(all_of_them)

    async def some(client: aiohttp.ClientSession) -> None:
        for request in waiting:
            try:
                status = await status_of(client, request)
            except (aiohttp.ClientError, TimeoutError) as error:
                wrong.append(f"{request.what}: {error!r}")
                continue
            counts[status] += 1
            if status >= 500:
                wrong.append(f"{request.what}: {status}")

    timeout = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(server.url, timeout=timeout) as client:
        await asyncio.gather(*(some(client) for _ in range(AT_ONCE)))
    return counts, wrong


async def chosen(server: Running, fits: Callable[[str], bool], every: int) -> list[Request]:
    """The requests for the paths that fit; of those with something odd every so many-th."""
    _, document = await server.get("/api/openapi.json")
    document["paths"] = {path: each for path, each in document["paths"].items() if fits(path)}
    _, messages = await server.get("/api/messages")
    ids = {"id": "1", "name": "acme", "source": "default", "messageId": "m1"}
    ids["messageId"] = messages["messages"][0]["messageId"] if messages["messages"] else "m1"
    return list(requests(document, ids))[::every]


async def find_nothing(folder: Path, every: int) -> None:
    """In a `dlr receive` on a database that `dlr serve` has filled: nothing is pushed to URLs that
    are made up."""
    async with customer() as acme:
        # Readers of events that have left are seen a little later.
        configure(folder, an_endpoint(acme.url) + "[server]\nevent_readers = 10000\n")
        async with running(folder, "serve") as server:
            for number in range(3):
                await server.post(a_json_body(an_item(messageId=f"m{number}")))
            await server.post(b"{")
            await acme.came.reach(1)
            await server.stop()
    async with attacked(folder, "receive") as server:
        sent = await chosen(server, lambda path: not path.startswith(("/sms", "/ct")), every)

        counts, wrong = await drive(server, sent)

        assert not wrong, f"{len(wrong)} of {len(sent)}: " + "\n".join(wrong[:40])
        assert set(counts) >= {200, 400, 404}
        assert (await server.get("/readyz"))[0] == 200
    assert "Traceback" not in server.err.text


async def find_nothing_in_the_sandbox(folder: Path, every: int) -> None:
    """Of its routes alone, and nothing is pushed: the endpoint of those URLs is paused."""
    async with attacked(folder, "sandbox") as server:
        await server.post(b"", path="/api/endpoints/notify-url/pause")
        # Trouble that is ordered would meet the other requests.
        paths = re.compile("/(?!sandbox/faults)(sms|ct|sandbox)").match
        sent = await chosen(server, lambda path: paths(path) is not None, every)
        key = ("Authorization", "App key")
        sent = [
            Request(each.what, each.method, each.target, (*each.headers, key), each.body)
            for each in sent
        ]

        counts, wrong = await drive(server, sent)

        assert not wrong, f"{len(wrong)} of {len(sent)}: " + "\n".join(wrong[:40])
        assert counts[200]
        assert (await server.get("/readyz"))[0] == 200


async def test_no_operation_answers_500(tmp_path: Path) -> None:
    """Callbacks, /api, health and metrics: a share of the requests, the same each time."""
    await find_nothing(tmp_path, SHARE)


async def test_no_operation_of_the_sandbox_answers_500(tmp_path: Path) -> None:
    """/sms, /ct and /sandbox."""
    await find_nothing_in_the_sandbox(tmp_path, SHARE)


@pytest.mark.long
async def test_all_edges(tmp_path: Path) -> None:
    """All of the requests."""
    await find_nothing(tmp_path, 1)


@pytest.mark.long
async def test_all_edges_of_the_sandbox(tmp_path: Path) -> None:
    """All of the requests."""
    await find_nothing_in_the_sandbox(tmp_path, 1)


SEEN = (
    "/api/totals?since=0001-01-01",
    "/api/totals?since=0001-01-01T00:00:00Z",
    "/api/totals?since=9999-12-31T23:59:59Z",
    "/api/totals?until=0001-01-01T00:00:00Z&bucket=day",
    "/api/totals?since=0001-01-01T00:00:00Z&until=9999-12-31T23:59:59Z",
    "/api/reports?receivedUntil=0001-01-01",
    "/api/reports?doneSince=9999-12-31T23:59:59.999999-23:59",
    "/api/reports?cursor=99999999999999999999",
    "/api/reports/9223372036854775808",
)


async def test_what_was_seen(tmp_path: Path) -> None:
    """Each of these had been answered 500, or is a sibling of one that had."""
    async with attacked(tmp_path, "receive") as server:
        for target in SEEN:
            request = Request(target, "GET", target.encode())
            _, wrong = await drive(server, [request])
            assert not wrong
        for edge in ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", *EDGES[:14]):
            for name in ("since", "until"):
                body = f'{{"endpoint": "acme", "{name}": "{edge}"}}'.encode()
                request = Request(f"{name} {edge}", "POST", b"/api/replays", (), body)
                _, wrong = await drive(server, [request])
                assert not wrong


COMMANDS = {
    "an instant": (
        INSTANTS,
        (
            ("totals", "--since", "EDGE"),
            ("totals", "--until", "EDGE"),
            ("totals", "--bucket", "day", "--until", "EDGE"),
            ("reports", "--until", "EDGE"),
            ("reports", "--done-since", "EDGE"),
            ("replays", "start", "--endpoint", "acme", "--since", "EDGE", "--dry-run"),
            ("replays", "start", "--endpoint", "acme", "--until", "EDGE", "--detach"),
            ("capture", "--since", "EDGE", "--until", "9999-12-31", "-o", "out.capsule"),
            ("capture", "--since", "0001-01-02", "--until", "EDGE", "-o", "out.capsule"),
        ),
    ),
    "a number": (
        NUMBERS,
        (
            ("quarantine", "EDGE"),
            ("replays", "EDGE"),
            ("replays", "--cancel", "EDGE"),
            ("replays", "start", "--id", "EDGE", "--dry-run"),
            ("replays", "start", "--endpoint", "acme", "--rate", "EDGE/s", "--detach"),
            ("endpoints", "change", "acme", "--set", "window=EDGE"),
        ),
    ),
    "a duration": (
        DURATIONS,
        (
            ("purge", "--older-than", "EDGE", "--dry-run"),
            ("endpoints", "change", "acme", "--set", "read_timeout=EDGE"),
        ),
    ),
}


@pytest.mark.parametrize("kind", COMMANDS)
async def test_no_command_ends_with_a_defect(tmp_path: Path, kind: str) -> None:
    """The same values on the command line: done, or refused in words."""
    configure(tmp_path, an_endpoint("http://127.0.0.1:9/"))
    async with running(tmp_path, "serve") as server:
        await server.post(a_json_body(an_item()))
        await server.stop()
    edges, rows = COMMANDS[kind]
    commands = [[word.replace("EDGE", edge) for word in row] for edge in edges for row in rows]

    ended = await run_all(tmp_path, commands)

    for words, each in zip(commands, ended, strict=True):
        assert each.code in (0, 1, 2), (words, each)
        assert "unexpected " not in each.err, (words, each.err)
