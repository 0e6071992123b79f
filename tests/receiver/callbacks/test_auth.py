"""Who may post: every demand alone, together, and over a socket."""

from __future__ import annotations

import base64
import gzip
import hashlib
import hmac
import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import pytest
from multidict import CIMultiDict

from receiver.callbacks.auth import Authenticator, Refusal, RequestFacts
from receiver.callbacks.forwarded import Proxies
from receiver.hmac_signature import Algorithm
from receiver.settings.configuration import ConfigurationError, Secret
from receiver.settings.settings import (
    BasicSettings,
    CertificateSettings,
    HeaderSettings,
    HmacSettings,
    QuerySettings,
    SourceSettings,
)
from tests.receiver.served import REPORT, connected, get, post, request, served, still_works

NOW = datetime(2026, 11, 21, 10, tzinfo=UTC)
BODY = b'{"results":[]}'
TOKEN = {"token": "old secret"}
TWO = (Secret("old secret"), Secret("nüw secret"))
PROXIES = Proxies.of(1, ["10.0.0.0/8"])


def verdict(
    source: SourceSettings,
    *headers: tuple[str, str],
    peer: str = "203.0.113.7",
    proxies: Proxies = PROXIES,
    body: bytes = BODY,
    query: Mapping[str, str] | None = None,
) -> Refusal | None:
    facts = RequestFacts(peer, CIMultiDict(headers), query or {})
    authenticator = Authenticator(source, proxies)
    return authenticator.before_body(facts) or authenticator.after_body(facts, body, NOW)


def basic(text: str) -> tuple[str, str]:
    return "Authorization", "Basic " + base64.b64encode(text.encode()).decode()


def a_source(**demands: Any) -> SourceSettings:
    return SourceSettings("default", **demands)


def test_nothing_is_demanded() -> None:
    """A source that demands nothing lets everybody in."""
    assert verdict(a_source()) is None


BASIC = a_source(basic=BasicSettings("plätform", TWO))


@pytest.mark.parametrize("password", ["old secret", "nüw secret"])
def test_basic(password: str) -> None:
    """Either password is right, and the scheme's name may be written in any case."""
    name, value = basic(f"plätform:{password}")
    assert verdict(BASIC, (name, value)) is None
    assert verdict(BASIC, (name.lower(), value.replace("Basic", "bASIC"))) is None


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [basic("plätform:")],
        [basic("plätform:old secre")],
        [basic("plätform:old secret ")],
        [basic("platform:old secret")],
        [basic(":old secret")],
        [basic("plätform")],
        [("Authorization", "Basic")],
        [("Authorization", "Basic ")],
        [("Authorization", "Basic !!!")],
        [("Authorization", "Basic \udcff")],
        [("Authorization", "Basic é")],
        [("Authorization", "Bearer " + basic("plätform:old secret")[1][6:])],
        [("Authorization", basic("plätform:old secret")[1][6:])],
        [("Proxy-Authorization", basic("plätform:old secret")[1])],
    ],
)
def test_wrong_basic(headers: list[tuple[str, str]]) -> None:
    """Anything else is refused, and nothing raises."""
    assert verdict(BASIC, *headers) == "basic"


@pytest.mark.parametrize("secret", ["old secret", "nüw secret"])
def test_header(secret: str) -> None:
    """A secret in a header of any name, after any scheme or alone."""
    alone = a_source(header=HeaderSettings(TWO, name="X-Hook"))
    app = a_source(header=HeaderSettings(TWO, name="Authorization", scheme="App"))
    assert verdict(alone, ("x-hook", secret)) is None
    assert verdict(app, ("Authorization", f"App {secret}")) is None
    assert verdict(app, ("Authorization", f"app  {secret}")) is None


@pytest.mark.parametrize(
    "header",
    [
        ("Authorization", "old secret"),
        ("Authorization", "Bearer old secret"),
        ("Authorization", "Appold secret"),
        ("Authorization", "App"),
        ("Authorization", "App old"),
        ("Authorization", "App \udcff"),
        ("X-Other", "App old secret"),
    ],
)
def test_wrong_header(header: tuple[str, str]) -> None:
    """Another header, another scheme or another secret is refused."""
    source = a_source(header=HeaderSettings(TWO, name="Authorization", scheme="App"))
    assert verdict(source, header) == "header"


