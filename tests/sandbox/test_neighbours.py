"""What apps call beside the documented routes of SMS: older ones, the account, tokens; and what
they are told of everything that is not played."""

from __future__ import annotations

import logging
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
import xmltodict

from tests.sandbox.playing import KEY, Played, playing

TOKEN = "/auth/1/oauth2/token"
ME = {"client_id": "me", "client_secret": "secret", "grant_type": "client_credentials"}
NO_KEY = {"Authorization": ""}

CREDENTIALS = """
    [[sandbox.credential]]
    name = "all"
    scheme = "Basic"
    username = "me"
    secret = "secret"

    [[sandbox.credential]]
    name = "reader"
    scheme = "Basic"
    username = "reader"
    secret = "secret"
    scopes = ["sms:logs:read"]
"""


async def a_token(sandbox: Played, **form: str) -> tuple[int, Any]:
    return await sandbox.ask("POST", TOKEN, data={**ME, **form}, headers=NO_KEY)


async def status_with(sandbox: Played, token: str, path: str = "/sms/1/reports") -> int:
    headers = {"Authorization": f"Bearer {token}"}
    return (await sandbox.ask("GET", path, headers=headers))[0]


# --- /sms/2/…/single -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("/sms/2/text/single", {"text": "hello"}),
        ("/sms/2/binary/single", {"binary": {"hex": "68 65", "dataCoding": 0, "esmClass": 0}}),
    ],
)
async def test_single_messages_of_v2(tmp_path: Path, path: str, content: dict[str, Any]) -> None:
    """The single routes of v2 take what those of v1 take. Like the others of v2 they answer without
    a count, and without a bulkId for one number alone."""
    async with playing(tmp_path) as sandbox:
        one = {"from": "InfoSMS", "to": "41790000001", **content}
        status, answer = await sandbox.ask("POST", path, json=one)
        two = {**one, "to": ["41790000002", "41790000003"]}
        _, several = await sandbox.ask("POST", path, json=two)

        (message,) = answer["messages"]
        assert (status, answer.keys()) == (200, {"messages"})
        assert message.keys() == {"to", "status", "messageId"}
        assert message["status"]["name"] == "PENDING_ACCEPTED"
        assert [each["to"] for each in several["messages"]] == two["to"]
        assert several["bulkId"]
        assert [each["api"] for each in await sandbox.messages()] == ["v2"] * 3
        status, fields = await sandbox.ask("POST", path, json={"to": "41790000001"})
        assert status == 400
        assert "requestError" in fields


# --- the account ---------------------------------------------------------------------------------


async def test_the_balance(tmp_path: Path) -> None:
    """The balance is told in the currency of the settings, in JSON and XML, to whoever has a
    key."""
    async with playing(tmp_path, '[sandbox]\ncurrency = "CHF"\n') as sandbox:
        assert await sandbox.get("/account/1/balance") == {"balance": 1000, "currency": "CHF"}
        xml = {"Accept": "application/xml"}
        async with sandbox.client.get("/account/1/balance", headers=xml) as response:
            assert xmltodict.parse(await response.read()) == {
                "AccountBalance": {"balance": "1000", "currency": "CHF"}
            }
        status, fields = await sandbox.ask("GET", "/account/1/balance", headers=NO_KEY)
        assert status == 401
        assert fields["requestError"]["serviceException"]["messageId"] == "UNAUTHORIZED"
        status, fields = await sandbox.ask("POST", "/account/1/balance")
        assert (status, "requestError" in fields) == (405, True)


async def test_the_balance_tells_a_wrong_key(tmp_path: Path) -> None:
    """Where keys are named, others get 401, and one without the scope 403."""
    text = "".join(
        f'[[sandbox.credential]]\nname = "{name}"\nsecret = "{name}"\nscopes = [{scopes}]\n'
        for name, scopes in (
            ("all", ""),
            ("account", '"account-management:manage"'),
            ("sender", '"message:send"'),
        )
    )
    async with playing(tmp_path, text) as sandbox:
        statuses = {}
        for name in ("all", "account", "sender", "wrong"):
            headers = {"Authorization": f"App {name}"}
            statuses[name], _ = await sandbox.ask("GET", "/account/1/balance", headers=headers)

        assert statuses == {"all": 200, "account": 200, "sender": 403, "wrong": 401}


