"""A wrong address leaves a trace.

A `notifyUrl` with a slash too many was answered 404, and nothing told of it: no line in the log, no
count, nothing in a list. A proxy that set `Content-Encoding: UTF-8` was answered 415 without a word
of the header, and the body was gone. The platform repeats for 41 hours and then drops the reports.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dispatcher.observe.logs import NOT_TAKEN_A_MINUTE, CallbackLines
from dispatcher.service import Parts, Service, service
from dispatcher.settings.settings import read_settings
from receiver.callbacks.events import CallbackAnswered, Sparing
from receiver.callbacks.not_taken import (
    NewestNotTaken,
    NotTakenBecause,
    safe_path,
    stray,
)
from tests.end_to_end.processes import configure, dlr, running
from tests.receiver.served import REPORT, connected, get, post, raw, request, served, still_works

JSON = "application/json"
RECEIVING = Parts(dispatches=False)
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


# --- what was meant ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "stored"),
    [
        ("/notify/", "default"),
        ("//notify", "default"),
        ("//notify//", "default"),
        ("/notify/default/", "default"),
        ("/notify/eu", "eu"),
        ("/notify/eu/", "eu"),
        ("/notify//eu", "eu"),
        ("//notify//eu//", "eu"),
        ("/notify/?x=1", "default"),
        ("http://elsewhere//notify/", "default"),
    ],
)
async def test_a_slash_too_many(tmp_path: Path, path: str, stored: str) -> None:
    """It is taken as what it means, by the source that it means."""
    sources = '[[source]]\nname = "default"\n[[source]]\nname = "eu"\n'
    async with served(tmp_path, sources) as running_:
        assert (await post(running_.url, path=path)).json["stored"] == 1
        (report,) = (await get(running_.url, "/api/reports")).json["reports"]
        assert report["source"] == stored


async def test_a_slash_too_many_opens_nothing(tmp_path: Path) -> None:
    """What a source demands is demanded at each spelling of its path."""
    secret = '[[source]]\nname = "default"\n[source.query]\ntokens = ["t0ken"]\n'
    async with served(tmp_path, secret) as running_:
        for path in ("/notify/", "//notify", "/notify/default/", "//notify//default"):
            assert (await post(running_.url, path=path)).status == 401
            assert (await post(running_.url, path=f"{path}?token=t0ken")).status == 200


@pytest.mark.parametrize(
    ("method", "path", "content_type", "expected"),
    [
        ("POST", "/Notify", JSON, "wrong_path POST /Notify"),
        ("POST", "/callback", JSON, "wrong_path POST /callback"),
        ("POST", "/callback", None, "wrong_path POST /callback"),
        ("POST", "/", "application/xml", "wrong_path POST /"),
        ("POST", "/v1/x", "text/xml; charset=x", "wrong_path POST /v1/x"),
        ("POST", "/x", "application/problem+json", "wrong_path POST /x"),
        ("POST", "/x", f"{JSON}, {JSON}", "wrong_path POST /x"),
        ("POST", "/notify/a/b", JSON, "wrong_path POST /notify/a/b"),
        ("POST", "/sms-reports", "text/plain", "wrong_path POST /sms-reports"),
        ("GET", "/notify", None, "wrong_method GET /notify"),
        ("PUT", "/notify/eu/", JSON, "wrong_method PUT /notify/eu/"),
        ("HEAD", "//notify", None, "wrong_method HEAD //notify"),
        ("POST", "/admin.php", "application/x-www-form-urlencoded", None),
        ("POST", "/x", "text/plain", None),
        ("POST", "/x", None, None),
        ("GET", "/callback", JSON, None),
        ("PUT", "/callback", JSON, None),
        ("POST", "/api/replays/x", JSON, None),
        ("POST", "/sms/3/messages", JSON, None),
        ("POST", "/ct/1/log", JSON, None),
        ("POST", "/sandbox", JSON, None),
        ("POST", "/x" * 9_999, "x" * 9_999, None),
    ],
)
def test_what_looks_like_a_callback(
    method: str, path: str, content_type: str | None, expected: str | None
) -> None:
    """A POST with a word of callbacks in its path, or that says to bring JSON or XML, and anything
    at /notify; not what was meant for the API or the sandbox, and no probing of strangers."""
    found = stray(method, path, content_type)
    assert (found and f"{found.reason} {found.what}") == expected


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/hooks/dlr-eu_2/v1.0", "/hooks/dlr-eu_2/v1.0"),
        ("/hook/3f9a8b7c6d5e4f3a", "/hook/3f9a…"),
        ("/hook/AbC1d2E3f4G5h6I7", "/hook/AbC1…"),
        ("/hook/123e4567-e89b-12d3-a456-426614174000", "/hook/123e…"),
        ("/hook/eyJhbGciOiJIUzI1NiJ9.eyJzdWIi", "/hook/eyJh…"),
        ("/hook/" + "x" * 41, "/hook/xxxx…"),
        ("/hook/a%0aINFO%20forged", "/hook/a…"),
        ("/hook/\x1b[31m", "/hook/…"),
        ("/a/b/c/d/e/f", "/a/b/c/d/…"),
        ("//a//", "//a//"),
    ],
)
def test_of_a_path_only_words_are_told(path: str, told: str) -> None:
    """What may be a secret is cut to its first letters, and nothing in it can forge a line."""
    assert safe_path(path) == told


# --- the trace ---------------------------------------------------------------------------------


class Traced:
    """A receiver whose log is read."""

    def __init__(
        self,
        folder: Path,
        text: str = "",
        server: str = "",
        parts: Parts = RECEIVING,
    ) -> None:
        self._parts = parts
        self.stream = io.StringIO()
        self.lines = CallbackLines("console", "info", stream=self.stream, later=lambda _: None)
        file = folder / "dlr.toml"
        database = folder / "dlr.db"
        file.write_text(f'[server]\nport = 0\n{server}\n[store]\ndatabase = "{database}"\n{text}')
        self._settings = read_settings(file, {})

    async def __aenter__(self) -> Service:
        self._service = service(self._settings, parts=self._parts, callback_listeners=[self.lines])
        return await self._service.__aenter__()

    async def __aexit__(self, *exc: Any) -> None:
        await self._service.__aexit__(*exc)

    @property
    def log(self) -> list[str]:
        """What the lines say without when and how long."""
        self.lines.flush()
        after = [line.partition(" source=")[2] for line in self.stream.getvalue().splitlines()]
        return [line.rpartition(" ms=")[0] for line in after]


WRONG: list[tuple[bytes, int, str, str]] = [
    (request(path="/Notify"), 404, "wrong_path", "POST /Notify"),
    (
        request(path="/callback/3f9a8b7c6d5e4f3a9?x=s3cret"),
        404,
        "wrong_path",
        "POST /callback/3f9a…",
    ),
    (request(path="/"), 404, "wrong_path", "POST /"),
    (request(path="/healthz"), 405, "wrong_path", "POST /healthz"),
    (request(path="/notify/nobody?token=s3cret"), 404, "unknown_source", "source nobody"),
    (request(b"", method="GET"), 405, "wrong_method", "GET /notify"),
    (request(method="PUT", path="/notify/default/"), 405, "wrong_method", "PUT /notify/default/"),
    (request(bytes(2000)), 413, "too_large", "the body is larger than 1000 bytes"),
    (
        request(b'{"results":[{},{},{}]}'),
        413,
        "too_many",
        "results: expected at most 2 reports, got more",
    ),
    (
        request(content_type="image/png"),
        415,
        "unsupported_media_type",
        'expected JSON or XML, got "image/png"',
    ),
    (
        request(content_type="application/json; charset=x"),
        415,
        "unsupported_charset",
        'there is no charset "x"',
    ),
    (
        request(headers=[("Content-Encoding", "br")]),
        415,
        "unsupported_content_encoding",
        'expected a Content-Encoding of gzip or deflate, got "br"',
    ),
    (
        request(headers=[("Content-Type", "application/json"), ("Content-Type", "text/xml")]),
        400,
        "doubled_header",
        "two headers named Content-Type",
    ),
    (
        request(headers=[("X-Long", "x" * 20_000)]),
        431,
        "header_too_large",
        "the headers of the request are too large",
    ),
]


async def test_each_leaves_a_line_a_count_and_a_place_in_the_list(tmp_path: Path) -> None:
    """One readable line with what is at fault, a metric by reason, and an entry in the list that
    `dlr check --live` shows; never the query or what may be a secret."""
    traced = Traced(tmp_path, "[limits]\nitems = 2", "body_limit = 1000")
    async with traced as running_:
        for sent, status, reason, _ in WRONG:
            assert (await raw(running_.url, sent)).status == status, reason
        metrics = (await get(running_.url, "/metrics")).body.decode()
        listed = (await get(running_.url, "/api/callbacks/not-taken")).json["notTaken"]
    assert len(traced.log) == len(WRONG)
    for line, (_, status, reason, what) in zip(traced.log, WRONG, strict=True):
        assert f"status={status}" in line
        assert line.endswith(f'reason={reason} what="{what}"')
    told = [(kind["status"], kind["reason"], kind["what"]) for kind in reversed(listed)]
    assert told == [tuple(wrong[1:]) for wrong in WRONG]
    for reason in {wrong[2] for wrong in WRONG}:
        assert metric_of(metrics, reason) == sum(wrong[2] == reason for wrong in WRONG)
    assert "s3cret" not in "".join(traced.log) + json.dumps(listed) + metrics


def metric_of(text: str, reason: str) -> float:
    """The count of callbacks that were not taken for this reason, of all sources."""
    lines = [line for line in text.splitlines() if f'total{{reason="{reason}"' in line]
    return sum(float(line.rpartition(" ")[2]) for line in lines if "not_taken" in line)


async def test_a_process_that_takes_none(tmp_path: Path) -> None:
    """Callbacks that are sent to `dlr dispatch` leave their line and their count there."""
    traced = Traced(tmp_path, parts=Parts(receives=False))
    async with traced as running_:
        assert (await post(running_.url)).status == 404
        assert (await post(running_.url, path="/notify/eu/")).status == 404
        metrics = (await get(running_.url, "/metrics")).body.decode()
    assert metric_of(metrics, "wrong_path") == 2
    first, second = traced.log
    assert first.endswith('status=404 reason=wrong_path what="POST /notify"')
    assert second.endswith('status=404 reason=wrong_path what="POST /notify/eu/"')


async def test_a_flood_writes_few_lines_and_all_are_counted(tmp_path: Path) -> None:
    """Whoever finds the port fills neither the disk with lines nor the memory with kinds."""
    traced = Traced(tmp_path)
    async with traced as running_, connected(running_.url) as wire:
        for number in range(200):
            await wire.send(request(path=f"/hook/x{number}"))
            assert (await wire.reply()).status == 404
        metrics = (await get(running_.url, "/metrics")).body.decode()
        listed = (await get(running_.url, "/api/callbacks/not-taken")).json["notTaken"]
        assert metric_of(metrics, "wrong_path") == 200
        assert listed[0]["what"] == "POST /hook/x199"
        assert len(listed) == 50
        await still_works(running_.url)
    assert len([line for line in traced.log if "reason=" in line]) == NOT_TAKEN_A_MINUTE


def test_lines_that_were_left_out_are_told() -> None:
    """The first line of the next minute says how many are not there; another kind has its own."""
    seconds = [0.0]
    sparing = Sparing(2, lambda: seconds[0])
    assert [sparing.admit("a") for _ in range(5)] == [0, 0, None, None, None]
    assert sparing.admit("b") == 0
    seconds[0] = 60.0
    assert [sparing.admit("a") for _ in range(3)] == [3, 0, None]

    stream = io.StringIO()
    lines = CallbackLines("console", "info", stream=stream, later=lambda _: None)
    lines._not_taken = sparing
    seconds[0] = 120.0
    because = NotTakenBecause("wrong_path", "POST /x")
    sparing.admit("wrong_path"), sparing.admit("wrong_path"), sparing.admit("wrong_path")
    seconds[0] = 180.0
    lines(CallbackAnswered("r", None, 404, 0.0, None, because))
    lines.flush()
    assert 'what="POST /x" left_out=1 ms=' in stream.getvalue()


def test_the_list_keeps_the_newest_kinds() -> None:
    """The same again is counted on what is there and moves to the front."""
    at = [NOON]
    newest = NewestNotTaken(lambda: at[0], most=2)
    one, two, three = (NotTakenBecause("wrong_path", f"POST /{name}") for name in "abc")
    for because in (one, two, one, three):
        newest.add(None, because, 404)
        at[0] += timedelta(seconds=1)
    first, second = newest.kinds()
    assert (first.what, first.callbacks) == ("POST /c", 1)
    assert (second.what, second.callbacks) == ("POST /a", 2)
    assert (second.first_at, second.last_at) == (NOON, NOON + timedelta(seconds=2))


# --- 415 is kept -------------------------------------------------------------------------------


async def test_what_is_refused_for_its_headers_is_kept(tmp_path: Path) -> None:
    """A body with a wrong type, charset or coding is in quarantine with the reason, and is stored
    when it is read again; without the source's credentials nothing is kept."""
    sources = (
        '[[source]]\nname = "default"\n[[source]]\nname = "shut"\n[source.query]\ntokens = ["t"]\n'
    )
    async with served(tmp_path, sources) as running_:
        for sent in (
            request(content_type="image/png"),
            request(content_type="application/json; charset=x"),
            request(headers=[("Content-Encoding", "br")]),
        ):
            reply = await raw(running_.url, sent)
            assert reply.status == 415
            assert reply.json["error"]["message"].endswith("; kept in quarantine")
        refused = request(path="/notify/shut", content_type="image/png")
        assert (await raw(running_.url, refused)).status == 401
        kept = (await get(running_.url, "/api/quarantine")).json["items"]
        assert [(each["size"], each["source"]) for each in kept] == [(len(REPORT), "default")] * 3
        for each in kept:
            path = f"/api/quarantine/{each['id']}/retry"
            again = await raw(running_.url, request(b"", path=path, content_type=None))
            assert sum(again.json.values()) == 1
            assert again.json["quarantined"] == 0
        assert (await get(running_.url, "/api/quarantine")).json["items"] == []