def test_query() -> None:
    """A token in the query, under the name that is set."""
    source = a_source(query=QuerySettings(TWO, parameter="key"))
    assert verdict(source, query={"key": "nüw secret"}) is None
    for wrong in ({}, {"key": ""}, {"key": "old"}, {"token": "old secret"}, {"key": "\udcff"}):
        assert verdict(source, query=wrong) == "query"


@pytest.mark.parametrize("algorithm", get_args(Algorithm))
@pytest.mark.parametrize("key", ["old secret", "nüw secret"])
def test_hmac(algorithm: Algorithm, key: str) -> None:
    """The HMAC of the raw body by any of the provider's six algorithms, with either key."""
    source = a_source(hmac=HmacSettings(TWO, algorithm=algorithm, prefix="v="))
    name = algorithm.removeprefix("HMAC_").replace("_", "").lower()
    digest = hmac.new(key.encode(), BODY, getattr(hashlib, name)).hexdigest()

    assert verdict(source, ("X-Infobip-Signature", f"v={digest}")) is None
    assert verdict(source, ("X-Infobip-Signature", f"v={digest}"), body=BODY + b" ") == "hmac"
    assert verdict(source, ("X-Infobip-Signature", digest)) == "hmac"
    assert verdict(source) == "hmac"


def test_hmac_with_a_timestamp() -> None:
    """A signed instant that is too old, or was changed, is refused."""
    source = a_source(
        hmac=HmacSettings(TWO, timestamp_header="X-At", signed="timestamp.body", encoding="base64")
    )

    def signed(at: float, sent: float) -> Refusal | None:
        text = f"{at:.0f}".encode() + b"." + BODY
        digest = base64.b64encode(hmac.digest(b"old secret", text, "sha256")).decode()
        return verdict(source, ("X-Infobip-Signature", digest), ("X-At", f"{sent:.0f}"))

    now = NOW.timestamp()
    assert signed(now - 300, now - 300) is None
    assert signed(now - 301, now - 301) == "hmac"
    assert signed(now - 301, now) == "hmac"


CERTIFICATE = a_source(
    certificate=CertificateSettings(identity_header="X-SSL-Fingerprint", identities=("aa", "bb"))
)
VERIFIED = ("X-SSL-Client-Verify", "SUCCESS")


def test_a_proxy_tells_of_a_certificate() -> None:
    """What a trusted proxy says of the client's certificate counts; either identity will do."""
    for identity in ("aa", "bb"):
        headers = (VERIFIED, ("X-SSL-Fingerprint", identity))
        assert verdict(CERTIFICATE, *headers, peer="10.1.2.3") is None
        assert verdict(CERTIFICATE, *headers) == "certificate"  # a stranger says so
        assert verdict(CERTIFICATE, *headers, peer="10.1.2.3", proxies=Proxies()) == "certificate"


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [VERIFIED],
        [("X-SSL-Fingerprint", "aa")],
        [("X-SSL-Client-Verify", "FAILED"), ("X-SSL-Fingerprint", "aa")],
        [("X-SSL-Client-Verify", "NONE"), ("X-SSL-Fingerprint", "aa")],
        [VERIFIED, ("X-SSL-Fingerprint", "cc")],
        [VERIFIED, VERIFIED, ("X-SSL-Fingerprint", "aa")],
        [VERIFIED, ("X-SSL-Fingerprint", "aa"), ("X-SSL-Fingerprint", "cc")],
    ],
)
def test_a_proxy_tells_otherwise(headers: list[tuple[str, str]]) -> None:
    """No certificate, another one, and a header that came twice are refused."""
    assert verdict(CERTIFICATE, *headers, peer="10.1.2.3") == "certificate"