# --- tokens --------------------------------------------------------------------------------------


async def test_a_token_works(tmp_path: Path) -> None:
    """A token is given for a user name and a password, without any other credentials, and lets its
    app in."""
    async with playing(tmp_path, CREDENTIALS) as sandbox:
        status, fields = await a_token(sandbox)

        assert (status, fields["token_type"], fields["expires_in"]) == (200, "Bearer", 3600)
        assert await status_with(sandbox, fields["access_token"]) == 200
        assert await status_with(sandbox, f"{fields['access_token']}x") == 401
        assert await status_with(sandbox, "other") == 401


async def test_a_token_has_the_scopes_of_its_user(tmp_path: Path) -> None:
    """It may do what its user may do."""
    async with playing(tmp_path, CREDENTIALS) as sandbox:
        _, fields = await a_token(sandbox, client_id="reader")

        assert await status_with(sandbox, fields["access_token"], "/sms/1/logs") == 200
        assert await status_with(sandbox, fields["access_token"]) == 403


@pytest.mark.parametrize("text", ["", CREDENTIALS])
async def test_a_token_expires(tmp_path: Path, text: str) -> None:
    """After an hour of the sandbox's clock it is refused, also where any other would do: so an app
    is seen to get a new one."""
    async with playing(tmp_path, text) as sandbox:
        _, fields = await a_token(sandbox)
        await sandbox.advance("59m")
        early = await status_with(sandbox, fields["access_token"])
        await sandbox.advance("1m")

        assert (early, await status_with(sandbox, fields["access_token"])) == (200, 401)
        _, again = await a_token(sandbox)
        assert again["access_token"] != fields["access_token"]
        assert await status_with(sandbox, again["access_token"]) == 200
        assert await status_with(sandbox, "other") == (401 if text else 200)


async def test_a_token_by_query(tmp_path: Path) -> None:
    """The official Node client puts the parameters into the query, and an object into the body."""
    async with playing(tmp_path, CREDENTIALS) as sandbox:
        form = {"Content-Type": "application/x-www-form-urlencoded", **NO_KEY}
        status, fields = await sandbox.ask("POST", TOKEN, params=ME, data=b"{}", headers=form)

        assert status == 200
        assert await status_with(sandbox, fields["access_token"]) == 200