@pytest.mark.parametrize(
    "headers",
    [
        [("Content-Encoding", "UTF-8")],
        [("Content-Encoding", "none")],
        [("Content-Type", f"{JSON}, {JSON}")],
        [("Content-Type", f"{JSON}; charset=utf-8, {JSON}; charset=utf-8")],
    ],
)
async def test_odd_headers_that_mean_something(
    tmp_path: Path, headers: list[tuple[str, str]]
) -> None:
    """A charset or nothing as a coding, and a type that is there twice, are what they mean."""
    async with served(tmp_path) as running_:
        has_type = headers[0][0] == "Content-Type"
        reply = await post(running_.url, headers=headers, content_type=None if has_type else JSON)
        assert (reply.status, reply.json.get("stored")) == (200, 1)


# --- dlr check --live --------------------------------------------------------------------------


async def test_check_live(tmp_path: Path) -> None:
    """It says whether the process is ready and what it has not taken, with the settings' token; a
    process that is not there is named, with exit code 1."""
    configure(tmp_path, '[[api.token]]\nname = "ops"\nsecret = "oooooooooooooooo"\n')
    async with running(tmp_path, "receive") as server:
        ended = await dlr(tmp_path, "check", "--live", "--url", server.url)
        assert (ended.code, ended.err) == (0, "")
        *lines, size = ended.out.splitlines()
        assert lines == [
            f"{server.url}: ready",
            "callbacks: none with a wrong path, source, method, size or type since the start",
        ]
        assert re.fullmatch(r"database: \d+\.\d MB", size)
        for _ in range(2):
            await post(server.url, path="/Notify")
        await post(server.url, path="/notify/alpah")
        ended = await dlr(tmp_path, "check", "--url", server.url)
        lines = ended.out.splitlines()
        assert ended.code == 0
        assert lines[2].startswith("  404 unknown_source: source alpah (1 ×, last ")
        assert lines[3].startswith("  404 wrong_path: POST /Notify (2 ×, last ")
        url = server.url
    gone = await dlr(tmp_path, "check", "--live", "--url", url)
    assert gone.code == 1
    nothing = "nothing answers there; start `dlr serve`, or give --url"
    assert gone.err == f"dlr: {url}/readyz: {nothing}\n"


