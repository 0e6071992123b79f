"""What a test sees of its app: what was asked for, what was refused, and what was pushed back."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
from aiohttp.test_utils import unused_port

from dispatcher.sandbox.seen import KEPT, Newest
from dispatcher.sandbox.store.sqlite.store import MIGRATIONS as SANDBOX_MIGRATIONS
from dispatcher.storage import MIGRATIONS
from receiver.store.sqlite.database import Database
from tests.end_to_end.processes import customer
from tests.sandbox.playing import SLOW, Played, playing

WINDOW = {
    "days": ["MONDAY", "SUNDAY"],
    "from": {"hour": 6, "minute": 0},
    "to": {"hour": 15, "minute": 30},
}
REGIONAL = {
    "indiaDlt": {"principalEntityId": "p", "contentTemplateId": "t"},
    "turkeyIys": {"recipientType": "TACIR", "brandCode": 7},
    "southKorea": {"resellerCode": 3},
}
SPEED = {"amount": 10, "timeUnit": "HOUR"}
URLS = {
    "shortenUrl": True,
    "trackClicks": True,
    "trackingUrl": "http://127.0.0.1:5000/clicks",
    "removeProtocol": False,
    "customDomain": "s.example",
}


def shown(message: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: message[name] for name in names}


async def test_what_v2_asked_for(tmp_path: Path) -> None:
    """Everything that v2 can ask for is shown in the provider's names, with the route and the
    client that asked."""
    message = {
        "validityPeriod": 720,
        "deliveryTimeWindow": WINDOW,
        "regional": REGIONAL,
        "language": {"languageCode": "TR"},
        "transliteration": "TURKISH",
        "campaignReferenceId": "summer",
        "entityId": "e",
        "applicationId": "a",
        "flash": True,
        "sendAt": "2026-03-03T12:00:00.000+0000",
    }
    tracking = {"track": "URL", "processKey": "K", "type": "SIGN_UP"}
    bulk = {"sendingSpeedLimit": SPEED, "tracking": tracking, "urlOptions": URLS}
    async with playing(tmp_path) as sandbox:
        sandbox.client.headers["User-Agent"] = "shop/1.0"
        await sandbox.send(bulk=bulk, **message)

        (sent,) = await sandbox.messages()
        sent_at = {"sendAt": "2026-03-03T12:00:00.000Z"}
        assert shown(sent, *message) == {**message, **sent_at}
        assert shown(sent, *bulk) == bulk
        assert shown(sent, "route", "client", "processKey", "conversionTracking") == {
            "route": "/sms/2/text/advanced",
            "client": "shop/1.0",
            "processKey": "K",
            "conversionTracking": None,
        }


async def test_what_v3_asked_for(tmp_path: Path) -> None:
    """What v3 calls `tracking` are the options of URLs, and has their name here."""
    options = {
        "validityPeriod": {"amount": 720, "timeUnit": "HOURS"},
        "deliveryTimeWindow": WINDOW,
        "regional": REGIONAL,
    }
    content = {"text": "x", "language": {"languageCode": "ES", "singleShift": True}}
    body: dict[str, Any] = {
        "messages": [
            {
                "destinations": [{"to": "41790000001", "networkId": 5}],
                "content": content,
                "options": options,
            }
        ],
        "options": {
            "tracking": URLS,
            "conversionTracking": {"useConversionTracking": True, "conversionTrackingName": "N"},
            "schedule": {"sendingSpeedLimit": SPEED},
        },
    }
    async with playing(tmp_path) as sandbox:
        assert (await sandbox.ask("POST", "/sms/3/messages", json=body))[0] == 200

        (sent,) = await sandbox.messages()
        assert shown(sent, *options) == {
            **options,
            "validityPeriod": {"amount": 48, "timeUnit": "HOURS"},  # the most that there is
        }
        assert shown(sent, "language", "urlOptions", "tracking", "networkId") == {
            "language": {"languageCode": "ES", "singleShift": True},
            "urlOptions": URLS,
            "tracking": None,
            "networkId": 5,
        }
        assert sent["conversionTracking"] == body["options"]["conversionTracking"]
        assert sent["sendingSpeedLimit"] == SPEED
        assert sent["processKey"]


async def test_what_was_not_asked_for(tmp_path: Path) -> None:
    """What was not asked for is null, in whatever way the message came."""
    async with playing(tmp_path) as sandbox:
        await sandbox.get("/sms/1/text/query", to="41790000001", text="x", track="SMS")
        binary = {"to": "41790000001", "binary": {"hex": "00"}}
        await sandbox.ask("POST", "/sms/1/binary/single", json=binary)

        text, octets = await sandbox.messages()
        nothing = dict.fromkeys(
            ["deliveryTimeWindow", "sendingSpeedLimit", "regional", "language", "urlOptions"]
        )
        assert shown(text, *nothing) == shown(octets, *nothing) == nothing
        assert (text["tracking"], text["route"]) == ({"track": "SMS"}, "/sms/1/text/query")
        assert (octets["tracking"], octets["validityPeriod"]) == (None, 2880)


BEFORE = """
    INSERT INTO sandbox_bulk (id, bulk_id, gap, state) VALUES (1, 'B', 0, 'open');
    INSERT INTO sandbox_message (message_id, bulk, api, state, accepted_at, start_at, leaves_at,
        done, due_at, done_at, status_group, status_id, error, process_key, sms, fate)
    VALUES ('M', 1, 'v2', 'ended', 1772452800000000, 1772452800000000,
        1772452800000000, 3, NULL, 1772452800000000, 3, 5, 'NO_ERROR', NULL,
        '{"message_id":null,"to":"41790000001","sender":"Shop","parts":1,
          "content":{"type":"text","text":"x","sent":"x"},"delivery":{}}',
        '{"status":[3,5],"error":"NO_ERROR","after":"PT2S"}');
