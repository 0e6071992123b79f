"""SMS that come in: each is kept, and is pushed to where it is forwarded, or waits to be pulled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from dispatcher.endpoints.own_urls import target_of_url
from dispatcher.sandbox.messages.inbound import Inbound, Incoming, received
from dispatcher.sandbox.messages.message import in_milliseconds
from dispatcher.sandbox.store.base import InboxStore, Push
from dispatcher.sandbox.wire.inbox import encoded, messages_of
from dispatcher.settings.sandbox import InboundRule


class Inbox:
    """Takes them. `on_stored` is called when one is to be pushed."""

    def __init__(
        self,
        store: InboxStore,
        rules: Sequence[InboundRule],
        currency: str,
        *,
        now: Callable[[], datetime],
        new_id: Callable[[], str],
        on_stored: Callable[[], None],
    ) -> None:
        self.store = store
        self.currency = currency
        self._rules = rules
        self._now = now
        self._new_id = new_id
        self._on_stored = on_stored

    async def receive(self, incoming: Incoming) -> Inbound:
        """Take one; when this returns it is on disk, and so is the duty to push it. Raises
        StoreUnavailable."""
        now = self._now()
        inbound = received(incoming, self._rules, self._new_id(), in_milliseconds(now))
        await self.store.receive(inbound, self._push(inbound), now)
        self._on_stored()
        return inbound

    def _push(self, inbound: Inbound) -> Push | None:
        if inbound.forward is None:
            return None
        told = messages_of([inbound], 0, self.currency)
        body = encoded(told, inbound.forward.format)
        return Push(target_of_url(inbound.forward), body, inbound.message_id)
