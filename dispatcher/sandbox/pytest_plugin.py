"""The fixture `dlr_sandbox`: a provider of SMS for the test suites of those who send them.

    def test_an_order_is_confirmed(shop, dlr_sandbox):
        dlr_sandbox.outcome("UNDELIVERABLE_NOT_DELIVERED", to="4179*")
        shop.order(phone="41793026727", sms_url=dlr_sandbox.base_url)
        dlr_sandbox.advance("1d")
        assert dlr_sandbox.messages[0]["text"] == "Your order is on its way"

It is a `dlr sandbox` of its own process, so it neither needs nor disturbs an event loop, a mocked
clock or the warnings of a suite. The calls block: in a test whose own event loop serves the
webhook they belong in a thread, `await asyncio.to_thread(dlr_sandbox.advance, "1d")`.

Each pytest that finds this package imports this file, so at its top it imports nothing that pytest
has not. `-p no:dlr_sandbox` turns it off.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest

PATIENCE = 300.0
"""Seconds. The longest that an answer takes: a clock that is moved over many retries to a URL that
does not answer waits for each of them."""

PATIENCE_AT_THE_END = 2.0


class DlrSandbox:
    """A running sandbox. Each test gets it as new, and always at the same `base_url`."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url

    @property
    def messages(self) -> list[dict[str, Any]]:
        """What was sent, in its order, as GET /sandbox/messages shows it: `to`, `from`, `text` or
        `hex`, `status`, `callbackData`, …"""
        found: list[dict[str, Any]] = []
        cursor: dict[str, str] = {}
        while True:
            page = self._ask("GET", "/sandbox/messages", {"limit": "1000", **cursor})
            found += page["messages"]
            if page["next"] is None:
                return found
            cursor = {"cursor": page["next"]}

    def advance(self, by: str | timedelta) -> dict[str, Any]:
        """Move the clock by `1h`, `1d12h` or a timedelta. When this returns all that was due on the
        way has happened, and what was pushed has been answered. Gives `now`, and how many `steps`,
        `reports` and `attempts` there were. Raises ValueError."""
        from receiver.settings.durations import duration_text

        text = by if isinstance(by, str) else duration_text(by)
        done: dict[str, Any] = self._ask("POST", "/sandbox/advance", {"by": text})
        return done

    def outcome(
        self,
        status: str | None = None,
        *,
        to: str | None = None,
        sender: str | None = None,
        text: str | None = None,
        callback_data: str | None = None,
        error: str | None = None,
        after: str | timedelta | None = None,
        distribution: str | None = None,
        told: str | None = None,
        share: float | None = None,
        price: float | None = None,
        answered: str | None = None,
    ) -> None:
        """What becomes of messages sent from now on: those `to` a number or a `4179*`, from
        `sender`, with a `text` or `callback_data` in which a regular expression is found. The
        latest rule that fits counts. See [[sandbox.outcome]] in config/dlr.toml for the fields.
        Raises ValueError."""
        from receiver.settings.durations import duration_text

        rule = {
            "status": status,
            "to": to,
            "sender": sender,
            "text": text,
            "callbackData": callback_data,
            "error": error,
            "after": duration_text(after) if isinstance(after, timedelta) else after,
            "distribution": distribution,
            "told": told,
            "share": share,
            "price": price,
            "answered": answered,
        }
        given = {name: value for name, value in rule.items() if value is not None}
        self._ask("POST", "/sandbox/outcomes", body=given)

    def receive(
        self,
        *,
        from_: str,
        to: str,
        text: str,
        keyword: str | None = None,
        url: str | None = None,
        content_type: str | None = None,
        callback_data: str | None = None,
        application_id: str | None = None,
        entity_id: str | None = None,
        campaign_reference_id: str | None = None,
    ) -> dict[str, Any]:
        """Have an SMS come in. With a `url` it is pushed there, as `application/json` or as the
        `content_type` says; without one it waits to be pulled. A `keyword` is told apart if it is
        the first word of the text. Gives `messageId`, `keyword`, `cleanText`, `smsCount`,
        `receivedAt` and `url`. Raises ValueError."""
        incoming = {
            "from": from_,
            "to": to,
            "text": text,
            "keyword": keyword,
            "url": url,
            "contentType": content_type,
            "callbackData": callback_data,
            "applicationId": application_id,
            "entityId": entity_id,
            "campaignReferenceId": campaign_reference_id,
        }
        given = {name: value for name, value in incoming.items() if value is not None}
        came: dict[str, Any] = self._ask("POST", "/sandbox/inbox", body=given)
        return came

    def click(self, message_id: str, url: str | None = None) -> dict[str, Any]:
        """The recipient of a message follows a link of it: the one that led to `url`, otherwise the
        first. Clicks on links that are tracked are told to the `trackingUrl` of the request. Gives
        `messageId`, `url`, `shortUrl`, `clickedAt` and `trackingUrl`. Raises ValueError."""
        path = f"/sandbox/messages/{quote(message_id, safe='')}/click"
        clicked: dict[str, Any] = self._ask("POST", path, body={"url": url})
        return clicked

    def reset(self) -> None:
        """Forget messages, outcomes, and reports that were still to be pushed. The clock stays."""
        self._ask("POST", "/sandbox/reset")

    def _ask(
        self,
        method: str,
        path: str,
        query: dict[str, str] | None = None,
        body: Any = None,
        patience: float = PATIENCE,
    ) -> Any:
        """The JSON of an answer. Not through a proxy, whatever the environment says."""
        from http.client import HTTPConnection

        connection = HTTPConnection(self.base_url.removeprefix("http://"), timeout=patience)
        try:
            content = None if body is None else json.dumps(body)
            headers = {} if content is None else {"Content-Type": "application/json"}
            connection.request(method, f"{path}?{urlencode(query or {})}", content, headers)
            response = connection.getresponse()
            answer = json.loads(response.read())
        finally:
            connection.close()
        if response.status >= 400:
            raise ValueError(answer["error"]["message"])
        return answer


