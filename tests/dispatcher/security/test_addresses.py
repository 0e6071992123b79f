"""Where requests may go whose URL came from outside."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from dispatcher.endpoints.from_settings import endpoint_of
from dispatcher.pushing.exchange import TappedConnector
from dispatcher.pushing.http_sender import HttpSender
from dispatcher.retrying.outcome import Answer, Outcome
from dispatcher.security.addresses import (
    DEFAULT_POLICY,
    AddressPolicy,
    policy,
    ports,
    refusal,
    url_fault,
)
from dispatcher.settings.sandbox import SandboxSettings
from dispatcher.settings.security import OutgoingSettings, policy_of
from dispatcher.settings.settings import EndpointSettings, read_settings
from receiver.settings.configuration import ConfigurationError
from tests.dispatcher.support import a_push, an_endpoint

OPEN = [
    "8.8.8.8",
    "1.1.1.1",
    "9.255.255.255",
    "11.0.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "169.253.0.1",
    "192.0.1.1",
    "223.255.255.255",
    "2606:4700:4700::1111",
    "2a00:1450:4001::1",
    "::ffff:8.8.8.8",  # mapped, of an open one
    "::8.8.8.8",  # compatible
    "::ffff:0:8.8.8.8",  # translated
    "64:ff9b::8.8.8.8",  # NAT64
    "2002:808:808::1",  # 6to4
    "2001:0:808:808::f7f7:f7f7",  # Teredo: relay 8.8.8.8, client 8.8.8.8
    "2a00::5efe:8.8.8.8",  # ISATAP
]

CLOSED = {
    "0.0.0.0": "unspecified",
    "0.1.2.3": "unspecified",
    "::": "unspecified",
    "127.0.0.1": "loopback",
    "127.255.255.254": "loopback",
    "::1": "loopback",
    "10.0.0.1": "private",
    "172.16.0.1": "private",
    "172.31.255.255": "private",
    "192.168.1.1": "private",
    "fc00::1": "private",
    "fd12:3456::1": "private",
    "fec0::1": "private",
    "64:ff9b:1::808:808": "private",
    "100.64.0.1": "carrier-grade NAT",
    "100.127.255.255": "carrier-grade NAT",
    "169.254.0.1": "link-local",
    "fe80::1": "link-local",
    "fe80::1%eth0": "link-local",
    "febf::1": "link-local",
    "169.254.169.254": "a cloud's metadata address",
    "169.254.170.2": "a cloud's metadata address",
    "100.100.100.200": "a cloud's metadata address",
    "168.63.129.16": "a cloud's metadata address",
    "fd00:ec2::254": "a cloud's metadata address",
    "fd20:ce::254": "a cloud's metadata address",
    "224.0.0.1": "multicast",
    "239.255.255.255": "multicast",
    "ff02::1": "multicast",
    "192.0.2.1": "for documentation",
    "203.0.113.9": "for documentation",
    "2001:db8::1": "for documentation",
    "3fff::1": "for documentation",
    "198.18.0.1": "for benchmarks",
    "2001:2::1": "for benchmarks",
    "192.0.0.8": "reserved",
    "240.0.0.1": "reserved",
    "255.255.255.255": "reserved",
    "100::1": "reserved",
    "2001:1::1": "reserved",
    "4000::1": "reserved",
    "::ffff:127.0.0.1": "loopback",
    "::ffff:7f00:1": "loopback",
    "::ffff:10.0.0.1": "private",
    "::ffff:169.254.169.254": "a cloud's metadata address",
    "::ffff:127.0.0.1%1": "loopback",
    "::127.0.0.1": "loopback",
    "::2": "unspecified",  # compatible, of 0.0.0.2
    "::ffff:0:127.0.0.1": "loopback",
    "64:ff9b::10.0.0.1": "private",
    "64:ff9b::a9fe:a9fe": "a cloud's metadata address",
    "2002:7f00:1::1": "loopback",
    "2002:a9fe:a9fe::1": "a cloud's metadata address",
    "2002:c0a8:101::1": "private",
    "2001:0:808:808::80ff:fffe": "loopback",  # Teredo, client 127.0.0.1
    "2001:0:7f00:1::f7f7:f7f7": "loopback",  # Teredo, relay 127.0.0.1
    "2a00::5efe:127.0.0.1": "loopback",  # ISATAP
    "2a00::200:5efe:10.0.0.1": "private",
}


@pytest.mark.parametrize("address", OPEN)
def test_open(address: str) -> None:
    """An address that is anybody's may be connected to."""
    assert refusal(address, 443, DEFAULT_POLICY) is None


