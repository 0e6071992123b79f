"""Messages that are sent to a running sandbox, and what its clock brings them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.end_to_end.processes import customer
from tests.sandbox.playing import (
    DELIVERED,
    NEVER_REACHED,
    OVERTAKES,
    REJECTED,
    SILENT,
    SLOW,
    TWICE,
    UNDELIVERABLE,
    WITH_OPERATOR,
    playing,
)

NOON = "2026-03-02T12:00:00.000+0000"


@pytest.mark.parametrize(
    ("number", "reported"),
    [
        (DELIVERED, ["PENDING_ACCEPTED", "PENDING_ENROUTE", "DELIVERED_TO_HANDSET"]),
        (WITH_OPERATOR, ["PENDING_ACCEPTED", "PENDING_ENROUTE", "DELIVERED_TO_OPERATOR"]),
        (UNDELIVERABLE, ["PENDING_ACCEPTED", "PENDING_ENROUTE", "UNDELIVERABLE_NOT_DELIVERED"]),
        (NEVER_REACHED, ["PENDING_ACCEPTED", "PENDING_ENROUTE"]),
        (REJECTED, ["PENDING_ACCEPTED", "REJECTED_DESTINATION_BLOCKLISTED"]),
        (OVERTAKES, ["PENDING_ACCEPTED", "DELIVERED_TO_HANDSET", "PENDING_ENROUTE"]),
        (
            TWICE,
            ["PENDING_ACCEPTED", "PENDING_ENROUTE", "DELIVERED_TO_HANDSET", "DELIVERED_TO_HANDSET"],
        ),
        (SLOW, ["PENDING_ACCEPTED", "PENDING_ENROUTE"]),
        (SILENT, ["PENDING_ACCEPTED", "PENDING_ENROUTE"]),
    ],
)
async def test_magic_recipients(tmp_path: Path, number: str, reported: list[str]) -> None:
    """Each magic recipient has had within a minute what the guide says."""
    async with playing(tmp_path) as sandbox:
        await sandbox.send(number, intermediateReport=True)
        await sandbox.advance("1m")

        assert await sandbox.pulled() == reported


@pytest.mark.parametrize(
    ("number", "by", "status"),
    [(SLOW, "1h", "DELIVERED_TO_HANDSET"), (NEVER_REACHED, "2d", "EXPIRED_EXPIRED")],
)
async def test_magic_recipients_in_the_end(
    tmp_path: Path, number: str, by: str, status: str
) -> None:
    """The slow one is reached after an hour, and of the one never reached the validity runs out."""
    async with playing(tmp_path) as sandbox:
        await sandbox.send(number)
        await sandbox.advance(by)

        assert await sandbox.pulled() == [status]


async def test_a_report_of_v2(tmp_path: Path) -> None:
    """A report says all that the provider documents, in the fields of its generation."""
    async with playing(tmp_path) as sandbox:
        sent = await sandbox.send(
            "41793026727",
            bulk={"bulkId": "BULK-1"},
            callbackData="order 4711",
            entityId="e",
            applicationId="a",
            campaignReferenceId="c",
        )
        await sandbox.advance("1m")

        assert await sandbox.pull() == [
            {
                "bulkId": "BULK-1",
                "messageId": sent["messages"][0]["messageId"],
                "to": "41793026727",
                "from": "InfoSMS",
                "sentAt": NOON,
                "doneAt": "2026-03-02T12:00:02.000+0000",
                "smsCount": 1,
                "mccMnc": "22801",
                "callbackData": "order 4711",
                "price": {"pricePerMessage": 0.01, "currency": "EUR"},
                "status": {
                    "groupId": 3,
                    "groupName": "DELIVERED",
                    "id": 5,
                    "name": "DELIVERED_TO_HANDSET",
                    "description": "Message delivered to handset",
                },
                "error": {
                    "groupId": 0,
                    "groupName": "Ok",
                    "id": 0,
                    "name": "NO_ERROR",
                    "description": "No Error",
                    "permanent": False,
                },
                "entityId": "e",
                "applicationId": "a",
                "campaignReferenceId": "c",
            }
        ]


async def test_a_report_of_v3_goes_to_its_url(tmp_path: Path) -> None:
    """A v3 message is reported in the shape of v3 to its own URL, as XML if that is asked for."""
    async with customer() as app, playing(tmp_path) as sandbox:
        body = {
            "messages": [
                {
                    "sender": "InfoSMS",
                    "destinations": [{"to": "41793026727", "messageId": "m1"}],
                    "content": {"text": "hello"},
                    "webhooks": {
                        "delivery": {"url": f"{app.url}/hook"},
                        "contentType": "application/xml",
                        "callbackData": "4711",
                    },
                }
            ]
        }
        status, _ = await sandbox.ask("POST", "/sms/3/messages", json=body)
        await sandbox.advance("1m")

        (push,) = app.acknowledged
        assert (status, push.path, push.content_type) == (200, "/hook", "application/xml")
        assert b"<DeliveryReports><results><result>" in push.body
        assert b"<messageCount>1</messageCount>" in push.body
        assert b"<callbackData>4711</callbackData>" in push.body
        assert await sandbox.pull() == []


async def test_messages_of_one_request_go_in_one_push(tmp_path: Path) -> None:
    """The reports of 100 recipients with one notifyUrl go together, up to 100 in a request."""
    numbers = [str(41790000000 + n) for n in range(150)]
    async with customer() as app, playing(tmp_path) as sandbox:
        await sandbox.send(*numbers, notifyUrl=app.url)
        await sandbox.advance("1m")

        assert sorted(len(push.message_ids) for push in app.pushes) == [50, 100]


async def test_the_accounts_subscription(tmp_path: Path) -> None:
    """Without a URL of its own a report goes to the endpoint that takes it; others wait."""
    async with customer() as account:
        endpoint = (
            f'[[endpoint]]\nname = "account"\nurl = "{account.url}"\nreports = "final"\n'
            'sources = ["sandbox"]\n'
        )
        async with playing(tmp_path, endpoint) as sandbox:
            await sandbox.send(intermediateReport=True)
            await sandbox.advance("1m")

            (push,) = account.pushes
            assert b"DELIVERED_TO_HANDSET" in push.body
            assert await sandbox.pulled() == ["PENDING_ACCEPTED", "PENDING_ENROUTE"]


async def test_a_url_of_its_own_goes_before_the_subscription(tmp_path: Path) -> None:
    """A report that came with a URL goes there and nowhere else."""
    async with customer() as app, customer() as account:
        endpoint = f'[[endpoint]]\nname = "account"\nurl = "{account.url}"\n'
        async with playing(tmp_path, endpoint) as sandbox:
            await sandbox.send(notifyUrl=app.url)
            await sandbox.advance("1m")

        assert (len(app.pushes), len(account.pushes)) == (1, 0)


async def test_an_outage_in_between(tmp_path: Path) -> None:
    """From sending to an acknowledged push: the app is down for ten minutes, and each retry is made
    at the very instant of the provider's schedule."""
    up = asyncio.Event()
    async with customer(lambda _: 200 if up.is_set() else 503) as app, playing(tmp_path) as sandbox:
        await sandbox.send(notifyUrl=app.url)
        failed = await sandbox.advance("10m")
        up.set()
        done = await sandbox.advance("1d")

        assert (failed["steps"], failed["reports"], failed["attempts"]) == (1, 1, 4)
        assert (done["steps"], done["attempts"]) == (0, 1)
        (dispatch,) = await sandbox.dispatches()
        assert dispatch["state"] == "acknowledged"
        assert [each["startedAt"] for each in dispatch["history"]] == [
            f"2026-03-02T12:{minutes}:02.000Z" for minutes in ("00", "01", "03", "08", "18")
        ]
        assert len({push.dispatch for push in app.pushes}) == 1
        assert len({push.body for push in app.pushes}) == 1
        assert len(app.acknowledged) == 1


