"""What the open internet sends, and what each of it gets, from a real process.

Afterwards the process still lives, takes a good callback, has written no traceback, and has stored
no report that was not counted.
"""

from __future__ import annotations

import base64
import gzip
import hmac
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from tests.end_to_end.processes import Running, configure, running
from tests.receiver.callbacks import test_hostile_bodies
from tests.receiver.payloads import V2_JSON, V2_XML
from tests.receiver.served import REPORT, Wire, connected, get, raw, request, still_works

MB = 1024**2
SETTINGS = """
[server]
body_limit = "1MB"
trusted_proxies = 1
[limits]
items = 20000
body_timeout = "500ms"
idle_timeout = "500ms"
[[api.token]]
name = "reader"
secret = "rrrrrrrrrrrrrrrr"
[[source]]
name = "default"
[[source]]
name = "basic"
[source.basic]
username = "me"
passwords = ["old", "new"]
[[source]]
name = "hmac"
[source.hmac]
keys = ["key"]
[[source]]
name = "query"
[source.query]
tokens = ["t0ken"]
[[source]]
name = "office"
allow = ["198.51.100.0/24", "2001:db8::/32"]
[[source]]
name = "certificate"
[source.certificate]
identity_header = "X-SSL-Client-Fingerprint"
identities = ["aa"]
"""

Sent = bytes | list[bytes]
"""What goes over the wire; of a list each piece alone, and the answer may come before the last."""

Gets = tuple[int, str]
"""Status and code of an error; 0 is a connection that is closed without an answer."""

OK: Gets = (200, "")
NO: Gets = (401, "unauthorized")
NO_HTTP: Gets = (400, "bad_request")
UNREADABLE: Gets = (400, "unreadable")


def coded(body: bytes, coding: str) -> bytes:
    return request(body, headers=[("Content-Encoding", coding)])


def typed(content_type: str | None, body: bytes = REPORT) -> bytes:
    return request(body, content_type=content_type)


def of(source: str, *headers: tuple[str, str], query: str = "") -> bytes:
    return request(path=f"/notify/{source}{query}", headers=headers)


def api(path: str, *headers: tuple[str, str], method: str = "GET") -> bytes:
    return request(b"", path=path, method=method, headers=headers)


def basic(text: str) -> tuple[str, str]:
    return "Authorization", f"Basic {base64.b64encode(text.encode()).decode()}"


HEAD = b"POST /notify HTTP/1.1\r\nHost: dlr\r\nContent-Type: application/json\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
SIGNATURE = hmac.digest(b"key", REPORT, "sha256").hex()
VERIFIED = ("X-SSL-Client-Verify", "SUCCESS")
LAUGHS = test_hostile_bodies.XML["entity bomb"][0]

