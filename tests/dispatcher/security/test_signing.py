"""How a push proves who sends it: headers, settings, and the verdict of the receiving side."""

from __future__ import annotations

import base64
import re
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web
from msgspec import json
from pytest_aiohttp.plugin import AiohttpServer
from standardwebhooks import Webhook, WebhookVerificationError

from dispatcher.clocks.clock import CompressedClock, VirtualClock, wall_time
from dispatcher.endpoints.from_settings import endpoint_of
from dispatcher.pushing.http_sender import HttpSender
from dispatcher.security.signing import (
    Basic,
    HeaderSecret,
    Hmac,
    OAuth,
    Security,
    StandardWebhooks,
    overruled,
    proof,
)
from dispatcher.service import time_of_others
from dispatcher.settings.security import SecuritySettings
from dispatcher.settings.settings import read_settings
from receiver.hmac_signature import HmacScheme, verify
from receiver.settings.configuration import ConfigurationError
from receiver.settings.writing import effective
from tests.dispatcher.clocks.test_clock import HOUR, MONTH, Machine
from tests.dispatcher.support import START, a_push, an_endpoint

BODY = b'{"results":[{"messageId":"1","text":"\xc3\xa9"}]}'
NEW = "whsec_" + base64.b64encode(b"n" * 24).decode()
OLD = "whsec_" + base64.b64encode(b"o" * 24).decode()
STRANGER = "whsec_" + base64.b64encode(b"s" * 24).decode()
ACME = '[[endpoint]]\nname = "acme"\nurl = "https://acme.example/reports"\n'
SECURITY = ACME + "[endpoint.security]\n"


def security(tmp_path: Path, text: str) -> Security | None:
    """What the dispatcher makes of the lines of [endpoint.security]."""
    file = tmp_path / "dlr.toml"
    file.write_text(SECURITY + text)
    return endpoint_of(read_settings(file, {}).endpoint[0]).security


