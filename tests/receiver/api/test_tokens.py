"""Who may use the API: tokens with scopes, and nobody else once there is one."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

import pytest

from receiver.api.sessions import Sessions
from receiver.api.tokens import ApiTokens
from receiver.settings.configuration import ConfigurationError, Secret
from receiver.settings.settings import ApiSettings, ServerSettings, TokenSettings, may_listen
from tests.receiver.served import Reply, get, post, raw, request, served

READ, OPERATE, HASHED = "r" * 16, "o" * 16, "h" * 16
TOKENS = f"""
[[api.token]]
name = "support"
secret = "{READ}"
[[api.token]]
name = "operator"
scope = "operate"
secret = "{OPERATE}"
[[api.token]]
name = "hashed"
sha256 = "{hashlib.sha256(HASHED.encode()).hexdigest().upper()}"
"""


def bearer(token: str) -> tuple[str, str]:
    return "Authorization", f"Bearer {token}"


async def call(url: str, method: str, path: str, *headers: tuple[str, str]) -> Reply:
    return await raw(url, request(b"", path=path, method=method, headers=headers))


async def test_without_tokens_the_api_is_open(tmp_path: Path) -> None:
    """As long as there is no token nobody is asked for one."""
    async with served(tmp_path) as running:
        assert (await get(running.url, "/api/reports")).status == 200


@pytest.mark.parametrize("token", [READ, OPERATE, HASHED])
async def test_a_token_opens_the_api(tmp_path: Path, token: str) -> None:
    """Any of the tokens may look, told by itself or by its digest."""
    async with served(tmp_path, TOKENS) as running:
        reply = await get(running.url, "/api/reports", bearer(token))
        assert (reply.status, reply.json["reports"]) == (200, [])


@pytest.mark.parametrize(
    "header",
    [
        ("X-Nothing", "x"),
        ("Authorization", ""),
        ("Authorization", "Bearer"),
        ("Authorization", "Bearer "),
        bearer(READ[:-1]),
        bearer(READ + "r"),
        bearer(READ.upper()),
        bearer("\udcff"),
        bearer(hashlib.sha256(HASHED.encode()).hexdigest()),
        ("Authorization", f"App {READ}"),
        ("Authorization", READ),
        ("Cookie", f"token={READ}"),
    ],
)
async def test_anything_else_is_401(tmp_path: Path, header: tuple[str, str]) -> None:
    """Without a valid token the API answers 401 in its own shape, with the scheme to use."""
    async with served(tmp_path, TOKENS) as running:
        reply = await get(running.url, "/api/reports", header)
    assert (reply.status, reply.code) == (401, "unauthorized")
    assert reply.headers["www-authenticate"] == 'Bearer realm="dlr"'


@pytest.mark.parametrize(
    "path",
    [
        "/api",
        "/api/",
        "/api/reports",
        "/api/reports/1",
        "/api/messages",
        "/api/quarantine/1/body",
        "/api/dispatches",
        "/api/endpoints",
        "/api/events",
        "/api/openapi.json",
        "/api/nothing-like-it",
        "/%61pi/reports",
        "/api%2Freports",
        "http://dlr/api/reports",
    ],
)
async def test_every_path_of_the_api_asks(tmp_path: Path, path: str) -> None:
    """However a path of the API is written, a stranger learns nothing."""
    async with served(tmp_path, TOKENS) as running:
        assert (await get(running.url, path)).status == 401


@pytest.mark.parametrize("path", ["//api/reports", "/API/reports", "/apis", "/x/../api/reports"])
async def test_other_paths_are_nothing(tmp_path: Path, path: str) -> None:
    """What only looks like the API is not there."""
    async with served(tmp_path, TOKENS) as running:
        assert (await get(running.url, path)).status == 404


async def test_a_reader_may_not_operate(tmp_path: Path) -> None:
    """What changes something takes the scope operate: 403 tells a reader so."""
    path = "/api/dispatches/none/cancel"
    async with served(tmp_path, TOKENS) as running:
        assert (await call(running.url, "POST", path)).status == 401
        for token in (READ, HASHED):
            reply = await call(running.url, "POST", path, bearer(token))
            assert (reply.status, reply.code) == (403, "forbidden")
        assert (await call(running.url, "POST", path, bearer(OPERATE))).status == 404


async def test_callbacks_and_health_have_their_own(tmp_path: Path) -> None:
    """Tokens of the API are not asked of callbacks and health checks."""
    async with served(tmp_path, TOKENS) as running:
        assert (await post(running.url)).status == 200
        assert (await get(running.url, "/healthz")).status == 200
        assert (await get(running.url, "/readyz")).status == 200


async def test_a_refusal_is_logged_without_the_token(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The log has who was refused and why, and no token."""
    async with served(tmp_path, TOKENS) as running:
        caplog.set_level(logging.DEBUG)
        await get(running.url, "/api/reports", bearer("gu3ss"))
    (record,) = [each for each in caplog.records if each.getMessage() == "API request refused"]
    facts = {"reason": "unknown", "method": "GET", "path": "/api/reports", "from": "127.0.0.1"}
    assert getattr(record, "facts", None) == facts
    assert "gu3ss" not in caplog.text


