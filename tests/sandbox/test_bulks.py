"""Scheduled bulks: seen, moved, held, let go on, cancelled."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest

from dispatcher.sandbox.messages.bulks import TRANSITIONS, BulkStatus
from tests.sandbox.playing import Played, playing

AT_TWO = "2026-03-02T14:00:00.000+0000"
AT_SIX = "2026-03-02T18:00:00.000+0000"


async def scheduled(sandbox: Played, *numbers: str, **more: Any) -> None:
    """The bulk B, to be sent at two."""
    bulk = {"bulkId": "B", **more}
    await sandbox.send(*(numbers or ("41790000001",)), bulk=bulk, sendAt=AT_TWO)


async def status_of(sandbox: Played) -> str:
    fields = await sandbox.get("/sms/1/bulks/status", bulkId="B")
    assert fields["bulkId"] == "B"
    return str(fields["status"])


async def set_status(sandbox: Played, status: str) -> tuple[int, Any]:
    path = "/sms/1/bulks/status?bulkId=B"
    return await sandbox.ask("PUT", path, json={"status": status})


async def send_instants(sandbox: Played) -> list[str]:
    return [each["sentAt"][11:16] for each in await sandbox.pull()]


@pytest.mark.parametrize("slash", ["", "/"])
async def test_it_can_be_seen(tmp_path: Path, slash: str) -> None:
    """A bulk tells when it is sent and where it stands, with a slash behind the path or without."""
    async with playing(tmp_path) as sandbox:
        await scheduled(sandbox)

        assert await sandbox.get(f"/sms/1/bulks{slash}?bulkId=B") == {
            "bulkId": "B",
            "sendAt": AT_TWO,
        }
        assert await sandbox.get(f"/sms/1/bulks/status{slash}?bulkId=B") == {
            "bulkId": "B",
            "status": "PENDING",
        }


async def test_it_goes_through_its_statuses(tmp_path: Path) -> None:
    """PENDING until the first message leaves, PROCESSING until the last has left, then FINISHED."""
    async with playing(tmp_path) as sandbox:
        speed = {"sendingSpeedLimit": {"amount": 1, "timeUnit": "HOUR"}}
        await scheduled(sandbox, "41790000001", "41790000002", **speed)

        assert await status_of(sandbox) == "PENDING"
        await sandbox.advance("2h")
        assert await status_of(sandbox) == "PROCESSING"
        await sandbox.advance("1h")
        assert await status_of(sandbox) == "FINISHED"


async def test_it_is_moved(tmp_path: Path) -> None:
    """A moved bulk is sent at its new time and not at the old one; earlier is possible too."""
    async with playing(tmp_path) as sandbox:
        await scheduled(sandbox)
        path = "/sms/1/bulks?bulkId=B"
        status, fields = await sandbox.ask("PUT", path, json={"sendAt": AT_SIX})
        await sandbox.advance("3h")

        assert (status, fields) == (200, {"bulkId": "B", "sendAt": AT_SIX})
        assert await send_instants(sandbox) == []
        await sandbox.ask("PUT", path, json={"sendAt": "2026-03-02T16:30:00+01:00"})
        await sandbox.advance("1h")
        assert await send_instants(sandbox) == ["15:30"]


async def test_it_is_moved_in_xml(tmp_path: Path) -> None:
    """Bulks are moved and answered in XML too."""
    async with playing(tmp_path) as sandbox:
        await scheduled(sandbox)
        body = f"<BulkRequest><sendAt>{AT_SIX}</sendAt></BulkRequest>"
        headers = {"Content-Type": "application/xml", "Accept": "application/xml"}
        async with sandbox.client.put(
            "/sms/1/bulks/?bulkId=B", data=body, headers=headers
        ) as response:
            text = await response.text()

        assert response.status == 200
        assert f"<BulkResponse><bulkId>B</bulkId><sendAt>{AT_SIX}</sendAt></BulkResponse>" in text


async def test_it_is_held_and_let_go_on(tmp_path: Path) -> None:
    """Nothing of a paused bulk is sent, however long; let go on, it is sent at once if it is late,
    and its validity has not run out meanwhile."""
    async with playing(tmp_path) as sandbox:
        await scheduled(sandbox)
        assert await set_status(sandbox, "PAUSED") == (200, {"bulkId": "B", "status": "PAUSED"})
        await sandbox.advance("3d")
        assert await sandbox.pull() == []
        assert await status_of(sandbox) == "PAUSED"
        assert (await set_status(sandbox, "PENDING"))[0] == 200
        await sandbox.advance("1m")

        (report,) = await sandbox.pull()
        assert report["status"]["name"] == "DELIVERED_TO_HANDSET"
        assert report["sentAt"] == "2026-03-05T12:00:00.000+0000"


async def test_it_is_moved_while_it_is_held(tmp_path: Path) -> None:
    """A paused bulk can be moved, and stays paused."""
    async with playing(tmp_path) as sandbox:
        await scheduled(sandbox)
        await set_status(sandbox, "PAUSED")
        await sandbox.ask("PUT", "/sms/1/bulks?bulkId=B", json={"sendAt": AT_SIX})
        await sandbox.advance("3h")
        await set_status(sandbox, "PENDING")
        await sandbox.advance("4h")

        assert await send_instants(sandbox) == ["18:00"]


async def test_it_is_cancelled(tmp_path: Path) -> None:
    """What waits of a cancelled bulk is not sent, and its reports say so; what has left goes on."""
    async with playing(tmp_path) as sandbox:
        speed = {"sendingSpeedLimit": {"amount": 1, "timeUnit": "HOUR"}}
        await scheduled(sandbox, "41790000001", "41790000002", **speed)
        await sandbox.advance("2h")
        assert (await set_status(sandbox, "CANCELED"))[1]["status"] == "CANCELED"
        await sandbox.advance("1d")

        told = {each["to"]: each for each in await sandbox.pull()}
        assert told["41790000001"]["status"]["name"] == "DELIVERED_TO_HANDSET"
        assert told["41790000002"]["status"]["name"] == "UNDELIVERABLE_NOT_SENT"
        assert told["41790000002"]["error"]["name"] == "EC_MESSAGE_CANCELED"
        assert await status_of(sandbox) == "CANCELED"


@pytest.mark.parametrize("wanted", get_args(BulkStatus))
@pytest.mark.parametrize("first", ["PENDING", "PAUSED", "CANCELED", "FINISHED"])
async def test_transitions(tmp_path: Path, first: BulkStatus, wanted: BulkStatus) -> None:
    """A bulk goes where the table leads; elsewhere is a 400 that says where it stands."""
    async with playing(tmp_path) as sandbox:
        await scheduled(sandbox)
        if first == "FINISHED":
            await sandbox.advance("1d")
        elif first != "PENDING":
            await set_status(sandbox, first)
        status, fields = await set_status(sandbox, wanted)

        assert status == (200 if wanted in TRANSITIONS[first] else 400)
        if status == 400:
            told = fields["requestError"]["serviceException"]["validationErrors"]["status"]
            assert told == [f"the bulk is {first} and cannot become {wanted}"]


async def test_a_bulk_of_refused_messages_has_failed(tmp_path: Path) -> None:
    """A bulk without a message that was accepted is FAILED."""
    async with playing(tmp_path) as sandbox:
        await sandbox.send("no number", bulk={"bulkId": "B"})

        assert await status_of(sandbox) == "FAILED"


@pytest.mark.parametrize("path", ["/sms/1/bulks", "/sms/1/bulks/status/"])
async def test_unknown_bulks(tmp_path: Path, path: str) -> None:
    """An unknown bulk is a 404 in the provider's words, none at all a 400."""
    async with playing(tmp_path) as sandbox:
        status, fields = await sandbox.ask("GET", f"{path}?bulkId=other")

        assert (status, fields["requestError"]["serviceException"]) == (
            404,
            {"messageId": "NOT_FOUND", "text": "Bulk not found"},
        )
        assert (await sandbox.ask("GET", path))[0] == 400


