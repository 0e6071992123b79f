"""What a sandbox forgets: what is old, and what somebody has the right to have erased."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from receiver.store.recipient import Recipient
from tests.end_to_end.processes import customer, eventually
from tests.sandbox.playing import START, playing


async def test_old_messages_go(tmp_path: Path) -> None:
    """Messages are kept for as long as reports; those that still wait stay, however old."""
    text = '[retention]\nreports = "10d"\n'
    async with playing(tmp_path, text) as sandbox:
        await sandbox.send("41790000001")
        await sandbox.send("41790000002", sendAt="2026-06-01T12:00:00.000+0000")
        await sandbox.advance("20d")

        async def gone() -> bool:
            return [each["to"] for each in await sandbox.messages()] == ["41790000002"]

        assert await eventually(gone, "the old message has gone")


async def test_a_scheduled_message_is_kept_from_its_end_on(tmp_path: Path) -> None:
    """What was sent long ago for today is not old when it ends: it went from the lists within
    minutes, for its age was counted from its acceptance."""
    async with playing(tmp_path) as sandbox:
        await sandbox.send("41790000001")
        await sandbox.send("41790000002", sendAt="2026-03-22T12:00:00.000+0000")
        await sandbox.advance("20d1h")
        ten_days_ago = START + timedelta(days=10)

        removed = await sandbox.running.storage.sandbox.purge(ten_days_ago, 500)
        assert removed == 1
        assert [each["to"] for each in await sandbox.messages()] == ["41790000002"]


async def test_erasure(tmp_path: Path) -> None:
    """One recipient's messages are erased with the reports of them; the others' stay."""
    async with playing(tmp_path) as sandbox:
        await sandbox.send("41790000001", "41790000002")
        await sandbox.advance("1m")
        erasure = sandbox.running.storage.erasure
        recipient = Recipient(to="+41790000001")
        told = await erasure.count(recipient)
        done = await erasure.erase(recipient)

        assert told["sandbox_message"] == done["sandbox_message"] == 1
        assert [each["to"] for each in await sandbox.messages()] == ["41790000002"]
        assert [each["to"] for each in await sandbox.pull()] == ["41790000002"]


async def test_erasure_of_received_sms(tmp_path: Path) -> None:
    """What came from a number is erased, also out of a push that waits, which is not made then. The
    SMS of others stay, and are pushed."""
    async with customer(lambda _: 503) as app, playing(tmp_path) as sandbox:
        for number in ("41790000001", "41790000002"):
            said = {"from": number, "to": "447860019999", "text": f"I am {number}"}
            for url in ({}, {"url": app.url}):
                await sandbox.ask("POST", "/sandbox/inbox", json={**said, **url})
        await sandbox.advance("0s")
        app.answer = lambda _: 200
        erasure = sandbox.running.storage.erasure
        recipient = Recipient(to="+41790000001")
        told = await erasure.count(recipient)
        done = await erasure.erase(recipient)
        await sandbox.advance("1h")

        assert told["sandbox_inbox"] == done["sandbox_inbox"] == 2
        assert told["dispatch"] == done["dispatch"] == 1
        logs = await sandbox.get("/sms/1/inbox/logs")
        assert {each["from"] for each in logs["results"]} == {"41790000002"}
        assert [b"41790000001" in push.body for push in app.pushes[2:]] == [False]
        states = [each["state"] for each in await sandbox.dispatches()]
        assert states == ["cancelled", "acknowledged"]
        assert await erasure.left(recipient) == []


async def test_erasure_of_clicks(tmp_path: Path) -> None:
    """A click of one recipient that waits to be told is not told, and its link leads nowhere; those
    of others stay."""
    async with customer(lambda _: 503) as app, playing(tmp_path) as sandbox:
        numbers = ("41790000001", "41790000002")
        urls = {"urlOptions": {"trackingUrl": app.url}}
        await sandbox.send(*numbers, text="http://shop.example/", bulk=urls)
        links = []
        for message in await sandbox.messages():
            await sandbox.ask("POST", f"/sandbox/messages/{message['messageId']}/click")
            links.append(message["links"][0]["shortUrl"])
        await sandbox.advance("0s")
        app.answer = lambda _: 200
        erasure = sandbox.running.storage.erasure
        recipient = Recipient(to=numbers[0])
        told = await erasure.count(recipient)
        done = await erasure.erase(recipient)
        await sandbox.advance("1h")

        assert told["dispatch"] == done["dispatch"] == 1
        assert [numbers[0].encode() in push.body for push in app.pushes[2:]] == [False]
        found = []
        for link in links:
            async with sandbox.client.get(link, allow_redirects=False) as response:
                found.append(response.status)
        assert found == [404, 302]
        assert await erasure.left(recipient) == []
