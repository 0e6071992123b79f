"""What the provider's documents say in passing, or in two ways, and the sandbox once did by half.

dispatcher/sandbox/fields.md lists all that they say with the tests that hold it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import time
from pathlib import Path
from typing import Any

import pytest

from dispatcher.sandbox.messages.send import DeliveryTimeWindow
from dispatcher.settings.sandbox import SandboxSettings
from tests.end_to_end.processes import customer
from tests.sandbox.playing import Played, playing
from tests.sandbox.sending import AUTHORIZATION, Sending, a_text, a_v3, sending, v2, v3

NUMBER = "41793026727"
LONG_BULK = "B" * 150
LONG_ID = "m" * 250
PAST = "2021-08-25T16:00:00.000+0000"
"""The `sendAt` of the provider's samples."""


@pytest.fixture
async def provider() -> AsyncIterator[Sending]:
    async with sending() as served:
        yield served


# --- deliveryTimeWindow ------------------------------------------------------------------------


def _night(*days: str) -> dict[str, Any]:
    at_ten, at_six = {"hour": 22, "minute": 0}, {"hour": 6, "minute": 0}
    return {"days": list(days), "from": at_ten, "to": at_six}


async def test_a_window_over_midnight(provider: Sending) -> None:
    """A quiet shop sends from 22:00 to 06:00. The documents want an hour between the two and do
    not say that `to` is the later; the sandbox answered 400."""
    night = DeliveryTimeWindow(frozenset({0}), time(22), time(6))

    of_v2 = await v2(provider, a_text(deliveryTimeWindow=_night("MONDAY")))
    of_v3 = await v3(provider, a_v3(options={"deliveryTimeWindow": _night("MONDAY")}))

    assert of_v2.messages[0].window == of_v3.messages[0].window == night


async def test_a_message_in_a_window_over_midnight(tmp_path: Path) -> None:
    """On Monday at noon a message for the night waits until 22:00; one that could leave on Tuesday
    at 05:00 leaves then, because Monday's window is still open."""
    window = _night("MONDAY", "TUESDAY")
    async with playing(tmp_path) as sandbox:
        await sandbox.send(deliveryTimeWindow=window)
        await sandbox.send(deliveryTimeWindow=window, sendAt="2026-03-03T05:00:00.000+0000")
        await sandbox.send(deliveryTimeWindow=window, sendAt="2026-03-03T06:00:00.000+0000")

        left = [each["leavesAt"][8:16] for each in await sandbox.messages()]
        assert left == ["02T22:00", "03T05:00", "03T22:00"]


@pytest.mark.parametrize(
    ("days", "meant"),
    [
        (["MONDAY,TUESDAY"], {0, 1}),
        (["MONDAY, TUESDAY", "SUNDAY"], {0, 1, 6}),
        (["MONDAY", "TUESDAY"], {0, 1}),
    ],
)
async def test_days_with_commas(provider: Sending, days: list[str], meant: set[int]) -> None:
    """ "Separate multiple days with a comma" (S0): also in one item of the list."""
    of_v2 = await v2(provider, a_text(deliveryTimeWindow={"days": days}))
    of_v3 = await v3(provider, a_v3(options={"deliveryTimeWindow": {"days": days}}))

    assert of_v2.messages[0].window == of_v3.messages[0].window
    assert of_v2.messages[0].window == DeliveryTimeWindow(frozenset(meant))


async def test_days_with_commas_in_xml(provider: Sending) -> None:
    """In XML the days of one element may have commas too."""
    await provider.post_xml(
        "/sms/2/text/advanced",
        f"<request><messages><message><destinations><destination><to>{NUMBER}</to></destination>"
        "</destinations><text>Hi</text><deliveryTimeWindow><days>MONDAY,SUNDAY</days>"
        "</deliveryTimeWindow></message></messages></request>",
    )

    assert provider.sandbox.messages[0].window == DeliveryTimeWindow(frozenset({0, 6}))


@pytest.mark.parametrize(
    ("days", "place"),
    [(["MONDAY,FUNDAY"], "days[1]"), (["MONDAY,"], "days[1]"), ([","], "days[0]")],
)
async def test_a_day_that_is_none(provider: Sending, days: list[str], place: str) -> None:
    """Between two commas there is a day."""
    message = a_text(deliveryTimeWindow={"days": days})
    status, answer = await provider.post("/sms/2/text/advanced", {"messages": [message]})

    errors = answer["requestError"]["serviceException"]["validationErrors"]
    assert status == 400
    assert f"messages[0].deliveryTimeWindow.{place}" in errors