async def test_check_live_and_open_find_a_dispatcher(tmp_path: Path) -> None:
    """`dlr dispatch` listens on a port of its own. Whoever asked on its machine was told that
    nothing runs. Alone it is no whole dlr, so the exit code says that callbacks are not taken."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    configure(tmp_path, "")
    async with running(tmp_path, "dispatch") as server:
        ours = server.url.rpartition(":")[2]
        where: dict[str, Any] = {"DLR_SERVER_DISPATCH_PORT": ours, "BROWSER": "true"}
        where["DLR_SERVER_PORT"] = str(port)
        live = await dlr(tmp_path, "check", "--live", **where)
        assert (live.code, live.out) == (1, f"{server.url} (dlr dispatch): ready\n")
        alone, nothing = live.err.splitlines()
        assert alone.startswith("dlr: only `dlr dispatch` runs here")
        assert alone.endswith(f"--url {server.url}")
        assert nothing.startswith(f"dlr: http://127.0.0.1:{port}/readyz: nothing answers there")
        pages = await dlr(tmp_path, "open", **where)
        assert (pages.code, pages.out) == (0, f"{server.url}/\n")
        async with running(tmp_path, "receive") as receiver:
            where["DLR_SERVER_PORT"] = receiver.url.rpartition(":")[2]
            both = await dlr(tmp_path, "check", "--live", **where)
            assert (both.code, both.err) == (0, "")
            ready, callbacks, size, pushes = both.out.splitlines()
            assert [line.partition(": ")[2][:5] for line in (ready, callbacks, pushes)] == [
                *("ready", "none ", "ready")
            ]
            assert size.startswith("database: ")


async def test_check_live_with_a_digest(tmp_path: Path) -> None:
    """The digest of a token opens nothing: the answer says how to give the token."""
    token = "o" * 16
    configure(
        tmp_path,
        f'[[api.token]]\nname = "ops"\nsha256 = "{hashlib.sha256(token.encode()).hexdigest()}"\n',
    )
    async with running(tmp_path, "receive") as server:
        asked = ("check", "--live", "--url", server.url)
        refused = await dlr(tmp_path, *asked)
        assert refused.code == 1
        assert "it asks for a token" in refused.err
        assert "DLR_API_TOKEN_NAME_SECRET" in refused.err
        let_in = await dlr(tmp_path, *asked, DLR_API_TOKEN_OPS_SECRET=token)
        assert (let_in.code, let_in.err) == (0, "")