@pytest.mark.parametrize(("address", "kind"), CLOSED.items())
def test_closed(address: str, kind: str) -> None:
    """An address that is special may not, and it is said why."""
    told = refusal(address, 443, DEFAULT_POLICY)

    assert told is not None
    assert f" is {kind} (outgoing.allowed_networks can allow it)" in told


@pytest.mark.parametrize("text", ["", "localhost", "0x7f.1", "2130706433", "127.1", "1.2.3.4.5"])
def test_what_is_no_address_is_refused(text: str) -> None:
    """What cannot be read as an address would be read by somebody else later."""
    assert refusal(text, 443, DEFAULT_POLICY) == "it is not an address"


@given(st.ip_addresses())
def test_any_address_has_a_verdict(address: object) -> None:
    """Every address is open or closed; none is an error."""
    told = refusal(str(address), 443, DEFAULT_POLICY)

    assert told is None or str(address) in told


@given(st.ip_addresses(v=4))
def test_a_wrapped_address_is_as_open_as_it_is_bare(inner: object) -> None:
    """No way of writing an IPv4 address into an IPv6 one makes it more open, or less."""
    bare = refusal(str(inner), 443, DEFAULT_POLICY) is None

    for wrapped in (f"::ffff:{inner}", f"64:ff9b::{inner}", f"::ffff:0:{inner}"):
        assert (refusal(wrapped, 443, DEFAULT_POLICY) is None) is bare


@pytest.mark.parametrize(
    ("port", "allowed"),
    [
        *((port, True) for port in (80, 443, 1024, 8080, 65_535)),
        *((port, False) for port in (0, 22, 25, 81, 1023)),
    ],
)
def test_ports(port: int, allowed: bool) -> None:
    """Below 1024 only 80 and 443 are allowed."""
    told = refusal("8.8.8.8", port, DEFAULT_POLICY)

    assert told == (None if allowed else f"port {port} is not allowed (outgoing.allowed_ports)")


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("10.1.2.3", True),
        ("10.2.0.1", False),
        ("::ffff:10.1.2.3", True),
        ("::ffff:10.2.0.1", False),
        ("2002:a01:203::1", True),
        ("fd00::1", True),
        ("8.8.8.8", True),
        ("169.254.169.254", False),
        # Teredo with an allowed relay and a client that is not: both must do.
        ("2001:0:a01:203::5601:5601", False),
    ],
)
def test_allowed_networks(address: str, allowed: bool) -> None:
    """What the operator allows is allowed in each of its forms, and nothing beside it."""
    ours = policy(["10.1.0.0/16", "fd00::/16"], ["443"])

    assert (refusal(address, 443, ours) is None) is allowed


@pytest.mark.parametrize("text", ["", "0", "65536", "9-8", "-", "80-", "http", "1-2-3", "٨٠"])
def test_no_ports(text: str) -> None:
    """A port is from 1 to 65535, a range from low to high."""
    with pytest.raises(ValueError, match=r".*"):
        ports(text)


# URLs


