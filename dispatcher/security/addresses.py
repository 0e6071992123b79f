"""Where requests may go whose URL came from outside: a sandbox `notifyUrl`, a replay target, an
endpoint added at run time. An endpoint of the settings file is the operator's own word; it is not
judged here.

The verdict is on the address that is connected to, not on the name or the URL: `AddressCheck` is
asked by the connector for each socket, after DNS. So a name that resolves to something else the
second time gains nothing, and a literal address, however it is spelled, is judged like any other.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator, Sequence
from errno import EACCES
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING

from msgspec import Struct
from yarl import URL

from dispatcher.security.urls import spelling_fault

if TYPE_CHECKING:  # to import aiohttp takes longer than `dlr schedule`
    from aiohttp import AddrInfoType

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Ports = tuple[int, int]
"""The first and the last of a range of ports."""

URL_LENGTH_MOST = 2048

DEFAULT_PORTS: tuple[Ports, ...] = ((80, 80), (443, 443), (1024, 65_535))
"""Below 1024 live mail, ssh, telnet and their like: services that the lines of an HTTP request can
make act, and none that a webhook listens on. Above are the applications (3000, 8080, 8443); what
else listens there inside is already out of reach by its address."""


class AddressPolicy(Struct, frozen=True):
    """What the operator allows. `networks` are allowed although the rules say no.

    `loopback_only`: nothing leaves this machine, whoever named the URL, but to `networks` and to
    `hosts`; these are called wherever they lead. `setting` is the one that allows more then.
    """

    networks: tuple[Network, ...] = ()
    ports: tuple[Ports, ...] = DEFAULT_PORTS
    loopback_only: bool = False
    hosts: frozenset[str] = frozenset()
    setting: str = "outgoing.loopback_only"

    def names(self, url: str) -> bool:
        """Whether the host of a URL is one of `hosts`."""
        try:
            host = URL(url).host or ""
        except ValueError:
            return False
        return host.lower().removesuffix(".") in self.hosts

    def may_call(self, url: str) -> bool:
        """Whether a URL of the settings may be called, as far as that can be told before DNS."""
        return not self.loopback_only or self.names(url) or _leads_to(url, self.networks)


DEFAULT_POLICY = AddressPolicy()


class NotAllowed(OSError):
    """The address must not be connected to. The connector takes it for a connection that failed,
    and tries the next address of the name."""

    def __init__(self, text: str) -> None:
        super().__init__(EACCES, text)


class AddressCheck:
    """Makes the sockets of a connector (`socket_factory`), for addresses that the policy allows."""

    def __init__(self, policy: AddressPolicy) -> None:
        self._policy = policy

    def __call__(self, info: AddrInfoType) -> socket.socket:
        """Raises `NotAllowed`. The socket is then connected to this very address and no other."""
        family, kind, protocol, _, sockaddr = info
        address, port = str(sockaddr[0]), int(sockaddr[1])
        if (reason := refusal(address, port, self._policy)) is not None:
            raise NotAllowed(reason)
        return socket.socket(family, kind, protocol)


def refusal(address: str, port: int, policy: AddressPolicy) -> str | None:
    """Why nothing may be sent to this address and port, in words; `None` when it may.

    An IPv6 address that carries an IPv4 address is judged by that one too: the packet ends there.
    """
    if not any(first <= port <= last for first, last in policy.ports):
        return f"port {port} is not allowed (outgoing.allowed_ports)"
    try:
        outer = ip_address(address.partition("%")[0])  # without the zone, which is this machine's
    except ValueError:
        return "it is not an address"
    if _is_in(outer, policy.networks):
        return None
    if policy.loopback_only:
        inner = getattr(outer, "ipv4_mapped", None) or outer
        if _is_in(inner, _LOOPBACK):
            return None
        return f"{outer} is not on this machine ({policy.setting} can allow it)"
    for form in (outer, *_inner(outer)):
        if (kind := _kind(form)) is not None and not _is_in(form, policy.networks):
            return f"{outer} is {kind} (outgoing.allowed_networks can allow it)"
    return None


def url_fault(url: str) -> str | None:
    """Why a URL from outside cannot be set as a target, in words; `None` when it can."""
    return target_fault(url) or spelling_fault(url)


def target_fault(url: str) -> str | None:
    """Why a URL from outside cannot be called, in words; `None` when it can. Says nothing of
    where it leads. User and password are no fault: `credentials_to_header` takes them out."""
    if len(url) > URL_LENGTH_MOST:
        return f"expected at most {URL_LENGTH_MOST} characters, got {len(url)}"
    if re.search(r"[\x00-\x1f\x7f-\x9f]|^[^/]*//[^/?#]*[ \\]|^ ", url):
        return "expected a URL without spaces, control characters and backslashes"
    try:
        parts = URL(url)
    except ValueError:
        return "expected a URL, got something else"
    if parts.scheme not in ("http", "https"):
        return f'expected http or https, got "{parts.scheme[:20]}"'
    if not parts.raw_host:
        return "expected a host, got none"
    if not parts.port:
        return "expected a port from 1 to 65535, got 0"
    if _is_odd_number(parts.raw_host):
        return "expected an IP address in its usual notation, got another spelling of one"
    return None


def ports(text: str) -> Ports:
    """`443` or `1024-65535` as a range. Raises `ValueError` for anything else."""
    match = re.fullmatch(r"([0-9]{1,5})(?:-([0-9]{1,5}))?", text, re.ASCII)
    if match is None:
        raise ValueError(text)
    first, last = int(match[1]), int(match[2] or match[1])
    if not 1 <= first <= last <= 65_535:
        raise ValueError(text)
    return first, last


def policy(networks: Sequence[str], allowed_ports: Sequence[str]) -> AddressPolicy:
    """The policy from its texts. Raises `ValueError`."""
    return AddressPolicy(
        tuple(ip_network(each) for each in networks), tuple(ports(each) for each in allowed_ports)
    )


def _leads_to(url: str, networks: Sequence[Network]) -> bool:
    """Whether a URL leads to this machine or to one of these networks, and says so itself."""
    try:
        host = (URL(url).host or "").lower().removesuffix(".")
        return host == "localhost" or _is_in(ip_address(host), (*_LOOPBACK, *networks))
    except ValueError:
        return False


def _is_odd_number(host: str) -> bool:
    """Whether `host` is an IPv4 address as only old resolvers read it: 0x7f.1, 0177.0.0.1 or, with
    a trailing dot, 127.0.0.1."""
    last = host.rstrip(".").rpartition(".")[2]
    if not re.fullmatch(r"[0-9]+|0[xX][0-9A-Fa-f]*", last):
        return False
    try:
        IPv4Address(host)
    except ValueError:
        return True
    return False


def _is_in(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)  # of the other version: never in it


def _kind(address: Address) -> str | None:
    """What is special about an address; `None` when it is anybody's."""
    for kind, networks in _SPECIAL:
        if _is_in(address, networks):
            return kind
    if isinstance(address, IPv6Address) and address not in _GLOBAL and not list(_inner(address)):
        return "reserved"
    return None


