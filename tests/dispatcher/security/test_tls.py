"""TLS: whom an endpoint's connections trust, and the certificate that they show."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from aiohttp import web
from aiohttp.test_utils import TestServer

from dispatcher.endpoints.from_settings import endpoint_of
from dispatcher.pushing.http_sender import HttpSender
from dispatcher.retrying.outcome import Answer, Outcome
from dispatcher.security.tls import Tls, context
from dispatcher.settings.settings import read_settings
from receiver.settings.configuration import ConfigurationError
from tests.dispatcher.support import a_push, an_endpoint


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Signs the customers' certificates."""
    return trustme.CA()


@pytest.fixture(scope="module")
def stranger() -> trustme.CA:
    return trustme.CA()


class Files:
    """PEM files of authorities and certificates."""

    def __init__(self, place: Path) -> None:
        self._place = place

    def write(self, name: str, *blobs: trustme.Blob) -> str:
        path = self._place / name
        path.write_bytes(b"".join(blob.bytes() for blob in blobs))
        return str(path)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def a_server_context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(made)
    return made


@pytest.fixture
def customers_tls(authority: trustme.CA) -> ssl.SSLContext:
    """The TLS of a customer with a good certificate for localhost."""
    return a_server_context(authority.issue_cert("localhost"))


@asynccontextmanager
async def listening(tls: ssl.SSLContext) -> AsyncIterator[str]:
    """A customer behind TLS, who answers with the name in the certificate that it was shown."""

    async def take(request: web.Request) -> web.Response:
        assert request.transport is not None
        shown = request.transport.get_extra_info("peercert") or {}
        names = [value for kind, value in shown.get("subjectAltName", ()) if kind == "DNS"]
        return web.Response(text=" ".join(names))

    app = web.Application()
    app.router.add_post("/dlr", take)
    server = TestServer(app, host="localhost", scheme="https")
    await server.start_server(ssl=tls)
    try:
        yield f"https://localhost:{server.port}/dlr"
    finally:
        await server.close()


@asynccontextmanager
async def listening_as_most_do(tls: ssl.SSLContext) -> AsyncIterator[str]:
    """A customer whose TLS says why it refuses. asyncio's servers just hang up."""

    def serve() -> None:
        connection, _ = listener.accept()
        with tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False) as ours:
            with suppress(ssl.SSLError):
                ours.do_handshake()
            with socket.socket(fileno=ours.detach()) as plain:
                plain.shutdown(socket.SHUT_WR)
                while plain.recv(4096):  # a reset would overtake the alert
                    pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = asyncio.create_task(asyncio.to_thread(serve))
        yield f"https://localhost:{listener.getsockname()[1]}/dlr"
        await serving


async def attempt(url: str, tls: Tls) -> Answer:
    async with HttpSender() as sender:
        return await sender.send(a_push(url), an_endpoint(tls=tls))


async def test_own_authority(
    authority: trustme.CA, customers_tls: ssl.SSLContext, files: Files
) -> None:
    """A certificate of the authority that is named is trusted."""
    ca_file = files.write("ca.pem", authority.cert_pem)

    async with listening(customers_tls) as url:
        assert (await attempt(url, Tls(ca_file=ca_file))).status == 200


@pytest.mark.parametrize("named", [True, False])
async def test_another_authority(
    stranger: trustme.CA, customers_tls: ssl.SSLContext, files: Files, named: bool
) -> None:
    """A certificate of an authority that is not trusted, by file or by the system, is not."""
    ca_file = files.write("other.pem", stranger.cert_pem) if named else None

    async with listening(customers_tls) as url:
        told = await attempt(url, Tls(ca_file=ca_file))

    assert told.failure is Outcome.TLS_FAILED
    assert told.error is not None
    assert "certificate verify failed" in told.error


async def test_a_certificate_for_another_host(authority: trustme.CA, files: Files) -> None:
    """A good certificate of somebody else does not do."""
    ca_file = files.write("ca.pem", authority.cert_pem)

    async with listening(a_server_context(authority.issue_cert("other.example"))) as url:
        assert (await attempt(url, Tls(ca_file=ca_file))).failure is Outcome.TLS_FAILED


