"""Who changed what: each change is a row that can be listed, and a line in the log."""

from __future__ import annotations

import json
import logging
import os
import pwd
import socket
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from dispatcher.observe import logs
from dispatcher.service import Parts, service
from dispatcher.settings.settings import read_settings
from dispatcher.storage import MIGRATIONS, storage
from receiver.api.audit import is_audited
from receiver.routes import routes_of
from receiver.store.audit import AuditQuery
from receiver.store.sqlite.database import Database
from tests.contracts.report_store import a_callback, an_sms
from tests.end_to_end.processes import dlr
from tests.security.attacked import ask, ask_json, attacked
from tests.security.commands import run_all

ACME = '[[endpoint]]\nname = "acme"\nurl = "http://127.0.0.1:1/"\n'
TOKENS = "".join(
    f'[[api.token]]\nname = "{name}"\nscope = "{scope}"\nsecret = "{name * 4}"\n'
    for name, scope in (("operator", "operate"), ("reader", "read"))
)
OPERATOR = [("Authorization", "Bearer " + "operator" * 4)]
READER = [("Authorization", "Bearer " + "reader" * 4)]
JSON = ("Content-Type", "application/json")

USER = pwd.getpwuid(os.getuid()).pw_name
NUMBER = "41793026727"


async def changes(folder: Path, *words: str) -> list[dict[str, Any]]:
    """What `dlr audit` lists, the oldest first."""
    ended = await dlr(folder, "audit", "--format", "json", *words)
    assert (ended.code, ended.err) == (0, "")
    listed: list[dict[str, Any]] = json.loads(ended.out)
    return listed[::-1]


async def test_each_change_over_the_api_is_noted(tmp_path: Path) -> None:
    """When, who, what, from where, and what became of it; in the log too. No secret is in it."""
    secret = {"name": "beta", "url": "http://me:s3cret@127.0.0.1:1/?token=s3cret", "window": 2}
    async with attacked(tmp_path, "serve", config=ACME + TOKENS) as server:
        await ask(
            server,
            "POST",
            "/notify",
            [JSON],
            b'{"results":[{"messageId":"m1","status":{"groupId":3}}]}',
        )
        await ask(server, "POST", "/notify", [JSON], b"{")
        for method, path, body in (
            ("POST", "/api/endpoints", secret),
            ("PATCH", "/api/endpoints/beta", {"headers": {"X-Key": "s3cret"}}),
            ("POST", "/api/endpoints/beta/pause", None),
            ("POST", "/api/endpoints/beta/resume", None),
            ("DELETE", "/api/endpoints/beta", None),
            ("POST", "/api/endpoints/acme/reset", None),
            ("POST", "/api/replays", {"ids": [1], "toEndpoint": "acme", "dryRun": True}),
            ("POST", "/api/replays", {"ids": [1], "toEndpoint": "acme"}),
            ("POST", "/api/replays/1/cancel", None),
            ("POST", "/api/dispatches/none/cancel", None),
            ("POST", "/api/quarantine/1/retry", None),
            ("DELETE", "/api/quarantine/1", None),
            ("POST", "/api/endpoints/acme/retry", None),
            ("POST", "/api/endpoints/acme/test", None),
            ("POST", "/api/endpoint-tests", secret),
            ("POST", "/api/dispatches/none/retry", None),
            ("POST", "/api/dispatches/none/again", None),
        ):
            headers = [*OPERATOR, JSON] if body else OPERATOR
            await ask(server, method, path, headers, json.dumps(body).encode() if body else None)
        page = (await ask(server, "GET", "/api/audit?limit=3", READER)).json
        rest = await ask(server, "GET", f"/api/audit?cursor={page['next']}", READER)
        listed = [*page["items"], *rest.json["items"]][::-1]
        only = (await ask(server, "GET", "/api/audit?what=pauseEndpoint", READER)).json["items"]
        assert (await ask(server, "GET", "/api/audit")).status == 401
        line = await server.err.find(" change what=removeEndpoint")
        added = await server.err.find(" change what=addEndpoint")
        listing = await dlr(tmp_path, "audit", "--what", "addEndpoint")

    assert [(each["what"], each["subject"], each["outcome"]) for each in listed] == [
        ("addEndpoint", "beta", "done"),
        ("changeEndpoint", "beta", "done"),
        ("pauseEndpoint", "beta", "done"),
        ("resumeEndpoint", "beta", "done"),
        ("removeEndpoint", "beta", "done"),
        ("resetEndpoint", "acme", "done"),
        ("makeReplay", None, "dry run"),
        ("makeReplay", "1", "done"),
        ("cancelReplay", "1", "done"),
        ("cancelDispatch", "none", "refused"),
        ("retryQuarantined", "1", "done"),
        ("dismissQuarantined", "1", "done"),
        ("retryEndpoint", "acme", "done"),
        ("testEndpoint", "acme", "done"),
        ("testNewEndpoint", None, "done"),
        ("retryDispatch", "none", "refused"),
        ("pushDispatchAgain", "none", "refused"),
    ]
    assert {(each["who"], each["from"]) for each in listed} == {("operator", "127.0.0.1")}
    assert listed[0]["details"] == {
        "settings": ["name", "url", "window"],
        "url": "http://127.0.0.1:1/?…",
    }
    assert listed[4]["details"] == {"cancelled": 0}
    assert listed[7]["details"] == {"reports": 1, "to": "acme", "new": True}
    assert [each["id"] for each in only] == [listed[2]["id"]]
    assert "subject=beta who=operator from=127.0.0.1 outcome=done cancelled=0" in line.string
    # A list is told as people write one, not as Python does.
    assert " settings=name,url,window url=" in added.string
    assert "settings name,url,window, url http" in listing.out
    assert "s3cret" not in json.dumps(listed) + server.err.text