@pytest.mark.parametrize(
    "url",
    [
        "http://acme.example/dlr",
        "HTTPS://acme.example",
        "https://acme.example:8443/a?b=c#d",
        "https://user:password@acme.example/",
        "http://8.8.8.8/",
        "http://127.0.0.1/",  # that is asked when it is connected to
        "http://[::ffff:127.0.0.1]/",
        "https://xn--mnchen-3ya.example/%C3%BC",
        "http://7.example/",
        "https://acme.example/" + "x" * 2027,
    ],
)
def test_urls_that_can_be_called(url: str) -> None:
    """An http or https URL with a host can be called; where it leads is asked later."""
    assert url_fault(url) is None


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("file:///etc/passwd", 'expected http or https, got "file"'),
        ("ftp://acme.example/", 'expected http or https, got "ftp"'),
        ("gopher://acme.example/", 'expected http or https, got "gopher"'),
        ("javascript:alert(1)", 'expected http or https, got "javascript"'),
        ("acme.example/dlr", 'expected http or https, got ""'),
        ("//acme.example/dlr", 'expected http or https, got ""'),
        ("", 'expected http or https, got ""'),
        ("http://", "expected a host, got none"),
        ("http:///dlr", "expected a host, got none"),
        ("http:/dlr", "expected a host, got none"),
        ("http://[::1/", "expected a URL, got something else"),
        ("http://a:99999/", "expected a URL, got something else"),
        ("http://a:0/", "expected a port from 1 to 65535, got 0"),
        (
            "http://xn--.example/",
            'expected a host name, got "xn--.example", which is not valid in the DNS',
        ),
        (
            "https://münchen.example/ü",
            "expected a URL as RFC 3986 defines it: write https://xn--mnchen-3ya.example/%C3%BC",
        ),
        ("http://a/b c", "expected a URL as RFC 3986 defines it: write http://a/b%20c"),
        ("http://a/" + "x" * 2040, "expected at most 2048 characters, got 2049"),
        *(
            (url, "expected a URL without spaces, control characters and backslashes")
            for url in (
                "http://a/\r\nX-Evil: 1",
                "http://a /",
                " http://a/",
                "http://a/\x00",
                "http://a/\x7f",
                "http://a\\@127.0.0.1/",
            )
        ),
        *(
            (url, "expected an IP address in its usual notation, got another spelling of one")
            for url in (
                "http://2130706433/",
                "http://0x7f.1/",
                "http://0x7f000001/",
                "http://127.1/",
                "http://8.8.8.8./",
                "http://0177.0.0.1/",
                "http://127.0.0.1.1/",
                "http://127.0.0.256/",
            )
        ),
    ],
)
def test_urls_that_cannot(url: str, fault: str) -> None:
    """What is not http, has no host, or can be read in two ways is told before it is called."""
    assert url_fault(url) == fault


@given(st.text(max_size=60) | st.text(max_size=40).map("http://".__add__))
def test_any_text_is_a_url_or_has_a_fault(text: str) -> None:
    """Whatever comes, it is one of the two, never an error."""
    assert isinstance(url_fault(text), str | None)


# On real sockets


class Listener:
    """Answers 200 and counts the connections that it gets."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(len(a_push().body))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()
        await writer.wait_closed()


@asynccontextmanager
async def listening(address: str, port: int = 0) -> AsyncIterator[Listener]:
    listener = Listener(port)
    server = await asyncio.start_server(listener.serve, address, port)
    listener.port = server.sockets[0].getsockname()[1]
    async with server:
        yield listener


class Names(AbstractResolver):
    """Answers with the next addresses that it was given; the last ones stay."""

    def __init__(self, *answers: list[str]) -> None:
        self._answers = list(answers)
        self.asked = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked += 1
        addresses = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return [
            ResolveResult(hostname=host, host=each, port=port, family=family, proto=0, flags=0)
            for each in addresses
        ]

    async def close(self) -> None: ...


async def attempt(sender: HttpSender, url: str, *, checked: bool = True) -> Answer:
    return await sender.send(a_push(url), an_endpoint(checked=checked))


FRIEND = AddressPolicy(networks=policy(["127.0.0.2"], []).networks)
"""127.0.0.2 stands for an address outside, as only this machine can be reached in a test."""


async def test_a_name_that_rebinds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name whose second answer is loopback is refused the second time: what counts is the
    address that is connected to."""
    names = Names(["127.0.0.2"], ["127.0.0.1"])
    connectors: list[aiohttp.TCPConnector] = []

    def noted(*arguments: Any, **options: Any) -> TappedConnector:
        connectors.append(made := TappedConnector(*arguments, **options))
        return made

    monkeypatch.setattr("dispatcher.pushing.http_sender.TappedConnector", noted)
    async with (
        listening("127.0.0.2") as outside,
        listening("127.0.0.1", outside.port) as inside,
        HttpSender(policy=FRIEND, resolver=names) as sender,
    ):
        url = f"http://rebinds.example:{outside.port}/dlr"
        first = await attempt(sender, url)
        for connector in connectors:
            connector.clear_dns_cache()  # what ten seconds would do
        second = await attempt(sender, url)

        assert (first.status, names.asked, outside.connections) == (200, 2, 1)
        assert (second.failure, inside.connections) == (Outcome.NOT_ALLOWED, 0)
        assert second.error == "127.0.0.1 is loopback (outgoing.allowed_networks can allow it)"