async def test_a_reader_who_tries_is_logged_by_name(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Whose token was not enough, and for what: without the query, which may hold a secret."""
    async with served(tmp_path, TOKENS) as running:
        caplog.set_level(logging.DEBUG)
        await call(running.url, "POST", "/api/dispatches/a%0Ab/cancel?key=s3cret", bearer(READ))
    (record,) = [each for each in caplog.records if each.getMessage() == "API request refused"]
    assert getattr(record, "facts", None) == {
        "reason": "scope",
        "method": "POST",
        "path": "/api/dispatches/a%0Ab/cancel",
        "from": "127.0.0.1",
        "token": "support",
    }


def test_the_larger_scope_of_two_counts() -> None:
    """A secret that two tokens share has the larger scope of both."""
    more = TokenSettings("a", "operate", Secret(READ))
    less = TokenSettings("b", "read", Secret(READ))
    for tokens in ((more, less), (less, more)):
        settings = ApiSettings(tokens)
        assert ApiTokens(settings, Sessions(settings)).token_of(f"bearer {READ}") is more


async def test_metrics_ask_for_a_token_too(tmp_path: Path) -> None:
    """Who may not see the reports sees no counts of them either, unless the settings say so."""
    async with served(tmp_path, TOKENS) as running:
        refused = await get(running.url, "/metrics")
        assert (refused.status, refused.code) == (401, "unauthorized")
        assert (await get(running.url, "/metrics", bearer(READ))).status == 200


async def test_metrics_can_be_opened(tmp_path: Path) -> None:
    """For a Prometheus that has no credentials: then /metrics asks for none, and the rest does."""
    async with served(tmp_path, f'[api]\nmetrics = "open"\n{TOKENS}') as running:
        assert (await get(running.url, "/metrics")).status == 200
        assert (await get(running.url, "/api/reports")).status == 401


def test_a_token_lets_it_listen_elsewhere() -> None:
    """With a token the server may listen to other machines; without one it takes words."""
    server = ServerSettings(bind="0.0.0.0")
    assert may_listen(server) is not None
    assert may_listen(server, ApiSettings((TokenSettings("a", secret=Secret(READ)),))) is None


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[[api.token]]\nname = 'a'", "api.token[0].secret: expected this or sha256, got neither"),
        ("[[api.token]]\nname = 'a'\nsecret = 'short'", "api.token[0].secret: expected at least"),
        ("[[api.token]]\nname = 'a'\nsecret = 'with a blank in it'", "api.token[0].secret"),
        ("[[api.token]]\nname = 'a'\nsha256 = 'abc'", "api.token[0].sha256: expected 64"),
        ("[[api.token]]\nname = 'a'\nscope = 'all'\nsecret = 'x'", "api.token[0].scope"),
        (TOKENS.replace("hashed", "support"), "api.token[2].name: expected a unique name, got"),
    ],
)
async def test_faults_of_settings(tmp_path: Path, text: str, fault: str) -> None:
    """What cannot be meant is told with its place, and no secret is."""
    with pytest.raises(ConfigurationError) as caught:
        async with served(tmp_path, text):
            pass
    assert fault in str(caught.value)
    assert "short" not in str(caught.value)
