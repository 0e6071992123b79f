"""The endpoints of the settings file, and what is said of them at run time."""

from __future__ import annotations

import asyncio
import logging
import string
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st
from msgspec import json

from dispatcher.endpoints.base import StoredEndpoint
from dispatcher.endpoints.registry import EndpointExists, Registered, Registry, UnknownEndpoint
from dispatcher.retrying.presets import PRESETS
from dispatcher.settings.security import SecuritySettings, TlsSettings
from dispatcher.settings.settings import EndpointSettings, OutcomeSettings
from receiver.settings.configuration import ConfigurationError, Secret
from receiver.settings.reader import read_table
from receiver.settings.writing import as_table
from tests.contracts.report_store import an_sms
from tests.dispatcher.support import Bench, a_bench

HOST = "https://acme.example/dlr"
ACME = EndpointSettings(
    "acme",
    HOST,
    window=7,
    headers={"X-Key": Secret("s3cret")},
    security=SecuritySettings(type="basic", username="me", password=Secret("s3cret")),
)
BETA = {"name": "beta", "url": "https://beta.example/"}


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with a_bench() as made:
        yield made


@pytest.fixture
def registry(bench: Bench) -> Registry:
    return of(bench, ACME)


def of(bench: Bench, *endpoints: EndpointSettings) -> Registry:
    """The registry of a process that was started with these in its file."""
    return Registry(bench.storage.endpoints, endpoints, sources=["default"])


def settings_of(found: Registered) -> EndpointSettings:
    assert found.settings is not None
    return found.settings


async def faults_of(change: Any) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as caught:
        await change
    return caught.value.faults


async def unread(bench: Bench) -> dict[str, int]:
    """How many reports each endpoint has still to read."""
    return dict((await bench.storage.figures.depths()).unread)


# --- file and run time -------------------------------------------------------------------------


async def test_the_file_is_the_starting_set(registry: Registry) -> None:
    """What nobody has changed is as the file says, and its URL is the operator's own word."""
    assert await registry.all() == {"acme": Registered("acme", ACME, "file")}
    (endpoint,) = await registry.endpoints()
    assert (endpoint.name, endpoint.window, endpoint.checked) == ("acme", 7, False)


async def test_only_what_was_changed_wins_over_the_file(bench: Bench, registry: Registry) -> None:
    """A setting changed at run time outlives a restart; the others follow the file as before, so
    that a secret that is changed there holds."""
    await registry.change("acme", {"window": 3}, from_outside=False)
    new_key = {"X-Key": Secret("new")}

    after = await of(bench, EndpointSettings("acme", HOST, window=9, headers=new_key)).one("acme")

    assert (settings_of(after).window, settings_of(after).headers) == (3, new_key)
    assert (after.origin, after.changed) == ("file", ("window",))
    assert "s3cret" not in str(await bench.storage.endpoints.stored())


async def test_null_is_the_default(registry: Registry) -> None:
    """A key set to null has its default, whatever the file says; so has one within a table."""
    changes = {"window": None, "headers": {"X-Key": None, "X-Other": "1"}}
    changed = settings_of(await registry.change("acme", changes, from_outside=False))

    assert (changed.window, changed.headers) == (20, {"X-Other": Secret("1")})


async def test_tables_are_merged(registry: Registry) -> None:
    """A new password leaves the name as it is; a security of another type replaces the former."""
    rotated = {"security": {"password": "new"}}
    security = settings_of(await registry.change("acme", rotated, from_outside=False)).security
    assert (security.username, security.password) == ("me", Secret("new"))

    other = {"security": {"type": "hmac", "secret_key": "k"}}
    security = settings_of(await registry.change("acme", other, from_outside=False)).security
    assert security == SecuritySettings(type="hmac", secret_key=Secret("k"))


async def test_one_that_is_added(bench: Bench, registry: Registry) -> None:
    """An endpoint that was added is there after a restart, and needs no file."""
    added = await registry.add({**BETA, "connect_timeout": "5s"}, from_outside=True)

    assert added == await of(bench).one("beta")
    assert (added.origin, settings_of(added).connect_timeout) == ("run-time", timedelta(seconds=5))
    (endpoint,) = await of(bench).endpoints()
    assert endpoint.checked


async def test_an_added_one_starts_with_the_next_report(bench: Bench, registry: Registry) -> None:
    """A customer who is added to a store of a year does not get the year."""
    await bench.receive()
    await registry.add(BETA, from_outside=False)

    assert await unread(bench) == {"acme": 1, "beta": 0}


