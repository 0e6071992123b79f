"""A sandbox with https, and apps with it.

Some clients refuse a base URL without https. `dlr sandbox --tls` shows a certificate of its own,
and says which file makes an app trust it. The other way round, an app on a laptop has a certificate
that it has signed itself: pushes to it failed, until a setting says that it is to be trusted.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from dispatcher.sandbox.certificate import Certificate, certificate_of, names_of
from dispatcher.security.tls import server_context
from dispatcher.settings.settings import read_settings
from receiver.settings.configuration import ConfigurationError
from receiver.settings.settings import ServerSettings
from tests.end_to_end.processes import Tally, dlr, running
from tests.sandbox.playing import KEY, playing

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


async def ask(url: str, trust: Path, method: str, path: str, **options: Any) -> Any:
    context = ssl.create_default_context(cafile=trust)
    async with (
        aiohttp.ClientSession(url, headers=KEY) as client,
        client.request(method, path, ssl=context, **options) as response,
    ):
        assert response.status < 300
        return await response.json()


def content_of(file: Path) -> bytes:
    return file.read_bytes()


async def test_a_sandbox_with_tls(tmp_path: Path) -> None:
    """The file that it prints is all that an app needs to trust it, by name and by address, and
    after a restart too. Without the file nobody trusts it, and without https nobody is answered."""
    trusted = []
    for _ in range(2):
        async with running(tmp_path, "sandbox", "--tls") as server:
            trust = Path((await server.out.find(r"^  trust +(\S+)  is the certificate"))[1])
            trusted.append(content_of(trust))
            port = server.url.rpartition(":")[2]
            for host in ("127.0.0.1", "localhost"):
                url = f"https://{host}:{port}"
                body = {"messages": [{"text": "x", "destinations": [{"to": "41790000001"}]}]}
                sent = await ask(url, trust, "POST", "/sms/2/text/advanced", json=body)
                assert sent["messages"][0]["status"]["name"] == "PENDING_ACCEPTED"
            async with aiohttp.ClientSession(headers=KEY) as client:
                with pytest.raises(aiohttp.ClientConnectorCertificateError):
                    await client.get(f"{url}/account/1/balance")
                with pytest.raises(aiohttp.ClientError):
                    await client.get(f"http://127.0.0.1:{port}/account/1/balance")
            assert await server.stop() == 0
            assert "Traceback" not in server.err.text
    assert trusted[0] == trusted[1]


async def test_links_and_trouble_with_tls(tmp_path: Path) -> None:
    """A short link leads to https. A connection that is reset on order ends, and the next request
    is answered."""
    async with running(tmp_path, "sandbox", "--tls") as server:
        trust = Path((await server.out.find(r"^  trust +(\S+)  is the certificate"))[1])
        message = {
            "text": "see https://shop.example/a",
            "destinations": [{"to": "41790000001"}],
        }
        body = {"messages": [message], "urlOptions": {"shortenUrl": True}}
        await ask(server.url, trust, "POST", "/sms/2/text/advanced", json=body)
        (told,) = (await ask(server.url, trust, "GET", "/sandbox/messages"))["messages"]
        assert told["links"][0]["shortUrl"].startswith(f"{server.url}/l/")

        for trouble in ({"reset": True}, {"drop": True}):
            await ask(server.url, trust, "POST", "/sandbox/faults", json={**trouble, "next": 1})
            with pytest.raises(aiohttp.ClientError):  # a GET would be sent again at once
                await ask(server.url, trust, "POST", "/sms/2/text/advanced", json=body)
            await ask(server.url, trust, "GET", "/account/1/balance")


async def test_a_connection_too_many_with_tls(tmp_path: Path) -> None:
    """It is told 503 as without TLS."""
    async with running(tmp_path, "sandbox", "--tls", DLR_LIMITS_CONNECTIONS="1") as server:
        trust = Path((await server.out.find(r"^  trust +(\S+)  is the certificate"))[1])
        context = ssl.create_default_context(cafile=trust)
        async with aiohttp.ClientSession(server.url, headers=KEY) as client:
            first = await client.get("/sms/1/reports", ssl=context)
            async with aiohttp.ClientSession(server.url, headers=KEY) as other:
                refused = await other.get("/sms/1/reports", ssl=context)
                assert (first.status, refused.status) == (200, 503)
        assert "Traceback" not in server.err.text


# --- the certificate -----------------------------------------------------------------------------


def read(found: Certificate) -> x509.Certificate:
    return x509.load_pem_x509_certificate(found.server_file.read_bytes())


def test_a_certificate_is_kept_for_as_long_as_it_is_good(tmp_path: Path) -> None:
    """A month before its end there is a new one, and when the server has another name."""
    database = str(tmp_path / "dlr.db")
    first = read(certificate_of(database, ["localhost"], NOON))

    assert read(certificate_of(database, ["localhost"], NOON + timedelta(days=366))) == first
    later = read(certificate_of(database, ["localhost"], NOON + timedelta(days=368)))
    assert later != first
    named = read(certificate_of(database, ["localhost", "sandbox"], NOON + timedelta(days=368)))
    assert named != later


@pytest.mark.parametrize("file", ["ca.pem", "server.pem"])
@pytest.mark.parametrize("content", [None, b"", b"-----BEGIN CERTIFICATE-----\nx\n"])
def test_a_certificate_that_is_half_there_is_made_anew(
    tmp_path: Path, file: str, content: bytes | None
) -> None:
    """One of the files is missing or broken."""
    database = str(tmp_path / "dlr.db")
    broken = certificate_of(database, ["localhost"]).server_file.with_name(file)
    broken.unlink()
    if content is not None:
        broken.write_bytes(content)

    found = certificate_of(database, ["localhost"])

    authority = x509.load_pem_x509_certificate(found.trust_file.read_bytes())
    read(found).verify_directly_issued_by(authority)


def test_the_key_is_its_owners_alone(tmp_path: Path) -> None:
    """The app, which may be another user, can read what it has to trust. The authority's key is
    nowhere: it could vouch for any site."""
    found = certificate_of(str(tmp_path / "dlr.db"), ["localhost"])

    assert found.server_file.stat().st_mode & 0o777 == 0o600
    assert b"PRIVATE KEY" in found.server_file.read_bytes()
    assert b"PRIVATE KEY" not in found.trust_file.read_bytes()
    assert {file.name for file in found.trust_file.parent.iterdir()} == {"ca.pem", "server.pem"}


def test_names_of_the_certificate() -> None:
    """The loopback's, the address that is bound, and those that the settings give the server."""
    usual = ["localhost", "127.0.0.1", "::1"]

    assert names_of(ServerSettings()) == usual
    assert names_of(ServerSettings(bind="0.0.0.0", hosts=("Sandbox",))) == [*usual, "sandbox"]
    assert names_of(ServerSettings(bind="192.0.2.7")) == [*usual, "192.0.2.7"]


