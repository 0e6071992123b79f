"""The URL that is called is the URL that was given, byte for byte.

A customer's URL had a signed query, `sp=%2Ftriggers&sig=qZ0%2BPP2g%2F3D`. It was called as
`sp=/triggers&sig=qZ0%2BPP2g/3D`: the same to yarl, and another to whoever checks the signature. And
`/a%3Ab/%7Ejo/x/../y` was called as `/a:b/~jo/y`.
"""

from __future__ import annotations

import asyncio
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.endpoints.endpoint import credentials_to_header
from dispatcher.pushing.http_sender import HttpSender
from dispatcher.retrying.outcome import Outcome
from dispatcher.security.addresses import url_fault
from dispatcher.security.signing import OAuth
from dispatcher.security.urls import as_written, is_http_url, spelling_fault, without_user
from tests.dispatcher.pushing.test_http_sender import listening, request_of
from tests.dispatcher.support import a_push, an_endpoint

AS_THEY_ARE = [
    "/plain?sp=%2Ftriggers%2Fmanual%2Frun&sig=qZ0%2BPP2g%2F3D%3D&n=a%28b%29%27c",
    "/a%3Ab/%7Ejo/x/../y",
    "/./a//b/..",
    "/%2e%2E/%41%5a",
    "/a;b=c,d/e:f@g!$&'()*+~",
    "/?",
    "/a?",
    "/a?b?c=/d&&e",
    "/a?b+c=d%20e&f=%C3%BC",
    "/%00",
]


async def called(url: str) -> bytes:
    """The line in which a request for this path was made."""
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await request_of(reader))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    async with listening(serve) as base, HttpSender() as sender:
        await sender.send(a_push(base.removesuffix("/dlr") + url), an_endpoint())
    return heard[0].partition(b"\r\n")[0]


@pytest.mark.parametrize("path", AS_THEY_ARE)
async def test_called_as_given(path: str) -> None:
    """Nothing that RFC 3986 allows is written otherwise on its way to the socket."""
    assert spelling_fault(f"http://a{path}") is None
    assert await called(path) == f"POST {path} HTTP/1.1".encode()


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ("", b"POST / HTTP/1.1"),
        ("?a=%2F", b"POST /?a=%2F HTTP/1.1"),
        ("/a#b%2F", b"POST /a HTTP/1.1"),
        ("/a?b#c?d", b"POST /a?b HTTP/1.1"),
    ],
)
async def test_what_http_makes_of_a_url(given: str, line: bytes) -> None:
    """An empty path is `/` in a request, and a fragment is never sent (RFC 9110, 4.2 and 7.1)."""
    assert await called(given) == line


async def test_the_token_url_too() -> None:
    """OAuth asks at the URL that was given."""
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append((await request_of(reader)).partition(b"\r\n")[0])
        body = b'{"access_token":"t","token_type":"Bearer"}'
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        await writer.drain()

    async with listening(serve) as base, HttpSender() as sender:
        security = OAuth(
            token_url=f"{base}/%7Etoken?a=%2F",
            client_id="c",
            client_secret="s",
            scope=None,
            resource=None,
            client_authentication="header",
        )
        await sender.send(a_push(f"{base}/%7Epush"), an_endpoint(security=security))

    assert heard == [b"POST /dlr/%7Etoken?a=%2F HTTP/1.1", b"POST /dlr/%7Epush HTTP/1.1"]


@pytest.mark.parametrize(
    "url",
    ["http://me:pw@host/a%2Fb?", "http://me:pw@HOST:080/?#", "http://me:pw@[::1]/x?y#z"],
)
def test_without_credentials_it_is_the_same(url: str) -> None:
    """User and password are taken out, and nothing else."""
    assert credentials_to_header(url)[0] == url.replace("me:pw@", "")


