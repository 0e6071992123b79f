"""The page of the sandbox: send, decide what becomes of it, order trouble, move the clock."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.web.axe import findings
from tests.web.processes import Dlr, customer
from tests.web.test_frame import OPERATE, READ, TOKENS, sign_in

Start = Callable[..., Dlr]
OpenPage = Callable[..., Page]

VIEWS = ("messages", "requests", "inbox", "pushes", "outcomes", "faults")
SLOW = "447700900008"
HOSTILE = (
    "<script>document.title='ran'</script><img src=x onerror=\"document.title='ran'\">\u202etxet"
)


def send_by_api(dlr: Dlr, to: str = "41793026727", text: str = "hello", **more: object) -> str:
    """An app sends; the id of its message."""
    message = {"sender": "Shop", "destinations": [{"to": to}], "content": {"text": text}}
    answer = dlr.ask("POST", "/sms/3/messages", {"messages": [message], **more}, token="key")
    message_id: str = answer["messages"][0]["messageId"]
    return message_id


def field(page: Page, name: str) -> Locator:
    return page.locator(f"main [name={name}]:not([type=hidden])")


def compose(page: Page, **fields: str) -> None:
    """Send by the form, which is open where there is no message yet."""
    if not page.get_by_role("button", name="Send", exact=True).is_visible():
        page.get_by_text("Send a message").click()
    for name, value in {"to": SLOW, "text": "Your order", **fields}.items():
        field(page, name).fill(value)
    page.get_by_role("button", name="Send", exact=True).click()


def test_compose_delivered_pushed(start: Start, page: Page) -> None:
    """Somebody sends from the page, moves the clock to the next event, and the webhook is told; the
    message shows its report and the push."""
    dlr = start("sandbox")
    with customer() as app:
        page.goto(f"{dlr.url}/sandbox")
        expect(page.get_by_role("heading", name="Nothing was sent yet")).to_be_visible()
        assert findings(page) == []
        page.get_by_text("Send a message").click()
        field(page, "text").fill("Ж" * 71)
        expect(page.locator("#count")).to_have_text("2 parts, UCS-2, 63 more fit")
        compose(page, notifyUrl=app.url, callbackData="order 4711")
        expect(page.get_by_role("status").first).to_contain_text("PENDING_ACCEPTED")
        expect(page.get_by_role("listitem")).to_contain_text(["DELIVERED_TO_HANDSET"])
        assert findings(page) == []

        page.get_by_role("button", name="To the next event").click()

        expect(page.get_by_role("status").first).to_contain_text("1 step, 1 report, 1 push")
        expect(page.get_by_text("1 h ahead")).to_be_visible()
        opened = page.get_by_role("complementary")
        expect(opened.get_by_text("your webhook answered 200")).to_be_visible()
        expect(opened.get_by_text("order 4711")).to_be_visible()
        expect(opened.get_by_text("/sandbox/page/send")).to_be_visible()
        expect(opened.get_by_role("link", name="DELIVERED_TO_HANDSET")).to_have_attribute(
            "href", "/reports/1"
        )
        assert [each["results"][0]["status"]["name"] for each in app.got] == [
            "DELIVERED_TO_HANDSET"
        ]


def test_what_an_app_sends_appears_and_changes(start: Start, page: Page) -> None:
    """While the page is looked at, messages come in and their status changes by themselves. To
    whoever reads a long list new ones are told of, and the list stays where it is."""
    dlr = start("sandbox")
    page.goto(f"{dlr.url}/sandbox")
    for number in range(40):
        send_by_api(dlr, SLOW, f"order {number}")
    rows = page.locator("[data-rows] tr")
    expect(rows).to_have_count(40)
    expect(rows.first).to_contain_text("PENDING_ENROUTE")
    dlr.ask("POST", "/sandbox/advance?by=2h")
    expect(rows.first).to_contain_text("DELIVERED_TO_HANDSET")
    expect(page.get_by_text("2 h ahead")).to_be_visible()

    page.evaluate("scrollTo(0, 900)")
    place = "[scrollY, document.querySelector('#m20').getBoundingClientRect().top]"
    before = page.evaluate(place)
    send_by_api(dlr, text="the newest")
    expect(page.get_by_role("button", name="1 new")).to_have_count(1)
    assert page.evaluate(place) == before
    page.get_by_role("button", name="1 new").click()
    expect(rows.first).to_contain_text("the newest")


def test_fate_by_hand(start: Start, page: Page) -> None:
    """A message is rejected with a status and an error of one's choice; what cannot be is told."""
    dlr = start("sandbox")
    send_by_api(dlr, SLOW)
    page.goto(f"{dlr.url}/sandbox?open=1")

    field(page, "status").select_option("REJECTED_NETWORK")
    field(page, "error").select_option("EC_CALL_BARRED")
    page.get_by_role("button", name="End with this status").click()

    expect(page.get_by_role("status").first).to_contain_text("It is REJECTED_NETWORK now.")
    opened = page.get_by_role("complementary")
    expect(opened.get_by_text("REJECTED_NETWORK, EC_CALL_BARRED")).to_be_visible()
    expect(page.get_by_role("heading", name="Decide now")).to_have_count(0)
    change = dlr.ask("GET", "/api/audit")["items"][0]
    assert (change["what"], change["outcome"]) == ("postSandboxMessageOutcome", "done")
    send_by_api(dlr, SLOW)
    page.goto(f"{dlr.url}/sandbox?open=2")
    dlr.ask("POST", "/sandbox/advance?by=2h")
    expect(page.get_by_role("button", name="Deliver")).to_have_count(0)  # it has ended meanwhile


