"""Signing in: who guesses is slowed down, and keeps nobody else out."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from dispatcher.web.sign_in import ADDRESSES, TRIES_IN_ALL, Tries
from tests.web.processes import Dlr
from tests.web.test_frame import OPERATE, TOKENS
from tests.web.visitor import Visitor

Start = Callable[..., Dlr]

NOW = datetime(2026, 11, 28, 10, tzinfo=UTC)


def test_an_address_has_a_try_a_second() -> None:
    tries = Tries(NOW)
    here = ip_address("203.0.113.7")

    assert tries.admit(here, NOW)
    assert not tries.admit(here, NOW + timedelta(milliseconds=900))
    assert tries.admit(here, NOW + timedelta(seconds=1))


def test_who_guesses_keeps_nobody_else_out() -> None:
    """One address that tried a thousand times a second locked everybody out, for as long as it
    went on."""
    tries = Tries(NOW)
    guesser, colleague = ip_address("203.0.113.7"), ip_address("203.0.113.8")

    for at in range(1_000):
        tries.admit(guesser, NOW + timedelta(milliseconds=at))

    assert tries.admit(colleague, NOW + timedelta(seconds=1))


def test_two_may_try_at_the_same_moment() -> None:
    """Right after the start too: the second one was refused for the first one's try."""
    tries = Tries(NOW)

    assert tries.admit(ip_address("203.0.113.7"), NOW)
    assert tries.admit(ip_address("203.0.113.8"), NOW)


def test_a_network_of_ipv6_is_one_address() -> None:
    """Its owner has 2⁶⁴ of them."""
    tries = Tries(NOW)

    assert tries.admit(ip_address("2001:db8::1"), NOW)
    assert not tries.admit(ip_address("2001:db8::2"), NOW)
    assert tries.admit(ip_address("2001:db8:0:1::1"), NOW + timedelta(milliseconds=100))


def test_many_addresses_have_a_bound_in_all() -> None:
    """Neither more tries nor more memory than that, however many there are."""
    tries = Tries(NOW)
    start = int(ip_address("10.0.0.0"))

    made = sum(
        tries.admit(ip_address(start + at), NOW + timedelta(milliseconds=at)) for at in range(5_000)
    )

    assert made <= TRIES_IN_ALL * 5 + 2
    assert len(tries._of) == ADDRESSES


def test_behind_a_proxy_it_is_the_address_of_the_client(start: Start) -> None:
    """Whom a trusted proxy names is who tries, not the proxy."""
    config = f"""[server]
trusted_proxies = 1
proxy_networks = ["127.0.0.0/8"]
{TOKENS}"""
    visitor = Visitor(start(config=config))
    guesser, colleague = ({"X-Forwarded-For": f"203.0.113.{each}"} for each in (7, 8))

    visitor.sign_in("wrong-wrong-wrong-wrong", guesser)
    assert visitor.sign_in(OPERATE, guesser)[0].status == 429
    assert visitor.sign_in(OPERATE, colleague)[0].status == 303