async def test_each_change_by_a_command_is_noted(tmp_path: Path) -> None:
    """By the system's user. An erased number is not in it, nor anywhere else in the database."""
    (tmp_path / "dlr.toml").write_text(ACME)
    async with storage(str(tmp_path / "dlr.db")) as opened:
        await opened.store.add([a_callback(an_sms("m1", to=NUMBER), an_sms("m2", to="4366"))])
    lines = (
        "endpoints add beta --url http://me:s3cret@127.0.0.1:1/",
        "endpoints change beta --set window=3",
        "endpoints pause beta",
        "endpoints resume beta",
        "endpoints remove beta",
        "endpoints reset acme",
        "replay --id 1 --to-endpoint acme --detach",
        "replay --id 1 --to-endpoint acme --dry-run",
        "replays --cancel 1",
        "quarantine --retry all",
        "endpoints retry acme",
        f"erase --to {NUMBER} --dry-run",
        f"erase --to {NUMBER}",
        "purge --older-than 90d --dry-run",
        "purge --older-than 90d",
    )
    *ended, refused = await run_all(
        tmp_path, [line.split() for line in (*lines, "endpoints pause nobody")]
    )
    told = {line: (each.code, each.err) for line, each in zip(lines, ended, strict=True)}
    assert told == dict.fromkeys(lines, (0, ""))
    assert refused.code == 2
    listed = await changes(tmp_path)

    assert [(each["what"], each["subject"], each["outcome"]) for each in listed] == [
        ("addEndpoint", "beta", "done"),
        ("changeEndpoint", "beta", "done"),
        ("pauseEndpoint", "beta", "done"),
        ("resumeEndpoint", "beta", "done"),
        ("removeEndpoint", "beta", "done"),
        ("resetEndpoint", "acme", "done"),
        ("makeReplay", "1", "done"),
        ("cancelReplay", "1", "done"),
        ("retryQuarantined", "all", "done"),
        ("retryEndpoint", "acme", "done"),
        ("erase", "4179*****27", "done"),
        ("purge", None, "done"),
        ("pauseEndpoint", "nobody", "refused"),
    ]
    assert {(each["who"], each["from"]) for each in listed} == {(USER, "command line")}
    erased = next(each for each in listed if each["what"] == "erase")["details"]
    assert any(erased.values())
    assert "s3cret" not in json.dumps(listed)
    assert NUMBER.encode() not in (tmp_path / "dlr.db").read_bytes()
    assert [each["what"] for each in await changes(tmp_path, "--what", "erase")] == ["erase"]


async def test_no_route_that_changes_something_is_forgotten(tmp_path: Path) -> None:
    """A new route is noted by itself. Callbacks and an app's messages are what the program is for,
    and not changes."""
    (tmp_path / "dlr.toml").write_text(f'[store]\ndatabase = "{tmp_path / "dlr.db"}"\n')
    settings = read_settings(tmp_path / "dlr.toml", {"DLR_SERVER_PORT": "0"})
    async with service(settings, parts=Parts(sandbox=True)) as running:
        described = routes_of(running.app)
    changing = [each for each in described if each.method not in ("GET", "HEAD")]
    for each in changing:
        ours = each.path.startswith(("/api/", "/sandbox/"))
        assert is_audited(each) is ours, each.path
    assert sum(is_audited(each) for each in changing) >= 13