class DlrSandboxServer:
    """The processes of a session, one at a time and all at one port. Made by the fixture."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started = 0
        self._process: subprocess.Popen[str] | None = self._start(0)

    @property
    def base_url(self) -> str:
        return self.sandbox.base_url

    def ready(self) -> DlrSandbox:
        """A sandbox to which nothing has been done yet."""
        if self._process is None:
            self._process = self._start(int(self.base_url.rpartition(":")[2]))
        return self.sandbox

    def clean(self) -> None:
        """Undo what a test has done. A clock cannot go back: when it was moved, the next test gets
        another process. So it does when a webhook keeps the last pushes waiting."""
        try:
            told = self.sandbox._ask("POST", "/sandbox/reset", patience=PATIENCE_AT_THE_END)
        except OSError:
            self.stop()
            return
        if datetime.fromisoformat(told["now"]) - datetime.now(UTC) > timedelta(seconds=1):
            self.stop()

    def stop(self) -> None:
        """Nothing of it is wanted any more, so it is not asked to finish anything."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _start(self, port: int) -> subprocess.Popen[str]:
        """A process that listens, in a folder and with a database of its own."""
        self._started += 1
        folder = self._folder / str(self._started)
        folder.mkdir()
        # The settings of the project under test are not for this one.
        environment = {name: text for name, text in os.environ.items() if name[:4] != "DLR_"}
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "dispatcher", "sandbox", "--port", str(port)],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert process.stdout is not None
        for line in process.stdout:
            if found := re.match(r"listening on (http://\S+)", line):
                self.sandbox = DlrSandbox(found[1])
                return process
        process.communicate()
        raise RuntimeError(f"dlr sandbox did not start:\n{(folder / 'log').read_text('utf-8')}")


@pytest.fixture(scope="session")
def dlr_sandbox_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DlrSandboxServer]:
    """What is behind `dlr_sandbox`, for the fixtures of a session: it has the same `base_url`."""
    server = DlrSandboxServer(tmp_path_factory.mktemp("dlr_sandbox"))
    yield server
    server.stop()


@pytest.fixture
def dlr_sandbox(dlr_sandbox_server: DlrSandboxServer) -> Iterator[DlrSandbox]:
    """A provider of SMS on a free port: base_url, messages, advance("1h"), outcome(…), reset()."""
    yield dlr_sandbox_server.ready()
    dlr_sandbox_server.clean()