# --- ids that are clipped ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/sms/1/bulks", "bulkId"),
        ("/sms/1/bulks/status", "bulkId"),
        ("/sms/1/logs", "bulkId"),
        ("/sms/3/logs", "bulkId"),
        ("/sms/1/logs", "messageId"),
        ("/sms/3/logs", "messageId"),
        ("/sms/1/reports", "bulkId"),
        ("/sms/3/reports", "messageId"),
        ("/sandbox/messages", "bulkId"),
        ("/sandbox/messages", "messageId"),
    ],
)
async def test_looking_up_by_an_id_that_was_clipped(tmp_path: Path, path: str, name: str) -> None:
    """An app gives its bulk an id of 150 characters and asks for it by that: what was clipped when
    it came is clipped when it is asked for."""
    given = {"bulkId": LONG_BULK, "messageId": LONG_ID}[name]
    async with playing(tmp_path) as sandbox:
        sent = await _with_long_ids(sandbox)
        await sandbox.advance("1m")

        found = await sandbox.get(path, **{name: given})
        shown = found.get("results") or found.get("messages") or [found]
        assert [each["bulkId"] for each in shown] == [sent["bulkId"]] == [LONG_BULK[:100]]


async def test_several_ids_that_were_clipped(tmp_path: Path) -> None:
    """Each of several ids with commas is clipped by itself."""
    async with playing(tmp_path) as sandbox:
        await _with_long_ids(sandbox)

        found = await sandbox.get("/sms/1/logs", messageId=f"other,{LONG_ID}")
        assert [each["messageId"] for each in found["results"]] == [LONG_ID[:200]]


async def test_a_conversion_by_an_id_that_was_clipped(tmp_path: Path) -> None:
    """A conversion too."""
    async with playing(tmp_path) as sandbox:
        await _with_long_ids(sandbox)

        assert (await sandbox.ask("POST", f"/ct/1/log/end/{LONG_ID}"))[0] == 200


async def _with_long_ids(sandbox: Played) -> Any:
    message = {
        "destinations": [{"to": NUMBER, "messageId": LONG_ID}],
        "text": "hello",
    }
    body = {"bulkId": LONG_BULK, "messages": [message], "tracking": {"track": "SMS"}}
    status, fields = await sandbox.ask("POST", "/sms/2/text/advanced", json=body)
    assert status == 200
    return fields


# --- senders -----------------------------------------------------------------------------------


@pytest.mark.parametrize("sender", ["1" * 14, "1" * 15, "1" * 16, "CompanyName", "SMS"])
async def test_senders(provider: Sending, sender: str) -> None:
    """S1 and S3 allow 14 digits, S4 allows 16: S4 is the latest and is followed."""
    assert (await v2(provider, a_text(**{"from": sender}))).messages[0].sender == sender
    assert (await v3(provider, a_v3(sender=sender))).messages[0].sender == sender


@pytest.mark.parametrize("sender", ["1" * 17, "11", "CompanyNames"])
async def test_senders_that_are_too_long_or_short(provider: Sending, sender: str) -> None:
    """More digits than S4 has are refused, and what is no number has 3 to 11 characters."""
    body = {"messages": [a_text(**{"from": sender})]}

    assert (await provider.post("/sms/2/text/advanced", body))[0] == 400


# --- the path of 2016 --------------------------------------------------------------------------


async def test_the_old_path(provider: Sending) -> None:
    """S1's last curl sample posts to /1/sms/binary/single: it is answered as /sms/1 is."""
    body = {"from": "InfoSMS", "to": [NUMBER, "41793026834"], "binary": {"hex": "54 65"}}

    old, new = [
        await provider.post(path, body) for path in ("/1/sms/binary/single", "/sms/1/binary/single")
    ]

    assert old[0] == new[0] == 200
    assert [each["to"] for each in old[1]["messages"]] == body["to"]
    assert set(old[1]) == set(new[1]) == {"bulkId", "messages"}


async def test_the_old_path_asks_for_credentials(provider: Sending) -> None:
    """It is the provider's: without credentials it is refused in the provider's shape."""
    async with provider.client.post("/1/sms/binary/single", json={}) as answer:
        fields = await answer.json()

    assert answer.status == 401
    assert fields["requestError"]["serviceException"]["messageId"] == "UNAUTHORIZED"