TRANSPORT: dict[str, tuple[Sent, Gets]] = {
    "nothing, then the end": (b"", (0, "")),
    "a TLS hello": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500), NO_HTTP),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", NO_HTTP),
    "SSH": (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", NO_HTTP),
    "random bytes": (bytes(range(256)) * 8, NO_HTTP),
    "NULs": (bytes(4096), NO_HTTP),
    "HTTP/0.9": (b"GET /healthz\r\n\r\n", OK),
    "HTTP/9.9": (b"GET /healthz HTTP/9.9\r\n\r\n", NO_HTTP),
    "a bare line feed": (b"GET /healthz HTTP/1.1\nHost: dlr\n\n", NO_HTTP),
    "a blank before the colon": (b"GET /healthz HTTP/1.1\r\nHost : dlr\r\n\r\n", NO_HTTP),
    "a header without a name": (b"GET /healthz HTTP/1.1\r\n: x\r\n\r\n", NO_HTTP),
    "a folded header": (b"GET /healthz HTTP/1.1\r\nHost: dlr\r\n x\r\n\r\n", NO_HTTP),
    "a NUL in a header": (b"GET /healthz HTTP/1.1\r\nHost: d\0lr\r\n\r\n", NO_HTTP),
    "a path of 20 KB": (request(path="/" + "a" * 20_000), (431, "header_too_large")),
    "a header of 20 KB": (request(headers=[("X", "x" * 20_000)]), (431, "header_too_large")),
    "1,000 headers": (request(headers=[("X", "x")] * 1000), NO_HTTP),
    "a head that does not end": (HEAD, (0, "")),
    "a head that never ends": (HEAD + b"X-More: x\r\n" * 200, NO_HTTP),
    "a body that does not come": (HEAD + b"Content-Length: 9\r\n\r\n", (408, "too_slow")),
    "a body that is cut off": (HEAD + b"Content-Length: 99\r\n\r\n{}", (408, "too_slow")),
    "a length that is none": (HEAD + b"Content-Length: x\r\n\r\n", NO_HTTP),
    "a negative length": (HEAD + b"Content-Length: -1\r\n\r\n", NO_HTTP),
    "a length of 30 digits": (HEAD + b"Content-Length: " + b"9" * 30 + b"\r\n\r\n", NO_HTTP),
    "two lengths": (HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", NO_HTTP),
    "a length of 10 GB": (HEAD + b"Content-Length: 10000000000\r\n\r\n", (413, "too_large")),
    "length and chunks": (
        HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        NO_HTTP,
    ),
    "two content types": (
        request(headers=[("Content-Type", "application/json")]),
        NO_HTTP,
    ),
    "an unknown transfer coding": (HEAD + b"Transfer-Encoding: x\r\n\r\n{}", NO_HTTP),
    "chunks": (CHUNKED + b"%x\r\n%b\r\n0\r\n\r\n" % (len(REPORT), REPORT), OK),
    "chunks of a byte": (
        CHUNKED + b"".join(b"1\r\n%c\r\n" % byte for byte in REPORT) + b"0\r\n\r\n",
        OK,
    ),
    "a chunk's length that is none": (CHUNKED + b"zz\r\n", NO_HTTP),
    "chunks without end": (
        [CHUNKED, *[b"10000\r\n" + bytes(0x10000) + b"\r\n"] * 64],
        (413, "too_large"),
    ),
    "a chunk that does not end": (CHUNKED + b"ff\r\n{", (408, "too_slow")),
    "a body of 2 MB": (request(bytes(2 * MB)), (413, "too_large")),
    "an empty body": (request(b""), UNREADABLE),
    "GET": (request(b"", method="GET"), (405, "method_not_allowed")),
    "PUT": (request(method="PUT"), (405, "method_not_allowed")),
    "TRACE": (request(b"", method="TRACE"), (405, "method_not_allowed")),
    "a method of our own": (request(b"", method="REPORT"), (405, "method_not_allowed")),
    "CONNECT": (b"CONNECT dlr:80 HTTP/1.1\r\nHost: dlr\r\n\r\n", (404, "not_found")),
    "another path": (request(path="/admin.php"), (404, "not_found")),
    "up the tree": (request(path="/notify/../../etc/passwd"), (404, "not_found")),
    "a source with a slash": (request(path="/notify/a%2fb"), (404, "unknown_source")),
    "a source of odd bytes": (request(path="/notify/%ff%00"), (404, "unknown_source")),
    "broken percents": (request(path="/notify/%zz%"), (404, "unknown_source")),
    "an unknown source": (request(path="/notify/nobody"), (404, "unknown_source")),
    "a whole URL": (request(path="http://elsewhere/notify"), OK),
    "an upgrade": (
        request(headers=[("Connection", "Upgrade"), ("Upgrade", "websocket")]),
        OK,
    ),
    "Expect": (request(headers=[("Expect", "the unexpected")]), (417, "bad_request")),
    "20 in one go": (request() * 20, OK),
    "an odd forwarded address": (request(headers=[("X-Forwarded-For", "\udcff, <script>")]), OK),
    "a header of odd bytes": (request(headers=[("X-Odd", "\udcff\udcfe")]), OK),
    "an odd request id": (request(headers=[("X-Request-Id", "\udcff" * 100)]), OK),
}

BODIES: dict[str, tuple[Sent, Gets]] = {
    "HTML": (typed("text/html", b"<html>"), (415, "unsupported_media_type")),
    "a form": (typed("multipart/form-data; boundary=x"), (415, "unsupported_media_type")),
    "a type of odd bytes": (typed("\udcff"), (415, "unsupported_media_type")),
    "no type": (typed(None), OK),
    "an unknown charset": (typed("application/json; charset=x"), (415, "unsupported_charset")),
    "a codec that is no charset": (
        typed("application/json; charset=zlib"),
        (415, "unsupported_charset"),
    ),
    "a charset of 4 KB": (
        typed("application/json; charset=" + "x" * 4096),
        (415, "unsupported_charset"),
    ),
    "latin-1": (typed("application/json; charset=latin1", REPORT), OK),
    "UTF-16 with a mark": (typed("application/json", REPORT.decode().encode("utf-16")), OK),
    "UTF-16 that is none": (typed("text/xml; charset=utf-16", b"\xd8\x00" * 9), UNREADABLE),
    "gzip": (coded(gzip.compress(REPORT), "gzip"), OK),
    "deflate": (coded(zlib.compress(REPORT), "deflate"), OK),
    "gzip that is none": (coded(REPORT, "gzip"), UNREADABLE),
    "gzip cut off": (coded(gzip.compress(REPORT)[:-9], "gzip"), UNREADABLE),
    "gzip of nothing": (coded(b"", "gzip"), UNREADABLE),
    "gzip in gzip": (coded(gzip.compress(gzip.compress(REPORT)), "gzip"), UNREADABLE),
    "a gzip bomb": (coded(gzip.compress(bytes(200 * MB), 9), "gzip"), (413, "too_large")),
    "a deflate bomb": (coded(zlib.compress(bytes(200 * MB), 9), "deflate"), (413, "too_large")),
    "a bomb of members": (coded(gzip.compress(b"") * 40_000, "gzip"), UNREADABLE),
    "brotli": (coded(REPORT, "br"), (415, "unsupported_content_encoding")),
    "zstandard": (coded(REPORT, "zstd"), (415, "unsupported_content_encoding")),
    "two codings": (coded(REPORT, "gzip, gzip"), (415, "unsupported_content_encoding")),
    "an entity bomb": (typed("text/xml", LAUGHS), UNREADABLE),
    "JSON as XML": (typed("text/xml", V2_JSON), UNREADABLE),
    "XML as JSON": (typed("application/json", V2_XML), UNREADABLE),
    "too many items": (
        request(b'{"results":[' + b"0," * 30_000 + b"0]}"),
        (413, "too_many"),
    ),
    "too long a field": (request(b'{"results":[{"to":"' + b"1" * 70_000 + b'"}]}'), OK),
    "a click event": (request(b'{"notificationType":"CLICKED"}'), OK),
    "an inbound SMS": (request(b'{"results":[{"receivedAt":"x","text":"hi"}]}'), OK),
    "a OneAPI notification": (request(b'{"deliveryInfoNotification":{}}'), OK),
}

AUTHENTICATION: dict[str, tuple[Sent, Gets]] = {
    "the old password": (of("basic", basic("me:old")), OK),
    "the new password": (of("basic", basic("me:new")), OK),
    "no password": (of("basic"), NO),
    "a wrong password": (of("basic", basic("me:older")), NO),
    "an empty password": (of("basic", basic("me:")), NO),
    "no colon": (of("basic", basic("me")), NO),
    "no Base64": (of("basic", ("Authorization", "Basic \udcff!")), NO),
    "a megabyte without a password": (request(bytes(MB), path="/notify/basic"), NO),
    "garbage without a password": (request(b"x", path="/notify/basic"), NO),
    "an odd type without a password": (request(path="/notify/basic", content_type="x"), NO),
    "the token": (of("query", query="?token=t0ken"), OK),
    "a wrong token": (of("query", query="?token=t0ke"), NO),
    "a token of odd bytes": (of("query", query="?token=%ff%00"), NO),
    "no token": (of("query", query="?Token=t0ken"), NO),
    "the signature": (of("hmac", ("X-Infobip-Signature", SIGNATURE)), OK),
    "a wrong signature": (of("hmac", ("X-Infobip-Signature", SIGNATURE[:-1] + "x")), NO),
    "a short signature": (of("hmac", ("X-Infobip-Signature", SIGNATURE[:-2])), NO),
    "an empty signature": (of("hmac", ("X-Infobip-Signature", "")), NO),
    "a signature of odd bytes": (of("hmac", ("X-Infobip-Signature", "\udcff")), NO),
    "no signature": (of("hmac"), NO),
    "through the proxy": (of("office", ("X-Forwarded-For", "198.51.100.1")), OK),
    "IPv6 through the proxy": (of("office", ("X-Forwarded-For", "[2001:db8::1]:9")), OK),
    "from elsewhere": (of("office", ("X-Forwarded-For", "203.0.113.1")), NO),
    "from elsewhere, says the client": (
        of("office", ("X-Forwarded-For", "198.51.100.1, 203.0.113.1")),
        NO,
    ),
    "from nowhere": (of("office", ("X-Forwarded-For", "unknown")), NO),
    "from the proxy itself": (of("office"), NO),
    "a certificate": (of("certificate", VERIFIED, ("X-SSL-Client-Fingerprint", "aa")), OK),
    "another certificate": (of("certificate", VERIFIED, ("X-SSL-Client-Fingerprint", "ab")), NO),
    "no certificate": (of("certificate", ("X-SSL-Client-Verify", "NONE")), NO),
    "half a certificate": (of("certificate", VERIFIED), NO),
    "two certificates": (
        of("certificate", VERIFIED, VERIFIED, ("X-SSL-Client-Fingerprint", "aa")),
        NO,
    ),
    "the API's token": (api("/api/reports", ("Authorization", "Bearer " + "r" * 16)), OK),
    "the API's events": (api("/api/events", ("Authorization", "Bearer " + "r" * 16)), OK),
    "the API without a token": (api("/api/reports"), NO),
    "the API with a wrong token": (api("/api/reports", ("Authorization", "Bearer r")), NO),
    "the API with a callback's password": (api("/api/reports", basic("me:old")), NO),
    "the API written oddly": (api("/%61pi/reports"), NO),
    "a reader who operates": (
        api("/api/dispatches/x/cancel", ("Authorization", "Bearer " + "r" * 16), method="POST"),
        (403, "forbidden"),
    ),
    "a callback with the API's token": (of("basic", ("Authorization", "Bearer " + "r" * 16)), NO),
}


ALL = {**TRANSPORT, **BODIES, **AUTHENTICATION}
HOSTILE_BODIES = [
    (form, name, body, outcome)
    for form, table in (("json", test_hostile_bodies.JSON), ("xml", test_hostile_bodies.XML))
    for name, (body, outcome) in table.items()
]


@pytest_asyncio.fixture(loop_scope="function")
async def server(tmp_path: Path) -> AsyncIterator[Running]:
    """A real process. What it wrote is looked at in the end."""
    configure(tmp_path, SETTINGS)
    async with running(tmp_path, "receive") as process:
        yield process
        await still_works(process.url)
        assert await process.stop() == 0
        log = process.err.text
        assert "Traceback" not in log
        assert " error " not in log
        for secret in ("t0ke", "older", "s3cret", SIGNATURE[:20]):
            assert secret not in log


def test_there_are_enough() -> None:
    """The tables have the cases that were asked for, and each has a name of its own."""
    assert len(ALL) == len(TRANSPORT) + len(BODIES) + len(AUTHENTICATION)
    assert len(ALL) + len(HOSTILE_BODIES) >= 80 + 80


async def test_requests(server: Running) -> None:
    """Each request gets what the table says, and after each the process is as well as before."""
    wrong = {}
    for name, (sent, gets) in ALL.items():
        async with connected(server.url) as wire:
            await send(wire, sent)
            if not sent:
                wire.end()
            reply = await wire.reply()
        is_json = reply.headers.get("content-type") == "application/json"
        if reply.status:  # which library in which version is nobody's business
            assert reply.headers.get("server") == "dlr", name
        got = (reply.status, reply.code if is_json else "")
        if got != gets:
            wrong[name] = got
    assert wrong == {}
    await still_works(server.url)
    await server.err.find('reason=doubled_header what="two headers named Content-Type"')


async def send(wire: Wire, sent: Sent) -> None:
    for piece in [sent] if isinstance(sent, bytes) else sent:
        if not await wire.send(piece):
            return


async def test_bodies(server: Running) -> None:
    """Each hostile body of the decoders' table gets over HTTP what it gets from them."""
    for form, name, body, outcome in HOSTILE_BODIES:
        reply = await raw(server.url, request(body, content_type=f"application/{form}"))
        if len(body) > MB:
            assert (reply.status, reply.code) == (413, "too_large"), name
        elif outcome is None:
            assert (reply.status, reply.code) == UNREADABLE, name
        else:
            counts = reply.json
            taken = counts["stored"] + counts["duplicates"], counts["quarantined"]
            assert (reply.status, taken) == (200, outcome), name


async def test_memory_stays_flat(server: Running) -> None:
    """Bombs, endless bodies and floods, again and again, leave the process as large as it was.

    But for what the garbage collector has not looked at yet: 1.5 MB a round, 33 MB at most. If a
    round left the smallest of the bodies, 20 of them would leave 40 MB more.
    """
    worst = [
        BODIES[name][0]
        for name in ("a gzip bomb", "a deflate bomb", "too many items", "a bomb of members")
    ] + [TRANSPORT[name][0] for name in ("chunks without end", "a body of 2 MB", "1,000 headers")]

    async def once() -> None:
        for sent in worst:
            async with connected(server.url) as wire:
                await send(wire, sent)
                assert (await wire.reply()).status >= 400

    for _ in range(3):
        await once()
    before = resident(server)
    for _ in range(20):
        await once()
    assert resident(server) - before < 40 * MB
    assert (await get(server.url, "/readyz")).status == 200


def resident(server: Running) -> int:
    """Bytes of memory that the process holds."""
    status = Path(f"/proc/{server.pid}/status").read_text()
    return 1024 * int(status.partition("VmRSS:")[2].split()[0])
