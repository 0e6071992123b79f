"""Reports that came with a URL of their own (a sandbox's notifyUrl): where they go, where not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from msgspec.structs import replace

from dispatcher.attempts import Sender
from dispatcher.endpoints.endpoint import Endpoint, Rules, Target
from dispatcher.endpoints.from_settings import endpoint_of
from dispatcher.endpoints.own_urls import OF_OWN_URLS, taking_own_urls, target_of
from dispatcher.endpoints.registry import Registry, UnknownEndpoint
from dispatcher.observe.first_loss import OLDEST, first_loss
from dispatcher.pushing.http_sender import HttpSender
from dispatcher.queue.base import Leased
from dispatcher.queue.sqlite.retention import NeededByEndpoints
from dispatcher.retrying.outcome import Answer, Outcome
from dispatcher.retrying.schedule import INFOBIP
from dispatcher.security.addresses import AddressPolicy
from dispatcher.security.signing import basic
from dispatcher.settings.sandbox import SandboxSettings
from dispatcher.settings.security import OutgoingSettings, policy_of
from dispatcher.settings.settings import OWN_URLS, read_settings
from receiver.dlr.model import Format
from receiver.settings.configuration import ConfigurationError
from receiver.store.callback import Callback, NotifyTo
from receiver.store.recipient import Recipient
from tests.contracts.report_store import a_callback, an_sms
from tests.dispatcher.replay.replaying import a_replay_bench
from tests.dispatcher.security.test_addresses import listening
from tests.dispatcher.support import (
    MINUTE,
    START,
    Bench,
    ScriptedSender,
    a_bench,
    a_push,
    an_endpoint,
)
from tests.end_to_end.processes import customer

OWN = taking_own_urls(endpoint_of(OF_OWN_URLS))
ACME = an_endpoint()


async def bring(
    bench: Bench, *message_ids: str, url: str = "http://app.example/hook", form: Format = "json"
) -> None:
    """Reports of these messages come with a URL of their own."""
    callback = a_callback(*(an_sms(each) for each in message_ids), at=bench.clock.now())
    await bench.store.add([with_url(callback, NotifyTo(url, form))])


def with_url(callback: Callback, to: NotifyTo) -> Callback:
    """The callback as if each of its reports came with this URL."""
    entries = [replace(entry, notify_to=to) for entry in callback.verdict.entries]
    return replace(callback, verdict=replace(callback.verdict, entries=entries))


def pushed(bench: Bench) -> list[tuple[str, str, str]]:
    return [(push.endpoint, push.url, push.content_type) for push in bench.sender.pushes]


async def test_they_go_to_their_url() -> None:
    """A report that came with a URL goes there, in the format it is wanted in, and nowhere else."""
    async with a_bench(OWN, ACME) as bench:
        await bring(bench, "m1", url="http://one.example/a")
        await bring(bench, "m2", url="http://two.example/b", form="xml")
        await bench.receive(an_sms("m3"))
        await bench.work()

        assert sorted(pushed(bench)) == [
            ("acme", "http://acme.example/dlr", "application/json"),
            (OWN_URLS, "http://one.example/a", "application/json"),
            (OWN_URLS, "http://two.example/b", "application/xml"),
        ]
        bodies = {push.url: push.body for push in bench.sender.pushes}
        assert b'"messageId":"m1"' in bodies["http://one.example/a"]
        assert b"<messageId>m2</messageId>" in bodies["http://two.example/b"]


async def test_buckets_have_one_url() -> None:
    """Reports with one URL and format go together, in the order of arrival, others apart."""
    async with a_bench(OWN) as bench:
        await bring(bench, "a1", "a2", url="http://a.example/")
        await bring(bench, "b1", url="http://b.example/")
        await bring(bench, "a3", url="http://a.example/")
        await bring(bench, "a4", url="http://a.example/", form="xml")
        await bench.work()

        sizes = sorted((push.url, push.content_type, push.reports) for push in bench.sender.pushes)
        assert sizes == [
            ("http://a.example/", "application/json", 3),
            ("http://a.example/", "application/xml", 1),
            ("http://b.example/", "application/json", 1),
        ]


@pytest.mark.parametrize("ordered", [False, True])
async def test_no_regular_endpoint_takes_them(ordered: bool) -> None:
    """A URL of a message goes before any subscription, whatever the endpoint's rules say."""
    endpoints = [an_endpoint("all", ordered=ordered), an_endpoint("some", rules=Rules(final=True))]
    async with a_bench(*endpoints) as bench:
        await bring(bench, "m1")

        assert await bench.work() == 0