async def test_an_expired_certificate(authority: trustme.CA, files: Files) -> None:
    """A certificate whose time is over is not trusted, though the authority is."""
    over = datetime.now(UTC) - timedelta(days=1)
    certificate = authority.issue_cert(
        "localhost", not_before=over - timedelta(days=9), not_after=over
    )
    ca_file = files.write("ca.pem", authority.cert_pem)

    async with listening(a_server_context(certificate)) as url:
        told = await attempt(url, Tls(ca_file=ca_file))

    assert told.failure is Outcome.TLS_FAILED
    assert told.error is not None
    assert "expired" in told.error


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize(
    ("spoken", "minimum", "trusted"),
    [
        (ssl.TLSVersion.TLSv1_1, "1.2", False),
        (ssl.TLSVersion.TLSv1_1, "1.3", False),
        (ssl.TLSVersion.TLSv1_2, "1.2", True),
        (ssl.TLSVersion.TLSv1_2, "1.3", False),
        (ssl.TLSVersion.TLSv1_3, "1.3", True),
    ],
)
async def test_minimum_version(
    authority: trustme.CA,
    customers_tls: ssl.SSLContext,
    files: Files,
    spoken: ssl.TLSVersion,
    minimum: str,
    trusted: bool,
) -> None:
    """An older TLS than the endpoint's minimum is not spoken."""
    customers_tls.set_ciphers("DEFAULT@SECLEVEL=0")  # or OpenSSL itself refuses 1.1
    customers_tls.minimum_version = customers_tls.maximum_version = spoken
    tls = Tls(
        ca_file=files.write("ca.pem", authority.cert_pem),
        minimum_version="1.2" if minimum == "1.2" else "1.3",
    )

    async with listening(customers_tls) as url:
        told = await attempt(url, tls)

    expected = (200, None) if trusted else (None, Outcome.TLS_FAILED)
    assert (told.status, told.failure) == expected