# --- what is refused, with the form to paste -----------------------------------------------------


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("http://a/b c", "write http://a/b%20c"),
        ('http://a/"b"', "write http://a/%22b%22"),
        ("http://a/%zz", "write http://a/%25zz"),
        ("http://a/100%", "write http://a/100%25"),
        ("http://a/ü?x=%C3%BC", "write http://a/%C3%BC?…"),
        ("http://a:81/b|c#d e", "write http://a:81/b%7Cc#d%20e"),
        ("http://a/b\\c", "write http://a/b%5Cc"),
        ("http://a/?b[]=c&d=e", "in its query write b%5B%5D=c"),
        ("http://a/?b=c d&token=e f", 'in its query write b=c%20d; in its query write %20 for " "'),
        ("http://a/?s3 cret", 'in its query write %20 for " "'),
        ("http://me:p@w@a/", 'in user and password write %40 for "@"'),
        ("https://bücher.example:8443/", "write https://xn--bcher-kva.example:8443/"),
        ("http://日本.example/ü", "write http://xn--wgv71a.example/%C3%BC"),
    ],
)
def test_refused_with_the_form_to_paste(url: str, fault: str) -> None:
    """What RFC 3986 forbids is told with what to write; secrets are not repeated."""
    told = spelling_fault(url)

    assert told == f"expected a URL as RFC 3986 defines it: {fault}"
    assert url_fault(url) == told
    if pasted := re.search(r"write (https?:[^… ]+)$", told):
        assert spelling_fault(pasted[1]) is None


@pytest.mark.parametrize(
    "host", ["xn--.example", "xn--a.example", "xn--99999999.example", "ä" * 70]
)
def test_hosts_that_cannot_be(host: str) -> None:
    """A name that IDNA cannot read was an error of ours, 500 and a traceback. It is a fault of the
    URL."""
    url = f"http://{host}/"
    assert url_fault(url) is not None
    assert (told := spelling_fault(url)) is not None
    assert told.startswith("expected a host name")


@given(st.text(max_size=60) | st.text(max_size=40).map("http://".__add__))
def test_any_text(text: str) -> None:
    """Whatever text comes, it is a URL or none, and never an error; what is one is called as it is,
    at the host that is shown."""
    if is_http_url(text) and spelling_fault(text) is None:
        url = as_written(text)
        assert url.raw_host
        sent = url.raw_path_qs
        assert sent in text or sent.startswith("/?") or sent == "/"
        assert without_user(text)[0] in (text, text.replace(f"{without_user(text)[1]}@", "", 1))
    else:
        assert isinstance(spelling_fault(text), str)


# --- no way around the address check -------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "http://public.example@127.0.0.1:{port}/",
        "http://public.example:80@127.0.0.1:{port}/",
        "http://public.example%2F@127.0.0.1:{port}/",
        "http://public.example%23@127.0.0.1:{port}/",
        "http://127.0.0.1:{port}/..//public.example/",
        "http://127.0.0.1:{port}#@public.example/",
        "http://127.0.0.1:{port}?@public.example/",
        "http://127.0.0.1:{port}/@public.example",
        "http://LOCALHOST:{port}/",
        "http://[::FFFF:127.0.0.1]:{port}/",
        "http://127.0.0.1:0{port}/",
        "http://public.example\\@127.0.0.1:{port}/",
        "http://127.0.0.1\\@public.example:{port}/",
        "http://127.0.0.1:{port}\\.public.example/",
        "http:\\\\127.0.0.1:{port}/",
        "http:/\\127.0.0.1:{port}/",
        "http://127.0.0.1 .public.example:{port}/",
        "http://127.0.0.1%00.public.example:{port}/",
        "http://127.0.0.1%2f.public.example:{port}/",
        "http://[::1%25lo]:{port}/",
    ],
)
async def test_no_way_around_the_check(url: str) -> None:
    """A URL that one reader takes for a public host and another for this machine: the host that is
    checked is the one that is connected to, and nothing gets through to this machine."""
    connections = 0

    async def serve(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1

    async with listening(serve) as base, HttpSender() as sender:
        port = base.rpartition(":")[2].partition("/")[0]
        told = await sender.send(a_push(url.format(port=port)), an_endpoint(checked=True))

    assert connections == 0
    assert told.status is None
    assert told.failure in (Outcome.NOT_ALLOWED, Outcome.UNREACHABLE)