"""


async def test_messages_of_before(tmp_path: Path) -> None:
    """A database of the version before, with a message in it: the message is there, and says
    nothing of how it came."""
    before = [
        step for step in MIGRATIONS if step not in SANDBOX_MIGRATIONS or step.name == "messages"
    ]
    database = await Database.open(tmp_path / "dlr.db")
    await database.migrate(before)
    await database.close()
    with closing(sqlite3.connect(tmp_path / "dlr.db")) as connection:
        connection.executescript(BEFORE)
    async with playing(tmp_path) as sandbox:
        await sandbox.send("41790000002")

        old, new = await sandbox.messages()
        assert shown(old, "to", "messageId", "route", "client", "tracking", "validityPeriod") == {
            "to": "41790000001",
            "messageId": "M",
            "route": None,
            "client": None,
            "tracking": None,
            "validityPeriod": 2880,
        }
        assert new["route"] == "/sms/2/text/advanced"


# --- requests ------------------------------------------------------------------------------------


async def requests(sandbox: Played, **query: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await sandbox.get("/sandbox/requests", **query))["requests"]
    return found


async def test_requests_and_what_they_were_answered(tmp_path: Path) -> None:
    """A test sees what its app asked and what it was told, above all what was refused."""
    async with playing(tmp_path) as sandbox:
        sandbox.client.headers["User-Agent"] = "shop/1.0"
        wrong = {"messages": [{"destinations": [{"to": "41790000001"}], "sendAt": "tomorrow"}]}
        await sandbox.ask("POST", "/sms/2/text/advanced", json=wrong)
        await sandbox.send("41790000001")
        await sandbox.ask("GET", "/sms/2/nowhere")

        refused, taken, unknown = await requests(sandbox)
        assert json.loads(refused.pop("body")) == wrong
        exception = json.loads(refused.pop("answer"))["requestError"]["serviceException"]
        assert exception["messageId"] == "BAD_REQUEST"
        assert refused == {
            "id": 1,
            "at": "2026-03-02T12:00:00.000Z",
            "method": "POST",
            "path": "/sms/2/text/advanced",
            "query": "",
            "client": "shop/1.0",
            "status": 400,
            "refused": True,
        }
        assert (taken["status"], taken["refused"]) == (200, False)
        assert (unknown["path"], unknown["status"]) == ("/sms/2/nowhere", 404)
        assert [each["id"] for each in await requests(sandbox, refused="true")] == [1, 3]
        assert await requests(sandbox, refused="false") == [taken]
        page = await sandbox.get("/sandbox/requests", limit="1", refused="true")
        assert page["next"] == "1"
        assert await requests(sandbox, cursor=page["next"], refused="true") == [unknown]


async def post_bytes(sandbox: Played, head: bytes, body: bytes) -> bytes:
    """The answer to a POST whose head goes as it is."""
    url = urlsplit(sandbox.running.url)
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    length = b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(body)
    writer.write(b"POST " + head + b"Content-Type: application/json\r\n" + length + body)
    answer = await reader.read()
    writer.close()
    return answer


async def test_names_of_any_bytes(tmp_path: Path) -> None:
    """An app whose name, or whose name for the sandbox, is no UTF-8 sends as every other does. Both
    are seen with a mark where they cannot be read."""
    credential = '[[sandbox.credential]]\nname = "c"\nsecret = "key"'  # so any host will do
    async with playing(tmp_path, credential) as sandbox:
        message = {"destinations": [{"to": "41790000001"}], "text": "https://shop.example"}
        body = {"messages": [message], "urlOptions": {"shortenUrl": True}}
        head = (
            b"/sms/2/text/advanced HTTP/1.1\r\nHost: \xe9.example\r\n"
            b"User-Agent: caf\xe9/1.0\r\nAuthorization: App key\r\n"
        )
        answer = await post_bytes(sandbox, head, json.dumps(body).encode())

        assert answer.startswith(b"HTTP/1.1 200")
        (seen,), (sent,) = await requests(sandbox), await sandbox.messages()
        assert seen["client"] == sent["client"] == "caf\N{REPLACEMENT CHARACTER}/1.0"
        assert sent["links"][0]["shortUrl"].startswith(
            "http://\N{REPLACEMENT CHARACTER}.example/l/"
        )


async def test_requests_that_met_trouble(tmp_path: Path) -> None:
    """What was asked is seen also where trouble on order was the answer, or none came."""
    async with playing(tmp_path) as sandbox:
        await sandbox.ask("POST", "/sandbox/faults", json={"drop": True, "next": 1})
        await sandbox.ask("POST", "/sandbox/faults", json={"status": 503, "next": 1})
        body = {"to": "41790000001", "text": "x"}
        await sandbox.ask("POST", "/sms/1/text/single", json=body)
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await sandbox.ask("POST", "/sms/1/text/single", json=body)

        answered, cut = await requests(sandbox, refused="true")
        assert (answered["status"], json.loads(answered["body"])) == (503, body)
        assert (cut["status"], json.loads(cut["body"]), cut["answer"]) == (None, body, "")


async def test_requests_show_no_secrets(tmp_path: Path) -> None:
    """A password in a query is not shown, and nothing of a header is but the client's name; after a
    reset nothing is shown at all."""
    async with playing(tmp_path) as sandbox:
        login = {"username": "me", "password": "s3cret", "to": "41790000001", "text": "é & x"}
        await sandbox.get("/sms/1/text/query", **login)

        (seen,) = await requests(sandbox)
        assert seen["query"] == "username=…&password=…&to=41790000001&text=%C3%A9+%26+x"
        assert "s3cret" not in str(seen)
        await sandbox.ask("GET", "/sms/1/reports?apiKey=s3cret&Authorization=App+s3cret")
        assert "s3cret" not in str(await requests(sandbox))
        await sandbox.ask("POST", "/sandbox/reset")
        assert await requests(sandbox) == []


TOKEN_ROUTE = "/auth/1/oauth2/token"

WITH_SECRETS: dict[str, Any] = {
    "form": {
        "data": {
            "client_id": "shop",
            "client_secret": "s3cret",
            "grant_type": "client_credentials",
        }
    },
    "query": {
        "params": {
            "client_id": "shop",
            "client_secret": "s3cret",
            "grant_type": "client_credentials",
        }
    },
    "json": {"json": {"client_id": "shop", "client_secret": "s3cret"}},
    "misspelt": {"data": {"client-secret": "s3cret", "grant_type": "client_credentials"}},
    "no form": {"data": b"s3cret"},
    "halved": {"data": b"client_id=shop&client_secret=s3cret&%"},
    "as a password": {"params": {"Password": "s3cret", "access_token": "s3cret"}},
}


@pytest.mark.parametrize("how", WITH_SECRETS)
async def test_requests_show_nothing_of_a_token(tmp_path: Path, how: str) -> None:
    """An app that asks for a token is seen, and so is what was wrong with it. Its secret is not,
    in whatever way it came, and neither is the token."""
    async with playing(tmp_path) as sandbox:
        answer = sandbox.client.post(TOKEN_ROUTE, **WITH_SECRETS[how])
        async with answer as response:
            token = (await response.json()).get("access_token", "s3cret")

        (seen,) = await requests(sandbox)
        assert seen["status"] == response.status
        assert "s3cret" not in str(seen)
        assert token not in str(seen)


async def test_a_request_for_a_token_can_be_read(tmp_path: Path) -> None:
    """All but the secrets is shown as it was sent."""
    async with playing(tmp_path) as sandbox:
        await sandbox.client.post(TOKEN_ROUTE, **WITH_SECRETS["form"])
        await sandbox.client.post(TOKEN_ROUTE, data={"grant_type": "password"})

        taken, refused = await requests(sandbox)
        assert taken["body"] == "client_id=shop&client_secret=…&grant_type=client_credentials"
        assert json.loads(taken["answer"]) == {
            "access_token": "…",
            "expires_in": 3600,
            "token_type": "Bearer",
        }
        assert refused["body"] == "grant_type=password"
        assert json.loads(refused["answer"])["error"] == "invalid_request"


JSON = {"Content-Type": "application/json"}
XML = {"Content-Type": "application/xml", "Accept": "application/json"}


async def test_urls_show_no_secrets(tmp_path: Path) -> None:
    """Webhooks have passwords and tokens in their URLs. A URL is shown without them wherever it
    came from, as that of a push is."""
    told = "http://me:s3cret@127.0.0.1:9/told?token=s3cret"
    async with playing(tmp_path) as sandbox:
        urls = {"shortenUrl": True, "trackClicks": True, "trackingUrl": told}
        await sandbox.send("41790000001", text="https://shop.example", bulk={"urlOptions": urls})
        track = {"track": "URL", "type": "ONE_TIME_PIN", "baseUrl": told}
        await sandbox.send("41790000002", text="https://shop.example", bulk={"tracking": track})
        query = {"to": "41790000003", "text": "x", "notifyUrl": told, "trackingUrl": told}
        await sandbox.get("/sms/3/text/query", **query)

        v3 = {"messages": [{"content": {"text": "x"}, "webhooks": {"delivery": {"url": told}}}]}
        await sandbox.ask("POST", "/sms/3/messages", json=v3)
        escaped = json.dumps({"to": "4179", "text": "x", "notifyUrl": told}).replace("/", "\\/")
        await sandbox.ask("POST", "/sms/1/text/single", data=escaped, headers=JSON)
        xml = f"<request><notifyUrl>{told}</notifyUrl></request>"
        await sandbox.ask("POST", "/sms/1/text/single", data=xml, headers=XML)

        messages = await sandbox.messages()
        _, _, asked, *posted = await requests(sandbox)
        assert "s3cret" not in str(await requests(sandbox))
        assert ["127.0.0.1:9/told?…" in each["body"] for each in posted] == [True] * 3
        assert messages[0]["urlOptions"]["trackingUrl"] == "http://127.0.0.1:9/told?…"
        assert messages[1]["tracking"]["baseUrl"] == "http://127.0.0.1:9/told?…"
        assert asked["query"].count("127.0.0.1:9/told") == 2
        shown_urls = [each["urlOptions"] for each in messages]
        assert "s3cret" not in str([shown_urls, [each["tracking"] for each in messages], asked])


def test_only_the_newest_are_kept() -> None:
    """Memory is bounded; numbers go on, so that a reader who comes again misses nothing new."""
    newest: Newest[int] = Newest()
    for each in range(KEPT + 5):
        newest.add(each)

    assert [one for _, one in newest.after(KEPT)] == [1000, 1001, 1002, 1003, 1004]
    assert len(list(newest.after(0))) == KEPT
    newest.forget()
    newest.add(7)
    assert list(newest.after(0)) == [(KEPT + 6, 7)]


# --- pushes --------------------------------------------------------------------------------------


async def pushes(sandbox: Played, **query: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await sandbox.get("/sandbox/pushes", **query))["pushes"]
    return found


async def test_each_attempt_is_seen(tmp_path: Path) -> None:
    """A webhook that fails once and recovers: two attempts, with what was sent, what came back, and
    in words what that means."""
    async with (
        customer(lambda push: 500 if push.attempt == 1 else 200) as app,
        playing(tmp_path) as sandbox,
    ):
        accepted = await sandbox.send("41790000001", notifyUrl=f"{app.url}?token=s3cret")
        await sandbox.send(SLOW, notifyUrl=app.url)
        await sandbox.advance("2m")

        first, second = await pushes(sandbox)
        (message,) = accepted["messages"]
        assert first["messageIds"] == second["messageIds"] == [message["messageId"]]
        assert shown(first, "url", "number", "at", "status", "outcome", "explanation", "dueAt") == {
            "url": f"{app.url}?…",
            "number": 1,
            "at": "2026-03-02T12:00:02.000Z",
            "status": 500,
            "outcome": "failed",
            "explanation": "your webhook answered 500",
            "dueAt": "2026-03-02T12:01:02.000Z",
        }
        assert shown(second, "number", "status", "outcome", "dueAt") == {
            "number": 2,
            "status": 200,
            "outcome": "acknowledged",
            "dueAt": None,
        }
        (report,) = json.loads(second["body"])["results"]
        assert report["messageId"] == message["messageId"]
        assert second["headers"]["Content-Type"] == "application/json"
        assert second["headers"]["dlr-attempt"] == "2"
        assert "s3cret" not in str([first, second])
        assert await pushes(sandbox, messageId=message["messageId"], cursor="1") == [second]
        assert await pushes(sandbox, messageId="another") == []
        await sandbox.ask("POST", "/sandbox/reset")
        assert await pushes(sandbox) == []


async def test_each_request_is_a_line_of_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Route, client and result; why it was refused; that it was cut. Not the query, which may hold
    a password, and nothing of requests that drive the sandbox."""
    caplog.set_level("INFO", "dlr.sandbox")
    agent = {"User-Agent": "shop/1"}
    async with playing(tmp_path) as sandbox:
        await sandbox.send()
        query = "/sms/1/text/query?username=me&password=s3cret"
        assert (await sandbox.ask("GET", query, headers=agent))[0] == 400
        await sandbox.ask("POST", "/sandbox/faults", json={"drop": True})
        with pytest.raises(aiohttp.ClientError):
            await sandbox.client.get("/account/1/balance", headers=agent)

    facts = [each.facts for each in caplog.records if each.message == "request"]  # type: ignore[attr-defined]
    sent, refused, *cut = facts  # aiohttp sends a GET again
    assert (sent["method"], sent["path"], sent["status"]) == ("POST", "/sms/2/text/advanced", 200)
    assert "answer" not in sent
    assert (refused["path"], refused["client"]) == ("/sms/1/text/query", "shop/1")
    assert "BAD_REQUEST" in refused["answer"]
    assert "s3cret" not in str(refused)
    assert {each["status"] for each in cut} == {"cut"}


