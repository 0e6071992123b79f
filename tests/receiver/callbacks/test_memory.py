"""What bodies take of the memory, and who waits for it.

40 callbacks of 9 MB at once took 1.3 GB: six were decoded at the same time, each in many copies,
and a connection that fell silent kept the reports of its last callback. A machine of 512 MB had its
process killed, in the hour in which the platform had the most to tell.
"""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest

from receiver.answers import NotTaken
from receiver.callbacks.arriving import Room
from tests.end_to_end.processes import Running, running
from tests.receiver.served import Reply, connected, get, served, still_works

MB = 1024**2
ITEMS, PADDING = 2_000, "x" * 4_600
SHORT = timedelta(milliseconds=1)
LONG = timedelta(seconds=30)


def items_of(number: int) -> Iterator[bytes]:
    """A body of 9 MB in pieces, of reports that no other body has."""
    yield b'{"results":['
    for item in range(ITEMS):
        said = f'"messageId":"{number:02}-{item:04}","status":{{"id":5}},"callbackData":"{PADDING}"'
        yield f"{',' if item else ''}{{{said}}}".encode()
    yield b"]}"


def peak(server: Running) -> int:
    """The most bytes of memory that the process has ever held."""
    status = Path(f"/proc/{server.pid}/status").read_text()
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])


async def send(url: str, number: int, coded: bool) -> Reply:
    """Post a body of 9 MB, a piece at a time: what is not read stays here."""
    pieces = list(items_of(number))
    head = "POST /notify HTTP/1.1\r\nHost: dlr\r\nContent-Type: application/json\r\n"
    if coded:
        pieces = [gzip.compress(b"".join(pieces), 1)]
        head += "Content-Encoding: gzip\r\n"
    head += f"Content-Length: {sum(map(len, pieces))}\r\n\r\n"
    async with connected(url) as wire:
        await wire.send(head.encode())
        for piece in pieces:
            if not await wire.send(piece):
                break
        return await wire.reply()


@pytest.mark.parametrize("coded", [False, True], ids=["plain", "gzip"])
async def test_forty_bodies_of_9_mb_at_once(tmp_path: Path, coded: bool) -> None:
    """They stay under 400 MB with everything that the process has. What does not fit waits, or is
    told when to come again; what is answered 200 is stored to the last report."""
    async with running(tmp_path, "serve") as server:
        replies = await asyncio.gather(*[send(server.url, number, coded) for number in range(40)])
        assert peak(server) < 400 * MB
        taken = [reply for reply in replies if reply.status == 200]
        busy = [reply for reply in replies if reply.status == 503]
        assert len(taken) + len(busy) == 40
        assert taken
        assert all(reply.json["stored"] == ITEMS for reply in taken)
        assert all(reply.code == "busy" and reply.headers["retry-after"] for reply in busy)
        totals = (await get(server.url, "/api/totals")).json  # a slow machine adds up later
        assert totals["total"]["reports"] + totals["behind"] == ITEMS * len(taken)
        await still_works(server.url)


async def test_a_small_body_passes_large_ones(tmp_path: Path) -> None:
    """While large bodies take all the room, callbacks as they usually are go on."""
    async with (
        served(tmp_path, '[limits]\nbodies = "1MB"') as service,
        connected(service.url) as wire,
    ):
        head = b"POST /notify HTTP/1.1\r\nHost: dlr\r\nContent-Type: application/json\r\n"
        await wire.send(head + b"Content-Length: 1048576\r\n\r\n" + b" " * 100_000)
        await still_works(service.url)


async def test_whoever_waits_is_let_in_in_order() -> None:
    """A later one does not pass an earlier one, though it would fit; leaving lets the next ones
    in."""
    room = Room(10, LONG)
    done: list[str] = []
    leave = {name: asyncio.Event() for name in "abcd"}
    inside = {name: asyncio.Event() for name in "abcd"}

    async def one(name: str, size: int) -> None:
        async with room.taking(size):
            done.append(name)
            inside[name].set()
            await leave[name].wait()

    async with asyncio.TaskGroup() as tasks:
        for name, size in (("a", 6), ("b", 6), ("c", 1), ("d", 3)):
            tasks.create_task(one(name, size))
        await inside["a"].wait()
        assert (done, room.taken) == (["a"], 6)
        leave["a"].set()
        await inside["d"].wait()
        assert (done, room.taken) == (["a", "b", "c", "d"], 10)
        for event in leave.values():
            event.set()
    assert room.taken == 0


async def test_whoever_waits_too_long_is_told() -> None:
    """503, and nothing stays taken; what will never fit is told at once."""
    room = Room(10, SHORT)
    with pytest.raises(NotTaken, match="too many bodies"):
        async with room.taking(11):
            pass
    async with room.taking(10):
        with pytest.raises(NotTaken) as caught:
            async with room.taking(1):
                pass
        assert (caught.value.status, caught.value.code) == (503, "busy")
    async with room.taking(10):
        assert room.taken == 10
    assert room.taken == 0


@pytest.mark.parametrize("let_in", [False, True])
async def test_whoever_goes_while_waiting_takes_nothing(let_in: bool) -> None:
    """Also if it was let in at that very moment; whoever comes next is let in."""
    room = Room(10, LONG)

    async def one() -> None:
        async with room.taking(10):
            pass

    async with room.taking(10):
        waiting = asyncio.create_task(one())
        await asyncio.sleep(0)
        if not let_in:
            waiting.cancel()
    if let_in:  # the block has let it in, and it has not run yet
        assert room.taken == 10
        waiting.cancel()
    with suppress(asyncio.CancelledError):
        await waiting
    assert room.taken == 0
    await one()
