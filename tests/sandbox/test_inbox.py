"""SMS that come in: pulled, pushed to where they are forwarded to, and in the logs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import xmltodict

from tests.end_to_end.processes import customer
from tests.sandbox.playing import Played, playing

OURS = "447860019999"
THEIRS = "41793026727"
JSON = {"Content-Type": "application/json"}


async def came(sandbox: Played, **fields: Any) -> Any:
    """Simulate an incoming SMS."""
    said = {"from": THEIRS, "to": OURS, "text": "hello", **fields}
    status, answer = await sandbox.ask("POST", "/sandbox/inbox", json=said)
    assert status == 201, answer
    return answer


async def pulled(sandbox: Played, version: int = 1, **query: Any) -> list[str]:
    found = await sandbox.get(f"/sms/{version}/inbox/reports", **query)
    return [each["text"] for each in found["results"]]


async def logged(sandbox: Played, **query: Any) -> list[str]:
    return [each["text"] for each in (await sandbox.get("/sms/1/inbox/logs", **query))["results"]]


async def test_pulling(tmp_path: Path) -> None:
    """What comes in is handed out once, in its order, in the provider's shape; what is left is
    counted."""
    async with playing(tmp_path) as sandbox:
        one = await came(sandbox, text="QUIZ Correct answer is Paris", keyword="quiz")
        for text in ("two", "three"):
            await came(sandbox, text=text)

        assert await sandbox.get("/sms/1/inbox/reports", limit="1") == {
            "results": [
                {
                    "messageId": one["messageId"],
                    "from": THEIRS,
                    "to": OURS,
                    "text": "QUIZ Correct answer is Paris",
                    "cleanText": "Correct answer is Paris",
                    "keyword": "QUIZ",
                    "receivedAt": "2026-03-02T12:00:00.000+0000",
                    "smsCount": 1,
                    "price": {"pricePerMessage": 0, "currency": "EUR"},
                }
            ],
            "messageCount": 1,
            "pendingMessageCount": 2,
        }
        assert await pulled(sandbox, 3) == ["two", "three"]
        assert await sandbox.get("/sms/3/inbox/reports") == {
            "results": [],
            "messageCount": 0,
            "pendingMessageCount": 0,
        }


async def test_pulling_in_xml(tmp_path: Path) -> None:
    """In XML the same stands as the provider's sample has it, and so it does in the logs."""
    async with playing(tmp_path) as sandbox:
        await came(sandbox, text="a & b")
        xml = {"Accept": "application/xml"}
        async with sandbox.client.get("/sms/1/inbox/reports", headers=xml) as response:
            assert response.content_type == "application/xml"
            told = xmltodict.parse(await response.read())["reportResponse"]
        async with sandbox.client.get("/sms/1/inbox/logs", headers=xml) as response:
            logs = xmltodict.parse(await response.read())["reportResponse"]

        assert (told["messageCount"], told["pendingMessageCount"]) == ("1", "0")
        result = told["results"]["result"]
        assert (result["text"], result["cleanText"]) == ("a & b", "a & b")
        assert result["price"] == {"pricePerMessage": "0", "currency": "EUR"}
        assert logs["results"]["result"]["text"] == "a & b"
        async with sandbox.client.get("/sms/3/inbox/reports", headers=xml) as response:
            empty = xmltodict.parse(await response.read())["reportResponse"]
        assert empty == {"results": None, "messageCount": "0", "pendingMessageCount": "0"}


async def test_filters(tmp_path: Path) -> None:
    """Those of one application, entity or campaign are pulled alone."""
    async with playing(tmp_path) as sandbox:
        await came(sandbox, text="app", applicationId="a")
        await came(sandbox, text="entity", entityId="e")
        await came(sandbox, text="campaign", campaignReferenceId="c")

        assert await pulled(sandbox, campaignReferenceId="c") == ["campaign"]
        assert await pulled(sandbox, entityId="e", applicationId="a") == []
        assert await pulled(sandbox, entityId="e") == ["entity"]
        assert await pulled(sandbox, applicationId="a") == ["app"]