def _inner(outer: Address) -> Iterator[IPv4Address]:
    """The IPv4 addresses that an IPv6 address carries."""
    if isinstance(outer, IPv4Address):
        return
    number = int(outer)
    low = IPv4Address(number & 0xFFFF_FFFF)
    if _is_in(outer, _CARRY_IN_THE_LAST_32_BITS) and number > 1:  # :: and ::1 are themselves
        yield low
    elif outer in _6TO4:
        yield IPv4Address(number >> 80 & 0xFFFF_FFFF)
    elif outer in _TEREDO:
        yield IPv4Address(number >> 64 & 0xFFFF_FFFF)  # the relay
        yield IPv4Address(~number & 0xFFFF_FFFF)  # the client, its bits turned round
    elif number >> 32 & 0xFDFF_FFFF == 0x0000_5EFE:  # ISATAP, in any network
        yield low


def _networks(*texts: str) -> tuple[Network, ...]:
    return tuple(ip_network(text) for text in texts)


_LOOPBACK = _networks("127.0.0.0/8", "::1/128")

_GLOBAL = IPv6Network("2000::/3")
"""All that is given out of IPv6 so far."""

_6TO4 = IPv6Network("2002::/16")
_TEREDO = IPv6Network("2001::/32")
_CARRY_IN_THE_LAST_32_BITS = _networks(
    "::/96",  # IPv4-compatible
    "::ffff:0:0/96",  # IPv4-mapped
    "::ffff:0:0:0/96",  # IPv4-translated
    "64:ff9b::/96",  # NAT64
)

# IANA's registries of special-purpose addresses, written out: what Python's `is_private` means
# has changed between its versions. The narrow ones first, they say more.
_SPECIAL: tuple[tuple[str, tuple[Network, ...]], ...] = (
    (
        "a cloud's metadata address",
        _networks(
            "169.254.169.254",  # AWS, Azure, Google, OpenStack, DigitalOcean …
            "169.254.170.2",  # AWS, credentials of containers
            "169.254.170.23",
            "100.100.100.200",  # Alibaba
            "168.63.129.16",  # Azure's host, though its address is a public one
            "192.0.0.192",  # Oracle, first generation
            "fd00:ec2::254",  # AWS
            "fd00:ec2::23",
            "fd20:ce::254",  # Google
            "fd00:c1::a9fe:a9fe",  # Oracle
        ),
    ),
    ("unspecified", _networks("0.0.0.0/8", "::/128")),
    ("loopback", _LOOPBACK),
    ("link-local", _networks("169.254.0.0/16", "fe80::/10")),
    ("private", _networks("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")),
    ("private", _networks("fec0::/10", "64:ff9b:1::/48")),  # site-local; NAT64 of one's own
    ("carrier-grade NAT", _networks("100.64.0.0/10")),
    ("multicast", _networks("224.0.0.0/4", "ff00::/8")),
    ("for documentation", _networks("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")),
    ("for documentation", _networks("2001:db8::/32", "3fff::/20")),
    ("for benchmarks", _networks("198.18.0.0/15", "2001:2::/48")),
    ("reserved", _networks("192.0.0.0/24", "192.88.99.0/24", "240.0.0.0/4", "100::/64")),
    # The IETF's own 2001::/23 without Teredo, its first /32.
    ("reserved", tuple(IPv6Network("2001::/23").address_exclude(_TEREDO))),
)
