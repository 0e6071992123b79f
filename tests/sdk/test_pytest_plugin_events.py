"""The fixture `dlr_sandbox` has SMS come in and links clicked on, in suites of users."""

from __future__ import annotations

import json
from urllib.parse import quote
from urllib.request import Request, urlopen

import pytest

from dispatcher.sandbox.pytest_plugin import DlrSandbox
from tests.end_to_end.processes import customer
from tests.sdk.driven import pushed

OURS = "447860019999"


def asked(sandbox: DlrSandbox, path: str, body: object = None) -> object:
    headers = {"Authorization": "App key", "Content-Type": "application/json"}
    content = None if body is None else json.dumps(body).encode()
    with urlopen(Request(sandbox.base_url + path, content, headers)) as answer:
        return json.load(answer)


def test_an_sms_comes_in(dlr_sandbox: DlrSandbox) -> None:
    """It waits to be pulled, with all that was said of it."""
    came = dlr_sandbox.receive(
        from_="+41 79 302 67 27",
        to=OURS,
        text="STOP please",
        keyword="STOP",
        callback_data="4711",
        application_id="a",
        entity_id="e",
        campaign_reference_id="c",
    )

    assert (came["keyword"], came["cleanText"], came["smsCount"]) == ("STOP", "please", 1)
    found = asked(dlr_sandbox, "/sms/1/inbox/reports?applicationId=a")
    assert isinstance(found, dict)
    (result,) = found["results"]
    assert result["messageId"] == came["messageId"]
    assert (result["from"], result["callbackData"]) == ("41793026727", "4711")
    assert (result["entityId"], result["campaignReferenceId"]) == ("e", "c")


async def test_an_sms_is_pushed(dlr_sandbox: DlrSandbox) -> None:
    """It goes to the URL that is named, in the format that is asked for."""
    async with customer() as app:
        sms = {"from_": "41793026727", "to": OURS, "text": "hello"}
        dlr_sandbox.receive(**sms, url=f"{app.url}/in", content_type="application/xml")
        (body,) = await pushed(app, 1)

    assert "<text>hello</text>" in body
    assert app.pushes[0].content_type == "application/xml"


def test_what_cannot_come_in_teaches(dlr_sandbox: DlrSandbox) -> None:
    """A mistake is raised with all that is wrong."""
    with pytest.raises(ValueError, match=r"to: size must be .*; url: must be an http or https URL"):
        dlr_sandbox.receive(from_="41793026727", to="", text="hello", url="here")


async def test_a_link_is_clicked_on(dlr_sandbox: DlrSandbox) -> None:
    """A click is told to the app, and is seen at the message, whatever its id is."""
    name = "order/47 ü?"
    async with customer() as app:
        destination = {"to": "41793026727", "messageId": name}
        message = {"destinations": [destination], "text": "http://a.example http://b.example"}
        urls = {"trackingUrl": f"{app.url}/clicks"}
        body = {"messages": [message], "urlOptions": urls, "tracking": {"track": "SMS"}}
        asked(dlr_sandbox, "/sms/2/text/advanced", body)
        clicked = dlr_sandbox.click(name, "http://b.example")
        await pushed(app, 1)

    assert (clicked["messageId"], clicked["url"]) == (name, "http://b.example")
    assert clicked["trackingUrl"] == f"{app.url}/clicks"
    event = json.loads(app.pushes[0].body)
    assert (event["notificationType"], event["url"]) == ("CLICKED", "http://b.example")
    (shown,) = dlr_sandbox.messages
    assert (shown["clicks"], shown["convertedAt"]) == (1, None)
    asked(dlr_sandbox, f"/ct/1/log/end/{quote(name, safe='')}", {})
    (shown,) = dlr_sandbox.messages
    assert shown["convertedAt"] is not None


def test_a_click_on_nothing_teaches(dlr_sandbox: DlrSandbox) -> None:
    """Whoever clicks on a message without links is told how to ask for them."""
    message = {"destinations": [{"to": "41793026727", "messageId": "m"}], "text": "no link"}
    asked(dlr_sandbox, "/sms/2/text/advanced", {"messages": [message]})

    with pytest.raises(ValueError, match="no short link; request them with urlOptions"):
        dlr_sandbox.click("m")
    with pytest.raises(ValueError, match="not found"):
        dlr_sandbox.click("other")
