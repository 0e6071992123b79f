"""`dlr replays start` against a running `dlr serve`: one command pushes what an outage cost."""

from __future__ import annotations

import json
import re
import signal
from collections import Counter
from pathlib import Path
from typing import Any

from tests.end_to_end.processes import (
    Running,
    an_endpoint,
    configure,
    customer,
    dlr,
    eventually,
    running,
    started,
)
from tests.receiver.payloads import a_json_body, an_item

REPORTS = 25
A_YEAR_A_MINUTE = "500000"
"""A speed at which the 41:30 h of a dispatch take a third of a second."""


async def receive(server: Running, number: int = REPORTS) -> list[str]:
    """So many reports come in. Returns their messages."""
    messages = [f"m{n}" for n in range(number)]
    for message in messages:
        status, _ = await server.post(a_json_body(an_item(messageId=message)))
        assert status == 200
    return messages


async def states(server: Running) -> Counter[str]:
    """How many reports are in dispatches of each state."""
    counts: Counter[str] = Counter()
    for dispatch in await server.all("dispatches"):
        counts[dispatch["state"]] += dispatch["reports"]
    return counts


async def exhausted(server: Running, number: int = REPORTS) -> None:
    """Wait until so many reports could not be brought."""

    async def all_are() -> bool:
        return (await states(server))["exhausted"] >= number

    await eventually(all_are, "everything is exhausted")


async def replays(folder: Path, *words: str) -> list[dict[str, Any]]:
    ended = await dlr(folder, "replays", "--format", "json", *words)
    found: list[dict[str, Any]] = json.loads(ended.out)
    return found


async def test_one_command_brings_back_what_failed(tmp_path: Path) -> None:
    """An endpoint was down for all attempts of everything; it comes back, and one command brings
    each report once, in pushes that say that they are a replay. Called again, nothing matches."""
    async with customer(lambda _: 503) as acme:
        configure(tmp_path, an_endpoint(acme.url) + "bucket_size = 5\n")
        async with running(tmp_path, "serve", "--speed", A_YEAR_A_MINUTE) as server:
            messages = await receive(server)
            await exhausted(server)
            assert not any(push.replay for push in acme.pushes)
            tried = len(acme.pushes)
            acme.answer = lambda _: 200

            dry = await dlr(tmp_path, "replays", "start", "--state", "exhausted", "--dry-run")
            assert (dry.code, dry.err) == (0, "")
            assert "would replay 25 reports" in dry.out
            assert "m9" in dry.out
            assert len(acme.pushes) == tried

            ended = await dlr(
                tmp_path, "replays", "start", "--state", "exhausted", "--since", "00:00"
            )
            assert ended.code == 0
            assert ended.err.startswith("--since 00:00 is ")
            assert ended.out.splitlines()[0] == "replay 1: 25 reports"
            assert "replay 1: done: 25 acknowledged" in ended.out
            pushes = acme.pushes[tried:]
            assert {push.replay for push in pushes} == {"1"}
            brought = [message for push in pushes for message in push.message_ids]
            assert sorted(brought) == sorted(messages)

            again = await dlr(tmp_path, "replays", "start", "--state", "exhausted")
            assert (again.code, again.out.strip()) == (0, "replay 2: nothing matches")
            assert (await server.get("/api/replays/1"))[1]["acknowledged"] == 25


async def test_to_a_url(tmp_path: Path) -> None:
    """`--to URL` brings reports to a URL that no endpoint has; it gets them once, and no others,
    and its endpoint is gone afterwards."""
    async with customer() as acme, customer() as other:
        configure(tmp_path, an_endpoint(acme.url))
        async with running(tmp_path, "serve") as server:
            messages = await receive(server, 7)
            await acme.came.reach(1)

            ended = await dlr(
                tmp_path, "replays", "start", "--source", "default", "--to", f"{other.url}/x"
            )
            assert (ended.code, ended.err) == (0, "")
            assert f"replay 1: 7 reports to {other.url}/x" in ended.out
            await receive(server, 1)

            brought = [message for push in other.pushes for message in push.message_ids]
            assert sorted(brought) == sorted(messages)
            assert {(push.replay, push.path) for push in other.pushes} == {("1", "/x")}

            async def its_endpoint_is_gone() -> bool:
                return [each["name"] for each in await server.all("endpoints")] == ["acme"]

            await eventually(its_endpoint_is_gone, "the endpoint of the replay is removed")


