"""The provider's pull endpoints, conversions, and who may ask."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.playing import REJECTED, playing, send_three


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


@pytest.mark.parametrize("limit", ["0", "1001", "many"])
async def test_limits(tmp_path: Path, limit: str) -> None:
    """Limits are from 1 to 1000, each generation refusing others in its shape of errors."""
    async with playing(tmp_path) as sandbox:
        old = await sandbox.ask("GET", "/sms/1/reports", params={"limit": limit})
        new = await sandbox.ask("GET", "/sms/3/logs", params={"limit": limit})

        assert old[0] == new[0] == 400
        assert list(old[1]["requestError"]["serviceException"]["validationErrors"]) == ["limit"]
        assert new[1]["violations"][0]["property"] == "limit"


# --- conversions and credentials ---------------------------------------------------------------


async def test_conversions(tmp_path: Path) -> None:
    """The end of a conversion is answered with the process key of the request, and is seen at the
    message from then on; the first time counts."""
    async with playing(tmp_path) as sandbox:
        sent = await sandbox.send(bulk={"tracking": {"track": "SMS", "type": "ONE_TIME_PIN"}})
        message = sent["messages"][0]["messageId"]
        assert [each["convertedAt"] for each in await sandbox.messages()] == [None]
        answer = await sandbox.ask("POST", f"/ct/1/log/end/{message}")
        await sandbox.advance("1h")

        assert answer == (200, {"processKey": sent["trackingProcessKey"]})
        assert await sandbox.ask("POST", f"/ct/1/log/end/{message}") == answer
        (shown,) = await sandbox.messages()
        assert shown["convertedAt"] == "2026-03-02T12:00:00.000Z"


async def test_conversions_that_are_not_tracked(tmp_path: Path) -> None:
    """A message whose conversion nobody tracks is as unknown as one that was never sent, also if
    its clicks are tracked."""
    async with playing(tmp_path) as sandbox:
        plain = await sandbox.send()
        clicks = await sandbox.send(bulk={"urlOptions": {"trackingUrl": "http://127.0.0.1:9/"}})
        ids = [each["messages"][0]["messageId"] for each in (plain, clicks)]

        for message in (*ids, "other"):
            status, fields = await sandbox.ask("POST", f"/ct/1/log/end/{message}")
            assert status == 404
            assert fields["requestError"]["serviceException"] == {
                "messageId": "NOT_FOUND",
                "text": "Not found",
            }
        assert {each["convertedAt"] for each in await sandbox.messages()} == {None}


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