async def test_the_first_ones_start_with_the_first_report() -> None:
    """A change before any dispatcher ran does not make the file's endpoints latecomers: what was
    received before them is theirs."""
    async with a_bench(known=False) as bench:
        await bench.receive()
        await of(bench, ACME).pause("acme", True)

        await bench.queue.adopt(await of(bench, ACME).endpoints())

        assert await unread(bench) == {"acme": 1}


async def test_names_are_taken_once(registry: Registry) -> None:
    """Neither the file's names nor those of replays can be added, and of two at once one is."""
    with pytest.raises(EndpointExists, match='already an endpoint "acme"'):
        await registry.add({**BETA, "name": "acme"}, from_outside=False)
    (fault,) = await faults_of(registry.add({**BETA, "name": "replay-7"}, from_outside=False))
    assert fault.startswith("name: names such as replay-1")

    both = [registry.add(BETA, from_outside=False) for _ in range(2)]
    done = await asyncio.gather(*both, return_exceptions=True)
    assert sorted(type(each).__name__ for each in done) == ["EndpointExists", "Registered"]


async def test_an_endpoint_keeps_its_name(registry: Registry) -> None:
    """A change cannot rename: the name leads to what was read and dispatched."""
    assert await faults_of(registry.change("acme", {"name": "b"}, from_outside=False)) == (
        "name: the name of an endpoint cannot change; add a new endpoint and remove this one",
    )
    same = await registry.change("acme", {"name": "acme", "window": 2}, from_outside=False)
    assert same.origin == "file"


async def test_all_faults_at_once(registry: Registry) -> None:
    """Every fault is told in one go, and nothing is changed."""
    changes = {"window": 0, "sources": ["default", "eu"], "windo": None, "rate_limit": 1e-9}
    told = await faults_of(registry.change("acme", changes, from_outside=False))

    assert told == (
        'sources[1]: expected the name of a [[source]] ("default"), got "eu"',
        'windo: there is no such setting; did you mean "window"?',
        "window: expected an integer from 1 to 10000, got 0",
    )
    assert await registry.one("acme") == Registered("acme", ACME, "file")


async def test_a_source_that_goes_stops_nothing(bench: Bench) -> None:
    """An endpoint whose source is taken out of the file later stays as it is."""
    await of(bench).add({**BETA, "sources": ["default"]}, from_outside=False)

    later = Registry(bench.storage.endpoints, [], sources=["other"])

    assert (await later.one("beta")).faults == ()
    await later.change("beta", {"window": 2}, from_outside=False)


# --- pause, remove, reset ----------------------------------------------------------------------


async def test_a_pause_survives_a_restart(bench: Bench, registry: Registry) -> None:
    """A paused endpoint is paused for every process, now and later, until it is resumed."""
    await registry.pause("acme", True)
    (endpoint,) = await of(bench, ACME).endpoints()
    assert endpoint.paused

    await registry.pause("acme", False)
    assert not (await of(bench, ACME).one("acme")).paused


async def test_removed_stays_removed(bench: Bench, registry: Registry) -> None:
    """A removed endpoint is gone though the file names it; what waited for it is cancelled."""
    bench.sender.always(503)
    await bench.receive()
    await bench.work()

    assert await registry.remove("acme") == 1

    assert await bench.states() == ["cancelled"]
    assert await of(bench, ACME).endpoints() == []
    with pytest.raises(UnknownEndpoint, match='no endpoint "acme"'):
        await registry.remove("acme")


async def test_what_was_leased_at_the_removal_is_not_repeated(
    bench: Bench, registry: Registry
) -> None:
    """A push under way to a removed endpoint that fails then is cancelled: once it stayed waiting
    for ever, with nobody to send it. The counts agree."""
    await bench.receive()
    (leased,) = await bench.worker.claim()
    assert await registry.remove("acme") == 0

    bench.sender.always(503)
    await bench.worker.attempt(leased)

    assert await bench.states() == ["cancelled"]
    counts = {state: n for state, n in (await bench.queue.counts())["acme"].items() if n}
    assert counts == {"cancelled": 1}


@pytest.mark.parametrize("how", ["reset", "add"])
async def test_one_that_comes_back_is_new(bench: Bench, registry: Registry, how: str) -> None:
    """What came while an endpoint was removed was not for it."""
    await registry.remove("acme")
    await bench.receive()

    if how == "reset":
        await registry.reset("acme")
    else:
        await registry.add({"name": "acme", "url": HOST}, from_outside=False)

    assert await unread(bench) == {"acme": 0}
    assert "acme" in await registry.all()