async def test_order_can_be_kept() -> None:
    """With `ordered` set, a later report of a message waits for the earlier one, at this endpoint
    as at others; another URL's messages do not."""
    async with a_bench(replace(OWN, ordered=True, bucket_size=1)) as bench:
        bench.sender.answers(503, endpoint=OWN_URLS)
        await bring(bench, "m1", "m1x", url="http://a.example/")
        await bench.work()

        assert [push.url for push in bench.sender.pushes] == ["http://a.example/"] * 2


async def test_a_retry_is_the_same() -> None:
    """A retried push goes to its own URL with the same bytes, though the endpoint was adopted again
    meanwhile: open dispatches follow their endpoint to a new URL, but not these."""
    async with a_bench(OWN) as bench:
        bench.sender.answers(503, endpoint=OWN_URLS)
        await bring(bench, "m1")
        await bench.work()
        await bench.queue.adopt([OWN])
        bench.clock.advance(MINUTE)
        await bench.work()

        first, second = bench.sender.pushes
        assert (first.url, first.body, first.name) == (second.url, second.body, second.name)
        assert await bench.states(OWN_URLS) == ["acknowledged"]


# --- credentials -------------------------------------------------------------------------------


def test_credentials_become_a_header() -> None:
    """User and password of a URL are a header of its dispatches, and not in the URL any more."""
    target = target_of(OWN, NotifyTo("http://me:s%40cret@app.example/hook?x=1", "xml"))

    assert target == Target(
        "http://app.example/hook?x=1", "application/xml", basic("me", "s@cret")["Authorization"]
    )


def test_a_url_that_cannot_be_taken_apart() -> None:
    """What is no URL is not called, but neither does it stop the loop nor show its password."""
    target = target_of(OWN, NotifyTo("http://me:secret@[::1", "json"))

    assert "secret" not in target.url
    assert target.authorization is None


async def test_credentials_are_shown_nowhere() -> None:
    """A URL's password reaches the customer at each attempt, and no list, event or database row
    that is shown."""
    async with (
        customer(lambda push: 503 if push.attempt == 1 else 200) as app,
        a_bench(OWN) as bench,
        HttpSender(policy=AddressPolicy(ports=((1, 65_535),), loopback_only=True)) as sender,
    ):
        seen: list[str | None] = []
        bench.worker = bench.another_worker(OWN, sender=_Seeing(sender, seen))
        await bring(bench, "m1", url=app.url.replace("http://", "http://me:secret@") + "/hook")
        await bench.work()
        bench.clock.advance(MINUTE)
        await bench.work()

        assert seen == [basic("me", "secret")["Authorization"]] * 2
        (shown,) = await bench.dispatches(OWN_URLS)
        assert shown.url == f"{app.url}/hook"
        assert {event.url for event in bench.events} == {f"{app.url}/hook"}
        assert (shown.state, len(app.acknowledged)) == ("acknowledged", 1)


class _Seeing:
    """A sender that notes the header of each dispatch."""

    def __init__(self, sender: Sender, seen: list[str | None]) -> None:
        self._sender = sender
        self._seen = seen

    async def send(self, dispatch: Leased, endpoint: Endpoint) -> Answer:
        self._seen.append(dispatch.authorization)
        return await self._sender.send(dispatch, endpoint)


async def test_the_credentials_win_over_a_fixed_header() -> None:
    """The credentials of a URL are the header that is sent, whatever the endpoint's headers say."""
    seen: list[list[str]] = []

    async def take(request: web.Request) -> web.Response:
        seen.append(request.headers.getall("Authorization"))
        return web.Response()

    app = web.Application()
    app.router.add_post("/", take)
    endpoint = replace(OWN, headers={"authorization": "App other"})
    async with (
        TestServer(app) as server,
        HttpSender(policy=AddressPolicy(ports=((1, 65_535),), loopback_only=True)) as sender,
    ):
        url = str(server.make_url("/"))
        await sender.send(a_push(url, authorization="Basic bWU6c2VjcmV0"), endpoint)

    assert seen == [["Basic bWU6c2VjcmV0"]]


