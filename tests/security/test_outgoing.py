"""A sandbox calls this machine and nothing else, unless it is told to.

It was called with the settings of production: its endpoints, and the URLs in an app's own tests,
were pushed to with reports that nobody had sent.
"""

from __future__ import annotations

import json
from pathlib import Path

from tests.end_to_end.processes import customer
from tests.security.attacked import ask, attacked

APP = [("Authorization", "App x"), ("Content-Type", "application/json")]

CUSTOMER = '[[endpoint]]\nname = "customer"\nurl = "http://203.0.113.9/dlr"\n'

NOT_HERE = "203.0.113.9 is not on this machine (sandbox.allowed_hosts can allow it)"


def a_message(to: str, **said: str) -> dict[str, object]:
    return {"messages": [{"destinations": [{"to": to}], "text": "x", **said}]}


async def test_a_sandbox_calls_no_public_host(tmp_path: Path) -> None:
    """Neither a URL of a message nor an endpoint of the file; each attempt says why, and which
    setting allows it. An app on this machine is called."""
    async with customer() as app, attacked(tmp_path, "sandbox", config=CUSTOMER) as sandbox:
        for said in ({"notifyUrl": "http://203.0.113.9/"}, {}, {"notifyUrl": app.url}):
            sent = a_message("41790000000", **said)
            body = json.dumps(sent).encode()
            answer = await ask(sandbox, "POST", "/sms/2/text/advanced", APP, body)
            assert answer.status == 200
        assert (await ask(sandbox, "POST", "/sandbox/advance?by=10s")).status == 200
        await app.came.reach(1)
        outcomes = []
        for each in await sandbox.all("dispatches"):
            last = (await sandbox.history(each["id"]))["history"][-1]
            outcomes.append((each["endpoint"], last["outcome"], last["error"]))
    assert sorted(outcomes, key=str) == [
        ("customer", "not_allowed", NOT_HERE),
        ("notify-url", "acknowledged", None),
        ("notify-url", "not_allowed", NOT_HERE),
    ]


async def test_what_is_not_called_is_told_at_the_start(tmp_path: Path) -> None:
    """An endpoint of the file that a sandbox leaves alone stood there as all others. One on this
    machine, one that is named and one in a network that is allowed are called."""
    config = f"""
[sandbox]
allowed_hosts = ["hooks.example"]
[outgoing]
allowed_networks = ["192.0.2.0/24"]
{CUSTOMER}
[[endpoint]]
name = "app"
url = "http://localhost:9000/"
[[endpoint]]
name = "named"
url = "https://me:secret@hooks.example/"
[[endpoint]]
name = "inside"
url = "http://192.0.2.7/"
"""
    async with attacked(tmp_path, "sandbox", config=config) as sandbox:
        await sandbox.out.find(r"^  reports ")
        assert (await ask(sandbox, "GET", "/readyz")).status == 200
        told = [line for line in sandbox.out.lines if "not called" in line]
    assert told == [
        "  not called customer at http://203.0.113.9/dlr, unless that is this machine:"
        " sandbox.allowed_hosts does not name it"
    ]


async def test_a_sandbox_does_not_ask_the_provider(tmp_path: Path) -> None:
    """With the settings of production it would have pulled the account's reports, each of which is
    handed out once."""
    config = """
[[source]]
name = "default"
[source.reconcile]
base_url = "https://203.0.113.9"
api_key = "k"
interval = "1m"
"""
    async with attacked(tmp_path, "sandbox", config=config) as sandbox:
        await sandbox.err.find(
            "source default is not reconciled, because sandbox.allowed_hosts forbids it"
        )


async def test_a_closed_server_calls_nobody(tmp_path: Path) -> None:
    """`outgoing.loopback_only`: the file's own endpoint is not called either, and says why."""
    config = f"[outgoing]\nloopback_only = true\n{CUSTOMER}"
    async with attacked(tmp_path, "serve", config=config) as server:
        await server.post(b'{"results":[{"messageId":"m1","status":{"groupId":3}}]}')
        line = await server.err.find("outcome=not_allowed")
    assert "203.0.113.9 is not on this machine (outgoing.loopback_only can allow it)" in line.string