# --- the statuses of answers -------------------------------------------------------------------


async def answered(sandbox: Played, path: str, body: Any) -> list[tuple[int, str, str, bool]]:
    """Of each message in an answer id, name and description of its status, and whether it is
    counted."""
    status, fields = await sandbox.ask("POST", path, json=body)
    assert status == 200, fields
    return [
        (*(each["status"][name] for name in ("id", "name", "description")), "smsCount" in each)
        for each in fields["messages"]
    ]


SINGLE = {"to": NUMBER, "text": "hello"}
ADVANCED = {"messages": [a_text(), a_text(sendAt=PAST)]}
OF_V3 = {"messages": [a_v3()], "options": {"schedule": {"sendAt": PAST}}}

SENT_ON = "Message sent to next instance"


async def test_statuses_of_answers_without_rules(tmp_path: Path) -> None:
    """v1, v2 and v3 answer 26. "Pending Accepted" are scheduled messages of v1 and v2 (S2, S3); v3
    shows one description only. v1 counts what goes at once (S2)."""
    async with playing(tmp_path) as sandbox:
        assert await answered(sandbox, "/sms/1/text/single", SINGLE) == [
            (26, "PENDING_ACCEPTED", SENT_ON, True)
        ]
        assert await answered(sandbox, "/sms/1/text/advanced", ADVANCED) == [
            (26, "PENDING_ACCEPTED", SENT_ON, True),
            (26, "PENDING_ACCEPTED", "Pending Accepted", False),
        ]
        assert await answered(sandbox, "/sms/2/text/advanced", ADVANCED) == [
            (26, "PENDING_ACCEPTED", SENT_ON, False),
            (26, "PENDING_ACCEPTED", "Pending Accepted", False),
        ]
        assert await answered(sandbox, "/sms/3/messages", OF_V3) == [
            (26, "PENDING_ACCEPTED", SENT_ON, False)
        ]


async def test_statuses_of_answers_by_rule(tmp_path: Path) -> None:
    """One suite tests code for the answers of 2016, of 2020 and of today: a rule says which of them
    a message gets. It was a setting of the whole process."""
    text = (
        '[[sandbox.outcome]]\nto = "4179*"\nanswered = "PENDING_ENROUTE"\n'
        '[[sandbox.outcome]]\nto = "49*"\nanswered = "MESSAGE_ACCEPTED"\n'
    )
    async with playing(tmp_path, text) as sandbox:
        assert await answered(sandbox, "/sms/1/text/advanced", ADVANCED) == [
            (7, "PENDING_ENROUTE", SENT_ON, True),
            (26, "PENDING_ACCEPTED", "Pending Accepted", False),  # it waits, as in S2
        ]
        assert (await answered(sandbox, "/sms/2/text/advanced", ADVANCED))[0][0] == 7
        single = {**SINGLE, "to": "491701234567"}
        assert await answered(sandbox, "/sms/1/text/single", single) == [
            (0, "MESSAGE_ACCEPTED", "Message accepted", True)
        ]
        other = {**SINGLE, "to": "33612345678"}
        assert (await answered(sandbox, "/sms/1/text/single", other))[0][0] == 26


async def test_a_rule_of_the_api_goes_before_the_status_of_the_settings(tmp_path: Path) -> None:
    """`v1_status` is for the messages of v1 that no rule speaks of."""
    async with playing(tmp_path, '[sandbox]\nv1_status = "MESSAGE_ACCEPTED"\n') as sandbox:
        assert (await answered(sandbox, "/sms/1/text/single", SINGLE))[0][0] == 0
        rule = {"to": NUMBER, "answered": "PENDING_ACCEPTED"}
        assert (await sandbox.ask("POST", "/sandbox/outcomes", json=rule))[0] == 201
        assert (await answered(sandbox, "/sms/1/text/single", SINGLE))[0][0] == 26
        await sandbox.ask("POST", "/sandbox/reset")
        assert (await answered(sandbox, "/sms/1/text/single", SINGLE))[0][0] == 0


async def test_what_is_refused_stays_refused(tmp_path: Path) -> None:
    """A rule tells of messages that are accepted."""
    text = '[[sandbox.outcome]]\nanswered = "PENDING_ENROUTE"\n'
    async with playing(tmp_path, text) as sandbox:
        body = {"messages": [{"destinations": [{"to": "nobody"}], "text": "hello"}]}
        assert (await answered(sandbox, "/sms/2/text/advanced", body))[0][0] == 52