async def test_reset_gives_back_to_the_file(registry: Registry) -> None:
    """After a reset the file alone counts: settings, origin of the URL, pause."""
    await registry.change("acme", {"url": f"{HOST}?a"}, from_outside=True)
    await registry.pause("acme", True)
    await registry.reset("acme")

    assert await registry.one("acme") == Registered("acme", ACME, "file")
    with pytest.raises(UnknownEndpoint):
        await registry.reset("beta")


async def test_two_processes_notice(tmp_path: Path) -> None:
    """The version that a process sees goes up with each change of another, and only then."""
    async with a_bench(path=tmp_path / "dlr.db") as one, a_bench(path=tmp_path / "dlr.db") as two:
        here, there = of(one, ACME), of(two, ACME)
        seen = [await there.version()]
        for change in (
            here.add(BETA, from_outside=False),
            here.change("beta", {"window": 2}, from_outside=False),
            here.pause("beta", True),
            here.reset("acme"),
            here.remove("beta"),
        ):
            await change
            seen.append(await there.version())

        assert seen == list(range(seen[0], seen[0] + 6))
        assert await there.version() == seen[-1]
        assert await there.all() == await here.all()


# --- a word from outside -----------------------------------------------------------------------


async def test_a_url_from_outside_is_checked(registry: Registry) -> None:
    """Who changes a URL over the API has its addresses judged, that of a token endpoint too; the
    operator's own word lifts it."""

    async def checked(changes: dict[str, Any], *, from_outside: bool) -> bool:
        return (await registry.change("acme", changes, from_outside=from_outside)).from_outside

    assert not await checked({"window": 2}, from_outside=True)
    assert await checked({"url": f"{HOST}/2"}, from_outside=True)
    assert await checked({"window": 3}, from_outside=False)
    assert not await checked({"url": HOST}, from_outside=False)
    oauth = {"type": "oauth", "token_url": "https://t.example/", "client_id": "a"}
    assert await checked({"security": {**oauth, "client_secret": "s"}}, from_outside=True)
    assert await checked({"url": HOST}, from_outside=False)


async def test_secrets_do_not_go_to_another_host(registry: Registry) -> None:
    """Whoever may change a URL must not have an endpoint's secrets pushed to it: they are given
    anew, or dropped in words."""
    there = "https://elsewhere.example/"
    told = await faults_of(registry.change("acme", {"url": there}, from_outside=True))
    assert [fault.partition(":")[0] for fault in told] == ["headers", "security"]

    new = {"url": there, "headers": {"X-Mine": "1"}, "security": None}
    changed = settings_of(await registry.change("acme", new, from_outside=True))

    assert changed.headers == {"X-Mine": Secret("1")}
    assert changed.security == SecuritySettings()


async def test_a_client_secret_does_not_go_to_another_token_url(bench: Bench) -> None:
    """A token endpoint of another host needs the secret anew."""
    oauth = SecuritySettings(
        type="oauth", token_url="https://t.example/", client_id="a", client_secret=Secret("s")
    )
    registry = of(bench, EndpointSettings("acme", HOST, security=oauth))
    elsewhere = {"security": {"token_url": "https://evil.example/"}}

    (fault,) = await faults_of(registry.change("acme", elsewhere, from_outside=True))
    assert fault.startswith("security.client_secret: belongs to the previous token_url")
    await registry.change("acme", elsewhere, from_outside=False)


@pytest.mark.parametrize(
    "headers", [{"Host": "evil.example"}, {"hOST": "evil.example"}, {"Host": None}, None]
)
async def test_secrets_do_not_go_to_another_host_of_the_same_server(
    bench: Bench, headers: dict[str, Any] | None
) -> None:
    """Where many customers share a server, the header Host chooses among them. Over the API it
    could be set while the password stayed: the next push brought it to another customer. It goes
    with what is given anew, as a URL does; the operator may do as he likes."""
    drops = headers is None or None in headers.values()
    with_host = {"Host": Secret("acme.example")} if drops else {}
    security = SecuritySettings(type="basic", username="me", password=Secret("s3cret"))
    registry = of(bench, EndpointSettings("acme", HOST, headers=with_host, security=security))

    (fault,) = await faults_of(registry.change("acme", {"headers": headers}, from_outside=True))
    assert fault.startswith("security: belong to the previous host")
    anew = {"headers": headers, "security": None}
    changed = settings_of(await registry.change("acme", anew, from_outside=True))
    assert changed.security == SecuritySettings()

    await registry.reset("acme")
    kept = await registry.change("acme", {"headers": headers}, from_outside=False)
    assert settings_of(kept).security == security