async def test_the_data_is_lost_after_41_hours_and_a_half(tmp_path: Path) -> None:
    """An app that stays down gets 21 attempts, the last one 41:30 h after the first."""
    async with customer(lambda _: 500) as app, playing(tmp_path) as sandbox:
        await sandbox.send(notifyUrl=app.url)
        done = await sandbox.advance("3d")

        (dispatch,) = await sandbox.dispatches()
        assert (done["attempts"], dispatch["state"]) == (21, "exhausted")
        assert dispatch["history"][-1]["startedAt"] == "2026-03-04T05:30:02.000Z"


async def test_advance_waits_for_what_is_under_way(tmp_path: Path) -> None:
    """The clock does not pass an attempt that has no answer yet."""
    async with customer() as app, playing(tmp_path) as sandbox:
        await sandbox.send(notifyUrl=app.url)
        app.may_answer.clear()
        moving = asyncio.create_task(sandbox.advance("1h"))
        await app.came.reach(1)
        assert not moving.done()
        assert (await sandbox.dispatches())[0]["createdAt"] == "2026-03-02T12:00:02.000Z"
        assert (await sandbox.messages())[0]["status"]["name"] == "DELIVERED_TO_HANDSET"
        app.may_answer.set()

        assert (await moving)["now"] == "2026-03-02T13:00:00.000Z"


