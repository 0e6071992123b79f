"""The log line of a callback: what it says, and what it never says."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import aiohttp
import pytest
from multidict import CIMultiDict

from dispatcher.observe.logs import CallbackLines, masked, set_up
from dispatcher.service import service
from dispatcher.settings.settings import Settings
from receiver.settings.settings import ServerSettings, StoreSettings
from tests.contracts.report_store import an_sms
from tests.receiver.payloads import a_json_body


class Written:
    """Lines that are written when the test says so."""

    def __init__(self, form: str = "json", level: str = "info", *, mask_numbers: bool = True):
        self.stream = io.StringIO()
        self.asked_for = 0
        self.listener = CallbackLines(
            form,  # type: ignore[arg-type]
            level,
            mask_numbers=mask_numbers,
            stream=self.stream,
            later=self._later,
        )

    def _later(self, _: Callable[[], None]) -> None:
        self.asked_for += 1

    @property
    def lines(self) -> list[str]:
        self.listener.flush()
        return self.stream.getvalue().splitlines()

    async def of(
        self, folder: Path, *posts: tuple[str, bytes], **headers: str
    ) -> list[CIMultiDict[str]]:
        """The lines of callbacks, and the answers' headers."""
        settings = Settings(
            server=ServerSettings(port=0), store=StoreSettings(database=str(folder / "dlr.db"))
        )
        answered = []
        async with (
            service(settings, callback_listeners=[self.listener]) as running,
            aiohttp.ClientSession(headers={"Content-Type": "application/json"}) as session,
        ):
            for path, body in posts:
                async with session.post(running.url + path, data=body, headers=headers) as response:
                    answered.append(response.headers.copy())
        return answered


async def test_a_line_holds_everything_about_a_callback(tmp_path: Path) -> None:
    """Request id, source, format, counts, bytes, status and time stand in one line."""
    log = Written()
    body = a_json_body(an_sms("m1"), an_sms("m1"))
    await log.of(tmp_path, ("/notify", body), **{"X-Request-Id": "proxy-1"})

    (line,) = map(json.loads, log.lines)
    assert line.pop("at").endswith("Z")
    assert line.pop("ms") > 0
    assert line == {
        "level": "info",
        "logger": "dlr.callback",
        "message": "callback",
        "request": "proxy-1",
        "source": "default",
        "status": 200,
        "format": "json",
        "stored": 1,
        "duplicates": 1,
        "quarantined": 0,
        "bytes": len(body),
    }


async def test_the_console_says_the_same(tmp_path: Path) -> None:
    """On the console the line is `name=value`."""
    log = Written("console")
    await log.of(tmp_path, ("/notify", b"{"), **{"X-Request-Id": "r7"})

    (line,) = log.lines
    assert " warning callback request=r7 source=default status=400 format=json stored=0" in line


async def test_a_request_id_is_answered_back(tmp_path: Path) -> None:
    """The id of the log line is in the answer, so that both sides can speak of one request."""
    log = Written()
    (answer,) = await log.of(tmp_path, ("/notify", a_json_body(an_sms("m1"))))

    assert answer["X-Request-Id"] == json.loads(log.lines[0])["request"]


@pytest.mark.parametrize("given", ["a b", "x" * 65, "a=1 status=200", "ä", '"'])
async def test_a_harmful_request_id_is_replaced(tmp_path: Path, given: str) -> None:
    """Whoever posts cannot write our log: an id that is long or has other signs is not used."""
    log = Written()
    (answer,) = await log.of(tmp_path, ("/notify", b"{"), **{"X-Request-Id": given})

    assert answer["X-Request-Id"] != given
    assert json.loads(log.lines[0])["request"] == answer["X-Request-Id"]


async def test_the_query_is_in_no_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A token in the query is logged neither by us nor by a library."""
    log = Written(level="debug")
    with caplog.at_level(logging.DEBUG):
        posts = [("/notify?token=secret-1", b"{"), ("/notify/nobody?token=secret-1", b"{}")]
        await log.of(tmp_path, *posts)

    assert len(log.lines) == 2
    assert "secret-1" not in "".join(log.lines)
    assert "secret-1" not in caplog.text


async def test_a_level_above_leaves_lines_out(tmp_path: Path) -> None:
    """At level warning only refused callbacks have a line."""
    log = Written(level="warning")
    await log.of(tmp_path, ("/notify", a_json_body(an_sms("m1"))), ("/notify", b"{"))

    assert [json.loads(line)["status"] for line in log.lines] == [400]


@pytest.mark.parametrize(("mask_numbers", "shown"), [(True, "4179*****27"), (False, "41793026727")])
async def test_numbers_are_masked_by_setting(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, mask_numbers: bool, shown: str
) -> None:
    """At level debug each report has a line, whose number is masked unless the settings say no."""
    log = Written(level="debug", mask_numbers=mask_numbers)
    with caplog.at_level(logging.DEBUG, logger="dlr.report"):
        await log.of(tmp_path, ("/notify", a_json_body(an_sms("m1", to="41793026727"))))

    (facts,) = (r.facts for r in caplog.records if r.name == "dlr.report")  # type: ignore[attr-defined]
    assert (facts["messageId"], facts["to"]) == ("m1", shown)


@pytest.mark.parametrize(
    ("number", "shown"),
    [("41793026727", "4179*****27"), ("InfoSMS", "*******"), ("", ""), ("123456789", "1234***89")],
)
def test_what_is_left_of_a_number(number: str, shown: str) -> None:
    """The first four and the last two characters are left, of a short one nothing."""
    assert masked(number) == shown


async def test_lines_are_written_together(tmp_path: Path) -> None:
    """One write for all lines that wait, asked for by the first of them."""
    log = Written()
    bodies = [("/notify", a_json_body(an_sms(f"m{number}"))) for number in range(3)]
    await log.of(tmp_path, *bodies)

    assert log.asked_for == 1
    assert log.stream.getvalue() == ""
    assert len(log.lines) == 3


@pytest.mark.parametrize("form", ["console", "json"])
def test_no_value_breaks_a_line(form: Literal["console", "json"]) -> None:
    """Values and exceptions with anything in them, a lone surrogate too, are one line in JSON, and
    on the console one line of ours and indented ones."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    stream = io.StringIO()
    try:
        set_up(form, "debug")
        (handler,) = root.handlers
        assert isinstance(handler, logging.StreamHandler)
        handler.setStream(stream)
        try:
            raise ValueError("no\nFORGED\x9b31m\ud800")
        except ValueError:
            facts = {"path": "a\nFORGED\u202e\ud800"}
            logging.getLogger("dlr.test").exception("b\x1b[2J\nFORGED", extra={"facts": facts})
    finally:
        root.handlers[:] = before
        root.setLevel(level)

    first, *rest = stream.getvalue().rstrip("\n").split("\n")
    assert not set("\x1b\x9b\u202e\ud800") & set(stream.getvalue())
    if form == "json":
        assert rest == []
        assert json.loads(first)["path"] == "a\nFORGED\u202e\ud800"
    else:
        assert r"b\x1b[2J\nFORGED path=a\nFORGED\u202e\ud800" in first
        assert all(line.startswith("  ") for line in rest)
