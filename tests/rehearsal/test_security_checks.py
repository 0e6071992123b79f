"""Checks that need https or credentials, and secrets that no report shows."""

from __future__ import annotations

import base64
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from aiohttp import web
from msgspec.structs import replace

from dispatcher.rehearsal import Result, Target
from tests.data.webhooks import wrong
from tests.data.webhooks.right_aiohttp import Webhook
from tests.rehearsal.served import SMALL, a_target, listening, result

NOW = datetime.now(UTC)
WITH_SECRET = {"Authorization": wrong.SECRET}


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> str:
    path = tmp_path / "ca.pem"
    path.write_bytes(authority.cert_pem.bytes())
    return str(path)


def a_context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(made)
    return made


async def over_tls(context: ssl.SSLContext, name: str, ca_file: str | None) -> Result:
    """The result of one check of the right webhook behind this TLS."""
    async with listening(Webhook(), context) as base:
        return await result(a_target(base, verified=False, ca_file=ca_file), name)


async def test_a_good_certificate(authority: trustme.CA, ca_file: str) -> None:
    """A certificate of an authority that is trusted passes, and the other checks speak TLS too."""
    context = a_context(authority.issue_cert("127.0.0.1", not_after=NOW + timedelta(days=90)))

    found = await over_tls(context, "tls-certificate", ca_file)
    assert (found.verdict, found.text[:14]) == ("passed", "trusted, until"), found
    assert (await over_tls(context, "keep-alive", ca_file)).verdict == "passed"


@pytest.mark.parametrize(
    ("name", "days", "trusted", "verdict"),
    [
        ("127.0.0.1", 5, True, "weak"),
        ("127.0.0.1", -1, True, "failed"),
        ("other.example", 90, True, "failed"),
        ("127.0.0.1", 90, False, "failed"),
    ],
)
async def test_a_certificate_that_is_no_good(
    authority: trustme.CA, ca_file: str, name: str, days: int, trusted: bool, verdict: str
) -> None:
    """One that ends soon is weak; one that is over, another's, or nobody's is a failure."""
    end = NOW + timedelta(days=days)
    certificate = authority.issue_cert(name, not_before=NOW - timedelta(days=9), not_after=end)

    found = await over_tls(a_context(certificate), "tls-certificate", ca_file if trusted else None)
    assert found.verdict == verdict, found


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize(
    ("oldest", "newest", "verdict"),
    [
        (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3, "passed"),
        (ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_3, "weak"),
        (ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_1, "failed"),
    ],
)
async def test_versions(
    authority: trustme.CA,
    ca_file: str,
    oldest: ssl.TLSVersion,
    newest: ssl.TLSVersion,
    verdict: str,
) -> None:
    """Nothing below 1.2 passes, 1.1 beside it is weak, 1.1 alone fails."""
    context = a_context(authority.issue_cert("127.0.0.1"))
    context.set_ciphers("DEFAULT@SECLEVEL=0")  # or OpenSSL itself refuses 1.1
    context.minimum_version, context.maximum_version = oldest, newest

    assert (await over_tls(context, "tls-version", ca_file)).verdict == verdict


@pytest.mark.parametrize("name", ["tls-certificate", "tls-version"])
async def test_no_https(name: str) -> None:
    """Over http the checks of TLS are not judged, and say why; they do not pass."""
    async with listening(Webhook()) as base:
        found = await result(a_target(base), name)

    assert (found.verdict, found.text) == ("not judged", "the URL is not https")


@pytest.mark.parametrize(
    ("webhook", "missing", "bad"),
    [
        (wrong.Guarded, "passed", "passed"),
        (wrong.MissingIsFine, "failed", "passed"),
        (wrong.AnySecret, "passed", "failed"),
        (Webhook, "failed", "failed"),
    ],
)
async def test_credentials(webhook: type[Webhook], missing: str, bad: str) -> None:
    """Whoever lets in pushes without credentials, or with wrong ones, fails."""
    async with listening(webhook()) as base:
        target = a_target(base, verified=False, headers=WITH_SECRET)

        assert (await result(target, "credentials-missing")).verdict == missing
        assert (await result(target, "credentials-wrong")).verdict == bad


async def test_no_credentials() -> None:
    """Without credentials there is nothing to leave out: not judged."""
    async with listening(Webhook()) as base:
        found = await result(a_target(base), "credentials-missing")

    assert found.verdict == "not judged"
    assert "--header" in found.text


class Echoes(Webhook):
    """Answers 500 with all it was given."""

    seen = 0

    async def callback(self, request: web.Request) -> web.StreamResponse:
        self.seen += 1
        status = 500 if self.seen > 1 else 200
        return web.Response(status=status, text=f"{request.path_qs} {dict(request.headers)}")


async def test_secrets_are_never_shown() -> None:
    """A webhook that sends credentials back does not get them into a report."""
    pair = base64.b64encode(b"me:pass-word").decode()
    async with listening(Echoes()) as base:
        url = base.replace("://", "://me:pass-word@") + "/dlr?token=in-the-query"
        target = Target(url=url, headers={"X-Key": "in-the-header"}, plan=SMALL)
        found = await result(replace(target, seed=1), "json-v3")

    assert found.verdict == "failed"
    assert "***" in str(found)
    shown = str(found)
    assert [s for s in ("pass-word", pair, "in-the-query", "in-the-header") if s in shown] == []