async def test_two_days(tmp_path: Path) -> None:
    """What has waited for longer than 48 hours is handed out no more, and not in the logs."""
    async with playing(tmp_path) as sandbox:
        await came(sandbox, text="old")
        await sandbox.advance("2d")
        await came(sandbox, text="new")

        assert await logged(sandbox) == ["new"]
        assert await pulled(sandbox) == ["new"]


async def test_logs(tmp_path: Path) -> None:
    """The logs have all that came in, pulled and pushed too, newest first, by their filters."""
    text = '[[sandbox.inbound]]\nkeyword = "STOP"\nurl = "http://127.0.0.1:9/in"\n'
    async with playing(tmp_path, text) as sandbox:
        await came(sandbox, text="stop it")
        await sandbox.advance("1h")
        await came(sandbox, text="pulled", to="+44 7860 018888")
        await pulled(sandbox)

        assert await logged(sandbox) == ["pulled", "stop it"]
        assert await logged(sandbox, limit="1") == ["pulled"]
        assert await logged(sandbox, keyword="Stop") == ["stop it"]
        assert await logged(sandbox, to="447860018888") == ["pulled"]
        since = "2026-03-02T12:30:00.000+0000"
        assert await logged(sandbox, receivedSince=since) == ["pulled"]
        assert await logged(sandbox, receivedUntil=since) == ["stop it"]


async def test_rules(tmp_path: Path) -> None:
    """The first rule that fits says where an SMS goes, and what is its keyword. What an SMS brings
    along itself goes before it."""
    text = """
        [[sandbox.inbound]]
        to = "4478*"
        keyword = "STOP"
        url = "{0}/stop"
        content_type = "application/xml"

        [[sandbox.inbound]]
        to = "447860019999"
        url = "{0}/all"
        callback_data = "mine"
    """
    async with customer() as app, playing(tmp_path, text.format(app.url)) as sandbox:
        stop = await came(sandbox, text="stop now")
        await came(sandbox, text="stopping")
        other = await came(sandbox, text="STOP", to="41790000000")
        own = await came(sandbox, text="STOP", url=f"{app.url}/own", contentType="application/json")
        await sandbox.advance("0s")

        assert (stop["keyword"], stop["cleanText"]) == ("stop", "now")
        assert stop["url"] == f"{app.url}/stop"
        assert (other["keyword"], other["url"]) == (None, None)
        assert (own["keyword"], own["cleanText"]) == ("STOP", "")
        by_path = {push.path: push for push in app.pushes}
        assert by_path.keys() == {"/stop", "/all", "/own"}
        told = xmltodict.parse(by_path["/stop"].body)["reportResponse"]
        assert told["results"]["result"]["cleanText"] == "now"
        assert (told["messageCount"], told["pendingMessageCount"]) == ("1", "0")
        (result,) = json.loads(by_path["/all"].body)["results"]
        assert (result["text"], result["callbackData"]) == ("stopping", "mine")
        assert "keyword" not in result
        assert by_path["/own"].content_type == "application/json"
        assert await pulled(sandbox) == ["STOP"]


async def test_pushes_are_retried_like_reports(tmp_path: Path) -> None:
    """A webhook that fails gets the same bytes again, by the schedule, and each attempt is in the
    history. What waits is listed among the dispatches, without a report."""
    answers = [503, 500, 200]
    async with customer(lambda _: answers.pop(0)) as app, playing(tmp_path) as sandbox:
        sms = await came(sandbox, url=f"{app.url.replace('://', '://me:secret@')}/in?token=t")
        await sandbox.advance("10m")

        (dispatch,) = await sandbox.dispatches()
        assert (dispatch["state"], dispatch["attempts"]) == ("acknowledged", 3)
        assert (dispatch["reports"], dispatch["messageIds"]) == (0, [sms["messageId"]])
        assert dispatch["url"] == f"{app.url}/in?…"
        assert [each["startedAt"][11:19] for each in dispatch["history"]] == [
            "12:00:00",
            "12:01:00",
            "12:03:00",
        ]
        first, *again = app.pushes
        assert [push.body for push in again] == [first.body, first.body]
        assert {push.dispatch for push in app.pushes} == {dispatch["webhookId"]}


