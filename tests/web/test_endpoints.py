"""Endpoints: how each is, its settings as a form, and what is done by hand."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from dispatcher.api.endpoint_health import (
    BacklogFigures,
    DurationFigures,
    EndpointHealth,
    FlowFigures,
    LatenessFigures,
    WindowFigures,
)
from dispatcher.settings.settings import EndpointSettings
from dispatcher.web.documented import of_endpoint
from dispatcher.web.endpoint_form import (
    BOX,
    as_toml,
    form_of,
    patch,
    table_of_typed,
    told_settings,
    typed_of,
)
from dispatcher.web.endpoint_state import state_of
from receiver.settings.configuration import ConfigurationError
from receiver.settings.reader import read_table, table_of
from tests.web.axe import findings
from tests.web.processes import Dlr, customer, running
from tests.web.reports import a_report
from tests.web.test_frame import OPERATE, READ, TOKENS, sign_in
from tests.web.test_pushes import HOSTILE, an_endpoint, fits

Start = Callable[..., Dlr]

HERE = '[outgoing]\nallowed_networks = ["127.0.0.0/8"]\n'
"""A test's customer is on this machine, where the API sends nothing by itself."""

# --- the form, pure ----------------------------------------------------------------------------

FULL = {
    "name": "acme",
    "url": "https://me:pw@acme.example/dlr?token=1",
    "window": 5,
    "ordered": True,
    "rate_limit": 0.5,
    "read_timeout": "2s",
    "sources": ["default"],
    "senders": ["A", "B, C"],
    "headers": {"X-Api-Key": "secret-1"},
    "security": {"type": "basic", "username": "me", "password": "secret-2"},
    "outcome": {"acknowledge": ["200"], "body_matches": '^"ok\\d'},
}


def test_a_form_shows_settings_and_no_secret() -> None:
    """Whatever is typed nowhere else is read again as it was, but for secrets and what the URL
    hides."""
    told = told_settings(read_table(EndpointSettings, FULL))
    typed = typed_of(told)

    assert "secret" not in str(typed)
    assert "pw" not in str(typed)
    assert table_of_typed(typed) == told
    assert patch(told, table_of_typed(typed)) == {}
    assert told["headers"] == {"X-Api-Key": "set"}


def test_only_what_was_changed_is_said() -> None:
    """So a secret that is not shown stays, and so does what a colleague has changed meanwhile."""
    told = told_settings(read_table(EndpointSettings, FULL))
    typed = typed_of(told)
    typed |= {"window": "7", "rate_limit": ""}
    typed[BOX] = typed[BOX].replace('X-Api-Key = "set"', 'X-Api-Key = "new"\nX-Other = "a"')

    assert patch(told, table_of_typed(typed)) == {
        "window": 7,
        "rate_limit": None,
        "headers": {"X-Api-Key": "new", "X-Other": "a"},
    }


def test_a_text_that_is_no_value_is_told_by_the_settings_reader() -> None:
    """The form has no rules of its own: what does not fit is passed on as it was typed."""
    table = table_of_typed({"name": "a", "url": "x", "window": "many", BOX: "[tls]\nversion = 1"})

    with pytest.raises(ConfigurationError) as error:
        read_table(EndpointSettings, table)
    form = form_of({"window": "many", BOX: "[tls]\nversion = 1"}, error.value.faults)

    by_name = {each.name: each for each in form.fields}
    assert "expected an integer" in by_name["window"].faults[0]
    assert by_name["window"].value == "many"
    assert "expected an http or https URL" in by_name["url"].faults[0]
    assert any("tls.version: there is no such setting" in fault for fault in form.box.faults)
    assert form.faults == []


@pytest.mark.parametrize(
    ("box", "fault"),
    [("[headers", "line 1"), ("window = 5", "window has its own field")],
)
def test_a_box_that_cannot_be_read_is_told_at_the_box(box: str, fault: str) -> None:
    """With the place of the fault."""
    with pytest.raises(ConfigurationError) as error:
        table_of_typed({BOX: box})

    form = form_of({BOX: box}, error.value.faults)
    assert fault in form.box.faults[0]
    assert form.box.text == box


