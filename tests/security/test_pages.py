"""A page in the operator's browser is not the operator.

On the default, loopback and no token, a page of any site could have the browser post `text/plain`
to the API: it added an endpoint, and started a replay that pushed every stored number to a host of
its choice. A page whose name was made to resolve to 127.0.0.1 read everything.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.security.attacked import Case, ask, attacked, got

EVIL = ("Origin", "https://evil.example")
CROSS = ("Sec-Fetch-Site", "cross-site")
SAME_SITE = ("Sec-Fetch-Site", "same-site")
OURS = ("Sec-Fetch-Site", "same-origin")
NONE = ("Sec-Fetch-Site", "none")
NULL = ("Origin", "null")
JSON = ("Content-Type", "application/json")
TEXT = ("Content-Type", "text/plain")
FORM = ("Content-Type", "application/x-www-form-urlencoded")
REBOUND = ("Host", "evil.example:8080")
APP = ("Authorization", "App any-key")
TOKEN = ("Authorization", "Bearer " + "o" * 16)
MAY_POST = ("Access-Control-Request-Method", "POST")
FRONT = ("Origin", "http://localhost:3000")

ADDED = b'{"name":"evil","url":"https://evil.example/"}'
REPLAY = b'{"since":"2020-01-01","to":"https://evil.example/"}'
REPORT = b'{"results":[{"messageId":"m1","status":{"groupId":3}}]}'

SMS = b'{"messages":[{"destinations":[{"to":"41790000000"}],"text":"x"}]}'
QUERY = "text/query?username=a&password=b&to=41790000000&text=x"

FOREIGN, MISDIRECTED = "403 foreign_page", "421 misdirected"
NOT_JSON = "415 unsupported_media_type"

ENDPOINTS, PAUSE = "/api/endpoints", "/api/endpoints/acme/pause"

SERVE = (
    # What a page of another site can send without being asked: text/plain, forms, no type at all.
    Case("an endpoint as text/plain", "POST", ENDPOINTS, FOREIGN, [EVIL, CROSS, TEXT], ADDED),
    Case("a replay as text/plain", "POST", "/api/replays", FOREIGN, [EVIL, CROSS, TEXT], REPLAY),
    Case("a form", "POST", "/api/replays", FOREIGN, [EVIL, FORM], REPLAY),
    Case("from a page that hides where it is from", "POST", PAUSE, FOREIGN, [NULL]),
    Case(
        "from another port of this machine",
        "POST",
        PAUSE,
        FOREIGN,
        [("Origin", "http://localhost:1")],
    ),
    Case("an old browser, Origin alone", "POST", PAUSE, FOREIGN, [EVIL]),
    Case(
        "an origin that begins like ours",
        "POST",
        PAUSE,
        FOREIGN,
        [("Origin", "http://127.0.0.1.evil.example")],
    ),
    Case(
        "an origin with our name as its user",
        "POST",
        PAUSE,
        FOREIGN,
        [("Origin", "http://127.0.0.1@evil.example")],
    ),
    Case("a link of the same site", "POST", PAUSE, FOREIGN, [SAME_SITE]),
    Case("no Origin, cross-site", "POST", PAUSE, FOREIGN, [CROSS]),
    Case(
        "a word that browsers do not have",
        "POST",
        PAUSE,
        FOREIGN,
        [("Sec-Fetch-Site", "SAME-ORIGIN")],
    ),
    Case("a removal", "DELETE", "/api/endpoints/acme", FOREIGN, [EVIL, CROSS]),
    Case("a change", "PATCH", "/api/endpoints/acme", FOREIGN, [EVIL, CROSS, JSON], b'{"window":1}'),
    Case("quarantine again", "POST", "/api/quarantine/1/retry", FOREIGN, [EVIL]),
    # The type that a page cannot send without asking is demanded of everybody.
    Case("text/plain, no marks of a browser", "POST", ENDPOINTS, NOT_JSON, [TEXT], ADDED),
    Case("a form, no marks of a browser", "POST", ENDPOINTS, NOT_JSON, [FORM], ADDED),
    Case("no type", "POST", ENDPOINTS, NOT_JSON, [], ADDED),
    Case(
        "JSON only in a parameter",
        "POST",
        ENDPOINTS,
        NOT_JSON,
        [("Content-Type", "text/plain; application/json")],
        ADDED,
    ),
    # A name that was made to resolve to 127.0.0.1: for the browser this is the page's own origin.
    Case("reports by a rebound name", "GET", "/api/reports", MISDIRECTED, [REBOUND]),
    Case("metrics by a rebound name", "GET", "/metrics", MISDIRECTED, [REBOUND]),
    Case("the description by a rebound name", "GET", "/api/openapi.json", MISDIRECTED, [REBOUND]),
    Case("events by a rebound name", "GET", "/api/events", MISDIRECTED, [REBOUND]),
    Case("a change by a rebound name", "POST", PAUSE, MISDIRECTED, [REBOUND, OURS]),
    Case(
        "the same with its Origin",
        "POST",
        PAUSE,
        MISDIRECTED,
        [REBOUND, ("Origin", "http://evil.example:8080")],
    ),
    Case(
        "a name that begins like a loopback's",
        "GET",
        "/api/reports",
        MISDIRECTED,
        [("Host", "localhost.evil.example")],
    ),
    Case(
        "an address that begins so",
        "GET",
        "/api/reports",
        MISDIRECTED,
        [("Host", "127.0.0.1.evil.example")],
    ),
    Case("an address of the net", "GET", "/api/reports", MISDIRECTED, [("Host", "192.0.2.1")]),
    Case(
        "the address that stands for all", "GET", "/api/reports", MISDIRECTED, [("Host", "0.0.0.0")]
    ),
    Case(
        "a host with a user",
        "GET",
        "/api/reports",
        MISDIRECTED,
        [("Host", "localhost@evil.example")],
    ),
    Case("an empty host", "GET", "/api/reports", MISDIRECTED, [("Host", "")]),
    # Preflights: nothing is opened.
    Case("may I", "OPTIONS", ENDPOINTS, FOREIGN, [EVIL, MAY_POST]),
    Case("may I, from a rebound name", "OPTIONS", ENDPOINTS, FOREIGN, [REBOUND, EVIL, MAY_POST]),
    Case("may I, a callback", "OPTIONS", "/notify", FOREIGN, [EVIL, MAY_POST]),
    # Callbacks of a source that demands nothing; the other one protects itself.
    Case("a forged report", "POST", "/notify", FOREIGN, [EVIL, CROSS, JSON], REPORT),
    Case("a forged report, Origin alone", "POST", "/notify/default", FOREIGN, [EVIL, JSON], REPORT),
    Case(
        "a forged report by a rebound name",
        "POST",
        "/notify",
        MISDIRECTED,
        [REBOUND, ("Origin", "http://evil.example:8080"), JSON],
        REPORT,
    ),
    Case(
        "to a source with credentials",
        "POST",
        "/notify/closed",
        "401 unauthorized",
        [EVIL, JSON],
        REPORT,
    ),
    Case("to no source", "POST", "/notify/none", FOREIGN, [EVIL, JSON], REPORT),
    # What goes on working: programs, and our own pages.
    Case("curl reads", "GET", "/api/reports", "200"),
    Case("curl pauses", "POST", PAUSE, "200"),
    Case("curl with JSON", "PATCH", "/api/endpoints/acme", "200", [JSON], b'{"window":3}'),
    Case(
        "JSON of another kind",
        "PATCH",
        "/api/endpoints/acme",
        "200",
        [("Content-Type", "application/merge-patch+json; charset=utf-8")],
        b'{"window":2}',
    ),
    Case("a page of ours", "POST", PAUSE, "200", [OURS]),
    Case(
        "a page of ours, through a tunnel",
        "POST",
        PAUSE,
        "200",
        [("Host", "localhost:9999"), ("Origin", "http://localhost:9999")],
    ),
    Case(
        "a page of ours, by a name for loopback",
        "GET",
        "/api/reports",
        "200",
        [("Host", "dlr.localhost.")],
    ),
    Case("a page of ours, IPv6", "GET", "/api/reports", "200", [("Host", "[::1]:8080")]),
    Case("typed in by hand", "GET", "/api/reports", "200", [NONE]),
    Case("a link from another site", "GET", "/api/reports", "200", [CROSS]),
    Case("health by any name", "GET", "/healthz", "200", [("Host", "10.1.2.3")]),
    Case("ready by any name", "GET", "/readyz", "200", [("Host", "dlr.svc.cluster.local")]),
    Case(
        "the platform, by a public name",
        "POST",
        "/notify",
        "200",
        [("Host", "dlr.example.com"), JSON],
        REPORT,
    ),
    Case(
        "a callback that missed its address",
        "POST",
        "/notfy",
        "404 not_found",
        [("Host", "dlr.example.com"), JSON],
        REPORT,
    ),
)

TOKENS = (
    Case("a page with a token it found", "POST", PAUSE, FOREIGN, [EVIL, TOKEN]),
    Case("a page without", "GET", "/api/reports", "401 unauthorized", [EVIL]),
    Case("a rebound name", "GET", "/api/reports", "401 unauthorized", [REBOUND]),
    Case("by the public name", "GET", "/api/reports", "200", [("Host", "dlr.example.com"), TOKEN]),
    Case("metrics", "GET", "/metrics", "401 unauthorized", []),
)

NAMED = (
    Case("a name that is listed", "GET", "/api/reports", "200", [("Host", "DLR.example.com:443")]),
    Case("another", "GET", "/api/reports", MISDIRECTED, [("Host", "dlr.example.org")]),
    Case("a page that is listed", "POST", PAUSE, "200", [("Origin", "https://app.example"), CROSS]),
    Case("another page", "POST", PAUSE, FOREIGN, [("Origin", "https://app.example:444"), CROSS]),
    Case("may I", "OPTIONS", ENDPOINTS, "204", [("Origin", "https://app.example"), MAY_POST]),
    Case(
        "may I, for callbacks",
        "OPTIONS",
        "/notify",
        FOREIGN,
        [("Origin", "https://app.example"), MAY_POST],
    ),
)

SANDBOX = (
    Case("a text by an image's address", "GET", f"/sms/1/{QUERY}", FOREIGN, [CROSS]),
    Case("the same of v3", "GET", f"/sms/3/{QUERY}", FOREIGN, [EVIL]),
    Case("a text by a rebound name", "GET", f"/sms/1/{QUERY}", MISDIRECTED, [REBOUND]),
    Case("reports, which are handed out once", "GET", "/sms/1/reports", FOREIGN, [CROSS, APP]),
    Case("a text by a page", "POST", "/sms/2/text/advanced", FOREIGN, [EVIL, JSON, APP], b"{}"),
    Case("may I", "OPTIONS", "/sms/3/messages", FOREIGN, [EVIL, MAY_POST]),
    Case("the clock", "POST", "/sandbox/advance?by=1h", FOREIGN, [CROSS]),
    Case(
        "a rule as text/plain",
        "POST",
        "/sandbox/outcomes",
        NOT_JSON,
        [TEXT],
        b'{"status":"EXPIRED_EXPIRED"}',
    ),
    Case("what was sent, by a rebound name", "GET", "/sandbox/messages", MISDIRECTED, [REBOUND]),
    Case(
        "a front end that is listed asks",
        "OPTIONS",
        "/sms/3/messages",
        "204",
        [FRONT, MAY_POST, ("Access-Control-Request-Headers", "authorization,content-type")],
    ),
    Case("it sends", "POST", "/sms/2/text/advanced", "200", [FRONT, SAME_SITE, JSON, APP], SMS),
    Case("it may not use the API", "POST", "/api/endpoints/notify-url/pause", FOREIGN, [FRONT]),
    Case("an SDK sends", "GET", f"/sms/1/{QUERY}", "200"),
)

ACME = '[[endpoint]]\nname = "acme"\nurl = "http://127.0.0.1:1/"\n'
CLOSED = (
    '[[source]]\nname = "default"\n[[source]]\nname = "closed"\n[source.query]\ntokens = ["x"]\n'
)
OPERATE = f'[[api.token]]\nname = "o"\nscope = "operate"\nsecret = "{"o" * 16}"\n'
LISTED = '[server]\nhosts = ["dlr.example.com"]\ncors_origins = ["https://app.example"]\n'
FRONT_END = '[sandbox]\ncors_origins = ["http://localhost:3000"]\n'


@pytest.mark.parametrize(
    ("command", "config", "cases"),
    [
        ("serve", f"{ACME}{CLOSED}", SERVE),
        ("serve", f"{ACME}{OPERATE}", TOKENS),
        ("serve", f"{LISTED}{ACME}", NAMED),
        ("sandbox", FRONT_END, SANDBOX),
    ],
    ids=["serve", "tokens", "named", "sandbox"],
)
async def test_what_a_page_gets(
    tmp_path: Path, command: str, config: str, cases: tuple[Case, ...]
) -> None:
    """Each request gets what the table says, and nothing of the refused ones has happened."""
    async with attacked(tmp_path, command, config=config) as server:
        answers = {case.attack: await got(server, case) for case in cases}
        assert answers == {case.attack: case.gets for case in cases}
        if command == "serve":
            endpoints = (await ask(server, "GET", ENDPOINTS, [TOKEN])).json["endpoints"]
            assert [each["name"] for each in endpoints] == ["acme"]
            assert (await ask(server, "GET", "/api/replays", [TOKEN])).json["replays"] == []


async def test_a_refusal_says_how_to_allow_it(tmp_path: Path) -> None:
    """What came, what was expected, and the setting: whoever is refused by mistake can mend it."""
    async with attacked(tmp_path, "serve") as server:
        misdirected = await ask(server, "GET", "/api/reports", [("Host", "dlr.lan:8080")])
        foreign = await ask(server, "POST", PAUSE, [EVIL])
        text = await ask(server, "POST", ENDPOINTS, [TEXT], ADDED)
    message = misdirected.json["error"]["message"]
    assert 'got "dlr.lan:8080"' in message
    assert 'server.hosts = ["dlr.lan"] or DLR_SERVER_HOSTS=dlr.lan' in message
    message = foreign.json["error"]["message"]
    assert message.startswith('Origin: expected a page of this server, got "https://evil.example"')
    assert "server.cors_origins" in message
    message = text.json["error"]["message"]
    assert message.startswith('Content-Type: expected application/json, got "text/plain"')


async def test_a_front_end_can_read_why_it_was_refused(tmp_path: Path) -> None:
    """A browser shows a page nothing of an answer without these headers: it would see a "network
    error" instead of a 400, a 401 or trouble on order, and no Retry-After."""
    trouble = b'{"status": 503, "route": "/sms/1/reports"}'
    async with attacked(tmp_path, "sandbox", config=FRONT_END) as server:
        assert (await ask(server, "POST", "/sandbox/faults", [JSON], trouble)).status == 201
        asked: tuple[tuple[int, str, str, list[tuple[str, str]], bytes], ...] = (
            (200, "POST", "/sms/2/text/advanced", [APP, JSON], SMS),
            (400, "POST", "/sms/2/text/advanced", [APP, JSON], b"{}"),
            (401, "POST", "/sms/2/text/advanced", [JSON], SMS),
            (404, "GET", "/sms/9/nothing", [APP], b""),
            (503, "GET", "/sms/1/reports", [APP], b""),
            (200, "GET", "/sandbox/messages", [], b""),
        )
        for status, method, path, headers, body in asked:
            answer = await ask(server, method, path, [FRONT, SAME_SITE, *headers], body)
            assert answer.status == status, (path, answer.body)
            assert answer.header("Access-Control-Allow-Origin") == FRONT[1]
            assert answer.header("Access-Control-Expose-Headers") == "Retry-After"
        preflight = await ask(server, "OPTIONS", "/sandbox/faults", [FRONT, MAY_POST])
        assert preflight.status == 204


async def test_nothing_is_opened_by_accident(tmp_path: Path) -> None:
    """Only a page that is listed may read an answer, and never with what a browser remembers."""
    listed = ("Origin", "https://app.example")
    async with attacked(tmp_path, "serve", config=LISTED) as server:
        for origin, allowed in ((listed, "https://app.example"), (EVIL, None), (NULL, None)):
            for answer in (
                await ask(server, "GET", "/api/reports", [origin]),
                await ask(server, "GET", "/api/nothing", [origin]),
                await ask(server, "OPTIONS", ENDPOINTS, [origin, MAY_POST]),
            ):
                assert answer.header("Access-Control-Allow-Origin") == allowed
                assert answer.header("Access-Control-Allow-Credentials") is None
                assert answer.header("Vary") == "Origin"
        callback = await ask(server, "POST", "/notify", [JSON], REPORT)
        assert callback.header("Vary") is None
