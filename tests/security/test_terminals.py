"""Every command, and every process's log, with texts that were made to break a terminal.

`dlr messages` ended with a traceback because a messageId held "[/zz]", "[link=…]" made a link of a
number, U+009B coloured the list, and a newline in an answer added a line to the log that looked
like one of ours. COMMANDS is the table of what is run: a command that is not in it fails the test.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from dispatcher.cli import MODULES
from tests.dispatcher.terminal import on_a_terminal
from tests.end_to_end.processes import an_endpoint, configure, dlr, running
from tests.receiver.payloads import a_json_body, an_item
from tests.reconcile.scripted_provider import Sms, a_provider
from tests.security.attacked import Case, ask, got, troubles
from tests.security.commands import run_all
from tests.security.served import answering

POISON = (
    "P[/zz][bold]b[link=http://evil.example]l[/link]\x1b[31mred\x1b]0;title\x07\x1b]8;;http://e\x07"
    "\x9b31m\x85\u202egnp\u2066\u2028\u200b\x7f\r\nFORGED 2026-01-01T00:00:00.000Z info callback"
)
"""Markup, ANSI, OSC, C1, marks of direction, and a line of its own."""

A_PATH = POISON.replace("/", "|")
"""The same as the name of a file."""

EDGES = ("--since", "2020-01-01T00:00:00Z", "--until", "2100-01-01T00:00:00Z")

FORMS = ("table", "json", "csv")

SERVING = ("serve", "receive", "dispatch", "sandbox")

COMMANDS: Mapping[str, Sequence[Sequence[str]]] = {
    "reports": [
        *(("reports", "--format", form) for form in (*FORMS, "ndjson")),
        *(("reports", "1", "--format", form) for form in FORMS),
        ("reports", POISON),
        ("reports", "--unrouted"),
        ("reports", "--to", POISON),
        ("reports", "--endpoint", POISON, "--state", "waiting"),
        ("reports", "--state", POISON),
        ("reports", "--since", POISON),
        ("reports", "--config", A_PATH),
        ("reports", "--database", A_PATH),
        ("reports", "--output", A_PATH),
        ("reports", "--output", f"{A_PATH}/{A_PATH}"),
        ("--debug", "reports", "--since", POISON),
    ],
    "messages": [
        *(("messages", "--format", form) for form in FORMS),
        *(("messages", POISON, "--format", form) for form in FORMS),
        ("messages", POISON),
        ("messages", "--to", POISON),
        ("messages", "--since", POISON),
        ("messages", f"{POISON} not there"),
    ],
    "quarantine": [
        ("quarantine", "--format", "table"),
        ("quarantine", "--format", "json"),
        ("quarantine", "--retry", "all"),
        *(("quarantine", "1", "--format", form) for form in FORMS),
        ("quarantine", POISON),
        ("quarantine", "--until", POISON),
        ("quarantine", "--dismiss", POISON),
        ("quarantine", "--dismiss", "99"),
    ],
    "dispatches": [
        ("dispatches", "--format", "table"),
        ("dispatches", "--format", "json"),
        *(("dispatches", "THE DISPATCH", "--format", form) for form in FORMS),
        ("dispatches", "THE DISPATCH"),
        ("dispatches", POISON),
        ("dispatches", "--endpoint", POISON),
        ("dispatches", "--message-id", POISON),
        ("dispatches", "--since", POISON),
        ("dispatches", "--retry", POISON),
        ("dispatches", "--again", POISON),
        ("dispatches", "--retry", "THE DISPATCH"),
        ("dispatches", "--again", "THE DISPATCH"),
    ],
    "why": [
        *(("why", "1", "--format", form) for form in ("table", "json")),
        ("why", POISON),
        ("why", f"{POISON} not there"),
        ("why", POISON, "--source", POISON),
    ],
    "totals": [
        ("totals",),
        *(("totals", "--by", word) for word in ("operator", "country", "sender", "error", POISON)),
        ("totals", "--since", POISON),
    ],
    "replays": [
        ("replays", "start", "--message-id", POISON, "--dry-run"),
        ("replays", "start", "--dispatch", POISON, "--dry-run"),
        ("replays", "start", "--to-endpoint", POISON, "--source", "default"),
        ("replays", "start", "--message-id", POISON, "--to", f"http://{POISON}/"),
        ("replays", "start", "--capsule", A_PATH, "--to", "http://127.0.0.1:9/"),
        (
            "replays",
            "start",
            "--message-id",
            POISON,
            "--endpoint",
            "acme",
            "--key",
            POISON,
            "--detach",
        ),
        ("replays", "--format", "table"),
        ("replays", "--format", "json"),
        *(("replays", "show", "1", "--format", form) for form in FORMS),
        ("replays", "show", "1"),
        ("replays", "show", POISON),
        ("replays", "cancel", POISON),
        ("replays", POISON),
        ("replays", "cancel", "1"),
    ],
    "endpoints": [
        ("endpoints", "--format", "table"),
        ("endpoints", "--format", "json"),
        ("endpoints", "list", "--format", "csv"),
        ("endpoints", "show", "acme"),
        ("endpoints", "show", POISON),
        ("endpoints", POISON),
        ("endpoints", "health", "--format", "table"),
        ("endpoints", "health", POISON),
        ("endpoints", "add", POISON, "--url", "http://127.0.0.1:9/"),
        ("endpoints", "add", "other", "--url", f"http://{POISON}"),
        ("endpoints", "add", "other", "--url", "http://127.0.0.1:9/", "--set", f"sources={POISON}"),
        ("endpoints", "add", "other", "--url", "http://127.0.0.1:9/", "--set", f"{POISON}=1"),
        ("endpoints", "change", "acme", "--set", f"callback_data_prefix='''{POISON}'''"),
        ("endpoints", "change", POISON, "--set", "window=5"),
        *(
            ("endpoints", word, POISON)
            for word in ("pause", "resume", "retry", "test", "remove", "reset")
        ),
        ("endpoints", "retry", "acme"),
        ("endpoints", "test", "acme"),
    ],
    "capture": [
        ("capture", *EDGES, "--endpoint", POISON, "--output", "some.capsule"),
        ("capture", *EDGES, "--endpoint", "acme", "--output", f"{A_PATH}.capsule"),
    ],
    "simulate": [
        ("simulate", "poisoned.toml"),
        ("simulate", "poisoned.toml", "--json"),
        ("simulate", "poisoned.toml", "--csv", A_PATH),
        ("simulate", "poisoned.toml", "--compare", POISON),
        ("simulate", A_PATH),
    ],
    "rehearse": [
        *(
            ("rehearse", "THE WEBHOOK", "--only", "json-v2-delivered", "--format", form)
            for form in ("text", "json", "junit", "html")
        ),
        ("rehearse", "THE WEBHOOK", "--only", POISON),
        ("rehearse", "THE WEBHOOK", "--only", "json-v2-delivered", "--verify", "THE STATE"),
        ("rehearse", f"http://{POISON}/"),
    ],
    "reconcile": [
        ("reconcile", "--source", "default"),
        ("reconcile", "--source", "default", "--format", "json", "--apply"),
        ("reconcile", "--source", POISON),
    ],
    "schedule": [("schedule",), ("schedule", POISON)],
    "purge": [("purge", "--dry-run"), ("purge", "--older-than", POISON)],
    "erase": [("erase", "--to", POISON, "--dry-run"), ("erase", "--message-id", POISON)],
    "audit": [
        ("audit", "--format", "table"),
        ("audit", "--format", "json"),
        ("audit", "--subject", POISON),
        ("audit", "--since", POISON),
    ],
    "views": [("views",), ("views", POISON)],
    "open": [("open", "--url", POISON), ("open", "--config", A_PATH)],
    "check": [("check",), ("check", "--config", "faulty.toml"), ("check", "--database", A_PATH)],
    "backup": [
        ("backup", A_PATH),
        ("backup", f"{A_PATH}/x"),
        ("backup", "x", "--database", A_PATH),
    ],
    "restore": [("restore", A_PATH, "--replace"), ("restore", POISON)],
    "migrate": [
        ("migrate",),
        ("migrate", "--database", A_PATH),
        ("migrate", "--from", A_PATH, "--to", "postgresql://127.0.0.1:1/x"),
        ("migrate", "--from", A_PATH, "--give-up"),
    ],
    "demo": [("demo", "--seed", POISON)],
    "listen": [("listen", "--bind", POISON)],
    "config": [("config", "check", "--config", A_PATH), ("config", POISON)],
    "completion": [("completion", POISON)],
    **{
        name: [(name, "--bind", POISON) if name == "serve" else (name, "--database", A_PATH + "/a")]
        for name in SERVING
    },
}

TRACEBACK = "Traceback (most recent call last):"

_STYLE = re.compile("\x1b\\[[0-9;]*m")
"""What rich itself writes to a terminal."""


FIELDS = ("bulkId", "to", "from", "mccMnc", "callbackData", POISON)


def poisoned(message_id: str = POISON) -> bytes:
    """A callback with the poison in each text."""
    return a_json_body(
        an_item(
            **dict.fromkeys(FIELDS, POISON),
            messageId=message_id,
            status={"groupId": 9, "groupName": POISON, "id": 999, "name": POISON},
            error={"groupId": 9, "groupName": POISON, "id": 999, "name": POISON},
            price={"pricePerMessage": 1, "currency": POISON},
        )
    )


IN_XML = POISON.replace("\x1b", "").replace("\x07", "")
XML = (
    "<deliveryReports><results><result><messageId>X</messageId>"
    f"<callbackData>{IN_XML}</callbackData><error/></result></results></deliveryReports>"
).encode()

REFUSED = (
    Case("an unknown source", "POST", f"/notify/{'%0A%1B%5B31m%C2%9B%E2%80%AE%5B/zz%5D'}", "404"),
    Case("a path that is none", "POST", "/notify/a/%0AFORGED%1B%5B31m", "404"),
    Case(
        *("a request id", "POST", "/notify", "415"),
        [("X-Request-Id", "a\x9b[/zz]"), ("Content-Type", "\u202e[/zz]")],
        b"x",
    ),
    Case("a query", "GET", "/api/reports?%0AFORGED=%1B%5B31m", "400"),
    Case("a method", "FORGED\x1b[31m", "/notify", "400"),
    Case("a version", "GET", "/ HTTP/9.9\x1b[31m", "400"),
)


async def fill(folder: Path, webhook: str) -> None:
    """A database with poison in reports, quarantine, answers, and what was typed."""
    configure(folder, an_endpoint(webhook) + '[log]\nlevel = "debug"\n')
    async with running(folder, "serve") as server:
        assert (await server.post(poisoned()))[1]["stored"] == 1
        assert (await server.post(XML, "xml"))[0] in (200, 400)
        await server.post(f"{{{POISON}".encode())
        await server.post(json.dumps({"results": [{"messageId": {POISON: 1}, "to": 1}]}).encode())
        await server.err.find("outcome=refused")
        await server.stop()
        hold(server.out.text, server.err.text)


def hold(*written: str) -> None:
    """Nothing of the poison is obeyed, and no line is forged."""
    for text in written:
        assert not troubles(text), "\n".join(troubles(text))
        assert not [line for line in text.split("\n") if line.lstrip().startswith("FORGED")]
        assert "MarkupError" not in text


def test_every_command_is_in_the_table() -> None:
    """A new command gets its rows here."""
    assert set(COMMANDS) == set(MODULES)


async def test_no_command_obeys_the_poison(tmp_path: Path) -> None:
    """Each row of the table runs to its end and prints the poison escaped, if at all: exit code 0,
    1 or 2, no defect of ours, and what it writes to files steers nothing either."""
    (tmp_path / "poisoned.toml").write_text(
        f"story = {json.dumps(POISON)}\nduration = '1m'\n"
        "[[phase]]\nbehaves = 'refuses'\nlasts = '5s'\n"
    )
    (tmp_path / "faulty.toml").write_text(
        f"{json.dumps(POISON)} = 1\n[log]\nlevel = {json.dumps(POISON)}\n"
        f"[[endpoint]]\nname = {json.dumps(POISON)}\nurl = {json.dumps(POISON)}\n"
    )
    async with answering(POISON, 418) as webhook, a_provider("v3") as provider:
        await fill(tmp_path, webhook)
        provider.log = [Sms(POISON, callback_data=POISON)]
        more = f'[[source]]\nname = "default"\n[source.reconcile]\nbase_url = "{provider.url}"\n'
        configure(tmp_path, an_endpoint(webhook) + more + 'api_key = "KEY"\n')
        listed = json.loads((await dlr(tmp_path, "dispatches", "--format", "json")).out)
        known = {
            "THE DISPATCH": listed[0]["id"],
            "THE WEBHOOK": webhook,
            "THE STATE": f"{webhook}{{messageId}}",
        }
        commands = [
            [known.get(word, word) for word in words]
            for rows in COMMANDS.values()
            for words in rows
        ]
        for words, ended in zip(commands, await run_all(tmp_path, commands), strict=True):
            assert ended.code in (0, 1, 2), (words, ended)
            assert "unexpected " not in ended.err, (words, ended.err)
            err = ended.err.replace(TRACEBACK, "") if "--debug" in words else ended.err
            if "--format" in words and "csv" in words:  # a cell in quotes may have lines of its own
                assert not troubles(ended.out.replace("\r\n", "\n")), words
                hold(err)
            else:
                hold(ended.out, err)


TABLES = [
    words
    for name in ("reports", "messages", "quarantine", "dispatches", "replays", "endpoints")
    for words in COMMANDS[name]
    if "table" in words or len(words) == 2
]


A_TERMINAL = {"FORCE_COLOR": "1", "TERM": "xterm-256color", "COLUMNS": "80"}


async def test_no_list_on_a_terminal_obeys_it(tmp_path: Path) -> None:
    """With the colours that rich gives a terminal: its own styles and no link, title or colour of
    the poison."""
    async with answering(POISON, 418) as webhook:
        await fill(tmp_path, webhook)
        commands = [*TABLES, ("schedule",), ("simulate", "poisoned.toml")]
        ended_ones = await run_all(tmp_path, commands, **A_TERMINAL)
        for words, ended in zip(commands, ended_ones, strict=True):
            hold(_STYLE.sub("", ended.out), ended.err)
            assert "\x1b[31m" not in ended.out, words


@pytest.mark.parametrize("form", ["console", "json"])
@pytest.mark.parametrize("part", ["serve", "sandbox", "receive"])
async def test_no_log_is_forged(tmp_path: Path, form: str, part: str) -> None:
    """At level debug, with the statements of the database and the texts of others in it, each line
    is one of ours: it begins with an instant, or is a JSON object."""
    async with answering(POISON, 418) as webhook:
        log = f'[log]\nlevel = "debug"\nformat = "{form}"\nmask_numbers = false\n'
        configure(tmp_path, an_endpoint(webhook) + log)
        async with running(tmp_path, part) as server:
            assert (await server.post(poisoned()))[1]["stored"] == 1
            await server.post(b"{" + POISON.encode())
            for case in REFUSED:
                assert (await got(server, case)).startswith(case.gets), case.attack
            rule = json.dumps({"text": "(", POISON: POISON}).encode()
            await ask(server, "POST", "/sandbox/outcomes", (), rule)
            await ask(server, "PATCH", "/api/endpoints/acme", (), rule)

            if part != "receive":
                await server.err.find("attempt")
            await server.stop()
        hold(server.out.text, server.err.text)
        for line in server.err.lines:
            if form == "json":
                json.loads(line)
            else:
                assert re.match(r"\d{4}-\d\d-\d\dT[\d:.]+Z \w+ |  ", line), line


async def test_what_a_scripted_endpoint_gets_is_shown(tmp_path: Path) -> None:
    """`dlr listen` prints each push: its headers and its body, each line of it indented."""
    async with running(tmp_path, "listen") as endpoint:
        headers = [("webhook-id", "[/zz]\x9b31m"), ("Content-Type", "\u202e[/zz]")]
        await ask(endpoint, "POST", "/", headers, POISON.encode())
        await endpoint.out.find("FORGED")
        await endpoint.stop()
    assert not troubles(endpoint.out.text + endpoint.err.text)
    assert not [line for line in endpoint.out.lines if line.startswith("FORGED")]
    assert "[/zz][bold]b[link=http://evil.example]l[/link]" in endpoint.out.text


async def test_a_traceback_is_escaped(tmp_path: Path) -> None:
    """With --debug the traceback comes, and the message in it steers nothing."""
    configure(tmp_path, f"[log]\nlevel = {json.dumps(POISON)}\n")
    ended = await dlr(tmp_path, "--debug", "check")
    assert TRACEBACK in ended.err
    assert ended.code == 1
    hold(ended.err.replace(TRACEBACK, ""))


async def test_the_bytes_of_quarantine_are_shown_on_a_terminal(tmp_path: Path) -> None:
    """A pipe or a file gets them as they came; a terminal would obey them."""
    body = f"{{{POISON}".encode()
    async with running(tmp_path, "serve") as server:
        assert (await server.post(body))[0] == 400
        await server.stop()

    piped = await dlr(tmp_path, "quarantine", "1")
    screen = await on_a_terminal(tmp_path, "quarantine", "1")

    assert piped.out == body.decode()
    assert not troubles(screen.replace("\r\n", "\n"))
    assert r"\x1b[31mred" in screen
