"""How a report is shown: pretty, as a command that posts it again, and without its number."""

from __future__ import annotations

import json
import shlex
from xml.etree import ElementTree

import pytest

from dispatcher.web.inbox import Asked
from dispatcher.web.reports import as_curl, pretty, shown_report
from dispatcher.web.rows import message_path
from receiver.callbacks.intake import verdict_on_bytes
from tests.contracts.report_store import a_callback, an_sms
from tests.dispatcher.support import stored

ORIGIN = "http://127.0.0.1:8080"

STEERING = "\u202e\x1b[31m it's; $(rm -rf /) \u2028"


async def test_the_command_posts_the_same_report() -> None:
    """Whatever stands in it, the shell hands it to curl as it is, and nothing of it steers the
    terminal into which it is pasted."""
    (report,) = await stored(a_callback(an_sms("m", callbackData=STEERING), source="alpha"))

    command = as_curl(report.item.decode(), "json", report, ORIGIN)

    assert command.isprintable()
    *_, body, url = shlex.split(command)
    assert url == f"{ORIGIN}/notify/alpha"
    assert json.loads(body)["results"] == [json.loads(report.item)]


async def test_the_command_of_one_in_xml() -> None:
    """It has the root of its generation around it, and is read as the same report."""
    (report,) = await stored(a_callback(an_sms("m", callbackData="\u202e it's"), source="alpha"))
    status = "<status><groupId>3</groupId><id>5</id></status>"
    item = f"<result>{status}<callbackData>\u202e it's &amp; &lt;b></callbackData></result>"

    *_, body, _ = shlex.split(as_curl(item, "xml", report, ORIGIN))

    assert body.isprintable()
    (entry,) = verdict_on_bytes(body.encode(), "xml").entries
    assert json.loads(entry.item)["callbackData"] == "\u202e it's & <b>"


@pytest.mark.parametrize(
    ("text", "form", "shown"),
    [
        (
            '{"price":{"pricePerMessage":0.0100},"x":"\\u00e9"}',
            "json",
            '{\n  "price": {\n    "pricePerMessage": 0.0100\n  },\n  "x": "\\u00e9"\n}',
        ),
        ("{", "json", "{"),
        ("<a><b>1</b></a>", "xml", "<a>\n  <b>1</b>\n</a>"),
        ("<a>&unknown;</a>", "xml", "<a>&unknown;</a>"),
    ],
)
def test_pretty(text: str, form: str, shown: str) -> None:
    """Numbers and texts stay as they were written; what cannot be read stays as it is."""
    assert pretty(text, form) == shown
    if form == "xml" and "&" not in text:
        assert ElementTree.fromstring(shown).tag == "a"


async def test_a_masked_report_has_its_number_nowhere() -> None:
    """Neither in its fields nor in what came, and it cannot be copied."""
    (report,) = await stored(a_callback(an_sms("m", to="41793026727")))

    shown = shown_report(report, report.item, ORIGIN, masks=True)

    assert shown.raw is None
    assert "41793026727" not in f"{shown.fields}{shown.pretty}{shown.curl}"
    assert "41793026727" in shown_report(report, report.item, ORIGIN, masks=False).pretty


def test_the_way_through_the_pages_and_back() -> None:
    """Older, older, newer, newer leads back to the newest reports, with the search and the
    source."""
    first = Asked("is:final", "", "", ())
    second = Asked("is:final", "", "71", ("0",))
    third = Asked("is:final", "", "21", ("0", "71"))

    assert first.previous_page is None
    assert first.next_page(71) == "/?q=is:final&cursor=71&trail=0"
    assert second.next_page(21) == "/?q=is:final&cursor=21&trail=0,71"
    assert third.previous_page == "/?q=is:final&cursor=71&trail=0"
    assert second.previous_page == "/?q=is:final"
    assert third.url(report=7) == "/?q=is:final&cursor=21&trail=0,71&report=7"


@pytest.mark.parametrize(
    ("message_id", "path"),
    [
        ("m 1", "/messages/m%201"),
        ("a/b", "/messages/a/b"),
        ("a\nb?#%", "/messages/a%0Ab%3F%23%25"),
        ("../x", "/messages?messageId=..%2Fx"),
        ("a//b", "/messages?messageId=a%2F%2Fb"),
    ],
)
def test_the_page_of_a_message(message_id: str, path: str) -> None:
    """What a browser would take out of a path goes into the query."""
    assert message_path(message_id) == path
    mark = "&" if "?" in path else "?"
    assert message_path(message_id, "alpha") == f"{path}{mark}source=alpha"
