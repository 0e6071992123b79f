"""What every store of a sandbox does with events that are no reports (InboxStore, ClickStore and
ConversionStore in dispatcher/sandbox/store/base.py): an SMS that comes in, or a click, is kept
together with the duty to push it.

An implementation's test derives a class from `SandboxEventsContract` and gives it the fixture
`backend` of the other suite (sandbox_store.py).
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from dispatcher.endpoints.endpoint import Endpoint, Target
from dispatcher.queue.base import DispatchSearch, Lease, OfMessage, UnknownDispatch
from dispatcher.sandbox.messages.inbound import Inbound
from dispatcher.sandbox.messages.send import ShortLink, ShortLinks, Sms
from dispatcher.sandbox.store.base import InboxLogQuery, InboxQuery, Push, SandboxStore
from dispatcher.settings.settings import OWN_URLS
from receiver.store.base import StoreUnavailable
from receiver.store.callback import NotifyTo
from tests.contracts.sandbox_store import (
    DAY,
    HOUR,
    NOON,
    NUMBER,
    SECOND,
    Provider,
    SandboxBackend,
    an_arrival,
    an_sms_to,
)

HOOK = "http://app.example/in"
PUSH = Push(Target(HOOK, "application/json", "Basic bWU6"), b'{"results":[]}', "in-hello")


def an_inbound(text: str = "hello", **changes: Any) -> Inbound:
    inbound = Inbound(
        message_id=f"in-{text}",
        sender="41793026727",
        to="447860019999",
        text=text,
        clean_text=text,
        keyword=None,
        parts=1,
        received_at=NOON,
        callback_data=None,
        application_id=None,
        entity_id=None,
        campaign_reference_id=None,
        forward=None,
    )
    return replace(inbound, **changes)


def forwarded(text: str = "hello") -> Inbound:
    return an_inbound(text, forward=NotifyTo(HOOK, "json"))


def a_link(code: str) -> ShortLink:
    return ShortLink(code, f"http://shop.example/{code}", f"http://s.example/l/{code}")


def with_links(*codes: str) -> Sms:
    """A message with these links, whose clicks are told to HOOK."""
    return an_sms_to(links=ShortLinks([a_link(code) for code in codes], True, HOOK))


async def pulled(store: SandboxStore, limit: int = 100, **wanted: Any) -> tuple[list[str], int]:
    query = InboxQuery(received_after=NOON - 2 * DAY, limit=limit, **wanted)
    found, pending = await store.pull_inbox(query)
    return [each.text for each in found], pending


async def logged(store: SandboxStore, limit: int = 100, **wanted: Any) -> list[str]:
    query = InboxLogQuery(**{"received_after": NOON - 2 * DAY, "limit": limit, **wanted})
    return [each.text for each in await store.inbox(query)]


class SandboxEventsContract:
    @pytest.fixture
    def store(self, backend: SandboxBackend) -> SandboxStore:
        return backend.store

    @pytest.fixture
    def provider(self, store: SandboxStore) -> Provider:
        return Provider(store)

    async def test_what_waits_is_pulled_once(self, store: SandboxStore) -> None:
        """What comes in is handed out in its order, once, and what is left is counted."""
        for text in ("one", "two", "three"):
            await store.receive(an_inbound(text), None, NOON)

        before = await store.inbox_waiting(NOON - DAY)
        assert await pulled(store, limit=2) == (["one", "two"], 1)
        assert before == {"in-one", "in-two", "in-three"}
        assert await store.inbox_waiting(NOON - DAY) == {"in-three"}
        assert await store.inbox_waiting(NOON) == frozenset()
        assert await pulled(store) == (["three"], 0)
        assert await pulled(store) == ([], 0)

    async def test_all_of_it_comes_back(self, store: SandboxStore) -> None:
        """Each field is kept as it was."""
        full = an_inbound(
            'a "b" Ж €',
            keyword="A",
            clean_text='"b" Ж €',
            parts=3,
            callback_data="4711",
            application_id="a",
            entity_id="e",
            campaign_reference_id="c",
            forward=NotifyTo("http://me:secret@app.example/in", "xml"),
        )
        await store.receive(full, PUSH, NOON)

        query = InboxLogQuery(received_after=NOON - DAY, limit=1)
        assert await store.inbox(query) == [full]

    async def test_two_pull_at_once(self, backend: SandboxBackend, store: SandboxStore) -> None:
        """Two who ask at the same time get different ones, and together all."""
        for n in range(20):
            await store.receive(an_inbound(str(n)), None, NOON)
        other = await backend.another_store()
        answers = await asyncio.gather(*(pulled(each, limit=5) for each in (store, other) * 2))

        found = [text for texts, _ in answers for text in texts]
        assert sorted(found, key=int) == [str(n) for n in range(20)]
        assert sorted(left for _, left in answers) == [0, 5, 10, 15]

    async def test_what_is_asked_for_is_pulled(self, store: SandboxStore) -> None:
        """The others wait on, and are not counted as left."""
        await store.receive(an_inbound("a", application_id="a", entity_id="e"), None, NOON)
        await store.receive(an_inbound("c", campaign_reference_id="c"), None, NOON)
        await store.receive(an_inbound("old"), None, NOON)

        assert await pulled(store, application_id="a", entity_id="x") == ([], 0)
        assert await pulled(store, campaign_reference_id="c") == (["c"], 0)
        assert await pulled(store, application_id="a", entity_id="e") == (["a"], 0)
        query = InboxQuery(received_after=NOON, limit=1)
        assert await store.pull_inbox(query) == ([], 0)

    async def test_a_push_is_a_dispatch(self, backend: SandboxBackend, store: SandboxStore) -> None:
        """What is forwarded is due to be pushed from the same transaction on, as exactly these
        bytes, and is not pulled. It has no report."""
        await backend.queue.adopt([Endpoint(name=OWN_URLS, url="http://x.invalid", own_urls=True)])
        await store.receive(forwarded(), PUSH, NOON)

        assert await pulled(store) == ([], 0)
        lease = Lease("t", NOON + HOUR)
        early = await backend.queue.claim_due(NOON - SECOND, {OWN_URLS: lease}, {OWN_URLS: 9})
        (leased,) = await backend.queue.claim_due(NOON, {OWN_URLS: lease}, {OWN_URLS: 9})
        assert early == []
        assert (leased.url, leased.content_type) == (HOOK, "application/json")
        assert (leased.authorization, leased.body) == ("Basic bWU6", PUSH.body)
        assert (leased.reports, leased.attempts_made) == (0, 0)
        (stored,) = await backend.queue.dispatches()
        assert (stored.reports, list(stored.report_ids)) == (0, [])
        assert stored.event_of == PUSH.message_id

    async def test_a_push_is_found_by_its_message(
        self, backend: SandboxBackend, store: SandboxStore
    ) -> None:
        """The push of an event is found by the messageId that the event tells of, though it has no
        report; not by another one's."""
        await store.receive(forwarded(), PUSH, NOON)
        await store.receive(forwarded("other"), replace(PUSH, message_id="in-other"), NOON)

        for message_id in ("in-hello", "in-other"):
            query = DispatchSearch(message=OfMessage(event=message_id))
            found = await backend.queue.find(query)
            assert [each.event_of for each in found.dispatches] == [message_id]
        assert (await backend.queue.find(DispatchSearch(message=OfMessage()))).dispatches == []

    async def test_a_push_is_made_again(self, backend: SandboxBackend, store: SandboxStore) -> None:
        """The push of an event goes once more: the same bytes to the same place, as a dispatch of
        its own, with a new id and no attempts. The old one stays as it was."""
        await backend.queue.adopt([Endpoint(name=OWN_URLS, url="http://x.invalid", own_urls=True)])
        await store.receive(forwarded(), PUSH, NOON)
        (old,) = await backend.queue.dispatches()
        await backend.queue.cancel(old.id)

        name = await backend.queue.push_event_again(old.id, NOON + HOUR)

        new, before = await backend.queue.dispatches()
        assert (before.id, before.state) == (old.id, "cancelled")
        assert (new.id, new.state, new.due_at) == (name, "waiting", NOON + HOUR)
        assert (new.event_of, new.url, new.endpoint) == (old.event_of, old.url, old.endpoint)
        assert new.webhook_id != old.webhook_id
        lease = Lease("t", NOON + 2 * HOUR)
        (leased,) = await backend.queue.claim_due(NOON + HOUR, {OWN_URLS: lease}, {OWN_URLS: 9})
        assert (leased.body, leased.content_type) == (PUSH.body, "application/json")
        assert (leased.authorization, leased.attempts_made) == ("Basic bWU6", 0)

    async def test_what_is_no_event_is_not_made_again(self, backend: SandboxBackend) -> None:
        """There is no such dispatch."""
        for name in ("ours-99", "nonsense"):
            with pytest.raises(UnknownDispatch):
                await backend.queue.push_event_again(name, NOON)

    async def test_each_push_has_an_id_of_its_own(
        self, backend: SandboxBackend, store: SandboxStore
    ) -> None:
        """The same SMS twice is two pushes with two ids."""
        for _ in range(2):
            await store.receive(forwarded(), PUSH, NOON)

        one, two = await backend.queue.dispatches()
        assert one.webhook_id != two.webhook_id

    async def test_logs(self, store: SandboxStore) -> None:
        """The logs have everything, newest first, by what is asked for."""
        await store.receive(forwarded("pushed"), PUSH, NOON)
        later = {"received_at": NOON + HOUR, "keyword": "STOP", "to": "41790000000"}
        await store.receive(an_inbound("stop", **later), None, NOON + HOUR)
        await pulled(store)

        assert await logged(store) == ["stop", "pushed"]
        assert await logged(store, limit=1) == ["stop"]
        assert await logged(store, keyword="stop") == ["stop"]
        assert await logged(store, to="+44 7860 019999") == ["pushed"]
        assert await logged(store, since=NOON + HOUR) == ["stop"]
        assert await logged(store, until=NOON + HOUR) == ["pushed"]
        assert await logged(store, received_after=NOON) == ["stop"]

    async def test_a_reset_forgets(self, backend: SandboxBackend, store: SandboxStore) -> None:
        """Nothing waits any more, to be pulled or to be pushed."""
        await store.receive(an_inbound(), None, NOON)
        await store.receive(forwarded(), PUSH, NOON)
        await store.reset()

        assert (await pulled(store), await logged(store)) == (([], 0), [])
        assert [each.state for each in await backend.queue.dispatches()] == ["cancelled"]

    async def test_what_is_old_is_purged(self, store: SandboxStore) -> None:
        """What came before goes; what came later stays, and so do the dispatches of either."""
        await store.receive(an_inbound("old", received_at=NOON - SECOND), None, NOON)
        await store.receive(an_inbound("new"), None, NOON)
        await store.purge(NOON, 1)

        assert await logged(store) == ["new"]

    async def test_the_clock_has_seen_it(self, store: SandboxStore) -> None:
        """The clock does not go back before what came in."""
        await store.receive(an_inbound(), None, NOON + timedelta(days=9))

        assert (await store.clock()).seen_at == NOON + timedelta(days=9)

    async def test_tells_that_it_cannot_be_written(
        self, backend: SandboxBackend, store: SandboxStore
    ) -> None:
        """What cannot be kept is told, and leaves nothing: no dispatch either."""
        await backend.refuse_writes()
        with pytest.raises(StoreUnavailable):
            await store.receive(forwarded(), PUSH, NOON)

        assert await backend.queue.dispatches() == []

    # --- links, clicks, conversions --------------------------------------------------------------

    async def test_a_link_is_found(self, provider: Provider) -> None:
        """The message that has a link is found by what stands in it."""
        one, two = await provider.accept(an_arrival(with_links("a", "b"), with_links("c")))

        assert await provider.store.linked("b") == one
        assert await provider.store.linked("c") == two
        assert two.sms.links == ShortLinks([a_link("c")], True, HOOK)
        assert await provider.store.linked("d") is None

    async def test_a_link_that_there_is_already(self, provider: Provider) -> None:
        """A code that is made a second time leads to where it led before; both messages go."""
        first, second = await provider.accept(an_arrival(with_links("a"), with_links("a")))

        assert await provider.store.linked("a") == first
        assert await provider.messages() == [first, second]

    async def test_a_refused_message_has_no_link(self, provider: Provider) -> None:
        """Nobody has it, so nobody follows its links."""
        refused = replace(with_links("a"), refusal=NUMBER)
        await provider.accept(an_arrival(refused))

        assert await provider.store.linked("a") is None

    async def test_clicks_are_counted_and_pushed(
        self, backend: SandboxBackend, provider: Provider
    ) -> None:
        """Each click counts, and is a dispatch if it is to be pushed; one message's are not
        another's."""
        one, other = await provider.accept(an_arrival(with_links("a"), with_links("b")))
        await provider.store.click(one.id, NOON, None, converts=False)
        await provider.store.click(one.id, NOON, PUSH, converts=False)
        await provider.store.click(99, NOON, PUSH, converts=False)

        messages = await provider.messages()
        assert [(each.clicks, each.converted_at) for each in messages] == [(2, None), (0, None)]
        (dispatch,) = await backend.queue.dispatches()
        assert (dispatch.endpoint, dispatch.reports) == (OWN_URLS, 0)
        assert other.clicks == 0

    async def test_the_first_conversion_counts(self, provider: Provider) -> None:
        """Whether a click or the end tag was first."""
        one, two, _ = await provider.accept(an_arrival(*map(with_links, "abc")))
        await provider.store.click(one.id, NOON, None, converts=True)
        await provider.store.convert(one.id, NOON + HOUR)
        await provider.store.convert(two.id, NOON + HOUR)
        await provider.store.click(two.id, NOON + DAY, None, converts=True)

        instants = [each.converted_at for each in await provider.messages()]
        assert instants == [NOON, NOON + HOUR, None]
        assert (await provider.store.clock()).seen_at == NOON + DAY

    async def test_a_reset_forgets_links(self, backend: SandboxBackend, provider: Provider) -> None:
        """No link leads anywhere any more, and no click waits to be pushed."""
        (message,) = await provider.accept(an_arrival(with_links("a")))
        await provider.store.click(message.id, NOON, PUSH, converts=False)
        await provider.store.reset()

        assert await provider.store.linked("a") is None
        assert [each.state for each in await backend.queue.dispatches()] == ["cancelled"]
        await provider.accept(an_arrival(with_links("b")))  # it has the number of the first
        assert await provider.store.linked("a") is None

    async def test_a_purge_forgets_links(self, provider: Provider) -> None:
        """A message that goes takes its links along."""
        await provider.accept(an_arrival(with_links("a")))
        await provider.settle(NOON + HOUR)
        await provider.accept(an_arrival(with_links("b")))
        await provider.store.purge(NOON + DAY, 9)

        assert await provider.store.linked("a") is None
        assert await provider.store.linked("b") is not None

    async def test_a_click_that_cannot_be_written(
        self, backend: SandboxBackend, provider: Provider
    ) -> None:
        """It is told, and nothing is counted or pushed."""
        (message,) = await provider.accept(an_arrival(with_links("a")))
        await backend.refuse_writes()
        with pytest.raises(StoreUnavailable):
            await provider.store.click(message.id, NOON, PUSH, converts=True)

        assert await provider.messages() == [message]
        assert await backend.queue.dispatches() == []
