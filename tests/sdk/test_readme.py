"""The examples of the sandbox's guide run as they are typed."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from dispatcher.sandbox.pytest_plugin import DlrSandbox
from tests.end_to_end.processes import LIMIT, Customer, customer
from tests.sdk.driven import ROOT, node_modules_with, pushed
from tests.sdk.test_pytest_plugin import OTHERS

pytest_plugins = ["pytester"]

SECTION = (ROOT / "dispatcher/sandbox/SANDBOX.md").read_text("utf-8")
SECTION = SECTION.split("## Send from your app\n")[1].split("\n## See what")[0]


def block(language: str, beginning: str, dlr_sandbox: DlrSandbox, app: Customer) -> str:
    """The block of the guide that begins so, with the addresses of this test."""
    (found,) = re.findall(rf"```{language}\n({re.escape(beginning)}.*?)```", SECTION, re.DOTALL)
    text: str = found.replace("http://127.0.0.1:8080", dlr_sandbox.base_url)
    return text.replace("http://127.0.0.1:9000", app.url)


def printed(*command: str | Path, folder: Path) -> str:
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=LIMIT, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


async def test_python(dlr_sandbox: DlrSandbox, tmp_path: Path) -> None:
    """What the guide has for Python sends, and its reports are pushed."""
    dlr_sandbox.outcome(after="0s")
    async with customer() as app:
        text = block("python", "from infobip", dlr_sandbox, app)
        assert printed(sys.executable, "-c", text, folder=tmp_path) == "PENDING_ACCEPTED\n"
        assert "DELIVERED_TO_HANDSET" in (await pushed(app, 3))[-1]
        assert app.pushes[0].path == "/dlr"


async def test_node(
    dlr_sandbox: DlrSandbox, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """What the guide has for Node sends, and its reports are pushed."""
    modules = node_modules_with(
        "@infobip-api/sdk@0.3.2", request.config.cache.mkdir("sdk-node-readme")
    )
    (tmp_path / "node_modules").symlink_to(modules)
    dlr_sandbox.outcome(after="0s")
    async with customer() as app:
        text = block("js", "const { Infobip", dlr_sandbox, app)
        assert printed("node", "-e", text, folder=tmp_path) == "PENDING_ACCEPTED\n"
        assert "DELIVERED_TO_HANDSET" in (await pushed(app, 3))[-1]


async def test_curl(dlr_sandbox: DlrSandbox, tmp_path: Path) -> None:
    """What the guide has for curl sends, advances, and looks."""
    async with customer() as app:
        send, look = block("sh", "curl", dlr_sandbox, app).split("curl -X", 1)
        assert '"name":"PENDING_ACCEPTED"' in printed("bash", "-c", send, folder=tmp_path)
        # The webhook lives in this loop; so the clock is moved beside it.
        advance = await asyncio.create_subprocess_exec(
            "bash", "-c", f"curl -X{look}", cwd=tmp_path, stdout=PIPE, stderr=PIPE
        )
        async with asyncio.timeout(LIMIT):
            told, _ = await advance.communicate()
        assert "DELIVERED_TO_HANDSET" in (await pushed(app, 3))[-1]
    moved, _, sent = told.decode().partition("}{")
    assert json.loads(moved + "}").keys() == {"now", "steps", "reports", "attempts"}
    assert [each["state"] for each in json.loads("{" + sent)["messages"]] == ["ended"]


SHOP = """
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.request import Request, urlopen

import pytest


class Shop:
    def __init__(self):
        self.wrong_numbers = wrong = []

        class Webhook(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                for report in body["results"]:
                    if report["status"]["groupName"] == "UNDELIVERABLE":
                        wrong.append(report["to"])
                self.send_response(204)
                self.end_headers()

        self.server = HTTPServer(("127.0.0.1", 0), Webhook)
        threading.Thread(target=self.server.serve_forever).start()

    def order(self, phone):
        hook = f"http://127.0.0.1:{self.server.server_port}"
        text = "Your order is on its way"
        message = {"destinations": [{"to": phone}], "text": text, "notifyUrl": hook}
        body = json.dumps({"messages": [message]}).encode()
        headers = {"Authorization": "App key", "Content-Type": "application/json"}
        urlopen(Request(f"{self.sms_url}/sms/2/text/advanced", body, headers)).close()


@pytest.fixture
def shop():
    made = Shop()
    yield made
    made.server.shutdown()
    made.server.server_close()
"""


def test_pytest(pytester: pytest.Pytester) -> None:
    """What the guide has for pytest passes in the suite of a user."""
    (found,) = re.findall(r"```python\n(def test_.*?)```", SECTION, re.DOTALL)
    pytester.makeconftest(SHOP)
    pytester.makepyfile(found)
    without = [word for name in OTHERS for word in ("-p", f"no:{name}")]

    pytester.runpytest_subprocess(*without).assert_outcomes(passed=1)