def test_addresses() -> None:
    """Only the networks that are allowed, seen through the proxies that are trusted."""
    source = a_source(allow=("198.51.100.0/24", "2001:db8::/32"))
    forwarded = ("X-Forwarded-For", "198.51.100.9")
    assert verdict(source, peer="198.51.100.9") is None
    assert verdict(source, peer="2001:db8::5") is None
    assert verdict(source, peer="::ffff:198.51.100.9") is None
    assert verdict(source, forwarded, peer="10.0.0.1") is None
    assert verdict(source) == "address"
    assert verdict(source, forwarded) == "address"  # past the proxy
    assert verdict(source, ("X-Forwarded-For", "unknown"), peer="10.0.0.1") == "address"
    assert verdict(source, peer="10.0.0.1") == "address"


def test_all_demands_must_be_met() -> None:
    """Of several demands each is necessary."""
    source = a_source(
        allow=("203.0.113.0/24",),
        basic=BasicSettings("me", TWO),
        header=HeaderSettings(TWO),
        query=QuerySettings(TWO),
        hmac=HmacSettings(TWO),
    )
    headers = {
        "basic": basic("me:old secret"),
        "header": ("X-Api-Key", "old secret"),
        "hmac": ("X-Infobip-Signature", hmac.digest(b"old secret", BODY, "sha256").hex()),
    }
    assert verdict(source, *headers.values(), query=TOKEN) is None
    for missing in headers:
        rest = [header for name, header in headers.items() if name != missing]
        assert verdict(source, *rest, query=TOKEN) == missing
    assert verdict(source, *headers.values()) == "query"
    assert verdict(source, *headers.values(), peer="1.1.1.1", query=TOKEN) == "address"


# --- over a socket -----------------------------------------------------------------------------

ALL = """
[[source]]
name = "open"
[[source]]
name = "default"
[source.basic]
username = "me"
passwords = ["s3cret-basic"]
[source.query]
tokens = ["s3cret-query"]
[source.hmac]
keys = ["s3cret-hmac"]
"""
SIGNED = ("X-Infobip-Signature", hmac.digest(b"s3cret-hmac", REPORT, "sha256").hex())
ME = basic("me:s3cret-basic")


async def test_a_callback_with_all_it_takes(tmp_path: Path) -> None:
    """With everything that is demanded a callback is stored; another source demands nothing."""
    async with served(tmp_path, ALL) as running:
        reply = await post(running.url, headers=[ME, SIGNED], path="/notify?token=s3cret-query")
        assert (reply.status, reply.json["stored"]) == (200, 1)
        assert (await post(running.url, path="/notify/open")).status == 200


