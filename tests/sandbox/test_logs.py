"""The provider's logs: what is in them, how they are filtered, how often they may be asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from dispatcher.clocks.clock import VirtualClock
from tests.sandbox.playing import START, playing, send_three


async def test_a_log_of_v1(tmp_path: Path) -> None:
    """A log of v1 is a report with the text, as often as anybody asks."""
    async with playing(tmp_path) as sandbox:
        await sandbox.send(text="hello")
        await sandbox.advance("1m")

        (log,) = (await sandbox.get("/sms/1/logs"))["results"]
        (again,) = (await sandbox.get("/sms/1/logs"))["results"]
        (report,) = await sandbox.pull()
        assert log == again == {**report, "text": "hello"}


async def test_a_log_of_v3(tmp_path: Path) -> None:
    """A log of v3 calls the recipient `destination` and has the content as it was sent."""
    async with playing(tmp_path) as sandbox:
        await sandbox.send("41790000001", text="hello")
        binary = {
            "messages": [
                {
                    "sender": "InfoSMS",
                    "destinations": [{"to": "41790000002"}],
                    "content": {"hex": "00 48 00 69", "dataCoding": 8},
                }
            ]
        }
        assert (await sandbox.ask("POST", "/sms/3/messages", json=binary))[0] == 200
        await sandbox.advance("1m")

        second, first = (await sandbox.get("/sms/3/logs"))["results"]
        assert (first["destination"], first["content"]) == ("41790000001", {"text": "hello"})
        assert second["content"] == {"hex": "00 48 00 69", "dataCoding": 8, "esmClass": 0}
        assert "to" not in first


async def test_what_waits_and_what_was_refused_is_in_the_logs(tmp_path: Path) -> None:
    """The logs have each message as it stands, also one that waits and one that was refused."""
    async with playing(tmp_path) as sandbox:
        await sandbox.send("41790000001", sendAt="2026-03-02T20:00:00.000+0000")
        await sandbox.send("no number")

        refused, waiting = (await sandbox.get("/sms/1/logs"))["results"]
        assert waiting["status"]["name"] == "PENDING_ACCEPTED"
        assert refused["status"]["groupName"] == "REJECTED"
        assert refused["price"]["pricePerMessage"] == 0
        assert await sandbox.pull() == []


@pytest.mark.parametrize(
    ("version", "query", "found"),
    [
        (1, "from=Other", "3"),
        (1, "to=41790000001", "1"),
        (3, "sender=InfoSMS", "21"),
        (3, "destination=41790000002", "2"),
        (1, "bulkId=B", "21"),
        (1, "bulkId=B,C&limit=1", "2"),
        (1, "messageId=m3", "3"),
        (1, "messageId=m3&messageId=m4", "3"),
        (1, "messageId=m4,m3", "3"),
        (3, "campaignReferenceId=spring&campaignReferenceId=autumn,winter", "3"),
        (1, "generalStatus=DELIVERED", "321"),
        (1, "generalStatus=REJECTED", ""),
        (1, "sentSince=2026-03-02T12:00:00.000%2B0000", "321"),
        (1, "sentSince=2026-03-02T12:00:00.001+0000", ""),
        (3, "sentUntil=2026-03-02T14:00:00%2B02:00", ""),
        (3, "mcc=228&mnc=01", "321"),
        (3, "mcc=228&mnc=02", ""),
        (3, "mcc=22", ""),
        (1, "applicationId=app&entityId=entity", "3"),
    ],
)
async def test_filters_of_logs(tmp_path: Path, version: int, query: str, found: str) -> None:
    """Lists may be repeated, have commas, or both; newest first."""
    async with playing(tmp_path) as sandbox:
        await send_three(sandbox)

        logs = (await sandbox.get(f"/sms/{version}/logs?{query}"))["results"]
        assert "".join((each.get("to") or each["destination"])[-1] for each in logs) == found


@pytest.mark.parametrize(
    ("query", "place"),
    [("mnc=01", "mnc"), ("generalStatus=LOST", "generalStatus"), ("sentSince=noon", "sentSince")],
)
async def test_filters_that_cannot_be_used(tmp_path: Path, query: str, place: str) -> None:
    """A filter that cannot be used is named."""
    async with playing(tmp_path) as sandbox:
        status, fields = await sandbox.ask("GET", f"/sms/3/logs?{query}")

        assert (status, fields["violations"][0]["property"]) == (400, place)


async def test_the_cursor_of_v3(tmp_path: Path) -> None:
    """With a cursor the pages of the log have each message once, also while more are sent."""
    async with playing(tmp_path) as sandbox:
        sent = await sandbox.send(*(str(41790000000 + n) for n in range(5)))
        seen: list[str] = []
        query = {"useCursor": "true", "limit": "2"}
        cursor: dict[str, str] = {}
        while cursor is not None:
            page = await sandbox.get("/sms/3/logs", **query, **cursor)
            seen += [each["messageId"] for each in page["results"]]
            following = page["cursor"].get("nextCursor")
            cursor = {"cursor": following} if following else None  # type: ignore[assignment]
            await sandbox.send()

        assert seen == [each["messageId"] for each in sent["messages"]][::-1]
        assert page["cursor"] == {"limit": 2}


async def test_logs_go_back_two_days(tmp_path: Path) -> None:
    """What was accepted more than 48 hours ago is in no log."""
    async with playing(tmp_path) as sandbox:
        await sandbox.send()
        await sandbox.advance("48h")

        assert await sandbox.get("/sms/1/logs") == {"results": []}


async def test_a_scheduled_message_is_in_the_logs_when_it_is_sent(tmp_path: Path) -> None:
    """The 48 hours of the logs count from sentAt. They counted from the acceptance, and a message
    that was scheduled three days ahead was gone from the logs before it was sent."""
    async with playing(tmp_path) as sandbox:
        await sandbox.send(sendAt="2026-03-05T12:00:00.000+0000")
        await sandbox.advance("73h")

        (entry,) = (await sandbox.get("/sms/3/logs"))["results"]
        assert entry["status"]["name"] == "DELIVERED_TO_HANDSET"


@pytest.mark.parametrize("version", [1, 3])
async def test_logs_have_no_callback_data(tmp_path: Path, version: int) -> None:
    """The provider's logs have no callbackData, so an app must not learn to look for it there."""
    async with playing(tmp_path) as sandbox:
        await sandbox.send(callbackData="order 7")

        (entry,) = (await sandbox.get(f"/sms/{version}/logs"))["results"]
        assert "callbackData" not in entry


async def test_120_requests_a_minute(tmp_path: Path) -> None:
    """The 121st request for logs within a minute is refused, whichever route; a minute later it is
    not."""
    clock = VirtualClock(START)
    async with playing(tmp_path, clock=clock) as sandbox:
        for n in range(120):
            await sandbox.get(f"/sms/{1 + 2 * (n % 2)}/logs")

        status, fields = await sandbox.ask("GET", "/sms/1/logs")
        assert (status, fields["requestError"]["serviceException"]["messageId"]) == (
            429,
            "TOO_MANY_REQUESTS",
        )
        assert (await sandbox.ask("GET", "/sms/3/logs"))[1]["errorCode"] == "E429"
        await sandbox.advance("1m")
        await sandbox.get("/sms/1/logs")
