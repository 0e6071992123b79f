"""With `web.mask_numbers` no page shows a phone number, in whatever text it stands."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from tests.web.processes import Dlr, customer
from tests.web.reports import a_report
from tests.web.visitor import Visitor

Start = Callable[..., Dlr]

MASKED = "[web]\nmask_numbers = true\n"

NUMBER = "447700900123"


def _shown(visitor: Visitor, path: str) -> str:
    """A page without the examples in its forms and commands."""
    response, text = visitor.ask("GET", path)
    assert response.status == 200, path
    return re.sub(r'placeholder="[^"]*"', "", text)


def test_numbers_in_texts_of_a_report_are_masked(start: Start) -> None:
    """A callbackData, a sender, and what a customer answers can hold the recipient's number."""
    with customer() as acme:
        acme.status, acme.answer = 500, f"no such number: +{NUMBER}"
        dlr = start(config=f'{MASKED}[[endpoint]]\nname = "acme"\nurl = "{acme.url}"\n')
        dlr.post_reports(
            a_report(to=f"+{NUMBER}", callbackData=f"call {NUMBER}", sender=f"+{NUMBER}")
        )
        dlr.until_pushed(1)
        visitor = Visitor(dlr)

        paths = ("/", "/inbox/rows", "/messages", "/messages/m-1", "/reports/1", "/?report=1")
        for path in (*paths, "/dispatches", "/endpoints/acme", "/replays/new?messageIds=m-1"):
            assert NUMBER not in _shown(visitor, path), path


def test_numbers_in_the_sandbox_are_masked(start: Start) -> None:
    """The text of an SMS, requests and pushes with their bodies, and SMS that came in."""
    with customer() as app:
        app.status, app.answer = 500, f"no such number: {NUMBER}"
        dlr = start("sandbox", config=MASKED)
        visitor = Visitor(dlr)
        visitor.ask("GET", "/sandbox")
        sms = {"to": NUMBER, "text": f"call {NUMBER}", "sender": NUMBER, "notifyUrl": app.url}
        visitor.post("/sandbox/page/send", None, callbackData=f"of {NUMBER}", **sms)
        visitor.post(
            "/sandbox/page/receive", None, **{"from": NUMBER, "to": NUMBER, "text": NUMBER}
        )
        message = {"destinations": [{"to": NUMBER}], "content": {"text": f"call {NUMBER}"}}
        headers = {"Authorization": "App any-key", "Content-Type": "application/json"}
        body = json.dumps({"messages": [message]}).encode()
        assert visitor.ask("POST", "/sms/3/messages", body, headers)[0].status == 200
        visitor.post("/sandbox/page/advance", by="10m")

        assert "500" in _shown(visitor, "/sandbox?view=pushes")
        assert "/sms/3/messages" in _shown(visitor, "/sandbox?view=requests")
        for path in ("/sandbox", "/sandbox?open=1", "/sandbox?view=inbox"):
            assert NUMBER not in _shown(visitor, path), path
        for view in ("pushes", "requests"):
            assert NUMBER not in _shown(visitor, f"/sandbox?view={view}"), view