@pytest.mark.parametrize("text", ["", 'a"b\\c', "\x00\x1f\x7f\n\u202e", "€ 😀", "a.b = 1 # c"])
def test_toml_is_read_as_it_was_written(text: str) -> None:
    """Keys and values of any kind."""
    table = {"a": text, text or "k": {"deep": [text, "b"], "n": {"m": 1.5, "t": True}}, "e": {}}

    assert table_of(as_toml(table)) == table


def test_each_setting_has_its_words() -> None:
    """The help beside a field is that of config/dlr.toml."""
    form = form_of({})

    assert [each.name for each in form.fields if not each.help] == []
    assert {"headers", "security", "outcome", "tls"} <= form.box.help.keys()
    assert 'username = "me"' in of_endpoint()["security.type"]


# --- states, pure ------------------------------------------------------------------------------

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def a_window(attempts: int = 0, acknowledged: int = 0, **failed: int) -> WindowFigures:
    """So many attempts; `failed` are those that were answered with a status of such a class."""
    failures = {"failed": attempts - acknowledged} if attempts > acknowledged else {}
    return WindowFigures(
        since="2026-03-02T11:00:00.000Z",
        attempts=attempts,
        acknowledged=acknowledged,
        acknowledged_share=acknowledged / attempts if attempts else None,
        failures=failures,
        failed_statuses=failed,
        duration_ms=DurationFigures(None, None),
        lateness=LatenessFigures(0, None, None),
    )


def a_health(hour: WindowFigures, **more: Any) -> EndpointHealth:
    fields: dict[str, Any] = {
        "name": "acme",
        "paused": False,
        "held": False,
        "gone": False,
        "last_hour": hour,
        "last_day": hour,
        "backlog": BacklogFigures(0, 0, 0, 0, False, None, None),
        "first_loss": None,
        "flow": None,
    }
    return EndpointHealth(**fields | more)


AN_OPEN_BREAKER = FlowFigures(
    0, 20, True, 7, "2026-03-02T12:00:30.000Z", None, None, False, None, 1, 20, None
)


@pytest.mark.parametrize(
    ("health", "word", "words"),
    [
        (a_health(a_window()), "quiet", "no push in the last hour"),
        (a_health(a_window(3, 3)), "works", ""),
        (a_health(a_window(3, 2, **{"5xx": 1})), "some fail", "answers 5xx"),
        (a_health(a_window(3, 0)), "failing", "failed"),
        (a_health(a_window(3, 0), flow=AN_OPEN_BREAKER), "breaker open", "7 failures in a row"),
        (
            a_health(a_window(3, 0), paused=True, flow=AN_OPEN_BREAKER),
            "paused",
            "its reports wait and use up no retries",
        ),
        (
            a_health(a_window(), held=True, paused=True),
            "held",
            "its settings are invalid, so nothing is pushed",
        ),
        (a_health(a_window(), gone=True), "left the settings", "nothing is pushed to it"),
    ],
)
def test_the_state_of_an_endpoint_in_words(health: EndpointHealth, word: str, words: str) -> None:
    """What stops the pushes is told before how they fare."""
    state = state_of(health, NOON)

    assert (state.word, state.words) == (word, words)
    assert (state.since is not None) == (word in ("failing", "breaker open"))


# --- in the browser ----------------------------------------------------------------------------