def test_a_name_that_no_certificate_can_hold(tmp_path: Path) -> None:
    """It is told as a fault of the setting."""
    with pytest.raises(ConfigurationError, match=r"server\.hosts: expected names that a certif"):
        certificate_of(str(tmp_path / "dlr.db"), ["localhost", "x" * 64])


# --- the app's certificate -----------------------------------------------------------------------


def signed_by_itself(folder: Path) -> Path:
    """A certificate as `openssl req -x509` makes one for 127.0.0.1, with its key in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "app")])
    identity = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(identity, critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identity), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    file = folder / "app.pem"
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(private + made.public_bytes(pem))
    return file


@asynccontextmanager
async def an_app(certificate: Path) -> AsyncIterator[tuple[str, Tally]]:
    """A webhook that takes reports over https, and how many have come."""
    came = Tally()

    async def take(_: web.Request) -> web.Response:
        came.add()
        return web.Response()

    app = web.Application()
    app.router.add_post("/dlr", take)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=server_context(certificate))
        await site.start()
        yield f"https://127.0.0.1:{runner.addresses[0][1]}/dlr", came
    finally:
        await runner.cleanup()


async def test_an_app_that_has_signed_its_own_certificate(tmp_path: Path) -> None:
    """It is pushed to when `notify_ca_file` names the certificate. Without the setting it is not,
    and the reason is shown."""
    certificate = signed_by_itself(tmp_path)
    async with an_app(certificate) as (url, came):
        for text, times in (("", 0), (f'[sandbox]\nnotify_ca_file = "{certificate}"', 1)):
            (folder := tmp_path / str(times)).mkdir()
            async with playing(folder, text) as sandbox:
                await sandbox.send(notifyUrl=url)
                await sandbox.advance("10s")
                (push,) = (await sandbox.get("/sandbox/pushes"))["pushes"]
            assert came.count == times
            if times:
                assert push["explanation"] == "your webhook answered 200"
            else:
                assert push["outcome"] == "tls_failed"
                assert "sandbox.notify_ca_file" in push["explanation"]


def test_a_file_to_trust_that_is_not_there(tmp_path: Path) -> None:
    """It is told at the start and not at the first push."""
    file = tmp_path / "dlr.toml"
    file.write_text('[sandbox]\nnotify_ca_file = "nowhere.pem"')

    with pytest.raises(ConfigurationError, match=r"sandbox\.notify_ca_file: cannot be read"):
        read_settings(file, {})


async def test_recipients_are_listed(tmp_path: Path) -> None:
    """Without a database and without listening."""
    listed = await dlr(tmp_path, "sandbox", "--list-recipients")

    assert listed.code == 0
    assert "447700900001  delivered after 2 s, like all other numbers\n" in listed.out
    assert not (tmp_path / "dlr.db").exists()
