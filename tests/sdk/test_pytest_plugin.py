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
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.request import Request, urlopen

import pytest


class Shop:
    """A user's app: it sends, and its webhook notes what it is told."""

    def __init__(self):
        self.told = []
        self.answers = 200, b""
        shop = self

        class Webhook(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                shop.told += [each["status"]["name"] for each in json.loads(body)["results"]]
                status, answer = shop.answers
                self.send_response(status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Webhook)
        threading.Thread(target=self.server.serve_forever).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def send(self, sandbox, to="41793026727", hook="", **fields):
        if hook == "":
            hook = f"http://127.0.0.1:{self.server.server_port}/dlr"
        message = {"from": "Shop", "destinations": [{"to": to}], "text": "Your order", **fields}
        body = json.dumps({"messages": [{**message, "notifyUrl": hook}]}).encode()
        headers = {"Authorization": "App key", "Content-Type": "application/json"}
        request = Request(f"{sandbox.base_url}/sms/2/text/advanced", body, headers)
        with urlopen(request) as answer:
            return json.load(answer)

    def try_to_send(self, sandbox):
        with suppress(OSError):  # also HTTPException of a connection that ends
            self.send(sandbox)


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

        def test_end(shop, dlr_sandbox):
            dlr_sandbox.outcome("EXPIRED_EXPIRED", after="1d")
            dlr_sandbox.no_outcomes()
            dlr_sandbox.outcome(after="1d")
            message_id = shop.send(dlr_sandbox)["messages"][0]["messageId"]
            ended = dlr_sandbox.end(message_id, "REJECTED_NETWORK", error="EC_CALL_BARRED")
            assert ended["error"]["name"] == "EC_CALL_BARRED"
            dlr_sandbox.advance("1d")
            assert shop.told == ["REJECTED_NETWORK"]
            with pytest.raises(ValueError, match="the message has already ended"):
                dlr_sandbox.end(message_id, "DELIVERED_TO_HANDSET")

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
    run(suite).assert_outcomes(passed=7)


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


def test_in_the_webhooks_own_event_loop(run: Run) -> None:
    """Called in the event loop that serves the webhook, `advance` and `reset` cannot be answered:
    the push waited ten seconds and failed, and nobody knew why. It is told at once. Where no push
    can go there, it is as ever."""
    suite = """
        import asyncio
        import pytest
        from aiohttp import web

        async def story(shop, sandbox):
            runner = web.AppRunner(web.Application())
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            hook = "http://127.0.0.1:%d/dlr" % runner.addresses[0][1]
            shop.send(sandbox)
            sandbox.advance("1m")
            shop.send(sandbox, hook=hook)
            for blocking in (lambda: sandbox.advance("1d"), sandbox.reset):
                with pytest.raises(RuntimeError, match=r"serves your webhook .*/dlr, .*to_thread"):
                    blocking()
            assert sandbox.pushes[-1]["url"] != hook
            await asyncio.to_thread(sandbox.advance, "10s")
            with pytest.raises(RuntimeError, match="serves your webhook"):
                sandbox.advance("1h")  # the webhook knows no such path: the push is made again
            await runner.cleanup()
            sandbox.advance("1h")

        def test_it(shop, dlr_sandbox):
            asyncio.run(story(shop, dlr_sandbox))
            assert shop.told == ["DELIVERED_TO_HANDSET"]
    """
    run(suite).assert_outcomes(passed=1)


def test_no_answer_steers_the_terminal(run: Run) -> None:
    """The report of a failed test quotes webhooks and trouble on order. What would colour the
    terminal, or forge a line of the report, is written as an escape."""
    suite = """
        import pytest

        def test_it(shop, dlr_sandbox):
            shop.answers = 500, b"\\x1b[31mred\\x07"
            shop.send(dlr_sandbox)
            dlr_sandbox.advance("1s")
            dlr_sandbox.fault(status=503, body="\\x1b[2J\\r\\nPASSED")
            with pytest.raises(OSError):
                shop.send(dlr_sandbox)
            dlr_sandbox.advance("1m")
            with pytest.raises(AssertionError) as told:
                dlr_sandbox.assert_pushed()
            assert str(told.value).replace("\\n", "").isprintable()
            assert "\\\\x1b[31mred\\\\x07" in str(told.value)
            assert "refused with 503: \\\\x1b[2J\\\\r\\\\nPASSED" in str(told.value)
    """
    run(suite).assert_outcomes(passed=1)


def test_pushes_are_seen_and_asserted(run: Run) -> None:
    """A test sees each push, and an assertion that says why one has not arrived. When a test fails,
    its report says so without being asked."""
    suite = """
        import json

        def test_arrived(shop, dlr_sandbox):
            shop.send(dlr_sandbox)
            dlr_sandbox.advance("1m")
            dlr_sandbox.assert_pushed()
            (push,) = dlr_sandbox.pushes
            (sent,) = dlr_sandbox.messages
            assert push["messageIds"] == [sent["messageId"]]
            assert json.loads(push["body"])["results"][0]["to"] == "41793026727"

        def test_500(shop, dlr_sandbox):
            shop.answers = 500, b"KeyError: 'results'"
            shop.send(dlr_sandbox)
            dlr_sandbox.advance("1m")
            dlr_sandbox.assert_pushed()

        def test_only_a_test_client(shop, dlr_sandbox):
            shop.send(dlr_sandbox, hook="http://testserver/dlr")
            dlr_sandbox.advance("1m")
            dlr_sandbox.assert_pushed()

        def test_too_early(shop, dlr_sandbox):
            shop.send(dlr_sandbox)
            dlr_sandbox.assert_pushed()

        def test_nowhere(shop, dlr_sandbox):
            shop.send(dlr_sandbox, hook=None)
            dlr_sandbox.advance("1m")
            dlr_sandbox.assert_pushed()

        def test_refused(shop, dlr_sandbox):
            dlr_sandbox.fault(status=401)
            shop.send(dlr_sandbox)  # raises HTTPError

        def test_nothing_to_say(shop, dlr_sandbox):
            shop.send(dlr_sandbox)
            dlr_sandbox.advance("1m")
            assert shop.told == ["odd"]
    """
    result = run(suite)

    result.assert_outcomes(passed=1, failed=6)
    said = [
        "E*AssertionError: your webhook answered 500: KeyError: 'results' (attempt 1 of message *;"
        " the next attempt is due at *",
        "E*AssertionError: nothing can be pushed to http://testserver/dlr: that is the address of a"
        " test client, which does not open a port.*",
        "E*AssertionError: message * its next step is due at *; advance moves the clock",
        "E*AssertionError: message * it has no notifyUrl, and no endpoint takes its reports: they"
        " wait to be pulled",
        "*--- dlr_sandbox ---*",
        "POST /sms/2/text/advanced was refused with 401: {*",
        "the sandbox has not received a message: the app sent none to this base_url",
    ]
    result.stdout.fnmatch_lines(said)
    assert result.stdout.str().count("- dlr_sandbox -") == 5


def test_one_process_for_all_tests(run: Run) -> None:
    """A test that moves the clock, or leaves a push under way, cost the next one a new process: one
    to three seconds. Now all have one process, and each finds everything as new."""
    suite = """
        from datetime import UTC, datetime, timedelta
        from threading import Thread
        import pytest

        processes = set()

        @pytest.fixture(autouse=True)
        def as_new(dlr_sandbox_server, dlr_sandbox):
            processes.add(dlr_sandbox_server._process.pid)
            yield
            assert len(processes) == 1

        @pytest.mark.parametrize("n", range(5))
        def test_tomorrow(shop, dlr_sandbox, n):
            assert dlr_sandbox._ask("GET", "/api/reports")["reports"] == []
            assert dlr_sandbox.requests == dlr_sandbox.pushes == []
            shop.send(dlr_sandbox)
            now = datetime.fromisoformat(dlr_sandbox.advance("1d")["now"])
            assert abs(now - datetime.now(UTC) - timedelta(days=1)) < timedelta(hours=1)
            dlr_sandbox._ask("POST", "/api/endpoints/notify-url/pause")

        def test_slow_answers(shop, dlr_sandbox):
            dlr_sandbox.fault(delay="10m")
            Thread(target=shop.try_to_send, args=[dlr_sandbox]).start()
            while not dlr_sandbox.messages:
                pass

        def test_next(shop, dlr_sandbox):
            assert dlr_sandbox.messages == []
    """
    run(suite).assert_outcomes(passed=7)


def test_in_parallel(run: Run) -> None:
    """With pytest-xdist each worker has its own process, on a port of its own."""
    suite = """
        import pytest

        @pytest.mark.parametrize("n", range(6))
        def test_tomorrow(shop, dlr_sandbox, n):
            assert dlr_sandbox.messages == []
            shop.send(dlr_sandbox)
            dlr_sandbox.advance("1d")
            assert shop.told == ["DELIVERED_TO_HANDSET"]
    """
    run(suite, "-n", "2").assert_outcomes(passed=6)


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