async def test_what_cannot_be_noted_is_not_made(tmp_path: Path) -> None:
    """A change without a row does not happen: 503, and the endpoint goes on."""
    async with attacked(tmp_path, "serve", config=ACME) as server:
        broken = sqlite3.connect(tmp_path / "dlr.db")
        broken.execute("DROP TABLE audit")
        broken.commit()
        broken.close()
        answer = await ask(server, "POST", "/api/endpoints/acme/pause")
        assert (answer.status, answer.code) == (503, "store_unavailable")
        shown = (await ask(server, "GET", "/api/endpoints/acme")).json
        assert shown["paused"] is False


async def test_who_calls_through_a_proxy(tmp_path: Path) -> None:
    """Behind a proxy the address is that of the client, as far as the proxy is trusted."""
    config = f"[server]\ntrusted_proxies = 1\n{ACME}"
    async with attacked(tmp_path, "serve", config=config) as server:
        claimed = [("X-Forwarded-For", "198.51.100.1, 203.0.113.7")]
        assert (await ask(server, "POST", "/api/endpoints/acme/pause", claimed)).status == 200
        (change,) = (await ask(server, "GET", "/api/audit")).json["items"]
        assert (change["who"], change["from"]) == (None, "203.0.113.7")
        bad = await ask_json(server, "POST", "/api/endpoints", {"name": "x"})
        assert bad.status == 400
        newest = (await ask(server, "GET", "/api/audit?limit=1")).json["items"][0]
        assert (newest["what"], newest["outcome"]) == ("addEndpoint", "refused")


async def test_nothing_forges_a_line(tmp_path: Path) -> None:
    """What stands in a path is in the log and the list as text: `attacked` fails if a control
    character reaches the log, and no path makes a 500."""
    longest = "a" * 5000
    async with attacked(tmp_path, "serve") as server:
        for path in (
            b"/api/endpoints/\xff/pause",
            b"/api/endpoints/%FF/pause",
            b"/api/endpoints/%ED%A0%80/pause",
            b"/api/dispatches/a%00b/cancel",
            b"/api/endpoints/%1b%5b31m%0A/pause",
            b"/api/endpoints/%E2%80%AE/pause",
            f"/api/dispatches/{longest}/cancel",
        ):
            assert (await ask(server, "POST", path)).status in (400, 404)
        page = (await ask(server, "GET", "/api/audit?since=0001-01-01T00:00:00Z")).json["items"]
        assert (await ask(server, "GET", "/api/audit?who=%FF&cursor=" + "9" * 18)).status == 200
        assert (await ask(server, "GET", "/api/audit?until=soon")).code == "bad_query"
    ended = await dlr(tmp_path, "endpoints", "pause", os.fsdecode(b"\xff"))
    assert ended.code == 2

    subjects = [each["subject"] for each in page][::-1]
    assert subjects == [
        "%FF",
        "%ED%A0%80",
        r"a\x00b",
        r"\x1b[31m\n",
        r"\u202e",
        longest[:200],
    ]
    assert [each["subject"] for each in await changes(tmp_path)][-1] == r"\udcff"


def test_a_command_tells_the_systems_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As sudo does: what a command prints is for whoever typed it."""
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(root, "level", root.level)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as system:
        system.bind(str(tmp_path / "log"))
        logs.to_system_log(tmp_path / "log")
        logging.getLogger("dlr.audit").info("change", extra={"facts": {"what": "erase"}})
        assert system.recv(1000).rstrip(b"\0").endswith(b"dlr: change what=erase")
        for handler in root.handlers:
            handler.close()


def test_without_a_systems_log_nothing_is_told(tmp_path: Path) -> None:
    """In a container there is none: the row is there all the same."""
    before = logging.getLogger().handlers[:]
    logs.to_system_log(tmp_path / "none")
    assert logging.getLogger().handlers == before


async def test_a_database_of_before(tmp_path: Path) -> None:
    """The upgrade adds the table, and leaves what is stored."""
    path = tmp_path / "dlr.db"
    database = await Database.open(path)
    audit = next(step for step in MIGRATIONS if step.name == "audit")
    later = {step for step in MIGRATIONS if step.part == audit.part and step.number >= audit.number}
    await database.migrate([step for step in MIGRATIONS if step not in later])
    await database.close()
    older = sqlite3.connect(path)
    older.execute("INSERT INTO endpoint (name, read_to) VALUES ('acme', 7)")
    older.commit()
    older.close()

    async with storage(str(path)) as opened:
        assert list(await opened.endpoints.stored()) == ["acme"]
        assert await opened.audit.changes(AuditQuery()) == []