async def test_lines_of_requests_can_be_turned_off(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """By `log_requests`."""
    caplog.set_level("INFO", "dlr.sandbox")
    async with playing(tmp_path, "[sandbox]\nlog_requests = false") as sandbox:
        await sandbox.send()

    assert [each.message for each in caplog.records if each.message == "request"] == []


async def test_pushes_show_no_secrets(tmp_path: Path) -> None:
    """Whose header holds a secret sees that it was sent. A signature is none, and is shown, for it
    is what an app has to check."""
    text = """
        [[endpoint]]
        name = "plain"
        url = "http://me:s3cret@127.0.0.1:9/a"
        headers = {X-Api-Key = "s3cret"}
        [[endpoint]]
        name = "token"
        url = "http://127.0.0.1:9/b"
        security = {type = "header", header = "X-Token", value = "s3cret"}
        [[endpoint]]
        name = "signed"
        url = "http://127.0.0.1:9/c"
        security = {type = "hmac", secret_key = "s3cret"}
    """
    async with playing(tmp_path, text) as sandbox:
        await sandbox.send()
        await sandbox.advance("10s")

        found = {each["endpoint"]: each for each in await pushes(sandbox)}
        assert found["plain"]["headers"]["X-Api-Key"] == "…"
        assert found["plain"]["headers"]["Authorization"] == "…"
        assert found["token"]["headers"]["X-Token"] == "…"
        assert any("sign" in name.lower() for name in found["signed"]["headers"])
        assert "s3cret" not in str(found)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (
            "http://testserver/dlr",
            "that is the address of a test client, which does not open a port",
        ),
        ("http://127.0.0.1:{closed}/dlr", "nothing listens at http://127.0.0.1:"),
        ("http://127.0.0.1:9/dlr", "port 9 is not allowed (outgoing.allowed_ports)"),
        ("http://203.0.113.9/dlr", "is not on this machine (sandbox.allowed_hosts can allow it)"),
    ],
)
async def test_why_nothing_arrives(tmp_path: Path, url: str, words: str) -> None:
    """An app that listens nowhere, not there or not here is told so in words."""
    async with playing(tmp_path) as sandbox:
        await sandbox.send(notifyUrl=url.format(closed=unused_port()))
        await sandbox.advance("10s")

        (push,) = await pushes(sandbox)
        assert words in push["explanation"]
        assert push["status"] is None