# --- addresses ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{port}/",
        "http://[::ffff:127.0.0.1]:{port}/",
        "http://0x7f.1:{port}/",
        "http://me:pw@localhost:{port}/",
    ],
)
async def test_addresses_are_checked(url: str) -> None:
    """Such a URL comes from outside: without leave nothing inside is called, in any spelling."""
    async with listening("127.0.0.1") as inside, a_bench(OWN) as bench, HttpSender() as sender:
        bench.worker = bench.another_worker(OWN, sender=sender)
        await bring(bench, "m1", url=url.format(port=inside.port))
        await bench.work()

        assert inside.connections == 0
        assert [event.outcome for event in bench.events] == [Outcome.NOT_ALLOWED]


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data",
        "http://10.0.0.1/",
        "http://[fd00:ec2::254]/",
        "http://192.168.1.1:8080/",
        "http://127.0.0.1:22/",
        "file:///etc/passwd",
        "http://203.0.113.9/",
        "http://8.8.8.8/",
        "http://[2606:4700::1111]/",
    ],
)
async def test_a_sandbox_allows_loopback_and_nothing_else(url: str) -> None:
    """In a sandbox loopback may be called; no other address, be it private or public, and no odd
    ports. Public hosts were called once: a test with real URLs in it pushed to customers."""
    async with a_bench(OWN) as bench, HttpSender(policy=_of_a_sandbox()) as sender:
        bench.worker = bench.another_worker(OWN, sender=sender)
        await bring(bench, "m1", url=url)
        await bench.work()

        assert [event.outcome for event in bench.events] == [Outcome.NOT_ALLOWED]


def _of_a_sandbox() -> Any:
    return policy_of(OutgoingSettings(), SandboxSettings())


async def test_the_settings_cannot_uncheck_it() -> None:
    """Whatever is said of the endpoint at run time, its URLs come from outside."""
    async with a_bench(OWN) as bench:
        registry = Registry(bench.storage.endpoints, [], own_urls=True)
        await registry.change(OWN_URLS, {"window": 5}, from_outside=False)

        (endpoint,) = await registry.endpoints()
        assert (endpoint.checked, endpoint.own_urls, endpoint.window) == (True, True, 5)
        assert endpoint.rules.own_urls is True


# --- the endpoint ------------------------------------------------------------------------------


async def test_it_is_there_where_it_has_been() -> None:
    """A sandbox has it; another process has it as soon as a sandbox has worked on the database."""
    async with a_bench(known=False) as bench:
        other = Registry(bench.storage.endpoints, [])
        assert await other.all() == {}
        with pytest.raises(UnknownEndpoint):
            await other.pause(OWN_URLS, True)
        sandbox = Registry(bench.storage.endpoints, [], own_urls=True)
        assert list(await sandbox.all()) == [OWN_URLS]
        await bench.queue.adopt(await sandbox.endpoints())

        (found,) = (await other.all()).values()
        assert (found.name, found.origin) == (OWN_URLS, "built-in")


async def test_it_is_changed_like_others() -> None:
    """It can be paused, changed, removed and reset; only its URL is nobody's to say."""
    async with a_bench(OWN) as bench:
        registry = Registry(bench.storage.endpoints, [])
        await registry.pause(OWN_URLS, True)
        assert (await registry.one(OWN_URLS)).paused
        await registry.change(OWN_URLS, {"window": 3}, from_outside=True)
        (endpoint,) = await registry.endpoints()
        assert (endpoint.window, endpoint.paused) == (3, True)
        with pytest.raises(ConfigurationError, match="url: each report brings its own"):
            await registry.change(OWN_URLS, {"url": "http://x.example/"}, from_outside=False)
        await registry.remove(OWN_URLS)
        assert await registry.endpoints() == []
        await registry.reset(OWN_URLS)
        assert [each.window for each in await registry.endpoints()] == [OF_OWN_URLS.window]


async def test_its_name_is_taken(tmp_path: Path) -> None:
    """Neither the file nor the API can give its name to another endpoint."""
    file = tmp_path / "dlr.toml"
    file.write_text(f'[[endpoint]]\nname = "{OWN_URLS}"\nurl = "http://x.example/"\n')
    with pytest.raises(ConfigurationError, match="notify-url is the endpoint of reports"):
        read_settings(file, {})
    async with a_bench() as bench:
        table = {"name": OWN_URLS, "url": "http://x.example/"}
        with pytest.raises(ConfigurationError, match="notify-url is the endpoint of reports"):
            await Registry(bench.storage.endpoints, []).add(table, from_outside=False)


# --- the others ---------------------------------------------------------------------------------


class _Dead:
    """One URL is dead: attempts there never end. All others answer at once."""

    def __init__(self, inner: ScriptedSender, dead: str) -> None:
        self._inner = inner
        self._dead = dead

    async def send(self, dispatch: Leased, endpoint: Endpoint) -> Answer:
        if dispatch.url == self._dead:
            return Answer(10_000, failure=Outcome.TIMED_OUT, error="no answer in time")
        return await self._inner.send(dispatch, endpoint)