def test_refused_by_the_form_and_by_the_api(start: Start, page: Page) -> None:
    """What cannot be sent comes back with everything typed, the fault beside its field, and the
    provider's answer. What an app was refused is listed with its answer."""
    dlr = start("sandbox")
    page.goto(f"{dlr.url}/sandbox")

    compose(page, sender="a name that is too long", callbackData="order 4711")

    expect(page.get_by_role("alert")).to_contain_text("messages[0].sender")
    expect(field(page, "sender")).to_have_attribute("aria-invalid", "true")
    expect(field(page, "callbackData")).to_have_value("order 4711")
    assert findings(page) == []
    with pytest.raises(HTTPError, match="400"):
        dlr.ask("POST", "/sms/3/messages", {"messages": []}, token="key")
    send_by_api(dlr)
    page.goto(f"{dlr.url}/sandbox?view=requests")
    expect(page.locator("[data-rows] tr")).to_have_count(2)
    page.get_by_role("link", name="Refused").click()
    expect(page.locator("[data-rows] tr")).to_have_count(1)
    expect(page.get_by_role("row").last).to_contain_text("E400")


def test_trouble_is_ordered_met_and_taken_back(start: Start, page: Page) -> None:
    """The next request gets a 503, which the list of requests shows; the rule is used up."""
    dlr = start("sandbox")
    page.goto(f"{dlr.url}/sandbox?view=faults")
    field(page, "status").fill("99")
    page.get_by_role("button", name="Add the fault").click()
    expect(page.locator("#fault-status")).to_contain_text("from 200 to 599")
    field(page, "status").fill("503")
    field(page, "next").fill("1")
    page.get_by_role("button", name="Add the fault").click()
    expect(page.get_by_role("cell", name="status 503")).to_be_visible()
    assert findings(page) == []

    with pytest.raises(HTTPError, match="503"):
        send_by_api(dlr)

    expect(page.get_by_role("heading", name="No trouble yet")).to_be_visible()
    page.get_by_role("link", name="Requests").click()
    expect(page.get_by_role("cell", name=re.compile("503"))).to_be_visible()
    dlr.ask("POST", "/sandbox/faults", {"drop": True})
    page.goto(f"{dlr.url}/sandbox?view=faults")
    page.get_by_role("button", name="Remove the added faults").click()
    expect(page.get_by_role("heading", name="No trouble yet")).to_be_visible()