def faults(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        security(tmp_path, text)
    start = f"{tmp_path / 'dlr.toml'}: endpoint[0].security."
    return [each.removeprefix(start) for each in caught.value.faults]


# Headers


@pytest.mark.parametrize(
    ("security", "headers"),
    [
        (None, {}),
        (
            Basic(username="Aladdin", password="open sesame"),
            {"Authorization": "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="},  # RFC 7617
        ),
        (
            Basic(username="test", password="123£"),
            {"Authorization": "Basic dGVzdDoxMjPCow=="},  # RFC 7617, UTF-8
        ),
        (HeaderSecret(header="X-Api-Key", value="s3cret"), {"X-Api-Key": "s3cret"}),
    ],
)
def test_fixed_proofs(security: Security | None, headers: dict[str, str]) -> None:
    """User and password, and a header's secret, are the same on every push."""
    assert proof(security, BODY, "db-7", START) == headers


def test_bearer_token() -> None:
    """OAuth shows the token that was fetched."""
    oauth = OAuth(token_url="https://idp.example/", client_id="me", client_secret="s")

    assert proof(oauth, BODY, "db-7", START, "tok") == {"Authorization": "Bearer tok"}


def test_hmac_of_the_body() -> None:
    """By default the HMAC is one header, of the body alone."""
    headers = proof(Hmac(secret_key="Jefe"), b"what do ya want for nothing?", "db-7", START)

    assert headers == {
        "X-Infobip-Signature": "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    }


def test_our_receiver_accepts_our_hmac() -> None:
    """What is signed here with a timestamp, the receiving side takes, in time and not later."""
    scheme = HmacScheme(
        header="X-Signature",
        algorithm="HMAC_SHA_512",
        encoding="base64",
        prefix="v1=",
        timestamp_header="X-Time",
        signed="timestamp.body",
    )
    headers = proof(Hmac(secret_key="k", scheme=scheme), BODY, "db-7", START)

    given, time = headers["X-Signature"], headers["X-Time"]
    assert time == str(int(START.timestamp()))
    assert verify(scheme, [b"k"], BODY, given, time, START)
    assert not verify(scheme, [b"k"], BODY, given, time, START + timedelta(hours=1))


def test_the_standard_library_of_webhooks_accepts_our_signature() -> None:
    """The specification's own verifier takes the push, with the old key and with the new one."""
    now = datetime.now(UTC)  # the verifier reads the clock
    both = StandardWebhooks(secret_key=NEW, old_secret_key=OLD)
    headers = proof(both, BODY, "db-7", now)

    for key in (NEW, OLD):
        assert Webhook(key).verify(BODY, headers) == json.decode(BODY)
    with pytest.raises(WebhookVerificationError):
        Webhook(STRANGER).verify(BODY, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(NEW).verify(BODY + b" ", headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(NEW).verify(BODY, {**headers, "webhook-id": "db-8"})


def test_the_specifications_example() -> None:
    """The id is the dispatch's name, the timestamp is seconds, and two signatures stand apart by a
    space."""
    headers = proof(StandardWebhooks(secret_key=NEW, old_secret_key=OLD), BODY, "db-7", START)

    assert headers["webhook-id"] == "db-7"
    assert headers["webhook-timestamp"] == str(int(START.timestamp()))
    assert re.fullmatch(
        r"v1,[A-Za-z0-9+/]{43}= v1,[A-Za-z0-9+/]{43}=", headers["webhook-signature"]
    )


def test_a_fixed_header_loses_whatever_its_case() -> None:
    """The provider's rule: a fixed Authorization loses against the security setting."""
    fixed = {"authorization": "App 1", "X-Other": "stays"}

    assert overruled(fixed, {"Authorization": "Basic eA=="}) == {
        "X-Other": "stays",
        "Authorization": "Basic eA==",
    }


def test_secrets_are_not_in_a_repr() -> None:
    """An endpoint that is printed for whatever reason shows no secret of its security."""
    endpoint = an_endpoint(security=Basic(username="me", password="hush"))

    assert "hush" not in repr(endpoint)
    assert "security=Basic(…)" in repr(endpoint)


async def test_a_signed_push_arrives(aiohttp_server: AiohttpServer) -> None:
    """On the wire: signature and the id of the attempt belong together, and a retry is signed anew
    with the same id."""
    seen: list[dict[str, str]] = []

    async def take(request: web.Request) -> web.Response:
        Webhook(NEW).verify(await request.read(), dict(request.headers))
        seen.append({name.lower(): value for name, value in request.headers.items()})
        return web.Response()

    app = web.Application()
    app.router.add_post("/dlr", take)
    server = await aiohttp_server(app)
    endpoint = an_endpoint(security=StandardWebhooks(secret_key=NEW))
    times = iter([datetime.now(UTC), datetime.now(UTC) + timedelta(seconds=60)])

    async with HttpSender(now=lambda: next(times)) as sender:
        for made in (0, 1):
            push = a_push(str(server.make_url("/dlr")), attempts_made=made)
            assert (await sender.send(push, endpoint)).status == 200

    assert [each["dlr-attempt"] for each in seen] == ["1", "2"]
    assert len({each["webhook-id"] for each in seen}) == 1
    assert len({each["webhook-signature"] for each in seen}) == 2


async def test_security_wins_on_the_wire(aiohttp_server: AiohttpServer) -> None:
    """Exactly one Authorization goes out, that of the security setting."""
    seen: list[list[str]] = []

    async def take(request: web.Request) -> web.Response:
        seen.append(request.headers.getall("Authorization"))
        return web.Response()

    app = web.Application()
    app.router.add_post("/dlr", take)
    server = await aiohttp_server(app)
    endpoint = an_endpoint(
        headers={"authorization": "App 1"}, security=Basic(username="u", password="p")
    )

    async with HttpSender() as sender:
        await sender.send(a_push(str(server.make_url("/dlr"))), endpoint)

    assert seen == [["Basic dTpw"]]


def test_signatures_live_in_the_worlds_time() -> None:
    """A compressed clock would make a signature too old for the customer within seconds, so pushes
    are signed in the world's time; any other clock is as good as the world's. The system's clock
    goes by the wall clock, unless that is off by days and not believed yet."""
    virtual, machine = VirtualClock(START), Machine()

    assert time_of_others(CompressedClock(3600.0)) is wall_time
    assert time_of_others(virtual)() == START
    others = time_of_others(machine.clock())
    machine.set_clock(HOUR)
    assert others() == machine.wall
    machine.set_clock(MONTH)
    assert others() == START


# Settings


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ('type = "none"', None),
        (
            'type = "basic"\nusername = "me"\npassword = "pw"',
            Basic(username="me", password="pw"),
        ),
        (
            'type = "header"\nheader = "X-Key"\nvalue = "App 1"',
            HeaderSecret(header="X-Key", value="App 1"),
        ),
        ('type = "hmac"\nsecret_key = "k"', Hmac(secret_key="k")),
        (
            'type = "hmac"\nsecret_key = "k"\nheader = "X-Hub-Signature-256"\n'
            'algorithm = "HMAC_SHA_1"\nencoding = "base64"\nprefix = "sha1="\n'
            'timestamp_header = "X-Time"\nsigned = "timestamp.body"',
            Hmac(
                secret_key="k",
                scheme=HmacScheme(
                    header="X-Hub-Signature-256",
                    algorithm="HMAC_SHA_1",
                    encoding="base64",
                    prefix="sha1=",
                    timestamp_header="X-Time",
                    signed="timestamp.body",
                ),
            ),
        ),
        (
            f'type = "standard-webhooks"\nsecret_key = "{NEW}"\nold_secret_key = "{OLD}"',
            StandardWebhooks(secret_key=NEW, old_secret_key=OLD),
        ),
        (
            'type = "oauth"\ntoken_url = "https://idp.example/t"\nclient_id = "me"\n'
            'client_secret = "s"\nscope = "a b"\nclient_authentication = "body"',
            OAuth(
                token_url="https://idp.example/t",
                client_id="me",
                client_secret="s",
                scope="a b",
                client_authentication="body",
            ),
        ),
    ],
)
def test_settings(tmp_path: Path, text: str, expected: Security | None) -> None:
    """Each type is read from the file with its own settings."""
    assert security(tmp_path, text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            'type = "digest"',
            [
                'type: expected "none", "basic", "header", "hmac", "standard-webhooks" or "oauth", '
                'got "digest"'
            ],
        ),
        (
            'type = "basic"\nsecret_key = "k"',
            [
                'username: expected a text, because type = "basic" needs it, got nothing',
                'password: expected a text, because type = "basic" needs it, got nothing',
                'secret_key: does not belong to type = "basic"',
            ],
        ),
        ('password = "x"', ['password: does not belong to type = "none"']),
        (
            'type = "basic"\nusername = "a:b"\npassword = "p"',
            ["username: expected a name without a colon, got a text of 3 characters"],
        ),
        (
            'type = "hmac"\nsecret_key = "k"\nsigned = "timestamp.body"',
            ["signed: expected a timestamp_header whose value is signed, got none"],
        ),
        (
            'type = "hmac"\nsecret_key = "k"\ntimestamp_header = "x-infobip-signature"',
            ["timestamp_header: expected a header other than that of the signature"],
        ),
        (
            'type = "header"\nheader = "content-length"\nvalue = "k"',
            ["header: cannot be set, because it depends on the body"],
        ),
        (
            'type = "standard-webhooks"\nsecret_key = "hunter2"',
            [
                "secret_key: expected whsec_ and 24 to 64 bytes in base64, "
                "got a text of 7 characters"
            ],
        ),
        (
            'type = "oauth"\ntoken_url = "https://me:pw@idp.example/"\nclient_id = "a"\n'
            'client_secret = "b"',
            ["token_url: expected no user and password in it; they are client_id and _secret"],
        ),
        (
            'type = "basic"\nusername = "a"\npassword = 5',
            ["password: expected a text, got a value of another kind"],
        ),
    ],
)
def test_faults_of_settings(tmp_path: Path, text: str, expected: list[str]) -> None:
    """What a type needs, and what it does not take, is told; secrets are not shown."""
    assert faults(tmp_path, text) == expected


