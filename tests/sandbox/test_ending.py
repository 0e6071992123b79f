"""The end of a message is told by hand: it is delivered, expires or is rejected now."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.processes import customer
from tests.sandbox.playing import (
    SILENT,
    SLOW,
    START,
    TWICE,
    WITH_OPERATOR,
    Played,
    playing,
)

TOMORROW = (START + timedelta(days=1)).isoformat(timespec="milliseconds")


async def end(sandbox: Played, status: str, **more: Any) -> tuple[int, Any]:
    """End the first message."""
    message_id = (await sandbox.messages())[0]["messageId"]
    path = f"/sandbox/messages/{message_id}/outcome"
    return await sandbox.ask("POST", path, json={"status": status, **more})


@pytest.mark.parametrize(
    ("status", "error"),
    [
        ("DELIVERED_TO_HANDSET", "NO_ERROR"),
        ("EXPIRED_EXPIRED", "EC_VALIDITY_EXPIRED"),
        ("UNDELIVERABLE_NOT_DELIVERED", "EC_ABSENT_SUBSCRIBER"),
        ("REJECTED_NETWORK", "NO_ERROR"),
    ],
)
@pytest.mark.parametrize(
    "message",
    [
        {"sendAt": TOMORROW},
        {"sendAt": TOMORROW, "intermediateReport": True},
        {"destinations": [{"to": SLOW}], "intermediateReport": True},
        {"destinations": [{"to": SILENT}]},
        {"destinations": [{"to": TWICE}], "sendAt": TOMORROW},
    ],
    ids=["waits", "waits and tells", "on its way", "for ever on its way", "told twice"],
)
async def test_it_ends_at_once(
    tmp_path: Path, status: str, error: str, message: dict[str, Any]
) -> None:
    """However far it has come, the end is now, and is told with what was to be told before it.
    Nothing else comes later, but for a copy that its recipient stands for."""
    async with playing(tmp_path) as sandbox:
        to = message.get("destinations", [{"to": "41790000001"}])[0]["to"]
        await sandbox.send(to, **{k: v for k, v in message.items() if k != "destinations"})

        code, ended = await end(sandbox, status)

        assert code == 200, ended
        assert (ended["state"], ended["status"]["name"]) == ("ended", status)
        assert (ended["error"]["name"], ended["doneAt"]) == (error, "2026-03-02T12:00:00.000Z")
        told = await sandbox.pulled()
        assert told[-1] == status
        assert told.count(status) == 1
        if message.get("intermediateReport"):
            assert told[0] == "PENDING_ACCEPTED"
        await sandbox.advance("47h")  # the pull routes keep 48
        assert await sandbox.pulled() == ([status] if to == TWICE else [])


async def test_it_is_pushed_and_another_error_told(tmp_path: Path) -> None:
    """The report goes to the message's notifyUrl, with the error that was asked for."""
    async with customer() as app, playing(tmp_path) as sandbox:
        await sandbox.send(SLOW, notifyUrl=app.url)
        await end(sandbox, "UNDELIVERABLE_NOT_DELIVERED", error="EC_CALL_BARRED")
        await sandbox.advance("0s")

        assert b'"name":"EC_CALL_BARRED"' in app.pushes[0].body


async def test_the_operators_word_is_not_the_last(tmp_path: Path) -> None:
    """DELIVERED_TO_OPERATOR is not final: the handset may follow."""
    async with playing(tmp_path) as sandbox:
        await sandbox.send(WITH_OPERATOR)
        await sandbox.advance("1m")

        assert (await end(sandbox, "DELIVERED_TO_HANDSET"))[0] == 200
        assert await sandbox.pulled() == ["DELIVERED_TO_OPERATOR", "DELIVERED_TO_HANDSET"]


async def test_a_paused_message_ends(tmp_path: Path) -> None:
    """A bulk that is paused holds its messages up, and not this."""
    async with playing(tmp_path) as sandbox:
        bulk = {"bulkId": "B"}
        await sandbox.send(SLOW, "41790000001", bulk=bulk, sendAt=TOMORROW)
        await sandbox.ask("PUT", "/sms/1/bulks/status?bulkId=B", json={"status": "PAUSED"})
        await sandbox.advance("5d")

        assert (await end(sandbox, "DELIVERED_TO_HANDSET"))[0] == 200
        assert [each["state"] for each in await sandbox.messages()] == ["ended", "waiting"]


async def test_what_cannot_end(tmp_path: Path) -> None:
    """A message ends once. A status must be final and known; a refused message is none."""
    async with playing(tmp_path) as sandbox:
        await sandbox.send(SLOW)
        for said in ({"status": "PENDING_ENROUTE"}, {"status": "LOST"}, {}):
            code, _ = await end(sandbox, said.get("status", ""))
            assert code == 400, said
        assert (await end(sandbox, "EXPIRED_EXPIRED"))[0] == 200
        code, told = await end(sandbox, "DELIVERED_TO_HANDSET")
        assert (code, told["error"]["code"]) == (409, "has_ended")
        assert told["error"]["message"] == "the message has already ended with EXPIRED_EXPIRED"
        for name in ("nobody", (await sandbox.send("12"))["messages"][0]["messageId"]):
            path = f"/sandbox/messages/{name}/outcome"
            body = {"status": "EXPIRED_EXPIRED"}
            assert (await sandbox.ask("POST", path, json=body))[0] == 404


async def test_rules_are_listed_and_taken_back(tmp_path: Path) -> None:
    """Those of the settings stay, and what was sent keeps its outcome."""
    text = '[[sandbox.outcome]]\nto = "49*"\nstatus = "REJECTED_DND"\n'
    async with playing(tmp_path, text) as sandbox:
        rule = {"to": "41*", "status": "EXPIRED_EXPIRED", "callbackData": "x"}
        await sandbox.ask("POST", "/sandbox/outcomes", json={**rule, "after": "1h"})
        found = (await sandbox.get("/sandbox/outcomes"))["outcomes"]
        await sandbox.send("41790000001", callbackData="x")
        left = await sandbox.ask("DELETE", "/sandbox/outcomes")
        await sandbox.send("41790000002", callbackData="x")
        await sandbox.advance("2h")

        assert [each["to"] for each in found] == ["41*", "49*"]
        assert (found[0]["after"], found[0]["callbackData"], found[0]["share"]) == ("1h", "x", 1.0)
        assert [each["to"] for each in left[1]["outcomes"]] == ["49*"]
        assert await sandbox.statuses() == ["EXPIRED_EXPIRED", "DELIVERED_TO_HANDSET"]