def test_rules_links_and_received_sms(start: Start, page: Page) -> None:
    """A rule of outcomes is added and taken back, a link is clicked on, an SMS comes in."""
    dlr = start("sandbox")
    page.goto(f"{dlr.url}/sandbox?view=outcomes")
    expect(page.get_by_text("447700900009")).to_be_visible()
    page.get_by_text("Add a rule").click()
    field(page, "to").fill("4179*")
    field(page, "status").select_option("EXPIRED_UNKNOWN")
    page.get_by_role("button", name="Add the rule").click()
    expect(page.get_by_role("cell", name="EXPIRED_UNKNOWN")).to_be_visible()
    assert findings(page) == []
    tracked = {"tracking": {"shortenUrl": True, "trackClicks": True}}
    send_by_api(dlr, text="see https://shop.example/4711", options=tracked)
    page.get_by_role("button", name="Remove the added rules").click()
    expect(page.get_by_text("None.")).to_be_visible()

    page.goto(f"{dlr.url}/sandbox?open=1")
    page.get_by_role("button", name="Click", exact=True).click()
    expect(page.get_by_text("1 click", exact=True)).to_be_visible()
    expect(page.get_by_role("complementary").get_by_text("EXPIRED_UNKNOWN")).not_to_have_count(0)

    with customer() as app:
        page.goto(f"{dlr.url}/sandbox?view=inbox")
        field(page, "from").fill("41793026727")
        field(page, "to").fill("447860019999")
        field(page, "url").fill(app.url)
        field(page, "text").fill("STOP")
        page.get_by_role("button", name="Simulate it").click()
        expect(page.get_by_role("cell", name="STOP")).to_be_visible()
        dlr.ask("POST", "/sandbox/advance?by=0s")
        assert app.got[0]["results"][0]["text"] == "STOP"
        assert findings(page) == []
        page.get_by_role("link", name="see how").click()
        expect(page.get_by_text("your webhook answered 200")).to_be_visible()


def test_without_scripts(start: Start, open_page: OpenPage) -> None:
    """Everything works by forms and links, but for what is live."""
    dlr = start("sandbox")
    page = open_page(java_script_enabled=False, viewport={"width": 1280, "height": 800})
    page.goto(f"{dlr.url}/sandbox")
    compose(page)
    page.get_by_role("button", name="Deliver").click()
    expect(page.get_by_role("status").first).to_contain_text("It is DELIVERED_TO_HANDSET now.")
    page.get_by_role("button", name="+1 day").click()
    expect(page.get_by_text("1 d ahead")).to_be_visible()
    expect(page).to_have_url(re.compile("open=1"))
    page.get_by_role("button", name="To the next event").click()
    expect(page.get_by_role("status").first).to_contain_text("0 steps, 0 reports, 0 pushes")


def test_hostile_texts_on_a_phone(start: Start, open_page: OpenPage) -> None:
    """A text with scripts, marks of direction or 1,000 characters without a blank runs nothing and
    breaks no layout, in any list, also at the width of a phone."""
    dlr = start("sandbox")
    page = open_page(viewport={"width": 390, "height": 844})
    for text in (HOSTILE, "x" * 1000):
        send_by_api(dlr, SLOW, text)
        dlr.ask("POST", "/sandbox/inbox", {"from": HOSTILE[:60], "to": "1" * 15, "text": text})
        dlr.ask("POST", "/sandbox/outcomes", {"sender": text})
    with pytest.raises(HTTPError, match="400"):
        dlr.ask("POST", "/sms/3/messages", {HOSTILE: "x" * 2000}, token="key")
    paths = [f"?view={view}" for view in VIEWS] + ["?open=1", "?open=2"]
    for path in paths:
        page.goto(f"{dlr.url}/sandbox{path}")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
        assert page.title() != "ran"
        assert "\u202e" not in page.content()
        assert findings(page) == [], path
    expect(page.get_by_text("x" * 1000)).to_have_count(1)


def test_whoever_only_reads_changes_nothing(start: Start, page: Page) -> None:
    """With the scope `read` every list is there and no button that changes something."""
    dlr = start("sandbox", config=TOKENS)
    send_by_api(dlr, SLOW)
    sign_in(page, f"{dlr.url}/sandbox?open=1", READ)

    expect(page.get_by_role("complementary")).to_be_visible()
    for view in VIEWS:
        page.goto(f"{dlr.url}/sandbox?view={view}&open=1")
        expect(page.locator("main form")).to_have_count(0)
    token = page.locator("input[name=form_token]").first.get_attribute("value") or ""
    answer = page.request.post(
        f"{dlr.url}/sandbox/page/advance", form={"form_token": token, "by": "1h"}
    )
    assert answer.status == 403
    assert dlr.ask("GET", "/sandbox/messages", token=OPERATE)["messages"][0]["dueAt"]


def test_a_process_that_is_no_sandbox_has_no_such_page(start: Start) -> None:
    """404, which says how to start one; the navigation does not name it."""
    dlr = start("serve")

    with pytest.raises(HTTPError) as refused:
        urlopen(f"{dlr.url}/sandbox")

    told = refused.value.read().decode()
    assert refused.value.code == 404
    assert "dlr sandbox" in told
    assert 'href="/sandbox"' not in told