def test_the_first_endpoint_is_added_and_tried(start: Start, page: Page) -> None:
    """Without an endpoint the page has the form and the command. What is typed wrongly is told
    beside its field, and nothing that was typed is lost. A test push shows a 500 and its body
    before anything is saved."""
    with customer() as acme:
        acme.status, acme.answer = 500, "database is down"
        dlr = start(config=HERE)
        page.goto(f"{dlr.url}/endpoints")
        expect(page.get_by_text("dlr endpoints add acme")).to_be_visible()
        assert findings(page) == []

        page.locator("[name=name]").fill("acme")
        page.locator("[name=url]").fill(acme.url)
        page.locator("[name=window]").fill("many")
        page.locator("[name=tables]").fill('[headers]\nX-Api-Key = "secret-1"')
        page.get_by_role("button", name="Add the endpoint").click()
        expect(page.get_by_role("alert")).to_contain_text("Nothing was saved.")
        expect(page.locator("#fault-window")).to_contain_text("expected an integer from 1 to 10000")
        expect(page.locator("[name=tables]")).to_have_value('[headers]\nX-Api-Key = "secret-1"')
        assert findings(page) == []

        page.locator("[name=window]").fill("5")
        page.get_by_role("button", name="Send a test push").click()
        expect(page.get_by_role("region", name="Test push")).to_contain_text("database is down")
        expect(page.get_by_role("region", name="Test push")).to_contain_text("500")
        assert findings(page) == []
        page.get_by_role("button", name="Add the endpoint").click()

        expect(page.get_by_role("status")).to_contain_text("acme was added")
        expect(page.get_by_text('X-Api-Key = "set"')).to_be_visible()
        shown = dlr.ask("GET", "/api/endpoints/acme")
        assert (shown["window"], shown["headers"]) == (5, {"X-Api-Key": "set"})


def test_settings_are_changed_and_secrets_kept(start: Start, page: Page) -> None:
    """A change says only what was touched. A fault is shown beside its field."""
    config = an_endpoint("acme", "http://127.0.0.1:9/dlr", 'headers = { X-Api-Key = "s-1" }')
    dlr = start(config=config)
    page.goto(f"{dlr.url}/endpoints/acme/settings")

    page.locator("[name=to_prefixes]").fill("4179, x")
    page.locator("[name=reports]").select_option("final")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#fault-to_prefixes")).to_contain_text("to_prefixes[1]: expected")
    expect(page.locator("[name=reports]")).to_have_value("final")
    page.locator("[name=to_prefixes]").fill("4179, 49")
    page.get_by_role("button", name="Save").click()

    expect(page.get_by_role("status")).to_contain_text("Changed: reports, to_prefixes.")
    shown = dlr.ask("GET", "/api/endpoints/acme")
    assert (shown["toPrefixes"], shown["changed"]) == (["4179", "49"], ["reports", "toPrefixes"])
    (change, *_) = dlr.ask("GET", "/api/audit?what=changeEndpoint")["items"]
    assert (change["subject"], change["details"]["settings"]) == (
        "acme",
        ["reports", "to_prefixes"],
    )
    page.get_by_role("button", name="Reset to the settings file").click()
    expect(page.get_by_text("All as in the settings file.")).to_be_visible()


def test_paused_resumed_and_retried_without_scripts(
    start: Start, open_page: Callable[..., Page]
) -> None:
    """What failed waits; while the endpoint is paused nothing goes there; "retry all" brings it at
    once when the endpoint works again."""
    with customer() as acme:
        acme.status = 503
        dlr = start(config=an_endpoint("acme", acme.url))
        dlr.post_reports(a_report("m-1"))
        dlr.until_pushed(1)
        page = open_page(java_script_enabled=False)
        page.goto(f"{dlr.url}/endpoints")
        expect(page.get_by_text("failing")).to_be_visible()
        page.get_by_role("link", name="acme", exact=True).click()

        page.get_by_role("button", name="Pause").click()
        expect(page.get_by_text("Paused. Its reports wait")).to_be_visible()
        assert dlr.ask("GET", "/api/endpoints/acme")["paused"]
        acme.status = 200
        page.get_by_role("button", name="Resume").click()
        page.get_by_role("button", name="Retry all waiting now").click()

        expect(page.get_by_text("1 dispatch was made due now")).to_be_visible()
        dlr.until_pushed(2)
        assert len(acme.got) == 2


def test_a_test_push_shows_what_a_customer_answers(start: Start, page: Page) -> None:
    """Its answer runs nowhere, and nothing is stored of it."""
    with customer() as acme:
        acme.status, acme.answer = 500, HOSTILE
        dlr = start(config=an_endpoint("acme", acme.url))
        page.goto(f"{dlr.url}/endpoints/acme")

        page.get_by_role("button", name="Send a test push").click()

        expect(page.get_by_role("region", name="Test push")).to_contain_text(r"\u202egnp.exe")
        assert fits(page)
        assert findings(page) == []
        expect(page).not_to_have_title("caught")
        assert acme.got[0]["results"][0]["callbackData"] == "test push by dlr"
        assert dlr.ask("GET", "/api/dispatches")["dispatches"] == []