async def test_a_restart_loses_nothing(tmp_path: Path) -> None:
    """What was to be pushed and what waited to be pulled is so after a restart."""
    async with customer(lambda _: 503) as app, playing(tmp_path) as sandbox:
        await came(sandbox, text="pushed", url=app.url)
        await came(sandbox, text="pulled")
        await sandbox.advance("0s")
        url = app.url
        await app.stop()
        app.answer = lambda _: 200
    async with playing(tmp_path) as sandbox:
        await app.start()
        assert app.url == url
        await sandbox.advance("1h")
        await app.stop()

        (dispatch,) = await sandbox.dispatches()
        assert dispatch["state"] == "acknowledged"
        assert await pulled(sandbox) == ["pulled"]


@pytest.mark.parametrize(
    ("text", "parts"),
    [("x" * 160, 1), ("x" * 161, 2), ("x" * 306, 2), ("ж" * 70, 1), ("ж" * 71, 2), ("€" * 81, 2)],
)
async def test_concatenated_parts(tmp_path: Path, text: str, parts: int) -> None:
    """A long SMS is one message with the number of its parts."""
    async with playing(tmp_path) as sandbox:
        told = await came(sandbox, text=text)
        found = await sandbox.get("/sms/1/inbox/reports")

        assert told["smsCount"] == parts
        assert [(each["text"], each["smsCount"]) for each in found["results"]] == [(text, parts)]


async def test_numbers_in_any_form(tmp_path: Path) -> None:
    """Numbers are told as the provider's examples have them: digits alone. A name stays."""
    async with playing(tmp_path) as sandbox:
        await came(sandbox, **{"from": "+41 79 302 67 27", "to": "tel:+44-7860-019999"})
        await came(sandbox, **{"from": "Bank", "to": "7010"})

        one, two = (await sandbox.get("/sms/1/inbox/reports"))["results"]
        assert (one["from"], one["to"]) == (THEIRS, OURS)
        assert (two["from"], two["to"]) == ("Bank", "7010")


async def test_what_cannot_come_in(tmp_path: Path) -> None:
    """Everything that is wrong is told at once, by its field."""
    async with playing(tmp_path) as sandbox:
        wrong = {"to": "", "text": 5 * ["x"], "url": "ftp://x", "contentType": "text/csv"}
        status, fields = await sandbox.ask("POST", "/sandbox/inbox", json=wrong)
        assert (status, fields["error"]["code"]) == (400, "bad_request")
        faults = fields["error"]["details"]["faults"]
        assert [each.split(":")[0] for each in faults] == [
            "from",
            "to",
            "text",
            "url",
            "contentType",
        ]
        for body in (b"", b"{", b"[]", b"\xff", b"[" * 100_000):
            status, fields = await sandbox.ask("POST", "/sandbox/inbox", data=body, headers=JSON)
            assert (status, fields["error"]["code"]) == (400, "bad_request")


async def test_a_reset_forgets(tmp_path: Path) -> None:
    """After a reset nothing waits to be pulled or pushed, and the logs are empty."""
    async with customer(lambda _: 503) as app, playing(tmp_path) as sandbox:
        await came(sandbox, url=app.url)
        await came(sandbox)
        await sandbox.ask("POST", "/sandbox/reset")
        pushes = len(app.pushes)
        await sandbox.advance("1d")

        assert (await pulled(sandbox), await logged(sandbox)) == ([], [])
        assert len(app.pushes) == pushes
        assert [each["state"] for each in await sandbox.dispatches()] == ["cancelled"]


async def test_scopes(tmp_path: Path) -> None:
    """Reading the inbox asks for the scope that the provider documents."""
    text = "".join(
        f'[[sandbox.credential]]\nname = "{name}"\nsecret = "{name}"\nscopes = ["{scope}"]\n'
        for name, scope in (("reader", "sms:inbound-message:read"), ("sender", "message:send"))
    )
    async with playing(tmp_path, text) as sandbox:
        for path in ("/sms/1/inbox/reports", "/sms/3/inbox/reports", "/sms/1/inbox/logs"):
            statuses = {}
            for name in ("reader", "sender", "nobody"):
                headers = {"Authorization": f"App {name}"}
                statuses[name], _ = await sandbox.ask("GET", path, headers=headers)
            assert statuses == {"reader": 200, "sender": 403, "nobody": 401}
