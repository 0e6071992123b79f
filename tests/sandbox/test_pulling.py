"""The provider's pull and log endpoints, conversions, and who may ask."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from dispatcher.clock import VirtualClock
from tests.sandbox.playing import REJECTED, START, Played, playing


async def test_each_report_is_handed_out_once(tmp_path: Path) -> None:
    """What was handed out is not handed out again; new ones are. Nothing new is an empty list."""
    async with playing(tmp_path) as sandbox:
        await sandbox.send()
        await sandbox.advance("1m")

        assert len(await sandbox.pull()) == 1
        assert await sandbox.get("/sms/1/reports") == {"results": []}
        assert await sandbox.get("/sms/3/reports") == {"results": []}
        await sandbox.send()
        await sandbox.advance("1m")
        assert len(await sandbox.pull(3)) == 1


async def test_concurrent_pulls_share_the_reports(tmp_path: Path) -> None:
    """Of many who ask at once each report goes to one of them."""
    numbers = [str(41790000000 + n) for n in range(100)]
    async with playing(tmp_path) as sandbox:
        sent = await sandbox.send(*numbers)
        await sandbox.advance("1m")
        pulls = await asyncio.gather(*(sandbox.pull(1 + 2 * (n % 2), limit=7) for n in range(20)))

        ids = [each["messageId"] for pull in pulls for each in pull]
        assert len(ids) == len(set(ids)) == 100
        assert set(ids) == {each["messageId"] for each in sent["messages"]}


async def test_reports_wait_for_two_days(tmp_path: Path) -> None:
    """A report that nobody fetched within 48 hours is not handed out any more."""
    async with playing(tmp_path) as sandbox:
        await sandbox.send()
        await sandbox.advance("47h")
        await sandbox.send()
        await sandbox.advance("1h")
        await sandbox.advance("1m")

        assert [each["sentAt"][:13] for each in await sandbox.pull()] == ["2026-03-04T11"]


async def test_the_shape_is_that_of_the_route(tmp_path: Path) -> None:
    """/sms/1 answers in the shape of v1 and v2, /sms/3 in that of v3, whatever the sending was."""
    async with playing(tmp_path) as sandbox:
        await sandbox.send("41790000001", "41790000002")
        await sandbox.advance("1m")
        (first,) = await sandbox.pull(1, limit=1)
        (second,) = await sandbox.pull(3, limit=1)

        assert (first["from"], first["smsCount"], "sender" in first) == ("InfoSMS", 1, False)
        assert (second["sender"], second["messageCount"], "from" in second) == ("InfoSMS", 1, False)
        assert (first["to"], second["to"]) == ("41790000001", "41790000002")


@pytest.mark.parametrize("version", [1, 3])
async def test_reports_in_xml(tmp_path: Path, version: int) -> None:
    """Who accepts XML gets it, under the root that the provider documents."""
    async with playing(tmp_path) as sandbox:
        await sandbox.send()
        await sandbox.advance("1m")
        accept = {"Accept": "application/xml"}
        async with sandbox.client.get(f"/sms/{version}/reports", headers=accept) as response:
            text = await response.text()

        assert response.headers["Content-Type"] == "application/xml; charset=utf-8"
        root = {1: "reportResponse", 3: "DeliveryReports"}[version]
        assert f"<{root}><results><result>" in text


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"bulkId": "B"}, ["41790000001", "41790000002"]),
        ({"messageId": "m3"}, ["41790000003"]),
        ({"applicationId": "app"}, ["41790000003"]),
        ({"entityId": "entity"}, ["41790000003"]),
        ({"campaignReferenceId": "spring"}, ["41790000003"]),
        ({"bulkId": "B", "messageId": "m3"}, []),
        ({"limit": 1}, ["41790000001"]),
        ({"somethingNew": "1"}, ["41790000001", "41790000002", "41790000003"]),
    ],
)
async def test_filters_of_reports(tmp_path: Path, query: dict[str, Any], found: list[str]) -> None:
    """All filters must hold; what is not asked for stays for the next who asks."""
    async with playing(tmp_path) as sandbox:
        await send_three(sandbox)

        assert [each["to"] for each in await sandbox.pull(**query)] == found
        assert len(await sandbox.pull()) == 3 - len(found)


async def send_three(sandbox: Played) -> None:
    await sandbox.send("41790000001", "41790000002", bulk={"bulkId": "B"})
    body = {
        "messages": [
            {
                "sender": "Other",
                "destinations": [{"to": "41790000003", "messageId": "m3"}],
                "content": {"text": "hello"},
                "options": {
                    "platform": {"applicationId": "app", "entityId": "entity"},
                    "campaignReferenceId": "spring",
                },
            }
        ]
    }
    assert (await sandbox.ask("POST", "/sms/3/messages", json=body))[0] == 200
    await sandbox.advance("1m")


@pytest.mark.parametrize("limit", ["0", "1001", "many"])
async def test_limits(tmp_path: Path, limit: str) -> None:
    """Limits are from 1 to 1000, each generation refusing others in its shape of errors."""
    async with playing(tmp_path) as sandbox:
        old = await sandbox.ask("GET", "/sms/1/reports", params={"limit": limit})
        new = await sandbox.ask("GET", "/sms/3/logs", params={"limit": limit})

        assert old[0] == new[0] == 400
        assert list(old[1]["requestError"]["serviceException"]["validationErrors"]) == ["limit"]
        assert new[1]["violations"][0]["property"] == "limit"


# --- logs --------------------------------------------------------------------------------------


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


# --- conversions and credentials ---------------------------------------------------------------


async def test_conversions(tmp_path: Path) -> None:
    """The end of a conversion is answered with a process key, for a message that there is."""
    async with playing(tmp_path) as sandbox:
        sent = await sandbox.send()
        message = sent["messages"][0]["messageId"]

        status, fields = await sandbox.ask("POST", f"/ct/1/log/end/{message}")
        assert (status, len(fields["processKey"])) == (200, 32)
        assert (await sandbox.ask("POST", f"/ct/1/log/end/{message}"))[1] == fields
        status, fields = await sandbox.ask("POST", "/ct/1/log/end/other")
        assert (status, fields["requestError"]["serviceException"]["text"]) == (404, "Not found")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/sms/1/reports"),
        ("GET", "/sms/3/logs"),
        ("PUT", "/sms/1/bulks"),
        ("POST", "/ct/1/log/end/m1"),
    ],
)
async def test_a_missing_header(tmp_path: Path, method: str, path: str) -> None:
    """Without credentials the provider's routes answer 401."""
    async with playing(tmp_path) as sandbox:
        status, _ = await sandbox.ask(method, path, headers={"Authorization": ""})

        assert status == 401


async def test_a_rejected_message_costs_nothing(tmp_path: Path) -> None:
    """The report of a rejected message has the price 0."""
    async with playing(tmp_path) as sandbox:
        await sandbox.send(REJECTED)
        await sandbox.advance("1m")

        assert [each["price"]["pricePerMessage"] for each in await sandbox.pull()] == [0]