def test_removing_asks_first(start: Start, page: Page) -> None:
    """A page says what would be cancelled, and only its button removes."""
    with customer() as acme:
        acme.status = 500
        dlr = start(config=an_endpoint("acme", acme.url) + an_endpoint("beta", acme.url))
        dlr.post_reports(a_report("m-1"))
        dlr.until_pushed(2)
        page.goto(f"{dlr.url}/endpoints/acme")

        page.get_by_role("link", name="Remove …").click()
        expect(page.get_by_text("1 dispatch that waits is cancelled")).to_be_visible()
        assert findings(page) == []
        page.get_by_role("button", name="Remove acme").click()

        expect(page.get_by_role("status")).to_contain_text("acme was removed. 1 dispatch was")
        expect(page.locator("tbody tr")).to_have_count(1)


def test_reports_that_go_nowhere_are_told(start: Start, page: Page) -> None:
    """With what to do about it."""
    with customer() as acme:
        dlr = start(config=an_endpoint("acme", acme.url, 'senders = ["Other"]'))
        dlr.post_reports(a_report("m-1"), a_report("m-2", sender="Other"))
        dlr.until_pushed(1)

        page.goto(f"{dlr.url}/endpoints")

        expect(page.get_by_text("1 stored report goes nowhere")).to_be_visible()
        assert findings(page) == []


def test_an_endpoint_that_left_the_settings_is_taken_over(tmp_path: Path, page: Page) -> None:
    """What waits for it goes to the one that is chosen."""
    with customer() as acme:
        acme.status = 500
        with running(tmp_path, ["serve"], an_endpoint("old", acme.url)) as dlr:
            dlr.post_reports(a_report("m-1"))
            dlr.until_pushed(1)
        acme.status = 200
        with running(tmp_path, ["serve"], an_endpoint("beta", acme.url)) as dlr:
            page.goto(f"{dlr.url}/endpoints")
            expect(page.get_by_text("left the settings")).to_be_visible()
            page.get_by_role("link", name="old", exact=True).click()
            expect(page.get_by_role("button", name="Pause")).to_have_count(0)
            assert findings(page) == []

            page.get_by_role("button", name="Take over").click()

            expect(page.get_by_role("status")).to_contain_text("beta has taken over from old: 1 w")
            page.get_by_role("button", name="Retry all waiting now").click()
            dlr.until_pushed(2)
            assert len(acme.got) == 2


def test_who_may_only_read_changes_no_endpoint(start: Start, page: Page) -> None:
    """The scope `read` sees how endpoints are, no button, and is refused by the server."""
    dlr = start(config=TOKENS + an_endpoint("acme", "http://127.0.0.1:9/dlr"))
    sign_in(page, f"{dlr.url}/endpoints", READ)
    expect(page.get_by_text("quiet")).to_be_visible()
    expect(page.get_by_role("link", name="Add an endpoint")).to_have_count(0)
    page.get_by_role("link", name="acme", exact=True).click()

    expect(page.get_by_role("heading", name="Health")).to_be_visible()
    expect(page.locator("main form")).to_have_count(0)
    token = page.locator("input[name=form_token]").first.get_attribute("value") or ""
    for path in ("pause", "remove", "settings", "retry", "test"):
        refused = page.request.post(f"{page.url}/{path}", form={"form_token": token})
        assert refused.status == 403
    assert not dlr.ask("GET", "/api/endpoints/acme", token=OPERATE)["paused"]


def test_endpoints_on_a_phone(start: Start, open_page: Callable[..., Page]) -> None:
    """Nothing is wider than the screen, whatever an endpoint is called."""
    dlr = start(config=an_endpoint("a" * 64, f"http://127.0.0.1:9/{'x' * 300}"))
    page = open_page(viewport={"width": 390, "height": 800})
    for path in ("", f"/{'a' * 64}", f"/{'a' * 64}/settings", f"/{'a' * 64}/remove", "/new"):
        page.goto(f"{dlr.url}/endpoints{path}")
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        assert fits(page), path
        assert findings(page) == [], path