async def test_a_password_in_the_url_does_not_go_to_another_host(bench: Bench) -> None:
    """The URL stays when only the header Host changes, and its password would go along."""
    registry = of(bench, EndpointSettings("acme", "https://me:s3cret@acme.example/"))
    change = {"headers": {"Host": "evil.example"}}

    (fault,) = await faults_of(registry.change("acme", change, from_outside=True))
    assert fault.startswith("url: its password or query belongs to the previous Host")
    url = "https://acme.example/"
    await registry.change("acme", {**change, "url": url}, from_outside=True)


async def test_other_headers_are_changed_over_the_api(registry: Registry) -> None:
    """They say nothing of where a push goes: the secrets stay."""
    changed = await registry.change("acme", {"headers": {"X-Trace": "1"}}, from_outside=True)

    assert settings_of(changed).headers == {"X-Key": Secret("s3cret"), "X-Trace": Secret("1")}
    assert settings_of(changed).security == ACME.security


async def test_secrets_of_the_file_do_not_follow_a_url_of_the_api(bench: Bench) -> None:
    """An endpoint without secrets was moved over the API. Later its operator gave it a password in
    the file, for the host that the file names: the pushes brought it to the other host."""
    bare = EndpointSettings("acme", HOST)
    await of(bench, bare).change("acme", {"url": "https://elsewhere.example/"}, from_outside=True)

    later = settings_of(await of(bench, ACME).one("acme"))

    assert later.url == "https://elsewhere.example/"
    assert (dict(later.headers), later.security) == ({}, SecuritySettings())
    await of(bench, ACME).reset("acme")
    assert settings_of(await of(bench, ACME).one("acme")) == ACME


@pytest.mark.parametrize("change", [None, {"ca_file": None}])
async def test_trust_is_not_taken_out_from_outside(
    bench: Bench, tmp_path: Path, change: dict[str, Any] | None
) -> None:
    """An endpoint that trusts its own authority alone: over the API that could be taken out, and
    the password was told to whoever had any certificate for the name."""
    authority = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(authority)
    registry = of(bench, EndpointSettings("acme", HOST, tls=TlsSettings(ca_file=str(authority))))

    (fault,) = await faults_of(registry.change("acme", {"tls": change}, from_outside=True))
    assert fault.startswith("tls.ca_file: removes a restriction on trusted certificates")
    await registry.change("acme", {"tls": {"minimum_version": "1.3"}}, from_outside=True)
    await registry.change("acme", {"tls": change}, from_outside=False)


@pytest.mark.parametrize("from_outside", [True, False])
@pytest.mark.parametrize(
    "name",
    [
        *("Connection", "keep-alive", "Proxy-Authorization", "TE", "Trailer", "Upgrade", "Expect"),
        *("Transfer-Encoding", "Content-Length", "Content-Type"),
    ],
)
async def test_headers_of_the_connection_are_nobodys(
    registry: Registry, name: str, from_outside: bool
) -> None:
    """Neither as a fixed header nor as the one that holds a secret, whoever says so."""
    for settings, place in (
        ({"headers": {name: "x"}}, f"headers.{name}"),
        ({"security": {"type": "header", "header": name, "value": "x"}}, "security.header"),
    ):
        told = await faults_of(registry.add({**BETA, **settings}, from_outside=from_outside))
        assert [fault.partition(": cannot be set, because it ")[0] for fault in told] == [place]


async def test_no_secret_travels_as_host(registry: Registry) -> None:
    """What says where a request goes is no place for a secret."""
    security = {"type": "header", "header": "host", "value": "x"}
    (fault,) = await faults_of(registry.add({**BETA, "security": security}, from_outside=False))
    assert fault.startswith("security.header: cannot be Host")


async def test_files_are_not_named_from_outside(tmp_path: Path, registry: Registry) -> None:
    """A file of this machine cannot be named over the API, be it there or not."""
    for file in (tmp_path, "/nowhere.pem"):
        told = await faults_of(
            registry.add({**BETA, "tls": {"ca_file": str(file)}}, from_outside=True)
        )
        assert told[0].startswith("tls.ca_file: names a file on this machine")
        assert len({fault.partition(":")[0] for fault in told}) == len(told) == 1


