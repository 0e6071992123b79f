"""What all pages share: headers, sign-in, form tokens, errors, times, keys."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest
from playwright.sync_api import Page, expect

from tests.web.axe import findings
from tests.web.processes import Dlr
from tests.web.reports import a_report

Start = Callable[..., Dlr]

READ, OPERATE = "read-read-read-read", "operate-operate-operate"
TOKENS = f"""
[[api.token]]
name = "viewer"
secret = "{READ}"
[[api.token]]
name = "ops"
scope = "operate"
secret = "{OPERATE}"
"""


def sign_in(page: Page, url: str, token: str) -> None:
    page.goto(url)
    page.get_by_label("API token").fill(token)
    page.get_by_role("button", name="Sign in").click()


def test_every_page_forbids_whatever_is_not_ours(start: Start) -> None:
    """The policy of a page has no word for inline scripts or styles, other sites or frames."""
    with urlopen(start().url) as response:
        policy = response.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Cache-Control"] == "no-store"
        cookie = response.headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Lax" in cookie


def test_a_page_asks_who_is_there_where_there_are_tokens(start: Start, page: Page) -> None:
    """Without a session a page leads to the sign-in, and from there to what was asked for."""
    dlr = start(config=TOKENS)

    sign_in(page, f"{dlr.url}/?q=to:4179", READ)

    expect(page).to_have_url(re.compile(r"/\?q=to:4179$"))
    expect(page.get_by_text("viewer (read only)")).to_be_visible()
    assert findings(page) == []
    page.get_by_role("button", name="Sign out").click()
    page.goto(dlr.url)
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert findings(page) == []


def test_a_wrong_token_is_told_and_tried_once_a_second(start: Start, page: Page) -> None:
    """A second try in the same second is refused, whatever its token is."""
    dlr = start(config=TOKENS)

    sign_in(page, dlr.url, "wrong-wrong-wrong-wrong")
    expect(page.get_by_role("alert")).to_contain_text("not one of the API tokens")
    page.get_by_label("API token").fill(OPERATE)
    page.get_by_role("button", name="Sign in").click()

    expect(page.get_by_role("alert")).to_contain_text("Too many attempts")


def test_a_session_reads_the_api_and_changes_nothing_there(start: Start, page: Page) -> None:
    """A cookie goes along by itself, so it is no leave to change anything."""
    dlr = start(config=TOKENS)
    sign_in(page, dlr.url, OPERATE)
    expect(page.get_by_text("ops", exact=True)).to_be_visible()

    assert page.request.get(f"{dlr.url}/api/reports").status == 200
    assert page.request.post(f"{dlr.url}/api/endpoints", data={"name": "a"}).status == 401


@pytest.mark.parametrize(
    "to", ["//evil.example/", "https://evil.example/", "/\\evil.example", "/a\nb"]
)
def test_the_sign_in_leads_to_this_site_only(start: Start, page: Page, to: str) -> None:
    """A link to the sign-in cannot send somebody elsewhere afterwards."""
    dlr = start(config=TOKENS)

    sign_in(page, f"{dlr.url}/sign-in?{urlencode({'to': to})}", READ)

    page.wait_for_url(re.compile("^(?!.*sign-in)"))
    assert page.url.startswith(dlr.url)


def test_a_form_of_another_site_is_refused(start: Start) -> None:
    """A post without the form token of a page of ours changes nothing, and says why."""
    dlr = start(config=TOKENS)

    with pytest.raises(HTTPError) as refused:
        urlopen(Request(f"{dlr.url}/sign-in", urlencode({"token": READ}).encode()))

    assert refused.value.code == 403
    assert "Nothing was changed" in refused.value.read().decode()


def test_no_web_turns_the_pages_off(start: Start) -> None:
    """`--no-web` leaves the API alone."""
    dlr = start("serve", "--no-web")

    with pytest.raises(HTTPError, match="404"):
        urlopen(dlr.url)
    assert dlr.ask("GET", "/api/reports")["reports"] == []
    assert not any("pages" in line for line in dlr.lines)


def test_the_keys(start: Start, page: Page) -> None:
    """`?` lists them, `g e` goes to the endpoints, j and Enter open a row."""
    dlr = start()
    dlr.post_reports(a_report())
    page.goto(dlr.url)

    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("Enter")

    expect(page).to_have_url(re.compile("report=1"))


def test_a_wrong_address_leads_back(start: Start, page: Page) -> None:
    """A browser gets a page with the way to the others; a program gets the API's answer."""
    dlr = start()

    page.goto(f"{dlr.url}/help")

    expect(page.get_by_text("There is no page /help")).to_be_visible()
    page.get_by_role("link", name="Help").click()
    expect(page).to_have_url(re.compile("/docs$"))
    with pytest.raises(HTTPError, match="404") as refused:
        urlopen(f"{dlr.url}/help")
    assert b'"not_found"' in refused.value.read()
