"""The fixture `dlr_sandbox` in suites of users, each run by a pytest of its own.

These suites have no plugin but ours, and warnings are errors in them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from inspect import signature
from pathlib import Path

import pytest

from dispatcher.sandbox.pytest_plugin import DlrSandbox
from dispatcher.settings.sandbox import FaultRule, OutcomeRule

pytest_plugins = ["pytester"]

OTHERS = ("asyncio", "aiohttp", "anyio", "schemathesis", "hypothesispytest", "subtests")

Run = Callable[..., pytest.RunResult]

APP = '''
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.request import Request, urlopen

import pytest


class Shop:
    """A user's app: it sends, and its webhook notes what it is told."""

    def __init__(self):
        self.told = []
        shop = self

        class Webhook(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                shop.told += [each["status"]["name"] for each in json.loads(body)["results"]]
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Webhook)
        threading.Thread(target=self.server.serve_forever).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def send(self, sandbox, to="41793026727", **fields):
        hook = f"http://127.0.0.1:{self.server.server_port}/dlr"
        message = {"from": "Shop", "destinations": [{"to": to}], "text": "Your order", **fields}
        body = json.dumps({"messages": [{**message, "notifyUrl": hook}]}).encode()
        headers = {"Authorization": "App key", "Content-Type": "application/json"}
        request = Request(f"{sandbox.base_url}/sms/2/text/advanced", body, headers)
        with urlopen(request) as answer:
            return json.load(answer)


@pytest.fixture
def shop():
    made = Shop()
    yield made
    made.close()
