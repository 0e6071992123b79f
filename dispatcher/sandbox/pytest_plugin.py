"""The fixture `dlr_sandbox`: a provider of SMS for the test suites of those who send them.

    def test_an_order_is_confirmed(shop, dlr_sandbox):
        dlr_sandbox.outcome("UNDELIVERABLE_NOT_DELIVERED", to="4179*")
        shop.order(phone="41793026727", sms_url=dlr_sandbox.base_url)
        dlr_sandbox.advance("1d")
        assert dlr_sandbox.messages[0]["text"] == "Your order is on its way"

It is a `dlr sandbox` of its own process, so it neither needs nor disturbs an event loop, a mocked
clock or the warnings of a suite. The calls block: in a test whose own event loop serves the
webhook they belong in a thread, `await asyncio.to_thread(dlr_sandbox.advance, "1d")`.

When a test fails, its report says what was refused, and why pushes have not arrived.

Each pytest that finds this package imports this file, so at its top it imports nothing that pytest
has not. `-p no:dlr_sandbox` turns it off.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Generator, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import pytest

PATIENCE = 300.0
"""Seconds. The longest that an answer takes: a clock that is moved over many retries to a URL that
does not answer waits for each of them."""

PATIENCE_AT_THE_END = 2.0

REASONS_MOST = 20
"""Lines that say why something has not been pushed."""


class DlrSandbox:
    """A running sandbox. Each test gets it as new, and always at the same `base_url`."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url

    @property
    def messages(self) -> list[dict[str, Any]]:
        """What was sent, in its order, as GET /sandbox/messages shows it: `to`, `from`, `text` or
        `hex`, `status`, `callbackData`, …"""
        return self._all("/sandbox/messages", "messages")

    @property
    def requests(self) -> list[dict[str, Any]]:
        """What the provider's routes were asked, in its order, as GET /sandbox/requests shows it:
        `method`, `path`, `body`, `status`, `answer`, …"""
        return self._all("/sandbox/requests", "requests")

    @property
    def refused(self) -> list[dict[str, Any]]:
        """Those of the requests that were refused."""
        return self._all("/sandbox/requests", "requests", refused="true")

    @property
    def pushes(self) -> list[dict[str, Any]]:
        """Each attempt to push, in its order, as GET /sandbox/pushes shows it: `url`, `messageIds`,
        `headers`, `body`, `status`, `answer`, `explanation`, …"""
        return self._all("/sandbox/pushes", "pushes")

    def assert_pushed(self) -> None:
        """Everything that was due has been pushed to your webhook, and it has answered 2xx.
        Otherwise the AssertionError says what happened: "your webhook answered 500: …"."""
        __tracebackhide__ = True
        if reasons := self._why_not_pushed(PATIENCE):
            raise AssertionError("\n".join(reasons))

    def _why_not_pushed(self, patience: float) -> list[str]:
        from dispatcher.sandbox.explained import not_told, was_refused
        from receiver.shown import shown

        messages = self._all("/sandbox/messages", "messages", patience=patience)
        pushes = self._all("/sandbox/pushes", "pushes", patience=patience)
        refused = self._all("/sandbox/requests", "requests", patience=patience, refused="true")
        reasons = [*map(was_refused, refused), *not_told(messages, pushes)]
        if not messages:
            reasons.append(
                "the sandbox has not received a message: the app sent none to this base_url"
            )
        return [shown(each) for each in reasons[:REASONS_MOST]]  # webhooks answer anything

    def advance(self, by: str | timedelta) -> dict[str, Any]:
        """Move the clock by `1h`, `1d12h` or a timedelta. When this returns all that was due on the
        way has happened, and what was pushed has been answered. Gives `now`, and how many `steps`,
        `reports` and `attempts` there were. Raises ValueError, and RuntimeError where it
        would block the event loop that has to answer."""
        from receiver.settings.durations import duration_text

        self._refuse_in_own_loop("advance")
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

    def no_outcomes(self) -> None:
        """Take back what `outcome` has said. Messages that were sent keep their outcome."""
        self._ask("DELETE", "/sandbox/outcomes")

    def end(self, message_id: str, status: str, *, error: str | None = None) -> dict[str, Any]:
        """A message that has no final status yet gets this one now: `DELIVERED_TO_HANDSET`,
        `EXPIRED_EXPIRED`, `REJECTED_NETWORK` … What is to be told of it is stored;
        `advance("0s")` returns when it has been pushed. Gives the message. Raises ValueError."""
        path = f"/sandbox/messages/{quote(message_id, safe='')}/outcome"
        said = {"status": status, "error": error}
        message: dict[str, Any] = self._ask("POST", path, body=said)
        return message

    def fault(
        self,
        *,
        status: int | None = None,
        next: int | None = None,
        route: str | None = None,
        to: str | None = None,
        share: float | None = None,
        delay: str | timedelta | None = None,
        drop: bool | None = None,
        reset: bool | None = None,
        body: Any = None,
    ) -> None:
        """The send API fails from now on: for the `next` so many requests, for those to a `route`
        or `to` a recipient, or for a `share` of them. They are answered with a `status` in the
        provider's shape (or with `body`), after a `delay`, or not at all (`drop`, `reset`). The
        latest rule that fits counts. See [[sandbox.fault]] in config/dlr.toml for the fields.
        Raises ValueError."""
        from receiver.settings.durations import duration_text

        rule = {
            "status": status,
            "next": next,
            "route": route,
            "to": to,
            "share": share,
            "delay": duration_text(delay) if isinstance(delay, timedelta) else delay,
            "drop": drop,
            "reset": reset,
            "body": body,
        }
        given = {name: value for name, value in rule.items() if value is not None}
        self._ask("POST", "/sandbox/faults", body=given)

    def no_faults(self) -> None:
        """Take back what `fault` has ordered."""
        self._ask("DELETE", "/sandbox/faults")

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
        """Forget messages, outcomes, faults, and reports that were still to be pushed. The clock
        stays."""
        self._refuse_in_own_loop("reset")
        self._ask("POST", "/sandbox/reset")

    def _refuse_in_own_loop(self, call: str) -> None:
        """A webhook in the event loop of the caller could not answer: each push to it would wait
        for ten seconds and fail. Raises RuntimeError."""
        from dispatcher.sandbox.event_loops import ports_served_here

        if not (ports := ports_served_here()):
            return
        waiting = [each["notifyUrl"] for each in self.messages if each["dueAt"]]
        for state in ("waiting", "leased"):
            page = self._ask("GET", "/api/dispatches", {"state": state, "limit": "1000"})
            waiting += [each["url"] for each in page["dispatches"]]
        for url in waiting:
            if url and urlsplit(url).port in ports:
                raise RuntimeError(
                    f"{call} would block the event loop that serves your webhook {url}, so it could"
                    f" not answer. Call it in a thread: await asyncio.to_thread(dlr_sandbox.{call})"
                )

    def _all(
        self, path: str, name: str, *, patience: float = PATIENCE, **query: str
    ) -> list[dict[str, Any]]:
        """Every page of a list."""
        found: list[dict[str, Any]] = []
        cursor: dict[str, str] = {}
        while True:
            asked = {"limit": "1000", **query, **cursor}
            page = self._ask("GET", path, asked, patience=patience)
            found += page[name]
            if page["next"] is None:
                return found
            cursor = {"cursor": page["next"]}

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
    """The process of a session, in which a sandbox begins for each test. Made by the fixture; each
    worker of pytest-xdist has its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # The settings of the project under test are not for this one.
        environment = {name: text for name, text in os.environ.items() if name[:4] != "DLR_"}
        with (folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "dispatcher.commands.sandbox_for_tests"],
                cwd=folder,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self.sandbox = DlrSandbox(self._begun("did not start"))

    @property
    def base_url(self) -> str:
        return self.sandbox.base_url

    def begin_anew(self) -> None:
        """End what a test has left under way, and begin as after a start: its clock too."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended, which is told next
            self._process.stdin.write("\n")
            self._process.stdin.flush()
        self._begun("has ended")

    def stop(self) -> None:
        """Nothing of it is wanted any more, so it is not asked to finish anything."""
        self._process.kill()
        self._process.communicate()

    def _begun(self, otherwise: str) -> str:
        """The URL at which a sandbox has begun. Raises RuntimeError."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if found := re.match(r"listening on (http://\S+)", line):
                return found[1]
        self.stop()
        log = (self._folder / "log").read_text("utf-8")
        raise RuntimeError(f"dlr sandbox {otherwise}:\n{log}")


@pytest.fixture(scope="session")
def dlr_sandbox_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DlrSandboxServer]:
    """What is behind `dlr_sandbox`, for the fixtures of a session: it has the same `base_url`."""
    server = DlrSandboxServer(tmp_path_factory.mktemp("dlr_sandbox"))
    yield server
    server.stop()


@pytest.fixture
def dlr_sandbox(dlr_sandbox_server: DlrSandboxServer) -> Iterator[DlrSandbox]:
    """A provider of SMS on a free port: base_url, messages, pushes, advance("1h"), outcome(…),
    receive(…), click(…)."""
    yield dlr_sandbox_server.sandbox
    dlr_sandbox_server.begin_anew()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, Any, None]:
    """Says in the report of a test that failed what the sandbox knows of it."""
    outcome = yield
    sandbox = getattr(item, "funcargs", {}).get("dlr_sandbox")
    if call.when == "call" and call.excinfo is not None and isinstance(sandbox, DlrSandbox):
        with suppress(OSError, ValueError):
            reasons = sandbox._why_not_pushed(PATIENCE_AT_THE_END)
            if reasons:
                outcome.get_result().sections.append(("dlr_sandbox", "\n".join(reasons)))