async def test_a_dead_url_leaves_room_for_the_others() -> None:
    """While the retries of a dead URL fill what they may of the window, a quarter of it is left for
    the reports of other URLs."""
    endpoint = replace(OWN, window=40, bucket_size=1)
    async with a_bench(endpoint) as bench:
        dead = "http://dead.example/"
        worker = bench.another_worker(endpoint, sender=_Dead(bench.sender, dead))
        await bring(bench, *(f"d{n}" for n in range(39)), url=dead)
        while await worker.tick():
            pass
        bench.clock.advance(MINUTE)
        await bring(bench, "alive")
        claimed = await worker.claim()

        assert sorted(each.attempts_made for each in claimed) == [0] + [1] * 30
        assert [each.url for each in claimed if not each.attempts_made] == [
            "http://app.example/hook"
        ]


async def test_replays_go_where_the_reports_went() -> None:
    """A replay brings such a report to its own URL again, in its format; to a URL that is given, it
    brings it there."""
    async with a_replay_bench(OWN, ACME) as bench:
        await bring(bench.bench, "m1", url="http://me:pw@one.example/", form="xml")
        await bench.bench.work()
        await bench.ask(messageIds=["m1"])
        await bench.ask(messageIds=["m1"], toEndpoint="acme")
        await bench.feeder.look()
        await bench.bench.work()

        assert sorted(pushed(bench.bench)[1:]) == [
            ("acme", "http://acme.example/dlr", "application/json"),
            (OWN_URLS, "http://one.example/", "application/xml"),
        ]


async def test_reports_without_a_url_cannot_be_replayed_to_it() -> None:
    """What came without a URL of its own has no place there: it counts as dropped."""
    async with a_replay_bench(OWN, ACME) as bench:
        await bench.bench.receive(an_sms("m1"))
        await bench.bench.work()
        replay = await bench.ask(messageIds=["m1"], toEndpoint=OWN_URLS)
        await bench.feeder.look()
        await bench.bench.work()

        assert (await bench.replays.one(replay.id)).dropped == 1
        assert len(bench.bench.sender.pushes) == 1


async def test_unrouted_and_retention_and_first_loss() -> None:
    """A report with its own URL is routed; until it is read and brought nothing removes it; what
    waits for its retries has its time to the first loss."""
    async with a_bench(OWN) as bench:
        bench.sender.always(503, endpoint=OWN_URLS)
        await bring(bench, "m1")
        needed = NeededByEndpoints()
        assert await bench.database.read(lambda c: needed.holders(c, [1])) == {OWN_URLS: {1}}
        await bench.work()

        found = await bench.storage.unrouted.unrouted([OWN_URLS], None, 10)
        assert found.reports == []
        assert await bench.database.read(lambda c: needed.holders(c, [1])) == {OWN_URLS: {1}}
        waiting = await bench.storage.figures.oldest_waiting([OWN_URLS], OLDEST)
        loss = first_loss(waiting[OWN_URLS], INFOBIP, START)
        assert loss is not None
        assert loss.attempts_left == 20


async def test_erasure_keeps_the_others_way() -> None:
    """One recipient's data is erased from a waiting push; what is left still goes to its URL, with
    its credentials and in its format."""
    async with a_bench(OWN) as bench:
        bench.sender.answers(503, endpoint=OWN_URLS)
        callback = a_callback(an_sms("m1", to="41790000001"), an_sms("m2", to="41790000002"))
        to = NotifyTo("http://me:pw@app.example/", "xml")
        await bench.store.add([with_url(callback, to)])
        await bench.work()
        await bench.storage.erasure.erase(Recipient(to="41790000001"))
        bench.clock.advance(MINUTE)
        seen: list[str | None] = []
        worker = bench.another_worker(OWN, sender=_Seeing(bench.sender, seen))
        await worker.tick()

        last = bench.sender.pushes[-1]
        assert seen == [basic("me", "pw")["Authorization"]]
        assert (last.url, last.content_type) == ("http://app.example/", "application/xml")
        assert b"41790000002" in last.body
        assert b"41790000001" not in last.body


async def test_erasure_cuts_a_url_that_names_the_recipient() -> None:
    """An app put the number into its notifyUrl: it stood in the dispatch after the erasure."""
    async with a_bench(OWN) as bench:
        to = NotifyTo("http://app.example/dlr?to=%2B41790000001", "json")
        await bench.store.add([with_url(a_callback(an_sms("m1", to="41790000001")), to)])
        await bench.work()

        await bench.storage.erasure.erase(Recipient(to="41790000001"))

        (dispatch,) = await bench.dispatches(OWN_URLS)
        assert (dispatch.state, dispatch.url) == ("acknowledged", "http://app.example/dlr?…")


async def test_old_databases_have_none(tmp_path: Path) -> None:
    """Reports of before the migration, and those of callbacks, have no URL of their own."""
    async with a_bench(path=tmp_path / "dlr.db") as bench:
        await bench.receive(an_sms("m1"))

        assert [each.notify_to for each in await bench.store.reports_after(0, 9)] == [None]