def test_the_status_of_v1_by_default() -> None:
    """Without a setting v1 answers as v2 and v3 do."""
    assert SandboxSettings().v1_status == "PENDING_ACCEPTED"


# --- XML ---------------------------------------------------------------------------------------

XML = f"<request><to>{NUMBER}</to><text>Hi</text></request>"


@pytest.mark.parametrize("accept", [None, "*/*", "application/*", "text/html, */*;q=0.8"])
@pytest.mark.parametrize(("kind", "body"), [("xml", XML), ("json", f'{{"to":"{NUMBER}"}}')])
async def test_the_format_that_was_asked_in(
    provider: Sending, accept: str | None, kind: str, body: str
) -> None:
    """S3's sample in XML has no Accept and is answered in XML; so is curl, which accepts anything.
    The sandbox answered in JSON. A refusal has the same format."""
    headers = {**AUTHORIZATION, "Content-Type": f"application/{kind}; charset=utf-8"}
    skipped = ["Accept"] if accept is None else []
    headers |= {} if accept is None else {"Accept": accept}
    async with provider.client.post(
        "/sms/1/text/single", data=body, headers=headers, skip_auto_headers=skipped
    ) as answer:
        assert answer.content_type == f"application/{kind}"
        assert answer.status == (200 if kind == "xml" else 400)


async def test_what_is_accepted_goes_first(provider: Sending) -> None:
    """Whoever names JSON gets JSON, also for XML."""
    answer = await provider.post_xml("/sms/1/text/single", XML, accept="application/json, */*")

    assert answer["messages"][0]["to"] == NUMBER


# --- "Ok" and "OK" -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("of", "asked_in", "name"), [(2, 1, "Ok"), (3, 3, "OK"), (2, 3, "OK"), (3, 1, "Ok")]
)
async def test_ok_in_pulled_reports_and_logs(
    tmp_path: Path, of: int, asked_in: int, name: str
) -> None:
    """No error is of the group "Ok" in v1 and v2 and "OK" in v3 (the examples of OAS); what counts
    is the route that is asked."""
    async with playing(tmp_path) as sandbox:
        await _sent(sandbox, of)
        await sandbox.advance("1m")

        (log,) = (await sandbox.get(f"/sms/{asked_in}/logs"))["results"]
        (report,) = await sandbox.pull(asked_in)
        assert log["error"]["groupName"] == report["error"]["groupName"] == name
        assert report["status"]["groupName"] == "DELIVERED"


@pytest.mark.parametrize(("of", "name"), [(2, "Ok"), (3, "OK")])
async def test_ok_in_pushed_reports(tmp_path: Path, of: int, name: str) -> None:
    """A push has the words of the version by which the message was sent."""
    async with customer() as app, playing(tmp_path) as sandbox:
        await _sent(sandbox, of, app.url)
        await sandbox.advance("1m")

        assert f'"groupName":"{name}"'.encode() in app.pushes[0].body


async def test_a_group_of_errors_has_one_name(tmp_path: Path) -> None:
    """The other groups are the same in all versions."""
    async with playing(tmp_path) as sandbox:
        await sandbox.send("447700900003")
        await sandbox.advance("1m")

        (report,) = await sandbox.pull(1)
        assert report["error"]["groupName"] == "HANDSET_ERRORS"


async def _sent(sandbox: Played, version: int, url: str | None = None) -> None:
    if version == 2:
        await sandbox.send(notifyUrl=url)
        return
    body = {"messages": [a_v3(webhooks={"delivery": {"url": url}})]}
    assert (await sandbox.ask("POST", "/sms/3/messages", json=body))[0] == 200


# --- bulks -------------------------------------------------------------------------------------


async def test_rescheduling_into_the_past(tmp_path: Path) -> None:
    """The provider's own sample moves a bulk to 2021 and is answered with 2021, and so is who asks
    for the bulk. It goes at once, and its validity begins then. The sandbox answered with now."""
    async with playing(tmp_path) as sandbox:
        bulk = {"bulkId": "B"}
        await sandbox.send(bulk=bulk, sendAt="2026-03-03T12:00:00.000+0000", validityPeriod=1)
        path = "/sms/1/bulks?bulkId=B"
        moved = await sandbox.ask("PUT", path, json={"sendAt": PAST})

        assert moved == (200, {"bulkId": "B", "sendAt": PAST})
        assert await sandbox.get(path) == {"bulkId": "B", "sendAt": PAST}
        await sandbox.advance("2s")
        (report,) = await sandbox.pull()
        assert (report["status"]["name"], report["sentAt"][:16]) == (
            "DELIVERED_TO_HANDSET",
            "2026-03-02T12:00",
        )
        assert await sandbox.get(path) == {"bulkId": "B", "sendAt": PAST}


