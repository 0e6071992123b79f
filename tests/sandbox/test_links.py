"""Short links that lead somewhere, clicks on them, and the event that tells of one."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from yarl import URL

from tests.end_to_end.processes import customer
from tests.sandbox.playing import Played, playing

SHOP = "https://shop.example/offer?id=1&for=you#now"
JSON = {"Content-Type": "application/json"}


async def sent(sandbox: Played, text: str = f"See {SHOP}", **bulk: Any) -> Any:
    """A message with links, as /sandbox/messages shows it."""
    answer = await sandbox.send(text=text, callbackData="4711", bulk={"urlOptions": {}, **bulk})
    (message,) = await sandbox.messages(messageId=answer["messages"][0]["messageId"])
    return message


async def follow(sandbox: Played, url: str, method: str = "GET") -> tuple[int, str | None]:
    """What a phone gets that follows a link: it has no key, and is of no site."""
    headers = {"Authorization": "", "Sec-Fetch-Site": "cross-site"}
    options: dict[str, Any] = {"headers": headers, "allow_redirects": False}
    async with sandbox.client.request(method, URL(url, encoded=True), **options) as response:
        return response.status, response.headers.get("Location")


async def click(sandbox: Played, message_id: str, **body: Any) -> tuple[int, Any]:
    return await sandbox.ask("POST", f"/sandbox/messages/{message_id}/click", json=body)


async def test_a_link_leads_somewhere(tmp_path: Path) -> None:
    """The short link in the text is answered with a redirect to the link that was there."""
    async with playing(tmp_path) as sandbox:
        message = await sent(sandbox)

        (link,) = message["links"]
        assert link["url"] == SHOP
        assert message["text"] == f"See {SHOP}"
        assert message["sent"] == f"See {link['shortUrl']}"
        assert link["shortUrl"].startswith(f"{sandbox.running.url}/l/")
        assert await follow(sandbox, link["shortUrl"]) == (302, SHOP)
        assert (await follow(sandbox, f"{sandbox.running.url}/l/other"))[0] == 404


async def test_following_a_link_is_a_click(tmp_path: Path) -> None:
    """Whoever follows the link has clicked, which is told in the documented event. A client that
    only looks where it leads has not."""
    async with customer() as app, playing(tmp_path) as sandbox:
        url = f"{app.url.replace('://', '://me:secret@')}/click?token=t"
        message = await sent(sandbox, urlOptions={"trackingUrl": url}, bulkId="B")
        await sandbox.advance("1h")
        short = message["links"][0]["shortUrl"]
        await follow(sandbox, short, "HEAD")
        await follow(sandbox, short)
        await sandbox.advance("0s")

        (push,) = app.pushes
        assert (push.path, push.content_type) == ("/click", "application/json")
        assert json.loads(push.body) == {
            "notificationType": "CLICKED",
            "recipient": message["to"],
            "url": SHOP,
            "sendDateTime": 1772456400000,
            "messageId": message["messageId"],
            "bulkId": "B",
            "callbackData": "4711",
            "recipientInfo": {"deviceType": "Phone", "os": "Android 14", "deviceName": "Sandbox"},
            "geoLocationInfo": {"countryName": "Switzerland", "city": "Zurich"},
        }
        (shown,) = await sandbox.messages()
        assert (shown["clicks"], shown["convertedAt"]) == (1, None)
        dispatch = (await sandbox.dispatches())[-1]
        assert (dispatch["state"], dispatch["reports"]) == ("acknowledged", 0)
        assert dispatch["url"] == f"{app.url}/click?…"


async def test_clicks_are_retried_like_reports(tmp_path: Path) -> None:
    """A webhook that fails is told again, by the schedule."""
    answers = [503, 200]
    async with customer(lambda _: answers.pop(0)) as app, playing(tmp_path) as sandbox:
        message = await sent(sandbox, urlOptions={"trackingUrl": app.url})
        status, clicked = await click(sandbox, message["messageId"])
        await sandbox.advance("5m")

        assert (status, clicked["messageId"]) == (201, message["messageId"])
        assert (clicked["url"], clicked["trackingUrl"]) == (SHOP, f"{app.url}")
        assert clicked["clickedAt"] == "2026-03-02T12:00:00.000Z"
        one, two = app.pushes
        assert (one.body, one.dispatch) == (two.body, two.dispatch)


async def test_which_link(tmp_path: Path) -> None:
    """A click is on the first link, or on the one that is named, by where it leads or by how it
    stands in the text."""
    async with customer() as app, playing(tmp_path) as sandbox:
        text = "http://a.example/ or http://b.example/"
        message = await sent(sandbox, text, urlOptions={"trackingUrl": app.url})
        name, second = message["messageId"], message["links"][1]
        for body in ({}, {"url": second["url"]}, {"url": second["shortUrl"]}, {"url": None}):
            assert (await click(sandbox, name, **body))[0] == 201
        await sandbox.ask("POST", f"/sandbox/messages/{name}/click")
        await sandbox.advance("0s")

        told = [json.loads(push.body)["url"] for push in app.pushes]
        assert sorted(told) == ["http://a.example/"] * 3 + ["http://b.example/"] * 2
        status, fields = await click(sandbox, name, url="http://c.example/")
        assert (status, fields["error"]["code"]) == (400, "bad_request")
        assert "http://a.example/, http://b.example/" in fields["error"]["message"]


@pytest.mark.parametrize("options", [{"trackClicks": False}, {"shortenUrl": False}, None])
async def test_clicks_that_are_not_tracked(tmp_path: Path, options: dict[str, Any] | None) -> None:
    """A link whose clicks nobody tracks leads where it should, and no click is counted or told."""
    async with customer() as app, playing(tmp_path) as sandbox:
        asked = None if options is None else {**options, "trackingUrl": app.url}
        message = await sent(sandbox, urlOptions=asked)
        for link in message["links"]:
            assert await follow(sandbox, link["shortUrl"]) == (302, SHOP)
        status, fields = await click(sandbox, message["messageId"])
        await sandbox.advance("1h")

        assert len(message["links"]) == (options == {"trackClicks": False})
        assert (status, fields["error"]["code"]) == (400, "bad_request")
        assert (app.pushes, (await sandbox.messages())[0]["clicks"]) == ([], 0)


async def test_a_click_that_is_told_to_nobody(tmp_path: Path) -> None:
    """Without a trackingUrl a click is counted, and that is all."""
    async with playing(tmp_path) as sandbox:
        message = await sent(sandbox)
        status, clicked = await click(sandbox, message["messageId"])

        assert (status, clicked["trackingUrl"]) == (201, None)
        assert (await sandbox.messages())[0]["clicks"] == 1
        assert await sandbox.dispatches() == []


async def test_a_click_is_the_conversion_of_track_url(tmp_path: Path) -> None:
    """With `track = URL` the first click converts; the key confirms it too."""
    async with playing(tmp_path) as sandbox:
        base = {"baseUrl": "http://go.example/x", "type": "OFFER", "processKey": "KEY"}
        message = await sent(sandbox, urlOptions=None, tracking={"track": "URL", **base})
        await click(sandbox, message["messageId"])
        await sandbox.advance("1h")
        await click(sandbox, message["messageId"])

        assert message["links"][0]["shortUrl"].startswith("http://go.example/x/l/")
        (shown,) = await sandbox.messages()
        assert (shown["clicks"], shown["convertedAt"]) == (2, "2026-03-02T12:00:00.000Z")
        answer = await sandbox.ask("POST", f"/ct/1/log/end/{message['messageId']}")
        assert answer == (200, {"processKey": "KEY"})


async def test_messages_without_a_click(tmp_path: Path) -> None:
    """A message that there is not, or was refused, has no click; a body that cannot be read is
    told."""
    async with playing(tmp_path) as sandbox:
        answer = await sandbox.send("nobody", text=SHOP, bulk={"urlOptions": {}})
        refused = answer["messages"][0]["messageId"]
        message = await sent(sandbox)

        for name in ("none", refused, "a%2Fb"):
            assert (await click(sandbox, name))[0] == 404
        for body in (b"{", b"[]", b'{"url":5}', b"\xff"):
            path = f"/sandbox/messages/{message['messageId']}/click"
            status, fields = await sandbox.ask("POST", path, data=body, headers=JSON)
            assert (status, fields["error"]["code"]) == (400, "bad_request")


async def test_v3(tmp_path: Path) -> None:
    """The options of v3 do the same, with its conversion tracking beside them."""
    async with customer() as app, playing(tmp_path) as sandbox:
        options = {
            "tracking": {"trackingUrl": app.url, "removeProtocol": True},
            "conversionTracking": {"useConversionTracking": True},
        }
        platform = {"platform": {"applicationId": "a", "entityId": "e"}}
        message = {
            "destinations": [{"to": "41790000001"}, {"to": "41790000002"}],
            "content": {"text": SHOP},
            "options": platform,
        }
        body = {"messages": [message], "options": options}
        assert (await sandbox.ask("POST", "/sms/3/messages", json=body))[0] == 200
        _, second = await sandbox.messages()
        short = second["links"][0]["shortUrl"]
        await follow(sandbox, f"http://{short}")
        await sandbox.advance("1m")

        assert short == second["sent"]
        event = json.loads(app.pushes[0].body)
        assert (event["recipient"], event["messageId"]) == ("41790000002", second["messageId"])
        assert (event["applicationId"], event["entityId"]) == ("a", "e")
        assert [each["clicks"] for each in await sandbox.messages()] == [0, 1]
        assert (await sandbox.ask("POST", f"/ct/1/log/end/{second['messageId']}"))[0] == 200


async def test_a_reset_forgets_links_and_clicks(tmp_path: Path) -> None:
    """After a reset no link leads anywhere, and no click is told, nor told again: an attempt that
    is under way comes to its end, and no other follows it."""
    async with customer(lambda _: 503) as app, playing(tmp_path) as sandbox:
        app.may_answer.clear()
        message = await sent(sandbox, urlOptions={"trackingUrl": app.url})
        await click(sandbox, message["messageId"])
        reset = asyncio.create_task(sandbox.ask("POST", "/sandbox/reset"))
        await app.came.reach(1)
        app.may_answer.set()
        await reset
        await sandbox.advance("1d")

        assert (await follow(sandbox, message["links"][0]["shortUrl"]))[0] == 404
        assert len(app.pushes) == 1
        assert [each["state"] for each in await sandbox.dispatches()] == ["cancelled"]


async def test_phones_need_no_token(tmp_path: Path) -> None:
    """Where the API asks for tokens, short links do not; clicks by /sandbox do."""
    text = '[[api.token]]\nname = "ops"\nscope = "read"\nsecret = "token-0123456789abcdef"\n'
    async with playing(tmp_path, text) as sandbox:
        bearer = {"Authorization": "Bearer token-0123456789abcdef"}
        await sandbox.send(text=SHOP, bulk={"urlOptions": {}})
        _, page = await sandbox.ask("GET", "/sandbox/messages", headers=bearer)

        (message,) = page["messages"]
        assert await follow(sandbox, message["links"][0]["shortUrl"]) == (302, SHOP)
        assert (await click(sandbox, message["messageId"]))[0] == 401
