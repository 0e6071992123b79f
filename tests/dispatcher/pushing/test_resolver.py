"""A name that cannot be found delays no other.

Five customers' names had a name server that was silent. Their look-ups took all the threads that
there are for look-ups, half a minute each, and a new connection to any other customer waited.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections import Counter
from collections.abc import Iterator

import pytest

from dispatcher.pushing.http_sender import HttpSender
from dispatcher.pushing.resolver import DOUBTED, QUICK, SLOW, Address, Resolver, look_up
from dispatcher.retrying.outcome import Outcome
from tests.dispatcher.pushing.test_http_sender import listening, saying
from tests.dispatcher.support import a_push, an_endpoint

HERE: list[Address] = [(socket.AF_INET, socket.IPPROTO_TCP, "127.0.0.1")]


class System:
    """Looks names up as a test says: those that begin with `dead` wait until they are let go."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.let_go = threading.Event()
        self.at_once = 0
        self.most_at_once = 0
        self._lock = threading.Lock()

    def __call__(self, host: str, _: int) -> list[Address]:
        with self._lock:
            self.asked[host] += 1
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            if host.startswith("dead"):
                self.let_go.wait()
                raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
            return HERE
        finally:
            with self._lock:
                self.at_once -= 1


@pytest.fixture
def system() -> Iterator[System]:
    made = System()
    yield made
    made.let_go.set()


async def ends(asked: list[asyncio.Task[object]]) -> None:
    await asyncio.wait_for(asyncio.gather(*asked, return_exceptions=True), 10)


def asking(resolver: Resolver, *hosts: str) -> list[asyncio.Task[object]]:
    return [asyncio.create_task(resolver.resolve(host, 80)) for host in hosts]


async def test_dead_names_delay_no_other(system: System) -> None:
    """While more names than there are places for quick look-ups hang, another one is found."""
    resolver = Resolver(system, patience=0.001)
    dead = asking(resolver, *(f"dead{n}" for n in range(QUICK + 20)))

    (found,) = await asyncio.wait_for(resolver.resolve("healthy", 443), 10)

    assert (found["host"], found["port"], found["hostname"]) == ("127.0.0.1", 443, "healthy")
    assert not any(each.done() for each in dead)
    system.let_go.set()
    await ends(dead)
    assert all(isinstance(each.exception(), OSError) for each in dead)


async def test_names_that_were_dead_get_a_part(system: System) -> None:
    """Names whose last look-up took long never take the places of others, however many there are,
    and no more threads are made than there are places."""
    resolver = Resolver(system, patience=0.001)
    names = [f"dead{n}" for n in range(DOUBTED + 40)]
    first = asking(resolver, *names[: DOUBTED + 20])
    await asyncio.wait_for(resolver.resolve("healthy"), 10)
    system.let_go.set()
    await ends(first)
    system.let_go.clear()

    again = asking(resolver, *names)
    await asyncio.wait_for(resolver.resolve("healthy"), 10)
    others = asking(resolver, *(f"fine{n}" for n in range(200)))
    await ends(others)

    assert not any(each.exception() for each in others)
    assert system.most_at_once <= QUICK + SLOW
    system.let_go.set()
    await ends(again)
    assert max(system.asked.values()) == 2


async def test_more_in_doubt_than_there_are_places(system: System) -> None:
    """They wait for each other, and each gets its turn."""
    resolver = Resolver(system, patience=0.001)
    names = [f"dead{n}" for n in range(DOUBTED + 10)]
    for _ in range(2):
        asked = asking(resolver, *names)
        await asyncio.wait_for(resolver.resolve("healthy"), 10)
        system.let_go.set()
        await ends(asked)
        system.let_go.clear()

    assert {system.asked[name] for name in names} == {2}


async def test_one_look_up_for_all_who_ask(system: System) -> None:
    """Who asks for a name that is being looked up shares the answer; one that gives up takes it
    from nobody; and the next one asks anew."""
    resolver = Resolver(system)
    impatient, patient = asking(resolver, "dead", "dead")
    await asyncio.wait_for(resolver.resolve("healthy"), 10)
    impatient.cancel()
    system.let_go.set()
    await ends([impatient, patient])

    assert system.asked["dead"] == 1
    assert isinstance(patient.exception(), socket.gaierror)
    await ends(asking(resolver, "dead"))
    assert system.asked["dead"] == 2


async def test_close_waits_for_nobody(system: System) -> None:
    """A look-up that hangs holds up neither the end of the sender nor that of the process."""
    resolver = Resolver(system)
    (asked,) = asking(resolver, "dead")
    await asyncio.wait_for(resolver.resolve("healthy"), 10)

    await resolver.close()

    await ends([asked])
    assert asked.cancelled()
    assert all(each.daemon for each in threading.enumerate() if each.name == "dlr-dns")


async def test_a_push_to_another_customer(system: System) -> None:
    """Pushes to dead names wait for their look-ups; one to another customer goes out meanwhile."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    resolver = Resolver(system, patience=0.001)
    async with listening(saying(answer)) as url, HttpSender(resolver=resolver) as sender:
        port = url.rpartition(":")[2]
        dead = [
            asyncio.create_task(sender.send(a_push(f"http://dead{n}:{port}"), an_endpoint()))
            for n in range(QUICK + 8)
        ]
        told = await asyncio.wait_for(
            sender.send(a_push(f"http://healthy:{port}"), an_endpoint()), 10
        )

        assert told.status == 200
        assert not any(each.done() for each in dead)
        system.let_go.set()
        failures = {each.failure for each in await asyncio.gather(*dead)}
    assert failures == {Outcome.UNREACHABLE}


async def test_the_system_is_asked() -> None:
    """A name of this machine is found, in the family that is wanted; what is no name is told."""
    resolver = Resolver()
    found = await resolver.resolve("localhost", 80, socket.AF_INET)

    assert [(each["host"], each["port"]) for each in found] == [("127.0.0.1", 80)]
    with pytest.raises(OSError, match=r"."):
        await resolver.resolve("customer.invalid")
    with pytest.raises(ValueError, match="idna"):
        await resolver.resolve("a" * 64 + ".example")
    assert (socket.AF_INET, socket.IPPROTO_TCP, "127.0.0.1") in look_up("localhost", 0)