async def test_a_bulk_that_was_to_be_sent_in_the_past(tmp_path: Path) -> None:
    """A bulk tells the `sendAt` that it was sent with."""
    async with playing(tmp_path) as sandbox:
        await sandbox.send(bulk={"bulkId": "B"}, sendAt=PAST)

        found = await sandbox.get("/sms/1/bulks?bulkId=B")
        assert found == {"bulkId": "B", "sendAt": PAST}


# --- notifyContentType -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content_type", "form"),
    [
        ("application/json; charset=utf-8", "json"),
        ("application/xml;charset=UTF-8", "xml"),
        ('application/xml; charset="utf-8"', "xml"),
        ("Application/JSON", "json"),
    ],
)
async def test_content_type_with_a_charset(provider: Sending, content_type: str, form: str) -> None:
    """Apps paste the header of their web framework; what they mean is its type. It was refused."""
    of_v2 = await v2(provider, a_text(notifyContentType=content_type))
    of_v3 = await v3(provider, a_v3(webhooks={"contentType": content_type}))

    assert of_v2.messages[0].delivery.format == of_v3.messages[0].delivery.format == form


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        ("application/xml; charset=utf-16", "application/json or application/xml, in utf-8"),
        ("application/xml; charset=klingon", "application/json or application/xml, in utf-8"),
        ("text/xml", "application/json or application/xml"),
    ],
)
async def test_content_type_that_is_not_pushed(
    provider: Sending, content_type: str, expected: str
) -> None:
    """Reports are in UTF-8: who wants another charset is told so."""
    body = {"messages": [a_text(notifyContentType=content_type)]}
    _, answer = await provider.post("/sms/2/text/advanced", body)

    errors = answer["requestError"]["serviceException"]["validationErrors"]
    told = f'must be {expected}, got "{content_type}"'
    assert errors == {"messages[0].notifyContentType": [told]}


# --- v3 where it differs -----------------------------------------------------------------------


async def test_ids_that_are_too_long_in_v3(provider: Sending) -> None:
    """v1 and v2 clip ids; v3 has sizes, and refuses what is longer."""
    message = a_v3(destinations=[{"to": NUMBER, "messageId": LONG_ID}])
    body = {"messages": [message], "options": {"schedule": {"bulkId": LONG_BULK}}}
    status, answer = await provider.post("/sms/3/messages", body)

    assert status == 400
    assert [each["property"] for each in answer["violations"]] == [
        "messages[0].destinations[0].messageId",
        "options.schedule.bulkId",
    ]


@pytest.mark.parametrize(
    ("path", "minutes", "status"),
    [
        ("/sms/1/text/query", 2**31, 200),
        ("/sms/3/text/query", 2**31, 400),
        ("/sms/3/text/query", 2**31 - 1, 200),
    ],
)
async def test_the_validity_of_a_query(
    provider: Sending, path: str, minutes: int, status: int
) -> None:
    """Minutes have 64 bits in v1 and 32 in v3 (OAS); both take more than 48 hours as 48 hours."""
    query = f"to={NUMBER}&text=hello&validityPeriod={minutes}"

    assert (await provider.get(f"{path}?{query}"))[0] == status


async def test_a_new_status_is_a_new_report_in_v3(tmp_path: Path) -> None:
    """ "If the message status changes again after retrieval, the endpoint returns a new report for
    the updated status" (OAS)."""
    async with playing(tmp_path) as sandbox:
        message = a_v3(webhooks={"delivery": {"intermediateReport": True}})
        await sandbox.ask("POST", "/sms/3/messages", json={"messages": [message]})
        await sandbox.advance("1s")
        assert await sandbox.pulled(version=3) == ["PENDING_ACCEPTED", "PENDING_ENROUTE"]
        await sandbox.advance("1m")
        assert await sandbox.pulled(version=3) == ["DELIVERED_TO_HANDSET"]