async def test_a_name_with_addresses_inside_and_outside() -> None:
    """Of a name's addresses only those outside are tried."""
    names = Names(["127.0.0.1", "::1", "127.0.0.2"])
    async with (
        listening("127.0.0.2") as outside,
        listening("127.0.0.1", outside.port) as inside,
        HttpSender(policy=FRIEND, resolver=names) as sender,
    ):
        told = await attempt(sender, f"http://mixed.example:{outside.port}/dlr")

        assert told.status == 200
        assert (outside.connections, inside.connections) == (1, 0)


async def test_a_name_with_addresses_inside_only() -> None:
    """A name all of whose addresses are inside is refused, however many there are."""
    async with HttpSender(resolver=Names(["127.0.0.1", "::1", "10.0.0.1"])) as sender:
        told = await attempt(sender, "http://inside.example/dlr")

    assert told.failure is Outcome.NOT_ALLOWED
    assert told.error is not None
    assert told.error.endswith("(outgoing.allowed_networks can allow it)")


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "127.0.0.1.",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::1]",
        "[::]",
        "0.0.0.0",
        "0x7f.1",
        "0x7f000001",
        "2130706433",
        "017700000001",
        "127.1",
        "①②⑦.⓪.⓪.①",
        "127。0。0。1",
        "me:pw@127.0.0.1",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
    ],
)
async def test_literal_addresses_are_checked_too(host: str) -> None:
    """An address in the URL does not go through a resolver; it is refused in every spelling, and
    no connection is made."""
    async with listening("127.0.0.1") as inside, HttpSender() as sender:
        told = await attempt(sender, f"http://{host}:{inside.port}/dlr")

        assert inside.connections == 0
        assert told.failure is Outcome.NOT_ALLOWED


async def test_an_address_that_is_percent_encoded() -> None:
    """To the resolver that is a name, and one that nobody has."""
    async with listening("127.0.0.1") as inside, HttpSender() as sender:
        told = await attempt(sender, f"http://%31%32%37.0.0.1:{inside.port}/dlr")

        assert inside.connections == 0
        assert told.failure in (Outcome.UNREACHABLE, Outcome.NOT_ALLOWED)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://8.8.8.8/", "http://a\\@b/", "x"])
async def test_other_urls_are_not_called(url: str) -> None:
    """Whoever made the endpoint: what has a fault as a URL from outside is not called."""
    async with HttpSender() as sender:
        told = await attempt(sender, url)

    assert told.failure is Outcome.NOT_ALLOWED


async def test_the_operators_own_word() -> None:
    """An endpoint of the settings may be inside, and its connection serves no checked one."""
    async with listening("127.0.0.1") as inside, HttpSender() as sender:
        url = f"http://127.0.0.1:{inside.port}/dlr"

        assert (await attempt(sender, url, checked=False)).status == 200
        assert (await attempt(sender, url)).failure is Outcome.NOT_ALLOWED
        assert inside.connections == 1