@pytest.mark.parametrize(
    ("form", "status", "error"),
    [
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        ({"client_id": "nobody"}, 401, "invalid_client"),
        ({"client_secret": ""}, 400, "invalid_request"),
        ({"grant_type": ""}, 400, "invalid_request"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
    ],
)
async def test_no_token(tmp_path: Path, form: dict[str, str], status: int, error: str) -> None:
    """What is wrong is told as the provider tells it, and in the words of OAuth's clients."""
    async with playing(tmp_path, CREDENTIALS) as sandbox:
        told, fields = await a_token(sandbox, **form)

        assert (told, fields["error"]) == (status, error)
        code = {400: "BAD_REQUEST", 401: "UNAUTHORIZED"}[status]
        assert fields["requestError"]["serviceException"]["messageId"] == code


async def test_bodies_that_are_no_form(tmp_path: Path) -> None:
    """They lack every parameter."""
    async with playing(tmp_path) as sandbox:
        for body in (b"", b"\xff\xff", b"{}", b"&" * 1000, b"a=1&" * 1000):
            status, fields = await sandbox.ask("POST", TOKEN, data=body, headers=NO_KEY)
            assert (status, fields["error"]) == (400, "invalid_request")
            named = fields["requestError"]["serviceException"]["validationErrors"]
            assert list(named) == ["client_id", "client_secret", "grant_type"]


# --- what is not played --------------------------------------------------------------------------


NOT_PLAYED = [
    ("POST", "/2fa/2/applications"),
    ("POST", "/2fa/2/pin/123/verify"),
    ("POST", "/whatsapp/1/message/text"),
    ("POST", "/omni/1/advanced"),
    ("POST", "/email/3/send"),
    ("GET", "/number/1/query"),
    ("GET", "/numbers/1/numbers"),
    ("POST", "/subscriptions/1/subscription/SMS"),
    ("GET", "/people/2/persons"),
    ("POST", "/messages-api/1/messages"),
    ("POST", "/mi/number-intelligence/1/query"),
    ("GET", "/voice/ivr/1/scenarios"),
    ("GET", "/account/1/total-balance"),
    ("POST", "/auth/1/session"),
    ("GET", "/sms/3/nothing"),
    ("DELETE", "/sms/1/nothing"),
    ("POST", "/ct/1/nothing"),
    ("POST", "/1/smsmessaging/outbound/InfoSMS/requests"),
]


@pytest.mark.parametrize(("method", "path"), NOT_PLAYED)
async def test_what_is_not_played(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, method: str, path: str
) -> None:
    """Everything else of the provider is 404 in its shape, with a text and a log line that say what
    the sandbox does not play."""
    async with playing(tmp_path) as sandbox:
        with caplog.at_level(logging.WARNING, "dlr.sandbox"):
            status, fields = await sandbox.ask(method, f"{path}?password=secret")

    said = (
        f"Not found: the sandbox does not provide {method} {path}."
        " It provides the SMS API and delivery reports."
    )
    assert status == 404
    if path.startswith("/sms/3/"):
        assert (fields["errorCode"], fields["description"]) == ("E404", said)
    else:
        exception = fields["requestError"]["serviceException"]
        assert exception == {"messageId": "NOT_FOUND", "text": said}
    (line,) = (each for each in caplog.records if each.name == "dlr.sandbox")
    assert line.getMessage() == "the sandbox does not support this request"
    assert line.__dict__["facts"] == {"method": method, "path": path}


async def test_what_is_not_played_in_xml(tmp_path: Path) -> None:
    """It is told in XML to whoever asks for XML."""
    async with playing(tmp_path) as sandbox:
        xml = {"Accept": "application/xml"}
        async with sandbox.client.get("/people/2/persons", headers=xml) as response:
            told = xmltodict.parse(await response.read())["ApiException"]

        assert told["requestError"]["serviceException"]["messageId"] == "NOT_FOUND"


async def test_keys_go_before(tmp_path: Path) -> None:
    """Whoever has no key is not told what there is; any scope will do to be told."""
    text = '[[sandbox.credential]]\nname = "k"\nsecret = "key"\nscopes = ["message:send"]\n'
    async with playing(tmp_path, text) as sandbox:
        path = "/whatsapp/1/message/text"
        assert (await sandbox.ask("POST", path, headers=NO_KEY))[0] == 401
        assert (await sandbox.ask("POST", path, headers={"Authorization": "App no"}))[0] == 401
        assert (await sandbox.ask("POST", path, headers=KEY))[0] == 404


@pytest.mark.parametrize(
    "path",
    ["/elsewhere", "/api/1/nothing", "/notify/1/nothing", "/sandbox/1/nothing", "/messages/1"],
)
async def test_our_own_paths_stay_ours(tmp_path: Path, path: str) -> None:
    """A path of ours that there is not is told in our shape, and asks for no key."""
    async with playing(tmp_path) as sandbox:
        status, fields = await sandbox.ask("GET", path, headers=NO_KEY)

        assert (status, fields["error"]["code"]) == (404, "not_found")


async def test_basic_credentials_go_on(tmp_path: Path) -> None:
    """A user name and a password that get a token are credentials by themselves, too."""
    async with playing(tmp_path, CREDENTIALS) as sandbox:
        basic = {"Authorization": "Basic " + b64encode(b"me:secret").decode()}
        assert (await sandbox.ask("GET", "/sms/1/reports", headers=basic))[0] == 200