@pytest.mark.parametrize(
    "body",
    [{}, {"sendAt": None}, {"sendAt": "at six"}, {"sendAt": "2027-03-02T12:00:00.000+0000"}, []],
)
async def test_instants_that_cannot_be_used(tmp_path: Path, body: Any) -> None:
    """A bulk is moved to an instant at most 180 days ahead."""
    async with playing(tmp_path) as sandbox:
        await scheduled(sandbox)

        assert (await sandbox.ask("PUT", "/sms/1/bulks?bulkId=B", json=body))[0] == 400
        assert (await sandbox.get("/sms/1/bulks?bulkId=B"))["sendAt"] == AT_TWO


async def test_a_finished_bulk_is_not_moved(tmp_path: Path) -> None:
    """What was sent cannot be sent at another time."""
    async with playing(tmp_path) as sandbox:
        await scheduled(sandbox)
        await sandbox.advance("1d")

        status, _ = await sandbox.ask("PUT", "/sms/1/bulks?bulkId=B", json={"sendAt": AT_SIX})
        assert status == 400


async def test_more_messages_let_a_paused_bulk_go_on(tmp_path: Path) -> None:
    """A bulk to which messages are added is open again, with all that waited in it. It said PENDING
    then, but what had been paused never left."""
    async with playing(tmp_path) as sandbox:
        await scheduled(sandbox)
        await set_status(sandbox, "PAUSED")
        await sandbox.advance("3h")
        await scheduled(sandbox, "41790000002")
        await sandbox.advance("1h")

        assert await status_of(sandbox) == "FINISHED"
        assert await send_instants(sandbox) == ["15:00", "15:00"]