'''


@pytest.fixture
def run(pytester: pytest.Pytester) -> Run:
    """Runs a suite of the user whose conftest.py is `APP`."""

    def run(suite: str, *options: str) -> pytest.RunResult:
        pytester.makeconftest(APP)
        pytester.makepyfile(suite)
        without = [word for name in OTHERS for word in ("-p", f"no:{name}")]
        return pytester.runpytest_subprocess("-W", "error", *without, *options)

    return run


def test_a_suite_of_a_user(run: Run) -> None:
    """A suite sends, gets the webhook, looks at what was sent, and makes it tomorrow; each of its
    tests finds a sandbox as new, at one URL, whatever the one before has done."""
    suite = """
        from datetime import UTC, datetime, timedelta
        import pytest

        urls = set()

        @pytest.fixture(autouse=True)
        def as_new(dlr_sandbox):
            assert dlr_sandbox.messages == []
            urls.add(dlr_sandbox.base_url)

        def test_delivered(shop, dlr_sandbox):
            shop.send(dlr_sandbox, intermediateReport=True, callbackData="4711")
            dlr_sandbox.advance("1m")
            assert shop.told == ["PENDING_ACCEPTED", "PENDING_ENROUTE", "DELIVERED_TO_HANDSET"]
            (sent,) = dlr_sandbox.messages
            assert (sent["to"], sent["text"]) == ("41793026727", "Your order")
            assert sent["callbackData"] == "4711"

        def test_tomorrow(shop, dlr_sandbox):
            tomorrow = datetime.now(UTC) + timedelta(days=1)
            shop.send(dlr_sandbox, sendAt=tomorrow.isoformat(timespec="milliseconds"))
            done = dlr_sandbox.advance("23h")
            assert (done["reports"], shop.told) == (0, [])
            done = dlr_sandbox.advance(timedelta(hours=1, seconds=5))
            assert (done["reports"], shop.told) == (1, ["DELIVERED_TO_HANDSET"])

        def test_outcomes(shop, dlr_sandbox):
            late = timedelta(days=1)
            dlr_sandbox.outcome("UNDELIVERABLE_NOT_DELIVERED", to="4366*", after=late)
            shop.send(dlr_sandbox, to="436601234567")
            shop.send(dlr_sandbox)
            dlr_sandbox.advance("23h")
            assert shop.told == ["DELIVERED_TO_HANDSET"]
            dlr_sandbox.advance("1h")
            assert shop.told[1:] == ["UNDELIVERABLE_NOT_DELIVERED"]

        def test_reset(shop, dlr_sandbox):
            dlr_sandbox.outcome("REJECTED_DND")
            shop.send(dlr_sandbox)
            dlr_sandbox.reset()
            assert dlr_sandbox.messages == []
            assert dlr_sandbox.advance("1d")["reports"] == 0
            shop.send(dlr_sandbox)
            dlr_sandbox.advance("2s")
            assert shop.told == ["DELIVERED_TO_HANDSET"]

        def test_many(shop, dlr_sandbox):
            for _ in range(2):
                numbers = [{"to": str(41790000000 + n)} for n in range(600)]
                shop.send(dlr_sandbox, destinations=numbers)
            assert len({each["messageId"] for each in dlr_sandbox.messages}) == 1200

        def test_of_a_session(dlr_sandbox_server):
            assert urls == {dlr_sandbox_server.base_url}
    """
    run(suite).assert_outcomes(passed=6)


def test_an_async_suite(run: Run) -> None:
    """An app that lives in the event loop of the test gets its webhooks while a thread advances."""
    suite = """
        import asyncio
        import json
        from aiohttp import ClientSession, web

        async def story(sandbox):
            told = []

            async def webhook(request):
                told.extend((await request.json())["results"])
                return web.Response()

            app = web.Application()
            app.router.add_post("/dlr", webhook)
            runner = web.AppRunner(app)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            hook = "http://127.0.0.1:%d/dlr" % runner.addresses[0][1]
            body = {"messages": [{
                "sender": "Shop", "destinations": [{"to": "41793026727"}],
                "content": {"text": "Hello"}, "webhooks": {"delivery": {"url": hook}},
            }]}
            key = {"Authorization": "App key"}
            async with ClientSession(sandbox.base_url, headers=key) as session:
                async with session.post("/sms/3/messages", json=body) as answer:
                    assert answer.status == 200
            await asyncio.to_thread(sandbox.advance, "1d")
            await runner.cleanup()
            return [each["status"]["name"] for each in told]

        def test_it(dlr_sandbox):
            assert asyncio.run(story(dlr_sandbox)) == ["DELIVERED_TO_HANDSET"]
    """
    run(suite).assert_outcomes(passed=1)


def test_a_webhook_that_hangs(run: Run) -> None:
    """A push that is still under way when its test ends does not reach into the next one."""
    suite = """
        import json
        import socket
        from urllib.request import Request, urlopen

        hook = socket.create_server(("127.0.0.1", 0))

        def test_hangs(dlr_sandbox):
            url = "http://127.0.0.1:%d" % hook.getsockname()[1]
            message = {"destinations": [{"to": "41793026727"}], "text": "x", "notifyUrl": url}
            headers = {"Authorization": "App key", "Content-Type": "application/json"}
            body = json.dumps({"messages": [message]}).encode()
            dlr_sandbox.outcome(after="0s")
            urlopen(Request(dlr_sandbox.base_url + "/sms/2/text/advanced", body, headers)).close()
            global pushing
            pushing, _ = hook.accept()

        def test_next(dlr_sandbox):
            assert dlr_sandbox.messages == []
            pushing.settimeout(5)
            while pushing.recv(4096): ...  # the process that pushed is gone
            pushing.close()
            hook.close()
    """
    run(suite).assert_outcomes(passed=2)


def test_rules_have_every_field() -> None:
    """What the settings can say of an outcome, or of trouble, a test can say too; `distribution`
    was forgotten."""
    for method, rule in ((DlrSandbox.outcome, OutcomeRule), (DlrSandbox.fault, FaultRule)):
        parameters = list(signature(method).parameters)

        assert sorted(parameters[1:]) == sorted(each.name for each in fields(rule))


def test_trouble_on_order(run: Run) -> None:
    """An app that tries again after a 503 sends its order once; the next test has no trouble."""
    suite = """
        import pytest
        from datetime import timedelta
        from urllib.error import HTTPError

        def test_tries_again(shop, dlr_sandbox):
            dlr_sandbox.fault(status=503, next=1, route="/sms/2/text/advanced", to="4179*")
            with pytest.raises(HTTPError, match="503"):
                shop.send(dlr_sandbox)
            shop.send(dlr_sandbox)
            assert len(dlr_sandbox.messages) == 1

        def test_garbage(shop, dlr_sandbox):
            dlr_sandbox.fault(status=200, body={"odd": True}, delay=timedelta(0))
            assert shop.send(dlr_sandbox) == {"odd": True}
            dlr_sandbox.no_faults()
            assert "messages" in shop.send(dlr_sandbox)
            dlr_sandbox.fault(drop=True)

        def test_none(shop, dlr_sandbox):
            assert "messages" in shop.send(dlr_sandbox)
    """
    run(suite).assert_outcomes(passed=3)


def test_errors_teach(run: Run) -> None:
    """A wrong argument is told in the sandbox's words."""
    suite = """
        def test_status(dlr_sandbox):
            dlr_sandbox.outcome("LOST")

        def test_number(dlr_sandbox):
            dlr_sandbox.outcome(to="x")

        def test_time(dlr_sandbox):
            dlr_sandbox.advance("tomorrow")
    """
    result = run(suite)

    result.assert_outcomes(failed=3)
    said = [
        'E*ValueError: status: expected the name of an SMS status, got "LOST"',
        "E*ValueError: to: expected a number such as 41793026727, or*",
        "E*ValueError: by: expected a duration such as 1h, got 'tomorrow'",
    ]
    result.stdout.fnmatch_lines(said)


def test_settings_of_the_project_stay_out(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a dlr.toml of the project under test, nor its variables, nor a proxy are for it."""
    monkeypatch.setenv("DLR_SERVER_PORT", "no port")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    suite = """
        from pathlib import Path
        Path("dlr.toml").write_text("nonsense")

        def test_it(dlr_sandbox):
            assert dlr_sandbox.advance("1d")["attempts"] == 0
    """
    run(suite).assert_outcomes(passed=1)


def test_a_sandbox_that_cannot_start(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the sandbox does not start, its own words are in the error."""
    (tmp_path / "click.py").write_text("raise SystemExit('no click here')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    result = run("def test_it(dlr_sandbox): ...")

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["E*RuntimeError: dlr sandbox did not start:", "E*no click here"])


def test_unused_it_costs_nothing(run: Run) -> None:
    """A suite that does not ask for it starts no process and imports nothing of ours but the
    plugin; it can be turned off."""
    suite = """
        import sys

        def test_it(request):
            ours = {each for each in sys.modules if each.startswith(("dispatcher", "receiver"))}
            plugin = "dispatcher.sandbox.pytest_plugin"
            assert ours == {"dispatcher", "dispatcher.sandbox", plugin}
            assert "aiohttp" not in sys.modules
    """
    run(suite).assert_outcomes(passed=1)
    result = run("def test_it(dlr_sandbox): ...", "-p", "no:dlr_sandbox")
    result.assert_outcomes(errors=1)
    assert "fixture 'dlr_sandbox' not found" in result.stdout.str()
