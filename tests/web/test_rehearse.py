"""The page "Rehearse": begun, followed, read, stopped; and what may not be called."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.web.axe import findings
from tests.web.processes import Dlr, customer
from tests.web.test_frame import READ, TOKENS, sign_in

Start = Callable[..., Dlr]


def test_a_webhook_is_rehearsed(start: Start, page: Page) -> None:
    """Checks appear as they end, then the verdict and the report; nothing is to be reloaded."""
    dlr = start(config='[outgoing]\nallowed_networks = ["127.0.0.0/8"]\n')
    with customer() as app:
        page.goto(f"{dlr.url}/rehearse")
        assert findings(page) == []
        page.get_by_label("URL of the webhook").fill(app.url)
        page.get_by_role("button", name="Rehearse").click()

        expect(page.get_by_role("link", name="Download the report")).to_be_visible(timeout=60_000)

    assert app.got
    assert findings(page) == []
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the report").click()
    assert "Rehearsal of" in download.value.path().read_text("utf-8")


def test_an_address_is_judged_as_any_from_outside(start: Start, page: Page) -> None:
    """This machine is not called unless the settings allow it: nothing reaches the customer."""
    dlr = start()
    with customer() as app:
        page.goto(f"{dlr.url}/rehearse")
        page.get_by_label("URL of the webhook").fill(app.url)
        page.get_by_role("button", name="Rehearse").click()

        expect(page.get_by_text("outgoing.allowed_networks").first).to_be_visible(timeout=60_000)

    assert app.got == []


@pytest.mark.parametrize(
    ("label", "text", "fault"),
    [
        ("URL of the webhook", "http:///nowhere", "host"),
        (
            "URL where the app reports",
            "cmd: id {messageId}",
            "can only be used on the command line",
        ),
        ("Header with credentials", "no colon", "a colon and a value"),
    ],
)
def test_what_cannot_be_used_is_told_beside_its_field(
    start: Start, open_page: Callable[..., Page], label: str, text: str, fault: str
) -> None:
    """Nothing begins, and the other fields keep what was typed."""
    page = open_page(java_script_enabled=False)
    page.goto(f"{start().url}/rehearse")
    page.get_by_label("URL of the webhook").fill("https://app.example/dlr")
    page.get_by_label(label).fill(text)
    page.get_by_role("button", name="Rehearse").click()

    expect(page.get_by_label(label)).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_text(fault)).to_be_visible()


def test_who_may_only_read_begins_none(start: Start, page: Page) -> None:
    """There is no form, and a post is refused."""
    dlr = start(config=TOKENS)
    sign_in(page, f"{dlr.url}/rehearse", READ)

    expect(page.get_by_text("may only read")).to_be_visible()
    expect(page.get_by_role("button", name="Rehearse")).to_have_count(0)
    answer = page.request.post(f"{dlr.url}/rehearse", form={"url": "https://app.example/"})
    assert answer.status == 403
