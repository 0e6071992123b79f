"""The pushes of a run prove who sends them as the dispatcher's do: HMAC, Standard Webhooks, OAuth,
and TLS as the endpoint's settings have it."""

# ruff: noqa: ARG002 – a hook is handed what it may not need

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from pathlib import Path

import pytest
import trustme
from aiohttp import web
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from dispatcher.rehearsal import CHECKS, select
from dispatcher.security.signing import Hmac, OAuth, Security, StandardWebhooks
from receiver.hmac_signature import HmacScheme
from tests.data.webhooks.right_aiohttp import Webhook
from tests.end_to_end.processes import dlr
from tests.rehearsal.served import a_target, listening, results, verdicts
from tests.rehearsal.test_security_checks import a_context

KEY = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
STANDARD = StandardWebhooks(secret_key=KEY)
PLAIN_HMAC = Hmac(secret_key="a-secret-of-hmac", scheme=HmacScheme(header="X-Signature"))
SIGNED = [check.name for check in CHECKS if check.name.startswith(("credentials-", "signature-"))]


class Verifies(Webhook):
    """Verifies what Standard Webhooks signs, with the specification's own library."""

    async def body(self, request: web.Request) -> bytes:
        body = await super().body(request)
        self.verify(body, dict(request.headers))
        return body

    def verify(self, body: bytes, headers: dict[str, str]) -> None:
        try:
            Verifier(KEY).verify(body, headers)
        except (WebhookVerificationError, ValueError):
            raise web.HTTPUnauthorized from None


class VerifiesHmac(Verifies):
    """Verifies the HMAC of the body."""

    def verify(self, body: bytes, headers: dict[str, str]) -> None:
        wanted = hmac.new(b"a-secret-of-hmac", body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(wanted, headers.get("X-Signature", "")):
            raise web.HTTPUnauthorized


class AsksForAHeader(Verifies):
    """Looks whether there is a signature, and not which."""

    def verify(self, body: bytes, headers: dict[str, str]) -> None:
        if "webhook-signature" not in {name.lower() for name in headers}:
            raise web.HTTPUnauthorized


class SignsTheStart(Verifies):
    """Verifies the signature of a body that its framework has trimmed."""

    def verify(self, body: bytes, headers: dict[str, str]) -> None:
        given = {name.lower(): value for name, value in headers.items()}
        stamp = given.get("webhook-timestamp", "0")
        for tail in (b"", b"\n"):
            try:
                Verifier(KEY).verify(body + tail, headers)
            except (WebhookVerificationError, ValueError):
                continue
            return
        assert int(stamp) <= time.time()
        raise web.HTTPUnauthorized


class AnyTime(Verifies):
    """Verifies a signature, and not when it was made."""

    def verify(self, body: bytes, headers: dict[str, str]) -> None:
        given = {name.lower(): value for name, value in headers.items()}
        text = f"{given.get('webhook-id')}.{given.get('webhook-timestamp')}.".encode() + body
        key = base64.b64decode(KEY.removeprefix("whsec_"))
        digest = hmac.new(key, text, hashlib.sha256).digest()
        wanted = "v1," + base64.b64encode(digest).decode()
        if given.get("webhook-signature") != wanted:
            raise web.HTTPUnauthorized


ALL_PASS = dict.fromkeys(SIGNED, "passed")


@pytest.mark.parametrize(
    ("webhook", "security", "wrong"),
    [
        (Verifies, STANDARD, {}),
        (VerifiesHmac, PLAIN_HMAC, {"signature-old": "not judged"}),
        (
            AsksForAHeader,
            STANDARD,
            {
                "credentials-wrong": "failed",
                "signature-other-body": "failed",
                "signature-old": "weak",
            },
        ),
        (SignsTheStart, STANDARD, {"signature-other-body": "failed"}),
        (AnyTime, STANDARD, {"signature-old": "weak"}),
    ],
)
async def test_signatures(
    webhook: type[Webhook], security: Security, wrong: dict[str, str]
) -> None:
    """Signed pushes are taken; missing, wrong, borrowed and old signatures must be refused."""
    async with listening(webhook()) as base:
        target = a_target(base, verified=False, security=security)
        found = await results(target, select([*SIGNED, "json-v3", "cut-in-body", "chunked"]))

    told = verdicts(found, "answered only")
    assert told == wrong, [str(each) for each in found]
    assert "a-secret-of-hmac" not in str(found)


class WantsAToken(Webhook):
    """Gives tokens at /token, and takes pushes with one of them."""

    def __init__(self) -> None:
        super().__init__()
        self.given: set[str] = set()

    def app(self) -> web.Application:
        app = super().app()
        app.router.add_post("/token", self.token)
        return app

    async def token(self, request: web.Request) -> web.Response:
        if not request.headers.get("Authorization", "").startswith("Basic "):
            raise web.HTTPUnauthorized
        self.given.add(f"token-{len(self.given)}")
        return web.json_response({"access_token": max(self.given), "expires_in": 3600})

    def refused(self, request: web.Request) -> web.Response | None:
        if request.headers.get("Authorization", "").removeprefix("Bearer ") not in self.given:
            return web.Response(status=401)
        return super().refused(request)


async def test_oauth() -> None:
    """A run has one token, as the dispatcher has, and shows it nowhere."""
    webhook = WantsAToken()
    async with listening(webhook) as base:
        security = OAuth(token_url=f"{base}/token", client_id="me", client_secret="the-secret")
        target = a_target(base, verified=False, security=security)
        found = await results(target, select(["json-v3", *SIGNED]))

    assert verdicts(found, "not judged") == {}
    assert len(webhook.given) == 1
    assert "token-0" not in str(found)


async def test_the_endpoint_of_the_settings(tmp_path: Path) -> None:
    """`--endpoint` pushes to the URL of an endpoint of the settings, signed and over TLS as there;
    a URL beside it goes before its own."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    certificate = authority.issue_cert("127.0.0.1")
    async with listening(Verifies(), a_context(certificate)) as base:
        (tmp_path / "dlr.toml").write_text(
            f"""
[[endpoint]]
name = "shop"
url = "{base}/dlr"
security = {{ type = "standard-webhooks", secret_key = "{KEY}" }}
tls = {{ ca_file = "{tmp_path / "ca.pem"}" }}

[[endpoint]]
name = "elsewhere"
url = "https://app.example/dlr"
"""
        )
        words = ("--only", "json-v2,signature-other-body,chunked")
        whole = await dlr(tmp_path, "rehearse", "--endpoint", "shop", *words)
        other = await dlr(tmp_path, "rehearse", base + "/dlr", "--endpoint", "elsewhere", *words)
        nobody = await dlr(tmp_path, "rehearse", "--endpoint", "nobody", *words)

    assert whole.code == 0, whole.out
    assert whole.out.count("passed  ") >= 3
    assert other.code == 1, "its authority is not trusted by that endpoint"
    assert (nobody.code, nobody.err) == (
        2,
        'dlr: --endpoint: there is no endpoint of the settings "nobody". There are: shop,'
        " elsewhere.\n",
    )