async def test_time_is_moved_in_order(tmp_path: Path) -> None:
    """What is due on the way happens in the order of its instants, whichever message it is of."""
    async with playing(tmp_path) as sandbox:
        await sandbox.send(SLOW, sendAt="2026-03-02T13:00:00.000+0000")
        await sandbox.send(SLOW)
        await sandbox.send(DELIVERED, sendAt="2026-03-02T13:30:00.000+0000")
        await sandbox.advance("1d")

        done = [each["doneAt"] for each in await sandbox.pull()]
        assert done == [
            "2026-03-02T13:00:00.000+0000",
            "2026-03-02T13:30:02.000+0000",
            "2026-03-02T14:00:00.000+0000",
        ]


async def test_a_duplicate_message_id(tmp_path: Path) -> None:
    """A messageId that was used is rejected in the answer, also twice in one request; no report
    tells of it. One that was refused may be used again."""
    async with playing(tmp_path) as sandbox:
        to = {"to": DELIVERED, "messageId": "m1"}
        twice = {"messages": [{"from": "InfoSMS", "text": "hi", "destinations": [to, to]}]}
        _, first = await sandbox.ask("POST", "/sms/2/text/advanced", json=twice)
        _, again = await sandbox.ask("POST", "/sms/2/text/advanced", json=twice)
        await sandbox.advance("1m")

        told = [m["status"]["name"] for m in (*first["messages"], *again["messages"])]
        assert told == ["PENDING_ACCEPTED", *["REJECTED_DUPLICATE_MESSAGE_ID"] * 3]
        assert [m["messageId"] for m in again["messages"]] == ["m1", "m1"]
        assert await sandbox.pulled() == ["DELIVERED_TO_HANDSET"]


async def test_a_window_holds_messages(tmp_path: Path) -> None:
    """A message outside of its deliveryTimeWindow leaves when it opens; the clock is in UTC."""
    window = {
        "days": ["TUESDAY"],
        "from": {"hour": 9, "minute": 0},
        "to": {"hour": 11, "minute": 0},
    }
    async with playing(tmp_path) as sandbox:
        await sandbox.send(deliveryTimeWindow=window)
        await sandbox.advance("20h")
        assert await sandbox.pulled() == []
        await sandbox.advance("2h")

        assert [each["sentAt"] for each in await sandbox.pull()] == ["2026-03-03T09:00:00.000+0000"]


async def test_a_speed_limit_spaces_messages(tmp_path: Path) -> None:
    """With sendingSpeedLimit the messages of a bulk leave one after the other."""
    async with playing(tmp_path) as sandbox:
        limit = {"sendingSpeedLimit": {"amount": 2, "timeUnit": "MINUTE"}}
        await sandbox.send("41790000001", "41790000002", "41790000003", bulk=limit)
        await sandbox.advance("5m")

        assert [each["sentAt"][11:19] for each in await sandbox.pull()] == [
            "12:00:00",
            "12:00:30",
            "12:01:00",
        ]
