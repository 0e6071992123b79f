"""Which address a request comes from, when proxies stand in between. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from receiver.settings.settings import ServerSettings

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

HEADER = "X-Forwarded-For"

_LONGEST = 80  # an address in brackets, with a zone and a port


@dataclass(frozen=True, slots=True)
class Proxies:
    """How many proxies stand between the clients and this process, and where they are.

    Both must hold: an address that X-Forwarded-For names counts when it was written by a proxy of
    `networks`, and no more of them count than there are proxies.
    """

    count: int = 0
    networks: tuple[Network, ...] = ()

    @classmethod
    def of(cls, count: int, networks: Iterable[str]) -> Proxies:
        return cls(count, tuple(ipaddress.ip_network(text) for text in networks))

    def trust(self, peer: str | None) -> bool:
        """Whether the other end of the connection is one of the proxies."""
        return bool(self.count) and _in(address_of(peer), self.networks)

    def client(self, peer: str | None, forwarded: Sequence[str]) -> Address | None:
        """The address that the first trusted proxy was called from.

        `peer` is the other end of the connection, `forwarded` the X-Forwarded-For headers in their
        order. Counted from the right, because everything further left is what the client wrote.
        `None` when there is no telling: then the request is from nowhere that could be allowed.
        """
        address = address_of(peer)
        if not self.count or not forwarded:
            return address
        told = ",".join(forwarded).split(",")
        for _ in range(self.count):
            if not told or not _in(address, self.networks):
                break
            address = address_of(told.pop())
        return address


def proxies_of(server: ServerSettings) -> Proxies:
    """The proxies that the settings tell of."""
    return Proxies.of(server.trusted_proxies, server.proxy_networks)


def among(address: Address | None, networks: Iterable[Network]) -> bool:
    """Whether the address lies in one of the networks; `None` lies in none."""
    return _in(address, networks)


def address_of(text: str | None) -> Address | None:
    """An address, as proxies write it: with a port or without, IPv6 in brackets or not.

    IPv4 inside IPv6 (`::ffff:203.0.113.7`) is IPv4, and a zone (`%eth0`) is dropped. `None` for
    anything that is no address, such as `unknown`.
    """
    text = (text or "").strip()
    if len(text) > _LONGEST:
        return None
    if text.startswith("["):
        inner, bracket, port = text[1:].partition("]")
        if not bracket or (port and not _is_port(port)):
            return None
        text = inner
    elif text.count(":") == 1:
        text, _, port = text.partition(":")
        if not _is_port(f":{port}"):
            return None
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _is_port(text: str) -> bool:
    number = text[1:]
    return text[:1] == ":" and number.isascii() and number.isdecimal() and len(number) <= 5


def _in(address: Address | None, networks: Iterable[Network]) -> bool:
    return address is not None and any(address in network for network in networks)