# --- what can be read no longer ----------------------------------------------------------------


async def test_one_that_cannot_be_read_stops_no_other(
    bench: Bench, registry: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    """Settings that an upgrade no longer understands hold their endpoint, and only that one; its
    faults are shown and logged once, and a change repairs it."""
    await registry.add(BETA, from_outside=False)
    newer = StoredEndpoint(json.encode({**BETA, "colour": "red"}).decode())
    await bench.storage.endpoints.put("beta", lambda _: newer, known=())
    later = of(bench, ACME)

    with caplog.at_level(logging.ERROR):
        for _ in range(2):
            assert [each.name for each in await later.endpoints()] == ["acme"]

    beta = await later.one("beta")
    assert (beta.settings, beta.paused) == (None, True)
    assert beta.faults == ("colour: there is no such setting",)
    assert [record.getMessage() for record in caplog.records] == [
        "endpoint beta gets no pushes, because its settings cannot be used: colour: there is no"
        " such setting"
    ]
    await later.change("beta", {"colour": None}, from_outside=False)
    assert [each.name for each in await later.endpoints()] == ["acme", "beta"]


# --- the round trip ----------------------------------------------------------------------------

TEXTS = st.text(string.printable.strip() + "äß€", min_size=1, max_size=20)
TEXT_LISTS = st.lists(TEXTS, max_size=3).map(tuple)
HEADERS = st.dictionaries(st.from_regex(r"X-[A-Za-z]{1,8}", fullmatch=True), TEXTS.map(Secret))
SECURITY = st.one_of(
    st.just(SecuritySettings()),
    st.builds(
        SecuritySettings,
        type=st.just("basic"),
        username=TEXTS.filter(lambda text: ":" not in text),
        password=TEXTS.map(Secret),
    ),
    st.builds(
        SecuritySettings,
        type=st.just("hmac"),
        secret_key=TEXTS.map(Secret),
        prefix=st.sampled_from([None, "sha256="]),
    ),
    st.builds(
        SecuritySettings,
        type=st.just("oauth"),
        token_url=st.just("https://t.example/"),
        client_id=TEXTS,
        client_secret=TEXTS.map(Secret),
    ),
)
ENDPOINTS = st.builds(
    EndpointSettings,
    name=st.from_regex(r"[A-Za-z0-9._-]{1,64}", fullmatch=True),
    url=st.sampled_from([HOST, "http://me:s3cret@10.0.0.1:8080/?token=s3cret"]),
    content_type=st.sampled_from(["application/json", "application/xml"]),
    bucket_size=st.integers(1, 2000),
    connect_timeout=st.timedeltas(timedelta(milliseconds=300), timedelta(seconds=30)),
    rate_limit=st.one_of(st.just(0.0), st.floats(0.001, 5000)),
    ordered=st.booleans(),
    breaker_failures=st.integers(1, 10_000),
    breaker_probe=st.timedeltas(timedelta(seconds=1), timedelta(days=1)),
    schedule=st.sampled_from(["default", *PRESETS]),
    headers=HEADERS,
    sources=TEXT_LISTS,
    reports=st.sampled_from(["all", "final", "intermediate"]),
    senders=TEXT_LISTS,
    callback_data_prefix=st.text(max_size=20).filter(lambda text: text.isprintable()),
    callback_data_fields=st.dictionaries(TEXTS, TEXTS, max_size=3),
    outcome=st.one_of(st.none(), st.builds(OutcomeSettings, retry_4xx=st.booleans())),
    security=SECURITY,
    tls=st.builds(TlsSettings, minimum_version=st.sampled_from(["1.2", "1.3"])),
)


@given(ENDPOINTS)
def test_settings_survive_the_database(settings: EndpointSettings) -> None:
    """What is stored is what was said, secrets included, and nothing more than that."""
    table = as_table(settings)

    assert read_table(EndpointSettings, table) == settings
    assert as_table(read_table(EndpointSettings, table)) == table


async def test_a_change_holds_for_the_next_report(bench: Bench, registry: Registry) -> None:
    """The worker goes by what the registry says from the next look on."""
    await registry.change("acme", {"callback_data_prefix": "vip"}, from_outside=False)
    bench.worker.use(await registry.endpoints())
    await bench.receive(an_sms("a", callbackData="other"), an_sms("b", callbackData="vip 1"))
    await bench.work()

    assert [push.reports for push in bench.sender.pushes] == [1]