def test_a_secret_from_the_environment(tmp_path: Path) -> None:
    """A password need not stand in the file."""
    file = tmp_path / "dlr.toml"
    file.write_text(SECURITY + 'type = "basic"\nusername = "me"')

    settings = read_settings(file, {"DLR_ENDPOINT_ACME_SECURITY_PASSWORD": "hush"})

    assert endpoint_of(settings.endpoint[0]).security == Basic(username="me", password="hush")
    shown = [line for line in effective(settings) if "security" in line[0]]
    assert shown == [
        ("endpoint.acme.security.type", "basic"),
        ("endpoint.acme.security.username", "me"),
        ("endpoint.acme.security.password", "set"),
    ]


def test_credentials_of_the_url_lose_against_a_fixed_header(tmp_path: Path) -> None:
    """User and password of a URL are one Authorization, and a fixed one in any case takes its
    place."""
    file = tmp_path / "dlr.toml"
    file.write_text(
        '[[endpoint]]\nname = "acme"\nurl = "https://u:p@acme.example/"\n'
        'headers = { authorization = "App 1" }'
    )

    assert endpoint_of(read_settings(file, {}).endpoint[0]).headers == {"authorization": "App 1"}


def test_the_file_names_every_setting_of_security() -> None:
    """config/dlr.toml says of each setting of [endpoint.security] which type it belongs to."""
    text = (Path(__file__).parents[3] / "config" / "dlr.toml").read_text("utf-8")
    shown = text.partition("#[endpoint.security]")[2].partition("#[endpoint.tls]")[0]

    assert {each.name for each in fields(SecuritySettings)} == set(
        re.findall(r"([a-z_]+) = ", shown)
    )