@pytest.fixture(params=[ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def demanding_tls(
    authority: trustme.CA, customers_tls: ssl.SSLContext, request: pytest.FixtureRequest
) -> ssl.SSLContext:
    """The TLS of a customer who demands a client certificate, in both versions: they say no at
    different times."""
    customers_tls.maximum_version = customers_tls.minimum_version = request.param
    customers_tls.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(customers_tls)
    return customers_tls


@pytest.mark.parametrize("one_file", [True, False])
async def test_client_certificate(
    authority: trustme.CA, demanding_tls: ssl.SSLContext, files: Files, one_file: bool
) -> None:
    """The customer sees our certificate, be its key in the same file or in its own."""
    ours = authority.issue_cert("dlr.example")
    key = ours.private_key_pem
    chain = ours.cert_chain_pems
    tls = Tls(
        ca_file=files.write("ca.pem", authority.cert_pem),
        certificate_file=files.write("me.pem", *chain, *([key] if one_file else [])),
        key_file=None if one_file else files.write("me-key.pem", key),
    )

    async with listening(demanding_tls) as url:
        told = await attempt(url, tls)

    assert (told.status, told.body) == (200, b"dlr.example")


@pytest.mark.parametrize("shown", ["none", "a stranger's"])
async def test_no_client_certificate_that_will_do(
    authority: trustme.CA,
    stranger: trustme.CA,
    demanding_tls: ssl.SSLContext,
    files: Files,
    shown: str,
) -> None:
    """Without a certificate, or with one that the customer does not trust, TLS has failed."""
    ours = stranger.issue_cert("dlr.example").private_key_and_cert_chain_pem
    tls = Tls(
        ca_file=files.write("ca.pem", authority.cert_pem),
        certificate_file=None if shown == "none" else files.write("me.pem", ours),
    )

    async with listening_as_most_do(demanding_tls) as url:
        told = await attempt(url, tls)

    assert (told.status, told.failure) == (None, Outcome.TLS_FAILED)
    assert told.error is not None
    assert "alert" in told.error.lower()


async def test_endpoints_do_not_share_trust(
    authority: trustme.CA, stranger: trustme.CA, customers_tls: ssl.SSLContext, files: Files
) -> None:
    """A connection that one endpoint trusts does not serve another that would not."""
    good = Tls(ca_file=files.write("ca.pem", authority.cert_pem))
    bad = Tls(ca_file=files.write("other.pem", stranger.cert_pem))

    async with listening(customers_tls) as url, HttpSender() as sender:
        first = await sender.send(a_push(url), an_endpoint(tls=good))
        second = await sender.send(a_push(url), an_endpoint(tls=bad))
        third = await sender.send(a_push(url), an_endpoint(tls=good))

    assert (first.status, second.failure, third.status) == (200, Outcome.TLS_FAILED, 200)


async def test_files_that_are_gone() -> None:
    """Files that were good at the start and are gone at the first push are an outcome, too."""
    told = await attempt("https://localhost:1/dlr", Tls(ca_file="/nowhere/ca.pem"))

    assert told.failure is Outcome.TLS_FAILED
    assert told.error == "the files in its TLS settings cannot be used"


def test_nothing_set_is_the_systems_trust() -> None:
    """The default trusts the system's authorities and checks names, from TLS 1.2 on."""
    made = context(Tls())

    assert made.check_hostname
    assert made.verify_mode is ssl.CERT_REQUIRED
    assert made.minimum_version is ssl.TLSVersion.TLSv1_2


# Settings


@pytest.fixture
def some_files(
    authority: trustme.CA, stranger: trustme.CA, files: Files, tmp_path: Path
) -> Iterator[Path]:
    """Good and bad files, in the working directory of the test."""
    ours, other = authority.issue_cert("dlr.example"), stranger.issue_cert("dlr.example")
    files.write("ca.pem", authority.cert_pem)
    files.write("me.pem", *ours.cert_chain_pems)
    files.write("me-key.pem", ours.private_key_pem)
    files.write("other-key.pem", other.private_key_pem)
    (tmp_path / "no.pem").write_text("no certificate")
    (tmp_path / "locked.pem").write_text(_LOCKED_KEY)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        yield tmp_path


ACME = '[[endpoint]]\nname = "acme"\nurl = "https://acme.example/"\n[endpoint.tls]\n'


def test_settings(some_files: Path) -> None:
    """Files are named from the working directory."""
    file = some_files / "dlr.toml"
    file.write_text(
        ACME + 'minimum_version = "1.3"\nca_file = "ca.pem"\n'
        'certificate_file = "me.pem"\nkey_file = "me-key.pem"'
    )

    (endpoint,) = read_settings(file, {}).endpoint
    assert endpoint_of(endpoint).tls == Tls(
        minimum_version="1.3",
        ca_file="ca.pem",
        certificate_file="me.pem",
        key_file="me-key.pem",
    )


PAIR = (
    "certificate_file: expected a PEM certificate and its key without a passphrase, "
    "got something else"
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('minimum_version = "1.1"', ['minimum_version: expected "1.2" or "1.3", got "1.1"']),
        ('ca_file = "x.pem"', ["ca_file: cannot be read: No such file or directory"]),
        ('ca_file = "."', ["ca_file: cannot be read: Is a directory"]),
        (
            'ca_file = "no.pem"',
            ["ca_file: expected certificates in PEM, got none that can be read"],
        ),
        ('key_file = "me-key.pem"', ["key_file: expected a certificate_file too, got none"]),
        ('certificate_file = "me.pem"', [PAIR]),
        ('certificate_file = "no.pem"\nkey_file = "me-key.pem"', [PAIR]),
        ('certificate_file = "me.pem"\nkey_file = "locked.pem"', [PAIR]),
        (
            'certificate_file = "me.pem"\nkey_file = "other-key.pem"',
            ["certificate_file: expected the certificate that belongs to the key, got another one"],
        ),
        (
            'ca_file = "a"\ncertificate_file = "b"\nkey_file = "c"',
            [
                f"{name}: cannot be read: No such file or directory"
                for name in ("ca_file", "certificate_file", "key_file")
            ],
        ),
    ],
)
def test_files_are_checked_at_the_start(some_files: Path, text: str, expected: list[str]) -> None:
    """`dlr check` and each start name every file that is no good, and nobody is asked for a
    passphrase."""
    file = some_files / "dlr.toml"
    file.write_text(ACME + text)

    with pytest.raises(ConfigurationError) as caught:
        read_settings(file, {})
    start = f"{file}: endpoint[0].tls."
    assert [each.removeprefix(start) for each in caught.value.faults] == expected


_LOCKED_KEY = """\
-----BEGIN ENCRYPTED PRIVATE KEY-----
MIH0MF8GCSqGSIb3DQEFDTBSMDEGCSqGSIb3DQEFDDAkBBBJZ+aFYW+LrFbZzt/S
LVD1AgIIADAMBggqhkiG9w0CCQUAMB0GCWCGSAFlAwQBKgQQeEjGX8E1iP490lDp
YwkqbwSBkCusjDVEWlBr2KHjnEXmUSWO2d+ruAzTTzW0lbOsdIzFH0N2TbuaOJWH
10auJm3xWXuK9jcR/KsMmo5spaOqj4M/i5priam/jE/bSwP43+k2Sabf1QmQORAf
YKwsN+W/g87bMaSQzvMIqOmVHBY3mnR6e7onpYWBIVe2bx4b6UDKm4M+ceLINCHz
KoHhbL2KHA==
-----END ENCRYPTED PRIVATE KEY-----
"""
"""A key with a passphrase, made for this test."""