async def test_a_url_from_outside_is_checked(tmp_path: Path) -> None:
    """Over the API a URL that leads to this machine is not pushed to; the replay stops by its
    rule or waits, and can be cancelled."""
    async with customer() as acme, customer() as inside:
        configure(tmp_path, an_endpoint(acme.url))
        async with running(tmp_path, "serve") as server:
            await receive(server, 3)
            await acme.came.reach(1)
            order = json.dumps({"source": "default", "to": inside.url}).encode()
            status, made = await server.post(order, path="/api/replays")
            assert (status, made["total"]) == (201, 3)

            async def has_failed() -> bool:
                _, shown = await server.get("/api/replays/1")
                return bool(shown["failedAttempts"])

            await eventually(has_failed, "the push is refused")
            assert inside.pushes == []
            status, cancelled = await server.post(b"", path="/api/replays/1/cancel")
            assert (status, cancelled["state"], cancelled["waiting"]) == (200, "cancelled", 0)


async def test_the_same_key(tmp_path: Path) -> None:
    """A second call with the same key is the same replay, and pushes nothing."""
    async with customer() as acme:
        configure(tmp_path, an_endpoint(acme.url))
        async with running(tmp_path, "serve") as server:
            await receive(server, 2)
            await acme.came.reach(1)
            words = ("replays", "start", "--source", "default", "--key", "evening")
            first = await dlr(tmp_path, *words)
            second = await dlr(tmp_path, *words)

            assert (first.code, second.code) == (0, 0)
            assert "replay 1: made before with this key" in second.out
            assert len(await replays(tmp_path)) == 1
            brought = [m for push in acme.pushes if push.replay for m in push.message_ids]
            assert sorted(brought) == ["m0", "m1"]


async def test_survives_a_restart(tmp_path: Path) -> None:
    """A replay goes on where it was after its dispatcher was killed; nothing is left out, and
    only what was under way at that moment comes twice."""
    async with customer() as acme:
        configure(tmp_path, an_endpoint(acme.url) + "bucket_size = 1\n")
        async with running(tmp_path, "serve") as server:
            messages = await receive(server, 30)
            await acme.came.reach(30)
            ended = await dlr(
                tmp_path, "replays", "start", "--source", "default", "--rate", "20/s", "--detach"
            )
            assert ended.code == 0
            assert "`dlr replays show 1` shows it" in ended.out
            await acme.came.reach(35)
            await server.kill()

        async with running(tmp_path, "serve", "--speed", "20") as server:

            async def is_done() -> bool:
                return bool((await server.get("/api/replays/1"))[1]["state"] == "done")

            await eventually(is_done, "the replay is done")
            brought = Counter(m for push in acme.pushes if push.replay for m in push.message_ids)
            assert sorted(brought) == sorted(messages)
            assert brought.total() <= 30 + 20


async def test_a_replay_with_failures_is_code_1(tmp_path: Path) -> None:
    """A replay that could not bring everything ends with code 1, and so does a stopped one; the
    last line counts what became of it."""
    async with customer(lambda _: 503) as acme:
        configure(tmp_path, an_endpoint(acme.url) + "bucket_size = 1\n")
        async with running(tmp_path, "serve", "--speed", A_YEAR_A_MINUTE) as server:
            await receive(server)
            await exhausted(server)

            failed = await dlr(tmp_path, "replays", "start", "--state", "exhausted")
            assert failed.code == 1
            assert re.search(r"replay 1: done: 25 exhausted, \d+ failed attempts", failed.out)

        async with running(tmp_path, "serve") as server:
            stopped = await dlr(
                tmp_path, "replays", "start", "--state", "exhausted", "--stop-on-errors", "0.2"
            )
            assert stopped.code == 1
            assert "replay 2: stopped: 25 cancelled" in stopped.out


async def test_without_a_dispatcher(tmp_path: Path) -> None:
    """When no dispatcher works on the database the command says so, and the replay waits."""
    async with customer() as acme:
        configure(tmp_path, an_endpoint(acme.url))
        async with running(tmp_path, "serve") as server:
            await receive(server, 2)
            await acme.came.reach(1)
            assert await server.stop() == 0

        async with started(tmp_path, "replays", "start", "--source", "default") as command:
            await command.out.find("no dispatcher seems to be at work on this database")
            command.signal(signal.SIGINT)
            assert await command.ended() == 130
            assert "replay 1 continues: `dlr replays show 1` shows it" in command.out.text

        shown = await dlr(tmp_path, "replays", "show", "1")
        assert re.search(r"^state +running$", shown.out, re.MULTILINE)
        cancelled = await dlr(tmp_path, "replays", "cancel", "1")
        assert (cancelled.code, cancelled.out) == (0, "replay 1: cancelled: 2 not sent\n")
        assert (await dlr(tmp_path, "replays", "cancel", "1")).code == 1