async def test_a_change_of_the_endpoint_holds_for_what_is_pushed_next(tmp_path: Path) -> None:
    """A test has pushes signed and moves the clock at once: they went out unsigned, because the
    change was noticed up to 200 ms later."""
    async with customer() as app, playing(tmp_path) as sandbox:
        await sandbox.send(notifyUrl=app.url)
        for number in range(3):
            key = {
                "security": {"type": "hmac", "secret_key": f"key {number}", "prefix": str(number)}
            }
            answer = await sandbox.ask("PATCH", "/api/endpoints/notify-url", json=key)
            assert answer[0] == 200
            await sandbox.send(notifyUrl=app.url)
            await sandbox.advance("10s")

        signatures = [each["headers"]["X-Infobip-Signature"] for each in await pushes(sandbox)]
        assert {each[0] for each in signatures} == {"0", "1", "2"}
        assert [each[0] for each in signatures] == sorted(each[0] for each in signatures)


async def test_pushes_of_events_are_of_their_message(tmp_path: Path) -> None:
    """An SMS that came in, and a click, are pushed without a report: their pushes said nothing of
    the message, and whoever asked for the pushes of a message missed them. They are found by it,
    here and among all dispatches."""
    async with customer() as app, playing(tmp_path) as sandbox:
        incoming = {"from": "41793026727", "to": "447860019999", "text": "hi", "url": app.url}
        _, came = await sandbox.ask("POST", "/sandbox/inbox", json=incoming)
        links = {"shortenUrl": True, "trackClicks": True, "trackingUrl": app.url}
        sent = await sandbox.send(
            "41790000001", bulk={"urlOptions": links}, text="see http://shop.example/"
        )
        clicked = sent["messages"][0]["messageId"]
        await sandbox.ask("POST", f"/sandbox/messages/{clicked}/click")
        await sandbox.advance("1s")

        for message_id in (came["messageId"], clicked):
            (push,) = await pushes(sandbox, messageId=message_id)
            listed = await sandbox.get("/api/dispatches", messageId=message_id)
            (dispatch,) = listed["dispatches"]
            assert push["messageIds"] == dispatch["messageIds"] == [message_id]
            assert (push["dispatch"], dispatch["reports"]) == (dispatch["id"], 0)
        assert not (await sandbox.get("/api/dispatches", messageId=clicked, source="x"))[
            "dispatches"
        ]
