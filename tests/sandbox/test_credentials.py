"""Who may use the provider's API."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import AsyncIterator
from typing import Any

import pytest

from dispatcher.settings.sandbox import CredentialSettings, Scheme, Scope
from receiver.settings.configuration import ConfigurationError, Secret
from receiver.settings.reader import read_table
from tests.sandbox.sending import Sending, a_text, a_v3, sending

OPEN = "/sms/2/text/advanced"
QUERY = "/sms/1/text/query?to=41793026727&text=Hi"


def basic(text: str) -> str:
    return "Basic " + b64encode(text.encode()).decode()


def a_credential(
    scheme: Scheme, secret: str, username: str | None = None, scopes: tuple[Scope, ...] = ()
) -> CredentialSettings:
    return CredentialSettings("c", Secret(secret), scheme, username, scopes)


async def status(provider: Sending, authorization: str | None, path: str = OPEN) -> int:
    headers = {} if authorization is None else {"Authorization": authorization}
    body = {"messages": [a_v3() if path.startswith("/sms/3") else a_text()], "text": "Hi"}
    method = "GET" if "query" in path else "POST"
    async with provider.client.request(method, path, headers=headers, json=body) as answer:
        return answer.status


@pytest.fixture
async def anyone() -> AsyncIterator[Sending]:
    async with sending() as served:
        yield served


@pytest.fixture
async def guarded() -> AsyncIterator[Sending]:
    async with sending(
        a_credential("App", "key"),
        a_credential("Basic", "open sesame", "Aladdin"),
        a_credential("Bearer", "token"),
        a_credential("IBSSO", "session"),
    ) as served:
        yield served


GOOD = ["App key", "app key", basic("Aladdin:open sesame"), "Bearer token", "IBSSO session"]
MALFORMED: list[str | None] = [
    None,
    "",
    "App",
    "App ",
    "key",
    "Digest key",
    "Basic",
    "Basic !!!",
    "Basic " + b64encode(b"nobody").decode(),
]


@pytest.mark.parametrize("authorization", GOOD)
async def test_well_formed_ones_pass(anyone: Sending, guarded: Sending, authorization: str) -> None:
    """Without settings whatever is well formed passes; with settings what they have."""
    assert await status(anyone, authorization) == 200
    assert await status(guarded, authorization) == 200


@pytest.mark.parametrize("authorization", MALFORMED)
async def test_missing_and_malformed_ones(
    anyone: Sending, guarded: Sending, authorization: str | None
) -> None:
    """A missing header, an unknown scheme and a broken value are 401 in any case."""
    assert await status(anyone, authorization) == 401
    assert await status(guarded, authorization) == 401


@pytest.mark.parametrize(
    "authorization",
    ["App token", "App ke", "App keyy", "Bearer key", basic("Aladdin:x"), basic("x:open sesame")],
)
async def test_wrong_ones(anyone: Sending, guarded: Sending, authorization: str) -> None:
    """With settings a secret counts with its own scheme only."""
    assert await status(anyone, authorization) == 200
    assert await status(guarded, authorization) == 401


@pytest.mark.parametrize(
    "path", [QUERY, QUERY.replace("/1/", "/3/"), "/sms/3/text/query.xml?to=1&text=x"]
)
async def test_in_the_query(anyone: Sending, guarded: Sending, path: str) -> None:
    """The text queries take username and password in the query."""
    good = f"{path}&username=Aladdin&password=open%20sesame"
    assert await status(anyone, None, good) == 200
    assert await status(guarded, None, good) == 200
    assert await status(guarded, None, f"{path}&username=Aladdin&password=x") == 401
    assert await status(anyone, None, f"{path}&username=Aladdin") == 401
    assert await status(anyone, None, path) == 401


async def test_query_credentials_elsewhere(anyone: Sending) -> None:
    """No other route takes credentials in the query."""
    assert await status(anyone, None, f"{OPEN}?username=a&password=b") == 401


async def test_a_path_without_a_route(anyone: Sending) -> None:
    """Who may not come in is not told what there is."""
    assert await status(anyone, None, "/sms/7/nothing") == 401
    assert await status(anyone, "App k", "/sms/7/nothing") == 404


async def test_a_path_that_is_not_the_providers(anyone: Sending) -> None:
    """The other paths of this process have their own rules and their own errors."""
    async with anyone.client.get("/elsewhere") as answer:
        assert answer.status == 404
        assert list(await answer.json()) == ["error"]


@pytest.mark.parametrize(
    ("scopes", "path", "expected"),
    [
        ((), OPEN, 200),
        (("message:send",), OPEN, 200),
        (("sms:message:send",), "/sms/3/messages", 200),
        (("sms:manage",), OPEN, 200),
        (("sms:logs:read",), OPEN, 403),
        (("sms:logs:read",), "/sms/3/messages", 403),
        (("sms:logs:read", "sms:manage"), "/sms/1/preview", 200),
        (("message:send",), "/sms/1/preview", 403),
        (("message:send",), "/sms/3/logs", 403),
        (("sms:logs:read",), "/sms/3/logs", 404),
        (("message:send",), "/ct/1/log/end/1", 403),
        (("sms:message:send",), "/sms/1/bulks", 403),
    ],
)
async def test_scopes(scopes: tuple[Scope, ...], path: str, expected: int) -> None:
    """A credential with scopes may only do what the provider lists for them.

    404 is of a route that is not mounted here: it was let in.
    """
    async with sending(a_credential("App", "key", scopes=scopes)) as provider:
        assert await status(provider, "App key", path) == expected


async def test_the_error_bodies() -> None:
    """401 and 403 are told in the shape of the path's generation."""
    async with sending(a_credential("App", "key", scopes=("sms:logs:read",))) as provider:
        v2_401 = await provider.post(OPEN, {}, Authorization="App x")
        v2_403 = await provider.post(OPEN, {}, Authorization="App key")
        v3_401 = await provider.post("/sms/3/messages", {}, Authorization="App x")
        v3_403 = await provider.post("/sms/3/messages", {}, Authorization="App key")

    def v2(code: str, text: str) -> dict[str, Any]:
        return {"requestError": {"serviceException": {"messageId": code, "text": text}}}

    assert v2_401 == (401, v2("UNAUTHORIZED", "Unauthorized"))
    assert v2_403 == (403, v2("FORBIDDEN", "Forbidden"))
    assert (v3_401[1]["errorCode"], v3_403[1]["errorCode"]) == ("E401", "E403")
    assert v3_401[1]["resources"][0]["name"] == "API Authentication"
    assert v3_403[1]["resources"][0]["name"] == "API Scopes"


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        (
            {"name": "a", "secret": "x", "scheme": "Basic"},
            "username: is required with scheme Basic, and allowed only there",
        ),
        (
            {"name": "a", "secret": "x", "username": "u"},
            "username: is required with scheme Basic, and allowed only there",
        ),
        (
            {"name": "a", "secret": "x", "scheme": "Basic", "username": "a:b"},
            "username: expected a name without a colon",
        ),
    ],
)
def test_settings_that_contradict(table: dict[str, Any], fault: str) -> None:
    """A user name belongs to Basic, and to nothing else."""
    with pytest.raises(ConfigurationError) as refused:
        read_table(CredentialSettings, table)
    assert refused.value.faults == (fault,)