async def test_401_tells_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever is missing, the answer is the same; the log has the source and the reason alone."""
    token = "?token=s3cret-query"
    tries: list[tuple[str, str, list[tuple[str, str]]]] = [
        ("basic", "/notify" + token, [SIGNED]),
        ("basic", "/notify/default" + token, [basic("me:gu3ss"), SIGNED]),
        ("query", "/notify", [ME, SIGNED]),
        ("query", "/notify?token=gu3ss", [ME, SIGNED]),
        ("hmac", "/notify" + token, [ME]),
        ("hmac", "/notify" + token, [ME, ("X-Infobip-Signature", "gu3ss")]),
    ]
    async with served(tmp_path, ALL) as running:
        caplog.set_level(logging.DEBUG)
        replies = [await post(running.url, path=path, headers=how) for _, path, how in tries]
        assert (await get(running.url, "/api/reports")).json["reports"] == []
        assert (await get(running.url, "/api/quarantine")).json["items"] == []

    assert {reply.status for reply in replies} == {401}
    assert len({reply.body for reply in replies}) == 1
    assert {reply.headers["www-authenticate"] for reply in replies} == {'Basic realm="callbacks"'}
    refused = [each for each in caplog.records if each.getMessage() == "callback refused"]
    facts = [getattr(each, "facts", {}) for each in refused]
    assert facts == [
        {"source": "default", "reason": reason, "from": "127.0.0.1"} for reason, _, _ in tries
    ]
    logged = caplog.text + json.dumps([getattr(each, "facts", {}) for each in caplog.records])
    assert "s3cret" not in logged
    assert "gu3ss" not in logged


async def test_a_stranger_s_body_is_not_read(tmp_path: Path) -> None:
    """The answer to a stranger comes before the body does."""
    head = b"POST /notify HTTP/1.1\r\nHost: dlr\r\nContent-Length: 5000000\r\n\r\n"
    async with served(tmp_path, ALL) as running, connected(running.url) as wire:
        await wire.send(head)
        assert (await wire.reply()).status == 401


async def test_the_signature_is_of_what_came(tmp_path: Path) -> None:
    """A compressed body is signed as it goes over the wire."""
    packed = gzip.compress(REPORT)
    signature = hmac.digest(b"s3cret-hmac", packed, "sha256").hex()
    headers = [ME, ("X-Infobip-Signature", signature), ("Content-Encoding", "gzip")]
    async with served(tmp_path, ALL) as running:
        path = "/notify?token=s3cret-query"
        assert (await post(running.url, packed, path=path, headers=headers)).status == 200


async def test_addresses_over_a_socket(tmp_path: Path) -> None:
    """The allow-list goes by the real peer and by what a trusted proxy says."""
    text = '[[source]]\nname = "default"\nallow = ["198.51.100.0/24"]'
    forwarded = [("X-Forwarded-For", "198.51.100.9")]
    async with served(tmp_path, text, "trusted_proxies = 1") as running:
        assert (await post(running.url)).status == 401
        assert (await post(running.url, headers=forwarded)).status == 200
        assert (await get(running.url, "/healthz")).status == 200
    async with served(tmp_path, text) as running:
        assert (await post(running.url, headers=forwarded)).status == 401


async def test_one_connection_many_tries(tmp_path: Path) -> None:
    """A refused callback does not spoil the connection for a good one behind it."""
    async with served(tmp_path, ALL) as running:
        async with connected(running.url) as wire:
            await wire.send(request() + request(path="/notify/open"))
            assert (await wire.reply()).status == 401
            assert (await wire.reply()).status == 200
        assert (await post(running.url, path="/notify/open")).json["duplicates"] == 1


# --- settings ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[source.basic]\nusername = 'a:b'\npasswords = ['x']", "basic.username: expected a name"),
        ("[source.basic]\nusername = 'a'\npasswords = []", "basic.passwords: expected one"),
        ("[source.basic]\nusername = 'a'\npasswords = ['']", "basic.passwords[0]: expected a text"),
        ("[source.header]\nsecrets = ['x']\nname = 'a b'", "header.name: expected the name of"),
        ("[source.header]\nsecrets = []", "header.secrets: expected one secret, or two"),
        ("[source.query]\ntokens = []", "query.tokens: expected one secret, or two"),
        ("[source.hmac]\nkeys = []", "hmac.keys: expected one secret, or two"),
        ("[source.hmac]\nkeys = ['x']\nalgorithm = 'sha'", "hmac.algorithm: expected"),
        ("[source.hmac]\nkeys = ['x']\nsigned = 'timestamp.body'", "hmac.signed: expected a"),
        ("[source.certificate]", "certificate: expected server.trusted_proxies"),
        (
            "[source.certificate]\nidentities = ['x']",
            "certificate.identities: expected together with",
        ),
        ("allow = ['10.0.0.1/8']", "allow[0]: expected an address or a network"),
        (
            "[source.basic]\nusername = 'a'\npasswords = ['x']\n"
            "[source.header]\nsecrets = ['x']\nname = 'authorization'",
            "header.name: expected a header other than that of basic",
        ),
    ],
)
async def test_faults_of_settings(tmp_path: Path, text: str, fault: str) -> None:
    """What cannot be meant is told with its place."""
    with pytest.raises(ConfigurationError) as caught:
        async with served(tmp_path, f'[[source]]\nname = "default"\n{text}'):
            pass
    assert f"source[0].{fault}" in str(caught.value)


async def test_several_sources_work(tmp_path: Path) -> None:
    """A process with demanding sources still takes from the open one."""
    text = ALL.replace('"default"', '"strict"').replace('"open"', '"default"')
    async with served(tmp_path, text) as running:
        assert (await post(running.url, path="/notify/strict")).status == 401
        await still_works(running.url)
