"""Which address a request comes from, whatever the headers say."""

from __future__ import annotations

import ipaddress

import pytest

from receiver.callbacks.forwarded import Proxies, address_of

NETWORKS = ("127.0.0.0/8", "10.0.0.0/8", "fd00::/8")


def client(count: int, peer: str | None, *forwarded: str) -> str | None:
    address = Proxies.of(count, NETWORKS).client(peer, forwarded)
    return None if address is None else str(address)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("203.0.113.7", "203.0.113.7"),
        (" 203.0.113.7\t", "203.0.113.7"),
        ("203.0.113.7:4711", "203.0.113.7"),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("2001:DB8:0:0:0:0:0:1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("[fe80::1%25eth0]:1", "fe80::1"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("[::ffff:203.0.113.7]:80", "203.0.113.7"),
        (None, None),
        ("", None),
        ("unknown", None),
        ("_hidden", None),
        ("203.0.113", None),
        ("203.0.113.256", None),
        ("0203.0.113.7", None),
        ("203.0.113.7:", None),
        ("203.0.113.7:port", None),
        ("203.0.113.7:123456", None),
        ("[2001:db8::1", None),
        ("[2001:db8::1]443", None),
        ("2001:db8::1]", None),
        ("203.0.113.7 203.0.113.8", None),
        ("for=203.0.113.7", None),
        ("٢٠٣.0.113.7", None),
        ("1" * 10_000, None),
        ("\udcff", None),
    ],
)
def test_addresses_as_proxies_write_them(text: str | None, address: str | None) -> None:
    """An address is read with ports, brackets and zones; what is none is none."""
    expected = None if address is None else ipaddress.ip_address(address)
    assert address_of(text) == expected


@pytest.mark.parametrize(
    ("count", "peer", "forwarded", "expected"),
    [
        # nobody is trusted: the header is a stranger's word
        (0, "203.0.113.7", ["198.51.100.1"], "203.0.113.7"),
        (0, "127.0.0.1", ["198.51.100.1"], "127.0.0.1"),
        # one proxy: the last address is what it saw, the others are what it was told
        (1, "127.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        (1, "127.0.0.1", ["6.6.6.6, 198.51.100.1"], "198.51.100.1"),
        (1, "127.0.0.1", ["6.6.6.6", "198.51.100.1"], "198.51.100.1"),
        (1, "::ffff:127.0.0.1", ["[2001:db8::1]:443"], "2001:db8::1"),
        (1, "127.0.0.1", ["10.0.0.9"], "10.0.0.9"),
        (1, "127.0.0.1", ["198.51.100.1, 10.0.0.9"], "10.0.0.9"),
        # without the header the proxy itself has asked
        (1, "127.0.0.1", [], "127.0.0.1"),
        # past the proxy: its header is a stranger's word
        (1, "203.0.113.7", ["10.0.0.9"], "203.0.113.7"),
        # two proxies
        (2, "127.0.0.1", ["6.6.6.6, 198.51.100.1, 10.0.0.9"], "198.51.100.1"),
        (2, "127.0.0.1", ["6.6.6.6", "198.51.100.1, 10.0.0.9"], "198.51.100.1"),
        # the second proxy was passed by: what came to the first stands
        (2, "127.0.0.1", ["6.6.6.6, 198.51.100.1"], "198.51.100.1"),
        (2, "127.0.0.1", ["10.0.0.9"], "10.0.0.9"),
        (5, "127.0.0.1", ["198.51.100.1, 10.0.0.9, fd00::1"], "198.51.100.1"),
        # no telling
        (1, "127.0.0.1", ["unknown"], None),
        (1, "127.0.0.1", [""], None),
        (1, "127.0.0.1", ["198.51.100.1,"], None),
        (1, None, ["198.51.100.1"], None),
        (2, "127.0.0.1", ["198.51.100.1, garbage"], None),
        (1, "127.0.0.1", ["," * 100_000 + "198.51.100.1"], "198.51.100.1"),
    ],
)
def test_the_client_is_counted_from_the_right(
    count: int, peer: str | None, forwarded: list[str], expected: str | None
) -> None:
    """No more addresses count than there are proxies, and only those that a proxy wrote."""
    assert client(count, peer, *forwarded) == expected


def test_only_a_proxy_is_trusted() -> None:
    """What comes straight from a client is not from a proxy, nor is anything when there is none."""
    assert Proxies.of(1, NETWORKS).trust("10.1.2.3")
    assert Proxies.of(1, NETWORKS).trust("::ffff:10.1.2.3")
    assert not Proxies.of(1, NETWORKS).trust("203.0.113.7")
    assert not Proxies.of(1, NETWORKS).trust(None)
    assert not Proxies.of(0, NETWORKS).trust("10.1.2.3")