async def test_nothing_leaves_a_machine_that_is_closed() -> None:
    """Closed to the loopback, not even the operator's own endpoints elsewhere are called; what is
    on this machine is, and so are the networks and hosts that are allowed."""
    closed = AddressPolicy(
        (IPv4Network("127.0.0.2/32"),), loopback_only=True, hosts=frozenset({"app.example"})
    )
    # An odd port shows which session serves: a host that is named is called wherever it leads.
    odd = structs.replace(closed, ports=((1, 1),))
    names = Names(["127.0.0.1"])
    async with (
        listening("127.0.0.1") as here,
        HttpSender(policy=closed, resolver=names) as sender,
        HttpSender(policy=odd, resolver=names) as by_name,
    ):
        for host in ("127.0.0.1", "app.example", "other.example"):
            url = f"http://{host}:{here.port}/dlr"
            assert (await attempt(sender, url)).status == 200
            assert (await attempt(sender, url, checked=False)).status == 200
        for checked in (True, False):
            told = await attempt(sender, "http://192.0.2.1/", checked=checked)
            assert told.failure is Outcome.NOT_ALLOWED
            assert told.error == (
                "192.0.2.1 is not on this machine (outgoing.loopback_only can allow it)"
            )
        url = f"http://APP.example.:{here.port}/dlr"
        assert (await attempt(by_name, url)).status == 200
        url = f"http://other.example:{here.port}/dlr"
        assert (await attempt(by_name, url, checked=False)).failure is Outcome.NOT_ALLOWED


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("10.1.2.3", True),
        ("8.8.8.8", False),
        ("10.2.0.1", False),
        ("169.254.169.254", False),
        ("0.0.0.0", False),
        ("::ffff:8.8.8.8", False),
        ("64:ff9b::7f00:1", False),
        ("2606:4700::1111", False),
    ],
)
def test_what_is_on_this_machine(address: str, allowed: bool) -> None:
    """The loopback in IPv4, IPv6 and one in the other, and what is allowed beside it."""
    closed = AddressPolicy((IPv4Network("10.1.0.0/16"),), loopback_only=True)

    assert (refusal(address, 80, closed) is None) is allowed


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("http://127.0.0.1:8080/", True),
        ("http://LOCALHOST./", True),
        ("http://[::1]/", True),
        ("https://App.example:8443/x", True),
        ("https://app.example.evil.example/", False),
        ("https://x.api.example/", False),
        ("http://192.0.2.1/", False),
        ("http://[", False),
    ],
)
def test_what_a_sandbox_may_call_by_its_name(url: str, allowed: bool) -> None:
    """What its settings name, and this machine; `dlr serve` may call anything its file names, as
    long as it is not closed."""
    sandbox = policy_of(OutgoingSettings(), SandboxSettings(allowed_hosts=("APP.example.",)))

    assert sandbox.may_call(url) is allowed
    assert policy_of(OutgoingSettings()).may_call(url)
    closed = policy_of(OutgoingSettings(loopback_only=True))
    assert closed.may_call(url) is (allowed and "app" not in url.lower())


async def test_no_proxy_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy of the environment would connect for us, past the check; it is not asked."""
    async with listening("127.0.0.1") as proxy, listening("127.0.0.1") as inside:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        async with HttpSender() as sender:
            url = f"http://127.0.0.1:{inside.port}/dlr"
            assert (await attempt(sender, url, checked=False)).status == 200
            assert (await attempt(sender, url)).failure is Outcome.NOT_ALLOWED

        assert (proxy.connections, inside.connections) == (0, 1)


# Settings


def test_only_what_comes_from_outside_is_checked() -> None:
    """An endpoint of the file goes where it says; one that was added at run time is checked."""
    settings = EndpointSettings("acme", "http://10.0.0.1/")

    assert not endpoint_of(settings).checked
    assert endpoint_of(settings, from_outside=True).checked


def test_settings(tmp_path: Path) -> None:
    """The policy comes from [outgoing], and by default it is the default."""
    file = tmp_path / "dlr.toml"
    file.write_text('[outgoing]\nallowed_networks = ["10.0.0.0/8"]\nallowed_ports = ["8443"]')

    assert policy_of(read_settings(None, {}).outgoing) == DEFAULT_POLICY
    assert policy_of(read_settings(file, {}).outgoing) == policy(["10.0.0.0/8"], ["8443"])


def test_faults_of_settings(tmp_path: Path) -> None:
    """A network with host bits and a port that is none are told."""
    file = tmp_path / "dlr.toml"
    file.write_text('[outgoing]\nallowed_networks = ["10.1.0.0/8"]\nallowed_ports = ["http"]')

    with pytest.raises(ConfigurationError) as caught:
        read_settings(file, {})
    assert [each.removeprefix(f"{file}: outgoing.") for each in caught.value.faults] == [
        "allowed_networks[0]: expected an address or a network such as 203.0.113.0/24, "
        'got "10.1.0.0/8"',
        'allowed_ports[0]: expected a port or a range such as 1024-65535, got "http"',
    ]
